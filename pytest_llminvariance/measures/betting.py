"""Testing by betting: is the mean of bounded values above a bound, or within it, judged after every value.

The values are drawn without replacement from a finite suite, or independently. For each side a gambler starts
with capital 1 and bets against the other side; while the other side is true, the capital exceeds 1/alpha with
probability at most alpha, whenever one looks.

Sources: Waudby-Smith and Ramdas, Estimating means of bounded random variables by betting (JRSS B, 2024), its
section on sampling without replacement; Waudby-Smith, Stark and Ramdas, RiLACS (2021).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from pytest_llminvariance.errors import UsageError

if TYPE_CHECKING:
    import numpy as np


Side = Literal["above", "within"]
"""What is to be shown: that the mean is above the bound (BROKEN), or within it (HOLDS)."""

FRACTIONS = (0.02, 0.05, 0.10, 0.20, 0.30, 0.45, 0.60, 0.75, 0.90, 0.99)
"""Shares of the largest admissible bet; the capital is the mean over them."""

ROUNDING = 1e-9
"""Sums of floats that pass a bound by less, per value, are at the bound."""
BLOCK = 4096
BISECTIONS = 40

Number = Fraction | float


@dataclass(slots=True)
class Capital:
    """The capital of one gambler, value by value.

    `mean` is the bound. With `n_planned`, values come without replacement from so many, so the bound moves:
    after t - 1 values with sum S the next one has mean (n_planned * mean - S) / (n_planned - t + 1) at the
    bound. Without, values are independent and the bound stays. Memory and cost per value are constant.
    """

    mean: Number
    side: Side
    n_planned: int | None
    log_peak: float = field(default=0.0, init=False)
    """Natural logarithm of its largest value so far."""
    is_certain: bool = field(default=False, init=False)
    """True where no value to come can change what is to be shown."""
    n: int = field(default=0, init=False)
    _left: Number = field(init=False)
    _logs: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self._left = self.mean * self.n_planned if self.n_planned else self.mean
        self._logs = [0.0] * len(FRACTIONS)

    @property
    def log_capital(self) -> float:
        """Natural logarithm of the capital now."""
        return _log_mean_exp(self._logs)

    def add(self, value: Number) -> None:
        """Bet on the next value, which lies in [0, 1]."""
        bound = self._bound()
        gain = _gain(float(value), bound, self.side)
        if gain == math.inf:
            self._logs = [math.inf] * len(FRACTIONS)
        elif gain != 0.0:
            self._logs = [log + math.log1p(share * gain) for log, share in zip(self._logs, FRACTIONS, strict=True)]
        self.n += 1
        if self.n_planned is not None:
            self._left = self._left - value
            self._settle(self.n_planned - self.n)
        if max(self._logs) > self.log_peak:  # the mean is at most the largest
            self.log_peak = max(self.log_peak, self.log_capital)

    def shows(self, alpha: float) -> bool:
        """Return whether it is shown at risk `alpha`, or certain."""
        return self.is_certain or (alpha > 0 and self.log_peak >= -math.log(alpha))

    def _bound(self) -> float:
        if self.n_planned is None:
            return float(self.mean)
        if self.n >= self.n_planned:
            raise UsageError(f"value {self.n + 1} of {self.n_planned} planned: a suite has no more values than planned")
        return min(1.0, max(0.0, float(self._left) / (self.n_planned - self.n)))

    def _settle(self, n_left: int) -> None:
        """See whether the sum of all values is certain to be above the bound, or within it."""
        left = self._left
        slack = 0 if isinstance(left, Fraction) else ROUNDING * (self.n_planned or 1)
        if self.side == "above":
            self.is_certain = self.is_certain or left < -slack
        else:
            self.is_certain = self.is_certain or left >= n_left - slack


def _gain(value: float, bound: float, side: Side) -> float:
    """Return what the largest admissible bet wins on `value`, in [-1, inf]."""
    gap, stake = (value - bound, bound) if side == "above" else (bound - value, 1.0 - bound)
    if gap == 0.0:
        return 0.0
    return gap / stake if stake > 0.0 else math.copysign(math.inf, gap)


def _log_mean_exp(logs: Sequence[float]) -> float:
    top = max(logs)
    if math.isinf(top):
        return top
    return top + math.log(math.fsum(math.exp(log - top) for log in logs) / len(logs))


def rescaled(value: Number, least: float) -> Number:
    """Return a value from [least, 1] on [0, 1]."""
    if least == 0:
        return value
    ends = Fraction(least).limit_denominator(1000)
    return (value - ends) / (1 - ends) if isinstance(value, Fraction) else (value - least) / (1 - least)


@dataclass(slots=True)
class MeanTest:
    """Both sides at once, each at `alpha`: only one of the two verdicts can be wrong for a fixed mean.

    Values may be intervals: the low end counts for `above`, the high end for `within`. Where something is allowed for,
    each side has a bound of its own; one outside [0, 1] is never shown.
    """

    bound: Number
    alpha: float
    n_planned: int | None
    above_bound: Number | None = None
    within_bound: Number | None = None
    above: Capital = field(init=False)
    within: Capital = field(init=False)

    def __post_init__(self) -> None:
        if not 0 <= self.bound <= 1:
            raise UsageError(f"the bound of the mean is {self.bound!r}, but must be from 0 to 1")
        if not 0 <= self.alpha < 1:
            raise UsageError(f"alpha is {self.alpha!r}, but must be a risk from 0 to below 1")
        above, within = (self.bound if own is None else own for own in (self.above_bound, self.within_bound))
        self.above = Capital(above, "above", self.n_planned)
        self.within = Capital(within, "within", self.n_planned)

    def add(self, low: Number, high: Number) -> Side | None:
        """Take the next value; return what is shown now, if anything."""
        self.above.add(low)
        self.within.add(high)
        return self.shown

    @property
    def shown(self) -> Side | None:
        """What is shown so far."""
        if self.above.shows(self.alpha):
            return "above"
        return "within" if self.within.shows(self.alpha) else None


@dataclass(frozen=True, slots=True)
class Bounds:
    """Ends of the mean, each wrong with probability at most alpha."""

    lower: float
    upper: float


def bounds(lows: Sequence[Number], highs: Sequence[Number], n_planned: int | None, alpha: float) -> Bounds:
    """Return the bounds of the mean by inverting both tests: the means that neither has rejected.

    Valid at any time. Costs about 2 x 40 passes over the values; memory is bounded by blocks of 4,096 values.
    """
    import numpy as np

    low, high = np.asarray(lows, dtype=float), np.asarray(highs, dtype=float)
    threshold = -math.log(alpha)
    least, most = (0.0, 1.0) if n_planned is None else _certain(low, high, n_planned)
    return Bounds(
        lower=_invert(lambda mean: _reaches(low, n_planned, mean, "above", threshold), least, most, rejects_low=True),
        upper=_invert(lambda mean: _reaches(high, n_planned, mean, "within", threshold), least, most, rejects_low=False),
    )  # fmt: skip


def _certain(low: np.ndarray[Any, Any], high: np.ndarray[Any, Any], n_planned: int) -> tuple[float, float]:
    return math.fsum(low) / n_planned, (math.fsum(high) + n_planned - len(high)) / n_planned


def _invert(rejected: Any, least: float, most: float, *, rejects_low: bool) -> float:
    """Return the end of the means that are not rejected; rejection is monotone in the mean."""
    inside, outside = (most, least) if rejects_low else (least, most)
    if not rejected(outside):
        return outside
    for _ in range(BISECTIONS):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if rejected(middle) else (middle, outside)
    return outside


def _reaches(values: np.ndarray[Any, Any], n_planned: int | None, mean: float, side: Side, threshold: float) -> bool:
    """Return whether the log capital ever reaches the threshold; most blocks are told from their largest share."""
    for rows in _log_rows(values, n_planned, mean, side):
        near = rows[rows.max(axis=1) >= threshold]
        if len(near) and bool((_log_means(near) >= threshold).any()):
            return True
    return False


def log_capital(values: Sequence[Number], n_planned: int | None, mean: float, side: Side) -> np.ndarray[Any, Any]:
    """Return the log capital after each value, as `Capital.add` does one by one; shape (n,)."""
    import numpy as np

    parts = [_log_means(rows) for rows in _log_rows(np.asarray(values, dtype=float), n_planned, mean, side)]
    return np.concatenate(parts) if parts else np.zeros(0)


def crossing(values: np.ndarray[Any, Any], n_planned: int | None, mean: float, side: Side, alpha: float) -> int | None:
    """Return after how many values the capital first reaches 1/alpha or the end is certain; `None` for never."""
    import numpy as np

    done, threshold, total = 0, -math.log(alpha), 0.0
    for rows in _log_rows(values, n_planned, mean, side):
        part = _log_means(rows)
        hit = part >= threshold
        if n_planned is not None:
            block = values[done : done + len(part)]
            sums = total + np.cumsum(block)
            left = mean * n_planned - sums
            to_come = n_planned - done - np.arange(1, len(part) + 1)
            slack = ROUNDING * n_planned
            hit |= left < -slack if side == "above" else left >= to_come - slack
            total = float(sums[-1])
        if hit.any():
            return done + int(hit.argmax()) + 1
        done += len(part)
    return None


def _log_rows(
    values: np.ndarray[Any, Any], n_planned: int | None, mean: float, side: Side
) -> Iterator[np.ndarray[Any, Any]]:
    """Yield the log capitals of all shares, block by block; each (values, shares)."""
    import numpy as np

    shares = np.asarray(FRACTIONS)
    logs, total = np.zeros(len(shares)), 0.0
    for start in range(0, len(values), BLOCK):
        block = values[start : start + BLOCK]
        bound: Any = np.full(len(block), float(mean))
        if n_planned is not None:
            before = total + np.concatenate(([0.0], np.cumsum(block)[:-1]))
            bound = np.clip((mean * n_planned - before) / (n_planned - start - np.arange(len(block))), 0.0, 1.0)
            total += float(block.sum())
        gap, stake = (block - bound, bound) if side == "above" else (bound - block, 1.0 - bound)
        with np.errstate(divide="ignore", invalid="ignore"):
            gain = np.where(gap == 0.0, 0.0, gap / stake)
        rows = logs + np.cumsum(np.log1p(gain[:, None] * shares), axis=0)
        rows = np.where(np.isnan(rows), np.inf, rows)
        logs = rows[-1]
        yield rows


def _log_means(rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the logarithm of the mean capital of each row."""
    import numpy as np

    top = rows.max(axis=1)
    finite = np.where(np.isinf(top), 0.0, top)
    with np.errstate(over="ignore"):
        means: np.ndarray[Any, Any] = finite + np.log(np.exp(rows - finite[:, None]).mean(axis=1))
    return np.where(np.isinf(top), top, means)
