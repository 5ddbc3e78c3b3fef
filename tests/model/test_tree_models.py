"""Many architectures: a path that is taken gives the numbers of single prompts, a wrong one is refused."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from pytest_llminvariance.models.local import passes, tree_attention
from pytest_llminvariance.models.local.passes import PaddedPath, PrefixPath, TreePath
from pytest_llminvariance.models.local.scoring import Scorer, TooLargeError
from pytest_llminvariance.models.local.tree import Reading
from tests.model.tiny_configs import REFUSED, THRESHOLD, TREE, WINDOW

EVERYTHING = tuple(range(300))


def network_of(config: Any, scale: float = 0.2) -> Any:
    torch.manual_seed(0)
    network = AutoModelForCausalLM.from_config(config).float().eval()
    for parameter in network.parameters():
        parameter.data.normal_(0, scale)
    return network


def orbit(stem_tokens: int, salt: int) -> list[tuple[int, ...]]:
    """All 24 orders of four options of different lengths after a stem; longer than any window."""
    stem = tuple((salt * 37 + n * 11) % 290 + 5 for n in range(stem_tokens))
    options = [tuple((salt + 50 * n + m) % 290 + 5 for m in range(2 + n)) for n in range(4)]
    orders = itertools.permutations(range(4))
    return [stem + tuple(token for n in order for token in (n + 1, *options[n])) + (4, 4) for order in orders]


def read_everything(prompts: Sequence[tuple[int, ...]]) -> list[Reading]:
    """The last row and one in the middle, over the whole vocabulary."""
    return [Reading(p, (len(p) // 2, len(p) - 1), (EVERYTHING, EVERYTHING)) for p in prompts]


PROMPTS = [*orbit(20, 1), *orbit(33, 2)]
LONG_PROMPTS = [*orbit(THRESHOLD - 30, 3)[:6], *orbit(THRESHOLD + 9, 4)[:6], *orbit(2 * THRESHOLD, 5)[:6]]


@torch.inference_mode()
def by_hand(network: Any, prompt: tuple[int, ...]) -> torch.Tensor:
    """Log-probabilities of one unpadded prompt in float64, (tokens, vocabulary)."""
    return torch.log_softmax(network(input_ids=torch.tensor([prompt]), use_cache=False).logits[0].double(), -1)


def largest_difference(scorer: Scorer, fresh: Any, prompts: Sequence[tuple[int, ...]]) -> float:
    readings = read_everything(prompts)
    found = {item.index: item.values for batch in scorer.score(readings) for item in batch}
    assert sorted(found) == list(range(len(prompts)))
    worst = 0.0
    for index in sorted(found, key=lambda index: len(prompts[index])):  # shortest first: nothing is left over
        rows = list(readings[index].rows)
        worst = max(worst, float((torch.tensor(found[index]) - by_hand(fresh, prompts[index])[rows]).abs().max()))
    return worst


@pytest.mark.parametrize("name", TREE)
def test_these_are_scored_as_a_tree_with_the_numbers_of_single_prompts(name: str) -> None:
    scorer, fresh = Scorer(network_of(TREE[name]()), pad=0, batch_tokens=2_048), network_of(TREE[name]())
    own = scorer.network.config._attn_implementation
    assert largest_difference(scorer, fresh, PROMPTS) <= 1e-4
    assert scorer.path.name == "prefix tree", scorer.describe()
    assert scorer.usage.passes == 1
    assert scorer.usage.sent_tokens == len({p[: n + 1] for p in PROMPTS for n in range(len(p))})
    assert scorer.network.config._attn_implementation == own


@pytest.mark.parametrize("name", ["phi-3 with long rope", "llama with dynamic rope", "gemma 3", "deepseek v3"])
def test_prompts_on_both_sides_of_a_threshold_do_not_touch_one_another(name: str) -> None:
    scorer, fresh = Scorer(network_of(TREE[name]()), pad=0, batch_tokens=100_000), network_of(TREE[name]())
    assert largest_difference(scorer, fresh, LONG_PROMPTS) <= 1e-4
    assert scorer.path.name == "prefix tree"


@pytest.mark.parametrize("name", REFUSED)
def test_these_are_refused_and_get_their_numbers_from_a_slower_path(name: str) -> None:
    scorer, fresh = Scorer(network_of(REFUSED[name]()), pad=0, batch_tokens=2_048), network_of(REFUSED[name]())
    assert largest_difference(scorer, fresh, PROMPTS[:30]) <= 1e-4
    assert scorer.path.name != "prefix tree"
    assert "no prefix tree: " in scorer.describe()
    assert "\n" not in scorer.describe()


@pytest.mark.parametrize("name", ["llama", "gemma 2", "bloom (alibi)", "llama 4 (chunks)"])
@pytest.mark.parametrize("batch_tokens", [1, 60, 500])
def test_small_passes_give_the_same_numbers(name: str, batch_tokens: int) -> None:
    config = {**TREE, **REFUSED}[name]
    scorer, fresh = Scorer(network_of(config()), pad=0, batch_tokens=batch_tokens), network_of(config())
    assert largest_difference(scorer, fresh, PROMPTS[::5]) <= 1e-4


def test_shared_beginnings_send_fewer_tokens_than_padded_batches() -> None:
    config = REFUSED["bloom (alibi)"]
    scorer, plain = (Scorer(network_of(config()), pad=0, batch_tokens=4_096, shared=s) for s in (True, False))
    for one in (scorer, plain):
        list(one.score(read_everything(PROMPTS)))
    assert scorer.path.name == "shared beginnings"
    assert plain.usage.sent_tokens == plain.usage.asked_tokens == sum(map(len, PROMPTS))
    assert scorer.usage.sent_tokens < 0.7 * plain.usage.sent_tokens


LONG_WINDOW = 40


def long_window() -> Any:
    config = TREE["mistral with a window"]()
    config.sliding_window = LONG_WINDOW
    return config


def test_a_long_window_is_proven_before_the_first_longer_prompt_and_not_earlier() -> None:
    scorer, fresh = Scorer(network_of(long_window()), pad=0, batch_tokens=2_048), network_of(long_window())
    short, long = [p[:35] for p in PROMPTS], [p + p for p in PROMPTS[:4]]
    assert largest_difference(scorer, fresh, short) <= 1e-4
    assert scorer._proven["prefix tree"] <= LONG_WINDOW
    assert largest_difference(scorer, fresh, long) <= 1e-4
    assert scorer._proven["prefix tree"] > LONG_WINDOW
    assert scorer.path.name == "prefix tree"


@pytest.fixture
def ignoring_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    right = tree_attention._Part.looks
    monkeypatch.setattr(tree_attention._Part, "looks", lambda self, window: right(self, None))


@pytest.mark.usefixtures("ignoring_windows")
def test_a_window_that_is_ignored_closes_the_gate_before_any_wrong_number() -> None:
    scorer, fresh = Scorer(network_of(long_window()), pad=0, batch_tokens=2_048), network_of(long_window())
    assert largest_difference(scorer, fresh, [p[:35] for p in PROMPTS]) <= 1e-4
    assert scorer.path.name == "prefix tree"  # no prompt reached the window yet
    assert largest_difference(scorer, fresh, [p + p for p in PROMPTS[:4]]) <= 1e-4
    assert scorer.path.name == "shared beginnings"
    assert "no prefix tree: its numbers differ by" in scorer.describe()


@pytest.mark.usefixtures("ignoring_windows")
def test_a_short_window_that_is_ignored_closes_the_gate_at_once() -> None:
    assert WINDOW < 12  # the probe is longer
    scorer = Scorer(network_of(TREE["gemma 3"]()), pad=0, batch_tokens=2_048)
    assert scorer.path.name == "shared beginnings"


def test_wrong_attention_closes_the_gate(monkeypatch: pytest.MonkeyPatch) -> None:
    right = tree_attention._Part.looks
    monkeypatch.setattr(tree_attention._Part, "looks", lambda self, window: torch.ones_like(right(self, window)))
    scorer = Scorer(network_of(TREE["llama"]()), pad=0, batch_tokens=2_048)
    assert largest_difference(scorer, network_of(TREE["llama"]()), PROMPTS[:8]) <= 1e-4
    assert "no prefix tree: its numbers differ by" in scorer.describe()


def test_a_probe_that_could_not_see_a_wrong_mask_closes_the_gate() -> None:
    scorer = Scorer(network_of(TREE["llama"](), scale=1e-3), pad=0, batch_tokens=2_048)
    assert scorer.path.name == "shared beginnings"
    assert "no prefix tree: the probe says nothing" in scorer.describe()


def test_a_layer_with_attention_of_its_own_closes_the_gate() -> None:
    network = network_of(TREE["llama"]())
    layer = network.model.layers[1].self_attn
    usual = layer.forward
    layer.forward = lambda hidden_states, **more: (usual.__self__.o_proj(usual.__self__.q_proj(hidden_states)), None)
    scorer = Scorer(network, pad=0, batch_tokens=2_048)
    assert "no prefix tree: 2 of 3 layers use the exchangeable attention" in scorer.describe()


@pytest.mark.parametrize("strange", [{"position_bias": torch.zeros(1)}, {"new_cap": 3.0}, {"sliding_chunk": 8}])
def test_an_argument_that_it_was_not_built_for_closes_the_gate(
    strange: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    network = network_of(TREE["llama"]())
    usual: Any = tree_attention._tree_attention
    monkeypatch.setattr(tree_attention, "_tree_attention", lambda *args, **more: usual(*args, **more, **strange))
    scorer = Scorer(network, pad=0, batch_tokens=2_048)
    assert f"LlamaAttention gives its attention {next(iter(strange))}" in scorer.describe()


@pytest.mark.parametrize("harmless", [{"output_attentions": False}, {"new_cap": None}, {"is_causal": True}])
def test_an_argument_that_changes_nothing_is_let_through(
    harmless: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual: Any = tree_attention._tree_attention
    monkeypatch.setattr(tree_attention, "_tree_attention", lambda *args, **more: usual(*args, **more, **harmless))
    assert Scorer(network_of(TREE["llama"]()), pad=0, batch_tokens=2_048).path.name == "prefix tree"


@pytest.mark.parametrize("path", [TreePath, PrefixPath, PaddedPath])
def test_a_model_keeps_its_attention_when_a_pass_breaks_down(path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    network = network_of(TREE["llama"]())
    made = path(network) if path is TreePath else path(network, 0)
    own = network.config._attn_implementation
    monkeypatch.setattr(network.model.norm, "forward", lambda hidden: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        made.send(read_everything(PROMPTS[:3]))
    assert network.config._attn_implementation == own


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Passes of more than 400 tokens run out of memory; the list gets the tokens of every pass."""
    sent: list[int] = []
    for path in (TreePath, PrefixPath, PaddedPath):
        usual = path.start

        def start(self: Any, readings: Sequence[Reading], usual: Any = usual) -> Any:
            n = len({r.tokens[: n + 1] for r in readings for n in range(len(r.tokens))})
            if self.name != "prefix tree":
                n = sum(len(r.tokens) for r in readings)
            sent.append(n)
            if n > 400:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            return usual(self, readings)

        monkeypatch.setattr(path, "start", start)
    return sent


@pytest.mark.parametrize("name", ["llama", "bloom (alibi)", "mamba 2"])
def test_when_memory_runs_out_passes_shrink_and_stay_small(name: str, small_memory: list[int]) -> None:
    config = {**TREE, **REFUSED}[name]
    scorer, fresh = Scorer(network_of(config()), pad=0, batch_tokens=4_096), network_of(config())
    assert largest_difference(scorer, fresh, PROMPTS) <= 1e-4
    failed = [n for n in small_memory if n > 400]
    assert failed
    assert scorer.batch_tokens < 4_096
    small_memory.clear()
    assert largest_difference(scorer, fresh, PROMPTS) <= 1e-4
    assert not [n for n in small_memory if n > 400]  # remembered


@pytest.mark.usefixtures("small_memory")
def test_one_prompt_that_is_too_large_is_named_and_all_others_are_answered() -> None:
    scorer = Scorer(network_of(TREE["llama"]()), pad=0, batch_tokens=4_096)
    prompts = [*PROMPTS[:3], tuple(range(5, 290)) * 2]
    found: list[int] = []

    def score() -> None:
        for batch in scorer.score(read_everything(prompts)):
            found.extend(item.index for item in batch)

    with pytest.raises(TooLargeError) as caught:
        score()
    assert caught.value.args == (3,)
    assert sorted(found) == [0, 1, 2]


def test_the_same_pass_in_bfloat16_is_within_twice_the_rounding_noise() -> None:
    network = network_of(TREE["llama"]()).to(torch.bfloat16)
    scorer = Scorer(network, pad=0, batch_tokens=2_048)
    assert scorer.path.name in ("prefix tree", "shared beginnings", "padded batches")
    if scorer.proof is not None:
        assert scorer.proof.difference <= scorer.proof.tolerance


class Strange(Exception):  # noqa: N818 # not an error of ours
    """What nobody expected."""


@pytest.mark.parametrize("error", [DeprecationWarning("`old` goes in 9.0\nuse `new`"), Strange(""), KeyError("cache")])
def test_a_path_that_closes_by_surprise_says_what_it_was(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(passes, "remembered", fail)
    told = f"{type(error).__name__}: {str(error).splitlines()[0]}" if str(error) else type(error).__name__
    scorer = Scorer(network_of(TREE["llama"](), scale=1e-3), pad=0, batch_tokens=2_048)
    assert f"; no shared beginnings: {told}" in scorer.describe()
    scorer = Scorer(network_of(TREE["llama"]()), pad=0, batch_tokens=2_048)
    assert not scorer.shares_beginnings(40)
    assert not scorer.shares_beginnings(50)
    assert scorer.describe().startswith("prefix tree (differs by ")
    assert scorer.describe().endswith(f"; texts without shared beginnings: {told}")


def test_a_model_that_keeps_nothing_of_earlier_tokens_closes_the_path() -> None:
    network = network_of(TREE["llama"]())
    usual = network.forward

    def forget(input_ids: Any, **more: Any) -> Any:
        more.pop("use_cache")
        return usual(input_ids, use_cache=False, **more)

    network.forward = forget
    with pytest.raises(passes.GateClosedError, match="gives no keys and values back"):
        passes.remembered(network, torch.tensor([[1, 2, 3]]), 2)
    with pytest.raises(passes.GateClosedError, match="takes no keys and values of earlier tokens"):
        passes.state_argument(forget)
