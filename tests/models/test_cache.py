"""The cache of answers: what comes back is what was stored, and nothing that goes wrong reaches a check."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import gc
import itertools
import json
import math
import os
import sqlite3
import tempfile
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_llminvariance import Presentation, Question, UsageError, controls, symmetrized
from pytest_llminvariance.checks.run import run
from pytest_llminvariance.models.cache import AnswerCache, AnswerCacheWarning
from pytest_llminvariance.models.cache_file import AnswerFile
from pytest_llminvariance.models.cache_rows import FORMAT, decoded, encoded, row_key
from pytest_llminvariance.models.engine import ask
from pytest_llminvariance.models.keys import Key
from pytest_llminvariance.models.protocol import (
    Capability,
    LabelReply,
    LabelRequest,
    MissingReply,
    OptionReply,
    OptionRequest,
    Reply,
    Request,
    TextReply,
    TextRequest,
)
from pytest_llminvariance.questions.labels import same_form
from pytest_llminvariance.questions.template import Layout
from tests.commands import llminvariance

F = "fingerprint"
Items = dict[Key, Reply]


def label(n: int = 0, options: Sequence[str] = ("yes", "no")) -> LabelRequest:
    return LabelRequest(Presentation(Question(f"stem {n}?", options)))


def items(numbers: Sequence[int], fingerprint: str = F) -> Items:
    return {Key("model", fingerprint, label(n)): LabelReply((-n / 3, -math.inf), f"sent {n}", n) for n in numbers}


def opened(folder: Path, **arguments: Any) -> AnswerCache:
    cache = AnswerCache(folder, **{"network": False, **arguments})
    cache.persist(F)
    return cache


def filled(folder: Path, numbers: Sequence[int] = range(5)) -> Items:
    answers = items(numbers)
    with opened(folder) as cache:
        cache.store(answers)
    return answers


@pytest.fixture(autouse=True)
def warnings_are_shown() -> Iterator[None]:
    """As errors they would be swallowed by the cache, which fails no test, and go unseen here."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", AnswerCacheWarning)
        yield


# what comes back

numbers = st.floats(max_value=0, allow_nan=False) | st.just(-math.inf)
tokens = st.integers(0, 10**6)


@st.composite
def answered(draw: st.DrawFn) -> tuple[Request, Reply]:
    options = draw(st.lists(st.text("abcdeé ", min_size=1, max_size=5).map(str.strip).filter(bool), min_size=2, max_size=5, unique_by=lambda text: same_form(text.casefold())))  # fmt: skip
    shown = Presentation(Question(draw(st.text("ab?\n\"'é", min_size=1).filter(str.strip)), options))
    k, sent, n = len(options), draw(st.text()), draw(tokens)
    values = tuple(draw(st.lists(numbers, min_size=k, max_size=k)))
    kind = draw(st.sampled_from(["label", "option", "text"]))
    if kind == "label":
        return LabelRequest(shown), LabelReply(values, sent, n)
    if kind == "text":
        return TextRequest(shown, draw(st.integers(1, 99))), TextReply(draw(st.text()), sent, n)
    lengths = tuple(draw(st.lists(st.integers(1, 50), min_size=k, max_size=k)))
    return OptionRequest(shown), OptionReply(values, lengths, sent, n)


@settings(max_examples=40, deadline=None)  # each opens a file twice
@given(st.lists(answered(), max_size=6), st.text(max_size=3))
def test_what_was_stored_comes_back_exactly(pairs: list[tuple[Request, Reply]], fingerprint: str) -> None:
    stored: Items = {Key("name", fingerprint, request): reply for request, reply in pairs}
    with tempfile.TemporaryDirectory() as folder:
        for written in (True, False):
            with AnswerCache(folder, network=False) as cache:
                cache.persist(fingerprint)
                if written:
                    cache.store(stored)
                cache.fetch(stored)
                assert dict(cache) == stored
                assert repr(dict(cache)) == repr(stored), "0.0 is not -0.0, and 1 is not True"
                assert cache.trouble is None
        assert cache.recalled == len(stored)


def test_it_is_a_mapping(tmp_path: Path) -> None:
    known = filled(tmp_path)
    key = next(iter(known))
    with opened(tmp_path) as cache:
        assert len(cache) == 0
        assert key in cache
        assert cache[key] == known[key]
        assert list(cache) == [key]
        absent = next(iter(items([99])))
        assert absent not in cache
        assert cache.get(absent) is None
        cache[absent] = LabelReply((0.0, -1.0), "s")
        assert cache.pop(absent) == LabelReply((0.0, -1.0), "s")
        del cache[key]
        assert key not in cache
    with opened(tmp_path) as cache:
        assert key not in cache
        assert absent not in cache
        assert cache.info().entries == len(known) - 1


def test_the_name_of_a_model_does_not_matter_the_fingerprint_does(tmp_path: Path) -> None:
    (key, reply), *_ = filled(tmp_path).items()
    with opened(tmp_path) as cache:
        cache.persist("other")
        assert cache[Key("renamed", F, key.request)] == reply
        assert Key("model", "other", key.request) not in cache


def test_missing_answers_and_models_that_do_not_say_so_are_not_kept(tmp_path: Path) -> None:
    missing: Items = {Key("m", F, label(1)): MissingReply("time-out")}
    with opened(tmp_path) as cache:
        cache.store(missing)
        cache.store(items([2], "not cacheable"))
        assert len(cache) == 2, "both are remembered for the session"
        assert not list(tmp_path.iterdir()), "and no file was made"
    with opened(tmp_path) as cache:
        assert next(iter(missing)) not in cache
        cache.persist("not cacheable")
        assert next(iter(items([2], "not cacheable"))) not in cache


def test_many_are_fetched_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = filled(tmp_path, range(1201))
    with opened(tmp_path) as cache:
        cache.fetch([*known, *known, *items([5000])])
        monkeypatch.setattr(cache._file, "read", None)  # from here on nothing is read
        assert [cache[key] for key in known] == list(known.values())
        assert next(iter(items([5000]))) not in cache
        assert cache.recalled == 1201


def test_what_another_process_stored_in_the_meantime_is_found(tmp_path: Path) -> None:
    with opened(tmp_path) as one, opened(tmp_path) as two:
        key, reply = next(iter(items([1]).items()))
        one.fetch([key])
        assert key not in one
        two.store({key: reply})
        one.fetch([key])
        assert one[key] == reply


# keys


@dataclass(frozen=True)
class Sampled:
    """What a sampled answer may be asked with in a later version."""

    presentation: Presentation
    seed: int
    index: int
    temperature: float
    capability: ClassVar[str] = "text"

    @property
    def messages(self) -> Any:
        return self.presentation.render()


SHOWN = Presentation(Question("Which?", ["red", "blue", "green"]))
DIFFERENT: dict[str, Any] = {
    "label": LabelRequest(SHOWN),
    "option": OptionRequest(SHOWN),
    "text": TextRequest(SHOWN),
    "longer": TextRequest(SHOWN, 33),
    "order": LabelRequest(SHOWN.replace(order=(1, 0, 2))),
    "labels": LabelRequest(SHOWN.replace(labels=("1", "2", "3"))),
    "layout": LabelRequest(SHOWN.replace(layout=Layout("({label}) "))),
    "template": LabelRequest(SHOWN.replace(template="{stem} {options}")),
    "stem": LabelRequest(Presentation(Question("Which one?", ["red", "blue", "green"]))),
    "draw": Sampled(SHOWN, 0, 0, 1.0),
    "another draw": Sampled(SHOWN, 0, 1, 1.0),
    "another seed": Sampled(SHOWN, 1, 0, 1.0),
    "hotter": Sampled(SHOWN, 0, 0, 1.5),
}


def test_whatever_can_change_the_answer_changes_the_key() -> None:
    keys = {name: row_key(F, request) for name, request in DIFFERENT.items()}
    assert None not in keys.values()
    assert len(set(keys.values())) == len(DIFFERENT)
    assert {row_key("other", request) for request in DIFFERENT.values()}.isdisjoint(keys.values())


def test_what_the_model_never_sees_does_not_change_the_key() -> None:
    named = Presentation(Question("Which?", ["red", "blue", "green"], id="q1", answer=1))
    assert row_key(F, LabelRequest(named)) == row_key(F, LabelRequest(SHOWN))


def test_labels_that_are_not_in_the_prompt_count_too() -> None:
    bare = {"template": "{stem}\n{options}", "layout": Layout("- ")}
    one, two = SHOWN.replace(**bare), SHOWN.replace(**bare, labels=("x", "y", "z"))
    assert one.render() == two.render()
    assert row_key(F, LabelRequest(one)) != row_key(F, LabelRequest(two))


def test_a_key_is_the_same_in_every_process() -> None:
    known = row_key(F, DIFFERENT["label"])
    assert known is not None
    assert known.hex() == "d6e467e974addd39792226c3e3572b34c56f5c20ba75e1bc99aaa98cf3e67ac5", (
        "whoever changes keys counts FORMAT up and writes the new key here"
    )


def test_a_request_that_cannot_be_written_has_no_key(tmp_path: Path) -> None:
    odd: Any = Sampled(SHOWN, 0, 0, object())  # type: ignore[arg-type]
    assert row_key(F, odd) is None
    with opened(tmp_path) as cache:
        cache.store({Key("m", F, odd): TextReply("a", "s")})
        assert cache[Key("m", F, odd)] == TextReply("a", "s")
        assert cache.trouble is None
    assert not list(tmp_path.iterdir())


# damage

GOOD = json.dumps({"kind": "label", "logprobs_nats": [-1.0, -2.0], "sent_sha256": "s", "n_tokens": 3, "unlisted": 0.0})


def test_the_good_row_is_read() -> None:
    assert decoded(label(), GOOD) == LabelReply((-1.0, -2.0), "s", 3)


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "null", "[]", "3", '"text"', "\udcff", b"\xff\xfe", b"", GOOD[:-1], GOOD + "}", "[" * 100_000,
        GOOD.replace("label", "option"), GOOD.replace('"label"', '"new"'), GOOD.replace('"label"', "null"),
        GOOD.replace("[-1.0, -2.0]", "[-1.0]"), GOOD.replace("[-1.0, -2.0]", "[-1.0, -2.0, -3.0]"),
        GOOD.replace("-2.0", "NaN"), GOOD.replace("-2.0", '"-2.0"'), GOOD.replace("-2.0", "null"),
        GOOD.replace("-2.0", "true"), GOOD.replace("[-1.0, -2.0]", "null"), GOOD.replace("[-1.0, -2.0]", "{}"),
        GOOD.replace('"s"', "7"), GOOD.replace("3,", "null,"), GOOD.replace("3,", "true,"),
        GOOD.replace("0.0}", "null}"), GOOD.replace("0.0}", "NaN}"), GOOD.replace("0.0}", "-0.5}"), GOOD.replace("0.0}", '"0"}'),
        GOOD.replace('"n_tokens"', '"tokens"'), GOOD.replace("{", '{"more": 1, '),
    ],
)  # fmt: skip
def test_a_damaged_row_is_absent(text: str | bytes) -> None:
    assert decoded(label(), text) is None


@pytest.mark.parametrize("lengths", ["[1]", "[1, 0]", "[1, 2.0]", "[1, true]", "null", "[1, 2, 3]"])
def test_damaged_token_counts_are_absent(lengths: str) -> None:
    text = json.dumps(
        {"kind": "option", "logprobs_nats": [-1.0, -2.0], "option_tokens": [1, 1], "sent_sha256": "s", "n_tokens": 3}
    )
    request = OptionRequest(label().presentation)
    assert decoded(request, text) is not None
    assert decoded(request, text.replace("[1, 1]", lengths)) is None


@pytest.mark.parametrize(
    "reply",
    [
        LabelReply((-1.0,), "s"), LabelReply((math.nan, -1.0), "s"), TextReply("a", "s"), MissingReply("why"),
        LabelReply((object(), -1.0), "s"), LabelReply([-1.0, -2.0], "s"),  # type: ignore[arg-type]
    ],
)  # fmt: skip
def test_what_would_not_come_back_equal_is_not_written(reply: Reply) -> None:
    assert encoded(label(), reply) is None


@pytest.mark.parametrize("damage", ["'{'", "x'fffe'", "CAST(x'ff' AS TEXT)", "7", "zeroblob(9)", "'null'"])
def test_a_damaged_row_is_asked_again_and_replaced(damage: str, tmp_path: Path) -> None:
    known = filled(tmp_path)
    with closing(sqlite3.connect(tmp_path / "answers.sqlite")) as connection, connection:
        connection.execute(f"UPDATE answers SET reply = {damage}")
    with opened(tmp_path) as cache:
        cache.fetch(known)
        assert len(cache) == 0
        cache.store(known)
        assert cache.trouble is None
    with opened(tmp_path) as cache:
        cache.fetch(known)
        assert dict(cache) == known
        assert cache.info().entries == len(known)


def spoil(file: Path, how: str) -> None:
    data = file.read_bytes()
    file.write_bytes(
        {
            "garbage": b"this is no database at all" * 100,
            "head": b"\x00" * 100 + data[100:],
            "cut": data[: len(data) // 2],
            "middle": data[:4096] + b"\xff" * (len(data) - 4096),
            "short": data[:50],
        }[how]
    )


@pytest.mark.parametrize("how", ["garbage", "head", "cut", "middle", "short"])
@pytest.mark.parametrize("first", ["fetch", "store", "info"])
def test_a_corrupt_file_is_moved_aside(first: str, how: str, tmp_path: Path) -> None:
    known = filled(tmp_path, range(400))
    spoil(tmp_path / "answers.sqlite", how)
    with opened(tmp_path) as cache:
        does: dict[str, Callable[[], object]] = {
            "fetch": lambda: cache.fetch(known),
            "store": lambda: cache.store(items(range(400, 1200))),
            "info": lambda: cache.info(),
        }
        with pytest.warns(AnswerCacheWarning, match=r"answers.sqlite is damaged .* moved to answers.sqlite.corrupt-1"):
            does[first]()
        cache.store(known)
        assert cache.trouble is None
    assert (tmp_path / "answers.sqlite.corrupt-1").exists()
    with opened(tmp_path) as cache:
        cache.fetch(known)
        assert dict(cache) == known


def test_each_corrupt_file_gets_a_number_and_clear_removes_them(tmp_path: Path) -> None:
    for number in (1, 2):
        filled(tmp_path)
        spoil(tmp_path / "answers.sqlite", "garbage")
        with opened(tmp_path) as cache, pytest.warns(AnswerCacheWarning, match=f"corrupt-{number}"):
            cache.fetch(items([1]))
    with opened(tmp_path) as cache:
        cache.clear()
    assert not list(tmp_path.glob("*.corrupt-*"))


def test_a_disk_that_spoils_every_file_is_left_alone(tmp_path: Path) -> None:
    with opened(tmp_path) as cache, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for number in range(6):
            cache.store(items([number]))
            cache._file.close()
            if (tmp_path / "answers.sqlite").exists():
                spoil(tmp_path / "answers.sqlite", "garbage")
    assert [str(warning.message)[:30] for warning in told if "not kept" in str(warning.message)] != []
    assert len(told) == 4, "three files, and that it is given up"
    assert len(cache) == 6


# nowhere to write


def only_remembers(cache: AnswerCache) -> None:
    known = items(range(3))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        cache.fetch(known)
        cache.store(known)
        cache.store(items([7]))
        assert [cache[key] for key in known] == list(known.values())
        cache.close()
        cache.fetch(known)
    assert len(told) == 1
    assert "are not kept in" in str(told[0].message)
    assert cache.trouble


def test_a_folder_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    only_remembers(opened(tmp_path / "file"))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a place where nobody can write")
def test_a_folder_that_cannot_be_made() -> None:
    only_remembers(opened(Path("/proc/self/answers")))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only(tmp_path: Path) -> None:
    filled(tmp_path)
    tmp_path.chmod(0o500)
    try:
        only_remembers(opened(tmp_path))
    finally:
        tmp_path.chmod(0o700)


def test_a_file_that_is_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path, [50])
    connect = sqlite3.connect

    def read_only(path: Path, **arguments: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(f"{path.as_uri()}?mode=ro", uri=True, **arguments)
        return connection

    monkeypatch.setattr(sqlite3, "connect", read_only)
    only_remembers(opened(tmp_path))


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    known = items(range(500))
    cache.store(items([5000]))
    cache._file._open().execute("PRAGMA max_page_count = 9")
    with pytest.warns(AnswerCacheWarning, match="database or disk is full"):
        cache.store(known)
    cache.store(items([5001]))
    assert [cache[key] for key in known] == list(known.values())
    cache.close()
    with opened(tmp_path) as cache:
        assert next(iter(items([5000]))) in cache
        assert cache.info().entries == 1, "of the batch that did not fit nothing was written"


def test_an_error_of_the_operating_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "mkdir", refuse)
    only_remembers(opened(tmp_path))


def test_under_warnings_as_errors_nothing_is_raised(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache = opened(tmp_path / "file")
        cache.store(items([1]))
    assert cache.trouble


def test_a_file_that_others_hold_for_ever_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_llminvariance.models.cache_file.BUSY_S", 0.05)
    filled(tmp_path)
    with closing(sqlite3.connect(tmp_path / "answers.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        cache = opened(tmp_path)
        with pytest.warns(AnswerCacheWarning, match="database is locked"):
            cache.store(items([9]))
        assert next(iter(items([9]))) in cache


def test_a_file_that_others_hold_for_a_while_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path)
    cache = opened(tmp_path)
    cache.fetch(items([9]))
    cache._file._open().execute("PRAGMA busy_timeout = 1")
    with closing(sqlite3.connect(tmp_path / "answers.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        pauses: list[float] = []

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 3:
                other.execute("COMMIT")

        monkeypatch.setattr("pytest_llminvariance.models.cache_file.time.sleep", sleep)
        cache.store(items([9]))
    assert len(pauses) == 3
    assert cache.trouble is None
    cache.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_after_a_fork_both_go_on(tmp_path: Path) -> None:
    cache = opened(tmp_path)
    cache.store(items([1]))
    child = os.fork()
    if child == 0:
        cache.store(items([2]))
        cache.close()
        os._exit(0 if cache.trouble is None else 1)
    assert os.waitpid(child, 0)[1] == 0
    cache.store(items([3]))
    cache.close()
    with opened(tmp_path) as cache:
        cache.fetch(items([1, 2, 3]))
        assert dict(cache) == items([1, 2, 3])


# the bound


def test_the_oldest_go_first(tmp_path: Path) -> None:
    now = 0.0

    def store(turn: int, bound: int) -> int:
        nonlocal now
        now += 1
        with opened(tmp_path, max_bytes=bound, clock=lambda: now) as cache:
            cache.store(items(range(100 * turn, 100 * turn + 100)))
            return cache.info().entries

    counts = [store(turn, 2**30) for turn in range(10)]
    assert counts == list(range(100, 1001, 100))
    now += 1
    with opened(tmp_path, clock=lambda: now) as cache:
        cache.fetch(items(range(100)))  # used again, so not the oldest any more
    entries = store(10, 150_000)
    assert 200 < entries < 1000
    with opened(tmp_path) as cache:
        kept = [n for n in range(1100) if next(iter(items([n]))) in cache]
    assert len(kept) == entries
    assert set(range(100)) <= set(kept), "what was used lately stays"
    assert set(range(1000, 1100)) <= set(kept), "and the newest"
    assert min(kept[100:]) >= 1000 - (entries - 200) - 100, "what goes is the oldest"


def test_the_file_stays_below_the_bound(tmp_path: Path) -> None:
    bound = 500_000
    sizes = []
    with opened(tmp_path, max_bytes=bound) as cache:
        for turn in range(80):
            cache.store(items(range(100 * turn, 100 * turn + 100)))
            sizes.append((tmp_path / "answers.sqlite").stat().st_size)
        entries = cache.info().entries
    assert max(sizes) <= bound
    assert bound / 2 <= (tmp_path / "answers.sqlite").stat().st_size
    assert entries < 8000
    assert len(cache) == 8000, "the session itself forgets nothing"


def test_eviction_goes_down_to_nine_tenths_and_not_on_every_write(tmp_path: Path) -> None:
    with opened(tmp_path, max_bytes=300_000) as cache:
        counts = []
        for turn in range(200):
            cache.store(items(range(20 * turn, 20 * turn + 20)))
            counts.append(sum(cache._file.entries().values()))
    drops = [(before, after) for before, after in itertools.pairwise(counts) if after < before]
    assert drops
    assert len(drops) < 40
    for before, after in drops:
        assert 0.85 <= after / (before + 20) <= 0.95


@pytest.mark.parametrize("value", [0, -1, 1.5, "1"])
def test_a_bad_bound_is_refused(value: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"max_bytes is .*, but must be a whole number from 1"):
        AnswerCache(tmp_path, max_bytes=value)


def test_the_bound_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert AnswerCache(tmp_path).max_bytes == 2**30
    monkeypatch.setenv("LLMINVARIANCE_ANSWERS_MAX_BYTES", "5000")
    assert AnswerCache(tmp_path).max_bytes == 5000
    monkeypatch.setenv("LLMINVARIANCE_ANSWERS_MAX_BYTES", "much")
    with pytest.warns(AnswerCacheWarning, match="LLMINVARIANCE_ANSWERS_MAX_BYTES is 'much'"):
        assert AnswerCache(tmp_path).max_bytes == 2**30


# network file systems


def test_on_a_network_each_worker_has_a_file_and_reads_all(tmp_path: Path) -> None:
    first, second = items([1, 2]), items([3, 4])
    with opened(tmp_path, network=True, worker="gw0") as one, opened(tmp_path, network=True, worker="gw/1 x") as two:
        one.store(first)
        two.store(second)
        one.fetch([*first, *second])
        assert dict(one) == {**first, **second}
        assert one.recalled == 2
    names = sorted(path.name for path in tmp_path.glob("*.sqlite*"))
    assert len(names) == 2, "and no -wal or -shm"
    assert [name.rpartition("-")[2] for name in names] == ["gw0.sqlite", "gw_1_x.sqlite"]
    for name in names:
        with closing(sqlite3.connect(tmp_path / name)) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    with opened(tmp_path, network=True) as cache:
        assert cache.info().entries == 4
        cache.clear()
        assert cache.info().entries == 0


def test_the_damaged_file_of_another_worker_is_passed_over(tmp_path: Path) -> None:
    with opened(tmp_path, network=True, worker="good") as cache:
        cache.store(items([1]))
    other = tmp_path / "answers-elsewhere-gw0.sqlite"
    other.write_bytes(b"nothing that can be read" * 99)
    with opened(tmp_path, network=True, worker="mine") as cache:
        cache.fetch(items([1, 2]))
        assert dict(cache) == items([1])
        assert cache.info().entries == 1
        assert cache.trouble is None
        assert other.exists()
        with pytest.warns(AnswerCacheWarning, match="is damaged"):
            cache.clear()
        assert cache.info().entries == 0
        assert not list(tmp_path.glob("*.corrupt-*")), "what is to be cleared may go"


def test_a_local_file_is_in_wal_mode(tmp_path: Path) -> None:
    filled(tmp_path)
    with closing(sqlite3.connect(tmp_path / "answers.sqlite")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


# info and clear


def test_info_and_clear(tmp_path: Path) -> None:
    folder = tmp_path / "answers"
    with opened(folder) as cache:
        assert dataclasses.astuple(cache.info()) == (folder, 0, 0, {})
        assert not folder.exists(), "asking makes nothing"
        cache.clear()
        assert not folder.exists()
        cache.persist("second")
        cache.store({**items(range(50)), **items(range(20), "second")})
        found = cache.info()
        assert found.path == folder
        assert found.entries == 70
        assert found.models == {F: 50, "second": 20}
        assert found.bytes == sum(path.stat().st_size for path in folder.iterdir()) > 0
        cache.clear()
        assert len(cache) == 0
        assert cache.info().models == {}
        assert next(iter(items([1]))) not in cache
    assert cache.info().bytes < found.bytes


def test_clear_says_why_it_cannot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path)
    cache = opened(tmp_path)
    monkeypatch.setattr("pytest_llminvariance.models.cache_file.BUSY_S", 0.05)
    with closing(sqlite3.connect(tmp_path / "answers.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(UsageError, match=r"cannot be cleared: database is locked\. Remove the folder"):
            cache.clear()
    cache.close()


# with the engine


class Counting:
    """An oracle that counts what it is asked, and fails when it is told to."""

    name, fingerprint, cacheable = "counting", "weights-1", True
    capabilities: frozenset[Capability] = frozenset({"label", "text"})

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.fail_after: int | None = None

    def answer(self, requests: Sequence[Request]) -> Sequence[Reply]:
        if self.fail_after is not None and len(self.asked) >= self.fail_after:
            raise RuntimeError("out of memory")
        self.asked += requests
        return controls.oracle().answer(requests)


class Slotted:
    """An oracle to which there are no weak references."""

    __slots__ = ("cacheable",)
    cacheable: bool
    name, fingerprint = "counting", "weights-1"
    capabilities: frozenset[Capability] = frozenset({"label"})

    def answer(self, requests: Sequence[Request]) -> Sequence[Reply]:
        return controls.oracle().answer(requests)


def test_a_second_session_asks_nothing(tmp_path: Path) -> None:
    model, requests = Counting(), [label(n) for n in range(600)]
    with AnswerCache(tmp_path, network=False) as cache:
        first = ask(model, requests, cache)
        assert (first.fresh, cache.asked, cache.recalled) == (600, 600, 0)
    with AnswerCache(tmp_path, network=False) as cache:
        again = ask(model, requests, cache)
        assert (again.fresh, again.tokens, cache.asked, cache.recalled) == (0, 0, 0, 600)
    assert again.replies == first.replies
    assert len(model.asked) == 600


class OneByOne:
    """A server of whose answers one comes after the other; it may fail after some."""

    name, fingerprint, cacheable = "one by one", F, True
    capabilities: frozenset[Capability] = frozenset({"label"})

    def __init__(self, fails_after: int | None = None) -> None:
        self.fails_after = fails_after

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        raise AssertionError("it is asked pass by pass")

    def answers(self, requests: Sequence[Request]) -> Iterator[list[tuple[int, Reply]]]:
        for index in range(len(requests)):
            if index == self.fails_after:
                raise ConnectionError("gone")
            yield [(index, LabelReply((-1.0, -2.0), f"sent {index}", 1))]


@pytest.mark.parametrize("fails_after", [None, 150])
def test_answers_that_come_one_by_one_are_committed_together_and_none_is_lost(
    fails_after: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits: list[int] = []
    write = AnswerFile.write

    def counted(self: AnswerFile, rows: Sequence[Any], used: int) -> None:
        commits.append(len(rows))
        write(self, rows, used)

    monkeypatch.setattr(AnswerFile, "write", counted)
    requests = [label(n) for n in range(200)]
    with opened(tmp_path) as cache, contextlib.suppress(ConnectionError):
        ask(OneByOne(fails_after), requests, cache)
    n_answered = fails_after or len(requests)
    assert sum(commits) == n_answered
    assert len(commits) <= 5
    with opened(tmp_path) as other:
        assert other.info().entries == n_answered


def test_answers_wait_no_longer_than_a_second_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0.0, 0.3)
    monkeypatch.setattr("pytest_llminvariance.models.engine.time.monotonic", lambda: next(clock))
    stored: list[int] = []
    store = AnswerCache.store

    def counted(self: AnswerCache, given: Items) -> None:
        stored.append(len(given))
        store(self, given)

    monkeypatch.setattr(AnswerCache, "store", counted)
    with opened(tmp_path) as cache:
        ask(OneByOne(), [label(n) for n in range(20)], cache)
    assert sum(stored) == 20
    assert max(stored) <= 4


@pytest.mark.parametrize("command", [["path"], ["info"], ["clear", "--yes"]])
def test_a_folder_in_no_home_ends_the_command_in_a_sentence(command: list[str]) -> None:
    done = llminvariance(["cache", *command, "--folder", "~nobody_of_this_name/answers"])
    assert done.exit_code == 2
    assert "but there is no such home. Name a folder, or off" in done.output


def test_what_was_answered_before_a_failure_is_on_disk(tmp_path: Path) -> None:
    model, requests = Counting(), [label(n) for n in range(600)]
    model.fail_after = 512
    cache = AnswerCache(tmp_path, network=False)
    with pytest.raises(RuntimeError):
        ask(model, requests, cache)
    model.fail_after = None
    with AnswerCache(tmp_path, network=False) as other:  # the first was never closed
        assert ask(model, requests, other).fresh == 600 - 512
    cache.close()


@pytest.mark.parametrize("says", [False, None])
def test_a_model_that_does_not_say_so_is_asked_again(says: Any, tmp_path: Path) -> None:
    model = Counting()
    model.cacheable = says
    for _ in range(2):
        with AnswerCache(tmp_path, network=False) as cache:
            assert ask(model, [label()], cache).fresh == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kept", [True, False])
def test_in_a_notebook_answers_are_kept_where_that_is_asked_for(
    kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMINVARIANCE_ANSWERS", str(tmp_path))
    model = Counting()
    for _ in range(2):
        with run(cache=kept) as made:
            assert made.memo is not None
            assert made.memo is made.memo
            ask(model, [label()], made.memo)
    with run(cache=tmp_path / "elsewhere") as made:
        assert made.memo is not None
        ask(model, [label()], made.memo)
    assert len(model.asked) == (2 if kept else 3)
    assert (tmp_path / "answers.sqlite").exists() is kept
    assert (tmp_path / "elsewhere" / "answers.sqlite").exists()


# who is asked, and what is sent


class Dated:
    """A kept model whose template writes today's date."""

    name, fingerprint, cacheable = "dated", F, True
    capabilities: frozenset[Capability] = frozenset({"label"})

    def __init__(self) -> None:
        self.today, self.asked = "1 May", 0

    def rendered(self, request: Request) -> str:
        return f"{self.today}: {request.messages[0].content}"

    def answer(self, requests: Sequence[Request]) -> Sequence[Reply]:
        self.asked += len(requests)
        return controls.oracle().answer(requests)


def test_tomorrows_prompt_is_another_prompt(tmp_path: Path) -> None:
    model = Dated()
    for today, asked in (("1 May", 1), ("1 May", 1), ("2 May", 2), ("1 May", 2)):
        model.today = today
        with AnswerCache(tmp_path, network=False) as cache:
            ask(model, [label()], cache)
            ask(model, [label()], cache)
        assert model.asked == asked


def test_the_date_counts_inside_an_average_too() -> None:
    model = Dated()
    asked: dict[Any, Any] = {}
    averaged = symmetrized(model, "reversed")
    ask(averaged, [label()], asked)
    model.today = "2 May"
    assert ask(averaged, [label()], asked).fresh == 1


@pytest.mark.parametrize("weak", [True, False])
def test_models_of_one_name_share_no_answers_unless_their_fingerprint_says_all(weak: bool, tmp_path: Path) -> None:
    def made(cacheable: bool) -> Counting | Slotted:
        model = Counting() if weak else Slotted()
        model.cacheable = cacheable
        return model

    with AnswerCache(tmp_path, network=False) as cache:
        one, other, kept = made(False), made(False), made(True)
        assert [ask(model, [label()], cache).fresh for model in (one, one, other, one)] == [1, 0, 1, 0]
        assert [ask(model, [label()], cache).fresh for model in (kept, made(True))] == [1, 0]


def test_a_memory_does_not_keep_a_model_alive() -> None:
    model = Counting()
    model.cacheable = False
    memo: dict[Any, Any] = {}
    ask(model, [label()], memo)
    watched = weakref.ref(model)
    del model
    gc.collect()
    assert watched() is None


def test_rows_of_an_older_format_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Counting()
    monkeypatch.setattr("pytest_llminvariance.models.cache_rows.FORMAT", FORMAT - 1)
    with AnswerCache(tmp_path, network=False) as cache:
        ask(model, [label()], cache)
    monkeypatch.undo()
    with AnswerCache(tmp_path, network=False) as cache:
        assert ask(model, [label()], cache).fresh == 1
