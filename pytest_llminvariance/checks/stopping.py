"""Asking question by question until a verdict is shown at the check's risk, or everything is asked.

The order of asking is fixed before the first answer, by a hash; how many questions go into one pass changes
what is asked, never what is counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

from pytest_llminvariance.checks.asking import Part
from pytest_llminvariance.checks.properties import Plan
from pytest_llminvariance.checks.verdict import CERTAIN, Decision, Verdict
from pytest_llminvariance.measures.betting import Bounds, MeanTest, Number, bounds
from pytest_llminvariance.measures.forecast import forecast_words
from pytest_llminvariance.measures.metrics import Interval

FIRST_GROUP = 4
GROWTH = 4
"""A group is a quarter of what was counted so far: passes stay few, and at most a fifth is asked in vain."""


class PartSource(Protocol):
    """Gives what came back for plans: by asking a model, or from a record."""

    def parts(self, plans: Sequence[Plan]) -> list[Part]:
        """Return one part a plan."""
        ...


@dataclass(frozen=True, slots=True)
class Unit:
    """What counts as one value: a question, a draw of a question, or a cluster of questions."""

    plans: Callable[[], tuple[Plan, ...]]
    """Made when asked: memory does not grow with what is never asked."""
    value: Callable[[Sequence[Part]], Interval]
    moved: Callable[[Sequence[Part]], Interval]


@dataclass(frozen=True, slots=True)
class Stopped:
    """Where the asking ended."""

    parts: tuple[Part, ...]
    verdict: Verdict | None
    """`None` where everything was asked, so that numbers decide."""
    reasons: tuple[str, ...]
    decision: Decision
    responsive: Bounds | None
    """Bounds of the movement under foreign stems; `None` where all of it was asked, or none."""
    answered_for: bool = True
    """False where the movement under foreign stems is not shown to be large enough."""


@dataclass(slots=True)
class Stopping:
    """The rule: what is tested, at which risk, and what else HOLDS must wait for."""

    source: PartSource
    test: MeanTest
    response: MeanTest | None
    may_hold: Callable[[Sequence[Part]], bool]
    """Whether the other guards let HOLDS pass; looked at once before the end."""
    is_exact_at_end: bool
    unit_name: str = "question"
    least: float = 0.0
    """The smallest value of the metric: tests see values on [0, 1]."""
    _parts: list[Part] = field(default_factory=list, init=False)
    _values: list[Interval] = field(default_factory=list, init=False)
    _moves: list[Interval] = field(default_factory=list, init=False)
    _looked: bool = field(default=False, init=False)

    def run(self, units: Sequence[Unit]) -> Stopped:
        """Ask until it stops."""
        for unit, parts in self._asked(units):
            value = unit.value(parts)
            self._parts += parts
            self._values.append(value)
            self.test.add(rescaled(value.low, self.least), rescaled(value.high, self.least))
            if self.response is not None:
                moved = unit.moved(parts)
                self._moves.append(moved)
                moved_by = rescaled(moved.low, self.least)
                self.response.add(moved_by, moved_by)
            all_asked = self.is_exact_at_end and len(self._values) == len(units)
            if not all_asked and (verdict := self._verdict()) is not None:
                return self._stopped(verdict, len(units))
        if self.is_exact_at_end:
            note = "everything was asked before it was decided"
            return Stopped(tuple(self._parts), None, (), self._decision("exhaustive", len(units), note), None)
        return self._stopped(Verdict.UNDECIDED, len(units))

    def _asked(self, units: Sequence[Unit]) -> Iterator[tuple[Unit, list[Part]]]:
        start = 0
        while start < len(units):
            group = units[start : start + max(FIRST_GROUP, start // GROWTH)]
            planned = [unit.plans() for unit in group]
            parts = iter(self.source.parts([plan for plans in planned for plan in plans]))
            for unit, plans in zip(group, planned, strict=True):
                yield unit, [next(parts) for _ in plans]
            start += len(group)

    def _verdict(self) -> Verdict | None:
        shown = self.test.shown
        if shown == "above":
            return Verdict.BROKEN
        if shown != "within":
            return None
        if self.response is not None and self.response.shown == "within":
            return Verdict.UNDECIDED
        if self.response is not None and self.response.shown != "above":
            return None
        if self._looked:
            return None
        self._looked = True
        return Verdict.HOLDS if self.may_hold(self._parts) else None

    def _stopped(self, verdict: Verdict, n_units: int) -> Stopped:
        alpha, note = self.test.alpha, ""
        reasons: tuple[str, ...] = ()
        moved = None
        if self.response is not None:
            moved = self._bounds([move.low for move in self._moves], None, self.response)
        if verdict is Verdict.UNDECIDED and len(self._values) == n_units and not self.is_exact_at_end:
            n_open = sum(value.low != value.high for value in self._values)
            note = forecast_words(self.test, self.unit_name, n_open)
            reasons = (
                f"the budget of {n_units:,} {self.unit_name}s is spent and nothing is shown at risk {alpha:.2g}: {note}",
            )
        answered = self.response is None or self.response.shown == "above"
        decision = self._decision("sequential", n_units, note)
        return Stopped(tuple(self._parts), verdict, reasons, decision, moved, answered)

    def _decision(self, method: str, n_units: int, note: str) -> Decision:
        ends: Bounds | None = None
        if method == "sequential" and self._values:
            ends = self._bounds([v.low for v in self._values], [v.high for v in self._values], self.test)
        return Decision(
            method="sequential" if method == "sequential" else "exhaustive",
            alpha=self.test.alpha,
            n=len(self._values),
            n_planned=n_units,
            log_e_broken=_evidence(self.test.above.log_peak, self.test.above.is_certain),
            log_e_holds=_evidence(self.test.within.log_peak, self.test.within.is_certain),
            lower=None if ends is None else ends.lower,
            upper=None if ends is None else ends.upper,
            note=note,
        )

    def _bounds(self, lows: Sequence[Number], highs: Sequence[Number] | None, test: MeanTest) -> Bounds:
        low = [rescaled(value, self.least) for value in lows]
        high = low if highs is None else [rescaled(value, self.least) for value in highs]
        found = bounds(low, high, test.n_planned, test.alpha)
        span = 1 - self.least
        return Bounds(self.least + span * found.lower, self.least + span * found.upper)


def _evidence(log_peak: float, is_certain: bool) -> float:  # noqa: FBT001
    return CERTAIN if is_certain else min(log_peak, CERTAIN)


def rescaled(value: Number, least: float) -> Number:
    """Return a value from [least, 1] on [0, 1]."""
    if least == 0:
        return value
    ends = Fraction(least).limit_denominator(1000)
    return (value - ends) / (1 - ends) if isinstance(value, Fraction) else (value - least) / (1 - least)
