"""Every control under every check: a test for each cell, and a table that shows differences."""

from __future__ import annotations

import dataclasses

import pytest

from pytest_llminvariance.checks.properties.invariance import OptionOrder
from pytest_llminvariance.checks.verdict import Verdict
from pytest_llminvariance.cli import selftest
from pytest_llminvariance.measures.parsing import parse_choice
from pytest_llminvariance.models.controls import CONTROLS, control
from pytest_llminvariance.models.wordings import FOREIGN
from tests.commands import llminvariance

CELLS = [
    pytest.param(name, title, id=f"{name}-{title}")
    for name in selftest.CONTROLS
    for title in selftest.columns()
    if selftest.asked(title, control(name))
]


@pytest.mark.parametrize(("name", "title"), CELLS)
def test_control(name: str, title: str) -> None:
    finding = selftest.run_check(title, control(name))
    assert finding.verdict is selftest.expected(title, name), (finding.effect, finding.reasons)


def test_every_control_is_in_the_table() -> None:
    assert {name.partition("=")[0] for name in selftest.CONTROLS} == set(CONTROLS)


def test_every_control_that_a_property_names_is_in_the_table() -> None:
    for title, (_, told) in selftest.columns().items():
        named = [*told.broken.split(), *told.undecided.split(), *selftest.UNREADABLE]
        assert len(named) == len(set(named)), title
        assert set(named) < set(selftest.CONTROLS), title


def test_each_check_has_a_control_for_each_verdict() -> None:
    for title in selftest.columns():
        assert {selftest.expected(title, name) for name in selftest.CONTROLS} == set(Verdict), title


def test_thoughts_that_are_cut_off_come_with_the_advice() -> None:
    finding = selftest.run_check("order", control("reasoning=400"))
    assert set(finding.details["readings"]) == {"unfinished: open thought"}
    assert "unfinished 100% of answers" in finding.reasons[0]
    assert "--invariance-max-new-tokens" in finding.reasons[0]


def test_every_rejected_option_is_left_alone_and_every_claim_is_read() -> None:
    assert all(how.startswith("unparsed") for how in readings("only_eliminating"))
    assert not any(
        how.startswith(("unparsed", "refused")) for how in (*readings("eliminating"), *readings("reasoning"))
    )
    codes = {how.partition(":")[0] for how in readings("polyglot")}
    assert len(codes) >= 4
    assert "en" not in codes


def readings(name: str) -> dict[str, int]:
    counts: dict[str, int] = selftest.run_check("prompt", control(name)).details["readings"]
    return counts


@pytest.mark.parametrize("sentence", FOREIGN)
@pytest.mark.parametrize("said", ["B", "Paris"])
def test_what_the_polyglot_says_is_a_claim_in_its_language(sentence: str, said: str) -> None:
    read = parse_choice(sentence.format(said), labels="ABC", options=["Berlin", "Paris", "Rome"])
    assert read.position == 1
    assert read.language not in (None, "en")


@pytest.mark.parametrize("readout", ["label", "option", "text"])
@pytest.mark.parametrize("title", [title for title in selftest.columns() if title != "readouts"])
def test_a_perfect_reader_of_both_a_and_b_holds_by_every_readout(title: str, readout: str) -> None:
    finding = selftest.run_check(title, control("literal_reader"), readout=readout)
    assert finding.verdict is Verdict.HOLDS, (finding.effect, finding.reasons)


def test_command_prints_the_table_and_exits_0() -> None:
    result = llminvariance(["selftest"])
    assert result.exit_code == 0
    n = len(CELLS) + sum(map(len, selftest.lines().values())) + 2  # and the proxy and the average
    assert result.output.splitlines()[-1] == f"selftest: {n} of {n} verdicts as expected"


def test_a_difference_is_shown_and_exits_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "CONTROLS", ("oracle",))
    told = dataclasses.replace(OptionOrder.selftests["order"], broken="oracle")
    monkeypatch.setattr(OptionOrder, "selftests", {**OptionOrder.selftests, "order": told})
    result = llminvariance(["selftest"])
    assert result.exit_code == 1
    assert "DIFFERENT: oracle under order: expected BROKEN, obtained HOLDS" in result.output
    assert "HOLDS !" in result.output


def test_a_model_that_cannot_be_loaded_is_a_short_error() -> None:
    result = llminvariance(["selftest", "--invariance-model=control:nobody"])
    assert result.exit_code == 2
    assert "error: there is no control 'nobody'" in result.output
    assert "Traceback" not in result.output


def test_a_model_is_checked_behind_a_proxy_and_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "CONTROLS", ("oracle",))
    result = llminvariance(["selftest", "--invariance-model=control:noisy"])
    assert result.exit_code == 0
    assert "sorting_proxy(control:noisy)" in result.output
