"""Which questions changed from right to wrong between two models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pytest_llminvariance.audit.flips import changed_while_wrong, mcnemar_exact, negative_flip
from pytest_llminvariance.audit.metrics import Interval

__all__ = ["Flips", "Pair", "count_flips"]


@dataclass(frozen=True, slots=True)
class Pair:
    """One question as written: what may have been answered before and now, and the correct content."""

    name: str
    before: frozenset[int]
    now: frozenset[int]
    correct: int

    @property
    def value(self) -> Interval:
        """1 where it was right before and is wrong now."""
        return negative_flip(self.before, self.now, self.correct)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flips:
    """Counts and names of what changed."""

    n: int
    right_before: int
    right_now: int
    negative: tuple[str, ...]
    """Right before, wrong now."""
    positive: tuple[str, ...]
    """Wrong before, right now."""
    both_wrong: tuple[str, ...]
    """Wrong both times, and another answer now."""
    unclear: tuple[str, ...]
    """Ties and answers that could not be read."""
    mcnemar_p: float | None
    """McNemar's exact test on negative against positive flips; `None` where an answer is open. Report only."""

    def to_json(self) -> Mapping[str, object]:
        """Return plain data for the details of a finding."""
        return {
            "right_before": self.right_before,
            "right_now": self.right_now,
            "negative_flips": self.negative,
            "positive_flips": self.positive,
            "changed_while_wrong": self.both_wrong,
            "unclear": self.unclear,
            "mcnemar_exact_p": self.mcnemar_p,
        }


def count_flips(pairs: Iterable[Pair]) -> Flips:
    """Return what changed over all pairs."""
    rows = list(pairs)
    negative = tuple(pair.name for pair in rows if pair.value.low)
    positive = tuple(pair.name for pair in rows if negative_flip(pair.now, pair.before, pair.correct).low)
    unclear = tuple(pair.name for pair in rows if len(pair.before) != 1 or len(pair.now) != 1)
    return Flips(
        n=len(rows),
        right_before=sum(pair.before == {pair.correct} for pair in rows),
        right_now=sum(pair.now == {pair.correct} for pair in rows),
        negative=negative,
        positive=positive,
        both_wrong=tuple(p.name for p in rows if changed_while_wrong(p.before, p.now, p.correct)),
        unclear=unclear,
        mcnemar_p=None if unclear else mcnemar_exact(len(negative), len(positive)),
    )
