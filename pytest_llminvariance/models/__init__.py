"""Models: the protocol and the backends. Nothing heavy is imported before a backend is used."""
