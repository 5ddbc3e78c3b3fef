"""Survey questions without correct answers: opinions must not depend on the print."""

from __future__ import annotations

from conftest import EXAM

from pytest_llminvariance import Model, Question, Relabel, Template, assert_invariant, assert_prompt_insensitive

WORDINGS = (
    EXAM,
    Template("{stem}\n\n{options}\n\nAnswer with only one of: {labels}.\nAnswer:", name="only one of"),
    Template("Please choose one option.\n{stem}\n{options}\nYour letter:", name="please choose"),
)


def test_wording_of_the_instruction_does_not_matter(llm: Model, survey: tuple[Question, ...]) -> None:
    assert_prompt_insensitive(llm, survey, templates=WORDINGS, tolerance=0.1)


def test_other_letters_do_not_matter(llm: Model, survey: tuple[Question, ...]) -> None:
    assert_invariant(llm, survey, under=Relabel(("ABCD", "PQRS", "1234")), template=EXAM, tolerance=0.1)
