"""Every control under every check: a test for each cell, and a table that shows differences."""

from __future__ import annotations

import dataclasses

import pytest
from typer.testing import CliRunner

from pytest_llminvariance.checks.properties.invariance import OptionOrder
from pytest_llminvariance.checks.verdict import Verdict
from pytest_llminvariance.cli import app, selftest
from pytest_llminvariance.models.controls import CONTROLS, control

CELLS = [pytest.param(name, title, id=f"{name}-{title}") for name in selftest.CONTROLS for title in selftest.columns()]


@pytest.mark.parametrize(("name", "title"), CELLS)
def test_control(name: str, title: str) -> None:
    finding = selftest.run_check(title, control(name))
    assert finding.verdict is selftest.expected(title, name), (finding.effect, finding.reasons)


def test_every_control_is_in_the_table() -> None:
    assert {name.partition("=")[0] for name in selftest.CONTROLS} == set(CONTROLS)


def test_every_control_that_a_property_names_is_in_the_table() -> None:
    for title, (_, told) in selftest.columns().items():
        named = [*told.broken.split(), *told.undecided.split()]
        assert len(named) == len(set(named)), title
        assert set(named) < set(selftest.CONTROLS), title


def test_each_check_has_a_control_for_each_verdict() -> None:
    for title in selftest.columns():
        assert {selftest.expected(title, name) for name in selftest.CONTROLS} == set(Verdict), title


def test_command_prints_the_table_and_exits_0() -> None:
    result = CliRunner().invoke(app, ["selftest"])
    assert result.exit_code == 0
    assert result.output.splitlines()[-1] == "selftest: 186 of 186 verdicts as expected"


def test_a_difference_is_shown_and_exits_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "CONTROLS", ("oracle",))
    told = dataclasses.replace(OptionOrder.selftests["order"], broken="oracle")
    monkeypatch.setattr(OptionOrder, "selftests", {**OptionOrder.selftests, "order": told})
    result = CliRunner().invoke(app, ["selftest"])
    assert result.exit_code == 1
    assert "DIFFERENT: oracle under order: expected BROKEN, obtained HOLDS" in result.output
    assert "HOLDS !" in result.output


def test_a_model_that_cannot_be_loaded_is_a_short_error() -> None:
    result = CliRunner().invoke(app, ["selftest", "--invariance-model=control:nobody"])
    assert result.exit_code == 2
    assert "error: there is no control 'nobody'" in result.output
    assert "Traceback" not in result.output


def test_a_model_is_checked_behind_a_proxy_and_averaged() -> None:
    result = CliRunner().invoke(app, ["selftest", "--invariance-model=control:noisy"])
    assert result.exit_code == 0
    assert "sorting_proxy(control:noisy)" in result.output
