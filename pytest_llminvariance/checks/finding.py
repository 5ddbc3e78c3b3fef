"""From what came back to a finding: measure, guard and decide. Numbers only, nothing is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from pytest_llminvariance.checks.asking import Part, needs_response
from pytest_llminvariance.checks.evidence import (
    Evidence,
    choice_shares,
    count_words,
    effect_of,
    expected_scores,
    kept_under_reversal,
    majority,
    measure_questions,
    per_question,
    readings,
    tally,
)
from pytest_llminvariance.checks.examples import nearest_example
from pytest_llminvariance.checks.guards import movement_bound, movements, replicates_guard, reply_guards, responsiveness
from pytest_llminvariance.checks.properties import BatchAgreement, Property
from pytest_llminvariance.checks.stopping import Stopped
from pytest_llminvariance.checks.verdict import Decision, Finding, Guard, Verdict, decide
from pytest_llminvariance.measures.metrics import Interval, Metric, mean_interval


@dataclass(frozen=True, slots=True)
class Answers:
    """Everything that came back for one check, and where the asking ended."""

    parts: tuple[Part, ...]
    tokens: int
    runtime: tuple[Guard, ...]
    """Guards on the engine: noise between batches, and drift while it was asked."""
    decision: Decision
    stopped: Stopped | None = None
    samples: int = 1
    planned: Mapping[str, int] = field(default_factory=dict)
    """How many questions and presentations were planned."""

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """The answers to the plans that were counted."""
        return tuple(part.evidence for part in self.parts)


def judged(answers: Answers, made: Property, metric: Metric, limit: Fraction, known: Mapping[str, Any]) -> Finding:
    """Return the finding."""
    evidence, values = answers.evidence, measure_questions(answers.evidence, metric)
    effect = effect_of(evidence, metric, values)
    guards = guards_of(answers, made, metric, limit)
    causes, n_answers = tally(evidence)
    stopped = answers.stopped
    verdict, reasons = decide(effect, limit, guards, causes, n_answers, None if stopped is None else stopped.verdict)
    if verdict is Verdict.UNDECIDED and stopped is not None:
        reasons = (*stopped.reasons, *reasons)
    seen = evidence if answers.samples == 1 else tuple(majority(item, answers.samples) for item in evidence)
    return Finding(
        **known,
        metric=metric.name,
        effect=effect,
        tolerance=limit,
        verdict=verdict,
        reasons=reasons,
        count=count_words(evidence, metric),
        questions_asked=len({item.plan.question.content_hash for item in evidence}),
        questions_planned=answers.planned.get("questions", len(evidence)),
        presentations_asked=n_answers,
        presentations_planned=answers.planned.get("presentations", n_answers),
        tokens=answers.tokens,
        example=nearest_example(seen, wants_change=metric.name == "unchanged"),
        per_question=per_question(*_by_question(evidence, values)),
        guards=tuple(guards),
        details=_details(evidence, seen, effect, answers.samples),
        decision=answers.decision,
    )


def guards_of(answers: Answers, made: Property, metric: Metric, limit: Fraction) -> list[Guard]:
    """Return all guards with their numbers."""
    found = [*reply_guards(answers.evidence, of_engine=isinstance(made, BatchAgreement)), *answers.runtime]
    if isinstance(made, BatchAgreement):
        found.append(replicates_guard(len(answers.parts) * made.batches))
    if needs_response(made):
        found.append(_responsive(answers, metric, movement_bound(limit)))
    return found


def _responsive(answers: Answers, metric: Metric, bound: Fraction) -> Guard:
    stopped = answers.stopped
    if stopped is not None and stopped.responsive is not None:
        return responsiveness(stopped.responsive.lower, bound, passed=stopped.answered_for, at_least=True)
    pairs = [(part.evidence, part.foreign) for part in answers.parts]
    moved = mean_interval(movements(pairs, metric, answers.samples)).low
    return responsiveness(moved, bound, passed=moved > bound)


def _by_question(
    evidence: Sequence[Evidence], values: Sequence[Interval]
) -> tuple[Sequence[Evidence], Sequence[Interval]]:
    """Return one item a question: where one was drawn several times, the mean over its draws."""
    rows: dict[str, list[int]] = {}
    for index, item in enumerate(evidence):
        rows.setdefault(item.plan.question.content_hash, []).append(index)
    if len(rows) == len(evidence):
        return evidence, values
    firsts = [evidence[places[0]] for places in rows.values()]
    return firsts, [mean_interval([values[place] for place in places]) for places in rows.values()]


def _details(
    evidence: Sequence[Evidence], seen: Sequence[Evidence], effect: Interval, samples: int
) -> Mapping[str, Any]:
    same = {
        "question_hashes": tuple(item.plan.question.content_hash for item in evidence),
        "template_sha256": evidence[0].plan.probes[0].presentation.template.content_hash,
        **({"readings": read} if (read := readings(evidence)) else {}),
    }
    if samples == 1:
        return {
            **same,
            "position_shares": choice_shares(evidence),
            "expected_scores": expected_scores(evidence),
            "kept_under_reversal": kept_under_reversal(evidence),
        }
    others = [(item.answers[0], answer) for item in seen for answer in item.answers[1:]]
    decided = [pair for pair in others if all(answer.is_known for answer in pair)]
    flips = sum(a.probabilities.index(1.0) != b.probabilities.index(1.0) for a, b in decided)
    return {
        **same,
        "root_of_excess": max(0.0, float(effect.low)) ** 0.5,
        "majority_flips": flips,
        "majority_pairs": len(decided),
    }
