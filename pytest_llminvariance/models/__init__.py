"""What a model is, the backends, and asking one: each distinct request once, remembered.

Knows requests and replies, never contents: a reply speaks of positions and labels. Nothing heavy is imported
before a backend is used.
"""
