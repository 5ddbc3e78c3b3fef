"""Attention inside a tree by FlexAttention: one kernel, over only those blocks that some node looks at.

Which blocks these are follows from the intervals of the tree, so nothing of nodes times nodes is ever made. A
kernel is compiled for each size, so nodes are padded to few sizes. Whether it is right, and faster than blocks one
after the other, is shown before it is used.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import torch
from torch.nn.attention.flex_attention import BlockMask, flex_attention

from pytest_llminvariance.models.local.devices import placed
from pytest_llminvariance.models.local.tree import Tree
from pytest_llminvariance.models.local.tree_attention import GateClosedError, Layer

SIDE = 128
"""Nodes of a block."""
SMALLEST = 1_024


class Flex:
    """FlexAttention over one tree, on one device."""

    def __init__(self, tree: Tree, place: torch.device) -> None:
        self.n_nodes = len(tree.tokens)
        self.n_padded = padded_size(self.n_nodes)
        more = range(self.n_nodes, self.n_padded)  # each sees itself alone
        self.depth = placed((*tree.depth, *(0 for _ in more)), place, torch.int32)
        self.end = placed((*tree.end, *(node + 1 for node in more)), place, torch.int32)
        self._masks: dict[int | None, BlockMask] = {}

    def attend(self, query: Any, key: Any, value: Any, scale: float | None, layer: Layer) -> Any:
        """Return the attention output (1, heads, nodes, head size).

        Raises:
            GateClosedError: for a layer that wants more than a window.
        """
        if not layer.is_plain:
            raise GateClosedError("layers with a soft cap or sinks")
        if layer.window not in self._masks:
            self._masks[layer.window] = block_mask(self.depth, self.end, layer.window)
        room = (0, 0, 0, self.n_padded - self.n_nodes)
        q, k, v = (torch.nn.functional.pad(tensor, room) for tensor in (query, key, value))
        shares = query.shape[1] != key.shape[1]
        out = kernel(query.device.type)(
            q, k, v, block_mask=self._masks[layer.window], scale=scale, enable_gqa=shares
        )  # fmt: skip
        return out[:, :, : self.n_nodes]


def padded_size(n_nodes: int) -> int:
    """Return the next of 1,024, 1,536, 2,048, 3,072, 4,096 ... nodes."""
    size = SMALLEST
    while size < n_nodes:
        size = size * 3 // 2 if size & (size - 1) == 0 else size * 4 // 3
    return size


def block_mask(depth: torch.Tensor, end: torch.Tensor, window: int | None) -> BlockMask:
    """Return who sees whom as blocks: those that are seen in part, and those that are seen by every node.

    Of a block of keys before the block of queries, the descendants of some key reach into the queries if the
    furthest end does, and those of all keys cover the queries if the nearest end does.
    """
    depths, ends = depth.view(-1, SIDE), end.view(-1, SIDE)
    block = torch.arange(len(ends), device=end.device)
    start, same = block[:, None] * SIDE, torch.eye(len(ends), dtype=torch.bool, device=end.device)
    before = block[:, None] > block
    some, full = ends.amax(1) > start, ends.amin(1) >= start + SIDE
    if window is not None:
        low, high = depths.amin(1), depths.amax(1)
        some, full = some & (low[:, None] - high < window), full & (high[:, None] - low < window)
    some, full = before & some | same, before & full

    def looks(batch: Any, head: Any, query: Any, key: Any) -> Any:  # noqa: ARG001 # FlexAttention's own signature
        seen = (key <= query) & (query < end[key])
        return seen if window is None else seen & (depth[query] - depth[key] < window)

    return BlockMask.from_kv_blocks(*_listed(some & ~full), *_listed(full), BLOCK_SIZE=SIDE, mask_mod=looks)


def _listed(blocks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how many blocks of each row are marked, and the columns of each row, marked ones first."""
    marked = blocks.int()
    columns = marked.argsort(dim=1, descending=True, stable=True)
    return marked.sum(1, dtype=torch.int32)[None, None], columns.int()[None, None]


@functools.cache
def kernel(kind: str) -> Any:
    """Return FlexAttention for a kind of device, compiled but on a CPU, where it is used by tests alone.

    Compiled as a whole or not at all: what falls back to plain code would hold nodes times nodes in memory.
    """
    return torch.compile(flex_attention, dynamic=False, fullgraph=True) if kind != "cpu" else _uncompiled


def _uncompiled(*args: Any, **more: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return flex_attention(*args, **more)
