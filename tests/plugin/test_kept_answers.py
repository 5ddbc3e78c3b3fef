"""Answers are kept between sessions: a second run asks nothing, alone and under xdist, and no verdict changes."""

from __future__ import annotations

import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

COUNTING = """
    import os
    from pytest_llminvariance import controls

    class Counting:
        name, fingerprint, capabilities = "counting", "weights-1", frozenset({"label", "text"})
        cacheable = True

        def __init__(self):
            self.inner = getattr(controls, os.environ.get("CONTROL", "oracle"))()

        def answer(self, requests):
            with open(os.environ["COUNTED"], "a") as file:
                file.write("".join("asked\\n" for _ in requests))
            return self.inner.answer(requests)
"""
SUITE = """
    import pytest
    from pytest_llminvariance import Question, assert_order_symmetric, assert_readouts_agree

    BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], id=f"q{n}", answer=n % 4) for n in range(12)]

    @pytest.mark.parametrize("part", range(4))
    def test_order(invariance_model, part):
        assert_order_symmetric(invariance_model, BANK[part:] + BANK[:part])

    def test_readouts(invariance_model):
        assert_readouts_agree(invariance_model, BANK, tolerance=0.3)
"""
MODEL = "--invariance-model=python:counting:Counting"


@pytest.fixture
def counted(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.setenv("COUNTED", str(pytester.path / "counted"))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    pytester.makepyfile(counting=COUNTING, test_suite=SUITE)
    return pytester


def go(pytester: pytest.Pytester, *flags: str) -> pytest.RunResult:
    """Run pytest: in a process of its own only where others are started or warnings are errors."""
    apart = {"-n1", "-n2", "-W"} & set(flags)
    return (pytester.runpytest_subprocess if apart else pytester.runpytest)(MODEL, *flags)


def asked(pytester: pytest.Pytester) -> int:
    file = pytester.path / "counted"
    return len(file.read_text().split()) if file.exists() else 0


def verdicts(result: pytest.RunResult) -> list[str]:
    return sorted(line for line in result.outlines if line.startswith(("HOLDS", "BROKEN", "UNDECIDED")))


def cache_lines(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if line.startswith("cache:")]


@pytest.mark.parametrize(
    ("flags", "control"), [([], "oracle"), ([], "always_first"), (["-n2"], "always_first")], ids=str
)
def test_a_second_run_asks_nothing_and_says_the_same(
    flags: list[str], control: str, counted: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONTROL", control)
    without = go(counted, "--invariance-cache=off")  # in this process: two workers must say the same
    assert cache_lines(without) == []
    before = asked(counted)
    first = go(counted, "--invariance-cache=kept", *flags)
    first_asked = asked(counted) - before
    again = go(counted, "--invariance-cache=kept", *flags)
    assert asked(counted) == before + first_asked, "the second run asked"
    assert verdicts(without) == verdicts(first) == verdicts(again) != []
    assert without.ret == first.ret == again.ret
    (line,) = cache_lines(first)
    assert re.fullmatch(r"cache: [\d,]+ answers? remembered, [\d,]+ asked, .*kept", line)
    (line,) = cache_lines(again)
    assert re.fullmatch(r"cache: [\d,]+ answers remembered, 0 asked, .*kept", line)
    with closing(sqlite3.connect(counted.path / "kept" / "answers.sqlite")) as connection:
        (entries,) = connection.execute("SELECT count(*) FROM answers").fetchone()
    if "-n2" not in flags:
        assert line.startswith(f"cache: {entries} answers remembered")


def test_what_is_new_is_asked(counted: pytest.Pytester) -> None:
    go(counted, "--invariance-cache=kept")
    before = asked(counted)
    text = (counted.path / "test_suite.py").read_text()
    (counted.path / "test_suite.py").write_text(text.replace("range(12)]", "range(13)]"))
    result = go(counted, "--invariance-cache=kept")
    assert asked(counted) > before
    (line,) = cache_lines(result)
    assert not line.endswith(" 0 asked")


def test_another_fingerprint_is_another_model(counted: pytest.Pytester) -> None:
    go(counted, "--invariance-cache=kept")
    before = asked(counted)
    text = (counted.path / "counting.py").read_text()
    (counted.path / "counting.py").write_text(text.replace("weights-1", "weights-two"))
    go(counted, "--invariance-cache=kept")
    assert asked(counted) == 2 * before


def test_controls_are_not_kept_and_nothing_is_said(suite: pytest.Pytester) -> None:
    result = suite.runpytest("--invariance-model=control:oracle", "--invariance-cache=kept")
    result.assert_outcomes(passed=1)
    assert cache_lines(result) == []
    assert not (suite.path / "kept").exists()


def test_the_flag_is_a_path_from_where_pytest_was_started_and_the_ini_key_one_from_the_root(
    counted: pytest.Pytester,
) -> None:
    below = counted.mkdir("below")
    (below / "test_suite.py").write_text((counted.path / "test_suite.py").read_text())
    counted.makeini("[pytest]\ninvariance_cache = from_root\npythonpath = .\naddopts = -p no:cacheprovider\n")
    import os

    os.chdir(below)
    go(counted, "--rootdir", str(counted.path), "-c", str(counted.path / "tox.ini"), "test_suite.py")
    go(
        counted,
        "--rootdir",
        str(counted.path),
        "-c",
        str(counted.path / "tox.ini"),
        "test_suite.py",
        "--invariance-cache=from_here",
    )
    assert (counted.path / "from_root" / "answers.sqlite").exists()
    assert (below / "from_here" / "answers.sqlite").exists()


def test_auto_is_the_users_cache_folder(counted: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLMINVARIANCE_ANSWERS")
    monkeypatch.setenv("LLMINVARIANCE_CACHE", str(counted.path / "user"))
    go(counted)
    assert (counted.path / "user" / "answers" / "answers.sqlite").exists()


def test_these_tests_keep_nothing_of_the_developers(counted: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMINVARIANCE_CACHE", str(counted.path / "user"))
    assert cache_lines(go(counted)) == []
    assert not (counted.path / "user").exists()


@pytest.mark.parametrize("flags", [[], ["-W", "error"], ["-n2"]], ids=str)
def test_a_place_that_cannot_be_used_fails_no_test(flags: list[str], counted: pytest.Pytester) -> None:
    (counted.path / "kept").write_text("a file where the folder should be")
    result = go(counted, "--invariance-cache=kept", *flags)
    result.assert_outcomes(passed=5)
    (line,) = cache_lines(result)
    assert re.search(r"asked, .*kept, not kept: .*File exists", line)
    if "-n2" in flags:  # the other two run where warnings are errors
        assert "AnswerCacheWarning: answers are not kept in" in result.stdout.str()


def test_a_corrupt_file_fails_no_test(counted: pytest.Pytester) -> None:
    counted.mkdir("kept").joinpath("answers.sqlite").write_bytes(b"no database " * 1000)
    result = go(counted, "--invariance-cache=kept", "-n2", "-W", "error")
    result.assert_outcomes(passed=5)
    before = asked(counted)
    assert go(counted, "--invariance-cache=kept").ret == 0
    assert asked(counted) == before
    assert [path.name for path in (counted.path / "kept").glob("*.corrupt-?")] == ["answers.sqlite.corrupt-1"]


def test_the_place_is_not_in_the_replay_line(counted: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONTROL", "always_first")
    result = go(counted, "--invariance-cache=kept")
    replay = next(line for line in result.outlines if "replay:" in line)
    assert MODEL in replay
    assert "cache" not in replay


def test_an_unrelated_suite_opens_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import sys

        def test_nothing(pytestconfig):
            assert "sqlite3" not in sys.modules
            assert "pytest_llminvariance.models.cache" not in sys.modules
        """
    )
    result = pytester.runpytest_subprocess("--invariance-cache=kept", "-p", "no:hypothesispytest", "-p", "no:cov")
    result.assert_outcomes(passed=1)
    assert not (pytester.path / "kept").exists()


def test_a_worker_that_dies_loses_no_answer(counted: pytest.Pytester) -> None:
    text = (counted.path / "test_suite.py").read_text()
    dying = "\n\ndef test_z_dies():\n    import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    (counted.path / "test_suite.py").write_text(text + dying)
    result = go(counted, "--invariance-cache=kept", "-n1", "--max-worker-restart=0")
    assert result.ret == 1
    before = asked(counted)
    (counted.path / "test_suite.py").write_text(text)
    go(counted, "--invariance-cache=kept").assert_outcomes(passed=5)
    assert asked(counted) == before


@pytest.fixture
def kept(counted: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LLMINVARIANCE_ANSWERS", str(counted.path / "kept"))
    go(counted).assert_outcomes(passed=5)
    return counted.path / "kept"


def command(pytester: pytest.Pytester, *arguments: str, stdin: bytes = b"") -> pytest.RunResult:
    code = "from pytest_llminvariance.cli import main; main()"
    return pytester.run(sys.executable, "-c", code, "cache", *arguments, stdin=stdin)


def test_the_command_shows_the_place_and_what_is_there(kept: Path, pytester: pytest.Pytester) -> None:
    assert command(pytester, "path").outlines == [str(kept)]
    result = command(pytester, "info")
    assert result.ret == 0
    assert re.fullmatch(rf"{re.escape(str(kept))}: \d+ answers, [\d.]+ KiB of at most 1.0 GiB", result.outlines[0])
    assert re.fullmatch(r" +\d+  model weights-1", result.outlines[1])


def test_the_command_asks_before_it_clears(kept: Path, pytester: pytest.Pytester) -> None:
    entries = int(command(pytester, "info").outlines[1].split()[0])
    refused = command(pytester, "clear", stdin=b"n\n")
    assert refused.ret == 1
    assert f"Remove {entries} answers (" in refused.stdout.str()
    assert int(command(pytester, "info").outlines[1].split()[0]) == entries
    assert command(pytester, "clear", stdin=b"y\n").ret == 0
    assert len(command(pytester, "info").outlines) == 1


def test_the_command_clears_without_asking(kept: Path, pytester: pytest.Pytester) -> None:
    assert re.fullmatch(r"\d+ answers removed", command(pytester, "clear", "--yes").outlines[-1])
    assert ": 0 answers, " in command(pytester, "info").outlines[0]


def test_the_command_where_nothing_is_kept(pytester: pytest.Pytester) -> None:
    for name in ("path", "info", "clear"):
        result = command(pytester, name)
        assert result.ret == 0
        assert result.outlines == ["the cache is off: no answers are kept (LLMINVARIANCE_ANSWERS=off)"]
    assert command(pytester, "info", "--folder=none").outlines == ["none: 0 answers, 0 bytes of at most 1.0 GiB"]
    assert not (pytester.path / "none").exists()
