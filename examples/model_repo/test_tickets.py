"""A ticket router: the team must not depend on the order in which teams are listed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_llminvariance import Model, Presentation, Question, Template, assert_order_symmetric, assert_same_answer
from pytest_llminvariance import strategies as inv

ROUTER = Template("Ticket: {context}Question: {stem}\n{options}\nAnswer with the letter only.\nAnswer:", name="router")


def test_order_of_teams_does_not_matter(llm: Model, tickets: tuple[Question, ...]) -> None:
    assert_order_symmetric(llm, tickets, template=ROUTER, orders="balanced")


@pytest.fixture(scope="session")
def ticket(tickets: tuple[Question, ...]) -> Question:
    return tickets[0]


@given(data=st.data())
@settings(max_examples=30)
def test_no_presentation_of_a_ticket_changes_the_team(llm: Model, ticket: Question, data: st.DataObject) -> None:
    shown = data.draw(inv.presentations(ticket, templates=[ROUTER], layouts=inv.layouts()))
    assert_same_answer(llm, Presentation(ticket, template=ROUTER), shown)
