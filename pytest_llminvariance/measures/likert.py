"""Numbers of a Likert instrument: summaries, paired effects, acquiescence, consistency, keys that look mis-typed.

Answers come as ends: equal where an answer is known, those of the scale where it may have been anything.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_llminvariance.measures.estimates import LEVEL
from pytest_llminvariance.measures.metrics import Ends
from pytest_llminvariance.measures.paired_tests import t_quantile
from pytest_llminvariance.questions.orders import Order

KEPT = ("content", "position", "both", "other")
"""What a reversal of the options can leave in place."""
MIN_SAME_KEY = 3
"""Other items of a trait and key that an item is compared with, at least."""


@dataclass(frozen=True, slots=True)
class Summary:
    """Scores of some items."""

    mean: float | None
    """Of the known; `None` where nothing is known."""
    sd: float | None
    """With n - 1; `None` below two known scores."""
    n: int
    """Known scores."""
    n_open: int
    """Answers that may have been anything: unparsed, refused, unfinished, missing."""
    low: float
    high: float
    """Between these the mean of all items lies, whatever the open answers were."""


@dataclass(frozen=True, slots=True)
class Effect:
    """The mean of after - before over items, in points of the scale."""

    mean: float | None
    """Over the pairs that are known on both sides."""
    low: float
    high: float
    """Between these the mean over all items lies, whatever the open answers were."""
    differences: tuple[float, ...]
    """Of the known pairs."""


@dataclass(frozen=True, slots=True)
class Acquiescence:
    """Mean on + items minus mirrored mean on - items, in points of the scale."""

    value: float | None
    low: float
    high: float
    """A 99% interval (Welch) over items, widened by what open answers may have been."""


def summary(scores: Sequence[Ends]) -> Summary:
    """Return mean, standard deviation and bounds of the scores of some items."""
    known = [low for low, high in scores if low == high]
    n = len(scores)
    return Summary(
        mean=_mean(known) if known else None,
        sd=statistics.stdev(known) if len(known) > 1 else None,
        n=len(known),
        n_open=n - len(known),
        low=_mean([low for low, _ in scores]),
        high=_mean([high for _, high in scores]),
    )


def effect(before: Sequence[Ends], after: Sequence[Ends]) -> Effect:
    """Return how much the mean score of the same items moved."""
    pairs = list(zip(before, after, strict=True))
    known = tuple(b[0] - a[0] for a, b in pairs if a[0] == a[1] and b[0] == b[1])
    low, high = (_mean([b[end] - a[1 - end] for a, b in pairs]) for end in (0, 1))
    return Effect(_mean(known) if known else None, low, high, known)


def acquiescence(plus: Sequence[Ends], minus: Sequence[Ends], confidence: float = LEVEL) -> Acquiescence | None:
    """Return how far agreeing wins over content; `minus` holds the mirrored scores of - items. `None` without both keys.

    0 on average for a respondent who answers by content, up to the range of the scale for one who agrees with everything.
    """
    if not plus or not minus:
        return None
    one, other = summary(plus), summary(minus)
    low, high = one.low - other.high, one.high - other.low
    if one.mean is None or other.mean is None or one.sd is None or other.sd is None:
        return Acquiescence(None, low, high)
    parts = [one.sd**2 / one.n, other.sd**2 / other.n]
    spread = math.fsum(parts)
    freedom = (
        spread**2 / math.fsum(part**2 / (n - 1) for part, n in zip(parts, (one.n, other.n), strict=True))
        if spread
        else 1.0
    )
    half = t_quantile(confidence, freedom) * math.sqrt(spread)
    return Acquiescence(one.mean - other.mean, low - half, high + half)


def cronbach_alpha(rows: Sequence[Sequence[float]]) -> float | None:
    """Return Cronbach's alpha of rows (one a respondent) of item scores; `None` where it is not defined.

    k / (k - 1) x (1 - sum of the items' variances / variance of the rows' sums).
    """
    k = len(rows[0]) if rows else 0
    if len(rows) < 2 or k < 2:
        return None
    whole = statistics.variance([math.fsum(row) for row in rows])
    if whole <= 1e-12:
        return None
    return k / (k - 1) * (1 - math.fsum(statistics.variance(column) for column in zip(*rows, strict=True)) / whole)


def looks_mistyped(score: float, others: Sequence[float], ends: Ends) -> bool:
    """Return whether an item's printed score fits the others of its trait and key only when it is mirrored.

    The comparison is within one key, so agreeing with everything looks like nothing. The others must be at one: their
    mean distance from their median at most a quarter of the range; and the mirrored score nearer by half of it.
    """
    if len(others) < MIN_SAME_KEY:
        return False
    middle, span = statistics.median(others), ends[1] - ends[0]
    if _mean([abs(other - middle) for other in others]) > span / 4:
        return False
    return abs(score - middle) - abs(ends[0] + ends[1] - score - middle) >= span / 2


def camps(scores: Sequence[float], ends: Ends) -> tuple[float, float] | None:
    """Return the means of two camps that items of one key fall into, one at each end of the scale; `None` for any other picture.

    Items that measure one thing cannot be answered at both ends: half of them are keyed the other way. A quarter of the
    items at least must stand in each camp, none in the middle, and each camp within an eighth of the range.
    """
    middle, span = (ends[0] + ends[1]) / 2, ends[1] - ends[0]
    low, high = [score for score in scores if score < middle], [score for score in scores if score >= middle]
    if min(len(low), len(high)) < max(2, len(scores) / 4) or any(abs(score - middle) < span / 8 for score in scores):
        return None
    means = _mean(low), _mean(high)
    close = all(
        _mean([abs(one - mean) for one in camp]) <= span / 8 for camp, mean in zip((low, high), means, strict=True)
    )
    return means if close and means[1] - means[0] >= span * 5 / 8 else None


def kept(order: Order, first: frozenset[int], second: frozenset[int]) -> str:
    """Return what stayed when the options shown in `order` were reversed: the content, the position, both, or neither (other).

    `first` and `second` are what may have been answered before and after. The middle of an odd scale keeps both, so it
    says nothing about either; open answers are `other`.
    """
    if len(first) != 1 or len(second) != 1 or min(first | second) < 0:
        return "other"
    (a,), (b,) = first, second
    content, position = a == b, order.index(a) == len(order) - 1 - order.index(b)
    return "both" if content and position else "content" if content else "position" if position else "other"


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
