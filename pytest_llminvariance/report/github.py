"""GitHub annotations: workflow commands on the lines of the tests, as a step prints them.

GitHub shows ten errors and ten warnings of a step, so the tenth says how many there are in all.
"""

from __future__ import annotations

from collections.abc import Iterator

from pytest_llminvariance.report.entries import Report, ReportEntry
from pytest_llminvariance.report.summary import one_paragraph, severity
from pytest_llminvariance.report.text import cut, one_line

MAX_SHOWN = 10
COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}


def github_commands(record: Report) -> str:
    """Return one line for all that keeps the release back, and for each finding that does not hold; nothing where all hold."""
    lines = [_of_the_run(text) for text in record.unmet[:MAX_SHOWN]]
    for kind, command in COMMANDS.items():
        entries = [entry for entry in record.entries if severity(entry, record) == kind]
        fits = len(entries) <= MAX_SHOWN
        lines += [_line(command, entry) for entry in (entries if fits else entries[: MAX_SHOWN - 1])]
        if not fits:
            more = f"{len(entries) - MAX_SHOWN + 1} more findings like these are in findings.json"
            lines.append(f"::{command} title=More findings::{more}")
    return "".join(f"{line}\n" for line in lines)


def _of_the_run(text: str) -> str:
    return f"::error title=Invariance::{escape_message(cut(one_line(text), 1_500))}"


def _line(command: str, entry: ReportEntry) -> str:
    places = ",".join(f"{name}={value}" for name, value in _places(entry))
    return f"::{command} {places}::{escape_message(cut(one_paragraph(entry), 1_500))}"


def _places(entry: ReportEntry) -> Iterator[tuple[str, str]]:
    if entry.file is not None:
        yield "file", escape_value(one_line(entry.file).replace("\\", "/"))
        if entry.line is not None:
            yield "line", str(entry.line)
    yield "title", escape_value(cut(one_line(f"{entry.title}: {entry.verdict}"), 200))


def escape_message(text: str) -> str:
    """Return the message of a command: percent signs and line ends are escaped."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_value(text: str) -> str:
    """Return the value of a property of a command: colons and commas are escaped too."""
    return escape_message(text).replace(":", "%3A").replace(",", "%2C")
