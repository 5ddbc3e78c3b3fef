"""Models that were made of an object, kept on that object: they live as long as it does, and nothing else holds them.

What a check is given twice is then one model, whose answers are remembered and whose fast paths are proven once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from typing import Any, NamedTuple

from pytest_llminvariance.models.protocol import Model

ATTRIBUTE = "_llminvariance_models"


class _Entry(NamedTuple):
    model: Model
    state: Hashable
    """What the object was like; where it is otherwise now, another model is made."""


class _Kept(dict[Hashable, _Entry]):
    """Models by how they were made. Copies and pickles of the object that carries it get an empty dictionary."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (dict, ())


def kept(holder: object, key: Hashable, make: Callable[[], Model], state: Hashable = None) -> Model:
    """Return the model that was made of `holder` in the same way, or make it; an object without attributes keeps none."""
    try:
        attributes = vars(holder)
    except TypeError:
        return make()
    entries = attributes.get(ATTRIBUTE)
    if not isinstance(entries, _Kept):
        entries = attributes[ATTRIBUTE] = _Kept()
    if key not in entries or entries[key].state != state:
        entries[key] = _Entry(make(), state)
    return entries[key].model


def place_of(function: object) -> tuple[object, str]:
    """Return what keeps the models of a function, and its name there: of a method, the object that it belongs to."""
    bound = getattr(function, "__self__", None)
    return (function, "") if bound is None else (bound, getattr(function, "__name__", ""))


def is_made_of(model: object, value: object) -> bool:
    """Return whether a model was made of a value, or of one of its parts: of a pair's network, say."""
    parts = value if isinstance(value, tuple | list) else value.values() if isinstance(value, Mapping) else ()
    return any(part is own for own in getattr(model, "origin", ()) for part in (value, *parts))


def forget(model: object) -> None:
    """Take a model off the objects that it was made of, so that these are free once nobody else holds them."""
    for own in getattr(model, "origin", ()):
        vars(own).pop(ATTRIBUTE, None) if hasattr(own, "__dict__") else None
