"""What stands around a question in a chat: worked examples before it, and turns after it.

A turn that names an option does so by content, so that the same conversation stays right under another order,
other labels or another layout. What a model wrote itself is text, and goes back to it as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.questions.question import Question

Role = Literal["system", "user", "assistant"]
MAX_TURNS = 200


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a chat, shown as it is."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Said:
    """A turn in which the assistant named an option, given as its content index.

    Shown as the label that the option has in the presentation, or as its text where options have no labels.
    """

    content: int


@dataclass(frozen=True, slots=True)
class Ask:
    """A turn in which the user asks for an answer.

    In `text`, `{question}` stands for the whole question as it was shown, and `{labels}` for its labels. Nothing
    else in braces has a meaning.
    """

    text: str = "{question}"


Turn = Message | Said | Ask


def role_of(turn: Turn) -> Role:
    """Return who speaks."""
    return turn.role if isinstance(turn, Message) else "assistant" if isinstance(turn, Said) else "user"


def check_turns(turns: object, k: int) -> tuple[Turn, ...]:
    """Return turns after a question with k options as a tuple.

    Raises:
        UsageError: unless assistant and user speak in turn, and the last one is the user, who asks.
    """
    if isinstance(turns, str) or not isinstance(turns, Sequence):
        raise UsageError(f"turns is {turns!r}, but must be a list of Message, Said and Ask")
    if len(turns) > MAX_TURNS:
        raise UsageError(f"turns holds {len(turns)} turns, but may hold {MAX_TURNS}. Shorten the conversation")
    for place, turn in enumerate(turns):
        _check_turn(turn, f"turns[{place}]", k)
        expected = "user" if place % 2 else "assistant"
        if role_of(turn) != expected:
            raise UsageError(
                f"turns[{place}] is {turn!r}, but the {expected} speaks there: after the question, assistant and user take turns"
            )
    if len(turns) % 2:
        raise UsageError(
            f"turns ends with {turns[-1]!r}, but must end with the user, who asks. Add Ask() to ask the question again"
        )
    return tuple(turns)


def _check_turn(turn: object, where: str, k: int) -> None:
    if isinstance(turn, Said):
        if type(turn.content) is not int or not 0 <= turn.content < k:
            raise UsageError(f"{where} is {turn!r}, but the question has the contents 0..{k - 1}")
        return
    if not isinstance(turn, Message | Ask):
        raise UsageError(f"{where} is {turn!r}, but must be a Message, Said or Ask")
    if isinstance(turn, Message) and turn.role not in get_args(Role):
        raise UsageError(f"{where} has the role {turn.role!r}, but must have one of {', '.join(get_args(Role))}")
    text = turn.content if isinstance(turn, Message) else turn.text
    if not isinstance(text, str) or not text.strip():
        raise UsageError(f"{where} says {text!r}, but must say some text")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise UsageError(f"{where} says {text!r}, which holds half a surrogate pair and is no valid text")


def check_shots(shots: object) -> tuple[Question, ...]:
    """Return worked examples as a tuple.

    Raises:
        UsageError: unless all are questions with a known answer.
    """
    if isinstance(shots, str) or not isinstance(shots, Sequence):
        raise UsageError(f"shots is {shots!r}, but must be a list of questions with answers")
    for shot in shots:
        if not isinstance(shot, Question) or shot.answer is None:
            raise UsageError(f"shots holds {shot!r}, but a worked example is a Question whose answer is given")
    return tuple(shots)
