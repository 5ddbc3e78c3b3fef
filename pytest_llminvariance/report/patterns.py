"""What the answers of a finding look like together: by order, position, label, direction.

Answers name the check that they belong to. Where a record does not say, they are found by model, readout and question,
and then by what the property varies.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pytest_llminvariance.errors import RecordError
from pytest_llminvariance.measures.distribution import UNKNOWN_STATUSES
from pytest_llminvariance.measures.variance import Observation, Variance, VarianceShares
from pytest_llminvariance.records.answers import ByPlace, RecordedAnswer, StoredAnswers
from pytest_llminvariance.report.entries import ReportEntry
from pytest_llminvariance.report.text import cut

MAX_PLACES = 12


@dataclass(frozen=True, slots=True)
class Index:
    """Answers by what they can be found by."""

    stored: StoredAnswers | None
    by_question: Mapping[tuple[str, str, str], Sequence[RecordedAnswer]]
    """Those that name no check, by fingerprint, readout and the question's name."""


@dataclass(frozen=True, slots=True)
class AnsweredOrbit:
    """The answers to one question; the first is the one as written where that was asked."""

    name: str
    rows: tuple[RecordedAnswer, ...]
    has_as_written: bool
    again: tuple[RecordedAnswer, ...] = ()
    """Answers to prompts that were asked again."""

    @property
    def options(self) -> tuple[str, ...]:
        """Texts of the options by content, or stand-ins where the record does not hold them."""
        known = next((row.options for row in self.rows if row.options is not None), None)
        return known or tuple(f"option {content + 1}" for content in range(len(self.rows[0].order)))

    @property
    def stem(self) -> str | None:
        """The question, where the record holds it."""
        return next((row.stem for row in self.rows if row.stem), None)


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of choices by position or label; ties count in parts."""

    names: tuple[str, ...]
    values: tuple[float, ...]
    n: int
    """Answers that chose an option."""
    even: tuple[float, ...] | None
    """What each share would be without a preference; `None` where that is not defined."""
    is_balanced: bool
    """Every content stood equally often at each place, so that an uneven share is no matter of content."""


@dataclass(frozen=True, slots=True)
class Directions:
    """Changed answers by where they went, against the answer to the question as written."""

    earlier: int
    """The new answer is shown before the old one."""
    later: int
    to_right: int | None
    """From a wrong answer to the correct one; `None` where no correct answer is recorded."""
    to_wrong: int | None


def index_answers(answers: Sequence[RecordedAnswer]) -> Index:
    """Sort answers of a record by what they can be found by; those that name their check stay on the disk."""
    stored = answers if isinstance(answers, StoredAnswers) else None
    by_question: dict[tuple[str, str, str], list[RecordedAnswer]] = {}
    for answer in () if stored is None else stored.read(stored.lines.of_none()):
        if answer.role == "planned":
            by_question.setdefault((answer.fingerprint, answer.readout, _name(answer)), []).append(answer)
    return Index(stored, by_question)


def _name(answer: RecordedAnswer) -> str:
    """Return the question's name as findings have it: its id, or the beginning of its stem, or its hash."""
    if answer.question_id is not None:
        return answer.question_id
    stem = answer.stem
    return answer.question if stem is None else cut(stem, 40)


def orbits(entry: ReportEntry, index: Index) -> Iterator[AnsweredOrbit | None]:
    """Yield the orbit of each question of a finding; `None` where the record holds no answers to it."""
    if index.stored is not None and entry.id and index.stored.lines.count(entry.id):
        yield from _of_check(entry, ByPlace(index.stored, entry.id))
        return
    readouts = entry.text("readout").split(" and ")
    for effect in entry.effects:
        keys = [(entry.text("fingerprint"), readout, effect.question) for readout in readouts]
        yield _guessed(entry, effect.question, [row for key in keys for row in index.by_question.get(key, ())])


def _of_check(entry: ReportEntry, found: ByPlace) -> Iterator[AnsweredOrbit | None]:
    again: dict[str, list[RecordedAnswer]] = {}
    for row in (row for number in found.questions("sentinel") for row in found.answers("sentinel", number)):
        again.setdefault(row.question, []).append(row)
    for number, effect in enumerate(entry.effects):
        rows = tuple(found.answers("planned", number))
        repeats = tuple(again.get(rows[0].question, ())) if rows else ()
        has_first = 0 in found.known("planned", number)
        yield AnsweredOrbit(effect.question, rows, has_first, repeats) if rows else None


def _guessed(entry: ReportEntry, name: str, rows: Sequence[RecordedAnswer]) -> AnsweredOrbit | None:
    """Return an orbit from answers that do not name their check, leaving out what another check asked."""
    rows = list(dict.fromkeys(rows))
    first = [row for row in rows if row.order == tuple(sorted(row.order)) and row.template == entry.text("template")]
    ways = {(row.labels, row.layout) for row in first}
    if entry.name == "option_order" and len(ways) == 1:
        rows = [
            row for row in rows if (row.template, row.labels, row.layout) == (entry.text("template"), *next(iter(ways)))
        ]
    if not rows:
        return None
    if len(first) != 1:
        return AnsweredOrbit(name, tuple(rows), has_as_written=False)
    return AnsweredOrbit(name, (first[0], *(row for row in rows if row is not first[0])), has_as_written=True)


def context_of(entry: ReportEntry, index: Index, place: int) -> str:
    """Return the context of a question of a finding by its place; empty where the record holds none that can be read."""
    with contextlib.suppress(RecordError, IndexError):
        sheet = None if index.stored is None else index.stored.sheet(entry.id)
        return "" if sheet is None else sheet.plans[place].question.context or ""
    return ""


class Patterns:
    """What the orbits of a finding look like together, gathered while they come one after the other."""

    def __init__(self) -> None:
        self.orders_vary = False
        """Whether a question was asked in several orders."""
        self._n_orbits = 0
        self._is_balanced = True
        self._sizes: Counter[int] = Counter()  # options of answers that chose one
        self._at: defaultdict[str, float] = defaultdict(float)
        self._under: defaultdict[str, float] = defaultdict(float)
        self._n_labelled = 0
        self._labels: set[tuple[str, ...]] = set()  # those of each way of showing, by position
        self._moved = [0, 0, 0, 0]
        self._knows_right = False
        self._variance = Variance()

    def add(self, orbit: AnsweredOrbit) -> None:
        """Add the answers to one question."""
        self._n_orbits += 1
        self.orders_vary = self.orders_vary or len({row.order for row in orbit.rows}) > 1
        self._is_balanced = self._is_balanced and _is_balanced(orbit)
        for row in orbit.rows:
            self._add_choices(row)
        self._add_directions(orbit)
        self._add_spread(orbit)

    def _add_choices(self, row: RecordedAnswer) -> None:
        choices = _choices(row)
        has_labels = len(row.labels) == len(row.order)
        if has_labels:
            self._labels.add(row.labels)
        self._sizes[len(row.order)] += bool(choices)
        self._n_labelled += bool(choices) and has_labels
        for content, part in choices:
            position = row.order.index(content)
            self._at[str(position + 1)] += part
            if has_labels:
                self._under[row.labels[position]] += part

    def _add_directions(self, orbit: AnsweredOrbit) -> None:
        before = orbit.rows[0].outcomes
        if not orbit.has_as_written or len(before) != 1 or before[0] < 0:
            return
        for row in orbit.rows[1:]:
            if len(row.outcomes) != 1 or row.outcomes == before or row.outcomes[0] < 0:
                continue
            is_earlier = row.order.index(row.outcomes[0]) < row.order.index(before[0])
            self._knows_right = self._knows_right or row.correct is not None
            said = (is_earlier, not is_earlier, row.outcomes[0] == row.correct, before[0] == row.correct)
            self._moved = [n + more for n, more in zip(self._moved, said, strict=True)]

    def _add_spread(self, orbit: AnsweredOrbit) -> None:
        known = [row for row in (*orbit.rows, *orbit.again) if row.status not in UNKNOWN_STATUSES]
        if not known:
            return
        means = [math.fsum(column) for column in zip(*(row.probabilities for row in known), strict=True)]
        favourite = means.index(max(means))
        self._variance.add(
            [
                Observation(orbit.name, (row.template, row.layout, row.labels, row.readout), row.order, row.probabilities[favourite])
                for row in known
            ]
        )  # fmt: skip

    def position_shares(self) -> Shares | None:
        """Return the share of choices at each position; questions may differ in their number of options."""
        sizes = +self._sizes
        if not sizes or max(sizes) > MAX_PLACES:
            return None
        n, names = sizes.total(), tuple(str(position + 1) for position in range(max(sizes)))
        even = tuple(
            math.fsum(1 / k for k, times in sizes.items() if position < k for _ in range(times)) / n
            for position in range(max(sizes))
        )
        return _shares(names, self._at, n, even, is_balanced=self._is_balanced and self._n_orbits > 0)

    def label_shares(self) -> Shares | None:
        """Return the share of choices under each label; `None` where labels only number the positions."""
        if all(len({*at_one_place} - {None}) < 2 for at_one_place in itertools.zip_longest(*self._labels)):
            return None
        names = tuple(sorted({label for labels in self._labels for label in labels}))
        return _shares(names, self._under, self._n_labelled, None, is_balanced=False)

    def directions(self) -> Directions | None:
        """Count changed answers by direction; `None` where nothing changed for certain."""
        earlier, later, to_right, to_wrong = self._moved
        if not earlier + later:
            return None
        return Directions(earlier, later, *((to_right, to_wrong) if self._knows_right else (None, None)))

    def spread(self) -> VarianceShares | None:
        """Split the variance of the probability of each question's favourite: the option that is most probable on average."""
        return self._variance.shares()


def _shares(
    names: tuple[str, ...], totals: Mapping[str, float], n: int, even: tuple[float, ...] | None, *, is_balanced: bool
) -> Shares | None:
    return Shares(names, tuple(totals.get(name, 0.0) / n for name in names), n, even, is_balanced) if n else None


def _choices(row: RecordedAnswer) -> list[tuple[int, float]]:
    """Return chosen contents with their parts: one, or several in a tie; none where nothing was chosen or read."""
    chosen = [content for content in row.outcomes if content >= 0]
    if not chosen or min(row.outcomes) < 0 or max(chosen) >= len(row.order):
        return []
    return [(content, 1 / len(chosen)) for content in chosen]


def _is_balanced(orbit: AnsweredOrbit) -> bool:
    """Return whether every content stands equally often at each position."""
    counts = Counter((place, content) for row in orbit.rows for place, content in enumerate(row.order))
    k = len(orbit.rows[0].order)
    return len(counts) == k * k and len(set(counts.values())) == 1
