"""Orbit heat maps as tables: one row a presentation, one column a content, so that they read without seeing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from pytest_llminvariance.checks.verdict import QuestionEffect
from pytest_llminvariance.questions.template import Layout
from pytest_llminvariance.records.answers import RecordedAnswer
from pytest_llminvariance.report.html.cases import raw_answer
from pytest_llminvariance.report.patterns import AnsweredOrbit
from pytest_llminvariance.report.text import cut, one_line, visible
from pytest_llminvariance.report.words import low_to_high, percent, plural, unit_words
from pytest_llminvariance.transforms.differences import layout_words

MAX_ROWS = 24
MAX_COLUMNS = 12


@dataclass(frozen=True, slots=True)
class Cell:
    """Probability of one content in one presentation."""

    said: str
    """The probability in percent, which is also how deep the shade is."""
    label: str
    """Label under which the content was shown."""
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class OrbitRow:
    """One presentation."""

    name: str
    cells: tuple[Cell, ...]
    other: str
    answer: str
    raw: str
    """What came back, as it came."""
    is_changed: bool


@dataclass(frozen=True, slots=True)
class OrbitTable:
    """The orbit of one question."""

    question: str
    stem: str
    context: str
    said: str
    """What changed, in words."""
    names: str
    """What names a row: `order shown`."""
    options: tuple[str, ...]
    rows: tuple[OrbitRow, ...]
    left_out: int
    shows_other: bool
    has_raw: bool


def orbit_table(orbit: AnsweredOrbit, effect: QuestionEffect, *, is_share: bool, context: str = "") -> OrbitTable:
    """Return the table of one question, the presentation as written first and changed answers before others where not all fit."""
    rows = _distinct(orbit.rows)
    first = rows[0].outcomes if orbit.has_as_written else None
    changed = [first is not None and not set(first) & set(row.outcomes) for row in rows]
    places = sorted(range(1, len(rows)), key=lambda place: not changed[place])[: MAX_ROWS - 1]
    kept = [0, *sorted(places)]
    title, namer = _namer(rows)
    repeated = _repeated(rows)
    options = tuple(cut(one_line(option), 60) for option in orbit.options)
    return OrbitTable(
        question=cut(one_line(orbit.name), 80),
        stem=cut(visible(orbit.stem or ""), 1_000),
        context=context,
        said=_said(effect, None if first is None else sum(changed), len(rows) - 1, is_share=is_share),
        names=title,
        options=options,
        rows=tuple(
            OrbitRow(
                name=("as written" if place == 0 and first is not None else namer(rows[place])) + repeated[place],
                cells=tuple(_cell(rows[place], content) for content in range(len(options))),
                other=percent(rows[place].other),
                answer=_answer(rows[place], options),
                raw=cut(raw_answer(rows[place]), 300),
                is_changed=changed[place],
            )
            for place in kept
        ),
        left_out=len(rows) - len(kept),
        shows_other=any(row.other >= 0.005 for row in rows),
        has_raw=any(raw_answer(row) for row in rows),
    )


def _shown_as(row: RecordedAnswer) -> tuple[object, ...]:
    return row.order, row.labels, row.template, row.layout, row.readout


def _distinct(rows: Sequence[RecordedAnswer]) -> list[RecordedAnswer]:
    """Return one answer for each presentation, or several where asking again gave another."""
    return list({(*_shown_as(row), row.outcomes): row for row in reversed(rows)}.values())[::-1]


def _repeated(rows: Sequence[RecordedAnswer]) -> list[str]:
    seen: set[tuple[object, ...]] = set()
    words = []
    for row in rows:
        words.append(", again" if _shown_as(row) in seen else "")
        seen.add(_shown_as(row))
    return words


def _said(effect: QuestionEffect, changed: int | None, n: int, *, is_share: bool) -> str:
    value = low_to_high(effect.low, effect.high, unit_words(is_share=is_share))
    causes = f", open: {', '.join(map(one_line, effect.causes))}" if effect.causes else ""
    if changed is None:
        return f"{value}{causes}"
    return f"{value}{causes}; another answer than as written in {changed} of {plural(n, 'other presentation')}"


def _namer(rows: Sequence[RecordedAnswer]) -> tuple[str, Callable[[RecordedAnswer], str]]:
    """Return what tells rows apart, and a function that says it of one row."""
    parts: dict[str, Callable[[RecordedAnswer], str]] = {
        "order shown": lambda row: _order(row.order),
        "labels": lambda row: cut(one_line(" ".join(row.labels)), 30),
        "template": lambda row: cut(one_line(row.template), 40),
        "layout": lambda row: _layout(rows[0], row),
        "read by": lambda row: one_line(row.readout),
    }
    varied = {name: say for name, say in parts.items() if len({say(row) for row in rows}) > 1}
    chosen = varied or {"order shown": parts["order shown"]}
    return ", ".join(chosen), lambda row: ", ".join(say(row) for say in chosen.values())


def _layout(first: RecordedAnswer, row: RecordedAnswer) -> str:
    """Say how a layout differs from that of the first row."""
    if not row.layout or not first.layout:
        return "not recorded"
    ours, theirs = (Layout(**json.loads(one.layout)) for one in (row, first))
    return "as written" if ours == theirs else cut(one_line(layout_words(theirs, ours)), 90)


@lru_cache(maxsize=1024)
def _spot(template: str, order: tuple[int, ...]) -> tuple[str, str]:
    """Return a wording and an order as the matrix names them: there are few, and answers are many."""
    return one_line(template, 40), _order(order)


def _order(order: Sequence[int]) -> str:
    return " ".join(str(content + 1) for content in order)


@dataclass(frozen=True, slots=True)
class Matrix:
    """How often answers changed, by wording and order."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    """A wording, and percents of questions whose answer changed; empty where that was not asked."""
    left_out: int


class Changes:
    """How often answers changed, by wording and order, gathered while orbits come one after the other."""

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}

    def add(self, orbit: AnsweredOrbit) -> None:
        """Count the answers to one question against the one as written."""
        if not orbit.has_as_written:
            return
        first = set(orbit.rows[0].outcomes)
        for row in orbit.rows:
            key = _spot(row.template, row.order)
            changed, n = self._counts.get(key, (0, 0))
            self._counts[key] = changed + first.isdisjoint(row.outcomes), n + 1

    def matrix(self) -> Matrix | None:
        """Return the matrix of wordings and orders; `None` where not both of them vary."""
        wordings, orders = (list(dict.fromkeys(key[place] for key in self._counts)) for place in (0, 1))
        if min(len(wordings), len(orders)) < 2:
            return None
        shown = orders[:MAX_COLUMNS]
        cells = {key: f"{100 * changed / n:.0f}" for key, (changed, n) in self._counts.items()}
        rows = tuple((name, tuple(cells.get((name, order), "") for order in shown)) for name in wordings[:MAX_ROWS])
        return Matrix(tuple(shown), rows, len(orders) - len(shown))


def _cell(row: RecordedAnswer, content: int) -> Cell:
    position = row.order.index(content)
    return Cell(
        said=f"{100 * row.probabilities[content]:.0f}",
        label=cut(one_line(row.labels[position]), 6) if position < len(row.labels) else "",
        is_chosen=content in row.outcomes and min(row.outcomes) >= 0,
    )


def _answer(row: RecordedAnswer, options: Sequence[str]) -> str:
    said = {"unfinished": "unfinished", "unparsed": "not readable", "missing": "no answer", "refused": "refused"}
    if row.status in said:
        return said[row.status]
    chosen = [content for content in row.outcomes if 0 <= content < len(options)]
    if len(chosen) != 1:
        return "a tie" if chosen else "none of them"
    position = row.order.index(chosen[0])
    label = f" ({cut(one_line(row.labels[position]), 6)})" if position < len(row.labels) else ""
    return options[chosen[0]] + label
