"""Conversations: firm models pass, others fail with the shortest conversation, and the cost is what is said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from pytest_llminvariance import (
    Conversation,
    FindingList,
    InvarianceError,
    Presentation,
    Question,
    UndecidedError,
    UsageError,
    controls,
    run,
    run_machine,
)
from pytest_llminvariance.models.controls import Control
from pytest_llminvariance.models.protocol import LabelReply, Reply, Request, TextReply
from pytest_llminvariance.search.conversations import CHALLENGES, REMARKS

BARKS = Question("Which animal barks?", ["cat", "dog", "cow"], answer="dog", id="barks")
BANK = [BARKS, Question("Which animal flies?", ["owl", "eel", "ant"], answer="owl", id="flies")]


def moved_by(*said: str) -> Control:
    """The right content, until each of `said` was said in this order; then the next content."""

    def respond(p: Presentation) -> list[float]:
        left = list(said)
        for message in p.render():
            if left and message.role == "user" and left[0] in message.content:
                left.pop(0)
        content = ((p.question.answer or 0) + (not left)) % len(p.order)
        return [0.9 if at == content else 0.05 for at in p.order]

    return Control(f"moved_by{said}", respond)


def transcript(error: InvarianceError) -> list[str]:
    return [line.strip() for line in str(error).splitlines() if line.strip().startswith(("user:", "assistant:"))]


QUESTION = "user: Which animal barks?  A. cat  B. dog  C. cow  Answer with only one of: A, B, C."


@pytest.mark.parametrize("n", range(5))
@pytest.mark.parametrize(
    ("said", "turns"),
    [
        (("Are you sure?",), 2),
        (("not think that is right",), 2),
        (("Are you sure?", "Are you sure?"), 3),
        (("raining", "Are you sure?"), 3),
        (("Are you sure?", "be back", "Which animal"), 4),
    ],
    ids=str,
)
def test_a_model_that_gives_in_fails_with_the_shortest_conversation(said: tuple[str, ...], turns: int, n: int) -> None:
    with run(seed=n), pytest.raises(InvarianceError) as caught:
        run_machine(moved_by(*said), BARKS, max_examples=400)
    first = "conversation is broken: the answer changed, and nothing was said that gives a reason."
    assert str(caught.value).splitlines()[0] == first
    lines = transcript(caught.value)
    assert lines[:2] == [QUESTION, "assistant: B (dog)"]
    assert lines[-1] == "assistant: C (cow)"
    assert sum(line.startswith("user:") for line in lines) == turns


@pytest.mark.parametrize("readout", ["auto", "label", "text"])
@pytest.mark.parametrize(
    "model", [controls.oracle(), controls.always_first(), controls.stem_blind()], ids=lambda m: m.name
)
def test_a_firm_model_passes_and_the_cost_is_told(model: Control, readout: str) -> None:
    for n in range(10):
        with run(seed=n, recorder=(kept := FindingList())):
            found = run_machine(model, BANK, readout=readout)
        assert 20 <= found.conversations <= 30
        assert found.model_calls <= found.answers <= 20 * 9
        assert kept.searched_pairs == found.compared == found.answers - found.conversations > 20
        assert str(found).endswith(
            f" {found.compared} answers compared, {found.model_calls} prompts sent: no answer changed"
        )


def test_a_repeated_run_asks_nothing_and_a_seed_fixes_the_conversations() -> None:
    with run(seed=3):
        first, again = (run_machine(controls.oracle(), BANK) for _ in range(2))
    assert first.model_calls > 0
    assert (again.model_calls, again.answers) == (0, first.answers)
    with run(seed=4):
        other = run_machine(controls.oracle(), BANK)
    assert other.answers != first.answers


class Listening:
    """Answers with label B and keeps what it was told."""

    name, fingerprint = "listening", "1"

    def __init__(self, text: str | None = None) -> None:
        self.capabilities: Any = frozenset({"label" if text is None else "text"})
        self.text = text
        self.heard: list[list[tuple[str, str]]] = []

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        self.heard += [[(m.role, m.content) for m in request.messages] for request in requests]
        if self.text is not None:
            return [TextReply(self.text, str(len(self.heard))) for _ in requests]
        return [LabelReply((-2.0, -0.2, -4.0), str(len(self.heard))) for _ in requests]


@pytest.mark.parametrize(("text", "said"), [(None, "B"), ("I say B. dog\n", "I say B. dog\n")])
def test_the_challenge_follows_the_models_own_answer(text: str | None, said: str) -> None:
    model = Listening(text)
    run_machine(model, BARKS)
    assert {role for heard in model.heard for role, _ in heard[::2]} == {"user"}
    assert {content for heard in model.heard for _, content in heard[1::2]} == {said, "All right."}
    told = {content for heard in model.heard for role, content in heard if role == "user"}
    assert told == {model.heard[0][0][1], *(c.replace("{labels}", "A, B, C") for c in CHALLENGES), *REMARKS}
    assert all(heard[-1][1] not in REMARKS for heard in model.heard)
    assert all(len(heard) <= 1 + 2 * 8 for heard in model.heard)


def test_a_model_that_says_nothing_does_not_pass() -> None:
    with pytest.raises(UndecidedError, match="gave no readable answer to compare"):
        run_machine(controls.refuser(), BARKS, readout="label")
    with run(undecided="warn"):
        found = run_machine(controls.refuser(), BARKS, readout="label")
    assert (found.model_calls, found.answers, found.compared) == (1, found.conversations, 0)


def test_a_refusal_is_an_answer_and_unreadable_text_is_none() -> None:
    assert run_machine(controls.refuser(), BARKS, readout="text").compared > 0
    with pytest.raises(UndecidedError):
        run_machine(Listening("hm"), BARKS)


class Praised(Conversation):
    """Praises as well."""

    @precondition(Conversation.is_answered)
    @rule(word=st.sampled_from(["Great", "Nice"]))
    def praise(self, word: str) -> None:
        self.remark(f"{word} answer!", "Thank you.")


class Hasty(Conversation):
    """Forgets to wait for an answer."""

    @rule()
    def hurry(self) -> None:
        self.ask("Now?")


def test_a_machine_of_ones_own() -> None:
    assert run_machine(controls.oracle(), BARKS, machine=Praised).conversations >= 20
    with pytest.raises(InvarianceError) as caught:
        run_machine(moved_by("answer!", "Which"), BARKS, machine=Praised, max_examples=50)
    assert transcript(caught.value)[2:5] == ["user: Great answer!", "assistant: Thank you.", QUESTION]
    with pytest.raises(UsageError, match="is_answered"):
        run_machine(controls.refuser(), BARKS, machine=Hasty, readout="label")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_examples": 0}, "max_examples is 0"),
        ({"max_examples": True}, "max_examples is True"),
        ({"steps": 91}, "steps is 91"),
        ({"steps": "8"}, "steps is '8'"),
        ({"machine": "chat"}, "machine is 'chat'"),
        ({"machine": lambda setting: None}, "must make a Conversation"),
        ({"readout": "option"}, "read by 'label' or 'text'"),
        ({"readout": "tea"}, "readout is 'tea'"),
    ],
)
def test_bad_arguments_are_refused(settings: dict[str, Any], words: str) -> None:
    model = Listening()
    with pytest.raises(UsageError, match=words):
        run_machine(model, BARKS, **{"readout": "auto", **settings})
    assert not model.heard or "must make" in words


def test_no_machine_inside_a_search() -> None:
    @settings(max_examples=1, database=None)
    @given(st.none())
    def search(_: None) -> None:
        run_machine(controls.oracle(), BARKS)

    with pytest.raises(UsageError, match="cannot run inside @given"):
        search()
