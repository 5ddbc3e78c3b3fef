"""The command `llminvariance`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pytest_llminvariance.cli.audit import audit_command
from pytest_llminvariance.cli.compare import compare
from pytest_llminvariance.cli.gate import gate
from pytest_llminvariance.cli.holdout import holdout
from pytest_llminvariance.cli.judge import judge_command
from pytest_llminvariance.cli.new import new_command
from pytest_llminvariance.cli.paraphrase import paraphrase_app
from pytest_llminvariance.cli.plan import plan
from pytest_llminvariance.cli.properties import properties_command
from pytest_llminvariance.cli.report import report_command
from pytest_llminvariance.cli.usage import bad_usage

if TYPE_CHECKING:
    from pytest_llminvariance.models.cache import AnswerCache

app = typer.Typer(
    name="llminvariance",
    help="Invariance properties of language models as tests.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)

app.command(name="new")(new_command)
app.command(name="properties")(properties_command)
app.command(name="report")(report_command)
app.command(name="judge")(judge_command)
app.command(name="audit")(audit_command)


def _version(asked: bool) -> None:  # noqa: FBT001 - typer's way
    if asked:
        from importlib.metadata import version

        typer.echo(f"pytest-llminvariance {version('pytest-llminvariance')}")
        raise typer.Exit


VersionFlag = Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")]


@app.callback()
def _root(*, version: VersionFlag = False) -> None:
    """Invariance properties of language models as tests."""
    del version  # its callback has said it


@app.command("selftest")
def selftest_command(
    invariance_model: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="Also run the instrument on this model: demo, a hub id, a folder, ..."),
    ] = None,
) -> None:
    """Run every control against every assertion and compare the verdicts with the known ones.

    Exits 1 on any difference. Run it to know that the instrument works on this machine.
    """
    from pytest_llminvariance.cli.selftest import run_selftest, table_lines

    with bad_usage():
        cells = run_selftest(invariance_model)
    for line in table_lines(cells):
        typer.echo(line)
    raise typer.Exit(int(any(not cell.agrees for cell in cells)))


app.command("plan")(plan)
app.command("holdout")(holdout)
app.command()(gate)
app.command()(compare)

cache_app = typer.Typer(
    name="cache",
    help="Answers of models, kept between sessions (--invariance-cache).",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(cache_app)
app.add_typer(paraphrase_app)
Folder = Annotated[
    str,
    typer.Option("--folder", metavar="PLACE", help="auto (what LLMINVARIANCE_ANSWERS or your cache says) or a folder."),
]


@cache_app.command("path")
def cache_path(folder: Folder = "auto") -> None:
    """Print where answers are kept."""
    typer.echo(str(_answer_cache(folder).folder))


@cache_app.command("info")
def cache_info(folder: Folder = "auto") -> None:
    """Print how many answers are kept, of which models, and how much room they take."""
    cache = _answer_cache(folder)
    found = cache.info()
    typer.echo(
        f"{found.path}: {found.entries:,} answers, {_readable(found.bytes)} of at most {_readable(cache.max_bytes)}"
    )
    for fingerprint, entries in sorted(found.models.items(), key=lambda item: -item[1]):
        typer.echo(f"  {entries:>10,}  model {fingerprint[:16]}")


@cache_app.command("clear")
def cache_clear(
    folder: Folder = "auto",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,  # noqa: FBT002
) -> None:
    """Remove all answers that are kept."""
    cache = _answer_cache(folder)
    found = cache.info()
    if not yes:
        typer.confirm(f"Remove {found.entries:,} answers ({_readable(found.bytes)}) from {found.path}?", abort=True)
    with bad_usage():
        cache.clear()
    typer.echo(f"{found.entries:,} answers removed")


def _answer_cache(setting: str) -> AnswerCache:
    from pytest_llminvariance.files import answers_folder
    from pytest_llminvariance.models.cache import AnswerCache

    with bad_usage():
        folder = answers_folder(setting)
        if folder is None:
            typer.echo("the cache is off: no answers are kept (LLMINVARIANCE_ANSWERS=off)")
            raise typer.Exit
        return AnswerCache(folder)


def _readable(size: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def main() -> None:
    """Run the command."""
    app()
