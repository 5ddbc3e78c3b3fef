"""Shared by all tests: the fixture `pytester` for runs of pytest inside tests."""

from __future__ import annotations

pytest_plugins = ["pytester"]
