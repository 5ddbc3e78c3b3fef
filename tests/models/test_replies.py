"""Replies are checked where they come in, whoever gave them: kind, number, log-probabilities, what was sent."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llminvariance import ModelError, Presentation, Question, Verdict, check, controls, noise_floor
from pytest_llminvariance.models import replies
from pytest_llminvariance.models.engine import ask
from pytest_llminvariance.models.protocol import (
    LabelReply,
    LabelRequest,
    MissingReply,
    OptionReply,
    OptionRequest,
    Reply,
    Request,
    TextReply,
    TextRequest,
)
from pytest_llminvariance.models.replies import checked

SHOWN = Presentation(Question("Which?", ["red", "blue"], id="colour", answer=0))
REQUESTS: dict[str, Request] = {
    "label": LabelRequest(SHOWN),
    "option": OptionRequest(SHOWN),
    "text": TextRequest(SHOWN),
}
HALF = math.log(0.5)


class Backend:
    """Gives what it is told."""

    name, fingerprint, capabilities = "backend", "1", controls.oracle().capabilities

    def __init__(self, give: Callable[[Request], Any]) -> None:
        self.give = give

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        return [self.give(request) for request in requests]


def answered(kind: str, reply: Any) -> Reply:
    return ask(Backend(lambda _: reply), [REQUESTS[kind]], {}).replies[0]


REFUSED: list[tuple[str, Any, str]] = [
    (
        "label",
        None,
        "backend answered a request for readout 'label' with None, but must give a LabelReply or a MissingReply",
    ),
    (
        "label",
        TextReply("A", "s"),
        "answered a request for readout 'label' with TextReply(.*), but must give a LabelReply",
    ),
    ("option", LabelReply((HALF, HALF), "s"), "answered a request for readout 'option' with LabelReply"),
    ("text", TextReply(b"A", "s"), "backend gave for question 'colour' a text b'A', but must give a string"),  # type: ignore[arg-type]
    ("label", LabelReply((HALF,), "s"), "1 values, but must give 2, one for each option"),
    ("label", LabelReply(None, "s"), "None, but must give 2 values, one for each option"),  # type: ignore[arg-type]
    ("label", LabelReply(("-1", "-2"), "s"), "but must give numbers"),  # type: ignore[arg-type]
    ("option", OptionReply((-1.0, -2.0), (1,), "s"), r"token counts \(1,\), but must give 2 numbers from 1"),
    ("option", OptionReply((-1.0, -2.0), (1, 0), "s"), r"token counts \(1, 0\), but must give 2 numbers from 1"),
    ("label", LabelReply((3.5, -2.0), "s"), "the log-probability 3.5, but a log-probability is at most 0"),
    ("option", OptionReply((math.inf, -2.0), (1, 1), "s"), "the log-probability inf, but"),
    ("label", LabelReply((-0.1, -0.2), "s"), "labels that sum to 1.72357, but they sum to at most 1"),
]


@pytest.mark.parametrize(("kind", "reply", "says"), REFUSED)
def test_what_cannot_be_right_is_an_error_of_the_backend(kind: str, reply: Any, says: str) -> None:
    with pytest.raises(ModelError, match=says) as raised:
        answered(kind, reply)
    assert "backend" in str(raised.value)


@pytest.mark.parametrize(
    ("kind", "reply"),
    [
        ("label", LabelReply((0.0, -math.inf), "s")),
        ("label", LabelReply((1e-6, -30.0), "s")),
        ("label", LabelReply((-math.inf, -math.inf), "s")),
        ("option", OptionReply((-0.1, -0.2), (2, 3), "s")),
        ("text", TextReply("", "s")),
        ("text", MissingReply("time-out")),
    ],
)
def test_what_rounding_allows_is_taken_as_it_is(kind: str, reply: Reply) -> None:
    assert answered(kind, reply) is reply


def outcome(reply: LabelReply) -> tuple[object, str]:
    """Return what becomes of a reply, by identity where it is taken, or why it is refused."""
    try:
        got = checked(controls.oracle(), REQUESTS["label"], reply)
    except ModelError as error:
        return None, str(error)
    return (got if got is not reply else "taken"), ""


@given(
    st.tuples(
        *2 * [st.sampled_from([-math.inf, -40.0, -1.0, HALF, -0.1, -0.0, 1e-6, 1e-3, 2e-3, 1.0, math.inf, math.nan])]
    ),
    st.sampled_from([0.0, 0.2, 1.0, -0.1, 1.5, math.nan]),
)
def test_the_short_way_takes_what_the_long_way_takes(values: tuple[float, float], unlisted: float) -> None:
    reply = LabelReply(values, "s", 3, unlisted)
    found = outcome(reply)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replies, "_is_clean", lambda *_: False)
        assert outcome(reply) == found


@pytest.mark.parametrize("given", [None, 3, (reply for reply in [LabelReply((HALF, HALF), "s")])])
def test_what_is_no_list_of_replies_is_an_error_that_names_it(given: Any) -> None:
    backend = Backend(lambda _: None)
    backend.answer = lambda requests: given  # type: ignore[method-assign]
    with pytest.raises(ModelError, match=r"backend gave .*, but must give a list of one reply for each of 1 requests"):
        ask(backend, [REQUESTS["label"]], {})


@pytest.mark.parametrize("kind", [list, tuple, deque, lambda replies: dict(enumerate(replies)).values()])
def test_replies_in_any_collection_are_taken(kind: Callable[[list[Reply]], Any]) -> None:
    reply = LabelReply((HALF, HALF), "s")
    backend = Backend(lambda _: reply)
    backend.answer = lambda requests: kind([reply])  # type: ignore[method-assign]
    assert ask(backend, [REQUESTS["label"]], {}).replies == (reply,)


@pytest.mark.parametrize("kind", ["label", "option"])
def test_nan_is_a_missing_answer_with_its_cause(kind: str) -> None:
    values = (math.nan, -1.0)
    reply = answered(kind, LabelReply(values, "s", 3) if kind == "label" else OptionReply(values, (1, 1), "s", 3))
    assert reply == MissingReply("backend gave NaN for the option at position 1", "s", 3)


def bank() -> list[Question]:
    return [Question(f"stem {n}?", ["elm", "oak", "ash"], answer=n % 3) for n in range(12)]


def test_a_model_of_nan_is_undecided() -> None:
    def nan(request: Request) -> Reply:
        return LabelReply((math.nan,) * 3, f"s{request.presentation.order}")

    finding = check("option_order", Backend(nan), bank(), tolerance=0.05, readout="label")
    assert finding.verdict is Verdict.UNDECIDED
    assert any("all 72 prompts failed; first: backend gave NaN" in reason for reason in finding.reasons)


def test_a_model_that_does_not_say_what_was_sent_cannot_hold() -> None:
    def silent(request: Request) -> Reply:
        return replace(controls.oracle().answer([request])[0], sent_sha256="")

    assert check("option_order", controls.oracle(), bank(), tolerance=0.05).verdict is Verdict.HOLDS
    finding = check("option_order", Backend(silent), bank(), tolerance=0.05)
    assert finding.verdict is Verdict.UNDECIDED
    assert any(
        "is not checked: no two answers that differ in it alone say what was sent" in reason
        for reason in finding.reasons
    )


def test_a_backend_is_checked_where_noise_is_measured_too() -> None:
    with pytest.raises(ModelError, match="backend gave for question"):
        noise_floor(Backend(lambda _: LabelReply((2.0, 1.0, 0.0), "s")), bank(), readout="label")
