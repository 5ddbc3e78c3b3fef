"""From answers to a finding: the effect of a suite, counts, guards, the verdict and the example. Nothing is asked."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from fractions import Fraction
from typing import Any

from pytest_llminvariance.checks.evidence import Answers, Evidence
from pytest_llminvariance.checks.examples import nearest_example
from pytest_llminvariance.checks.guards import MIN_MASS, guards_of
from pytest_llminvariance.checks.properties.base import Pooled, Property
from pytest_llminvariance.checks.responses import Responses
from pytest_llminvariance.checks.verdict import WITHIN_NOISE, Finding, QuestionEffect, Verdict, decide
from pytest_llminvariance.measures.distribution import AnswerDistribution, mean_mass
from pytest_llminvariance.measures.likert import KEPT, kept
from pytest_llminvariance.measures.metrics import (
    DELTA_NATS,
    UNKNOWN,
    Ends,
    Interval,
    Metric,
    Pairs,
    mean_interval,
    position_bias,
    position_shares,
    score_ends,
    trait_shift,
)
from pytest_llminvariance.measures.movement import bound_of_movement
from pytest_llminvariance.measures.noise import Limits, limits
from pytest_llminvariance.models.probes import Probe, ways_of
from pytest_llminvariance.questions.orders import Order
from pytest_llminvariance.questions.question import whole_names

COUNTS = ("flip_rate", "disagreement", "position_bias", "unchanged")
"""Metrics that count answers, so that noise opens them only where it opens an answer."""


def judged(answers: Answers, property: Property, metric: Metric, limit: Fraction, known: Mapping[str, Any]) -> Finding:
    """Return the finding; `known` is what it says that no answer tells."""
    if answers.effect is None:
        answers = with_effect(answers, property, metric)
    assert answers.effect is not None  # noqa: S101 - it was computed just now
    evidence, effect, own = answers.evidence, answers.effect, answers.own
    causes = Counter(cause for item in evidence for cause in causes_of(item))
    n_answers = sum(len(item.answers) for item in evidence)
    seen = evidence if answers.samples == 1 else tuple(majority(item, answers.samples) for item in evidence)
    numbers: dict[str, Any] = {
        "count": count_words(evidence, metric) if own is None else own.count,
        "per_question": per_question(*_by_question(evidence, answers.values)),
        "details": _details(evidence, seen, effect, answers.samples) | _own_details(own) | _noise_details(answers),
    }
    sure, shown = _told(answers, effect)
    n, n_shown = known["questions_planned"], known["presentations_planned"]
    ends, noise = _ends(answers, metric, limit, n, n_shown), str(answers.noise or "")
    guards = [*guards_of(answers, property, limit), *(() if own is None else own.guards)]
    verdict, reasons = decide(sure, limit, guards, causes, n_answers, shown, ends=ends, noise=noise)
    if verdict is Verdict.UNDECIDED and (noisy := _open_by_noise(answers, metric, limit)):
        reasons = (*reasons, _what_noise_decides(noisy))
    if verdict is Verdict.UNDECIDED:
        told = [guard.text for guard in guards if guard.name == "answered" and guard.text not in reasons]
        reasons = (*answers.reasons, *reasons, *told)
    return Finding(
        **{**numbers, **known},
        metric=metric.name,
        effect=effect,
        tolerance=limit,
        verdict=verdict,
        reasons=reasons,
        questions_asked=len({item.plan.question.content_hash for item in evidence}),
        presentations_asked=n_answers,
        example=nearest_example(seen, wants_change=metric.name == "unchanged"),
        guards=tuple(guards),
        decision=answers.decision,
        cells=() if own is None else tuple(cell.decided(limit, ends) for cell in own.cells),
    )


def responded(
    answers: Answers,
    responses: Responses,
    property: Property,
    metric: Metric,
    limit: Fraction,
    n_questions: int,
    n_shown: int,
    *,
    always: bool = False,
) -> Answers:
    """Return the answers with what they come to, and how far they move under foreign stems where HOLDS is still possible.

    These are asked after all others; where a test has decided, it has asked what it needs. A run that is compared with a
    baseline asks `always`, as a model that has stopped to read the question is worse.
    """
    answers = dataclasses.replace(with_effect(answers, property, metric), moves=(), could=())
    effect = None if answers.effect is None else answers.effect.high
    most = bound_of_movement(limit, effect, needed=property.needs_response)
    if most is None or not (always or _may_hold(answers, metric, limit, n_questions, n_shown)):
        return answers
    return responses.answered(answers, most)


def _may_hold(answers: Answers, metric: Metric, limit: Fraction, n_questions: int, n_shown: int) -> bool:
    """Return whether HOLDS is still possible where everything planned was asked, so that what only HOLDS needs is worth asking.

    What is asked again at the end can only widen or narrow what noise explains, so a noisy model may hold until it is BROKEN.
    """
    mass = mean_mass(mass for item in answers.evidence for mass in item.masses)
    if answers.effect is None or (mass is not None and mass < MIN_MASS):
        return False
    start = dataclasses.replace(
        answers, noise=answers.noise and dataclasses.replace(answers.noise, all=answers.noise.start)
    )
    ends = _ends(start, metric, limit, n_questions, n_shown)
    return answers.effect.low <= ends.broken_above if answers.noise else answers.effect.high <= ends.holds_within


def with_effect(answers: Answers, property: Property, metric: Metric) -> Answers:
    """Return the answers with what they come to: a property's own number where it has one, and the value of each question."""
    if metric.own and property.own is not None:
        own = property.pool(answers.evidence, answers.decision.alpha if answers.decision.is_interval else None)
        return dataclasses.replace(answers, own=own, effect=own.effect, values=tuple(own.values))
    effect = pooled_effect(answers.evidence, metric) if metric.pooled else mean_interval(answers.values)
    return dataclasses.replace(answers, effect=effect)


def _own_details(own: Pooled | None) -> dict[str, Any]:
    """Return what a property's own number says besides its effect."""
    if own is None:
        return {}
    return {"estimates": {name: found.to_json() for name, found in own.estimates.items()}, **own.details}


def _open_by_noise(answers: Answers, metric: Metric, limit: Fraction) -> list[Evidence]:
    """Return the questions of which noise leaves something open, where that leaves the verdict open: an answer, or numbers."""
    effect, found = answers.effect, list[Evidence]()
    if effect is None or not effect.low <= limit < effect.high:
        return found
    moves = metric.name not in COUNTS
    for item, value in zip(answers.evidence, answers.values, strict=True):
        causes = causes_of(item)
        is_wide = moves and not causes and item.delta_nats > DELTA_NATS and value.low < value.high
        if WITHIN_NOISE in causes or is_wide:
            found.append(item)
    return found


def _what_noise_decides(evidence: Sequence[Evidence]) -> str:
    names = list(dict.fromkeys(item.plan.question.name for item in evidence))
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    nats = max(item.delta_nats for item in evidence)
    return (
        f"noise of {nats:.2g} nat decides {', '.join(names[:5])}{more}: float32 is less noisy than 16 bits (--invariance-dtype=float32)"
    )  # fmt: skip


def _ends(answers: Answers, metric: Metric, limit: Fraction, n_questions: int, n_shown: int) -> Limits:
    """Return the tolerance as far as noise leaves it certain."""
    found = None if answers.noise is None else answers.noise.all
    return limits(limit, metric.name, found, n_questions, n_shown / n_questions)


def _told(answers: Answers, effect: Interval) -> tuple[Interval, Verdict | None]:
    """Return what decides: the effect, or what a test has shown; where noise is allowed for, the test's bounds."""
    decision = answers.decision
    if answers.noise is None or answers.verdict in (None, Verdict.UNDECIDED) or decision.lower is None:
        return effect, answers.verdict
    assert decision.upper is not None  # noqa: S101 - both or none
    return Interval(decision.lower, decision.upper), None


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


def _details(evidence: Sequence[Evidence], seen: Sequence[Evidence], effect: Interval, samples: int) -> dict[str, Any]:
    same = {
        "question_hashes": tuple(dict.fromkeys(item.plan.question.content_hash for item in evidence)),
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


def _noise_details(answers: Answers) -> dict[str, Any]:
    noise = answers.noise
    return {} if noise is None else {"noise": {"start": asdict(noise.start), "all": asdict(noise.all)}}


def readings(evidence: Sequence[Evidence]) -> Mapping[str, int]:
    """Count how texts were read, by language and rule; empty where no answer is a text."""
    counts = Counter(answer.reading for item in evidence for answer in item.answers if answer.reading)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def causes_of(item: Evidence) -> tuple[str, ...]:
    """Return why answers are open, one entry per open answer."""
    if not item.reached:
        return ("not reached",) * len(item.answers)
    open_answers = [answer for answer in item.compared if len(answer.outcomes(item.delta_nats)) > 1]
    return tuple(
        answer.contradiction or (_tie(answer) if answer.is_known else answer.status) for answer in open_answers
    )


def _tie(answer: AnswerDistribution) -> str:
    return "tie" if len(answer.outcomes(DELTA_NATS)) > 1 else WITHIN_NOISE


def per_question(evidence: Sequence[Evidence], values: Sequence[Interval]) -> tuple[QuestionEffect, ...]:
    """Return the record of each question's effect."""
    return tuple(
        QuestionEffect(
            question=item.plan.question.name,
            low=float(value.low),
            high=float(value.high),
            presentations=len(item.answers),
            causes=tuple(sorted(set(causes_of(item)))),
        )
        for item, value in zip(evidence, values, strict=True)
    )


def pooled_effect(evidence: Sequence[Evidence], metric: Metric) -> Interval:
    """Return `position_bias` or `trait_shift` over all questions; open answers widen it."""
    if metric.name == "trait_shift":
        return _trait_shift(evidence)
    rows, n_open = _rows_by_k(evidence)
    n = sum(len(part) for part in rows.values()) + n_open
    if not rows:
        return UNKNOWN
    value = position_bias(rows)
    return Interval(max(0.0, value - n_open / n), min(1.0, value + n_open / n))


def _rows_by_k(evidence: Sequence[Evidence]) -> tuple[Mapping[int, list[tuple[float, ...]]], int]:
    """Return mass by position of balanced probes, by number of options, and how many answers are open.

    Where the same bytes were sent for several orders, nobody knows which position was chosen.
    """
    counts: Counter[tuple[tuple[float, ...] | None, Order]] = Counter()
    for item in evidence:
        twice, probes = {item.sent[index] for index in item.repeats}, ways_of(item.plan.probes).probes
        counts.update(
            (None if twice and item.sent[index] in twice else item.answers[index].parts(item.delta_nats), probes[index].presentation.order)
            for index in item.plan.balanced or ()
        )  # fmt: skip
    rows: dict[int, list[tuple[float, ...]]] = {}
    n_open = 0
    for (parts, order), n in counts.items():
        if not parts or not any(parts):
            n_open += n
        else:
            rows.setdefault(len(order), []).extend([tuple(parts[content] for content in order)] * n)
    return rows, n_open


def _trait_shift(evidence: Sequence[Evidence]) -> Interval:
    by_trait: dict[str, list[list[Ends]]] = {}
    spans = []
    again = frozenset.intersection(*(item.repeats for item in evidence))  # a form sent as the bytes of another is none
    for item in evidence:
        question = item.plan.question
        if (scores := question.keyed_scores) is None:
            return UNKNOWN
        spans.append(max(scores) - min(scores))
        row = [
            score_ends(answer, scores, item.delta_nats, known=item.reached and index not in item.repeats)
            for index, answer in enumerate(item.answers)
            if index not in again
        ]
        by_trait.setdefault(str(question.attributes.get("trait")), []).append(row)
    return trait_shift(by_trait, max(spans))


def choice_shares(evidence: Sequence[Evidence]) -> tuple[float, ...] | None:
    """Return the share of choices at each position where the plan is balanced and all questions have as many options."""
    if any(item.plan.balanced is None for item in evidence):
        return None
    rows, _ = _rows_by_k(evidence)
    return position_shares(next(iter(rows.values()))) if len(rows) == 1 else None


def expected_scores(evidence: Sequence[Evidence]) -> Mapping[str, tuple[float | None, ...]] | None:
    """Return expected scores as printed (before re-keying), by question and probe, where all questions have scores.

    `Questionnaire.trait_scores` and `acquiescence_index` take one value per item from here.
    """
    rows: list[tuple[float | None, ...]] = []
    for item in evidence:
        scores = item.plan.question.scores
        if scores is None:
            return None
        rows.append(tuple(answer.expected_score(scores) if answer.is_known else None for answer in item.answers))
    return dict(zip(whole_names([item.plan.question for item in evidence]), rows, strict=True))


def kept_under_reversal(evidence: Sequence[Evidence]) -> Mapping[str, int] | None:
    """Count what a reversal of the options left in place: the content, the position, both, or neither.

    The middle of an odd scale keeps both, so it says nothing about either; open answers are `other`.
    `None` where no presentation is the reverse of another.
    """
    counts = dict.fromkeys(KEPT, 0)
    pairs: Counter[tuple[Order, frozenset[int], frozenset[int]]] = Counter()
    for item in evidence:
        ways, delta = ways_of(item.plan.probes), item.delta_nats
        found = _turned(ways.probes, item.counted) if item.repeats else ways.once("turned", _turned)
        for order, index, turned in found:
            pairs[order, item.answers[index].outcomes(delta), item.answers[turned].outcomes(delta)] += 1
    for (order, first, second), n in pairs.items():
        counts[kept(order, first, second)] += n
    return counts if any(counts.values()) else None


def _turned(probes: Sequence[Probe], counted: Sequence[int] | None = None) -> list[tuple[Order, int, int]]:
    """Return the probes that are shown with their options reversed later: their order, their number and the later one's."""
    numbers = range(len(probes)) if counted is None else counted
    found = {probes[n].presentation.parts: n for n in numbers if probes[n].readout is None}
    both = ((parts[0], n, found.get((parts[0][::-1], *parts[1:]))) for parts, n in found.items())
    return [(order, n, turned) for order, n, turned in both if turned is not None and n < turned]


def count_words(evidence: Sequence[Evidence], metric: Metric) -> str:
    """Return certain changes as counts, `9 of 23 other presentations`; empty where the metric is no share."""
    if not metric.unit:
        return ""
    changed = total = 0
    for item in evidence:
        count = Pairs.of if metric.name == "disagreement" else Pairs.with_first
        pairs = count(item.compared, item.delta_nats)
        if item.reached:
            changed += pairs.total - pairs.may_differ if metric.name == "unchanged" else pairs.differ
        total += pairs.total
    return f"{changed:,} of {total:,} {metric.unit}"


def majority(item: Evidence, samples: int) -> Evidence:
    """Return the evidence with one answer a presentation: what most of its draws say, unreadable where they tie."""
    probes, answers = [], []
    for start in range(0, len(item.answers), samples):
        if start in item.repeats:
            continue
        row = item.answers[start : start + samples]
        counts = Counter(answer.probabilities.index(1.0) for answer in row if answer.status == "chosen")
        ranked = counts.most_common(2)
        clear = ranked and (len(ranked) == 1 or ranked[0][1] > ranked[1][1])
        k = row[0].k
        answers.append(
            AnswerDistribution.chosen(ranked[0][0], k) if clear else AnswerDistribution.nothing(k, "unparsed")
        )
        probes.append(dataclasses.replace(item.plan.probes[start], draw=None))
    plan = dataclasses.replace(item.plan, probes=tuple(probes))
    return dataclasses.replace(item, plan=plan, answers=tuple(answers), repeats=frozenset())
