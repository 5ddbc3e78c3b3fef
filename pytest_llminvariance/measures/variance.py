"""Where answers vary: shares of the variance of one number per answer."""

from __future__ import annotations

import itertools
import math
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


def variance_shares(observations: Sequence[Observation]) -> VarianceShares | None:
    """Split the variance by the law of total variance: questions, forms within them, orders within those, repeats.

    Nested, so shares are never negative and always sum to 1, for plans that are not balanced too; what an order
    does under one form only counts as order. `None` where there is nothing to split: no observation, or all
    values equal.
    """
    if not observations:
        return None
    values = [item.value for item in observations]
    total = _within([values])
    if total <= 1e-24 * len(values):
        return None
    levels = [
        [values],
        _groups(observations, lambda item: (item.question,)),
        _groups(observations, lambda item: (item.question, item.form)),
        _groups(observations, lambda item: (item.question, item.form, item.order)),
        [[value] for value in values],
    ]
    left = [_within(groups) for groups in levels]
    varied = [len(finer) > len(coarser) for coarser, finer in itertools.pairwise(levels)]
    question, form, order, replicate = (
        max(0.0, before - after) / total if is_varied else None
        for (before, after), is_varied in zip(itertools.pairwise(left), varied, strict=True)
    )
    return VarianceShares(question, form, order, replicate, total / len(values))


def _groups(observations: Iterable[Observation], key: Callable[[Observation], Hashable]) -> list[list[float]]:
    found: dict[Hashable, list[float]] = {}
    for item in observations:
        found.setdefault(key(item), []).append(item.value)
    return list(found.values())


def _within(groups: Iterable[Sequence[float]]) -> float:
    """Return the sum of squared distances to the mean of each group."""
    return math.fsum(_squares(group) for group in groups)


def _squares(group: Sequence[float]) -> float:
    mean = math.fsum(group) / len(group)
    return math.fsum((value - mean) ** 2 for value in group)
