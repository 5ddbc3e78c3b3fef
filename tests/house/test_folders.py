"""Where answers lie, and whether that is on a network file system."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pytest_llminvariance.files import answers_folder, cache_folder, file_system_type, is_network_type, on_network

MOUNTS = """\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
22 21 0:20 / /proc rw,nosuid - proc proc rw
40 21 0:30 / /home rw,relatime shared:7 master:1 - nfs4 server:/home rw,vers=4.2
41 40 8:2 / /home/local\\040disk rw - xfs /dev/sdb1 rw
42 21 0:31 / /scratch rw - lustre 10.0.0.1@tcp:/scratch rw
43 21 0:32 / /data rw - ext4 /dev/sdc1 rw
44 21 0:33 / /data rw - fuse.sshfs me@host:/data rw
45 21 0:34 / /usb rw - fuseblk /dev/sdd1 rw
46 21 0:35 /sub /mnt/tabs\\011and\\134slashes rw - cifs //server/share rw
broken line
47 21 0:36 / /cut rw
"""


@pytest.mark.parametrize(
    ("path", "kind", "network"),
    [
        ("/", "ext4", False),
        ("/var/cache", "ext4", False),
        ("/home", "nfs4", True),
        ("/home/me/.cache/answers", "nfs4", True),
        ("/homes/me", "ext4", False),
        ("/home/local disk/answers", "xfs", False),
        ("/home/local", "nfs4", True),
        ("/scratch/answers", "lustre", True),
        ("/data/answers", "fuse.sshfs", True),
        ("/usb/answers", "fuseblk", False),
        ("/mnt/tabs\tand\\slashes/x", "cifs", True),
        ("/cut/x", "ext4", False),
    ],
)
def test_the_longest_mount_point_and_the_last_of_equal_ones(path: str, kind: str, network: bool) -> None:
    assert file_system_type(path, MOUNTS) == kind
    assert is_network_type(kind) is network


def test_nothing_is_known_without_mounts() -> None:
    assert file_system_type("/home/me", "") == ""
    assert not is_network_type("")


@pytest.mark.parametrize(
    "kind",
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "lustre",
        "gpfs",
        "beegfs",
        "fuse.sshfs",
        "ceph",
        "9p",
        "afs",
        "glusterfs",
        "fuse.x",
    ],
)
def test_network_types(kind: str) -> None:
    assert is_network_type(kind)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "apfs", "ntfs3", "fuseblk"])
def test_local_types(kind: str) -> None:
    assert not is_network_type(kind)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts are read on Linux")
def test_a_link_to_the_network_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, link = tmp_path / "far", tmp_path / "near"
    target.mkdir()
    link.symlink_to(target)
    text = f"1 0 0:1 / / rw - ext4 x rw\n2 1 0:2 / {target.resolve()} rw - nfs4 s:/ rw\n"
    monkeypatch.setattr(Path, "read_text", lambda *_, **__: text)
    assert on_network(link / "answers")
    assert not on_network(tmp_path)


def test_without_mountinfo_it_is_local(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", refuse)
    assert not on_network(Path("/home"))


def test_what_auto_means(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMINVARIANCE_CACHE", str(tmp_path))
    assert answers_folder() is None, "these tests run with LLMINVARIANCE_ANSWERS=off"
    assert answers_folder("here") == Path("here")
    monkeypatch.setenv("LLMINVARIANCE_ANSWERS", str(tmp_path / "mine"))
    assert answers_folder() == tmp_path / "mine"
    assert answers_folder("off") is None
    monkeypatch.delenv("LLMINVARIANCE_ANSWERS")
    assert cache_folder() == tmp_path
    assert answers_folder() == tmp_path / "answers"
    assert answers_folder("~/x") == Path.home() / "x"


@pytest.mark.parametrize(
    ("platform", "variable", "tail"),
    [
        ("linux", "XDG_CACHE_HOME", "pytest-llminvariance"),
        ("win32", "LOCALAPPDATA", "pytest-llminvariance"),
        ("linux", None, ".cache/pytest-llminvariance"),
        ("darwin", None, "Library/Caches/pytest-llminvariance"),
    ],
)
def test_the_users_cache(
    platform: str, variable: str | None, tail: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LLMINVARIANCE_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path))
    assert cache_folder() == tmp_path / tail
