"""From what people hold of a model to a model. Loads torch only where it is handed an object of torch."""

from __future__ import annotations

import gc
import inspect
import json
import sys
from collections.abc import Collection, Mapping
from typing import Any

from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.models.functions import KINDS, FunctionModel
from pytest_llminvariance.models.held import held_by
from pytest_llminvariance.models.kept import kept, place_of, renewed
from pytest_llminvariance.models.load_settings import LoadSettings
from pytest_llminvariance.models.protocol import Model

SETTINGS = (
    "dtype", "prompt_format", "batch_tokens", "threads", "packed", "deterministic", "max_new_tokens", "chat_arg",
)  # fmt: skip
"""Those of `LoadSettings` that reach a model which is loaded already."""
PARTS = ("name", "fingerprint", "capabilities", "answer")
TAKEN = f"(model, tokenizer) of transformers, its text-generation pipeline, a vllm.LLM, {KINDS}, or load_model(spec)"


def as_model(
    obj: object, tokenizer: object = None, *, name: str | None = None, settings: Mapping[str, Any] | None = None
) -> Model:
    """Return an object as a model, with those of the settings of `load_model` that reach it; see `wrap_model`.

    Raises:
        UsageError: for what is not taken, a model without its tokenizer, or another dtype than its own.
        ModelError: for a network that is no causal language model, or a tokenizer that does not fit it.
    """
    if tokenizer is None and isinstance(obj, tuple | list):
        if len(obj) != 2:
            raise UsageError(f"model is a {type(obj).__name__} of {len(obj)} objects.\nGive (model, tokenizer)")
        obj, tokenizer = obj
    if not isinstance(obj, type) and isinstance(obj, Model):
        if type(obj).__module__.partition(".")[0] != __package__.partition(".")[0]:
            _check_own(obj)
        return renewed(obj)
    if _is_of(obj, "torch", "transformers", "peft", "vllm"):
        told = LoadSettings(**{key: value for key, value in (settings or {}).items() if key in SETTINGS})
        how = json.dumps([name, *(getattr(told, key) for key in SETTINGS)], sort_keys=True, default=str)
        if _is_of(obj, "vllm"):
            from pytest_llminvariance.models.local.vllm_start import engine_object

            return engine_object(obj, tokenizer, name, told, how)
        from pytest_llminvariance.models.local.objects import object_model

        return object_model(obj, tokenizer, name, told, how)
    if tokenizer is not None:
        raise UsageError(
            f"model is {_told(obj)}, and a tokenizer is given with it.\nOnly a model of transformers takes one"
        )
    if not callable(obj) or isinstance(obj, type) or hasattr(obj, "answer"):
        raise _refusal(obj)
    holder, method = place_of(obj)
    return kept(holder, (method, name), lambda: FunctionModel(obj, name), lambda: held_by(obj))


def is_loaded(model: object) -> bool:
    """Return whether a model is what `load_model` makes of files: its fingerprint is computed from all that it answers by.

    By the class itself and not by what an object says: whoever makes a model can state any fingerprint.
    """
    local = sys.modules.get(f"{__package__}.local.transformers")
    return local is not None and type(model) is local.TransformersModel


def free_memory() -> None:
    """Collect what nobody holds any more, and hand the memory of GPUs back where torch is in use."""
    if "torch" in sys.modules:
        from pytest_llminvariance.models.local.devices import free_memory as free

        free()
    else:
        gc.collect()


def _check_own(obj: Model) -> None:
    """Refuse a model of another's making whose parts are not what they are called.

    Raises:
        UsageError: naming the part and the rule.
    """
    rules: dict[str, tuple[object, bool, str]] = {
        "name": (obj.name, isinstance(obj.name, str), "a text"),
        "capabilities": (obj.capabilities, isinstance(obj.capabilities, Collection) and not isinstance(obj.capabilities, str), "a set, such as {'label'}"),
        "answer": (obj.answer, callable(obj.answer), "a method that takes requests and gives replies"),
    }  # fmt: skip
    problem = next(
        (f"{part} is {_told(held)}, but must be {rule}" for part, (held, ok, rule) in rules.items() if not ok), None
    )
    if inspect.iscoroutinefunction(obj.answer):
        problem = "answer is async, but must give its replies when it is called"
    if problem is not None:
        raise UsageError(f"model is {_told(obj)}, whose {problem}.\nGive {TAKEN}")


def _refusal(obj: object) -> UsageError:
    """Return why an object is not taken, and the way out."""
    if isinstance(obj, type):
        return UsageError(f"model is the class {obj.__name__}, which is not called yet.\nWrite {obj.__name__}()")
    if isinstance(obj, str):
        return UsageError(
            f"model is the text {obj!r:.80}.\nGive load_model({obj!r:.80}), or the fixture invariance_model"
        )
    missing = [part for part in PARTS if not hasattr(obj, part)]
    if len(missing) < len(PARTS):
        return UsageError(
            f"model is {_told(obj)}, which has no {missing[0]!r}.\n"
            "A model of your own has name, fingerprint, capabilities and answer(requests)"
        )
    return UsageError(f"model is {_told(obj)}, which is not taken.\nGive {TAKEN}")


def _told(obj: object) -> str:
    """Return what an object is, without what it says of itself: a network's repr fills the screen."""
    return repr(obj) if isinstance(obj, int | float | None) else f"a {type(obj).__name__}"


def _is_of(obj: object, *packages: str) -> bool:
    """Return whether an object's class, or one that it inherits from, is of one of these packages."""
    return any(kind.__module__.partition(".")[0] in packages for kind in type(obj).__mro__)
