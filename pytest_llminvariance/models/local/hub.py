"""Loading causal language models of the library transformers from a hub id or folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
import transformers

from pytest_llminvariance.errors import LLMInvarianceError, ModelError, UsageError
from pytest_llminvariance.models.load_settings import LoadSettings
from pytest_llminvariance.models.local.checkpoint import check_read, check_vocabulary, read_checkpoint, why_not_loaded
from pytest_llminvariance.models.local.devices import (
    CPU_BATCH_TOKENS,
    Worker,
    batch_tokens_for,
    be_deterministic,
    choose_device,
    entrance,
    fit_workers,
    weight_bytes,
)
from pytest_llminvariance.models.local.identity import Known
from pytest_llminvariance.models.local.late import load_late
from pytest_llminvariance.models.local.transformers import TransformersModel

FLEX = "flex_attention"
M = TypeVar("M", bound=TransformersModel)


def load_transformers(target: str, name: str, settings: LoadSettings) -> TransformersModel:
    """Load a causal language model from a hub id or folder; see `load_model`."""
    if not settings.weights:
        return _without_weights(target, name, settings)
    set_arithmetic(settings)

    def whole(settings: LoadSettings) -> TransformersModel:
        return _whole(target, name, settings)

    def asleep(settings: LoadSettings, known: Known, load: Callable[[], TransformersModel]) -> TransformersModel:
        made = _without_weights(target, name, settings)
        made.wait(known, load)
        return made

    return load_late(target, "causal", name, settings, whole, asleep)


def _whole(target: str, name: str, settings: LoadSettings) -> TransformersModel:
    worker = None if settings.worker is None else Worker(*settings.worker)
    place = choose_device(settings.device, worker)
    with quiet():
        network, tokenizer, notes = _load(target, name, settings)
    if settings.device_map is None:
        if place.type == "cuda" and worker is not None:
            memory = torch.cuda.get_device_properties(place).total_memory
            fit_workers(name, weight_bytes(network), worker, torch.cuda.device_count(), memory)
        network = network.to(place)
    network.eval()
    check_causal(network, name)
    return made_of(TransformersModel, network, tokenizer, name, settings, batch_tokens_for(network), notes)


def _without_weights(target: str, name: str, settings: LoadSettings) -> TransformersModel:
    """Return a model that can count tokens and nothing else: configuration and tokenizer."""
    try:
        found = read_checkpoint(target, name, _where(settings))
    except LLMInvarianceError:
        raise
    except Exception as error:  # files of any shape are read here, and each reader raises its own kind
        raise why_not_loaded(error, target, settings) from error
    with torch.device("meta"):
        network = found.made_by.from_config(found.config)
    made = made_of(TransformersModel, network, found.tokenizer, name, settings, CPU_BATCH_TOKENS, ())
    made.planned_for = str(choose_device(settings.device))
    return made


def _where(settings: LoadSettings) -> dict[str, Any]:
    return {"revision": settings.revision, "trust_remote_code": settings.trust_remote_code}


def set_arithmetic(settings: LoadSettings) -> None:
    """Set the threads of this process, and whether torch must be deterministic in it."""
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    if settings.deterministic:
        be_deterministic()


def made_of(
    kind: type[M],
    network: Any,
    tokenizer: Any,
    name: str,
    settings: LoadSettings,
    batch_tokens: int,
    notes: Sequence[str],
) -> M:
    """Return the model of a network and its tokenizer, asked as the settings say.

    Raises:
        UsageError: for prompt_format='chat' without a chat template.
    """
    if settings.prompt_format == "chat" and not tokenizer.chat_template:
        raise UsageError(f"prompt_format='chat', but {name} has no chat template. Use prompt_format='auto' or 'plain'")
    return kind(
        name,
        network,
        tokenizer,
        chat=bool(tokenizer.chat_template) and settings.prompt_format != "plain",
        batch_tokens=settings.batch_tokens or batch_tokens,
        packed=settings.packed,
        max_new_tokens=settings.max_new_tokens,
        chat_arguments=settings.chat_arg,
        notes=notes,
    )


def _load(target: str, name: str, settings: LoadSettings) -> tuple[Any, Any, list[str]]:
    """Return network and tokenizer, complete and causal by their configuration, and what was done otherwise than told."""
    more = {} if settings.device_map is None else {"device_map": settings.device_map}
    notes, where = [], _where(settings)
    try:
        found = read_checkpoint(target, name, where)
        if FLEX in {found.config._attn_implementation, found.config.get_text_config()._attn_implementation}:
            more["attn_implementation"] = "sdpa"
            notes.append(f"sdpa in place of {FLEX}, which would be compiled for minutes")
        kind = settings.dtype if settings.dtype == "auto" else getattr(torch, settings.dtype)
        network, info = found.made_by.from_pretrained(target, dtype=kind, output_loading_info=True, **where, **more)
    except LLMInvarianceError:
        raise
    except Exception as error:  # as above
        raise why_not_loaded(error, target, settings) from error
    check_read(info, found.config, name)
    check_vocabulary(network, found.tokenizer, name)
    if found.adapted and not getattr(network, "peft_config", None):
        raise ModelError(
            f"{name}: its adapter was not loaded. Merge it into the base model (merge_and_unload) and save that"
        )
    return network, found.tokenizer, notes


@torch.inference_mode()
def check_causal(network: Any, name: str) -> None:
    """Raise where a later token changes what was said of earlier ones: such a model is no causal one."""
    tokens = torch.tensor([[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 7]], device=entrance(network))
    logits = network(input_ids=tokens, use_cache=False).logits[:, :5].float()
    if not torch.allclose(logits[0], logits[1], atol=1e-2, rtol=1e-2):
        raise ModelError(
            f"{name} looks ahead: its first answers depend on later tokens, but a causal language model is needed"
        )


class quiet:  # noqa: N801 - used like a function
    """Keep transformers' progress bars out of test output while loading."""

    def __enter__(self) -> None:
        self.was_on = transformers.utils.logging.is_progress_bar_enabled()
        transformers.utils.logging.disable_progress_bar()

    def __exit__(self, *error: object) -> None:
        if self.was_on:
            transformers.utils.logging.enable_progress_bar()
