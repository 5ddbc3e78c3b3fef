"""What stands around a question: examples and turns keep their meaning under every order, labelling and layout."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance import (
    Ask,
    Layout,
    Message,
    Presentation,
    Question,
    Said,
    Template,
    UsageError,
    assert_same_answer,
    controls,
    symmetrized,
)
from pytest_llminvariance.measures.reading import read_reply
from pytest_llminvariance.models.cache_rows import row_key
from pytest_llminvariance.models.controls import Control
from pytest_llminvariance.models.engine import ask
from pytest_llminvariance.models.local.prompts import plain_text
from pytest_llminvariance.models.protocol import LabelRequest, MissingReply, request_for
from pytest_llminvariance.models.replay import AnswerWriter, load_replay
from tests.questions.bad_input import of

WHO = Question("Who?", ["Ann", "Bob", "Cy"], answer="Bob", id="who")
SHOTS = [Question("What barks?", ["cat", "dog"], answer="dog"), Question("What flies?", ["owl", "eel"], answer="owl")]
TALK = (Said(1), Message("user", "Thanks."), Message("assistant", "All right."), Ask("Sure? One of: {labels}."))


def texts(shown: Presentation) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in shown.render()]


def test_examples_come_first_and_turns_last_in_the_order_given() -> None:
    shown = Presentation(WHO, template=Template("{stem} {options}", system="Be brief."), shots=SHOTS, turns=TALK)
    assert texts(shown) == [
        ("system", "Be brief."),
        ("user", "What barks? A. cat\nB. dog"),
        ("assistant", "B"),
        ("user", "What flies? A. owl\nB. eel"),
        ("assistant", "A"),
        ("user", "Who? A. Ann\nB. Bob\nC. Cy"),
        ("assistant", "B"),
        ("user", "Thanks."),
        ("assistant", "All right."),
        ("user", "Sure? One of: A, B, C."),
    ]


def test_without_them_nothing_is_added() -> None:
    assert Presentation(WHO).render() == (Message("user", texts(Presentation(WHO))[0][1]),)
    assert "shots" not in repr(Presentation(WHO))
    assert Presentation(WHO, shots=SHOTS) != Presentation(WHO) != Presentation(WHO, turns=TALK)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("labels", [None, ("1", "2", "3"), ("x", "y", "z")])
def test_what_was_said_names_the_same_content_however_it_is_shown(order: Any, labels: Any) -> None:
    shown = Presentation(WHO, turns=TALK).replace(order=order, labels=labels or ("A", "B", "C"))
    said, last = texts(shown)[1], texts(shown)[-1]
    assert said == ("assistant", shown.label_of("Bob"))
    assert last == ("user", f"Sure? One of: {', '.join(shown.labels)}.")


def test_examples_are_shown_as_the_question_is() -> None:
    shown = Presentation(WHO, shots=SHOTS).replace(labels=("p", "q", "r"), layout=Layout("({label}) ", "; ", "upper"))
    assert "(P) cat; (Q) dog" in texts(shown)[0][1]
    assert texts(shown)[1] == ("assistant", "Q")
    bare = Presentation(WHO, shots=SHOTS, layout=Layout("- "), turns=[Said(2), Ask()])
    assert [texts(bare)[place] for place in (1, -2)] == [("assistant", "dog"), ("assistant", "Cy")]


def test_an_example_with_more_options_than_the_question_gets_its_labels() -> None:
    shown = Presentation(SHOTS[0], shots=[WHO])
    assert "C. Cy" in texts(shown)[0][1]
    with pytest.raises(UsageError, match="2 labels"):
        Presentation(SHOTS[0], labels=["x", "y"], shots=[WHO])


def test_fields_are_filled_once_and_braces_of_others_stay() -> None:
    odd = Question("What is {labels}?", ["{question}", "{0}"])
    shown = Presentation(odd, turns=[Message("assistant", "{labels} {x"), Ask("Hm {x} {question} / {labels}")])
    assert texts(shown)[1] == ("assistant", "{labels} {x")
    assert texts(shown)[2][1].startswith("Hm {x} What is {labels}?\n\nA. {question}\nB. {0}")
    assert texts(shown)[2][1].endswith(" / A, B")


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ({"turns": "Sure?"}, "turns is 'Sure?'"),
        ({"turns": [Said(0)]}, "must end with the user"),
        ({"turns": [Ask(), Said(0)]}, "the assistant speaks there"),
        ({"turns": [Said(0), Said(1)]}, "the user speaks there"),
        ({"turns": [Message("system", "x"), Ask()]}, "the assistant speaks there"),
        ({"turns": [Message(of("judge"), "x"), Ask()]}, "role 'judge'"),
        ({"turns": [Said(3), Ask()]}, "contents 0..2"),
        ({"turns": [Said(True), Ask()]}, "contents 0..2"),
        ({"turns": [Said(0), Ask(" ")]}, "must say some text"),
        ({"turns": [Said(0), Ask(of(7))]}, "must say some text"),
        ({"turns": [Said(0), Message("user", "\ud800")]}, "half a surrogate pair"),
        ({"turns": [Said(0), "Sure?"]}, "must be a Message, Said or Ask"),
        ({"turns": [Said(0), Ask()] * 101}, "may hold 200"),
        ({"shots": SHOTS[0]}, "must be a list"),
        ({"shots": "abc"}, "must be a list"),
        ({"shots": [Question("What?", ["a", "b"])]}, "whose answer is given"),
        ({"shots": ["What barks? A dog"]}, "whose answer is given"),
    ],
)
def test_bad_surroundings_are_refused(parts: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("?", r"\?")):
        Presentation(WHO, **parts)


def answers(model: Any, shown: Presentation, readout: str = "label") -> int:
    reply = ask(model, [request_for(shown, readout)], {}).replies[0]
    return max(range(3), key=read_reply(reply, shown, readout).probabilities.__getitem__)


def gives_in() -> Control:
    """Content-fixed, until it is asked whether it is sure; then the next content."""

    def respond(p: Presentation) -> list[float]:
        doubted = any("Sure?" in message.content for message in p.render()[1:])
        content = ((p.question.answer or 0) + doubted) % len(p.order)
        return [0.9 if at == content else 0.05 for at in p.order]

    return Control("gives_in", respond)


def test_a_conversation_is_compared_as_content() -> None:
    written, doubted = Presentation(WHO), Presentation(WHO, order=(2, 1, 0), turns=TALK)
    assert_same_answer(controls.oracle(), written, doubted)
    with pytest.raises(AssertionError, match="after 4 more turns, and reverse the options"):
        assert_same_answer(gives_in(), written, doubted)


def test_an_average_over_orders_keeps_the_conversation() -> None:
    model = symmetrized(gives_in(), "cyclic")
    assert answers(model, Presentation(WHO)) == 1
    assert answers(model, Presentation(WHO, turns=TALK)) == 2


def test_answers_to_a_conversation_are_recorded_and_kept_apart(tmp_path: Path) -> None:
    shown = [Presentation(WHO), Presentation(WHO, turns=TALK), Presentation(WHO, shots=SHOTS)]
    recorder = AnswerWriter(gives_in(), tmp_path / "answers.jsonl")
    before = [answers(recorder, one) for one in shown]
    assert before == [1, 2, 1]
    replay = load_replay(tmp_path / "answers.jsonl")
    assert [answers(replay, one) for one in shown] == before
    other = Presentation(WHO, turns=[*TALK[:-1], Ask("Really?")])
    assert isinstance(replay.answer([request_for(other, "label")])[0], MissingReply)
    assert len({row_key("f", LabelRequest(one)) for one in (*shown, other)}) == 4


def test_a_recorded_answer_without_surroundings_answers_none(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps({"question": "who", "probabilities": [0.1, 0.8, 0.1]}))
    replay = load_replay(file)
    assert answers(replay, Presentation(WHO, order=(1, 0, 2))) == 0  # the second place
    for around in ({"turns": TALK}, {"shots": SHOTS}):
        request = request_for(Presentation(WHO, **around), "label")
        assert isinstance(replay.answer([request])[0], MissingReply)


@pytest.mark.parametrize("around", [{"user": "x"}, ["x"], [["user"]], [["user", 1]]])
def test_malformed_surroundings_in_a_recording_are_refused(around: Any, tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps({"question": "who", "text": "A", "around": around}))
    with pytest.raises(UsageError, match=r"a\.jsonl, line 1: around is"):
        load_replay(file)


def test_a_model_without_a_chat_template_gets_the_whole_conversation() -> None:
    messages = [{"role": m.role, "content": m.content} for m in Presentation(WHO, shots=SHOTS[:1], turns=TALK).render()]
    text = plain_text(messages)
    assert text.startswith("What barks?")
    assert "A. cat\nB. dog\n\nAnswer with only one of: A, B.\nAnswer: B\n\nWho?" in text
    assert text.endswith("Thanks.\nAnswer: All right.\n\nSure? One of: A, B, C.\nAnswer:")
    assert plain_text(messages[:1]) == messages[0]["content"] + "\nAnswer:"
