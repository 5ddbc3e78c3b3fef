"""Whether probabilities mean what they say: accuracy, Brier score, expected calibration error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_llminvariance.measures.distribution import AnswerDistribution

BINS = 10


@dataclass(frozen=True, slots=True)
class Quality:
    """Numbers over questions with a known answer; what is no option counts as wrong."""

    n: int
    accuracy: float
    """Ties count in parts."""
    brier: float
    """Mean squared distance of the probabilities to the truth, 0 to 2 (Brier 1950)."""
    ece: float
    """Mean distance of confidence and accuracy over 10 bins of equal width, weighed by their answers (Naeini 2015)."""


def quality(answers: Sequence[AnswerDistribution], correct: Sequence[int | None], delta_nats: float) -> Quality | None:
    """Return the quality of answers; `None` where no correct answer is known, or one that is needed may be anything."""
    rows = [(answer, right) for answer, right in zip(answers, correct, strict=True) if right is not None]
    hits, confidences, squares = [], [], []
    for answer, right in rows:
        if (parts := answer.parts(delta_nats)) is None:
            return None
        hits.append(parts[right])
        confidences.append(max(answer.probabilities))
        squares.append(math.fsum((p - (content == right)) ** 2 for content, p in enumerate(answer.probabilities)))
    n = len(rows)
    if not n:
        return None
    return Quality(n, math.fsum(hits) / n, math.fsum(squares) / n, expected_calibration_error(confidences, hits))


def expected_calibration_error(confidences: Sequence[float], hits: Sequence[float]) -> float:
    """Return the mean over bins of |accuracy - confidence|, each bin as heavy as its answers are many."""
    bins: dict[int, list[int]] = {}
    for place, confidence in enumerate(confidences):
        bins.setdefault(min(BINS - 1, int(confidence * BINS)), []).append(place)
    gaps = [abs(math.fsum(hits[place] - confidences[place] for place in row)) for row in bins.values()]
    return math.fsum(gaps) / len(hits)
