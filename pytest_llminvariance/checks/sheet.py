"""What one check asks, fixed before its first answer: the same for the run and for judging again.

A sheet grows by the plans that are asked; what is on it never changes. Memory grows with the presentations on it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from pytest_llminvariance.checks.properties.base import Plan, Property
from pytest_llminvariance.models.probes import Probe, Showings, Ways
from pytest_llminvariance.models.protocol import Draw, LabelRequest, Model, Request, request_for
from pytest_llminvariance.questions.foreign_stems import ForeignStems
from pytest_llminvariance.questions.orders import Order
from pytest_llminvariance.questions.presentation import Presentation

Place = tuple[int, ...]
"""Which variant of each part of a plan a probe shows."""
FrameOrders = Callable[[int], Sequence[Order]]


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
            foreign=()
            if stems is None
            else (*self.foreign, *(stems.under(plan.question, plan.probes[0].presentation) for plan in plans)),
        )

    def planned(self, question: int, stem: int | None = None) -> list[Request]:
        """Return the requests of a question's plan; or those under one of its foreign stems, draw by draw."""
        probes = self.plans[question].probes
        if stem is not None:
            probes = [Probe(self.foreign[question][stem], draw=probe.draw) for probe in probes[: self.samples]]
        elif isinstance(probes, Showings) and self.readout == "label" and probes.ways.once("plain", _are_plain_labels):
            return list(map(LabelRequest, probes.presentations()))
        return [request_for(p.presentation, p.readout or self.readout, self._draw(p)) for p in probes]

    def foreign_requests(self, question: int) -> list[Request]:
        """Return the requests under foreign stems: stem by stem, draw by draw."""
        stems = range(len(self.foreign[question]) if self.foreign else 0)
        return [request for stem in stems for request in self.planned(question, stem)]

    def _draw(self, probe: Probe) -> Draw | None:
        return None if probe.draw is None else Draw(self.seed, probe.draw)


def _are_plain_labels(probes: Sequence[Probe]) -> bool:
    """Return whether each is asked once, by the labels that it shows."""
    return all(p.readout is None and p.draw is None and p.presentation.shows_labels for p in probes)


def must_reach(plan: Plan, title: str, frame: FrameOrders | None) -> Plan:
    """Return the plan with the parts that must reach the model, and where each probe stands in them.

    A plan that names no parts is one, called `title`; without a title nothing has to. A part that only changes the order
    within a model's frame is left out: there the answer is the same by construction.
    """
    if frame is None and isinstance(plan.probes, Showings):
        parts, ways = plan.probes.ways.once(("placed", title, plan.parts), lambda probes: _placed(plan, probes, title))
        return dataclasses.replace(plan, parts=parts, probes=Showings(plan.question, ways))
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


def _placed(plan: Plan, probes: Sequence[Probe], title: str) -> tuple[tuple[str, ...], Ways]:
    """Return the parts of a plan, and its ways with their places in them."""
    made = must_reach(dataclasses.replace(plan, probes=probes), title, None)
    return made.parts, Ways(made.probes)


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
