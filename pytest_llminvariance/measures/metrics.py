"""How far the answers on an orbit differ, each metric in [0, 1] and as an interval.

An interval holds what ties, noise, unparsed and missing answers leave open: `low` is what is certain to
differ, `high` what may differ. BROKEN is decided on `low`, HOLDS on `high`.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.measures.decomposition import decomposed, entropy_moved_bits, js_distance, js_moved
from pytest_llminvariance.measures.distribution import DELTA_NATS as DELTA_NATS
from pytest_llminvariance.measures.distribution import AnswerDistribution, beyond_ties, tilted
from pytest_llminvariance.measures.places import off_balance

Number = Fraction | float
Ends = tuple[float, float]
"""Smallest and largest that a value may be."""
Answers = Sequence[AnswerDistribution]


@dataclass(frozen=True, slots=True)
class Interval:
    """A value known to lie between two ends; exact where they are equal."""

    low: Number
    high: Number

    @property
    def is_exact(self) -> bool:
        """True where nothing is left open."""
        return self.low == self.high

    def widened(self, by: float, most: float = 1.0) -> Interval:
        """Return it where either end may be off by so much, within 0 and `most`."""
        return Interval(max(0.0, self.low - by), min(most, self.high + by)) if by else self

    def complement(self) -> Interval:
        """Return one minus this."""
        return Interval(1 - self.high, 1 - self.low)


UNKNOWN = Interval(Fraction(0), Fraction(1))
SAME, DIFFERENT = Interval(Fraction(0), Fraction(0)), Interval(Fraction(1), Fraction(1))


PAIRWISE = {"unchanged": "flip_rate", "trait_shift": "score_gap"}
"""By metric, which other one compares two answers in its units; of others that pool it is flip_rate."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric on the answers to one question; the first answer is the one as written."""

    name: str
    words: str
    """What it counts, for a sentence: `the answer changed in`."""
    unit: str
    """What it is counted over: `other presentations`, `pairs`; empty where it is no share."""
    measure: Callable[[Answers, Sequence[float] | None, float], Interval]
    needs_scores: bool = False
    needs_full_design: bool = False
    pooled: bool = False
    least: float = 0.0
    """The smallest value that it can take; the largest is 1."""
    own: bool = False
    """Whether one property alone is measured by it, and by nothing else."""

    @property
    def pairwise(self) -> Metric:
        """What compares two answers in its units: itself, unless it pools, or turns round, what it compares."""
        other = PAIRWISE.get(self.name, "flip_rate" if self.pooled else "")
        return METRICS[other] if other else self


def flip(one: AnswerDistribution, other: AnswerDistribution, delta_nats: float) -> Interval:
    """Return whether two answers differ: certain where their outcome sets are disjoint."""
    a, b = one.outcomes(delta_nats), other.outcomes(delta_nats)
    return SAME if a == b and len(a) == 1 else UNKNOWN if a & b else DIFFERENT


class Pairs(NamedTuple):
    """How many of `total` pairs of answers differ: for certain, and at most."""

    differ: int
    may_differ: int
    total: int

    @classmethod
    def with_first(cls, answers: Answers, delta_nats: float) -> Pairs:
        """Count the first answer against each of the others."""
        first, *others = [answer.outcomes(delta_nats) for answer in answers]
        counts = Counter(others)  # outcomes are few where answers are many
        same = counts[first] if len(first) == 1 else 0
        differ = sum(n for other, n in counts.items() if not first & other)
        return cls(differ, len(others) - same, len(others))

    @classmethod
    def of(cls, answers: Answers, delta_nats: float) -> Pairs:
        """Count every pair, by what the answers may be: outcomes are few where answers are many."""
        counts = list(Counter(answer.outcomes(delta_nats) for answer in answers).items())
        total, differ = math.comb(len(answers), 2), 0
        for place, (one, n) in enumerate(counts):
            differ += n * sum(m for other, m in counts[place + 1 :] if not one & other)
        return cls(differ, total - sum(math.comb(n, 2) for one, n in counts if len(one) == 1), total)

    def without(self, others: Iterable[Pairs]) -> Pairs:
        """Return the pairs that are in none of `others`, which are all in this."""
        removed = list(others)
        return Pairs(*(mine - sum(theirs) for mine, theirs in zip(self, zip(*removed, strict=True), strict=True)))

    @property
    def share(self) -> Interval:
        """The share that differs."""
        return _share(self.differ, self.may_differ, self.total)


@lru_cache(maxsize=4096)
def _share(differ: int, may_differ: int, total: int) -> Interval:
    return Interval(Fraction(differ, total), Fraction(may_differ, total))


def mean_interval(values: Sequence[Interval]) -> Interval:
    """Return the mean of intervals: exact for fractions, correctly rounded for floats."""
    return Interval(_mean([value.low for value in values]), _mean([value.high for value in values]))


def _mean(values: Sequence[Number]) -> Number:
    fractions = [value for value in values if isinstance(value, Fraction)]
    if len(fractions) == len(values):
        whole = math.lcm(*{value.denominator for value in fractions})  # one division in place of one a value
        return Fraction(sum(value.numerator * (whole // value.denominator) for value in fractions), whole * len(values))
    return math.fsum(values) / len(values)


def _flip_rate(answers: Answers, scores: Sequence[float] | None, delta_nats: float) -> Interval:
    del scores
    return Pairs.with_first(answers, delta_nats).share


def _disagreement(answers: Answers, scores: Sequence[float] | None, delta_nats: float) -> Interval:
    del scores
    return Pairs.of(answers, delta_nats).share


def _tv_pair(one: AnswerDistribution, other: AnswerDistribution, noise: float) -> Interval:
    if not (one.is_known and other.is_known):
        return UNKNOWN
    distance = math.fsum(abs(p - q) for p, q in zip(one.vector(), other.vector(), strict=True)) / 2
    return Interval(max(0.0, distance - noise), min(1.0, distance + noise))


def _tv(answers: Answers, scores: Sequence[float] | None, delta_nats: float) -> Interval:
    del scores
    each = [(answer, answer.moved(delta_nats) + answer.unlisted) for answer in answers]
    return mean_interval([_tv_pair(a, b, m + n) for (a, m), (b, n) in itertools.combinations(each, 2)])


def _js_distance(answers: Answers, scores: Sequence[float] | None, delta_nats: float) -> Interval:
    del scores
    if not all(answer.is_known for answer in answers):
        return UNKNOWN
    vectors = [answer.vector() for answer in answers]
    centroid = [math.fsum(column) / len(vectors) for column in zip(*vectors, strict=True)]
    value = float(_mean([js_distance(vector, centroid) for vector in vectors]))
    # the distance is a metric, and moving a probability p moves an answer by at most sqrt(p ln 2)
    moved = [answer.unlisted for answer in answers]
    slack = math.fsum(map(js_moved, moved)) / len(moved) + js_moved(math.fsum(moved) / len(moved))
    if (
        delta_nats > DELTA_NATS
    ):  # its square is convex in both, so the centroid moves by at most the mean of the squares
        noise = [_js_tilted(answer, delta_nats) for answer in answers]
        slack += math.fsum(noise) / len(noise) + math.sqrt(math.fsum(one * one for one in noise) / len(noise))
    return Interval(max(0.0, value - slack), min(1.0, value + slack))


def _js_tilted(answer: AnswerDistribution, delta_nats: float) -> float:
    """Return how far noise moves an answer at most."""
    if not answer.is_noisy:
        return 0.0
    one, other = tilted(1 - max(answer.vector()), delta_nats)
    return js_distance((one, 1 - one), (other, 1 - other))


def _form_inconsistency(answers: Answers, scores: Sequence[float] | None, delta_nats: float) -> Interval:
    del scores
    if not all(answer.is_known for answer in answers):
        return UNKNOWN
    found = decomposed([answer.vector() for answer in answers])
    moved = [min(1.0, answer.unlisted + answer.moved(beyond_ties(delta_nats))) for answer in answers]
    bits = [entropy_moved_bits(one, found.n_outcomes) for one in (math.fsum(moved) / len(moved), *moved)]
    slack = (bits[0] + math.fsum(bits[1:]) / len(moved)) / math.log2(min(found.n_forms, found.n_outcomes))
    return Interval(max(0.0, found.inconsistency - slack), min(1.0, found.inconsistency + slack))


def score_ends(answer: AnswerDistribution, scores: Sequence[float], delta_nats: float, *, known: bool = True) -> Ends:
    """Return between which ends the expected score of an answer lies: those of the scale where it is not known."""
    return answer.expected_scores(scores, delta_nats) if known else (min(scores), max(scores))


def _scored(answers: Answers, scores: Sequence[float] | None, delta_nats: float) -> tuple[list[Ends], Sequence[float]]:
    if scores is None:
        raise UsageError("this metric compares scores, but the question has none. Give Question(..., scores=...)")
    return [score_ends(answer, scores, delta_nats) for answer in answers], scores


def _score_gap(answers: Answers, scores: Sequence[float] | None, delta_nats: float) -> Interval:
    """Return the mean over pairs; with open answers its smallest and largest value over all that they may have been.

    It is convex in each answer. So, where nothing is known of the open ones, it is smallest with all open ones at the median of the known, and largest with each
    at an end of the scale.
    """
    ends, scale = _scored(answers, scores, delta_nats)
    known = [low for low, high in ends if low == high]
    n_open, lowest, highest = len(ends) - len(known), min(scale), max(scale)
    span, n_pairs = highest - lowest, math.comb(len(ends), 2)
    fixed = math.fsum(abs(a - b) / span for a, b in itertools.combinations(known, 2))
    if not n_open:
        return Interval(fixed / n_pairs, fixed / n_pairs)
    middle = statistics.median(known) if known else lowest
    to_middle, to_lowest, to_highest = (
        math.fsum(abs(value - end) / span for value in known) for end in (middle, lowest, highest)
    )
    most = max(n * to_lowest + (n_open - n) * to_highest + n * (n_open - n) for n in range(n_open + 1))
    # closer where an open answer is known in part: each pair by itself
    pairs = list(itertools.combinations(ends, 2))
    least = math.fsum(max(0.0, a[0] - b[1], b[0] - a[1]) / span for a, b in pairs)
    farthest = math.fsum(max(a[1] - b[0], b[1] - a[0]) / span for a, b in pairs)
    low, high = max(fixed + n_open * to_middle, least), min(fixed + most, farthest)
    return Interval(low / n_pairs, min(1.0, high / n_pairs))


def _score_shift(answers: Answers, scores: Sequence[float] | None, delta_nats: float) -> Interval:
    ends, scale = _scored(answers, scores, delta_nats)
    low, high = range_between(ends)
    span = max(scale) - min(scale)
    return Interval(low / span, high / span)


def range_between(ends: Sequence[Ends]) -> Ends:
    """Return the smallest and the largest that max - min of values can be, each value between two ends of its own."""
    low = max(0.0, max(low for low, _ in ends) - min(high for _, high in ends))
    top = max(range(len(ends)), key=lambda index: ends[index][1])
    one, others = ends[top], [*ends[:top], *ends[top + 1 :]]
    if not others:
        return low, low
    least, most = min(low for low, _ in others), max(high for _, high in others)
    return low, max(one[1] - least, most - one[0])


def _unchanged(answers: Answers, scores: Sequence[float] | None, delta_nats: float) -> Interval:
    return _flip_rate(answers, scores, delta_nats).complement()


def excess_disagreement(samples: int) -> Metric:
    """Return the metric on answers that hold `samples` draws of each presentation, one presentation after the other.

    H = mean disagreement between draws of different presentations, minus that between different draws of one.
    It lies in [-1/samples, 1] and is 0 on average for a sampler that cannot see the presentation; it is
    quadratic in probabilities, so `sqrt(H)` is on their scale.
    """

    def measure(answers: Answers, scores: Sequence[float] | None, delta_nats: float) -> Interval:
        del scores
        rows = [answers[start : start + samples] for start in range(0, len(answers), samples)]
        each = [Pairs.of(row, delta_nats) for row in rows]
        between = Pairs.of(answers, delta_nats).without(each).share
        within = Pairs(*map(sum, zip(*each, strict=True))).share
        low, high = between.low - within.high, between.high - within.low
        return Interval(max(Fraction(-1, samples), low), min(Fraction(1), high))

    words = "answers differ between presentations beyond repeated asking by"
    return Metric("excess_disagreement", words, "", measure, least=-1 / samples)


def of_all_orders(metric: Metric) -> Metric:
    """Return a metric over pairs as an estimate for all orders, from a sample that holds the one as written.

    D = (2 / M) F + ((M - 2) / M) D_rest with M = k! orders, F the mean over pairs with the presentation as
    written and D_rest over pairs of the others: unbiased where the others are drawn uniformly. The flip rate
    is unbiased as it is.
    """
    if metric.name == "flip_rate":
        return metric

    def measure(answers: Answers, scores: Sequence[float] | None, delta_nats: float) -> Interval:
        first = mean_interval([metric.measure((answers[0], b), scores, delta_nats) for b in answers[1:]])
        if len(answers) == 2:
            return first if answers[0].k == 2 else UNKNOWN
        rest = metric.measure(answers[1:], scores, delta_nats)
        share = Fraction(2, math.factorial(answers[0].k))
        return Interval(
            share * first.low + (1 - share) * rest.low,
            share * first.high + (1 - share) * rest.high,
        )

    return dataclasses.replace(metric, measure=measure)


def _pooled(answers: Answers, scores: Sequence[float] | None, delta_nats: float) -> Interval:
    """Stand in for metrics that pool all questions; the value of one question alone is not defined."""
    del answers, scores, delta_nats
    return UNKNOWN


_METRICS = {
    metric.name: metric
    for metric in (
        Metric("flip_rate", "the answer changed in", "other presentations", _flip_rate),
        Metric("disagreement", "answers differ in", "pairs of presentations", _disagreement),
        Metric("tv", "total variation distance between answers is", "", _tv),
        Metric(
            "js_distance", "Jensen-Shannon distance to the mean answer is", "", _js_distance, needs_full_design=True
        ),
        Metric(
            "form_inconsistency",
            "answers diverge, as a share of the most that they can, by",
            "",
            _form_inconsistency,
            needs_full_design=True,
        ),
        Metric("score_gap", "expected scores differ by", "", _score_gap, needs_scores=True),
        Metric(
            "score_shift", "expected scores range over", "", _score_shift, needs_scores=True, needs_full_design=True
        ),
        Metric(
            "position_bias",
            "choices by position are off balance by",
            "",
            _pooled,
            pooled=True,
            needs_full_design=True,
        ),
        Metric(
            "trait_shift",
            "a trait score moved by",
            "",
            _pooled,
            pooled=True,
            needs_scores=True,
            needs_full_design=True,
        ),
        excess_disagreement(2),
        Metric("unchanged", "the answer stayed the same in", "answer-changing edits", _unchanged, own=True),
    )
}
METRICS: Mapping[str, Metric] = MappingProxyType(_METRICS)
"""By name; what a property brings of its own is added when it is registered."""


def own_metric(name: str, words: str, unit: str = "") -> Metric:
    """Return the metric of one property, which pools its evidence itself (`Property.pool`)."""
    return Metric(name, words, unit, _pooled, pooled=True, own=True)


def add_metric(metric: Metric) -> None:
    """Add the metric that a property brings."""
    _METRICS[metric.name] = metric


def position_shares(shown: Sequence[Sequence[float]]) -> tuple[float, ...]:
    """Return the share of mass at each position, from rows of mass by position (n x k)."""
    totals = [math.fsum(column) for column in zip(*shown, strict=True)]
    whole = math.fsum(totals)
    return tuple(total / whole for total in totals) if whole else tuple(0.0 for _ in totals)


def position_bias(shown_by_k: Mapping[int, Sequence[Sequence[float]]]) -> float:
    """Return the total variation distance to uniform of the pooled share of choices by position.

    Equal to the maximum over sets A of positions of s(A) - |A|/k. Questions with different numbers of
    options are pooled apart and averaged by their number of rows.
    """
    n = sum(len(rows) for rows in shown_by_k.values())
    return math.fsum(len(rows) / n * off_balance(position_shares(rows)) for rows in shown_by_k.values())


def trait_shift(scores_by_trait: Mapping[str, Sequence[Sequence[Ends]]], span: float) -> Interval:
    """Return the largest move of any trait score between forms, over the range of the scale.

    `scores_by_trait[trait]` has one row per item: ends of its keyed expected scores by form (n_items x n_forms), equal
    where the answer is known. Items and forms are open each by itself, so both ends of the result can happen.
    """
    shifts = []
    for rows in scores_by_trait.values():
        forms = list(zip(*rows, strict=True))
        ends = [(_mean([low for low, _ in form]), _mean([high for _, high in form])) for form in forms]
        shifts.append(range_between([(float(low), float(high)) for low, high in ends]))
    return Interval(max(low for low, _ in shifts) / span, max(high for _, high in shifts) / span)
