"""All orders of small suites whose mean is exactly at the tolerance: a fair game wins nothing on average."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from pytest_llminvariance.measures.betting import Capital, Side

ALPHAS = (0.2, 0.1, 0.05, 0.01)


@dataclass(frozen=True)
class Enumerated:
    """What all orders of one suite gave."""

    values: tuple[Fraction, ...]
    side: Side
    orders: int
    mean_capital: float
    """Must be 1 after every number of values; this is the one that is farthest off."""
    crossed: dict[float, float]
    """Share of orders whose capital ever reaches 1/alpha, by alpha."""


def suites() -> Iterator[tuple[Fraction, ...]]:
    """Suites of 8 to 12 values: every count of ones, and suites of thirds and halves."""
    for n in range(8, 13):
        for ones in range(n + 1):
            yield (Fraction(1),) * ones + (Fraction(0),) * (n - ones)
    thirds = [Fraction(part, 3) for part in range(4)]
    yield (*[thirds[0]] * 3, *[thirds[1]] * 2, thirds[2], *[thirds[3]] * 2)
    yield (*[Fraction(0)] * 5, Fraction(1, 2), Fraction(1, 2), Fraction(1))
    yield (*[Fraction(9, 10)] * 6, Fraction(1), Fraction(1), Fraction(1, 24))


def enumerate_orders(values: tuple[Fraction, ...], side: Side) -> Enumerated:
    """Play every distinct order; the bound is the suite's own mean."""
    mean, n = sum(values, Fraction(0)) / len(values), len(values)
    totals, peaks, count = [0.0] * n, [], 0
    for order in distinct_orders(values):
        capital, count = Capital(mean, side, n), count + 1
        for place, value in enumerate(order):
            capital.add(value)
            totals[place] += math.exp(capital.log_capital)
        peaks.append(capital.log_peak)
    farthest = max((total / count for total in totals), key=lambda value: abs(value - 1))
    crossed = {alpha: sum(peak >= -math.log(alpha) for peak in peaks) / count for alpha in ALPHAS}
    return Enumerated(values, side, count, farthest, crossed)


def added(capital: Capital, value: Fraction | float) -> float:
    """Bet on a value and return the log capital after it."""
    capital.add(value)
    return capital.log_capital


def distinct_orders(values: Sequence[Fraction]) -> Iterator[tuple[Fraction, ...]]:
    """Yield each distinct order once; equal values are equally likely to stand in for one another."""
    kinds = sorted(set(values))
    if len(kinds) == 1:
        yield tuple(values)
        return
    last = kinds[-1]
    rest, n = [value for value in values if value != last], len(values)
    for places in itertools.combinations(range(n), n - len(rest)):
        taken = set(places)
        for inner in distinct_orders(rest):
            others = iter(inner)
            yield tuple(last if place in taken else next(others) for place in range(n))
