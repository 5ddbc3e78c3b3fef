"""Guards: conditions without which a number means nothing. Each prints its number.

A guard never touches BROKEN unless the answers themselves are worthless; most of them withhold HOLDS.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction

from pytest_llminvariance.checks.evidence import Answers, Evidence
from pytest_llminvariance.checks.foreign_stems import Kinds, kinds
from pytest_llminvariance.checks.properties.base import Property
from pytest_llminvariance.checks.refusals import movement_bound, needed_movement
from pytest_llminvariance.checks.verdict import Guard
from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.measures.metrics import Number, mean_interval
from pytest_llminvariance.measures.noise import MIN_PAIRS
from pytest_llminvariance.questions.question import Bank

MIN_MASS = 0.5
MIN_TELLING = 4
"""Different questions of the suite that show a model to be blind: one alone may just be too hard."""
GUESSING_RISK = 0.05
"""Chance that a model which guesses passes for one that knows; above the mean alone it would be a half."""


def guards_of(answers: Answers, property: Property, limit: Fraction) -> list[Guard]:
    """Return all guards with their numbers."""
    found = [*reply_guards(answers.evidence, needs_accuracy=property.needs_accuracy), *answers.runtime]
    if property.batches:
        found.append(replicates_guard(len(answers.evidence) * property.batches))
    if (bound := movement_bound(property, limit)) is not None:
        found.append(_responsive(answers, bound))
    return found


def _responsive(answers: Answers, most: Fraction) -> Guard:
    evidence, n = answers.evidence, len(answers.could)
    need = sum(needed_movement(most, amount) for amount in answers.could) / n
    found = kinds([(item.plan.question, item.stems) for item in evidence])
    if answers.responsive is not None:
        lower = max(0.0, answers.responsive.lower - (most - need))
        return responsiveness(lower, need, passed=answers.answered_for, found=found, at_least=True)
    moved = mean_interval(answers.moves)
    is_shown = moved.high <= need and found.telling >= MIN_TELLING
    return responsiveness(moved.low, need, passed=moved.low > need, found=found, is_blind=is_shown)


def responsiveness(
    moved: Number, need: Number, *, passed: bool, found: Kinds, at_least: bool = False, is_blind: bool = False
) -> Guard:
    """Require that another stem moves the answer by more than is needed. Ties do not count as movement.

    `moved` is the mean over all questions, or with `at_least` its lower bound where not all were asked. `is_blind`:
    that it moves by more is ruled out, under stems that ask for another answer.
    """
    amount = f"{'at least ' if at_least else ''}{float(moved):.2g}"
    says = f"under another question's stem the answer moves by {amount} (must exceed {float(need):.2g})"
    if passed:
        return Guard(name="responsive", passed=True, text=says)
    not_shown = f"that the model reads the question is not shown: {says}; {found}"
    return Guard(
        name="responsive", passed=False, text=f"the model hardly reads the question: {says}" if is_blind else not_shown
    )


def reply_guards(evidence: Sequence[Evidence], *, needs_accuracy: bool = True) -> list[Guard]:
    """Return the guards that the check's own answers decide: something to compare, mass, preference, accuracy.

    A property of the engine alone says nothing of what the model knows, so it needs no accuracy.
    """
    planned = Guard(
        name="planned",
        passed=all(len(item.answers) > 1 for item in evidence),
        text="every question has something to compare"
        if all(len(item.answers) > 1 for item in evidence)
        else "nothing to compare: a question has fewer than two presentations",
        blocks="both",
    )
    known = [_accuracy(evidence)] if needs_accuracy else []
    answers = (answer for item in evidence for answer in item.answers)
    return [planned, *_reached(evidence), mass_guard(answers), _preference(evidence), *known]


def _reached(evidence: Sequence[Evidence]) -> list[Guard]:
    missed = sum(not item.reached for item in evidence)
    if not missed:
        return _told(evidence)
    says = f"the transform did not reach the model for {missed} of {len(evidence)} questions: the same prompt was sent each time"
    if missed == len(evidence):
        return [Guard(name="reached", passed=False, text=f"not applicable: {says}", blocks="both")]
    return [Guard(name="reached", passed=False, text=says)]


def _told(evidence: Sequence[Evidence]) -> list[Guard]:
    """Require that every answer says what was sent for it."""
    known = [
        digest
        for item in evidence
        for digest, answer in zip(item.sent, item.answers, strict=True)
        if answer.status != "missing"
    ]
    silent = sum(not digest for digest in known)
    if not silent:
        return []
    says = f"whether the transform reached the model is not checked: {silent:,} of {len(known):,} answers do not say what was sent (sent_sha256)"
    return [Guard(name="reached", passed=False, text=says)]


def mass_guard(answers: Iterable[AnswerDistribution]) -> Guard:
    """Require that answers name options, where the readout measures it."""
    masses = [answer.mass for answer in answers if answer.mass is not None]
    if not masses:
        return Guard(
            name="mass on options", passed=None, text="mass on options not checked: this readout does not measure it"
        )
    mean = math.fsum(masses) / len(masses)
    says = f"mean mass on the options {mean:.3f} (at least {MIN_MASS:g})"
    bad = f"{says}: most answers name no option. Use another template, labels or readout"
    return Guard(name="mass on options", passed=mean >= MIN_MASS, text=says if mean >= MIN_MASS else bad, blocks="both")


def _preference(evidence: Sequence[Evidence]) -> Guard:
    answers = [(answer, item.delta_nats) for item in evidence for answer in item.answers]
    decided = sum(len(answer.outcomes(delta)) == 1 for answer, delta in answers)
    says = f"{decided:,} of {len(answers):,} answers prefer one option"
    return Guard(name="preference", passed=decided > 0, text=says if decided else f"no preference at all: {says}")


def _accuracy(evidence: Sequence[Evidence]) -> Guard:
    """Require more correct answers than guessing gives in 19 of 20 suites, where correct answers are known."""
    from scipy.stats import binom

    hits = total = 0
    chance = Fraction(0)
    for item in evidence:
        for probe, answer in zip(item.plan.probes, item.answers, strict=True):
            correct = probe.presentation.question.answer
            if correct is not None:
                hits += answer.outcomes(item.delta_nats) == {correct}
                total += 1
                chance += Fraction(1, answer.k)
    if not total:
        return Guard(name="accuracy", passed=None, text="accuracy not checked: no correct answers are known")
    rate = float(chance / total)
    needed = (int(binom.isf(GUESSING_RISK, total, rate)) + 1) / total
    says = f"accuracy {hits / total:.2g} (chance {rate:.2g}, at least {needed:.2g})"
    if needed > 1:
        return Guard(name="accuracy", passed=False, text=f"{total} answers are too few to tell knowing from guessing")
    passed = hits / total >= needed
    return Guard(name="accuracy", passed=passed, text=says if passed else f"{says}: no better than guessing")


def rows_guard(bank: Bank) -> Guard:
    """Say how many rows of the questions' file were left out, and why the first was."""
    says = f"{len(bank.left_out)} of {len(bank.left_out) + len(bank)} rows were left out (bad_rows='skip'), first {bank.left_out[0]}"
    return Guard(name="rows left out", passed=None, text=says, blocks="nothing")


def replicates_guard(n_pairs: int) -> Guard:
    """Require enough pairs to know the largest change between batches."""
    says = f"{n_pairs} replicate pairs (at least {MIN_PAIRS})"
    passed = n_pairs >= MIN_PAIRS
    return Guard(name="replicates", passed=passed, text=says if passed else f"{says}: give more questions or batches")
