"""Token sequences that share beginnings, as one tree: pure functions on tokens.

A tree's nodes stand in depth-first order. Node i may look at node j exactly when j <= i < end[j], which is
when j is on the way from the root to i; its position in the prompt is its depth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    """A token sequence, and which log-probabilities are read after which of its tokens."""

    tokens: tuple[int, ...]
    rows: tuple[int, ...]
    """Positions in `tokens`, ascending; the distribution of the next token is read there."""
    columns: tuple[tuple[int, ...], ...]
    """For each row the vocabulary entries that are read."""


@dataclass(frozen=True, slots=True)
class Tree:
    """A forest in depth-first order; `tokens`, `depth` and `end` have one entry a node."""

    tokens: tuple[int, ...]
    depth: tuple[int, ...]
    end: tuple[int, ...]
    """The descendants of node j are the nodes from j + 1 up to, not including, `end[j]`."""
    reads: tuple[tuple[int, ...], ...]
    """For each sequence, in the order given, the nodes at which its rows are read."""


@dataclass(frozen=True, slots=True)
class Block:
    """Neighbouring nodes whose attention is computed together."""

    start: int
    stop: int
    ancestors: tuple[int, ...]
    """Nodes before `start` that some node of the block looks at: the way from the root to `start`."""


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """Return how many tokens two sequences share from their beginning.

    Bisects on slices, which compare at the speed of C.
    """
    low, high = 0, min(len(a), len(b))
    while low < high:
        middle = (low + high + 1) // 2
        if a[low:middle] == b[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def grow(sequences: Sequence[Reading]) -> Tree:
    """Return the tree of all sequences: every distinct beginning is one node.

    Time and memory grow with the tokens of the sequences.
    """
    tokens: list[int] = []
    depth: list[int] = []
    end: list[int] = []
    reads: list[tuple[int, ...]] = [()] * len(sequences)
    path: list[int] = []
    before: tuple[int, ...] = ()
    for index in sorted(range(len(sequences)), key=lambda index: sequences[index].tokens):
        now = sequences[index].tokens
        shared = common_prefix(before, now)
        for node in path[shared:]:
            end[node] = len(tokens)
        del path[shared:]
        for token in now[shared:]:
            path.append(len(tokens))
            depth.append(len(path) - 1)
            tokens.append(token)
            end.append(0)
        reads[index] = tuple(path[row] for row in sequences[index].rows)
        before = now
    for node in path:
        end[node] = len(tokens)
    return Tree(tuple(tokens), tuple(depth), tuple(end), tuple(reads))


def packs(sequences: Sequence[Reading], limit_tokens: int, *, limit_rows: int, stretch: int = 4) -> Iterator[list[int]]:
    """Yield index groups, each to be one tree of at most `limit_tokens` nodes and `limit_rows` rows.

    Sequences stand in lexicographic order, so those that share a beginning are neighbours. A cut between
    neighbours sends their shared beginning twice. So a tree may grow to `stretch` times the limit while the
    cut would cost more than half of what comes next; a single sequence is never cut, and is sent once for all
    that are equal to it.
    """
    group: list[int] = []
    nodes = rows = 0
    before: tuple[int, ...] = ()
    for index in sorted(range(len(sequences)), key=lambda index: sequences[index].tokens):
        now = sequences[index]
        shared = common_prefix(before, now.tokens)
        new = len(now.tokens) - shared
        most = limit_tokens * (stretch if 2 * shared > len(now.tokens) else 1)
        if group and ((new and nodes + new > most) or rows + len(now.rows) > limit_rows):
            yield group
            group, nodes, rows, new = [], 0, 0, len(now.tokens)
        group.append(index)
        nodes, rows = nodes + new, rows + len(now.rows)
        before = now.tokens
    if group:
        yield group


def blocks(tree: Tree, size: int) -> list[Block]:
    """Cut a tree into blocks of `size` nodes, each with the nodes before it that it looks at.

    A node before the block whose subtree reaches into the block holds the block's first node too, because
    subtrees are intervals; so these nodes are the way from the root to the first node.
    """
    found = []
    path: list[int] = []
    for start in range(0, len(tree.tokens), size):
        path = [node for node in (*path, *range(max(0, start - size), start)) if tree.end[node] > start]
        found.append(Block(start, min(start + size, len(tree.tokens)), tuple(path)))
    return found


def causal(tree: Tree) -> Tree:
    """Return the tree with every node looking at all nodes before it: what a wrong mask would compute."""
    return Tree(tree.tokens, tree.depth, (len(tree.tokens),) * len(tree.tokens), tree.reads)


def families(sequences: Sequence[Reading], limit_tokens: int) -> Iterator[list[int]]:
    """Yield groups of neighbours whose shared beginning is at least half of the longest of them.

    Sent as the beginning once and then the padded rests, a group has at most `limit_tokens` tokens.
    """
    group: list[int] = []
    for index in sorted(range(len(sequences)), key=lambda index: sequences[index].tokens):
        grown = [*group, index]
        longest = max(len(sequences[member].tokens) for member in grown)
        shared = shared_beginning([sequences[member] for member in grown])
        if group and (2 * shared < longest or shared + len(grown) * (longest - shared) > limit_tokens):
            yield group
            grown = [index]
        group = grown
    if group:
        yield group


def shared_beginning(sequences: Sequence[Reading]) -> int:
    """Return how many first tokens all sequences share, before the first row that is read."""
    first, last = min(item.tokens for item in sequences), max(item.tokens for item in sequences)
    return min(common_prefix(first, last), *(item.rows[0] for item in sequences))
