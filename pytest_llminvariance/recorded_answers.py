"""Reading the answers of a run directory: what was answered to each presentation, by content."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_llminvariance.audit.distribution import REFUSED, AnswerDistribution, Status
from pytest_llminvariance.run_directory import RecordError

__all__ = ["RecordedAnswer", "as_written", "read_answers"]

STATUSES: tuple[Status, ...] = ("scored", "chosen", "refused", "unparsed", "missing")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAnswer:
    """One answer of a record."""

    question: str
    """Content hash."""
    question_id: str | None
    order: tuple[int, ...]
    labels: tuple[str, ...]
    template: str
    layout: Any = field(repr=False)
    readout: str
    outcomes: frozenset[int]
    """Contents that may have been meant; -1 is a refusal."""
    probabilities: tuple[float, ...]
    other: float
    status: Status
    correct: int | None
    check: str | None
    role: str
    place: int | None
    """Number of the presentation within its question's plan; 0 is as written."""
    model: str
    fingerprint: str

    def distribution(self) -> AnswerDistribution:
        """Return the answer with the outcomes that it was recorded with."""
        if self.status not in ("scored", "chosen"):
            return AnswerDistribution.nothing(len(self.order), self.status)
        weights = tuple(0.0 if content in self.outcomes else -1e9 for content in range(len(self.order)))
        return AnswerDistribution(self.probabilities, self.other, self.status, weights)


def read_answers(directory: Path) -> tuple[RecordedAnswer, ...]:
    """Read `answers.jsonl` of a run directory, or a file like it; a last line that a crash cut off is left out.

    Raises:
        RecordError: where it is missing, empty, or a line is damaged.
    """
    file = directory if directory.is_file() else directory / "answers.jsonl"
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise RecordError(
            f"{file} cannot be read ({error}), so answers of that run are not known. Write it with --invariance-report"
        ) from error
    lines = text.splitlines()
    found = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            found.append(_answer(json.loads(line)))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            if number == len(lines) and not text.endswith("\n"):
                break
            raise RecordError(f"{file}, line {number} is no answer: {type(error).__name__}: {error}") from error
    if not found:
        raise RecordError(f"{file} holds no answer")
    return tuple(found)


def as_written(answers: Sequence[RecordedAnswer], check: str) -> Mapping[str, RecordedAnswer]:
    """Return the answers of one check to the questions as written, by content hash."""
    found: dict[str, RecordedAnswer] = {}
    for answer in answers:
        planned = answer.check == check and answer.role == "planned"
        first = answer.place == 0 if answer.place is not None else answer.order == tuple(range(len(answer.order)))
        if planned and first:
            found.setdefault(answer.question, answer)
    return found


def _answer(row: Any) -> RecordedAnswer:
    answer = row["answer"]
    probabilities = tuple(_number(value) for value in answer["probabilities"])
    order, outcomes = tuple(row["order"]), frozenset(answer["outcomes"])
    contents = set(range(len(probabilities)))
    if set(order) != contents or len(order) != len(contents) or not contents:
        raise ValueError(f"order {order!r} is no permutation of {len(contents)} contents")
    if not outcomes or not outcomes <= contents | {REFUSED}:
        raise ValueError(f"outcomes {sorted(outcomes)!r} are no contents of this question")
    if answer["status"] not in STATUSES:
        raise ValueError(f"status is {answer['status']!r}, but must be one of {', '.join(STATUSES)}")
    correct, index = row.get("correct"), row.get("index")
    if correct is not None and correct not in contents:
        raise ValueError(f"correct is {correct!r}, but must be a content")
    return RecordedAnswer(
        question=_text(row["question"]),
        question_id=None if row.get("question_id") is None else _text(row["question_id"]),
        order=order,
        labels=tuple(_text(label) for label in row["labels"]),
        template=_text(row["template"]),
        layout=row.get("layout"),
        readout=_text(row["readout"]),
        outcomes=outcomes,
        probabilities=probabilities,
        other=_number(answer["other"]),
        status=answer["status"],
        correct=correct,
        check=row.get("check"),
        role=_text(row["role"]),
        place=None if index is None else int(index[1]),
        model=_text(row["model"]),
        fingerprint=_text(row["fingerprint"]),
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.80} is no text")
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1 + 1e-6:
        raise ValueError(f"{value!r:.80} is no probability")
    return float(value)
