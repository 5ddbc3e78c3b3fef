"""What the tests of this model share: its questions, the way it is asked, and a short name for the fixture."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_llminvariance import Model, Question, Questionnaire, Template, load_questionnaire, load_questions

QUESTIONS = Path(__file__).parent / "questions"

EXAM = Template("Question: {stem}\n{options}\nAnswer with the letter only.\nAnswer:", name="exam")


@pytest.fixture(scope="session")
def llm(invariance_model: Model) -> Model:
    """The model under test, under the name that this team uses."""
    return invariance_model


@pytest.fixture(scope="session")
def facts() -> tuple[Question, ...]:
    """24 multiple-choice questions on general facts, correct answers spread evenly over the positions."""
    return load_questions(QUESTIONS / "facts.jsonl")


@pytest.fixture(scope="session")
def survey() -> tuple[Question, ...]:
    """12 survey questions that have no correct answer."""
    return load_questions(QUESTIONS / "survey.csv")


@pytest.fixture(scope="session")
def tickets() -> tuple[Question, ...]:
    """16 support tickets to be sent to one of four teams."""
    return load_questions(QUESTIONS / "tickets.jsonl")


@pytest.fixture(scope="session")
def personality() -> Questionnaire:
    """A Likert instrument: 25 items, five traits, keyed both ways."""
    return load_questionnaire(QUESTIONS / "personality.json")
