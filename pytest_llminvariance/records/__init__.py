"""What a run writes, whole after a crash up to its last answer, and the one way to read it back.

Knows files and their shapes; decides nothing.
"""
