"""What a model answered, as a probability over contents.

Everything that compares answers sees contents and never letters or positions; the way back is taken once,
here, when a distribution is built from what was shown.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from pytest_llminvariance.models.protocol import log_of
from pytest_llminvariance.questions.orders import inverse

REFUSED = -1
"""The outcome of a refusal; contents are 0 and above."""

UNKNOWN_STATUSES = ("unfinished", "unparsed", "missing")
"""An answer of these may have been anything."""

AnswerStatus = Literal["scored", "chosen", "refused", "unfinished", "unparsed", "missing"]


DELTA_NATS = 1e-4
"""Two log-probabilities closer than this are a tie, until the engine measures its own noise."""
LEAST_REST = 1e-3
"""Probability beside the top below which noise is not told apart: such an answer is as sure as one with so much."""
NO_NUMBER = "its scores are no numbers"


@dataclass(frozen=True, slots=True)
class AnswerDistribution:
    """Probability over contents, plus `other` for everything that is no option.

    `probabilities` and `other` sum to 1. `log_weights` rank the contents in nats (log-probabilities of the
    labels, or mean log-probabilities per token of the options); `None` where an answer is a parsed text.
    `status` tells how it came about: an answer that is unfinished, unparsed or missing may be anything. One with NaN is
    missing.
    """

    probabilities: tuple[float, ...]
    other: float
    status: AnswerStatus
    log_weights: tuple[float, ...] | None = None
    mass: float | None = None
    """Probability mass on the options before any normalisation; `None` where it cannot be known."""
    unlisted: float = 0.0
    """The part of `other` that may belong to any content: what a server did not tell."""
    reading: str = field(default="", compare=False)
    """How a text was read: `en: announced label`, `unparsed: two answers`; empty for other readouts."""
    said: str = field(default="", compare=False)
    """Of an answer that says nothing: why nothing came, or the beginning of the text that names no option."""
    _outcomes: tuple[float, frozenset[int]] | None = field(default=None, init=False, compare=False, repr=False)
    # asked for a dozen times by what is measured and guarded

    @property
    def k(self) -> int:
        """Number of contents."""
        return len(self.probabilities)

    @classmethod
    def from_label_logprobs(
        cls, shown: Sequence[float], order: Sequence[int], unlisted: float = 0.0
    ) -> AnswerDistribution:
        """Build from log-probabilities by position, over the whole vocabulary (nats); with NaN among them it is missing."""
        weights = _by_content(shown, order)
        if not _are_known(weights):
            return cls.nothing(len(weights), "missing", said=NO_NUMBER)
        probabilities = tuple(map(math.exp, weights))
        mass = min(1.0, math.fsum(probabilities))
        return cls(probabilities, 1.0 - mass, "scored", weights, mass, min(unlisted, 1.0 - mass))

    @classmethod
    def from_option_scores(cls, shown: Sequence[float], order: Sequence[int]) -> AnswerDistribution:
        """Build from one log-score per position (nats); they are normalised over the options (softmax).

        With NaN among them, or nothing above minus infinity, the answer is missing.
        """
        weights = _by_content(shown, order)
        top = max(weights)
        if not _are_known(weights) or top == -math.inf:
            return cls.nothing(len(weights), "missing", said=NO_NUMBER)
        scaled = [math.exp(weight - top) for weight in weights]
        total = math.fsum(scaled)
        return cls(tuple(value / total for value in scaled), 0.0, "scored", weights)

    @classmethod
    def from_probabilities(cls, shown: Sequence[float], order: Sequence[int]) -> AnswerDistribution:
        """Build from probabilities by position; what is missing to 1 is `other`."""
        return cls.from_label_logprobs([log_of(value) for value in shown], order)

    @classmethod
    def chosen(cls, content: int, k: int, reading: str = "") -> AnswerDistribution:
        """Build from one chosen content."""
        return cls(tuple(float(index == content) for index in range(k)), 0.0, "chosen", mass=1.0, reading=reading)

    @classmethod
    def nothing(cls, k: int, status: AnswerStatus, reading: str = "", said: str = "") -> AnswerDistribution:
        """Build an answer that is no option: refused, unfinished, unparsed or missing."""
        mass = None if status in ("missing", "unfinished") else 0.0
        return cls((0.0,) * k, 1.0, status, mass=mass, reading=reading, said=said)

    @property
    def is_known(self) -> bool:
        """False where the answer may have been anything."""
        return self.status not in UNKNOWN_STATUSES

    @property
    def contradiction(self) -> str:
        """What contradicts itself in a text, `number and words disagree`; empty for all others."""
        return self.reading.removeprefix("unparsed: ") if self.reading.endswith(" disagree") else ""

    def outcomes(self, delta_nats: float) -> frozenset[int]:
        """Return the contents within `delta_nats` of the top; every outcome where the answer is not known."""
        found = self._outcomes
        if found is None or found[0] != delta_nats:
            found = _shared(delta_nats, self._within(delta_nats))
            object.__setattr__(self, "_outcomes", found)
        return found[1]

    def _within(self, delta_nats: float) -> frozenset[int]:
        if self.status == "refused":
            return frozenset({REFUSED})
        if not self.is_known:
            return frozenset({REFUSED, *range(self.k)})
        if self.log_weights is None:
            return frozenset({self.probabilities.index(max(self.probabilities))})
        top = max(self.log_weights)
        if top == -math.inf:
            return frozenset({REFUSED, *range(self.k)})
        reached: Sequence[float] = self.log_weights
        if self.unlisted:
            reached = [log_of(math.exp(weight) + self.unlisted) for weight in reached]
        return frozenset([index for index, weight in enumerate(reached) if top - weight <= delta_nats])

    def parts(self, delta_nats: float) -> tuple[float, ...] | None:
        """Return which part of the choice falls on each content: equal parts where they tie, none where it is a refusal.

        `None` where that is open: the answer may have been anything, or noise or what a server did not tell may change it.
        """
        outcomes = self.outcomes(delta_nats)
        if len(outcomes) > 1 and (min(outcomes) < 0 or self.unlisted > 0 or outcomes != self._within(DELTA_NATS)):
            return None
        return _equal_parts(outcomes, self.k)

    def without_numbers(self, delta_nats: float) -> AnswerDistribution:
        """Return an answer with the same outcomes, status and words, and no mass and probabilities that say nothing.

        One with several outcomes stays as it is, as guards ask whether noise or what a server did not tell makes them.
        """
        outcomes = self.outcomes(delta_nats)
        if self.log_weights is None or self.status != "scored":
            return _same(self, self.reading, self.said)
        if len(outcomes) > 1 or self.unlisted:
            return self
        return _like(outcomes, self.k, self.reading, self.said)

    def expected_score(self, scores: Sequence[float]) -> float | None:
        """Return the mean score over the options; `None` where no option was answered, or it is not known exactly."""
        low, high = self.expected_scores(scores)
        return low if low == high and any(self.probabilities) else None

    def expected_scores(self, scores: Sequence[float], delta_nats: float = 0.0) -> tuple[float, float]:
        """Return between which ends the mean score over the options lies, whatever noise made it: those of the scale where nothing is known."""
        mass, total = (
            math.fsum(self.probabilities),
            math.fsum(map(math.prod, zip(self.probabilities, scores, strict=True))),
        )
        ends = (min(scores), max(scores))
        if mass == 0 or not self.is_known:
            return ends
        low, high = ((total + self.unlisted * end) / (mass + self.unlisted) for end in ends)
        if delta_nats <= DELTA_NATS or not self.is_noisy:
            return low, high
        moved = moved_share(1 - max(self.probabilities) / mass, delta_nats) * (ends[1] - ends[0])
        return max(ends[0], low - moved), min(ends[1], high + moved)

    def moved(self, delta_nats: float) -> float:
        """Return how much probability noise may have moved, over contents and `other`; a text has none."""
        return moved_share(1 - max(self.vector()), delta_nats) if self.is_noisy else 0.0

    @property
    def is_noisy(self) -> bool:
        """Whether it is made of numbers, which noise moves."""
        return self.is_known and self.log_weights is not None

    def noise_to(self, other: AnswerDistribution) -> float:
        """Return how far log-odds of contents must move at least to make `other` of this: the inverse of `moved_share`."""
        one, two = self._shares(), other._shares()
        moved = math.fsum(abs(p - q) for p, q in zip(one, two, strict=True)) / 2
        rest = max(1 - max(one), LEAST_REST)
        if rest + moved / 2 > 0.5:
            return 4 * math.atanh(moved) if moved < 1 else math.inf
        return _logit(rest + moved) - _logit(rest)

    def _shares(self) -> tuple[float, ...]:
        mass = math.fsum(self.probabilities) or 1.0
        return tuple(p / mass for p in self.probabilities)

    def vector(self) -> tuple[float, ...]:
        """Return probabilities with `other` last."""
        return (*self.probabilities, self.other)


@lru_cache(maxsize=4096)
def _shared(delta_nats: float, outcomes: frozenset[int]) -> tuple[float, frozenset[int]]:
    """Return one object for equal outcomes: there are few, and answers are many."""
    return delta_nats, outcomes


@lru_cache(maxsize=4096)
def _equal_parts(outcomes: frozenset[int], k: int) -> tuple[float, ...]:
    return tuple((content in outcomes) / len(outcomes) for content in range(k))


@lru_cache(maxsize=4096)
def _like(outcomes: frozenset[int], k: int, reading: str, said: str) -> AnswerDistribution:
    """Return a scored answer with these outcomes, one object for all that have them."""
    weights = tuple(0.0 if content in outcomes else -1e9 for content in range(k))
    return AnswerDistribution((1 / k,) * k, 0.0, "scored", weights, reading=reading, said=said)


@lru_cache(maxsize=4096)
def _same(answer: AnswerDistribution, _reading: str, _said: str) -> AnswerDistribution:
    """Return one object for answers that are equal and were read in the same way."""
    return answer


def share_told(answer: AnswerDistribution, one: int, other: int) -> float | None:
    """Return the probability of a content among two, as it was told; `None` where there is none, or less than was not told."""
    p, q = answer.probabilities[one], answer.probabilities[other]
    return p / (p + q) if answer.is_known and p + q > answer.unlisted else None


def share_between(answer: AnswerDistribution, one: int, other: int, delta_nats: float = 0.0) -> tuple[float, float]:
    """Return its smallest and largest value, wherever belongs what was not told, and whatever noise made it: all where nothing is known."""
    p, q, more = answer.probabilities[one], answer.probabilities[other], answer.unlisted
    if not answer.is_known or p + q == 0:
        return 0.0, 1.0
    low, high = p / (p + q + more), (p + more) / (p + q + more)
    if delta_nats <= DELTA_NATS or not answer.is_noisy:
        return low, high
    moved = moved_share(min(p, q) / (p + q), delta_nats)
    return max(0.0, low - moved), min(1.0, high + moved)


def beyond_ties(delta_nats: float) -> float:
    """Return the noise of numbers: none where it is less than what makes a tie anyway."""
    return delta_nats if delta_nats > DELTA_NATS else 0.0


def tilted(rest: float, delta_nats: float) -> tuple[float, float]:
    """Return the probability of a part before and after its log-odds move by `delta_nats`, where that changes it most.

    `rest` is all that is not on the likeliest outcome. So each part has at most that, or all but that, and the smaller a
    part is the less it changes.
    """
    delta = min(delta_nats, 60.0)
    part = min(max(rest, LEAST_REST), 1 / (1 + math.exp(delta / 2)))
    return part, part / (part + (1 - part) * math.exp(-delta))


def moved_share(rest: float, delta_nats: float) -> float:
    """Return how much probability changes hands at most where log-odds move by `delta_nats`: tanh(delta / 4) or less."""
    before, after = tilted(rest, delta_nats)
    return after - before


def _logit(share: float) -> float:
    return math.log(share / (1 - share))


def _are_known(weights: Sequence[float]) -> bool:
    """Return whether all are logarithms: NaN and plus infinity are none, and no sum hides them."""
    return sum(weights) < math.inf


def _by_content(shown: Sequence[float], order: Sequence[int]) -> tuple[float, ...]:
    """Take values by position back to contents: what stands at position p belongs to `order[p]`."""
    if len(shown) != len(order):
        raise ValueError(f"{len(shown)} values for {len(order)} positions")
    return tuple([float(shown[position]) for position in inverse(order)])


def masses_of(answers: Iterable[AnswerDistribution]) -> array[float]:
    """Return the probability mass on the options of each answer; NaN where it cannot be known."""
    return array("d", (math.nan if answer.mass is None else answer.mass for answer in answers))


def mean_mass(masses: Iterable[float]) -> float | None:
    """Return the mean of the masses on options that are known, and not NaN; `None` where none is."""
    known = [mass for mass in masses if not math.isnan(mass)]
    return math.fsum(known) / len(known) if known else None
