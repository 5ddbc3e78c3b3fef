"""Where answers vary: shares of the variance of one number per answer."""

from __future__ import annotations

import itertools
import math
from array import array
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Observation:
    """One number, and what it was observed under."""

    question: Hashable
    form: Hashable
    """How it was asked: template, labels, layout."""
    order: Hashable
    value: float


@dataclass(frozen=True, slots=True)
class VarianceShares:
    """Shares of the variance, summing to 1 over those that are not `None`.

    `None` where something was not varied: one question, one form, one order, or nothing asked twice.
    """

    question: float | None
    form: float | None
    order: float | None
    replicate: float | None
    total: float
    """Variance of the numbers (their unit squared)."""


class Variance:
    """Splits a variance while questions come one after the other; what is kept are numbers, some for each observation."""

    def __init__(self) -> None:
        self._values = array("d")
        self._squares = [array("d") for _ in KEYS]  # of the groups of each level

    def add(self, observations: Sequence[Observation]) -> None:
        """Add all observations of one question."""
        self._values.extend(item.value for item in observations)
        for squares, key in zip(self._squares, KEYS, strict=True):
            squares.extend(map(_squared, _groups(observations, key)))

    def shares(self) -> VarianceShares | None:
        """Split the variance by the law of total variance: questions, forms within them, orders within those, repeats.

        Nested, so shares are never negative and always sum to 1, for plans that are not balanced too; what an order
        does under one form only counts as order. `None` where there is nothing to split: no observation, or all
        values equal.
        """
        n = len(self._values)
        total = _squared(self._values) if n else 0.0
        if total <= 1e-24 * n:
            return None
        left = [total, *map(math.fsum, self._squares), 0.0]
        sizes = [1, *map(len, self._squares), n]
        question, form, order, replicate = (
            max(0.0, before - after) / total if finer > coarser else None
            for (before, after), (coarser, finer) in zip(
                itertools.pairwise(left), itertools.pairwise(sizes), strict=True
            )
        )
        return VarianceShares(question, form, order, replicate, total / n)


KEYS: tuple[Callable[[Observation], Hashable], ...] = (
    lambda item: item.question,
    lambda item: (item.question, item.form),
    lambda item: (item.question, item.form, item.order),
)
"""What groups observations on each level, from coarse to fine."""


def _groups(observations: Iterable[Observation], key: Callable[[Observation], Hashable]) -> list[list[float]]:
    found: dict[Hashable, list[float]] = {}
    for item in observations:
        found.setdefault(key(item), []).append(item.value)
    return list(found.values())


def _squared(group: Sequence[float]) -> float:
    """Return the sum of squared distances to the mean."""
    mean = math.fsum(group) / len(group)
    return math.fsum((value - mean) ** 2 for value in group)
