"""The identity of a loaded model: everything that determines its answers."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
import transformers

THREADS = 2
CHUNK_BYTES = 1 << 26
"""Weights that are not in main memory are copied there piece by piece."""


def fingerprint_of(network: Any, tokenizer: Any, *, chat: bool, shared: bool) -> str:
    """Return SHA-256 over weights, configuration, tokenizer, prompt format, attention, device kind and versions.

    Every parameter and persistent buffer counts with name, dtype, shape and bytes, adapters among them; so
    changing, swapping or copying any element changes the fingerprint. Time is linear in the size of the weights:
    about 0.15 s for 500 MB in main memory.
    """
    digest = hashlib.sha256()
    named = sorted(network.state_dict().items())
    with ThreadPoolExecutor(THREADS) as threads:
        for (name, tensor), content in zip(named, threads.map(_digest, [t for _, t in named]), strict=True):
            digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode() + content)
    config = {key: value for key, value in network.config.to_dict().items() if not key.startswith("_name")}
    config.pop("transformers_version", None)
    rest = {
        "config": config,
        "chat_template": tokenizer.chat_template if chat else None,
        "attention": [network.config._attn_implementation, shared],
        "arithmetic": [torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision()],
        "device": _device_name(network.device),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    digest.update(json.dumps(rest, sort_keys=True, default=str).encode())
    backend = getattr(tokenizer, "backend_tokenizer", None)
    vocabulary = backend.to_str() if backend is not None else json.dumps(sorted(tokenizer.get_vocab().items()))
    digest.update(vocabulary.encode())
    return digest.hexdigest()


def _device_name(device: torch.device) -> str:
    """Return what rounds: the kind of GPU, or the instructions that the CPU has."""
    if device.type == "cuda":
        return f"cuda {torch.cuda.get_device_name(device)}"
    return f"{device.type} {torch.backends.cpu.get_cpu_capability()}" if device.type == "cpu" else device.type


def _digest(tensor: torch.Tensor) -> bytes:
    """Return SHA-256 over a tensor's bytes in row-major order."""
    digest = hashlib.sha256()
    flat = tensor.detach().contiguous().view(-1)
    for piece in flat.split(max(1, CHUNK_BYTES // max(1, flat.element_size()))):
        digest.update(piece.cpu().view(torch.uint8).numpy().data)
    return digest.digest()
