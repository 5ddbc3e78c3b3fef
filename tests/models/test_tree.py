"""The prefix tree against brute force on random sequences."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_llminvariance.models.local.tree import (
    Reading,
    Tree,
    blocks,
    causal,
    common_prefix,
    families,
    grow,
    packs,
    shared_beginning,
)

TOKENS = st.lists(st.integers(0, 2), min_size=1, max_size=9).map(tuple)


@st.composite
def readings(draw: st.DrawFn) -> list[Reading]:
    """Sequences over three tokens, so that many share a beginning; some rows of each are read."""
    found = []
    for tokens in draw(st.lists(TOKENS, min_size=1, max_size=12)):
        rows = draw(st.sets(st.integers(0, len(tokens) - 1), min_size=1, max_size=len(tokens)))
        found.append(Reading(tokens, tuple(sorted(rows)), tuple(((1,),) * len(rows))))
    return found


def way_to(tree: Tree, node: int) -> list[int]:
    """The nodes that a node looks at, by the rule that the attention uses."""
    return [j for j in range(len(tree.tokens)) if j <= node < tree.end[j]]


@given(readings())
def test_every_distinct_beginning_is_one_node(given_: list[Reading]) -> None:
    tree = grow(given_)
    beginnings = {item.tokens[: n + 1] for item in given_ for n in range(len(item.tokens))}
    assert len(tree.tokens) == len(beginnings)
    assert {tuple(tree.tokens[j] for j in way_to(tree, i)) for i in range(len(tree.tokens))} == beginnings


@given(readings())
def test_a_row_looks_at_exactly_its_own_prompt(given_: list[Reading]) -> None:
    tree = grow(given_)
    for item, nodes in zip(given_, tree.reads, strict=True):
        for row, node in zip(item.rows, nodes, strict=True):
            assert tuple(tree.tokens[j] for j in way_to(tree, node)) == item.tokens[: row + 1]
            assert tree.depth[node] == row


@given(readings(), st.integers(1, 7))
def test_blocks_name_all_ancestors_and_nothing_else(given_: list[Reading], size: int) -> None:
    tree = grow(given_)
    found = blocks(tree, size)
    assert [node for block in found for node in range(block.start, block.stop)] == list(range(len(tree.tokens)))
    for block in found:
        seen = {j for node in range(block.start, block.stop) for j in way_to(tree, node) if j < block.start}
        assert block.ancestors == tuple(sorted(seen))


@given(readings(), st.integers(1, 30), st.integers(1, 12))
def test_packs_hold_every_sequence_once_within_the_limits(given_: list[Reading], limit: int, rows: int) -> None:
    groups = list(packs(given_, limit, limit_rows=rows))
    assert sorted(index for group in groups for index in group) == list(range(len(given_)))
    for group in groups:
        members = [given_[index] for index in group]
        assert len({item.tokens for item in members}) == 1 or len(grow(members).tokens) <= 4 * limit
        assert len(group) == 1 or sum(len(item.rows) for item in members) <= rows


def test_a_prompt_over_the_limit_is_sent_once_for_all_who_ask_it() -> None:
    long = Reading((1,) * 50, (49,), ((0,),))
    assert len(list(packs([long] * 5, 5, limit_rows=99))) == 1


@given(readings())
def test_without_limits_there_is_one_pack(given_: list[Reading]) -> None:
    assert len(list(packs(given_, 10**6, limit_rows=10**6))) == 1


def test_a_pack_is_stretched_only_where_a_cut_would_send_a_long_beginning_twice() -> None:
    stem = tuple(range(100, 160))
    orbit = [Reading((*stem, n, n), (61,), ((0,),)) for n in range(10)]  # 60 + 20 nodes
    others = [Reading((n,) * 30, (29,), ((0,),)) for n in range(10)]  # nothing shared
    assert len(list(packs(orbit, 40, limit_rows=99))) == 1
    assert [len(group) for group in packs(others, 40, limit_rows=99)] == [1] * 10


@given(readings(), st.integers(1, 60))
def test_families_hold_every_sequence_once_and_share_half(given_: list[Reading], limit: int) -> None:
    groups = list(families(given_, limit))
    assert sorted(index for group in groups for index in group) == list(range(len(given_)))
    for members in ([given_[index] for index in group] for group in groups if len(group) > 1):
        longest, shared = max(len(item.tokens) for item in members), shared_beginning(members)
        assert 2 * shared >= longest
        assert shared + len(members) * (longest - shared) <= limit


@given(readings())
def test_a_shared_beginning_ends_before_what_is_read(given_: list[Reading]) -> None:
    n = shared_beginning(given_)
    assert len({item.tokens[:n] for item in given_}) == 1
    assert all(n <= item.rows[0] for item in given_)


@given(TOKENS, TOKENS)
def test_common_prefix(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    n = common_prefix(a, b)
    assert a[:n] == b[:n]
    assert n == min(len(a), len(b)) or a[n] != b[n]


def test_the_wrong_tree_of_the_control_is_causal() -> None:
    tree = causal(grow([Reading((1, 2), (1,), ((0,),)), Reading((1, 3), (1,), ((0,),))]))
    assert way_to(tree, 2) == [0, 1, 2]
