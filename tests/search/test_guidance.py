"""What Hypothesis is told: the margin leads to flips that chance does not find, and the words say what was tried."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import Phase, given, seed, settings

from pytest_llminvariance import (
    AddDistractor,
    Ask,
    InvarianceError,
    Layout,
    Presentation,
    Question,
    Said,
    Template,
    assert_same_answer,
)
from pytest_llminvariance import strategies as inv
from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.models.controls import Control
from pytest_llminvariance.questions.orders import identity, kendall_distance
from pytest_llminvariance.search.guidance import MARGIN, PARTS, _changed, guide, margin_nats
from pytest_llminvariance.transforms.differences import changed_parts

SEVEN = Question("Which?", [f"option {n}" for n in range(7)], answer=0)
OTHER = Question("When?", [f"option {n}" for n in range(7)], answer=0)


def scored(*weights: float) -> AnswerDistribution:
    return AnswerDistribution.from_label_logprobs(weights, range(len(weights)))


def leaning(threshold: int) -> Control:
    """Answers content 0, less and less surely with every inversion; another content from `threshold` inversions on."""

    def respond(p: Presentation) -> list[float]:
        tilt = kendall_distance(p.order, identity(7)) - threshold + 0.5
        rival = 0.9 / (1 + math.exp(-tilt / 4))
        return [0.9 - rival if content == 0 else rival if content == 1 else 1e-12 for content in p.order]

    return Control("leaning", respond)


def test_margin_is_the_lead_of_the_best_rival() -> None:
    before = scored(-0.1, -3.0, -4.0)
    assert margin_nats(before, before) == pytest.approx(-2.9)
    assert margin_nats(before, scored(-1.0, -2.0, -0.9)) == pytest.approx(0.1)
    assert margin_nats(before, scored(-math.inf, -1.0, -2.0)) == 1000.0
    assert margin_nats(before, scored(-1.0, -math.inf, -math.inf)) == -1000.0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (scored(-1.0, -1.0, -2.0), scored(-1.0, -2.0, -3.0)),
        (scored(-1.0, -2.0, -3.0), scored(-math.inf, -math.inf, -math.inf)),
        (AnswerDistribution.chosen(0, 3), AnswerDistribution.chosen(1, 3)),
        (scored(-1.0, -2.0, -3.0), AnswerDistribution.nothing(3, "missing")),
    ],
)
def test_there_is_no_margin_without_one_top_and_numbers(before: AnswerDistribution, after: AnswerDistribution) -> None:
    assert margin_nats(before, after) is None


def test_changed_parts_are_named() -> None:
    a = Presentation(SEVEN)
    assert _changed(a, a) == []
    b = a.replace(order=(1, 0, 2, 3, 4, 5, 6), labels=tuple("1234567"), turns=[Said(0), Ask()])
    assert _changed(a, b) == ["order", "labels", "turns"]
    edited = next(iter(AddDistractor().edits(SEVEN)))
    assert _changed(a, Presentation(edited, order=b.order)) == ["text", "order"]
    assert _changed(a, Presentation(OTHER)) == ["question"]


def test_the_words_of_a_counterexample_and_of_statistics_count_the_same_parts() -> None:
    """There were two counts: labels that a template brings along were a change to the statistics alone."""
    a = Presentation(SEVEN)
    digits = Template("{stem}\n{options}", labels=tuple("1234567"), layout=Layout("{label}: "))
    assert changed_parts(a, Presentation(SEVEN, template=digits)) == ("template",)
    assert _changed(a, Presentation(SEVEN, template=digits)) == ["template"]
    assert set(PARTS) == {field.name for field in dataclasses.fields(Presentation)} - {"given_labels"}


def test_outside_of_an_example_nothing_happens() -> None:
    guide(Presentation(SEVEN), Presentation(SEVEN), scored(-1.0, -2.0), scored(-1.0, -2.0), 1e-4)


def found(threshold: int, n: int, *, guided: bool) -> bool:
    phases = [Phase.generate, *([Phase.target] if guided else [])]

    @seed(n)
    @settings(max_examples=150, database=None, deadline=None, phases=phases)
    @given(order=inv.option_orders(7))
    def search(order: tuple[int, ...]) -> None:
        assert_same_answer(leaning(threshold), Presentation(SEVEN), Presentation(SEVEN, order=order))

    try:
        search()
    except InvarianceError:
        return True
    return False


def test_near_flips_are_pursued() -> None:
    """Of 5,040 orders of 7 options, 7 (0.14%) have 20 or more of the 21 inversions."""
    seeds = range(8)
    with_target = sum(found(20, n, guided=True) for n in seeds)
    without = sum(found(20, n, guided=False) for n in seeds)
    print(with_target, without)
    assert with_target >= without + 3
    assert with_target >= 5


def test_a_model_that_never_flips_is_never_said_to() -> None:
    assert not any(found(100, n, guided=True) for n in range(5))


def test_the_largest_margin_of_an_example_counts_and_many_pairs_are_no_error() -> None:
    scores: list[float] = []

    @settings(max_examples=10, database=None, deadline=None)
    @given(order=inv.option_orders(7))
    def search(order: tuple[int, ...]) -> None:
        from hypothesis.control import current_build_context

        for question in (SEVEN, OTHER, SEVEN):
            for shown in (Presentation(question, order=order), Presentation(question)):
                assert_same_answer(leaning(100), Presentation(question), shown)
        scores.append(current_build_context().data.target_observations[MARGIN] - expected(order))

    def expected(order: tuple[int, ...]) -> float:
        weights = [leaning(100).respond(Presentation(SEVEN, order=o)) for o in (order, identity(7))]
        return max(
            math.log(w[o.index(1)]) - math.log(w[o.index(0)])
            for w, o in zip(weights, (order, identity(7)), strict=True)
        )

    search()
    assert len(scores) >= 10
    assert scores == pytest.approx([0.0] * len(scores))
