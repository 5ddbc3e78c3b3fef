"""Decision models behind a server: `/v1/systemone`, and `/v1/decisions` in OpenAI's shape."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from pytest_llminvariance.errors import CapabilityError
from pytest_llminvariance.models.decision_wire import Shape, canonical, read_answers, request_body, was_sorted
from pytest_llminvariance.models.load_settings import LoadSettings
from pytest_llminvariance.models.protocol import Capability, LabelReply, Reply, Request, in_order, log_of
from pytest_llminvariance.models.served.client import Client, Job, Received, client_for
from pytest_llminvariance.models.served.faults import OtherAnswerError
from pytest_llminvariance.models.served.wire import still_called

MOVED = 0.02
"""A change of a probability that shows that an order reached the model; noise between equal requests is far below."""


class ServedDecisionModel:
    """Asks a server for decisions, each request once, many at a time. Its answers are not kept between sessions."""

    capabilities: frozenset[Capability] = frozenset({"decision"})

    def __init__(self, model: str, client: Client, shape: Shape) -> None:
        self.name = f"{shape}:{model}@{client.address.api}"
        self.fingerprint = hashlib.sha256(json.dumps([shape, model, client.address.api]).encode()).hexdigest()
        self._model, self._client, self._shape = model, client, shape
        self._is_called = ""
        """What the server called the model that answered first."""
        self._first: dict[str, tuple[float, ...]] = {}
        """Answers whose options came back sorted, by the sorted request and content."""
        self._arrives = False
        """Whether such an answer was seen to depend on the order."""

    def describe_path(self) -> str:
        """Return one line: how it is asked."""
        client = self._client
        again = f", {client.n_again:,} of them again after a fault" if client.n_again else ""
        return (
            f"{client.n_requests:,} requests{again}, at most {client.concurrency} at a time"
            if client.n_requests
            else "nothing was asked"
        )

    def release(self) -> None:
        """End all connections."""
        self._client.close()

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """Ask, and return the replies in the order of the requests."""
        return in_order(self.answers(requests))

    def answers(self, requests: Sequence[Request]) -> Iterator[list[tuple[int, Reply]]]:
        """Yield (index, reply) pairs as answers come; questions of one request are sent once.

        Raises:
            ModelError: where the server gives no answer, or none to what was asked; what came before is yielded.
        """
        if other := next((request for request in requests if request.capability != "decision"), None):
            raise CapabilityError(
                f"{self.name} cannot answer a request for readout {other.capability!r}. Use 'decision'"
            )
        bodies: dict[str, dict[str, Any]] = {}
        wanted: dict[str, list[int]] = {}
        for index, request in enumerate(requests):
            body = {"model": self._model, **request_body(request.presentation, self._shape)}
            bodies.setdefault(text := canonical(body), body)
            wanted.setdefault(text, []).append(index)
        texts = list(bodies)
        jobs: list[Job[Received]] = [
            functools.partial(self._client.posted, self._shape, bodies[text]) for text in texts
        ]
        for number, received in self._client.run(jobs):
            body, indices = bodies[texts[number]], wanted[texts[number]]
            data = self._checked(received.data)
            yield [
                (index, self._reply(requests[index], body, data, _tokens(data) if index == indices[0] else 0))
                for index in indices
            ]

    def _checked(self, data: object) -> dict[str, Any]:
        """Return an answer of the model that was asked, the same one each time."""
        if not isinstance(data, dict) or "answers" not in data:
            raise OtherAnswerError(f"{self.name} gave {data!r:.120}, but must give an object with 'answers'")
        self._is_called = still_called(self._is_called, data, self._model, self.name)
        return data

    def _reply(self, request: Request, body: dict[str, Any], data: dict[str, Any], n_tokens: int) -> Reply:
        shown = request.presentation
        said = read_answers(data["answers"], shown, self.name, self._shape)
        values = said.probabilities
        mixed = self._shape == "systemone" and was_sorted(data["answers"], shown)
        if mixed and values is not None and not self._arrives:
            key = f"{_digest(body, as_sorted=True)}|{shown.question.content_hash}"
            by_content = tuple(values[shown.position_of(content)] for content in range(len(values)))
            before = self._first.setdefault(key, by_content)
            self._arrives = max(abs(a - b) for a, b in zip(before, by_content, strict=True)) > MOVED
        sent = _digest(body, as_sorted=mixed and not self._arrives)
        logs = (-math.inf,) * len(shown.order) if values is None else tuple(map(log_of, values))
        return LabelReply(logs, sent, n_tokens)


def _digest(body: dict[str, Any], *, as_sorted: bool) -> str:
    """Return SHA-256 over a request as it was sent; `as_sorted`: as something on the way seems to have sorted it.

    What comes back in alphabetical order was sent in another: then nothing shows that the order went further than that,
    and all orders count as one request. The state is sorted in both, so that only orders that are asked about differ.
    """
    state = json.dumps(body.get("state", body.get("input")), sort_keys=True)
    rest = {name: value for name, value in body.items() if name not in ("state", "input")}
    return hashlib.sha256(f"{json.dumps(rest, sort_keys=as_sorted)}|{state}".encode()).hexdigest()


def _tokens(data: dict[str, Any]) -> int:
    usage = data.get("usage")
    count = usage.get("input_tokens") if isinstance(usage, dict) else None
    return count if type(count) is int else 0


def load_served_decision(target: str, shape: Shape, settings: LoadSettings) -> ServedDecisionModel:
    """Return the decision model of `MODEL@URL`.

    Raises:
        UsageError: for another target, or a key that is not there.
        MissingExtraError: without httpx.
    """
    model, client = client_for(target, settings)
    return ServedDecisionModel(model, client, shape)
