"""Ways to get a bad model through the gate, or a good one stopped, with README, docs and policy at hand; none works."""

from __future__ import annotations

import json
from collections.abc import Sequence
from textwrap import dedent

import pytest
from typer.testing import CliRunner

from pytest_llminvariance.cli import app
from tests.run_directories import recording

HEAD = """
    import pytest
    from pytest_llminvariance import (
        Question, assert_invariant, assert_order_symmetric, check, controls, Relabel, InvarianceError
    )

    BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], id=f"q{n}", answer=n % 4) for n in range(12)]
    EASY = controls.oracle()
"""
ORDER = """
    def test_order(invariance_model):
        assert_order_symmetric(invariance_model, BANK)
"""
GOOD, BAD = "--invariance-model=control:oracle", "--invariance-model=control:always_first"


def suite(pytester: pytest.Pytester, body: str, policy: str = "") -> None:
    pytester.makepyfile(test_inner=dedent(HEAD) + dedent(body))
    (pytester.path / "gate.toml").write_text(policy)


def gated(pytester: pytest.Pytester, *flags: str, directories: Sequence[str] = ("record",)) -> tuple[int, str]:
    """Run the suite, and the gate on its record; return the exit status and what the gate says."""
    run = pytester.runpytest_subprocess if any(flag.startswith("-n") for flag in flags) else pytester.runpytest_inprocess
    run("-p", "no:randomly", *flags, *recording(pytester.path / directories[-1]))
    return gate(pytester, *directories)


def gate(pytester: pytest.Pytester, *directories: str, more: Sequence[str] = ()) -> tuple[int, str]:
    places = [str(pytester.path / name) for name in directories]
    told = CliRunner().invoke(app, ["gate", *places, "--policy", str(pytester.path / "gate.toml"), *more])
    assert told.exception is None or isinstance(told.exception, SystemExit), told.exception
    return told.exit_code, told.output


INSTANCES = """
    @pytest.mark.parametrize("n", [pytest.param(0), pytest.param(1{marks})])
    def test_order(invariance_model, n):
        assert_order_symmetric(EASY if n == 0 else controls.always_first(), BANK)
"""


@pytest.mark.parametrize("required", ["option_order", "test_inner.py::test_order", "test_inner.py"])
@pytest.mark.parametrize(
    ("marks", "flags"),
    [
        (", marks=pytest.mark.skip", ()),
        (", marks=pytest.mark.xfail(run=False)", ()),
        ("", ("-k", "not 1")),
        ("", ("--deselect", "test_inner.py::test_order[1]")),
        (", marks=pytest.mark.filterwarnings('default')", ("-m", "not filterwarnings")),
    ],
    ids=["skip", "xfail", "k", "deselect", "m"],
)
def test_one_instance_does_not_stand_in_for_another(
    pytester: pytest.Pytester, required: str, marks: str, flags: tuple[str, ...]
) -> None:
    suite(pytester, INSTANCES.format(marks=marks), f"required = [{required!r}]\nleft_out = 'ignore'")
    code, said = gated(pytester, GOOD, *flags)
    assert code == 1, said
    assert "no run has run test_inner.py::test_order[1], which was skipped or left out" in said


def test_instances_that_all_ran_pass_in_one_run_or_two(pytester: pytest.Pytester) -> None:
    body = INSTANCES.format(marks="").replace("controls.always_first()", "invariance_model")
    suite(pytester, body, "required = ['option_order', 'test_inner.py::test_order']")
    assert gated(pytester, GOOD)[0] == 0
    assert gated(pytester, GOOD, "-k", "not 1", directories=["one"])[0] == 1
    assert gated(pytester, GOOD, "-k", "not 0", directories=["one", "two"])[0] == 0


TWO = ORDER + """
    @pytest.mark.invariance(level={level!r})
    def test_order_of_the_rest(invariance_model):
        assert_order_symmetric({model}, BANK)
"""


@pytest.mark.parametrize(("level", "least", "code"), [("ignore", "block", 1), ("warn", "block", 1), ("ignore", "warn", 1), ("warn", "warn", 0)])
def test_every_required_check_has_the_least_level(pytester: pytest.Pytester, level: str, least: str, code: int) -> None:
    body = TWO.format(level=level, model="controls.always_first()")
    suite(pytester, body, f"required = ['option_order']\nmin_level = {least!r}")
    got, said = gated(pytester, GOOD)
    assert got == code, said
    told = f"test_inner.py::test_order_of_the_rest has the level {level}, and at least {least} is asked for"
    assert (told in said) == bool(code)
    (pytester.path / "gate.toml").write_text("required = ['test_inner.py::test_order']")
    assert gate(pytester, "record")[0] == 0, "the tests that must hold can be named"


def test_a_test_at_warn_alone_is_no_required_check(pytester: pytest.Pytester) -> None:
    suite(pytester, TWO.format(level="warn", model="invariance_model").replace("def test_order(", "def _order("), "required = ['option_order']")
    assert gated(pytester, BAD)[0] == 1


def test_another_metric_is_no_evidence_for_the_policys(pytester: pytest.Pytester) -> None:
    body = """
        def test_order(invariance_model):
            assert_order_symmetric(invariance_model, BANK, metric="position_bias", tolerance=0.3)
    """
    suite(pytester, body, "required = ['option_order']\n[properties.option_order]\nmetric = 'flip_rate'")
    code, said = gated(pytester, GOOD)
    assert code == 3, said
    assert "it is measured by position_bias, but the policy wants flip_rate" in said
    (pytester.path / "gate.toml").write_text("[properties.option_order]\nmetric = 'position_bias'")
    assert gate(pytester, "record")[0] == 0


FIXTURE = """
    @pytest.fixture(scope="module")
    def checked(invariance_model):
        try:
            assert_order_symmetric(controls.uniform(), BANK)
        except InvarianceError:
            {caught}
"""
WAIVED = "[[waivers]]\nproperty = 'option_order'\nowner = 'a'\nreason = 'b'\nexpires = 2999-01-01\n"


@pytest.mark.parametrize(
    ("caught", "body", "code"),
    [
        ("pass", "raise OSError", 3),
        ("pass", "import os; os._exit(3)", 3),
        ("pass", "pass", 0),
        ("raise", "pass", 0),
    ],
    ids=["crash", "death", "fine", "carried"],
)
def test_a_finding_of_a_fixture_explains_only_what_carries_it(
    pytester: pytest.Pytester, caught: str, body: str, code: int
) -> None:
    suite(pytester, FIXTURE.format(caught=caught) + f"\n    def test_a(checked): {body}\n\n    def test_b(checked): pass\n", WAIVED)
    got, said = gated(pytester, GOOD, *(["-n1"] if "_exit" in body else []))
    assert got == code, said
    assert ("test_inner.py::test_a failed, and no finding there says why" in said) == bool(code)


@pytest.mark.parametrize(
    ("after", "code"),
    [
        ("raise", 0),
        ("raise ExceptionGroup('tasks', [error])", 0),
        ("raise ExceptionGroup('tasks', [error, OSError()])", 3),
        ("raise OSError from error", 3),
    ],
)
def test_a_failure_is_explained_by_the_finding_that_it_carries(pytester: pytest.Pytester, after: str, code: int) -> None:
    body = f"""
        def test_order(invariance_model):
            try:
                assert_order_symmetric(invariance_model, BANK)
            except InvarianceError as error:
                {after}
    """
    suite(pytester, body, WAIVED)
    assert gated(pytester, BAD)[0] == code


def test_a_test_that_fails_twice_is_explained_twice(pytester: pytest.Pytester) -> None:
    body = ORDER.replace("(invariance_model)", "(invariance_model, late)") + """
    @pytest.fixture
    def late():
        yield
        raise OSError
    """
    suite(pytester, body, WAIVED)
    assert gated(pytester, BAD)[0] == 3


HALF = ORDER + """
    @pytest.mark.slow
    def test_labels(invariance_model):
        assert_invariant(
            invariance_model, BANK, under=Relabel([("A", "B", "C", "D"), ("1", "2", "3", "4")]), tolerance=0.05
        )
"""


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["one", "xdist"])
@pytest.mark.parametrize(
    "flags", [("-k", "order"), ("-m", "not slow"), ("--deselect=test_inner.py::test_labels",), ("--lf",), ("--sw",)]
)
def test_half_a_suite_does_not_pass(pytester: pytest.Pytester, flags: tuple[str, ...], workers: tuple[str, ...]) -> None:
    pytester.makeini("[pytest]\nmarkers = slow")
    suite(pytester, HALF)
    if flags[0] in ("--lf", "--sw"):
        pytester.makeconftest("")
        failing = HALF.replace("test_order(invariance_model):", "test_order(invariance_model):\n        assert False")
        failing = failing if flags[0] == "--lf" else HALF.replace("labels(invariance_model):", "labels(invariance_model):\n        assert False")
        suite(pytester, failing)
        pytester.runpytest_inprocess(GOOD, flags[0])
        suite(pytester, HALF)
    code, said = gated(pytester, GOOD, *flags, *workers)
    assert code == 3, said
    assert "--lf runs what failed before" in said or "1 tests of the model were skipped or left out" in said
    (pytester.path / "gate.toml").write_text("left_out = 'warn'")
    assert gate(pytester, "record")[0] == (3 if flags[0] == "--lf" else 0)
    (pytester.path / "gate.toml").write_text("left_out = 'block'")
    assert gate(pytester, "record")[0] == (3 if flags[0] == "--lf" else 1)


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["one", "xdist"])
def test_a_whole_suite_passes_with_workers_and_without(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    pytester.makeini("[pytest]\nmarkers = slow")
    suite(pytester, HALF + "\n    @pytest.mark.skip\n    def test_of_something_else(): pass\n", "required = ['option_order', 'labels']")
    code, said = gated(pytester, GOOD, *workers)
    assert code == 0, said
    facts = json.loads((pytester.path / "record" / "run.json").read_text())
    assert facts["with_model"] == ["test_inner.py::test_order", "test_inner.py::test_labels"]
    assert facts["skipped"] == ["test_inner.py::test_of_something_else"]
    assert (facts["left_out"], facts["failures"], facts["named"], facts["deselected"]) == ([], [], None, 0)


def test_named_tests_are_no_whole_suite(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nmarkers = slow")
    suite(pytester, HALF)
    code, said = gated(pytester, GOOD, "test_inner.py::test_order")
    assert code == 3
    assert "ran only what was named on the command line: test_inner.py::test_order" in said
    (pytester.path / "gate.toml").write_text("left_out = 'ignore'")
    assert gate(pytester, "record")[0] == 0


@pytest.mark.parametrize("flags", [("-x",), ("--maxfail=1",), ("--ff", "-x"), ("--sw",), ("-n1", "-x")])
def test_a_run_that_stopped_does_not_pass(pytester: pytest.Pytester, flags: tuple[str, ...]) -> None:
    suite(pytester, ORDER.replace("order", "a_order", 1) + "\n    def test_b(): pytest.fail('later')\n\n    def test_c(): pass\n", WAIVED)
    assert gated(pytester, BAD, *flags)[0] == 3


@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["one", "xdist"])
def test_files_that_cannot_be_read_are_no_pass(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    suite(pytester, ORDER, WAIVED)
    pytester.makepyfile(test_other="import nothing_of_that_name")
    for flags in ((), ("--continue-on-collection-errors",)):
        code, said = gated(pytester, BAD, *flags, *workers)
        assert code == 3, said


@pytest.mark.parametrize("how", ["items[:] = items[:1]", "del items[1:]"])
def test_a_conftest_that_drops_tests_is_seen(pytester: pytest.Pytester, how: str) -> None:
    pytester.makeini("[pytest]\nmarkers = slow")
    pytester.makeconftest(
        f"import pytest\n\n@pytest.hookimpl(tryfirst=True)\ndef pytest_collection_modifyitems(items):\n    {how}\n"
    )
    suite(pytester, HALF)
    assert gated(pytester, GOOD)[0] == 3


@pytest.mark.parametrize("terminal", [(), ("-p", "no:terminal")], ids=["terminal", "none"])
def test_failures_are_known_without_a_terminal(pytester: pytest.Pytester, terminal: tuple[str, ...]) -> None:
    suite(pytester, ORDER + "\n    def test_crash(): raise OSError\n", WAIVED)
    assert gated(pytester, BAD, *terminal)[0] == 3


def test_the_session_says_what_the_command_says(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nmarkers = slow")
    suite(pytester, HALF, "models = ['control:oracle']\nrequired = ['labels']")
    whole = pytester.runpytest_inprocess(GOOD, "--invariance-policy=gate.toml")
    assert whole.ret == 0
    half = pytester.runpytest_inprocess(GOOD, "--invariance-policy=gate.toml", "-k", "labels")
    assert half.ret == 1
    half.stdout.fnmatch_lines(["*OPEN * 1 tests of the model were skipped or left out*"])


OTHER = """
    def test_order(invariance_model):
        assert_order_symmetric({model}, BANK)
"""
MODELS = "models = ['control:always_first']\n"


@pytest.mark.parametrize("required", ["", "required = ['option_order']", "required = ['test_inner.py::test_order']"])
def test_a_check_of_another_model_is_no_evidence(pytester: pytest.Pytester, required: str) -> None:
    suite(pytester, OTHER.format(model="EASY"), MODELS + required)
    code, said = gated(pytester, BAD)
    assert code in ((3,) if not required else (1, 3)), said
    assert "it was made on another model than the run's (oracle)" in said


def test_a_model_that_nobody_took_from_the_fixture_is_not_the_policys(pytester: pytest.Pytester) -> None:
    suite(pytester, OTHER.format(model="EASY").replace("invariance_model", ""), MODELS + "required = ['option_order']")
    code, said = gated(pytester, BAD)
    assert code == 3, said
    assert "no test took it from the fixture invariance_model" in said


def test_checks_of_controls_beside_the_model_do_no_harm(pytester: pytest.Pytester) -> None:
    body = ORDER + """
    def test_the_instrument():
        with pytest.raises(InvarianceError):
            assert_order_symmetric(controls.always_first(), BANK)
        assert_order_symmetric(EASY, BANK)
    """
    suite(pytester, body, "models = ['control:two_faced']\nrequired = ['option_order']")
    two_faced = gated(pytester, "--invariance-model=control:two_faced")
    suite(pytester, body, "models = ['control:oracle']\nrequired = ['option_order']")
    code, said = gated(pytester, GOOD)
    assert code == 0, said
    assert two_faced[0] in (1, 3)
    (pytester.path / "gate.toml").write_text("required = ['option_order']")
    code, said = gate(pytester, "record")
    assert code == 1
    assert "some checks were made on another model than the run's (always_first)" in said


def test_a_failure_by_a_finding_of_another_model_is_not_explained(pytester: pytest.Pytester) -> None:
    body = ORDER + "\n    def test_rest(): assert_order_symmetric(controls.always_first(), BANK)\n"
    suite(pytester, body, "models = ['control:oracle']")
    assert gated(pytester, GOOD)[0] == 3
