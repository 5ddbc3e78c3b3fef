"""Reading a run directory: `findings.json`, and `run.json`, `answers.jsonl` where they are there.

Findings are required. Everything else may be missing, old or cut off by a crash, and then a note says so; a
reader of a report must see what it was not made from.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pytest_llminvariance.errors import UsageError

__all__ = ["Answer", "Effect", "Entry", "Level", "Record", "read_answers", "read_record"]

SCHEMA_VERSION = 1
Level = Literal["block", "warn", "ignore"]
VERDICTS = ("BROKEN", "UNDECIDED", "HOLDS")
LEVELS: tuple[Level, ...] = ("block", "warn", "ignore")


@dataclass(frozen=True, slots=True)
class Effect:
    """The metric on one question: what is certain, and what is possible."""

    question: str
    low: float
    high: float
    presentations: int
    causes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One finding as it was stored. `raw` is the stored data; optional parts have defaults here."""

    raw: Mapping[str, Any] = field(repr=False)
    title: str
    name: str
    """The property, as in records: `option_order`."""
    metric: str
    verdict: str
    low: float
    high: float
    tolerance: float
    level: Level
    where: str
    file: str | None
    line: int | None
    effects: tuple[Effect, ...] = field(repr=False)

    is_lost: bool = False
    """True for a check that ended without a finding; its numbers mean nothing then."""

    @property
    def id(self) -> str:
        """The finding's id, by which its answers are found."""
        return self.text("id")

    @property
    def is_test(self) -> bool:
        """True where pytest can run it again by its node id."""
        return _file_of(self.where) is not None

    @property
    def excess(self) -> float:
        """How far the certain part of the effect lies above the tolerance; negative below it."""
        return self.low - self.tolerance

    @property
    def must_hold(self) -> bool:
        """True where this finding stands in the way of a release unless it holds."""
        return self.level == "block"

    def text(self, name: str) -> str:
        """Return a stored text, or nothing where it is not there."""
        value = self.raw.get(name)
        return value if isinstance(value, str) else ""

    def number(self, name: str) -> int:
        """Return a stored count, or 0 where it is not there."""
        value = self.raw.get(name)
        return value if isinstance(value, int) else 0

    def part(self, name: str) -> Mapping[str, Any]:
        """Return a stored object, or an empty one."""
        value = self.raw.get(name)
        return value if isinstance(value, Mapping) else {}

    def rows(self, name: str) -> tuple[Any, ...]:
        """Return a stored list, or an empty one."""
        value = self.raw.get(name)
        return tuple(value) if isinstance(value, list) else ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is UNDECIDED."""
        return tuple(str(reason) for reason in self.rows("reasons"))


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer that was asked: probabilities by content, and how the question was shown."""

    check: str | None
    """Id of the finding; `None` in records that do not say."""
    role: str
    """`planned`, `foreign` (another question's stem), `sentinel` (asked again at the end), `search`."""
    place: tuple[int, int] | None
    """Numbers of the question in the finding and of the presentation in its plan; presentation 0 is as written."""
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
    readout: str
    fingerprint: str
    probabilities: tuple[float, ...]
    other: float
    status: str
    outcomes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a run."""

    directory: Path
    entries: tuple[Entry, ...]
    """Worst first: verdict, level, then how far above the tolerance."""
    run: Mapping[str, Any]
    notes: tuple[str, ...]
    """What this report could not be made from."""

    def of(self, verdict: str) -> tuple[Entry, ...]:
        """Return the findings with a verdict."""
        return tuple(entry for entry in self.entries if entry.verdict == verdict)


def read_record(directory: Path) -> Record:
    """Read a run directory.

    Raises:
        UsageError: where `findings.json` is missing, no JSON, of a newer version, or a finding lacks a field
            without which no verdict can be told.
    """
    path = directory / "findings.json"
    if not path.is_file():
        raise UsageError(
            f"{directory} holds no findings.json, so there is nothing to report. Name a directory that was written "
            "with --invariance-report"
        )
    stored = _json(path)
    rows = stored.get("findings") if isinstance(stored, Mapping) else None
    if not isinstance(rows, list):
        raise UsageError(f'{path}: expected an object with a list "findings". Was it written with --invariance-report?')
    _check_version(stored, path)
    entries = [_entry(row, f"{path}: finding {n}") for n, row in enumerate(rows, start=1)]
    entries += [
        _lost(row) for kind in ("unfinished", "failed") for row in stored.get(kind) or () if isinstance(row, Mapping)
    ]
    run, notes = _run(directory / "run.json")
    return Record(directory, tuple(sorted(entries, key=_rank)), run, notes)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as JSON: {error}") from error


def _check_version(stored: Mapping[str, Any], path: Path) -> None:
    version = stored.get("schema_version", SCHEMA_VERSION)
    if not isinstance(version, int) or not 1 <= version <= SCHEMA_VERSION:
        raise UsageError(
            f"{path} has schema_version {version!r}, but this version reads {SCHEMA_VERSION}. "
            "Use the version of pytest-llminvariance that wrote it, or a newer one"
        )


def _entry(row: Any, where: str) -> Entry:
    if not isinstance(row, Mapping):
        raise UsageError(f"{where} is {row!r:.80}, but must be an object")
    verdict, effect, level = row.get("verdict"), row.get("effect"), row.get("level", "block")
    if verdict not in VERDICTS:
        raise UsageError(f"{where}: verdict is {verdict!r}, but must be one of {', '.join(VERDICTS)}")
    if level not in LEVELS:
        raise UsageError(f"{where}: level is {level!r}, but must be one of {', '.join(LEVELS)}")
    if not isinstance(effect, Mapping):
        raise UsageError(f"{where}: effect is {effect!r:.80}, but must be an object with low and high")
    node, file, line = row.get("where"), row.get("file"), row.get("line")
    node = node if isinstance(node, str) else ""
    return Entry(
        raw=row,
        title=_text(row, "title", where),
        name=_text(row, "property", where),
        metric=_text(row, "metric", where),
        verdict=verdict,
        low=_number(effect, "low", where),
        high=_number(effect, "high", where),
        tolerance=_number(row, "tolerance", where),
        level=level,
        where=node,
        file=file if isinstance(file, str) and file else _file_of(node),
        line=line if isinstance(line, int) and not isinstance(line, bool) and line > 0 else None,
        effects=tuple(_effects(row.get("per_question"))),
    )


def _file_of(node: str) -> str | None:
    file, mark, _ = node.partition("::")
    return file if mark and file.endswith(".py") else None


def _lost(row: Mapping[str, Any]) -> Entry:
    """Return a check that ended without a finding: nobody knows, so it is UNDECIDED."""
    reason = str(row.get("reason") or "started and did not finish")
    stand_in = {
        "title": str(row.get("title") or "a check"),
        "property": "unknown",
        "metric": "unknown",
        "verdict": "UNDECIDED",
        "effect": {"low": 0.0, "high": 1.0},
        "tolerance": 0.0,
        "reasons": [reason],
        "level": row.get("level") if row.get("level") in LEVELS else "block",
        **{name: row.get(name) for name in ("id", "where", "file", "line")},
    }
    return dataclasses.replace(_entry(stand_in, "a check without a finding"), is_lost=True)


def _text(row: Mapping[str, Any], name: str, where: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{where}: {name} is {value!r:.80}, but must be text")
    return value


def _number(row: Mapping[str, Any], name: str, where: str) -> float:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e9 < value < 1e9:
        raise UsageError(f"{where}: {name} is {value!r:.80}, but must be a number")
    return float(value)


def _effects(rows: Any) -> Iterator[Effect]:
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, Mapping) and isinstance(row.get("low"), int | float):
            causes = row.get("causes")
            yield Effect(
                str(row.get("question", "")),
                float(row["low"]),
                float(row.get("high", row["low"])),
                int(row.get("presentations", 0)),
                tuple(map(str, causes)) if isinstance(causes, list) else (),
            )


def _rank(entry: Entry) -> tuple[object, ...]:
    return VERDICTS.index(entry.verdict), LEVELS.index(entry.level), -entry.excess, entry.title, entry.where


def _run(path: Path) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    if not path.is_file():
        return {}, ("There is no run.json: when and where it ran is not known.",)
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}, ("run.json cannot be read: when and where it ran is not known.",)
    if not isinstance(run, Mapping):
        return {}, ("run.json is no object: when and where it ran is not known.",)
    ended = run.get("exit") is not None or "exit" not in run
    return run, () if ended else ("The run did not end. This is what it had found until then.",)


def read_answers(directory: Path) -> tuple[list[Answer], tuple[str, ...]]:
    """Return the answers of a run, and notes on what could not be read; a line cut off by a crash is left out."""
    files = [directory / "answers.jsonl", *sorted(directory.glob("answers-*.jsonl"))]
    answers, unreadable = [], 0
    for path in (path for path in files if path.is_file()):
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    answers.append(_answer(json.loads(line)))
                except (ValueError, TypeError, KeyError, AttributeError):
                    unreadable += bool(line.strip())
    if not answers and not unreadable:
        return [], ("There are no recorded answers: patterns and answers by order cannot be shown.",)
    notes = (
        (f"{unreadable:,} unreadable line{'s' * (unreadable > 1)} of answers.jsonl left out.",) if unreadable else ()
    )
    return answers, notes


def _answer(row: Mapping[str, Any]) -> Answer:
    answer = row["answer"]
    probabilities = tuple(float(value) for value in answer["probabilities"])
    order = tuple(int(content) for content in row["order"])
    if sorted(order) != list(range(len(probabilities))) or not all(0 <= value <= 1.001 for value in probabilities):
        raise ValueError("no probabilities by content")
    options, layout = row.get("options"), row.get("layout", "")
    stem, correct, place = row.get("stem"), row.get("correct"), row.get("index")
    return Answer(
        check=row["check"] if isinstance(row.get("check"), str) else None,
        role=str(row.get("role", "planned")),
        place=(int(place[0]), int(place[1])) if isinstance(place, list) and len(place) == 2 else None,
        question=str(row["question"]),
        question_id=None if row.get("question_id") is None else str(row["question_id"]),
        stem=stem if isinstance(stem, str) else None,
        options=tuple(map(str, options)) if isinstance(options, list) and len(options) == len(order) else None,
        correct=correct if isinstance(correct, int) and 0 <= correct < len(order) else None,
        order=order,
        labels=tuple(map(str, row.get("labels") or ())),
        template=str(row.get("template", "")),
        layout=layout if isinstance(layout, str) else json.dumps(layout, sort_keys=True),
        readout=str(row.get("readout", "")),
        fingerprint=str(row.get("fingerprint", "")),
        probabilities=probabilities,
        other=float(answer.get("other", 0.0)),
        status=str(answer.get("status", "scored")),
        outcomes=tuple(int(content) for content in answer.get("outcomes", ())),
    )
