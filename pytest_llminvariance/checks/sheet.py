"""What one check asks, fixed before its first answer: the same for the run and for judging again.

A sheet grows by the plans that are asked; what is on it never changes. Memory grows with the presentations on it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from pytest_llminvariance.checks.properties.base import Plan, Probe, Property
from pytest_llminvariance.models.protocol import Draw, Model, Request, request_for
from pytest_llminvariance.questions.orders import Order
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question

Place = tuple[int, ...]
"""Which variant of each part of a plan a probe shows."""
FrameOrders = Callable[[int], Sequence[Order]]
MIN_FOREIGN = 12
"""Foreign stems asked in all, at least: with fewer, a fixed answer could agree by accident."""
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
        distinct: dict[tuple[str, str | None], Question] = {}
        for other in self._others(start):
            if len(distinct) == self._each:
                break
            if (other.stem, other.context) != about:
                distinct.setdefault((other.stem, other.context), other)
        return tuple(_under(plan.probes[0].presentation, donor) for donor in distinct.values())

    def _others(self, start: int) -> Iterator[Question]:
        n = len(self._cycle)
        yield from (self._cycle[(start + step) % n] for step in range(1, n))
        yield from DONORS


def _under(shown: Presentation, donor: Question) -> Presentation:
    if "context" not in shown.template.fields and donor.context is not None:
        donor = Question(donor.stem, donor.options, id=donor.id)
    return shown.replace(question=shown.question.under(donor))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Everything about one check that is fixed before its first answer. Requests are made here and nowhere else."""

    property: Property
    metric: str
    tolerance: Fraction
    readout: str
    model: str
    fingerprint: str
    plans: tuple[Plan, ...] = ()
    foreign: tuple[tuple[Presentation, ...], ...] = ()
    """For each question, its presentation as written under other stems; empty where no response is needed."""
    delta_nats: float
    samples: int = 1
    """Sampled answers to each foreign prompt, as to each planned one."""
    seed: int = 0
    """Of the draws."""
    n_known: int = 0
    """Questions of the whole suite with a known answer, or clusters of them: how much the accuracy can be judged on."""

    def grown(self, plans: Sequence[Plan], stems: ForeignStems | None, model: Model) -> Sheet:
        """Return the sheet with more plans, under the stems that their responsiveness is asked with."""
        frame = getattr(model, "frame_orders", None)
        changed = self.property.transform
        title = "" if not self.property.compares_prompts else "the change" if changed is None else changed.title
        return dataclasses.replace(
            self,
            plans=(*self.plans, *(must_reach(plan, title, frame) for plan in plans)),
            foreign=() if stems is None else (*self.foreign, *map(stems.under, plans)),
        )

    def planned(self, question: int) -> list[Request]:
        """Return the requests of a question's plan."""
        probes = self.plans[question].probes
        return [request_for(p.presentation, p.readout or self.readout, self._draw(p)) for p in probes]

    def foreign_requests(self, question: int) -> list[Request]:
        """Return the requests under foreign stems: stem by stem, draw by draw."""
        probes = self.plans[question].probes[: self.samples]
        shown = self.foreign[question] if self.foreign else ()
        return [request_for(part, self.readout, self._draw(probe)) for part in shown for probe in probes]

    def _draw(self, probe: Probe) -> Draw | None:
        return None if probe.draw is None else Draw(self.seed, probe.draw)


def must_reach(plan: Plan, title: str, frame: FrameOrders | None) -> Plan:
    """Return the plan with the parts that must reach the model, and where each probe stands in them.

    A plan that names no parts is one, called `title`; without a title nothing has to. A part that only changes the order
    within a model's frame is left out: there the answer is the same by construction.
    """
    if not title:
        return _with_places(plan, (), [()] * len(plan.probes))
    parts, places = plan.parts, [probe.place for probe in plan.probes]
    if not parts:
        numbers: dict[object, int] = {}
        parts = (title,)
        places = [(numbers.setdefault(probe.presentation, len(numbers)),) for probe in plan.probes]
    if frame is not None:
        kept = [axis for axis in range(len(parts)) if not _is_framed(plan, places, axis, frame)]
        parts = tuple(parts[axis] for axis in kept)
        places = [tuple(place[axis] for axis in kept) for place in places]
    return _with_places(plan, parts, places)


def _with_places(plan: Plan, parts: tuple[str, ...], places: Sequence[Place]) -> Plan:
    probes = (dataclasses.replace(probe, place=place) for probe, place in zip(plan.probes, places, strict=True))
    return dataclasses.replace(plan, parts=parts, probes=tuple(probes))


def _is_framed(plan: Plan, places: Sequence[Place], axis: int, frame: FrameOrders) -> bool:
    """Return whether a part changes nothing but the order, and that within the frame."""
    shown: dict[Place, list[int]] = {}
    for index, place in enumerate(places):
        shown.setdefault((*place[:axis], *place[axis + 1 :]), []).append(index)
    for group in shown.values():
        first, *others = (plan.probes[index].presentation for index in group)
        inside = set(frame(len(first.order)))
        if not {first.order, *(other.order for other in others)} <= inside:
            return False
        if any(other.replace(order=first.order) != first for other in others):
            return False
    return True
