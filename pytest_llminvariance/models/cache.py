"""A memory of answers that outlasts the session: a dictionary in front of SQLite.

Only models that say `cacheable = True` are written down: their fingerprint determines their answers. The
cache never fails a check: what cannot be read is asked again, and where nothing can be written, answers
are remembered for the session only, with one warning.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.files import IDENTITIES, on_network
from pytest_llminvariance.models.cache_file import AnswerFile, CacheRow, Claims, read_other
from pytest_llminvariance.models.cache_rows import decoded, encoded, row_key
from pytest_llminvariance.models.keys import Key
from pytest_llminvariance.models.protocol import Reply
from pytest_llminvariance.models.remembered import Remembered

DEFAULT_MAX_BYTES = 2**30
MAX_BYTES_VARIABLE = "LLMINVARIANCE_ANSWERS_MAX_BYTES"
LOCAL = "answers.sqlite"
FILES = "answers*.sqlite*"
"""The database, what SQLite keeps beside it, and what was moved aside."""

T = TypeVar("T")


class AnswerCacheWarning(UserWarning):
    """Answers cannot be kept between sessions, or some were lost."""


@dataclass(frozen=True, slots=True)
class CacheInfo:
    """What a cache holds."""

    path: Path
    entries: int
    bytes: int
    """Of all files, those moved aside included."""
    models: Mapping[str, int]
    """Answers by fingerprint."""


class AnswerCache(MutableMapping[Key, Reply]):
    """Replies by what determines them (`keys.Key`).

    What `persist` named is also looked up and written in `folder`; `len` and iteration show only what this
    session has seen. `max_bytes` bounds the file, and each worker's file on a network file system, where
    several machines may share the folder; `None` reads LLMINVARIANCE_ANSWERS_MAX_BYTES or takes 1 GiB. `claims` is a folder in which
    processes of one machine that run at the same time say what they are asking.

    Raises:
        UsageError: if `max_bytes` is below 1.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        max_bytes: int | None = None,
        worker: str | None = None,
        network: bool | None = None,
        claims: Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder = Path(folder)
        self.max_bytes = _max_bytes() if max_bytes is None else max_bytes
        if not isinstance(self.max_bytes, int) or self.max_bytes < 1:
            raise UsageError(f"max_bytes is {max_bytes!r}, but must be a whole number from 1")
        self._network = on_network(self.folder) if network is None else network
        self._host = f"answers-{_plain(socket.gethostname())}-"
        own = f"{self._host}{_plain(worker or 'main')}.sqlite"
        self._file = AnswerFile(self.folder / (own if self._network else LOCAL), wal=not self._network, warn=_warn)
        self._clock = clock
        self._claims = None if claims is None else Claims(claims)
        self._memory = Remembered()
        self._fingerprints: set[str] = set()
        self._absent: set[Key] = set()
        self._used: set[bytes] = set()
        self.trouble: str | None = None
        """Why nothing is kept any more, where that is so."""
        self.recalled = 0
        """Answers found on disk."""
        self.asked = 0
        """Answers of persisted models that were not there and came from the model."""

    def persist(self, fingerprint: str) -> None:
        """Keep the answers of a model between sessions."""
        self._fingerprints.add(fingerprint)

    def fetch(self, keys: Iterable[Key]) -> None:
        """Read what is on disk for `keys` at once, so that looking them up is fast."""
        wanted = [key for key in dict.fromkeys(keys) if key not in self._memory and self._keeps(key)]
        if not wanted or self.trouble:
            return
        digests = self._digests(wanted)
        found = self._safely(lambda: self._read(list(digests.values()))) or {}
        for key, digest in digests.items():
            reply = decoded(key.request, found[digest]) if digest in found else None
            if reply is not None:
                self._memory[key] = reply
                self._used.add(digest)
                self.recalled += 1
        self._absent = {key for key in wanted if key not in self._memory}

    def store(self, items: Mapping[Key, Reply]) -> None:
        """Remember answers; those to keep are committed in one transaction before this returns."""
        self._memory.update(items)
        kept = {key: reply for key, reply in items.items() if self._keeps(key)}
        self.asked += len(kept)
        rows = [row for key, reply in kept.items() if (row := _row(key, reply))]
        if rows and not self.trouble:
            self._safely(lambda: self._write(rows))

    def claim(self, keys: Sequence[Key]) -> list[Key]:
        """Return those to be asked here: what no other process asks, and none has answered by now; see `engine.Claiming`."""
        claims, digests = self._claims, {} if self._claims is None else self._digests(keys)
        if claims is None or not digests or self.trouble:
            return list(keys)
        wanted = list(digests.values())
        taken = self._safely(lambda: claims.take(wanted))
        self.fetch(digests)
        if taken is None:
            return [key for key in keys if key not in self._memory]
        self._safely(lambda: claims.drop([digest for key, digest in digests.items() if key in self._memory]))
        return [key for key in keys if key not in self._memory and (key not in digests or digests[key] in taken)]

    def disclaim(self, keys: Sequence[Key]) -> None:
        """Say that these are not asked here any more."""
        claims = self._claims
        if claims is not None and (found := list(self._digests(keys).values())):
            self._safely(lambda: claims.drop(found))

    def _digests(self, keys: Iterable[Key]) -> dict[Key, bytes]:
        """Return what rows of the file are called by, of those that are kept."""
        return {key: digest for key in keys if self._keeps(key) and (digest := _digest(key)) is not None}

    def flush(self) -> None:
        """Write down what was used, and remove what was not if the bound is passed."""
        used, self._used = self._used, set()
        if used and not self.trouble:
            self._safely(lambda: self._file.touch(used, self._now()))
            self._safely(lambda: self._file.evict(self.max_bytes))

    def close(self) -> None:
        """Flush and let go of the file; a later use opens it again."""
        self.flush()
        self._safely(self._file.close)

    def info(self) -> CacheInfo:
        """Return what all files in the folder hold; makes none."""
        models: dict[str, int] = {}
        for file in self._files():
            if file is not self._file:
                file.moves_left = 0  # what its owner is writing may look damaged from another machine
            with contextlib.suppress(sqlite3.Error, OSError):
                for fingerprint, entries in file.entries().items():
                    models[fingerprint] = models.get(fingerprint, 0) + entries
            file.close()
        sizes = sum(map(_size, self.folder.glob(FILES)))
        return CacheInfo(self.folder, sum(models.values()), sizes, models)

    def clear(self) -> None:
        """Forget everything, on disk too.

        Raises:
            UsageError: if the files cannot be cleared.
        """
        self._memory.clear()
        self._used.clear()
        try:
            for file in self._files():
                file.clear()
                file.close()
            for path in (*self.folder.glob("answers*.sqlite.corrupt-*"), *(self.folder / IDENTITIES).glob("*.json")):
                path.unlink()
        except (sqlite3.Error, OSError) as error:
            raise UsageError(f"{str(self.folder)!r} cannot be cleared: {error}. Remove the folder") from error

    def __getitem__(self, key: Key) -> Reply:
        if key not in self._memory and key not in self._absent:
            self.fetch([key])
        return self._memory[key]

    def __setitem__(self, key: Key, reply: Reply) -> None:
        self.store({key: reply})

    def __delitem__(self, key: Key) -> None:
        del self._memory[key]
        digest = _digest(key) if self._keeps(key) else None
        if digest is not None and not self.trouble:
            self._safely(lambda: self._file.delete([digest]))

    def __iter__(self) -> Iterator[Key]:
        return iter(self._memory)

    def __len__(self) -> int:
        return len(self._memory)

    def __enter__(self) -> AnswerCache:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _keeps(self, key: Key) -> bool:
        return key.owner is None and key.fingerprint in self._fingerprints

    def _now(self) -> int:
        return int(1000 * self._clock())

    def _read(self, digests: list[bytes]) -> dict[bytes, bytes]:
        found = self._file.read(digests)
        for path in self._others():
            missing = [digest for digest in digests if digest not in found]
            if missing:
                found.update(read_other(path, missing, same_host=path.name.startswith(self._host)))
        return found

    def _write(self, rows: list[CacheRow]) -> None:
        self._file.write(rows, self._now())
        if self._file.is_over(self.max_bytes):
            used, self._used = self._used, set()
            self._file.touch(used, self._now())  # what was used in this session is not the oldest
            self._file.evict(self.max_bytes)

    def _others(self) -> list[Path]:
        if not self._network:
            return []
        return [path for path in sorted(self.folder.glob("answers*.sqlite")) if path != self._file.path]

    def _files(self) -> list[AnswerFile]:
        return [
            self._file if path == self._file.path else AnswerFile(path, wal=path.name == LOCAL, warn=_warn)
            for path in sorted(self.folder.glob("answers*.sqlite"))
        ]

    def _safely(self, work: Callable[[], T]) -> T | None:
        """Return what `work` gives; if it fails, go on without the disk and say so once."""
        try:
            return work()
        except (sqlite3.Error, OSError) as error:
            if self.trouble is None:
                self.trouble = str(error)
                _warn(f"answers are not kept in {self.folder}: {error}. They are remembered for this session only")
            return None


def _digest(key: Key) -> bytes | None:
    return row_key(key.fingerprint, key.request, key.prompt)


def _row(key: Key, reply: Reply) -> CacheRow | None:
    digest, text = _digest(key), encoded(key.request, reply)
    return None if digest is None or text is None else CacheRow(digest, key.fingerprint, text)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # another process has closed the database and removed it
        return 0


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.]+", "_", name)[:64] or "_"


def _warn(text: str) -> None:
    # under -W error a warning is an exception, and a cache must not fail a test
    with contextlib.suppress(AnswerCacheWarning):
        warnings.warn(AnswerCacheWarning(text), stacklevel=2)


def _max_bytes() -> int:
    given = os.environ.get(MAX_BYTES_VARIABLE, "")
    if re.fullmatch(r"[1-9]\d*", given):
        return int(given)
    if given:
        _warn(f"{MAX_BYTES_VARIABLE} is {given!r}, but must be a whole number from 1; {DEFAULT_MAX_BYTES} is used")
    return DEFAULT_MAX_BYTES
