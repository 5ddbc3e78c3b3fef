"""Findings in words: pure functions from a finding to text."""
