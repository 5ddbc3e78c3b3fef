"""Servers of known truth whose answers change by themselves: in a share of prompts, by rounding, or once for all."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pytest_llminvariance import Presentation, Question
from pytest_llminvariance.models.protocol import (
    Capability,
    LabelReply,
    LabelRequest,
    Reply,
    Request,
    TextReply,
    sent_digest,
)

Rule = Callable[[Presentation], int]
"""Gives the content that is answered."""
BELOW = 0.03
"""Probability of each option that is not answered."""


def bank(n: int, k: int = 4) -> list[Question]:
    """Questions with as many options each, their correct answers spread evenly."""
    return [Question(f"Which is number {i}?", [f"{i}-{c}" for c in "abcdef"[:k]], answer=i % k) for i in range(n)]


def hashed(*told: object) -> float:
    """Return a number from [0, 1) that is always the same for what is told."""
    return int.from_bytes(hashlib.sha256(repr(told).encode()).digest()[:6], "big") / 2**48


def blind(p: Presentation) -> int:
    """Knows the answer, whatever the order; under a foreign stem another content."""
    known = p.question.answer
    return int(hashed(p.question.stem) * len(p.order)) if known is None else known


def first_shown(p: Presentation) -> int:
    """Takes what is printed first."""
    return p.order[0]


def often_first(share: float) -> Rule:
    """Takes what is printed first in a share of prompts, and knows the rest."""
    return lambda p: p.order[0] if hashed("bias", p.question.stem, p.order) < share else blind(p)


def changed_for(share: float, of: Callable[[Presentation], object]) -> Rule:
    """Knows the answer, but for a share of prompts or questions another one."""
    return lambda p: (blind(p) + (hashed("new", of(p)) < share)) % len(p.order)


@dataclass
class Server:
    """Answers by a rule; in a share of replies another content, with numbers that rounding moves.

    `rounding_nats` is how far the margin moves at most; `margin_nats` what it is without. From the reply number
    `redeployed_after` on, `later` answers.
    """

    rule: Rule = blind
    noise: float = 0.0
    rounding_nats: float = 0.0
    margin_nats: float = 3.0
    later: Rule | None = None
    redeployed_after: int = 0
    seed: int = 0
    deterministic: object = False
    name: str = "server"
    capabilities: frozenset[Capability] = frozenset({"label", "text"})
    n_asked: int = 0
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)

    @property
    def fingerprint(self) -> str:
        return f"server:{self.seed}"

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        return [self.reply(request) for request in requests]

    def reply(self, request: Request) -> Reply:
        shown, k = request.presentation, len(request.presentation.order)
        self.n_asked += 1
        new = self.later is not None and self.n_asked > self.redeployed_after
        content = (self.later if new and self.later is not None else self.rule)(shown)
        if self.chance.random() < self.noise:
            content = (content + self.chance.randrange(1, k)) % k
        sent = sent_digest(request.messages)
        if not isinstance(request, LabelRequest):
            return TextReply(shown.labels[shown.position_of(content)], sent, 1)
        margin = self.margin_nats + self.rounding_nats * self.chance.uniform(-1, 1)
        rest = math.exp(-margin)
        top, rival = 0.9 / (1 + rest), 0.9 * rest / (1 + rest)
        values = [0.1 / k] * k if k > 2 else [0.0] * k
        values[content] = top
        values[(content + 1) % k] = rival
        return LabelReply(tuple(math.log(max(values[c], 1e-12)) for c in shown.order), sent, 1)
