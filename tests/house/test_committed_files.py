"""Files that are committed beside a suite: written whole or not at all, read with a clear error."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance import Question, UsageError
from pytest_llminvariance.checks.holdout import new_holdout, read_holdout
from pytest_llminvariance.files import read_committed, write_committed
from pytest_llminvariance.plugin.risk import Collected, read_manifest, write_manifest
from tests.commands import llminvariance

BANK = [Question(f"Q{n}?", ["a", "b"]) for n in range(40)]


def full_disk(*_: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_openings_survive_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hold-out was written in place: a full disk, or Ctrl-C, left an empty file and lost the count of openings."""
    new_holdout(tmp_path / "h.json", 0.5, "salt")
    read_holdout(tmp_path / "h.json", is_open=True, session="1", today="2026-01-01").select(BANK, "f")
    before = (tmp_path / "h.json").read_bytes()
    assert b'"session": "1"' in before
    monkeypatch.setattr(os, "fsync", full_disk)
    second = read_holdout(tmp_path / "h.json", is_open=True, session="2", today="2026-01-02")
    with pytest.raises(
        UsageError, match=r"^hold-out '.*h\.json' cannot be written: No space left .* name another place$"
    ):
        second.select(BANK, "f")
    assert (tmp_path / "h.json").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} <= {"h.json", "h.json.lock"}


def test_a_manifest_survives_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So was the manifest of `llminvariance plan`."""
    path = tmp_path / "m.json"
    write_manifest(path, [Collected("b", uses_model=True), Collected("a", uses_model=False)])
    assert list(read_manifest(path).items()) == [("a", 0.1), ("b", 1.0)]
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(UsageError, match=r"manifest .* cannot be written: No space left"):
        write_manifest(path, [Collected("c", uses_model=True)])
    assert path.read_bytes() == before
    assert [path.name] == os.listdir(tmp_path)


@pytest.mark.parametrize("command", ["plan", "holdout"])
def test_a_place_that_is_not_there_is_bad_usage(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ended in a traceback."""
    from pytest_llminvariance.plugin import collecting

    found = collecting.Found((Collected("a", uses_model=True),), tmp_path / "unused.json")
    monkeypatch.setattr(collecting, "collect_tests", lambda _: found)
    done = llminvariance([command, "--out", str(tmp_path / "nowhere" / "x.json")])
    assert done.exit_code == 2
    assert "cannot be written: No such file or directory. Make its folder writable" in done.stderr


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[1]", "schema_version must be 1"),
        (b'{"schema_version": 2}', "schema_version must be 1"),
        (None, "cannot be read: No such file"),
    ],
)
def test_what_is_no_file_of_ours_is_named(data: bytes | None, words: str, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(UsageError, match=rf"thing '.*x\.json'.*{words}.*Begin again"):
        read_committed(path, "thing", 1, "Begin again")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    write_committed(tmp_path / "x.json", "thing", {"schema_version": 1, "ä": ["b"]})
    assert read_committed(tmp_path / "x.json", "thing", 1, "") == {"schema_version": 1, "ä": ["b"]}
