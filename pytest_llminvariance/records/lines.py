"""Lines of the JSONL files of a run directory: answers and sheets, one file, or one a worker until the run has ended."""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pytest_llminvariance.errors import RecordError
from pytest_llminvariance.records.shapes import no_constant

PARTS = ("answers", "sheets")
"""Files with one line each; a worker's own is `answers-gw0.jsonl`."""
CHECK = re.compile(rb'\{"check": (?:"([^"\\]*)"|null), ')
"""How a line begins that names its check; `json` reads what begins in another way."""


def line_files(directory: Path, kind: str) -> list[Path]:
    """Return the files of one kind that are there: the main process's, and those of workers."""
    files = [directory / f"{kind}.jsonl", *sorted(directory.glob(f"{kind}-*.jsonl"))]
    return [file for file in files if file.is_file()]


class Line(NamedTuple):
    """One line of a JSONL file."""

    file: Path
    number: int
    """From 1."""
    start: int
    """Where it begins, in bytes."""
    text: bytes

    @property
    def at(self) -> str:
        """Where it stands, for a message."""
        return f"{self.file}, line {self.number}"


def lines_of(files: Sequence[Path]) -> Iterator[Line]:
    """Yield the lines of files; what stands in several, as while they are being put together, once."""
    seen: set[int] = set()
    for file in files:
        start = 0
        with file.open("rb") as lines:
            for number, text in enumerate(lines, start=1):
                known = len(files) > 1 and hash(text) in seen
                if text.strip() and not known:
                    yield Line(file, number, start, text)
                if len(files) > 1:
                    seen.add(hash(text))
                start += len(text)


class LinesByCheck:
    """Lines of a record by the check that they belong to: where each stands is kept, and not what it says."""

    def __init__(self, files: Sequence[Path] = ()) -> None:
        self.files = list(files)
        self._places: dict[str | None, list[array[int]]] | None = None

    def count(self, check: str | None = None) -> int:
        """Return how many lines a check has; without one, how many there are."""
        found = self._index().values() if check is None else [self._index().get(check, ())]
        return sum(len(places) for files in found for places in files) // 2

    def of(self, check: str | None = None) -> Iterator[Line]:
        """Yield the lines of one check; without one, all."""
        if check is None:
            yield from lines_of(self.files)
            return
        for file, places in zip(self.files, self._index().get(check, ()), strict=False):
            with file.open("rb") as lines:
                for number, start in zip(places[::2], places[1::2], strict=True):
                    lines.seek(start)
                    yield Line(file, number, start, lines.readline())

    def _index(self) -> dict[str | None, list[array[int]]]:
        if self._places is None:
            self._places = {}
            for line in lines_of(self.files):
                found, is_known = _check_of(line)
                if is_known:
                    places = self._places.setdefault(found, [array("Q") for _ in self.files])
                    places[self.files.index(line.file)].extend((line.number, line.start))
        return self._places


def _check_of(line: Line) -> tuple[str | None, bool]:
    """Return the check of a line, and whether it can be read; what a crash cut off at the end cannot."""
    if (match := CHECK.match(line.text)) and line.text.endswith(b"}\n"):
        return (None if match[1] is None else match[1].decode()), True
    row = read_line(line)
    found = None if row is None else row.get("check")
    return (found if isinstance(found, str) else None), row is not None


def read_line(line: Line) -> dict[str, Any] | None:
    """Return what a line holds; `None` for a last one that a crash cut off.

    Raises:
        RecordError: where it is damaged.
    """
    try:
        row = json.loads(line.text, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        if not line.text.endswith(b"\n"):
            return None
        raise RecordError(f"{line.at} is damaged: {type(error).__name__}: {error}. Run the checks again") from error
    if not isinstance(row, dict):
        raise RecordError(f"{line.at} holds {row!r:.80}, but must hold an object")
    return row
