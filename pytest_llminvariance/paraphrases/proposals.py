"""Proposing: wordings by rule and by a model, screened, merged into a lock file for a person to review.

Used by `llminvariance paraphrase new` only; no test comes here.
"""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from pytest_llminvariance.errors import CapabilityError, ModelError
from pytest_llminvariance.models.engine import Memo, Step, ask
from pytest_llminvariance.models.protocol import MissingReply, Model, TextReply, TextRequest
from pytest_llminvariance.models.thoughts import after_thoughts
from pytest_llminvariance.paraphrases.lock import Lock, LockEntry, Stale, Wording, entry_of, stale_entries
from pytest_llminvariance.paraphrases.lock_file import MAX_STEM
from pytest_llminvariance.paraphrases.rules import by_rule
from pytest_llminvariance.paraphrases.screens import same_as_another, why_not
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.questions.template import Layout, Template

MAX_NEW_TOKENS = 64
PER_REPLY = 3
"""Wordings taken from one reply, at most."""
_SHORT_LIST = Layout(enumerator="", separator=", ")
_ENDS = (
    "Write one {kind} that {says} exactly the same in other words.",
    "Write one {kind} that {says} exactly the same and begins with another word.",
    "Write one {kind} that {says} exactly the same in simpler words.",
    "Write three {kind}s that {say} exactly the same in other words, one a line.",
)


def _instructions(kind: str, says: str, say: str) -> tuple[Template, ...]:
    """Return the ways of asking for other wordings; weak models answer the question unless it comes before the task."""
    begin = (
        f"Rephrase the {kind}. Do not answer it. Keep every name and number.\n\n{{context}}"
        f"(Possible answers, not to be repeated: {{options}})\n\n{kind.capitalize()}: {{stem}}\n\n"
    )
    return tuple(
        Template(begin + end.format(kind=kind, says=says, say=say), name=f"paraphrase {number}", layout=_SHORT_LIST)
        for number, end in enumerate(_ENDS, start=1)
    )


INSTRUCTIONS = _instructions("question", "asks", "ask")
STATEMENT_INSTRUCTIONS = _instructions("statement", "says", "say")


class Encoder(Protocol):
    """What compares meanings."""

    def similarities(self, text: str, others: Sequence[str]) -> list[float]:
        """Return a number from -1 to 1 for each of others."""
        ...


@dataclass(frozen=True, slots=True)
class Proposed:
    """A new lock, and what is to be said of how it came about."""

    lock: Lock
    new: tuple[tuple[Question, Wording], ...]
    """What is in the lock now and was not before, with its question."""
    same: int
    """Proposals that were there already, in other case or punctuation, or equal the stem; they are not kept."""
    carried: tuple[Stale, ...]
    """Entries of changed questions: their accepted wordings are proposed again, for the question as it is."""
    gone: tuple[Stale, ...]
    """Entries of questions that are no more; they stay in the file."""


def propose(
    lock: Lock,
    questions: Sequence[Question],
    proposals: Mapping[Question, Sequence[tuple[str, str]]],
    *,
    encoder: Encoder | None = None,
    min_similarity: float = 0.8,
) -> Proposed:
    """Return `lock` with an entry for each question, and new wordings by rule and from `proposals`, screened.

    `proposals` holds (wording, source) pairs. What was reviewed stays as it is. Entries come in the order of
    the questions; those whose question is gone stay at the end.
    """
    stale = list(stale_entries(lock, questions))
    became = {item.now.content_hash: item for item in stale if item.now is not None}
    entries, new, same = [], [], 0
    for question in questions:
        old = entry_of(lock, question)
        kept: tuple[Wording, ...] = () if old is None else old.wordings
        again: list[tuple[str, str]] = []
        offered = [(stem, f"rule: {name}") for stem, name in by_rule(question)]
        offered += proposals.get(question, ())
        if question.content_hash in became:
            kept, again = _carried(became[question.content_hash].entry, question)
        added, known = _screened(question, kept, again + offered, encoder, min_similarity, frozenset(again))
        entries.append(LockEntry(question=_bare(question), wordings=(*kept, *added)))
        new += [(question, wording) for wording in added]
        same += known
    gone = tuple(item for item in stale if item.now is None)
    merged = dataclasses.replace(lock, entries=(*entries, *(item.entry for item in gone)))
    return Proposed(merged, tuple(new), same, tuple(became.values()), gone)


def _bare(question: Question) -> Question:
    """Return what the file holds of a question: its content and id, not its answer or attributes."""
    return dataclasses.replace(question, answer=None, attributes={})


def _carried(entry: LockEntry, now: Question) -> tuple[tuple[Wording, ...], list[tuple[str, str]]]:
    """Return what stays of a changed question's wordings (rejections), and what is proposed again."""
    rejected = tuple(
        wording
        for wording in entry.wordings
        if wording.status == "rejected" and not same_as_another(wording.stem, [now.stem])
    )
    again = [(w.stem, w.source) for w in entry.wordings if w.status in ("accepted", "proposed")]
    return rejected, again


def _screened(
    question: Question,
    kept: Sequence[Wording],
    offered: Sequence[tuple[str, str]],
    encoder: Encoder | None,
    min_similarity: float,
    again: frozenset[tuple[str, str]],
) -> tuple[list[Wording], int]:
    """Return new wordings, each proposed or screened with its reason, and how many were known or too long to keep.

    Those of `again` were reviewed once, by a person who may have chosen other words.
    """
    known = [question.stem, *(wording.stem for wording in kept)]
    fresh: list[tuple[str, str]] = []
    for stem, source in offered:
        if stem.strip() and len(stem) <= MAX_STEM and not same_as_another(stem, known):
            fresh.append((stem, source))
            known.append(stem)
    likeness = None if encoder is None else encoder.similarities(question.stem, [stem for stem, _ in fresh])
    wordings = []
    for number, (stem, source) in enumerate(fresh):
        reason = why_not(question, stem, encoded=encoder is not None or (stem, source) in again)
        # a frame by rule holds the stem untouched: its likeness would measure the frame
        if reason is None and likeness is not None and question.stem not in stem and likeness[number] < min_similarity:
            reason = f"similarity: {likeness[number]:.2f}, and at least {min_similarity:g} is asked"
        wordings.append(Wording(stem, "proposed" if reason is None else "screened", source, reason))
    return wordings, len(offered) - len(fresh)


def model_proposals(
    model: Model, questions: Sequence[Question], progress: Callable[[Step], None] | None = None
) -> tuple[dict[Question, list[tuple[str, str]]], Counter[str]]:
    """Ask a model for other wordings: (wording, source) pairs by question, and why replies are missing.

    Costs four greedy texts of up to 64 tokens per question.

    Raises:
        CapabilityError: if the model cannot generate text.
    """
    if "text" not in model.capabilities:
        raise CapabilityError(
            f"{model.name} cannot generate text, so it cannot propose wordings. Leave out --with, or use another model"
        )
    asked = [
        (question, TextRequest(Presentation(question, template=template), MAX_NEW_TOKENS))
        for question in questions
        for template in (INSTRUCTIONS if question.stem.rstrip().endswith("?") else STATEMENT_INSTRUCTIONS)
    ]
    memo: Memo = {}
    replies = ask(model, [request for _, request in asked], memo, progress).replies
    found: dict[Question, list[tuple[str, str]]] = {question: [] for question in questions}
    missing: Counter[str] = Counter()
    for (question, _), reply in zip(asked, replies, strict=True):
        if isinstance(reply, TextReply):
            found[question] += [(line, f"model: {model.name}") for line in lines_of(reply.text)]
        else:
            missing[reply.reason if isinstance(reply, MissingReply) else "no text"] += 1
    if asked and missing.total() == len(asked):
        raise ModelError(f"{model.name} gave no text at all: {next(iter(missing))}")
    return found, missing


LEAD = re.compile(r"^(?:[-*•–]\s+|\(?\d{1,2}[.):]\s+)")
CAPTION = re.compile(
    r"^(?:new wording|rewording|rephrased|paraphrase|question|statement|answer|output)(?: \d)?\s*:\s*", re.IGNORECASE
)
WRAPPED = (('"', '"'), ("“", "”"), ("**", "**"), ("`", "`"))


def lines_of(text: str) -> Iterator[str]:
    """Yield the wordings that a reply holds, one a line, without list marks, captions and quotation marks."""
    text = after_thoughts(text) or ""
    found = 0
    for line in text.splitlines():
        wording = " ".join(line.split())
        for before, after in ((LEAD, ""), (CAPTION, "")):
            wording = before.sub(after, wording)
        for left, right in WRAPPED:
            inner = wording[len(left) : -len(right)]
            if (
                wording.startswith(left)
                and wording.endswith(right)
                and inner
                and left not in inner
                and right not in inner
            ):
                wording = inner.strip()
        if wording and not wording.endswith(":") and found < PER_REPLY:
            found += 1
            yield wording
