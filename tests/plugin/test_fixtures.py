"""The fixtures: loaded once, released at the end, clear errors, a warning where nothing was checked."""

from __future__ import annotations

import json

import pytest

from tests.commands import llminvariance

COUNTING = """
    import weakref

    from pytest_llminvariance import controls

    made, released, network = [], [], []

    class Weights:
        pass

    class Counting:
        name, fingerprint, capabilities = "counting", "counting-1", frozenset({"label", "text"})

        def __init__(self):
            made.append(1)
            self.weights = Weights()
            network.append(weakref.ref(self.weights))
            self.asked = []

        def answer(self, requests):
            self.asked += requests
            return controls.oracle().answer(requests)

        def release(self):
            released.append(1)
            self.weights = None
"""


def test_no_model_is_an_error_that_says_what_to_give(suite: pytest.Pytester) -> None:
    result = suite.runpytest()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["no model to test: give --invariance-model=SPEC, or invariance_model in the ini file"])
    result.stdout.no_fnmatch_line("*Traceback*")
    result.stdout.no_fnmatch_line("*plugin.py*")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("control:nobody", "UsageError: there is no control 'nobody'; *"),
        ("replay:nothing.jsonl", "ModelError: replay: '*/nothing.jsonl' cannot be read: *"),
        ("./nowhere", "ModelError: there is no folder ./nowhere (looked at */nowhere). *"),
        ("python:no_such_module:make", "ModelError: *cannot be imported*"),
    ],
)
def test_a_model_that_cannot_be_loaded(spec: str, says: str, suite: pytest.Pytester) -> None:
    result = suite.runpytest(f"--invariance-model={spec}")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([says])
    result.stdout.no_fnmatch_line("*Traceback*")


def test_loaded_once_and_released_at_the_end(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(counting_model=COUNTING)
    pytester.makeconftest(
        """
        import gc
        import counting_model

        def pytest_unconfigure():
            gc.collect()
            made, released = len(counting_model.made), len(counting_model.released)
            print("MADE", made, "RELEASED", released, "DEAD", all(ref() is None for ref in counting_model.network))
        """
    )
    pytester.makepyfile(
        test_two="""
        from pytest_llminvariance import Question, assert_order_symmetric, assert_same_answer, Presentation

        BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], answer=n % 4) for n in range(12)]

        def test_one(invariance_model):
            assert_order_symmetric(invariance_model, BANK)

        def test_two(invariance_model, invariance):
            asked = len(invariance_model.asked)
            assert invariance.model is invariance_model
            invariance.assert_order_symmetric(BANK)
            assert len(invariance_model.asked) == asked  # remembered
        """
    )
    result = pytester.runpytest("-s", "--invariance-model=python:counting_model:Counting")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*MADE 1 RELEASED 1 DEAD True"])


def test_the_alias_of_the_readme(suite: pytest.Pytester) -> None:
    suite.makeconftest(
        'import pytest\nllm = pytest.fixture(scope="session")(lambda invariance_model: invariance_model)\n'
    )
    suite.makepyfile(
        test_suite="""
        from pytest_llminvariance import Question, assert_order_symmetric
        BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], answer=n % 4) for n in range(12)]

        def test_order(llm):
            assert_order_symmetric(llm, BANK)
        """
    )
    suite.runpytest("--invariance-model=control:oracle").assert_outcomes(passed=1)


UNCHECKED = "def test_idle(invariance_model):\n    pass\n"


def test_a_model_that_is_asked_for_and_not_checked_warns(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_idle=UNCHECKED)
    result = pytester.runpytest("--invariance-model=control:oracle", "-W", "default")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(
        ["*UncheckedModelWarning: test_idle.py::test_idle asks for the model and checks nothing*"]
    )


IDLE = """
import pytest, unittest
from hypothesis import given, strategies as st
from pytest_llminvariance import Question, assert_order_symmetric

BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], answer=n % 4) for n in range(12)]

@pytest.fixture(scope="module")
def checked(invariance_model):
    return assert_order_symmetric(invariance_model, BANK)

@pytest.fixture(scope="session")
def helper(invariance_model):
    return invariance_model.name

@pytest.fixture
def checks_itself(invariance):
    invariance.assert_order_symmetric(BANK)

def test_checks(invariance):
    invariance.assert_order_symmetric(BANK)

def test_by_a_fixture_of_the_module(checked, invariance_model):
    pass

def test_by_a_fixture_of_its_own(checks_itself):
    pass

def test_without_the_model():
    pass

def test_is_skipped(invariance):
    pytest.skip("not today")

@pytest.mark.xfail(strict=True)
def test_fails(invariance):
    assert False

@pytest.mark.parametrize("early", [True, False])
def test_returns_early(invariance, early):
    if not early:
        invariance.assert_order_symmetric(BANK)

def test_by_a_helper(helper):
    pass

def test_asks_while_it_runs(request):
    request.getfixturevalue("invariance_model")

def test_asks_while_it_runs_and_checks(request):
    assert_order_symmetric(request.getfixturevalue("invariance_model"), BANK)

@given(n=st.just(1))
def test_searches_nothing(invariance_model, n):
    pass

@pytest.mark.usefixtures("invariance_model")
class TestOld(unittest.TestCase):
    def test_old(self):
        pass
"""


@pytest.mark.parametrize("more", [(), ("-n1", "-p", "xdist")], ids=["alone", "worker"])
def test_tests_that_pass_without_a_check_are_named_on_the_terminal_and_by_the_gate(
    pytester: pytest.Pytester, more: tuple[str, ...]
) -> None:
    pytester.makepyfile(test_idle=IDLE)
    flags = ["--invariance-model=control:oracle", "-W", "ignore", "--invariance-report=rec", *more]
    result = pytester.runpytest(*flags)
    result.assert_outcomes(passed=11, skipped=1, xfailed=1)
    idle = [
        "TestOld::test_old", "test_asks_while_it_runs", "test_by_a_helper", "test_returns_early[True]", "test_searches_nothing",
    ]  # fmt: skip
    told = [line for line in result.outlines if line.startswith("UNCHECKED")]
    assert sorted(told) == [f"UNCHECKED asks for the model and checks nothing  [test_idle.py::{name}]" for name in idle]
    facts = json.loads((pytester.path / "rec" / "run.json").read_text())
    assert facts["unchecked"] == [f"test_idle.py::{name}" for name in idle]
    said = llminvariance(["gate", pytester.path / "rec"]).output
    first = ", ".join(facts["unchecked"][:3])
    assert f": {first} and 2 more passed without a check, though given the model\n" in said


def test_the_warning_as_an_error_fails_the_test_and_nothing_else(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_idle=UNCHECKED)
    result = pytester.runpytest("--invariance-model=control:oracle", "-W", "error")
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_no_warning_where_a_check_ran(suite: pytest.Pytester) -> None:
    suite.runpytest("--invariance-model=control:oracle").assert_outcomes(passed=1, warnings=0)


def test_no_warning_where_a_search_or_a_session_fixture_checked(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from hypothesis import given
        from pytest_llminvariance import Presentation, Question, assert_order_symmetric, assert_same_answer
        from pytest_llminvariance import strategies as inv

        BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], answer=n % 4) for n in range(12)]

        @given(order=inv.option_orders(4))
        def test_search(invariance_model, order):
            assert_same_answer(invariance_model, Presentation(BANK[0]), Presentation(BANK[0], order=order))

        @pytest.fixture(scope="session")
        def finding(invariance_model):
            return assert_order_symmetric(invariance_model, BANK)

        def test_in_a_fixture(invariance_model, finding):
            assert finding.verdict == "HOLDS"
        """
    )
    result = pytester.runpytest("--invariance-model=control:oracle")
    result.assert_outcomes(passed=2, warnings=0)
    result.stdout.fnmatch_lines(["HOLDS*option order*session fixture*", "SEARCHED*same answer*no counter-example*"])


def test_a_model_without_release_is_dead_at_the_end(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        weak="""
        import weakref
        from pytest_llminvariance import controls

        made = []

        class Weak:
            name, fingerprint, capabilities = "weak", "weak", frozenset({"label"})

            def __init__(self):
                made.append(weakref.ref(self))

            def answer(self, requests):
                return controls.oracle().answer(requests)
        """,
        test_weak="""
        from hypothesis import given
        from pytest_llminvariance import Presentation, Question, assert_same_answer
        from pytest_llminvariance import strategies as inv

        BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], answer=n % 4) for n in range(12)]

        def test_check(invariance):
            invariance.assert_order_symmetric(BANK)

        @given(order=inv.option_orders(4))
        def test_search(invariance_model, order):
            assert_same_answer(invariance_model, Presentation(BANK[0]), Presentation(BANK[0], order=order))
        """,
    )
    pytester.makeconftest(
        """
        import gc

        def pytest_unconfigure():
            from weak import made
            gc.collect()
            print("ALIVE", sum(ref() is not None for ref in made), "OF", len(made))
        """
    )
    result = pytester.runpytest("-s", "--invariance-model=python:weak:Weak")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["ALIVE 0 OF 1"])


def test_each_worker_loads_it_once_and_a_session_without_it_never(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        loud="""
        import os
        from pathlib import Path
        from pytest_llminvariance import controls

        def make():
            with Path("made").open("a") as file:
                file.write(f"{os.getpid()}\\n")
            return controls.oracle()
        """,
        test_nothing="def test_nothing():\n    pass\n",
        test_two="""
        from pytest_llminvariance import Question, assert_order_symmetric

        BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], answer=n % 4) for n in range(12)]

        def test_one(invariance_model):
            assert_order_symmetric(invariance_model, BANK)

        def test_two(invariance_model):
            assert_order_symmetric(invariance_model, BANK)
        """,
    )
    pytester.runpytest_subprocess("--invariance-model=python:loud:make", "test_nothing.py").assert_outcomes(passed=1)
    assert not (pytester.path / "made").exists()
    pytester.runpytest_subprocess("--invariance-model=python:loud:make", "-n2", "test_two.py").assert_outcomes(passed=2)
    made = (pytester.path / "made").read_text().split()
    assert len(made) == len(set(made)) <= 2


def test_a_test_that_fails_or_skips_by_itself_gets_no_warning(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        def test_fails(invariance_model):
            assert False

        def test_skips(invariance_model):
            pytest.skip("not today")
        """
    )
    result = pytester.runpytest("--invariance-model=control:oracle")
    result.assert_outcomes(failed=1, skipped=1, warnings=0)


@pytest.mark.parametrize("spec", ["control:nobody", "replay:nothing.jsonl", "./nowhere"])
def test_a_model_that_cannot_be_loaded_is_said_once(spec: str, suite: pytest.Pytester) -> None:
    result = suite.runpytest(f"--invariance-model={spec}", "-rN")
    result.assert_outcomes(errors=1)
    result.stdout.no_fnmatch_line("*During handling of the above exception*")
    start = next(n for n, line in enumerate(result.outlines) if "ERROR at setup" in line)
    assert len([line for line in result.outlines[start + 1 :] if line and not line.startswith("=")]) == 1


@pytest.mark.parametrize("body", ["def (", "1 / 0", "import pytest\npytest.nothing"])
def test_a_factory_module_that_raises_is_a_short_error(body: str, suite: pytest.Pytester) -> None:
    (suite.path / "raises.py").write_text(body)
    result = suite.runpytest("--invariance-model=python:raises:make")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["ModelError: python:raises:make: *"])


def test_a_check_in_a_thread_is_recorded(suite: pytest.Pytester) -> None:
    text = (suite.path / "test_suite.py").read_text()
    call = "assert_order_symmetric(invariance_model, BANK)"
    threaded = text.replace(call, f"ThreadPoolExecutor().submit(lambda: {call}).result()")
    suite.makepyfile(test_suite="from concurrent.futures import ThreadPoolExecutor\n" + threaded)
    result = suite.runpytest("--invariance-model=control:oracle")
    result.assert_outcomes(passed=1, warnings=0)
    result.stdout.fnmatch_lines(["HOLDS     option order*"])
