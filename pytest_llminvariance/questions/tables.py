"""Files and data sets as rows: JSONL, JSON, CSV, Parquet, and `hf:NAME:SPLIT`; nothing is known of questions here."""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_llminvariance.errors import QuestionError, missing_extra

FileRow = tuple[str, Mapping[str, Any] | QuestionError]
"""Where it stands, and its cells by column, or why it cannot be read."""
BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
SEPARATORS = (",", ";", "\t")
ENDINGS = (".jsonl", ".json", ".csv", ".tsv", ".parquet")


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a file or data set."""

    name: str
    columns: tuple[str, ...]
    where: str
    """The place of the header, or of the first row."""
    rows: tuple[FileRow, ...]
    in_cells: bool = False
    """Whether each cell is a text, as in CSV."""


def read_table(
    path: object, encoding: str | None = None, *, known: Collection[str] = (), header: Sequence[str] = ()
) -> Table:
    """Read a file, or a data set named `hf:NAME:SPLIT` or `hf:NAME:CONFIG:SPLIT`.

    `known` are names of columns by which the separator of a CSV file is found, and `header` names the columns
    of one that has no header.

    Raises:
        QuestionError: naming file, line and reason.
        MissingExtraError: where the library `datasets` is needed and not installed.
    """
    if isinstance(path, str) and path.startswith("hf:"):
        return _of_rows(path, "row", _data_set(path))
    file = as_path(path)
    kind = file.suffix.lower()
    if kind == ".jsonl":
        lines = enumerate(read_text(file, encoding).split("\n"), start=1)
        rows = tuple((f"{file.name}, line {n}", _line(file, line, n)) for n, line in lines if line.strip())
        return _table(file.name, rows)
    if kind == ".json":
        return _of_rows(file.name, "question", _json_rows(file, read_json_text(file, read_text(file, encoding))))
    if kind in (".csv", ".tsv"):
        return _csv_table(file, read_text(file, encoding), known, header)
    if kind == ".parquet":
        return _of_rows(file.name, "row", _parquet(file))
    raise QuestionError(
        f"{file.name}: the ending {kind!r} is not known. Use {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}"
    )


def as_path(path: object) -> Path:
    """Return the path of a file, or raise where it is none."""
    if not isinstance(path, str | os.PathLike):
        raise QuestionError(f"path is {path!r} ({type(path).__name__}), but must be the path of a file")
    return Path(path)


def read_text(file: Path, encoding: str | None = None) -> str:
    """Return the text of a file: UTF-8, or as its first bytes or `encoding` say.

    Raises:
        QuestionError: naming the byte that does not fit, and the encoding that may.
    """
    try:
        data = file.read_bytes()
    except OSError as error:
        raise QuestionError(f"{str(file)!r} cannot be read: {error.strerror}") from error
    marked = next((name for mark, name in BOMS if data.startswith(mark)), None)
    chosen = encoding or marked or "utf-8"
    try:
        text = data.decode(chosen).removeprefix("\ufeff")
    except (LookupError, TypeError) as error:
        raise QuestionError(
            f"{file.name}: encoding is {encoding!r}, which is not known. Use utf-8, utf-16 or cp1252"
        ) from error
    except UnicodeDecodeError as error:
        raise QuestionError(_undecodable(file, data, error, encoding)) from error
    if "\0" in text:
        raise QuestionError(
            f"{file.name}: is not {chosen} text (it holds NUL). Pass encoding='utf-16-le' if it is UTF-16, or save it as UTF-8"
        )
    return text


def _undecodable(file: Path, data: bytes, error: UnicodeDecodeError, encoding: str | None) -> str:
    found = f"{file.name}: is not {encoding or 'UTF-8'} text (byte {error.start} is 0x{data[error.start]:02x})"
    try:
        seen = re.split(r"[\r\n]", data.decode("cp1252")[max(0, error.start - 12) : error.start + 12])
    except UnicodeDecodeError:
        return f"{found}. Pass encoding= with the one that it was saved in, or save it as UTF-8"
    shown = next((part for part in seen if not part.isascii()), seen[0])
    return f"{found}. Pass encoding='cp1252' if {shown!r} reads right, or save it as UTF-8"


def read_json_text(file: Path, text: str, line: int | None = None) -> Any:
    """Return what JSON text says; `line` is its number in a file with one a line."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise QuestionError(
            f"{file.name}, line {line or error.lineno}: not JSON ({error.msg} at column {error.colno})"
        ) from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or as many brackets
        raise QuestionError(f"{file.name}{f', line {line}' if line else ''}: cannot be read: {error}") from error


def _line(file: Path, text: str, number: int) -> Any:
    try:
        return read_json_text(file, text, number)
    except QuestionError as error:
        return QuestionError(str(error).removeprefix(f"{file.name}, line {number}: "))


def _table(name: str, rows: Sequence[tuple[str, Any]]) -> Table:
    """Return rows as a table; its columns are those of any row."""
    checked = tuple(
        (where, row if isinstance(row, Mapping | QuestionError) else QuestionError(f"{row!r} is no object with fields"))
        for where, row in rows
    )
    good = [(where, row) for where, row in checked if isinstance(row, Mapping)]
    columns = tuple(dict.fromkeys(column for _, row in good for column in row))
    return Table(name, columns, good[0][0] if good else name, checked)


def _of_rows(name: str, one: str, rows: Sequence[Any]) -> Table:
    return _table(name, [(f"{name}, {one} {number}", row) for number, row in enumerate(rows, start=1)])


def _json_rows(file: Path, data: Any) -> Sequence[Any]:
    """Return the rows of a JSON file: a list of them, or an object that holds one, or columns as pandas writes them."""
    if isinstance(data, dict):
        for name in ("questions", "examples", "rows", "data"):
            if isinstance(data.get(name), list):
                rows = data[name]
                wrapped = name == "rows" and all(
                    isinstance(row, dict) and isinstance(row.get("row"), dict) for row in rows
                )
                return [row["row"] for row in rows] if wrapped else rows
        cells = list(data.values())
        if len(cells) > 1 and all(isinstance(column, dict) and column.keys() == cells[0].keys() for column in cells):
            return [{name: column[key] for name, column in data.items()} for key in cells[0]]
        if len(cells) > 1 and all(isinstance(column, list) and len(column) == len(cells[0]) for column in cells):
            return [dict(zip(data, row, strict=True)) for row in zip(*cells, strict=True)]
    if not isinstance(data, list):
        raise QuestionError(f"{file.name}: must hold a list of questions, or an object with 'questions'")
    return data


def _csv_table(file: Path, text: str, known: Collection[str], header: Sequence[str]) -> Table:
    separator = "\t" if file.suffix.lower() == ".tsv" else _separator(file, text, known)
    lines = _csv_lines(file, text, separator)
    began, columns = next(lines, (1, []))
    while columns and not columns[-1].strip():
        columns.pop()
    folded = {column.strip().casefold() for column in columns}
    if header and len(columns) == len(header) and not {header[0], header[-1]} & folded:
        lines, columns = _csv_lines(file, text, separator), list(header)
    rows = tuple((f"{file.name}, line {began}", _csv_row(columns, cells)) for began, cells in lines)
    return Table(file.name, tuple(columns), f"{file.name}, line {began}", rows, in_cells=True)


def _separator(file: Path, text: str, known: Collection[str]) -> str:
    """Return what separates the columns: that under which most of them have a known name, or there is more than one."""

    def fit(separator: str) -> tuple[int, bool]:
        try:
            _, columns = next(_csv_lines(file, text, separator), (1, []))
        except QuestionError:
            return 0, False
        return len({column.strip().casefold() for column in columns} & set(known)), len(columns) > 1

    return max(SEPARATORS, key=fit)


def _csv_row(columns: Sequence[str], cells: list[str]) -> Mapping[str, str] | QuestionError:
    while len(cells) > len(columns) and not cells[-1].strip():
        cells = cells[:-1]
    if len(cells) != len(columns):
        more = "more" if len(cells) > len(columns) else "fewer"
        return QuestionError(f"has {more} cells than the header. Quote texts that hold a separator")
    row = dict(zip(columns, cells, strict=True))
    if row.pop("", "").strip():
        return QuestionError("has a cell in a column without a name. Name the column")
    return row


def _csv_lines(file: Path, text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not blank, each with the line where it began."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
    began = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield began, cells
            began = reader.line_num + 1
    except csv.Error as error:
        raise QuestionError(f"{file.name}, line {began}: {error}. Close the quote that opens in this row") from error


def _datasets(purpose: str) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise missing_extra("data", "datasets", purpose) from error
    return datasets


def _parquet(file: Path) -> Sequence[Any]:
    library = _datasets(f"{file.name}: reading Parquet")
    if not file.is_file():
        raise QuestionError(f"{str(file)!r} cannot be read: there is no such file")
    try:
        return list(library.Dataset.from_parquet(str(file)))
    except Exception as error:
        raise QuestionError(f"{file.name}: cannot be read as Parquet: {error}") from error


def _data_set(spec: str) -> Sequence[Any]:
    name, *rest = spec.removeprefix("hf:").split(":")
    if not name or not 1 <= len(rest) <= 2 or not all(rest):
        raise QuestionError(f"{spec!r} names no split of a data set. Write hf:NAME:SPLIT, or hf:NAME:CONFIG:SPLIT")
    library = _datasets(f"{spec}: loading a data set")
    try:
        return list(library.load_dataset(name, *rest[:-1], split=rest[-1]))
    except Exception as error:  # the library's, of any kind: no such data set, configuration or split, no network
        raise QuestionError(f"{spec}: cannot be loaded: {error}") from error
