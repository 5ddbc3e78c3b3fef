"""Settings: one flag and one ini key each, and clear errors."""

from __future__ import annotations

import dataclasses

import pytest

from pytest_llminvariance.options import Settings

NAMES = [item.name for item in dataclasses.fields(Settings)]
SHOW = """
    from pytest_llminvariance.plugin import SETTINGS

    def test_show(pytestconfig):
        print("SETTINGS", pytestconfig.stash[SETTINGS])
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
        ("--invariance-batch-tokens=0", "--invariance-batch-tokens is '0', but must be a whole number from 1"),
        ("--invariance-undecided=pass", "--invariance-undecided is 'pass', but must be one of fail, skip, warn"),
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
