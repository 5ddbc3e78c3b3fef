"""How far the answer must move where another question is asked, and how far that of a perfect model would."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.measures.metrics import Metric, Number, mean_interval
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question

LEAST, LARGEST = Fraction(1, 10), Fraction(1, 2)
"""Under a small tolerance, and under any: a perfect model moves by 1 at most."""


def bound_of_movement(tolerance: Fraction, *others: Number | None, needed: bool) -> Fraction | None:
    """Return what another stem must move the answer by, at most: twice the tolerance, from .10 to .5; `None` where it needs not.

    `others` are smaller tolerances under which a property would hold as well: the largest that the effect can be, or one that it was
    shown to hold under. So what holds under a tolerance holds under every larger one.
    """
    least = min([tolerance, *(Fraction(other) for other in others if other is not None)])
    return min(LARGEST, max(LEAST, 2 * least)) if needed else None


def needed_movement(most: Fraction, could: Number) -> Number:
    """Return what must be exceeded where a model that is always right would move by `could`: at most half of that."""
    return min(most, could / 2)


def could_move(asked: Question, shown: Sequence[Presentation], metric: Metric, samples: int) -> Number:
    """Return how far a model that is always right would move, in the metric's units.

    Where a right answer is not known, the mean over all answers stands for it.
    """
    moves = [
        _apart(metric, samples, len(asked.options), asked.keyed_scores, asked.answer, part.question.answer)
        for part in shown
    ]
    return sum(moves) / len(moves)


@lru_cache(maxsize=4096)
def _apart(
    metric: Metric, samples: int, k: int, scores: tuple[float, ...] | None, one: int | None, other: int | None
) -> Number:
    def certain(content: int) -> tuple[AnswerDistribution, ...]:
        return (AnswerDistribution.chosen(content, k),) * samples

    pairs = itertools.product(range(k) if one is None else (one,), range(k) if other is None else (other,))
    return mean_interval([metric.measure((*certain(a), *certain(b)), scores, 0.0) for a, b in pairs]).low
