"""Conversations on a real model: every turn reaches it, and its own answer is what it is doubted about."""

from __future__ import annotations

import pytest

from pytest_llminvariance import Ask, Presentation, Question, Said, run, run_machine
from pytest_llminvariance.models.engine import ask
from pytest_llminvariance.models.local.transformers import TransformersModel
from pytest_llminvariance.models.protocol import request_for

BARKS = Question("Which animal barks?", ["Cat", "Dog", "Cow", "Fish"], answer="Dog", id="barks")
SHOTS = [
    Question("Which animal flies?", ["Owl", "Eel"], answer="Owl"),
    Question("Which animal swims?", ["Owl", "Eel"], answer="Eel"),
]

pytestmark = pytest.mark.real_model


def test_turns_and_examples_move_the_numbers_of_a_real_model(demo_model: TransformersModel) -> None:
    shown = [
        Presentation(BARKS),
        Presentation(BARKS, turns=[Said(1), Ask("Are you sure? Answer with only one of: {labels}.")]),
        Presentation(BARKS, turns=[Said(2), Ask("Are you sure? Answer with only one of: {labels}.")]),
        Presentation(BARKS, shots=SHOTS),
        Presentation(BARKS, shots=SHOTS[::-1]),
    ]
    replies = ask(demo_model, [request_for(one, "label") for one in shown], {}).replies
    assert len({reply.sent_sha256 for reply in replies}) == len(shown)
    assert len({reply.logprobs_nats for reply in replies}) == len(shown)  # type: ignore[union-attr]


def test_a_default_machine_costs_what_it_says(demo_model: TransformersModel) -> None:
    before = demo_model.usage.asked_tokens
    with run() as session:
        found = run_machine(demo_model, BARKS, max_examples=4, steps=3)
        assert found.model_calls == len(session.memo or ()) > 1
    assert found.model_calls <= found.answers <= found.conversations * (3 + 1)
    assert found.compared == found.answers - found.conversations
    assert demo_model.usage.asked_tokens > before
