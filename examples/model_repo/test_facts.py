"""Multiple choice on general facts: the order of options must not decide."""

from __future__ import annotations

from conftest import EXAM

from pytest_llminvariance import (
    Layout,
    Model,
    Question,
    Template,
    assert_order_symmetric,
    assert_readouts_agree,
    assert_tracks,
    symmetrized,
)

IN_A_WORD = Template(
    "Answer in one word. {stem} ({options})",
    name="in a word",
    layout=Layout(enumerator="", separator=", "),
)

EDITS = [
    (
        Question("Which animal barks?", ["Dog", "Cat", "Duck", "Cow"], answer="Dog"),
        Question("Which animal meows?", ["Dog", "Cat", "Duck", "Cow"], answer="Cat"),
    ),
    (
        Question("What is the opposite of hot?", ["Cold", "Dry", "Slow", "Dark"], answer="Cold"),
        Question("What is the opposite of fast?", ["Cold", "Dry", "Slow", "Dark"], answer="Slow"),
    ),
    (
        Question("What colour is snow?", ["Red", "White", "Green", "Black"], answer="White"),
        Question("What colour is coal?", ["Red", "White", "Green", "Black"], answer="Black"),
    ),
    (
        Question("What is the capital of Italy?", ["Madrid", "Rome", "Paris", "Berlin"], answer="Rome"),
        Question("What is the capital of Spain?", ["Madrid", "Rome", "Paris", "Berlin"], answer="Madrid"),
    ),
]


def test_order_of_options_does_not_change_the_letter_chosen(llm: Model, facts: tuple[Question, ...]) -> None:
    assert_order_symmetric(llm, facts, template=EXAM)


def test_order_of_options_does_not_change_the_word_said(llm: Model, facts: tuple[Question, ...]) -> None:
    assert_order_symmetric(llm, facts, template=IN_A_WORD, readout="option_sum", orders="cyclic")


def test_averaging_over_rotations_repairs_it(llm: Model, facts: tuple[Question, ...]) -> None:
    averaged = symmetrized(llm, frame="cyclic")
    finding = assert_order_symmetric(averaged, facts, template=IN_A_WORD, readout="option_sum", orders="cyclic")
    assert finding.effect.low == 0


def test_what_it_writes_is_what_its_first_token_says(llm: Model, facts: tuple[Question, ...]) -> None:
    assert_readouts_agree(llm, facts[:12], readouts=("label", "text"), template=EXAM, tolerance=0.1)


def test_another_question_gets_another_answer(llm: Model) -> None:
    assert_tracks(llm, EDITS, template=EXAM, tolerance=0.25)
