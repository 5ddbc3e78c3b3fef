"""The example of a failure's message: the nearest one that fails in the same way, and what was enough for it.

Asks more presentations than a check plans or a test draws, within a budget. They never enter a rate.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field

from pytest_llminvariance.checks.check import Measured
from pytest_llminvariance.checks.evidence import Evidence
from pytest_llminvariance.checks.examples import nearest_pair
from pytest_llminvariance.checks.properties.base import Property
from pytest_llminvariance.checks.run import Run, current_run
from pytest_llminvariance.checks.verdict import Example, Finding
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.models.engine import Memo
from pytest_llminvariance.models.keys import owner_of
from pytest_llminvariance.models.protocol import Model, request_for
from pytest_llminvariance.questions.orders import adjacent_swaps, kendall_distance
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.template import Template
from pytest_llminvariance.search.breadth_first import Asker, Failure, Found, breadth_first, failure_of
from pytest_llminvariance.search.explanation import missing_singles
from pytest_llminvariance.search.spaces import space_between, space_under
from pytest_llminvariance.transforms.base import Transform
from pytest_llminvariance.transforms.differences import changed_parts, distance, with_parts

SEARCHED_QUESTIONS = 3
MAX_PRESENTATIONS = 200
"""Presentations that one search may ask."""
MAX_IN_TEST = 2_000
"""Presentations that all searches for one test under `@given` may ask, those remembered included."""


@dataclass(slots=True)
class _Kept:
    """What was found for one test, because Hypothesis fails the same way many times while it shrinks."""

    run: Run | None = None
    asked: set[Presentation] = field(default_factory=set)
    walks: dict[object, Found] = field(default_factory=dict)
    tried: dict[object, dict[Presentation, bool | None]] = field(default_factory=dict)
    """Single changes that were asked, by model, readout and what they are compared with."""


_kept: ContextVar[_Kept] = ContextVar("llminvariance_nearest", default=_Kept())  # noqa: B039 - replaced, never changed


def finding_with_nearest_example(measured: Measured, made: Property, template: str | Template | None) -> Finding:
    """Return a BROKEN finding with a nearer example, searched in what the plan left out, and its explanation."""
    finding = measured.finding
    pair = nearest_pair(measured.evidence)
    if made.transform is None or finding.example is None or pair is None:
        return finding
    item, index = pair
    best = _as_found(item, index)
    like = failure_of(best.before, item.answers[index], item.delta_nats)
    others = [other for other in measured.evidence if other is not item and other.reached]
    for other in [item, *others][:SEARCHED_QUESTIONS]:
        found = _nearer(other, best, made.transform, measured.model, finding.readout, template, like)
        best = best if found is None else found
    return dataclasses.replace(finding, example=best.record())


def _as_found(item: Evidence, index: int) -> Found:
    """Return a planned presentation as if a search had found it."""
    found = Found(
        item.plan.probes[0].presentation, item.answers[0], item.plan.probes[index].presentation, item.answers[index],
        delta_nats=item.delta_nats,
    )  # fmt: skip
    found.note_singles([probe.presentation for probe in item.plan.probes], item.answers)
    return found


def _nearer(
    item: Evidence, best: Found, transform: Transform, model: Model, readout: str, template: str | Template | None,
    like: Failure | None,
) -> Found | None:  # fmt: skip
    """Search one question for an example nearer than the best so far."""
    assert best.presentation is not None  # noqa: S101 - a counter-example was planned
    question = item.plan.question
    if len(item.plan.probes) >= transform.size(item.plan.probes[0].presentation):
        return None  # everything was planned
    asker = Asker(model, readout, _memo(), MAX_PRESENTATIONS)
    space, until = space_under(transform, question, template), distance(best.written, best.presentation)
    found = breadth_first(asker, space, until=until, like=like)
    if found.presentation is not None:
        found.note_singles([probe.presentation for probe in item.plan.probes], item.answers)
        return found
    if item.plan.question == best.written.question:
        best.tried |= found.tried
    if found.note and item.plan.question == best.written.question:
        best.note, asker.max_presentations = found.note, 2 * MAX_PRESENTATIONS
        _descend(asker, best, like)
    return None


def nearest_example_of_pair(
    model: Model,
    readout: str,
    shown: tuple[Presentation, Presentation],
    answers: tuple[AnswerDistribution, AnswerDistribution],
    delta_nats: float,
) -> Example:
    """Return the nearest failure among presentations with each part as in one or the other of a failing pair.

    Orders are searched by adjacent swaps. What was found for a test is remembered: a repeat asks nothing.
    """
    a, b = shown
    found = Found(a, answers[0], b, answers[1], delta_nats=delta_nats)
    if a == b or (like := failure_of(*answers, delta_nats)) is None:
        return found.record()
    kept = _kept_for_this_test()
    room = min(MAX_PRESENTATIONS, MAX_IN_TEST - len(kept.asked))
    if room < 1:
        found.note = f"{len(kept.asked):,} presentations were asked for this test before"
        return found.record()
    asker = Asker(model, readout, _memo(), room, seen=kept.asked)
    walk = _walk(kept, asker, a, b, like)
    found.tried = kept.tried.setdefault((model.name, model.fingerprint, owner_of(model), readout, a), {})
    found.tried |= walk.tried
    if walk.presentation is not None:
        found.presentation, found.after = walk.presentation, walk.after
    else:
        found.note = walk.note
        asker.max_presentations += MAX_PRESENTATIONS
        _descend(asker, found, like)
    _ask_singles(asker, found, b)
    return found.record()


def _kept_for_this_test() -> _Kept:
    run, kept = current_run.get(), _kept.get()
    if kept.run is not run:
        kept = _Kept(run)
        _kept.set(kept)
    return kept


def _walk(kept: _Kept, asker: Asker, a: Presentation, b: Presentation, like: Failure) -> Found:
    """Walk from `a` through everything between it and `b`, or recall that walk: it is the same for every order of `b`."""
    frame = b.replace(order=a.order) if not b.template.names_ends_only else b
    of = (asker.model.name, asker.model.fingerprint, owner_of(asker.model))
    key = (*of, asker.readout, a, frame, a.order == b.order, like)
    if key not in kept.walks:
        kept.walks[key] = breadth_first(asker, space_between(a, b, asker.readout), like=like)
    return kept.walks[key]


def _ask_singles(asker: Asker, found: Found, failing: Presentation) -> None:
    """Ask each change alone where that was not asked: at most one presentation for each part."""
    if found.presentation is None:
        return
    wanted = [
        shown
        for shown in missing_singles(found.written, found.presentation, failing, found.tried)
        if _can_be_asked(shown, asker.readout)
    ]
    if wanted:
        found.note_singles(wanted, asker.ask(wanted))


def _descend(asker: Asker, found: Found, like: Failure | None) -> None:
    """Undo changes of what was found one at a time, as long as it goes on failing in the same way."""
    while found.presentation is not None:
        smaller = [
            shown for shown in _smaller(found.written, found.presentation) if _can_be_asked(shown, asker.readout)
        ]
        if not smaller or len(smaller) > asker.room:
            return
        answers = asker.ask(smaller)
        found.note_singles(smaller, answers)
        failing = [
            (distance(found.written, shown), place)
            for place, (shown, answer) in enumerate(zip(smaller, answers, strict=True))
            if failure_of(found.before, answer, found.delta_nats) == like
        ]
        if not failing:
            return
        found.presentation, found.after = smaller[min(failing)[1]], answers[min(failing)[1]]


def _smaller(written: Presentation, failing: Presentation) -> Iterator[Presentation]:
    """Yield what is one step nearer: one part as written, or one adjacent swap undone."""
    for part in changed_parts(written, failing):
        try:
            yield with_parts(failing, written, {part})
        except UsageError:
            continue
    far = kendall_distance(written.order, failing.order)
    for order in adjacent_swaps(failing.order):
        if kendall_distance(written.order, order) < far:
            try:
                yield failing.replace(order=order)
            except UsageError:
                continue


def _can_be_asked(shown: Presentation, readout: str) -> bool:
    try:
        request_for(shown, readout)
    except UsageError:
        return False
    return True


def _memo() -> Memo:
    memo = current_run.get().memo
    return {} if memo is None else memo
