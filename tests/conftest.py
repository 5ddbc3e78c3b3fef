"""Shared by all tests: the fixture `pytester` for runs of pytest inside tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import version

import pytest
from hypothesis import settings

from pytest_llminvariance.checks.run import Run, surrounded

pytest_plugins = ["pytester"]

# neither these tests nor what they start may read or fill the developer's own cache of answers
os.environ["LLMINVARIANCE_ANSWERS"] = "off"

# the same examples every time and no clock, so that a red run is red again; `--hypothesis-profile=default` looks for new ones
settings.register_profile("suite", derandomize=True, deadline=None)
settings.load_profile("suite")

SHOWN = ("torch", "transformers", "hypothesis", "numpy", "scipy")


def pytest_report_header() -> str:
    """Say what these tests ran on."""
    return "versions: " + ", ".join(f"{name} {version(name)}" for name in SHOWN)


@pytest.fixture(autouse=True)
def no_session() -> Iterator[None]:
    """Checks of these tests are about the package, so they stay out of the session's own findings."""
    with surrounded(Run()):
        yield
