"""Findings where no pytest is: as one screen of text, as HTML in a notebook, and the page of a `with run()`."""

from __future__ import annotations

import dataclasses
import html
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pytest_llminvariance.checks.searches import SEARCH
from pytest_llminvariance.checks.verdict import SHOWN, Finding, Verdict
from pytest_llminvariance.files import encoded, write_whole
from pytest_llminvariance.records.record import Record, StoredFinding
from pytest_llminvariance.report.entries import report_of
from pytest_llminvariance.report.failure import example_lines, failure_message, flips_message
from pytest_llminvariance.report.text import visible
from pytest_llminvariance.report.words import CERTAIN_PAIR, COUNTER_EXAMPLE

COLOURS = {Verdict.BROKEN: "#b3261e", Verdict.UNDECIDED: "#8a5300", Verdict.HOLDS: "#1b6e35"}


def as_text(finding: Finding) -> str:
    """Return a finding as it would stand in a failure of pytest, whatever its verdict."""
    if finding.property == SEARCH:
        shown = () if finding.example is None else example_lines(finding.example)
        lines = (f"{finding.title}: {COUNTER_EXAMPLE}, {finding.design}.", f"  sure:    {CERTAIN_PAIR}", *shown)
        return "\n".join(map(visible, lines))
    return (flips_message if finding.property == "negative_flips" else failure_message)(finding, None)


def as_html(finding: Finding) -> str:
    """Return the same for a notebook."""
    first, _, rest = as_text(finding).partition("\n")
    return (
        f'<div><b style="color:{COLOURS[finding.verdict]}">{finding.verdict}</b> {html.escape(first)}'
        f'<pre style="white-space:pre-wrap">{html.escape(rest)}</pre></div>'
    )


def write_page(findings: Sequence[Finding], seed: int, file: Path) -> None:
    """Write the page of findings that no record holds; single answers are not on it."""
    from pytest_llminvariance.report.html.page import page

    stored = tuple(
        StoredFinding(**{item.name: getattr(finding, item.name) for item in dataclasses.fields(Finding)})
        for finding in findings
    )
    failed = any(finding.verdict is not Verdict.HOLDS for finding in stored)
    facts = {"started": datetime.now(UTC).isoformat(timespec="seconds"), "seed": seed, "exit": int(failed)}
    report = report_of(Record("this run", stored, facts), file.parent)
    write_whole(file, encoded(page(report, ())))


SHOWN.update(text=as_text, html=as_html, page=write_page)
