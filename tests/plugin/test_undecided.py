"""UNDECIDED: fails by default, and under `skip` and `warn` never hides a BROKEN."""

from __future__ import annotations

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
