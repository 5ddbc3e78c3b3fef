"""What a network and its tokenizer are like now: whether they were changed since a check before, without reading all weights."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import torch

from pytest_llminvariance.models.local.fingerprint import adapters_of, hooks_of
from pytest_llminvariance.models.local.generation import end_tokens

SAMPLED = 8
"""Values of each tensor that are looked at to see whether a network was trained since."""
BACKEND = ("normalizer", "pre_tokenizer", "post_processor")
"""Parts of a fast tokenizer that can be set. Its vocabulary only grows, and its length tells that; calls and
pipelines set padding."""


def state_of(network: Any, tokenizer: object = None) -> str:
    """Return what differs once a network was trained, adapted, hooked, cast or set otherwise, or its tokenizer was."""
    digest = hashlib.sha256()
    samples: dict[torch.device, list[torch.Tensor]] = {}
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        version = None if tensor.is_inference() else tensor._version
        digest.update(f"{name}|{id(tensor)}|{version}|{tensor.dtype}|{tensor.device}".encode())
        if type(tensor) in (torch.Tensor, torch.nn.Parameter) and not tensor.is_meta:
            flat = tensor.detach().flatten()
            few = flat[:: max(1, len(flat) // SAMPLED)][:SAMPLED].contiguous()
            samples.setdefault(tensor.device, []).append(few.view(torch.uint8))  # bytes: every device has them
    for parts in samples.values():
        digest.update(torch.cat(parts).cpu().numpy().tobytes())
    said = [
        adapters_of(network),
        hooks_of(network),
        end_tokens(network, tokenizer),
        getattr(getattr(network, "config", None), "_attn_implementation", None),
        _told(getattr(network, "config", None)),
        {name: id(vars(module)["forward"]) for name, module in network.named_modules() if "forward" in vars(module)},
        list(_said_by(tokenizer)),
    ]
    digest.update(json.dumps(said, default=str).encode())
    return digest.hexdigest()


def state_of_caller(caller: Any) -> object:
    """Return the same of a network, pipeline, tokenizer or tensor that a function of the user calls by itself."""
    model = caller if hasattr(caller, "named_parameters") else getattr(caller, "model", None)
    if not hasattr(model, "named_parameters"):
        return getattr(caller, "_version", None), list(_said_by(caller))
    written = [_told(getattr(one, "generation_config", None)) for one in (caller, model)]  # a function may generate
    return state_of(model, getattr(caller, "tokenizer", None)), repr(written)


def _told(settings: Any) -> object:
    return settings.to_dict() if hasattr(settings, "to_dict") else None


def _said_by(tokenizer: Any) -> Iterator[object]:
    """Yield what can be set of a tokenizer."""
    with contextlib.suppress(TypeError):  # a tensor without dimensions has no length, nor has an endless data set
        yield len(tokenizer)
    for name in ("chat_template", "special_tokens_map", "truncation_side", "model_max_length"):
        yield getattr(tokenizer, name, None)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    for name in BACKEND:
        part = getattr(backend, name, None)
        yield part.__getstate__() if hasattr(part, "__getstate__") else part
