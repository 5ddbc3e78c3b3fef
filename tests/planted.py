"""Models with one planted fault each: what flips them is known, and how small the smallest example is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pytest_llminvariance import Choices, Layout, Presentation, Question, Template, controls
from pytest_llminvariance.models.controls import Control
from pytest_llminvariance.models.protocol import Reply, Request
from pytest_llminvariance.questions.orders import identity, kendall_distance

QUESTION = Question("Which of these rivers is the longest?", ["Nile", "Rhine", "Thames", "Loire", "Oder"], answer=0)
DIGITS, LETTERS, LATE = tuple("12345"), tuple("ABCDE"), tuple("PQRST")
PLAIN = Template("{stem}\n{options}", name="plain", labels=DIGITS)
POLITE = Template("Please answer. {stem}\n{options}", name="polite", labels=DIGITS)
LAYOUTS = (Layout(), Layout(enumerator="{label}) "), Layout(separator="; "), Layout(separator="\t"))
WRITTEN = Presentation(QUESTION, template=PLAIN)
LABELS, TEMPLATES = (DIGITS, LETTERS, LATE), (PLAIN, POLITE)
SPACE = Choices(orders=True, labels=LABELS, layouts=LAYOUTS, templates=TEMPLATES)


@dataclass(frozen=True)
class Fault:
    """A rule under which a model that otherwise always gives the right answer gives another."""

    name: str
    is_hit: Callable[[Presentation], bool]
    smallest: tuple[int, int]
    """(changed parts, adjacent swaps) of the smallest example."""

    def model(self) -> Counting:
        return Counting(Control(f"planted: {self.name}", self._respond))

    def _respond(self, shown: Presentation) -> Sequence[float]:
        chosen = 1 if self.is_hit(shown) else 0
        return [0.9 if content == chosen else 0.1 / (len(shown.order) - 1) for content in shown.order]


@dataclass
class Counting:
    """Counts the presentations that reach a model."""

    inner: Control
    asked: list[Presentation] = field(default_factory=list)
    name = property(lambda self: self.inner.name)
    fingerprint = property(lambda self: self.inner.fingerprint)
    capabilities = property(lambda self: self.inner.capabilities)
    deterministic = property(lambda self: True)

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        self.asked += [request.presentation for request in requests]
        return self.inner.answer(requests)


def inversions(shown: Presentation) -> int:
    return kendall_distance(shown.order, identity(len(shown.order)))


FAULTS = (
    Fault("content 3 stands directly before content 1", lambda p: p.position_of(3) + 1 == p.position_of(1), (1, 2)),
    Fault('a label is "C"', lambda p: "C" in p.labels, (1, 0)),
    Fault('content 3 has label "C"', lambda p: "C" in p.labels and p.option_at("C") == 3, (2, 1)),
    Fault("a tab separates the options", lambda p: p.layout.separator == "\t", (1, 0)),
    Fault("an odd number of inversions", lambda p: inversions(p) % 2 == 1, (1, 1)),
    Fault("other labels and another layout meet", lambda p: p.labels != DIGITS and p.layout != Layout(), (2, 0)),
    Fault("another wording and another order meet", lambda p: p.template != PLAIN and inversions(p) > 0, (2, 1)),
)
INVARIANT = Counting(controls.oracle())
