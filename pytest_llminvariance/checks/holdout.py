"""Questions that are set aside: left out of every check until a session asks for them, and every opening is counted.

A committed file holds the salt, the share and the openings, so that an ephemeral machine forgets nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.files import read_committed, write_committed, writing
from pytest_llminvariance.questions.question import Question, cluster_of

MIN_QUESTIONS = 20
"""Checks of fewer questions are never split: too little would be left on either side."""
VERSION = 1
WHAT = "hold-out"
AGAIN = "Make a new one with: llminvariance holdout"


@dataclass(slots=True)
class Holdout:
    """The slice of a committed file, closed or opened."""

    path: Path
    salt: str
    share: float
    is_open: bool
    session: str
    """Tells one session from the next, so that its workers count one opening."""
    today: str
    _noted: set[str] = field(default_factory=set, init=False)

    def select(self, questions: Sequence[Question], fingerprint: str | None) -> tuple[Question, ...]:
        """Return the questions of the slice where it is open, else the others; small suites stay whole.

        Opening is written into the file before anything is asked; `None` for a model that is only planned for.

        Raises:
            UsageError: where nothing is left.
        """
        if len(questions) < MIN_QUESTIONS:
            return tuple(questions)
        chosen = tuple(question for question in questions if self.holds(question) is self.is_open)
        if not chosen:
            where = "in" if self.is_open else "outside"
            raise UsageError(
                f"none of {len(questions)} questions is {where} the hold-out of {self.path.name} (share {self.share:g}). Give more questions"
            )
        if self.is_open and fingerprint is not None and fingerprint not in self._noted:
            self._noted.add(fingerprint)
            self._note(fingerprint)
        return chosen

    def holds(self, question: Question) -> bool:
        """Return whether a question, with its whole cluster, is set aside."""
        digest = hashlib.sha256(f"{self.salt}|{cluster_of(question)}".encode()).digest()
        return int.from_bytes(digest[:8], "big") / 2**64 < self.share

    def words(self) -> str:
        """Return what became of it, with the number of openings."""
        n = len(_checked(self.path)["openings"])
        times = "once" if n == 1 else f"{n} times"
        if self.is_open:
            return f"hold-out: open, {times} so far; commit {self.path.name}"
        return f"hold-out: {self.share:.0%} of the questions of larger suites are left out (opened {times} so far)"

    def _note(self, fingerprint: str) -> None:
        from filelock import FileLock

        entry = {"session": self.session, "date": self.today, "fingerprint": fingerprint}
        with writing(self.path, WHAT), FileLock(f"{self.path}.lock"):
            data = _checked(self.path)
            if entry not in data["openings"]:
                data["openings"] = [*data["openings"], entry]
                write_committed(self.path, WHAT, data)


def read_holdout(path: Path, *, is_open: bool, session: str, today: str) -> Holdout:
    """Return the hold-out of a file.

    Raises:
        UsageError: for a file that is none; the message names file, field and rule.
    """
    data = _checked(path)
    return Holdout(path, data["salt"], float(data["share"]), is_open, session, today)


def new_holdout(path: Path, share: float, salt: str) -> Holdout:
    """Write a new file.

    Raises:
        UsageError: if the file is there, as its openings must not be lost, if it cannot be written, or if the share
            is not between 0 and 1.
    """
    if path.exists():
        raise UsageError(f"{str(path)!r} is there already, and its openings count. Remove it by hand if you mean to")
    if not 0 < share < 1:
        raise UsageError(f"share is {share!r}, but must be between 0 and 1")
    write_committed(path, WHAT, {"schema_version": VERSION, "salt": salt, "share": share, "openings": []})
    return read_holdout(path, is_open=False, session="", today="")


def _checked(path: Path) -> dict[str, Any]:
    data = read_committed(path, WHAT, VERSION, AGAIN)
    share = data.get("share")
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share < 1:
        raise UsageError(f"hold-out {str(path)!r}: share is {share!r}, but must be between 0 and 1. {AGAIN}")
    if not isinstance(data.get("salt"), str) or not data["salt"] or not isinstance(data.get("openings"), list):
        raise UsageError(f"hold-out {str(path)!r}: needs a salt (text) and openings (a list). {AGAIN}")
    return data
