"""The cache of answers under several processes, and under processes that are killed at any moment."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from pytest_llminvariance.models.cache import AnswerCache
from tests.models import cache_worker
from tests.models.cache_worker import FINGERPRINT, batch

ROUNDS, AT_ONCE = 8, 3
"""24 kills for each kind of file system."""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")


def start(folder: Path, worker: str, kind: str, batches: int) -> subprocess.Popen[str]:
    command = [sys.executable, cache_worker.__file__, str(folder), worker, kind, str(batches)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def missing(folder: Path, kind: str, told: list[tuple[str, int]]) -> int:
    """Return how many answers that were told as stored are not there, or not what was stored."""
    with AnswerCache(folder, worker="reader", network=kind == "network") as cache:
        cache.persist(FINGERPRINT)
        wrong = 0
        for worker, number in told:
            answers = {**batch(worker, number), **batch("everybody", number)}
            cache.fetch(answers)
            wrong += sum(cache.get(key) != reply for key, reply in answers.items())
    return wrong


def check_files(folder: Path) -> int:
    files = sorted(folder.glob("answers*.sqlite"))
    for file in files:
        with closing(sqlite3.connect(file)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
                continue  # killed before it had made its tables
            (count,) = connection.execute("SELECT count(*) FROM answers").fetchone()
            assert connection.execute("SELECT total(entries) FROM models").fetchone() == (count,)
    assert not list(folder.glob("*.corrupt-*"))
    return len(files)


@pytest.mark.parametrize("kind", ["local", "network"])
def test_eight_processes_at_once(kind: str, tmp_path: Path) -> None:
    running = [start(tmp_path / "answers", f"w{n}", kind, 12) for n in range(8)]
    outputs = [process.communicate(timeout=120) for process in running]
    assert [errors for _, errors in outputs] == [""] * 8
    assert [told.splitlines()[-1] for told, _ in outputs] == ["trouble None"] * 8
    assert check_files(tmp_path / "answers") == (1 if kind == "local" else 8)
    told = [(f"w{n}", number) for n in range(8) for number in range(12)]
    assert missing(tmp_path / "answers", kind, told) == 0


@pytest.mark.parametrize("kind", ["local", "network"])
def test_a_process_killed_at_any_moment_loses_nothing_that_it_told(kind: str, tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []
    kills = 0
    for turn in range(ROUNDS):
        running = [start(tmp_path, f"t{turn}w{n}", kind, 0) for n in range(AT_ONCE)]
        for number, process in enumerate(running):
            assert process.stdout is not None
            # every other turn it is storing by then, else it may still be opening the file
            first = process.stdout.readline() if turn % 2 else ""
            time.sleep(0.007 * (turn + number) + (0 if turn % 2 else 0.1))
            process.kill()
            lines = [first, *process.communicate(timeout=60)[0].splitlines(keepends=True)]
            assert process.returncode == -9
            kills += 1
            finished = [line.split() for line in lines if line.endswith("\n")]
            told += [(worker, int(count)) for worker, count in finished]
    assert kills == ROUNDS * AT_ONCE
    assert len(told) >= kills // 2
    print(f"{kills} kills, {len(told)} batches told")
    assert missing(tmp_path, kind, told) == 0, "before anything else opens, and so repairs, the files"
    check_files(tmp_path)


def test_a_file_that_is_spoiled_under_running_processes_is_moved_once(tmp_path: Path) -> None:
    with AnswerCache(tmp_path, network=False) as cache:
        cache.persist(FINGERPRINT)
        for number in range(200):
            cache.store(dict(batch("before", number)))
    running = [start(tmp_path, f"w{n}", "local", 0) for n in range(3)]
    for process in running:
        assert process.stdout is not None
        process.stdout.readline()
    file = tmp_path / "answers.sqlite"
    with file.open("r+b") as stream:
        stream.write(b"\xff" * file.stat().st_size)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (list(tmp_path.glob("*.corrupt-1")) and file.exists()):
        time.sleep(0.05)
    assert list(tmp_path.glob("*.corrupt-1"))
    time.sleep(0.5)
    assert [process.poll() for process in running] == [None] * 3, "all go on"
    for process in running:
        process.kill()
        process.communicate(timeout=60)
    assert [path.name for path in tmp_path.glob("*.corrupt-?")] == ["answers.sqlite.corrupt-1"]
    with AnswerCache(tmp_path, network=False) as cache:
        assert cache.info().entries > 0
        assert cache.trouble is None
