"""Causal language models of transformers in this process: from requests to tokens to log-probabilities and texts.

The only room that imports torch and transformers.
"""
