"""The command `llminvariance` in this process, as its users would call it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from typer.testing import CliRunner

from pytest_llminvariance.cli import app


def llminvariance(words: Iterable[object], **how: Any) -> Any:
    """Run the command and return how it ended; an error that it does not tell in a sentence is raised."""
    return CliRunner().invoke(app, list(map(str, words)), catch_exceptions=False, **how)
