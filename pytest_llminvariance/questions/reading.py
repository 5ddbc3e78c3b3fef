"""Reading questions from files: JSONL, JSON and CSV with the field names of `Question`.

A file is read whole or not at all; a bad row is told by file, line, field and reason.
"""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_llminvariance.errors import QuestionError
from pytest_llminvariance.questions.question import Question, check_unique
from pytest_llminvariance.questions.questionnaire import Item, Questionnaire, Scale

FIELDS = ("stem", "options", "answer", "context", "scores", "reverse_keyed", "id", "attributes")
LIST_SEPARATOR = "|"
Row = tuple[str, Mapping[str, Any]]


def load_questions(path: str | Path) -> tuple[Question, ...]:
    """Read questions from a `.jsonl`, `.json` or `.csv` file.

    Fields: `stem`, `options`, and where they apply `answer` (text or index), `context`, `scores`,
    `reverse_keyed`, `id`, `attributes`. A JSON file holds a list of rows, or `{"questions": [...]}`. A CSV
    file has either one column `options` with options separated by "|", or columns `option_1`, `option_2`,
    ...; `scores` are separated by "|" too, and other columns become attributes.

    Raises:
        QuestionError: naming file, line, field and reason; nothing is half-read.
    """
    file = _path(path)
    rows = list(_rows(file))
    if not rows:
        raise QuestionError(f"{file.name}: holds no questions")
    questions = []
    for where, row in rows:
        try:
            questions.append(_question(row))
        except QuestionError as error:
            raise QuestionError(f"{where}: {error}") from error
    return check_unique(questions, file.name)


def load_questionnaire(path: str | Path) -> Questionnaire:
    """Read a Likert instrument from JSON: `name`, `scale` (`options`, `scores`) and `items` (`stem`, `trait`, `reverse_keyed`, `id`).

    Raises:
        QuestionError: naming file, item, field and reason.
    """
    file = _path(path)
    data = _json(file, _text(file))
    if not isinstance(data, dict) or not {"scale", "items"} <= set(data):
        raise QuestionError(f"{file.name}: must hold an object with 'scale' and 'items'")
    if not isinstance(data["items"], list) or not isinstance(data["scale"], dict):
        raise QuestionError(f"{file.name}: 'items' must be a list, and 'scale' an object with 'options' and 'scores'")
    if set(data["scale"]) != {"options", "scores"}:
        held = ", ".join(map(repr, data["scale"])) or "nothing"
        raise QuestionError(f"{file.name}: scale must hold 'options' and 'scores': it holds {held}")
    items = []
    for number, row in enumerate(data["items"], start=1):
        where = f"{file.name}, item {number}"
        if not isinstance(row, dict):
            raise QuestionError(f"{where}: {row!r} is no object with fields")
        unknown = set(row) - {"stem", "trait", "reverse_keyed", "id"}
        if unknown or not {"stem", "trait"} <= set(row):
            wrong = f"unknown field {sorted(unknown)[0]!r}" if unknown else "needs 'stem' and 'trait'"
            raise QuestionError(f"{where}: {wrong}; the fields are stem, trait, reverse_keyed, id")
        if not isinstance(row.get("reverse_keyed", False), bool):
            raise QuestionError(f"{where}: reverse_keyed is {row['reverse_keyed']!r}, but must be true or false")
        items.append(Item(**row))
    try:
        return Questionnaire(tuple(items), Scale(**data["scale"]), data.get("name", file.stem))
    except QuestionError as error:
        raise QuestionError(f"{file.name}: {error}") from error


def _path(path: object) -> Path:
    if not isinstance(path, str | os.PathLike):
        raise QuestionError(f"path is {path!r} ({type(path).__name__}), but must be the path of a file")
    return Path(path)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise QuestionError(f"{str(file)!r} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise QuestionError(f"{file.name}: is not UTF-8 text (byte {error.start}). Save it as UTF-8") from error


def _json(file: Path, text: str, line: int | None = None) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise QuestionError(
            f"{file.name}, line {line or error.lineno}: not JSON ({error.msg} at column {error.colno})"
        ) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or as many brackets
        raise QuestionError(f"{file.name}{f', line {line}' if line else ''}: cannot be read: {error}") from error


def _rows(file: Path) -> Iterator[Row]:
    kind = file.suffix.lower()
    if kind == ".jsonl":
        for number, line in enumerate(_text(file).split("\n"), start=1):
            if line.strip():
                yield f"{file.name}, line {number}", _object(_json(file, line, number), f"{file.name}, line {number}")
    elif kind == ".json":
        data = _json(file, _text(file))
        rows = data.get("questions") if isinstance(data, dict) else data
        if not isinstance(rows, list):
            raise QuestionError(f"{file.name}: must hold a list of questions, or an object with 'questions'")
        for number, row in enumerate(rows, start=1):
            yield f"{file.name}, question {number}", _object(row, f"{file.name}, question {number}")
    elif kind == ".csv":
        yield from _csv_rows(file)
    else:
        raise QuestionError(f"{file.name}: the ending {kind!r} is not known. Use .jsonl, .json or .csv")


def _object(row: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(row, dict):
        raise QuestionError(f"{where}: {row!r} is no object with fields")
    unknown = set(row) - set(FIELDS)
    if unknown:
        raise QuestionError(f"{where}: unknown field {sorted(unknown)[0]!r}; the fields are {', '.join(FIELDS)}")
    for name in ("stem", "options"):
        if name not in row:
            raise QuestionError(f"{where}: the field {name!r} is missing")
    return row


def _csv_rows(file: Path) -> Iterator[Row]:
    lines = _csv_lines(file)
    _, columns = next(lines, (1, []))
    _check_columns(columns, file.name)
    numbered = sorted((c for c in columns if _option_number(c)), key=_option_number)
    if "stem" not in columns or not ("options" in columns or numbered):
        missing = "'stem'" if "stem" not in columns else "'options' (or 'option_1', 'option_2', ...)"
        raise QuestionError(
            f"{file.name}, line 1: the column {missing} is missing; there are {', '.join(columns) or 'none'}"
        )
    for began, cells in lines:
        where = f"{file.name}, line {began}"
        if len(cells) != len(columns):
            raise QuestionError(
                f"{where}: has {'more' if len(cells) > len(columns) else 'fewer'} cells than the header. Quote texts that hold a comma"
            )
        yield where, _from_csv(dict(zip(columns, cells, strict=True)), numbered, where)


def _csv_lines(file: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not blank, each with the line where it began."""
    reader = csv.reader(io.StringIO(_text(file), newline=""), strict=True)
    began = 1
    try:
        for cells in reader:
            if cells:
                yield began, cells
            began = reader.line_num + 1
    except csv.Error as error:
        raise QuestionError(f"{file.name}, line {began}: {error}. Close the quote that opens in this row") from error


def _option_number(column: str) -> int:
    found = re.fullmatch(r"option_([1-9][0-9]{0,3})", column)
    return int(found[1]) if found else 0


def _check_columns(columns: list[str], name: str) -> None:
    for column in columns:
        if columns.count(column) > 1:
            raise QuestionError(f"{name}, line 1: the column {column!r} comes twice")
        if column.startswith("option_") and not _option_number(column):
            raise QuestionError(f"{name}, line 1: the column {column!r} must be numbered option_1, option_2, ...")
    if "options" in columns and any(_option_number(column) for column in columns):
        raise QuestionError(f"{name}, line 1: has both 'options' and 'option_1', ...; keep one of the two forms")


def _from_csv(row: Mapping[str, str], numbered: list[str], where: str) -> dict[str, Any]:
    known = {name: row[name] for name in FIELDS if row.get(name)}
    made: dict[str, Any] = {**known, "stem": row["stem"]}
    if numbered:
        made["options"] = [row[name] for name in numbered if row[name]]
    else:
        made["options"] = [part.strip() for part in row["options"].split(LIST_SEPARATOR)]
    answer = known.get("answer")
    if answer is not None and answer not in made["options"] and answer.isascii() and answer.isdigit():
        made["answer"] = int(answer)
    if "scores" in known:
        made["scores"] = [_number(part, where) for part in known["scores"].split(LIST_SEPARATOR)]
    if "reverse_keyed" in known:
        made["reverse_keyed"] = _flag(known["reverse_keyed"], where)
    rest = {name: value for name, value in row.items() if name not in FIELDS and name not in numbered and value}
    if rest:
        made["attributes"] = rest
    return made


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise QuestionError(
            f"{where}: the score {text!r} is not a number. Separate scores by {LIST_SEPARATOR!r}"
        ) from error


def _flag(text: str, where: str) -> bool:
    known = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
    if text.strip().lower() not in known:
        raise QuestionError(f"{where}: reverse_keyed is {text!r}, but must be true or false")
    return known[text.strip().lower()]


def _question(row: Mapping[str, Any]) -> Question:
    rest = {name: row[name] for name in FIELDS if name in row and name not in ("stem", "options")}
    return Question(row["stem"], row["options"], **rest)
