"""Whole checks at the boundary: questions, order of asking, memory of answers, engine and verdict together."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pytest_llminvariance import Question, Verdict, check
from pytest_llminvariance.checks.run import run
from pytest_llminvariance.models.controls import Control
from pytest_llminvariance.models.protocol import Model
from pytest_llminvariance.questions.presentation import Presentation

TOLERANCE = 0.05
N = 150


def question(number: int, *, flips: bool) -> Question:
    return Question(f"Which is number {number}?", (f"a{number}", f"b{number}"), attributes={"flips": flips})


def just_above(n: int = N) -> list[Question]:
    """A suite whose mean is the next one above the tolerance, the bad questions last."""
    bad = math.floor(TOLERANCE * n + 1e-9) + 1
    return [question(number, flips=number >= n - bad) for number in range(n)]


def flipping() -> Control:
    """Content-fixed by stem; in questions that flip, the other content in every other order."""

    def respond(shown: Presentation) -> list[float]:
        favourite = hashlib.sha256(shown.question.stem.encode()).digest()[0] % 2
        if shown.question.attributes.get("flips") and shown.order != (0, 1):
            favourite = 1 - favourite
        return [0.9 if content == favourite else 0.1 for content in shown.order]

    return Control("flipping", respond)


@dataclass(frozen=True)
class SuiteCell:
    name: str
    alpha: float
    warm: Callable[[Model, Sequence[Question]], None] | None = None
    backwards: bool = False


def ask_good_ones(model: Model, questions: Sequence[Question]) -> None:
    """Fill the memory with the answers that look well."""
    check(
        "option_order",
        model,
        [q for q in questions if not q.attributes["flips"]],
        tolerance=TOLERANCE,
        orders="reversed",
    )


SUITE_CELLS = (
    SuiteCell("the bad questions last in the file", 0.05),
    SuiteCell("the bad questions first in the file", 0.05, backwards=True),
    SuiteCell("the good answers remembered before", 0.05, warm=ask_good_ones),
)


def run_suites(cell: SuiteCell, n: int, first_seed: int = 0) -> int:
    """Count wrong HOLDS over seeds."""
    questions, model, wrong = just_above(), flipping(), 0
    if cell.backwards:
        questions.reverse()
    for seed in range(first_seed, first_seed + n):
        with run(seed=seed, risk_limit=cell.alpha * 2) as made:  # the first check of two shares
            if cell.warm is not None:
                assert made.risk is not None
                made.risk.limit = None  # the warming itself asks everything
                cell.warm(model, questions)
                made.risk.limit = cell.alpha * 2
                made.risk.begin()
            found = check("option_order", model, questions, tolerance=TOLERANCE, orders="reversed")
        wrong += found.verdict is Verdict.HOLDS
    return wrong
