"""The lock file of paraphrases as data: which wordings of which questions were proposed, accepted, rejected.

A question is known by its content hash. Where the hash of an entry fits no question any more, the entry is
stale: the wording was reviewed for a question that reads differently today.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pytest_llminvariance.questions.labels import fold
from pytest_llminvariance.questions.question import Question

ReviewStatus = Literal["proposed", "accepted", "rejected", "screened"]
STATUSES: tuple[ReviewStatus, ...] = get_args(ReviewStatus)
Audit = Literal["human", "model"]
AUDITS: tuple[Audit, ...] = get_args(Audit)
UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")


@dataclass(frozen=True, slots=True)
class Wording:
    """One other way of wording a stem, and what became of it."""

    stem: str
    status: ReviewStatus
    source: str
    """Where it is from: `rule: please answer`, `model: SmolLM2-135M-Instruct (demo)`, `edit`."""
    reason: str | None = None
    """Why it was screened out, for the status `screened`."""
    reviewer: str | None = None
    """Who checked it, where it came from a table that says so."""
    audit: Audit | None = None
    """Whether a person or a model checked it there."""


@dataclass(frozen=True, slots=True)
class LockEntry:
    """A question as it was when its wordings were proposed, and the wordings in the order they came."""

    question: Question
    wordings: tuple[Wording, ...]

    @property
    def accepted(self) -> tuple[str, ...]:
        """The stems that a reviewer accepted."""
        return tuple(wording.stem for wording in self.wordings if wording.status == "accepted")


@dataclass(frozen=True, slots=True)
class Lock:
    """A whole file: the file of questions that it belongs to, and one entry per question."""

    questions: str
    """Path of the file of questions, relative to the folder of the lock file, with forward slashes."""
    entries: tuple[LockEntry, ...]

    def with_entry(self, entry: LockEntry) -> Lock:
        """Return a copy in which the entry of the same question is replaced by `entry`."""
        same = entry.question.content_hash
        entries = (entry if old.question.content_hash == same else old for old in self.entries)
        return dataclasses.replace(self, entries=tuple(entries))


@dataclass(frozen=True, slots=True)
class Stale:
    """An entry whose question is not asked any more as it was."""

    entry: LockEntry
    now: Question | None
    """The question that it became; `None` where it is gone, or cannot be told from a new one."""

    def __str__(self) -> str:
        name = visible(self.entry.question.name)
        if self.now is None:
            return f"{name}: stale: no such question any more"
        return f"{name}: stale: {changes_between(self.entry.question, self.now)}"


def comparable(text: str) -> str:
    """Return the form in which two wordings are the same: folded, without punctuation at ends and double blanks."""
    return " ".join(fold(text).split()).strip(" .,:;!?\"'")


def entry_of(lock: Lock, question: Question) -> LockEntry | None:
    """Return the entry made for this question as it is now."""
    return next((e for e in lock.entries if e.question.content_hash == question.content_hash), None)


def stale_entries(lock: Lock, questions: Sequence[Question]) -> Iterator[Stale]:
    """Yield entries that fit none of `questions`, each with the question that it became where that is known."""
    hashes = {question.content_hash for question in questions}
    known = {entry.question.content_hash for entry in lock.entries}
    new = [question for question in questions if question.content_hash not in known]
    stale = [entry for entry in lock.entries if entry.question.content_hash not in hashes]
    for entry in stale:
        yield Stale(entry, _became(entry.question, new, [other.question for other in stale]))


def _became(before: Question, new: Sequence[Question], stale: Sequence[Question]) -> Question | None:
    """Return what `before` was changed to: the new question of its id, or without ids the only one of its stem."""
    if before.id is not None:
        return next((question for question in new if question.id == before.id), None)
    alike = [question for question in new if question.id is None and question.stem == before.stem]
    rivals = [question for question in stale if question.id is None and question.stem == before.stem]
    return alike[0] if len(alike) == len(rivals) == 1 else None


def changes_between(before: Question, now: Question) -> str:
    """Say in words what a question's content hash saw change: `the stem was "..." and is now "..."`."""
    words = []
    for name in ("stem", "context"):
        old, new = getattr(before, name), getattr(now, name)
        if old != new:
            words.append(f"the {name} was {_quoted(old)} and is now {_quoted(new)}")
    if before.options != now.options:
        words.append(f"the options were {_listed(before.options)} and are now {_listed(now.options)}")
    if before.scores != now.scores:
        words.append(f"the scores were {_numbers(before.scores)} and are now {_numbers(now.scores)}")
    if before.reverse_keyed != now.reverse_keyed:
        words.append(f"reverse_keyed was {before.reverse_keyed} and is now {now.reverse_keyed}")
    return "; ".join(words)


def _quoted(text: str | None) -> str:
    return "none" if text is None else f'"{visible(text if len(text) <= 120 else text[:119] + "…")}"'


def _listed(options: Sequence[str]) -> str:
    return " | ".join(visible(option) for option in options)


def _numbers(scores: Sequence[float] | None) -> str:
    return "none" if scores is None else ", ".join(f"{score:g}" for score in scores)


def counts(entries: Sequence[LockEntry]) -> Counter[str]:
    """Count wordings by status."""
    return Counter(wording.status for entry in entries for wording in entry.wordings)


def visible(text: str) -> str:
    """Return a text for the terminal: control, direction and invisible characters as escapes, all on one line.

    Questions and proposals are data of others: none of it may move the cursor or turn the reading direction.
    """
    return UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text.replace("\r\n", "\n").replace("\n", " ⏎ "))
