"""Whether a model knows more than guessing gives: a guard for checks whose questions have known answers.

Each question counts once, by its answer as written. The answers to its other presentations say the same thing again: an
order-blind guesser is right in all orders of a question or in none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction

from pytest_llminvariance.checks.evidence import Evidence
from pytest_llminvariance.checks.verdict import Guard
from pytest_llminvariance.questions.question import Question, cluster_of

GUESSING_RISK = 0.05
"""Chance that a model which guesses passes for one that knows; above the mean alone it would be a half."""
MIN_KNOWN = 8
"""Known answers below which nothing is said: with two options, 7 of 8 are needed to tell knowing from guessing."""


def known_answers(questions: Iterable[Question], *, by_cluster: bool) -> int:
    """Return how many questions have a known answer; with `by_cluster`, how many clusters."""
    return len({_counted(question, by_cluster=by_cluster) for question in questions if question.answer is not None})


def _counted(question: Question, *, by_cluster: bool) -> str:
    return cluster_of(question) if by_cluster else question.content_hash


def accuracy_guard(evidence: Sequence[Evidence], *, by_cluster: bool = False) -> Guard:
    """Require more right answers than guessing gives in 19 of 20 suites, where at least 8 answers are known.

    One answer a question; with `by_cluster` one a cluster, that to the first of its questions.
    """
    from scipy.stats import binom

    hits: dict[str, bool] = {}
    chance = Fraction(0)
    for item in evidence:
        question, answer = item.plan.probes[0].presentation.question, item.answers[0]
        name = _counted(item.plan.question, by_cluster=by_cluster)
        if question.answer is not None and name not in hits:
            hits[name] = answer.outcomes(item.delta_nats) == {question.answer}
            chance += Fraction(1, answer.k)
    n, unit = len(hits), "clusters" if by_cluster else "questions"
    if n < MIN_KNOWN:
        why = (
            f"correct answers are known for {n} {unit} (at least {MIN_KNOWN})" if n else "no correct answers are known"
        )
        return Guard(name="accuracy", passed=None, text=f"accuracy not checked: {why}")
    rate, right = float(chance / n), sum(hits.values())
    needed = int(binom.isf(GUESSING_RISK, n, rate)) + 1
    says = f"accuracy {right / n:.2g}: {right} of {n} {unit} as written (chance {rate:.2g}, at least {needed})"
    passed = right >= needed
    return Guard(name="accuracy", passed=passed, text=says if passed else f"{says}: no better than guessing")
