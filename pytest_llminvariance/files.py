"""Files of this package: where its own lie, how text becomes bytes, and writing one whole or not at all.

Loaded at the start of every session, so it imports nothing heavy.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pytest_llminvariance.errors import UsageError


class _Disk(NamedTuple):
    """The system's own functions, kept from the start: a test that fakes or mocks files hides nothing from a record."""

    makedirs: Any = os.makedirs
    open: Any = os.open
    write: Any = os.write
    close: Any = os.close
    path: type[Path] = type(Path())


DISK = _Disk()
NETWORK_TYPES = frozenset(
    [
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "orangefs",
        "pvfs2",
        "smb2",
        "smb3",
        "smbfs",
    ]
)


def cache_folder() -> Path:
    """Return this package's folder in the user's cache; LLMINVARIANCE_CACHE overrides it.

    Raises:
        UsageError: where the user has no home.
    """
    named = os.environ.get("LLMINVARIANCE_CACHE")
    if named:
        return Path(named)
    try:
        return _user_cache() / "pytest-llminvariance"
    except RuntimeError as error:
        raise UsageError(
            "this user has no home, so there is no cache folder. Set LLMINVARIANCE_CACHE to one"
        ) from error


def _user_cache() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


IDENTITIES = "models"
"""Folder beside kept answers: by what models in folders are known before their weights are loaded."""


def answers_folder(setting: str = "auto") -> Path | None:
    """Return the folder that keeps answers between sessions, or `None` where they are not kept.

    `auto` is what LLMINVARIANCE_ANSWERS says (off or a folder), else `answers` in `cache_folder`, where there is one.

    Raises:
        UsageError: for a folder in a home that is not there.
    """
    if setting == "auto":
        setting = os.environ.get("LLMINVARIANCE_ANSWERS") or "auto"
    if setting == "off":
        return None
    if setting == "auto":
        with contextlib.suppress(UsageError):
            return cache_folder() / "answers"
        return None
    try:
        return Path(setting).expanduser()
    except RuntimeError as error:
        raise UsageError(
            f"answers are to be kept in {setting!r}, but there is no such home. Name a folder, or off"
        ) from error


def temporary_folder() -> Path:
    """Return the system's folder for temporary files, without settling it for everybody else in this process.

    Raises:
        OSError: where there is none.
    """
    settled = tempfile.tempdir
    try:
        return Path(tempfile.gettempdir())
    finally:
        tempfile.tempdir = settled


def on_network(folder: Path) -> bool:
    """Return whether a folder is on a network file system; known on Linux only, taken for local elsewhere."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return False
    return is_network_type(file_system_type(os.path.realpath(folder), mounts))


def file_system_type(path: str, mountinfo: str) -> str:
    """Return the type of the mount that holds an absolute path: the longest mount point, the last of equal ones."""
    longest, found = -1, ""
    for line in mountinfo.splitlines():
        before, dash, after = line.partition(" - ")
        fields = before.split(" ")
        if not dash or len(fields) < 5 or not after:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), fields[4]).rstrip("/")
        if (path == point or path.startswith(point + "/")) and len(point) >= longest:
            longest, found = len(point), after.split(" ")[0]
    return found


def is_network_type(kind: str) -> bool:
    """Return whether files of this type may be shared between machines, so that memory-mapped files are not."""
    return kind in NETWORK_TYPES or kind.startswith("fuse.")


def encoded(text: str) -> bytes:
    r"""Return text as UTF-8; half a surrogate pair, which UTF-8 cannot hold, as `\udcff`: in JSON the same character."""
    return text.encode("utf-8", "backslashreplace")


def json_line(data: Any) -> bytes:
    """Return plain data as one line of a JSONL file; what JSON does not know as its text."""
    return encoded(json.dumps(data, allow_nan=False, default=str) + "\n")


def file_digest(file: Path) -> str:
    """Return SHA-256 of a file's bytes, in hexadecimal digits."""
    import hashlib

    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def append(file: Path, data: bytes) -> None:
    """Put lines at the end of a file in one write, so that a process that is killed leaves whole ones.

    Raises:
        OSError: where the system refuses.
    """
    DISK.makedirs(str(file.parent), exist_ok=True)
    handle = DISK.open(str(file), os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    try:
        while data:
            data = data[DISK.write(handle, data) :]
    finally:
        DISK.close(handle)


def write_whole(target: Path, data: bytes | Iterable[bytes]) -> None:
    """Put `data`, whole or in parts, in the place of a file in one step, with the rights that the file had."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.writelines([data] if isinstance(data, bytes) else data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, _mode(target))
        os.replace(name, target)
    except BaseException:  # Ctrl-C too: the file stays as it was, and nothing is left beside it
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def _mode(target: Path) -> int:
    try:
        return target.stat().st_mode & 0o777
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


@contextlib.contextmanager
def writing(path: Path, what: str) -> Iterator[None]:
    """Around writing a file that is committed beside a suite.

    Raises:
        UsageError: where the system refuses; names `what` it is, the file, and the way out.
    """
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"{what} {str(path)!r} cannot be written: {error.strerror}. Make its folder writable, or name another place"
        ) from error


def write_committed(path: Path, what: str, data: Mapping[str, Any]) -> None:
    """Write a JSON file of ours that is committed beside a suite, whole or not at all; a line a value, for reviews.

    Raises:
        UsageError: where it cannot be written.
    """
    with writing(path, what):
        write_whole(path, encoded(json.dumps(data, indent=1) + "\n"))


def read_committed(path: Path, what: str, version: int, way_out: str) -> dict[str, Any]:
    """Read a JSON file of ours that is committed beside a suite.

    Raises:
        UsageError: where it cannot be read or is of another version; names `what` it is, the file, and the way out.
    """
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{what} {str(path)!r} cannot be read: {error.strerror}. {way_out}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{what} {str(path)!r} is not JSON: {error}. {way_out}") from error
    if not isinstance(data, dict) or data.get("schema_version") != version:
        raise UsageError(f"{what} {str(path)!r}: schema_version must be {version}. {way_out}")
    return data
