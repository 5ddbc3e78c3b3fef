"""Answers remembered on disk: SQLite, written as they come, bounded in size.

An answer is stored under the model's fingerprint and what was asked: the rendered messages and what the readout
reads. The fingerprint covers weights, tokenizer and chat template, so equal messages are equal tokens, and a
remembered answer costs no tokenising. Only models that call themselves `cacheable` are stored; their fingerprint
must cover everything that determines an answer.

Every batch of answers is one transaction in write-ahead mode: a process that is killed loses none that was stored.
(A power cut may lose the last ones.) On a network file system each worker writes a file of its own and reads all.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import socket
import sqlite3
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_llminvariance.engine import Key
from pytest_llminvariance.folders import cache_folder, is_network_file_system
from pytest_llminvariance.models.protocol import LabelReply, MissingReply, OptionReply, Reply, Request, TextReply

__all__ = [
    "MAX_BYTES",
    "AnswerCache",
    "CacheInfo",
    "CacheWarning",
    "answer_key",
    "answers_folder",
    "clear",
    "info",
    "open_cache",
]

FORMAT = 1
"""Counted up whenever keys or stored answers change their meaning."""
MAX_BYTES = 1 << 30
EVICT_TO = 0.9
BUSY_S = 30.0
AT_ONCE = 500
"""Keys in one query; SQLite bounds the number of parameters."""
KINDS: Mapping[str, type[LabelReply] | type[OptionReply] | type[TextReply]] = {
    "label": LabelReply,
    "option": OptionReply,
    "text": TextReply,
}
SCHEMA = """
create table if not exists answers (
    key blob primary key, model text not null, answer text not null, size integer not null, used real not null
) without rowid;
create index if not exists answers_used on answers (used);
"""


class CacheWarning(UserWarning):
    """Answers cannot be remembered on disk; nothing else changes."""


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """What a folder of remembered answers holds."""

    folder: Path
    files: int
    answers: int
    n_bytes: int
    models: Mapping[str, int]
    """Answers by the beginning of the model's fingerprint."""


def answers_folder(cache: Path) -> Path:
    """Return the folder of answers in a cache folder."""
    return cache / f"answers-{FORMAT}"


def answer_key(fingerprint: str, request: Request) -> bytes:
    """Return SHA-256 over everything that determines an answer.

    Fields of a request beyond its presentation (the number of new tokens, and whatever a sampled request adds)
    all count, so no two draws share a key.
    """
    shown = request.presentation
    settings = {
        item.name: getattr(request, item.name) for item in dataclasses.fields(request) if item.name != "presentation"
    }
    reads = {"label": shown.labels, "option": shown.shown_options}.get(request.capability, ())
    asked = {
        "format": FORMAT,
        "fingerprint": fingerprint,
        "kind": request.capability,
        "messages": [[message.role, message.content] for message in request.messages],
        "reads": list(reads),
        "settings": settings,
    }
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).digest()


def encode(reply: Reply) -> str | None:
    """Return a reply as JSON, or `None` for what must be asked again."""
    if isinstance(reply, MissingReply):
        return None
    kind = next(kind for kind, made in KINDS.items() if isinstance(reply, made))
    return json.dumps({"kind": kind, **dataclasses.asdict(reply)})


def decode(text: str) -> Reply | None:
    """Return a stored reply, or `None` where the text is none."""
    try:
        data = json.loads(text)
        sent, n_tokens = str(data["sent_sha256"]), int(data["n_tokens"])
        if data["kind"] == "text":
            return TextReply(str(data["text"]), sent, n_tokens)
        values = tuple(float(value) for value in data["logprobs_nats"])
        if data["kind"] == "label":
            return LabelReply(values, sent, n_tokens)
        lengths = tuple(int(value) for value in data["option_tokens"])
        return OptionReply(values, lengths, sent, n_tokens) if len(lengths) == len(values) else None
    except (ValueError, KeyError, TypeError):
        return None


class AnswerCache(MutableMapping[Key, Reply]):
    """Answers in memory, in front of those on disk.

    Memory grows with the distinct answers of the session; the files stay below `max_bytes`, the least recently
    used answers go first. Where the folder cannot be written, answers stay in memory, with one warning.
    """

    def __init__(
        self, folder: Path | None, *, max_bytes: int = MAX_BYTES, worker: str = "main", network: bool | None = None
    ) -> None:
        self.folder = folder
        self.max_bytes = max_bytes
        self.hits = 0
        """Answers that came from disk."""
        self._memory: dict[Key, Reply] = {}
        self._used: set[bytes] = set()
        self._store: _Store | None = None
        self._others: list[_Store] = []
        self._worker = worker
        self._network = network
        self._opened = folder is None

    def fetch(self, keys: Iterable[Key], *, durable: bool) -> None:
        """Read the answers to many requests at once; what is not `durable` is never looked for on disk."""
        if not durable or not self._on_disk():
            return
        wanted: dict[bytes, list[Key]] = {}
        for key in dict.fromkeys(keys):
            if key not in self._memory:
                wanted.setdefault(answer_key(key[1], key[2]), []).append(key)
        for store in (*filter(None, [self._store]), *self._others):
            try:
                for digest, text in store.read(list(wanted)):
                    reply = decode(text)
                    if reply is not None:
                        same = wanted.pop(digest)
                        self._memory.update(dict.fromkeys(same, reply))
                        self._used.add(digest)
                        self.hits += len(same)
            except sqlite3.Error as error:
                self._failed(store, error)

    def store(self, answers: Mapping[Key, Reply], *, durable: bool) -> None:
        """Remember a batch of answers; those that are `durable` on disk, in one transaction, done when this returns."""
        self._memory.update(answers)
        if not durable or not self._on_disk() or self._store is None:
            return
        texts = [(key, encode(reply)) for key, reply in answers.items()]
        rows = [(answer_key(key[1], key[2]), key[1], text) for key, text in texts if text is not None]
        try:
            self._store.write(rows)
        except sqlite3.Error as error:
            self._failed(self._store, error)

    def _failed(self, store: _Store, error: sqlite3.Error) -> None:
        """Go on without a file that cannot be used; a damaged one is moved aside for the next session."""
        store.close()
        if store is self._store:
            self._store = None
        else:
            self._others.remove(store)
        if is_damage(error):
            _move_aside(store.path, error)
        else:
            _warn(store.path, error)

    def close(self) -> None:
        """Note what was used, keep the size bound, and let go of the files."""
        if self._store is not None:
            self._store.touch(self._used)
            self._store.evict(self.max_bytes)
        for store in (*filter(None, (self._store,)), *self._others):
            store.close()
        self._store, self._others = None, []

    def __getitem__(self, key: Key) -> Reply:
        return self._memory[key]

    def __setitem__(self, key: Key, reply: Reply) -> None:
        self._memory[key] = reply

    def __delitem__(self, key: Key) -> None:
        del self._memory[key]

    def __iter__(self) -> Iterator[Key]:
        return iter(self._memory)

    def __len__(self) -> int:
        return len(self._memory)

    def _on_disk(self) -> bool:
        """Open the files on first use, so that sessions without a model to remember touch none."""
        if not self._opened and self.folder is not None:
            self._opened = True
            self._open(self.folder, is_network_file_system(self.folder) if self._network is None else self._network)
        return self._store is not None or bool(self._others)

    def _open(self, folder: Path, network: bool) -> None:  # noqa: FBT001
        name = f"answers-{socket.gethostname()}-{self._worker}.sqlite" if network else "answers.sqlite"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._store = _open_store(folder / name, wal=not network)
            others = [path for path in sorted(folder.glob("answers*.sqlite")) if path.name != name]
            self._others = [store for path in others if (store := _open_reader(path)) is not None]
        except (OSError, sqlite3.Error) as error:
            _warn(folder, error)


class _Store:
    """One file of answers."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    def read(self, digests: Sequence[bytes]) -> Iterator[tuple[bytes, str]]:
        for start in range(0, len(digests), AT_ONCE):
            part = digests[start : start + AT_ONCE]
            marks = ",".join("?" * len(part))
            yield from self._connection.execute(f"select key, answer from answers where key in ({marks})", part)  # noqa: S608

    def write(self, rows: Sequence[tuple[bytes, str, str]]) -> None:
        """Write rows in one transaction."""
        now = time.time()
        with self._connection:
            self._connection.executemany(
                "insert or replace into answers values (?, ?, ?, ?, ?)",
                [(key, model, text, len(key) + len(model) + len(text), now) for key, model, text in rows],
            )

    def touch(self, digests: Iterable[bytes]) -> None:
        now = time.time()
        with _ignoring_errors(self.path), self._connection:
            self._connection.executemany("update answers set used = ? where key = ?", [(now, key) for key in digests])

    def evict(self, max_bytes: int) -> None:
        """Drop the least recently used answers until the file fits; one transaction."""
        with _ignoring_errors(self.path):
            (pages,), (free,), (page_bytes,) = (
                self._connection.execute(f"pragma {name}").fetchone()
                for name in ("page_count", "freelist_count", "page_size")
            )
            n_bytes = (pages - free) * page_bytes
            if n_bytes <= max_bytes:
                return
            with self._connection:
                self._connection.execute("begin immediate")
                (total,) = self._connection.execute("select sum(size) from answers").fetchone()
                self._connection.execute(
                    "delete from answers where key in (select key from (select key, sum(size) over "
                    "(order by used desc, key rows unbounded preceding) as kept from answers) where kept > ?)",
                    (int(total * EVICT_TO * max_bytes / n_bytes),),
                )
            self._connection.execute("vacuum")

    def close(self) -> None:
        with _ignoring_errors(self.path):
            self._connection.close()


class _ignoring_errors:  # noqa: N801 - used like a function
    """Turn a failure of the cache into a warning: no test fails because of it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, sqlite3.Error | OSError):
            _warn(self._path, error)
            return True
        return False


def is_damage(error: sqlite3.Error) -> bool:
    """Return whether an error says that the file is no sound database, rather than that it cannot be reached."""
    return isinstance(error, sqlite3.DatabaseError) and any(
        words in str(error) for words in ("malformed", "not a database", "no such table", "no such column")
    )


def _open_store(path: Path, *, wal: bool) -> _Store:
    """Open a file for writing; one that is damaged is moved aside and begun anew."""
    try:
        return _Store(path, _connect(path, wal=wal))
    except sqlite3.DatabaseError as error:
        if not is_damage(error):
            raise
        _move_aside(path, error)
        return _Store(path, _connect(path, wal=wal))


def _move_aside(path: Path, error: Exception) -> None:
    number = 1
    while (aside := path.with_name(f"{path.name}.corrupt-{number}")).exists():
        number += 1
    with contextlib.suppress(FileNotFoundError):  # another worker may have been first
        os.replace(path, aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    _say(f"{path} is damaged ({error}); it was moved to {aside.name}")


def _connect(path: Path, *, wal: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_S)
    try:
        connection.execute(f"pragma journal_mode = {'wal' if wal else 'delete'}")
        connection.execute(f"pragma synchronous = {'normal' if wal else 'full'}")
        connection.executescript(SCHEMA)
        connection.execute("select key, model, answer, size, used from answers limit 1").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def _open_reader(path: Path) -> _Store | None:
    try:
        connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)
        connection.execute("select 1 from answers limit 1")
    except sqlite3.Error:
        return None
    return _Store(path, connection)


def _warn(path: Path, error: Exception) -> None:
    _say(f"answers cannot be remembered in {path}: {error}. They stay in memory for this session")


def _say(text: str) -> None:
    """Warn, but never raise: where warnings are errors, a cache that fails must not fail a test."""
    with contextlib.suppress(CacheWarning):
        warnings.warn(CacheWarning(text), stacklevel=3)


def open_cache(setting: str, worker: str) -> AnswerCache:
    """Return the cache that a setting names: `auto` (the user's cache folder), `off`, or a folder."""
    if setting == "off":
        return AnswerCache(None)
    return AnswerCache(answers_folder(cache_folder() if setting == "auto" else Path(setting)), worker=worker)


def info(folder: Path) -> CacheInfo:
    """Return what a folder of remembered answers holds."""
    models: dict[str, int] = {}
    paths = sorted(folder.glob("answers*.sqlite"))
    for path in paths:
        store = _open_reader(path)
        if store is not None:
            rows: Any = store._connection.execute("select model, count(*) from answers group by model")
            for model, count in rows:
                models[model[:16]] = models.get(model[:16], 0) + count
            store.close()
    n_bytes = sum(path.stat().st_size for path in folder.glob("answers*.sqlite*"))
    return CacheInfo(folder, len(paths), sum(models.values()), n_bytes, models)


def clear(folder: Path) -> int:
    """Delete all remembered answers of a folder; return how many there were."""
    count = info(folder).answers
    for path in folder.glob("answers*.sqlite*"):
        path.unlink()
    return count
