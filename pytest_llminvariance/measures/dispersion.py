"""How far a probability moves over orders of what it is given, and what no order can exceed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dispersion:
    """A yes-or-no probability over orders."""

    mean: float
    mean_gap: float
    """Mean of |q - mean q|: total variation distance to the averaged answer, averaged over orders."""
    variance: float
    jensen_gap_nats: float
    """H(mean q) - mean H(q), which is the mean of KL(q, mean q): the entropy that averaging over orders adds."""

    @property
    def bound(self) -> float:
        """sqrt(mean KL / 2): by Pinsker and Jensen the mean gap cannot exceed it."""
        return max(self.mean_gap, math.sqrt(self.jensen_gap_nats / 2))  # rounding alone can make it less

    def orders_to_average(self, deviation: float) -> int:
        """Return over how many random orders to average so that the mean's standard deviation is at most `deviation`."""
        return max(1, math.ceil(self.variance / deviation**2 - 1e-9))


def dispersion(shares: Sequence[float]) -> Dispersion:
    """Return the dispersion of probabilities of yes, one an order."""
    n = len(shares)
    mean = math.fsum(shares) / n
    gaps = [abs(share - mean) for share in shares]
    divergences = [_kl(share, mean) for share in shares]
    variance = math.fsum(gap * gap for gap in gaps) / max(1, n - 1)
    return Dispersion(mean, math.fsum(gaps) / n, variance, max(0.0, math.fsum(divergences) / n))


def _kl(p: float, q: float) -> float:
    """Return the Kullback-Leibler divergence of two yes-or-no probabilities in nats."""
    return math.fsum(a * math.log(a / b) for a, b in ((p, q), (1 - p, 1 - q)) if a > 0)
