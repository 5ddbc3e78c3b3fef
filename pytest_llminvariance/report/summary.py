"""A run in words: the headline, one sentence a finding, how sure it is. The same words in every format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pytest_llminvariance.checks.verdict import Decision
from pytest_llminvariance.measures.metrics import METRICS
from pytest_llminvariance.report.entries import Report, ReportEntry
from pytest_llminvariance.report.text import cut, one_line
from pytest_llminvariance.report.words import SAID, certainty_words, low_to_high, plural, unit_words

MARKS = {"HOLDS": "✓", "BROKEN": "✗", "UNDECIDED": "?"}
UNITS = {metric.name: metric.unit for metric in METRICS.values()}
WORDS = {metric.name: metric.words for metric in METRICS.values()}


@dataclass(frozen=True, slots=True)
class Headline:
    """The verdict of a whole run."""

    kind: Literal["HOLDS", "BROKEN", "UNDECIDED"]
    text: str
    rest: str
    """What else there is, in one sentence; may be empty."""


def headline(record: Report) -> Headline:
    """Return what a reader must know first. A run without findings shows nothing, so it does not hold."""
    total = len(record.entries)
    if not total:
        return Headline("UNDECIDED", "Nothing was checked", "The record holds no finding, so it says nothing.")
    blocking = [entry for entry in record.entries if entry.must_hold]
    counts = {verdict: sum(entry.verdict == verdict for entry in blocking) for verdict in SAID}
    counted = [f"{len(record.of(verdict))} {said}" for verdict, said in _PLURALS.items() if record.of(verdict)]
    below = [f"{_checks(total)}: {', '.join(counted)}."] if len(counted) > 1 else []
    lenient = [entry for entry in record.entries if not entry.must_hold and entry.verdict != "HOLDS"]
    if lenient:
        below.append(f"{plural(len(lenient), 'check')} of level {_levels(lenient)} did not hold and blocks nothing.")
    rest = " ".join(below)
    if counts["BROKEN"]:
        return Headline("BROKEN", f"{_part(counts['BROKEN'], total)} broken", rest)
    if counts["UNDECIDED"]:
        return Headline("UNDECIDED", f"{_part(counts['UNDECIDED'], total)} undecided", rest)
    if not blocking:
        return Headline("UNDECIDED", "No check of this run can block", rest)
    if lenient:
        n = len(blocking)
        return Headline("HOLDS", "The blocking check holds" if n == 1 else f"All {n:,} blocking checks hold", rest)
    return Headline("HOLDS", "The check holds" if total == 1 else f"All {total:,} checks hold", rest)


_PLURALS = {"BROKEN": "broken", "UNDECIDED": "undecided", "HOLDS": "held"}


def _checks(n: int) -> str:
    return plural(n, "check")


def _part(n: int, total: int) -> str:
    return "The check is" if total == 1 else f"{n:,} of {_checks(total)} {'is' if n == 1 else 'are'}"


def _levels(entries: list[ReportEntry]) -> str:
    return " and ".join(sorted({entry.level for entry in entries}, reverse=True))


def is_share(entry: ReportEntry) -> bool:
    """Return whether the metric counts something, so that it is told in percent."""
    return bool(UNITS.get(entry.metric))


def amount(entry: ReportEntry) -> str:
    """Return the effect: `78%`, `0% to 33%`, `0.12`."""
    if entry.is_lost:
        return "no number"
    return low_to_high(entry.low, entry.high, unit_words(is_share=is_share(entry)))


def tolerated(entry: ReportEntry) -> str:
    """Return the tolerance in the effect's unit; nothing for a check without a finding."""
    if entry.is_lost:
        return ""
    return unit_words(is_share=is_share(entry))(entry.tolerance)


def sentence(entry: ReportEntry) -> str:
    """Return what was found, as a sentence: the answer changed in 9 of 23 other presentations (39%, tolerated 5%)."""
    if entry.is_lost:
        return "The check ended without a finding."
    words = WORDS.get(entry.metric, f"{one_line(entry.metric)} is")
    count = one_line(entry.text("count"))
    found = f"{count} ({amount(entry)}, tolerated {tolerated(entry)})" if count and is_share(entry) else ""
    said = f"{words} {found or f'{amount(entry)} (tolerated {tolerated(entry)})'}."
    return said[0].upper() + said[1:]


def certainty(entry: ReportEntry) -> str:
    """Return how sure the verdict is, and what it is about."""
    if entry.is_lost:
        return "nothing is known: it did not end"
    return certainty_words(
        _decision(entry.part("decision")),
        asked=entry.number("questions_asked"),
        planned=entry.number("questions_planned"),
        design=one_line(entry.text("design")),
        is_exact=entry.low == entry.high or (not is_share(entry) and " to " not in amount(entry)),
    )


def _decision(stored: Mapping[str, Any]) -> Decision | None:
    """Return a stored decision of a test that stopped early; `None` where everything was asked."""
    if stored.get("method") != "sequential":
        return None
    names = ("alpha", "n", "n_planned", "log_e_holds", "log_e_broken", "lower", "upper")
    numbers: dict[str, Any] = {name: stored[name] for name in names if isinstance(stored.get(name), int | float)}
    return Decision(method="sequential", **{"alpha": 0.0, "n": 0, "n_planned": 0, **numbers})


def place(entry: ReportEntry) -> str:
    """Return where the check stands: `tests/test_model.py:12`, or the test's id."""
    if entry.file is None:
        return one_line(entry.where)
    return one_line(entry.file) + (f":{entry.line}" if entry.line else "")


Severity = Literal["error", "warning", "note"]


def severity(entry: ReportEntry, record: Report) -> Severity | None:
    """Return how a finding weighs, or `None` where the property holds.

    UNDECIDED weighs as much as BROKEN unless the session let it pass (`--invariance-undecided`).
    """
    if entry.verdict == "HOLDS":
        return None
    if entry.level == "ignore":
        return "note"
    settings = record.run.get("settings")
    policy = settings.get("undecided", "fail") if isinstance(settings, Mapping) else "fail"
    lets_pass = entry.verdict == "UNDECIDED" and not entry.is_lost and policy != "fail"
    return "warning" if entry.level == "warn" or lets_pass else "error"


def one_paragraph(entry: ReportEntry) -> str:
    """Return a finding as one line of plain text: verdict, numbers, reasons, the smallest example."""
    parts = [f"{one_line(entry.title)} {SAID[entry.verdict]}: {sentence(entry)}"]
    parts += [f"Because: {cut(one_line(reason), 300)}." for reason in entry.reasons]
    example = entry.part("example")
    before, after = (example.get(side) for side in ("before", "after"))
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        stem = cut(one_line(before.get("stem") or ""), 160)
        change = cut(one_line(example.get("change") or ""), 160)
        parts.append(f"Example: {stem} - {change}: {_answered(before)} becomes {_answered(after)}.")
    return " ".join(parts)


def _answered(shown: Mapping[str, Any]) -> str:
    label = shown.get("answer_label")
    return cut(one_line(shown.get("answer") or ""), 120) + (f" ({cut(one_line(label), 20)})" if label else "")
