"""One SQLite file of answers: safe with several processes, and with a process killed at any moment.

On a local file system the file is in WAL mode with synchronous=NORMAL: what was committed survives the death
of the process; a power cut may lose the last commits, but leaves the file whole. On a network file system,
where WAL would need shared memory, it is one file per worker with a rollback journal.

Knows keys and texts, nothing of models. Raises `sqlite3.Error` or `OSError` where the file cannot be used;
a corrupt file is moved aside and begun afresh first.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

BUSY_S = 30.0
"""How long a process waits for another one's transaction."""
MAX_VARIABLES = 500
"""Variables of one statement; SQLite before 3.32 takes 999."""
KEPT_SHARE = 0.9
"""What eviction leaves of the bound, so that it is not due again at once."""
ROW_BYTES = 56
"""Key, model, time and header of a row."""
FILL = 0.68
"""Share of a page that is used where keys come in random order."""
MAX_MOVED_ASIDE = 3
"""A disk that spoils one file after the other is left alone after so many in one process."""

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS models (id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE,"
    " entries INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0)",
    "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, model INTEGER NOT NULL, reply TEXT NOT NULL,"
    " used INTEGER NOT NULL) WITHOUT ROWID",
    # totals are kept by the file itself, so that nobody has to read all of it to know its size
    "CREATE TRIGGER IF NOT EXISTS added AFTER INSERT ON answers BEGIN UPDATE models"
    " SET entries = entries + 1, bytes = bytes + length(new.reply) WHERE id = new.model; END",
    "CREATE TRIGGER IF NOT EXISTS removed AFTER DELETE ON answers BEGIN UPDATE models"
    " SET entries = entries - 1, bytes = bytes - length(old.reply) WHERE id = old.model; END",
    "CREATE TRIGGER IF NOT EXISTS replaced AFTER UPDATE OF reply ON answers BEGIN UPDATE models"
    " SET bytes = bytes + length(new.reply) - length(old.reply) WHERE id = new.model; END",
)
CORRUPT = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CacheRow:
    """An answer as it is written."""

    key: bytes
    fingerprint: str
    reply: str


class AnswerFile:
    """A file of answers, opened when it is first used; every method is one transaction."""

    def __init__(self, path: Path, *, wal: bool, warn: Callable[[str], None]) -> None:
        self.path = path
        self._wal, self._warn = wal, warn
        self._connection: sqlite3.Connection | None = None
        self._inode, self._pid = 0, os.getpid()
        self.moves_left = MAX_MOVED_ASIDE
        self._lock = threading.RLock()
        self._of_the_parent: list[sqlite3.Connection | None] = []

    def read(self, keys: Sequence[bytes]) -> dict[bytes, bytes]:
        """Return the replies that are there."""
        return self._run("BEGIN", lambda connection: dict(_select(connection, keys)))

    def write(self, rows: Iterable[CacheRow], used: int) -> None:
        """Write answers in the place of what was there before."""
        rows = tuple(rows)

        def work(connection: sqlite3.Connection) -> None:
            names = [(fingerprint,) for fingerprint in {row.fingerprint for row in rows}]
            connection.executemany("INSERT OR IGNORE INTO models (fingerprint) VALUES (?)", names)
            connection.executemany(
                "INSERT INTO answers SELECT ?, id, ?, ? FROM models WHERE fingerprint = ?"
                " ON CONFLICT (key) DO UPDATE SET reply = excluded.reply, used = excluded.used",
                [(row.key, row.reply, used, row.fingerprint) for row in rows],
            )

        self._run("BEGIN IMMEDIATE", work)

    def touch(self, keys: Iterable[bytes], used: int) -> None:
        """Note when answers were used last."""
        pairs = [(used, key) for key in keys]
        self._run(
            "BEGIN IMMEDIATE",
            lambda connection: connection.executemany("UPDATE answers SET used = ? WHERE key = ?", pairs),
        )

    def delete(self, keys: Iterable[bytes]) -> None:
        """Remove answers."""
        found = [(key,) for key in keys]
        self._run(
            "BEGIN IMMEDIATE", lambda connection: connection.executemany("DELETE FROM answers WHERE key = ?", found)
        )

    def entries(self) -> Mapping[str, int]:
        """Return the number of answers by the model's fingerprint."""
        found = self._run(
            "BEGIN",
            lambda connection: connection.execute(
                "SELECT fingerprint, entries FROM models WHERE entries > 0"
            ).fetchall(),
        )
        return {fingerprint.decode(): entries for fingerprint, entries in found}

    def evict(self, max_bytes: int) -> int:
        """Where the file is over the bound, remove the answers used longest ago, and return how many."""
        if not self.is_over(max_bytes):
            return 0
        return self._run("BEGIN IMMEDIATE", lambda connection: _evict(connection, max_bytes))

    def is_over(self, max_bytes: int) -> bool:
        """Return whether the file is over the bound."""
        return self._run("BEGIN", _estimated_bytes) > max_bytes

    def clear(self) -> None:
        """Remove every answer and hand the space back."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM answers")
            connection.execute("DELETE FROM models")

        self._run("BEGIN IMMEDIATE", work)
        self._run("", lambda connection: connection.execute("VACUUM"))

    def close(self) -> None:
        """Let go of the file; the next call opens it again."""
        with self._lock:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
            self._connection = None

    def _run(self, begin: str, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` in a transaction: again while others hold the file, and in a fresh file if it is corrupt."""
        self._leave_to_parent()
        deadline, pause_s = time.monotonic() + BUSY_S, 0.01
        with self._lock:
            while True:
                try:
                    return _transaction(self._open(), begin, work)
                except sqlite3.DatabaseError as error:
                    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extended part
                    if code in CORRUPT and self.moves_left:
                        self._move_aside(str(error))
                    elif code in BUSY and time.monotonic() < deadline:
                        time.sleep(pause_s)
                        pause_s = min(2 * pause_s, 1.0)
                    else:
                        raise

    def _leave_to_parent(self) -> None:
        """After a fork, open the file anew: a connection and its locks belong to the process that made it."""
        if self._pid != os.getpid():
            self._of_the_parent.append(self._connection)  # closing it here could take the parent's locks away
            self._connection, self._pid, self._lock = None, os.getpid(), threading.RLock()

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                self._inode = self.path.stat().st_ino
                connection.text_factory = bytes  # a damaged text is a damaged row, not an error of the whole read
                connection.execute(f"PRAGMA journal_mode = {'WAL' if self._wal else 'DELETE'}")
                connection.execute(f"PRAGMA synchronous = {'NORMAL' if self._wal else 'FULL'}")
                if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'replaced'").fetchone():
                    _transaction(connection, "BEGIN IMMEDIATE", _make_tables)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _move_aside(self, reason: str) -> None:
        """Rename the file, unless another process has done so, and let the next call begin a fresh one."""
        from filelock import FileLock

        self.close()
        self.moves_left -= 1
        with FileLock(f"{self.path}.lock", timeout=BUSY_S):
            if not self.path.exists() or self.path.stat().st_ino != self._inode:
                return
            number = 1
            while Path(f"{self.path}.corrupt-{number}").exists():
                number += 1
            for tail in ("-wal", "-shm", "-journal", ""):
                if Path(f"{self.path}{tail}").exists():
                    Path(f"{self.path}{tail}").rename(f"{self.path}.corrupt-{number}{tail}")
        self._warn(f"{self.path} is damaged ({reason}); it was moved to {self.path.name}.corrupt-{number}")


class Claims:
    """What each of several processes of one machine is asking now; those of one that has died are free again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pid, self._owner = 0, ""
        self._alive: Any = None

    def take(self, keys: Sequence[bytes]) -> set[bytes]:
        """Claim what no living process has claimed, and return that with what this one had already."""

        def work(connection: sqlite3.Connection) -> set[bytes]:
            owners = dict(_by_key(connection, "SELECT key, owner FROM claims WHERE key IN", keys))
            others = {owner: self._lives(owner) for owner in set(owners.values())}
            mine = [key for key in keys if key not in owners or not others[owners[key]]]
            rows = [(key, self._owner) for key in mine]
            connection.executemany("INSERT OR REPLACE INTO claims VALUES (?, ?)", rows)
            return {*mine, *(key for key, owner in owners.items() if owner == self._owner)}

        return self._run(work)

    def drop(self, keys: Sequence[bytes]) -> None:
        """Let go of claims of this process."""
        if keys:
            self._run(
                lambda connection: connection.executemany(
                    "DELETE FROM claims WHERE key = ? AND owner = ?", [(key, self._owner) for key in keys]
                )
            )

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        self._begin()
        with closing(
            sqlite3.connect(self._folder / "claims.sqlite", timeout=BUSY_S, isolation_level=None)
        ) as connection:
            connection.execute("PRAGMA synchronous = OFF")  # nothing of it outlasts the session
            connection.execute("CREATE TABLE IF NOT EXISTS claims (key BLOB PRIMARY KEY, owner TEXT) WITHOUT ROWID")
            return _transaction(connection, "BEGIN IMMEDIATE", work)

    def _begin(self) -> None:
        """Hold a lock that the system lets go of when this process ends, however it does."""
        from filelock import FileLock

        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._owner = f"{self._pid}-{os.urandom(4).hex()}"
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._alive = FileLock(self._folder / f"{self._owner}.lock")
            self._alive.acquire()

    def _lives(self, owner: str) -> bool:
        from filelock import FileLock, Timeout

        if owner == self._owner:
            return True
        lock = FileLock(self._folder / f"{owner}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return True
        lock.release()
        return False


def read_other(path: Path, keys: Sequence[bytes], *, same_host: bool) -> dict[bytes, bytes]:
    """Return the replies in another worker's file; nothing where it cannot be read.

    What a killed worker left half done is rolled back first, if it ran on this machine: locks between machines
    cannot be trusted to tell a dead writer from one at work.
    """
    mode = "rw" if same_host else "ro"
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=1.0)) as connection:
            connection.text_factory = bytes
            return dict(_select(connection, keys))
    except sqlite3.Error:
        return {}


def _transaction(connection: sqlite3.Connection, begin: str, work: Callable[[sqlite3.Connection], T]) -> T:
    if begin:
        connection.execute(begin)
    try:
        result = work(connection)
        if begin:
            connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def _make_tables(connection: sqlite3.Connection) -> None:
    for statement in SCHEMA:
        connection.execute(statement)


def _select(connection: sqlite3.Connection, keys: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    return _by_key(connection, "SELECT key, reply FROM answers WHERE key IN", keys)


def _by_key(connection: sqlite3.Connection, query: str, keys: Sequence[bytes]) -> Iterator[tuple[bytes, Any]]:
    for start in range(0, len(keys), MAX_VARIABLES):
        part = keys[start : start + MAX_VARIABLES]
        marks = ", ".join("?" * len(part))
        yield from connection.execute(f"{query} ({marks})", part)


def _estimated_bytes(connection: sqlite3.Connection) -> int:
    text, entries = connection.execute("SELECT total(bytes), total(entries) FROM models").fetchone()
    return _bytes_of(text, entries)


def _bytes_of(text: float, entries: float) -> int:
    """Return the size on disk of so many rows: pages of a tree with random keys are never full."""
    return int((text + ROW_BYTES * entries) / FILL)


def _evict(connection: sqlite3.Connection, max_bytes: int) -> int:
    estimated, oldest = _estimated_bytes(connection), []
    surplus = estimated - int(KEPT_SHARE * max_bytes) if estimated > max_bytes else 0  # others may have evicted
    for key, size in connection.execute("SELECT key, length(reply) FROM answers ORDER BY used, key"):
        if surplus <= 0:
            break
        oldest.append((key,))
        surplus -= _bytes_of(size, 1)
    connection.executemany("DELETE FROM answers WHERE key = ?", oldest)
    connection.execute("DELETE FROM models WHERE entries = 0")
    return len(oldest)
