"""Plots: what they show and how numbers become pixels; `templates/*.svg.j2` draw them in the page's colours.

A plot is as wide as it says whatever its names are: these are cut to the room they have.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from pytest_llminvariance.report.text import one_line
from pytest_llminvariance.report.words import percent

EM = 12
"""Size of the texts in pixels, as in page.css."""
HISTORY_HEIGHT = 170
NAME_ROOM = 130
"""For the name of a bar, in pixels."""


@dataclass(frozen=True, slots=True)
class ForestRow:
    """One line of the forest plot, in the metric's own unit (0 to 1)."""

    title: str
    low: float
    high: float
    tolerance: float
    verdict: str
    short: str
    """The effect in words: `78%`."""
    said: str
    """All of it in words."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar with its name and the words that stand at its end."""

    name: str
    value: float
    said: str
    even: float | None = None
    """What it would be without a preference: drawn as a mark."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Numbers as pixels from the left edge of a plot."""

    start: float
    end: float
    left: float
    right: float

    def __call__(self, value: float) -> float:
        """Return where a number stands."""
        return round(self.left + (value - self.start) / (self.end - self.start) * (self.right - self.left), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """All that a template needs to draw."""

    kind: Literal["forest", "bars", "stacked", "history"]
    name: str
    """What its ids begin with: once in a page."""
    title: str
    said: str
    """Its numbers in words."""
    width: int
    height: int
    rows: Sequence[ForestRow] | Sequence[Bar]
    x: Scale
    ticks: Sequence[tuple[float, str]] = ()
    y: Scale | None = None
    every: int = 1
    """Which of the runs are named."""


def forest(rows: Sequence[ForestRow], *, as_percent: bool, width: int, name: str) -> Plot:
    """Return the forest plot: a line per finding with its interval, and its tolerance as an upright mark."""
    start = min([0.0, *(row.low for row in rows)])
    # room for everything, and never so narrow that 1% looks large
    end = max([0.1, *(value for row in rows for value in (row.high * 1.02, row.tolerance * 1.5))])
    left, right = 14, width - 20
    shown = [replace(row, title=fit(one_line(row.title), right - left - _width(row.short) - EM)) for row in rows]
    return Plot(
        kind="forest",
        name=name,
        title="Effects and tolerances",
        said="; ".join(row.said for row in rows) + ".",
        width=width,
        height=46 * len(rows) + 44,
        rows=shown,
        x=Scale(start - 0.01 * end, end * 1.02, left, right),
        ticks=[(tick, f"{100 * tick:.0f}%" if as_percent else f"{tick:.2g}") for tick in _ticks(start, end)],
    )


def history(rows: Sequence[ForestRow], *, title: str, as_percent: bool, width: int, name: str) -> Plot:
    """Return one effect over runs, oldest first: intervals upright, the tolerance as a line of steps."""
    start = min([0.0, *(row.low for row in rows)])
    end = max([0.1, *(value for row in rows for value in (row.high * 1.05, row.tolerance * 1.5))])
    left, right = 52, width - 20
    return Plot(
        kind="history",
        name=name,
        title=title,
        said="; ".join(row.said for row in rows) + ".",
        width=width,
        height=HISTORY_HEIGHT + 56,
        rows=rows,
        x=Scale(0, max(1, len(rows) - 1), left + 12, right - 12),
        y=Scale(start, end, HISTORY_HEIGHT, 12),
        ticks=[(tick, f"{100 * tick:.0f}%" if as_percent else f"{tick:.2g}") for tick in _ticks(start, end)],
        every=max(1, math.ceil(len(rows) / ((right - left) // 90))),
    )


def _ticks(start: float, end: float) -> list[float]:
    """Return at most six round marks; 0 is one of them."""
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1e9) if (end - start) / step <= 5)
    return [step * n for n in range(math.ceil(start / step), math.floor(end / step + 1e-9) + 1)]


def bars(rows: Sequence[Bar], *, title: str, name: str, width: int = 320) -> Plot:
    """Return lying bars of shares or counts."""
    shown = [replace(row, name=fit(one_line(row.name), NAME_ROOM)) for row in rows]
    left = 20 + math.ceil(max(_width(row.name) for row in shown))
    right = width - 16 - math.ceil(max(42, *(_width(row.said) for row in rows)))
    end = max(1e-9, *(value for row in rows for value in (row.value, row.even or 0.0)))
    return Plot(
        kind="bars",
        name=name,
        title=title,
        said="; ".join(_bar_words(rows)) + ".",
        width=width,
        height=26 * len(rows) + 8,
        rows=shown,
        x=Scale(0, end, left, right),
    )


def _bar_words(rows: Sequence[Bar]) -> Iterator[str]:
    for row in rows:
        even = "" if row.even is None else f" (even would be {percent(row.even)})"
        yield f"{one_line(row.name)}: {row.said}{even}"


def stacked(rows: Sequence[Bar], *, title: str, name: str, width: int = 320) -> Plot:
    """Return one lying bar made of shares that sum to 1, each with its words below it."""
    return Plot(
        kind="stacked",
        name=name,
        title=title,
        said="; ".join(_bar_words(rows)) + ".",
        width=width,
        height=40 + 22 * len(rows),
        rows=rows,
        x=Scale(0, 1, 8, width - 8),
    )


def fit(text: str, room: float) -> str:
    """Return a text that is no wider than `room` pixels in the fonts of the page; what is left out is marked."""
    if _width(text) <= room:
        return text
    while text and _width(text) + EM > room:
        text = text[:-1]
    return text + "…"


def _width(text: str) -> float:
    """Return how wide a text is at most, in pixels: fonts differ, so this is on the large side."""
    return EM * sum(map(_advance, text))


def _advance(character: str) -> float:
    """Return how wide a character is at most, as a part of the size of the text."""
    if unicodedata.east_asian_width(character) in "WF" or character in "MWmw@%…—":
        return 1.0
    return (
        0.65
        if character in " .,:;'" or (character.isascii() and character.isalnum() and not character.isupper())
        else 0.85
    )
