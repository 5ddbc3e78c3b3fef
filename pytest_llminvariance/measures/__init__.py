"""Replies to contents to numbers: distributions, parsing, metrics, betting tests.

Numbers in, numbers out. No I/O, no clock, no chance but what is given.
"""
