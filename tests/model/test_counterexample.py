"""On the real model: the counter-example for order is one swap, and the pasted test fails by itself."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from pytest_llminvariance import (
    InvarianceError,
    Model,
    Presentation,
    Question,
    Reformat,
    Relabel,
    Reorder,
    assert_order_symmetric,
    assert_same_answer,
    find_counterexample,
    run,
)
from pytest_llminvariance import strategies as inv
from pytest_llminvariance.report.paste import pasted_test

pytestmark = pytest.mark.real_model


def test_order_is_one_swap_in_a_message_and_in_a_search(demo_model: Model, facts: tuple[Question, ...]) -> None:
    with run(seed=7), pytest.raises(InvarianceError) as caught:
        assert_order_symmetric(demo_model, facts[:12])
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("option order is broken: the answer changed in ")
    assert [line[:11] for line in lines[1:3]] == ["  sure:    ", "  example: "]
    assert lines[2].endswith(":")
    assert " - swap " in lines[2]
    assert all("  ->  " in line for line in lines[3:5])
    assert caught.value.example is not None
    assert caught.value.example.distance == (1, 1)


def test_a_search_over_everything_finds_one_change(demo_model: Model, facts: tuple[Question, ...]) -> None:
    with run():
        found = find_counterexample(demo_model, facts[0], under=Relabel() * Reformat() * Reorder())
        again = find_counterexample(demo_model, facts[0], under=Relabel() * Reformat() * Reorder())
    assert found.example is not None
    assert found.example.distance[0] == 1
    assert (again.example, again.tokens) == (found.example, 0)


def test_inside_given_it_is_one_swap_and_the_pasted_test_fails(demo_model: Model, facts: tuple[Question, ...]) -> None:
    @settings(max_examples=20, database=None, deadline=None, derandomize=True)
    @given(shown=inv.presentations(facts[0]))
    def test(shown: Presentation) -> None:
        assert_same_answer(demo_model, Presentation(facts[0]), shown)

    with run(), pytest.raises(InvarianceError) as caught:
        test()
    error = caught.value
    assert error.example is not None
    assert error.example.distance == (1, 1)
    namespace: dict[str, object] = {}
    exec(pasted_test(error.example, error.readout), namespace)
    with pytest.raises(InvarianceError, match="same answer is broken"):
        namespace["test_counterexample"](demo_model)  # type: ignore[operator]
