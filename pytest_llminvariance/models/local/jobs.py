"""From requests to token sequences whose log-probabilities are wanted, and from these to replies: for every engine that takes tokens.

Knows prompts, labels and options as tokens. Does not know how a model is asked.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_llminvariance.errors import ModelError
from pytest_llminvariance.models.local.continuations import Encoder
from pytest_llminvariance.models.local.label_tokens import LabelTokens
from pytest_llminvariance.models.local.prompts import Prompts
from pytest_llminvariance.models.local.tree import Reading
from pytest_llminvariance.models.protocol import LabelReply, LabelRequest, OptionReply, Reply, Request, TextRequest

Tokens = tuple[int, ...]
Rows = Sequence[Sequence[float]]
"""Log-probabilities of a reading: for each of its rows, one a column."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as text and tokens."""

    index: int
    request: Request
    text: str
    tokens: tuple[int, ...]
    n_new: int
    """Tokens that may be generated after them."""


@dataclass(frozen=True, slots=True)
class Job:
    """A request as token sequences, and how their values become its reply."""

    index: int
    readings: tuple[Reading, ...]
    reply: Callable[[Sequence[Rows]], Reply]

    def nodes(self, most: int) -> list[tuple[Tokens, list[int]]]:
        """Return the trie of all that is read: what stands before each node, and the tokens that may follow, `most` at a time.

        For engines that tell what comes next and remember what they have read: what stands before a node comes before it.
        """
        found: dict[Tokens, set[int]] = {}
        for reading in self.readings:
            for row, columns in zip(reading.rows, reading.columns, strict=True):
                found.setdefault(reading.tokens[: row + 1], set()).update(columns)
        follows = {node: sorted(ids) for node, ids in sorted(found.items())}
        return [
            (node, ids[start : start + most]) for node, ids in follows.items() for start in range(0, len(ids), most)
        ]

    def reply_of(self, known: Mapping[Tokens, Mapping[int, float]]) -> Reply:
        """Return the reply that the log-probabilities at all nodes make."""
        return self.reply([
            [[known[reading.tokens[: row + 1]][token] for token in columns] for row, columns in zip(reading.rows, reading.columns, strict=True)]
            for reading in self.readings
        ])  # fmt: skip


class Jobs:
    """Requests to one model as tokens."""

    def __init__(
        self,
        name: str,
        tokenizer: Any,
        *,
        chat: bool,
        max_new_tokens: int | None,
        arguments: Mapping[str, Any] | None,
        context_tokens: Callable[[], int | None],
    ) -> None:
        self.name = name
        self.chat = chat
        self.tokenizer = tokenizer
        self.max_new_tokens = max_new_tokens
        self.prompts = Prompts(name, tokenizer, chat=chat, arguments=arguments)
        self.encoder = Encoder(tokenizer, chat=chat)
        self.labels = LabelTokens(tokenizer, chat=chat)
        self._context_tokens = context_tokens

    def asked(self, requests: Sequence[Request]) -> list[Asked]:
        """Return requests as texts and tokens, all tokenised at once."""
        texts = [self.prompts.text(request) for request in requests]
        found = []
        for index, (request, text, tokens) in enumerate(zip(requests, texts, self.encoder.prompts(texts), strict=True)):
            n_new = (self.max_new_tokens or request.max_new_tokens) if isinstance(request, TextRequest) else 0
            self._check_length(len(tokens) + n_new, request)
            found.append(Asked(index, request, text, tokens, n_new))
        return found

    def job(self, asked: Asked) -> Job:
        """Return what must be read for a label or an option."""
        return self._label_job(asked) if isinstance(asked.request, LabelRequest) else self._option_job(asked)

    def _label_job(self, asked: Asked) -> Job:
        index, request, text, prompt = asked.index, asked.request, asked.text, asked.tokens
        spelled = self.labels.spelled(text, prompt, request.presentation.labels)
        start = spelled.start
        self._check_start(start, request)
        ways = sorted({path[:-1] for paths in spelled.paths for path in paths})
        last = {way: sorted({p[-1] for paths in spelled.paths for p in paths if p[:-1] == way}) for way in ways}
        readings = tuple(
            Reading(
                prompt[:start] + way,
                tuple(range(start - 1, start + len(way))),
                (*((token,) for token in way), tuple(last[way])),
            )
            for way in ways
        )

        def reply(found: Sequence[Rows]) -> Reply:
            known = {}
            for way, rows in zip(ways, found, strict=True):
                before = [row[0] for row in rows[:-1]]
                known.update({(*way, token): math.fsum([*before, value]) for token, value in zip(last[way], rows[-1], strict=True)})  # fmt: skip
            sums = tuple(log_sum([known[path] for path in paths]) for paths in spelled.paths)
            return LabelReply(sums, tokens_digest(prompt), len(prompt))

        return Job(index, readings, reply)

    def _option_job(self, asked: Asked) -> Job:
        index, request, text, prompt = asked.index, asked.request, asked.text, asked.tokens
        blank = "" if self.chat else " "
        options = request.presentation.shown_options
        endings = self.encoder.endings(text, prompt, [blank + option for option in options])
        for option, ending in zip(options, endings, strict=True):
            if not ending.tokens:
                raise ModelError(f"{self.name}: the option {option!r} has no tokens")
        self._check_start(start := endings[0].start, request)
        self._check_length(start + max(len(ending.tokens) for ending in endings) - 1, request)
        readings = tuple(
            Reading(
                prompt[:start] + ending.tokens[:-1],
                tuple(range(start - 1, start - 1 + len(ending.tokens))),
                tuple((token,) for token in ending.tokens),
            )
            for ending in endings
        )
        lengths = tuple(len(ending.tokens) for ending in endings)

        def reply(found: Sequence[Rows]) -> Reply:
            sums = tuple(math.fsum(row[0] for row in values) for values in found)
            return OptionReply(sums, lengths, tokens_digest(prompt), start * len(endings) + sum(lengths))

        return Job(index, readings, reply)

    def _check_length(self, n_tokens: int, request: Request) -> None:
        check_length(self.name, request, n_tokens, self._context_tokens(), "stem or context")

    def _check_start(self, start: int, request: Request) -> None:
        if start < 1:
            raise ModelError(
                f"{self.name}: nothing of the prompt of question {request.presentation.question.name!r} is left before "
                "its answers, as the tokenizer writes them together with it. Use a longer prompt or readout='text'"
            )


def in_tree_order(requests: Sequence[Request], places: Sequence[Any]) -> list[int]:
    """Return the indices of requests so that neighbours in the tree of prompts follow one another.

    Questions keep their order, and so each orbit stays together; within one, prompts that share a beginning are neighbours,
    so that an engine that remembers beginnings has it. `places` are what prompts are sorted by: their tokens or texts.
    """
    first = {request.presentation.question: -index for index, request in reversed(list(enumerate(requests)))}
    return sorted(range(len(requests)), key=lambda n: (-first[requests[n].presentation.question], places[n]))


def check_length(name: str, request: Request, n_tokens: int, limit: int | None, parts: str) -> None:
    """Raise where a prompt is longer than a model's context; `parts` of its question can be shortened."""
    if limit is not None and n_tokens > limit:
        raise ModelError(
            f"{name}: question {request.presentation.question.name!r} needs {n_tokens:,} tokens, "
            f"but the model's context is {limit:,}. Shorten its {parts}"
        )


def log_sum(logs: Sequence[float]) -> float:
    """Return the logarithm of the sum of probabilities that are given as logarithms; NaN where one of them is."""
    top = max(logs)
    if any(map(math.isnan, logs)) or math.isinf(top):
        return math.nan if any(map(math.isnan, logs)) else top
    return top + math.log(math.fsum(math.exp(value - top) for value in logs))


def tokens_digest(tokens: Sequence[int]) -> str:
    """SHA-256 over the token ids that go to the model."""
    return hashlib.sha256(",".join(map(str, tokens)).encode()).hexdigest()
