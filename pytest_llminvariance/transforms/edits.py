"""Edited questions: made from another by a change that keeps its contents, and able to say so."""

from __future__ import annotations

import dataclasses
import hashlib
from typing import Any

from pytest_llminvariance.questions.question import Question

EDIT_OF = "edit_of"
EDITS = "edits"


def edited(question: Question, words: str, **fields: Any) -> Question:
    """Return `question` with other fields: stem, context, options or descriptions; option i stays content i.

    `words` says what was done. Its id gets a mark, so that answers recorded for the question are not taken for
    answers to the edit.

    Raises:
        QuestionError: if the fields make no question, for example because two options became equal.
    """
    after = dataclasses.replace(question, **fields)
    mark = hashlib.sha256(repr((after.stem, after.context, after.options, *after.sent_besides)).encode()).hexdigest()[
        :6
    ]
    before = edits_of(question)
    name = None if question.id is None else f"{question.id.partition('~')[0] if before else question.id}~{mark}"
    attributes = {**question.attributes, EDIT_OF: origin_of(question), EDITS: (*before, words)}
    return dataclasses.replace(after, id=name, attributes=attributes)


def edits_of(question: Question) -> tuple[str, ...]:
    """Return what was done to the question, in words; empty for a question as written."""
    words = question.attributes.get(EDITS)
    if not isinstance(question.attributes.get(EDIT_OF), str) or not isinstance(words, tuple | list):
        return ()
    return tuple(map(str, words))


def same_contents(a: Question, b: Question) -> bool:
    """Return whether option i of one is the same answer as option i of the other."""
    return a.options == b.options or (len(a.options) == len(b.options) and origin_of(a) == origin_of(b))


def n_edits(a: Question, b: Question) -> int:
    """Return how many edits lead from one question to the other: 0 where they ask the same, else at least 1."""
    if (a.stem, a.context, a.options, a.sent_besides) == (b.stem, b.context, b.options, b.sent_besides):
        return 0
    if origin_of(a) != origin_of(b):
        return 1
    return max(1, len(set(edits_of(a)) ^ set(edits_of(b))))


def edit_words(a: Question, b: Question) -> str:
    """Say in words what turns one question into the other."""
    before, after = edits_of(a), edits_of(b)
    if origin_of(a) == origin_of(b) and after[: len(before)] == before:
        return ", and ".join(after[len(before) :] or after)
    return "edit the question"


def origin_of(question: Question) -> str:
    """Return the content hash of the question that was edited; that of the question itself where none was."""
    return str(question.attributes[EDIT_OF]) if edits_of(question) else question.content_hash
