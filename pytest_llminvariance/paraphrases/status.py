"""What a lock file of paraphrases holds, and whether it fits its questions: counts, stale and malformed entries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_llminvariance.paraphrases.lock import STATUSES, Lock, Stale, counts, entry_of, stale_entries, visible
from pytest_llminvariance.paraphrases.lock_file import read_what_is_good
from pytest_llminvariance.questions.question import Question

LISTED = 8
MEANING = {
    "proposed": "wait for review",
    "accepted": "used by tests",
    "rejected": "kept, so that they are not proposed again",
    "screened": "sorted out by a rule, not asked of the reviewer",
}


@dataclass(frozen=True, slots=True)
class Coverage:
    """The state of a lock file beside its questions."""

    path: Path
    lock: Lock
    """Of a malformed file, the entries that are right."""
    malformed: tuple[str, ...]
    stale: tuple[Stale, ...]
    new: tuple[Question, ...]
    """Questions without an entry."""
    uncovered: tuple[Question, ...]
    """Questions whose entry has no accepted wording."""

    def problems(self, *, strict: bool) -> tuple[str, ...]:
        """Return what makes a check fail, each in words; `strict` adds what is unfinished."""
        waiting = counts(self.lock.entries)["proposed"]
        found = [(len(self.stale), "stale"), (len(self.malformed), "malformed")]
        if strict:
            found += [
                (waiting, "waiting for review"),
                (len(self.new) + len(self.uncovered), "without an accepted wording"),
            ]
        return tuple(f"{n} {what}" for n, what in found if n)

    def lines(self) -> Iterator[str]:
        """Yield the report."""
        n = len(self.lock.entries)
        of = f" of {visible(self.lock.questions)}" if self.lock.questions else ""
        yield f"{self.path}: {n} question{'' if n == 1 else 's'}{of}"
        by_status = counts(self.lock.entries)
        for status in STATUSES:
            yield f"  {status:<9}{by_status[status]:>6}   {MEANING[status]}"
        if self.uncovered:
            yield f"  without an accepted wording: {_names(self.uncovered)}"
        if self.new:
            yield f"  without an entry: {_names(self.new)}. Run `llminvariance paraphrase new`"
        for item in self.stale:
            yield f"  {item}"
        if self.stale:
            yield (
                f"  way out: `llminvariance paraphrase new {visible(self.lock.questions)}` proposes wordings of changed "
                "questions again; remove entries of questions that are gone from the file"
            )
        for line in self.malformed:
            yield f"  malformed: {line}"


def read_status(path: Path, questions: Sequence[Question]) -> Coverage:
    """Return the state of a lock file beside `questions`, as they are now.

    Raises:
        UsageError: if there is no such file.
    """
    lock, malformed = read_what_is_good(path)
    entries = [(question, entry_of(lock, question)) for question in questions]
    stale = tuple(stale_entries(lock, questions))
    changed = {item.now.content_hash for item in stale if item.now is not None}
    return Coverage(
        path,
        lock,
        malformed,
        stale,
        tuple(question for question, entry in entries if entry is None and question.content_hash not in changed),
        tuple(question for question, entry in entries if entry is not None and not entry.accepted),
    )


def _names(questions: Sequence[Question]) -> str:
    shown = ", ".join(visible(question.name) for question in questions[:LISTED])
    more = len(questions) - LISTED
    return f"{len(questions)} ({shown}{f' and {more} more' if more > 0 else ''})"
