"""The decision of a gate: findings of one or more runs and a policy in, pass or not and why out.

Pure: the day is an argument, nothing is read and nothing is asked.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Literal

from pytest_llminvariance.checks.properties import OTHER_PROPERTIES, PROPERTIES
from pytest_llminvariance.checks.run import Level
from pytest_llminvariance.checks.searches import SEARCH
from pytest_llminvariance.checks.verdict import Verdict, decide
from pytest_llminvariance.gate.evidence import distrusted, foreign, insufficient, weights
from pytest_llminvariance.gate.policy import Policy, Rule, Undecided, Waiver, is_place
from pytest_llminvariance.gate.presence import (
    function_of,
    idle_nodes,
    is_within,
    named,
    nearest,
    nodes,
    not_run,
    of_the_model,
    same_letters,
)
from pytest_llminvariance.records.record import CleanSearch, Record, StoredFinding

PASSED, BLOCKED, NO_EVIDENCE = 0, 1, 3
NO_POLICY = "no policy"
"""What a decision names as its source where it is made by the levels of the tests."""
Outcome = Literal["blocks", "open", "waived", "warns", "ignored", "passes"]
SEVERITY: tuple[Level, ...] = ("block", "warn", "ignore")
UNDECIDED_SEVERITY: tuple[Undecided, ...] = ("block", "insufficient", "warn", "ignore")
MOVEMENT_FREE = Fraction(1, 20)
"""Up to this tolerance the responsiveness guard asks for the same movement: .10, or half of what a perfect model moves."""


@dataclass(frozen=True, slots=True)
class Decided:
    """One finding under the policy."""

    finding: StoredFinding
    run: str
    outcome: Outcome
    verdict: Verdict
    tolerance: Fraction
    level: Level = "block"
    reasons: tuple[str, ...] = ()
    waiver: Waiver | None = None
    is_foreign: bool = False
    """True where it was made on another model than the policy is for."""


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
    source: str = field(default=NO_POLICY)
    failed_runs: tuple[str, ...] = ()
    """Runs in which pytest failed: never green, whatever the policy lets pass."""

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
    judged = tuple(_judge(finding, run, policy, today) for run in runs for finding in run.findings)
    alphas = [item.finding.alpha for item in judged]
    spent = math.fsum(alpha for alpha in alphas if alpha is not None)
    absent = tuple(_absent(runs))
    unmet = {"block": tuple(_missing(judged, policy, runs)), "insufficient": tuple(insufficient(runs, policy.models))}
    unmet[policy.left_out] = (*unmet.get(policy.left_out, ()), *absent)
    return GateDecision(
        judged=judged,
        missing=unmet["block"],
        distrusted=tuple(distrusted(runs, spent, policy, today)),
        insufficient=(*unmet["insufficient"], *_unheeded(judged, policy, runs)),
        notes=(*unmet.get("warn", ()), *_notes(judged, policy, today, runs)),
        spent=spent,
        risk_limit=policy.risk_limit,
        n_runs=len(runs),
        source=policy.source,
        failed_runs=tuple(run.name for run in runs if run.fact("exit") not in (None, 0)),
    )


def _judge(finding: StoredFinding, run: Record, policy: Policy, today: datetime.date) -> Decided:
    rules = _rules(finding, policy)
    levels = [rule.level for rule in rules if rule.level is not None]
    level = min(levels, key=SEVERITY.index) if levels else finding.level
    tolerances = [rule.tolerance for rule in rules if rule.tolerance is not None]
    tolerance = min(tolerances, default=finding.tolerance)
    verdict, reasons = under_tolerance(finding, tolerance)
    lacking = tuple(_lacking(finding, rules))
    if lacking and verdict is Verdict.HOLDS:
        verdict, reasons = Verdict.UNDECIDED, lacking
    judged = Decided(finding, run.name, "passes", verdict, tolerance, level, reasons)
    if policy.models and (why := foreign(finding, run)):
        return replace(judged, outcome="ignored", reasons=(why,), is_foreign=True)
    if level == "ignore":
        return replace(judged, outcome="ignored")
    if verdict is Verdict.HOLDS:
        return judged
    if level == "warn":
        return replace(judged, outcome="warns")
    wanted = [rule.undecided for rule in rules if rule.undecided is not None]
    undecided = min(wanted, key=UNDECIDED_SEVERITY.index) if wanted else policy.undecided
    return _waived_or(judged, _blocking(verdict, undecided), policy, today)


def _lacking(finding: StoredFinding, rules: Sequence[Rule]) -> Iterable[str]:
    """Yield what rules ask for and a finding does not have: questions enough, and the metric."""
    needed = max((rule.min_questions or 0 for rule in rules), default=0)
    if (n := _n_questions(finding)) < needed:
        yield f"{n} questions were asked, but the policy wants at least {needed}"
    if metrics := _other_metrics(finding, rules):
        yield f"it is measured by {finding.metric}, but the policy wants {metrics}"


def _other_metrics(finding: StoredFinding, rules: Sequence[Rule]) -> str:
    return " and ".join(sorted({rule.metric for rule in rules if rule.metric is not None} - {finding.metric}))


def _n_questions(finding: StoredFinding) -> int:
    """Return how many questions a verdict is about: those asked, or where it stopped early those planned."""
    return finding.questions_asked if finding.is_exhaustive else finding.questions_planned


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
        return replace(judged, outcome=outcome)
    why: list[str] = []
    for waiver in policy.waivers:
        if not waiver.covers(judged.finding.property, judged.finding.where):
            continue
        if today > waiver.expires:
            why.append(f"{waiver} expired on {waiver.expires}")
        elif waiver.up_to is not None and judged.finding.effect.high > waiver.up_to:
            why.append(f"{waiver} covers effects up to {float(waiver.up_to):g} only")
        else:
            return replace(judged, outcome="waived", waiver=waiver)
    if why:  # once waived, and now open: that blocks
        return replace(judged, outcome="blocks", reasons=(*judged.reasons, *why))
    return replace(judged, outcome=outcome)


def _rules(finding: StoredFinding, policy: Policy) -> list[Rule]:
    found = [policy.markers[name] for name in finding.markers or () if name in policy.markers]
    return [*found, policy.properties[finding.property]] if finding.property in policy.properties else found


def under_tolerance(finding: StoredFinding, tolerance: Fraction) -> tuple[Verdict, tuple[str, ...]]:
    """Return the verdict under another tolerance as far as the finding alone can say, else UNDECIDED.

    What holds under a tolerance holds under a larger one, and what is broken is broken under a smaller one. For the rest
    everything must have been asked, and the responsiveness guard must not ask for more movement than was shown.
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
    if verdict is Verdict.HOLDS and _asks_for_more(finding, tolerance):
        said = f"that the model reads the question was shown for the tolerance {float(finding.tolerance):g} only"
        return Verdict.UNDECIDED, (f"{said}: run again, or judge the record, with tolerance {float(tolerance):g}",)
    return verdict, reasons


def _asks_for_more(finding: StoredFinding, now: Fraction) -> bool:
    known, before = {guard.name for guard in finding.guards}, finding.tolerance
    may_be = before if finding.verdict is Verdict.HOLDS else min(now, Fraction(finding.effect.high))
    return ("responsive" in known and max(before, MOVEMENT_FREE) < may_be) or (
        "something to lose" in known and before < now
    )


def _missing(judged: Sequence[Decided], policy: Policy, runs: Sequence[Record]) -> Iterable[str]:
    """Yield why required checks are not there: every instance must be, at the least level, on the policy's model."""
    absent = not_run(runs)
    asking = {node for run in runs for node in nodes(run, "with_model")}
    of_model = set(of_the_model(absent, runs))
    unchecked = sorted(idle_nodes(runs))
    for name in policy.required:
        by_place = _is_place(name, judged)
        found = [item for item in judged if _is(item.finding, name, by_place=by_place)]
        if not by_place:  # of what a control was asked only tests count that were given the model
            found = [item for item in found if not item.is_foreign or item.finding.where in asking]
        functions = {function_of(item.finding.where) for item in found}
        gone = [
            node
            for node in absent
            if (
                is_within(node, name) and ("::" in name or node in of_model)
                if by_place
                else function_of(node) in functions
            )
        ]
        if gone:
            yield f"{name}: required, but no run has run {named(gone)}, which was skipped or left out"
        elif not found and (searches := _searches(runs, name, by_place=by_place)):
            if low := [
                search for search in searches if SEVERITY.index(search.level) > SEVERITY.index(policy.min_level)
            ]:
                yield f"{name}: required, but {_too_low(low[0].where, low[0].level, policy)}"
        elif not found:
            hint = nearest(name, [text for item in judged for text in (item.finding.property, item.finding.where)])
            yield f"{name}: required, but no run has checked it{hint}"
        idle = [node for node in unchecked if function_of(node) in functions]
        yield from (f"{name}: required, but {named(idle)} passed without a check" for _ in idle[:1])
        yield from (f"{name}: required, but {why}" for why in _too_little(found, policy))


def _too_little(found: Sequence[Decided], policy: Policy) -> Iterable[str]:
    """Yield why checks that are there do not count as required ones."""
    if low := [item for item in found if SEVERITY.index(item.level) > SEVERITY.index(policy.min_level)]:
        yield _too_low(_places(low), low[0].level, policy)
    others = [item for item in found if item.is_foreign]
    if others:
        yield f"{_places(others)} checked another model than the run's"
    if other := [
        (item, metrics) for item in found if (metrics := _other_metrics(item.finding, _rules(item.finding, policy)))
    ]:
        item, metrics = other[0]
        yield f"{_places([one for one, _ in other])} is measured by {item.finding.metric}, and the policy wants {metrics}"
    if silent := [item for item in found if item.outcome == "ignored" and item not in (*low, *others)]:
        yield f"{_places(silent)} is ignored"


def _too_low(where: str, level: Level, policy: Policy) -> str:
    return (
        f"{where} has the level {level}, and at least {policy.min_level} is asked for "
        "(min_level; or name the tests that must hold)"
    )


def _searches(runs: Sequence[Record], name: str, *, by_place: bool) -> list[CleanSearch]:
    """Return the searches of a name that found nothing; those that found something have a finding."""
    all_of_them = name == SEARCH
    return [one for run in runs for one in run.searches if all_of_them or (by_place and is_within(one.where, name))]


def _places(items: Sequence[Decided]) -> str:
    return named(list(dict.fromkeys(item.finding.where or item.finding.title for item in items)), limit=1)


def _is_place(name: str, judged: Sequence[Decided]) -> bool:
    """Return whether a required name is a place: a folder that is called as a property does not stand in for it."""
    known = {*PROPERTIES, *OTHER_PROPERTIES, *(item.finding.property for item in judged)}
    return is_place(name) or same_letters(name) not in map(same_letters, known)


def _is(finding: StoredFinding, name: str, *, by_place: bool) -> bool:
    return is_within(finding.where, name) if by_place else same_letters(finding.property) == same_letters(name)


def _absent(runs: Sequence[Record]) -> Iterable[str]:
    """Yield which part of the suite no run has run, as far as it is about the model."""
    if gone := of_the_model(not_run(runs), runs):
        yield (
            f"{len(gone)} test{'' if len(gone) == 1 else 's'} of the model {'was' if len(gone) == 1 else 'were'} skipped or left out "
            f"(-k, -m, --deselect, ...) and run nowhere: {named(gone)}. "
            "Run them, or say in the policy what that means (left_out)"
        )
    for run in runs:
        if hidden := [row["where"] for row in run.fact("apart") or () if row["model_from"] in ("session", "loaded")]:
            yield (
                f"{run.name}: {named(sorted(set(hidden)))} told what was found of the model to a recorder of its own, so it is not in the "
                "record. Leave run(recorder=...) away, or say in the policy what that means (left_out)"
            )
        if tests := run.fact("named"):
            yield (
                f"{run.name} ran only what was named on the command line: {named(tests)}. "
                "Run the suite, or say in the policy what that means (left_out)"
            )


def _unheeded(judged: Sequence[Decided], policy: Policy, runs: Sequence[Record]) -> Iterable[str]:
    """Yield demands of the policy that met no check: they may be misspelt."""
    if policy.markers:
        unknown = [run.name for run in runs if any(finding.markers is None for finding in run.findings)]
        yield from (f"{name} does not hold the markers of tests, which the policy has rules for" for name in unknown)
    if all(item.outcome == "ignored" for item in judged):
        n = sum(len(run.searches) for run in runs)
        clean = (
            f": {n} search{'' if n == 1 else 'es'} found no counter-example, which is no evidence that anything holds"
        )
        yield "no finding counts" if judged else f"there is no finding{clean if n else ''}"
    yield from (text for is_open, text in _unmatched(judged, policy) if is_open)


def _unmatched(judged: Sequence[Decided], policy: Policy) -> Iterable[tuple[bool, str]]:
    """Yield rules that match no check, and whether one is a demand that may be misspelt."""
    found = {item.finding.property for item in judged}
    markers = {name for item in judged for name in item.finding.markers or ()}
    for name in policy.properties:
        if name not in found:
            known = {*found, *PROPERTIES, *OTHER_PROPERTIES}
            is_open = policy.properties[name].demands and name not in known
            hint = nearest(name, known)
            yield is_open, f"the rule for the property {name!r} matches no check{hint}"
    for name in policy.markers:
        if name not in markers:
            is_open = policy.markers[name].demands and all(item.finding.markers is not None for item in judged)
            yield is_open, f"the rule for the marker {name!r} matches no check{nearest(name, markers)}"


def _notes(judged: Sequence[Decided], policy: Policy, today: datetime.date, runs: Sequence[Record]) -> Iterable[str]:
    for run in runs:
        if number := run.fact("deselected"):
            yield f"{run.name} left {number} collected tests out (-k, -m, ...)"
        if idle := sorted(nodes(run, "unchecked")):
            yield f"{run.name}: {named(idle)} passed without a check, though given the model"
        others = {finding.model for finding in run.findings if weights(run) not in (None, finding.fingerprint)}
        if others and not policy.models:
            yield (
                f"{run.name}: some checks were made on another model than the run's ({named(sorted(others))}): "
                "with `models` in the policy they are no evidence"
            )
        if run.fact("exit") == 1:
            yield f"{run.name}: pytest failed"
    for waiver in policy.waivers:
        covered = [item for item in judged if waiver.covers(item.finding.property, item.finding.where)]
        if not covered:
            known = {*PROPERTIES, *OTHER_PROPERTIES, *(item.finding.property for item in judged)}
            places = [item.finding.where for item in judged]
            hint = nearest(waiver.property or "", known) or nearest(waiver.where or "", places)
            yield f"{waiver} matches no check: remove it, or mend its name{hint}"
        elif today <= waiver.expires and all(item.outcome == "passes" for item in covered):
            yield f"{waiver} is not needed: what it covers holds. Remove it"
    yield from (text for is_open, text in _unmatched(judged, policy) if not is_open)
