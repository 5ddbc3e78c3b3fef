"""The documentation site: pages of this repository, with references made from the code."""
