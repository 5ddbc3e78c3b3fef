"""Files that are there whole or not at all, whatever stops the process that writes them."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from pytest_llminvariance.errors import UsageError

__all__ = ["read_committed", "write_whole"]


def write_whole(target: Path, data: bytes) -> None:
    """Put `data` in the place of a file in one step, with the rights that the file had."""
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
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


def read_committed(path: Path, what: str, version: int, way_out: str) -> dict[str, Any]:
    """Read a JSON file of ours that is committed beside a suite.

    Raises:
        UsageError: where it cannot be read or is of another version; names `what` it is, the file, and the way out.
    """
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{what} {str(path)!r} cannot be read: {error.strerror}. {way_out}") from error
    except ValueError as error:
        raise UsageError(f"{what} {str(path)!r} is not JSON: {error}. {way_out}") from error
    if not isinstance(data, dict) or data.get("schema_version") != version:
        raise UsageError(f"{what} {str(path)!r}: schema_version must be {version}. {way_out}")
    return data
