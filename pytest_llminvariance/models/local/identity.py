"""What a folder's model is known by before its weights are loaded: digests of its files, kept with what a load found.

A digest is kept with size, times and inode of its file, and made again where one of them is another.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
import transformers

from pytest_llminvariance.files import file_digest, write_whole
from pytest_llminvariance.models.load_settings import LoadSettings
from pytest_llminvariance.models.local.devices import Worker, choose_device
from pytest_llminvariance.models.local.fingerprint import device_name

SETTLED_NS = 2_000_000_000
"""A file that was written less than this before it was read may be written again without another time."""
NOT_OF_THE_MODEL = ("weights", "beside", "kept", "batch_tokens", "threads", "worker")
"""Settings that change no fingerprint."""


@dataclass(frozen=True, slots=True)
class Known:
    """What a load found, which is the same for the same files, settings and versions on the same kind of machine."""

    fingerprint: str
    deterministic: bool
    device: str
    dtype: str
    notes: tuple[str, ...]


class Identity:
    """What a folder was known by when it was last loaded so; `kept` is the folder that remembers it.

    Whatever cannot be read or written there counts as not known: the weights are loaded then.
    """

    def __init__(self, folder: Path, name: str, settings: LoadSettings, kept: Path) -> None:
        self._digests = kept / f"files-{hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()[:32]}.json"
        told = {
            item.name: getattr(settings, item.name) for item in fields(settings) if item.name not in NOT_OF_THE_MODEL
        }
        place = choose_device(settings.device, None if settings.worker is None else Worker(*settings.worker))
        says = {
            "name": name,
            "settings": told,
            "files": self._files(folder),
            "device": [str(place), device_name(place)],
            "arithmetic": [torch.are_deterministic_algorithms_enabled(), torch.get_float32_matmul_precision()],
            "versions": [_own_version(), torch.__version__, transformers.__version__],
        }
        key = hashlib.sha256(json.dumps(says, sort_keys=True, default=str).encode()).hexdigest()
        self._file = kept / f"model-{key}.json"

    def known(self) -> Known | None:
        """Return what a load found; `None` where there was none."""
        row = _read(self._file)
        try:
            return Known(**{**row, "notes": tuple(row["notes"])})
        except (KeyError, TypeError):
            return None

    def keep(self, found: Known) -> None:
        """Remember what a load found."""
        _write(self._file, asdict(found))

    def forget(self) -> None:
        """Remember nothing of it."""
        with contextlib.suppress(OSError):
            self._file.unlink()

    def _files(self, folder: Path) -> Mapping[str, str]:
        """Return digests by name of all files of a folder, made again of those that something touched."""
        before = _read(self._digests)
        kept: dict[str, list[Any]] = {}
        found: dict[str, str] = {}
        for place, _, names in sorted(os.walk(folder, followlinks=True)):
            for file in sorted(Path(place, name) for name in names):
                name, began = file.relative_to(folder).as_posix(), time.time_ns()
                stat = file.stat()
                marks = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
                row: Any = before.get(name)
                known, digest = (row[:-1], row[-1]) if isinstance(row, list) and row else ([], "")
                if known != marks:
                    digest = file_digest(file)
                if max(stat.st_mtime_ns, stat.st_ctime_ns) < began - SETTLED_NS:
                    kept[name] = [*marks, digest]
                found[name] = digest
        if kept != before:
            _write(self._digests, kept)
        return found


def is_one_folder(target: str, settings: LoadSettings) -> bool:
    """Return whether a model is all in one folder: no adapter, no code, nothing that is spread over devices."""
    plain = settings.device_map is None and not settings.trust_remote_code
    return plain and os.path.isdir(target) and not os.path.exists(os.path.join(target, "adapter_config.json"))


def _own_version() -> str:
    try:
        return version("pytest-llminvariance")
    except PackageNotFoundError:  # a copy of the sources
        return ""


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(file: Path, data: Mapping[str, Any]) -> None:
    with contextlib.suppress(OSError):  # a cache never fails a check
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(data, sort_keys=True).encode())
