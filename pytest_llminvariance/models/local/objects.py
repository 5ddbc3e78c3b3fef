"""Models of transformers that are loaded already: what is inside of what people hold, asked without disturbing it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
import transformers

from pytest_llminvariance.errors import ModelError, UsageError
from pytest_llminvariance.models.kept import forget, kept
from pytest_llminvariance.models.load_settings import LoadSettings
from pytest_llminvariance.models.local.checkpoint import check_vocabulary
from pytest_llminvariance.models.local.devices import as_in_use, batch_tokens_for
from pytest_llminvariance.models.local.fingerprint import adapters_of
from pytest_llminvariance.models.local.hub import check_causal, made_of, set_arithmetic
from pytest_llminvariance.models.local.state import state_of
from pytest_llminvariance.models.local.transformers import TransformersModel
from pytest_llminvariance.models.protocol import Model, Reply, Request

UNCOMPILED = "asked uncompiled, as every shape would be compiled anew"
LM = "a causal language model of transformers, such as AutoModelForCausalLM loads"


class ObjectModel(TransformersModel):
    """A network of the user's, which is left as it is; the fingerprint does not say all of it, so answers stay in memory."""

    cacheable = False
    origin: tuple[object, ...] = ()
    again: Callable[[], Model] | None = None
    """Gives this model, or another one where the network has changed since."""

    def answers(self, requests: Sequence[Request]) -> Iterator[list[tuple[int, Reply]]]:
        """Yield (index, reply) pairs after every pass."""
        with as_in_use(self._live()):
            yield from super().answers(requests)

    def release(self) -> None:
        """Let go of the network; it stays with whoever holds it."""
        forget(self)
        self.origin, self.again = (), None
        super().release()


class Held(NamedTuple):
    """A network as transformers has it, and what was around it."""

    network: Any
    layers: tuple[object, ...]
    """What was taken off, from the outside in."""
    notes: tuple[str, ...]


def object_model(obj: object, tokenizer: object, name: str | None, settings: LoadSettings, key: str) -> Model:
    """Return the model of an object; the same one while the object stays as it is.

    Raises:
        UsageError: for what is no network with its tokenizer.
        ModelError: for a network that is no causal language model, or a tokenizer that does not fit it.
    """
    if isinstance(obj, getattr(transformers.pipelines, "DecisionPipeline", ())) and tokenizer is None:
        from pytest_llminvariance.models.local.decisions import decision_object

        pipe: Any = obj
        return decision_object(pipe, name, settings, key)
    obj, tokenizer, outside = _pair(obj, tokenizer)
    held = _unwrapped(obj)
    origin = (*outside, *held.layers, held.network)

    def make() -> Model:
        made = _made(held, tokenizer, name, settings)
        made.origin = origin
        return made

    return kept(held.network, (id(tokenizer), key), make, lambda: state_of(held.network, tokenizer))


def _pair(obj: Any, tokenizer: Any) -> tuple[Any, Any, tuple[object, ...]]:
    """Return network and tokenizer, and the pipeline that held them."""
    if isinstance(obj, transformers.PreTrainedTokenizerBase):
        raise UsageError(f"model is a {type(obj).__name__}, a tokenizer.\nGive (model, tokenizer), in this order")
    if isinstance(obj, transformers.Pipeline):
        if tokenizer is not None:
            raise UsageError(f"model is a {type(obj).__name__}, which has its tokenizer.\nGive it alone")
        if getattr(obj, "task", None) != "text-generation":
            raise UsageError(
                f"model is a pipeline for {obj.task!r}, which is not taken.\nGive pipeline('text-generation') or pipeline('decision'), "
                "or a function (messages, options) -> {option: probability} that calls it"
            )
        return (*_pair(obj.model, obj.tokenizer)[:2], (obj,))
    if not isinstance(obj, torch.nn.Module):
        raise UsageError(f"model is a {type(obj).__name__}, which is not taken.\nGive {LM}, and its tokenizer")
    if tokenizer is None:
        raise UsageError(
            f"model is a {type(obj).__name__} without its tokenizer.\nGive both, as (model, tokenizer) or wrap_model(model, tokenizer)"
        )
    if not isinstance(tokenizer, transformers.PreTrainedTokenizerBase):
        inner = " Its .tokenizer is one." if hasattr(tokenizer, "tokenizer") else ""
        raise UsageError(
            f"the tokenizer is a {type(tokenizer).__name__}, but must be one of transformers.{inner}\n"
            "Give what AutoTokenizer loads"
        )
    return obj, tokenizer, ()


def _unwrapped(obj: Any) -> Held:
    """Take off what compiles, spreads or adapts a network, where the network inside gives the same answers."""
    layers, notes = [], []
    while not isinstance(obj, transformers.PreTrainedModel):
        layers.append(obj)
        names = {kind.__name__ for kind in type(obj).__mro__}
        if "OptimizedModule" in names:
            obj = obj._orig_mod
            notes.append(UNCOMPILED)
        elif names & {"DistributedDataParallel", "DataParallel"}:
            obj = obj.module
        elif "PeftModel" in names:
            _check_adapters(obj)
            obj = obj.get_base_model()
        else:
            raise UsageError(
                f"model is a {type(layers[0]).__name__}, which is not taken.\nGive {LM}, and its tokenizer"
            )
    if getattr(obj, "_compiled_call_impl", None) is not None:
        notes.append(UNCOMPILED)
    return Held(obj, tuple(layers), tuple(notes))


def _check_adapters(peft_model: Any) -> None:
    """Refuse adapters that are not in the network but in what calls it."""
    for config in peft_model.peft_config.values():
        if config.is_prompt_learning or getattr(config, "alora_invocation_tokens", None):
            raise UsageError(
                f"model is adapted by {config.peft_type.value}, which changes prompts and not the network, and is not supported yet.\n"
                f"Give an adapter inside of the network, such as LoRA, or a function messages -> text"
            )


def _made(held: Held, tokenizer: Any, name: str | None, settings: LoadSettings) -> ObjectModel:
    network = held.network
    known = network.config._name_or_path or type(network).__name__
    shown = name or " + ".join([known, *adapters_of(network).get("configs", ())])
    _check_network(network, shown, settings)
    check_vocabulary(network, tokenizer, shown)
    set_arithmetic(settings)
    with as_in_use(network):
        check_causal(network, shown)
    made = made_of(ObjectModel, network, tokenizer, shown, settings, batch_tokens_for(network), held.notes)
    assert made.fingerprint  # noqa: S101 - what it is now, whatever happens to the network
    return made


def _check_network(network: Any, name: str, settings: LoadSettings) -> None:
    if network.config.is_encoder_decoder or not network.can_generate():
        raise ModelError(
            f"{name} is a {type(network).__name__}, which writes no text.\nGive {LM}; a classifier is a function (messages, options) -> {{option: probability}}"
        )
    away = sum(parameter.is_meta for parameter in network.parameters())
    if away:
        raise ModelError(
            f"{name}: {away} of its weights are not in memory (device 'meta'), as accelerate offloads them.\n"
            "Load it whole, in a smaller dtype or on more devices"
        )
    dtype = str(network.dtype).removeprefix("torch.")
    if settings.dtype not in ("auto", dtype):
        raise UsageError(
            f"dtype={settings.dtype!r}, but the model {name} is {dtype}, and is left as it is.\n"
            f"Load it with dtype={settings.dtype!r}, or leave dtype out"
        )
