"""Memory that runs out costs time and nothing else: passes are halved, and no path is closed for good."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path as Folder
from typing import Any

import pytest
import torch

from pytest_llminvariance import ModelError, Presentation, Question, load_model
from pytest_llminvariance.models.local import generation, scoring
from pytest_llminvariance.models.local.gates import prove_windows
from pytest_llminvariance.models.local.passes import GateClosedError, PaddedPath, PrefixPath, TreePath
from pytest_llminvariance.models.local.scoring import Scorer, TooLargeError
from pytest_llminvariance.models.local.tree import Reading
from pytest_llminvariance.models.protocol import OptionRequest, TextRequest
from tests.model.test_tree_models import (
    LONG_WINDOW,
    PROMPTS,
    largest_difference,
    long_window,
    network_of,
    read_everything,
)
from tests.model.tiny_configs import REFUSED, TREE

FULL = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("CUDA error: out of memory"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes"),
    MemoryError(),
]
every_kind = pytest.mark.parametrize("error", FULL, ids=lambda error: f"{type(error).__name__}: {error}"[:30])
two_kinds = pytest.mark.parametrize("error", [FULL[0], FULL[-1]], ids=lambda error: type(error).__name__)


def scorer_of(name: str = "llama", batch_tokens: int = 2_048) -> Scorer:
    return Scorer(network_of({**TREE, **REFUSED}[name]()), pad=0, batch_tokens=batch_tokens)


class Full:
    """Stands before a function, which runs out of memory while `when` holds; counts."""

    def __init__(self, usual: Any, error: Exception, when: Callable[[int], bool]) -> None:
        self.usual, self.error, self.when, self.times = usual, error, when, 0

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return lambda *args, **more: self(owner, *args, **more)

    def __call__(self, *args: Any, **more: Any) -> Any:
        self.times += 1
        assert self.times < 500, "it never ends"
        if self.when(self.times):
            raise self.error
        return self.usual(*args, **more)


@every_kind
def test_a_probe_that_runs_out_of_memory_puts_a_path_off_and_does_not_close_it(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TreePath, "start_tree", Full(TreePath.start_tree, error, lambda n: n == 1))
    scorer, fresh = scorer_of(), network_of(TREE["llama"]())
    assert largest_difference(scorer, fresh, PROMPTS[:8]) <= 1e-4
    assert scorer.path.name == "shared beginnings"
    assert scorer.describe().endswith("no prefix tree for now: memory ran out while it was proven")
    assert largest_difference(scorer, fresh, PROMPTS[:8]) <= 1e-4
    assert scorer.path.name == "prefix tree"
    assert "memory" not in scorer.describe()


@two_kinds
@pytest.mark.parametrize("name", ["llama", "bloom (alibi)"])
def test_a_pass_that_runs_out_of_memory_is_halved_on_every_path(
    error: Exception, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer, fresh = scorer_of(name), network_of({**TREE, **REFUSED}[name]())
    path = scorer.path
    monkeypatch.setattr(type(path), "start", Full(type(path).start, error, lambda n: n in (1, 2)))
    assert largest_difference(scorer, fresh, PROMPTS) <= 1e-4
    assert scorer.path is path
    assert scorer.batch_tokens < 2_048


@two_kinds
def test_passes_are_whole_again_when_others_give_memory_back(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """What ran out was the last and smallest pass, and half of that would be small for ever."""
    scorer, fresh = scorer_of(), network_of(TREE["llama"]())
    usual, sizes = TreePath.start, list[int]()
    assert scorer.path.name == "prefix tree"
    for n_failing in (1, 0, 0):
        full = Full(usual, error, n_failing.__ge__)
        monkeypatch.setattr(TreePath, "start", full)
        assert largest_difference(scorer, fresh, PROMPTS[:2]) <= 1e-4
        sizes.append(scorer.batch_tokens)
    assert sizes[0] == sizes[1] < 100
    assert sizes[2] == 2_048


def test_where_memory_stays_short_whole_passes_are_tried_ever_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer, usual, tried, done = scorer_of(), TreePath.start, list[int](), list[int]()
    assert scorer.path.name == "prefix tree"

    def start(path: TreePath, readings: Sequence[Reading]) -> Any:
        if len(readings) > 4:
            tried.append(len(done))
            raise FULL[0]
        return usual(path, readings)

    monkeypatch.setattr(TreePath, "start", start)
    apart = [tuple(5 + (7 * line + 11 * place) % 90 for place in range(line + 10)) for line in range(8)]
    while len(done) < 32:
        done.append(sum(map(len, scorer.score(read_everything(apart)))))
    assert set(done) == {8}
    assert sorted(set(tried)) == [0, 2, 6, 14, 30]


@two_kinds
def test_a_window_whose_proof_runs_out_of_memory_is_proven_later(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = Scorer(network_of(long_window()), pad=0, batch_tokens=2_048)
    fresh, long = network_of(long_window()), [p + p for p in PROMPTS[:4]]
    assert scorer.path.name == "prefix tree"
    monkeypatch.setattr(scoring, "prove_windows", Full(prove_windows, error, lambda n: n <= 2))
    assert largest_difference(scorer, fresh, long) <= 1e-4
    assert scorer.path.name == "padded batches"  # the shared beginning's proof ran out of memory too
    assert not scorer.closed
    assert largest_difference(scorer, fresh, long) <= 1e-4
    assert scorer.path.name == "prefix tree"
    assert scorer._proven["prefix tree"] > LONG_WINDOW


@two_kinds
def test_texts_share_beginnings_again_when_there_is_memory(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = scorer_of()
    monkeypatch.setattr(scoring, "prove_generation", Full(generation.prove_generation, error, lambda n: n == 1))
    assert not scorer.shares_beginnings(40)
    assert not scorer.closed
    assert scorer.shares_beginnings(40)


def test_a_fault_that_is_no_memory_closes_a_path_for_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TreePath, "start_tree", Full(TreePath.start_tree, ValueError("odd"), lambda n: n == 1))
    scorer, fresh = scorer_of(), network_of(TREE["llama"]())
    for _ in range(2):
        assert largest_difference(scorer, fresh, PROMPTS[:8]) <= 1e-4
        assert scorer.path.name == "shared beginnings"
    assert scorer.closed == ["no prefix tree: ValueError: odd"]


@two_kinds
def test_what_only_the_plain_way_has_memory_for_is_sent_so(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer, fresh = scorer_of(), network_of(TREE["llama"]())
    assert scorer.path.name == "prefix tree"
    monkeypatch.setattr(TreePath, "start", Full(TreePath.start, error, lambda n: True))
    assert largest_difference(scorer, fresh, PROMPTS[:2]) <= 1e-4
    assert scorer.path.name == "prefix tree"


@pytest.mark.parametrize("name", ["llama", "bloom (alibi)"])
def test_equal_sequences_that_are_too_large_are_told_and_asked_no_more(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They cannot be cut apart, so halving a pass would go on for ever."""
    scorer = scorer_of(name)
    assert scorer.path
    large = tuple(range(5, 290))

    def start(self: Any, readings: Sequence[Reading], usual: Any) -> Any:
        if any(len(item.tokens) > 200 for item in readings):
            raise FULL[0]
        return usual(self, readings)

    for path in (TreePath, PrefixPath, PaddedPath):
        usual = path.start
        limited = Full(lambda self, readings, usual=usual: start(self, readings, usual), FULL[0], lambda n: False)
        monkeypatch.setattr(path, "start", limited)
    prompts = [PROMPTS[0], large, large, PROMPTS[1], large[:250], large]
    found: list[int] = []

    def score() -> None:
        for batch in scorer.score(read_everything(prompts)):
            found.extend(item.index for item in batch)

    with pytest.raises(TooLargeError) as caught:
        score()
    assert caught.value.args == (1,)
    assert sorted(found) == [0, 3]


def test_options_of_one_token_whose_prompt_is_too_large_are_told(
    tiny_folder: Callable[[Any], Folder], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(tiny_folder(TREE["llama"]()), device="cpu", dtype="float32")
    monkeypatch.setattr(PaddedPath, "start", Full(PaddedPath.start, FULL[0], lambda n: True))
    monkeypatch.setattr(TreePath, "start", Full(TreePath.start, FULL[0], lambda n: True))
    with pytest.raises(ModelError, match="memory on cpu does not suffice for this one prompt"):
        model.answer([OptionRequest(Presentation(Question("Which?", ["x", "y", "z"])))])


@two_kinds
def test_texts_are_halved(
    error: Exception, tiny_folder: Callable[[Any], Folder], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(tiny_folder(TREE["llama"]()), device="cpu", dtype="float32")
    shown = [Presentation(Question("Which?", ["red", "blue"]), order=order) for order in ((0, 1), (1, 0))]
    asked = [TextRequest(each, max_new_tokens=4) for each in shown]
    expected = model.answer(asked)
    usual = generation.continued
    monkeypatch.setattr(generation, "continued", Full(usual, error, lambda n: n == 1))
    assert model.answer(asked) == expected


@pytest.mark.parametrize("ahead", [1, 2])
def test_passes_prepared_ahead_bring_the_same(ahead: int) -> None:
    found = []
    for now in (0, ahead):
        scorer = scorer_of(batch_tokens=40)
        scorer.ahead = now
        found.append([item for batch in scorer.score(read_everything(PROMPTS)) for item in batch])
        assert scorer.usage.passes > 3
    assert found[0] == found[1]


@pytest.mark.parametrize("error", [*FULL[:1], GateClosedError("no more")])
def test_a_pass_under_way_survives_the_fault_of_the_next(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer, fresh = scorer_of(batch_tokens=300), network_of(TREE["llama"]())
    scorer.ahead = 1
    assert scorer.path.name == "prefix tree"
    full = Full(TreePath.start, error, lambda n: n == 2)
    monkeypatch.setattr(TreePath, "start", full)
    batches = list(scorer.score(read_everything(PROMPTS)))
    assert sorted(item.index for batch in batches for item in batch) == list(range(len(PROMPTS)))
    assert largest_difference(scorer, fresh, PROMPTS[:6]) <= 1e-4
