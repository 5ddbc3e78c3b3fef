"""Versions of what determines answers and numbers."""

from __future__ import annotations

import functools
import importlib.metadata

_version = functools.cache(importlib.metadata.version)  # a file is read for each


def package_versions(*more: str) -> dict[str, str]:
    """Return the versions of what determines answers and numbers, and of packages that are named beside them."""
    found = {}
    for name in ("pytest-llminvariance", "torch", "transformers", *more):
        try:
            found[name] = _version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
