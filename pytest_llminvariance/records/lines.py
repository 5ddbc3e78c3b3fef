"""Lines of the JSONL files of a run directory: answers and sheets, one file, or one a worker until the run has ended."""

from __future__ import annotations

import contextlib
import gzip
import io
import itertools
import json
import re
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from pytest_llminvariance.errors import RecordError
from pytest_llminvariance.records.shapes import no_constant

PARTS = ("answers", "sheets")
"""Files with one line each; a worker's own is `answers-gw0.jsonl`, and a large one is packed when its run ends."""
CHECK = re.compile(rb'\{"check": (?:"([^"\\]*)"|null), (?:"role": "([a-z]+)", "index": \[(\d{1,9}), (\d{1,9})\], )?')
"""How a line begins that names its check, and the place of an answer; `json` reads what begins in another way."""
PACKED = ".jsonl.gz"
PACK_FROM, BLOCK = 1 << 20, 1 << 18
"""Bytes from which lines are packed, and lines of about how many bytes are packed together, so that each can be found."""
N_BLOCKS = 16
"""Blocks that are kept unpacked while lines are looked up."""
DECODER = json.JSONDecoder(parse_constant=no_constant)
AT_ONCE = 128
"""Lines that are looked up at once."""
IN_BLOCK = 32
"""Bits of a place in a packed file that say where in its block a line begins."""
ROLES = ("planned", "foreign", "sentinel", "search")
"""Of answers; a place is kept as one number: role, question and presentation."""
IN_PLACE = 30
"""Bits of that number for each of the last two."""
PER_LINE = 4
"""Numbers that are kept of a line: its file, its number there, where it begins, and its place in the check."""


def line_files(directory: Path, kind: str) -> list[Path]:
    """Return the files of one kind that are there: packed, the main process's, and those of workers."""
    files = [directory / f"{kind}{PACKED}", directory / f"{kind}.jsonl", *sorted(directory.glob(f"{kind}-*.jsonl"))]
    return [file for file in files if file.is_file()]


class Line(NamedTuple):
    """One line of a JSONL file."""

    file: Path
    number: int
    """From 1."""
    start: int
    """Where it begins: bytes, or in a packed file its block and bytes within it."""
    text: bytes

    @property
    def at(self) -> str:
        """Where it stands, for a message."""
        return f"{self.file}, line {self.number}"


def packed(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Yield lines as blocks of a gzip file."""
    block: list[bytes] = []
    size = 0
    for line in lines:
        block.append(line)
        size += len(line)
        if size >= BLOCK:
            yield gzip.compress(b"".join(block), 6, mtime=0)
            block, size = [], 0
    if block:
        yield gzip.compress(b"".join(block), 6, mtime=0)


# No file is open while a line is looked at: a reader that ends in an error, which keeps the place where it stopped, leaves none.


def _blocks(file: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the blocks of a packed file, and where each begins."""
    start = 0
    while found := _block_at(file, start):
        yield start, found[0]
        start += found[1]


def _block_at(file: Path, start: int) -> tuple[bytes, int] | None:
    """Return a block of a packed file, and its size as packed; `None` at the end."""
    unpack, parts, size = zlib.decompressobj(wbits=31), [], 0
    with file.open("rb") as raw:
        raw.seek(start)
        try:
            while not unpack.eof and (data := raw.read(BLOCK)):
                size += len(data)
                parts.append(unpack.decompress(data))
        except zlib.error as error:
            raise _damaged(file, str(error)) from error
    if size and not unpack.eof:
        raise _damaged(file, "it ends in the middle")
    return (b"".join(parts), size - len(unpack.unused_data)) if size else None


def _damaged(file: Path, why: str) -> RecordError:
    return RecordError(f"{file} is damaged: {why}. Run the checks again")


def _texts(file: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a file, and where each begins."""
    if not file.name.endswith(PACKED):
        start = 0
        while texts := _texts_at(file, start):
            for text in texts:
                yield start, text
                start += len(text)
        return
    for block, data in _blocks(file):
        start = 0
        for text in io.BytesIO(data):
            yield block << IN_BLOCK | start, text
            start += len(text)


def _texts_at(file: Path, start: int) -> list[bytes]:
    """Return some of the lines of a plain file; none at the end."""
    with file.open("rb") as raw:
        raw.seek(start)
        return raw.readlines(BLOCK)


def lines_of(files: Sequence[Path]) -> Iterator[Line]:
    """Yield the lines of files; what stands in several, as while they are being put together, once."""
    seen: set[int] = set()
    for file in files:
        for number, (start, text) in enumerate(_texts(file), start=1):
            known = len(files) > 1 and hash(text) in seen
            if text.strip() and not known:
                yield Line(file, number, start, text)
            if len(files) > 1:
                seen.add(hash(text))


class LinesByCheck:
    """Lines of a record by the check that they belong to: where each stands is kept, and not what it says."""

    def __init__(self, files: Sequence[Path] = ()) -> None:
        self.files = list(files)
        self.is_lenient = False
        """Whether what cannot be read is left out and counted; else it is refused."""
        self.n_unread = 0
        """Files whose rest was left out."""
        self._found: dict[str | None, array[int]] | None = None
        self._blocks: dict[tuple[Path, int], bytes] = {}

    def count(self, check: str | None = None) -> int:
        """Return how many lines a check has; without one, how many there are."""
        found = self._index().values() if check is None else [self._index().get(check, ())]
        return sum(map(len, found)) // PER_LINE

    def of(self, check: str | None = None) -> Iterator[Line]:
        """Yield the lines of one check; without one, all."""
        if check is not None:
            yield from self.at(check, range(self.count(check)))
            return
        try:
            yield from lines_of(self.files)
        except RecordError:
            if not self.is_lenient:
                raise
            self.n_unread = 1

    def of_none(self) -> Iterator[Line]:
        """Yield the lines that name no check."""
        yield from self.at(None, range(len(self._index().get(None, ())) // PER_LINE))

    def at(self, check: str | None, places: Iterable[int]) -> Iterator[Line]:
        """Yield the lines of a check that are at these places among its lines."""
        left = iter(places)
        while some := list(itertools.islice(left, AT_ONCE)):
            yield from self._some(check, some)

    def places(self, check: str) -> Iterator[tuple[str, int, int] | None]:
        """Yield role, question and presentation of each answer of a check; `None` where it has no place."""
        for n, known in enumerate(self._index().get(check, ())[PER_LINE - 1 :: PER_LINE]):
            yield _unpacked(known) if known else place_of(*self.at(check, [n]))

    def _some(self, check: str | None, places: Iterable[int]) -> list[Line]:
        lines, found = [], self._index()[check]
        with contextlib.ExitStack() as stack:
            opened: dict[int, BinaryIO] = {}
            for place in places:
                of, number, start, _ = found[PER_LINE * place : PER_LINE * (place + 1)]
                file = self.files[of]
                if file.name.endswith(PACKED):
                    text = self._packed_text(file, start)
                else:
                    if of not in opened:
                        opened[of] = stack.enter_context(file.open("rb"))
                    opened[of].seek(start)
                    text = opened[of].readline()
                lines.append(Line(file, number, start, text))
        return lines

    def _packed_text(self, file: Path, start: int) -> bytes:
        begin, at = start & ((1 << IN_BLOCK) - 1), (file, start >> IN_BLOCK)
        if at not in self._blocks:
            if len(self._blocks) >= N_BLOCKS:
                del self._blocks[next(iter(self._blocks))]
            found = _block_at(*at)
            self._blocks[at] = found[0] if found else b""
        block = self._blocks[at]
        return block[begin : block.find(b"\n", begin) + 1 or None]

    def _index(self) -> dict[str | None, array[int]]:
        if self._found is None:
            index: dict[str | None, array[int]] = {}
            numbers = {file: number for number, file in enumerate(self.files)}
            for line in self.of():
                try:
                    check, place = _check_of(line)
                except RecordError:
                    if not self.is_lenient:
                        raise
                    continue
                if place is None:
                    continue
                if check not in index:
                    index[check] = array("Q")
                index[check].extend((numbers[line.file], line.number, line.start, place))
            self._found = index
        return self._found


def _check_of(line: Line) -> tuple[str | None, int | None]:
    """Return the check of a line, and its place as one number, 0 where only `place_of` knows it.

    There is no place where it cannot be read: what a crash cut off at the end.
    """
    if (match := CHECK.match(line.text)) and line.text.endswith(b"}\n"):
        check, role, question, presentation = match.groups()
        known = PACKED_ROLES.get(role, 0)
        place = known and known | int(question) << IN_PLACE | int(presentation)
        return (None if check is None else check.decode()), place
    row = read_line(line)
    found = None if row is None else row.get("check")
    return (found if isinstance(found, str) else None), (None if row is None else 0)


PACKED_ROLES = {role.encode(): number << 2 * IN_PLACE for number, role in enumerate(ROLES, start=1)}


def _unpacked(place: int) -> tuple[str, int, int]:
    mask = (1 << IN_PLACE) - 1
    return ROLES[(place >> 2 * IN_PLACE) - 1], place >> IN_PLACE & mask, place & mask


def read_line(line: Line) -> dict[str, Any] | None:
    """Return what a line holds; `None` for a last one that a crash cut off.

    Raises:
        RecordError: where it is damaged.
    """
    try:
        row = DECODER.decode(line.text.decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        if not line.text.endswith(b"\n"):
            return None
        raise RecordError(f"{line.at} is damaged: {type(error).__name__}: {error}. Run the checks again") from error
    if not isinstance(row, dict):
        raise RecordError(f"{line.at} holds {row!r:.80}, but must hold an object")
    return row


def place_of(line: Line) -> tuple[str, int, int] | None:
    """Return role, question and presentation of an answer; `None` where it has no place or was cut off.

    Raises:
        RecordError: where it is damaged.
    """
    if (match := CHECK.match(line.text)) and match[2] is not None:
        return match[2].decode(), int(match[3]), int(match[4])
    row = read_line(line) or {}
    role, place = row.get("role", "planned"), row.get("index")
    return (role, *place) if isinstance(place, list) and len(place) == 2 else None
