"""The command `llminvariance`."""

from __future__ import annotations

from pathlib import Path
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


cache_app = typer.Typer(help="Answers remembered on this machine.", no_args_is_help=True)
app.add_typer(cache_app, name="cache")
Where = Annotated[
    str, typer.Option("--invariance-cache", metavar="WHERE", help="auto (your cache folder), or a folder.")
]


@cache_app.command("path")
def cache_path(where: Where = "auto") -> None:
    """Print the folder of remembered answers."""
    typer.echo(_answers(where))


@cache_app.command("info")
def cache_info(where: Where = "auto") -> None:
    """Show how many answers are remembered, of which models, and how much space they take."""
    from pytest_llminvariance.cache import MAX_BYTES, info

    found = info(_answers(where))
    typer.echo(f"folder   {found.folder}")
    typer.echo(f"answers  {found.answers:,} in {found.files} file{'s' if found.files != 1 else ''}")
    typer.echo(f"size     {found.n_bytes / 2**20:,.1f} MiB of at most {MAX_BYTES / 2**20:,.0f} MiB a file")
    for model, count in sorted(found.models.items(), key=lambda entry: -entry[1]):
        typer.echo(f"model    {model}  {count:,} answers")


@cache_app.command("clear")
def cache_clear(
    where: Where = "auto",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,  # noqa: FBT002
) -> None:
    """Delete all remembered answers; the next run asks the model again."""
    from pytest_llminvariance.cache import clear, info

    folder = _answers(where)
    if not yes and info(folder).answers:
        typer.confirm(f"Delete {info(folder).answers:,} answers in {folder}?", abort=True)
    typer.echo(f"deleted {clear(folder):,} answers in {folder}")


def _answers(where: str) -> Path:
    from pytest_llminvariance.cache import answers_folder
    from pytest_llminvariance.folders import cache_folder

    return answers_folder(cache_folder() if where == "auto" else Path(where))


def main() -> None:
    """Run the command."""
    app()
