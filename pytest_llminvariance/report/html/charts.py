"""Plots as inline SVG: colours follow the page, text stays text, every plot says its numbers in words.

They are drawn with matplotlib (extra `report`). Each colour is drawn as a stand-in and becomes a CSS variable, so that one
plot serves light, dark and print.
"""

from __future__ import annotations

import html
import io
import math
import re
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pytest_llminvariance.errors import missing_extra
from pytest_llminvariance.report.text import cut, one_line, visible
from pytest_llminvariance.report.words import percent

if TYPE_CHECKING:
    from collections.abc import Iterator


COLOURS: Mapping[str, str] = {
    "ink": "#010203",
    "muted": "#010204",
    "line": "#010205",
    "BROKEN": "#010206",
    "UNDECIDED": "#010207",
    "HOLDS": "#010208",
    "bar": "#010209",
    "accent": "#01020a",
    "s1": "#01020b",
    "s2": "#01020c",
    "s3": "#01020d",
    "s4": "#01020e",
}
"""Stand-ins that are replaced by `var(--NAME)`."""
MARKERS = {"BROKEN": "X", "UNDECIDED": "D", "HOLDS": "o"}


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


@contextmanager
def _figure(width: float, height: float) -> Iterator[tuple[Any, Any]]:
    """Yield a figure of a size in pixels, and its one axis; no global state of matplotlib is touched."""
    try:
        import matplotlib as mpl
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise missing_extra("report", "matplotlib", "the HTML page") from error
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "llminvariance", "font.size": 12}):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        FigureCanvasSVG(figure)
        yield figure, figure.add_axes((0, 0, 1, 1))


def forest(rows: Sequence[ForestRow], *, as_percent: bool, width: int, name: str) -> str:
    """Return the forest plot: a line per finding with its interval, and its tolerance as an upright mark."""
    row_height, foot = 46, 44
    height = row_height * len(rows) + foot
    with _figure(width, height) as (figure, axis):
        axis.set_position((14 / width, foot / height, 1 - 34 / width, 1 - foot / height))
        axis.set_ylim(len(rows), 0)
        start = min(0.0, *(row.low for row in rows)) if rows else 0.0
        end = _limit(rows)
        axis.set_xlim(start - 0.01 * end, end * 1.02)
        for number, row in enumerate(rows):
            _forest_row(axis, number, row, end, n_characters=int(width / 7.6) - 14)
        _axis_style(axis, _ticks(start, end), as_percent=as_percent)
        legend = "effect; the upright mark is what is tolerated"
        figure.text(14 / width, 4 / height, legend, color=COLOURS["muted"], fontsize=11, va="bottom")
        return _svg(figure, name, "Effects and tolerances", "; ".join(row.said for row in rows) + ".", width, height)


def _limit(rows: Sequence[ForestRow]) -> float:
    """Return the right end of the axis: room for everything, and never so narrow that 1% looks large."""
    return max([0.1, *(value for row in rows for value in (row.high * 1.02, row.tolerance * 1.5))])


def _forest_row(axis: Any, number: int, row: ForestRow, end: float, n_characters: int) -> None:
    colour, middle = COLOURS[row.verdict], number + 0.68
    axis.text(
        0, number + 0.3, cut(one_line(row.title), n_characters), color=COLOURS["ink"], va="center", parse_math=False
    )
    axis.text(end, number + 0.3, row.short, color=COLOURS["ink"], va="center", ha="right")
    axis.plot([0, end], [middle, middle], color=COLOURS["line"], linewidth=1, zorder=1)
    axis.plot([row.tolerance] * 2, [middle - 0.2, middle + 0.2], color=COLOURS["ink"], linewidth=2, zorder=3)
    axis.plot(
        [row.low, row.high],
        [middle, middle],
        color=colour,
        linewidth=5,
        solid_capstyle="round",
        zorder=2,
        clip_on=False,
    )
    axis.plot(
        [(row.low + row.high) / 2],
        [middle],
        marker=MARKERS[row.verdict],
        markersize=9,
        color=colour,
        zorder=4,
        clip_on=False,
    )


def _ticks(start: float, end: float) -> list[float]:
    """Return at most six round marks; 0 is one of them."""
    step = next(step for step in (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1e9) if (end - start) / step <= 5)
    return [step * n for n in range(math.ceil(start / step), math.floor(end / step + 1e-9) + 1)]


def _axis_style(axis: Any, ticks: Sequence[float], *, as_percent: bool) -> None:
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
    axis.spines["bottom"].set_color(COLOURS["line"])
    axis.set_yticks([])
    axis.set_xticks(ticks, [f"{100 * tick:.0f}%" if as_percent else f"{tick:.2g}" for tick in ticks])
    axis.tick_params(axis="x", colors=COLOURS["muted"], labelsize=11, length=4)
    axis.patch.set_visible(False)


def bars(rows: Sequence[Bar], *, title: str, name: str, width: int = 320) -> str:
    """Return lying bars of shares or counts."""
    row_height, foot = 26, 8
    height = row_height * len(rows) + foot
    left = 22 + 7.2 * max(len(_short(row.name)) for row in rows)
    with _figure(width, height) as (figure, axis):
        axis.set_position((left / width, foot / height, 1 - (left + 58) / width, 1 - foot / height))
        end = max([*(value for row in rows for value in (row.value, row.even or 0.0)), 1e-9])
        axis.set_xlim(0, end)
        axis.set_ylim(len(rows) - 0.5, -0.5)
        axis.barh(range(len(rows)), [row.value for row in rows], height=0.66, color=COLOURS["bar"])
        for number, row in enumerate(rows):
            axis.text(
                -0.03 * end, number, _short(row.name), ha="right", va="center", color=COLOURS["ink"], parse_math=False
            )
            start = max(row.value, row.even or 0.0) if row.value + 0.25 * end > (row.even or 0.0) else row.value
            axis.text(start + 0.03 * end, number, row.said, ha="left", va="center", color=COLOURS["ink"])
            if row.even is not None:
                axis.plot([row.even] * 2, [number - 0.46, number + 0.46], color=COLOURS["accent"], linewidth=2.5)
        axis.set_axis_off()
        even = [f" (even would be {percent(row.even)})" if row.even is not None else "" for row in rows]
        said = "; ".join(f"{one_line(row.name)}: {row.said}{more}" for row, more in zip(rows, even, strict=True))
        return _svg(figure, name, title, said + ".", width, height)


def stacked(rows: Sequence[Bar], *, title: str, name: str, width: int = 320) -> str:
    """Return one lying bar made of shares that sum to 1, each with its words below it."""
    row_height, head = 22, 40
    height = head + row_height * len(rows)
    with _figure(width, height) as (figure, axis):
        axis.set_xlim(0, width)
        axis.set_ylim(height, 0)
        start = 8.0
        for number, row in enumerate(rows):
            colour = COLOURS[f"s{number % 4 + 1}"]
            length = row.value * (width - 16)
            axis.barh(20, length, left=start, height=22, color=colour)
            axis.barh(head + row_height * (number + 0.5), 10, left=8, height=10, color=colour)
            axis.text(26, head + row_height * (number + 0.5), f"{row.name}: {row.said}", va="center",
                      color=COLOURS["ink"], parse_math=False)  # fmt: skip
            start += length
        axis.set_axis_off()
        return _svg(figure, name, title, "; ".join(f"{row.name}: {row.said}" for row in rows) + ".", width, height)


def _short(text: str) -> str:
    return cut(one_line(text), 14)


def _svg(figure: Any, name: str, title: str, description: str, width: int, height: int) -> str:
    """Return the figure as an SVG element with a title and a description, its ids marked with `name`."""
    buffer = io.StringIO()
    figure.patch.set_visible(False)
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    body = re.sub(
        r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", "", buffer.getvalue(), flags=re.DOTALL
    )
    body = body[body.index(">", body.index("<svg")) + 1 :]
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r"url\(#([^)]+)\)", rf"url(#{name}-\1)", body)
    body = re.sub(r'xlink:href="#([^"]+)"', rf'href="#{name}-\1"', body)
    body = re.sub(r"'DejaVu Sans'[^;\"]*", "system-ui, sans-serif", body)
    for variable, colour in COLOURS.items():
        body = body.replace(colour, f"var(--{variable})")
    head = (
        f'<svg class="chart" role="img" aria-labelledby="{name}-title {name}-desc" viewBox="0 0 {width} {height}" '
        f'style="width:{width}px" xmlns="http://www.w3.org/2000/svg">'
        f'<title id="{name}-title">{html.escape(visible(title))}</title>'
        f'<desc id="{name}-desc">{html.escape(visible(description))}</desc>'
    )
    return head + body.strip()
