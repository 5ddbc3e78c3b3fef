"""The command `llminvariance gate`."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path
from typing import Annotated

import typer

from pytest_llminvariance.cli.usage import bad_usage, needs_evidence


def gate(
    directories: Annotated[
        list[Path], typer.Argument(metavar="DIR...", help="Run directories written with --invariance-report.")
    ],
    policy: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Policy in TOML; default: [tool.llminvariance.gate] of ./pyproject.toml."),
    ] = None,
    today: Annotated[
        str | None,
        typer.Option(metavar="DAY", help="The day by which waivers expire, YYYY-MM-DD; default: the clock's."),
    ] = None,
) -> None:
    """Decide whether recorded runs let a release pass.

    Exits 0 where it passes, 1 where something blocks it, 2 on wrong usage, 3 where there is no or not enough
    evidence.
    """
    from pytest_llminvariance.gate.decision import decide_gate
    from pytest_llminvariance.gate.policy import read_policy
    from pytest_llminvariance.records.record import load
    from pytest_llminvariance.report.release import gate_lines

    with bad_usage():
        day = _day(today)
        rules = read_policy(policy, Path())
        _refuse_twice(directories)
        with needs_evidence("gate"):
            runs = [load(directory) for directory in directories]
    decision = decide_gate(runs, rules, day)
    if day != datetime.date.today():
        decision = dataclasses.replace(
            decision, notes=(f"waivers are judged by {day} (--today), not by today", *decision.notes)
        )
    for line, colour in gate_lines(decision):
        typer.secho(line, fg=colour or None)
    raise typer.Exit(decision.exit_code)


def _day(today: str | None) -> datetime.date:
    from pytest_llminvariance.errors import UsageError

    if today is None:
        return datetime.date.today()
    try:
        return datetime.date.fromisoformat(today)
    except ValueError as error:
        raise UsageError(f"--today is {today!r}, but must be a day such as 2026-03-31") from error


def _refuse_twice(directories: list[Path]) -> None:
    from pytest_llminvariance.errors import UsageError

    resolved = [directory.resolve() for directory in directories]
    places = [place.parent if place.is_file() else place for place in resolved]
    twice = next((str(place) for place in places if places.count(place) > 1), None)
    if twice is not None:
        raise UsageError(f"{twice} is given twice. Give each run once")
