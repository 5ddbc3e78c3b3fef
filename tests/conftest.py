"""Shared by all tests: the fixture `pytester` for runs of pytest inside tests."""

from __future__ import annotations

import os

pytest_plugins = ["pytester"]

# neither these tests nor what they start may read or fill the developer's own cache of answers
os.environ["LLMINVARIANCE_ANSWERS"] = "off"
