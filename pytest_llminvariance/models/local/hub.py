"""Loading causal language models of the library transformers from a hub id or folder."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from pytest_llminvariance.errors import ModelError, UsageError
from pytest_llminvariance.models.load_settings import LoadSettings
from pytest_llminvariance.models.local.devices import (
    CPU_BATCH_TOKENS,
    Worker,
    batch_tokens_for,
    be_deterministic,
    choose_device,
    fit_workers,
    weight_bytes,
)
from pytest_llminvariance.models.local.transformers import TransformersModel


def load_transformers(target: str, name: str, settings: LoadSettings) -> TransformersModel:
    """Load a causal language model from a hub id or folder; see `load_model`."""
    where = {"revision": settings.revision, "trust_remote_code": settings.trust_remote_code}
    if not settings.weights:
        return _without_weights(target, name, settings, where)
    worker = None if settings.worker is None else Worker(*settings.worker)
    place = choose_device(settings.device, worker)
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    if settings.deterministic:
        be_deterministic()
    with quiet():
        network, tokenizer = _load(target, name, settings, where)
    if settings.device_map is None:
        if place.type == "cuda" and worker is not None:
            memory = torch.cuda.get_device_properties(place).total_memory
            fit_workers(name, weight_bytes(network), worker, torch.cuda.device_count(), memory)
        network = network.to(place)
    network.eval()
    _check_causal(network, name)
    if settings.prompt_format == "chat" and not tokenizer.chat_template:
        raise UsageError(f"prompt_format='chat', but {name} has no chat template. Use prompt_format='auto' or 'plain'")
    return TransformersModel(
        name,
        network,
        tokenizer,
        chat=bool(tokenizer.chat_template) and settings.prompt_format != "plain",
        batch_tokens=settings.batch_tokens or batch_tokens_for(network),
        packed=settings.packed,
    )


def _without_weights(target: str, name: str, settings: LoadSettings, where: dict[str, Any]) -> TransformersModel:
    """Return a model that can count tokens and nothing else: configuration and tokenizer."""
    config, tokenizer = _described(target, where)
    with torch.device("meta"):
        network = AutoModelForCausalLM.from_config(config)
    chat = bool(tokenizer.chat_template) and settings.prompt_format != "plain"
    batch_tokens = settings.batch_tokens or CPU_BATCH_TOKENS
    return TransformersModel(name, network, tokenizer, chat=chat, batch_tokens=batch_tokens)


def _described(target: str, where: dict[str, Any]) -> tuple[Any, Any]:
    try:
        return AutoConfig.from_pretrained(target, **where), AutoTokenizer.from_pretrained(target, **where)
    except Exception as error:  # files of any shape are read here, and each reader raises its own kind
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ModelError(f"the model {target!r} cannot be described: {reason}") from error


def _load(target: str, name: str, settings: LoadSettings, where: dict[str, Any]) -> tuple[Any, Any]:
    """Return network and tokenizer, complete and causal by their configuration."""
    more = {} if settings.device_map is None else {"device_map": settings.device_map}
    try:
        config = AutoConfig.from_pretrained(target, **where)
        if config.is_encoder_decoder:
            raise ModelError(
                f"{name} is an encoder-decoder model ({config.model_type}), but a causal language model is needed"
            )
        tokenizer = AutoTokenizer.from_pretrained(target, **where)
        kind = settings.dtype if settings.dtype == "auto" else getattr(torch, settings.dtype)
        network, info = AutoModelForCausalLM.from_pretrained(
            target, dtype=kind, output_loading_info=True, **where, **more
        )
    except ModelError:
        raise
    except Exception as error:  # files of any shape are read here, and each reader raises its own kind
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise ModelError(
            f"the model {target!r} cannot be loaded: {reason}. "
            "Give a hub id, or a folder with config.json, tokenizer and weights"
        ) from error
    if info["missing_keys"]:
        raise ModelError(
            f"{name} lacks {len(info['missing_keys'])} weights, such as {min(info['missing_keys'])!r}; they would be random. "
            "Give a folder with all weights of the model"
        )
    return network, tokenizer


@torch.inference_mode()
def _check_causal(network: Any, name: str) -> None:
    """Raise where a later token changes what was said of earlier ones: such a model is no causal one."""
    tokens = torch.tensor([[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 7]], device=network.device)
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
