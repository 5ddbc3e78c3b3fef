"""A function of messages as a model: one that writes a text, or one that gives each option a probability.

What the function does is its own business; it is handed plain dictionaries, and what it gives is checked.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from pytest_llminvariance.errors import LLMInvarianceError, ModelError, UsageError
from pytest_llminvariance.models.protocol import Capability, LabelReply, LabelRequest, Reply, Request, TextReply, log_of
from pytest_llminvariance.models.replies import SLACK

KINDS = "a function messages -> text, or (messages, options) -> {option: probability}"
PLAIN = str | bytes | int | float | bool | None
MAX_DEPTH = 3
T = TypeVar("T")
_living: WeakValueDictionary[str, FunctionModel] = WeakValueDictionary()
"""Functions with the same code are told apart by a number, counted among those that live."""


class FunctionModel:
    """Asks a function, one request at a time. Not kept between sessions: what it depends on is not known."""

    settled: Callable[[], None] | None = None
    """Called when it has answered: what the function holds then, a count of its calls say, is no change from outside."""

    def __init__(self, function: Callable[..., Any], name: str | None = None) -> None:
        """Take a function.

        Raises:
            UsageError: where its parameters do not say what it is to be given.
        """
        self.capabilities: frozenset[Capability] = frozenset({self._kind_of(function)})
        self.name = name or called(function)
        self.origin = (getattr(function, "__self__", function),)
        self._function = function
        digest = hashlib.sha256(f"{self.name}|{list(_described(function))}".encode()).hexdigest()
        number = next(n for n in range(1, len(_living) + 2) if f"{digest}-{n}" not in _living)
        self.fingerprint = f"{digest}-{number}"
        _living[self.fingerprint] = self

    def __repr__(self) -> str:
        return f"<{self.name}, a function>"

    @property
    def deterministic(self) -> object:
        """What the function says of itself (`ask.deterministic = True`); else it is taken to be noisy."""
        return getattr(self._function, "deterministic", False)

    def _kind_of(self, function: Callable[..., Any]) -> Capability:
        return _kind(function)

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """Call the function once for each request.

        Raises:
            ModelError: where it raises, or gives something else than a text or a probability for each option.
        """
        try:
            return self._replies(requests)
        finally:
            if self.settled is not None:
                self.settled()

    def _replies(self, requests: Sequence[Request]) -> list[Reply]:
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        options = list(request.presentation.shown_options) if isinstance(request, LabelRequest) else None
        sent = hashlib.sha256(json.dumps([messages, options]).encode()).hexdigest()
        given = self._call(partial(self._function, messages, *([] if options is None else [options])))
        if options is not None:
            return LabelReply(self._logs(given, request.presentation.shown_options), sent)
        if not isinstance(given, str):
            raise ModelError(f"{self.name} gave a {type(given).__name__}, but a function of messages must give a text")
        return TextReply(given, sent)

    def _call(self, asks: Callable[[], T]) -> T:
        """Return what asking the function gives; an error of it as one that names it."""
        try:
            given = asks()
        except LLMInvarianceError:
            raise
        except Exception as error:  # the function is the user's and raises what it likes
            raise ModelError(f"{self.name} raised {type(error).__name__}: {_words(error)}") from error
        if inspect.iscoroutine(given):
            given.close()  # or Python warns later that nobody awaited it
            raise ModelError(
                f"{self.name} gave a coroutine, which nobody awaits. Give a function that calls asyncio.run(...) inside"
            )
        return given

    def _logs(self, given: object, options: Sequence[str]) -> tuple[float, ...]:
        """Return log-probabilities by position; `checked` sees to NaN."""
        must = "must give a probability for each option, by its text"
        if not isinstance(given, Mapping):
            raise ModelError(f"{self.name} gave a {type(given).__name__}, but {must}")
        if unknown := [key for key in given if key not in options]:
            raise ModelError(
                f"{self.name} gave a probability for {unknown[0]!r:.80}, which is no option of {list(options)!r:.200}"
            )
        if missing := [option for option in options if option not in given]:
            raise ModelError(f"{self.name} gave no probability for {missing[0]!r:.80}, but {must}; 0 where it has none")
        values = [given[option] for option in options]
        numbers = list(map(_number, values))
        for option, value, number in zip(options, values, numbers, strict=True):
            if number is None or number < -SLACK:
                raise ModelError(f"{self.name} gave {value!r:.40} for {option!r:.80}, but {must}, from 0 to 1")
        known = [max(0.0, number) if number == number else math.nan for number in numbers if number is not None]
        if (total := sum(known)) > 1 + SLACK:
            raise ModelError(
                f"{self.name} gave probabilities that sum to {total:.6g}, but they sum to at most 1. Divide percentages by "
                "100, and give no logits or scores"
            )
        return tuple(map(log_of, known))


def _number(value: Any) -> float | None:
    """Return a number of Python, numpy or torch; `None` for what is none."""
    try:
        plain = value.item() if hasattr(value, "item") else value
        return None if isinstance(plain, bool | str | bytes) else float(plain)
    except Exception:  # any type may be given, and each has errors of its own
        return None


def _words(error: Exception) -> str:
    try:
        return str(error)
    except Exception:  # an error of the user's may fail to say what it is
        return "(its message cannot be shown)"


def called(function: object) -> str:
    """Return how to call a function in messages."""
    name = getattr(function, "__qualname__", None) or getattr(getattr(function, "func", None), "__qualname__", None)
    return str(name or type(function).__name__).rpartition("<locals>.")[2].replace("<lambda>", "lambda")


def _kind(function: Callable[..., Any]) -> Capability:
    """Return how the answers of a function are read, by what it takes."""
    name, given = called(function), type(function).__call__ if not inspect.isroutine(function) else function
    if any(map(inspect.iscoroutinefunction, (function, given))):
        raise UsageError(
            f"model is {name}, an async function, but one is needed that gives its answer when it is called.\n"
            f"Give lambda messages: asyncio.run({name}(messages)), or a function that sends its requests itself"
        )
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError) as error:
        raise UsageError(f"model is {name}, and does not tell what it takes.\nGive {KINDS}") from error
    parameters = list(signature.parameters.values())
    placed = [part for part in parameters if part.kind in (part.POSITIONAL_ONLY, part.POSITIONAL_OR_KEYWORD)]
    needed = [part for part in parameters if part.default is part.empty and part.kind not in (part.VAR_POSITIONAL, part.VAR_KEYWORD)]  # fmt: skip
    if not needed and not any(part.kind is part.VAR_POSITIONAL for part in parameters):
        raise UsageError(f"model is {name}, which is not called yet.\nWrite {name}()")
    n_needed = len(needed) if all(part in placed for part in needed) else 0
    if n_needed not in (1, 2):
        raise UsageError(f"model is {name}, which takes {signature}: it is not known what to give it.\nGive {KINDS}")
    return "label" if n_needed == 2 or any(part.name == "options" for part in placed[1:]) else "text"


def _described(value: object, depth: int = 0) -> Iterator[str]:
    """Yield what can be told of a function in every process: its code, and the plain values that it holds."""
    if isinstance(value, PLAIN):
        yield repr(value)
        return
    yield f"{type(value).__module__}.{type(value).__qualname__}"
    code = getattr(value, "__code__", None)
    if code is not None:
        constants = [part for part in code.co_consts if isinstance(part, PLAIN)]
        yield f"{getattr(value, '__module__', '')}.{code.co_name}|{code.co_code.hex()}|{code.co_names}|{constants}"
    if depth < MAX_DEPTH:
        for part in _held(value):
            yield from _described(part, depth + 1)


def _held(value: object) -> Iterator[object]:
    """Yield what a function, a bound method or a partial call holds."""
    for cell in getattr(value, "__closure__", None) or ():
        with contextlib.suppress(ValueError):  # not filled yet
            yield cell.cell_contents
    for name in ("__defaults__", "__func__", "__self__", "func", "args"):
        held = getattr(value, name, None)
        yield from held if isinstance(held, tuple) else (held,)
