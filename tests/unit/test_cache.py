"""Answers on disk: the same back, never another's, safe against kills, damage, full disks and many workers."""

from __future__ import annotations

import json
import math
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from pytest_llminvariance import Layout, Presentation, Question, Template
from pytest_llminvariance.cache import AnswerCache, CacheWarning, answer_key, clear, decode, encode, info
from pytest_llminvariance.cli import app
from pytest_llminvariance.engine import Key, ask
from pytest_llminvariance.folders import is_network_type, parse_mounts
from pytest_llminvariance.models.protocol import (
    LabelReply,
    LabelRequest,
    MissingReply,
    OptionReply,
    OptionRequest,
    Reply,
    TextReply,
    TextRequest,
)

QUESTION = Question("Which one?", ["red", "blue", "green"])
REPLY = LabelReply((-0.5, -1.5, -math.inf), "ab12", 7)


def key(n: int = 0, fingerprint: str = "f" * 64) -> Key:
    return ("model", fingerprint, LabelRequest(Presentation(Question(f"Which is {n}?", ["red", "blue"]))))


def stored(folder: Path, keys: list[Key], **settings: Any) -> list[Key]:
    """Return which keys a fresh session finds on disk."""
    cache = AnswerCache(folder, **settings)
    cache.fetch(keys, durable=True)
    found = [k for k in keys if k in cache]
    cache.close()
    return found


FLOATS = st.floats(max_value=0, allow_nan=False)
REPLIES = st.one_of(
    st.builds(LabelReply, st.lists(FLOATS).map(tuple), st.text(), st.integers(0, 10**6)),
    st.lists(st.tuples(FLOATS, st.integers(1, 99))).flatmap(
        lambda rows: st.builds(
            OptionReply, st.just(tuple(a for a, _ in rows)), st.just(tuple(b for _, b in rows)), st.text(), st.just(3)
        )
    ),
    st.builds(TextReply, st.text(), st.text(), st.integers(0, 10**6)),
)


@given(REPLIES)
def test_a_reply_comes_back_as_it_was(reply: Reply) -> None:
    text = encode(reply)
    assert text is not None
    assert decode(text) == reply


@pytest.mark.parametrize(
    "text",
    ["", "{}", "[]", "null", '{"kind": "label"}', '{"kind": "label", "logprobs_nats": "x", "sent_sha256": "", "n_tokens": 1}',
     '{"kind": "option", "logprobs_nats": [1], "option_tokens": [], "sent_sha256": "", "n_tokens": 1}',
     '{"kind": "other", "sent_sha256": "", "n_tokens": 1}'],
)  # fmt: skip
def test_what_is_no_reply_is_absent(text: str) -> None:
    assert decode(text) is None


def test_a_second_session_finds_the_answers(tmp_path: Path) -> None:
    first = AnswerCache(tmp_path)
    first.store({key(n): REPLY for n in range(1_200)}, durable=True)
    first.close()
    second = AnswerCache(tmp_path)
    second.fetch([key(n) for n in range(1_300)], durable=True)
    assert sum(key(n) in second for n in range(1_300)) == 1_200
    assert second[key(3)] == REPLY
    assert second.hits == 1_200


def test_missing_answers_and_those_of_other_models_stay_in_memory(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path / "new")
    cache.store({key(1): REPLY}, durable=False)
    assert not (tmp_path / "new").exists()  # nothing durable, no file
    cache.store({key(2): MissingReply("time-out"), key(3): REPLY}, durable=True)
    assert cache[key(1)] == REPLY
    assert cache[key(2)] == MissingReply("time-out")
    cache.close()
    assert stored(tmp_path / "new", [key(1), key(2), key(3)]) == [key(3)]


SHOWN = Presentation(QUESTION)
DIFFERENT = {
    "as it is": LabelRequest(SHOWN),
    "another order": LabelRequest(SHOWN.replace(order=(1, 0, 2))),
    "other labels": LabelRequest(SHOWN.replace(labels=("1", "2", "3"))),
    "another template": LabelRequest(Presentation(QUESTION, template=Template("{stem}\n{options}\nSay:"))),
    "a system message": LabelRequest(
        Presentation(QUESTION, template=Template("{stem}\n{options}", system="Be short."))
    ),
    "another layout": LabelRequest(SHOWN.replace(layout=Layout(enumerator="({label}) "))),
    "another readout": OptionRequest(SHOWN),
    "a text": TextRequest(SHOWN),
    "a longer text": TextRequest(SHOWN, max_new_tokens=33),
}


def test_whatever_changes_an_answer_changes_the_key() -> None:
    keys = {name: answer_key("f", request) for name, request in DIFFERENT.items()}
    assert len(set(keys.values())) == len(keys)
    assert answer_key("g", LabelRequest(SHOWN)) != keys["as it is"]


def test_a_sampled_request_has_a_key_for_every_draw() -> None:
    import dataclasses

    @dataclasses.dataclass(frozen=True)
    class Sampled(TextRequest):
        seed: int = 0
        index: int = 0

    draws = [Sampled(SHOWN, seed=seed, index=index) for seed in range(3) for index in range(4)]
    assert len({answer_key("f", draw) for draw in draws}) == 12


def test_equal_prompts_share_an_answer_whatever_their_question_is_called(tmp_path: Path) -> None:
    one, other = (LabelRequest(Presentation(Question("Which one?", ["red", "blue"], id=name))) for name in "ab")
    cache = AnswerCache(tmp_path)
    cache.store({("m", "f", one): REPLY}, durable=True)
    cache.close()
    assert stored(tmp_path, [("m", "f", one), ("m", "f", other)]) == [("m", "f", one), ("m", "f", other)]


def test_the_least_recently_used_answers_go_first(tmp_path: Path) -> None:
    for part in range(4):
        cache = AnswerCache(tmp_path)
        cache.store({key(n): REPLY for n in range(500 * part, 500 * part + 500)}, durable=True)
        cache.fetch([key(n) for n in range(500)], durable=True)  # the first ones are used every time
        cache.close()
    size = info(tmp_path).n_bytes
    cache = AnswerCache(tmp_path, max_bytes=size // 2)
    cache.fetch([key(n) for n in range(500)], durable=True)
    cache.close()
    left = {k[2].presentation.question.stem for k in stored(tmp_path, [key(n) for n in range(2_000)])}
    assert info(tmp_path).n_bytes <= size // 2
    assert {f"Which is {n}?" for n in range(500)} <= left
    assert 500 < len(left) < 1_200
    assert "Which is 600?" not in left


@pytest.mark.parametrize("damage", ["garbage", "cut off", "another table"])
def test_a_damaged_file_is_moved_aside_and_begun_anew(tmp_path: Path, damage: str) -> None:
    cache = AnswerCache(tmp_path)
    cache.store({key(n): REPLY for n in range(3_000)}, durable=True)
    cache.close()
    file = tmp_path / "answers.sqlite"
    if damage == "garbage":
        file.write_bytes(b"no database" * 1_000)
    elif damage == "cut off":
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    else:
        file.unlink()
        sqlite3.connect(file).execute("create table answers (x)").connection.commit()

    def session() -> None:
        cache = AnswerCache(tmp_path)
        cache.fetch([key(n) for n in range(3_000)], durable=True)
        cache.store({key(1): REPLY}, durable=True)
        assert cache[key(1)] == REPLY
        cache.close()

    with pytest.warns(CacheWarning, match=r"is damaged .* moved to answers.sqlite.corrupt-1"):
        session()
    session()  # where a cut showed only when the lost part was read, the file is begun anew now
    assert stored(tmp_path, [key(1)]) == [key(1)]


@pytest.mark.skipif(os.name == "nt", reason="folders are not read-only there")
def test_a_folder_that_cannot_be_written_leaves_answers_in_memory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    cache = AnswerCache(tmp_path / "file" / "below")
    with pytest.warns(CacheWarning, match="answers cannot be remembered in .* They stay in memory"):
        cache.store({key(1): REPLY}, durable=True)
    with warnings.catch_warnings(record=True) as more:
        cache.store({key(2): REPLY}, durable=True)
    assert cache[key(2)] == REPLY
    assert not more


def test_a_cache_that_fails_raises_nothing_where_warnings_are_errors(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    cache = AnswerCache(tmp_path / "file" / "below")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.store({key(1): REPLY}, durable=True)
    assert cache[key(1)] == REPLY


def test_a_disk_that_is_full_fails_no_test(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path)
    cache.store({key(0): REPLY}, durable=True)
    assert cache._store is not None
    cache._store._connection.execute("pragma max_page_count = 1")
    with pytest.warns(CacheWarning, match="full"):
        cache.store({key(n): REPLY for n in range(5_000)}, durable=True)
    cache.store({key(9_999): REPLY}, durable=True)
    assert cache[key(4_999)] == REPLY
    cache.close()


WRITER = """
import sys, time
from pathlib import Path
from tests.unit.test_cache import REPLY, key
from pytest_llminvariance.cache import AnswerCache
cache = AnswerCache(Path(sys.argv[1]), network=sys.argv[4] == "network", worker=sys.argv[2])
first, step = int(sys.argv[2]), 7
for n in range(first, first + int(sys.argv[3]), step):
    cache.store({key(m): REPLY for m in range(n, n + step)}, durable=True)
    print(n + step, flush=True)
cache.close()
"""


def writer(folder: Path, first: int, count: int, mode: str = "local") -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, str(folder), str(first), str(count), mode]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)


def sound(folder: Path) -> bool:
    return all(
        sqlite3.connect(file).execute("pragma integrity_check").fetchone() == ("ok",)
        for file in folder.glob("*.sqlite")
    )


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL there")
def test_a_killed_process_loses_no_answer_that_it_had_stored(tmp_path: Path) -> None:
    expected: list[Key] = []
    for round_ in range(12):
        pair = [writer(tmp_path, 100_000 * (2 * round_ + n), 100_000) for n in range(2)]
        for process in pair:
            assert process.stdout is not None
            assert process.stdout.readline()  # it has begun to write
        time.sleep(0.01 * round_)
        for number, process in enumerate(pair):
            process.send_signal(signal.SIGKILL)
            lines = process.communicate()[0].split("\n")
            done = max((int(line) for line in lines[:-1] if line), default=None)
            begin = 100_000 * (2 * round_ + number)
            expected += [key(n) for n in range(begin, done or begin + 7)]
    assert sound(tmp_path)
    assert stored(tmp_path, expected) == expected
    assert len(expected) >= 24 * 7


@pytest.mark.parametrize("mode", ["local", "network"])
def test_eight_processes_at_once(tmp_path: Path, mode: str) -> None:
    processes = [writer(tmp_path, 10_000 * n, 350, mode) for n in range(8)]
    assert all(process.communicate(timeout=120)[0] for process in processes)
    assert [process.returncode for process in processes] == [0] * 8
    keys = [key(10_000 * n + m) for n in range(8) for m in range(350)]
    assert stored(tmp_path, keys, network=mode == "network") == keys
    assert len(list(tmp_path.glob("*.sqlite"))) == (1 if mode == "local" else 9)
    assert sound(tmp_path)


def test_readers_and_writers_in_threads(tmp_path: Path) -> None:
    def work(n: int) -> int:
        cache = AnswerCache(tmp_path)
        cache.store({key(10 * n + m): REPLY for m in range(10)}, durable=True)
        cache.fetch([key(m) for m in range(80)], durable=True)
        cache.close()
        return cache.hits

    with ThreadPoolExecutor(8) as threads:
        assert max(threads.map(work, range(8))) <= 70
    assert len(stored(tmp_path, [key(m) for m in range(80)])) == 80


MOUNTS = """\
22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/root rw
40 22 0:35 / /home rw shared:20 - nfs4 server:/home rw,vers=4.2
41 40 259:9 / /home/me/local\\040disk rw shared:21 - xfs /dev/nvme1 rw
42 22 0:40 / /scratch rw - lustre mds:/fs rw
broken line
"""


@pytest.mark.parametrize(
    ("folder", "kind", "network"),
    [
        ("/var/cache", "ext4", False),
        ("/home/me/.cache", "nfs4", True),
        ("/home/me/local disk/cache", "xfs", False),
        ("/homestead", "ext4", False),
        ("/scratch/x", "lustre", True),
    ],
)
def test_network_file_systems_are_known_by_the_longest_mount(folder: str, kind: str, network: bool) -> None:
    found = parse_mounts(MOUNTS, Path(folder))
    assert found == kind
    assert is_network_type(found) is network


def test_the_engine_stores_every_pass_before_the_next(tmp_path: Path) -> None:
    class Breaking:
        name, fingerprint, capabilities, cacheable = "breaking", "b" * 64, frozenset({"label"}), True

        def answer(self, requests: Any) -> list[Reply]:
            raise AssertionError

        def answers(self, requests: Any) -> Any:
            yield [(0, REPLY)]
            assert stored(tmp_path, [("breaking", "b" * 64, requests[0])])
            raise KeyboardInterrupt

    requests = [key(n)[2] for n in range(3)]
    with pytest.raises(KeyboardInterrupt):
        ask(Breaking(), requests, AnswerCache(tmp_path))  # type: ignore[arg-type]


def test_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMINVARIANCE_CACHE", str(tmp_path))
    run = CliRunner().invoke
    folder = run(app, ["cache", "path"]).output.strip().replace("\n", "")
    assert Path(folder).parent == tmp_path
    assert "answers  0 in 0 files" in run(app, ["cache", "info"]).output
    cache = AnswerCache(Path(folder))
    cache.store({key(n): REPLY for n in range(5)}, durable=True)
    cache.store({key(1, "e" * 64): REPLY}, durable=True)
    cache.close()
    shown = run(app, ["cache", "info"]).output
    assert "answers  6 in 1 file\n" in shown
    assert "model    ffffffffffffffff  5 answers" in shown
    assert run(app, ["cache", "clear"], input="n\n").exit_code == 1
    assert info(Path(folder)).answers == 6
    assert "deleted 6 answers" in run(app, ["cache", "clear", "--yes"]).output
    assert info(Path(folder)).answers == 0
    assert clear(Path(folder)) == 0


def test_nothing_is_pickled() -> None:
    package = Path(__file__).parents[2] / "pytest_llminvariance"
    for file in package.rglob("*.py"):
        words = file.read_text()
        assert not any(word in words for word in ("import pickle", "import shelve", "import marshal", "torch.load("))


def test_what_is_stored_is_json_and_private_to_nobody(tmp_path: Path) -> None:
    cache = AnswerCache(tmp_path)
    cache.store({key(): REPLY}, durable=True)
    cache.close()
    file = tmp_path / "answers.sqlite"
    (text,) = sqlite3.connect(file).execute("select answer from answers").fetchone()
    assert json.loads(text)["kind"] == "label"
    assert stat.S_ISREG(file.stat().st_mode)
