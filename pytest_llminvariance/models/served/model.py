"""A model behind an OpenAI-compatible server: requests to HTTP and back.

With a tokenizer at hand prompts are sent as tokens, and scores are those of the same weights in this process. Without
one, messages are sent, and the server's own template and tokens count.
"""

from __future__ import annotations

import copy
import functools
import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_llminvariance.errors import ModelError
from pytest_llminvariance.models.protocol import (
    Capability,
    LabelReply,
    LabelRequest,
    MissingReply,
    OptionRequest,
    Reply,
    Request,
    TextReply,
    TextRequest,
    in_order,
)
from pytest_llminvariance.models.served import wire
from pytest_llminvariance.models.served.client import Client, content_of, digest
from pytest_llminvariance.models.served.faults import StatusError
from pytest_llminvariance.models.served.probing import Found
from pytest_llminvariance.models.thoughts import answer_part

if TYPE_CHECKING:
    from pytest_llminvariance.models.local.jobs import Asked, Jobs
    from pytest_llminvariance.models.local.label_tokens import LabelTokens

Work = Callable[[], Awaitable[Reply]]
Columns = tuple[tuple[int, ...], ...]
"""Tokens that spell each label."""


@dataclass(slots=True)
class Usage:
    """What was sent so far."""

    asked_tokens: int = 0
    """Tokens of all prompts, as the server counts them."""
    sent_tokens: int = 0
    """Those of them that it did not remember from earlier prompts, where it says so."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a model is asked."""

    model: str
    """Its name on the server."""
    found: Found
    chat: bool
    """Messages are sent to the server's chat; else a prompt."""
    max_new_tokens: int | None
    arguments: Mapping[str, Any]
    """For the chat template."""
    jobs: Jobs | None = None
    """Requests as tokens, where a tokenizer is at hand."""
    labels: LabelTokens | None = None
    """Tokens of labels, where the server tells them."""
    says: tuple[str, ...] = ()
    """What else determines the answers: tokenizer and template."""


class ServedModel:
    """A model behind a server, asked with several requests under way at a time."""

    dtype = ""
    deterministic = False
    """Other requests share the server's batches, so the noise is measured, whether or not answers are kept."""

    def __init__(self, name: str, client: Client, way: Way, *, cacheable: bool = False) -> None:
        self.name = name
        self.device = f"{way.found.kind} {way.found.version}".strip() or "server"
        self.cacheable = cacheable
        """Whether its answers are kept between sessions: only where whoever runs the checks says so."""
        self.usage = Usage()
        self.at_once = client.concurrency
        """Requests that are under way at a time."""
        self._client = client
        self._way = way
        self._is_called = ""
        """What the server called the model so far."""

    def __repr__(self) -> str:
        return f"<{self.name}>"

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the server can do, as it was found out."""
        scores = self._way.found.scores
        found: set[Capability] = {"text"}
        found |= {"label"} if scores != "none" else set()
        found |= {"option"} if scores in ("completions", "generate") else set()
        return frozenset(found)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the server's address, what it says of itself and of its model, and how it is asked."""
        way = self._way
        says = [
            self._client.address.api, way.model, way.found.kind, way.found.version, dict(way.found.identity),
            way.found.scores, way.found.top, way.chat, way.max_new_tokens, dict(way.arguments), way.says,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(says, sort_keys=True, default=str).encode()).hexdigest()

    @property
    def plain(self) -> ServedModel:
        """The same model, asked one request at a time: for comparison."""
        other = copy.copy(self)
        other.at_once = 1
        return other

    @property
    def rendered(self) -> Callable[[Request], str | None] | None:
        """What gives the text that is sent for a request, where that is known here."""
        return None if self._way.jobs is None else self._way.jobs.prompts.text

    def calm(self) -> bool:
        """Ask one request at a time from now on, as answers move with their company; false where that is so already."""
        was, self.at_once = self.at_once, 1
        return was > 1

    def describe_path(self) -> str:
        """Return one line: what the server is, how it is asked, and what had to be asked again."""
        again = f", {self._client.n_again:,} asked again after faults" if self._client.n_again else ""
        return "; ".join(
            [self.found_words(), f"{self._client.n_requests:,} requests{again}, {self.at_once} under way at a time"]
        )

    def found_words(self) -> str:
        """Return what was found out about the server, and how prompts are sent to it."""
        way = self._way
        how = "as tokens" if way.jobs is not None else "as messages" if way.chat else "as plain text"
        return "; ".join([way.found.words(), f"prompts {how}", *way.says[1:]])

    def release(self) -> None:
        """End the connections."""
        self._client.close()

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """Ask for every request; replies come in the order of the requests."""
        return in_order(self.answers(requests))

    def answers(self, requests: Sequence[Request]) -> Iterator[list[tuple[int, Reply]]]:
        """Yield (index, reply) pairs as they come, neighbours in the tree of prompts after one another.

        Before an error everything that came is yielded.
        """
        from pytest_llminvariance.models.local.jobs import in_tree_order

        works = self._works(requests)
        order = in_tree_order(requests, [place for place, _ in works])
        for place, reply in self._client.run([works[index][1] for index in order], at_once=self.at_once):
            yield [(order[place], reply)]

    def _works(self, requests: Sequence[Request]) -> list[tuple[Any, Work]]:
        """Return for each request what it is sorted by, and what is done for it."""
        if self._way.jobs is None:
            return [(tuple(m.content for m in item.messages), self._by_messages(item)) for item in requests]
        return [(item.tokens, self._by_tokens(item, self._way.jobs)) for item in self._way.jobs.asked(requests)]

    # --- prompts as tokens

    def _by_tokens(self, asked: Asked, jobs: Jobs) -> Work:
        if isinstance(asked.request, TextRequest):
            body = {"prompt": list(asked.tokens), **self._writes(asked.request)}
            return functools.partial(self._text, "completions", body, wire.text_of_completion, asked)
        return functools.partial(self._score, jobs, asked)

    async def _score(self, jobs: Jobs, asked: Asked) -> Reply:
        """Walk the trie of what may follow a prompt: one request a node, its children are what is asked for."""
        job = jobs.job(asked)
        known: dict[tuple[int, ...], dict[int, float]] = {}
        for node, ids in job.nodes(wire.MAX_IDS):
            known.setdefault(node, {}).update(await self._follows(node, ids))
        return job.reply_of(known)

    async def _follows(self, node: tuple[int, ...], ids: Sequence[int]) -> dict[int, float]:
        if self._way.found.scores == "generate":
            data, _ = await self._posted("/generate", wire.scored_generate(node, ids))
            wire.check_length(data, node)
            return wire.scores_of_generate(data, ids)
        data, _ = await self._posted("completions", wire.scored_completion(self._way.model, node, ids))
        wire.check_length(data, node)
        return wire.scores_of_completion(data, ids)

    # --- prompts as messages, or as plain text

    def _by_messages(self, request: Request) -> Work:
        way = self._way
        path, prompt = "chat/completions", dict[str, Any]()
        if isinstance(request, OptionRequest):
            raise ModelError(f"{self.name} cannot give options: prompts are sent as messages. Name its tokenizer")
        if way.chat:
            prompt["messages"] = [_message(item) for item in request.messages]
        else:
            from pytest_llminvariance.models.local.prompts import Prompts

            path, prompt["prompt"] = "completions", Prompts(self.name, None, chat=False).text(request)
        if isinstance(request, TextRequest):
            read = wire.text_of_chat if way.chat else wire.text_of_completion
            return functools.partial(self._text, path, {**prompt, **self._writes(request)}, read, None)
        assert isinstance(request, LabelRequest)  # noqa: S101 - the only kind left that it offers
        # looked up here and not in the job: it asks the server too
        columns = None if way.labels is None else way.labels.columns(request.presentation.labels)
        return functools.partial(self._label, path, prompt, columns, request)

    async def _label(
        self, path: str, prompt: Mapping[str, Any], columns: Columns | None, request: LabelRequest
    ) -> Reply:
        from pytest_llminvariance.models.local.jobs import log_sum

        way, ids = self._way, sorted({token for column in columns or () for token in column})
        body = {"model": way.model, **prompt, way.found.limit: 1, "temperature": 0, **self._chat_more()}
        if columns is not None:
            asked = {"logprobs": True, "logprob_token_ids": ids, "return_tokens_as_token_ids": True}
        else:
            asked = {"logprobs": True, "top_logprobs": way.found.top} if way.chat else {"logprobs": way.found.top}
        data, sent = await self._posted(path, {**body, **asked})
        tokens, _ = wire.prompt_tokens(data)
        if (why := wire.refusal_of(data)) is not None:
            return MissingReply(why, sent, tokens)
        if columns is not None:
            wire.refuse_thoughts(data)
            known = wire.scores_of_chat(data, ids)
            sums = tuple(log_sum([known[token] for token in column]) for column in columns)
            return LabelReply(sums, sent, tokens)
        top = wire.top_of_chat(data) if way.chat else wire.top_of_completion(data)
        if top is None:
            return MissingReply("the server wrote no token", sent, tokens)
        return LabelReply(wire.label_nats(top, request.presentation.labels), sent, tokens, top.unlisted)

    def _chat_more(self) -> dict[str, Any]:
        """Return what a chat template is given: what was told, and that nothing is thought where servers take that."""
        if not self._way.chat:
            return {}
        return {"chat_template_kwargs": dict(self._way.arguments)} if self._way.arguments else {}

    def _writes(self, request: TextRequest) -> dict[str, Any]:
        way, draw = self._way, request.draw
        limit = way.found.limit if way.chat and way.jobs is None else "max_tokens"
        body = {"model": way.model, limit: way.max_new_tokens or request.max_new_tokens, "temperature": 0}
        if way.jobs is None:
            body |= self._chat_more()
        if draw is None:
            return body
        assert request.sampling_seed is not None  # noqa: S101 - there is a draw
        return {**body, "temperature": draw.temperature, "seed": request.sampling_seed >> 17}  # servers take 31 bits

    async def _text(self, path: str, body: Mapping[str, Any], read: Callable[[Any], wire.Text], asked: Asked | None) -> Reply:  # fmt: skip
        from pytest_llminvariance.models.local.jobs import tokens_digest

        data, sent = await self._posted(path, body)
        if asked is not None:
            wire.check_length(data, asked.tokens)
        found = read(data)
        text = answer_part(found.text)
        tokens = len(asked.tokens) if asked is not None else wire.prompt_tokens(data)[0]
        digest = tokens_digest(asked.tokens) if asked is not None else sent
        return TextReply(text, digest, tokens, found.ran_out and text == found.text)

    async def _posted(self, path: str, body: Mapping[str, Any]) -> tuple[Any, str]:
        try:
            received = await self._client.posted(path, body)
        except StatusError as error:
            if error.code != wire.FILTERED:
                raise
            return wire.FILTERED_ANSWER, digest(content_of(body))
        self._is_called = wire.still_called(self._is_called, received.data, self._way.model, self.name)
        n, remembered = wire.prompt_tokens(received.data)
        self.usage.asked_tokens += n
        self.usage.sent_tokens += n - remembered
        return received.data, received.sent_sha256


def _message(item: Any) -> dict[str, str]:
    return {"role": item.role, "content": item.content}
