"""Findings in words, one file a format.

Pure functions from findings and records to text; whatever comes from data is made harmless here.
"""
