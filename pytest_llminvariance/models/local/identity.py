"""What a model is known by before its weights are loaded: digests of its files, kept with what a load found.

A digest is kept with size, times and inode of its file, and made again where one of them is another.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import stat
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

import torch

from pytest_llminvariance.errors import ModelError
from pytest_llminvariance.files import file_digest, write_whole
from pytest_llminvariance.models.load_settings import LoadSettings
from pytest_llminvariance.models.local.checkpoint import folders_of
from pytest_llminvariance.models.local.devices import Worker, choose_device
from pytest_llminvariance.models.local.fingerprint import THREADS, device_name
from pytest_llminvariance.models.versions import package_versions

SETTLED_NS = 2_000_000_000
"""A file that was written less than this before it was read may be written again without another time."""
NOT_OF_THE_MODEL = ("weights", "beside", "kept", "batch_tokens", "threads", "worker")
"""Settings that change no fingerprint."""
DECIDING = (
    "tokenizers", "peft", "accelerate", "safetensors", "kernels", "flash-attn", "bitsandbytes", "torchao", "optimum",
    "compressed-tensors", "gptqmodel", "autoawq", "hqq", "optimum-quanto", "aqlm", "eetq",
)  # fmt: skip
"""Packages that make weights and tokens of files."""
COMMIT = re.compile(r"[0-9a-f]{40}")

Rows = dict[str, list[Any]]
"""By the name of a file: its marks, and its digest as the last."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a load found, which is the same for the same files, settings and versions on the same kind of machine."""

    fingerprint: str
    deterministic: bool
    device: str
    dtype: str
    notes: tuple[str, ...]


class Identity:
    """What a model was known by when it was last loaded so; `kept` is the folder that remembers it.

    Whatever cannot be read or written there counts as not known: the weights are loaded then.

    Raises:
        ModelError: where files do not say all of a model: they are not there yet, lie elsewhere, or are code that is run.
    """

    def __init__(self, target: str, kind: str, name: str, settings: LoadSettings, kept: Path) -> None:
        self._target, self._settings, self._kept = target, settings, kept
        self._digests = {folder: Digests(folder, kept) for folder in self._folders()}
        self._rows = self._look()
        told = {
            item.name: getattr(settings, item.name) for item in fields(settings) if item.name not in NOT_OF_THE_MODEL
        }
        self._says = {
            "kind": kind,
            "name": name,
            "settings": told,
            "devices": _devices(settings),
            "arithmetic": [torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision()],
            "versions": package_versions(*DECIDING),
        }

    @property
    def commit(self) -> str | None:
        """The revision of a hub id that was looked at, where it is the only one."""
        (first, *others) = self._digests
        is_one = not others and not os.path.isdir(self._target) and COMMIT.fullmatch(first.name)
        return first.name if is_one else None

    def known(self) -> Known | None:
        """Return what a load found; `None` where there was none."""
        row, types = _read(self._file), get_type_hints(Known)
        try:
            found = Known(**{**row, "notes": tuple(row["notes"])})
        except (KeyError, TypeError):
            return None
        is_sound = all(isinstance(getattr(found, name), kind) for name, kind in types.items() if name != "notes")
        return found if is_sound and isinstance(row["notes"], list) else None

    def keep(self, found: Known) -> None:
        """Remember what a load found, unless files changed while they were loaded."""
        if self.is_current(may_grow=self.commit is not None):
            _write(self._file, asdict(found))

    def forget(self) -> None:
        """Remember nothing of it."""
        with contextlib.suppress(OSError):
            self._file.unlink()

    def is_current(self, *, may_grow: bool = False) -> bool:
        """Return whether the files are those that were looked at; a snapshot may have grown by what was downloaded."""
        before, self._rows = self._rows, {}
        with contextlib.suppress(Exception):  # they may be anything by now
            if self.commit is not None or self._folders() == list(self._digests):
                self._rows = self._look()
        if may_grow and before.keys() == self._rows.keys():
            return all(
                rows.get(name) == row
                for known, rows in zip(before.values(), self._rows.values(), strict=True)
                for name, row in known.items()
            )
        return before == self._rows

    @property
    def _file(self) -> Path:
        files = [{name: row[-1] for name, row in rows.items()} for rows in self._rows.values()]
        said = json.dumps({**self._says, "files": files}, sort_keys=True, default=str)
        return self._kept / f"model-{hashlib.sha256(said.encode()).hexdigest()}.json"

    def _folders(self) -> list[Path]:
        where = {"revision": self._settings.revision}
        found = folders_of(self._target, where)
        if not found:
            raise ModelError(f"{self._target} is not here yet")
        return found

    def _look(self) -> dict[Path, Rows]:
        rows = {folder: digests.rows() for folder, digests in self._digests.items()}
        for folder, files in rows.items():
            if self._settings.trust_remote_code and _has_code(folder, files):
                raise ModelError(f"{self._target} brings code, and files do not say what code does")
            for name in _indexed(folder, files) - files.keys():
                if (folder / name).exists():
                    raise ModelError(f"{self._target} has weights elsewhere: {name}")
        return rows


class Digests:
    """Digests of the files of a folder, kept where there is a place to, and made again of those that something touched."""

    def __init__(self, folder: Path, kept: Path | None, *, deep: bool = True) -> None:
        self._folder, self._deep = folder, deep
        name = f"files-{hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:32]}.json"
        self._file = None if kept is None else kept / (name if deep else f"top-{name}")
        self._before: Mapping[str, Any] = {} if self._file is None else _read(self._file)

    def rows(self) -> Rows:
        """Return marks and digest of each file, by name."""
        settled: Rows = {}
        found: Rows = {}
        with ThreadPoolExecutor(THREADS) as threads:
            for name, row, is_settled in threads.map(self._looked, _files(self._folder, deep=self._deep)):
                found[name] = row
                if is_settled:
                    settled[name] = row
        if settled != self._before and self._file is not None:
            _write(self._file, settled)
        self._before = settled
        return found

    def _looked(self, file: Path) -> tuple[str, list[Any], bool]:
        """Return the name of a file, its row, and whether it would have other times if it were written again."""
        name, began = file.relative_to(self._folder).as_posix(), time.time_ns()
        try:
            row, latest = self._row(file, self._before.get(name))
        except OSError as error:  # a link that leads nowhere, a file of somebody else
            return name, [type(error).__name__], False
        return name, row, latest < began - SETTLED_NS

    def _row(self, file: Path, before: Any) -> tuple[list[Any], int]:
        """Return marks and digest of a file, and when it was last touched."""
        is_now = file.stat()
        marks = [is_now.st_size, is_now.st_mtime_ns, is_now.st_ctime_ns, is_now.st_ino]
        known, digest = (before[:-1], before[-1]) if isinstance(before, list) and before else ([], "")
        if known != marks:
            digest = file_digest(file) if stat.S_ISREG(is_now.st_mode) else "no file"
        return [*marks, digest], max(is_now.st_mtime_ns, is_now.st_ctime_ns)


def _files(folder: Path, *, deep: bool) -> Iterator[Path]:
    """Yield what lies in a folder and, if deep, below, not in hidden folders; each folder once, however it is linked."""
    seen = set()
    for place, below, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        below[:] = sorted(name for name in below if deep and real not in seen and not name.startswith("."))
        yield from (Path(place, name) for name in sorted(names) if real not in seen)
        seen.add(real)


def _indexed(folder: Path, files: Mapping[str, object]) -> set[str]:
    """Return the files that a folder's indexes of weights name."""
    indexes = (name for name in files if name.endswith(".index.json") and "/" not in name)
    maps = [_read(folder / name).get("weight_map") for name in indexes]
    named = [name for found in maps if isinstance(found, dict) for name in found.values()]
    return {os.path.normpath(name).replace(os.sep, "/") for name in named if isinstance(name, str)}


def _has_code(folder: Path, files: Mapping[str, object]) -> bool:
    """Return whether a folder has code, or names code elsewhere."""
    said = (_read(folder / name) for name in files if name.endswith("config.json"))
    return any(name.endswith(".py") for name in files) or any("auto_map" in found for found in said)


def _devices(settings: LoadSettings) -> list[str]:
    """Return where a model goes, and what rounds there; over several devices all that there are."""
    place = choose_device(settings.device, None if settings.worker is None else Worker(*settings.worker))
    more = range(torch.cuda.device_count() if settings.device_map is not None else 0)
    return [str(place), device_name(place), *(device_name(torch.device("cuda", index)) for index in more)]


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(file: Path, data: Mapping[str, Any]) -> None:
    with contextlib.suppress(OSError):  # a cache never fails a check
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(data, sort_keys=True).encode())
