"""A run as its reports show it: findings, worst first, beside the checks that ended without one."""

from __future__ import annotations

import datetime
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_llminvariance.checks.properties import full_name
from pytest_llminvariance.checks.run import Level
from pytest_llminvariance.checks.verdict import QuestionEffect
from pytest_llminvariance.errors import RecordError
from pytest_llminvariance.gate.decision import Decided, GateDecision, Outcome, decide_gate
from pytest_llminvariance.gate.evidence import NO_FINDING_SAYS_WHY, unexplained
from pytest_llminvariance.gate.policy import Policy
from pytest_llminvariance.gate.presence import named
from pytest_llminvariance.records.record import LostCheck, Record, StoredFinding, load
from pytest_llminvariance.records.redaction import MASK
from pytest_llminvariance.report.text import capital, one_line

VERDICTS = ("BROKEN", "UNDECIDED", "HOLDS")
LEVELS: tuple[Level, ...] = ("block", "warn", "ignore")
UNFINISHED_OUTCOME: Mapping[Level, Outcome] = {"block": "open", "warn": "warns", "ignore": "ignored"}


@dataclass(frozen=True, slots=True)
class ReportEntry:
    """One check. `raw` is all that is stored of it; optional parts have defaults here."""

    raw: Mapping[str, Any] = field(repr=False)
    title: str
    name: str
    """The property, as in records: `option_order`."""
    metric: str
    verdict: str
    low: float
    high: float
    tolerance: float
    level: Level
    where: str
    file: str | None
    line: int | None
    effects: tuple[QuestionEffect, ...] = field(repr=False)
    replay: str = ""
    """The command that runs its test again; empty where pytest did not run it."""
    is_lost: bool = False
    """True for a check that ended without a finding; its numbers mean nothing then."""
    is_failure: bool = False
    """True for a test that failed and no finding says why."""
    outcome: Outcome = "open"
    """What the gate made of it."""
    waived: str = ""
    """Who lets it pass, until when and why; empty where nobody does."""
    gate_reasons: tuple[str, ...] = ()
    """Why the gate judges it otherwise than the test did."""

    @property
    def id(self) -> str:
        """The finding's id, by which its answers are found."""
        return self.text("id")

    @property
    def excess(self) -> float:
        """How far the certain part of the effect lies above the tolerance; negative below it."""
        return self.low - self.tolerance

    def text(self, name: str) -> str:
        """Return a stored text, or nothing where it is not there."""
        value = self.raw.get(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str) -> int:
        """Return a stored count, or 0 where it is not there."""
        value = self.raw.get(name)
        return value if isinstance(value, int) else 0

    def part(self, name: str) -> Mapping[str, Any]:
        """Return a stored object, or an empty one."""
        value = self.raw.get(name)
        return value if isinstance(value, Mapping) else {}

    def rows(self, name: str) -> tuple[Any, ...]:
        """Return a stored list, or an empty one."""
        value = self.raw.get(name)
        return tuple(value) if isinstance(value, list) else ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is UNDECIDED, and why the gate says otherwise than the test did."""
        own = tuple(str(reason) for reason in self.rows("reasons"))
        return own + tuple(reason for reason in self.gate_reasons if reason not in own)


@dataclass(frozen=True, slots=True)
class Report:
    """What is known of a run."""

    directory: Path
    entries: tuple[ReportEntry, ...]
    """Worst first: verdict, level, then how far above the tolerance."""
    run: Mapping[str, Any]
    notes: tuple[str, ...]
    """What is missing in the run, and what its gate says of it as a whole."""
    decision: GateDecision
    """What the gate says of this run: headline, weights and colours of every format follow it."""
    unmet: tuple[str, ...] = ()
    """What keeps the release back and belongs to no entry: required checks that are missing, evidence that is not there."""
    n_searches: int = 0
    """Searches that found no counter-example."""

    def of(self, verdict: str) -> tuple[ReportEntry, ...]:
        """Return the findings with a verdict."""
        return tuple(entry for entry in self.entries if entry.verdict == verdict)


def read_report(directory: Path, policy: Policy | None = None, today: datetime.date | None = None) -> Report:
    """Read a run directory, of which only `findings.json` must be there, and decide it as the gate does.

    Without a policy the levels of the tests decide, as in a gate without one; `today` is for waivers.

    Raises:
        RecordError: as `records.load`.
    """
    if not directory.is_dir():
        raise RecordError(f"{directory} is no directory. Name one that --invariance-report has written")
    return report_of(load(directory), directory, policy, today)


def report_of(
    stored: Record, directory: Path, policy: Policy | None = None, today: datetime.date | None = None
) -> Report:
    """Return what reports show of a record."""
    settings = stored.fact("settings")
    model = settings.get("model") if isinstance(settings, Mapping) else None
    policy = policy or Policy()
    decision = decide_gate([stored], policy, today or datetime.date.today())
    failed = unexplained(stored, policy.models)
    entries = [_entry(decided, model) for decided in decision.judged]
    entries += [_without_finding(lost) for lost in stored.lost]
    said_by_checks = {lost.where for lost in stored.lost if lost.level == "block"}
    entries += [_failure(where, why) for where, why in failed.items() if where not in said_by_checks]
    known = {str(lost) for lost in stored.lost} | {NO_FINDING_SAYS_WHY.format(named(list(failed), limit=1))}
    unmet = tuple(text for text in _unmet(decision, stored.name) if text not in known)
    notes = [] if stored.facts is not None else ["There is no run.json: when and where it ran is not known."]
    if stored.facts is not None and stored.fact("exit") is None:
        notes = ["The run did not end. This is what it had found until then."]
    else:
        notes += [f"{capital(text)}." for text in unmet if "run.json" not in text]
    rows = tuple(sorted(entries, key=_rank))
    return Report(directory, rows, stored.facts or {}, tuple(notes), decision, unmet, len(stored.searches))


def _unmet(decision: GateDecision, run: str) -> Iterator[str]:
    """Yield what keeps the release back, without the name of the only run."""
    yield from (f"missing: {text}" for text in decision.missing)
    for text in (*decision.distrusted, *decision.insufficient):
        yield text.removeprefix(f"{run}: ").removeprefix(f"{run} ")


def _entry(decided: Decided, model: object) -> ReportEntry:
    found, waiver = decided.finding, decided.waiver
    return ReportEntry(
        raw=found.to_json(),
        title=found.title,
        name=found.property,
        metric=found.metric,
        verdict=str(decided.verdict),
        low=float(found.effect.low),
        high=float(found.effect.high),
        tolerance=float(decided.tolerance),
        level=found.level,
        where=found.where,
        file=found.file or _file_of(found.where),
        line=found.line or None,
        effects=found.per_question,
        replay=_replay(found, model),
        outcome=decided.outcome,
        waived="" if waiver is None else f"waived by {waiver.owner} until {waiver.expires}: {waiver.reason}",
        gate_reasons=decided.reasons,
    )


def _replay(found: StoredFinding, model: object) -> str:
    if _file_of(found.where) is None:
        return ""
    words = ["pytest", found.where, f"--invariance-seed={found.seed}"]
    if isinstance(model, str) and MASK not in model:
        words.append(f"--invariance-model={model}")
    if not found.is_exhaustive and found.alpha:  # its share of the risk depends on what else was collected
        words.append(f"--invariance-check-risk={found.alpha!r}")
    return shlex.join(words)


def _without_finding(check: LostCheck) -> ReportEntry:
    """Return a check that ended without a finding: nobody knows, so it is UNDECIDED."""
    return ReportEntry(
        raw={"id": check.id, "reasons": [check.reason]},
        title=check.title,
        name=full_name(check.title),
        metric="unknown",
        verdict="UNDECIDED",
        low=0.0,
        high=1.0,
        tolerance=0.0,
        level=check.level,
        outcome=UNFINISHED_OUTCOME[check.level],
        where=check.where,
        file=check.file or _file_of(check.where),
        line=check.line or None,
        effects=(),
        is_lost=True,
    )


def _failure(where: str, why: str) -> ReportEntry:
    """Return a test that failed on its own: what it would have found is not known."""
    title = one_line(where.rpartition("::")[2] or where)
    reason = f"the test failed, and no finding says why{f': {why}' if why else ''}"
    lost = LostCheck(where=where, file=None, line=None, level="block", markers=None, id="", title=title, reason=reason)
    return replace(_without_finding(lost), is_failure=True)


def _file_of(node: str) -> str | None:
    file, mark, _ = node.partition("::")
    return file if mark and file.endswith(".py") else None


def _rank(entry: ReportEntry) -> tuple[object, ...]:
    return VERDICTS.index(entry.verdict), LEVELS.index(entry.level), -entry.excess, entry.title, entry.where
