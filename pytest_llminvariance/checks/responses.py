"""Whether the answer follows the question: other stems over the same options, asked only as far as HOLDS needs it.

No verdict depends on how far the answer moves beyond what is needed, so asking ends where that is shown: for certain
where everything is asked, at the check's risk where a test may stop. Which stems come first never depends on answers,
and not on what is remembered.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple, Protocol

from pytest_llminvariance.checks.evidence import Answers, Evidence
from pytest_llminvariance.checks.properties.base import Plan
from pytest_llminvariance.measures.betting import MeanTest, rescaled
from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.measures.metrics import UNKNOWN, Interval, Metric, Number, mean_interval
from pytest_llminvariance.measures.movement import could_move, needed_movement
from pytest_llminvariance.questions.presentation import Presentation

FIRST_GROUP = 4
GROWTH = 4
"""A group is a quarter of what was counted so far: passes stay few, and at most a fifth is asked in vain."""


class Stem(NamedTuple):
    """One other stem over a question's options: the question's number in the order of asking, and the stem's."""

    question: int
    number: int


class Source(Protocol):
    """Gives what came back for plans: by asking a model, or from a record."""

    def evidence(self, plans: Sequence[Plan]) -> list[Evidence]:
        """Return one evidence a plan."""
        ...

    def responses(self, stems: Sequence[Stem]) -> list[tuple[AnswerDistribution, ...]] | None:
        """Return the answers under other stems, one a draw; `None` where a record does not have them all."""
        ...


@dataclass(slots=True)
class Responses:
    """How far answers move under other stems, as far as they were asked."""

    source: Source
    metric: Metric
    samples: int = 1
    lacking: bool = False
    """True where what is needed is not in a record."""
    n_asked: int = 0
    """Stems that were asked."""
    by_question: list[tuple[Interval, Number]] = field(default_factory=list, init=False)
    """How far each question moves, and how far it could, of as many as `shown` needed."""
    by_unit: list[Number] = field(default_factory=list, init=False)
    """The same of each unit, on the scale of the bound."""
    _moved: dict[Stem, Interval] = field(default_factory=dict, init=False)

    def move(self, number: int, item: Evidence) -> Interval:
        """Return how far a question's answer moves; what was not asked may be anything."""
        return mean_interval([self._moved.get(Stem(number, index), UNKNOWN) for index in range(len(item.stems))])

    def could(self, item: Evidence) -> Number:
        """Return how far the answer of a model that is always right would move."""
        return could_move(item.plan.question, item.stems, self.metric.pairwise, self.samples)

    def ask(self, evidence: Sequence[Evidence], stems: Iterable[Stem]) -> None:
        """Ask these stems of questions; `evidence` stands in the order of asking."""
        wanted = [stem for stem in stems if stem not in self._moved]
        found = self.source.responses(wanted) if wanted else []
        self.lacking = self.lacking or found is None
        for stem, answers in zip(wanted, found or (), strict=found is not None):
            item = evidence[stem.question]
            both = (*item.answers[: self.samples], *answers)
            self._moved[stem] = self.metric.pairwise.measure(both, item.plan.question.keyed_scores, item.delta_nats)
        self.n_asked = len(self._moved)

    def shown(
        self, evidence: Sequence[Evidence], units: Sequence[range], n: int, most: Fraction, test: MeanTest
    ) -> str | None:
        """Return what the movement of the first `n` units shows, asked only as far as that is needed.

        A question that needs less than `most` has the rest added: at most 1 in all.
        """
        while test.shown != "above" and len(self.by_unit) < n and not self.lacking:
            done = len(self.by_unit)
            unit, could = units[done], [self.could(evidence[number]) for number in units[done]]
            if any(stem not in self._moved for stem in _stems(evidence, unit)):
                ahead = units[done:][: max(FIRST_GROUP, done // GROWTH)]
                self.ask(evidence, _stems(evidence, range(unit.start, ahead[-1].stop)))
                continue
            moves = [mean_interval([self._moved[stem] for stem in _stems(evidence, range(q, q + 1))]) for q in unit]
            self.by_question += zip(moves, could, strict=True)
            spared = sum(most - needed_movement(most, amount) for amount in could) / len(could)
            self.by_unit.append(min(Fraction(1), mean_interval(moves).low + spared))
            moved = rescaled(self.by_unit[-1], self.metric.least)
            test.add(moved, moved)
        return test.shown

    def answered(self, answers: Answers, most: Fraction) -> Answers:
        """Return the answers with how far they move, asked until that is certain to be enough, or all is asked."""
        evidence = answers.evidence
        self.ask_until_certain(evidence, most)
        moves = tuple(self.move(number, item) for number, item in enumerate(evidence))
        could = tuple(map(self.could, evidence))
        return dataclasses.replace(answers, moves=moves, could=could, n_stems=self.n_asked, lacking=self.lacking)

    def ask_until_certain(self, evidence: Sequence[Evidence], most: Fraction) -> None:
        """Ask until the mean over all questions is certain to exceed what is needed, whatever the rest would say."""
        if not evidence:
            return
        need = sum(needed_movement(most, self.could(item)) for item in evidence) / len(evidence)
        free, dear = cheapest_first(evidence)
        self.ask(evidence, free)
        waiting = [stem for stem in dear if stem not in self._moved]
        n_asked = 0
        while waiting and not self.lacking:
            gap = need - mean_interval([self.move(number, item) for number, item in enumerate(evidence)]).low
            if gap < 0:
                break
            n = max(n_asked // 4, _fewest(gap, evidence, waiting))  # a quarter more: passes stay few
            self.ask(evidence, waiting[:n])
            waiting, n_asked = waiting[n:], n_asked + n


def _stems(evidence: Sequence[Evidence], numbers: range) -> Iterator[Stem]:
    return (Stem(number, index) for number in numbers for index in range(len(evidence[number].stems)))


def cheapest_first(evidence: Sequence[Evidence]) -> tuple[list[Stem], list[Stem]]:
    """Return the stems that are asked anyway, because they are another question as written, and all others, short ones first."""
    written = {item.plan.probes[0].presentation for item in evidence}
    free: list[Stem] = []
    others: list[tuple[int, Stem]] = []
    for number, item in enumerate(evidence):
        for index, shown in enumerate(item.stems):
            if shown in written:
                free.append(Stem(number, index))
            else:
                others.append((_length(shown), Stem(number, index)))
    return free, [stem for _, stem in sorted(others)]


def _length(shown: Presentation) -> int:
    return len(shown.question.stem) + len(shown.question.context or "")


def _fewest(gap: Number, evidence: Sequence[Evidence], waiting: Sequence[Stem]) -> int:
    """Return how many of the stems that come next would fill the gap if the answer moved wholly under each."""
    shares = (Fraction(1, len(evidence) * len(evidence[stem.question].stems)) for stem in waiting)
    sums: Iterator[Fraction] = itertools.accumulate(shares)
    return next((count for count, total in enumerate(sums, 1) if total > gap), len(waiting))
