"""Reading and writing `paraphrases.toml`, strictly: what is written is read back equal, and nothing is half-read.

The writer knows this one schema only. Its order is that of the entries, so a review changes single lines.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_llminvariance.errors import QuestionError, UsageError
from pytest_llminvariance.files import encoded, write_whole
from pytest_llminvariance.paraphrases.lock import AUDITS, STATUSES, Lock, LockEntry, Wording, comparable, visible
from pytest_llminvariance.questions.question import Question

VERSION = 1
HEADER = """\
# Other wordings of questions, and what a reviewer said of each: a lock file, to be committed.
# Tests use those with status "accepted" only, and never make any. "proposed" waits for review; "rejected"
# stays, so that it is not proposed again; "screened" was sorted out by a rule before anybody was asked.
# Written by `llminvariance paraphrase new`, changed by `llminvariance paraphrase review`; comments that
# you add are not kept. The hash ties an entry to the content of its question.
"""
TOP = {"version": int, "questions": str, "question": list}
ENTRY = {
    "id": str,
    "hash": str,
    "stem": str,
    "options": list,
    "context": str,
    "scores": list,
    "reverse_keyed": bool,
    "wording": list,
}
WORDING = {"stem": str, "status": str, "source": str, "reason": str, "reviewer": str, "audit": str}
KINDS = {int: "a whole number", str: "text", list: "a list", bool: "true or false"}
MAX_STEM = 2_000


def read_lock(path: str | os.PathLike[str]) -> Lock:
    """Read a lock file.

    Raises:
        UsageError: if there is no such file.
        QuestionError: naming file, entry, field and rule where it is malformed; nothing is half-read.
    """
    file = Path(path)
    return parse_lock(_bytes(file), file.name)


def read_what_is_good(path: str | os.PathLike[str]) -> tuple[Lock, tuple[str, ...]]:
    """Return a lock of the entries that are right, and a line for everything that is wrong; for reports only.

    Raises:
        UsageError: if there is no such file.
    """
    file = Path(path)
    try:
        table = _table(_bytes(file), file.name)
    except QuestionError as error:
        return Lock("", ()), (str(error),)
    found = list(_entries(table, file.name))
    good = tuple(entry for _, entry in found if entry is not None)
    return Lock(table["questions"], good), tuple(message for message, _ in found if message is not None)


def digest_of(path: Path) -> str | None:
    """Return SHA-256 of a file, or `None` where there is none: to see whether somebody else wrote it."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return None


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(
            f"there is no file {str(file)!r}. Make it with: llminvariance paraphrase new QUESTIONS --out {file.name}"
        ) from error
    except OSError as error:
        raise UsageError(f"{str(file)!r} cannot be read: {error.strerror}") from error


def parse_lock(data: bytes, name: str) -> Lock:
    """Return the lock that the bytes of a file called `name` hold; see `read_lock`."""
    table = _table(data, name)
    entries = []
    for message, entry in _entries(table, name):
        if message is not None:
            raise QuestionError(message)
        if entry is not None:
            entries.append(entry)
    return Lock(table["questions"], tuple(entries))


def _table(data: bytes, name: str) -> dict[str, Any]:
    """Return the file as a table whose top level is right."""
    try:
        table = tomllib.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise QuestionError(f"{name}: is not UTF-8 text (byte {error.start}). Save it as UTF-8") from error
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as error:
        raise QuestionError(
            f"{name}: is not TOML: {visible(str(error))}. Take the file back from version control"
        ) from error
    version = table.get("version")
    if isinstance(version, int) and version != VERSION:
        raise QuestionError(f"{name}: has version {version}, but this package reads version {VERSION}")
    _check_fields(table, TOP, ("version", "questions"), name)
    return table


def _entries(table: Mapping[str, Any], name: str) -> Iterator[tuple[str | None, LockEntry | None]]:
    """Yield each entry, or in its place what is wrong with it."""
    seen: dict[str, int] = {}
    for number, row in enumerate(table.get("question", []), start=1):
        where = f"{name}, question {number}"
        try:
            entry = _entry(row, where)
            first = seen.setdefault(entry.question.content_hash, number)
            if first != number:
                named = "" if entry.question.id is None else f" ({visible(entry.question.id)})"
                raise QuestionError(
                    f"{where}{named}: the field 'hash' is that of question {first} too. Merge them into one"
                )
        except QuestionError as error:
            yield str(error), None
        else:
            yield None, entry


def _entry(row: object, where: str) -> LockEntry:
    if not isinstance(row, dict):
        raise QuestionError(f"{where}: {row!r} is no table. Write [[question]] above its fields")
    if isinstance(row.get("id"), str):
        where = f"{where} ({visible(row['id'])})"
    _check_fields(row, ENTRY, ("hash", "stem", "options"), where)
    given = {key: row[key] for key in ("id", "context", "scores", "reverse_keyed") if key in row}
    try:
        question = Question(row["stem"], row["options"], **given)
    except QuestionError as error:
        raise QuestionError(f"{where}: {error}") from error
    if row["hash"] != question.content_hash:
        raise QuestionError(
            f"{where}: the field 'hash' is {visible(row['hash'][:12])!r}..., but the fields beside it give "
            f"{question.content_hash[:12]!r}...: one of them was edited by hand. Take the entry back from version control, "
            "or change the question in its own file and run `llminvariance paraphrase new` again"
        )
    wordings = [
        _wording(part, f"{where}, wording {number}") for number, part in enumerate(row.get("wording", []), start=1)
    ]
    _check_distinct(question, wordings, where)
    return LockEntry(question, tuple(wordings))


def _wording(row: object, where: str) -> Wording:
    if not isinstance(row, dict):
        raise QuestionError(f"{where}: {row!r} is no table. Write [[question.wording]] above its fields")
    _check_fields(row, WORDING, ("stem", "status", "source"), where)
    if row["status"] not in STATUSES:
        raise QuestionError(
            f"{where}: the field 'status' is {row['status']!r}, but must be one of {', '.join(STATUSES)}"
        )
    if row.get("audit", AUDITS[0]) not in AUDITS:
        raise QuestionError(f"{where}: the field 'audit' is {row['audit']!r}, but must be one of {', '.join(AUDITS)}")
    if not row["stem"].strip():
        raise QuestionError(f"{where}: the field 'stem' is {row['stem']!r}, but must not be empty. Remove the wording")
    if len(row["stem"]) > MAX_STEM:
        raise QuestionError(
            f"{where}: the field 'stem' has {len(row['stem']):,} characters, but may have {MAX_STEM:,} at most"
        )
    return Wording(**row)


def _check_distinct(question: Question, wordings: Sequence[Wording], where: str) -> None:
    """Raise where a wording is that of the question or of another: it would be compared with itself."""
    seen = {comparable(question.stem): "the question's own stem"}
    for number, wording in enumerate(wordings, start=1):
        same = seen.setdefault(comparable(wording.stem), f"wording {number}")
        if same != f"wording {number}":
            raise QuestionError(
                f"{where}, wording {number}: the field 'stem' is the same as {same} "
                "(case, blanks and closing punctuation do not count). Remove one"
            )


def _check_fields(row: Mapping[str, Any], fields: Mapping[str, type], needed: Sequence[str], where: str) -> None:
    for key, value in row.items():
        if key not in fields:
            raise QuestionError(f"{where}: unknown field {visible(key)!r}; the fields are {', '.join(fields)}")
        if type(value) is not fields[key]:
            shown = visible(repr(value)[:80])
            raise QuestionError(f"{where}: the field {key!r} is {shown}, but must be {KINDS[fields[key]]}")
    for key in needed:
        if key not in row:
            raise QuestionError(f"{where}: the field {key!r} is missing")


def render_lock(lock: Lock) -> str:
    """Return the text of a lock file: equal locks give equal texts."""
    lines = [HEADER, f"version = {VERSION}", f"questions = {_string(lock.questions)}"]
    for entry in lock.entries:
        lines += ["", "[[question]]", *_question_lines(entry.question)]
        for wording in entry.wordings:
            lines += ["", "[[question.wording]]", f"stem = {_string(wording.stem)}"]
            lines += [f"status = {_string(wording.status)}", f"source = {_string(wording.source)}"]
            given = ((name, getattr(wording, name)) for name in ("reason", "reviewer", "audit"))
            lines += [f"{name} = {_string(value)}" for name, value in given if value is not None]
    return "\n".join(lines) + "\n"


def _question_lines(question: Question) -> Iterator[str]:
    if question.id is not None:
        yield f"id = {_string(question.id)}"
    yield f'hash = "{question.content_hash}"'
    yield f"stem = {_string(question.stem)}"
    yield f"options = [{', '.join(map(_string, question.options))}]"
    if question.context is not None:
        yield f"context = {_string(question.context)}"
    if question.scores is not None:
        yield f"scores = [{', '.join(map(repr, question.scores))}]"
    if question.reverse_keyed:
        yield "reverse_keyed = true"


ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def _string(text: str) -> str:
    """Return a TOML basic string on one line; what cannot be seen is escaped, so that a diff shows it."""
    return '"' + "".join(map(_character, text)) + '"'


def _character(character: str) -> str:
    if character in ESCAPES:
        return ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"


def write_lock(path: Path, lock: Lock, *, expected: str | None) -> str:
    """Write a lock file whole or not at all, and return its digest; a file of the same content is left alone.

    `expected` is the digest that the file had when it was read (`None`: there was none).

    Raises:
        UsageError: if somebody else wrote the file meanwhile, or it cannot be written; it stays as it is.
    """
    target = Path(os.path.realpath(path))
    data = encoded(render_lock(lock))
    if digest_of(target) != expected:
        raise UsageError(
            f"{str(path)!r} was changed by somebody else meanwhile; nothing was overwritten. Run this again"
        )
    digest = hashlib.sha256(data).hexdigest()
    if digest != expected:
        try:
            write_whole(target, data)
        except OSError as error:
            raise UsageError(f"{str(path)!r} cannot be written: {error.strerror}") from error
    return digest
