"""What is decided about a release: policies, waivers, baselines, ratchets.

Pure decisions over records that were read; words and exit codes of commands are elsewhere.
"""
