"""A ratchet: what was reached once is kept. A committed file holds the best accepted effect of every check.

The limit of a check is min(tolerance, best + margin). Without it a release could get worse by a margin each
time. The best only moves down, and only by runs that asked everything and hold.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from pytest_llminvariance.checks.refusals import as_tolerance
from pytest_llminvariance.checks.verdict import Verdict, decide
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.files import read_committed, write_committed
from pytest_llminvariance.gate.comparison import Compared, Comparison, keyed, suite_digest
from pytest_llminvariance.records.record import StoredFinding

VERSION = 1
FIELDS = ("metric", "plan", "readout", "template", "questions")


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The best accepted effect of a check, and what it was measured on."""

    best: Fraction
    metric: str
    plan: str
    readout: str
    template: str
    questions: str
    """SHA-256 over the content hashes of the questions."""


def read_ratchet(file: Path, *, begins: bool = False) -> Mapping[str, Best]:
    """Read a ratchet file; one that `begins` may be missing, and then holds nothing.

    Raises:
        UsageError: where it is missing or damaged; names file, check and rule.
    """
    try:
        stored = read_committed(file, "ratchet", VERSION, "Make it from an accepted run with --accept")
    except UsageError as error:
        if begins and isinstance(error.__cause__, FileNotFoundError):
            return {}
        raise
    checks = stored.get("checks")
    if not isinstance(checks, Mapping):
        raise UsageError(f"{file}: checks is {checks!r:.80}, but must be an object")
    return {str(key): _best(row, f"{file}: {key}") for key, row in checks.items()}


def _best(row: Any, at: str) -> Best:
    if not isinstance(row, Mapping) or set(row) != {"best", *FIELDS}:
        raise UsageError(f"{at} must be an object with exactly best, {', '.join(FIELDS)}")
    texts = {name: row[name] for name in FIELDS}
    wrong = next((name for name, value in texts.items() if not isinstance(value, str)), None)
    if wrong is not None:
        raise UsageError(f"{at}: {wrong} is {row[wrong]!r:.80}, but must be text")
    try:
        return Best(best=as_tolerance(row["best"]), **texts)
    except UsageError as error:
        raise UsageError(f"{at}: best is {row['best']!r:.80}, but must be a number from 0 to below 1") from error


def write_ratchet(file: Path, bests: Mapping[str, Best]) -> None:
    """Write a ratchet file whole or not at all; equal ratchets give equal bytes, one line a value for reviews.

    Raises:
        UsageError: where it cannot be written.
    """
    checks = {key: {**dataclasses.asdict(best), "best": float(best.best)} for key, best in sorted(bests.items())}
    write_committed(file, "ratchet", {"schema_version": VERSION, "checks": checks})


def accept(bests: Mapping[str, Best], findings: Iterable[StoredFinding]) -> Mapping[str, Best]:
    """Return the ratchet after a run was accepted: lower where a finding that holds is better, never higher."""
    moved = dict(bests)
    for key, finding in keyed(tuple(findings)).items():
        found = _measured(finding)
        if finding.verdict is not Verdict.HOLDS or not finding.is_exhaustive or found is None:
            continue
        known = moved.get(key)
        if known is None or (_differing(known, found) is None and found.best < known.best):
            moved[key] = found
    return moved


def under_ratchet(
    comparison: Comparison, findings: Iterable[StoredFinding], bests: Mapping[str, Best], margin: Fraction
) -> Comparison:
    """Return a comparison whose checks must also stay within min(tolerance, best accepted + margin)."""
    now = keyed(tuple(findings))
    checks = tuple(_limited(item, now[item.key], bests.get(item.key), margin) for item in comparison.checks)
    unknown = [f"the ratchet knows nothing of {item.key}" for item in comparison.checks if item.key not in bests]
    gone = [f"the ratchet has {key}, which was not compared" for key in bests if key not in now]
    fresh = [
        f"{key}: not in the baseline, but the ratchet has accepted {float(bests[key].best):.3g}"
        for key in comparison.only_new
        if key in bests and Fraction(now[key].effect.high) > min(now[key].tolerance, bests[key].best + margin)
    ]
    doubts = (*comparison.doubts, *gone, *fresh)
    return dataclasses.replace(comparison, checks=checks, doubts=doubts, notes=(*comparison.notes, *unknown))


def _limited(item: Compared, finding: StoredFinding, best: Best | None, margin: Fraction) -> Compared:
    limit = finding.tolerance if best is None else min(finding.tolerance, best.best + margin)
    item = dataclasses.replace(item, limit=limit)
    if item.refused:
        return item
    found = _measured(finding)
    differing = None if best is None else "questions" if found is None else _differing(best, found)
    if differing is not None:
        why = f"{differing}: the ratchet's best was measured on another one. Remove its entry to begin again"
        return dataclasses.replace(item, verdict=Verdict.UNDECIDED, refused=True, reasons=(why,))
    if item.verdict is Verdict.UNDECIDED:
        return item
    verdict, _ = decide(finding.effect, limit, (), {}, 0)
    if verdict is Verdict.HOLDS:
        return item
    reached = "" if best is None else f" (best {float(best.best):.3g} + margin {float(margin):g})"
    why = f"the effect must not exceed {float(limit):.3g}{reached if limit < finding.tolerance else ', the tolerance'}"
    worst = Verdict.BROKEN if Verdict.BROKEN in (verdict, item.verdict) else verdict
    return dataclasses.replace(item, verdict=worst, reasons=(*item.reasons, why))


def _measured(finding: StoredFinding) -> Best | None:
    digests = suite_digest(finding)
    if digests is None or not finding.effect.high < 1:
        return None
    return Best(
        best=Fraction(finding.effect.high),
        metric=finding.metric,
        plan=finding.plan,
        readout=finding.readout,
        template=finding.template,
        questions=hashlib.sha256("\n".join(digests).encode()).hexdigest(),
    )


def _differing(one: Best, other: Best) -> str | None:
    return next((name for name in FIELDS if getattr(one, name) != getattr(other, name)), None)
