"""The betting test of a finite suite once more: plain, slow, written from the papers only.

A second opinion on `pytest_llminvariance.stats`, by somebody who has not seen it. Sources:

- I. Waudby-Smith and A. Ramdas, Estimating means of bounded random variables by betting, JRSS B 86 (2024), 1-27,
  section 5 (sampling without replacement): the mean of the next value under the hypothesis, and capital as a product.
- I. Waudby-Smith, P. B. Stark and A. Ramdas, RiLACS: risk-limiting audits via confidence sequences, E-Vote-ID 2021:
  one-sided use, and constant fractions of the largest admissible bet.

Sums, null means and factors are `Fraction`; capital is a product of exact fractions or of 50-digit numbers, whose
exponents have no limit, so that nothing here needs logarithms on the way.
"""

# ruff: noqa: N803 - N is the papers' size of the population
from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any, Literal

import mpmath  # torch brings it, through sympy

Side = Literal["BROKEN", "HOLDS"]
Number = int | float | Decimal | Fraction

FRACTIONS = tuple(Fraction(text) for text in [".02", ".05", ".10", ".20", ".30", ".45", ".60", ".75", ".90", ".99"])
DIGITS = 50


@dataclass(frozen=True)
class Bounds:
    """What the two processes leave: means below `lower` are rejected by BROKEN, those above `upper` by HOLDS.

    Each holds at its alpha. Where a process crossed in error, `lower` may lie above `upper`.
    """

    lower: float
    upper: float


def exactly(number: Number) -> Fraction:
    """Return the fraction that the digits of a number say: 0.05 is 1/20."""
    return Fraction(str(number)) if isinstance(number, float) else Fraction(number)


def factors(x: Fraction, null: Fraction, side: Side) -> list[Fraction] | float:
    """Return what one value does to the capital of each fraction; infinity where it contradicts the hypothesis.

    `null` is the mean of the next value if the hypothesis is true with equality, from 0 to 1.
    """
    if side == "BROKEN":  # against "mean <= m": bets on large values, at most 1 / null of the capital per unit
        if null == 0:
            return math.inf if x > 0 else [Fraction(1)] * len(FRACTIONS)
        return [1 + f * (x - null) / null for f in FRACTIONS]
    if null == 1:
        return math.inf if x < 1 else [Fraction(1)] * len(FRACTIONS)
    return [1 + f * (null - x) / (1 - null) for f in FRACTIONS]


def certainty(left: Fraction, n_left: int, side: Side) -> float | None:
    """Return the evidence where the values so far settle the question, else `None`.

    `left` is N m minus their sum: what the `n_left` others, each from 0 to 1, would have to sum to.
    """
    if left < 0:  # the mean is above m whatever comes
        return math.inf if side == "BROKEN" else 0.0
    if left > n_left:  # below m whatever comes
        return 0.0 if side == "BROKEN" else math.inf
    return None


def capitals(
    values: Sequence[Number], N: int, m: Number, side: Side, number: Callable[[Fraction], Any] = Fraction
) -> Iterator[Any]:
    """Yield the capital after each value, as exact fractions unless `number` says otherwise.

    What is certain from a value on counts from that value on, so also after the last of all N.
    """
    xs, mean = [exactly(value) for value in values], exactly(m)
    if side not in ("BROKEN", "HOLDS") or len(xs) > N or not all(0 <= x <= 1 for x in [mean, *xs]):
        raise ValueError(f"side {side!r}, {len(xs)} values of {N}, m {m}: not a test of at most N values in [0, 1]")
    parts, total = [number(Fraction(1))] * len(FRACTIONS), Fraction(0)
    settled: float | None = None
    for t, x in enumerate(xs, start=1):
        null = (N * mean - total) / (N - t + 1)
        total += x
        if settled is None:
            step = factors(x, null, side)
            settled = step if isinstance(step, float) else certainty(N * mean - total, N - t, side)
            if not isinstance(step, float):
                parts = [part * number(factor) for part, factor in zip(parts, step, strict=True)]
        yield sum(parts) / len(parts) if settled is None else settled


def digits(fraction: Fraction) -> Any:
    """Return a fraction as a number of `mpmath`'s working precision."""
    return mpmath.mpf(fraction.numerator) / fraction.denominator


def log_evidence(values: Sequence[Number], N: int, m: Number, side: Side) -> list[float]:
    """Return the natural log of the capital after each value; inf and -inf where the values settle the question.

    Args:
        values: in the order asked, each in [0, 1]; at most N.
        N: size of the population.
        m: hypothesised mean, in [0, 1].
        side: "BROKEN" tests "mean <= m", "HOLDS" tests "mean >= m".
    """
    with mpmath.workdps(DIGITS):
        found = list(capitals(values, N, m, side, digits))
        return [-math.inf if capital == 0 else float(mpmath.log(capital)) for capital in found]


def certain_verdict(values: Sequence[Number], N: int, m: Number) -> Side | None:
    """Return what every possible rest agrees on: BROKEN is "mean > m", HOLDS is "mean <= m".

    HOLDS includes equality, so it is certain one step before its capital is infinite: that tests "mean >= m".
    """
    left = N * exactly(m) - sum(map(exactly, values))
    if left < 0:
        return "BROKEN"
    return "HOLDS" if left >= N - len(values) else None


def is_rejected(values: Sequence[Number], N: int, m: Number, side: Side, alpha: Number) -> bool:
    """Say whether the capital was at least 1 / alpha after any value so far (Ville's inequality)."""
    with mpmath.workdps(DIGITS):
        limit = digits(1 / exactly(alpha))
        return any(capital >= limit for capital in capitals(values, N, m, side, digits))


def bounds(values: Sequence[Number], N: int, alpha: Number, *, width: float = 1e-10) -> Bounds:
    """Return the smallest mean that BROKEN has not rejected and the largest that HOLDS has not, to `width`.

    Bisection is enough: every factor falls with m in BROKEN and rises with m in HOLDS.
    """
    found = []
    sides: tuple[Side, Side] = ("BROKEN", "HOLDS")
    for side in sides:
        rejected, kept = (Fraction(0), Fraction(1)) if side == "BROKEN" else (Fraction(1), Fraction(0))
        if not is_rejected(values, N, rejected, side, alpha):
            found.append(float(rejected))
            continue
        if is_rejected(values, N, kept, side, alpha):
            raise AssertionError(f"{side} rejects a mean of {kept}, which no values contradict")
        while abs(kept - rejected) > width:
            middle = (kept + rejected) / 2
            if is_rejected(values, N, middle, side, alpha):
                rejected = middle
            else:
                kept = middle
        found.append(float(kept))
    return Bounds(*found)
