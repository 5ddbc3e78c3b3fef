"""`llminvariance report`: a run directory in one of the formats of `report.formats`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pytest_llminvariance.cli.usage import bad_usage
from pytest_llminvariance.report.formats import FORMATS, TERMINAL

if TYPE_CHECKING:
    from pytest_llminvariance.gate.policy import Policy

NAMES = "|".join(FORMATS)
WHAT = "; ".join(f"{form.name}: {form.about}" for form in FORMATS.values())
WHERE = " ".join(
    f"{form.name}: {'changed in place' if form.in_place else form.place(Path('DIR'))}."
    for form in FORMATS.values()
    if form.in_place or form.file != TERMINAL
)


def _known(name: str) -> str:
    if name not in FORMATS:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(map(repr, FORMATS))}.")
    return name


def report_command(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="What --invariance-report has written.")],
    format: Annotated[
        str, typer.Option("--format", metavar=NAMES, help=f"What to write. {WHAT}.", callback=_known)
    ] = "html",
    out: Annotated[
        str | None, typer.Option("--out", metavar="FILE", help=f"Where to (- is the terminal). {WHERE}")
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Policy that decides, as for the gate (default: the run's own, else [tool.llminvariance.gate] of ./pyproject.toml).",
        ),
    ] = None,
    history: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR",
            help="Other runs, or a folder of them, whose effects the page draws beside this run's. Can be given several times.",
        ),
    ] = None,
) -> None:
    """Write a report of a run. Its headline is what the gate decides.

    Exits 0 whatever the verdicts are, and 2 if the directory cannot be read: to block a release use the gate.
    """
    from pytest_llminvariance.files import encoded, writing
    from pytest_llminvariance.report.formats import report_text

    form = FORMATS[format]
    target = out or form.place(directory)
    with bad_usage():
        text = encoded(report_text(form, directory, target, _policy_of(directory, policy), history or ()))
        if target == TERMINAL:
            sys.stdout.buffer.write(text)
            sys.stdout.flush()
            return
        with writing(Path(target), "report"):
            _write(Path(target), text)
    typer.echo(f"{target}: {len(text):,} bytes", err=True)


def _policy_of(directory: Path, given: Path | None) -> Policy:
    """Return the policy that was named, else the one that the run was given, else what the gate takes by itself."""
    from pytest_llminvariance.gate.policy import read_policy
    from pytest_llminvariance.records.directory import RUN
    from pytest_llminvariance.records.shapes import read_json

    if given is None and (directory / RUN).is_file():
        settings = read_json(directory / RUN).get("settings")
        named = settings.get("policy") if isinstance(settings, dict) else None
        given = Path(named) if isinstance(named, str) and Path(named).is_file() else None
    return read_policy(given, Path())


def _write(file: Path, text: bytes) -> None:
    """Write a file whole or not at all, except where it is no plain file (a pipe, a CI system's summary)."""
    from pytest_llminvariance.files import write_whole

    if file.exists() and not file.is_file():
        file.write_bytes(text)
        return
    write_whole(file, text)
