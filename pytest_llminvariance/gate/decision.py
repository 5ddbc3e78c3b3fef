"""The decision of a gate: findings of one or more runs and a policy in, pass or not and why out.

Pure: the day is an argument, nothing is read and nothing is asked.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from pytest_llminvariance.checks.run import Level
from pytest_llminvariance.checks.verdict import Guard, Verdict, decide
from pytest_llminvariance.gate.policy import Policy, Rule, Undecided, Waiver
from pytest_llminvariance.records.record import Record, StoredFinding

PASSED, BLOCKED, NO_EVIDENCE = 0, 1, 3
Outcome = Literal["blocks", "open", "waived", "warns", "ignored", "passes"]
SEVERITY: tuple[Level, ...] = ("block", "warn", "ignore")
UNDECIDED_SEVERITY: tuple[Undecided, ...] = ("block", "insufficient", "warn", "ignore")
MOVEMENT_FREE = Fraction(1, 20)
"""Up to this tolerance the responsiveness guard asks for the same movement, max(0.10, twice the tolerance)."""


@dataclass(frozen=True, slots=True)
class Decided:
    """One finding under the policy."""

    finding: StoredFinding
    run: str
    outcome: Outcome
    verdict: Verdict
    tolerance: Fraction
    reasons: tuple[str, ...] = ()
    waiver: Waiver | None = None


@dataclass(frozen=True, slots=True)
class GateDecision:
    """What a gate decided, and everything that it was decided by."""

    judged: tuple[Decided, ...]
    missing: tuple[str, ...]
    """Required checks that no run has, in words; each blocks."""
    distrusted: tuple[str, ...]
    """Why the evidence as a whole cannot be trusted."""
    insufficient: tuple[str, ...]
    """What is not known."""
    notes: tuple[str, ...]
    spent: float
    risk_limit: Fraction
    n_runs: int
    source: str = field(default="no policy")

    @property
    def exit_code(self) -> int:
        """3 where the evidence is empty or unsound, else 1 where something blocks, else 3 where something is open, else 0."""
        if self.distrusted or not self.judged:
            return NO_EVIDENCE
        if self.missing or self.of("blocks"):
            return BLOCKED
        return NO_EVIDENCE if self.insufficient or self.of("open") else PASSED

    def of(self, outcome: Outcome) -> tuple[Decided, ...]:
        """Return the findings with an outcome."""
        return tuple(item for item in self.judged if item.outcome == outcome)


def decide_gate(runs: Sequence[Record], policy: Policy, today: datetime.date) -> GateDecision:
    """Return what a policy says about runs.

    The strictest of the rules that name a check counts; where none gives a level, the test's own level does.
    """
    judged = tuple(_judge(finding, run.name, policy, today) for run in runs for finding in run.findings)
    alphas = [item.finding.alpha for item in judged]
    spent = math.fsum(alpha for alpha in alphas if alpha is not None)
    return GateDecision(
        judged=judged,
        missing=tuple(_missing(judged, policy)),
        distrusted=tuple(_distrusted(runs, spent, policy)),
        insufficient=tuple(_insufficient(runs, judged, policy)),
        notes=tuple(_notes(judged, policy, today, runs)),
        spent=spent,
        risk_limit=policy.risk_limit,
        n_runs=len(runs),
        source=policy.source,
    )


def _judge(finding: StoredFinding, run: str, policy: Policy, today: datetime.date) -> Decided:
    rules = _rules(finding, policy)
    levels = [rule.level for rule in rules if rule.level is not None]
    level = min(levels, key=SEVERITY.index) if levels else finding.level
    tolerances = [rule.tolerance for rule in rules if rule.tolerance is not None]
    tolerance = min(tolerances, default=finding.tolerance)
    verdict, reasons = under_tolerance(finding, tolerance)
    needed = max((rule.min_questions or 0 for rule in rules), default=0)
    if finding.questions_asked < needed and verdict is Verdict.HOLDS:
        verdict = Verdict.UNDECIDED
        reasons = (f"{finding.questions_asked} questions were asked, but the policy wants at least {needed}",)
    judged = Decided(finding, run, "passes", verdict, tolerance, reasons)
    if level == "ignore":
        return _with(judged, "ignored")
    if verdict is Verdict.HOLDS:
        return judged
    if level == "warn":
        return _with(judged, "warns")
    wanted = [rule.undecided for rule in rules if rule.undecided is not None]
    undecided = min(wanted, key=UNDECIDED_SEVERITY.index) if wanted else policy.undecided
    return _waived_or(judged, _blocking(verdict, undecided), policy, today)


def _blocking(verdict: Verdict, undecided: Undecided) -> Outcome:
    if verdict is Verdict.BROKEN:
        return "blocks"
    meaning: dict[Undecided, Outcome] = {
        "block": "blocks", "insufficient": "open", "warn": "warns", "ignore": "ignored",
    }  # fmt: skip
    return meaning[undecided]


def _waived_or(judged: Decided, outcome: Outcome, policy: Policy, today: datetime.date) -> Decided:
    """Return the finding as waived by the first waiver that counts, else with its outcome and why none counts."""
    if outcome not in ("blocks", "open"):
        return _with(judged, outcome)
    why: list[str] = []
    for waiver in policy.waivers:
        if not waiver.covers(judged.finding.property, judged.finding.where):
            continue
        if today > waiver.expires:
            why.append(f"{waiver} expired on {waiver.expires}")
        elif waiver.up_to is not None and judged.finding.effect.high > waiver.up_to:
            why.append(f"{waiver} covers effects up to {float(waiver.up_to):g} only")
        else:
            return _with(judged, "waived", waiver)
    if why:  # once waived, and now open: that blocks
        return Decided(judged.finding, judged.run, "blocks", judged.verdict, judged.tolerance, (*judged.reasons, *why))
    return _with(judged, outcome)


def _with(judged: Decided, outcome: Outcome, waiver: Waiver | None = None) -> Decided:
    return Decided(judged.finding, judged.run, outcome, judged.verdict, judged.tolerance, judged.reasons, waiver)


def _rules(finding: StoredFinding, policy: Policy) -> list[Rule]:
    found = [policy.markers[name] for name in finding.markers or () if name in policy.markers]
    return [*found, policy.properties[finding.property]] if finding.property in policy.properties else found


def under_tolerance(finding: StoredFinding, tolerance: Fraction) -> tuple[Verdict, tuple[str, ...]]:
    """Return the verdict under another tolerance as far as the finding alone can say, else UNDECIDED.

    What holds under a tolerance holds under a larger one, unless the responsiveness guard then asks for more
    movement than was shown; what is broken is broken under a smaller one. For the rest everything must have
    been asked.
    """
    if tolerance == finding.tolerance:
        return finding.verdict, finding.reasons
    if finding.is_exhaustive:
        verdict, reasons = decide(finding.effect, tolerance, finding.guards, {}, 0)
    elif finding.verdict is Verdict.HOLDS and tolerance > finding.tolerance:
        verdict, reasons = Verdict.HOLDS, ()
    elif finding.verdict is Verdict.BROKEN and tolerance < finding.tolerance:
        verdict, reasons = Verdict.BROKEN, ()
    else:
        said = f"it was asked for the tolerance {float(finding.tolerance):g} and stopped early"
        return Verdict.UNDECIDED, (f"{said}: run again, or judge the record, with tolerance {float(tolerance):g}",)
    if verdict is Verdict.HOLDS and _asks_for_more(finding.guards, finding.tolerance, tolerance):
        said = f"that the model reads the question was shown for the tolerance {float(finding.tolerance):g} only"
        return Verdict.UNDECIDED, (f"{said}: run again, or judge the record, with tolerance {float(tolerance):g}",)
    return verdict, reasons


def _asks_for_more(guards: Iterable[Guard], before: Fraction, now: Fraction) -> bool:
    known = {guard.name for guard in guards}
    return ("responsive" in known and max(before, MOVEMENT_FREE) < now) or (
        "something to lose" in known and before < now
    )


def _missing(judged: Sequence[Decided], policy: Policy) -> Iterable[str]:
    for name in policy.required:
        asked = [item for item in judged if _is(item.finding, name)]
        if not asked:
            yield f"{name}: required, but no run has checked it"
        elif all(item.outcome == "ignored" for item in asked):
            yield f"{name}: required, but every check of it is ignored"


def _is(finding: StoredFinding, name: str) -> bool:
    if "::" in name:
        return finding.where == name or finding.where.startswith((f"{name}::", f"{name}["))
    return finding.property == name


def _distrusted(runs: Sequence[Record], spent: float, policy: Policy) -> Iterable[str]:
    if not runs:
        yield "no run was given"
    if spent > policy.risk_limit + Fraction(1, 10**12):
        yield (
            f"the risk spent over {len(runs)} runs is {spent:.3g}, above the limit of {float(policy.risk_limit):g}: "
            "ask everything (exhaustive), or give each run a share of the limit"
        )
    for run in runs:
        if policy.models and run.fact("model") not in policy.models:
            yield f"{run.name} is of the model {run.fact('model')!r:.80}, and the policy is for {', '.join(policy.models)}"
        unknown = sum(finding.alpha is None for finding in run.findings)
        if unknown:
            yield f"{run.name}: {unknown} sampled findings do not say what risk they spent"
    for name in ("model", "fingerprint", "commit"):
        values = sorted({str(run.fact(name)) for run in runs if run.fact(name)})
        if len(values) > 1:
            yield f"the runs differ in {name}: {', '.join(value[:40] for value in values)}. Gate each on its own"


def _insufficient(runs: Sequence[Record], judged: Sequence[Decided], policy: Policy) -> Iterable[str]:
    for run in runs:
        if policy.markers and any(finding.markers is None for finding in run.findings):
            yield f"{run.name} does not hold the markers of tests, which the policy has rules for"
        yield from _unended(run)
        yield from (f"{run.name}: {what}" for what in run.lost)
    if all(item.outcome == "ignored" for item in judged):
        yield "no finding counts" if judged else "there is no finding"


def _unended(run: Record) -> Iterable[str]:
    if run.facts is None:
        yield f"{run.name} holds no run.json, so it is not known whether the run ended"
        return
    status = run.fact("exit")
    if status is None:
        yield f"{run.name}: the run did not end"
    elif run.fact("stopped"):
        yield f"{run.name}: the run left tests out ({str(run.fact('stopped'))[:100]}): run it without -x or --maxfail"
    elif status not in (0, 1):
        yield f"{run.name}: the run ended with exit status {status}, not with a result"
    elif status == 1 and not any(f.verdict is not Verdict.HOLDS and f.level == "block" for f in run.findings):
        yield f"{run.name}: the run failed (exit status 1), and no finding says why"
    else:
        unexplained = [node for node in run.fact("failed") or () if not _explains(run, node)]
        more = f" and {len(unexplained) - 1} more" if len(unexplained) > 1 else ""
        if unexplained:
            yield f"{run.name}: {unexplained[0]}{more} failed, and no finding there says why"


def _explains(run: Record, node: str) -> bool:
    """Return whether a finding that does not hold was made in a test, or in a fixture of wider scope."""
    return any(
        finding.verdict is not Verdict.HOLDS and (finding.where == node or finding.where.endswith(" fixture)"))
        for finding in run.findings
    )


def _notes(judged: Sequence[Decided], policy: Policy, today: datetime.date, runs: Sequence[Record]) -> Iterable[str]:
    for run in runs:
        if number := run.fact("deselected"):
            yield f"{run.name} left {number} collected tests out (-k, -m): only `required` says what must be there"
    for waiver in policy.waivers:
        covered = [item for item in judged if waiver.covers(item.finding.property, item.finding.where)]
        if not covered:
            yield f"{waiver} matches no check: remove it"
        elif today <= waiver.expires and all(item.outcome == "passes" for item in covered):
            yield f"{waiver} is not needed: what it covers holds. Remove it"
    for name in policy.properties:
        if not any(item.finding.property == name for item in judged):
            yield f"the rule for the property {name!r} matches no check"
    for name in policy.markers:
        if not any(name in (item.finding.markers or ()) for item in judged):
            yield f"the rule for the marker {name!r} matches no check"
