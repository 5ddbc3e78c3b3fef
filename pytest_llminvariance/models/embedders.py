"""Encoders of texts as models: how near a text lies to each of several others.

The text is a question's stem, the others are its options; the reply by option is the cosine minus 1, so that 0 is the same
direction.
"""

from __future__ import annotations

import hashlib
import json
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

from pytest_llminvariance.errors import ModelError, UsageError
from pytest_llminvariance.models.functions import FunctionModel
from pytest_llminvariance.models.held import held_by
from pytest_llminvariance.models.kept import kept, place_of, renewed
from pytest_llminvariance.models.protocol import Capability, Model, OptionReply, Reply, Request

KINDS = "a function of a list of texts that gives a vector each, an object with such a method encode, or (network, tokenizer)"


class EmbeddingFunction(FunctionModel):
    """Embeds each text once, and compares. Memory grows with the number of distinct texts."""

    def __init__(self, function: Callable[..., Any], name: str | None = None) -> None:
        """Take a function of a list of texts."""
        super().__init__(function, name)
        self._vectors: dict[str, tuple[float, ...]] = {}

    def _kind_of(self, function: Callable[..., Any]) -> Capability:
        del function
        return "option"

    def _replies(self, requests: Sequence[Request]) -> list[Reply]:
        """Embed what is new, all at once, and compare."""
        texts = [text for request in requests for text in _texts(request)]
        new = list(dict.fromkeys(text for text in texts if text not in self._vectors))
        if new:
            self._vectors.update(zip(new, self._embedded(new), strict=True))
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        text, *others = _texts(request)
        near = tuple(min(0.0, _cosine(self._vectors[text], self._vectors[other]) - 1) for other in others)
        sent = hashlib.sha256(json.dumps([text, others]).encode()).hexdigest()
        return OptionReply(near, (1,) * len(near), sent)

    def _embedded(self, texts: list[str]) -> list[tuple[float, ...]]:
        found = self._call(lambda: [tuple(map(float, vector)) for vector in self._function(texts)])
        if len(found) != len(texts) or len(set(map(len, found))) != 1:
            raise ModelError(
                f"{self.name} gave {len(found)} vectors for {len(texts)} texts, but must give one of equal length each"
            )
        for text, vector in zip(texts, found, strict=True):
            if not all(map(math.isfinite, vector)) or not any(vector):
                raise ModelError(f"{self.name} gave a vector without a direction for {text!r:.80}")
        return found


def _texts(request: Request) -> tuple[str, ...]:
    return (request.presentation.question.stem, *request.presentation.shown_options)


def _cosine(a: Sequence[float], b: Sequence[float]) -> float:
    return _dot(a, b) / math.sqrt(_dot(a, a) * _dot(b, b)) if a != b else 1.0


def _dot(a: Sequence[float], b: Sequence[float]) -> float:
    return math.fsum(map(operator.mul, a, b))


def as_embedder(obj: object) -> object:
    """Return an encoder as a model; what is one already as it is.

    Raises:
        UsageError: for what is not taken.
    """
    if isinstance(obj, Model) and not isinstance(obj, type):
        return renewed(obj)
    if isinstance(obj, tuple | list) and len(obj) == 2:
        from pytest_llminvariance.models.local.encoder import SentenceEncoder
        from pytest_llminvariance.models.local.state import state_of

        network, tokenizer = obj
        encoder = SentenceEncoder(type(network).__name__, network, tokenizer, first_token=False)
        return kept(
            network,
            ("embedder", id(tokenizer)),
            lambda: EmbeddingFunction(encoder.vectors, encoder.name),
            lambda: state_of(network, tokenizer),
        )
    function = getattr(obj, "encode", obj)
    if not callable(function) or isinstance(obj, type):
        raise UsageError(f"encoder is a {type(obj).__name__}, which is not taken. Give {KINDS}")
    holder, method = place_of(function)
    return kept(holder, ("embedder", method), lambda: EmbeddingFunction(function), lambda: held_by(function))
