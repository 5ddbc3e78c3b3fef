"""Findings arrive once: with JUnit, reruns, session fixtures, two workers, and workers that die."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

DYING = """
    import os
    from pytest_llminvariance import controls

    class Dying:
        name, fingerprint, capabilities = "dying", "dying", frozenset({"label"})

        def answer(self, requests):
            if "deadly" in requests[0].presentation.question.stem:
                os._exit(int(os.environ["DIE_WITH"]))
            return controls.oracle().answer(requests)
"""
DYING_SUITE = """
    from pytest_llminvariance import Question, assert_order_symmetric

    BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], answer=n % 4) for n in range(12)]

    def test_dies(invariance_model):
        assert_order_symmetric(invariance_model, BANK)
        assert_order_symmetric(invariance_model, Question("deadly?", ["b", "c"]))
"""


def junit_findings(path: Path) -> dict[str, list[dict[str, Any]]]:
    cases = ET.parse(path).getroot().iter("testcase")
    return {
        case.attrib["name"]: [
            json.loads(item.attrib["value"])
            for item in case.iter("property")
            if item.attrib["name"] == "invariance_finding"
        ]
        for case in cases
    }


def section(result: pytest.RunResult) -> list[str]:
    return sorted(line for line in result.outlines if line.startswith(("HOLDS ", "BROKEN ", "UNDECIDED ", "SEARCHED ")))


def test_once_in_junit_with_its_id(suite: pytest.Pytester) -> None:
    suite.runpytest("--invariance-model=control:always_first", "--junitxml=out.xml")
    (finding,) = junit_findings(suite.path / "out.xml")["test_order"]
    assert finding["verdict"] == "BROKEN"
    assert finding["count"] == "216 of 276 other presentations"
    assert len(finding["id"]) == 16
    suite.runpytest("--invariance-model=control:always_first", "--junitxml=again.xml")
    assert junit_findings(suite.path / "again.xml")["test_order"] == [finding]


def test_the_summary_stays_small_whatever_the_suite(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        test_suite="""
        from pytest_llminvariance import Question, assert_order_symmetric

        BANK = [Question(f"stem {n}? " + "long " * 200, [f"{c}{n} " + "x" * 500 for c in "ab"]) for n in range(2000)]

        def test_order(invariance_model):
            assert_order_symmetric(invariance_model, BANK)
        """
    )
    suite.runpytest("--invariance-model=control:always_first", "--junitxml=out.xml")
    (finding,) = junit_findings(suite.path / "out.xml")["test_order"]
    assert finding["verdict"] == "BROKEN"
    assert len(json.dumps(finding).encode()) <= 16_000


def test_two_workers_find_the_same_as_one_process(suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = suite.mkdir("temporary")
    monkeypatch.setenv("TMPDIR", str(folder))
    suite.makepyfile(test_other=(suite.path / "test_suite.py").read_text().replace("12", "9"))
    alone = suite.runpytest_subprocess("--invariance-model=control:always_first")
    both = suite.runpytest_subprocess("--invariance-model=control:always_first", "-n2")
    assert len(section(alone)) == 2
    assert section(both) == section(alone)
    assert both.stdout.str().count("model always_first, fingerprint") == 1
    assert list(folder.glob("pytest-llminvariance-*")) == []


def test_a_finding_of_a_session_fixture_belongs_to_the_fixture(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_fixture="""
        import pytest
        from pytest_llminvariance import Question, assert_order_symmetric

        BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], answer=n % 4) for n in range(12)]

        @pytest.fixture(scope="session")
        def finding(invariance_model):
            return assert_order_symmetric(invariance_model, BANK)

        def test_first(finding):
            assert finding.scope == "session"

        def test_second(finding):
            pass
        """
    )
    result = pytester.runpytest("--invariance-model=control:oracle", "--junitxml=out.xml")
    result.assert_outcomes(passed=2)
    (line,) = section(result)
    assert line.endswith("[test_fixture.py::finding (session fixture)]")
    assert junit_findings(pytester.path / "out.xml") == {"test_first": [], "test_second": []}


def test_of_reruns_the_last_attempt_counts_once(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        test_suite="""
        from pytest_llminvariance import Question, assert_order_symmetric, controls

        BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], answer=n % 4) for n in range(12)]
        models = [controls.always_first(), controls.oracle()]

        def test_order():
            assert_order_symmetric(models.pop(0), BANK)
        """
    )
    result = suite.runpytest("--reruns=1", "--junitxml=out.xml", "-p", "rerunfailures")
    assert "1 rerun" in result.stdout.str()
    (line,) = section(result)
    assert line.startswith("HOLDS")
    assert [finding["verdict"] for finding in junit_findings(suite.path / "out.xml")["test_order"]] == ["HOLDS"]


@pytest.mark.parametrize("status", ["0", "1"])
def test_a_worker_that_dies_loses_nothing_that_was_found(
    status: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIE_WITH", status)
    pytester.makepyfile(dying=DYING, test_dies=DYING_SUITE)
    result = pytester.runpytest_subprocess("--invariance-model=python:dying:Dying", "-n1", "--max-worker-restart=0")
    assert result.ret == 1
    found = section(result)
    assert any(line.startswith("HOLDS     option order") for line in found)
    assert any("UNDECIDED option order: started and did not finish: worker died" in line for line in found)
    assert "invariance: 1 check(s) started and did not finish; the session fails" in result.outlines[-2:]


def test_a_check_that_never_finished_fails_a_session_that_is_green_otherwise(suite: pytest.Pytester) -> None:
    suite.makeconftest(
        """
        import pytest
        from pytest_llminvariance.checks.run import current_run

        @pytest.fixture(autouse=True)
        def lost(request):
            current_run.get().recorder.started("option order")
        """
    )
    result = suite.runpytest("--invariance-model=control:oracle")
    result.assert_outcomes(passed=1)
    assert result.ret == 1
    assert result.outlines[-1] == "invariance: 1 check(s) started and did not finish; the session fails"
