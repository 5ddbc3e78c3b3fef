"""Which sequences go through a model together: pure functions on lengths and tokens."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def padded_batches(lengths: Sequence[int], limit_tokens: int) -> Iterator[list[int]]:
    """Yield index groups, longest first, whose padded size stays within the limit (or holds one item)."""
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    batch: list[int] = []
    for index in order:
        if batch and (len(batch) + 1) * lengths[batch[0]] > limit_tokens:
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch


def absorbed(sequences: Sequence[tuple[int, ...]]) -> dict[int, list[int]]:
    """Return, for each sequence that is no beginning of another, the indices that its pass answers.

    In lexicographic order a sequence stands directly before those that begin with it.
    """
    order = sorted(range(len(sequences)), key=lambda index: sequences[index])
    carriers: dict[int, list[int]] = {}
    carrier = -1
    for index in reversed(order):
        tokens = sequences[index]
        if carrier < 0 or sequences[carrier][: len(tokens)] != tokens:
            carrier = index
            carriers[carrier] = []
        carriers[carrier].append(index)
    return carriers
