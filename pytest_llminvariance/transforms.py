"""Changes that keep the meaning, and the orbits they make of a question.

A transform turns one presentation into others. It can be enumerated, planned (which part of the orbit is
asked), sampled from a seed that depends on the question's content, and composed with others. The way back
is carried by the presentations themselves.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pytest_llminvariance.designs import (
    AUTO_ALL_OPTIONS,
    AUTO_MIN_ROWS,
    PLAN_SALT,
    Design,
    check_design,
    draw_order,
    orders_of,
)
from pytest_llminvariance.edits import origin_of
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.labels import check_labels
from pytest_llminvariance.presentation import Layout, Presentation, Template, as_template
from pytest_llminvariance.questions import Question

__all__ = ["LABEL_SETS", "LAYOUTS", "Orbit", "Product", "Reformat", "Relabel", "Reorder", "Reword", "Transform"]

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
MAX_PLANNED = 5_000


@dataclass(frozen=True, slots=True)
class Orbit:
    """The planned presentations of one question; the first is the question as written."""

    presentations: tuple[Presentation, ...]
    transform: Transform

    @property
    def question(self) -> Question:
        """The question that all of them ask."""
        return self.presentations[0].question

    @property
    def as_written(self) -> Presentation:
        """The presentation that the others are compared with."""
        return self.presentations[0]

    def __len__(self) -> int:
        return len(self.presentations)

    def __iter__(self) -> Iterator[Presentation]:
        return iter(self.presentations)


class Transform(ABC):
    """A change that must keep the meaning.

    To add one, give `title`, `variants`, `size` and, where asking everything is too much, `plan`.
    """

    title: str
    """What is changed, in words: `option order`."""

    @abstractmethod
    def variants(self, start: Presentation) -> Iterator[Presentation]:
        """Yield every presentation of the orbit once, the one as written first."""

    @abstractmethod
    def size(self, start: Presentation) -> int:
        """Return how many presentations `variants` yields."""

    @abstractmethod
    def spec(self) -> str:
        """Return a text that identifies the plan; two runs with equal specs planned the same."""

    def spec_for(self, start: Presentation) -> str:
        """Return the spec for one question, with `auto` told as what it becomes."""
        del start
        return self.spec()

    def plan(self, start: Presentation) -> tuple[Presentation, ...]:
        """Return the presentations to ask, the one as written first."""
        return tuple(itertools.islice(self.variants(start), MAX_PLANNED + 1))

    def sample(self, start: Presentation, n: int, salt: str = PLAN_SALT) -> tuple[Presentation, ...]:
        """Return up to `n` distinct variants other than the first, drawn by salt and content."""
        rest = self.plan(start)[1:]
        return tuple(rest[i] for i in draw_order(len(rest), salt, start.question.content_hash, self.spec())[:n])

    def orbit(self, question: Question, template: str | Template | None = None) -> Orbit:
        """Return the planned orbit of `question`, asked with `template`; no presentation comes twice.

        Raises:
            UsageError: if more than 5,000 presentations would be planned for one question.
        """
        planned = self.plan(Presentation(question, template=template))
        if len(planned) > MAX_PLANNED:
            raise UsageError(
                f"{self.title}: more than {MAX_PLANNED:,} presentations of question {question.name!r} are planned. "
                "Use a smaller design, for example orders='balanced'"
            )
        return Orbit(tuple(dict.fromkeys(planned)), self)

    def __mul__(self, other: Transform) -> Product:
        return Product((self, other)) if isinstance(other, Transform) else NotImplemented

    def describe(self, orbit: Orbit) -> str:
        """Say how much of the orbit is planned: `12 of 120 orders`."""
        return f"{len(orbit)} of {self.size(orbit.as_written):,} presentations"


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


@dataclass(frozen=True, slots=True)
class Product(Transform):
    """Several transforms crossed; where two set the same part, the later one wins."""

    parts: tuple[Transform, ...]

    @property
    def title(self) -> str:  # type: ignore[override]
        """Titles of the parts."""
        return " x ".join(part.title for part in self.parts)

    def variants(self, start: Presentation) -> Iterator[Presentation]:
        """Yield every combination, each of the parts' first variants first."""
        yield from self._crossed(start, planned=False)

    def plan(self, start: Presentation) -> tuple[Presentation, ...]:
        """Return the planned presentations of the parts, crossed."""
        return tuple(itertools.islice(self._crossed(start, planned=True), MAX_PLANNED + 1))

    def _crossed(self, start: Presentation, *, planned: bool) -> Iterator[Presentation]:
        rows: Iterator[Presentation] = iter([start])
        for part in self.parts:
            step = part.plan if planned else part.variants
            rows = itertools.chain.from_iterable(map(step, rows))
        return rows

    def size(self, start: Presentation) -> int:
        """Return the product of the parts' sizes."""
        return math.prod(part.size(start) for part in self.parts)

    def spec(self) -> str:
        """Return the parts' specs."""
        return "*".join(part.spec() for part in self.parts)

    def spec_for(self, start: Presentation) -> str:
        """Return the parts' specs for one question."""
        return "*".join(part.spec_for(start) for part in self.parts)


def _check_many(items: Sequence[object], name: str, one: str) -> None:
    if len(items) < 2:
        raise UsageError(f"{name} holds {len(items)} {one}(s), but there is nothing to compare below 2")
    for item in items:
        if items.count(item) > 1:
            raise UsageError(f"{name} holds the same {one} twice: {item!r}. Remove one")
