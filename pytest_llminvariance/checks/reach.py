"""Whether what a plan changes reached the model, by the digests of what was sent: each part of a product by itself.

Two prompts anywhere in a plan that differ show nothing of a part that was taken out on the way: a proxy that sorts the
options still sends other labels. So a part counts as reached where two presentations that differ in it alone were sent
as different bytes. A presentation that was sent as the bytes of another is no other presentation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from pytest_llminvariance.checks.properties.base import Plan
from pytest_llminvariance.questions.orders import Order

Reach = Literal["sent", "same", "untold", "unplanned"]
"""Sent differently; the same bytes each time; fewer than two digests; no two presentations that differ in the part alone."""
Place = tuple[int, ...]
FrameOrders = Callable[[int], Sequence[Order]]


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
        shown.setdefault(_without(place, axis), []).append(index)
    for group in shown.values():
        first, *others = (plan.probes[index].presentation for index in group)
        inside = set(frame(len(first.order)))
        if not {first.order, *(other.order for other in others)} <= inside:
            return False
        if any(other.replace(order=first.order) != first for other in others):
            return False
    return True


def reach_of(plan: Plan, sent: Sequence[str]) -> tuple[Reach, ...]:
    """Return for each part of a plan whether it reached the model; `sent` holds digests by probe, empty where unknown."""
    digests: dict[Place, set[str]] = {}
    for probe, digest in zip(plan.probes, sent, strict=True):
        digests.setdefault(probe.place, set()).update({digest} - {""})
    return tuple(_reach(digests, axis) for axis in range(len(plan.parts)))


def _reach(digests: Mapping[Place, set[str]], axis: int) -> Reach:
    groups: dict[Place, list[set[str]]] = {}
    for place, known in digests.items():
        groups.setdefault(_without(place, axis), []).append(known)
    compared = [group for group in groups.values() if len(group) > 1]
    told = [known for group in compared if len(known := [one for one in group if one]) > 1]
    if any(len(set().union(*known)) > 1 for known in told):
        return "sent"
    return "same" if told else "untold" if compared else "unplanned"


def repeats_of(plan: Plan, sent: Sequence[str], missing: Sequence[bool]) -> frozenset[int]:
    """Return the probes that were sent as the bytes of an earlier presentation, all draws of one or none.

    What is missing is never left out: nobody knows what it would have been.
    """
    first: dict[str, Place] = {}
    repeated: dict[Place, bool] = {}
    for probe, digest, lost in zip(plan.probes, sent, missing, strict=True):
        again = bool(digest) and not lost and first.setdefault(digest, probe.place) != probe.place
        repeated[probe.place] = again and repeated.get(probe.place, True)
    return frozenset(index for index, probe in enumerate(plan.probes) if repeated[probe.place])


def _without(place: Place, axis: int) -> Place:
    return place[:axis] + place[axis + 1 :]
