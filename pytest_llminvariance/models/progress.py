"""Progress: a bar on a terminal, and where there is none a line every half minute."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_llminvariance.models.engine import Step


SECONDS_BETWEEN = 30
"""Between two lines."""


def rate_words(sent_tokens: int, prompt_tokens: int, seconds: float) -> str:
    """Return tokens a second, and the share of prompt tokens that did not have to be sent."""
    words = f"{sent_tokens / max(seconds, 1e-9):,.0f} tokens/s"
    saved = 1 - sent_tokens / prompt_tokens if prompt_tokens else 0.0
    return f"{words}, {saved:.0%} saved" if saved >= 0.005 else words


def progress_bar(title: str, say: Callable[[str], None] | None = None) -> Callable[[Step], None]:
    """Return a function that shows progress: lines for `say`, else a bar on a terminal, else lines on standard error."""
    if say is not None or not sys.stderr.isatty():
        return _lines(title, say or (lambda line: print(line, file=sys.stderr, flush=True)))  # noqa: T201
    from tqdm import tqdm

    bar, began = tqdm(desc=title, unit="question", leave=False), time.monotonic()

    def show(step: Step) -> None:
        bar.total = step.questions_total
        bar.set_postfix_str(rate_words(step.sent_tokens, step.prompt_tokens, time.monotonic() - began), refresh=False)
        bar.update(step.questions - bar.n)
        if step.questions >= step.questions_total:
            bar.close()

    return show


class Parts:
    """Shows how far the whole is that is asked part by part: `questions` with `answers` in all."""

    def __init__(self, show: Callable[[Step], None], questions: int, answers: int) -> None:
        self._show, self._left = show, (questions, answers)
        self._ended: Step | None = None
        self._last: Step | None = None

    def begin(self, questions: int, answers: int) -> None:
        """Say that the next part begins."""
        self._ended, self._left = self._last, (self._left[0] - questions, self._left[1] - answers)

    def __call__(self, step: Step) -> None:
        """Show a step of the part as one of the whole."""
        if (ended := self._ended) is not None:
            counts = zip(dataclasses.astuple(step), dataclasses.astuple(ended), strict=True)
            step = type(step)(*(now + before for now, before in counts))
            step = dataclasses.replace(
                step, questions_total=step.questions_total - ended.questions_total + ended.questions,
                answers_total=step.answers_total - ended.answers_total + ended.answers,
            )  # fmt: skip
        questions, answers = self._left
        self._last = dataclasses.replace(
            step, questions_total=step.questions_total + questions, answers_total=step.answers_total + answers
        )
        self._show(self._last)


def _lines(title: str, say: Callable[[str], None]) -> Callable[[Step], None]:
    """Return a function that says a line where the last one is half a minute ago; nothing of what ends before."""
    began = said = time.monotonic()

    def show(step: Step) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said >= SECONDS_BETWEEN and step.answers < step.answers_total:
            said = now
            say(f"{title}: {progress_words(step, now - began)}")

    return show


def progress_words(step: Step, seconds: float) -> str:
    """Return how far it is: `214 of 552 answers, 1,240 tokens/s, about 2 min left`."""
    done, total = step.answers, step.answers_total
    left = seconds * (total - done) / max(1, done)
    words = f"about {math.ceil(left / 60):,} min left" if left > 60 else "less than a minute left"
    return f"{done:,} of {total:,} answers, {step.sent_tokens / max(seconds, 1e-9):,.0f} tokens/s, {words}"
