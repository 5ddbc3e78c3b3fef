"""How far equal prompts differ, and what of an effect that can explain.

Small moves of log-probabilities are a width in nats, within which answers are a tie. Answers that change by more are a
share of replicate pairs, which says how many flips noise may have made or hidden.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from pytest_llminvariance.measures.metrics import DELTA_NATS, Number
from pytest_llminvariance.models.protocol import LabelReply, OptionReply

LOUD_NATS = 0.1
MIN_PAIRS = 59
"""With so many pairs, 19 of 20 times the largest change is beyond that of 19 in 20 prompts: 1 - .95^59 > .95."""
NOISE_RISK = 0.05
"""Chance that noise makes a check's verdict wrong; docs/statistics.md has the simulations."""
PRODUCT = 0.0087
"""c with c (1 - ln c) = 0.05: two independent p-values have a product of at most c that often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoiseFloor:
    """How far answers to the same prompts moved between batches, in nats."""

    model: str
    readout: str
    n_pairs: int
    margin_max_nats: float
    """Largest change of the log-probability between the top two contents of a prompt asked alone."""
    margin_quantiles_nats: dict[float, float]
    logprob_max_nats: float
    """Largest change of any label's or option's log-probability."""
    logprob_quantiles_nats: dict[float, float]
    changed_answers: int
    """Pairs with another answer; for texts, nothing else can be measured."""
    delta_nats: float = DELTA_NATS
    """Contents within so much of the top are a tie: the largest change of a margin that changed no answer."""
    jumps: int = 0
    """Pairs whose answers differ by more than such a tie explains."""

    @property
    def replicates(self) -> Replicates:
        """The same as counts of pairs."""
        return Replicates(self.jumps, self.n_pairs)

    @property
    def is_loud(self) -> bool:
        """Whether answers changed, or moved by more than 0.1 nat."""
        return self.changed_answers > 0 or self.margin_max_nats > LOUD_NATS

    def __str__(self) -> str:
        if math.isnan(self.margin_max_nats):
            return f"{self.changed_answers} of {self.n_pairs} answers changed between batches"
        middle = self.margin_quantiles_nats[0.5]
        return (
            f"between batches the margin of the same prompt moved by at most {self.margin_max_nats:.2g} nat "
            f"(median {middle:.2g}, {self.n_pairs} pairs), and {self.changed_answers} answers changed"
        )


@dataclass(frozen=True, slots=True)
class Replicates:
    """Pairs of replies to the same prompt, and how many of them changed by more than a tie explains."""

    changed: int
    pairs: int

    def joined(self, other: Replicates) -> Replicates:
        """Return both together."""
        return Replicates(self.changed + other.changed, self.pairs + other.pairs)

    def differs_from(self, earlier: Replicates) -> bool:
        """Return whether more pairs changed than earlier, by Fisher's exact test at 5%."""
        from scipy.stats import hypergeom

        if not self.changed:
            return False
        whole, changed = self.pairs + earlier.pairs, self.changed + earlier.changed
        return bool(hypergeom.sf(self.changed - 1, whole, self.pairs, changed) <= NOISE_RISK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Answers of a model that change by themselves, as a check found them."""

    start: Replicates
    """Known before the check began: what a test that may stop early goes by."""
    all: Replicates
    """With the prompts that were asked again at the end: what the verdict goes by."""

    def __str__(self) -> str:
        return f"{self.all.changed:,} of {self.all.pairs:,} prompts asked again got another answer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Between these means noise may explain the side of the tolerance; without noise both are the tolerance."""

    broken_above: Number
    holds_within: Number
    """Below 0 where noise could hide any effect."""


def limits(tolerance: Fraction, metric: str, found: Replicates | None, n_questions: int, n_shown: float) -> Limits:
    """Return what a mean over questions of `n_shown` presentations must exceed, or not exceed, to be no noise.

    Let p be the chance that two replies to one prompt differ. An order-blind model then flips with chance p, and what is
    beyond p is the effect. In `n` independent parts noise makes or hides a binomial number of flips with chance p; p is
    known from replicate pairs, so a count is ruled out where no p makes both counts likely.
    """
    if found is None or not found.pairs:
        return Limits(broken_above=tolerance, holds_within=tolerance)
    parts = _parts(metric, n_questions, n_shown)
    each = Fraction(n_shown if metric in RANGES else 1) / parts
    at_tolerance = math.floor(tolerance * parts) + 1
    made, hidden = (each * _most(found, n) for n in (parts, at_tolerance))
    excess = each * _least(found, parts - at_tolerance) if metric in COUNTED else 0
    return Limits(broken_above=tolerance + made, holds_within=tolerance + excess - hidden)


COUNTED = ("flip_rate", "disagreement")
"""A changed answer is one flip here, so that what replicates change by themselves can be taken off."""
PAIRWISE = ("disagreement", "tv", "score_gap")
RANGES = ("score_shift", "trait_shift")
"""The largest of several: any one changed answer moves it."""


def _parts(metric: str, n_questions: int, n_shown: float) -> int:
    """Return on how many independent replies the mean rests: one, as written, may decide a whole question.

    A reply is in 2 of `n_shown` pairs on average, and in one row of a balanced design.
    """
    each = n_shown / 2 if metric in PAIRWISE else n_shown if metric == "position_bias" else 1.0
    return max(1, math.floor(n_questions * each))


def _most(found: Replicates, n: int) -> int:
    """Return the largest count among `n` that noise explains."""
    from scipy.stats import binom

    chances = _chances()
    few = binom.cdf(found.changed, found.pairs, chances)
    return _first(n, lambda count: bool((few * binom.sf(count, n, chances)).max() <= PRODUCT))


def _least(found: Replicates, n: int) -> int:
    """Return the smallest count among `n` that noise explains."""
    from scipy.stats import binom

    chances = _chances()
    many = binom.sf(found.changed - 1, found.pairs, chances)
    return _first(n, lambda count: bool((many * binom.cdf(count, n, chances)).max() > PRODUCT))


def _chances() -> Any:
    import numpy as np

    return np.geomspace(1e-6, 1, 1_400)  # steps of 1%


def _first(n: int, is_reached: Callable[[int], bool]) -> int:
    """Return the first count up to `n` from which on something is reached, by bisection; `n` where it never is."""
    low, high = 0, n
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_reached(middle) else (middle + 1, high)
    return low


def moved_nats(one: LabelReply | OptionReply, other: LabelReply | OptionReply) -> float:
    """Return how far the log-probability that moved most has moved, at the least."""
    pairs = [sorted(pair) for pair in zip(_ends(one), _ends(other), strict=True)]
    return max(max(0.0, after[0] - before[1]) for before, after in pairs)


def _ends(reply: LabelReply | OptionReply) -> list[tuple[float, float]]:
    """Return between which ends each log-probability lies."""
    unlisted = getattr(reply, "unlisted", 0.0)
    if not unlisted:
        return [(value, value) for value in reply.logprobs_nats]
    return [(value, math.log(math.exp(value) + unlisted)) for value in reply.logprobs_nats]
