"""What a reply must be, whoever gave it: checked once, where replies come in."""

from __future__ import annotations

import math

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

SLACK = 1e-3
"""How far rounding may take a log-probability above 0, or a sum of probabilities above 1."""
KINDS: dict[str, type[LabelReply | OptionReply | TextReply]] = {
    "label": LabelReply,
    "option": OptionReply,
    "text": TextReply,
    "decision": LabelReply,
}


def checked(model: Model, request: Request, reply: object) -> Reply:
    """Return a reply that can be read; one with NaN is missing.

    Raises:
        ModelError: if it is no reply to this request, or its numbers are no log-probabilities; the message names
            the model.
    """
    if isinstance(reply, MissingReply):
        return reply
    kind = KINDS[request.capability]
    if kind is LabelReply and type(reply) is LabelReply and _is_clean(request, reply):
        return reply
    if not isinstance(reply, kind):
        raise ModelError(
            f"{model.name} answered a request for readout {request.capability!r} with {reply!r:.120}, but must give a {kind.__name__} "
            "or a MissingReply"
        )
    if isinstance(reply, TextReply):
        if not isinstance(reply.text, str):
            raise _refused(model, request, f"a text {reply.text!r:.80}, but must give a string")
        return reply
    return _numbers(model, request, reply)


def _is_clean(request: Request, reply: LabelReply) -> bool:
    """Return whether all that is asked of a reply holds at first sight: NaN, and what is above 0, is not within the sum."""
    values = reply.logprobs_nats
    if type(values) is not tuple or len(values) != len(request.presentation.order) or set(map(type, values)) != {float}:
        return False
    return reply.unlisted == 0 and max(values) <= 0 and math.fsum(map(math.exp, values)) <= 1 + SLACK


def _numbers(model: Model, request: Request, reply: LabelReply | OptionReply) -> Reply:
    values, k = reply.logprobs_nats, len(request.presentation.order)
    if not hasattr(values, "__len__"):
        raise _refused(model, request, f"{values!r:.80}, but must give {k} values, one for each option")
    if len(values) != k:
        raise _refused(model, request, f"{len(values)} values, but must give {k}, one for each option")
    if any(isinstance(value, bool) or not hasattr(value, "__float__") for value in values):
        raise _refused(model, request, f"{values!r:.80}, but must give numbers")
    if isinstance(reply, OptionReply) and (len(reply.option_tokens) != k or min(reply.option_tokens) < 1):
        raise _refused(model, request, f"token counts {reply.option_tokens!r:.80}, but must give {k} numbers from 1")
    if any(math.isnan(value) for value in values):
        position = next(n for n, value in enumerate(values) if math.isnan(value))
        return MissingReply(
            f"{model.name} gave NaN for the option at position {position + 1}", reply.sent_sha256, reply.n_tokens
        )
    if max(values) > SLACK:
        raise _refused(
            model, request, f"the log-probability {max(values):.6g}, but a log-probability is at most 0. Give logarithms "
            "of probabilities over the whole vocabulary, not logits or scores"
        )  # fmt: skip
    if isinstance(reply, LabelReply) and not 0 <= reply.unlisted <= 1:
        raise _refused(model, request, f"{reply.unlisted!r:.80} as unlisted, but must give a probability")
    if isinstance(reply, LabelReply) and (total := math.fsum(map(math.exp, values)) + reply.unlisted) > 1 + SLACK:
        raise _refused(
            model, request, f"probabilities of labels that sum to {total:.6g}, but they sum to at most 1. Give "
            "log-probabilities over the whole vocabulary"
        )  # fmt: skip
    return reply


def _refused(model: Model, request: Request, what: str) -> ModelError:
    return ModelError(f"{model.name} gave for question {request.presentation.question.name!r} {what}")
