"""The command `llminvariance compare`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pytest_llminvariance.cli.usage import NO_EVIDENCE, bad_usage, needs_evidence

if TYPE_CHECKING:
    from fractions import Fraction

    from pytest_llminvariance.gate.comparison import Comparison
    from pytest_llminvariance.records.record import Record


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
    from pytest_llminvariance.errors import UsageError
    from pytest_llminvariance.gate.comparison import ENGINE, compare_runs
    from pytest_llminvariance.records.record import load
    from pytest_llminvariance.report.release import comparison_lines

    with bad_usage():
        unknown = [name for name in allow or () if name not in ENGINE]
        if unknown:
            raise UsageError(f"--allow is {unknown[0]!r}, but must be one of {', '.join(ENGINE)}")
        limit = as_tolerance(margin)
        with needs_evidence("compare"):
            runs = load(old), load(new)
            comparison = compare_runs(*runs, margin=limit, allowed=allow or ())
        comparison = _ratcheted(comparison, runs[1], ratchet, limit, accept)
        for line, colour in comparison_lines(comparison):
            typer.secho(line, fg=colour or None)
        verdict = comparison.outcome
        if ratchet is not None and accept:
            kept = f"{ratchet} was left as it is" if ratchet.exists() else f"{ratchet} was not made"
            refused = f"{kept}: bests are accepted only where nothing is worse or undecided"
            typer.echo(_accepted(ratchet, runs[1]) if verdict is Verdict.HOLDS else refused)
    raise typer.Exit({Verdict.HOLDS: 0, Verdict.BROKEN: 1, Verdict.UNDECIDED: NO_EVIDENCE}[verdict])


def _ratcheted(
    comparison: Comparison,
    new: Record,
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
    return under_ratchet(comparison, new.findings, read_ratchet(ratchet, begins=accept), margin)


def _accepted(ratchet: Path, new: Record) -> str:
    from pytest_llminvariance.gate.ratchet import accept, read_ratchet, write_ratchet

    before = read_ratchet(ratchet, begins=True)
    after = accept(before, new.findings)
    if after != before or not ratchet.exists():
        write_ratchet(ratchet, after)
    moved = sum(before.get(key) != best for key, best in after.items())
    return f"{ratchet}: {moved} of {len(after)} bests moved. Commit it"
