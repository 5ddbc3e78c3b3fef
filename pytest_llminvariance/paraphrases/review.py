"""The review: one wording at a time, accept, reject, edit or skip; every answer is saved before the next is asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.paraphrases.lock import Lock, LockEntry, ReviewStatus, Wording, visible
from pytest_llminvariance.paraphrases.lock_file import MAX_STEM, digest_of, read_lock, write_lock
from pytest_llminvariance.paraphrases.screens import same_as_another, why_not

KEYS = {"a": "accept", "r": "reject", "e": "edit", "s": "skip", "q": "quit"}
PROMPT = "[a]ccept, [r]eject, [e]dit, [s]kip or [q]uit? "


class Ask(Protocol):
    """Asks a person for a line, with `prefill` to start from where the terminal can do that."""

    def __call__(self, prompt: str, prefill: str = "") -> str:
        """Return the line; raises EOFError where no more will come."""
        ...


@dataclass
class Review:
    """A lock file under review: what was decided so far is always on disk."""

    path: Path
    lock: Lock
    digest: str | None
    decided: int = 0

    @classmethod
    def of(cls, path: Path) -> Review:
        """Read a lock file for review; raises where it is malformed."""
        digest = digest_of(path)
        review = cls(path, read_lock(path), digest)
        if digest_of(path) != digest:
            raise UsageError(f"{str(path)!r} was changed by somebody else while it was read. Run this again")
        return review

    def waiting(self, status: ReviewStatus, stale: frozenset[str]) -> list[tuple[str, str]]:
        """Return (content hash, wording) of everything of a status, apart from questions that are stale."""
        return [
            (entry.question.content_hash, wording.stem)
            for entry in self.lock.entries
            for wording in entry.wordings
            if wording.status == status and entry.question.content_hash not in stale
        ]

    def entry(self, content_hash: str) -> LockEntry:
        """Return the entry of a question."""
        return next(entry for entry in self.lock.entries if entry.question.content_hash == content_hash)

    def decide(self, entry: LockEntry, stem: str, *becomes: Wording) -> None:
        """Put `becomes` in the place of a wording, and save."""
        wordings = (new for wording in entry.wordings for new in (becomes if wording.stem == stem else (wording,)))
        lock = self.lock.with_entry(LockEntry(entry.question, tuple(wordings)))
        self.digest = write_lock(self.path, lock, expected=self.digest)
        self.lock = lock
        self.decided += 1


def review(
    under: Review,
    ask: Ask,
    say: Callable[[str], None],
    *,
    status: ReviewStatus = "proposed",
    stale: frozenset[str] = frozenset(),
) -> bool:
    """Go through the wordings of a status; return False where the reviewer quit before the end.

    `stale` holds content hashes of questions that changed: their wordings are not shown.
    """
    waiting = under.waiting(status, stale)
    for number, (content_hash, stem) in enumerate(waiting, start=1):
        entry = under.entry(content_hash)
        wording = next(wording for wording in entry.wordings if wording.stem == stem)
        for line in _card(entry, wording, f"{number} of {len(waiting)}"):
            say(line)
        if not _one(under, entry, wording, ask, say):
            return False
    return True


def _card(entry: LockEntry, wording: Wording, place: str) -> Iterator[str]:
    question = entry.question
    yield ""
    yield f"{place}: {visible(question.name)}"
    if question.context is not None:
        yield f"  context: {visible(question.context)}"
    yield f"  options: {' | '.join(map(visible, question.options))}"
    yield f"  stem:    {visible(question.stem)}"
    yield f"  wording: {visible(wording.stem)}"
    reason = "" if wording.reason is None else f" ({visible(wording.reason)})"
    yield f"  from:    {visible(wording.source)}{reason}"


def _one(under: Review, entry: LockEntry, wording: Wording, ask: Ask, say: Callable[[str], None]) -> bool:
    """Ask until there is a decision on one wording; return False to quit."""
    while True:
        answer = ask(PROMPT).strip().lower()
        action = KEYS.get(answer) or (answer if answer in KEYS.values() else None)
        if action is None:
            say(f'  "{visible(answer)}" is no answer: type a, r, e, s or q')
        elif action == "quit":
            return False
        elif action == "skip":
            return True
        elif action == "edit":
            if _edited(under, entry, wording, ask, say):
                return True
        else:
            done: ReviewStatus = "accepted" if action == "accept" else "rejected"
            under.decide(entry, wording.stem, dataclasses.replace(wording, status=done, reason=None))
            say(f"  {done}")
            return True


def _edited(under: Review, entry: LockEntry, wording: Wording, ask: Ask, say: Callable[[str], None]) -> bool:
    """Ask for another wording and accept it; the one it was made from is rejected. Return False to go back."""
    text = ask("  new wording (empty: back): ", prefill=wording.stem).strip()
    if not text:
        return False
    problem = _unusable(entry, wording, text)
    if problem is not None:
        say(f"  not taken: {problem}")
        return False
    doubt = why_not(entry.question, text)
    if doubt is not None:
        say(f"  a screen would sort this out: {doubt}")
        if ask("  accept it all the same? [y/N] ").strip().lower() not in ("y", "yes"):
            return False
    made = Wording(
        text, "accepted", f"edit of {wording.source}" if not wording.source.startswith("edit") else wording.source
    )
    before = dataclasses.replace(wording, status="rejected", reason=None)
    under.decide(entry, wording.stem, before, made)
    say("  accepted as edited; the wording it was made from is rejected")
    return True


def _unusable(entry: LockEntry, wording: Wording, text: str) -> str | None:
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "it is no valid text in this terminal's encoding"
    if len(text) > MAX_STEM:
        return f"it has {len(text):,} characters, and {MAX_STEM:,} is the most"
    if same_as_another(text, [wording.stem]):
        return "it is the proposed wording (case, blanks and closing punctuation do not count). Use accept"
    if same_as_another(text, [entry.question.stem, *(other.stem for other in entry.wordings)]):
        return "it equals the stem or another wording of this question"
    return None
