"""The run as Markdown, for a CI step summary and a model card: never 64 kB or more, whatever the suite."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_llminvariance.report.cells import cell_lines, tables_of
from pytest_llminvariance.report.entries import Report, ReportEntry
from pytest_llminvariance.report.summary import (
    MARKS,
    amount,
    certainty,
    headline,
    level_words,
    place,
    sentence,
    tolerated,
)
from pytest_llminvariance.report.text import cut, one_line
from pytest_llminvariance.report.words import plural, table_value

MAX_BYTES = 64_000
TABLE_BYTES = 30_000
MAX_ROWS = 50
"""Of one table of a finding."""
SPECIAL = str.maketrans(
    {mark: f"&#{ord(mark)};" for mark in "\\`*_[]{}|~#@$"} | {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
)


def as_text(text: object, width: int = 300) -> str:
    """Return one line in which nothing is markup: every character that Markdown or HTML reads within a line is an entity.

    What is markup at the beginning of a line is left, so other words must come first.
    """
    escaped = cut(one_line(text), width).translate(SPECIAL)
    return escaped.replace("www.", "www&#46;").replace("://", "&#58;//")


def markdown(record: Report, title: str = "Invariance") -> str:
    """Return the whole report; what does not fit is counted."""
    said = headline(record)
    lines = [f"## {MARKS[said.kind]} {title}: {as_text(said.text)}", ""]
    lines += [f"{as_text(line)}\n" for line in (said.rest, *record.notes) if line]
    lines += table_lines(record.entries, TABLE_BYTES)
    used = sum(len(line.encode()) + 1 for line in lines)
    open_ones = [entry for entry in record.entries if entry.verdict != "HOLDS" or entry.rows("cells")]
    shown = 0
    for entry in open_ones:
        block = "\n".join(_block(entry))
        used += len(block.encode()) + 1
        if used > MAX_BYTES - 1_000:
            break
        lines.append(block)
        shown += 1
    if shown < len(open_ones):
        lines.append(f"\nDetails of {plural(len(open_ones) - shown, 'more finding')} are in findings.json.")
    return "\n".join(lines) + "\n"


def table_lines(entries: Sequence[ReportEntry], limit: int) -> list[str]:
    """Return a table of verdicts of at most `limit` bytes, worst first, and how many rows were left out."""
    if not entries:
        return []
    lines = ["| verdict | check | effect | tolerated | where |", "|---|---|---|---|---|"]
    used = 0
    for number, entry in enumerate(entries):
        level = f" ({said})" if (said := level_words(entry)) else ""
        cells = (entry.title, amount(entry), tolerated(entry), place(entry))
        title, effect, limit_words, where = (as_text(cell, 160) for cell in cells)
        line = f"| {MARKS[entry.verdict]} {entry.verdict}{level} | {title} | {effect} | {limit_words} | <code>{where}</code> |"
        used += len(line.encode()) + 1
        if used > limit:
            return [
                *lines,
                "",
                f"{plural(len(entries) - number, 'more check')} not listed here; the worst come first.",
                "",
            ]
        lines.append(line)
    return [*lines, ""]


def _block(entry: ReportEntry) -> Iterator[str]:
    yield f"### {MARKS[entry.verdict]} {as_text(entry.title, 160)}"
    yield ""
    yield f"{as_text(sentence(entry), 400)} Sure: {as_text(certainty(entry), 300)}."
    yield ""
    for reason in entry.reasons[:10]:
        yield f"- because: {as_text(reason, 400)}"
    if entry.waived:
        yield f"- {as_text(entry.waived, 400)}"
    yield from (f"- {as_text(line, 400)}" for line in cell_lines(entry.raw) if line.startswith(("cells:", "warning:")))
    yield from _example(entry.part("example"))
    for title, rows in tables_of(entry.raw):
        yield from _rows(title, rows)
    if entry.replay:
        yield f"- see it again: <code>{as_text(entry.replay)}</code>"
    yield ""


def _rows(title: str, rows: Sequence[Mapping[str, object]]) -> Iterator[str]:
    """Yield a table that can be folded out; of a long one the first rows."""
    yield f"\n<details><summary>{as_text(title)}</summary>\n"
    yield "| " + " | ".join(as_text(name, 60) for name in rows[0]) + " |"
    yield "|---" * len(rows[0]) + "|"
    for row in rows[:MAX_ROWS]:
        yield "| " + " | ".join(as_text(table_value(value), 160) for value in row.values()) + " |"
    more = f"\n{plural(len(rows) - MAX_ROWS, 'more row')} in findings.json.\n" if len(rows) > MAX_ROWS else ""
    yield f"{more}\n</details>\n"


def _example(example: Mapping[str, object]) -> Iterator[str]:
    sides = [example.get(name) for name in ("before", "after")]
    if not all(isinstance(side, Mapping) for side in sides):
        return
    yield f"- smallest counter-example: {as_text(example.get('change') or '', 200)}"
    for name, side in zip(("as written", "changed"), sides, strict=True):
        if isinstance(side, Mapping):
            label = f" ({as_text(side['answer_label'], 20)})" if side.get("answer_label") else ""
            shown = f"{as_text(side.get('stem') or '')} <code>{as_text(side.get('options') or '')}</code>"
            yield f"  - {name}: {shown} → <b>{as_text(side.get('answer') or '', 120)}</b>{label}"
