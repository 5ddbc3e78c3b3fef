"""Where this package keeps files of its own, and whether that place is on a network."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

__all__ = ["answers_folder", "cache_folder", "file_system_type", "is_network_type", "on_network"]

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
    """Return this package's folder in the user's cache; LLMINVARIANCE_CACHE overrides it."""
    named = os.environ.get("LLMINVARIANCE_CACHE")
    if named:
        return Path(named)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "pytest-llminvariance"


def answers_folder(setting: str = "auto") -> Path | None:
    """Return the folder that keeps answers between sessions, or `None` where they are not kept.

    `auto` is what LLMINVARIANCE_ANSWERS says (off or a folder), else `answers` in `cache_folder`.
    """
    if setting == "auto":
        setting = os.environ.get("LLMINVARIANCE_ANSWERS") or "auto"
    if setting == "off":
        return None
    return cache_folder() / "answers" if setting == "auto" else Path(setting).expanduser()


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
