"""A model averaged over orders, which is invariant under them by construction.

Source: Puny et al., Frame Averaging for Invariant and Equivariant Network Design. The orders of a frame
form a group, so the average over an orbit is the same for each of its members.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pytest_llminvariance.errors import CapabilityError, UsageError
from pytest_llminvariance.models.engine import answers_of
from pytest_llminvariance.models.kept import Wrapping
from pytest_llminvariance.models.keys import rendered
from pytest_llminvariance.models.protocol import (
    Capability,
    LabelReply,
    MissingReply,
    Model,
    OptionReply,
    OptionRequest,
    Reply,
    Request,
    TextRequest,
    declared,
    log_of,
)
from pytest_llminvariance.questions.orders import Order, compose, cyclic_orders, identity
from pytest_llminvariance.transforms.designs import MAX_ALL_OPTIONS

Frame = Literal["reversed", "cyclic", "all"]
AVERAGED: frozenset[Capability] = frozenset({"label", "option", "decision"})


@dataclass(frozen=True, slots=True)
class SymmetrizedModel(Wrapping):
    """Ask under every order of the frame and average by content.

    One question costs as many prompts as the frame has orders: 2 for `reversed`, k for `cyclic`, k! for
    `all`; presentations of one orbit share them.
    """

    inner: Model
    frame: Frame

    @property
    def name(self) -> str:
        """The inner model's name with the frame."""
        return f"symmetrized({self.inner.name}, frame={self.frame})"

    @property
    def fingerprint(self) -> str:
        """The inner model's with the frame."""
        return f"symmetrized:{self.frame}({self.inner.fingerprint})"

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Log-probabilities can be averaged, texts cannot."""
        return self.inner.capabilities & AVERAGED

    @property
    def cacheable(self) -> bool:
        """Whether answers may be kept on disk: as the inner model's."""
        return bool(getattr(self.inner, "cacheable", False))

    @property
    def deterministic(self) -> object:
        """As the inner model."""
        return declared(self.inner)

    def rendered(self, request: Request) -> str | None:
        """Return the texts that are sent for a request, where the inner model tells them."""
        texts = [rendered(self.inner, part) for part in self.framed(request)]
        return None if None in texts else json.dumps(texts)

    def frame_orders(self, k: int) -> tuple[Order, ...]:
        """Return the orders over which the average is taken: invariance holds by construction inside them.

        Raises:
            UsageError: if the frame is `all` and there are more than 6 options.
        """
        if self.frame == "reversed":
            return (identity(k), identity(k)[::-1])
        if self.frame == "cyclic":
            return cyclic_orders(k)
        if k > MAX_ALL_OPTIONS:
            raise UsageError(
                f"frame='all' with {k} options means {math.factorial(k):,} prompts a question. Use frame='cyclic'"
            )
        return tuple(itertools.permutations(range(k)))

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """Ask the inner model each needed prompt once, and average."""
        framed = [self.framed(request) for request in requests]
        needed = list(dict.fromkeys(itertools.chain.from_iterable(framed)))
        replies = dict(zip(needed, answers_of(self.inner, needed), strict=True))
        counted: set[Request] = set()
        averaged = []
        for request, parts in zip(requests, framed, strict=True):
            n_tokens = sum(replies[part].n_tokens for part in parts if part not in counted)
            counted.update(parts)
            averaged.append(_average(request, {part: replies[part] for part in parts}, n_tokens))
        return averaged

    def framed(self, request: Request) -> list[Request]:
        """Return what the inner model is asked for a request."""
        if isinstance(request, TextRequest):
            raise CapabilityError(f"{self.name} cannot average texts. Use readout='label', 'option' or 'decision'")
        shown = request.presentation
        if shown.question.fixed_order:
            return [request]
        if shown.template.names_ends_only and self.frame != "reversed":
            raise UsageError(
                f"{self.name}: the template {shown.template.shown_name!r} names only the ends of the scale. Use frame='reversed'"
            )
        return [
            type(request)(shown.replace(order=compose(shown.order, order)))
            for order in self.frame_orders(len(shown.order))
        ]


def symmetrized(model: Model, frame: Frame = "all") -> SymmetrizedModel:
    """Return `model` averaged over a frame of orders: it passes the order check by construction.

    Raises:
        UsageError: for an unknown frame.
        CapabilityError: if the model gives texts only.
    """
    if frame not in get_args(Frame):
        raise UsageError(f"frame is {frame!r}, but must be one of {', '.join(get_args(Frame))}")
    if not model.capabilities & AVERAGED:
        raise CapabilityError(
            f"{model.name} gives texts only, which cannot be averaged; a label or option readout is needed"
        )
    return SymmetrizedModel(model, frame)


def _average(request: Request, replies: dict[Request, Reply], n_tokens: int) -> Reply:
    shown = request.presentation
    sent = hashlib.sha256("".join(sorted(reply.sent_sha256 for reply in replies.values())).encode()).hexdigest()
    for reply in replies.values():
        if isinstance(reply, MissingReply):
            return MissingReply(reply.reason, sent, n_tokens)
    k = len(shown.order)
    if not isinstance(request, OptionRequest):
        values = [_mean_probability(replies, content) for content in range(k)]
        logs = tuple(log_of(values[content]) for content in shown.order)
        unlisted = math.fsum(getattr(reply, "unlisted", 0.0) for reply in replies.values()) / len(replies)
        return LabelReply(logs, sent, n_tokens, unlisted)
    totals = [math.fsum(_at(part, reply, c) for part, reply in replies.items()) / len(replies) for c in range(k)]
    part, reply = next(iter(replies.items()))
    assert isinstance(reply, OptionReply)  # noqa: S101 - the replies follow the kind of request
    lengths = [reply.option_tokens[part.presentation.position_of(content)] for content in range(k)]
    order = shown.order
    return OptionReply(tuple(totals[c] for c in order), tuple(lengths[c] for c in order), sent, n_tokens)


def _mean_probability(replies: dict[Request, Reply], content: int) -> float:
    return math.fsum(math.exp(_at(part, reply, content)) for part, reply in replies.items()) / len(replies)


def _at(part: Request, reply: Reply, content: int) -> float:
    assert isinstance(reply, LabelReply | OptionReply)  # noqa: S101 - missing replies were dealt with
    return reply.logprobs_nats[part.presentation.position_of(content)]
