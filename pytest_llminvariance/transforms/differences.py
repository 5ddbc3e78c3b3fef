"""How two presentations differ: which parts, how far, and in words; and one with parts of the other.

The parts are the fields of a presentation. Labels and layout that come with a template are no change of
their own.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Collection
from typing import Any, NamedTuple

from pytest_llminvariance.questions.orders import Order, identity, inverse, kendall_distance
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.template import DEFAULT_LAYOUT, LETTERS, Layout

DOING = {
    "question": "editing the question",
    "template": "another wording",
    "labels": "re-lettering",
    "layout": "another layout",
    "order": "re-ordering the options",
    "shots": "other worked examples",
    "turns": "what was said in between",
}


class Distance(NamedTuple):
    """How far one presentation is from another; compares as a tuple does."""

    changed_parts: int
    adjacent_swaps: int


def changed_parts(a: Presentation, b: Presentation) -> tuple[str, ...]:
    """Return the parts in which two presentations differ, the order of the options last."""
    found = [name for name in _others(a) if getattr(a, name) != getattr(b, name)]
    if _shown_question(a) != _shown_question(b):
        found.insert(0, "question")
    if a.template != b.template:
        found.append("template")
    if a.given_labels != b.given_labels and not (_labels_are_own(a) and _labels_are_own(b)):
        found.append("labels")
    if a.layout != b.layout and not (_layout_is_own(a) and _layout_is_own(b)):
        found.append("layout")
    turned = a.order != b.order and not (_order_is_own(a) and _order_is_own(b))
    return (*found, *(["order"] if turned else []))


def with_parts(a: Presentation, b: Presentation, parts: Collection[str]) -> Presentation:
    """Return `a` with the named parts as they are in `b`.

    Raises:
        UsageError: if the parts do not go together, such as a scale of two ends with another order.
    """
    chosen: dict[str, Any] = {name: getattr(b if name in parts else a, name) for name in ("question", "template")}
    chosen |= {name: getattr(b if name in parts else a, name) for name in _others(a)}
    carried = _order_is_own(a) and _order_is_own(b)
    chosen["order"] = b.order if "order" in parts else None if carried else a.order
    carried = _labels_are_own(a) and _labels_are_own(b)
    chosen["labels"] = b.given_labels if "labels" in parts else None if carried else a.given_labels
    carried = _layout_is_own(a) and _layout_is_own(b)
    chosen["layout"] = b.layout if "layout" in parts else None if carried else a.layout
    return Presentation(**chosen)


def distance(a: Presentation, b: Presentation) -> Distance:
    """Return how many parts differ, and by how many adjacent swaps the order."""
    return Distance(len(changed_parts(a, b)), kendall_distance(a.order, b.order))


def options_moved(order: Order, other: Order) -> int:
    """Return how many options must be taken out and put back to turn one order into the other.

    That is all but the longest run that keeps its order (Ulam's distance).
    """
    rank, ends = inverse(other), list[int]()
    for content in order:
        place = bisect.bisect_left(ends, rank[content])
        ends[place : place + 1] = [rank[content]]
    return len(order) - len(ends)


def doing(part: str, a: Presentation, b: Presentation) -> str:
    """Say what changing one part of `a` to that of `b` is: `swapping options 1 and 2`."""
    if part != "order":
        return DOING.get(part, part)
    moved = [position + 1 for position, content in enumerate(b.order) if a.order[position] != content]
    if kendall_distance(a.order, b.order) == 1:
        return f"swapping options {moved[0]} and {moved[1]}"
    return "reversing the options" if b.order == a.order[::-1] else DOING["order"]


def differing_fields(a: Layout, b: Layout) -> tuple[str, ...]:
    """Return the fields in which two layouts differ."""
    return tuple(field.name for field in dataclasses.fields(Layout) if getattr(a, field.name) != getattr(b, field.name))


def layout_words(a: Layout, b: Layout) -> str:
    """Say what another layout changes: `lay out as '{label})' separated by '; '`."""
    differs, words = differing_fields(a, b), []
    if not differs or {"enumerator", "separator"} & set(differs):
        words.append(f"lay out as {b.enumerator.strip()!r} separated by {b.separator!r}")
    if "label_case" in differs:
        case = {"as_is": "as given", "upper": "in upper case", "lower": "in lower case"}[b.label_case]
        words.append(f"print labels {case}")
    if "extra_blank_lines" in differs:
        n = b.extra_blank_lines
        words.append(f"leave {n} blank line{'' if n == 1 else 's'} more before the options")
    return " and ".join(words)


def _others(presentation: Presentation) -> tuple[str, ...]:
    """Return the names of further parts, that nothing else depends on."""
    known = {"question", "order", "labels", "layout", "template", "given_labels"}
    return tuple(field.name for field in dataclasses.fields(presentation) if field.name not in known)


def _shown_question(presentation: Presentation) -> tuple[object, ...]:
    question = presentation.question
    return question.stem, question.context, question.options, question.sent_besides


def _order_is_own(presentation: Presentation) -> bool:
    """Whether the order is the one in which the template would show a scale of itself."""
    k = len(presentation.order)
    return presentation.order == (identity(k)[::-1] if presentation.template.reverse else identity(k))


def _labels_are_own(presentation: Presentation) -> bool:
    """Whether the labels are those that the template would show of itself."""
    own = presentation.template.labels or LETTERS
    return presentation.given_labels == own[: len(presentation.order)]


def _layout_is_own(presentation: Presentation) -> bool:
    return presentation.layout == (presentation.template.layout or DEFAULT_LAYOUT)
