"""What it would take: the fewest values that can decide, how many are expected to, and what is still missing."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_llminvariance.measures.betting import Capital, MeanTest, Side, crossing

if TYPE_CHECKING:
    import numpy as np


SIMULATIONS = 25


def fewest_values(bound: float, alpha: float, n_planned: int, side: Side, at_most: int | None = None) -> int | None:
    """Return after how many values the best possible answers decide; `None` where that is after `at_most`."""
    most = n_planned if at_most is None else min(n_planned, at_most)
    capital = Capital(bound, side, n_planned)
    for number in range(1, most + 1):
        capital.add(1.0 if side == "above" else 0.0)
        if capital.shows(alpha):
            return number
    return n_planned if at_most is None else None


@dataclass(frozen=True, slots=True)
class Expected:
    """How many values are asked on average, and the share of suites in which all are."""

    mean: float
    all_share: float
    standard_error: float
    """Of the mean, which comes from simulations; 0 where the order changes nothing."""


def expected_share(
    effect: float, bound: float, alpha: float, n_planned: int, *, seed: int = 0, simulations: int = SIMULATIONS
) -> Expected:
    """Return what a suite of zeros and ones with the mean `effect` costs, from simulated orders of asking.

    Zeros and ones vary most among values of one mean; shares inside a question are decided sooner.
    """
    ones = min(n_planned, round(effect * n_planned))
    lengths = [
        _decided(_zeros_and_ones(n_planned, ones, f"{seed}|{number}"), bound, alpha)
        for number in range(1 if ones in (0, n_planned) else simulations)
    ]
    n, mean = len(lengths), math.fsum(lengths) / len(lengths)
    variance = math.fsum((length - mean) ** 2 for length in lengths) / max(1, n - 1)
    return Expected(mean, sum(length == n_planned for length in lengths) / n, math.sqrt(variance / n))


def _decided(values: np.ndarray[Any, Any], bound: float, alpha: float) -> int:
    n = len(values)
    if alpha <= 0:
        return n
    found = [crossing(values, n, bound, side, alpha) for side in ("above", "within")]
    return min((number for number in found if number is not None), default=n)


def _zeros_and_ones(n: int, ones: int, salt: str) -> np.ndarray[Any, Any]:
    import numpy as np

    seed = int.from_bytes(hashlib.sha256(salt.encode()).digest()[:8], "big")
    values = np.zeros(n)
    values[np.random.default_rng(seed).permutation(n)[:ones]] = 1.0
    return values


def forecast_words(test: MeanTest, unit: str, n_open: int = 0) -> str:
    """Say what would probably decide: the evidence grows by a rate, or it does not grow.

    `n_open` values are ranges, for what was answered is a tie or cannot be read.
    """
    best = max((test.above, test.within), key=lambda capital: capital.log_capital)
    said = "BROKEN" if best is test.above else "HOLDS"
    n, wanted = best.n, -math.log(test.alpha) if test.alpha > 0 else math.inf
    rate = best.log_capital / n if n else 0.0
    if (rate <= 0 or wanted == math.inf) and n_open:
        return f"no end is in sight, as {n_open:,} of {n:,} {unit}s have answers that are ties or cannot be read"
    if rate <= 0 or wanted == math.inf:
        return f"no end is in sight, as the mean is too near the tolerance for {n:,} {unit}s"
    return f"{said} would take about {math.ceil(wanted / rate):,} {unit}s at the rate so far"
