"""Where this package keeps what it may make again: the demo model and remembered answers."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["cache_folder", "is_network_file_system", "parse_mounts"]

NETWORK_TYPES = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse.sshfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4",
    "smb3", "smbfs", "virtiofs",
})  # fmt: skip


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


def is_network_file_system(folder: Path) -> bool:
    """Return whether a folder lies on a network file system; False where the system does not say."""
    try:
        mounts = Path("/proc/self/mountinfo").read_text(errors="replace")
    except OSError:
        return False
    return is_network_type(parse_mounts(mounts, folder.absolute()))


def is_network_type(kind: str) -> bool:
    """Return whether a file-system type is one that several machines write to."""
    return kind in NETWORK_TYPES or kind.startswith(("nfs", "fuse.gluster", "fuse.ceph", "fuse.s3", "fuse.rclone"))


def parse_mounts(mountinfo: str, folder: Path) -> str:
    """Return the file-system type under a folder, from the text of Linux' mountinfo; empty where none is named."""
    best, found = -1, ""
    for line in mountinfo.splitlines():
        left, dash, right = line.partition(" - ")
        fields = left.split()
        if not dash or len(fields) < 5 or not right.split():
            continue
        point = Path(fields[4].encode().decode("unicode_escape"))
        if folder.is_relative_to(point) and len(point.parts) >= best:
            best, found = len(point.parts), right.split()[0]
    return found
