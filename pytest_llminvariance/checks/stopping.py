"""Asking question by question until a verdict is shown at the check's risk, or everything is asked.

The order of asking is fixed before the first answer, by a hash; how many questions go into one pass changes
what is asked, never what is counted.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from pytest_llminvariance.checks.evidence import Answers, Evidence, measure_questions
from pytest_llminvariance.checks.guards import guards_of
from pytest_llminvariance.checks.properties.base import Plan, Property
from pytest_llminvariance.checks.responses import FIRST_GROUP, GROWTH, Responses
from pytest_llminvariance.checks.verdict import CERTAIN, Decision, Verdict
from pytest_llminvariance.measures.betting import Bounds, MeanTest, Number, bounds, rescaled
from pytest_llminvariance.measures.forecast import forecast_words
from pytest_llminvariance.measures.metrics import Interval
from pytest_llminvariance.measures.movement import bound_of_movement
from pytest_llminvariance.measures.noise import Limits
from pytest_llminvariance.questions.question import MIN_KNOWN, known_answers


@dataclass(slots=True, kw_only=True)
class Stopping:
    """The rule: what is counted and tested, at which risk, and what else HOLDS must wait for."""

    responses: Responses
    """The answers under foreign stems, of the source that is asked."""
    property: Property
    tolerance: Fraction
    alpha: float
    n_units: int
    is_exact_at_end: bool
    """False where units are drawn from more than is planned."""
    limits: Limits | None = None
    """What noise may explain; `None` where there is none."""
    unit_name: str = "question"
    largest: int = 1
    """Questions of the largest unit."""
    n_known: int = 0
    """Known answers of the whole suite, asked or not."""
    held_under: Fraction | None = None
    """A tolerance that a run has shown it to hold under, where a record is judged under a larger one."""
    test: MeanTest = field(init=False)
    response: MeanTest | None = field(default=None, init=False)
    _most: Fraction | None = field(init=False)
    """What foreign stems must move the answer by, at most; `None` where no response is needed."""
    _units: list[range] = field(default_factory=list, init=False)
    """The questions of each unit that was asked, counted or not."""
    _fetched: list[Evidence] = field(default_factory=list, init=False)
    """Of each question that was asked; the counted ones first."""
    _n_counted: int = field(default=0, init=False)
    """Questions that were counted."""
    _values: list[Interval] = field(default_factory=list, init=False)
    """Of each question."""
    _counted: list[Interval] = field(default_factory=list, init=False)
    """Of each unit."""
    _looked: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        n_planned, least = self.n_units if self.is_exact_at_end else None, self.responses.metric.least
        ends = self.limits or Limits(broken_above=self.tolerance, holds_within=self.tolerance)
        self.test = MeanTest(
            rescaled(self.tolerance, least), self.alpha, n_planned,
            above_bound=rescaled(ends.broken_above, least), within_bound=rescaled(ends.holds_within, least),
        )  # fmt: skip
        self._most = bound_of_movement(self.tolerance, self.held_under, needed=self.property.needs_response)
        if self._most is not None:
            self.response = MeanTest(rescaled(self._most, least), self.alpha, n_planned)

    def run(self, units: Iterator[tuple[Plan, ...]]) -> Answers:
        """Ask unit by unit until it stops."""
        least = self.responses.metric.least
        for evidence in self._asked(units):
            values = measure_questions(evidence, self.responses.metric)
            value = self._of_cluster(values) if self.unit_name == "cluster" else values[0]
            self._n_counted += len(evidence)
            self._values += values
            self._counted.append(value)
            self.test.add(rescaled(value.low, least), rescaled(value.high, least))
            all_asked = self.is_exact_at_end and len(self._counted) == self.n_units
            if not all_asked and (answers := self._ended()) is not None:
                return answers
        if self.is_exact_at_end:
            return self._answers(self._decision("exhaustive", "everything was asked before it was decided"))
        return self._stopped(Verdict.UNDECIDED)

    def _asked(self, units: Iterator[tuple[Plan, ...]]) -> Iterator[list[Evidence]]:
        start = 0
        while group := list(itertools.islice(units, max(FIRST_GROUP, start // GROWTH))):
            first = len(self._fetched)
            self._fetched += self.responses.source.evidence([plan for plans in group for plan in plans])
            for plans in group:
                self._units.append(range(first, first := first + len(plans)))
            for unit in self._units[start:]:
                yield [self._fetched[number] for number in unit]
            start += len(group)

    def _of_cluster(self, found: Sequence[Interval]) -> Interval:
        """Return the value of a cluster, question-weighted.

        tol + sum of (x_i - tol) / n_max lies in [0, 1], and its mean is tol where the mean over questions is.
        """
        tolerance, largest = self.tolerance, self.largest
        low = sum((Fraction(v.low) - tolerance for v in found), Fraction(0)) / largest
        high = sum((Fraction(v.high) - tolerance for v in found), Fraction(0)) / largest
        return Interval(tolerance + low, tolerance + high)

    def _ended(self) -> Answers | None:
        """Return the answers where they show a verdict that nothing withholds; `None` where asking goes on."""
        shown = self.test.shown
        if shown == "above":
            return self._stopped(Verdict.BROKEN)
        if shown != "within":
            return None
        moves = "above" if self.response is None else self._responded(self.response)
        if moves != "above":
            return self._stopped(Verdict.UNDECIDED) if moves == "within" else None
        if self._looked or (self.n_known >= MIN_KNOWN > self._known()):
            return None
        self._looked = True
        answers = self._stopped(Verdict.HOLDS)
        guards = guards_of(answers, self.property, self.tolerance)
        return answers if all(guard.passed is not False for guard in guards) else None

    def _responded(self, test: MeanTest) -> str | None:
        return self.responses.shown(self._fetched, self._units, len(self._counted), self._most or Fraction(0), test)

    def _known(self) -> int:
        """Count the known answers among what was counted."""
        asked = (item.plan.question for item in self._fetched[: self._n_counted])
        return known_answers(asked, by_cluster=self.unit_name == "cluster")

    def _stopped(self, verdict: Verdict) -> Answers:
        note, name = "", self.unit_name
        reasons: tuple[str, ...] = ()
        if verdict is Verdict.UNDECIDED and len(self._counted) == self.n_units and not self.is_exact_at_end:
            n_open = sum(value.low != value.high for value in self._counted)
            note = forecast_words(self.test, name, n_open)
            reasons = (
                f"the budget of {self.n_units:,} {name}s is spent and nothing is shown at risk {self.alpha:.2g}: {note}",
            )
        return self._answers(self._decision("sequential", note), verdict, reasons)

    def _answers(self, decision: Decision, verdict: Verdict | None = None, reasons: tuple[str, ...] = ()) -> Answers:
        moved = None
        by_unit, by_question = self.responses.by_unit, self.responses.by_question
        if verdict is not None and self.response is not None and by_unit:
            moved = self._bounds(by_unit, None, self.response)
        return Answers(
            evidence=tuple(self._fetched[: self._n_counted]), values=tuple(self._values), decision=decision, verdict=verdict, reasons=reasons,
            moves=tuple(moves for moves, _ in by_question), could=tuple(could for _, could in by_question),
            n_stems=self.responses.n_asked, responsive=moved, samples=self.responses.samples, by_cluster=self.unit_name == "cluster",
            answered_for=self.response is None or self.response.shown == "above",
        )  # fmt: skip

    def _decision(self, method: Literal["exhaustive", "sequential"], note: str) -> Decision:
        ends: Bounds | None = None
        if method == "sequential" and self._counted:
            ends = self._bounds([v.low for v in self._counted], [v.high for v in self._counted], self.test)
        return Decision(
            method=method,
            alpha=self.alpha,
            n=len(self._counted),
            n_planned=self.n_units,
            log_e_broken=_evidence(self.test.above.log_peak, self.test.above.is_certain),
            log_e_holds=_evidence(self.test.within.log_peak, self.test.within.is_certain),
            lower=None if ends is None else ends.lower,
            upper=None if ends is None else ends.upper,
            note=note,
        )

    def _bounds(self, lows: Sequence[Number], highs: Sequence[Number] | None, test: MeanTest) -> Bounds:
        least = self.responses.metric.least
        low = [rescaled(value, least) for value in lows]
        high = low if highs is None else [rescaled(value, least) for value in highs]
        found = bounds(low, high, test.n_planned, test.alpha)
        return Bounds(least + (1 - least) * found.lower, least + (1 - least) * found.upper)


def _evidence(log_peak: float, is_certain: bool) -> float:  # noqa: FBT001
    return CERTAIN if is_certain else min(log_peak, CERTAIN)
