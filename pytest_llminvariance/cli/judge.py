"""`llminvariance judge`: verdicts from stored answers, under other tolerances or metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pytest_llminvariance.cli.usage import bad_usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llminvariance.records.judge import Rejudged
    from pytest_llminvariance.records.record import Record


TOO_THIN = 3


def judge_command(
    directory: Annotated[str, typer.Argument(metavar="DIR", help="A directory that a run has written.")],
    tolerance: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE", help="Tolerance of a property (order=0.1), test or finding; a number for all."
        ),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=METRIC", help="Metric of a property, test or finding; a name alone for all."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print findings.json as it would be.")] = False,  # noqa: FBT002
) -> None:
    """Judge stored answers again, under other tolerances or metrics. Nothing is asked.

    Exits 0 if everything holds, 1 if something is BROKEN or UNDECIDED, 2 for bad usage, and 3 where the record is
    too thin.
    """
    from dataclasses import asdict

    from pytest_llminvariance.records.directory import findings_text
    from pytest_llminvariance.records.judge import judge, parse_changes
    from pytest_llminvariance.records.record import load
    from pytest_llminvariance.report.text import visible

    with bad_usage():
        record = load(directory)
        found = judge(record, parse_changes(tolerance or [], metric or []))
    if as_json:
        typer.echo(
            findings_text(
                [item.row.to_json() for item in found if item.row],
                [lost.to_json() for lost in record.lost],
                [asdict(search) for search in record.searches],
            ),
            nl=False,
        )
    for line, colour in _lines(record, found):
        typer.secho(visible(line), fg=colour or None, err=as_json)
    raise typer.Exit(_status(record, found))


def _lines(record: Record, found: list[Rejudged]) -> Iterator[tuple[str, str]]:
    from pytest_llminvariance.report.terminal import finding_line
    from pytest_llminvariance.report.words import COLOURS

    for item in found:
        stored = item.stored
        if item.row is None:
            yield f"TOO THIN  {stored.title}: {item.thin}  [{stored.where}]", "yellow"
            continue
        notes = "" if stored.verdict is item.row.verdict else f" (was {stored.verdict})"
        notes += " (exploratory: this metric was not planned)" if item.exploratory else ""
        yield f"{finding_line(item.row.to_json())}{notes}  [{item.row.where}]", COLOURS[item.row.verdict]
    for lost in record.lost:
        reason = lost.reason.partition("\n")[0][:200].rstrip(": ")
        n = record.n_answers(lost.id)
        yield f"TOO THIN  {lost.title}: {reason}; {n:,} answers recorded  [{lost.where}]", "yellow"
    if not found and not record.lost:
        yield "TOO THIN  there are no findings in this record", "yellow"


def _status(record: Record, found: list[Rejudged]) -> int:
    if not found or record.lost or any(item.row is None for item in found):
        return TOO_THIN
    return int(any(item.row and item.row.verdict != "HOLDS" for item in found))
