"""Attention inside a tree of prompts, as one more attention function of transformers.

No mask is handed to the model: transformers gives a 4D mask to every layer unchanged, so windows, chunks and
recurrent state would be lost without an error. An attention function gets scaling, window, soft cap and sinks
from each layer. It computes blocks of neighbouring nodes over only those nodes that they look at, so the work
is about that of one causal pass over the same number of tokens, and the masks are small.

Knows nothing of models: whether the numbers are right is for the gates to show.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AttentionInterface
from transformers.utils import logging

from pytest_llminvariance.models.local.tree import Block, Tree, blocks

NAME = "llminvariance_tree"
BLOCK_NODES = 128
HARMLESS = frozenset({
    "cache_position", "is_causal", "num_items_in_batch", "output_attentions", "output_hidden_states",
    "output_router_logits", "position_ids", "return_dict", "use_cache",
})  # fmt: skip
"""Arguments that layers pass on and that change nothing in attention."""


@dataclass(slots=True)
class TreePass:
    """One pass of a tree through a model, and what its layers asked of the attention function."""

    tree: Tree
    device: torch.device
    block_nodes: int = BLOCK_NODES
    calls: int = 0
    refusal: str | None = None
    """Why the numbers of this pass cannot be trusted."""
    windows: set[int] = field(default_factory=set)
    _parts: list[_Part] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._parts = [_Part.of(self.tree, block, self.device) for block in blocks(self.tree, self.block_nodes)]

    def attend(self, query: Any, key: Any, value: Any, scale: float | None, layer: _Layer) -> Any:
        """Return the attention output (1, heads, nodes, head size).

        Query heads that share keys are laid end to end as queries of one head, so that keys and values need
        not be copied for each of them.
        """
        _, heads, _, size = query.shape
        shared = heads // key.shape[1]
        out = torch.empty((*query.shape[:-1], value.shape[-1]), dtype=query.dtype, device=query.device)
        for part in self._parts:
            n = part.stop - part.start
            q = query[:, :, part.start : part.stop].reshape(1, key.shape[1], shared * n, size)
            got = layer.attention(q, part.seen(key), part.seen(value), part.mask(layer.window, shared), scale)
            out[:, :, part.start : part.stop] = got.reshape(1, heads, n, value.shape[-1])
        return out


@dataclass(slots=True)
class _Part:
    """One block: where its keys are, and who sees whom."""

    start: int
    stop: int
    keys: torch.Tensor | None
    """Nodes looked at; `None` where they are simply all nodes up to `stop`."""
    distance: torch.Tensor
    """Depth of the query less depth of the key, (queries, keys); negative where the key is no ancestor."""
    _masks: dict[tuple[int | None, int], torch.Tensor] = field(default_factory=dict)

    @classmethod
    def of(cls, tree: Tree, block: Block, device: torch.device) -> _Part:
        keys = (*block.ancestors, *range(block.start, block.stop))
        at = torch.tensor(keys, dtype=torch.int32)
        nodes = torch.arange(block.start, block.stop, dtype=torch.int32)
        depth = torch.tensor(tree.depth, dtype=torch.int32)
        end = torch.tensor([tree.end[node] for node in keys], dtype=torch.int32)
        seen = (at <= nodes[:, None]) & (nodes[:, None] < end)
        distance = torch.where(seen, depth[nodes][:, None] - depth[at], -1)
        everything = len(keys) == block.stop
        return cls(block.start, block.stop, None if everything else at.to(device), distance.to(device))

    def seen(self, tensor: Any) -> Any:
        """Return the keys or values that the block looks at, (1, heads, keys, size)."""
        return tensor[:, :, : self.stop] if self.keys is None else tensor.index_select(2, self.keys)

    def mask(self, window: int | None, times: int) -> torch.Tensor:
        """Return who sees whom, True where seen, (queries, keys), the queries repeated as often as heads share keys."""
        if (window, times) not in self._masks:
            seen = self.distance >= 0
            seen = seen if window is None else seen & (self.distance < window)
            self._masks[window, times] = seen.repeat(times, 1)
        return self._masks[window, times]


@dataclass(frozen=True, slots=True)
class _Layer:
    """What a layer wants of its attention."""

    window: int | None
    softcap: float | None
    sinks: Any
    """One learned logit a head that takes attention away from all tokens; `None` in most models."""

    def attention(self, query: Any, key: Any, value: Any, mask: torch.Tensor, scale: float | None) -> Any:
        if self.softcap is None and self.sinks is None:
            return torch.nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=scale)
        scale = query.shape[-1] ** -0.5 if scale is None else scale
        scores = (query @ key.transpose(2, 3)) * scale
        if self.softcap is not None:
            scores = self.softcap * torch.tanh(scores / self.softcap)
        scores = scores.masked_fill(~mask, float("-inf"))
        if self.sinks is not None:
            heads, queries = scores.shape[1:3]
            shared = self.sinks.numel() // heads
            column = self.sinks.reshape(1, heads, shared, 1).repeat_interleave(queries // shared, dim=2)
            scores = torch.cat([scores, column.to(scores.dtype)], dim=-1)
        shares = torch.softmax(scores, dim=-1, dtype=torch.float32).to(query.dtype)
        return shares[..., : key.shape[2]] @ value


_current: ContextVar[TreePass | None] = ContextVar("llminvariance_tree_pass", default=None)


def _tree_attention(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Any = None,
    **more: Any,
) -> tuple[Any, None]:
    """Attend inside the current tree; anything that it was not built for is noted as a refusal."""
    current = _current.get()
    if current is None:
        raise RuntimeError("the tree attention was called outside of a tree pass")
    current.calls += 1
    strange = [
        name for name, given in more.items() if name not in HARMLESS and given is not None and given is not False
    ]
    if attention_mask is not None:
        strange.insert(0, "attention_mask")
    if dropout or query.shape[0] != 1 or query.shape[2] != len(current.tree.tokens) or key.shape[2] != query.shape[2]:
        strange.append("a shape or dropout of its own")
    if strange:
        current.refusal = f"{type(module).__name__} gives its attention {', '.join(strange)}"
        return query.transpose(1, 2).contiguous(), None
    if sliding_window is not None:
        current.windows.add(sliding_window)
    out = current.attend(query, key, value, scaling, _Layer(sliding_window, softcap, s_aux))
    return out.transpose(1, 2).contiguous(), None


@contextlib.contextmanager
def attending(network: Any, tree_pass: TreePass) -> Iterator[None]:
    """Let a model's layers attend inside a tree, and give it back its own attention afterwards.

    Raises:
        Exception: whatever transformers raises for a model whose attention cannot be exchanged.
    """
    AttentionInterface.register(NAME, _tree_attention)
    before = network.config._attn_implementation
    token = _current.set(tree_pass)
    try:
        exchange(network, NAME)
        yield
    finally:
        _current.reset(token)
        exchange(network, before)


def exchange(network: Any, name: str) -> None:
    """Set a model's attention implementation, quietly: what cannot be exchanged shows in the number of calls."""
    loudness = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        network.set_attn_implementation(name)
    finally:
        logging.set_verbosity(loudness)
