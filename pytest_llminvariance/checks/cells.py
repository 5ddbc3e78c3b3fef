"""Verdicts, and named parts of an effect that have one each."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from pytest_llminvariance.measures.metrics import Interval
from pytest_llminvariance.measures.noise import Limits


class Verdict(enum.StrEnum):
    """What is known about a property. Not knowing is a value of its own."""

    HOLDS = "HOLDS"
    BROKEN = "BROKEN"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One named part of an effect with a verdict of its own; the effect of the check is that of its worst cell."""

    name: str
    value: float | None
    """Signed, in the cell's unit; `None` where nothing is known."""
    low: float
    high: float
    """Between these it lies, whatever open answers were."""
    unit: str = ""
    """`points`; empty for the metric itself."""
    whole: float = 1.0
    """What 1 of the metric is in that unit."""
    margin: float = 0.0
    """The tolerance in that unit."""
    verdict: Verdict = Verdict.UNDECIDED
    reason: str = ""
    """Why it is UNDECIDED; before it is decided, why it would not be HOLDS."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """What else is known of it, for tables."""

    @property
    def size(self) -> Interval:
        """How far from 0 it lies, in the unit of the metric."""
        low, high = (Fraction(str(end)) / Fraction(str(self.whole)) for end in (self.low, self.high))
        return Interval(max(low, -high, Fraction(0)), max(abs(low), abs(high)))

    def decided(self, tolerance: Fraction, ends: Limits) -> Cell:
        """Return it with its verdict, by the rule of the whole check."""
        size, verdict, reason = self.size, Verdict.UNDECIDED, self.reason
        if size.low > ends.broken_above:
            verdict, reason = Verdict.BROKEN, ""
        elif size.high > ends.holds_within:
            why = "noise may explain it" if self.low == self.high else "open answers leave it"
            reason = f"{why} between {self.low:+.2g} and {self.high:+.2g}"
        elif not reason:
            verdict = Verdict.HOLDS
        margin = float(tolerance * Fraction(str(self.whole)))
        return dataclasses.replace(self, verdict=verdict, reason=reason, margin=margin)


def worst_of(cells: Sequence[Cell]) -> Interval:
    """Return the effect of cells: no less than the worst certainly is, no more than any may be."""
    sizes = [cell.size for cell in cells]
    return Interval(max(size.low for size in sizes), max(size.high for size in sizes))


def worst_first(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return stored cells by verdict, those beyond their margin by most before the others."""
    ranks = (Verdict.BROKEN, Verdict.UNDECIDED, Verdict.HOLDS)
    return sorted(rows, key=lambda row: (ranks.index(row["verdict"]), -max(row["low"], -row["high"])))
