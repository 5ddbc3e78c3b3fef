"""Judging a record again: other tolerances, other metrics, the same answers. Nothing is asked.

The numbers come from the same functions as the run's own. What came from the engine and not from answers, its noise
and drift, is taken from the stored finding.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from pytest_llminvariance.checks.evidence import Answers, Evidence, all_answers, measured, read
from pytest_llminvariance.checks.finding import judged, responded
from pytest_llminvariance.checks.left_out import with_left_out
from pytest_llminvariance.checks.properties import full_name
from pytest_llminvariance.checks.properties.base import Plan
from pytest_llminvariance.checks.refusals import as_tolerance, check_plans, metric_for
from pytest_llminvariance.checks.responses import Responses, Stem
from pytest_llminvariance.checks.searches import SEARCH
from pytest_llminvariance.checks.sheet import Sheet
from pytest_llminvariance.checks.stopping import Stopping
from pytest_llminvariance.checks.verdict import Decision, Finding, Verdict
from pytest_llminvariance.errors import UsageError, did_you_mean
from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.measures.metrics import METRICS
from pytest_llminvariance.measures.noise import Noise, Replicates, limits
from pytest_llminvariance.measures.reading import read_reply
from pytest_llminvariance.records.answers import ByPlace
from pytest_llminvariance.records.record import Record, StoredFinding
from pytest_llminvariance.records.redaction import without_secrets

OF_ENGINE = ("noise", "drift", "rows left out")
"""Guards that no answer can give again."""
KEPT = (
    "property", "title", "plan", "design", "model", "fingerprint", "model_from", "readout", "template", "seed", "versions", "claim",
    "risk_limit", "questions_planned", "presentations_planned", "tokens", "describes",
)  # fmt: skip
"""What is in a finding whatever its numbers are."""
EVERY = "*"


class ThinRecordError(UsageError):
    """A record does not hold what a verdict needs."""


@dataclass(frozen=True, slots=True)
class Changes:
    """Other tolerances and metrics, by property, id of a finding, or test; `*` is all."""

    tolerances: Mapping[str, Fraction] = field(default_factory=dict)
    metrics: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rejudged:
    """One finding as it was, and as it is under the changes."""

    stored: StoredFinding
    row: StoredFinding | None
    """`None` where the record is too thin."""
    thin: str = ""
    """Why nothing can be said."""
    exploratory: bool = False
    """True under a metric that was not planned: it was chosen with the answers at hand."""


def parse_changes(tolerances: list[str], metrics: list[str]) -> Changes:
    """Return what `NAME=VALUE` texts say; a value alone is for all findings.

    Raises:
        UsageError: for a text without a value, a value that is none, or a name given twice.
    """
    return Changes(
        {name: _tolerance(value) for name, value in _named(tolerances, "tolerance").items()},
        {name: _metric_name(value) for name, value in _named(metrics, "metric").items()},
    )


def _named(texts: list[str], what: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        # a test's name may hold "=", a value never does
        name, equals, value = text.rpartition("=")
        name = full_name(name) if equals else EVERY
        if not value or not name:
            raise UsageError(f"--{what} is {text!r}, but must be NAME=VALUE, for example order=..., or a value for all")
        if name in found:
            raise UsageError(f"--{what} names {name!r} twice. Give each once")
        found[name] = value
    return found


def _tolerance(text: str) -> Fraction:
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(f"tolerance is {text!r}, but must be a number from 0 to below 1, such as 0.1") from error
    return as_tolerance(value if 0 <= value < 1 else float(value))


def _metric_name(text: str) -> str:
    if text not in METRICS:
        raise UsageError(f"there is no metric {text!r}; the metrics are {', '.join(METRICS)}")
    return text


def judge(record: Record, changes: Changes | None = None) -> list[Rejudged]:
    """Return every finding of a record as it is under the changes; without changes, as it was.

    Raises:
        UsageError: if a change names nothing in the record.
    """
    changes = changes or Changes()
    _check_names(record, changes)
    return [_judge(record, stored, changes) for stored in record.findings]


def _check_names(record: Record, changes: Changes) -> None:
    known = {name for stored in record.findings for name in _names(stored)}
    for name in (*changes.tolerances, *changes.metrics):
        if name not in known:
            there = ", ".join(dict.fromkeys(stored.property for stored in record.findings)) or "none"
            raise UsageError(
                f"{name!r} is in no finding of {record.directory}; its properties are {there}. "
                f"The id of a finding and the name of a test work too{did_you_mean(name, known)}"
            )


def _names(stored: StoredFinding) -> Iterator[str]:
    """Yield what a finding can be called, the most telling first."""
    yield from (stored.id, stored.where, stored.property, EVERY)


def _judge(record: Record, stored: StoredFinding, changes: Changes) -> Rejudged:
    if stored.property == SEARCH:  # two answers that differ, under any tolerance
        return Rejudged(stored, stored)
    sheet = record.sheet(stored.id)
    if sheet is None:
        return Rejudged(stored, None, "what was asked is not in the record")
    try:
        tolerance = next((changes.tolerances[n] for n in _names(stored) if n in changes.tolerances), sheet.tolerance)
        metric = next((changes.metrics[n] for n in _names(stored) if n in changes.metrics), sheet.metric)
        finding = _finding(record, stored, sheet, tolerance, metric)
    except ThinRecordError as error:
        return Rejudged(stored, None, str(error))
    return Rejudged(stored, _row(stored, finding), exploratory=metric != sheet.metric)


def _finding(record: Record, stored: StoredFinding, sheet: Sheet, tolerance: Fraction, metric: str) -> Finding:
    try:
        chosen = metric_for(
            metric, sheet.property, [plan.question for plan in sheet.plans], sheet.samples, stored.claim
        )
        check_plans(chosen, sheet.plans)
    except UsageError as error:
        raise ThinRecordError(str(error)) from error
    decision = stored.decision
    if decision is None:
        raise ThinRecordError("how it was decided is not in the record")
    same = (tolerance, metric) == (sheet.tolerance, sheet.metric)
    source = _Recorded(record.by_place(stored.id), sheet, must_respond=same)
    responses = Responses(source, chosen, sheet.samples)
    if decision.method == "sequential":
        answers = _stopped(stored, decision, source, sheet, responses, tolerance)
    else:
        counted = itertools.islice(source.left, decision.n)
        answers = replace(all_answers((measured(item, chosen, light=True) for item in counted), ""), decision=decision)
    guards = tuple(guard for guard in stored.guards if guard.name in OF_ENGINE)
    answers = replace(answers, runtime=guards, noise=_noise(stored))
    was_asked = {guard.name: guard.needed for guard in stored.guards}.get("responsive", True)
    if answers.verdict is None and (was_asked or not same):
        responses.ask(answers.evidence, source.stems())
        n, n_shown = stored.questions_planned, stored.presentations_planned
        answers = responded(
            answers, responses, sheet.property, chosen, tolerance, n, n_shown, always=was_asked and same
        )
    finding = judged(answers, sheet.property, chosen, tolerance, {name: getattr(stored, name) for name in KEPT})
    finding = with_left_out(finding, stored.details.get("left_out", {}))
    return replace(without_secrets(finding), id=stored.id, scope=stored.scope)


def _noise(stored: StoredFinding) -> Noise | None:
    """Return what the run measured of answers that change by themselves."""
    told = stored.details.get("noise")
    return None if told is None else Noise(start=Replicates(**told["start"]), all=Replicates(**told["all"]))


@dataclass(slots=True)
class _Recorded:
    """Gives evidence in the order in which it was asked."""

    found: ByPlace
    sheet: Sheet
    must_respond: bool
    """Whether all that is needed under foreign stems was asked, so that what is not there is lost."""
    problem: str = ""
    left: Iterator[Evidence] = field(init=False)

    def __post_init__(self) -> None:
        self.left = _evidence(self.found, self.sheet)

    def stems(self) -> Iterator[Stem]:
        """Yield the foreign stems that have all their answers."""
        for number, plan in enumerate(self.sheet.plans):
            n = len(plan.probes[: self.sheet.samples])
            counts = Counter(index // n for index in self.found.known("foreign", number))
            yield from (Stem(number, stem) for stem, count in sorted(counts.items()) if count == n)

    def responses(self, stems: Sequence[Stem]) -> list[tuple[AnswerDistribution, ...]] | None:
        """Return the answers under foreign stems; `None` where some were not asked.

        Raises:
            ThinRecordError: where some were asked and are not in the record.
        """
        rows = []
        known = self.found.replies("foreign", *{stem.question for stem in stems})
        for number, stem in stems:
            n = len(self.sheet.plans[number].probes[: self.sheet.samples])
            rows.append([known.get((number, index)) for index in range(stem * n, (stem + 1) * n)])
        n_found = sum(None not in row for row in rows)
        if self.must_respond:
            _refuse_missing("foreign", len(rows), n_found)
        if n_found < len(rows):
            return None
        shown = [self.sheet.foreign[number][stem] for number, stem in stems]
        return [
            tuple(read_reply(reply, one, self.sheet.readout) for reply in row if reply is not None)
            for one, row in zip(shown, rows, strict=True)
        ]

    def evidence(self, plans: Sequence[Plan]) -> list[Evidence]:
        """Return the next ones.

        Raises:
            ThinRecordError: where the record has no more.
        """
        found = list(itertools.islice(self.left, len(plans)))
        if len(found) < len(plans):
            raise ThinRecordError(self.problem)
        return found


def _stopped(
    stored: StoredFinding,
    decision: Decision,
    source: _Recorded,
    sheet: Sheet,
    responses: Responses,
    tolerance: Fraction,
) -> Answers:
    """Return where the test stops on the recorded questions, in the order in which they were asked.

    Raises:
        ThinRecordError: where they show nothing at this tolerance, or where the unit is no question.
    """
    if stored.claim != "suite" or sheet.samples > 1:
        raise ThinRecordError(f"claim {stored.claim!r} with draws or clusters is judged by a new run only")
    n = decision.n_planned
    source.problem = (
        f"asking stopped after {len(sheet.plans):,} of {n:,} questions, which show nothing at tolerance {float(tolerance):g}; "
        "run it again with that tolerance"
    )
    noise, asked = _noise(stored), stored.questions_planned
    held = stored.tolerance if stored.verdict is Verdict.HOLDS and responses.metric.name == stored.metric else None
    rule = Stopping(
        responses=responses, property=sheet.property, tolerance=tolerance, alpha=decision.alpha,
        n_units=n, is_exact_at_end=True, n_known=sheet.n_known, held_under=held,
        limits=limits(
            tolerance, responses.metric.name, noise.start if noise else None, asked, stored.presentations_planned / asked
        ),
    )  # fmt: skip
    plans = itertools.islice(itertools.chain(sheet.plans, itertools.repeat(sheet.plans[-1])), n)
    return replace(rule.run((plan,) for plan in plans), held_under=held)


def _evidence(found: ByPlace, sheet: Sheet) -> Iterator[Evidence]:
    """Return the evidence of a check, question by question.

    Raises:
        ThinRecordError: where some answers are not in the record.
    """
    shape = [len(plan.probes) for plan in sheet.plans]
    _refuse_missing("planned", sum(shape), sum(len(found.known("planned", number)) for number in range(len(shape))))
    for number, n in enumerate(shape):
        row = found.replies("planned", number)
        if any((number, index) not in row for index in range(n)):
            _refuse_missing("planned", sum(shape), len(found.replies("planned", *range(len(shape)))))
        yield read(sheet, number, [row[number, index] for index in range(n)])


def _refuse_missing(role: str, n_wanted: int, n_found: int) -> None:
    if n_found < n_wanted:
        raise ThinRecordError(f"{n_found:,} of {n_wanted:,} {role} answers are in the record; run it again to have all")


def _row(stored: StoredFinding, finding: Finding) -> StoredFinding:
    """Return the finding as a record holds it; a nearer example, searched for by the run, is kept while it is one."""
    row = StoredFinding.from_json({**stored.to_json(), **finding.to_json()})
    example, kept = row.example, stored.example
    both = row.verdict is Verdict.BROKEN and stored.verdict is Verdict.BROKEN
    nearer = both and kept is not None and (example is None or kept.distance <= example.distance)
    return replace(row, example=kept) if nearer else row
