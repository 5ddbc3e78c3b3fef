"""The identity of a loaded model: everything that determines its answers."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
import transformers

from pytest_llminvariance.errors import ModelError
from pytest_llminvariance.files import file_digest
from pytest_llminvariance.models.local.devices import entrance, placing_hooks

THREADS = 2
BROUGHT = "transformers_modules."
"""Where transformers puts the code that a model brings."""
CHUNK_BYTES = 1 << 26
"""Weights that are not in main memory are copied there piece by piece."""


def fingerprint_of(network: Any, tokenizer: Any, says: Mapping[str, Any]) -> str:
    """Return SHA-256 over weights, configuration, tokenizer, prompt format, attention, device kind and versions.

    Every parameter and persistent buffer counts with name, dtype, shape and bytes, adapters and their scaling among
    them; so changing, swapping or copying any element changes the fingerprint. `says` is what else determines
    answers: chat template and its arguments, and what of generation can be set. Time is linear in the size of the
    weights: about 0.15 s for 500 MB in main memory.
    """
    digest = hashlib.sha256()
    named, away = sorted(network.state_dict().items()), _away(network)

    def content_of(item: tuple[str, Any]) -> bytes:
        name, tensor = item
        return _digest(_brought(tensor, name, away) if getattr(tensor, "is_meta", False) else tensor)

    with ThreadPoolExecutor(THREADS) as threads:
        for (name, tensor), content in zip(named, threads.map(content_of, named), strict=True):
            kind = (
                f"{tensor.dtype}|{tuple(tensor.shape)}" if isinstance(tensor, torch.Tensor) else type(tensor).__name__
            )
            digest.update(f"{name}|{kind}|".encode() + content)
    config = {key: value for key, value in network.config.to_dict().items() if not key.startswith("_name")}
    config.pop("transformers_version", None)
    rest = {
        "config": config,
        "adapters": adapters_of(network),
        "said": dict(says),
        "attention": network.config._attn_implementation,
        "arithmetic": [torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision()],
        "device": device_name(entrance(network)),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    if hooks := hooks_of(network):
        rest["hooks"] = hooks
    if code := _code_of(network, tokenizer):
        rest["code"] = code
    digest.update(json.dumps(rest, sort_keys=True, default=str).encode())
    digest.update(vocabulary_of(tokenizer).encode())
    return digest.hexdigest()


def _away(network: Any) -> dict[str, Mapping[str, torch.Tensor]]:
    """Return what accelerate keeps outside of the layers, on disk or in main memory, by the part of a network that it belongs to."""
    found = {}
    for name, module in network.named_modules():
        for hook in placing_hooks(module):
            if getattr(hook, "weights_map", None) is not None:
                found[name] = hook.weights_map
    return found


def _brought(tensor: torch.Tensor, name: str, away: Mapping[str, Mapping[str, torch.Tensor]]) -> torch.Tensor:
    """Return a weight that is away as its layer gets it.

    Raises:
        ModelError: where nobody has it.
    """
    place, inner = name, ""
    while place:
        place, _, part = place.rpartition(".")
        inner = f"{part}.{inner}" if inner else part
        with contextlib.suppress(KeyError):
            return away[place][inner].to(tensor.dtype)
    raise ModelError(
        f"the weight {name!r} is nowhere (device 'meta'), so nothing says which model this is.\n"
        "Load it whole, in a smaller dtype or on more devices"
    )


def vocabulary_of(tokenizer: Any) -> str:
    """Return what a tokenizer does, as text."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return backend.to_str() if backend is not None else json.dumps(sorted(tokenizer.get_vocab().items()))


def device_name(device: torch.device) -> str:
    """Return what rounds: the kind of GPU, or the instructions that the CPU has."""
    if device.type == "cuda":
        return f"cuda {torch.cuda.get_device_name(device)}"
    return f"{device.type} {torch.backends.cpu.get_cpu_capability()}" if device.type == "cpu" else device.type


def adapters_of(network: Any) -> dict[str, Any]:
    """Return the configuration of PEFT adapters and how strongly each layer takes them; empty where there are none."""
    told = getattr(network, "peft_config", None)
    if not told:
        return {}
    scaling = {
        name: {key: float(value) for key, value in module.scaling.items()}
        for name, module in network.named_modules()
        if isinstance(getattr(module, "scaling", None), dict)
    }
    configs = told.items() if isinstance(told, dict) else [("default", told)]
    active = {
        name: str(getattr(module, "active_adapters", "")) for name, module in network.named_modules() if name in scaling
    }
    disabled = sorted(
        name for name, module in network.named_modules() if getattr(module, "disable_adapters", None) is True
    )
    told = {"disabled": disabled} if disabled else {}
    return {
        "configs": {name: _plain(config) for name, config in configs}, "scaling": scaling, "active": active, **told,
    }  # fmt: skip


def hooks_of(network: Any) -> dict[str, list[str]]:
    """Return what is called around each part of a network and may change what it gives; empty where nothing is."""
    found = {
        name: [*module._forward_pre_hooks.values(), *module._forward_hooks.values()]
        for name, module in network.named_modules()
    }
    return {
        name: [str(getattr(hook, "__qualname__", type(hook).__name__)) for hook in hooks]
        for name, hooks in found.items()
        if hooks
    }


def _code_of(*parts: object) -> dict[str, str]:
    """Return digests of the code that came with a model's files, by name; empty where transformers has its classes."""
    homes = {type(part).__module__.rpartition(".")[0] for part in parts if type(part).__module__.startswith(BROUGHT)}
    files = [
        str(getattr(module, "__file__", None))
        for name, module in list(sys.modules.items())
        if name.rpartition(".")[0] in homes
    ]
    return {os.path.basename(file): file_digest(Path(file)) for file in sorted(files) if os.path.isfile(file)}


def _plain(config: Any) -> dict[str, Any]:
    """Return a PEFT configuration as plain data; sets in one order, whatever the process."""
    found = config.to_dict() if hasattr(config, "to_dict") else dict(vars(config))
    return {
        key: sorted(map(str, value)) if isinstance(value, set | frozenset) else value for key, value in found.items()
    }


def is_quantised(network: Any) -> bool:
    """Return whether any arithmetic of a model is other than float32: quantised weights, 16 bits, TF32."""
    if getattr(network, "hf_quantizer", None) is not None or getattr(network.config, "quantization_config", None):
        return True
    if entrance(network).type == "cuda" and torch.get_float32_matmul_precision() != "highest":
        return True
    return any(
        _is_subclass(tensor) or (tensor.dtype != torch.float32 and not _counts(tensor))
        for tensor in network.parameters()
    )


def _is_subclass(tensor: torch.Tensor) -> bool:
    """Return whether a tensor is of a kind that holds others, as those of torchao are."""
    return hasattr(tensor, "__tensor_flatten__")


def _counts(tensor: torch.Tensor) -> bool:
    """Return whether a parameter only counts or selects; quantised weights are integers too, but are matrices."""
    return not tensor.is_floating_point() and tensor.dim() < 2


def _digest(tensor: Any) -> bytes:
    """Return SHA-256 over a tensor's bytes in row-major order; of a quantised one, over all that it is made of."""
    digest = hashlib.sha256()
    if not isinstance(tensor, torch.Tensor):  # what modules say of themselves beside their tensors
        digest.update(repr(tensor).encode())
        return digest.digest()
    if _is_subclass(tensor):
        parts, more = tensor.__tensor_flatten__()
        digest.update(f"{type(tensor).__name__}|{more}".encode())
        for part in parts:
            inner = getattr(tensor, part)
            digest.update(f"|{part}|{inner.dtype}|{tuple(inner.shape)}|".encode() + _digest(inner))
        return digest.digest()
    flat = tensor.detach().contiguous().view(-1)
    for piece in flat.split(max(1, CHUNK_BYTES // max(1, flat.element_size()))):
        digest.update(piece.cpu().view(torch.uint8).numpy().data)
    return digest.digest()
