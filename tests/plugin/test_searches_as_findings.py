"""A counter-example that a search found is a finding like any other; a run in which pytest failed is never green."""

from __future__ import annotations

import datetime
import html
import json
import textwrap
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from pytest_llminvariance.gate.decision import BLOCKED, NO_EVIDENCE, PASSED, GateDecision, decide_gate
from pytest_llminvariance.gate.policy import policy_from
from pytest_llminvariance.records.judge import judge
from pytest_llminvariance.records.record import load
from pytest_llminvariance.report.entries import Report, read_report
from pytest_llminvariance.report.github import github_commands
from pytest_llminvariance.report.html.page import page
from pytest_llminvariance.report.junit import junit
from pytest_llminvariance.report.markdown import markdown
from pytest_llminvariance.report.sarif import sarif
from pytest_llminvariance.report.summary import headline
from tests.records.records_schema import problems

HEAD = """
import pytest
from hypothesis import given, settings, strategies as st
from pytest_llminvariance import Presentation, Question, assert_order_symmetric, assert_same_answer, controls
from pytest_llminvariance import strategies as inv
from pytest_llminvariance.search.conversations import run_machine

BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], id=f"q{n}", answer=n % 4) for n in range(12)]
"""
GIVEN = """
@given(order=inv.option_orders(4))
def test_search(invariance_model, order):
    shown = Presentation(BANK[0])
    assert_same_answer(invariance_model, shown, shown.replace(order=order))
"""
PAIR = """
def test_search(invariance_model):
    shown = Presentation(BANK[0])
    assert_same_answer(invariance_model, shown, shown.replace(order=(1, 0, 2, 3)))
"""
TALK = """
def test_search():
    def caving(messages):
        return "A" if len(messages) == 1 else "B"
    run_machine(caving, BANK[:2], max_examples=5, readout="text")
"""
HOLDS = """
def test_holds(invariance_model):
    assert_order_symmetric(invariance_model, BANK, tolerance=0.1)
"""
TODAY = datetime.date(2026, 11, 21)
WHERE = "test_it.py::test_search"


def ran(pytester: pytest.Pytester, body: str, model: str, *flags: str) -> tuple[pytest.RunResult, Path]:
    pytester.makepyfile(test_it=HEAD + body)
    result = pytester.runpytest(f"--invariance-model=control:{model}", "--invariance-report=rec", *flags)
    return result, pytester.path / "rec"


def decided(run: Path, **policy: object) -> GateDecision:
    return decide_gate([load(run)], policy_from(policy, "here"), datetime.date.today())


def waived(**about: str) -> dict[str, object]:
    return {"waivers": [{"owner": "kim", "reason": "known", "expires": "2100-01-01", **about}]}


def surfaces(report: Report) -> dict[str, str]:
    formats = {"page": page(report, ()), "markdown": markdown(report), "github": github_commands(report)}
    return {**formats, "junit": junit(report), "sarif": sarif(report)}


@pytest.mark.parametrize(
    ("body", "model", "title"),
    [(GIVEN, "always_first", "same answer"), (PAIR, "always_first", "same answer"), (TALK, "oracle", "conversation")],
    ids=["given", "pair", "conversation"],
)
def test_a_counter_example_is_a_finding_on_every_surface(
    body: str, model: str, title: str, pytester: pytest.Pytester
) -> None:
    result, run = ran(pytester, body, model)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines([f"BROKEN * search: {title}: a counter-example was found*[[]{WHERE}[]]"])
    (finding,) = load(run).findings
    assert (finding.property, str(finding.verdict), finding.where) == ("search", "BROKEN", WHERE)
    assert finding.example is not None
    assert finding.design.endswith("compared")
    assert load(run).fact("failures") == [
        {"where": WHERE, "finding": finding.id, "why": load(run).fact("failures")[0]["why"]}
    ]
    assert not [text for text in problems_of(run) if text]
    decision = decided(run)
    assert decision.exit_code == BLOCKED
    assert not decision.insufficient, "the failure is explained by its finding"
    report = read_report(run)
    assert headline(report).kind == "BROKEN"
    for name, text in surfaces(report).items():
        assert f"search: {title}" in text, name
    (case,) = ET.fromstring(junit(report)).iter("testcase")
    assert case.find("failure") is not None


def problems_of(run: Path) -> list[str]:
    (run / "sheets.jsonl").touch()
    (run / "answers.jsonl").touch()
    return problems(run)


@pytest.mark.parametrize(
    "about", [{"property": "search"}, {"where": WHERE}, {"property": "search", "where": "test_it.py"}]
)
def test_it_is_waived_by_property_and_by_test(about: dict[str, str], pytester: pytest.Pytester) -> None:
    _, run = ran(pytester, GIVEN + HOLDS.replace("invariance_model,", "controls.oracle(),"), "always_first")
    assert decided(run).exit_code == BLOCKED
    decision = decided(run, **waived(**about))
    assert decision.exit_code == PASSED
    report = read_report(run, policy_from(waived(**about), "here"))
    assert headline(report).kind == "WAIVED"
    assert decided(run, **waived(property="option_order")).exit_code == BLOCKED, "a waiver for something else"
    assert decided(run, **waived(where="test_it.py::test_holds")).exit_code == BLOCKED


@pytest.mark.parametrize("name", ["search", WHERE, "test_it.py"])
def test_it_can_be_required(name: str, pytester: pytest.Pytester) -> None:
    _, run = ran(pytester, GIVEN + HOLDS, "oracle")
    assert decided(run, required=[name]).exit_code == PASSED
    assert [search.where for search in load(run).searches] == [WHERE]


def test_a_search_in_a_fixture_of_wider_scope_counts(pytester: pytest.Pytester) -> None:
    wider = """
        @pytest.fixture(scope="module")
        def searched(invariance_model):
            shown = Presentation(BANK[0])
            assert_same_answer(invariance_model, shown, shown.replace(order=(1, 0, 2, 3)))
        def test_it(searched): pass
    """
    _, run = ran(pytester, textwrap.dedent(wider) + HOLDS, "oracle")
    assert decided(run, required=["search"]).exit_code == PASSED


def test_of_two_models_both_counter_examples_stay(pytester: pytest.Pytester) -> None:
    both = """
        def test_search(invariance_model):
            shown = Presentation(BANK[0])
            for model in (invariance_model, controls.always_last()):
                with pytest.raises(AssertionError):
                    assert_same_answer(model, shown, shown.replace(order=(3, 0, 1, 2)))
                    assert_same_answer(model, shown, shown.replace(order=(1, 2, 3, 0)))
    """
    _, run = ran(pytester, textwrap.dedent(both), "always_first")
    assert sorted(found.model for found in load(run).findings) == ["always_first", "always_last"]


def test_a_required_search_that_nobody_made_is_missing(pytester: pytest.Pytester) -> None:
    _, run = ran(pytester, HOLDS, "oracle")
    decision = decided(run, required=["search"])
    assert decision.exit_code == BLOCKED
    assert "search: required, but no run has checked it" in decision.missing[0]


def test_a_required_search_of_a_lenient_level_is_too_little(pytester: pytest.Pytester) -> None:
    _, run = ran(pytester, "@pytest.mark.invariance(level='warn')" + GIVEN + HOLDS, "oracle")
    assert "has the level warn" in decided(run, required=["search"]).missing[0]
    assert decided(run, required=["search"], min_level="warn").exit_code == PASSED


def test_a_search_that_found_nothing_is_no_evidence(pytester: pytest.Pytester) -> None:
    result, run = ran(pytester, GIVEN, "oracle")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["SEARCHED  same answer: * no counter-example*"])
    assert load(run).findings == ()
    decision = decided(run)
    assert decision.exit_code == NO_EVIDENCE
    assert any("1 search found no counter-example, which is no evidence" in text for text in decision.insufficient)
    assert headline(read_report(run)).kind == "UNDECIDED"
    assert "found no counter-example" in page(read_report(run), ())


def test_a_search_of_a_lenient_level_warns(pytester: pytest.Pytester) -> None:
    result, run = ran(pytester, "@pytest.mark.invariance(level='warn')" + GIVEN, "always_first")
    result.assert_outcomes(passed=1)
    report = read_report(run)
    assert [entry.outcome for entry in report.entries] == ["warns"]
    assert headline(report).kind == "WAIVED", "the gate passes, but nothing that can block was checked: never green"


def test_the_last_attempt_counts(pytester: pytest.Pytester) -> None:
    body = GIVEN.replace("def test_search", "@settings(max_examples=40)\ndef test_search")
    _, run = ran(pytester, body, "always_first", "-n0")
    assert len(load(run).findings) == 1, "one finding a search, however often it was shrunk"


def test_judging_again_keeps_it(pytester: pytest.Pytester) -> None:
    _, run = ran(pytester, PAIR, "always_first")
    (item,) = judge(load(run))
    assert item.row is not None
    assert item.row.verdict == "BROKEN"


# --- failures without a finding ---

FAILS = {
    "assert": "def test_fails(invariance_model):\n    assert 1 == 2, 'own words'\n",
    "error": "@pytest.fixture\ndef broken():\n    raise RuntimeError('own words')\ndef test_fails(broken):\n    pass\n",
    "teardown": "@pytest.fixture\ndef broken():\n    yield\n    raise RuntimeError('own words')\ndef test_fails(broken):\n    pass\n",
}


@pytest.mark.parametrize("how", FAILS)
@pytest.mark.parametrize("beside", ["", HOLDS], ids=["alone", "beside one that holds"])
def test_a_failure_without_a_finding_is_listed_and_never_green(
    how: str, beside: str, pytester: pytest.Pytester
) -> None:
    _, run = ran(pytester, FAILS[how] + beside, "oracle")
    assert decided(run).exit_code == NO_EVIDENCE
    report = read_report(run)
    assert headline(report).kind == "UNDECIDED"
    assert [entry.where for entry in report.entries if entry.is_lost] == ["test_it.py::test_fails"]
    for name, text in surfaces(report).items():
        assert "test_fails" in html.unescape(text), name
        assert "own words" in text, name
    assert "no finding there says why" not in " ".join(report.notes), "it is said once, where it is listed"
    assert [
        case.get("name") for case in ET.fromstring(junit(report)).iter("testcase") if case.find("error") is not None
    ]
    assert "::error" in github_commands(report)


def test_a_run_that_failed_is_not_green_where_the_policy_lets_it_pass(pytester: pytest.Pytester) -> None:
    body = HOLDS + HOLDS.replace("test_holds", "test_breaks").replace("invariance_model,", "controls.always_first(),")
    _, run = ran(pytester, body, "oracle")
    policy = policy_from({"markers": {}, "properties": {"option_order": {"level": "block"}}}, "here")
    assert headline(read_report(run, policy)).kind == "BROKEN"
    stored = json.loads((run / "findings.json").read_text())
    for row in stored["findings"]:
        row["markers"] = ["soft"] if row["verdict"] == "BROKEN" else []
    (run / "findings.json").write_text(json.dumps(stored))
    soft = policy_from({"markers": {"soft": {"level": "warn"}}}, "here")
    assert decide_gate([load(run)], soft, datetime.date.today()).exit_code == PASSED
    said = headline(read_report(run, soft))
    assert said.kind == "WAIVED"
    assert "pytest failed" in said.rest
    assert "## ✓" not in markdown(read_report(run, soft))
