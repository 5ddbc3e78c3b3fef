"""What an orbit says together, where no answer is known to be right: its consensus, and who is off it.

Source: NERO; Explanation Invariance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_llminvariance.measures.distribution import AnswerDistribution


@dataclass(frozen=True, slots=True)
class Consensus:
    """The content that most presentations choose."""

    answer: int | None
    """`None` where several share the most votes, or open answers could change it."""
    support: float
    """Share of the known answers that choose it; ties count in parts."""
    margin: float
    """Votes by which it leads, as a share of all answers."""
    n: int
    n_open: int
    off: tuple[int, ...]
    """Numbers of the presentations that certainly answer another content, the worst (least probable consensus) first."""


def consensus(answers: Sequence[AnswerDistribution], delta_nats: float) -> Consensus:
    """Return the consensus over the answers to one question; a refusal is a vote for none of its contents."""
    k, votes, n_open = answers[0].k, [0.0] * answers[0].k, 0
    for answer in answers:
        parts = answer.parts(delta_nats)
        n_open += parts is None
        votes = [vote + part for vote, part in zip(votes, parts or (0.0,) * k, strict=True)]
    ranked = sorted(range(k), key=lambda content: -votes[content])
    lead, known = votes[ranked[0]] - votes[ranked[1]], math.fsum(votes)
    best = ranked[0] if lead > n_open + 1e-9 else None
    off = [
        place for place, answer in enumerate(answers) if best is not None and best not in answer.outcomes(delta_nats)
    ]
    off.sort(key=lambda place: answers[place].probabilities[best or 0])
    return Consensus(
        best, votes[ranked[0]] / known if known else 0.0, lead / len(answers), len(answers), n_open, tuple(off)
    )
