"""What is uncertain of an answer, and what depends on how the question is asked.

Source: Evaluating the Moral Beliefs Encoded in LLMs. H(mean p) = mean H(p_z) + JSD({p_z}) over forms z, in bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Decomposition:
    """Entropies in bits; `total_bits` is the sum of the other two."""

    total_bits: float
    """Of the mean answer over forms."""
    uncertainty_bits: float
    """Mean entropy of the answers: what the model does not know in any form."""
    inconsistency_bits: float
    """Jensen-Shannon divergence of the answers: what changes with the form."""
    n_forms: int
    n_outcomes: int

    @property
    def inconsistency(self) -> float:
        """JSD over its largest value, log2 of the smaller of forms and outcomes."""
        return self.inconsistency_bits / math.log2(min(self.n_forms, self.n_outcomes))

    @property
    def consistency(self) -> float:
        """1 where all forms give the same answer."""
        return 1 - self.inconsistency


def entropy_bits(p: Sequence[float]) -> float:
    """Return the entropy of a distribution."""
    return -math.fsum(value * math.log2(value) for value in p if value > 0)


def entropy_moved_bits(probability: float, n_outcomes: int) -> float:
    """Return by how much an entropy changes at most where so much probability belongs elsewhere (Fannes and Audenaert)."""
    if probability >= 1 - 1 / n_outcomes:
        return math.log2(n_outcomes)
    return probability * math.log2(n_outcomes - 1) + entropy_bits((probability, 1 - probability))


def decomposed(answers: Sequence[Sequence[float]]) -> Decomposition:
    """Split the entropy of the mean of two or more distributions over the same two or more outcomes.

    The divergence is summed by itself, from ratios to the mean, so that the identity is a check and no definition.
    """
    mean = [math.fsum(column) / len(answers) for column in zip(*answers, strict=True)]
    divergence = math.fsum(
        p * math.log2(p / m) for row in answers for p, m in zip(row, mean, strict=True) if p > 0
    ) / len(answers)
    within = math.fsum(entropy_bits(row) for row in answers) / len(answers)
    return Decomposition(entropy_bits(mean), within, max(0.0, divergence), len(answers), len(mean))


def js_distance(p: Sequence[float], q: Sequence[float]) -> float:
    """Return the Jensen-Shannon distance: square root of the divergence in nats, at most 0.833."""
    middle = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    terms = [a * math.log(a / m) for side in (p, q) for a, m in zip(side, middle, strict=True) if a > 0]
    divergence = math.fsum(terms) / 2
    return math.sqrt(divergence) if divergence > 0 else 0.0  # rounding can make that of equal answers negative


def js_moved(probability: float) -> float:
    """Return how far an answer moves at most, in that distance, where so much probability moves."""
    return math.sqrt(probability * math.log(2))
