"""Wordings from a table (CSV or JSON) that somebody else made, with where they are from and who checked them.

A row has `question` (an id, or a stem, or a template of stems with {slots}), `wording` with the same slots, `source`,
`audit` (`human` or `model`), and for a human audit `reviewer`. What a person audited is accepted; what a model audited waits
for a person: of the wordings that a model accepted, a person threw out 19 to 38 percent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_llminvariance.errors import QuestionError
from pytest_llminvariance.paraphrases.lock import AUDITS, Lock, LockEntry, Wording, comparable, visible
from pytest_llminvariance.paraphrases.lock_file import MAX_STEM
from pytest_llminvariance.questions.labels import holds_half_a_pair
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.questions.tables import read_table

NEEDED = ("question", "wording", "source", "audit")
FIELDS = (*NEEDED, "reviewer")
SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class Imported:
    """The lock with what was new, and how much of the table came into it."""

    lock: Lock
    accepted: int
    proposed: int
    same: int
    """Wordings that the lock, or the stem, had already."""


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a table: CSV with a header, JSON or JSON Lines, whatever `load_questions` reads as rows.

    Raises:
        QuestionError: naming file, row and field; nothing is half-read.
    """
    table = read_table(path, known=FIELDS)
    if twice := [column for column in table.columns if table.columns.count(column) > 1]:
        raise QuestionError(f"{table.where}: the column {visible(twice[0])!r} comes twice. Remove one")
    if not table.rows:
        raise QuestionError(f"{table.name}: holds no rows. Give a CSV file with a header, or a JSON list of objects")
    for number, (_, row) in enumerate(table.rows, start=1):
        where = f"{table.name}, row {number}"
        if isinstance(row, QuestionError):
            raise QuestionError(f"{where}: {row}") from row
        _check(row, where)
    return [
        {name: str(value) for name, value in row.items() if value} for _, row in table.rows if isinstance(row, Mapping)
    ]


def _check(row: Mapping[str, Any], where: str) -> None:
    for name, value in row.items():
        if name not in FIELDS:
            raise QuestionError(f"{where}: unknown field {visible(str(name))!r}; the fields are {', '.join(FIELDS)}")
        if value is not None and not isinstance(value, str):
            raise QuestionError(f"{where}: the field {name!r} is {value!r:.80}, but must be text")
        if value is not None and holds_half_a_pair(value):
            raise QuestionError(
                f"{where}: the field {name!r} is {value!r:.80}, which holds half a surrogate pair. Read the file as UTF-8"
            )
    for name in NEEDED:
        if not (row.get(name) or "").strip():
            raise QuestionError(f"{where}: the field {name!r} is missing")
    if row["audit"] not in AUDITS:
        raise QuestionError(f"{where}: the field 'audit' is {row['audit']!r}, but must be one of {', '.join(AUDITS)}")
    if row["audit"] == "human" and not (row.get("reviewer") or "").strip():
        raise QuestionError(f"{where}: audit is 'human', but the field 'reviewer' is missing. Say who checked it")
    if len(row["wording"]) > MAX_STEM:
        raise QuestionError(
            f"{where}: the field 'wording' has {len(row['wording']):,} characters, but may have {MAX_STEM:,}"
        )
    if set(SLOT.findall(row["question"])) != set(SLOT.findall(row["wording"])):
        raise QuestionError(
            f"{where}: question and wording have different {{slots}}, so the wording says something else"
        )


def merged(lock: Lock, questions: Sequence[Question], rows: Sequence[Mapping[str, str]], name: str) -> Imported:
    """Return the lock with the wordings of a table called `name`; one row with slots gives every case of its template one wording.

    Raises:
        QuestionError: where a row fits no question.
    """
    entries = {entry.question.content_hash: entry for entry in lock.entries}
    counts = {"accepted": 0, "proposed": 0, "same": 0}
    for number, row in enumerate(rows, start=1):
        cases = list(_cases(row, questions))
        if not cases:
            raise QuestionError(
                f"{name}, row {number}: {visible(row['question'])!r:.80} is no id, stem or template of a stem of these questions"
            )
        for question, stem in cases:
            entry = entries.get(question.content_hash) or LockEntry(question, ())
            status = "accepted" if row["audit"] == "human" else "proposed"
            known = {comparable(question.stem), *(comparable(one.stem) for one in entry.wordings)}
            if comparable(stem) in known:
                counts["same"] += 1
                continue
            wording = Wording(stem, status, row["source"], None, row.get("reviewer"), row["audit"])  # type: ignore[arg-type]
            entries[question.content_hash] = LockEntry(entry.question, (*entry.wordings, wording))
            counts[status] += 1
    return Imported(Lock(lock.questions, tuple(entries.values())), **counts)


def _cases(row: Mapping[str, str], questions: Sequence[Question]) -> Iterator[tuple[Question, str]]:
    """Yield the questions that a row is about, each with its wording."""
    asked, wording = row["question"], row["wording"]
    if not SLOT.search(asked):
        yield from ((question, wording) for question in questions if asked in (question.id, question.stem))
        return
    parts, seen = [], set[str]()
    for place, part in enumerate(SLOT.split(asked)):  # texts and names of slots take turns
        parts.append(re.escape(part) if place % 2 == 0 else f"(?P={part})" if part in seen else f"(?P<{part}>.+?)")
        seen |= {part} if place % 2 else set()
    pattern = re.compile("".join(parts), re.DOTALL)
    for question in questions:
        if found := pattern.fullmatch(question.stem):
            said = found.groupdict()
            yield question, SLOT.sub(lambda hit, said=said: said[hit[1]], wording)  # type: ignore[misc]
