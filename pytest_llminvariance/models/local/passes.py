"""Three ways to send token sequences through a causal language model, and the log-probabilities read from them.

`TreePath` sends every distinct beginning once, `PrefixPath` the shared beginning of a group once, `PaddedPath`
everything. All give the same numbers up to rounding; whether the first two do for a model, the gates show.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from pytest_llminvariance.models.local.batching import absorbed, padded_batches
from pytest_llminvariance.models.local.devices import Coming, entrance, placed, rows_at
from pytest_llminvariance.models.local.flex import Flex
from pytest_llminvariance.models.local.head import long_head
from pytest_llminvariance.models.local.rotary import reset_rotary
from pytest_llminvariance.models.local.tree import Reading, Tree, families, grow, packs, shared_beginning
from pytest_llminvariance.models.local.tree_attention import (
    Attention,
    Blocks,
    TreePass,
    attending,
    block_nodes_for,
)
from pytest_llminvariance.models.local.tree_attention import GateClosedError as GateClosedError

Values = list[list[float]]
"""Log-probabilities in nats, one list a row of a reading, one number a column."""
STATE_NAMES = ("cache", "past_key_values")
"""What keys and values of earlier tokens are called: from transformers 5.24 on, and before."""
LOGIT_ELEMENTS = 1 << 26
"""Logits of one pass: at most so many numbers (256 MiB in float32)."""
ROWS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Sent:
    """What came back from one pass."""

    values: list[Values]
    """For each reading, in the order given."""
    n_tokens: int
    """Tokens that went through the model, padding not counted."""


@dataclass(frozen=True, slots=True)
class UnderWay:
    """A pass that was handed to the device, which may still be busy with it."""

    numbers: Coming
    readings: Sequence[Reading]
    n_tokens: int

    def sent(self) -> Sent:
        """Wait for the pass and return what came back."""
        values = iter(self.numbers.tolist())
        told = [[[next(values) for _ in columns] for columns in item.columns] for item in self.readings]
        return Sent(told, self.n_tokens)


class Path(Protocol):
    """One way to send sequences."""

    name: str

    def plan(self, readings: Sequence[Reading], limit_tokens: int) -> Iterator[list[int]]:
        """Yield the indices that go together in one pass."""
        ...

    def start(self, readings: Sequence[Reading]) -> UnderWay:
        """Hand one pass to the device."""
        ...

    def send(self, readings: Sequence[Reading]) -> Sent:
        """Send one pass and wait for it."""
        ...


class PaddedPath:
    """Right-padded batches: in a causal model nothing after a token changes what was said of it."""

    name = "padded batches"

    def __init__(self, network: Any, pad: int) -> None:
        self.network = network
        self.pad = pad

    def plan(self, readings: Sequence[Reading], limit_tokens: int) -> Iterator[list[int]]:
        """Yield batches, longest first; a sequence that begins another one is read from the longer one."""
        carriers = absorbed([item.tokens for item in readings])
        keys = list(carriers)
        for batch in padded_batches([len(readings[index].tokens) for index in keys], limit_tokens):
            yield [held for number in batch for held in carriers[keys[number]]]

    def send(self, readings: Sequence[Reading]) -> Sent:
        """Send one batch and wait for it."""
        under_way: UnderWay = self.start(readings)
        return under_way.sent()

    @torch.inference_mode()
    def start(self, readings: Sequence[Reading]) -> UnderWay:
        """Hand one batch to the device."""
        lines = absorbed([item.tokens for item in readings])
        rows = sorted({row for item in readings for row in item.rows})
        ids, mask = padded([readings[index].tokens for index in lines], self.pad)
        reset_rotary(self.network)
        logits = forward(self.network, ids, rows, attention_mask=placed(mask, entrance(self.network)))
        place = {row: number for number, row in enumerate(rows)}
        at: list[list[int]] = [[] for _ in readings]
        for line, held in enumerate(lines.values()):
            for index in held:
                at[index] = [line * len(rows) + place[row] for row in readings[index].rows]
        return UnderWay(read(logits.flatten(0, 1), at, readings), readings, int(mask.sum()))


class PrefixPath(PaddedPath):
    """The shared beginning of a group once, its keys and values repeated, then the padded rests."""

    name = "shared beginnings"

    def plan(self, readings: Sequence[Reading], limit_tokens: int) -> Iterator[list[int]]:
        """Yield families that share at least half; those without relatives in padded batches."""
        groups = list(families(readings, limit_tokens))
        yield from (group for group in groups if len(group) > 1)
        alone = [group[0] for group in groups if len(group) == 1]
        for batch in super().plan([readings[index] for index in alone], limit_tokens):
            yield [alone[number] for number in batch]

    @torch.inference_mode()
    def start(self, readings: Sequence[Reading]) -> UnderWay:
        """Hand one family, or one padded batch, to the device."""
        shared = shared_beginning(readings)
        if len(readings) < 2 or shared < 1:
            plain: UnderWay = super().start(readings)
            return plain
        rows = sorted({row - shared for item in readings for row in item.rows})
        begin = placed([readings[0].tokens[:shared]], entrance(self.network))
        state = remembered(self.network, begin, len(readings))
        ids, mask = padded([item.tokens[shared:] for item in readings], self.pad)
        seen = torch.cat([torch.ones(len(readings), shared, dtype=torch.long), mask], dim=1)
        taken = {state_argument(self.network.forward): state}
        logits = forward(self.network, ids, rows, attention_mask=placed(seen, begin.device), use_cache=True, **taken)
        place = {row: number for number, row in enumerate(rows)}
        at = [
            [line * len(rows) + place[row - shared] for row in item.rows] for line, item in enumerate(readings)
        ]  # fmt: skip
        return UnderWay(read(logits.flatten(0, 1), at, readings), readings, shared + int(mask.sum()))


class TreePath:
    """One tree of all sequences of a pass: every distinct beginning is sent once."""

    name = "prefix tree"

    def __init__(self, network: Any, block_nodes: int | None = None) -> None:
        self.network = network
        self.block_nodes = block_nodes or block_nodes_for(entrance(network))
        self.layers = getattr(network.config.get_text_config(), "num_hidden_layers", None)
        self.windows: set[int] = set()

    @property
    def says(self) -> str:
        """How attention is computed, for people."""
        return f"attention in blocks of {self.block_nodes}"

    def attention(self, tree: Tree, place: torch.device) -> Attention:
        """Return the attention inside a tree on a device."""
        return Blocks(tree, place, self.block_nodes)

    def plan(self, readings: Sequence[Reading], limit_tokens: int) -> Iterator[list[int]]:
        """Yield groups of neighbours; their logits stay within `LOGIT_ELEMENTS`."""
        vocabulary = int(self.network.config.get_text_config().vocab_size)
        yield from packs(readings, limit_tokens, limit_rows=max(1, LOGIT_ELEMENTS // vocabulary))

    def start(self, readings: Sequence[Reading]) -> UnderWay:
        """Hand one tree to the device.

        Raises:
            GateClosedError: if a layer did not call the attention function once, or asked something else of it.
        """
        under_way: UnderWay = self.start_tree(readings, grow(readings))
        return under_way

    def send(self, readings: Sequence[Reading]) -> Sent:
        """Send one tree and wait for it; raises as `start`."""
        return self.start(readings).sent()

    def send_tree(self, readings: Sequence[Reading], tree: Tree) -> Sent:
        """Send a tree that was grown from the readings; raises as `start`."""
        under_way: UnderWay = self.start_tree(readings, tree)
        return under_way.sent()

    @torch.inference_mode()
    def start_tree(self, readings: Sequence[Reading], tree: Tree) -> UnderWay:
        """Hand a tree that was grown from the readings to the device; raises as `start`."""
        rows = sorted({node for nodes in tree.reads for node in nodes})
        current = TreePass(tree, self.attention)
        reset_rotary(self.network)
        with attending(self.network, current):
            positions = placed([tree.depth], entrance(self.network))
            logits = forward(self.network, torch.tensor([tree.tokens]), rows, position_ids=positions)
        if current.refusal is not None:
            raise GateClosedError(current.refusal)
        if current.calls != self.layers:
            raise GateClosedError(f"{current.calls} of {self.layers} layers use the exchangeable attention")
        self.windows |= current.windows
        place = {node: number for number, node in enumerate(rows)}
        at = [[place[node] for node in nodes] for nodes in tree.reads]
        return UnderWay(read(logits[0], at, readings), readings, len(tree.tokens))


class FlexPath(TreePath):
    """The same tree, with attention by FlexAttention."""

    name = "prefix tree by FlexAttention"
    says = "attention compiled"

    def attention(self, tree: Tree, place: torch.device) -> Attention:
        """Return the attention inside a tree on a device."""
        return Flex(tree, place)


def padded(sequences: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids and mask, (sequences, longest), padded on the right."""
    width = max(len(tokens) for tokens in sequences)
    ids = torch.full((len(sequences), width), pad, dtype=torch.long)
    mask = torch.zeros((len(sequences), width), dtype=torch.long)
    for line, tokens in enumerate(sequences):
        ids[line, : len(tokens)] = torch.tensor(tokens)
        mask[line, : len(tokens)] = 1
    return ids, mask


def state_argument(function: Any) -> str:
    """Return the name under which a model's function takes keys and values of earlier tokens.

    Raises:
        GateClosedError: if it takes none.
    """
    taken = inspect.signature(function).parameters
    found = next((name for name in STATE_NAMES if name in taken), None)
    if found is None:
        raise GateClosedError("the model takes no keys and values of earlier tokens")
    return found


def remembered(network: Any, ids: torch.Tensor, n_rows: int) -> Any:
    """Send a beginning, (1, tokens); return its keys and values, repeated for `n_rows` continuations."""
    out = network(input_ids=ids, use_cache=True, logits_to_keep=1)
    given = dict(out.items())  # asked by its older name, the output of a newer version warns
    state = next((given[name] for name in STATE_NAMES if name in given), None)
    if state is None:
        raise GateClosedError("the model gives no keys and values back")
    state.batch_repeat_interleave(n_rows)
    return state


def forward(network: Any, ids: torch.Tensor, rows: Sequence[int], **more: Any) -> torch.Tensor:
    """Return logits (sequences, rows, vocabulary); the model's own head, so that its caps and scales hold."""
    keep = rows_at(network, rows)
    more.setdefault("use_cache", False)
    taken = inspect.signature(network.forward).parameters.values()
    if any(part.name == "logits_to_keep" or part.kind is part.VAR_KEYWORD for part in taken):
        more["logits_to_keep"] = keep
    with long_head(network):
        logits: torch.Tensor = network(input_ids=placed(ids, entrance(network)), **more).logits
    return logits if logits.shape[1] == len(rows) else logits[:, keep]  # some models give all rows whatever they get


def read(logits: torch.Tensor, at: Sequence[Sequence[int]], readings: Sequence[Reading]) -> Coming:
    """Return the log-probabilities that the readings want; `logits` is (places, vocabulary), `at` gives places."""
    norms = torch.cat([torch.logsumexp(part.float(), -1) for part in logits.split(ROWS_AT_ONCE)])
    wanted = [
        (place, column)
        for places, item in zip(at, readings, strict=True)
        for place, columns in zip(places, item.columns, strict=True)
        for column in columns
    ]
    places, columns = (placed(part, logits.device) for part in zip(*wanted, strict=True))
    return Coming(logits[places, columns].float() - norms[places])
