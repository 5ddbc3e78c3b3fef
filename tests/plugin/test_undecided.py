"""UNDECIDED: fails by default, and under `skip` and `warn` never hides a BROKEN."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from textwrap import dedent

import pytest

TWO_CHECKS = """
    from pytest_llminvariance import Question, assert_order_symmetric, controls

    BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], answer=n % 4) for n in range(12)]

    def test_undecided(invariance_model):
        assert_order_symmetric(invariance_model, BANK)

    def test_undecided_then_broken(invariance_model):
        assert_order_symmetric(invariance_model, BANK)
        assert_order_symmetric(controls.always_first(), BANK)

    def test_undecided_then_another_failure(invariance_model):
        assert_order_symmetric(invariance_model, BANK)
        assert False, "their own"

    def test_holds(invariance_model):
        assert_order_symmetric(controls.oracle(), BANK)
"""


@pytest.fixture
def two(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makepyfile(test_two=TWO_CHECKS)
    return pytester


def test_fail_is_the_default(two: pytest.Pytester) -> None:
    result = two.runpytest("--invariance-model=control:uniform")
    result.assert_outcomes(failed=3, passed=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "E*pytest_llminvariance.UndecidedError: option order is undecided: the answer changed in 0 of 276 other "
            "presentations (0% to 100%, tolerated 5%).",
            "E*because: the effect lies between 0 and 1, on both sides of the tolerance: tie 100% of answers",
        ]
    )


def test_skip_reports_a_passed_test_as_skipped_and_says_why(two: pytest.Pytester) -> None:
    result = two.runpytest("--invariance-model=control:uniform", "--invariance-undecided=skip", "-rs")
    result.assert_outcomes(failed=2, passed=1, skipped=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "3 of 5 checks UNDECIDED and let pass (--invariance-undecided=skip)",
            "SKIPPED*test_two.py:5: UNDECIDED: option order: the effect lies between 0 and 1*",
        ]
    )
    result.stdout.fnmatch_lines(["E*InvarianceError: option order is broken: *"])


def test_warn_goes_on_and_is_listed(two: pytest.Pytester) -> None:
    result = two.runpytest("--invariance-model=control:uniform", "--invariance-undecided=warn")
    result.assert_outcomes(failed=2, passed=2)
    result.stdout.fnmatch_lines(["3 of 5 checks UNDECIDED and let pass (--invariance-undecided=warn)"])


@pytest.mark.parametrize(("policy", "status"), [("fail", 1), ("skip", 0), ("warn", 0)])
def test_exit_status(policy: str, status: int, two: pytest.Pytester) -> None:
    result = two.runpytest(
        "--invariance-model=control:uniform", f"--invariance-undecided={policy}", "-k", "test_undecided and not then"
    )
    assert result.ret == status


@pytest.mark.parametrize("policy", ["fail", "skip"])
def test_a_tie_never_stops_a_search(policy: str, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from hypothesis import given
        from pytest_llminvariance import Presentation, Question, assert_same_answer
        from pytest_llminvariance import strategies as inv

        WHO = Question("Who?", ["Ann", "Bob", "Cy", "Di"])

        @given(order=inv.option_orders(WHO))
        def test_search(invariance_model, order):
            assert_same_answer(invariance_model, Presentation(WHO), Presentation(WHO, order=order))
        """
    )
    result = pytester.runpytest("--invariance-model=control:uniform", f"--invariance-undecided={policy}")
    result.assert_outcomes(passed=1)


MARKED = """
    import pytest
    from pytest_llminvariance import Question, assert_order_symmetric, check, controls

    BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], answer=n % 4) for n in range(12)]
"""


def outcomes(pytester: pytest.Pytester, policy: str, body: str) -> dict[str, int]:
    pytester.makepyfile(test_it=dedent(MARKED) + dedent(body))
    result = pytester.runpytest("--invariance-model=control:uniform", f"--invariance-undecided={policy}")
    found = result.parseoutcomes()
    found.pop("warnings", None)
    return found


@pytest.mark.parametrize(("policy", "found"), [("fail", {"errors": 2}), ("warn", {"passed": 2})])
def test_in_a_session_fixture(policy: str, found: dict[str, int], pytester: pytest.Pytester) -> None:
    assert outcomes(pytester, policy, IN_SESSION_FIXTURE) == found


def test_in_a_session_fixture_skip_skips_the_tests_that_use_it(pytester: pytest.Pytester) -> None:
    assert outcomes(pytester, "skip", IN_SESSION_FIXTURE) == {"skipped": 2}


IN_SESSION_FIXTURE = """
    @pytest.fixture(scope="session")
    def finding(invariance_model):
        return assert_order_symmetric(invariance_model, BANK)

    def test_one(finding):
        pass

    def test_two(finding):
        pass
"""


@pytest.mark.parametrize(
    ("policy", "found"), [("fail", {"errors": 1}), ("skip", {"skipped": 1}), ("warn", {"passed": 1})]
)
def test_in_a_function_fixture(policy: str, found: dict[str, int], pytester: pytest.Pytester) -> None:
    body = """
        @pytest.fixture
        def finding(invariance_model):
            return assert_order_symmetric(invariance_model, BANK)

        def test_one(finding):
            pass
    """
    assert outcomes(pytester, policy, body) == found


PARAMETERS = """
    @pytest.fixture(scope="module", params=["uniform", "oracle"])
    def finding(request):
        return assert_order_symmetric(controls.control(request.param), BANK)

    def test_one(finding):
        pass
"""
SAME_NAME = """
    class TestOne:
        @pytest.fixture(scope="class")
        def finding(self):
            return assert_order_symmetric(controls.uniform(), BANK)

        def test_one(self, finding):
            pass

    class TestTwo:
        @pytest.fixture(scope="class")
        def finding(self):
            return assert_order_symmetric(controls.oracle(), BANK)

        def test_two(self, finding):
            pass
"""


@pytest.mark.parametrize("body", [PARAMETERS, SAME_NAME], ids=["parameters", "same name"])
def test_skip_reaches_only_the_tests_of_the_fixture_that_is_undecided(body: str, pytester: pytest.Pytester) -> None:
    assert outcomes(pytester, "skip", body) == {"skipped": 1, "passed": 1}


EXPECTED_TO_FAIL = """
    @pytest.mark.xfail(strict={strict})
    def test_one(invariance_model):
        assert_order_symmetric(invariance_model, BANK)
"""


@pytest.mark.parametrize("strict", [True, False])
def test_a_test_marked_xfail_fails_as_expected_under_fail(strict: bool, pytester: pytest.Pytester) -> None:
    assert outcomes(pytester, "fail", EXPECTED_TO_FAIL.format(strict=strict)) == {"xfailed": 1}


@pytest.mark.parametrize("strict", [True, False])
def test_a_test_marked_xfail_is_skipped_under_skip(strict: bool, pytester: pytest.Pytester) -> None:
    assert outcomes(pytester, "skip", EXPECTED_TO_FAIL.format(strict=strict)) == {"skipped": 1}


@pytest.mark.parametrize("policy", ["fail", "skip", "warn"])
def test_a_broken_subtest_fails_whatever_is_undecided_before_it(policy: str, pytester: pytest.Pytester) -> None:
    body = """
        def test_one(invariance_model, subtests):
            with subtests.test("undecided"):
                assert_order_symmetric(invariance_model, BANK)
            with subtests.test("broken"):
                assert_order_symmetric(controls.always_first(), BANK)
    """
    pytest.importorskip("_pytest.subtests", reason="pytest 9 brings subtests")
    pytester.makepyfile(test_it=dedent(MARKED) + dedent(body))
    result = pytester.runpytest("--invariance-model=control:uniform", f"--invariance-undecided={policy}")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["E*InvarianceError: option order is broken: *", "BROKEN *"])


@pytest.mark.parametrize("policy", ["fail", "warn"])
def test_check_itself_lets_the_test_decide(policy: str, pytester: pytest.Pytester) -> None:
    assert outcomes(pytester, policy, DECIDES_ITSELF) == {"passed": 1}


def test_check_itself_lets_the_test_decide_under_skip(pytester: pytest.Pytester) -> None:
    assert outcomes(pytester, "skip", DECIDES_ITSELF) == {"passed": 1}


DECIDES_ITSELF = """
    def test_one(invariance_model):
        assert check("option_order", invariance_model, BANK, tolerance=0.05).verdict == "UNDECIDED"
"""


def test_two_workers_skip_as_one_process_does(two: pytest.Pytester) -> None:
    flags = ["--invariance-model=control:uniform", "--invariance-undecided=skip"]
    result = two.runpytest_subprocess(*flags, "-n2", "-rs")
    result.assert_outcomes(failed=2, passed=1, skipped=1)
    result.stdout.fnmatch_lines(["3 of 5 checks UNDECIDED and let pass (--invariance-undecided=skip)"])


def test_junit_counts_it_as_skipped(two: pytest.Pytester) -> None:
    flags = ["--invariance-model=control:uniform", "--invariance-undecided=skip", "--junitxml=out.xml"]
    two.runpytest(*flags)
    suite = ET.parse(two.path / "out.xml").getroot()[0]
    assert (suite.attrib["tests"], suite.attrib["skipped"], suite.attrib["failures"]) == ("4", "1", "2")
