"""By what an answer is remembered: the model, the request, and the text that is sent for it.

The text counts, not the messages: a template with today's date sends another text tomorrow. A model whose
fingerprint determines its answers (`cacheable = True`) is known by name and fingerprint; every other one by the
object that it is, so that two models of one name never share answers.
"""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Callable, Iterable
from typing import NamedTuple

from pytest_llminvariance.models.protocol import Model, Request


class Owner:
    """One object: equal only to itself while it lives, and kept alive only where there are no weak references to it."""

    def __init__(self, held: object) -> None:
        self._hash = id(held)
        try:
            self._held: Callable[[], object] = weakref.ref(held)
        except TypeError:
            self._held = lambda: held

    def __eq__(self, other: object) -> bool:
        held = self._held()
        return isinstance(other, Owner) and held is not None and held is other._held()

    def __hash__(self) -> int:
        return self._hash


class Key(NamedTuple):
    """What determines an answer."""

    name: str
    fingerprint: str
    request: Request
    prompt: str | None = None
    """SHA-256 of the text that is sent, where the model tells it; else the messages of the request stand for it."""
    owner: Owner | None = None
    """The model itself, where its fingerprint does not say all; never written down."""


def key_of(model: Model, request: Request) -> Key:
    """Return by what the answer of a model to a request is remembered."""
    return keys_of(model, [request])[0]


def keys_of(model: Model, requests: Iterable[Request]) -> list[Key]:
    """Return by what the answers of a model to requests are remembered."""
    name, fingerprint, owner = model.name, model.fingerprint, owner_of(model)
    tells = getattr(model, "rendered", None) is not None
    return [
        Key(name, fingerprint, request, _digest(rendered(model, request)) if tells else None, owner)
        for request in requests
    ]


def _digest(text: str | None) -> str | None:
    return None if text is None else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def owner_of(model: Model) -> Owner | None:
    """Return what a model is known by besides name and fingerprint: nothing where these determine its answers."""
    return None if getattr(model, "cacheable", False) else Owner(model)


def rendered(model: object, request: Request) -> str | None:
    """Return the text that a model sends for a request; `None` where it does not tell."""
    tell = getattr(model, "rendered", None)
    text: str | None = None if tell is None else tell(request)
    return text
