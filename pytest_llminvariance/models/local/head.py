"""The last step of a 16-bit model in float32: from hidden states to logits, where rounding is coarsest.

A logit of 30 moves by 0.25 from one number of bfloat16 to the next, however exact what it was made of.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

SHORT = (torch.float16, torch.bfloat16)
COLUMNS_AT_ONCE = 8_192
"""Rows of the vocabulary whose weights are float32 at a time: bounds the memory that this needs."""


def has_short_head(network: Any) -> bool:
    """Return whether a model ends in a plain 16-bit layer, which nothing else has taken hold of."""
    head = _head(network)
    return type(head) is torch.nn.Linear and head.weight.dtype in SHORT and "forward" not in vars(head)


@contextlib.contextmanager
def long_head(network: Any) -> Iterator[None]:
    """Within, let the last layer of a 16-bit model multiply in float32; other models are left as they are."""
    if not has_short_head(network):
        yield
        return
    head = _head(network)
    head.forward = lambda hidden: _product(hidden, head)
    try:
        yield
    finally:
        del head.forward


def _head(network: Any) -> Any:
    find = getattr(network, "get_output_embeddings", None)
    return None if find is None else find()


def _product(hidden: torch.Tensor, head: torch.nn.Linear) -> torch.Tensor:
    exact = hidden.float()
    parts = [exact @ weight.float().T for weight in head.weight.split(COLUMNS_AT_ONCE)]
    logits = torch.cat(parts, dim=-1)
    return logits if head.bias is None else logits + head.bias.float()
