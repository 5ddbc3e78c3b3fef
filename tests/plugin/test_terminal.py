"""What a user sees: header, failure, one line a finding, the replay."""

from __future__ import annotations

import re

import pytest


def test_header_only_where_a_model_is_configured(suite: pytest.Pytester) -> None:
    suite.runpytest("--invariance-model=control:oracle").stdout.fnmatch_lines(
        ["invariance: model control:oracle, seed 0, everything planned is asked (no sampling risk)"]
    )
    suite.makepyfile(test_suite="def test_nothing():\n    pass\n")
    assert "invariance:" not in suite.runpytest().stdout.str()


def test_header_on_an_xdist_controller(suite: pytest.Pytester) -> None:
    result = suite.runpytest_subprocess("--invariance-model=control:oracle", "-n2")
    assert result.stdout.str().count("invariance: model control:oracle") == 1


def test_nothing_is_printed_where_nothing_is_used(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_nothing():\n    pass\n")
    lines = [line for line in pytester.runpytest().outlines if "invariance" in line]
    assert all(line.startswith(("plugins:", "rootdir:")) for line in lines)


def test_a_broken_property(suite: pytest.Pytester) -> None:
    result = suite.runpytest("--invariance-model=control:always_first")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "E*pytest_llminvariance.InvarianceError: option order is broken: the answer changed in 216 of 276 other "
            "presentations (78%, tolerated 5%).",
            "E*sure:    exact: 12 questions, 24 of 24 orders each, all asked",
            "E*example: q0: stem 0? - swap A and B:",
            "E*A. a0  B. b0  C. c0  D. d0  ->  a0 (A)",
            "E*A. b0  B. a0  C. c0  D. d0  ->  b0 (A)",
            "E*pattern: share chosen by position shown, first to last: 100%, 0%, 0%, 0% (even would be 25%)",
            "E*model:   always_first, read by label",
            "E*replay:  pytest test_suite.py::test_order --invariance-seed=0 --invariance-model=control:always_first",
            "*= invariance =*",
            "BROKEN    option order: flip_rate 216 of 276 other presentations (78%), tolerance 5%, 12 questions, "
            "24 of 24 orders  [[]test_suite.py::test_order]",
        ]
    )
    shown = [line for line in result.outlines if re.match(r".*pytest_llminvariance/\w+\.py", line)]
    assert shown == []


def test_the_replay_line_gives_the_same_verdict(suite: pytest.Pytester) -> None:
    first = suite.runpytest("--invariance-model=control:always_first", "--invariance-seed=7")
    replay = re.search(r"replay:  pytest (.*)", first.stdout.str())
    assert replay is not None
    again = suite.runpytest(*replay[1].split())
    message = [line for line in first.outlines if line.startswith("E ")]
    assert message
    assert [line for line in again.outlines if line.startswith("E ")] == message


@pytest.mark.parametrize(
    ("control", "line"),
    [
        ("oracle", "HOLDS     option order: flip_rate 0 of 276 other presentations (0%), tolerance 5%, 12 questions*"),
        (
            "tie_maker",
            "UNDECIDED option order: flip_rate 0 of 276 other presentations (0% to 100%)*tie 100% of answers*",
        ),
        ("refuser", "UNDECIDED option order: *mean mass on the options 0.000 (at least 0.5)*"),
    ],
)
def test_one_line_a_finding(control: str, line: str, suite: pytest.Pytester) -> None:
    suite.runpytest(f"--invariance-model=control:{control}").stdout.fnmatch_lines([line])


def test_a_model_that_fails_in_the_middle(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        failing="""
        from pytest_llminvariance import ModelError

        class Failing:
            name, fingerprint, capabilities = "failing", "f", frozenset({"label"})

            def answer(self, requests):
                raise ModelError("the server went away")
        """,
        test_suite="""
        from pytest_llminvariance import Question, assert_order_symmetric

        def test_order(invariance_model):
            assert_order_symmetric(invariance_model, Question("a?", ["b", "c"]))
        """,
    )
    result = pytester.runpytest("--invariance-model=python:failing:Failing")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["ERROR     option order: ModelError: the server went away*test_suite.py::test_order*"])


@pytest.mark.parametrize("flag", ["-q", "--no-header", "--tb=no", "-qq"])
def test_section_survives_other_verbosity(flag: str, suite: pytest.Pytester) -> None:
    suite.runpytest("--invariance-model=control:oracle", flag).stdout.fnmatch_lines(["HOLDS     option order*"])


def test_the_last_line_of_a_green_session_is_pytests_own(suite: pytest.Pytester) -> None:
    result = suite.runpytest("--invariance-model=control:oracle")
    assert result.ret == 0
    assert result.outlines[-1].startswith("=")
    assert "1 passed" in result.outlines[-1]


@pytest.mark.parametrize("flags", [["-p", "no:terminal"], ["--collect-only"], ["--setup-plan"]], ids=str)
@pytest.mark.parametrize(("control", "status"), [("oracle", 0), ("always_first", 1)])
def test_what_hides_the_section_hides_no_failure(
    flags: list[str], control: str, status: int, suite: pytest.Pytester
) -> None:
    result = suite.runpytest(f"--invariance-model=control:{control}", *flags)
    nothing_runs = flags[0] in ("--collect-only", "--setup-plan")
    assert result.ret == (0 if nothing_runs else status)
    assert not [line for line in result.outlines if line.startswith(("HOLDS", "BROKEN"))]


def test_findings_are_listed_in_the_order_of_the_tests(suite: pytest.Pytester) -> None:
    text = (suite.path / "test_suite.py").read_text()
    suite.makepyfile(test_suite=f"{text}\n\n{text[text.index('def test_') :].replace('test_order', 'test_again')}")
    result = suite.runpytest("--invariance-model=control:oracle")
    places = [line.rpartition("  [")[2] for line in result.outlines if line.startswith("HOLDS")]
    assert places == ["test_suite.py::test_order]", "test_suite.py::test_again]"]


def test_color_says_the_verdict(suite: pytest.Pytester) -> None:
    shown = {
        control: suite.runpytest(f"--invariance-model=control:{control}", "--color=yes").stdout.str()
        for control in ("oracle", "always_first", "uniform")
    }
    for control, (colour, verdict) in {
        "oracle": (32, "HOLDS"), "always_first": (31, "BROKEN"), "uniform": (33, "UNDECIDED")
    }.items():  # fmt: skip
        assert f"\x1b[{colour}m{verdict}" in shown[control]
