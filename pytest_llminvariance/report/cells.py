"""Named parts of a finding in words and as tables: the same in every format, from a finding as it is stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pytest_llminvariance.checks.cells import Verdict, worst_first
from pytest_llminvariance.checks.verdict import WARNING
from pytest_llminvariance.report.text import one_line
from pytest_llminvariance.report.words import plural

Row = Mapping[str, Any]
SHOWN = 10
"""Cells that a failure and the terminal name."""
MAX_ROWS = 400
"""Of a table on the page."""
CELLS = "Cells, worst first"


def cells_of(finding: Row) -> list[Row]:
    """Return the cells of a stored finding, worst first."""
    return worst_first(finding.get("cells") or ())


def count_words(cells: Sequence[Row]) -> str:
    """Return how many cells have which verdict: `3 BROKEN, 42 HOLDS of 45 cells`."""
    counts = Counter(cell["verdict"] for cell in cells)
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in ("BROKEN", "UNDECIDED", "HOLDS") if counts[verdict])
    return f"{said} of {plural(len(cells), 'cell')}"


def cell_words(cell: Row) -> str:
    """Return a cell in one line: verdict, name, effect with its bounds, margin, why it is undecided."""
    unit = f" {cell['unit']}" if cell.get("unit") else ""
    low, high, value = (None if cell[name] is None else f"{cell[name]:+.2g}" for name in ("low", "high", "value"))
    effect = f"{value or '?'}{unit}" + ("" if low == high == value else f" ({low} to {high})")
    reason = f" - {one_line(cell['reason'])}" if cell.get("reason") else ""
    return f"{cell['verdict']:<9} {one_line(cell['name'])}: {effect}, margin {cell['margin']:.2g}{reason}"


def cell_lines(finding: Row) -> Iterator[str]:
    """Yield the count, the worst cells that do not hold, and what looks wrong with the questions."""
    if cells := cells_of(finding):
        open_ones = [cell for cell in cells if cell["verdict"] != Verdict.HOLDS]
        yield f"cells:   {count_words(cells)}"
        yield from (f"         {cell_words(cell)}" for cell in open_ones[:SHOWN])
        if len(open_ones) > SHOWN:
            yield f"         and {len(open_ones) - SHOWN} more that do not hold"
    for guard in finding.get("guards") or ():
        if guard.get("name") == WARNING:
            yield f"warning: {one_line(guard['text'])}"


def tables_of(finding: Row) -> Iterator[tuple[str, list[Row]]]:
    """Yield title and rows of every table that a stored finding holds, its cells first; without columns that are empty."""
    details = finding.get("details")
    more = details.get("tables") if isinstance(details, Mapping) else None
    if cells := cells_of(finding):
        yield CELLS, _filled([_cell_row(cell) for cell in cells])
    for title, rows in (more if isinstance(more, Mapping) else {}).items():
        if rows and all(isinstance(row, Mapping) for row in rows):
            yield one_line(title), _filled(rows)


def _cell_row(cell: Row) -> Row:
    names = ("value", "low", "high", "margin", "unit", "verdict", "reason")
    told = {"cell": cell["name"], **{name: cell.get(name) for name in names}}
    more = {name: value for name, value in (cell.get("more") or {}).items() if not isinstance(value, str)}
    return told | more


def _filled(rows: Sequence[Row]) -> list[Row]:
    names = [name for name in rows[0] if any(row.get(name) not in (None, "") for row in rows)]
    return [{name: row.get(name) for name in names} for row in rows]
