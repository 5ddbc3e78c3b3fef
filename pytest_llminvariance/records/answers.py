"""Answers of a run directory, read line by line: what was answered to each presentation, by content.

A line that has a place in a sheet says what came back, and its sheet how the question was shown. Others, and those of
records of before, say both.
"""

from __future__ import annotations

import dataclasses
import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, overload

from pytest_llminvariance.checks.properties.base import Plan
from pytest_llminvariance.checks.sheet import Sheet
from pytest_llminvariance.checks.verdict import from_plain
from pytest_llminvariance.errors import RecordError
from pytest_llminvariance.measures.distribution import AnswerDistribution, AnswerStatus
from pytest_llminvariance.measures.reading import read_reply
from pytest_llminvariance.models.probes import Probe, Showings, ways_of
from pytest_llminvariance.models.protocol import Reply, sent_digest
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.template import Layout
from pytest_llminvariance.records.lines import Line, LinesByCheck, line_files, read_line
from pytest_llminvariance.records.shapes import check_shape, with_defaults
from pytest_llminvariance.records.sheets import reply_from, sheet_from
from pytest_llminvariance.records.usual_lines import usual_place, usual_reply, usual_row

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
    told_sha256: str | None = None
    """`shown_sha256` as the line says it."""
    shown: Presentation | None = field(default=None, compare=False, repr=False)
    """What was shown, where the sheet says it and not the line."""
    prompt_sha256: str | None = field(default=None, compare=False)
    request_sha256: str | None = field(default=None, compare=False)
    reply: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)
    """As it came back; `None` where the record holds probabilities only."""
    tokens: int = field(default=0, compare=False)
    sent_tokens: int = field(default=0, compare=False)
    remembered: bool = field(default=False, compare=False)

    @property
    def shown_sha256(self) -> str | None:
        """Hash of the messages as rendered, before a model's own chat template; `None` in records of before it was told."""
        return self.told_sha256 if self.shown is None else sent_digest(self.shown.render())

    def distribution(self) -> AnswerDistribution:
        """Return the answer with the outcomes that it was recorded with."""
        if self.status not in ("scored", "chosen"):
            return AnswerDistribution.nothing(len(self.order), self.status)
        weights = tuple(0.0 if content in self.outcomes else -1e9 for content in range(len(self.order)))
        return AnswerDistribution(self.probabilities, self.other, self.status, weights)

    def received(self) -> Reply | None:
        """Return what came back; `None` where the record does not hold it."""
        return None if self.reply is None else reply_from(self.reply, self.prompt_sha256, self.tokens)


def row_in(line: Line, *, is_checked: bool = False) -> dict[str, Any] | None:
    """Return what a line says, with what it may leave out; `None` for a last one that a crash cut off.

    `is_checked`: its shape was found to be right before.

    Raises:
        RecordError: where it is damaged, or no answer.
    """
    if usual := usual_row(line.text):
        return usual
    row = read_line(line)
    if row is None:
        return None
    if not is_checked:
        check_shape("answer", row, f"{line.at} is no answer")
    return with_defaults("answer", row)


def reply_in(line: Line) -> Reply | None:
    """Return what came back; `None` where a line does not say it.

    Raises:
        RecordError: where it is damaged, or no answer.
    """
    if usual := usual_reply(line.text):
        return usual
    row = row_in(line)
    return None if row is None or "reply" not in row else reply_from(row["reply"], row["prompt_sha256"], row["tokens"])


class StoredAnswers(Sequence[RecordedAnswer]):
    """The answers of a record. They stay on the disk: each is read when it is asked for, with what its sheet says.

    Raises:
        RecordError: when one is read whose line is damaged, or is no answer.
    """

    def __init__(self, lines: LinesByCheck, sheets: LinesByCheck, *, readable: bool = False) -> None:
        self.lines = lines
        self._sheet = lru_cache(maxsize=2)(lambda check: sheet_in(sheets, check))
        self._left_out: set[tuple[Path, int]] = set()
        self._are_checked = readable
        if readable:
            lines.is_lenient = sheets.is_lenient = True
            self._left_out.update((line.file, line.number) for line in lines.of() if not self._can_read(line))

    def _can_read(self, line: Line) -> bool:
        try:
            if usual := usual_place(line.text):
                check, role, *place, n_values = usual
                _way(role, place, n_values, self._sheet(check), line)
                return True
            row = row_in(line)
            if row is not None and "answer" in row:
                _whole_answer(row, line)
            elif row is not None:
                _way_of(row, self._sheet(row["check"]), line)
        except RecordError:
            return False
        return row is not None

    @property
    def damaged(self) -> int:
        """How many lines are left out where only what is `readable` counts."""
        return len(self._left_out) + self.lines.n_unread

    def sheet(self, check: str) -> Sheet | None:
        """Return what a check asked; `None` where the record does not hold it."""
        return self._sheet(check)

    def of(self, check: str | None = None) -> Iterator[RecordedAnswer]:
        """Yield the answers of one check; without one, all."""
        return self.read(self.lines.of(check))

    def read(self, lines: Iterable[Line]) -> Iterator[RecordedAnswer]:
        """Yield the answers in lines."""
        for line in lines:
            is_left_out = self._left_out and (line.file, line.number) in self._left_out
            if not is_left_out and (answer := self._answer(line)) is not None:
                yield answer

    def __iter__(self) -> Iterator[RecordedAnswer]:
        return self.of()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        return any(True for _ in self)

    @overload
    def __getitem__(self, place: int) -> RecordedAnswer: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[RecordedAnswer]: ...
    def __getitem__(self, place: int | slice) -> RecordedAnswer | Sequence[RecordedAnswer]:
        return tuple(self)[place]

    def _answer(self, line: Line) -> RecordedAnswer | None:
        row = row_in(line, is_checked=self._are_checked)
        if row is None:
            return None
        return _whole_answer(row, line) if "answer" in row else _answer_of_sheet(row, self._sheet(row["check"]), line)


class ByPlace:
    """Where the answers of one check stand in a record, by role, question and presentation; the last of a place counts."""

    def __init__(self, answers: StoredAnswers, check: str) -> None:
        self._answers, self._check = answers, check
        self._places: dict[tuple[str, int], array[int]] = {}  # presentations, each before the number of its line
        self._unplaced: list[int] = []
        for number, place in enumerate(answers.lines.places(check)):
            if place is None:
                self._unplaced.append(number)
                continue
            role, question, presentation = place
            known = self._places.get((role, question))
            if known is None:
                known = self._places[role, question] = array("L")
            known.extend((presentation, number))

    def unplaced(self) -> Iterator[RecordedAnswer]:
        """Yield the answers of the check that do not say their place."""
        return self._answers.read(self._answers.lines.at(self._check, self._unplaced))

    def known(self, role: AnswerRole, question: int) -> Sequence[int]:
        """Return the presentations of a question that have an answer, ascending."""
        return sorted(set(self._places.get((role, question), ())[::2]))

    def replies(self, role: AnswerRole, *questions: int) -> dict[tuple[int, int], Reply]:
        """Return what came back, by question and presentation; it is read in the order in which it was written."""
        found = sorted(
            (line, (question, shown)) for question in questions for shown, line in self._last(role, question)
        )
        lines = self._answers.lines.at(self._check, [line for line, _ in found])
        both = zip(lines, found, strict=True)
        return {place: reply for line, (_, place) in both if (reply := reply_in(line)) is not None}

    def questions(self, role: AnswerRole) -> list[int]:
        """Return the numbers of the questions that have answers of a role, ascending."""
        return sorted(question for known, question in self._places if known == role)

    def answers(self, role: AnswerRole, question: int, only: int | None = None) -> list[RecordedAnswer]:
        """Return the answers to the presentations of a question, or to one of them."""
        found = sorted(pair for pair in self._last(role, question) if only in (None, pair[0]))
        return list(self._answers.read(self._answers.lines.at(self._check, [line for _, line in found])))

    def _last(self, role: AnswerRole, question: int) -> Iterable[tuple[int, int]]:
        """Return the presentations of a question that have an answer, each with the number of its last line."""
        found = self._places.get((role, question), ())
        return dict(zip(found[::2], found[1::2], strict=True)).items()


def sheet_in(lines: LinesByCheck, check: str | None) -> Sheet | None:
    """Return what a check asked; `None` where the record does not hold it.

    Raises:
        RecordError: where a line is damaged.
    """
    last: Line | None = None

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal last
        for last in lines.of(check) if check is not None else ():
            if (row := read_line(last)) is not None:
                check_shape("sheet", row, last.at)
                yield row

    try:
        return sheet_from(rows())
    except (KeyError, IndexError, TypeError, ValueError) as error:
        at = "" if last is None else last.at
        raise RecordError(f"{at} is no sheet: {type(error).__name__}: {error}") from error


def stored_answers(place: Path, *, readable: bool = False) -> StoredAnswers:
    """Return the answers of a run directory, or of a file of them beside its sheets."""
    files = [place] if place.is_file() else line_files(place, "answers")
    folder = place.parent if place.is_file() else place
    return StoredAnswers(LinesByCheck(files), LinesByCheck(line_files(folder, "sheets")), readable=readable)


def read_answers(place: Path) -> tuple[RecordedAnswer, ...]:
    """Read the answers of a run directory, or a file of them; a last line that a crash cut off is left out.

    Raises:
        RecordError: where there are none, or a line is damaged.
    """
    stored = stored_answers(place)
    files, found = stored.lines.files, list(stored)
    if not files:
        raise RecordError(
            f"{place / 'answers.jsonl'} is not there, so answers of that run are not known. "
            "Write it with --invariance-report"
        )
    if not found:
        raise RecordError(f"{files[0]} holds no answer")
    return tuple(found)


def readable_answers(directory: Path) -> tuple[StoredAnswers, tuple[str, ...]]:
    """Return what can be read of a run's answers, and notes on what cannot: for reports, which decide nothing."""
    answers = stored_answers(directory, readable=True)
    damaged = answers.damaged
    if not answers and not damaged:
        return answers, ("There are no recorded answers: patterns and answers by order cannot be shown.",)
    said = f"{damaged:,} unreadable line{'s' * (damaged > 1)} of answers.jsonl left out."
    return answers, (said,) if damaged else ()


def as_written(found: ByPlace) -> Mapping[str, RecordedAnswer]:
    """Return the answers of a check to its questions as written, by content hash."""
    answers: dict[str, RecordedAnswer] = {}
    for question in found.questions("planned"):
        for answer in found.answers("planned", question, only=0):
            answers.setdefault(answer.question, answer)
    for answer in found.unplaced():
        if answer.role == "planned" and answer.order == tuple(range(len(answer.order))):
            answers.setdefault(answer.question, answer)
    return answers


def layout_text(layout: Mapping[str, Any] | None) -> str:
    """Return a layout as one line that is the same for the same layout."""
    return "" if layout is None else json.dumps(layout, sort_keys=True)


@lru_cache(maxsize=64)
def _told(layout: Layout) -> str:
    return layout_text(dataclasses.asdict(layout))


def _way(role: str, place: Sequence[int], n_values: int | None, sheet: Sheet | None, line: Line) -> tuple[Probe, Plan]:
    """Return how the sheet says that an answer was shown, perhaps about another question, and the plan of its own.

    Raises:
        RecordError: where the sheet does not ask for it, or not like this.
    """
    number, index = place
    try:
        if sheet is None:
            raise IndexError("it is not there")
        plan = sheet.plans[number]
        if role == "planned":
            probe = ways_of(plan.probes).probes[index]
        else:
            probe = Probe(sheet.foreign[number][index // len(plan.probes[: sheet.samples])])
    except IndexError as error:
        raise RecordError(f"{line.at} is no answer that the sheet of its check asks for: {error}") from error
    k = len(probe.presentation.order)
    if n_values is not None and n_values != k:
        raise RecordError(f"{line.at} is no answer to a question of {k} options: it has {n_values} values")
    return probe, plan


def _way_of(row: Mapping[str, Any], sheet: Sheet | None, line: Line) -> tuple[Probe, Plan]:
    values = row["reply"].get("logprobs_nats")
    return _way(row["role"], row["index"], None if values is None else len(values), sheet, line)


def _answer_of_sheet(row: Mapping[str, Any], sheet: Sheet | None, line: Line) -> RecordedAnswer:
    """Return the answer of a line that leaves to the sheet of its check how the question was shown."""
    probe, plan = _way_of(row, sheet, line)
    assert sheet is not None  # noqa: S101 - else nothing would be shown
    shown, readout = probe.presentation, probe.readout or sheet.readout
    if row["role"] == "planned" and isinstance(plan.probes, Showings):
        shown = shown.about(plan.question)
    answer = read_reply(reply_from(row["reply"], row["prompt_sha256"], row["tokens"]), shown, readout)
    question = shown.question
    return RecordedAnswer(
        check=row["check"], role=row["role"], place=tuple(row["index"]), question=question.content_hash, question_id=question.id,
        stem=question.stem, options=question.options, correct=question.answer, order=shown.order, labels=shown.labels,
        template=shown.template.shown_name, layout=_told(shown.layout), readout=readout, model=sheet.model,
        fingerprint=sheet.fingerprint, probabilities=answer.probabilities, other=answer.other, status=answer.status,
        outcomes=tuple(sorted(answer.outcomes(sheet.delta_nats))), shown=shown, prompt_sha256=row["prompt_sha256"],
        request_sha256=row["request_sha256"], reply=row["reply"], tokens=row["tokens"], sent_tokens=row["sent_tokens"],
        remembered=row["remembered"],
    )  # fmt: skip


def _whole_answer(row: Mapping[str, Any], line: Line) -> RecordedAnswer:
    for name, value, words in _senseless(row):
        raise RecordError(f"{line.at} is no answer: {name} is {value!r:.80}, but must be {words}")
    answer = row["answer"]
    parts = {
        "place": row["index"],
        "told_sha256": row["shown_sha256"],
        "layout": layout_text(row["layout"]),
        "outcomes": sorted(answer["outcomes"]),
    }
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
