"""Batches and shared passes, as pure functions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_llminvariance.models.local.batching import absorbed, padded_batches

sequences = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=6).map(tuple), max_size=12)


@given(st.lists(st.integers(1, 50), max_size=30), st.integers(1, 200))
def test_every_item_is_in_one_batch_within_the_limit(lengths: list[int], limit: int) -> None:
    batches = list(padded_batches(lengths, limit))
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= limit


@given(sequences)
def test_each_sequence_is_answered_once_by_one_that_begins_with_it(many: list[tuple[int, ...]]) -> None:
    carriers = absorbed(many)
    assert sorted(index for held in carriers.values() for index in held) == list(range(len(many)))
    for carrier, held in carriers.items():
        assert carrier in held
        assert all(many[carrier][: len(many[index])] == many[index] for index in held)


@given(sequences)
def test_no_carrier_begins_another(many: list[tuple[int, ...]]) -> None:
    kept = [many[carrier] for carrier in absorbed(many)]
    for one in kept:
        assert sum(other[: len(one)] == one for other in kept) == 1
