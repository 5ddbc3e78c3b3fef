"""Asking: each distinct request once, answers in the order asked, remembered for the session.

Knows nothing of designs or metrics, and nothing of torch. The order in which requests are sent never
depends on what is remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from pytest_llminvariance.audit.distribution import AnswerDistribution
from pytest_llminvariance.audit.parsing import Outcome, parse_choice
from pytest_llminvariance.errors import ModelError
from pytest_llminvariance.models.protocol import (
    LabelReply,
    MissingReply,
    Model,
    OptionReply,
    Reply,
    Request,
    TextReply,
)
from pytest_llminvariance.presentation import Presentation

__all__ = ["CHUNK", "Asked", "Memo", "Persistent", "ask", "read_reply"]

CHUNK = 256
"""Requests handed to a model at a time: bounds what is lost when it fails, and paces the progress bar."""

Key = tuple[str, str, Request]
Memo = MutableMapping[Key, Reply]


@runtime_checkable
class Persistent(Protocol):
    """A memory with a disk behind it, which is read and written many answers at a time."""

    def persist(self, fingerprint: str) -> None:
        """Keep the answers of a model."""

    def fetch(self, keys: Iterable[Key]) -> None:
        """Read what is known of many keys."""

    def store(self, items: Mapping[Key, Reply]) -> None:
        """Commit many answers before returning."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Replies in the order asked, and what they cost."""

    replies: tuple[Reply, ...]
    tokens: int
    """Tokens that were sent to the model now; nothing for what was remembered."""
    fresh: int
    """Requests that were sent to the model now."""


def ask(
    model: Model, requests: Sequence[Request], memo: Memo, progress: Callable[[int, int], None] | None = None
) -> Asked:
    """Return one reply per request; equal requests, and requests asked before, are not sent again.

    Memory grows with the number of distinct requests. What was answered is remembered even if a later
    chunk fails.
    """
    keys = [(model.name, model.fingerprint, request) for request in requests]
    _recall(model, keys, memo)
    fresh = [key for key in dict.fromkeys(keys) if key not in memo]
    tokens = 0
    for start in range(0, len(fresh), CHUNK):
        chunk = fresh[start : start + CHUNK]
        replies = model.answer([request for _, _, request in chunk])
        if len(replies) != len(chunk):
            raise ModelError(
                f"{model.name} gave {len(replies)} answers to {len(chunk)} requests, but must give one for each"
            )
        for reply in replies:
            if not isinstance(reply, LabelReply | OptionReply | TextReply | MissingReply):
                raise ModelError(f"{model.name} answered with {reply!r}, which is no reply")
            tokens += reply.n_tokens
        _remember(dict(zip(chunk, replies, strict=True)), memo)
        if progress is not None:
            progress(min(start + CHUNK, len(fresh)), len(fresh))
    return Asked(tuple(memo[key] for key in keys), tokens, len(fresh))


def _recall(model: Model, keys: Sequence[Key], memo: Memo) -> None:
    if isinstance(memo, Persistent):
        if getattr(model, "cacheable", False):
            memo.persist(model.fingerprint)
        memo.fetch(keys)


def _remember(answers: Mapping[Key, Reply], memo: Memo) -> None:
    if isinstance(memo, Persistent):
        memo.store(answers)
    else:
        memo.update(answers)


def read_reply(reply: Reply, presentation: Presentation, readout: str) -> AnswerDistribution:
    """Return what a reply says about contents: the one place where the way back is taken."""
    k = len(presentation.order)
    if isinstance(reply, MissingReply):
        return AnswerDistribution.nothing(k, "missing")
    if isinstance(reply, TextReply):
        parsed = parse_choice(reply.text, labels=presentation.labels, options=presentation.shown_options)
        if parsed.position is not None:
            return AnswerDistribution.chosen(presentation.order[parsed.position], k)
        return AnswerDistribution.nothing(k, "refused" if parsed.outcome is Outcome.REFUSED else "unparsed")
    if len(reply.logprobs_nats) != k:
        raise ModelError(
            f"a reply has {len(reply.logprobs_nats)} values for {k} options of question {presentation.question.name!r}"
        )
    if isinstance(reply, LabelReply):
        return AnswerDistribution.from_label_logprobs(reply.logprobs_nats, presentation.order)
    scores = reply.logprobs_nats if readout == "option_sum" else reply.mean_logprobs_nats
    return AnswerDistribution.from_option_scores(scores, presentation.order)
