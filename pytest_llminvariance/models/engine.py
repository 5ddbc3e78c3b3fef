"""Asking: each distinct request once, answers in the order asked, remembered for the session.

Knows nothing of designs or metrics, and nothing of torch. The order in which requests are sent never
depends on what is remembered.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

from pytest_llminvariance.errors import ModelError
from pytest_llminvariance.models.keys import Key, keys_of
from pytest_llminvariance.models.protocol import Model, Reply, Request, StreamingModel
from pytest_llminvariance.models.replies import checked

CHUNK = 256
"""Requests handed to a model at a time: bounds what is lost when it fails, and paces the progress bar."""
STREAMED_CHUNK = 1_024
"""The same for a model that says what it has after every pass: bounds the memory of planning."""
KEPT_EVERY_S = 1.0
"""How long answers wait for others before they are written down together."""

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


@runtime_checkable
class Noting(Protocol):
    """A memory that writes a record, in which each answer stands as soon as it is there."""

    def note(self, items: Mapping[Key, Reply]) -> None:
        """Write answers down before returning."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Replies in the order asked, and what they cost."""

    replies: tuple[Reply, ...]
    tokens: int
    """Tokens that went through the model now; nothing for what was remembered."""
    fresh: int
    """Requests that were sent to the model now."""
    prompt_tokens: int
    """Tokens of all distinct prompts, whether or not they were remembered."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far asking has come: for a progress bar."""

    questions: int
    """Questions of which everything was answered."""
    questions_total: int
    sent_tokens: int
    """Tokens that went through the model so far."""
    prompt_tokens: int
    """Tokens of the prompts answered so far, as a loop over single prompts would send them."""
    answers: int = 0
    """Distinct requests that were answered."""
    answers_total: int = 0


class _Cost:
    """Counts tokens: by the model's own count where it keeps one, else by its replies."""

    def __init__(self, model: Model) -> None:
        self._usage = getattr(model, "usage", None)
        self._before = self._usage.sent_tokens if self._usage is not None else 0
        self.prompt_tokens = 0

    @property
    def sent_tokens(self) -> int:
        return self._usage.sent_tokens - self._before if self._usage is not None else self.prompt_tokens


def ask(model: Model, requests: Sequence[Request], memo: Memo, progress: Callable[[Step], None] | None = None) -> Asked:
    """Return one reply per request; equal requests, and requests asked before, are not sent again.

    Memory grows with the number of distinct requests. What was answered is remembered even if a later
    pass fails.
    """
    keys = keys_of(model, requests)
    _recall(model, keys, memo)
    numbers: dict[Key, int] = {}
    places = [numbers.setdefault(key, len(numbers)) for key in keys]
    distinct = list(numbers)
    replies = [memo.get(key) for key in distinct]
    fresh = [number for number, reply in enumerate(replies) if reply is None]
    cost, left = _Cost(model), Counter(distinct[number].request.presentation.question for number in fresh)
    n_questions, done, size = len(left), 0, chunk_of(model)
    with _Keeping(memo) as keeping:
        for start in range(0, len(distinct), size):
            # cut where everything would be cut: what an interrupted run goes on with shares passes as it would have
            chunk = [number for number in range(start, min(start + size, len(distinct))) if replies[number] is None]
            for answered in _passes(model, [distinct[number] for number in chunk]) if chunk else ():
                keeping.add({distinct[chunk[index]]: reply for index, reply in answered})
                for index, reply in answered:
                    replies[chunk[index]] = reply
                    cost.prompt_tokens += reply.n_tokens
                    # not the difference of two counters, which looks at every open question again
                    question = distinct[chunk[index]].request.presentation.question
                    left[question] -= 1
                    if not left[question]:
                        del left[question]
                done += len(answered)
                if progress is not None:
                    so_far = n_questions - len(left)
                    progress(Step(so_far, n_questions, cost.sent_tokens, cost.prompt_tokens, done, len(fresh)))
    known = [reply for reply in replies if reply is not None]
    prompt_tokens = sum(reply.n_tokens for reply in known)
    return Asked(tuple(known[place] for place in places), cost.sent_tokens, len(fresh), prompt_tokens)


def chunk_of(model: Model) -> int:
    """Return how many requests a model is handed at a time."""
    return STREAMED_CHUNK if isinstance(model, StreamingModel) else CHUNK


def _passes(model: Model, keys: Sequence[Key]) -> Iterator[list[tuple[int, Reply]]]:
    """Yield replies by number as they come: after every pass where the model says so, else all at once."""
    requests = [key.request for key in keys]
    if isinstance(model, StreamingModel):
        n_answered = 0
        for batch in model.answers(requests):
            n_answered += len(batch)
            yield [(index, checked(model, requests[index], reply)) for index, reply in batch]
    else:
        yield list(enumerate(answers_of(model, requests)))
        n_answered = len(keys)
    if n_answered != len(keys):
        raise _wrong_count(model, n_answered, len(keys))


def answers_of(model: Model, requests: Sequence[Request]) -> list[Reply]:
    """Ask a model, remember nothing, and return its replies, checked.

    Raises:
        ModelError: as `checked`, or where there is not one reply for each request.
    """
    replies = model.answer(requests)
    if len(replies) != len(requests):
        raise _wrong_count(model, len(replies), len(requests))
    return [checked(model, request, reply) for request, reply in zip(requests, replies, strict=True)]


def _wrong_count(model: Model, n_answered: int, n_requests: int) -> ModelError:
    return ModelError(f"{model.name} gave {n_answered} answers to {n_requests} requests, but must give one for each")


def _recall(model: Model, keys: Sequence[Key], memo: Memo) -> None:
    if isinstance(memo, Persistent):
        if getattr(model, "cacheable", False):
            memo.persist(model.fingerprint)
        memo.fetch(keys)


class _Keeping:
    """Hands answers to the memory: those of a second together, as each time a cache may be committed to.

    The cache of a process that is killed lacks no more than these; after an error they are kept. A record has them at once.
    """

    def __init__(self, memo: Memo) -> None:
        self._memo = memo
        self._waiting: dict[Key, Reply] = {}
        self._since = time.monotonic()

    def add(self, answers: Mapping[Key, Reply]) -> None:
        self._waiting |= answers
        if isinstance(self._memo, Noting):
            self._memo.note(answers)
        if time.monotonic() - self._since >= KEPT_EVERY_S:
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._flush()

    def _flush(self) -> None:
        self._since, waiting, self._waiting = time.monotonic(), self._waiting, {}
        if not waiting:
            return
        if isinstance(self._memo, Persistent):
            self._memo.store(waiting)
        else:
            self._memo.update(waiting)
