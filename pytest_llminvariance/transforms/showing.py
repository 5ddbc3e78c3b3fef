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

from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.questions.labels import check_labels
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.template import Layout, Template, as_template
from pytest_llminvariance.transforms.base import Orbit, Transform
from pytest_llminvariance.transforms.designs import (
    AUTO_ALL_OPTIONS,
    AUTO_MIN_ROWS,
    Design,
    check_design,
    orders_of,
)
from pytest_llminvariance.transforms.edits import origin_of

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
    """Show the options in other orders. `n` is the number of other orders for `sample`."""

    design: Design = "auto"
    n: int | None = None
    title: str = field(default="option order", init=False, repr=False)

    def __post_init__(self) -> None:
        check_design(self.design, self.n)

    def variants(self, start: Presentation) -> Iterator[Presentation]:
        """Yield all k! orders."""
        for order in itertools.permutations(start.order):
            yield start.replace(order=order)

    def size(self, start: Presentation) -> int:
        """Return k!."""
        return math.factorial(len(start.order))

    def plan(self, start: Presentation) -> tuple[Presentation, ...]:
        """Return the orders of the design."""
        question = start.question
        orders = orders_of(self.design, len(question.options), origin_of(question), self.n)
        return tuple(start.replace(order=order) for order in orders)

    def spec(self) -> str:
        """Return design and number."""
        return f"reorder:{self.design}" + ("" if self.n is None else f":{self.n}")

    def spec_for(self, start: Presentation) -> str:
        """Return design and number, with `auto` told as what it becomes for this many options."""
        if self.design != "auto":
            return self.spec()
        return "reorder:all" if len(start.order) <= AUTO_ALL_OPTIONS else f"reorder:balanced:{AUTO_MIN_ROWS}"

    def describe(self, orbit: Orbit) -> str:
        """Say how many orders are planned, and of how many."""
        return f"{len(orbit)} of {self.size(orbit.as_written):,} orders"

    def balanced_part(self, orbit: Orbit) -> tuple[int, ...] | None:
        """Return indices of presentations that show each content equally often at each position, or None."""
        k = len(orbit.question.options)
        if self.design == "cyclic" or len(orbit) == math.factorial(k):
            return tuple(range(len(orbit)))
        if self.design in ("balanced", "auto"):
            return tuple(range(1, len(orbit)))
        return None


@dataclass(frozen=True, slots=True)
class Relabel(Transform):
    """Put other labels before the same options. The first label set is the one as written."""

    label_sets: Sequence[Sequence[str]] = LABEL_SETS
    title: str = field(default="labelling", init=False, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.label_sets, str) or not isinstance(self.label_sets, Sequence):
            raise UsageError(f"label_sets is {self.label_sets!r}, but must be a list of two or more label sets")
        sets = tuple(check_labels(labels) for labels in self.label_sets)
        _check_many(sets, "label_sets", "label set")
        object.__setattr__(self, "label_sets", sets)

    def variants(self, start: Presentation) -> Iterator[Presentation]:
        """Yield one presentation per label set that has enough labels and prints differently."""
        k = len(start.order)
        fitting = dict.fromkeys(labels[:k] for labels in self.label_sets if len(labels) >= k)
        if not fitting:
            raise UsageError(
                f"no label set has the {k} labels that question {start.question.name!r} needs. Give longer sets"
            )
        for labels in fitting:
            yield start.replace(labels=labels)

    def size(self, start: Presentation) -> int:
        """Return the number of label sets that fit."""
        return sum(1 for _ in self.variants(start))

    def spec(self) -> str:
        """Return the label sets."""
        return "relabel:" + "|".join(",".join(labels) for labels in self.label_sets)


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


def _check_many(items: Sequence[object], name: str, one: str) -> None:
    if len(items) < 2:
        raise UsageError(f"{name} holds {len(items)} {one}(s), but there is nothing to compare below 2")
    for item in items:
        if items.count(item) > 1:
            raise UsageError(f"{name} holds the same {one} twice: {item!r}. Remove one")
