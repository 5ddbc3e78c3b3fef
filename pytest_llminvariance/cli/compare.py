"""The command `llminvariance compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fractions import Fraction

    from pytest_llminvariance.gate.comparison import Comparison
    from pytest_llminvariance.records.findings import RunRecord


def compare(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="Run directory of the baseline.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Run directory of the new run.")],
    margin: Annotated[float, typer.Option(help="How much worse the mean may get, in the metric's unit.")] = 0.02,
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD", help="Compare across another torch, transformers, device or dtype."),
    ] = None,
    ratchet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also keep within min(tolerance, best accepted + margin).")
    ] = None,
    accept: Annotated[  # noqa: FBT002
        bool, typer.Option("--accept", help="Write what NEW reached into the ratchet, if nothing is worse.")
    ] = False,
) -> None:
    """Compare a run with a baseline, question by question; refuses what cannot be compared.

    Exits 0 where nothing is worse by more than the margin, 1 where something is, 2 on wrong usage, 3 where it
    cannot be told: other questions, another readout, template, metric or plan, a run that stopped early, or a
    check that is gone.
    """
    from pytest_llminvariance.checks.refusals import as_tolerance
    from pytest_llminvariance.checks.verdict import Verdict
    from pytest_llminvariance.errors import RecordError, UsageError
    from pytest_llminvariance.gate.comparison import ENGINE, compare_runs
    from pytest_llminvariance.records.findings import read_run
    from pytest_llminvariance.report.release import comparison_lines

    try:
        unknown = [name for name in allow or () if name not in ENGINE]
        if unknown:
            raise UsageError(f"--allow is {unknown[0]!r}, but must be one of {', '.join(ENGINE)}")
        limit = as_tolerance(margin)
        runs = read_run(old), read_run(new)
        comparison = _ratcheted(compare_runs(*runs, margin=limit, allowed=allow or ()), runs[1], ratchet, limit, accept)
        answers = _answers(*runs)
    except RecordError as error:
        typer.echo(f"compare: NO EVIDENCE - {error}", err=True)
        raise typer.Exit(3) from error
    except UsageError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(2) from error
    for line, colour in comparison_lines(comparison):
        typer.secho(line, fg=colour or None)
    for line in answers:
        typer.echo(line)
    verdict = comparison.outcome
    if ratchet is not None and accept:
        typer.echo(_accepted(ratchet, runs[1]) if verdict is Verdict.HOLDS else f"{ratchet} was left as it is")
    raise typer.Exit({Verdict.HOLDS: 0, Verdict.BROKEN: 1, Verdict.UNDECIDED: 3}[verdict])


def _ratcheted(
    comparison: Comparison,
    new: RunRecord,
    ratchet: Path | None,
    margin: Fraction,
    accept: bool,  # noqa: FBT001
) -> Comparison:
    from pytest_llminvariance.errors import UsageError
    from pytest_llminvariance.gate.ratchet import read_ratchet, under_ratchet

    if ratchet is None:
        if accept:
            raise UsageError("--accept needs --ratchet FILE, which it writes to")
        return comparison
    bests = {} if accept and not ratchet.exists() else read_ratchet(ratchet)
    return under_ratchet(comparison, new.findings, bests, margin)


def _accepted(ratchet: Path, new: RunRecord) -> str:
    from pytest_llminvariance.gate.ratchet import accept, read_ratchet, write_ratchet

    before = read_ratchet(ratchet) if ratchet.exists() else {}
    after = accept(before, new.findings)
    if after != before or not ratchet.exists():
        write_ratchet(ratchet, after)
    moved = sum(before.get(key) != best for key, best in after.items())
    return f"{ratchet}: {moved} of {len(after)} bests moved. Commit it"


def _answers(old: RunRecord, new: RunRecord) -> list[str]:
    """Return what changed from right to wrong, for checks of which both runs hold the answers."""
    from pytest_llminvariance.gate.flips import flips_between
    from pytest_llminvariance.report.release import flip_lines

    return [line for key, flips in flips_between(old, new) for line in flip_lines(key, flips)]
