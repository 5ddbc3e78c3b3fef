"""What a transform is, the orbit it makes of a question, and the product of several."""

from __future__ import annotations

import dataclasses
import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.questions.template import Template
from pytest_llminvariance.transforms.edits import edits_of

MAX_PLANNED = 5_000
Changes = tuple[tuple[str, object], ...]
"""What one transform changed: fields of a presentation and their values; nothing where it left all as it was."""
Placed = Iterator[tuple[tuple[Changes, ...], Presentation]]
"""Presentations, each with what every factor changed."""


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

    def factors(self) -> tuple[Transform, ...]:
        """Return the transforms that it is a product of: itself."""
        return (self,)

    def placed(self, start: Presentation) -> Placed:
        """Yield what is planned, each with what every factor changed."""
        for shown in self.plan(start):
            yield (_changes(start, shown),), shown

    def leaves_out(self, start: Presentation) -> str:
        """Return why a question has no other presentation with the same meaning, or an empty text: "they ..."."""
        del start
        return ""

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
        return f"{len(orbit)} of {self.chosen_from(orbit.as_written):,} presentations"

    def chosen_from(self, start: Presentation) -> int:
        """Return how many presentations the design knows: all, except for a reversal, which has two directions."""
        return self.size(start)


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
        rows: Iterator[Presentation] = iter([start])
        for part in self.parts:
            rows = itertools.chain.from_iterable(map(part.variants, rows))
        return rows

    def plan(self, start: Presentation) -> tuple[Presentation, ...]:
        """Return the planned presentations of the parts, crossed."""
        return tuple(shown for _, shown in itertools.islice(self.placed(start), MAX_PLANNED + 1))

    def factors(self) -> tuple[Transform, ...]:
        """Return those of the parts."""
        return tuple(factor for part in self.parts for factor in part.factors())

    def placed(self, start: Presentation) -> Placed:
        """Yield the planned presentations of the parts, crossed."""
        rows: Placed = iter([((), start)])
        for part in self.parts:
            rows = _crossed(rows, part)
        return rows

    def leaves_out(self, start: Presentation) -> str:
        """Return the first part's reason."""
        return next((why for part in self.parts if (why := part.leaves_out(start))), "")

    def size(self, start: Presentation) -> int:
        """Return the product of the parts' sizes."""
        return math.prod(part.size(start) for part in self.parts)

    def chosen_from(self, start: Presentation) -> int:
        """Return the product of what the parts' designs know."""
        return math.prod(part.chosen_from(start) for part in self.parts)

    def spec(self) -> str:
        """Return the parts' specs."""
        return "*".join(part.spec() for part in self.parts)

    def spec_for(self, start: Presentation) -> str:
        """Return the parts' specs for one question."""
        return "*".join(part.spec_for(start) for part in self.parts)


def _changes(before: Presentation, after: Presentation) -> Changes:
    """Return what was changed, the same for the same change of different presentations.

    An edit of the question is told by its words, else by the text: a typing error in another sentence is another change.
    """
    names = [field.name for field in dataclasses.fields(Presentation) if field.name not in ("question", "labels")]
    found: list[tuple[str, object]] = [(n, getattr(after, n)) for n in names if getattr(before, n) != getattr(after, n)]
    asked, edited = before.question, after.question
    if asked != edited:
        told = edits_of(edited)[len(edits_of(asked)) :]
        found.append(("question", told or (edited.stem, edited.context, edited.options)))
    return tuple(found)


def _crossed(rows: Placed, part: Transform) -> Placed:
    for place, before in rows:
        for more, shown in part.placed(before):
            yield (*place, *more), shown


class TextTransform(Transform):
    """A transform that edits the question; to add one, give `title`, `edits` and `spec`."""

    @abstractmethod
    def edits(self, question: Question) -> Iterator[Question]:
        """Yield the edited questions, without the one as written."""

    def variants(self, start: Presentation) -> Iterator[Presentation]:
        """Yield the presentation as it is, then one per edited question."""
        yield start
        for question in self.edits(start.question):
            yield start.replace(question=question)

    def size(self, start: Presentation) -> int:
        """Return the number of variants."""
        return sum(1 for _ in self.variants(start))
