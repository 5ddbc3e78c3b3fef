"""Reading questions and instruments: from a file or data set to `Question`, whole or not at all.

A bad row is told by file, line, field and reason, and all of them at once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, cast, get_args

from pytest_llminvariance.errors import QuestionError
from pytest_llminvariance.questions.columns import FIELDS, OTHER_NAMES, Columns, check_fields, columns_of, preset_named
from pytest_llminvariance.questions.keys import STYLES, Style, bare_number
from pytest_llminvariance.questions.presets import PRESETS, Column, Preset, looks_like
from pytest_llminvariance.questions.question import Bank, Question
from pytest_llminvariance.questions.questionnaire import Item, Questionnaire, Scale
from pytest_llminvariance.questions.tables import FileRow, Table, as_path, read_json_text, read_table, read_text

BadRows = Literal["error", "skip"]
MAX_LISTED = 20
STRANGE = 0.05
"""The chance of no answer 0, if each option is right equally often, below which keys may count from 1."""


def load_questions(
    path: str | Path,
    *,
    fields: Mapping[str, str | Sequence[str] | None] | None = None,
    answers: Style | None = None,
    preset: str | None = None,
    bad_rows: BadRows = "error",
    encoding: str | None = None,
) -> Bank:
    """Read questions from a `.jsonl`, `.json`, `.csv`, `.tsv` or `.parquet` file, or from `hf:NAME:SPLIT`.

    Fields: `stem`, `options`, and where they apply `answer`, `context`, `scores`, `reverse_keyed`, `id`,
    `attributes`. `preset` names a known form (`mmlu`, `arc`, ...), and `fields` says which column is which
    field. `answers` says how the key is written: `index` (from 0), `one_based`, `letter`, `text` or `scores`;
    without it a key with two readings is refused. `bad_rows="skip"` leaves bad rows out and says so in every
    finding. `docs/data.md` shows each format.

    Raises:
        QuestionError: naming file, row, field, value and way out; nothing is half-read.
        MissingExtraError: where the library `datasets` is needed and not installed.
    """
    if answers is not None and answers not in STYLES:
        raise QuestionError(f"answers is {answers!r}, but must be one of {', '.join(STYLES)}")
    if bad_rows not in get_args(BadRows):
        raise QuestionError(f"bad_rows is {bad_rows!r}, but must be one of {', '.join(get_args(BadRows))}")
    chosen, given = None if preset is None else preset_named(preset), check_fields(fields)
    known = {*FIELDS, *_known_names(chosen, given)}
    table = read_table(path, encoding, known=known, header=chosen.header if chosen else ())
    if preset == "lm_eval_samples":
        table, chosen = _samples(table, given)
    columns = None
    if table.columns or table.in_cells:
        columns = columns_of(table.columns, table.where, chosen, given, answers, in_cells=table.in_cells)
        _check_one_based(table, columns)
    if not table.rows:
        raise QuestionError(f"{table.name}: holds no questions")
    return _bank(table, columns, bad_rows)


def load_bank(
    path: str | Path,
    *,
    fields: Sequence[str] = (),
    answers: str | None = None,
    preset: str | None = None,
    bad_rows: str = "error",
    encoding: str | None = None,
) -> Bank:
    """Return the questions of a file, or the items of an instrument, as commands are told to read it.

    `fields` are texts `FIELD=COLUMN`; `options=A,B,C` names several columns, and `id=` none.

    Raises:
        QuestionError: as `load_questions` and `load_questionnaire` do.
    """
    if str(path).lower().endswith(".json") and Path(path).is_file():
        data = read_json_text(Path(path), read_text(Path(path), encoding))
        if isinstance(data, dict) and "items" in data:
            return Bank(load_questionnaire(path, encoding=encoding).questions, Path(path).name)
    told: dict[str, str | Sequence[str] | None] = {}
    for text in fields:
        name, equals, column = text.partition("=")
        if not equals:
            raise QuestionError(f"fields is {text!r}, but must be FIELD=COLUMN, such as stem=question")
        told[name] = column.split(",") if name == "options" and "," in column else column or None
    return load_questions(
        path, fields=told or None, answers=cast("Style | None", answers), preset=preset,
        bad_rows=cast("BadRows", bad_rows), encoding=encoding,
    )  # fmt: skip


def _known_names(preset: Preset | None, fields: Mapping[str, tuple[Column, ...]]) -> set[str]:
    """Return the names of columns that mean something, by which a separator is found."""
    used = [
        *fields.values(),
        *(columns for one in ([preset] if preset else PRESETS.values()) for columns in one.fields.values()),
    ]
    flat = {
        name for columns in used for column in columns for name in ([column] if isinstance(column, str) else column)
    }
    return {
        name.casefold() for name in {*FIELDS, *flat, *(() if preset else set().union(*OTHER_NAMES.values()))}
    } | flat


def _samples(table: Table, fields: Mapping[str, tuple[Column, ...]]) -> tuple[Table, Preset | None]:
    """Return the documents of lm-eval samples, and the preset that they look like; a document is taken once."""
    rows: list[FileRow] = []
    seen: dict[str, object] = {}
    for where, row in table.rows:
        if isinstance(row, QuestionError):
            rows.append((where, row))
            continue
        document, number = row.get("doc"), row.get("doc_id")
        if not isinstance(document, Mapping) or number is None:
            rows.append((where, QuestionError("needs 'doc' and 'doc_id', as lm-eval writes samples")))
        elif seen.get(str(number)) != document:  # lm-eval writes a row for each filter
            seen[str(number)] = document
            rows.append((where, {"doc_id": number, **document}))
    columns = tuple(dict.fromkeys(column for _, row in rows if isinstance(row, Mapping) for column in row))
    like = looks_like([column for column in columns if column != "doc_id"], header=False)
    if columns and like is None and not fields:
        raise QuestionError(
            f"{table.where}: the documents in 'doc' have the columns {', '.join(columns)}, which are no known form. "
            "Pass fields={'stem': ..., 'options': ..., 'answer': ...}"
        )
    inner = PRESETS[like] if like else Preset({}, ())
    ids = (*inner.fields.get("id", ()), *(("id",) if "id" in columns else ()), "doc_id")
    return dataclasses.replace(table, rows=tuple(rows), columns=columns), dataclasses.replace(
        inner, fields={**inner.fields, "id": ids}
    )


def _check_one_based(table: Table, columns: Columns) -> None:
    """Raise where keys may count from 1: no key that can only be an index is 0.

    Two such keys are enough, but for numbers in the field `answer` of JSON, which count from 0 by definition: there it
    must be strange that none is 0.
    """
    numbers: list[tuple[str, int]] = []
    chance_of_no_0 = 1.0
    by_definition = not table.in_cells and columns.places.get("answer") == ("answer",)
    for where, row in table.rows:
        key = None if columns.told or isinstance(row, QuestionError) else columns.key(row)
        if key is None or isinstance(row, QuestionError):
            continue
        try:
            choices = columns.choices(row)
        except QuestionError:
            continue  # told with the bad rows
        number = bare_number(key, choices)
        if number is not None:
            numbers.append((where, number))
            if by_definition and not isinstance(key, str):
                chance_of_no_0 *= 1 - 1 / max(2, len(choices.texts))
            else:
                chance_of_no_0 = 0.0 if len(numbers) > 1 else chance_of_no_0
    if chance_of_no_0 < STRANGE and min(number for _, number in numbers) >= 1:
        first = ", ".join(f"{where.removeprefix(f'{table.name}, ')}: {number}" for where, number in numbers[:3])
        raise QuestionError(
            f"{table.name}: no answer is 0 in {len(numbers)} rows whose answer is a number ({first}), so they may count from 1. "
            "Pass answers='one_based' if they do, answers='index' if they count from 0"
        )


def _bank(table: Table, columns: Columns | None, bad_rows: BadRows) -> Bank:
    """Return the questions of all rows, or raise with all that are bad."""
    questions: list[Question] = []
    bad: list[tuple[str, QuestionError]] = []
    hashes: dict[str, str] = {}
    ids: dict[str, str] = {}
    for where, row in table.rows:
        try:
            if isinstance(row, QuestionError) or columns is None:
                raise row if isinstance(row, QuestionError) else QuestionError("has no fields")
            question = columns.question(row)
            _check_new(question, hashes, ids)
        except QuestionError as error:
            bad.append((where, error))
            continue
        place = where.removeprefix(f"{table.name}, ")
        hashes[question.content_hash] = place
        ids.update({} if question.id is None else {question.id: place})
        questions.append(question)
    if bad and (bad_rows == "error" or not questions):
        raise _refusal(table.name, bad, len(table.rows), skipped=bad_rows == "skip") from bad[0][1]
    return Bank(questions, table.name, [f"{where}: {error}" for where, error in bad])


def _check_new(question: Question, hashes: Mapping[str, str], ids: Mapping[str, str]) -> None:
    if question.content_hash in hashes:
        raise QuestionError(
            f"{question.name!r} repeats {hashes[question.content_hash]} (same stem, options and context). Remove one"
        )
    if question.id is not None and question.id in ids:
        raise QuestionError(f"the id {question.id!r} is used in {ids[question.id]} too, but ids must be unique")


def _refusal(name: str, bad: Sequence[tuple[str, QuestionError]], n_rows: int, *, skipped: bool) -> QuestionError:
    listed = [f"{where}: {error}" for where, error in bad]
    if len(bad) == 1:
        return QuestionError(listed[0])
    more = [f"and {len(bad) - MAX_LISTED} more"] if len(bad) > MAX_LISTED else []
    lines = "".join(f"\n  {line}" for line in [*listed[:MAX_LISTED], *more])
    out = ": no row is left" if skipped else ", or pass bad_rows='skip' to leave them out"
    return QuestionError(f"{name}: {len(bad)} of {n_rows} rows cannot be read:{lines}\nCorrect them{out}")


def load_questionnaire(path: str | Path, *, encoding: str | None = None) -> Questionnaire:
    """Read a Likert instrument from JSON: `name`, `scale` (`options`, `scores`) and `items` (`stem`, `trait`, `reverse_keyed`, `id`).

    Raises:
        QuestionError: naming file, item, field and reason.
    """
    file = as_path(path)
    if file.suffix.lower() in (".csv", ".tsv"):
        raise QuestionError(
            f"{file.name} is a table, but an instrument is JSON with 'scale' and 'items', because a table has no place for the "
            "scale. Make Questionnaire(items, Scale(options, scores)) of its rows, or give rows with options and scores to load_questions"
        )
    data = read_json_text(file, read_text(file, encoding))
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
