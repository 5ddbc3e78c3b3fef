"""Answers of a run directory, read line by line: what was answered to each presentation, by content."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pytest_llminvariance.checks.verdict import from_plain
from pytest_llminvariance.errors import RecordError
from pytest_llminvariance.measures.distribution import AnswerDistribution, AnswerStatus
from pytest_llminvariance.models.protocol import Reply
from pytest_llminvariance.records.lines import Line, line_files, lines_of, read_line
from pytest_llminvariance.records.shapes import check_shape, with_defaults
from pytest_llminvariance.records.sheets import reply_from

AnswerRole = Literal["planned", "foreign", "sentinel", "search"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedAnswer:
    """One answer of a record: probabilities by content, how the question was shown, and what came back."""

    check: str | None
    """Id of the finding; `None` where it entered no check, as those of searches."""
    role: AnswerRole
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
    status: AnswerStatus
    outcomes: tuple[int, ...]
    """Contents that may have been meant, ascending; -1 is a refusal."""
    shown_sha256: str | None = None
    """Hash of the messages as rendered, before a model's own chat template; `None` in records of before it was told."""
    prompt_sha256: str | None = field(default=None, compare=False)
    request_sha256: str | None = field(default=None, compare=False)
    reply: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)
    """As it came back; `None` where the record holds probabilities only."""
    tokens: int = field(default=0, compare=False)
    sent_tokens: int = field(default=0, compare=False)
    remembered: bool = field(default=False, compare=False)

    def distribution(self) -> AnswerDistribution:
        """Return the answer with the outcomes that it was recorded with."""
        if self.status not in ("scored", "chosen"):
            return AnswerDistribution.nothing(len(self.order), self.status)
        weights = tuple(0.0 if content in self.outcomes else -1e9 for content in range(len(self.order)))
        return AnswerDistribution(self.probabilities, self.other, self.status, weights)

    def received(self) -> Reply | None:
        """Return what came back; `None` where the record does not hold it."""
        return None if self.reply is None else reply_from(self.reply, self.prompt_sha256, self.tokens)


def answer_in(line: Line) -> RecordedAnswer | None:
    """Return the answer in a line; `None` for a last one that a crash cut off.

    Raises:
        RecordError: where it is damaged, or no answer.
    """
    row = read_line(line)
    if row is None:
        return None
    at = f"{line.at} is no answer"
    check_shape("answer", row, at)
    return _answer(with_defaults("answer", row), at)


def read_answers(place: Path) -> tuple[RecordedAnswer, ...]:
    """Read the answers of a run directory, or a file of them; a last line that a crash cut off is left out.

    Raises:
        RecordError: where there are none, or a line is damaged.
    """
    files = [place] if place.is_file() else line_files(place, "answers")
    found = [answer for line in lines_of(files) if (answer := answer_in(line)) is not None]
    if not files:
        raise RecordError(
            f"{place / 'answers.jsonl'} is not there, so answers of that run are not known. "
            "Write it with --invariance-report"
        )
    if not found:
        raise RecordError(f"{files[0]} holds no answer")
    return tuple(found)


def readable_answers(directory: Path) -> tuple[list[RecordedAnswer], tuple[str, ...]]:
    """Return what can be read of a run's answers, and notes on what cannot: for reports, which decide nothing."""
    answers, damaged = [], 0
    for line in lines_of(line_files(directory, "answers")):
        try:
            answer = answer_in(line)
        except RecordError:
            answer = None
        if answer is not None:
            answers.append(answer)
        damaged += answer is None
    if not answers and not damaged:
        return [], ("There are no recorded answers: patterns and answers by order cannot be shown.",)
    said = f"{damaged:,} unreadable line{'s' * (damaged > 1)} of answers.jsonl left out."
    return answers, (said,) if damaged else ()


def as_written(answers: Iterable[RecordedAnswer]) -> Mapping[str, RecordedAnswer]:
    """Return the answers of a check to its questions as written, by content hash."""
    found: dict[str, RecordedAnswer] = {}
    for answer in answers:
        first = answer.place[1] == 0 if answer.place is not None else answer.order == tuple(range(len(answer.order)))
        if answer.role == "planned" and first:
            found.setdefault(answer.question, answer)
    return found


def layout_text(layout: Mapping[str, Any] | None) -> str:
    """Return a layout as one line that is the same for the same layout."""
    return "" if layout is None else json.dumps(layout, sort_keys=True)


def _answer(row: Mapping[str, Any], at: str) -> RecordedAnswer:
    for name, value, words in _senseless(row):
        raise RecordError(f"{at}: {name} is {value!r:.80}, but must be {words}")
    answer = row["answer"]
    parts = {"place": row["index"], "layout": layout_text(row["layout"]), "outcomes": sorted(answer["outcomes"])}
    return from_plain(RecordedAnswer, {**row, **answer, **parts})


def _senseless(row: Mapping[str, Any]) -> Iterator[tuple[str, object, str]]:
    """Yield what no schema can refuse: contents that the question does not have."""
    k = len(row["answer"]["probabilities"])
    order, outcomes, correct, options = row["order"], row["answer"]["outcomes"], row["correct"], row["options"]
    if sorted(order) != list(range(k)):
        yield "order", order, f"a permutation of {k} contents"
    if max(outcomes) >= k:
        yield "answer.outcomes", outcomes, f"of {k} contents"
    if correct is not None and correct >= k:
        yield "correct", correct, f"one of {k} contents"
    if options is not None and len(options) != k:
        yield "options", options, f"as many as the {k} contents"
