"""Which questions changed from right to wrong between two models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from fractions import Fraction

from pytest_llminvariance.measures.metrics import Interval, mean_interval


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

    @property
    def loss(self) -> Interval:
        """Right before minus right now: 1 where it was taken away, -1 where it is new; open where answers are."""
        if self.before == self.now:
            return Interval(0, 0)
        gained = negative_flip(self.now, self.before, self.correct)
        return Interval(self.value.low - gained.high, self.value.high - gained.low)


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
    accuracy_loss: Interval
    """Accuracy before minus accuracy now, in [-1, 1]."""
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
        accuracy_loss=mean_interval([pair.loss for pair in rows]),
        mcnemar_p=None if unclear else mcnemar_exact(len(negative), len(positive)),
    )


def negative_flip(before: Set[int], now: Set[int], correct: int) -> Interval:
    """Return 1 where the answer was right before and is wrong now, from the sets of answers that are possible.

    Certain where `before` holds the correct content alone and `now` does not hold it; ties and answers that
    may have been anything leave it open.
    """
    certain = before == {correct} and correct not in now
    possible = correct in before and now != {correct}
    return Interval(Fraction(int(certain)), Fraction(int(possible)))


def changed_while_wrong(before: Set[int], now: Set[int], correct: int) -> bool:
    """Return whether both answers are certainly wrong and certainly differ."""
    return correct not in before and correct not in now and not before & now


def mcnemar_exact(n_worse: int, n_better: int) -> float:
    """Return the two-sided p-value of McNemar's exact test from the discordant counts; 1 where there are none.

    The binomial test of `n_worse` of `n_worse + n_better` against one half: McNemar, Psychometrika 12 (1947),
    in its exact form.
    """
    from scipy.stats import binomtest

    total = n_worse + n_better
    return float(binomtest(n_worse, total, 0.5).pvalue) if total else 1.0
