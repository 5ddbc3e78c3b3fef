"""How a command ends where something cannot be done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import typer

BAD_USAGE, NO_EVIDENCE = 2, 3


@contextmanager
def needs_evidence(command: str) -> Iterator[None]:
    """End with one line and exit code 3 where a record is missing or damaged."""
    from pytest_llminvariance.errors import RecordError

    try:
        yield
    except RecordError as error:
        typer.echo(f"{command}: NO EVIDENCE - {error}", err=True)
        raise typer.Exit(NO_EVIDENCE) from error


@contextmanager
def bad_usage() -> Iterator[None]:
    """End with one line and exit code 2 for any error of ours."""
    from pytest_llminvariance.errors import LLMInvarianceError

    try:
        yield
    except LLMInvarianceError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(BAD_USAGE) from error
