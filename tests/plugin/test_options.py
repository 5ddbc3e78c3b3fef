"""Settings: one flag and one ini key each, and clear errors."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from pytest_llminvariance.checks.holdout import new_holdout
from pytest_llminvariance.plugin.options import Settings, _chat_arguments, _engine_arguments
from tests.run_directories import write_run

VALUES = {
    "model": ("control:oracle", "control:uniform"),
    "device": ("cpu", "cuda:1"),
    "dtype": ("float32", "bfloat16"),
    "revision": ("main", "v1.0"),
    "seed": ("7", "-3"),
    "undecided": ("skip", "warn"),
    "risk_limit": ("0.05", "0.1"),
    "check_risk": ("0.01", "0.002"),
    "exhaustive": ("true", ""),
    "manifest": ("plan.json", "other.json"),
    "holdout": ("true", ""),
    "plan": ("true", ""),
    "batch_tokens": ("64", "128"),
    "deterministic": ("true", ""),
    "device_map": ("auto", "balanced"),
    "max_new_tokens": ("64", "128"),
    "chat_arg": ("enable_thinking=true", "reasoning_effort=low"),
    "engine_arg": ("tensor_parallel_size=4", "max_model_len=2048"),
    "concurrency": ("4", "8"),
    "key_variable": ("OPENAI_API_KEY", "SERVER_KEY"),
    "answer_seconds": ("60", "30"),
    "tokenizer": ("./served", "owner/served"),
    "cacheable": ("true", ""),
    "trust_remote_code": ("true", ""),
    "cache": ("off", "answers"),
    "report": ("in_ini", "by_flag"),
    "policy": ("gate.toml", "other.toml"),
    "baseline": ("before", "earlier"),
    "margin": ("0.1", "0"),
}
NAMES = [item.name for item in dataclasses.fields(Settings)]
SHOW = """
    from pytest_llminvariance.plugin import SESSION

    def test_show(pytestconfig):
        print("SETTINGS", pytestconfig.stash[SESSION].settings)
"""


def shown(pytester: pytest.Pytester, *flags: str) -> str:
    pytester.makepyfile(SHOW)
    result = pytester.runpytest("-s", *flags)
    result.assert_outcomes(passed=1)
    return next(line for line in result.outlines if "SETTINGS" in line)


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_in_the_help(name: str, pytester: pytest.Pytester) -> None:
    text = pytester.runpytest("--help").stdout.str()
    assert f"--invariance-{name.replace('_', '-')}" in text
    assert f"invariance_{name}" in text


def test_flags(pytester: pytest.Pytester) -> None:
    line = shown(pytester, "--invariance-model=control:oracle", "--invariance-seed=7", "--invariance-undecided=warn")
    assert "model='control:oracle'" in line
    assert "seed=7" in line
    assert "undecided='warn'" in line


def test_ini_keys_and_the_flag_wins(pytester: pytest.Pytester) -> None:
    pytester.makeini(
        "[pytest]\ninvariance_seed = 3\ninvariance_batch_tokens = 64\ninvariance_model = control:uniform\n"
    )
    line = shown(pytester, "--invariance-seed=4", "--strict-config")
    assert "seed=4" in line
    assert "batch_tokens=64" in line
    assert "model='control:uniform'" in line


@pytest.mark.parametrize(
    ("flag", "says"),
    [
        ("--invariance-seed=x", "--invariance-seed is 'x', but must be a whole number"),
        (
            "--invariance-chat-arg=thinking",
            "--invariance-chat-arg is 'thinking', but must be NAME=VALUE, each name once, such as enable_thinking=false",
        ),
        (
            "--invariance-chat-arg=thinking=False",
            "--invariance-chat-arg is 'thinking=False', but 'thinking=False' is ambiguous: must be JSON (true, false, null, a number, text)",
        ),
        (
            "--invariance-engine-arg=4",
            "--invariance-engine-arg is '4', but must be NAME=VALUE, each name once, such as tensor_parallel_size=4",
        ),
        ("--invariance-max-new-tokens=0", "--invariance-max-new-tokens is '0', but must be a whole number from 1"),
        ("--invariance-batch-tokens=0", "--invariance-batch-tokens is '0', but must be a whole number from 1"),
        ("--invariance-undecided=pass", "--invariance-undecided is 'pass', but must be one of fail, skip, warn"),
        ("--invariance-policy=", "--invariance-policy is '', but must name a file or a folder"),
        ("--invariance-margin=1", "--invariance-margin is '1', but must be a number from 0 to below 1"),
        ("--invariance-cache=", "--invariance-cache is '', but must be auto, off or a folder"),
        ("--invariance-report=", "--invariance-report is '', but must name a directory"),
        ("--invariance-manifest=", "--invariance-manifest is '', but must name a file or a folder"),
    ],
)
def test_bad_values_are_one_line_usage_errors(flag: str, says: str, pytester: pytest.Pytester) -> None:
    result = pytester.runpytest(flag)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {says}"])


def test_bad_ini_value_names_the_key(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\ninvariance_seed = many\n")
    result = pytester.runpytest()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*invariance_seed (ini) is 'many', but must be a whole number*"])


def test_options_that_others_call_llm_do_not_collide(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        import pytest

        def pytest_addoption(parser):
            parser.addoption("--llm-model")
            parser.addoption("--llm-report")

        @pytest.fixture
        def llm():
            return "theirs"
        """
    )
    pytester.makepyfile("def test_theirs(llm):\n    assert llm == 'theirs'\n")
    pytester.runpytest("--llm-model=x").assert_outcomes(passed=1)


def test_the_table_above_knows_every_setting() -> None:
    assert list(VALUES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_each_has_a_default_an_ini_key_and_a_flag_that_wins(name: str, pytester: pytest.Pytester) -> None:
    ini, flag = VALUES[name]
    for place in ("gate.toml", "other.toml"):
        (pytester.path / place).touch()
    for place in ("before", "earlier"):
        write_run(pytester.path / place, [])
    for place in ("plan.json", "other.json"):
        (pytester.path / place).write_text('{"schema_version": 1, "weights": {"test.py::test": 1}}')
    new_holdout(pytester.path / "invariance-holdout.json", 0.2, "salt")
    default = getattr(Settings(), name)
    numbers = dict.fromkeys(("seed", "batch_tokens", "max_new_tokens", "concurrency", "answer_seconds"), int)
    kinds: dict[str, Callable[[str], Any]] = {
        **numbers,
        "risk_limit": float,
        "check_risk": float,
        "chat_arg": _chat_arguments,
        "engine_arg": _engine_arguments,
    }
    kind = kinds.get(name, bool if default is False else str)
    assert f"{name}={default!r}" in shown(pytester)
    pytester.makeini(f"[pytest]\ninvariance_{name} = {ini}\n")
    assert f"{name}={kind(ini)!r}" in shown(pytester, "--strict-config")
    given = f"--invariance-{name.replace('_', '-')}" + (f"={flag}" if flag else "")
    assert f"{name}={kind(flag or 'true')!r}" in shown(pytester, given)
    pytester.makeini(f"[pytest]\ninvariance_{name} =\n")
    assert f"{name}={default!r}" in shown(pytester)


@pytest.mark.parametrize("place", ["tool.pytest.ini_options", "tool.pytest"])
def test_settings_in_pyproject(place: str, pytester: pytest.Pytester) -> None:
    (pytester.path / "tox.ini").unlink()
    pytester.makepyprojecttoml(f'[{place}]\ninvariance_seed = "3"\nstrict_config = true\n')
    assert "seed=3" in shown(pytester)


def test_a_bare_toml_number_is_refused_in_one_line(pytester: pytest.Pytester) -> None:
    (pytester.path / "tox.ini").unlink()
    pytester.makepyprojecttoml("[tool.pytest]\ninvariance_seed = 3\n")
    result = pytester.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "Traceback" not in result.stderr.str()
    result.stderr.fnmatch_lines(
        ["ERROR: *pyproject.toml: config option 'invariance_seed' expects a string, got int: 3"]
    )


@pytest.mark.parametrize("value", ["", "1.0", "1e3", "0x1", " ", "-", "7 "])
@pytest.mark.parametrize("name", ["seed", "batch-tokens"])
def test_what_is_no_whole_number_is_refused(name: str, value: str, pytester: pytest.Pytester) -> None:
    result = pytester.runpytest(f"--invariance-{name}={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert [line for line in result.errlines if line] == [
        f"ERROR: --invariance-{name} is {value!r}, but must be a whole number"
    ]


@pytest.mark.parametrize("flag", ["device=banana", "dtype=int3", "model="])
def test_bad_texts_are_usage_errors_at_the_start(flag: str, pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_nothing():\n    pass\n")
    result = pytester.runpytest(f"--invariance-{flag}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    name, _, value = flag.partition("=")
    result.stderr.fnmatch_lines([f"ERROR: --invariance-{name} is {value!r}, but *"])


def test_chat_arguments_are_json_or_words_and_may_be_repeated(pytester: pytest.Pytester) -> None:
    flags = ("enable_thinking=false", "effort=low", 'names=["a"]', "budget=3")
    line = shown(pytester, *(f"--invariance-chat-arg={flag}" for flag in flags))
    assert "chat_arg={'enable_thinking': False, 'effort': 'low', 'names': ['a'], 'budget': 3}" in line
    pytester.makeini("[pytest]\ninvariance_chat_arg =\n    a=1\n    b=null\n")
    assert "chat_arg={'a': 1, 'b': None}" in shown(pytester)
