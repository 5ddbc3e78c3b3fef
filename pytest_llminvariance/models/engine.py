"""Asking: each distinct request once, answers in the order asked, remembered for the session.

Knows nothing of designs or metrics, and nothing of torch. The order in which requests are sent never
depends on what is remembered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

from pytest_llminvariance.errors import ModelError
from pytest_llminvariance.models.keys import Key, keys_of
from pytest_llminvariance.models.protocol import Model, Reply, Request, StreamingModel
from pytest_llminvariance.models.replies import checked
from pytest_llminvariance.questions.question import Question

CHUNK = 256
"""Requests handed to a model at a time: bounds what is lost when it fails, and paces the progress bar."""
STREAMED_CHUNK = 1_024
"""The same for a model that says what it has after every pass: bounds the memory of planning."""
KEPT_EVERY_S = 1.0
"""How long answers wait for others before they are written down together."""

PAUSE_S, LONGEST_PAUSE_S = 0.02, 1.0
"""Between two looks at what another process is asking."""

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


@runtime_checkable
class Claiming(Protocol):
    """A memory that several processes share, each of which says what it is asking, so that no other does."""

    def claim(self, keys: Sequence[Key]) -> list[Key]:
        """Return those that nobody else is asking and that have no answer by now; they are asked here from now on."""

    def disclaim(self, keys: Sequence[Key]) -> None:
        """Say that these are not asked any more."""


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
    asking = _Asking(model, list(numbers), memo, progress)
    asking.run()
    known = [reply for reply in asking.replies if reply is not None]
    prompt_tokens = sum(reply.n_tokens for reply in known)
    return Asked(tuple(known[place] for place in places), asking.cost.sent_tokens, asking.n_sent, prompt_tokens)


class _Asking:
    """Asks what is not remembered of distinct requests, chunk by chunk; what another process is asking is waited for."""

    def __init__(
        self, model: Model, distinct: Sequence[Key], memo: Memo, progress: Callable[[Step], None] | None
    ) -> None:
        self._model, self._distinct, self._memo, self._progress = model, distinct, memo, progress
        self.replies = [memo.get(key) for key in distinct]
        self.cost, self.n_sent, self._done = _Cost(model), 0, 0
        self._n_fresh = self.replies.count(None)
        self._of, self._left = _by_question(distinct, self.replies)
        self._n_questions = self._n_open = len(self._left)

    def run(self) -> None:
        """Ask until every reply is there."""
        elsewhere: list[int] = []
        size = chunk_of(self._model)
        with _Keeping(self._memo) as keeping:
            for start in range(0, len(self._distinct), size):
                # cut where everything would be cut: what an interrupted run goes on with shares passes as it would have
                part = range(start, min(start + size, len(self._distinct)))
                elsewhere += self._chunk([number for number in part if self.replies[number] is None], keeping)
            pause_s = PAUSE_S
            while elsewhere:
                n_before = len(elsewhere)
                elsewhere = self._chunk(elsewhere[:size], keeping) + elsewhere[size:]
                pause_s = PAUSE_S if len(elsewhere) < n_before else min(2 * pause_s, LONGEST_PAUSE_S)
                if elsewhere:
                    time.sleep(pause_s)

    def _chunk(self, chunk: Sequence[int], keeping: _Keeping) -> list[int]:
        """Ask some requests, and return those that another process is asking."""
        if not chunk:
            return []
        claiming = self._memo if isinstance(self._memo, Claiming) else None
        mine = list(chunk) if claiming is None else self._claimed(claiming, chunk)
        try:
            for answered in _passes(self._model, [self._distinct[number] for number in mine]) if mine else ():
                keeping.add({self._distinct[mine[index]]: reply for index, reply in answered})
                self.n_sent += len(answered)
                self._took([(mine[index], reply) for index, reply in answered])
        finally:
            if claiming is not None:
                keeping.flush()  # who waits for these looks there
                claiming.disclaim([self._distinct[number] for number in mine])
        return [number for number in chunk if self.replies[number] is None]

    def _claimed(self, memo: Claiming, chunk: Sequence[int]) -> list[int]:
        """Return what is to be asked here, having taken what others have answered meanwhile."""
        mine = set(memo.claim([self._distinct[number] for number in chunk]))
        others = [number for number in chunk if self._distinct[number] not in mine]
        came = [(number, self._memo.get(self._distinct[number])) for number in others]
        self._took([(number, reply) for number, reply in came if reply is not None])
        return [number for number in chunk if self._distinct[number] in mine]

    def _took(self, answered: Sequence[tuple[int, Reply]]) -> None:
        for number, reply in answered:
            self.replies[number] = reply
            self.cost.prompt_tokens += reply.n_tokens
            # not the difference of two counters, which looks at every open question again
            question = self._of[number]
            self._left[question] -= 1
            self._n_open -= not self._left[question]
        self._done += len(answered)
        if answered and self._progress is not None:
            n_done = self._n_questions - self._n_open
            sent = self.cost.sent_tokens, self.cost.prompt_tokens
            self._progress(Step(n_done, self._n_questions, *sent, self._done, self._n_fresh))


def _by_question(keys: Sequence[Key], replies: Sequence[Reply | None]) -> tuple[list[int], list[int]]:
    """Return the number of each key's question, and of each question how many keys have no reply; those with all have no number."""
    numbers: dict[Question, int] = {}
    found, n_open = [-1] * len(keys), list[int]()
    last, number = None, -1
    for place, key in enumerate(keys):
        if replies[place] is not None:
            continue
        question = key.request.presentation.question
        if question is not last:  # mostly several in a row
            last, number = question, numbers.setdefault(question, len(numbers))
            n_open += [0] * (len(numbers) - len(n_open))
        found[place] = number
        n_open[number] += 1
    return found, n_open


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
    if not hasattr(replies, "__len__"):
        raise ModelError(
            f"{model.name} gave {replies!r:.80}, but must give a list of one reply for each of {len(requests)} requests"
        )
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
            self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.flush()

    def flush(self) -> None:
        """Hand over what waits."""
        self._since, waiting, self._waiting = time.monotonic(), self._waiting, {}
        if not waiting:
            return
        if isinstance(self._memo, Persistent):
            self._memo.store(waiting)
        else:
            self._memo.update(waiting)
