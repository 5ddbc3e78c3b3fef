"""Right before and wrong now: what changed between two models on the same question, and McNemar's exact test."""

from __future__ import annotations

from collections.abc import Set
from fractions import Fraction

from pytest_llminvariance.audit.metrics import Interval

__all__ = ["changed_while_wrong", "mcnemar_exact", "negative_flip"]


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
