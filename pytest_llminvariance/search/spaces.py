"""The presentations around one presentation, in classes of equal distance, the nearest class first.

Distance is (changed parts, adjacent swaps of the options). Within a class what is simpler comes first: fewer
fields of the layout changed, fewer options moved, then the order in which values were declared.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.models.protocol import request_for
from pytest_llminvariance.questions.labels import check_labels
from pytest_llminvariance.questions.orders import Order, adjacent_swaps, check_order, identity, kendall_distance
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.questions.template import Layout, Template, as_template
from pytest_llminvariance.transforms.base import MAX_PLANNED, Transform
from pytest_llminvariance.transforms.differences import (
    Distance,
    changed_parts,
    differing_fields,
    distance,
    options_moved,
    with_parts,
)
from pytest_llminvariance.transforms.showing import Reorder


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """Values that are combined with each other and with the question as written.

    `orders` is True for every order of the options, or a list of orders. The other parts list the values
    that they may take.

    Raises:
        UsageError: for values that no presentation can have, or where nothing is left to choose.
    """

    orders: bool | Sequence[Sequence[int]] = True
    labels: Sequence[Sequence[str]] = ()
    layouts: Sequence[Layout] = ()
    templates: Sequence[str | Template] = ()

    def __post_init__(self) -> None:
        for name in ("labels", "layouts", "templates") + (("orders",) if not isinstance(self.orders, bool) else ()):
            value = getattr(self, name)
            if isinstance(value, str) or not isinstance(value, Sequence):
                raise UsageError(f"{name} is {value!r}, but must be a list of the values to choose from")
        for layout in self.layouts:
            if not isinstance(layout, Layout):
                raise UsageError(f"layouts holds {layout!r}, but must hold Layout objects")
        object.__setattr__(self, "labels", tuple(check_labels(labels) for labels in self.labels))
        object.__setattr__(self, "templates", tuple(as_template(template) for template in self.templates))
        if not (self.orders or self.labels or self.layouts or self.templates):
            raise UsageError("there is nothing to choose from. Give orders, labels, layouts or templates")

    def frames(self, start: Presentation) -> Iterator[Presentation]:
        """Yield every combination of what is not the order."""
        templates = (start.template, *map(as_template, self.templates))
        labels, layouts = (None, *self.labels), (None, *self.layouts)
        for template, given, layout in itertools.product(dict.fromkeys(templates), labels, layouts):
            frame = with_parts(start, start.replace(template=template, labels=None, layout=None), {"template"})
            parts = {"labels": given, "layout": layout}
            yield frame.replace(**{name: value for name, value in parts.items() if value is not None})


@dataclass(frozen=True, slots=True)
class Class:
    """The presentations at one distance."""

    distance: Distance
    size: int
    """How many there are; a few may be impossible, such as a scale of two ends in another order."""
    presentations: Iterator[Presentation]


@dataclass(frozen=True, slots=True)
class Space:
    """The presentations around `start`."""

    start: Presentation
    frames: tuple[Presentation, ...]
    """Other labels, layouts, wordings and combinations of them."""
    orders: tuple[Order, ...] | None
    """Other orders to cross with `frames`; `None` stands for all of them that keep the meaning."""
    is_whole: bool = True
    """False where there are more frames than can be searched."""
    still: frozenset[int] = frozenset()
    """Contents that keep their place in all orders: catch-alls."""

    def classes(self) -> Iterator[Class]:
        """Yield the classes, nearest first."""
        by_distance: dict[Distance, list[Presentation]] = {}
        for frame in sorted(self.frames, key=self._simplicity):
            by_distance.setdefault(distance(self.start, frame), []).append(frame)
        if self.orders == ():
            yield from (Class(far, len(rows), iter(rows)) for far, rows in sorted(by_distance.items()))
            return
        written = {far.changed_parts: rows for far, rows in by_distance.items()} | {0: [self.start]}
        for changed in range(1, 2 + max(written)):
            if rows := written.get(changed, []):
                yield Class(Distance(changed, 0), len(rows), iter(rows))
            if rows := written.get(changed - 1, []):
                for swaps, shell in self._shells():
                    yield Class(Distance(changed, swaps), len(rows) * len(shell), _crossed(rows, shell))

    def presentations(self) -> Iterator[Presentation]:
        """Yield them all, nearest first, without the start."""
        return itertools.chain.from_iterable(part.presentations for part in self.classes())

    def _simplicity(self, frame: Presentation) -> tuple[int, int]:
        return len(differing_fields(self.start.layout, frame.layout)), options_moved(self.start.order, frame.order)

    def _shells(self) -> Iterator[tuple[int, list[Order]]]:
        """Yield the orders by adjacent swaps from the one as written."""
        start = self.start.order
        if self.orders is not None:
            ranked = sorted((kendall_distance(start, order), order) for order in self.orders)
            for swaps, group in itertools.groupby(ranked, key=lambda entry: entry[0]):
                yield swaps, self._simplest_first(order for _, order in group)
            return
        before, shell = set[Order](), [start]
        for swaps in itertools.count(1):
            beyond = dict.fromkeys(other for order in shell for other in adjacent_swaps(order))
            before, shell = set(shell), [order for order in beyond if order not in before]
            if not shell:
                return
            if allowed := self._simplest_first(order for order in shell if self._keeps(order)):
                yield swaps, allowed

    def _keeps(self, order: Order) -> bool:
        return all(now == at for now, at in zip(order, self.start.order, strict=True) if at in self.still)

    def _simplest_first(self, orders: Iterable[Order]) -> list[Order]:
        return sorted(orders, key=lambda order: options_moved(self.start.order, order))


def space_under(under: Transform | Choices, question: Question, template: str | Template | None) -> Space:
    """Return the presentations that a transform, a product of transforms, or choices make of a question.

    A design is a part of an orbit; searched is the whole orbit. Only for a scale under `reversed` there is
    nothing between as written and reversed.
    """
    written = Presentation(question, template=template)
    if isinstance(under, Choices):
        orders = _chosen_orders(under, written)
        found = list(itertools.islice(under.frames(written), MAX_PLANNED + 1))
        return _space(written, found, orders, _still(Reorder(), written))
    parts = under.factors()
    reorder = [part for part in parts if isinstance(part, Reorder)]
    rows: Iterator[Presentation] = iter([written])
    for part in parts:
        if not isinstance(part, Reorder):
            rows = itertools.chain.from_iterable(map(part.variants, rows))
    found = list(itertools.islice(rows, MAX_PLANNED + 1))
    if not reorder:
        return _space(found[0], found, ())
    by_order = [frame.replace(order=written.order) for frame in found]
    both_ways = all(part.design == "reversed" for part in reorder) and question.scores is not None
    still = _still(reorder[0], written)
    return _space(by_order[0], by_order, (written.order[::-1],) if both_ways else None, still)


def space_between(a: Presentation, b: Presentation, readout: str) -> Space:
    """Return the presentations that have each part as in `a` or as in `b`; orders in between are searched too."""
    parts = [part for part in changed_parts(a, b) if part != "order"]
    subsets = itertools.chain.from_iterable(itertools.combinations(parts, n) for n in range(1 + len(parts)))
    frames = []
    for subset in subsets:
        try:
            frame = with_parts(a, b, subset)
            request_for(frame, readout)
        except UsageError:
            continue
        frames.append(frame)
    still = frozenset(content for content in _still(Reorder(), a) if a.position_of(content) == b.position_of(content))
    return _space(a, frames, None if a.order != b.order else (), still)


def _still(reorder: Reorder, start: Presentation) -> frozenset[int]:
    return frozenset(start.order) - set(reorder.moving(start))


def _space(
    start: Presentation,
    found: Sequence[Presentation],
    orders: tuple[Order, ...] | None,
    still: frozenset[int] = frozenset(),
) -> Space:
    frames = tuple(dict.fromkeys(frame for frame in found[:MAX_PLANNED] if frame != start))
    if orders is None and len(still) == len(start.order):
        orders = ()
    if orders is None and all(frame.template.names_ends_only for frame in (start, *frames)):
        orders = (start.order[::-1],)  # of a scale no other order can be shown
    return Space(start, frames, orders, is_whole=len(found) <= MAX_PLANNED, still=still)


def _chosen_orders(choices: Choices, written: Presentation) -> tuple[Order, ...] | None:
    if isinstance(choices.orders, bool):
        return None if choices.orders else ()
    k = len(written.order)
    chosen = dict.fromkeys(check_order(order, k) for order in choices.orders)
    return tuple(order for order in chosen if order != identity(k))


def _crossed(frames: Sequence[Presentation], orders: Sequence[Order]) -> Iterator[Presentation]:
    for frame in frames:
        for order in orders:
            try:
                yield frame.replace(order=order)
            except UsageError:  # a template that names only the ends of a scale
                continue
