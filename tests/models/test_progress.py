"""What asking says of its progress: pass by pass, in questions and tokens; silent where nobody looks."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator, Sequence

import pytest

from pytest_llminvariance import ModelError, Presentation, Question, controls
from pytest_llminvariance.models import progress
from pytest_llminvariance.models.engine import Step, ask
from pytest_llminvariance.models.local.scoring import Usage
from pytest_llminvariance.models.progress import progress_bar, rate_words
from pytest_llminvariance.models.protocol import LabelRequest, Reply, Request

QUESTIONS = [Question(f"Number {n}?", ["red", "blue"], answer=0) for n in range(3)]
REQUESTS = [LabelRequest(Presentation(question, order=order)) for question in QUESTIONS for order in ((0, 1), (1, 0))]


class Streaming:
    """Answers two requests a pass, the last ones first; sends half of the tokens."""

    name, fingerprint, capabilities, cacheable = "streaming", "1", controls.oracle().capabilities, True

    def __init__(self, fails_after: int = 99, forgets: int = 0) -> None:
        self.usage = Usage()
        self.fails_after, self.forgets = fails_after, forgets
        self.asked: list[int] = []

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        raise AssertionError("the engine takes answers as they come")

    def answers(self, requests: Sequence[Request]) -> Iterator[list[tuple[int, Reply]]]:
        self.asked.append(len(requests))
        replies = controls.oracle().answer(requests)
        order = list(range(len(requests)))[::-1][self.forgets :]
        for number, start in enumerate(range(0, len(order), 2)):
            if number == self.fails_after:
                raise ModelError("the model broke down")
            self.usage.sent_tokens += 10
            yield [(index, replies[index]) for index in order[start : start + 2]]


def test_answers_come_back_in_the_order_asked() -> None:
    assert ask(Streaming(), REQUESTS, {}).replies == tuple(controls.oracle().answer(REQUESTS))


def test_steps_count_whole_questions_and_the_models_own_tokens() -> None:
    steps: list[Step] = []
    asked = ask(Streaming(), REQUESTS, {}, steps.append)
    assert [step.questions for step in steps] == [1, 2, 3]
    assert {step.questions_total for step in steps} == {3}
    assert [step.sent_tokens for step in steps] == [10, 20, 30]
    assert asked.tokens == 30
    assert asked.fresh == 6


def test_what_was_answered_before_a_breakdown_is_kept() -> None:
    memo: dict[object, object] = {}
    with pytest.raises(ModelError, match="broke down"):
        ask(Streaming(fails_after=2), REQUESTS, memo)  # type: ignore[arg-type]
    assert len(memo) == 4
    again = Streaming()
    ask(again, REQUESTS, memo)  # type: ignore[arg-type]
    assert again.asked == [2]


def test_a_model_that_forgets_a_request_is_caught() -> None:
    with pytest.raises(ModelError, match="gave 5 answers to 6 requests"):
        ask(Streaming(forgets=1), REQUESTS, {})


def test_rates_in_words() -> None:
    assert rate_words(1_700, 13_600, 2.0) == "850 tokens/s, 88% saved"
    assert rate_words(100, 100, 1.0) == "100 tokens/s"
    assert rate_words(0, 0, 0.0) == "0 tokens/s"


class Clock:
    """Time goes by twenty seconds a look."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        self.now += 20
        return self.now


@pytest.mark.parametrize("own", [False, True], ids=["standard error", "what takes lines"])
def test_a_line_every_half_minute_where_no_terminal_is(own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    screen, said = io.StringIO(), list[str]()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(progress, "time", Clock())
    show = progress_bar("option order", said.append if own else None)
    for done in (100, 214, 300, 400, 552):
        show(Step(0, 9, done * 100, 10**9, done, 552))
    lines = said if own else screen.getvalue().splitlines()
    assert lines == [
        "option order: 214 of 552 answers, 535 tokens/s, about 2 min left",
        "option order: 400 of 552 answers, 500 tokens/s, less than a minute left",
    ]


def test_what_ends_soon_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", screen := io.StringIO())
    assert ask(Streaming(), REQUESTS, {}, progress_bar("option order")).fresh == 6
    assert screen.getvalue() == ""


def test_steps_count_answers() -> None:
    steps: list[Step] = []
    ask(Streaming(), REQUESTS, {}, steps.append)
    assert [(step.answers, step.answers_total) for step in steps] == [(2, 6), (4, 6), (6, 6)]


def test_a_captured_test_says_how_far_it_is(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it="""
        from pytest_llminvariance import Question, assert_order_symmetric
        from pytest_llminvariance.models import progress
        from tests.models.test_progress import Streaming
        BANK = [Question(f"Number {n}?", ["red", "blue"], answer=n % 2) for n in range(12)]
        def test_it(monkeypatch):
            monkeypatch.setattr(progress, "SECONDS_BETWEEN", 0)
            print("own output")
            assert_order_symmetric(Streaming(), BANK)
        """
    )
    result = pytester.runpytest()
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["invariance: option order: 2 of * answers, * tokens/s, less than a minute left"])
    assert "own output" not in str(result.stdout)


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    show = progress_bar("option order")
    time.sleep(0.15)  # the bar draws ten times a second
    show(Step(1, 3, 500, 4_000))
    time.sleep(0.15)
    show(Step(3, 3, 1_500, 12_000))
    text = screen.getvalue()
    assert "option order" in text
    assert "1/3" in text
    assert "88% saved" in text
