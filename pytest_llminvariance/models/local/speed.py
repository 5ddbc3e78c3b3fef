"""How fast this machine would take a model's tokens, guessed without its weights: from matrix products of its size."""

from __future__ import annotations

import functools
import time
from typing import Any

import torch

SHARE = 0.4
"""Of the speed of plain matrix products, what passes through a model reach."""
ROWS, SIDE, TIMES = 512, 1_024, 20


def tokens_per_s(network: Any, device: str) -> float:
    """Return about how many tokens a second go through a network on a device; only the shapes of its weights are read."""
    n_weights: int = sum(parameter.numel() for parameter in network.parameters())
    return SHARE * _products_per_s(device, network.dtype) / float(2 * max(1, n_weights))


@functools.cache
def _products_per_s(device: str, dtype: torch.dtype) -> float:
    """Return floating-point operations a second in matrix products; takes some tenths of a second once."""
    rows = torch.ones(ROWS, SIDE, device=device, dtype=dtype)
    weights = torch.ones(SIDE, SIDE, device=device, dtype=dtype)
    seconds = []
    for _ in range(TIMES):
        began = time.perf_counter()
        float((rows @ weights)[0, 0])  # waits for the device
        seconds.append(time.perf_counter() - began)
    return 2.0 * ROWS * SIDE * SIDE / max(1e-9, min(seconds[1:]))
