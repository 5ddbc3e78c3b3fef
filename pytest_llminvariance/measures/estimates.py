"""Numbers with two ends: means over clusters, shares, slopes. What they say is about questions like these.

Each takes the level that its two ends hold at together; a bound for one side is the end of an interval of level 1 - 2 alpha.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pytest_llminvariance.measures.betting import bounds
from pytest_llminvariance.measures.metrics import Interval, mean_interval

ROUNDING = 1e-9
LEVEL = 0.99
"""Of the intervals that stand beside a verdict and decide nothing."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number, and between which ends it lies at a level; `None` for an end that the data do not give."""

    value: float
    low: float | None
    high: float | None
    level: float = LEVEL

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {name: part if part is None else round(part, 12) for name, part in asdict(self).items()}


def mean_estimate(
    values: Sequence[float], clusters: Sequence[str] = (), level: float = LEVEL, *, bounded: bool = True
) -> Estimate:
    """Return the mean of values with the interval of Student's t over clusters, one value each where none are given.

    Values that are `bounded` by -1 and 1 and all equal have no spread to go by: their ends come from betting.

    The mean weighs values alike. Its variance is the cluster-robust one, m / (m - 1) times the sum of squared cluster
    totals of residuals over n squared, with m - 1 degrees of freedom (Liang and Zeger 1986).
    """
    from scipy.stats import t

    mean = math.fsum(values) / len(values)
    totals: dict[object, float] = {}
    for place, value in enumerate(values):
        name = clusters[place] if clusters else place
        totals[name] = totals.get(name, 0.0) + value - mean
    m = len(totals)
    if m < 2:
        return Estimate(mean, None, None, level)
    if bounded and max(values) - min(values) < ROUNDING:
        return Estimate(mean, *_betting_ends(list(values), (1 - level) / 2, signed=min(values) < 0), level)
    variance = m / (m - 1) * math.fsum(total * total for total in totals.values()) / len(values) ** 2
    half = float(t.ppf((1 + level) / 2, m - 1)) * math.sqrt(variance)
    return Estimate(mean, mean - half, mean + half, level)


def mean_bounds(
    values: Sequence[float],
    clusters: Sequence[str],
    risk: float,
    *,
    signed: bool = True,
    claims: int = 1,
    bounded: bool = True,
) -> tuple[float, float]:
    """Return between which ends the size of a mean lies, for units like these; 0 and 1 where nothing is known.

    A unit is a cluster, and counts by the mean of its values. The upper end is wrong with probability at most `risk` (two
    one-sided tests where the mean has a sign). So is the lower one where it is the largest of the lower ends of `claims`
    means, of which any can break a property: each gets its part, and half of that a side where the mean has a sign.
    Values that cannot leave [-1, 1] are `bounded`: their ends come from betting, which is right for any number of units and
    also where all are equal. Those of others come from Student's t.
    """
    rows: dict[str, list[float]] = {}
    for value, name in zip(values, clusters, strict=True):
        rows.setdefault(name, []).append(value)
    units = [math.fsum(row) / len(row) for row in rows.values()]
    part = risk / claims / (2 if signed else 1)
    ends = _betting_ends if bounded else _student_ends
    low, high = ends(units, part, signed=signed)
    least, most = (low, high) if part == risk else ends(units, risk, signed=signed)
    return max(0.0, low, -high), max(abs(least), abs(most)) if signed else most


def mean_effect(
    values: Sequence[Interval], clusters: Sequence[str], risk: float | None, *, claims: int = 1
) -> Interval:
    """Return the mean of values from 0 to 1; with `risk` that of units like these, by `mean_bounds` at either end."""
    if risk is None:
        return mean_interval(values)
    (low, _), (_, high) = (
        mean_bounds(ends, clusters, risk, signed=False, claims=claims)
        for ends in ([float(value.low) for value in values], [float(value.high) for value in values])
    )
    return Interval(low, high)


def _betting_ends(units: Sequence[float], risk: float, *, signed: bool) -> tuple[float, float]:
    scaled = [(value + 1) / 2 for value in units] if signed else list(units)
    found = bounds(scaled, scaled, None, risk)
    return (2 * found.lower - 1, 2 * found.upper - 1) if signed else (found.lower, found.upper)


def _student_ends(units: Sequence[float], risk: float, *, signed: bool) -> tuple[float, float]:
    found = mean_estimate(units, (), 1 - 2 * risk, bounded=False)
    if found.low is None or found.high is None:
        return -1.0 if signed else 0.0, 1.0
    return found.low, found.high


def share_bounds(n_low: int, n_high: int, n: int, risk: float) -> tuple[float, float]:
    """Return the exact lower bound of a share of which at least `n_low` of `n` were seen, and the upper one of at most `n_high`.

    Each is wrong with probability at most `risk` (Clopper and Pearson 1934): 0 of 100 gives 2.95% at 5%.
    """
    from scipy.stats import beta

    low = float(beta.ppf(risk, n_low, n - n_low + 1)) if n_low else 0.0
    high = float(beta.ppf(1 - risk, n_high + 1, n - n_high)) if n_high < n else 1.0
    return low, high


def share_estimate(n_hits: int, n: int, level: float = LEVEL) -> Estimate:
    """Return a share with its exact interval."""
    return Estimate(n_hits / n, *share_bounds(n_hits, n_hits, n, (1 - level) / 2), level)


def line_estimate(x: Sequence[float], y: Sequence[float], level: float = LEVEL) -> tuple[Estimate, Estimate] | None:
    """Return intercept and slope of the least-squares line; `None` where x takes one value only or there are below 3 points.

    Variances are those of HC3 (MacKinnon and White 1985), which unequal spreads do not mislead, with n - 2 degrees of freedom.
    """
    from scipy.stats import t

    n = len(x)
    middle = math.fsum(x) / n
    spread = math.fsum((one - middle) ** 2 for one in x)
    if n < 3 or spread < 1e-12:
        return None
    slope = math.fsum((a - middle) * b for a, b in zip(x, y, strict=True)) / spread
    start = math.fsum(y) / n - slope * middle
    widths = []
    for weights in ([1 / n - middle * (a - middle) / spread for a in x], [(a - middle) / spread for a in x]):
        parts = []
        for weight, a, b in zip(weights, x, y, strict=True):
            leverage = 1 / n + (a - middle) ** 2 / spread
            residual = b - start - slope * a
            parts.append((weight * residual / max(1e-9, 1 - leverage)) ** 2)
        widths.append(float(t.ppf((1 + level) / 2, n - 2)) * math.sqrt(math.fsum(parts)))
    found = [
        Estimate(value, value - half, value + half, level) for value, half in zip((start, slope), widths, strict=True)
    ]
    return found[0], found[1]
