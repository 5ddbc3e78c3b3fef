"""The session's risk: shares over everything collected, manifest, replay, fixtures, workers; and the plan."""

from __future__ import annotations

import json
import re

import pytest

SUITE = """
    import pytest
    from pytest_llminvariance import Question, check

    BANK = [Question(f"Which is number {i}?", [f"a{i}", f"b{i}", f"c{i}"], answer=i % 3) for i in range(130)]

    def held(model, **more):
        found = check("option_order", model, BANK, tolerance=0.1, **more)
        print("ALPHA", found.decision.alpha, found.decision.method, found.decision.note)
        assert found.verdict == "HOLDS"

    def test_one(invariance_model):
        held(invariance_model)

    def test_two(invariance_model):
        held(invariance_model)
        held(invariance_model, metric="disagreement")

    def test_three(invariance_model):
        held(invariance_model, metric="tv")

    def test_unrelated():
        pass
"""
MODEL = "--invariance-model=control:oracle"
LIMIT = "--invariance-risk-limit=0.05"
SHARE = 0.05 / 3.1


def alphas(result: pytest.RunResult) -> list[float]:
    return [float(value) for value in re.findall(r"ALPHA (\S+)", "\n".join(result.outlines))]


def test_the_limit_is_shared_over_all_collected_tests(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=SUITE)
    result = pytester.runpytest(MODEL, LIMIT, "-s")
    result.assert_outcomes(passed=4)
    assert alphas(result) == pytest.approx([SHARE / 2, SHARE / 2, SHARE / 6, SHARE / 2])
    result.stdout.fnmatch_lines(
        [
            "*risk limit 0.05, shared by the tests of this selection only*",
            "*risk: 0.027 of the limit 0.05 spent by 4 checks*",
        ]
    )


@pytest.mark.parametrize("selection", [("-k", "three"), ("-k", "not one and not two")])
def test_deselection_hands_nothing_on(pytester: pytest.Pytester, selection: tuple[str, ...]) -> None:
    pytester.makepyfile(test_it=SUITE)
    assert alphas(pytester.runpytest(MODEL, LIMIT, "-s", *selection)) == pytest.approx([SHARE / 2])


def test_last_failed_keeps_the_shares_with_a_manifest(pytester: pytest.Pytester) -> None:
    """pytest collects only what failed, so without a manifest the shares are those of that selection."""
    (pytester.path / "tox.ini").write_text("[pytest]\n")  # with the plugin that remembers failures
    pytester.makepyfile(test_it=SUITE.replace('metric="tv")', 'metric="tv")\n        assert False'))
    pytester.runpytest(MODEL, LIMIT).assert_outcomes(passed=3, failed=1)
    alone = pytester.runpytest(MODEL, LIMIT, "-s", "--lf")
    assert alphas(alone) == pytest.approx([0.05 / 2])
    alone.stdout.fnmatch_lines(["*shared by the tests of this selection only*"])
    assert pytester.run("llminvariance", "plan").ret == 0
    assert alphas(pytester.runpytest(MODEL, LIMIT, "-s", "--lf")) == pytest.approx([SHARE / 2])


def test_workers_have_the_same_shares(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=SUITE)
    result = pytester.runpytest_subprocess(MODEL, LIMIT, "-n", "2")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(["*risk: 0.027 of the limit 0.05 spent by 4 checks*"])


def test_a_manifest_keeps_the_shares_of_the_whole_suite(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=SUITE)
    pytester.makeini("[pytest]")
    written = pytester.run("llminvariance", "plan")
    assert written.ret == 0
    written.stdout.fnmatch_lines(["*invariance-plan.json: 4 tests, 3 of them ask for the model"])
    manifest = json.loads((pytester.path / "invariance-plan.json").read_text())
    assert manifest["weights"] == {f"test_it.py::test_{name}": 1.0 for name in ("one", "two", "three")} | {
        "test_it.py::test_unrelated": 0.1
    }
    result = pytester.runpytest(MODEL, LIMIT, "-s", "test_it.py::test_three")
    assert alphas(result) == pytest.approx([SHARE / 2])
    result.stdout.fnmatch_lines(["*shared as in the manifest by 4 tests*", "partial: 1 of the manifest's 4 tests*"])


def test_a_test_that_is_not_in_the_manifest_asks_everything(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=SUITE)
    pytester.makefile(
        ".json", **{"invariance-plan": json.dumps({"schema_version": 1, "weights": {"test_it.py::test_one": 1}})}
    )
    result = pytester.runpytest(MODEL, LIMIT, "-s", "-k", "three")
    assert alphas(result) == [0]
    result.stdout.fnmatch_lines(["*exhaustive this test is not in the manifest*"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ('{"schema_version": 9, "weights": {}}', "schema_version must be 1"),
        ('{"schema_version": 1, "weights": []}', "weights must map"),
        ('{"schema_version": 1, "weights": {"a": -1}}', "must be a number from 0"),
    ],
)
def test_a_bad_manifest_is_named(pytester: pytest.Pytester, text: str, words: str) -> None:
    pytester.makepyfile(test_it=SUITE)
    (pytester.path / "invariance-plan.json").write_text(text)
    result = pytester.runpytest(MODEL, LIMIT)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert words in "\n".join(result.outlines + result.errlines)


def test_plan_of_nothing_is_an_error(pytester: pytest.Pytester) -> None:
    assert pytester.run("llminvariance", "plan").ret == 2


def test_the_replay_line_repeats_the_share(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=SUITE.replace('"HOLDS"', '"BROKEN"')
        .replace("check(", "assert_order_symmetric(", 1)
        .replace("import Question, check", "import Question, assert_order_symmetric")
        .replace('"option_order", ', "")
    )
    result = pytester.runpytest("--invariance-model=control:always_first", LIMIT, "-k", "one")
    line = next(line for line in result.outlines if "replay:" in line)
    assert f"--invariance-check-risk={SHARE!r}" in line
    again = pytester.run("python", "-m", *line.split("replay:")[1].split())
    sure = [line for line in result.outlines if "sure:" in line]
    assert sure == [line for line in again.outlines if "sure:" in line]
    assert "0.0081" in sure[0]


def test_markers_weigh_and_declare(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=SUITE.replace("    def test_one", "    @pytest.mark.invariance(weight=3)\n    def test_one").replace(
            "    def test_three", "    @pytest.mark.invariance(exhaustive=True)\n    def test_three"
        )
    )
    result = pytester.runpytest(MODEL, LIMIT, "-s", "--strict-markers")
    share = 0.05 / 4.1
    assert alphas(result) == pytest.approx([3 * share / 2, share / 2, share / 6, 0])
    result.stdout.fnmatch_lines(["*exhaustive declared exhaustive*"])


def test_a_bad_weight_is_a_usage_error(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=SUITE.replace("    def test_one", "    @pytest.mark.invariance(weight=-1)\n    def test_one")
    )
    assert pytester.runpytest(MODEL, LIMIT).ret == pytest.ExitCode.USAGE_ERROR


def test_exhaustive_and_no_limit_ask_everything(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=SUITE)
    for more in ((), (LIMIT, "--invariance-exhaustive")):
        result = pytester.runpytest(MODEL, "-s", *more)
        assert set(alphas(result)) == {0}
        result.stdout.fnmatch_lines(["*everything planned is asked (no sampling risk)*"])


@pytest.mark.parametrize("bad", ["0", "0.6", "x", "-1"])
def test_bad_limits_are_refused(pytester: pytest.Pytester, bad: str) -> None:
    result = pytester.runpytest(MODEL, f"--invariance-risk-limit={bad}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "must be a number above 0 and at most 0.5" in "\n".join(result.errlines)


def test_a_check_in_a_session_fixture_asks_everything(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_it=SUITE
        + """
    @pytest.fixture(scope="session")
    def before(invariance_model):
        held(invariance_model, metric="js_distance")

    def test_four(before, invariance_model):
        held(invariance_model, metric="score_gap") if False else held(invariance_model)
"""
    )
    result = pytester.runpytest(MODEL, LIMIT, "-s", "-k", "four")
    found = alphas(result)
    assert found[0] == 0
    assert len(found) == 2


def test_reruns_spend_once_and_give_the_same(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=SUITE.replace('"HOLDS"', '"BROKEN"'))
    result = pytester.runpytest(MODEL, LIMIT, "-s", "--reruns=2", "-k", "three")
    found = alphas(result)
    assert len(found) == 3
    assert len(set(found)) == 1
    result.stdout.fnmatch_lines(["*risk: 0.0081 of the limit 0.05 spent by 1 checks*"])


def test_the_plan_asks_nothing(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        counting="""
        from pytest_llminvariance import controls

        class Counting:
            def __init__(self):
                self.inner = controls.oracle()
                self.name, self.fingerprint, self.capabilities = "counting", "c", self.inner.capabilities

            def answer(self, requests):
                raise AssertionError("asked")
        """,
        test_it=SUITE
        + """
    def test_samples(invariance_model):
        check("option_order", invariance_model, BANK[:3], tolerance=0.01, samples=3)

    from hypothesis import given
    from pytest_llminvariance import Presentation, assert_same_answer, strategies as inv

    @given(order=inv.option_orders(BANK[0]))
    def test_search(invariance_model, order):
        assert_same_answer(invariance_model, Presentation(BANK[0]), Presentation(BANK[0], order=order))
""",
    )
    result = pytester.runpytest_subprocess("--invariance-model=python:counting:Counting", LIMIT, "--invariance-plan")
    result.assert_outcomes(passed=1, skipped=5)
    assert result.ret == 0
    result.stdout.fnmatch_lines(
        [
            "PLANNED *questions *prompts *tokens *minutes  can decide",
            "option order * 130 * 780 *-  yes  *test_one*",
            "  flip_rate, tolerance 0.1, risk *; tokens on average: * if the effect is none, *",
            "option order * 3 *-  no  *",
            "  excess_disagreement, tolerance 0.01, risk *",
            "*HOLDS is out of reach: it takes at least *",
            "same answer (search), for each exam* 1 * 2 *-  only BROKEN  *",
            "at most, 5 checks *-  nothing was asked",
            "minutes are not known: this model does not say how fast it is",
        ]
    )


def test_the_plan_without_a_limit_says_what_everything_costs(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=SUITE)
    result = pytester.runpytest(MODEL, "--invariance-plan", "-k", "one")
    result.assert_outcomes(skipped=1, deselected=3)
    line = next(line for line in result.outlines if line.startswith("  flip_rate"))
    assert line == "  flip_rate, tolerance 0.1"
