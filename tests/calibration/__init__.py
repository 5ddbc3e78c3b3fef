"""Whether verdicts are wrong as rarely as they say: `python -m tests.calibration` prints the tables."""
