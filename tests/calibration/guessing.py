"""How often a model that guesses, and does not look at the order, holds: `python -m tests.calibration.guessing`.

Its answer depends on the question alone and is right by chance. In all orders it is the same, so nothing but the accuracy
guard can withhold HOLDS. The guard counts questions; where fewer than 8 answers are known it says "not checked".
"""

from __future__ import annotations

import argparse
import hashlib
import random
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_llminvariance import Question, Verdict, check, run
from pytest_llminvariance.checks.guards import GUESSING_RISK
from pytest_llminvariance.models.controls import Control
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import MIN_KNOWN


@dataclass(frozen=True)
class Suite:
    questions: int
    options: int
    known: int
    """Questions with a known answer."""
    orders: str = "reversed"
    limit: float | None = None
    """Risk limit; `None`: everything is asked."""


SUITES = (
    Suite(24, 4, 24, "all"), Suite(24, 4, 24), Suite(24, 2, 24), Suite(24, 5, 24), Suite(24, 4, 8), Suite(8, 4, 8),
    Suite(8, 2, 8), Suite(12, 3, 12), Suite(96, 4, 24), Suite(96, 4, 8), Suite(200, 4, 200, limit=0.1),
    Suite(200, 4, 16, limit=0.1),
)  # fmt: skip


def guesser(number: int) -> Control:
    """Answers by a hash of stem and option: another content under another stem, the same in every order."""

    def respond(shown: Presentation) -> Sequence[float]:
        question = shown.question
        ranks = [hashlib.sha256(f"{number}|{question.stem}|{text}".encode()).digest() for text in question.options]
        best = ranks.index(max(ranks))
        return [0.9 if content == best else 0.1 / (len(ranks) - 1) for content in shown.order]

    return Control(f"guesser {number}", respond)


def held(suite: Suite, number: int) -> bool:
    chance = random.Random(f"{suite}|{number}")
    questions = [
        Question(
            f"Question {i} of {number}?",
            [f"{letter}{i}" for letter in "abcdefgh"[: suite.options]],
            answer=chance.randrange(suite.options) if i < suite.known else None,
        )
        for i in range(suite.questions)
    ]
    with run(risk_limit=suite.limit):
        finding = check("option_order", guesser(number), questions, tolerance=0.05, orders=suite.orders)
    assert finding.effect.high == 0
    return finding.verdict is Verdict.HOLDS


def most(n: int, cells: int) -> int:
    """The largest count that is no alarm: beyond it in one run of a hundred at the documented risk."""
    from scipy.stats import binom

    return int(binom.isf(0.01 / cells, n, GUESSING_RISK))


def table(n: int) -> bool:
    print(f"\nOrder-blind guessers, at least {MIN_KNOWN} known answers, tolerance 0.05: {n:,} suites each")
    print(
        f"  {'questions':>9}{'options':>9}{'known':>7}{'orders':>10}{'limit':>7}{'HOLDS':>7}{'share':>8}{'at most':>9}"
    )
    good = True
    for suite in SUITES:
        count = sum(held(suite, number) for number in range(n))
        good &= count <= most(n, len(SUITES))
        print(
            f"  {suite.questions:>9}{suite.options:>9}{suite.known:>7}{suite.orders:>10}{suite.limit or 'none':>7}"
            f"{count:>7}{count / n:>8.1%}{most(n, len(SUITES)):>9}"
        )
    return good


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suites", type=int, default=400)
    raise SystemExit(0 if table(parser.parse_args().suites) else 1)
