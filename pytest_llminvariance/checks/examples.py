"""The counter-example of a check: the nearest pair of presentations that differ, and what changed between them, in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from pytest_llminvariance.checks.evidence import Evidence
from pytest_llminvariance.checks.verdict import Example, Shown
from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.measures.metrics import (
    DELTA_NATS,
    flip,
)
from pytest_llminvariance.models.probes import Probe, ways_of
from pytest_llminvariance.questions.orders import inverse, kendall_distance
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.source import presentation_source, question_source
from pytest_llminvariance.transforms.differences import changed_parts, distance, layout_words
from pytest_llminvariance.transforms.edits import edit_words, n_edits


def nearest_pair(evidence: Sequence[Evidence], *, wants_change: bool = False) -> tuple[Evidence, int] | None:
    """Return a question and the index of its nearest presentation with a certainly different answer.

    With `wants_change` (an edit should have changed the answer) the answer certainly stayed the same.
    """
    found = []
    for place, item in enumerate(evidence):
        if not item.reached:
            continue
        ways = ways_of(item.plan.probes)
        first = ways.probes[0]
        for index in item.counted[1:]:
            other = ways.probes[index]
            if other.draw is not None and other.presentation == first.presentation:
                continue  # the same prompt, drawn again: no counter-example
            value = flip(item.answers[0], item.answers[index], item.delta_nats)
            if (1 - value.high) if wants_change else value.low:
                apart = ways.once(("apart", index), lambda probes, index=index: _distance(probes[0], probes[index]))  # type: ignore[misc]
                found.append((apart, place, index))
    nearest = min(found, default=None)
    return None if nearest is None else (evidence[nearest[1]], nearest[2])


def nearest_example(evidence: Sequence[Evidence], *, wants_change: bool) -> Example | None:
    """Return the presentation as written and the nearest with a certainly different answer; see `nearest_pair`."""
    pair = nearest_pair(evidence, wants_change=wants_change)
    if pair is None:
        return None
    item, index = pair
    first, second = item.plan.probes[0], item.plan.probes[index]
    example = make_example(first, item.answers[0], second, item.answers[index], item.delta_nats)
    return dataclasses.replace(example, source="") if wants_change else example


def make_example(
    first: Probe, before: AnswerDistribution, second: Probe, after: AnswerDistribution, delta_nats: float = DELTA_NATS
) -> Example:
    """Return the record of two presentations and their answers."""
    question, twice = first.presentation.question, first.presentation == second.presentation
    sides = [(first.presentation, before), (second.presentation, after)]
    written, other = (
        dataclasses.replace(
            shown(p, answer, delta_nats), source=presentation_source(p, known_as=(question, "question"))
        )
        for p, answer in sides
    )
    return Example(
        question=question.name,
        stem=question.stem,
        change=_change(first, second),
        distance=_distance(first, second),
        before=written,
        after=other,
        source="" if twice or first.readout != second.readout else question_source(question),
        context=question.context or "",
    )


def shown(presentation: Presentation, answer: AnswerDistribution, delta_nats: float = DELTA_NATS) -> Shown:
    """Return a presentation and its answer as content and as shown."""
    outcomes = sorted(answer.outcomes(delta_nats))
    chosen = [content for content in outcomes if content >= 0]
    label: str | None = None
    if not answer.is_known or not chosen:
        text = {
            "unfinished": "an unfinished answer",
            "unparsed": "no readable answer",
            "missing": "no answer",
            "refused": "a refusal",
        }.get(answer.status, "no option")
    elif len(chosen) > 1:
        text = "a tie of " + " and ".join(presentation.question.options[content] for content in chosen)
    else:
        text = presentation.question.options[chosen[0]]
        label = presentation.label_of(chosen[0]) if presentation.shows_labels else None
    return Shown(
        stem=presentation.question.stem,
        options=presentation.render_options(),
        order=presentation.order,
        template=presentation.template.shown_name,
        answer=text,
        answer_label=label,
        prompt="\n".join(message.content for message in presentation.render()),
    )


def change_words(a: Presentation, b: Presentation) -> str:
    """Say in words what turns one presentation into another: `swap A and B`."""
    return _change(Probe(a), Probe(b))


def _distance(first: Probe, second: Probe) -> tuple[int, int]:
    """Return (changed parts, adjacent swaps)."""
    changed, swaps = distance(first.presentation, second.presentation)
    more_edits = max(0, n_edits(first.presentation.question, second.presentation.question) - 1)
    return changed + more_edits + (first.readout != second.readout), swaps


def _change(first: Probe, second: Probe) -> str:
    """Say in words what turns the first presentation into the second."""
    a, b = first.presentation, second.presentation
    words = []
    changed = changed_parts(a, b)
    if "question" in changed:
        words.append(edit_words(a.question, b.question))
    if first.readout != second.readout:
        words.append(f"read {second.readout} instead of {first.readout}")
    if a.template != b.template:
        words.append(f"ask with {b.template.shown_name!r} instead of {a.template.shown_name!r}")
    if "labels" in changed:
        words.append(f"label {', '.join(b.labels)} instead of {', '.join(a.labels)}")
    if "layout" in changed:
        words.append(layout_words(a.layout, b.layout))
    if a.shots != b.shots:
        same = set(a.shots) == set(b.shots)
        words.append("show the worked examples in another order" if same else "show other worked examples")
    if a.turns != b.turns:
        words.append(f"ask again after {len(b.turns)} more turns" if not a.turns else "say something else in between")
    if a.order != b.order:
        words.append(_order_change(a, b))
    return ", and ".join(words) or "ask again"


def _order_change(a: Presentation, b: Presentation) -> str:
    names = a.labels if a.shows_labels else tuple(f"no. {position + 1}" for position in range(len(a.order)))
    moved = [position for position, content in enumerate(b.order) if a.order[position] != content]
    if kendall_distance(a.order, b.order) == 1:
        return f"swap {names[moved[0]]} and {names[moved[1]]}"
    if b.order == a.order[::-1]:
        return "reverse the options"
    back = inverse(a.order)
    return "show " + ", ".join(names[back[content]] for content in b.order) + " in this order"
