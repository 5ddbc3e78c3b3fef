"""What a function holds, as far as it can be seen: by this a check knows whether it is the same one as at a check before.

Looked at: closures, defaults, partial arguments, attributes of the object that a method belongs to, and the globals that its
code names; in them plain values, containers, functions, and networks with their weights. Of a foreign object only which
one it is.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from pytest_llminvariance.models.functions import PLAIN
from pytest_llminvariance.models.kept import ATTRIBUTE

CONTAINERS = (list, tuple, dict, set, frozenset, deque)
MAX_DEPTH = 6
MAX_PARTS = 20_000
"""Parts that are looked at in all; what comes after is not seen."""
MAX_ARRAY_BYTES = 1 << 20


def held_by(function: object) -> dict[str, object]:
    """Return each part that a function holds, by its place."""
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    walk = _Walk(_package(getattr(inner, "__self__", inner)))
    walk.note("", function, 0)
    return walk.found


class _Walk:
    """Notes parts, each object once."""

    def __init__(self, package: str) -> None:
        self.package = package
        """Where the function is from: objects of classes from there are looked into, and globals of functions."""
        self.found: dict[str, object] = {}
        self._seen: set[int] = set()

    def note(self, place: str, value: object, depth: int) -> None:
        if len(self.found) >= MAX_PARTS:
            return
        if isinstance(value, PLAIN):
            self.found[place] = type(value), repr(value) if isinstance(value, float) else value
            return
        self.found[place] = type(value), _identity(value)
        if id(value) in self._seen or depth > MAX_DEPTH:
            return
        self._seen.add(id(value))
        for name, part in self._parts(value, is_first=depth == 0):
            self.note(f"{place}{name}", part, depth + 1)

    def _parts(self, value: Any, *, is_first: bool) -> Iterator[tuple[str, object]]:
        """Yield what an object holds, with how it is called there."""
        if isinstance(value, CONTAINERS):
            pairs = (
                value.items() if isinstance(value, dict) else ((one, one) for one in value) if isinstance(value, set | frozenset)
                else enumerate(value)
            )  # fmt: skip
            yield from ((f"[{key!r:.200}]", part) for key, part in pairs)
        elif inspect.ismethod(value):
            yield from ((".__func__", value.__func__), (".__self__", value.__self__))
        elif isinstance(value, functools.partial):
            yield from ((".func", value.func), (".args", value.args), (".keywords", value.keywords))
        elif inspect.isfunction(value):
            yield from _of_function(value, is_ours=_package(value) == self.package)
            yield from self._attributes(value)
        elif is_first or dataclasses.is_dataclass(value) or _package(value) == self.package:
            yield ".__call__", inspect.getattr_static(type(value), "__call__", None)
            yield from self._attributes(value)

    def _attributes(self, value: object) -> Iterator[tuple[str, object]]:
        if _is_of_torch(value) or isinstance(value, type) or inspect.ismodule(value):
            return
        held = {name: part for name, part in getattr(value, "__dict__", {}).items() if name != ATTRIBUTE}
        yield ".__names__", " ".join(held)
        yield from ((f".{name}", part) for name, part in held.items())


def _package(value: object) -> str:
    return str(getattr(value, "__module__", None)).partition(".")[0]


def _of_function(function: Any, *, is_ours: bool) -> Iterator[tuple[str, object]]:
    code = function.__code__
    yield ".__code__", code.co_code
    yield ".__consts__", repr([part for part in code.co_consts if isinstance(part, PLAIN)])
    yield ".__defaults__", function.__defaults__
    yield ".__kwdefaults__", function.__kwdefaults__
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield f".{name}", cell.cell_contents
        except ValueError:  # not filled yet
            continue
    known: Mapping[str, object] = function.__globals__ if is_ours else {}
    yield from ((f".{name}", known[name]) for name in code.co_names if name in known)


def _identity(value: Any) -> object:
    """Return which object it is; of what is one with its contents, what it is like."""
    if isinstance(value, CONTAINERS) or inspect.ismethod(value):
        return None
    if inspect.isfunction(value):
        return value.__qualname__
    if _is_of_torch(value):
        from pytest_llminvariance.models.local.state import state_of_caller

        try:
            return id(value), state_of_caller(value)
        except Exception:  # weights that are not made yet, kinds of tensors that tell nothing: only which one it is
            return id(value)
    if type(value).__module__ == "numpy" and getattr(value, "nbytes", MAX_ARRAY_BYTES) < MAX_ARRAY_BYTES:
        return id(value), value.tobytes()
    return id(value)


def _is_of_torch(value: object) -> bool:
    """Return whether an object is of torch or transformers, whose inside is looked at in another way."""
    packages = {kind.__module__.partition(".")[0] for kind in type(value).__mro__}
    return "torch" in sys.modules and not isinstance(value, type) and bool(packages & {"torch", "transformers", "peft"})
