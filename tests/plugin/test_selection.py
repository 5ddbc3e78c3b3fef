"""What a session writes down of the part of its suite that it ran; the gate on such facts is in tests/gate."""

from __future__ import annotations

import json
from textwrap import dedent
from typing import Any

import pytest

from tests.commands import llminvariance
from tests.run_directories import recording

HEAD = """
    import pytest
    from pytest_llminvariance import InvarianceError, Question, assert_order_symmetric, controls

    BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abc"], id=f"q{n}", answer=n % 3) for n in range(9)]

    @pytest.fixture(scope="module")
    def open_finding(invariance_model):
        with pytest.raises(InvarianceError):
            assert_order_symmetric(controls.uniform(), BANK)

    @pytest.fixture(scope="module")
    def raising(invariance_model):
        assert_order_symmetric(controls.uniform(), BANK)
"""
GOOD = "--invariance-model=control:oracle"
WAIVED = "[[waivers]]\nproperty = 'option_order'\nowner = 'a'\nreason = 'b'\nexpires = 2999-01-01\n"


def recorded(pytester: pytest.Pytester, body: str, *flags: str) -> dict[str, Any]:
    """Run a suite and return run.json, with the names of tests without their file."""
    pytester.makepyfile(test_inner=dedent(HEAD) + dedent(body))
    return rerun(pytester, *flags)


def rerun(pytester: pytest.Pytester, *flags: str) -> dict[str, Any]:
    run = (
        pytester.runpytest_subprocess if any(flag.startswith("-n") for flag in flags) else pytester.runpytest_inprocess
    )
    run(GOOD, *flags, *recording(pytester.path / "record"))
    text = (pytester.path / "record" / "run.json").read_text()
    return dict(json.loads(text.replace("test_inner.py::", "")))


def gate(pytester: pytest.Pytester, policy: str = "") -> tuple[int, str]:
    (pytester.path / "gate.toml").write_text(policy)
    told = llminvariance(["gate", str(pytester.path / "record"), "--policy", str(pytester.path / "gate.toml")])
    assert told.exception is None or isinstance(told.exception, SystemExit), told.exception
    return told.exit_code, told.output


MIXED = """
    @pytest.mark.parametrize("n", [0, pytest.param(1, marks=pytest.mark.skip), pytest.param(2, marks=pytest.mark.xfail(run=False))])
    def test_model(invariance_model, n): assert_order_symmetric(invariance_model, BANK)

    @pytest.mark.parametrize("n", [0, 1])
    def test_chosen(invariance_model, n): assert_order_symmetric(invariance_model, BANK)

    @pytest.mark.invariance(level="block")
    def test_marked(): pass

    def test_skips_later(): pytest.skip("later")

    def test_crash(open_finding): raise OSError

    def test_carried(raising): pass
"""
LATER = """
    def test_a(invariance_model): assert_order_symmetric(invariance_model, BANK)

    def test_b(invariance_model):
        assert_order_symmetric(invariance_model, BANK)
        assert {}
"""


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["one", "xdist"])
def test_what_was_skipped_left_out_and_failed(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    pytester.makepyfile(test_other="import nothing_of_that_name")
    flags = ("--deselect=test_inner.py::test_chosen[0]", "-k", "not marked", "--continue-on-collection-errors")
    facts = recorded(pytester, MIXED, *flags, *workers)
    assert facts["skipped"] == ["test_model[1]", "test_model[2]", "test_skips_later"]
    assert facts["left_out"] == ["test_chosen[0]", "test_marked"]
    assert facts["deselected"] == 2
    models = [f"test_model[{n}]" for n in range(3)]
    more = ["test_chosen[0]", "test_chosen[1]", "test_marked", "test_crash", "test_carried"]
    assert facts["with_model"] == [*models, *more]
    assert facts["failed"] == ["test_carried", "test_crash", "test_other.py"]
    carried = {row["where"]: row["finding"] for row in facts["failures"]}
    assert (carried["test_crash"], carried["test_other.py"]) == (None, None)
    assert isinstance(carried["test_carried"], str)
    why = {row["where"]: row["why"] for row in facts["failures"]}
    assert why["test_crash"] == "OSError"
    assert why["test_other.py"].startswith("ImportError while importing test module")
    assert "option order is undecided" in why["test_carried"]
    assert facts["stopped"] is None
    code, said = gate(pytester, WAIVED)
    assert code == 3, said
    assert "test_inner.py::test_crash and 1 more failed, and no finding there says why" in said
    assert "4 tests of the model were skipped or left out" in said


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["one", "xdist"])
def test_running_what_failed_before_is_half_a_suite(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    pytester.makeini("[pytest]\naddopts =")
    body = LATER.format("False")
    recorded(pytester, body)
    facts = recorded(pytester, body.replace("False", "True"), "--lf", *workers)
    assert facts["stopped"] == "--lf runs what failed before"
    assert gate(pytester)[0] == 3


def test_going_on_where_it_failed_is_half_a_suite(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\naddopts =")
    recorded(pytester, LATER.format("False"), "--sw")
    facts = recorded(pytester, LATER.format("True"), "--sw")
    assert facts["left_out"] == ["test_a"]
    assert gate(pytester)[0] == 3


@pytest.mark.parametrize("how", ["items[:] = items[:1]", "del items[1:]"])
def test_a_conftest_that_drops_tests_is_seen(pytester: pytest.Pytester, how: str) -> None:
    pytester.makeconftest(
        f"import pytest\n\n@pytest.hookimpl(tryfirst=True)\ndef pytest_collection_modifyitems(items):\n    {how}\n"
    )
    facts = recorded(pytester, "def test_a(): pass\n\ndef test_b(invariance_model): pass\n")
    assert (facts["left_out"], facts["with_model"]) == (["test_b"], ["test_b"])


@pytest.mark.parametrize("where", ["conftest.py", "inner/conftest.py"])
@pytest.mark.parametrize(
    "hook",
    [
        "@pytest.hookimpl(wrapper=True, tryfirst=True)\ndef pytest_collection_modifyitems(items):\n    del items[1:]\n    return (yield)",
        "@pytest.hookimpl(tryfirst=True)\ndef pytest_collection_modifyitems(items):\n    del items[1:]",
        "@pytest.hookimpl(trylast=True)\ndef pytest_collection_finish(session):\n    del session.items[1:]",
    ],
    ids=["around all", "first", "after the end"],
)
def test_no_conftest_is_before_what_notes_the_tests(pytester: pytest.Pytester, where: str, hook: str) -> None:
    """One of a folder below is read while tests are collected, later than all plugins, and comes first where it wants to."""
    (pytester.path / "inner").mkdir()
    (pytester.path / where).write_text(f"import pytest\n\n{hook}\n")
    (pytester.path / "inner" / "test_deep.py").write_text("def test_a(): pass\n\ndef test_b(invariance_model): pass\n")
    pytester.runpytest_inprocess(GOOD, *recording(pytester.path / "record"))
    facts = json.loads((pytester.path / "record" / "run.json").read_text())
    assert facts["with_model"] == ["inner/test_deep.py::test_b"]
    assert facts["left_out"] == ["inner/test_deep.py::test_b"] or facts["stopped"]
    assert gate(pytester)[0] == 3


def test_named_tests_are_said(pytester: pytest.Pytester) -> None:
    facts = recorded(pytester, "def test_a(): pass\n\ndef test_b(): pass\n", "test_inner.py::test_a")
    assert facts["named"] == ["test_a"]
    assert rerun(pytester, "test_inner.py")["named"] is None


@pytest.mark.parametrize("flags", [("--maxfail=1", "--ff"), ("--sw",)])
def test_a_run_that_stopped_does_not_pass(pytester: pytest.Pytester, flags: tuple[str, ...]) -> None:
    pytester.makeini("[pytest]\naddopts =")
    body = "def test_a(raising): pass\n\ndef test_b(): assert False\n\ndef test_c(): pass\n"
    facts = recorded(pytester, body, *flags)
    assert facts["stopped"] or facts["exit"] == 2
    assert gate(pytester, WAIVED)[0] == 3


def test_failures_are_known_without_a_terminal(pytester: pytest.Pytester) -> None:
    facts = recorded(pytester, "def test_a(raising): pass\n\ndef test_b(): assert False\n", "-p", "no:terminal")
    assert facts["failed"] == ["test_a", "test_b"]


GROUPS = """
    @pytest.mark.parametrize("n", range(4))
    def test_a(invariance_model, n, late):
        try:
            assert_order_symmetric(controls.uniform(), BANK)
        except InvarianceError as error:
            if n == 1:
                raise ExceptionGroup("tasks", [ExceptionGroup("more", [error])])
            if n == 2:
                raise ExceptionGroup("tasks", [error, OSError()])
            if n == 3:
                raise OSError from error
            raise

    @pytest.fixture
    def late(n):
        yield
        assert n != 0
"""


def test_what_a_failure_carries(pytester: pytest.Pytester) -> None:
    facts = recorded(pytester, GROUPS)
    carried = [(row["where"], row["finding"] is not None) for row in facts["failures"]]
    assert carried == [
        ("test_a[0]", True), ("test_a[0]", False), ("test_a[1]", True), ("test_a[2]", True), ("test_a[2]", False),
        ("test_a[3]", False),
    ]  # fmt: skip


def test_the_session_says_what_the_command_says(pytester: pytest.Pytester) -> None:
    (pytester.path / "gate.toml").write_text("models = ['control:oracle']\nrequired = ['option_order']")
    body = """
        def test_a(invariance_model): assert_order_symmetric({}, BANK)

        def test_b(invariance_model): assert_order_symmetric(invariance_model, BANK)
    """
    pytester.makepyfile(test_inner=dedent(HEAD) + dedent(body.format("invariance_model")))
    assert pytester.runpytest_inprocess(GOOD, "--invariance-policy=gate.toml").ret == 0
    half = pytester.runpytest_inprocess(GOOD, "--invariance-policy=gate.toml", "-k", "test_a")
    assert half.ret == 1
    half.stdout.fnmatch_lines(
        ["*OPEN * 1 test of the model was skipped or left out * and run nowhere: test_inner.py::test_b.*"]
    )
    pytester.makepyfile(test_inner=dedent(HEAD) + dedent(body.format("controls.wrong_oracle()")))
    other = pytester.runpytest_inprocess(GOOD, "--invariance-policy=gate.toml")
    assert other.ret == 1


def test_a_model_that_no_test_took_from_the_fixture_is_not_known(pytester: pytest.Pytester) -> None:
    body = "def test_a(): assert_order_symmetric(controls.oracle(), BANK)\n"
    facts = recorded(pytester, body)
    assert (facts["model"], facts["fingerprint"]) == ("control:oracle", None)
    code, said = gate(pytester, "models = ['control:oracle']\nrequired = ['option_order']")
    assert code == 3
    assert "no test took it from the fixture invariance_model" in said
