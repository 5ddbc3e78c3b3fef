"""`@pytest.mark.invariance(level=...)`: what a check that does not hold does to its test."""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import dedent

import pytest

from tests.commands import llminvariance
from tests.run_directories import recording

SUITE = """
    import pytest
    from hypothesis import given, settings
    from pytest_llminvariance import Question, assert_order_symmetric, assert_same_answer, controls
    from pytest_llminvariance import strategies as inv

    BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], answer=n % 4) for n in range(12)]

    @pytest.mark.invariance(level="warn")
    def test_warn(record_property):
        assert_order_symmetric(controls.always_first(), BANK)
        record_property("went", "on")

    @pytest.mark.invariance(level="ignore")
    def test_ignore():
        assert_order_symmetric(controls.always_first(), BANK)

    @pytest.mark.invariance(level="warn")
    def test_undecided():
        assert_order_symmetric(controls.uniform(), BANK)

    def test_block():
        assert_order_symmetric(controls.always_first(), BANK)

    @pytest.mark.invariance(level="warn")
    def test_their_own_failure():
        assert_order_symmetric(controls.always_first(), BANK)
        assert False, "their own"

    @pytest.mark.invariance(level="warn")
    @settings(database=None)
    @given(inv.presentations(BANK[0]), inv.presentations(BANK[0]))
    def test_search(a, b):
        assert_same_answer(controls.always_first(), a, b)
"""


@pytest.mark.parametrize("policy", ["fail", "skip", "warn"])
def test_levels_let_pass_what_they_say_and_nothing_else(pytester: pytest.Pytester, policy: str) -> None:
    pytester.makepyfile(test_inner=SUITE)
    directory = pytester.path / "record"
    result = pytester.runpytest("--strict-markers", f"--invariance-undecided={policy}", "-rPf", *recording(directory))
    result.assert_outcomes(passed=4, failed=2)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["FAILED test_inner.py::test_block*", "FAILED test_inner.py::test_their_own_failure*"])
    text = result.stdout.str()
    assert "(level warn: let pass)  [test_inner.py::test_warn]" in text
    assert "(level ignore: let pass)  [test_inner.py::test_ignore]" in text
    assert "invariance, level warn: let pass" in text
    assert "same answer is broken" in text
    rows = {
        row["where"].partition("::")[2]: row
        for row in json.loads((directory / "findings.json").read_text())["findings"]
    }
    assert {name: (row["verdict"], row["level"]) for name, row in rows.items()} == {
        "test_warn": ("BROKEN", "warn"),
        "test_ignore": ("BROKEN", "ignore"),
        "test_undecided": ("UNDECIDED", "warn"),
        "test_block": ("BROKEN", "block"),
        "test_their_own_failure": ("BROKEN", "warn"),
        "test_search": ("BROKEN", "warn"),
    }
    assert rows["test_warn"]["markers"] == ["invariance"]
    source = (pytester.path / "test_inner.py").read_text().splitlines()
    assert all("def " + name in "".join(source[row["line"] - 1 : row["line"] + 3]) for name, row in rows.items())


def test_a_fixture_of_wider_scope_is_not_let_pass_by_its_first_test(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from pytest_llminvariance import Question, assert_order_symmetric, controls

        BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], answer=n % 4) for n in range(12)]

        @pytest.fixture(scope="module")
        def checked():
            assert_order_symmetric(controls.always_first(), BANK)

        @pytest.mark.invariance(level="ignore")
        def test_first(checked):
            pass

        def test_second(checked):
            pass
        """
    )
    directory = pytester.path / "record"
    pytester.runpytest(*recording(directory)).assert_outcomes(errors=2)
    assert {row["level"] for row in json.loads((directory / "findings.json").read_text())["findings"]} == {"block"}


def test_the_nearest_marker_counts(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from pytest_llminvariance import Question, assert_order_symmetric, controls

        BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], answer=n % 4) for n in range(12)]
        pytestmark = pytest.mark.invariance(level="warn")

        def test_of_the_module():
            assert_order_symmetric(controls.always_first(), BANK)

        @pytest.mark.invariance(level="block")
        def test_of_its_own():
            assert_order_symmetric(controls.always_first(), BANK)
        """
    )
    pytester.runpytest().assert_outcomes(passed=1, failed=1)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("level='error'", "level='error'"),
        ("'warn'", "'warn'"),
        ("level='warn', until=3", "level='warn', until=3"),
        ("level=['warn']", "level=['warn']"),
    ],
)
def test_other_arguments_are_a_usage_error(pytester: pytest.Pytester, given: str, said: str) -> None:
    pytester.makepyfile(f"import pytest\n\n@pytest.mark.invariance({given})\ndef test_one():\n    pass\n")
    result = pytester.runpytest()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert (
        f"::test_one: the marker is invariance({said}), but takes level= (one of block, warn, ignore), weight= and exhaustive="
        in result.stderr.str()
    )


def test_the_marker_is_registered(pytester: pytest.Pytester) -> None:
    pytester.runpytest("--markers").stdout.fnmatch_lines(
        ["@pytest.mark.invariance(level='block', weight=1.0, exhaustive=False): block, warn or ignore*"]
    )


GATED = """
    from pytest_llminvariance import Question, assert_order_symmetric, controls

    BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], id=f"q{n}", answer=n % 4) for n in range(12)]

    def test_order(invariance_model):
        assert_order_symmetric(invariance_model, BANK)
"""


def policy(pytester: pytest.Pytester, text: str) -> str:
    (pytester.path / "gate.toml").write_text(text)
    return "--invariance-policy=gate.toml"


def test_a_policy_sets_the_exit_status_in_one_red_line_and_raises_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_gated=GATED)
    model = "--invariance-model=control:oracle"
    good = pytester.runpytest(model, policy(pytester, "required = ['option_order']"))
    assert good.ret == 0
    good.stdout.fnmatch_lines(["gate: PASSED - 1 of 1 check holds"])
    missing = pytester.runpytest(model, policy(pytester, "required = ['prompt']"), "--color=yes")
    missing.assert_outcomes(passed=1)
    assert missing.ret == 1
    text = missing.stdout.str()
    assert "Traceback" not in text
    assert text.rstrip().endswith(
        "\x1b[31minvariance: gate: BLOCKED - 1 required check missing; the session fails\x1b[0m"
    )
    assert "MISSING  prompt: required, but no run has checked it" in text


def test_the_gate_reads_what_a_session_has_recorded(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_gated=GATED.replace("    def test_order", "    @pytest.mark.trial\n    def test_order").replace(
            "from pytest_ll", "import pytest\n    from pytest_ll", 1
        )
    )
    pytester.makeini("[pytest]\nmarkers = trial")
    record = pytester.path / "record"
    pytester.runpytest("--invariance-model=control:always_first", *recording(record)).assert_outcomes(failed=1)
    for text, code, said in (
        ("required = ['option_order']", 1, "gate: BLOCKED"),
        ("[markers.trial]\nlevel = 'warn'", 0, "gate: PASSED"),
        ("[properties.option_order]\nlevel = 'warn'\n[markers.trial]\nlevel = 'block'", 1, "gate: BLOCKED"),
    ):
        policy(pytester, text)
        result = llminvariance(["gate", str(record), "--policy", "gate.toml"])
        assert result.exit_code == code, result.output
        assert said in result.output


@pytest.mark.parametrize("flag", ["-x", "--maxfail=1"])
def test_a_run_that_left_tests_out_is_no_evidence(pytester: pytest.Pytester, flag: str) -> None:
    pytester.makepyfile(test_gated=GATED + "\n    def test_later():\n        pass\n")
    model, rule = (
        "--invariance-model=control:always_first",
        policy(pytester, "[properties.option_order]\nlevel = 'warn'"),
    )
    record = pytester.path / "record"
    for flags, code, said in (
        ((), 0, "gate: PASSED"),
        ((flag,), 3, "1: the run left tests out (stopping after 1 failures)"),
    ):
        result = pytester.runpytest(model, rule, *flags, *recording(record))
        assert ("the run left tests out" in result.stdout.str()) == bool(flags)
        told = llminvariance(["gate", str(record), "--policy", "gate.toml"])
        assert told.exit_code == code, told.output
        assert said.removeprefix("1: ") in told.output
    pytester.runpytest(model, rule, flag, "-k", "order", *recording(record))
    assert "PASSED" in llminvariance(["gate", str(record), "--policy", "gate.toml"]).output, "nothing was left"


UNENDED = "not all tests were run to their end"
WAIVED = "[[waivers]]\nproperty = 'option_order'\nowner = 'a'\nreason = 'b'\nexpires = 2999-01-01\n"


@pytest.mark.parametrize(
    ("rest", "flags", "said"),
    [
        ("def test_b(): raise OSError", (), "test_gated.py::test_b failed, and no finding there says why"),
        ("import os\n\ndef test_b(): os._exit(11)", ("-n2",), "test_gated.py::test_b failed, and no finding there says why"),
        (
            "from pytest_llminvariance import Presentation, assert_same_answer\n\ndef test_b(invariance_model):\n"
            "    a, b = (Presentation(BANK[0], order=order) for order in ((0, 1, 2, 3), (1, 0, 2, 3)))\n"
            "    assert_same_answer(invariance_model, a, b)",
            (),
            "BLOCKS   search: same answer BROKEN: a counter-example was found  [test_gated.py::test_b]",
        ),
        ("def test_b(): pytest.exit('budget is spent', returncode=0)\n\ndef test_c(): pass", (), UNENDED),
        ("def test_b(): pytest.exit('in the last test', returncode=0)", (), UNENDED),
        ("import unittest\n\nclass TestB(unittest.TestCase):\n    def tearDown(self): pytest.exit('there', returncode=0)"
         "\n    def test_b(self): pass", (), UNENDED),
        ("@pytest.fixture\ndef last():\n    yield\n    pytest.exit('after it', returncode=0)\n\ndef test_b(last): pass",
         (), UNENDED),
    ],
    ids=["error", "crash", "search", "exit", "exit of the last", "exit in tearDown", "exit in teardown"],
)  # fmt: skip
def test_a_waived_finding_does_not_explain_what_else_failed(
    pytester: pytest.Pytester, rest: str, flags: tuple[str, ...], said: str
) -> None:
    pytester.makepyfile(test_gated=f"import pytest\n{dedent(GATED)}\n\n{rest}\n")
    policy(pytester, WAIVED)
    record = pytester.path / "record"
    run = pytester.runpytest_subprocess if flags else pytester.runpytest_inprocess
    run("--invariance-model=control:always_first", *flags, *recording(record))
    told = llminvariance(["gate", str(record), "--policy", "gate.toml"])
    assert told.exit_code == (1 if "BLOCKS" in said else 3), told.output  # what a search found is a finding of its own
    assert said in told.output
    assert "WAIVED" in told.output


def test_running_what_failed_before_is_no_evidence(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_gated=GATED + "\n    def test_later():\n        pass\n")
    pytester.makeini("[pytest]")
    record = pytester.path / "record"
    pytester.runpytest("--invariance-model=control:always_first", *recording(record))
    pytester.runpytest("--invariance-model=control:oracle", "--lf", *recording(record)).assert_outcomes(passed=1)
    told = llminvariance(["gate", str(record)])
    assert told.exit_code == 3
    assert "--lf runs what failed before" in told.output
    pytester.runpytest("--invariance-model=control:oracle", "-k", "order", *recording(record))
    told = llminvariance(["gate", str(record)])
    assert told.exit_code == 0
    assert "left 1 collected tests out" in told.output


def test_a_baseline_cannot_be_where_the_record_goes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_gated=GATED)
    pytester.runpytest("--invariance-model=control:oracle", *recording(pytester.path / "rec"))
    before = (pytester.path / "rec" / "findings.json").read_bytes()
    result = pytester.runpytest("--invariance-report=rec", "--invariance-baseline=./rec")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "the baseline would be replaced" in result.stderr.str()
    assert (pytester.path / "rec" / "findings.json").read_bytes() == before


def test_a_run_of_another_model_is_no_evidence(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_gated=GATED)
    rule = policy(pytester, "models = ['./model', 'control:oracle']")
    record = pytester.path / "record"
    for model, code in (("oracle", 0), ("two_faced", 3)):
        result = pytester.runpytest(f"--invariance-model=control:{model}", rule, *recording(record))
        told = llminvariance(["gate", str(record), "--policy", "gate.toml"])
        assert told.exit_code == code, told.output
        said = f"is of the model 'control:{model}', and the policy is for ./model, control:oracle"
        assert (said in told.output) == (said in result.stdout.str()) == bool(code)


def test_a_policy_never_makes_a_failed_session_pass(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_gated=GATED)
    flag = policy(pytester, "[properties.option_order]\nlevel = 'warn'")
    result = pytester.runpytest("--invariance-model=control:always_first", flag)
    result.assert_outcomes(failed=1)
    assert result.ret == 1


@pytest.mark.parametrize("flag", ["policy", "baseline"])
def test_what_is_not_there_is_said_before_anything_is_asked(pytester: pytest.Pytester, flag: str) -> None:
    pytester.makepyfile(test_gated=GATED)
    result = pytester.runpytest("--invariance-model=control:oracle", f"--invariance-{flag}=nothing")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "nothing" in result.stderr.str()


NOISY = GATED.replace("BANK)", "BANK, tolerance=0.3)")


def test_a_session_is_compared_with_its_baseline(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_gated=NOISY)
    before = pytester.path / "before"
    assert pytester.runpytest("--invariance-model=control:oracle", *recording(before)).ret == 0
    flags = (f"--invariance-baseline={before}", "--invariance-model=control:noisy=0.1")
    plain = pytester.runpytest("--invariance-model=control:noisy=0.1")
    assert plain.ret == 0
    worse = pytester.runpytest(*flags)
    worse.assert_outcomes(passed=1)
    assert worse.ret == 1
    worse.stdout.fnmatch_lines(
        ["compare: WORSE - 1 check compared, 1 worse, 0 undecided", "  WORSE *", "invariance: 1 check(s) worse than *"]
    )
    assert pytester.runpytest(*flags, "--invariance-margin=0.5").ret == 0
    same = pytester.runpytest(f"--invariance-baseline={before}", "--invariance-model=control:oracle")
    assert same.ret == 0
    same.stdout.fnmatch_lines(["compare: NOT WORSE - 1 check compared, 0 worse, 0 undecided"])


@pytest.mark.parametrize(("undecided", "code"), [("fail", 1), ("warn", 0)])
def test_a_baseline_on_other_questions_is_refused(pytester: pytest.Pytester, undecided: str, code: int) -> None:
    pytester.makepyfile(test_gated=GATED)
    before = pytester.path / "before"
    model = "--invariance-model=control:oracle"
    pytester.runpytest(model, *recording(before))
    pytester.makepyfile(test_gated=GATED.replace("stem {n}", "another {n}"))
    result = pytester.runpytest(model, f"--invariance-baseline={before}", f"--invariance-undecided={undecided}")
    assert result.ret == code
    result.stdout.fnmatch_lines(["  REFUSED *", "*because: questions: 12 of 12 are gone or changed and 12 are new*"])


def test_negative_flips_take_the_sessions_baseline(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_gated=GATED + "\n\n    def test_kept(invariance):\n        invariance.assert_no_negative_flips(BANK)\n"
    )
    before: Path = pytester.path / "before"
    pytester.runpytest("--invariance-model=control:oracle", "-k", "order", *recording(before))
    flag = f"--invariance-baseline={before}"
    pytester.runpytest("--invariance-model=control:oracle", flag).assert_outcomes(passed=2)
    result = pytester.runpytest("--invariance-model=control:always_last", flag)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        ["E*negative flips is broken: right before and wrong now are 9 of 12 questions (75%, margin 2%)."]
    )


def test_workers_share_policy_and_baseline(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_gated=GATED)
    flag = policy(pytester, "required = ['option_order', 'prompt']")
    result = pytester.runpytest_subprocess("-n2", "--invariance-model=control:oracle", flag)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*gate: BLOCKED - 1 required check missing; the session fails*"])
