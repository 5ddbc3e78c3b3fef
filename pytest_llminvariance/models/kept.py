"""Models that were made of an object, kept on that object: they live as long as it does, and nothing else holds them.

What a check is given twice is then one model, whose answers are remembered and whose fast paths are proven once.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from typing import Any, NamedTuple, cast

from pytest_llminvariance.models.protocol import Model

ATTRIBUTE = "_llminvariance_models"


class _Entry(NamedTuple):
    model: Model
    state: object
    """What the object was like; where it is otherwise now, another model is made."""


class _Kept(dict[Hashable, _Entry]):
    """Models by how they were made. Copies and pickles of the object that carries it get an empty dictionary."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (dict, ())


def kept(holder: object, key: Hashable, make: Callable[[], Any], state: Callable[[], object]) -> Model:
    """Return the model that was made of `holder` in the same way, or make it; an object without attributes keeps none.

    `state` tells what the object is like now: where it has changed, another model is made. A state in parts has changed
    where one of them is otherwise or gone; parts that were added are a log that grew.
    """
    try:
        attributes = vars(holder)
    except TypeError:
        return cast("Model", make())
    entries = attributes.get(ATTRIBUTE)
    if not isinstance(entries, _Kept):
        entries = _Kept()
        if isinstance(holder, type):  # a method of a class
            with contextlib.suppress(TypeError):  # one of Python's own takes no attributes
                setattr(holder, ATTRIBUTE, entries)
        else:
            attributes[ATTRIBUTE] = entries
    now, known = state(), entries.get(key)
    if known is not None and _is_same(known.state, now):
        made = known.model
    else:
        made = make()
        made.again = partial(kept, holder, key, make, state)
        if hasattr(made, "settled"):
            made.settled = partial(_settle, entries, key, state)
    entries[key] = _Entry(made, now)
    return made


def _settle(entries: _Kept, key: Hashable, state: Callable[[], object]) -> None:
    """Take what the object is like now for what it was: it has changed while it answered, which is its own doing."""
    if key in entries:
        entries[key] = _Entry(entries[key].model, state())


def _is_same(before: object, now: object) -> bool:
    return before.items() <= now.items() if isinstance(before, dict) and isinstance(now, dict) else before == now


def renewed(model: Model) -> Model:
    """Return a model, or another one where what it was made of has changed since."""
    again: Callable[[], Model] | None = getattr(model, "again", None)
    return model if again is None else again()


class Wrapping:
    """A dataclass of a model that asks an `inner` one; what it learnt of that is a field outside of `__init__`."""

    __slots__ = ()
    inner: Model

    def again(self) -> Model:
        """Return this model, or that of what the inner one has become since."""
        inner = renewed(self.inner)
        return cast("Model", self if inner is self.inner else dataclasses.replace(cast("Any", self), inner=inner))


def place_of(function: object) -> tuple[object, str]:
    """Return what keeps the models of a function, and its name there: of a method, the object that it belongs to."""
    bound = getattr(function, "__self__", None)
    return (function, "") if bound is None else (bound, getattr(function, "__name__", ""))


def is_made_of(model: object, value: object) -> bool:
    """Return whether a model was made of a value, or of one of its parts: of a pair's network, say."""
    parts = value if isinstance(value, tuple | list) else value.values() if isinstance(value, Mapping) else ()
    held = [
        one for part in (value, *parts) for one in (part, getattr(part, "__self__", None), *getattr(part, "origin", ()))
    ]
    return any(one is own for own in getattr(model, "origin", ()) for one in held)


def forget(model: object) -> None:
    """Take a model off the objects that it was made of, so that these are free once nobody else holds them."""
    for own in getattr(model, "origin", ()):
        vars(own).pop(ATTRIBUTE, None) if hasattr(own, "__dict__") else None
