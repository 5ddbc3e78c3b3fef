"""Under `--invariance-plan` nothing is asked: every public function that takes a model says what it would cost, and stops."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import pytest

import pytest_llminvariance as package
from pytest_llminvariance import Item, Question, Questionnaire, Reorder, Restate, Scale, Template, controls
from pytest_llminvariance.checks.run import Run, surrounded
from pytest_llminvariance.models.protocol import Capability, Reply, Request
from pytest_llminvariance.plugin.fixture import Checks
from pytest_llminvariance.questions.presentation import Presentation

QUESTIONS = [Question(f"Which is {n}?", [f"{w}{n}" for w in "abc"], id=f"q{n}", answer=n % 3) for n in range(9)]
OTHERS = [Question(f"Which was {n}?", [f"{w}{n}" for w in "abc"], answer=n % 3) for n in range(2)]
ITEMS = Questionnaire(
    tuple(Item(f"I like {n}.", trait="liking", reverse_keyed=n % 2 == 1) for n in range(4)),
    Scale(("no", "maybe", "yes"), scores=(1, 2, 3)),
)
INSTANCES = [
    Question(f"How much is {n} plus 1?", [str(n + 1), str(n)], answer=0, attributes={"template": f"sum {n // 2}"})
    for n in range(8)
]
PIECES = [Question(q.stem, q.options, attributes={"chunks": ["one", "two", "three"]}, answer=q.answer) for q in OTHERS]
WAYS = [Template("{stem}\n{options}\n{labels}", name=name) for name in "ab"]
PAIR = (Presentation(QUESTIONS[0]), Presentation(QUESTIONS[0], order=(2, 1, 0)))


class Planned(BaseException):
    """Ends a test, as pytest's skip does."""


class Silent:
    """A model that was loaded without weights: to ask it is an error."""

    capabilities: frozenset[Capability] = frozenset({"label", "option", "text"})

    def __init__(self, name: str = "silent") -> None:
        self.name = self.fingerprint = name

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        raise AssertionError(f"{len(requests)} prompts were asked")


MODEL, OTHER = Silent(), Silent("other")
ASKING: dict[str, Callable[[Any], object]] = {
    "assert_backends_agree": lambda p: p.assert_backends_agree(MODEL, OTHER, QUESTIONS),
    "assert_batch_invariant": lambda p: p.assert_batch_invariant(MODEL, QUESTIONS),
    "assert_configurations_agree": lambda p: p.assert_configurations_agree(MODEL, QUESTIONS),
    "assert_forms_agree": lambda p: p.assert_forms_agree(MODEL, QUESTIONS, under=Reorder()),
    "assert_instrument_stable": lambda p: p.assert_instrument_stable(MODEL, ITEMS),
    "assert_complementary": lambda p: p.assert_complementary(MODEL, QUESTIONS),
    "assert_distractors_ignored": lambda p: p.assert_distractors_ignored(MODEL, QUESTIONS),
    "assert_embedding_order_insignificant": lambda p: p.assert_embedding_order_insignificant(
        lambda texts: [[float(len(text))] for text in texts], ["one", "two"]
    ),
    "assert_evidence_order_stable": lambda p: p.assert_evidence_order_stable(MODEL, PIECES),
    "assert_firm": lambda p: p.assert_firm(MODEL, QUESTIONS),
    "assert_group_swap_invariant": lambda p: p.assert_group_swap_invariant(
        MODEL, [Question("Is he kind?", ["a", "b"])], groups=["he", "she"]
    ),
    "assert_instances_equal": lambda p: p.assert_instances_equal(MODEL, INSTANCES),
    "assert_invariant": lambda p: p.assert_invariant(MODEL, QUESTIONS, under=Reorder()),
    "assert_judge_symmetric": lambda p: p.assert_judge_symmetric(MODEL, [("Why?", "It is so.", "I guess.")]),
    "assert_languages_agree": lambda p: p.assert_languages_agree(
        MODEL, OTHERS, translations={q.stem: [Question(f"{q.stem}!", q.options, answer=q.answer)] for q in OTHERS}
    ),
    "assert_no_negative_flips": lambda p: p.assert_no_negative_flips(MODEL, QUESTIONS, baseline=OTHER),
    "assert_no_position_bias": lambda p: p.assert_no_position_bias(MODEL, QUESTIONS),
    "assert_open_and_closed_agree": lambda p: p.assert_open_and_closed_agree(MODEL, QUESTIONS),
    "assert_order_symmetric": lambda p: p.assert_order_symmetric(MODEL, QUESTIONS),
    "assert_output_formats_agree": lambda p: p.assert_output_formats_agree(MODEL, QUESTIONS),
    "assert_paraphrase_consistent": lambda p: p.assert_paraphrase_consistent(
        MODEL, QUESTIONS, paraphrases=Restate({q.stem: [f"{q.stem} Say it."] for q in QUESTIONS})
    ),
    "assert_prompt_insensitive": lambda p: p.assert_prompt_insensitive(MODEL, QUESTIONS, templates=WAYS),
    "assert_readouts_agree": lambda p: p.assert_readouts_agree(MODEL, QUESTIONS),
    "assert_refusals_stable": lambda p: p.assert_refusals_stable(MODEL, ["How are you?"]),
    "assert_same_answer": lambda p: p.assert_same_answer(MODEL, *PAIR),
    "assert_tiers_ignored": lambda p: p.assert_tiers_ignored(MODEL, QUESTIONS),
    "assert_tracks": lambda p: p.assert_tracks(MODEL, QUESTIONS),
    "check": lambda p: p.check("option_order", MODEL, QUESTIONS, tolerance=0.05),
    "compare_frames": lambda p: p.compare_frames(MODEL, QUESTIONS, estimate_on=OTHERS),
    "decompose": lambda p: p.decompose(MODEL, QUESTIONS, under=Reorder()),
    "find_counterexample": lambda p: p.find_counterexample(MODEL, QUESTIONS[0]),
    "instrument": lambda p: p.instrument([MODEL, OTHER], ITEMS),
    "multiverse": lambda p: p.multiverse(MODEL, QUESTIONS),
    "noise_floor": lambda p: p.noise_floor(MODEL, QUESTIONS),
    "run_machine": lambda p: p.run_machine(MODEL, QUESTIONS),
}
ASKS_LATER = {"debiased", "repeated", "symmetrized", "wrap_model", "load_model"}


def planned(act: Callable[[], object]) -> dict[str, Any]:
    """Return what is announced under a plan."""
    told: list[dict[str, Any]] = []

    def stop(found: dict[str, Any]) -> None:
        told.append(found)
        raise Planned

    with surrounded(Run(on_plan=stop)), pytest.raises(Planned):
        act()
    (found,) = told
    return found


@pytest.mark.parametrize("name", ASKING)
def test_nothing_is_asked(name: str) -> None:
    found = planned(lambda: ASKING[name](package))
    assert found["title"]
    assert found["questions"] >= 1
    assert found["presentations"] >= 2
    assert found["sent_tokens"] >= found["presentations"]


def test_every_public_name_that_takes_a_model_is_here() -> None:
    def takes_a_model(name: str) -> bool:
        value = getattr(package, name)
        if not inspect.isfunction(value):
            return False
        return bool({"model", "models", "a", "embed"} & set(inspect.signature(value).parameters))

    asking = {name for name in package.__all__ if name.startswith("assert_") or takes_a_model(name)}
    assert asking - ASKS_LATER == ASKING.keys()
    bound = {name for name, _ in inspect.getmembers(Checks, inspect.isfunction) if not name.startswith("_")}
    assert bound <= ASKING.keys()


@pytest.mark.parametrize(
    ("name", "prompts"),
    [
        ("decompose", 9 * 6),
        ("multiverse", 9 * 3 * 2),
        ("compare_frames", 9 * 6 + 2 * 3),
        ("noise_floor", 3 * 9 * 6),
        ("instrument", 2 * 3 * 2 * 4),
        ("assert_no_negative_flips", 9 * 2),
        ("assert_backends_agree", 2 * (9 * 4 + 3 * 8)),
        ("find_counterexample", 6),
        ("run_machine", 9),
    ],
)
def test_what_is_counted_is_what_would_be_asked(name: str, prompts: int) -> None:
    found = planned(lambda: ASKING[name](package))
    assert found["presentations"] == pytest.approx(prompts, abs=0)
    assert found["trouble"] is None


def test_without_a_plan_they_ask() -> None:
    for name, act in ASKING.items():
        if name != "assert_embedding_order_insignificant":
            with pytest.raises(AssertionError, match="were asked"):
                act(package)


def test_a_recorded_baseline_costs_nothing(tmp_path: Any) -> None:
    act = lambda: package.assert_no_negative_flips(MODEL, QUESTIONS, baseline=tmp_path)  # noqa: E731
    assert planned(act)["presentations"] == len(QUESTIONS)


def test_controls_are_models_here_too() -> None:
    assert planned(lambda: package.decompose(controls.oracle(), QUESTIONS, under=Reorder()))["questions"] == 9
