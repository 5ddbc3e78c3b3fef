"""The printed replay can be pasted into a shell, wherever pytest was started, and gives the same verdict."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

NAMED = """
    import pytest
    from pytest_llminvariance import Question, assert_order_symmetric

    BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], answer=n % 4) for n in range(12)]

    @pytest.mark.parametrize("name", ["it's a; b", "$HOME"])
    def test_order(invariance_model, name):
        assert_order_symmetric(invariance_model, BANK)
"""


def replays(result: pytest.RunResult) -> list[list[str]]:
    """The words that a shell makes of each replay line."""
    found = [line.partition("replay:  ")[2] for line in result.outlines if "replay:  " in line]
    return [shlex.split(command) for command in found]


def repeat(pytester: pytest.Pytester, command: list[str]) -> pytest.RunResult:
    assert command[0] == "pytest"
    return pytester.runpytest(*command[1:])


@pytest.mark.parametrize("control", ["always_first", "uniform", "content_blind"])
def test_runs_the_one_test_with_the_same_message(control: str, suite: pytest.Pytester) -> None:
    suite.makepyfile(test_other="def test_other():\n    assert False\n")
    first = suite.runpytest(f"--invariance-model=control:{control}", "--invariance-seed=7", "test_suite.py")
    (command,) = replays(first)
    again = repeat(suite, command)
    again.assert_outcomes(failed=1)
    assert replays(again) == [command]
    assert [line for line in again.outlines if line[:2] in ("E ", "BR", "UN")] == [
        line for line in first.outlines if line[:2] in ("E ", "BR", "UN")
    ]


def test_settings_of_the_ini_file_are_left_to_it(suite: pytest.Pytester) -> None:
    suite.makeini("[pytest]\ninvariance_model = control:always_first\ninvariance_seed = 5\n")
    (command,) = replays(suite.runpytest())
    assert command == ["pytest", "test_suite.py::test_order", "--invariance-seed=5"]
    repeat(suite, command).assert_outcomes(failed=1)


def test_on_a_worker_with_a_group_the_node_id_is_the_one_to_paste(suite: pytest.Pytester) -> None:
    text = (suite.path / "test_suite.py").read_text()
    suite.makepyfile(test_suite=text.replace("def test_", "@pytest.mark.xdist_group('gpu')\ndef test_"))
    flags = ["--invariance-model=control:always_first", "-n1", "--dist=loadgroup"]
    (command,) = replays(suite.runpytest_subprocess(*flags))
    assert command[1] == "test_suite.py::test_order"


def test_node_ids_and_values_are_quoted_for_a_shell(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_named=NAMED)
    commands = replays(pytester.runpytest("--invariance-model=control:always_first"))
    assert [command[1] for command in commands] == [
        "test_named.py::test_order[it's a; b]",
        "test_named.py::test_order[$HOME]",
    ]
    for command in commands:
        repeat(pytester, command).assert_outcomes(failed=1)


@pytest.mark.parametrize("flags", [[], ["-n1"]], ids=["alone", "a worker"])
def test_started_in_a_subfolder_the_replay_works_from_there(flags: list[str], suite: pytest.Pytester) -> None:
    folder = suite.mkdir("sub")
    (suite.path / "test_suite.py").rename(folder / "test_suite.py")
    os.chdir(folder)
    (command,) = replays(suite.runpytest_subprocess("--invariance-model=control:always_first", *flags))
    assert Path(command[1].partition("::")[0]).is_file()
    repeat(suite, command).assert_outcomes(failed=1)


def test_an_undecided_failure_is_undecided_again_where_the_ini_file_says_skip(suite: pytest.Pytester) -> None:
    suite.makeini("[pytest]\ninvariance_undecided = skip\n")
    (command,) = replays(suite.runpytest("--invariance-model=control:uniform", "--invariance-undecided=fail"))
    repeat(suite, command).assert_outcomes(failed=1)


def test_a_setting_overridden_with_o_is_repeated(suite: pytest.Pytester) -> None:
    (command,) = replays(suite.runpytest("-o", "invariance_model=control:always_first"))
    repeat(suite, command).assert_outcomes(failed=1)
