"""What the answers of a finding look like together: by order, position, label, direction.

Answers name the check that they belong to. Where a record does not say, they are found by model, readout and question,
and then by what the property varies.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pytest_llminvariance.measures.distribution import UNKNOWN_STATUSES
from pytest_llminvariance.measures.variance import Observation, VarianceShares, variance_shares
from pytest_llminvariance.records.answers import RecordedAnswer
from pytest_llminvariance.report.entries import ReportEntry
from pytest_llminvariance.report.text import cut

MAX_PLACES = 12


@dataclass(frozen=True, slots=True)
class Index:
    """Answers by what they can be found by."""

    by_check: Mapping[str, Sequence[RecordedAnswer]]
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


def index_answers(answers: Iterable[RecordedAnswer]) -> Index:
    """Sort answers by what they can be found by."""
    by_check: dict[str, list[RecordedAnswer]] = {}
    by_question: dict[tuple[str, str, str], list[RecordedAnswer]] = {}
    for answer in answers:
        if answer.check is not None:
            by_check.setdefault(answer.check, []).append(answer)
        elif answer.role == "planned":
            by_question.setdefault((answer.fingerprint, answer.readout, _name(answer)), []).append(answer)
    return Index(by_check, by_question)


def _name(answer: RecordedAnswer) -> str:
    """Return the question's name as findings have it: its id, or the beginning of its stem, or its hash."""
    if answer.question_id is not None:
        return answer.question_id
    stem = answer.stem
    return answer.question if stem is None else cut(stem, 40)


def orbits(entry: ReportEntry, index: Index) -> list[AnsweredOrbit | None]:
    """Return the orbit of each question of a finding; `None` where the record holds no answers to it."""
    rows = index.by_check.get(entry.id)
    if rows is not None:
        return _of_check(entry, rows)
    readouts = entry.text("readout").split(" and ")
    found: list[AnsweredOrbit | None] = []
    for effect in entry.effects:
        keys = [(entry.text("fingerprint"), readout, effect.question) for readout in readouts]
        found.append(_guessed(entry, effect.question, [row for key in keys for row in index.by_question.get(key, ())]))
    return found


def _of_check(entry: ReportEntry, answers: Sequence[RecordedAnswer]) -> list[AnsweredOrbit | None]:
    planned: dict[int, dict[int, RecordedAnswer]] = {}
    again: dict[str, list[RecordedAnswer]] = {}
    for row in answers:
        if row.role == "planned" and row.place is not None:
            planned.setdefault(row.place[0], {})[row.place[1]] = row
        elif row.role == "sentinel":
            again.setdefault(row.question, []).append(row)
    found: list[AnsweredOrbit | None] = []
    for number, effect in enumerate(entry.effects):
        rows = [row for _, row in sorted(planned.get(number, {}).items())]
        has_first = 0 in planned.get(number, {})
        repeats = tuple(again.get(rows[0].question, ())) if rows else ()
        found.append(AnsweredOrbit(effect.question, tuple(rows), has_first, repeats) if rows else None)
    return found


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


def position_shares(found: Sequence[AnsweredOrbit]) -> Shares | None:
    """Return the share of choices at each position; questions may differ in their number of options."""
    rows = [row for orbit in found for row in orbit.rows]
    sizes = [len(row.order) for row in rows if _choices(row)]
    if not sizes or max(sizes) > MAX_PLACES:
        return None
    names = tuple(str(position + 1) for position in range(max(sizes)))
    even = tuple(math.fsum(1 / k for k in sizes if position < k) / len(sizes) for position in range(max(sizes)))
    placed = [[(str(row.order.index(content) + 1), part) for content, part in _choices(row)] for row in rows]
    return _shares(names, placed, even, _is_balanced(found))


def label_shares(found: Sequence[AnsweredOrbit]) -> Shares | None:
    """Return the share of choices under each label; `None` where labels only number the positions."""
    rows = [row for orbit in found for row in orbit.rows if len(row.labels) == len(row.order)]
    places = {(label, place) for row in rows for place, label in enumerate(row.labels)}
    at_place = Counter(place for _, place in places)
    if max(at_place.values(), default=0) < 2:
        return None
    names = tuple(sorted({label for label, _ in places}))
    placed = [[(row.labels[row.order.index(content)], part) for content, part in _choices(row)] for row in rows]
    return _shares(names, placed, None, is_balanced=False)


def _shares(
    names: tuple[str, ...],
    placed: Sequence[Sequence[tuple[str, float]]],
    even: tuple[float, ...] | None,
    is_balanced: bool,  # noqa: FBT001
) -> Shares | None:
    totals: dict[str, float] = dict.fromkeys(names, 0.0)
    for row in placed:
        for name, part in row:
            totals[name] += part
    n = sum(bool(row) for row in placed)
    return Shares(names, tuple(totals[name] / n for name in names), n, even, is_balanced) if n else None


def _choices(row: RecordedAnswer) -> list[tuple[int, float]]:
    """Return chosen contents with their parts: one, or several in a tie; none where nothing was chosen or read."""
    chosen = [content for content in row.outcomes if content >= 0]
    if not chosen or min(row.outcomes) < 0 or max(chosen) >= len(row.order):
        return []
    return [(content, 1 / len(chosen)) for content in chosen]


def _is_balanced(found: Sequence[AnsweredOrbit]) -> bool:
    """Return whether within each question every content stands equally often at each position."""
    for orbit in found:
        counts = Counter((place, content) for row in orbit.rows for place, content in enumerate(row.order))
        k = len(orbit.rows[0].order)
        if len(counts) < k * k or len(set(counts.values())) > 1:
            return False
    return bool(found)


def directions(found: Sequence[AnsweredOrbit]) -> Directions | None:
    """Count changed answers by direction; `None` where nothing changed for certain."""
    earlier = later = to_right = to_wrong = 0
    known = False
    for orbit in found:
        before = orbit.rows[0].outcomes
        if not orbit.has_as_written or len(before) != 1 or before[0] < 0:
            continue
        for row in orbit.rows[1:]:
            if len(row.outcomes) != 1 or row.outcomes == before or row.outcomes[0] < 0:
                continue
            is_earlier = row.order.index(row.outcomes[0]) < row.order.index(before[0])
            earlier, later = earlier + is_earlier, later + (not is_earlier)
            known = known or row.correct is not None
            to_right += row.outcomes[0] == row.correct
            to_wrong += before[0] == row.correct
    if not earlier + later:
        return None
    return Directions(earlier, later, to_right if known else None, to_wrong if known else None)


def spread(found: Sequence[AnsweredOrbit]) -> VarianceShares | None:
    """Split the variance of the probability of each question's favourite: the option that is most probable on average."""
    observations = []
    for orbit in found:
        known = [row for row in (*orbit.rows, *orbit.again) if row.status not in UNKNOWN_STATUSES]
        if not known:
            continue
        means = [math.fsum(column) for column in zip(*(row.probabilities for row in known), strict=True)]
        favourite = means.index(max(means))
        observations += [
            Observation(orbit.name, (row.template, row.layout, row.labels, row.readout), row.order, row.probabilities[favourite])
            for row in known
        ]  # fmt: skip
    return variance_shares(observations)
