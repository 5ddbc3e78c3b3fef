"""Guards: conditions without which a number means nothing. Each prints its number.

A guard never touches BROKEN unless the answers themselves are worthless; most of them withhold HOLDS.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

from pytest_llminvariance.checks.evidence import Evidence
from pytest_llminvariance.checks.properties import Plan
from pytest_llminvariance.checks.verdict import Guard
from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.measures.metrics import METRICS, Interval, Metric, Number, mean_interval
from pytest_llminvariance.measures.noise import MIN_PAIRS, NoiseFloor
from pytest_llminvariance.models.protocol import LabelReply, MissingReply, Model, OptionReply, Reply, TextReply
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question

MIN_FOREIGN = 12
"""Foreign stems asked in all, at least: with fewer, a fixed answer could agree by accident."""
MIN_MOVEMENT = Fraction(1, 10)
MAX_DRIFT_NATS = 0.1
MIN_MASS = 0.5
GUESSING_RISK = 0.05
"""Chance that a model which guesses passes for one that knows; above the mean alone it would be a half."""

Foreign = Sequence[Sequence[AnswerDistribution]]
"""Answers under foreign stems to one question: by stem, then by draw."""

DONORS: tuple[Question, ...] = tuple(
    Question(stem, ("yes", "no"))
    for stem in (
        "Which of these would you rather find in a kitchen?",
        "Which of these would surprise a child the most?",
        "Which of these is mentioned more often in old letters?",
        "Which of these is hardest to draw from memory?",
        "Which of these would be the odd one out in a museum?",
        "Which of these costs the least to replace?",
        "Which of these would a sailor have to know?",
        "Which of these is most likely to be forgotten?",
        "Which of these sounds best when shouted?",
        "Which of these would fit on a postage stamp?",
        "Which of these would you explain last to a visitor?",
        "Which of these changes the most between summer and winter?",
    )
)
"""Stems for suites with few questions of their own; their options are never used."""


class ForeignStems:
    """The stems of other questions, to ask each question's options under.

    Others are the next in a seeded cycle through the suite (a derangement), then packaged donors where the
    suite is small; together at least 12 over the suite.
    """

    def __init__(self, questions: Sequence[Question], seed: int) -> None:
        self._cycle = sorted(questions, key=lambda q: hashlib.sha256(f"{seed}|{q.content_hash}".encode()).digest())
        self._place = {question.content_hash: index for index, question in enumerate(self._cycle)}
        self._each = math.ceil(MIN_FOREIGN / len(questions))

    def under(self, plan: Plan) -> tuple[Presentation, ...]:
        """Return the plan's presentation as written under foreign stems."""
        start, about = self._place[plan.question.content_hash], (plan.question.stem, plan.question.context)
        distinct: dict[tuple[str, str | None], None] = {}
        for other in self._others(start):
            if len(distinct) == self._each:
                break
            if (other.stem, other.context) != about:
                distinct[other.stem, other.context] = None
        return tuple(_under(plan.probes[0].presentation, stem, context) for stem, context in distinct)

    def _others(self, start: int) -> Iterator[Question]:
        n = len(self._cycle)
        yield from (self._cycle[(start + step) % n] for step in range(1, n))
        yield from DONORS


def _under(shown: Presentation, stem: str, context: str | None) -> Presentation:
    if "context" not in shown.template.fields:
        context = None
    return shown.replace(question=shown.question.under(Question(stem, shown.question.options, context=context)))


def movements(parts: Sequence[tuple[Evidence, Foreign]], metric: Metric, samples: int) -> list[Interval]:
    """Return how far each question's answer moves under foreign stems, by the metric where it compares two answers."""
    measure = (METRICS["flip_rate"] if metric.pooled or metric.name == "unchanged" else metric).measure
    return [
        mean_interval(
            [
                measure((*item.answers[:samples], *answers), item.plan.question.keyed_scores, item.delta_nats)
                for answers in foreign
            ]
        )
        for item, foreign in parts
    ]


def movement_bound(tolerance: Fraction) -> Fraction:
    """Return what another stem must move the answer by: more than max(0.10, twice the tolerance)."""
    return max(MIN_MOVEMENT, 2 * tolerance)


def responsiveness(moved: Number, bound: Fraction, *, passed: bool, at_least: bool = False) -> Guard:
    """Require that another stem moves the answer by more than the bound. Ties do not count as movement.

    `moved` is the mean over all questions, or with `at_least` its lower bound where not all were asked.
    """
    amount = f"{'at least ' if at_least else ''}{float(moved):.2g}"
    says = f"under another question's stem the answer moves by {amount} (must exceed {float(bound):.2g})"
    bad = (
        f"that the model reads the question is not shown: {says}"
        if at_least
        else f"the model hardly reads the question: {says}"
    )
    return Guard(name="responsive", passed=passed, text=says if passed else bad)


def reply_guards(evidence: Sequence[Evidence], *, of_engine: bool = False) -> list[Guard]:
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
    known = [] if of_engine else [_accuracy(evidence)]
    return [planned, *_reached(evidence), _mass(evidence), _preference(evidence), *known]


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
    known = [digest for item in evidence for digest, answer in zip(item.sent, item.answers, strict=True) if answer.status != "missing"]
    silent = sum(not digest for digest in known)
    if not silent:
        return []
    says = f"whether the transform reached the model is not checked: {silent:,} of {len(known):,} answers do not say what was sent (sent_sha256)"
    return [Guard(name="reached", passed=False, text=says)]


def _mass(evidence: Sequence[Evidence]) -> Guard:
    masses = [answer.mass for item in evidence for answer in item.answers if answer.mass is not None]
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


def inside_frame(plan: Plan, model: Model) -> bool:
    """Return whether invariance holds by construction for this plan: every order lies in the model's frame."""
    frame_orders = getattr(model, "frame_orders", None)
    if frame_orders is None:
        return False
    first = plan.probes[0].presentation
    same = all(probe.presentation.replace(order=first.order) == first for probe in plan.probes)
    return same and {probe.presentation.order for probe in plan.probes} <= set(frame_orders(len(first.order)))


def noise_guard(found: NoiseFloor) -> Guard:
    """Require that the same prompt's margin moves by at most 0.1 nat between batches."""
    passed = not found.margin_max_nats > MAX_DRIFT_NATS
    bad = f"the engine is too noisy: {found} (at most {MAX_DRIFT_NATS:g}). Use dtype='float32'"
    return Guard(name="noise", passed=passed, text=str(found) if passed else bad, blocks="both")


def replicates_guard(n_pairs: int) -> Guard:
    """Require enough pairs to know the largest change between batches."""
    says = f"{n_pairs} replicate pairs (at least {MIN_PAIRS})"
    passed = n_pairs >= MIN_PAIRS
    return Guard(name="replicates", passed=passed, text=says if passed else f"{says}: give more questions or batches")


def sentinel_guard(before: Sequence[Reply], after: Sequence[Reply]) -> Guard:
    """Require that prompts asked again at the end get the answer that they got before."""
    drift = max((_drift(a, b) for a, b in zip(before, after, strict=True)), default=0.0)
    says = f"{len(after)} prompts asked again moved by at most {drift:.2g} nat (at most {MAX_DRIFT_NATS:g})"
    passed = drift <= MAX_DRIFT_NATS
    return Guard(
        name="drift",
        passed=passed,
        text=says if passed else f"the model changed while it was asked: {says}",
        blocks="both",
    )


def _drift(one: Reply, other: Reply) -> float:
    if isinstance(one, TextReply) and isinstance(other, TextReply):
        return 0.0 if one.text == other.text else math.inf
    if isinstance(one, MissingReply) or isinstance(other, MissingReply):
        return 0.0 if type(one) is type(other) else math.inf
    assert isinstance(one, LabelReply | OptionReply) and isinstance(other, LabelReply | OptionReply)  # noqa: S101, PT018
    gaps = [0.0 if a == b else abs(a - b) for a, b in zip(one.logprobs_nats, other.logprobs_nats, strict=True)]
    return max(gaps)
