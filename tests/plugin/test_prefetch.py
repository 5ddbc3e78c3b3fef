"""Inside @given a small orbit is asked in one pass, a product costs what its examples name, a repeat nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

MODEL = """
    from pathlib import Path
    from pytest_llminvariance.models.controls import control

    class Counting:
        name, fingerprint = "counting", "1"
        capabilities = frozenset({"label"})

        def __init__(self):
            self.inner = control("oracle")

        def answer(self, requests):
            with Path("asked.txt").open("a") as log:
                log.write(f"{len(requests)}\\n")
            return self.inner.answer(requests)
"""
HEAD = """
    from hypothesis import given, settings, strategies as st
    from pytest_llminvariance import Presentation, Question, assert_same_answer, strategies as inv

    Q = Question("Which one?", ["red", "blue", "green", "black"], answer=1)
    FIVE = Question("Which one?", ["red", "blue", "green", "black", "white"], answer=1)
"""


def passes(pytester: pytest.Pytester, body: str) -> list[int]:
    """Run a test and return how many prompts each call of the model got."""
    pytester.makepyfile(counting_model=MODEL, test_it=HEAD + body)
    result = pytester.runpytest("--invariance-model=python:counting_model:Counting", "-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    return [int(line) for line in Path(pytester.path / "asked.txt").read_text().split()]


@pytest.mark.parametrize(
    "strategy",
    ["st.permutations(range(4))", "inv.option_orders(4)", "inv.option_orders(Q)"],
)
def test_all_orders_of_four_options_are_one_pass(pytester: pytest.Pytester, strategy: str) -> None:
    body = f"""
    @given(order={strategy})
    def test_orders(invariance_model, order):
        assert_same_answer(invariance_model, Presentation(Q), Presentation(Q, order=tuple(order)))
    """
    assert passes(pytester, body) == [24]


def test_presentations_over_orders_are_one_pass_and_a_repeat_asks_nothing(pytester: pytest.Pytester) -> None:
    body = """
    @given(shown=inv.presentations(Q))
    def search(invariance_model, shown):
        assert_same_answer(invariance_model, Presentation(Q), shown)

    def test_twice(invariance_model):
        search(invariance_model)
        search(invariance_model)
    """
    assert passes(pytester, body) == [24]


def test_a_product_costs_at_most_one_presentation_an_example(pytester: pytest.Pytester) -> None:
    body = """
    @settings(max_examples=60)
    @given(shown=inv.presentations(Q, labels=inv.labels(Q), layouts=inv.layouts()))
    def test_product(invariance_model, shown):
        assert_same_answer(invariance_model, Presentation(Q), shown)
    """
    asked = passes(pytester, body)
    assert sum(asked) <= 61  # the question as written, and one for each example
    assert max(asked) <= 2


def test_a_product_with_texts_costs_at_most_one_presentation_an_example_and_a_repeat_nothing(
    pytester: pytest.Pytester,
) -> None:
    body = """
    from pytest_llminvariance import AddDistractor, AddOpinion

    WORDS = inv.paraphrases(Q, ["Which of them?"])

    @settings(max_examples=60, derandomize=True)
    @given(shown=inv.presentations(Q, layouts=inv.layouts(), under=[AddDistractor(), AddOpinion()]))
    def search(invariance_model, shown):
        assert_same_answer(invariance_model, Presentation(Q), shown)

    @settings(max_examples=10, derandomize=True)
    @given(question=WORDS, order=inv.option_orders(Q))
    def search_words(invariance_model, question, order):
        assert_same_answer(invariance_model, Presentation(Q), Presentation(question, order=order))

    def test_product(invariance_model):
        search(invariance_model)
        search_words(invariance_model)
        with open("asked.txt", "a") as log:
            log.write("0\\n")
        search(invariance_model)
        search_words(invariance_model)
    """
    asked = passes(pytester, body)
    end = asked.index(0)
    assert 30 < sum(asked[:end]) <= 61 + 10
    assert asked[end:] == [0]


@pytest.mark.parametrize(
    "drawn",
    ["inv.questions([Q, FIVE])", "inv.instances('{n}?', options=list('abcd'), answer=lambda n: 'a', n=range(20))"],
)
def test_questions_that_are_drawn_are_not_asked_in_all_orders(drawn: str, pytester: pytest.Pytester) -> None:
    body = f"""
    @settings(max_examples=20)
    @given(question={drawn}, data=st.data())
    def test_questions(invariance_model, question, data):
        order = data.draw(inv.option_orders(question))
        assert_same_answer(invariance_model, Presentation(question), Presentation(question, order=order))
    """
    assert sum(passes(pytester, body)) <= 40


def test_a_large_orbit_is_not_asked_whole(pytester: pytest.Pytester) -> None:
    body = """
    @settings(max_examples=30)
    @given(shown=inv.presentations(FIVE))
    def test_orders(invariance_model, shown):
        assert_same_answer(invariance_model, Presentation(FIVE), shown)
    """
    assert sum(passes(pytester, body)) <= 31


def test_orders_drawn_in_one_test_say_nothing_of_the_next(pytester: pytest.Pytester) -> None:
    body = """
    @settings(max_examples=20)
    @given(labels=inv.labels(Q))
    def search_labels(invariance_model, labels):
        assert_same_answer(invariance_model, Presentation(Q), Presentation(Q, labels=labels))

    @given(order=inv.option_orders(Q))
    def search_orders(invariance_model, order):
        assert_same_answer(invariance_model, Presentation(Q), Presentation(Q, order=order))

    def test_both(invariance_model):
        search_labels(invariance_model)
        search_orders(invariance_model)
    """
    asked = passes(pytester, body)
    assert asked[-1] == 23  # the question as written is known


def test_outside_of_a_search_only_the_pair_is_asked(pytester: pytest.Pytester) -> None:
    body = """
    def test_pair(invariance_model):
        assert_same_answer(invariance_model, Presentation(Q), Presentation(Q, order=(1, 0, 2, 3)))
    """
    assert passes(pytester, body) == [2]
