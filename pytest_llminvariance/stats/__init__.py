"""Tests and bounds: numbers in, numbers out; no I/O, no clock, no chance that is not an argument."""
