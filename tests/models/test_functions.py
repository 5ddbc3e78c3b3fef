"""Functions of messages as models: what they are given, how they are read, and what is refused."""

from __future__ import annotations

import functools
import gc
import math
import re
import weakref
from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any
from unittest.mock import MagicMock, Mock

import numpy as np
import pytest

from pytest_llminvariance import (
    ModelError,
    Presentation,
    Question,
    UsageError,
    Verdict,
    check,
    controls,
    load_model,
    run,
    wrap_model,
)
from pytest_llminvariance.models.engine import ask
from pytest_llminvariance.models.protocol import LabelReply, LabelRequest, MissingReply, TextReply, TextRequest

BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abc"], id=f"q{n}", answer=n % 3) for n in range(12)]
SHOWN = Presentation(BANK[0], order=(2, 0, 1))
Messages = list[dict[str, str]]


def letter_of(messages: Messages) -> str:
    """Answer `stem 4?` by the number, and an instruction to choose `b4` as it says."""
    asked = messages[-1]["content"].splitlines()[0]
    number, told = re.search(r"stem (\d+)\?", asked), re.search(r"\b([abc])\d+\b", asked)
    assert number or told, asked
    return "abc"[int(number[1]) % 3] if number else told[1] if told else ""


def by_content(messages: Messages, options: list[str]) -> dict[str, float]:
    return {option: 0.8 if option[0] == letter_of(messages) else 0.1 for option in options}


def by_place(messages: Messages, options: list[str]) -> dict[str, float]:
    return dict(zip(options, (0.8, 0.1, 0.1), strict=True))


def says_content(messages: Messages) -> str:
    lines = messages[-1]["content"].splitlines()
    return next(line for line in lines if f". {letter_of(messages)}" in line)


def says_first(messages: Messages) -> str:
    return "A"


@pytest.mark.parametrize(
    ("function", "readout", "verdict"),
    [
        (by_content, "label", Verdict.HOLDS),
        (by_place, "label", Verdict.BROKEN),
        (says_content, "text", Verdict.HOLDS),
        (says_first, "text", Verdict.BROKEN),
    ],
)
def test_functions_of_known_truth(function: Callable[..., Any], readout: str, verdict: Verdict) -> None:
    finding = check("option_order", function, BANK, tolerance=0.05)
    assert (finding.verdict, finding.readout, finding.model) == (verdict, readout, function.__name__)


def test_what_a_function_is_given_and_how_it_is_read() -> None:
    given: list[Any] = []

    def note(messages: Messages, options: list[str]) -> Mapping[str, float]:
        given.append((messages, options))
        return {"a0": 0.5, "b0": 0.25, "c0": 0}

    (reply,) = wrap_model(note).answer([LabelRequest(SHOWN)])
    assert isinstance(reply, LabelReply)
    assert reply.logprobs_nats == (-math.inf, math.log(0.5), math.log(0.25))
    ((messages, options),) = given
    assert options == ["c0", "a0", "b0"]
    assert [set(message) for message in messages] == [{"role", "content"}]
    assert messages[-1]["content"] == SHOWN.render()[-1].content
    other = wrap_model(note).answer([LabelRequest(SHOWN.replace(order=(0, 1, 2)))])[0]
    assert other.sent_sha256 != reply.sent_sha256


class Client:
    """A client with a method and a call."""

    def ask(self, messages: Messages) -> str:
        return "A"

    def __call__(self, messages: Messages, options: list[str]) -> dict[str, float]:
        return by_place(messages, options)


def with_settings(temperature: float, messages: Messages, options: list[str] | None = None) -> dict[str, float]:
    assert temperature == 0
    return by_place(messages, options or [])


CALLS: dict[str, tuple[Any, str]] = {
    "lambda": (lambda messages: "A", "text"),
    "method": (Client().ask, "text"),
    "object": (Client(), "label"),
    "partial": (functools.partial(with_settings, 0.0), "label"),
    "more with a default": (lambda messages, seed=3: "A", "text"),
    "options with a default": (lambda messages, options=(): by_place(messages, options), "label"),
    "more by keyword": (lambda messages, *, seed=3, **more: "A", "text"),
}


@pytest.mark.parametrize("kind", CALLS)
def test_whatever_can_be_called_is_read_by_what_it_takes(kind: str) -> None:
    function, readout = CALLS[kind]
    model = wrap_model(function)
    assert model.capabilities == {readout}
    make = TextRequest if readout == "text" else LabelRequest
    assert isinstance(model.answer([make(SHOWN)])[0], TextReply if readout == "text" else LabelReply)
    assert wrap_model(function) is model


async def later(messages: Messages) -> str:
    return "A"


class Named:
    name = "half a model"


def strange(*messages: object) -> str:
    return ""


REFUSED: dict[str, tuple[object, str]] = {
    "nothing": (None, r"^model is None, which is not taken\.\nGive \(model, tokenizer\)"),
    "a text": ("demo", r"^model is the text 'demo'\.\nGive load_model\('demo'\)"),
    "a class": (Client, r"^model is the class Client, which is not called yet\.\nWrite Client\(\)"),
    "a factory": (controls.oracle, r"^model is oracle, which is not called yet\.\nWrite oracle\(\)"),
    "async": (later, r"^model is later, an async function, .*\nGive lambda messages: asyncio\.run"),
    "any number": (
        strange,
        r"^model is strange, which takes \(.*\).*: it is not known what to give it\.\nGive a function",
    ),
    "three": (lambda a, b, c: "", r"^model is .*lambda, which takes \(a, b, c\)"),
    "by keyword only": (lambda *, messages: "", r"^model is .*lambda, which takes \(\*, messages\)"),
    "half a model": (Named(), r"^model is a Named, which has no 'fingerprint'\.\n"),
    "a dictionary": ({"model": 1}, r"^model is a dict, which is not taken\.\n"),
    "a number": (3, r"^model is 3, which is not taken\.\n"),
    "a function with a tokenizer": ((says_first, "tokenizer"), r"^model is a function, and a tokenizer is given"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_taken_is_refused_in_two_lines(kind: str) -> None:
    held, says = REFUSED[kind]
    with pytest.raises(UsageError, match=says) as raised:
        check("option_order", held, BANK, tolerance=0.05)
    assert str(raised.value).count("\n") == 1


def raises(messages: Messages) -> str:
    raise KeyError("choices")


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def mute(messages: Messages) -> str:
    raise MuteError


ANSWERS: dict[str, tuple[Callable[..., Any], str]] = {
    "raises": (raises, "raises raised KeyError: 'choices'"),
    "no text": (lambda messages: None, "gave a NoneType, but a function of messages must give a text"),
    "a list": (lambda messages, options: [0.5, 0.5, 0], "gave a list, but must give a probability for each option"),
    "a letter": (lambda messages, options: {"A": 1.0}, "gave a probability for 'A', which is no option of"),
    "one missing": (
        lambda messages, options: {options[0]: 1.0},
        r"gave no probability for 'b0', but .* 0 where it has none",
    ),
    "below 0": (lambda messages, options: dict.fromkeys(options, -0.1), "gave -0.1 for 'a0', but"),
    "true": (lambda messages, options: dict.fromkeys(options, True), "gave True for 'a0'"),
    "percent": (lambda messages, options: dict.fromkeys(options, 33.0), "sum to 99, but .* Divide percentages by 100"),
    "beyond all numbers": (lambda messages, options: dict.fromkeys(options, 1e308), "sum to inf"),
    "a whole number without end": (lambda messages, options: dict.fromkeys(options, 10**400), "gave 1000.* for 'a0'"),
    "several in one": (
        lambda messages, options: dict.fromkeys(options, np.array([0.3, 0.2])),
        r"gave array\(.* for 'a0'",
    ),
    "numpy's true": (lambda messages, options: dict.fromkeys(options, np.bool_(True)), "gave .*True.* for 'a0'"),
    "a decimal that is none": (lambda messages, options: dict.fromkeys(options, Decimal("sNaN")), r"gave Decimal\("),
    "a coroutine": (lambda messages: later(messages), "lambda gave a coroutine, which nobody awaits.*asyncio.run"),
    "an error that cannot speak": (mute, "raised MuteError: .its message cannot be shown."),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_what_a_function_gives_is_checked(kind: str) -> None:
    function, says = ANSWERS[kind]
    with pytest.raises(ModelError, match=says):
        check("option_order", function, [SHOWN.question], tolerance=0.05)


@pytest.mark.parametrize(
    "number", [np.float16(0.25), np.float32(0.25), np.array(0.25), np.array([0.25]), Fraction(1, 4), Decimal("0.25")]
)
def test_any_number_is_a_probability(number: Any) -> None:
    (reply,) = wrap_model(lambda messages, options: dict.fromkeys(options, number)).answer([LabelRequest(SHOWN)])
    assert isinstance(reply, LabelReply)
    assert reply.logprobs_nats == (math.log(0.25),) * 3


def test_rounding_below_0_is_0() -> None:
    (reply,) = wrap_model(lambda messages, options: dict.fromkeys(options, -1e-12)).answer([LabelRequest(SHOWN)])
    assert isinstance(reply, LabelReply)
    assert reply.logprobs_nats == (-math.inf,) * 3


class Of:
    """A method of the class itself."""

    @classmethod
    def ask(cls, messages: Messages) -> str:
        return "A"


def test_a_method_of_a_class_is_one_model() -> None:
    assert wrap_model(Of.ask) is wrap_model(Of.ask)
    assert check("option_order", Of.ask, BANK, tolerance=0.05).verdict is Verdict.BROKEN


class Own:
    """A model of the user's, with a part that is not what it must be."""

    name: Any = "mine"
    fingerprint = "f"
    capabilities: Any = frozenset({"text"})

    def answer(self, requests: Any) -> list[TextReply]:
        return [TextReply("A", "x") for _ in requests]


class Late(Own):
    async def answer(self, requests: Any) -> list[TextReply]:  # type: ignore[override]
        return []


@pytest.mark.parametrize(
    ("part", "value", "says"),
    [
        ("name", 3, "whose name is 3, but must be a text"),
        ("capabilities", "text", "whose capabilities is a str, but must be a set, such as"),
        ("capabilities", None, "whose capabilities is None, but must be a set"),
        ("answer", 7, "whose answer is 7, but must be a method"),
        ("answer", Late().answer, "whose answer is async, but must give its replies when it is called"),
    ],
)
def test_a_part_of_an_own_model_that_is_none_is_refused(part: str, value: Any, says: str) -> None:
    own = Own()
    assert wrap_model(own) is own
    setattr(own, part, value)
    with pytest.raises(UsageError, match=f"^model is an? Own, {says}.*\nGive") as raised:
        check("option_order", own, BANK, tolerance=0.05)
    assert str(raised.value).count("\n") == 1


@pytest.mark.parametrize("mock", [Mock(return_value="A"), MagicMock(return_value="A")])
def test_a_mock_is_no_model(mock: Any) -> None:
    with pytest.raises(UsageError, match=r"Mock, whose name is a .*Mock, but must be a text"):
        check("option_order", mock, BANK, tolerance=0.05)


def test_nan_is_a_missing_answer() -> None:
    finding = check("option_order", lambda messages, options: dict.fromkeys(options, math.nan), BANK, tolerance=0.05)
    assert finding.verdict is Verdict.UNDECIDED
    assert isinstance(MissingReply("nan"), MissingReply)


def test_two_functions_never_share_answers_or_a_fingerprint() -> None:
    def make(answer: str) -> Callable[[Messages], str]:
        return lambda messages: answer

    made = [make("A"), make("A"), make("B")]
    models = [wrap_model(function) for function in made]
    assert len({model.fingerprint for model in models}) == 3
    asked: list[int] = []

    def counted(messages: Messages) -> str:
        asked.append(1)
        return "A"

    with run():
        for function in (counted, counted, lambda messages: counted(messages)):
            check("option_order", function, BANK[:1], tolerance=0.05)
            asked.append(0)
    first = asked.index(0)
    assert asked == [*[1] * first, 0, 0, *[1] * first, 0]


def test_a_fingerprint_is_the_same_in_another_process_and_changes_with_the_code() -> None:
    codes = ["lambda messages: 'A'", "lambda messages: 'A'", "lambda messages: 'B'"]
    seen = []
    for code in codes:
        seen.append(wrap_model(eval(code)).fingerprint)
        gc.collect()
    assert seen[0] == seen[1] != seen[2]


def test_nothing_keeps_a_function_alive() -> None:
    big = Client()
    dead = weakref.ref(big)
    with run():
        check("option_order", big, BANK[:2], tolerance=0.05)
        check("option_order", big.ask, BANK[:2], tolerance=0.05)
        del big
        gc.collect()
        assert dead() is None


def test_settings_do_not_reach_functions_and_models() -> None:
    assert wrap_model(says_first, name="mine").name == "mine"
    with pytest.raises(
        UsageError, match=r"^batch_tokens is given for the function says_first, which it does not reach\.\n"
    ):
        wrap_model(says_first, batch_tokens=3)
    with pytest.raises(UsageError, match=r"^name is given for oracle, which is a model already\.\n"):
        wrap_model(controls.oracle(), name="mine")
    with pytest.raises(UsageError, match=r"^colour='red' is no setting of wrap_model"):
        wrap_model(says_first, colour="red")


def test_a_factory_may_give_a_function(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_factory.py").write_text("def make():\n    return lambda messages: 'A'\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert load_model("python:own_factory:make").capabilities == {"text"}


# a function that has changed is asked again


class Bot:
    """A model whose answer depends on what it holds."""

    def __init__(self) -> None:
        self.place, self.told, self.log = 0, {"place": 0}, list[str]()

    def ask(self, messages: Messages) -> str:
        self.log.append(messages[-1]["content"])
        return "ABC"[max(self.place, self.told["place"])]

    __call__ = ask


PLACE_IN_MODULE = 0
TOLD_IN_MODULE = {"place": 0}


def by_globals(messages: Messages) -> str:
    return "ABC"[max(PLACE_IN_MODULE, TOLD_IN_MODULE["place"])]


def through_another(messages: Messages) -> str:
    return by_globals(messages)


def closed_over() -> tuple[Callable[[Messages], str], Callable[[], None]]:
    place = 0

    def ask(messages: Messages) -> str:
        return "ABC"[place]

    def change() -> None:
        nonlocal place
        place = 1

    return ask, change


def in_a_container() -> tuple[Callable[[Messages], str], Callable[[], None]]:
    told = {"places": [0, 2]}

    def ask(messages: Messages) -> str:
        return "ABC"[told["places"][0]]

    return ask, lambda: told["places"].__setitem__(0, 1)


def by_partial() -> tuple[Callable[[Messages], str], Callable[[], None]]:
    told = {"place": 0}
    return functools.partial(lambda told, messages: "ABC"[told["place"]], told), lambda: told.update(place=1)


def by_method() -> tuple[Callable[[Messages], str], Callable[[], None]]:
    bot = Bot()
    return bot.ask, lambda: setattr(bot, "place", 1)


def by_object() -> tuple[Callable[[Messages], str], Callable[[], None]]:
    bot = Bot()
    return bot, lambda: bot.told.update(place=1)


def in_another_object() -> tuple[Callable[[Messages], str], Callable[[], None]]:
    bot = Bot()
    return lambda messages: bot.ask(messages), lambda: setattr(bot, "place", 1)


def by_attribute() -> tuple[Callable[[Messages], str], Callable[[], None]]:
    def ask(messages: Messages) -> str:
        return "ABC"[ask.place]  # type: ignore[attr-defined]

    ask.place = 0  # type: ignore[attr-defined]
    return ask, lambda: setattr(ask, "place", 1)


def by_default() -> tuple[Callable[[Messages], str], Callable[[], None]]:
    def ask(messages: Messages, place: int = 0) -> str:
        return "ABC"[place]

    return ask, lambda: setattr(ask, "__defaults__", (1,))


def wrapped() -> tuple[Callable[[Messages], str], Callable[[], None]]:
    inner, change = closed_over()
    return functools.wraps(inner)(lambda messages: inner(messages)), change


def in_globals() -> tuple[Callable[[Messages], str], Callable[[], None]]:
    return by_globals, lambda: globals().update(PLACE_IN_MODULE=1)


def in_globals_of_another() -> tuple[Callable[[Messages], str], Callable[[], None]]:
    return through_another, lambda: TOLD_IN_MODULE.update(place=1)


CHANGES = [
    closed_over, in_a_container, by_partial, by_method, by_object, in_another_object, by_attribute, by_default, wrapped, in_globals,
    in_globals_of_another,
]  # fmt: skip


@pytest.mark.parametrize("make", CHANGES, ids=lambda make: make.__name__)
@pytest.mark.parametrize("is_wrapped", [False, True], ids=["given", "wrapped"])
def test_a_function_that_has_changed_is_asked_again(
    make: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, *, is_wrapped: bool
) -> None:
    monkeypatch.setitem(globals(), "PLACE_IN_MODULE", 0)
    monkeypatch.setitem(TOLD_IN_MODULE, "place", 0)
    function, change = make()
    model, memo = wrap_model(function) if is_wrapped else function, {}  # type: ignore[var-annotated]

    def asked() -> tuple[str, int]:
        found = ask(wrap_model(model), [TextRequest(SHOWN)], memo)
        (reply,) = found.replies
        assert isinstance(reply, TextReply)
        return reply.text, found.fresh

    assert [asked(), asked()] == [("A", 1), ("A", 0)]
    change()
    assert [asked(), asked()] == [("B", 1), ("B", 0)]


def test_a_function_that_keeps_a_log_or_answers_is_the_same_one() -> None:
    bot, known = Bot(), dict[str, str]()

    def remembering(messages: Messages) -> str:
        return known.setdefault(messages[-1]["content"], "A")

    with run():
        for model in (bot, bot.ask, remembering):
            n_asked = []
            for _ in range(2):
                check("option_order", model, BANK[:2], tolerance=0.05)
                n_asked.append((len(bot.log), len(known)))
            assert n_asked[0] == n_asked[1]
            assert wrap_model(model) is wrap_model(model)


class Metered:
    """A client that counts what it is asked and what that cost, as wrappers of paid services do."""

    def __init__(self) -> None:
        self.n_calls, self.cost_usd, self.greeting = 0, 0.0, "hello"

    def __call__(self, messages: list[dict[str, str]]) -> str:
        self.n_calls += 1
        self.cost_usd += len(messages[-1]["content"]) * 1e-6
        return "A"


def test_what_a_function_counts_while_it_answers_is_no_change() -> None:
    client = Metered()
    questions = [Question(f"stem {n}?", ["yes", "no"], answer=n % 2) for n in range(3)]
    with run():
        for _ in range(2):
            check("option_order", client, questions, tolerance=0.1)
        n_calls = client.n_calls
        check("option_order", client, questions, tolerance=0.1)
        assert client.n_calls == n_calls
        client.greeting = "bonjour"
        check("option_order", client, questions, tolerance=0.1)
        assert client.n_calls > n_calls
