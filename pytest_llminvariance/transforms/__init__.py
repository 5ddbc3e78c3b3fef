"""Changes that keep a question's meaning, and which of their presentations are planned.

Knows orders, labels, layouts, wordings and edits, and how far two presentations are apart. Asks nothing.
"""
