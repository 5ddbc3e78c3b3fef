"""Who sees whom inside a tree, by brute force: blocks one after the other, and FlexAttention's own blocks."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch

from pytest_llminvariance.models.local import flex, scoring
from pytest_llminvariance.models.local.flex import SIDE, Flex, block_mask, padded_size
from pytest_llminvariance.models.local.passes import FlexPath, TreePath
from pytest_llminvariance.models.local.scoring import Scorer
from pytest_llminvariance.models.local.tree import Reading, Tree, grow
from pytest_llminvariance.models.local.tree_attention import ALIGNED, Blocks, GateClosedError, Layer, added
from tests.model.test_tree_models import PROMPTS, largest_difference, network_of, read_everything
from tests.model.tiny_configs import TREE

CPU = torch.device("cpu")
WINDOWS = [None, 1, 7, 150]


def random_tree(seed: int, n_prompts: int = 40, stem: int = 150) -> Tree:
    """Prompts that share beginnings of all lengths; some are longer than a block, and some share nothing."""
    draw = random.Random(seed)
    prompts = [tuple(draw.randrange(9) for _ in range(stem))]
    for _ in range(n_prompts):
        kept = draw.choice(prompts)[: draw.randrange(1, stem)]
        prompts.append(kept + tuple(draw.randrange(9) for _ in range(draw.randrange(1, 60))))
    return grow([Reading(tokens, (0,), ((1,),)) for tokens in prompts])


def sees(tree: Tree, window: int | None) -> torch.Tensor:
    """The rule, node by node: (queries, keys)."""
    n = len(tree.tokens)
    rows = [
        [
            j <= i < tree.end[j] and (window is None or tree.depth[i] - tree.depth[j] < window)
            for j in range(n)
        ]
        for i in range(n)
    ]  # fmt: skip
    return torch.tensor(rows)


SMALL = random_tree(1, n_prompts=12, stem=40)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("size", [1, 16, 100, 10_000])
def test_masks_of_blocks_are_the_rule(window: int | None, size: int) -> None:
    expected = sees(SMALL, window)
    for part in Blocks(SMALL, CPU, size).parts:
        keys = part.keys().long()
        mask = part.mask(window, 2, torch.bool)
        assert torch.equal(mask, expected[part.start : part.stop][:, keys].repeat(2, 1))
        left_out = [j for j in range(len(SMALL.tokens)) if j not in set(keys.tolist())]
        assert not expected[part.start : part.stop][:, left_out].any()


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.float16])
def test_a_mask_that_is_added_says_the_same_and_is_read_without_a_copy(kind: torch.dtype) -> None:
    part = Blocks(SMALL, CPU, 50).parts[1]
    seen, mask = part.mask(7, 2, torch.bool), part.mask(7, 2, kind)
    assert mask.dtype == kind
    assert torch.equal(mask == 0, seen)
    assert torch.equal(mask == float("-inf"), ~seen)
    assert mask.stride(0) % ALIGNED == 0
    assert part.mask(7, 2, kind) is mask
    assert added(seen[:, :ALIGNED], kind).shape[1] == ALIGNED


def tensors(tree: Tree, heads: int = 4, key_heads: int = 2, size: int = 16) -> tuple[Any, Any, Any]:
    torch.manual_seed(0)
    query, key, value = (torch.randn(1, n, len(tree.tokens), size) for n in (heads, key_heads, key_heads))
    return query, key, value


@pytest.mark.parametrize("window", WINDOWS)
def test_added_masks_give_the_attention_of_boolean_ones(window: int | None) -> None:
    plain, additive = Blocks(SMALL, CPU, 64), Blocks(SMALL, CPU, 64)
    additive.additive = True
    one, other = (each.attend(*tensors(SMALL), None, Layer(window, None, None)) for each in (plain, additive))
    assert torch.allclose(one, other, atol=1e-6)
    capped = Layer(window, 5.0, None)  # computed by ourselves, from a boolean mask
    one, other = (each.attend(*tensors(SMALL), None, capped) for each in (plain, additive))
    assert torch.equal(one, other)


TREES = [random_tree(seed) for seed in (2, 3)] + [random_tree(4, n_prompts=2, stem=700)]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("tree", TREES, ids=lambda tree: f"{len(tree.tokens)} nodes")
def test_blocks_of_flex_attention_are_those_that_are_seen(tree: Tree, window: int | None) -> None:
    made = Flex(tree, CPU)
    mask, n = block_mask(made.depth, made.end, window), len(tree.tokens)
    expected = torch.eye(made.n_padded, dtype=torch.bool)
    expected[:n, :n] = sees(tree, window)
    blocks = expected.view(-1, SIDE, made.n_padded // SIDE, SIDE).transpose(1, 2)
    some, full = blocks.any(-1).any(-1), blocks.all(-1).all(-1)
    for row in range(len(some)):
        part = set(mask.kv_indices[0, 0, row, : mask.kv_num_blocks[0, 0, row]].tolist())
        whole = set(mask.full_kv_indices[0, 0, row, : mask.full_kv_num_blocks[0, 0, row]].tolist())
        assert not part & whole
        assert whole <= set(full[row].nonzero().flatten().tolist())
        assert part | whole >= set(some[row].nonzero().flatten().tolist())
        if window is None:
            assert whole == set(full[row].nonzero().flatten().tolist())
            assert part | whole == set(some[row].nonzero().flatten().tolist())
    q, k = torch.meshgrid(torch.arange(made.n_padded), torch.arange(made.n_padded), indexing="ij")
    assert torch.equal(mask.mask_mod(0, 0, q, k), expected)


def test_the_blocks_of_a_large_tree_are_few_and_small() -> None:
    """66,000 nodes: a mask of nodes times nodes would hold 4.4e9 numbers."""
    stem = [(n,) * 200 for n in range(60)]
    tree = grow([Reading((*stem[n], *((n + 99, m) * 20)), (0,), ((1,),)) for n in range(60) for m in range(22)])
    made = Flex(tree, CPU)
    mask = block_mask(made.depth, made.end, None)
    held = (mask.kv_indices, mask.full_kv_indices, mask.kv_num_blocks, mask.full_kv_num_blocks)
    assert len(tree.tokens) > 60_000
    assert max(tensor.numel() for tensor in held) <= (made.n_padded // SIDE) ** 2
    assert int((mask.kv_num_blocks + mask.full_kv_num_blocks).sum()) < 0.02 * (made.n_padded // SIDE) ** 2


def test_nodes_are_padded_to_few_sizes() -> None:
    sizes = {padded_size(n) for n in range(1, 140_000, 7)}
    assert all(n <= padded_size(n) for n in range(1, 140_000, 7))
    assert all(padded_size(n) <= 1.5 * n for n in range(1_024, 140_000, 7))
    assert all(size % SIDE == 0 for size in sizes)
    assert len(sizes) < 20


@pytest.mark.parametrize("window", WINDOWS)
def test_flex_attention_gives_the_attention_of_blocks(window: int | None) -> None:
    tree, layer = TREES[0], Layer(window, None, None)
    for heads in (4, 2):
        given = tensors(tree, heads=heads)
        assert torch.allclose(
            Flex(tree, CPU).attend(*given, 0.3, layer), Blocks(tree, CPU).attend(*given, 0.3, layer), atol=1e-5
        )


@pytest.mark.parametrize("layer", [Layer(None, 5.0, None), Layer(None, None, torch.zeros(4))])
def test_flex_attention_says_what_it_cannot_do(layer: Layer) -> None:
    with pytest.raises(GateClosedError, match="layers with a soft cap or sinks"):
        Flex(SMALL, CPU).attend(*tensors(SMALL), None, layer)


@pytest.fixture
def trying_flex(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """FlexAttention is tried for every model, and takes as long as the answer says (of one second in blocks)."""
    seconds = {FlexPath.name: 0.5, TreePath.name: 1.0}
    monkeypatch.setattr(scoring, "FLEX_FROM_TOKENS", 1)
    monkeypatch.setattr(scoring, "seconds_of", lambda path, readings: seconds[path.name])
    return seconds


def scorer_of(name: str, **settings: Any) -> Scorer:
    scorer = Scorer(network_of(TREE[name]()), pad=0, batch_tokens=2_048, **settings)
    scorer.flex = True
    return scorer


@pytest.mark.usefixtures("trying_flex")
@pytest.mark.parametrize("name", ["llama", "gemma 3", "mistral with a window", "deepseek v3"])
def test_flex_attention_that_is_right_and_faster_is_used_and_said(name: str) -> None:
    scorer = scorer_of(name)
    assert largest_difference(scorer, network_of(TREE[name]()), PROMPTS) <= 1e-4
    assert scorer.describe().startswith("prefix tree by FlexAttention (differs by ")
    assert scorer.describe().endswith("), attention compiled")


def test_flex_attention_that_is_not_faster_is_not_used(trying_flex: dict[str, float]) -> None:
    trying_flex[FlexPath.name] = 0.95
    scorer = scorer_of("llama")
    assert largest_difference(scorer, network_of(TREE["llama"]()), PROMPTS[:8]) <= 1e-4
    assert scorer.path.name == "prefix tree"
    told = "attention in blocks of 128; no prefix tree by FlexAttention: a pass takes 0.95 of the time of one in blocks"
    assert scorer.describe().endswith(told)


@pytest.mark.usefixtures("trying_flex")
def test_flex_attention_is_chosen_once_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "FLEX_FROM_TOKENS", 10**6)
    scorer = scorer_of("llama")
    list(scorer.score(read_everything(PROMPTS[:2])))
    monkeypatch.setattr(scoring, "FLEX_FROM_TOKENS", 1)
    list(scorer.score(read_everything(PROMPTS)))
    assert scorer.path.name == "prefix tree"
    assert "FlexAttention" not in scorer.describe()


def wrong(depth: torch.Tensor, end: torch.Tensor, window: int | None, right: Any = block_mask) -> Any:
    return right(depth, torch.full_like(end, len(end)), window)


def broken(*_: Any) -> Any:
    raise RuntimeError("Triton Error [CUDA]: an illegal instruction\nmore of it")


@pytest.mark.usefixtures("trying_flex")
@pytest.mark.parametrize(
    ("fault", "told"), [(wrong, "its numbers differ by"), (broken, "RuntimeError: Triton Error [CUDA]: an illegal")]
)
def test_flex_attention_that_is_wrong_or_fails_costs_speed_only(
    fault: Any, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flex, "block_mask", fault)
    scorer = scorer_of("llama")
    assert largest_difference(scorer, network_of(TREE["llama"]()), PROMPTS[:8]) <= 1e-4
    assert scorer.path.name == "prefix tree"
    assert f"no prefix tree by FlexAttention: {told}" in scorer.describe()
    assert "\n" not in scorer.describe()


@pytest.mark.usefixtures("trying_flex")
def test_flex_attention_that_fails_later_gives_way_to_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = scorer_of("llama")
    list(scorer.score(read_everything(PROMPTS[:4])))
    assert isinstance(scorer.path, FlexPath)
    monkeypatch.setattr(flex, "block_mask", broken)
    assert largest_difference(scorer, network_of(TREE["llama"]()), PROMPTS) <= 1e-4
    assert scorer.path.name == "prefix tree"
    assert "no prefix tree by FlexAttention: RuntimeError: Triton Error" in scorer.describe()
