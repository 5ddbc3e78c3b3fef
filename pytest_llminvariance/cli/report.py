"""`llminvariance report`: a run directory as a page, Markdown, JUnit, annotations, SARIF or a model card's section."""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pytest_llminvariance.report.entries import Report


class Format(StrEnum):
    """What a report is written as."""

    html = "html"
    markdown = "markdown"
    junit = "junit"
    github = "github"
    sarif = "sarif"
    card = "card"


def report_command(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="What --invariance-report has written.")],
    format: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.html,
    out: Annotated[
        str | None,
        typer.Option(
            "--out", metavar="FILE", help="Where to (- is the terminal). html: DIR/report.html. card: changed in place."
        ),
    ] = None,
) -> None:
    """Write a report of a run.

    html is one page without network or scripts; markdown is for a CI step summary (below 64 kB); github prints
    annotations; card is a model card, in which an earlier section of ours is replaced. Exits 0 whatever the
    verdicts are, and 2 if the directory cannot be read: to block a release use the gate.
    """
    from pytest_llminvariance.errors import LLMInvarianceError

    target = out or (str(directory / "report.html") if format is Format.html else "-")
    try:
        text = _text(directory, format, target)
        if target == "-":
            sys.stdout.buffer.write(text.encode())
            sys.stdout.flush()
        else:
            _write(Path(target), text)
            typer.echo(f"{target}: {len(text.encode()):,} bytes", err=True)
    except (LLMInvarianceError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error


def _text(directory: Path, format: Format, target: str) -> str:
    from pytest_llminvariance.records.answers import readable_answers
    from pytest_llminvariance.report.entries import read_report
    from pytest_llminvariance.report.github import github_commands
    from pytest_llminvariance.report.junit import junit
    from pytest_llminvariance.report.markdown import markdown
    from pytest_llminvariance.report.sarif import sarif

    record = read_report(directory)
    if format is Format.html:
        from pytest_llminvariance.report.html.page import page

        return page(record, *readable_answers(directory))
    if format is Format.card:
        from pytest_llminvariance.report.card import card

        file = None if target == "-" else Path(target)
        return card(record, file.read_text(encoding="utf-8") if file is not None and file.is_file() else None)
    writers: dict[Format, Callable[[Report], str]] = {
        Format.markdown: markdown,
        Format.junit: junit,
        Format.github: github_commands,
        Format.sarif: sarif,
    }
    return writers[format](record)


def _write(file: Path, text: str) -> None:
    """Write a file whole or not at all, except where it is no plain file (a pipe, a CI system's summary)."""
    from pytest_llminvariance.files import write_whole

    if file.exists() and not file.is_file():
        file.write_text(text, encoding="utf-8")
        return
    write_whole(file, text.encode())
