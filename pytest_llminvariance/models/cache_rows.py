"""What is written for an answer: a key that says all that determines it, and the reply as JSON.

No pickle: a cache that somebody else wrote can hold wrong answers, but can run nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from typing import Any

from pytest_llminvariance.models.protocol import LabelReply, OptionReply, Reply, Request, TextReply

FORMAT = 2
"""Part of every key. Count it up whenever the same request to the same weights may be answered differently:
another cue, another way of scoring or decoding in `models/`, another meaning of a request's field."""

KINDS: dict[str, type[Any]] = {
    "label": LabelReply, "option": OptionReply, "text": TextReply, "decision": LabelReply,
}  # fmt: skip


def row_key(fingerprint: str, request: Request, prompt: str | None = None) -> bytes | None:
    """Return SHA-256 over everything that determines the answer; `None` where a field of the request is no JSON.

    That is the fingerprint, the kind of request, the digest of the text that is sent (`prompt`; the messages
    where the model does not tell), labels and options as shown, and every field of the request but the
    presentation. Given the fingerprint, which covers the tokenizer, the text determines the tokens, and nothing
    has to be tokenised for an answer that is there. All fields count, so a request that carries the index of a
    draw gets a key of its own and the same draw never comes back twice.
    """
    shown = request.presentation
    fields = [item.name for item in dataclasses.fields(request) if item.name != "presentation"]
    parts = {
        "format": FORMAT,
        "fingerprint": fingerprint,
        "kind": type(request).__name__,
        "prompt": prompt or [[message.role, message.content] for message in request.messages],
        "labels": shown.labels,
        "options": shown.shown_options,
        "fields": {name: _as_plain(getattr(request, name)) for name in fields},
    }
    try:
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).digest()
    except (TypeError, ValueError):
        return None


def _as_plain(value: Any) -> Any:
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value


def encoded(request: Request, reply: Reply) -> str | None:
    """Return a reply as JSON, or `None` for a missing one and for one that would not come back equal."""
    if KINDS.get(request.capability) is not type(reply):
        return None
    try:
        text = json.dumps({"kind": request.capability, **dataclasses.asdict(reply)})
    except (TypeError, ValueError):
        return None
    return text if decoded(request, text) == reply else None


def decoded(request: Request, text: str | bytes) -> Reply | None:
    """Return the reply that a row holds, or `None` where it is damaged or no answer to this request."""
    kind = KINDS.get(request.capability)
    try:
        data = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        return None
    if kind is None or not isinstance(data, dict) or data.pop("kind", None) != request.capability:
        return None
    if data.keys() != {item.name for item in dataclasses.fields(kind)}:
        return None
    reply = kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in data.items()})
    return reply if _answers(reply, len(request.presentation.order)) else None


def _answers(reply: Any, k: int) -> bool:
    if type(reply.sent_sha256) is not str or type(reply.n_tokens) is not int:
        return False
    if isinstance(reply, TextReply):
        return type(reply.text) is str and type(reply.ran_out) is bool
    values = reply.logprobs_nats
    good = type(values) is tuple and len(values) == k and all(map(_is_number, values))
    if isinstance(reply, OptionReply):
        lengths = reply.option_tokens
        return good and type(lengths) is tuple and len(lengths) == k and all(type(n) is int and n > 0 for n in lengths)
    return good and type(reply.unlisted) is float and 0 <= reply.unlisted <= 1


def _is_number(value: object) -> bool:
    return type(value) is int or (isinstance(value, float) and not math.isnan(value))
