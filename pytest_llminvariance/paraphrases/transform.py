"""Reviewed paraphrases for tests: the wordings that a person accepted, and the transform that asks them.

Nothing here makes a wording. Files are made by `llminvariance paraphrase new` and reviewed by a person; a
test reads them, and refuses what no longer fits its questions.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from pytest_llminvariance.errors import QuestionError, UsageError
from pytest_llminvariance.paraphrases.lock import Lock, LockEntry, entry_of, stale_entries, visible
from pytest_llminvariance.paraphrases.lock_file import read_lock
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question, Questions, as_questions
from pytest_llminvariance.transforms.texts import Rewording


def load_paraphrases(path: str | os.PathLike[str], questions: Questions) -> Mapping[Question, tuple[str, ...]]:
    """Return the accepted stems of each question, in the order of `questions`; empty where there are none.

    Raises:
        UsageError: if there is no such file.
        QuestionError: if the file is malformed (file, entry, field and rule are named), or one of
            `questions` changed since its wordings were reviewed.
    """
    lock, name = read_lock(path), Path(path).name
    return MappingProxyType({question: _accepted(lock, question, name) for question in as_questions(questions)})


def accepted_stems(path: str | os.PathLike[str], question: Question) -> list[str]:
    """Return the accepted stems of one question, without its own; see `load_paraphrases`."""
    return list(load_paraphrases(path, question)[question])


@dataclass(frozen=True, slots=True, init=False)
class Paraphrase(Rewording):
    """Ask in the wordings that a reviewer accepted: the stem as written, then each accepted stem.

    `path` is a file made by `llminvariance paraphrase`; it is read and checked at once, relative to the
    working directory. A question without an accepted stem has nothing to compare and is refused by name;
    `covered` leaves such questions out.

    Raises:
        UsageError: if there is no such file.
        QuestionError: if it is malformed, or, when a question is planned, stale for that question.
    """

    path: Path
    lock: Lock = field(repr=False)
    title: str = field(default="question wording", init=False, repr=False)

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if not isinstance(path, str | os.PathLike):
            raise UsageError(f"path is {path!r}, but must be the path of a file such as 'paraphrases.toml'")
        for name, value in (("path", Path(path)), ("lock", read_lock(path)), ("title", "question wording")):
            object.__setattr__(self, name, value)

    def covered(self, questions: Questions) -> tuple[Question, ...]:
        """Return those of `questions` that have an accepted stem.

        Raises:
            QuestionError: if a question changed since its wordings were reviewed, or none is covered.
        """
        asked = as_questions(questions)
        kept = tuple(question for question in asked if _accepted(self.lock, question, self.path.name))
        if not kept:
            raise QuestionError(
                f"{self.path.name}: none of the {len(asked)} questions has an accepted paraphrase. "
                f"Run: llminvariance paraphrase review {self.path}"
            )
        return kept

    def stems(self, question: Question) -> tuple[str, ...]:
        """Return the accepted stems in the order of the file, or raise where there is nothing to compare."""
        stems = _accepted(self.lock, question, self.path.name)
        if not stems:
            raise QuestionError(_nothing_to_compare(entry_of(self.lock, question), question, self.path))
        return stems

    def words(self, stem: str) -> str:
        """Say what is done; both wordings are shown beside it."""
        del stem
        return "ask in other words"

    def spec(self) -> str:
        """Return a hash of the questions and their accepted stems."""
        held = [(entry.question.content_hash, entry.accepted) for entry in self.lock.entries if entry.accepted]
        return _spec(held)

    def spec_for(self, start: Presentation) -> str:
        """Return a hash of one question's accepted stems."""
        return _spec(self.stems(start.question))


def _spec(held: object) -> str:
    return "paraphrase:" + hashlib.sha256(repr(held).encode()).hexdigest()[:16]


def _accepted(lock: Lock, question: Question, name: str) -> tuple[str, ...]:
    """Return the accepted stems of a question; raise where they were reviewed for another content of it."""
    entry = entry_of(lock, question)
    if entry is not None:
        return entry.accepted
    for stale in stale_entries(lock, [question]):
        if stale.now is not None:
            raise QuestionError(
                f"{name}, question {stale}. Its wordings were reviewed for the question as it was. Run "
                f"`llminvariance paraphrase new {visible(lock.questions)}` to propose them again, then "
                "`llminvariance paraphrase review`"
            )
    return ()


def _nothing_to_compare(entry: LockEntry | None, question: Question, path: Path) -> str:
    begin = f"{path.name}: question {visible(question.name)!r} has"
    out = f"or ask only those that have one: Paraphrase({str(path)!r}).covered(questions)"
    if entry is None:
        return (
            f"{begin} no entry, so there is nothing to compare. Run `llminvariance paraphrase new` and `review`, {out}"
        )
    waiting = sum(wording.status == "proposed" for wording in entry.wordings)
    what = f"{waiting} proposed and no accepted paraphrase" if waiting else "no accepted paraphrase"
    todo = (
        "Run `llminvariance paraphrase review`"
        if waiting
        else "Propose more with `llminvariance paraphrase new --with MODEL`"
    )
    return f"{begin} {what}, so there is nothing to compare. {todo}, {out}"
