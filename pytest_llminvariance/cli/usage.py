"""How a command ends where something cannot be done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

BAD_USAGE = 2


@contextmanager
def bad_usage() -> Iterator[None]:
    """End with one line and exit code 2 for any error of ours."""
    from pytest_llminvariance.errors import LLMInvarianceError

    try:
        yield
    except LLMInvarianceError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(BAD_USAGE) from error
