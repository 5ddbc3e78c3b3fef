"""Changes that keep the meaning, and the orbits they make of a question.

A transform turns one presentation into others. It can be enumerated, planned (which part of the orbit is
asked), sampled from a seed that depends on the question's content, and composed with others. The way back
is carried by the presentations themselves.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.questions.labels import check_labels
from pytest_llminvariance.questions.orders import Order, identity
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.references import (
    OnReference,
    References,
    check_on_reference,
    find_references,
    label_clash,
)
from pytest_llminvariance.questions.template import Layout, Template, as_template
from pytest_llminvariance.transforms.base import Orbit, Transform
from pytest_llminvariance.transforms.designs import (
    AUTO_ALL_OPTIONS,
    AUTO_MIN_ROWS,
    Design,
    check_design,
    is_drawn,
    orders_of,
)
from pytest_llminvariance.transforms.edits import origin_of

REFERS = "refer to options by letter or place"
NONE_MOVES = "have fewer than two options that can move"
CLASHES = "have a label that is also an option's text"
"""Why questions are left out, after "they"."""
LABEL_SETS: tuple[tuple[str, ...], ...] = (
    tuple("ABCDEFGHIJKL"),
    tuple("123456789"),
    tuple("PQRSTUVWXYZ"),
    tuple("RSNTLKMWHDGF"),
)
LAYOUTS: tuple[Layout, ...] = (
    Layout(),
    Layout(enumerator="{label}) "),
    Layout(enumerator="({label}) "),
    Layout(enumerator="{label}: "),
    Layout(separator="\n\n"),
    Layout(extra_blank_lines=1),
    Layout(separator="; "),
)


@dataclass(frozen=True, slots=True)
class Reorder(Transform):
    """Show the options in other orders. `n` is the number of other orders for `sample`.

    A catch-all ("All of the above") keeps its place while the others move. A question that refers to options by letter or
    place has no other order with the same meaning: `on_reference` says whether a check leaves it out, or it is an error,
    or every order is asked all the same.
    """

    design: Design = "auto"
    n: int | None = None
    on_reference: OnReference = field(default="leave_out", kw_only=True)
    title: str = field(default="option order", init=False, repr=False)

    def __post_init__(self) -> None:
        check_design(self.design, self.n)
        check_on_reference(self.on_reference)

    def moving(self, start: Presentation) -> tuple[int, ...]:
        """Return the contents that may move without a change of meaning: all, all but catch-alls, or none.

        Raises:
            UsageError: under `on_reference="error"`, where the question refers to options by letter or place.
        """
        if start.question.fixed_order:
            return ()
        found = _references(start, self.on_reference)
        free = [content for content in sorted(start.order) if content not in found.stays and not found.refers]
        return tuple(free) if len(free) > 1 else ()

    def leaves_out(self, start: Presentation) -> str:
        """Say why there is no other order."""
        if self.moving(start):
            return ""
        if start.question.fixed_order:
            return start.question.fixed_order
        return REFERS if _references(start, self.on_reference).refers else NONE_MOVES

    def variants(self, start: Presentation) -> Iterator[Presentation]:
        """Yield all orders of the options that may move."""
        moving = set(self.moving(start))
        for order in itertools.permutations([content for content in start.order if content in moving]):
            yield start.reordered(filled(start.order, order))

    def size(self, start: Presentation) -> int:
        """Return m! for m options that may move."""
        return math.factorial(len(self.moving(start)))

    def plan(self, start: Presentation) -> tuple[Presentation, ...]:
        """Return the orders of the design."""
        return tuple(map(start.reordered, self.orders(start, self.design, origin_of(start.question))))

    def orders(self, start: Presentation, design: str, about: str) -> tuple[Order, ...]:
        """Return orders of the options that may move, drawn from the text `about`; the others stand as written.

        Where options stay, fewer than `n` orders may be left; then `sample` takes them all.
        """
        k, moving = len(start.order), self.moving(start)
        if not moving:
            return (start.order,)
        n = self.n if self.n is None or len(moving) == k else min(self.n, math.factorial(len(moving)) - 1)
        return _orders(design, k, moving, about if is_drawn(design, len(moving)) else "", n)

    def spec(self) -> str:
        """Return design and number."""
        return f"reorder:{self.design}" + ("" if self.n is None else f":{self.n}") + _told(self.on_reference)

    def spec_for(self, start: Presentation) -> str:
        """Return design and number, with `auto` told as what it becomes for this many options."""
        k = len(self.moving(start))
        auto = ("reorder:all" if k <= AUTO_ALL_OPTIONS else f"reorder:balanced:{AUTO_MIN_ROWS}") + _told(
            self.on_reference
        )
        still = len(start.order) - k
        return (auto if self.design == "auto" else self.spec()) + (f", {still} in place" if still else "")

    def describe(self, orbit: Orbit) -> str:
        """Say how many orders are planned, and of how many."""
        still = len(orbit.as_written.order) - len(self.moving(orbit.as_written))
        said = f" (catch-alls in place: {still})" if 0 < still < len(orbit.as_written.order) else ""
        unit = "directions" if self.design == "reversed" else "orders"
        return f"{len(orbit)} of {self.chosen_from(orbit.as_written):,} {unit}{said}"

    def chosen_from(self, start: Presentation) -> int:
        """Return how many orders the design knows."""
        return min(2, self.size(start)) if self.design == "reversed" else self.size(start)

    def balanced_part(self, orbit: Orbit) -> tuple[int, ...] | None:
        """Return indices of presentations that show each content equally often at each position, or None.

        With a catch-all in its place there are none of these, so such a question does not count for a position bias.
        """
        k = len(orbit.question.options)
        if len(self.moving(orbit.as_written)) < k:
            return None if self.design in ("reversed", "sample") else ()
        if self.design == "cyclic" or len(orbit) == math.factorial(k):
            return tuple(range(len(orbit)))
        if self.design in ("balanced", "auto"):
            return tuple(range(1, len(orbit)))
        return None


@dataclass(frozen=True, slots=True)
class Relabel(Transform):
    """Put other labels before the same options. The first label set is the one as written.

    A packaged set with a label that is another option's text, or that an option names, is passed over for that question;
    one of your own is an error. `on_reference` is as for `Reorder`.
    """

    label_sets: Sequence[Sequence[str]] = LABEL_SETS
    on_reference: OnReference = field(default="leave_out", kw_only=True)
    title: str = field(default="labelling", init=False, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.label_sets, str) or not isinstance(self.label_sets, Sequence):
            raise UsageError(f"label_sets is {self.label_sets!r}, but must be a list of two or more label sets")
        sets = tuple(check_labels(labels) for labels in self.label_sets)
        _check_many(sets, "label_sets", "label set")
        check_on_reference(self.on_reference)
        object.__setattr__(self, "label_sets", sets)

    def variants(self, start: Presentation) -> Iterator[Presentation]:
        """Yield one presentation per label set that has enough labels, prints differently and cannot be mistaken."""
        yield from with_labels(start, self.label_sets, self.on_reference)

    def leaves_out(self, start: Presentation) -> str:
        """Say why there are no other labels."""
        if _references(start, self.on_reference).refers:
            return REFERS
        k = len(start.order)
        several = len({labels[:k] for labels in self.label_sets if len(labels) >= k}) > 1
        return CLASHES if several and self.size(start) < 2 else ""

    def size(self, start: Presentation) -> int:
        """Return the number of label sets that fit."""
        return sum(1 for _ in self.variants(start))

    def spec(self) -> str:
        """Return the label sets."""
        return "relabel:" + "|".join(",".join(labels) for labels in self.label_sets) + _told(self.on_reference)


@dataclass(frozen=True, slots=True)
class RotateLabels(Relabel):
    """Put each rotation of each label set before the options, so that every label comes to every place: B, C, D, A."""

    bullets: bool = field(default=False, kw_only=True)
    """Whether the options are also shown without labels, after a dash."""

    def __post_init__(self) -> None:
        Relabel.__post_init__(self)
        if not isinstance(self.bullets, bool):
            raise UsageError(f"bullets is {self.bullets!r}, but must be True or False")

    def variants(self, start: Presentation) -> Iterator[Presentation]:
        """Yield the first set as it is, its rotations, and so on."""
        shown: dict[Presentation, None] = {}
        for one in with_labels(start, self.label_sets, self.on_reference):
            labels = one.given_labels
            shown |= {one.replace(labels=labels[place:] + labels[:place]): None for place in range(len(labels))}
        if self.bullets:
            shown[start.replace(layout=Layout(enumerator="- "))] = None
        yield from shown

    def spec(self) -> str:
        """Return the label sets."""
        return f"rotate-{Relabel.spec(self)}{':bullets' if self.bullets else ''}"


@dataclass(frozen=True, slots=True)
class Reformat(Transform):
    """Set the list of options in other ways. The first layout is the one as written."""

    layouts: tuple[Layout, ...] = LAYOUTS
    title: str = field(default="layout", init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.layouts, Sequence):
            raise UsageError(f"layouts is {self.layouts!r}, but must be a list of two or more Layout objects")
        layouts = tuple(self.layouts)
        for layout in layouts:
            if not isinstance(layout, Layout):
                raise UsageError(f"layouts holds {layout!r}, but must hold Layout objects")
        _check_many(layouts, "layouts", "layout")
        object.__setattr__(self, "layouts", layouts)

    def variants(self, start: Presentation) -> Iterator[Presentation]:
        """Yield one presentation per layout."""
        for layout in self.layouts:
            yield start.replace(layout=layout)

    def size(self, start: Presentation) -> int:  # noqa: ARG002 - the same for every question
        """Return the number of layouts."""
        return len(self.layouts)

    def spec(self) -> str:
        """Return the layouts."""
        return "reformat:" + "|".join(repr(layout) for layout in self.layouts)


@dataclass(frozen=True, slots=True)
class Reword(Transform):
    """Ask with other, equivalent instructions. The first template is the one as written."""

    templates: Sequence[str | Template]
    title: str = field(default="prompt wording", init=False, repr=False)

    def __post_init__(self) -> None:
        given = self.templates
        if isinstance(given, str | Template) or not isinstance(given, Sequence):
            raise UsageError(f"templates is {given!r}, but must be a list of two or more templates or texts")
        templates = tuple(as_template(template) for template in given)
        _check_many(templates, "templates", "template")
        _check_many([template.shown_name for template in templates], "templates", "template name")
        object.__setattr__(self, "templates", templates)

    def variants(self, start: Presentation) -> Iterator[Presentation]:
        """Yield one presentation per template; labels and layout of the template win over those of `start`."""
        for template in map(as_template, self.templates):
            yield start.replace(
                template=template, labels=template.labels or start.given_labels, layout=template.layout or start.layout
            )

    def size(self, start: Presentation) -> int:  # noqa: ARG002 - the same for every question
        """Return the number of templates."""
        return len(self.templates)

    def spec(self) -> str:
        """Return a hash of the templates."""
        return "reword:" + hashlib.sha256(repr(self.templates).encode()).hexdigest()[:16]


def _references(start: Presentation, on_reference: OnReference) -> References:
    """Return what the question says of its options, as far as it is heeded."""
    if on_reference == "ask_anyway":
        return References()
    found = find_references(start.question, start.labels)
    if found.refers and on_reference == "error":
        raise UsageError(
            f"question {start.question.name!r} refers to options by letter or place: {found.refers!r}. fix_references(question) "
            "proposes options that name contents; on_reference='leave_out' leaves such questions out"
        )
    return found


def with_labels(
    start: Presentation, label_sets: Sequence[Sequence[str]], on_reference: OnReference
) -> list[Presentation]:
    """Return `start` under each set that is long enough and keeps the meaning, the first only where options are named.

    Raises:
        UsageError: if no set is long enough, or a set that is not packaged has a label that is in the options.
    """
    long = [tuple(labels) for labels in label_sets if len(labels) >= len(start.order)]
    if not long:
        raise UsageError(
            f"no label set has the {len(start.order)} labels that question {start.question.name!r} needs. Give longer sets"
        )
    refers = _references(start, on_reference).refers
    found: dict[Presentation, None] = {}
    for labels in long[:1] if refers else long:
        shown = start.replace(labels=labels)
        clash = "" if refers or on_reference == "ask_anyway" else label_clash(shown)
        if clash and labels not in LABEL_SETS:
            raise UsageError(
                f"label_sets holds {list(labels)!r}, but the label {clash!r} is in the options of question {start.question.name!r}, "
                "so an answer could mean either. Leave that set out for this question, or say on_reference='ask_anyway'"
            )
        found |= {} if clash else {shown: None}
    return list(found) or [start]


@lru_cache(maxsize=256)
def _orders(design: str, k: int, moving: Order, about: str, n: int | None) -> tuple[Order, ...]:
    """Return the orders of a design in which what does not move stands as written."""
    rows = orders_of(design, len(moving), about, n)
    return tuple(filled(identity(k), tuple(moving[index] for index in row)) for row in rows)


def filled(written: Order, order: Order) -> Order:
    """Return `written` with the contents of `order` in their places in this order, the others where they were."""
    moving, following = set(order), iter(order)
    return tuple(next(following) if content in moving else content for content in written)


def _told(on_reference: OnReference) -> str:
    return ":ask_anyway" if on_reference == "ask_anyway" else ""


def _check_many(items: Sequence[object], name: str, one: str) -> None:
    if len(items) < 2:
        raise UsageError(f"{name} holds {len(items)} {one}(s), but there is nothing to compare below 2")
    for item in items:
        if items.count(item) > 1:
            raise UsageError(f"{name} holds the same {one} twice: {item!r}. Remove one")
