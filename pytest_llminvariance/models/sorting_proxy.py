"""A proxy that sorts the options: whatever a check of orders finds behind it says nothing about the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_llminvariance.models.protocol import Capability, LabelReply, Model, OptionReply, Reply, Request, declared
from pytest_llminvariance.questions.presentation import Presentation


@dataclass(frozen=True, slots=True)
class SortingProxy:
    """Put the options in alphabetical order before the model sees them, as some proxies and caches do.

    The order never reaches the model, so whatever a check of orders finds says nothing about it.
    """

    inner: Model

    @property
    def name(self) -> str:
        """The inner model's name, marked."""
        return f"sorting_proxy({self.inner.name})"

    @property
    def fingerprint(self) -> str:
        """The inner model's, marked."""
        return f"sorting_proxy({self.inner.fingerprint})"

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Those of the inner model that are read by position."""
        return self.inner.capabilities & {"label", "option", "decision"}

    @property
    def deterministic(self) -> object:
        """As the inner model."""
        return declared(self.inner)

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """Sort, ask, and take the answers back to the positions that were asked for."""
        sorted_requests = [type(request)(_sorted(request.presentation)) for request in requests]
        replies = self.inner.answer(sorted_requests)
        return [
            _moved(reply, sent.presentation, request.presentation)
            for request, sent, reply in zip(requests, sorted_requests, replies, strict=True)
        ]


def _sorted(presentation: Presentation) -> Presentation:
    options = presentation.question.options
    return presentation.replace(order=tuple(sorted(range(len(options)), key=lambda content: options[content])))


def _moved(reply: Reply, sent: Presentation, asked: Presentation) -> Reply:
    """Return `reply` to `sent` with its values at the positions of `asked`."""
    source = [sent.position_of(content) for content in asked.order]
    if isinstance(reply, LabelReply):
        return LabelReply(
            tuple(reply.logprobs_nats[p] for p in source), reply.sent_sha256, reply.n_tokens, reply.unlisted
        )
    if isinstance(reply, OptionReply):
        logprobs = tuple(reply.logprobs_nats[p] for p in source)
        return OptionReply(logprobs, tuple(reply.option_tokens[p] for p in source), reply.sent_sha256, reply.n_tokens)
    return reply


def sorting_proxy(model: Model) -> SortingProxy:
    """Return `model` behind a proxy that sorts the options before it asks."""
    return SortingProxy(model)
