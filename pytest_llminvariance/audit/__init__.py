"""Numbers in, numbers out: answer distributions, intervals and metrics. No I/O, no clock, no randomness."""
