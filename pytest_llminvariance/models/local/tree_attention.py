"""Attention inside a tree of prompts, as one more attention function of transformers.

No mask is handed to the model: transformers gives a 4D mask to every layer unchanged, so windows, chunks and
recurrent state would be lost without an error. An attention function gets scaling, window, soft cap and sinks
from each layer. It computes blocks of neighbouring nodes over only those nodes that they look at, so the work
is about that of one causal pass over the same number of tokens, and the masks are small.

Knows nothing of models: whether the numbers are right is for the gates to show.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from transformers import AttentionInterface
from transformers.utils import logging

from pytest_llminvariance.models.local.devices import placed
from pytest_llminvariance.models.local.tree import Tree, blocks

NAME = "llminvariance_tree"
BLOCK_NODES = {"cpu": 128, "cuda": 1_024}
"""Nodes of a block by kind of device: small ones save work, and a GPU wants few and large ones."""
ALIGNED = 16
"""Rows of an additive mask begin at multiples of so many numbers: CUDA kernels copy every other mask at every call."""
HARMLESS = frozenset({
    "cache_position", "is_causal", "num_items_in_batch", "output_attentions", "output_hidden_states",
    "output_router_logits", "position_ids", "return_dict", "use_cache",
})  # fmt: skip
"""Arguments that layers pass on and that change nothing in attention."""


class GateClosedError(Exception):
    """A pass showed that its numbers cannot be trusted; they are thrown away."""


class Attention(Protocol):
    """Attention inside one tree, on one device."""

    def attend(self, query: Any, key: Any, value: Any, scale: float | None, layer: Layer) -> Any:
        """Return the attention output (1, heads, nodes, head size)."""
        ...


@dataclass(slots=True)
class TreePass:
    """One pass of a tree through a model, and what its layers asked of the attention function."""

    tree: Tree
    made: Callable[[Tree, torch.device], Attention]
    """Makes the attention on a device: indices and masks lie where the layer does."""
    calls: int = 0
    refusal: str | None = None
    """Why the numbers of this pass cannot be trusted."""
    windows: set[int] = field(default_factory=set)
    _at: dict[torch.device, Attention] = field(default_factory=dict)

    def attend(self, query: Any, key: Any, value: Any, scale: float | None, layer: Layer) -> Any:
        """Return the attention output (1, heads, nodes, head size)."""
        if query.device not in self._at:
            self._at[query.device] = self.made(self.tree, query.device)
        return self._at[query.device].attend(query, key, value, scale, layer)


class Blocks:
    """Blocks of neighbouring nodes over only those nodes that they look at."""

    def __init__(self, tree: Tree, place: torch.device, block_nodes: int | None = None) -> None:
        cut = blocks(tree, block_nodes or block_nodes_for(place))
        self.additive = place.type == "cuda"
        """Whether masks are numbers that are added, made once a pass; else they are booleans."""
        depth, end = (placed(numbers, place, torch.int32) for numbers in (tree.depth, tree.end))
        ancestors = placed([node for block in cut for node in block.ancestors], place, torch.int32)
        ways = ancestors.split([len(block.ancestors) for block in cut])
        self.parts = [_Part(block.start, block.stop, way, depth, end) for block, way in zip(cut, ways, strict=True)]

    def attend(self, query: Any, key: Any, value: Any, scale: float | None, layer: Layer) -> Any:
        """Return the attention output (1, heads, nodes, head size).

        Query heads that share keys are laid end to end as queries of one head, so that keys and values need
        not be copied for each of them.
        """
        _, heads, _, size = query.shape
        shared = heads // key.shape[1]
        kind = query.dtype if self.additive and layer.is_plain else torch.bool
        out = torch.empty((*query.shape[:-1], value.shape[-1]), dtype=query.dtype, device=query.device)
        for part in self.parts:
            n = part.stop - part.start
            q = query[:, :, part.start : part.stop].reshape(1, key.shape[1], shared * n, size)
            got = layer.attention(q, part.seen(key), part.seen(value), part.mask(layer.window, shared, kind), scale)
            out[:, :, part.start : part.stop] = got.reshape(1, heads, n, value.shape[-1])
        return out


def block_nodes_for(place: torch.device) -> int:
    """Return how many nodes a block has on a device."""
    return BLOCK_NODES.get(place.type, BLOCK_NODES["cpu"])


@dataclass(slots=True)
class _Part:
    """One block: where its keys are, and who sees whom."""

    start: int
    stop: int
    way: torch.Tensor
    """The nodes before the block that it looks at."""
    depth: torch.Tensor
    end: torch.Tensor
    """Of all nodes of the tree."""
    _masks: dict[tuple[int | None, int, torch.dtype], torch.Tensor] = field(default_factory=dict)
    _keys: torch.Tensor | None = None

    def keys(self) -> torch.Tensor:
        """Return the nodes looked at."""
        if self._keys is None:
            block = torch.arange(self.start, self.stop, dtype=torch.int32, device=self.way.device)
            self._keys = torch.cat([self.way, block])
        return self._keys

    def seen(self, tensor: Any) -> Any:
        """Return the keys or values that the block looks at, (1, heads, keys, size)."""
        everything = len(self.way) == self.start
        return tensor[:, :, : self.stop] if everything else tensor.index_select(2, self.keys())

    def mask(self, window: int | None, times: int, kind: torch.dtype) -> torch.Tensor:
        """Return who sees whom, (queries, keys), the queries repeated as often as heads share keys."""
        if (window, times, kind) not in self._masks:
            seen = self.looks(window).repeat(times, 1)
            self._masks[window, times, kind] = seen if kind == torch.bool else added(seen, kind)
        return self._masks[window, times, kind]

    def looks(self, window: int | None) -> torch.Tensor:
        """Return who sees whom, True where seen, (queries, keys)."""
        keys, nodes = self.keys(), torch.arange(self.start, self.stop, dtype=torch.int32, device=self.way.device)
        seen = (keys <= nodes[:, None]) & (nodes[:, None] < self.end[keys])
        if window is None:
            return seen
        return seen & (self.depth[self.start : self.stop, None] - self.depth[keys] < window)


def added(seen: torch.Tensor, kind: torch.dtype) -> torch.Tensor:
    """Return a mask that is added to scores, its rows padded to where a kernel reads them without a copy."""
    rows, keys = seen.shape
    room = torch.full((rows, -(-keys // ALIGNED) * ALIGNED), float("-inf"), dtype=kind, device=seen.device)
    return room[:, :keys].masked_fill_(seen, 0)


@dataclass(frozen=True, slots=True)
class Layer:
    """What a layer wants of its attention."""

    window: int | None
    softcap: float | None
    sinks: Any
    """One learned logit a head that takes attention away from all tokens; `None` in most models."""

    @property
    def is_plain(self) -> bool:
        """Whether it is what torch's own function computes."""
        return self.softcap is None and self.sinks is None

    def attention(self, query: Any, key: Any, value: Any, mask: torch.Tensor, scale: float | None) -> Any:
        """Return the attention output; where the layer is not plain, the mask is True where seen."""
        if self.is_plain:
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
    out = current.attend(query, key, value, scaling, Layer(sliding_window, softcap, s_aux))
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
