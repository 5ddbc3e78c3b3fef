"""The command `llminvariance`."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    name="llminvariance",
    help="Invariance properties of language models as tests.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def _root() -> None:
    """Invariance properties of language models as tests."""


@app.command()
def selftest(
    invariance_model: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="Also run the instrument on this model: demo, a hub id, a folder, ..."),
    ] = None,
) -> None:
    """Run every control against every assertion and compare the verdicts with the known ones.

    Exits 1 on any difference. Run it to know that the instrument works on this machine.
    """
    from pytest_llminvariance.errors import LLMInvarianceError
    from pytest_llminvariance.selftest import run_selftest, table_lines

    try:
        cells = run_selftest(invariance_model)
    except LLMInvarianceError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    for line in table_lines(cells):
        typer.echo(line)
    raise typer.Exit(int(any(not cell.agrees for cell in cells)))


def main() -> None:
    """Run the command."""
    app()
