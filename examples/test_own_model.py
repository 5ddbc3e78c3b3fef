"""A model of your own in a fixture: load it as you always do, and return it with its tokenizer.

    OWN_MODEL=./my-model pytest examples/test_own_model.py

In a repository of your own the fixture stands in `conftest.py`. A function of messages is checked without any fixture.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

from pytest_llminvariance import Question, assert_order_symmetric, check

TEAMS = ["Billing", "Shipping", "Support"]
TICKETS = [
    Question("Which team handles: 'I was charged twice'?", TEAMS, answer="Billing"),
    Question("Which team handles: 'my parcel is lost'?", TEAMS, answer="Shipping"),
    Question("Which team handles: 'the app does not start'?", TEAMS, answer="Support"),
]


@pytest.fixture(scope="module", params=[os.environ.get("OWN_MODEL", "./my-model")])
def invariance_model(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """The models under test, one after the other; memory comes back between them."""
    return AutoModelForCausalLM.from_pretrained(request.param), AutoTokenizer.from_pretrained(request.param)


def test_order_of_teams_is_measured_for_each_model(invariance_model: tuple[Any, Any]) -> None:
    finding = check("option_order", invariance_model, TICKETS, tolerance=0.05)  # assert_order_symmetric would raise
    assert finding.questions_asked == len(TICKETS)


def service(messages: list[dict[str, str]], options: list[str]) -> dict[str, float]:
    """Stand for a service of yours: it looks at words, so no order of the teams can change what it says.

    It is asked other questions too, to see that it reads them: those go to support.
    """
    words = {"charged": "Billing", "parcel": "Shipping", "app": "Support"}
    team = next((words[word] for word in words if word in messages[-1]["content"]), "Support")
    return {option: 0.9 if option == team else 0.05 for option in options}


def test_order_of_teams_does_not_matter_to_the_service() -> None:
    assert_order_symmetric(service, TICKETS)
