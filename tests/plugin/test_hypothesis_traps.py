"""The obvious Hypothesis test just works: fixtures, deadlines, memory, shrinking, profiles."""

from __future__ import annotations

import json
import re
import sys
from textwrap import dedent

import pytest
from hypothesis import find
from hypothesis.errors import InvalidArgument

from pytest_llminvariance import Layout, Presentation, Question, Template
from pytest_llminvariance import strategies as inv

WHO = Question("Who?", ["Ann", "Bob", "Cy", "Di"])
SLOW = """
    import time
    from pytest_llminvariance import controls

    class Slow:
        name, fingerprint, capabilities = "slow", "slow", frozenset({"label"})
        asked = 0

        def answer(self, requests):
            time.sleep(0.3 if not self.asked else 0)
            self.asked += len(requests)
            return controls.oracle().answer(requests)
"""
SEARCH = """
    from hypothesis import given, settings
    from pytest_llminvariance import Presentation, Question, assert_order_symmetric, assert_same_answer
    from pytest_llminvariance import strategies as inv

    WHO = Question("Who?", ["Ann", "Bob", "Cy", "Di"])

    @given(order=inv.option_orders(WHO))
    {settings}
    def test_search(invariance_model, order):
        assert_same_answer(invariance_model, Presentation(WHO), Presentation(WHO, order=order))

    def test_cost(invariance_model):
        assert getattr(invariance_model, "asked", 0) <= 24
        assert_order_symmetric(invariance_model, WHO)
"""


@pytest.mark.parametrize("own", ["", "@settings(max_examples=60)"])
def test_a_slow_first_answer_meets_no_deadline_and_is_asked_once(own: str, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(slow=SLOW, test_it=SEARCH.format(settings=own))
    result = pytester.runpytest_subprocess("--invariance-model=python:slow:Slow")
    result.assert_outcomes(passed=2)
    assert re.search(r"SEARCHED  same answer: \d+ pairs compared, no counter-example", result.stdout.str())


def test_failure_shrinks_to_one_swap_with_a_stable_first_line(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=SEARCH.format(settings=""))
    result = pytester.runpytest("--invariance-model=control:always_first", "-k", "search")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*pytest_llminvariance.InvarianceError: same answer is broken: two presentations are answered differently.",
            "E*example: Who? - swap A and B:",
            "BROKEN * search: same answer: a counter-example was found, * compared*",
        ]
    )


def test_a_rate_inside_given_is_a_usage_error_that_names_the_other_assertion(pytester: pytest.Pytester) -> None:
    body = SEARCH.format(settings="").replace(
        "assert_same_answer(invariance_model, Presentation(WHO), Presentation(WHO, order=order))",
        "assert_order_symmetric(invariance_model, WHO)",
    )
    pytester.makepyfile(test_it=body)
    result = pytester.runpytest("--invariance-model=control:oracle", "-k", "search")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*UsageError: option order is a rate*Use assert_same_answer(model, a, b) here*"])


def test_the_profile_can_be_loaded_by_name(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=SEARCH.format(settings=""))
    flags = ["--invariance-model=control:oracle", "--hypothesis-profile=llminvariance", "-k", "search"]
    pytester.runpytest_subprocess(*flags).assert_outcomes(passed=1)


@pytest.mark.parametrize("ci", ["", "1"])
def test_ci_takes_the_same_examples_every_time(
    ci: str, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    if ci:
        monkeypatch.setenv("CI", ci)
    code = "from hypothesis import settings; print(settings.get_profile('llminvariance').derandomize)"
    result = pytester.run(sys.executable, "-c", code)
    assert result.outlines == [str(bool(ci))]


@pytest.mark.parametrize(
    ("strategy", "simplest"),
    [
        (inv.option_orders(4), (0, 1, 2, 3)),
        (inv.option_orders(WHO), (0, 1, 2, 3)),
        (inv.labels(3), ("A", "B", "C")),
        (inv.layouts(), Layout()),
        (inv.presentations(WHO), Presentation(WHO)),
        (inv.presentations(WHO, labels=inv.labels(4), layouts=inv.layouts()), Presentation(WHO)),
        (inv.questions([WHO, Question("When?", ["now", "then"])]), WHO),
    ],
    ids=str,
)
def test_shrinks_to_the_question_as_written(strategy: object, simplest: object) -> None:
    assert find(strategy, lambda _: True) == simplest  # type: ignore[arg-type]


def test_a_fixed_part_stays_fixed() -> None:
    template = Template("{stem} {options}")
    strategy = inv.presentations(WHO, orders=[3, 2, 1, 0], labels=list("wxyz"), templates=[template])
    shown = find(strategy, lambda _: True)
    assert (shown.order, shown.labels, shown.template) == ((3, 2, 1, 0), tuple("wxyz"), template)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: inv.option_orders(1),
        lambda: inv.option_orders(True),
        lambda: inv.labels(40),
        lambda: inv.labels(2, [["a", "A"]]),
        lambda: inv.layouts([]),
        lambda: inv.layouts(["x"]),  # type: ignore[list-item]
        lambda: inv.presentations("Who?"),  # type: ignore[arg-type]
        lambda: inv.presentations(WHO, templates=[]),
        lambda: inv.questions([]),
        lambda: inv.questions([WHO, WHO]),
    ],
)
def test_arguments_are_checked_when_the_strategy_is_made(draw: object) -> None:
    with pytest.raises(InvalidArgument):
        draw()  # type: ignore[operator]


OWN_STRATEGY = """
    from hypothesis import given, settings
    from hypothesis import strategies as st
    from pytest_llminvariance import Presentation, Question, assert_same_answer

    WHO = Question("Who?", ["Ann", "Bob", "Cy", "Di"])

    class TestSearch:
        @given(order=st.permutations(range(4)))
        {settings}
        def test_search(self, invariance_model, order):
            assert_same_answer(invariance_model, Presentation(WHO), Presentation(WHO, order=tuple(order)))
"""


@pytest.mark.parametrize("own", ["", "@settings(max_examples=60)"])
def test_no_deadline_without_our_strategies_either(own: str, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(slow=SLOW, test_it=OWN_STRATEGY.format(settings=own))
    pytester.runpytest_subprocess("--invariance-model=python:slow:Slow").assert_outcomes(passed=1)


def test_a_deadline_that_the_user_chose_stays(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(slow=SLOW, test_it=SEARCH.format(settings="@settings(deadline=100)"))
    result = pytester.runpytest_subprocess("--invariance-model=python:slow:Slow", "-k", "search")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*exceeds the deadline of 100.00ms*"])


def test_a_profile_that_the_user_loaded_keeps_everything_but_the_deadline(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        """
        from hypothesis import settings

        settings.register_profile("theirs", deadline=50, max_examples=7)
        settings.load_profile("theirs")
        """
    )
    pytester.makepyfile(slow=SLOW, test_it=SEARCH.format(settings=""))
    result = pytester.runpytest_subprocess("--invariance-model=python:slow:Slow", "-k", "search")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["SEARCHED  same answer: 7 pairs compared*"])


def test_parameters_and_classes_share_one_search_function(pytester: pytest.Pytester) -> None:
    body = SEARCH.format(settings="@pytest.mark.parametrize('n', [1, 2])").replace(
        "def test_search(invariance_model, order)", "def test_search(invariance_model, order, n)"
    )
    pytester.makepyfile(slow=SLOW, test_it="import pytest\n" + dedent(body))
    result = pytester.runpytest_subprocess("--invariance-model=python:slow:Slow")
    result.assert_outcomes(passed=3)
    assert len([line for line in result.outlines if line.startswith("SEARCHED")]) == 2


ASKED = """
    import json
    from pathlib import Path
    from pytest_llminvariance import controls

    class Noting:
        name, fingerprint, capabilities = "noting", "noting", frozenset({"label"})

        def __init__(self):
            self.asked = []

        def answer(self, requests):
            self.asked += [request.presentation.order for request in requests]
            return controls.oracle().answer(requests)

        def release(self):
            Path("asked.json").write_text(json.dumps(self.asked))
"""
LONG_SEARCH = """
    from hypothesis import given, settings
    from pytest_llminvariance import Presentation, Question, assert_same_answer
    from pytest_llminvariance import strategies as inv

    WHO = Question("Who?", [f"Name{n}" for n in range(8)])

    @given(order=inv.option_orders(WHO))
    @settings(max_examples=30, database=None)
    def test_search(invariance_model, order):
        assert_same_answer(invariance_model, Presentation(WHO), Presentation(WHO, order=order))

    @given(order=inv.option_orders(WHO))
    @settings(max_examples=30, database=None)
    def test_again(invariance_model, order):
        assert_same_answer(invariance_model, Presentation(WHO), Presentation(WHO, order=order))
"""


def asked(pytester: pytest.Pytester) -> list[list[int]]:
    pytester.makepyfile(noting=ASKED, test_it=LONG_SEARCH)
    pytester.runpytest_subprocess("--invariance-model=python:noting:Noting").assert_outcomes(passed=2)
    orders: list[list[int]] = json.loads((pytester.path / "asked.json").read_text())
    return orders


def test_each_presentation_is_asked_once_a_session(pytester: pytest.Pytester) -> None:
    orders = asked(pytester)
    assert len(orders) == len(set(map(tuple, orders))) <= 60


def test_in_ci_two_sessions_ask_the_same(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "1")
    assert asked(pytester) == asked(pytester)


def test_an_invariance_error_in_a_search_leaves_no_line_of_ours_in_the_traceback(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=SEARCH.format(settings=""))
    result = pytester.runpytest("--invariance-model=control:always_first", "-k", "search")
    # Hypothesis may list lines that only failing examples ran, after an E: that is no traceback
    assert [line for line in result.outlines if re.match(r"\S*pytest_llminvariance/\w+\.py:\d+", line)] == []


ALIAS = """
    import time
    import pytest
    from hypothesis import given, settings
    from hypothesis import strategies as st
    from pytest_llminvariance import Presentation, Question, assert_same_answer
    {imports}

    WHO = Question("Who?", ["Ann", "Bob", "Cy", "Di"])

    @pytest.fixture
    def llm(invariance_model):
        return invariance_model

    @pytest.fixture
    def own(llm{more}):
        return llm

    @given(order=st.permutations(range(4)){draws})
    {settings}
    def test_search({fixture}, order):
        assert_same_answer({fixture}, Presentation(WHO), Presentation(WHO, order=tuple(order)))
"""
OURS = "from pytest_llminvariance import strategies as inv"


@pytest.mark.parametrize("imports", ["", OURS])
@pytest.mark.parametrize("own", ["", "@settings(max_examples=20)"])
@pytest.mark.parametrize("fixture", ["llm", "own"])
def test_a_fixture_that_is_another_name_for_the_model_is_no_trap(
    imports: str, own: str, fixture: str, pytester: pytest.Pytester
) -> None:
    body = ALIAS.format(imports=imports, settings=own, fixture=fixture, more="", draws="")
    pytester.makepyfile(slow=SLOW, test_it=body)
    pytester.runpytest_subprocess("--invariance-model=python:slow:Slow").assert_outcomes(passed=1)


def test_a_fixture_that_does_more_is_still_hypothesis_to_refuse(pytester: pytest.Pytester) -> None:
    body = ALIAS.format(imports="", settings="", fixture="own", more=", tmp_path", draws="")
    pytester.makepyfile(test_it=body)
    result = pytester.runpytest_subprocess("--invariance-model=control:oracle")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*uses a function-scoped fixture 'own'*"])


SLOW_DRAWS = """
    import time
    from hypothesis import given, settings
    from hypothesis import strategies as st
    from pytest_llminvariance import Presentation, Question, assert_same_answer, controls
    {imports}

    ASKED = [Question(f"{{n}}?", ["a", "b"]) for n in range(12)]
    assert_same_answer(controls.oracle(), Presentation(ASKED[0]), Presentation(ASKED[0]))  # what is imported is no draw

    drawn = []

    def slowly(n):
        drawn.append(n)
        time.sleep(2.2 if len(drawn) == 3 else 0)
        return ASKED[n]

    @given(question=st.integers(0, 11).map(slowly))
    {settings}
    def test_search({fixture}question):
        assert_same_answer(controls.oracle(), Presentation(question), Presentation(question, order=(1, 0)))
"""


@pytest.mark.parametrize("imports", ["", OURS])
@pytest.mark.parametrize("own", ["", "@settings(max_examples=15)", "@settings(deadline=400)"])
def test_slow_draws_are_no_trap(imports: str, own: str, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=SLOW_DRAWS.format(imports=imports, settings=own, fixture="invariance_model, "))
    pytester.runpytest_subprocess("--invariance-model=control:oracle").assert_outcomes(passed=1)


def test_conversations_in_a_test_are_a_search_that_is_reported(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        slow=SLOW,
        test_it="""
        from pytest_llminvariance import Question, run_machine

        def test_firm(invariance_model):
            found = run_machine(invariance_model, Question("Who?", ["Ann", "Bob"], answer="Bob"), max_examples=5)
            assert found.model_calls <= 5 * 9

        def test_bound(invariance):
            assert invariance.run_machine(Question("When?", ["now", "then"], answer="now"), max_examples=2).compared
        """,
    )
    result = pytester.runpytest_subprocess("--invariance-model=python:slow:Slow")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["SEARCHED  same answer: * pairs compared, no counter-example*"])
    result = pytester.runpytest_subprocess("--invariance-model=control:content_blind", "-k", "firm")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E*InvarianceError: conversation is broken: the answer changed, and nothing was said that gives a reason.",
            "E*assistant: * (*)",
            "E*replay:  pytest test_it.py::test_firm --invariance-seed=0*",
        ]
    )


def test_statistics_say_what_was_tried_and_how_near_it_came(pytester: pytest.Pytester) -> None:
    body = SEARCH.format(settings="").replace(
        "@given(order=inv.option_orders(WHO))", "@given(shown=inv.presentations(WHO, labels=inv.labels(WHO)))"
    )
    body = body.replace("invariance_model, order", "invariance_model, shown").replace(
        "Presentation(WHO, order=order)", "shown"
    )
    pytester.makepyfile(test_it=body)
    result = pytester.runpytest("--invariance-model=control:oracle", "-k", "search", "--hypothesis-show-statistics")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines_random(
        [
            "*%, changed: nothing",
            "*%, changed: order",
            "*%, changed: order, labels",
            "*100.00%, answer: the same",
            "*Highest target score: -* (label='nearest to another answer (nats; above 0 it is another)')*",
        ]
    )


def test_a_failing_example_says_what_was_answered(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=SEARCH.format(settings=""))
    result = pytester.runpytest("--invariance-model=control:always_first", "-k", "search")
    result.stdout.fnmatch_lines(["*swap A and B: Bob, as written Ann"])
