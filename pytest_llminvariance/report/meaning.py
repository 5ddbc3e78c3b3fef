"""What a finding means to somebody who did not write the test, in one sentence, and what to do next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_llminvariance.checks.properties import PROPERTIES
from pytest_llminvariance.checks.searches import SEARCH
from pytest_llminvariance.report.entries import ReportEntry
from pytest_llminvariance.report.text import capital, cut, one_line

USELESS: Mapping[str, tuple[str, str]] = {
    "reached": (
        "the change did not reach the model, or it is not known whether it did",
        "let the model send the prompt as it is given; look at its chat template",
    ),
    "mass on options": (
        "most of its answers name none of the options",
        "use another template, labels or readout, so that the model answers what is asked",
    ),
    "preference": (
        "it prefers no option in any answer",
        "look at a prompt and its answer first; then try another readout",
    ),
    "accuracy": (
        "it answers these questions no better than guessing, so a stable answer would be worth nothing",
        "check the correct answers, the template and the labels of the questions; else use easier questions or another model",
    ),
    "responsive": (
        "it hardly reads the question: another question over the same options gets the same answer",
        "look at a prompt and its answer first; then try another template, labels or readout",
    ),
}
"""By the guard that failed, causes before what follows from them: why nothing is learnt about the model, and what helps."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a finding means."""

    word: str
    """`order-sensitive`, `useless here`, `fine`."""
    text: str
    todo: str
    """What to do next; empty where nothing is to be done."""

    def __str__(self) -> str:
        """Return it as one or two sentences."""
        return f"{capital(self.word)}: {self.text}.{f' Next: {self.todo}.' if self.todo else ''}"


def meaning(entry: ReportEntry) -> Meaning:
    """Return what a finding means."""
    if entry.is_failure:
        return Meaning("failed", "the test ended in an error of its own", "read what it says, mend it and run again")
    if entry.is_lost:
        return Meaning("not known", "the check did not end", "run it again")
    if entry.name == SEARCH:
        return Meaning(
            "counter-example found",
            "two ways of asking the same question get different answers; how often that happens is not known",
            "check the property over a bank of questions, which says how often",
        )
    kind = PROPERTIES.get(entry.name)
    if entry.verdict == "BROKEN":
        word, _, text = (kind.broken if kind else "").partition(": ")
        word = word or f"sensitive to {one_line(entry.title, 60)}"
        advice = (kind.advice if kind else "") or "look at the counter-example; docs/broken.md"
        return Meaning(
            word, text or "the same question gets another answer after a change that keeps its meaning", advice
        )
    if entry.verdict == "HOLDS":
        return Meaning(
            "fine", "the answers stay the same on these questions, and the model knows enough for that to count", ""
        )
    return _undecided(entry)


def _undecided(entry: ReportEntry) -> Meaning:
    failed = {
        row.get("name") for row in entry.rows("guards") if isinstance(row, Mapping) and row.get("passed") is False
    }
    useless = next((name for name in USELESS if name in failed), None)
    if useless is not None:
        return Meaning("useless here", *USELESS[useless])
    why = cut(one_line(entry.reasons[0]), 200).rstrip(".") if entry.reasons else "there is too little evidence"
    return Meaning(
        "not known", why, "remove what leaves answers open (ties, unfinished, unreadable), or ask more questions"
    )


def accuracy(entry: ReportEntry) -> str:
    """Return how many questions are answered right, as its guard says; empty where it was not counted."""
    for row in entry.rows("guards"):
        if isinstance(row, Mapping) and row.get("name") == "accuracy" and row.get("passed") is not None:
            return cut(one_line(row.get("text", "")), 200)
    return ""
