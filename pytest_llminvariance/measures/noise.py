"""What measuring the noise floor of an engine found."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pytest_llminvariance.models.protocol import LabelReply, OptionReply

MIN_PAIRS = 59
"""With so many pairs, 19 of 20 times the largest change is beyond that of 19 in 20 prompts: 1 - .95^59 > .95."""


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

    def __str__(self) -> str:
        if math.isnan(self.margin_max_nats):
            return f"{self.changed_answers} of {self.n_pairs} answers changed between batches"
        middle = self.margin_quantiles_nats[0.5]
        return (
            f"between batches the margin of the same prompt moved by at most {self.margin_max_nats:.2g} nat "
            f"(median {middle:.2g}, {self.n_pairs} pairs), and {self.changed_answers} answers changed"
        )


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
