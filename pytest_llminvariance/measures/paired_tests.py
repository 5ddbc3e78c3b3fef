"""Paired tests of one respondent's items, exact and without chance, and p-values adjusted over a table.

They describe; no verdict is decided by them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

FINENESS = 1_000
"""Steps of the scale's range that differences are rounded to where they are no multiples of a step of the scale."""

MAX_EXACT_RANKS = 13


def permutation_p(differences: Sequence[float], unit: float, span: float) -> float | None:
    """Return the two-sided p-value of the paired permutation test: how often random signs give a mean as far from 0.

    Exact: the distribution over all 2^n signs is built item by item. `unit` is a step of the scale; differences that are
    no multiples of it (expected scores) are rounded to a thousandth of `span`. `None` without a pair.
    """
    import numpy as np

    if not differences:
        return None
    steps = [difference / unit for difference in differences]
    if any(abs(step - round(step)) > 1e-9 for step in steps):
        steps = [difference / span * FINENESS for difference in differences]
    whole = [round(step) for step in steps]
    sizes = [abs(step) for step in whole if step]
    total, observed = sum(sizes), abs(sum(whole))
    chances = np.zeros(total + 1)
    chances[0] = 1.0
    for size in sizes:  # chances[t]: that the items with a plus sum up to t, so that all sum up to 2t - total
        moved = chances[:-size].copy()
        chances *= 0.5
        chances[size:] += 0.5 * moved
    sums = np.abs(2 * np.arange(total + 1) - total)
    return float(min(1.0, chances[sums >= observed].sum()))


def rank_p(differences: Sequence[float]) -> float | None:
    """Return the two-sided p-value of Wilcoxon's signed-rank test without the zeros; 1 where nothing differs.

    Up to 13 pairs exact, with ties too; above as scipy decides: exact up to 50 pairs without ties, else the normal
    approximation.
    """
    from scipy.stats import rankdata, wilcoxon

    if not differences:
        return None
    moved = [difference for difference in differences if difference]
    if not moved:
        return 1.0
    if len(differences) > MAX_EXACT_RANKS:
        return float(wilcoxon(differences).pvalue)
    ranks = rankdata([abs(difference) for difference in moved])
    return permutation_p([math.copysign(rank, step) for rank, step in zip(ranks, moved, strict=True)], 0.5, len(moved))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values adjusted so that the chance of any false alarm in the table is bounded (Holm 1979)."""
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, p * (len(known) - rank)))
        adjusted[place] = largest
    return adjusted


def benjamini_hochberg(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values adjusted so that the expected share of false alarms is bounded (Benjamini and Hochberg 1995)."""
    known = sorted(((p, place) for place, p in enumerate(p_values) if p is not None), reverse=True)
    adjusted: list[float | None] = [None] * len(p_values)
    smallest = 1.0
    for number, (p, place) in enumerate(known):
        smallest = min(smallest, p * len(known) / (len(known) - number))
        adjusted[place] = smallest
    return adjusted


def t_quantile(confidence: float, degrees: float) -> float:
    """Return Student's quantile for a two-sided interval; infinite without a degree of freedom."""
    from scipy.stats import t

    return float(t.isf((1 - confidence) / 2, degrees)) if degrees > 0 else math.inf
