"""A run in words: the headline, one sentence a finding, how sure it is. The same words in every format."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pytest_llminvariance.checks.searches import SEARCH
from pytest_llminvariance.checks.verdict import Decision
from pytest_llminvariance.gate.decision import BLOCKED, NO_POLICY, Outcome
from pytest_llminvariance.measures.metrics import METRICS
from pytest_llminvariance.report.entries import Report, ReportEntry
from pytest_llminvariance.report.text import capital, cut, one_line
from pytest_llminvariance.report.words import (
    CERTAIN_PAIR,
    COUNTER_EXAMPLE,
    SAID,
    certainty_words,
    counted,
    estimate_words,
    low_to_high,
    plural,
    unit_words,
)

MARKS = {"HOLDS": "✓", "BROKEN": "✗", "UNDECIDED": "?", "WAIVED": "!"}
COUNT = re.compile(r"[\d,]+ of [\d,]+ ")


Kind = Literal["HOLDS", "BROKEN", "UNDECIDED", "WAIVED"]


@dataclass(frozen=True, slots=True)
class Headline:
    """The verdict of a whole run: what its gate decides."""

    kind: Kind
    text: str
    rest: str
    """What else there is, in one sentence; may be empty."""


def headline(record: Report) -> Headline:
    """Return what a reader must know first. A run without findings shows nothing, so it does not hold."""
    if not record.entries:
        said = "Required checks are missing" if record.decision.missing else "Nothing was checked"
        n = record.n_searches
        said = f"{plural(n, 'search')} found no counter-example" if n and not record.decision.missing else said
        return Headline("UNDECIDED", said, "The record holds no finding, so it says nothing.")
    kind, text = _decided(record)
    if record.run.get("exit") not in (0, None) and kind == "HOLDS":
        kind = "WAIVED"  # a run in which pytest failed is never green
    total = len(record.entries)
    counted = [f"{len(record.of(verdict))} {said}" for verdict, said in _PLURALS.items() if record.of(verdict)]
    below = [f"{_checks(total)}: {', '.join(counted)}."] if len(counted) > 1 else []
    lenient = [entry for entry in record.entries if entry.outcome in ("warns", "ignored") and entry.verdict != "HOLDS"]
    if lenient:
        below.append(f"{plural(len(lenient), 'check')} did not hold and block{'s' * (len(lenient) == 1)} nothing.")
    if kind == "WAIVED" and record.run.get("exit") not in (0, None):
        below.append("pytest failed, and the policy lets pass what failed.")
    return Headline(kind, text, " ".join(below))


def _decided(record: Report) -> tuple[Kind, str]:
    decision, total = record.decision, len(record.entries)
    count = {name: sum(entry.outcome == name for entry in record.entries) for name in get_args(Outcome)}
    blocks = [entry for entry in record.entries if entry.outcome == "blocks"]
    missing = f"{plural(len(decision.missing), 'required check')} missing" if decision.missing else ""
    if decision.distrusted:
        return "UNDECIDED", "The evidence cannot be trusted"
    if decision.exit_code == BLOCKED:
        word = "broken" if any(entry.verdict == "BROKEN" for entry in blocks) else "undecided"
        n = sum(entry.verdict == word.upper() for entry in blocks)
        return "BROKEN", "; ".join(part for part in (f"{_part(n, total)} {word}" if n else "", missing) if part)
    failed = sum(entry.is_failure for entry in record.entries)
    if failed and count["open"] == failed:
        return "UNDECIDED", f"{plural(failed, 'test')} failed, and no check says why"
    if count["open"]:
        return "UNDECIDED", f"{_part(count['open'], total)} undecided"
    if decision.insufficient:
        return "UNDECIDED", "Not everything that happened is explained by a check"
    if not count["passes"] + count["waived"]:
        return "WAIVED", "Passes, because no check of this run can block"
    if count["waived"]:
        held = (
            f", {_part(count['passes'], total).removesuffix(' is').removesuffix(' are')} hold"
            if count["passes"]
            else ""
        )
        return "WAIVED", f"Passes with {plural(count['waived'], 'waived check')}{held}"
    if count["passes"] < total:
        one = count["passes"] == 1
        return "HOLDS", "The blocking check holds" if one else f"All {count['passes']:,} blocking checks hold"
    return "HOLDS", "The check holds" if total == 1 else f"All {total:,} checks hold"


_PLURALS = {"BROKEN": "broken", "UNDECIDED": "undecided", "HOLDS": "held"}


def _checks(n: int) -> str:
    return plural(n, "check")


def _part(n: int, total: int) -> str:
    return "The check is" if total == 1 else f"{n:,} of {_checks(total)} {'is' if n == 1 else 'are'}"


def is_share(entry: ReportEntry) -> bool:
    """Return whether the metric counts something, so that it is told in percent."""
    return entry.metric in METRICS and bool(METRICS[entry.metric].unit)


def amount(entry: ReportEntry) -> str:
    """Return the effect: `78%`, `0% to 33%`, `0.12`."""
    if entry.name == SEARCH:
        return "found"
    if entry.is_lost:
        return "no number"
    return low_to_high(entry.low, entry.high, unit_words(is_share=is_share(entry)))


def tolerated(entry: ReportEntry) -> str:
    """Return the tolerance in the effect's unit; nothing for a check without a finding."""
    if entry.is_lost or entry.name == SEARCH:
        return ""
    return unit_words(is_share=is_share(entry))(entry.tolerance)


def sentence(entry: ReportEntry) -> str:
    """Return what was found, as a sentence: the answer changed in 9 of 23 other presentations (39%, tolerated 5%)."""
    if entry.is_lost:
        return "The test failed." if entry.is_failure else "The check ended without a finding."
    if entry.name == SEARCH:
        return f"{capital(COUNTER_EXAMPLE)} ({one_line(entry.text('design'))})."
    words = METRICS[entry.metric].words if entry.metric in METRICS else f"{one_line(entry.metric)} is"
    count, more = one_line(entry.text("count")), f"tolerated {tolerated(entry)}"
    if is_share(entry) and COUNT.match(count):
        found = counted(count, entry.low, entry.high, entry.number("questions_asked"), more)
    else:
        found = f"{amount(entry)} ({more})"
    numbers = estimate_words(entry.part("details"))
    said = f"{words} {found}.{f' Numbers: {one_line(numbers)}.' if numbers else ''}"
    return capital(said)


def certainty(entry: ReportEntry) -> str:
    """Return how sure the verdict is, and what it is about."""
    if entry.is_lost:
        return "no finding says why" if entry.is_failure else "nothing is known: it did not end"
    if entry.name == SEARCH:
        return CERTAIN_PAIR
    return certainty_words(
        _decision(entry.part("decision")),
        asked=entry.number("questions_asked"),
        planned=entry.number("questions_planned"),
        design=one_line(entry.text("design")),
        is_exact=entry.low == entry.high or (not is_share(entry) and " to " not in amount(entry)),
    )


def _decision(stored: Mapping[str, Any]) -> Decision | None:
    """Return a stored decision of a test that stopped early, or of an interval; `None` where everything was asked."""
    if stored.get("method") != "sequential":
        alpha = stored.get("alpha")
        if stored.get("is_interval") is not True or not isinstance(alpha, int | float):
            return None
        return Decision(method="exhaustive", alpha=alpha, n=0, n_planned=0, is_interval=True)
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
    """Return how a finding weighs, or `None` where nothing is to be said: what blocks is an error.

    UNDECIDED weighs as much as BROKEN unless the session let it pass (`--invariance-undecided`) and no policy was named.
    """
    if entry.outcome == "passes" or entry.verdict == "HOLDS":
        return None
    if entry.outcome == "ignored":
        return "note"
    settings = record.run.get("settings")
    policy = settings.get("undecided", "fail") if isinstance(settings, Mapping) else "fail"
    has_policy = record.decision.source != NO_POLICY
    lets_pass = entry.outcome == "open" and not entry.is_lost and policy != "fail" and not has_policy
    return "warning" if entry.outcome in ("warns", "waived") or lets_pass else "error"


def level_words(entry: ReportEntry) -> str:
    """Return what lets a check pass that does not hold, in the gate's word; nothing where it blocks or holds."""
    is_let = entry.verdict != "HOLDS" and entry.outcome in ("warns", "ignored", "waived")
    return entry.outcome if is_let else ""


def one_paragraph(entry: ReportEntry) -> str:
    """Return a finding as one line of plain text: verdict, numbers, reasons, the smallest example."""
    parts = [f"{one_line(entry.title)} {SAID[entry.verdict]}: {sentence(entry)}"]
    parts += [f"Because: {cut(one_line(reason), 300)}." for reason in entry.reasons]
    parts += [f"{cut(capital(one_line(entry.waived)), 300)}."] if entry.waived else []
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
