"""Orders of options: permutations, their inverses and distances; `order[position]` is the content shown there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import lru_cache

from pytest_llminvariance.errors import UsageError

Order = tuple[int, ...]


def identity(k: int) -> Order:
    """Return the order as written."""
    return tuple(range(k))


def check_order(order: Sequence[int], k: int) -> Order:
    """Return `order` as a tuple, or raise where it is not a permutation of 0..k-1."""
    if not isinstance(order, Sequence) or len(order) != k or not _is_permutation(tuple(order), tuple(map(type, order))):
        raise UsageError(f"order is {order!r}, but must hold each content index 0..{k - 1} once")
    return _shared(tuple(order))


@lru_cache(maxsize=4096)  # the same few orders for every question; `True` equals 1, so types count
def _is_permutation(order: tuple[object, ...], types: tuple[type, ...]) -> bool:
    return set(types) == {int} and set(order) == set(range(len(order)))


@lru_cache(maxsize=4096)
def _shared(order: Order) -> Order:
    """Return one tuple for equal orders: a suite holds each of them once for every question."""
    return order


def inverse(order: Sequence[int]) -> Order:
    """Return where each content is shown: `inverse(order)[content]` is a position."""
    return _inverse(tuple(order))


@lru_cache(maxsize=4096)  # asked for with every answer, and few orders differ
def _inverse(order: Order) -> Order:
    positions = [0] * len(order)
    for position, content in enumerate(order):
        positions[content] = position
    return tuple(positions)


def compose(first: Order, then: Order) -> Order:
    """Return the order that shows `first` re-ordered by `then`: position p shows `first[then[p]]`."""
    return tuple(first[index] for index in then)


def kendall_distance(order: Order, other: Order) -> int:
    """Return the number of adjacent swaps that turn one order into the other (Kendall's tau distance)."""
    rank = inverse(other)
    ranks = [rank[content] for content in order]
    return sum(a > b for a, b in itertools.combinations(ranks, 2))


def adjacent_swaps(order: Order) -> Iterator[Order]:
    """Yield the orders that are one adjacent swap away."""
    for position in range(len(order) - 1):
        swapped = list(order)
        swapped[position], swapped[position + 1] = swapped[position + 1], swapped[position]
        yield tuple(swapped)


def cyclic_orders(k: int) -> tuple[Order, ...]:
    """Return the k rotations, the order as written first."""
    return tuple(tuple((start + position) % k for position in range(k)) for start in range(k))
