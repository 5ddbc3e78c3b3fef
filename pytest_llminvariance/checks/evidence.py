"""From replies to numbers: answers by content, the metric of each question, and the effect of a suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_llminvariance.checks.foreign_stems import could_move
from pytest_llminvariance.checks.properties.base import Plan
from pytest_llminvariance.checks.sheet import Sheet
from pytest_llminvariance.checks.verdict import Decision, Guard, Verdict
from pytest_llminvariance.measures.betting import Bounds
from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.measures.metrics import (
    DELTA_NATS,
    METRICS,
    UNKNOWN,
    Interval,
    Metric,
    Number,
    mean_interval,
)
from pytest_llminvariance.measures.reading import read_reply
from pytest_llminvariance.models.protocol import Reply
from pytest_llminvariance.questions.presentation import Presentation


@dataclass(frozen=True, slots=True)
class Evidence:
    """One question, everything planned for it, and what came back."""

    plan: Plan
    answers: tuple[AnswerDistribution, ...]
    sent: tuple[str, ...]
    reached: bool
    """False where the transform never reached the model, so that its answers say nothing."""
    delta_nats: float = DELTA_NATS
    """Log-probabilities closer than this are a tie: the engine's own noise."""
    foreign: tuple[tuple[AnswerDistribution, ...], ...] = ()
    """Answers under foreign stems: by stem, then by draw."""
    stems: tuple[Presentation, ...] = ()
    """The question's presentation under each of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Everything that came back for one check, each question measured once, and where the asking ended."""

    evidence: tuple[Evidence, ...]
    values: tuple[Interval, ...]
    """The metric of each question."""
    moves: tuple[Interval, ...]
    """How far each question's answer moves under foreign stems; empty where no response is needed."""
    could: tuple[Number, ...]
    """How far a model that is always right would move."""
    decision: Decision
    verdict: Verdict | None = None
    """What a test has shown at its risk; `None` where everything was asked, so that numbers decide."""
    reasons: tuple[str, ...] = ()
    responsive: Bounds | None = None
    """Bounds of the movement under foreign stems; `None` where all of it was asked, or none."""
    answered_for: bool = True
    """False where the movement under foreign stems is not shown to be large enough."""
    samples: int = 1
    tokens: int = 0
    """Of all distinct prompts, whether or not they were remembered."""
    runtime: tuple[Guard, ...] = ()
    """Guards on the engine: noise between batches, and drift while it was asked."""


def read(sheet: Sheet, number: int, row: Sequence[Reply], foreign_replies: Sequence[Reply]) -> Evidence:
    """Take the replies to one plan of a sheet back to contents, in the run and from a record alike."""
    plan, n = sheet.plans[number], sheet.samples
    answers = tuple(
        read_reply(reply, probe.presentation, probe.readout or sheet.readout)
        for probe, reply in zip(plan.probes, row, strict=True)
    )
    stems = sheet.foreign[number] if sheet.foreign else ()
    foreign = tuple(
        tuple(read_reply(reply, shown, sheet.readout) for reply in foreign_replies[place * n : (place + 1) * n])
        for place, shown in enumerate(stems)
    )
    sent = tuple(reply.sent_sha256 for reply in row)
    known = [digest for digest in sent if digest]
    reached = not sheet.must_differ[number] or len(set(known)) >= 2 or len(known) < 2
    return Evidence(plan, answers, sent, reached, sheet.delta_nats, foreign, stems)


def measure_questions(evidence: Sequence[Evidence], metric: Metric) -> tuple[Interval, ...]:
    """Return the metric of each question; what did not reach the model may be anything."""
    return tuple(
        metric.measure(item.answers, item.plan.question.keyed_scores, item.delta_nats)
        if item.reached and len(item.answers) > 1
        else UNKNOWN
        for item in evidence
    )


PAIRWISE = {"position_bias": "flip_rate", "unchanged": "flip_rate", "trait_shift": "score_gap"}
"""What compares two answers in the units of a metric that pools, or turns round, what it compares."""


def movements(
    evidence: Sequence[Evidence], metric: Metric, samples: int
) -> tuple[tuple[Interval, ...], tuple[Number, ...]]:
    """Return how far each question's answer moves under foreign stems, and how far that of a perfect model would."""
    pairwise = METRICS[PAIRWISE[metric.name]] if metric.name in PAIRWISE else metric
    moves = tuple(
        mean_interval(
            [
                pairwise.measure((*item.answers[:samples], *answers), item.plan.question.keyed_scores, item.delta_nats)
                for answers in item.foreign
            ]
        )
        for item in evidence
    )
    return moves, tuple(could_move(item.plan.question, item.stems, pairwise, samples) for item in evidence)


def all_answers(evidence: Sequence[Evidence], metric: Metric, note: str, *, needs_response: bool) -> Answers:
    """Return what came back where everything was asked, measured."""
    n = len(evidence)
    moves, could = movements(evidence, metric, 1) if needs_response else ((), ())
    return Answers(
        evidence=tuple(evidence),
        values=measure_questions(evidence, metric),
        moves=moves,
        could=could,
        decision=Decision(method="exhaustive", alpha=0.0, n=n, n_planned=n, note=note),
    )
