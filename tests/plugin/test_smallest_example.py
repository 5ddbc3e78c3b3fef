"""Inside @given the message shows the smallest example, says what is enough, and holds a test to copy."""

from __future__ import annotations

import re

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from pytest_llminvariance import InvarianceError, Presentation, assert_same_answer, run
from pytest_llminvariance import strategies as inv
from tests.planted import FAULTS, INVARIANT, LABELS, LAYOUTS, QUESTION, TEMPLATES, WRITTEN, Counting, Fault

N_SEEDS = 5
"""`benchmarks.shrinking` runs a hundred."""
PREFIX = "same answer is broken: two presentations are answered differently.\n"


def fail(model: Counting, number: int, *, n_examples: int = 300) -> tuple[InvarianceError | None, Presentation | None]:
    """Return the last error of a run, and the example that Hypothesis ended with."""
    errors: list[InvarianceError] = []
    examples: list[Presentation] = []

    @seed(number)
    @settings(max_examples=n_examples, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        shown=inv.presentations(
            QUESTION, labels=st.sampled_from(LABELS), layouts=st.sampled_from(LAYOUTS), templates=TEMPLATES
        )
    )
    def test(shown: Presentation) -> None:
        try:
            assert_same_answer(model, WRITTEN, shown, readout="label")
        except InvarianceError as error:
            errors[:], examples[:] = [*errors, error], [shown]
            raise

    with run():
        try:
            test()
        except InvarianceError as error:
            assert {str(one).partition("\n")[0] + "\n" for one in errors} == {PREFIX}
            assert {type(one) for one in errors} == {InvarianceError}
            return error, examples[0]
    return None, None


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_smallest_in_every_seed(fault: Fault) -> None:
    for number in range(N_SEEDS):
        model = fault.model()
        error, _ = fail(model, number)
        assert error is not None
        assert error.example is not None
        assert error.example.distance == fault.smallest
        assert f" - {error.example.change}:" in str(error)
        assert len(set(model.asked)) <= 700


def test_no_false_alarm() -> None:
    assert [number for number in range(N_SEEDS) if fail(INVARIANT, number, n_examples=100)[0] is not None] == []


def test_a_repeat_asks_nothing() -> None:
    model = FAULTS[0].model()

    @settings(max_examples=50, database=None, deadline=None, derandomize=True)
    @given(shown=inv.presentations(QUESTION))
    def test(shown: Presentation) -> None:
        assert_same_answer(model, WRITTEN, shown, readout="label")

    with run():
        with pytest.raises(InvarianceError) as first:
            test()
        n_asked = len(model.asked)
        with pytest.raises(InvarianceError) as second:
            test()
    assert len(model.asked) == n_asked == len(set(model.asked))
    assert str(first.value) == str(second.value)


def test_which_single_change_is_enough_is_said() -> None:
    """The answer depends on the order alone, and the only presentation drawn changes labels too."""
    model = FAULTS[4].model()  # an odd number of inversions
    shown = WRITTEN.replace(order=(2, 1, 0, 3, 4), labels=LABELS[1], layout=LAYOUTS[2])
    error = fail_on(model, shown)
    assert error.example is not None
    assert error.example.explanation == (
        "swapping options 1 and 2 alone flips the answer; re-lettering or another layout alone does not"
    )
    meet = fail_on(FAULTS[5].model(), shown)
    assert meet.example is not None
    assert meet.example.explanation == (
        "it takes re-lettering and another layout together: neither alone flips the answer; "
        "re-ordering the options (119 ways) alone does not"
    )


def fail_on(model: Counting, shown: Presentation) -> InvarianceError:
    @settings(max_examples=1, database=None, deadline=None)
    @given(st.just(shown))
    def test(shown: Presentation) -> None:
        assert_same_answer(model, WRITTEN, shown, readout="label")

    with run(), pytest.raises(InvarianceError) as caught:
        test()
    return caught.value


def test_outside_of_a_search_the_pair_is_shown_as_it_was_given() -> None:
    model = FAULTS[4].model()
    shown = WRITTEN.replace(order=(2, 1, 0, 3, 4), labels=LABELS[1])
    with pytest.raises(InvarianceError) as caught:
        assert_same_answer(model, WRITTEN, shown, readout="label")
    assert caught.value.example is not None
    assert caught.value.example.distance == (2, 3)
    assert len(model.asked) == 2


SUITE = """
    from hypothesis import given, settings
    from pytest_llminvariance import Presentation, Question, assert_order_symmetric, assert_same_answer
    from pytest_llminvariance import strategies as inv

    BANK = [Question(f"stem '{n}'?", [f"{n}\\n{c}" for c in "abcd"], answer=n % 4) for n in range(12)]
    WHO = BANK[0]

    @given(shown=inv.presentations(WHO, labels=inv.labels(WHO), layouts=inv.layouts()))
    def test_search(invariance_model, shown):
        assert_same_answer(invariance_model, Presentation(WHO), shown)

    def test_order(invariance_model):
        assert_order_symmetric(invariance_model, BANK)
"""


@pytest.mark.parametrize("name", ["test_search", "test_order"])
def test_what_is_copied_from_the_terminal_fails_by_itself(name: str, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=SUITE)
    first = pytester.runpytest("--invariance-model=control:always_first", "-v", "-k", name, "test_it.py")
    first.assert_outcomes(failed=1)
    start = next(n for n, line in enumerate(first.outlines) if "invariance: test to copy" in line)
    rest = first.outlines[start + 1 :]
    copied = rest[: next(n for n, line in enumerate(rest) if line.startswith(("---", "===")))]
    pytester.makepyfile(test_pasted="\n".join(copied))
    again = pytester.runpytest("--invariance-model=control:always_first", "test_pasted.py")
    again.assert_outcomes(failed=1)
    again.stdout.fnmatch_lines(["E*same answer is broken*", "E*example: *swap A and B:"])
    pytester.runpytest("--invariance-model=control:oracle", "test_pasted.py").assert_outcomes(passed=1)


def test_with_xdist_the_message_is_whole(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_it=SUITE)
    result = pytester.runpytest_subprocess("--invariance-model=control:always_first", "-n1", "-v")
    result.assert_outcomes(failed=2)
    assert len(re.findall(r"^from pytest_llminvariance import", result.stdout.str(), re.MULTILINE)) == 2
    quiet = pytester.runpytest_subprocess("--invariance-model=control:always_first", "-n1")
    quiet.stdout.no_fnmatch_line("from pytest_llminvariance import*")
    quiet.stdout.fnmatch_lines(["*copy:    pytest -v shows the example as a test to copy"])
