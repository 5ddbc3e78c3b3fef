"""Reading the answers of a run directory: what was answered to each presentation, by content."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_llminvariance.errors import RecordError
from pytest_llminvariance.measures.distribution import REFUSED, AnswerDistribution, Status

STATUSES: tuple[Status, ...] = ("scored", "chosen", "refused", "unfinished", "unparsed", "missing")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAnswer:
    """One answer of a record: probabilities by content, and how the question was shown."""

    check: str | None
    """Id of the finding; `None` where it entered no check, as those of searches."""
    role: str
    """`planned`, `foreign` (another question's stem), `sentinel` (asked again at the end), `search`."""
    place: tuple[int, int] | None
    """Numbers of the question in its check and of the presentation in its plan; presentation 0 is as written."""
    question: str
    """Content hash."""
    question_id: str | None
    stem: str | None
    options: tuple[str, ...] | None
    correct: int | None
    order: tuple[int, ...]
    labels: tuple[str, ...]
    template: str
    layout: str
    """As `layout_text` gives it; empty where the record does not say."""
    readout: str
    model: str
    fingerprint: str
    probabilities: tuple[float, ...]
    other: float
    status: Status
    outcomes: tuple[int, ...]
    """Contents that may have been meant, ascending; -1 is a refusal."""

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
    found = []
    for number, is_cut, answer in _lines(file):
        if isinstance(answer, RecordedAnswer):
            found.append(answer)
        elif not is_cut:
            raise RecordError(f"{file}, line {number} is no answer: {type(answer).__name__}: {answer}") from answer
    if not found:
        raise RecordError(f"{file} holds no answer")
    return tuple(found)


def readable_answers(directory: Path) -> tuple[list[RecordedAnswer], tuple[str, ...]]:
    """Return what can be read of a run's answers, and notes on what cannot: for reports, which decide nothing."""
    files = [directory / "answers.jsonl", *sorted(directory.glob("answers-*.jsonl"))]
    read = [answer for file in files if file.is_file() for _, _, answer in _lines(file)]
    answers = [answer for answer in read if isinstance(answer, RecordedAnswer)]
    if not read:
        return [], ("There are no recorded answers: patterns and answers by order cannot be shown.",)
    damaged = len(read) - len(answers)
    said = f"{damaged:,} unreadable line{'s' * (damaged > 1)} of answers.jsonl left out."
    return answers, (said,) if damaged else ()


def as_written(answers: Sequence[RecordedAnswer], check: str) -> Mapping[str, RecordedAnswer]:
    """Return the answers of one check to the questions as written, by content hash."""
    found: dict[str, RecordedAnswer] = {}
    for answer in answers:
        planned = answer.check == check and answer.role == "planned"
        first = answer.place[1] == 0 if answer.place is not None else answer.order == tuple(range(len(answer.order)))
        if planned and first:
            found.setdefault(answer.question, answer)
    return found


def layout_text(layout: Mapping[str, Any] | None) -> str:
    """Return a layout as one line that is the same for the same layout."""
    return "" if layout is None else json.dumps(layout, sort_keys=True)


def _lines(file: Path) -> Iterator[tuple[int, bool, RecordedAnswer | Exception]]:
    """Yield (line number from 1, True for a last line that is cut off, the answer or why it is none)."""
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield number, not line.endswith(b"\n"), _answer_or_error(line)
    except OSError as error:
        raise RecordError(
            f"{file} cannot be read ({error}), so answers of that run are not known. Write it with --invariance-report"
        ) from error


def _answer_or_error(line: bytes) -> RecordedAnswer | Exception:
    try:
        return _answer(json.loads(line))
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        return error


def _answer(row: Any) -> RecordedAnswer:
    answer = row["answer"]
    probabilities = tuple(_number(value) for value in answer["probabilities"])
    order, outcomes = tuple(row["order"]), tuple(sorted(answer["outcomes"]))
    contents = set(range(len(probabilities)))
    if set(order) != contents or len(order) != len(contents) or not contents:
        raise ValueError(f"order {order!r} is no permutation of {len(contents)} contents")
    if not outcomes or not set(outcomes) <= contents | {REFUSED}:
        raise ValueError(f"outcomes {list(outcomes)!r} are no contents of this question")
    if answer["status"] not in STATUSES:
        raise ValueError(f"status is {answer['status']!r}, but must be one of {', '.join(STATUSES)}")
    correct, index, options = row.get("correct"), row.get("index"), row.get("options")
    if correct is not None and correct not in contents:
        raise ValueError(f"correct is {correct!r}, but must be a content")
    if options is not None and len(options) != len(contents):
        raise ValueError(f"{len(options)} options for {len(contents)} contents")
    return RecordedAnswer(
        check=_text_or_none(row.get("check")),
        role=_text(row.get("role", "planned")),
        place=None if index is None else (int(index[0]), int(index[1])),
        question=_text(row["question"]),
        question_id=_text_or_none(row.get("question_id")),
        stem=_text_or_none(row.get("stem")),
        options=None if options is None else tuple(_text(option) for option in options),
        correct=correct,
        order=order,
        labels=tuple(_text(label) for label in row["labels"]),
        template=_text(row["template"]),
        layout=layout_text(row.get("layout")),
        readout=_text(row["readout"]),
        model=_text(row["model"]),
        fingerprint=_text(row["fingerprint"]),
        probabilities=probabilities,
        other=_number(answer["other"]),
        status=answer["status"],
        outcomes=outcomes,
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.80} is no text")
    return value


def _text_or_none(value: Any) -> str | None:
    return None if value is None else _text(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1 + 1e-6:
        raise ValueError(f"{value!r:.80} is no probability")
    return float(value)
