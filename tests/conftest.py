"""Shared by all tests: the fixture `pytester` for runs of pytest inside tests."""

from __future__ import annotations

import os
from importlib.metadata import version

pytest_plugins = ["pytester"]

# neither these tests nor what they start may read or fill the developer's own cache of answers
os.environ["LLMINVARIANCE_ANSWERS"] = "off"

SHOWN = ("torch", "transformers", "hypothesis", "numpy", "scipy")


def pytest_report_header() -> str:
    """Say what these tests ran on."""
    return "versions: " + ", ".join(f"{name} {version(name)}" for name in SHOWN)
