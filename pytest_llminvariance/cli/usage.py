"""What commands share: settings of a model, and how one ends where something cannot be done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

BAD_USAGE, NO_EVIDENCE = 2, 3
OtherSettings = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=VALUE",
        help="Another setting of the model, such as key_variable=OPENAI_API_KEY, concurrency=4, tokenizer=FOLDER, "
        'chat_arg={"enable_thinking": false}; repeatable. docs/settings.md has all.',
    ),
]


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
