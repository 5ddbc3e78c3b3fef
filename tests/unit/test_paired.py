"""Fixed-sample paired tests against published examples, other implementations, and cases where they must not err."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest
import scipy.stats

from pytest_llminvariance.errors import MissingExtraError, UsageError
from pytest_llminvariance.measures.paired import (
    PairedTest,
    cochran_q,
    mcnemar_exact,
    paired_permutation,
    stuart_maxwell,
    tost_paired,
)

needs_statsmodels = pytest.mark.skipif(find_spec("statsmodels") is None, reason="the extra stats is not installed")
Pairs = tuple[list[Any], list[Any]]


def pairs_of(table: Sequence[Sequence[int]], names: Sequence[Any] = range(9)) -> Pairs:
    """Return one pair of answers for each count of a square table."""
    cells = [
        (names[i], names[j]) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)
    ]  # fmt: skip
    return [first for first, _ in cells], [second for _, second in cells]


def array(values: Sequence[object]) -> Any:
    """Return an array, which is no `Sequence` to a type checker."""
    return np.array(values)


def yes_no(both: int, only_first: int, only_second: int, neither: int) -> Pairs:
    return pairs_of([[neither, only_second], [only_first, both]])


# published examples

# Fagerland, Lydersen and Laake, BMC Med Res Methodol 13 (2013) 91, table 1 (Bentur et al. 2009): hyper-responsive
# airways of 21 children before and after a transplantation; exact conditional p = .0703
BENTUR = yes_no(1, 1, 7, 12)
# Fay, vignette of the R package exact2x2 (2010): matrix(c(21, 9, 2, 12), 2, 2); p = .06543
FAY = yes_no(21, 2, 9, 12)
# Agresti, Categorical Data Analysis (1990), after Grizzle, Starmer and Koch; Q = 8.4706, 2 df, p = .0145 in the manual
# of SAS PROC FREQ, "Testing marginal homogeneity with Cochran's Q". Favourable (1) answers to drugs A, B, C
DRUGS = [
    row
    for row, count in {
        (1, 1, 1): 6, (1, 1, 0): 16, (1, 0, 1): 2, (1, 0, 0): 4, (0, 1, 1): 2, (0, 1, 0): 4, (0, 0, 1): 6, (0, 0, 0): 6
    }.items()
    for _ in range(count)
]  # fmt: skip
# Conover, Practical Nonparametric Statistics (1999), section 4.6: three sports fans predict 12 games; T = 2.8, 2 df
FANS = [
    (1, 1, 1), (1, 1, 1), (0, 1, 0), (1, 1, 0), (0, 0, 0), (1, 1, 1),
    (1, 1, 1), (1, 1, 0), (0, 0, 1), (0, 1, 0), (1, 1, 1), (1, 1, 1),
]  # fmt: skip
# Stuart, Biometrika 42 (1955) 412-416: unaided distance vision of 7,477 women, right eye against left; 11.96, 3 df
VISION = pairs_of([[1520, 266, 124, 66], [234, 1512, 432, 78], [117, 362, 1772, 205], [36, 82, 179, 492]])
# Fleiss, Statistical Methods for Rates and Proportions (1981), chapter 8: two diagnosticians; 14.00, 2 df
DIAGNOSES = pairs_of([[35, 5, 0], [15, 20, 5], [10, 5, 5]], ["schizophrenia", "affective", "other"])
# Uebersax, documentation of the program MH 1.2: a category in perfect agreement; .667, 1 df, p = .414
PERFECT = pairs_of([[30, 0, 0], [0, 10, 2], [0, 4, 8]])
# Fisher, The Design of Experiments (1935), section 21: Darwin's maize, in eighths of an inch. 863 of 2^15 patterns
# reach the sum of 314, so 1,726 reach it on either side: 5.267 per cent
MAIZE = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
# Wellek (2003) p. 212, as in the manual of SAS PROC TTEST, "Equivalence testing with lognormal data": ratio of
# geometric means .9412, its 90 per cent interval .8634 to 1.0260, margin .8 to 1.25
REFERENCE = [90.11, 77.71, 77.71, 97.51, 58.21, 101.3, 79.84, 96.06, 89.30, 97.22, 61.62, 85.80]
TEST_DRUG = [103.4, 59.92, 68.17, 94.54, 69.48, 72.17, 74.37, 84.44, 96.74, 94.26, 48.52, 95.68]
AUC = [math.log(value) for value in REFERENCE], [math.log(value) for value in TEST_DRUG]


@pytest.mark.parametrize(("pairs", "both", "p_value"), [(BENTUR, (1, 7), 0.0703), (FAY, (2, 9), 0.06543)])
def test_mcnemar_as_published(pairs: Pairs, both: tuple[int, int], p_value: float) -> None:
    found = mcnemar_exact(*pairs)
    assert (found.counts["only_first"], found.counts["only_second"]) == both
    assert found.p_value == pytest.approx(p_value, abs=5e-5)
    assert found.estimate == pytest.approx((both[1] - both[0]) / found.n)
    assert all(str(count) in found.method for count in both)


@needs_statsmodels
@pytest.mark.parametrize(("answers", "q", "p_value"), [(DRUGS, 8.4706, 0.0145), (FANS, 2.8, 0.2466)])
def test_cochran_as_published(answers: list[tuple[int, ...]], q: float, p_value: float) -> None:
    found = cochran_q(answers)
    assert found.statistic == pytest.approx(q, abs=5e-5)
    assert found.p_value == pytest.approx(p_value, abs=5e-5)
    assert found.df == 2


@needs_statsmodels
@pytest.mark.parametrize(
    ("pairs", "statistic", "df", "p_value"),
    [(VISION, 11.96, 3, 0.0075), (DIAGNOSES, 14.0, 2, 0.0009), (PERFECT, 0.667, 1, 0.414)],
)
def test_stuart_maxwell_as_published(pairs: Pairs, statistic: float, df: int, p_value: float) -> None:
    found = stuart_maxwell(*pairs)
    assert found.statistic == pytest.approx(statistic, abs=5e-3)
    assert found.df == df
    assert found.p_value == pytest.approx(p_value, abs=5e-4)


def test_permutation_as_published() -> None:
    found = paired_permutation([0] * 15, MAIZE, seed=0)
    assert found.p_value == 2 * 863 / 2**15
    assert found.statistic == pytest.approx(314 / 15)
    assert found.counts == {"positive": 13, "negative": 2, "zero": 0}
    assert "32,768" in found.method


def test_tost_as_published() -> None:
    found = tost_paired(*AUC, low=math.log(0.8), high=math.log(1.25))
    assert found.estimate is not None
    assert math.exp(found.estimate) == pytest.approx(0.9412, abs=5e-5)
    assert found.p_value == pytest.approx(0.0031, abs=5e-5)
    # the 90% interval ends where the p-value is 5%
    at_lower = tost_paired(*AUC, low=math.log(0.8634), high=math.log(1.25))
    at_upper = tost_paired(*AUC, low=math.log(0.8), high=math.log(1.0260))
    assert at_lower.p_value == pytest.approx(0.05, abs=2e-4)
    assert at_upper.p_value == pytest.approx(0.05, abs=2e-4)


# other implementations


def cases(n: int = 30) -> list[np.random.Generator]:
    return [np.random.default_rng(seed) for seed in range(n)]


@needs_statsmodels
def test_mcnemar_agrees_with_statsmodels() -> None:
    from statsmodels.stats.contingency_tables import mcnemar

    for rng in cases():
        first, second = rng.integers(0, 2, (2, int(rng.integers(5, 60))))
        found = mcnemar_exact(first, second)
        counts = found.counts
        other = mcnemar([[counts["both"], counts["only_first"]], [counts["only_second"], counts["neither"]]])
        assert (found.statistic, found.p_value) == pytest.approx((other.statistic, other.pvalue), abs=1e-12)


@needs_statsmodels
def test_cochran_agrees_with_friedman_of_scipy() -> None:
    for rng in cases():
        answers: Any = rng.integers(0, 2, (int(rng.integers(8, 60)), int(rng.integers(3, 6))))
        found, other = cochran_q(answers), scipy.stats.friedmanchisquare(*answers.T)
        assert (found.statistic, found.p_value) == pytest.approx((other.statistic, other.pvalue), abs=1e-10)


@needs_statsmodels
def test_two_conditions_are_mcnemar_without_correction() -> None:
    for first, second in (BENTUR, FAY, yes_no(794, 150, 86, 570)):
        counts = mcnemar_exact(first, second).counts
        b, c = counts["only_first"], counts["only_second"]
        expected = pytest.approx((b - c) ** 2 / (b + c))
        assert cochran_q(list(zip(first, second, strict=True))).statistic == expected
        assert stuart_maxwell(first, second).statistic == expected


@needs_statsmodels
def test_stuart_maxwell_agrees_with_the_formula_in_parts_and_with_empty_cells() -> None:
    degrees = set()
    for rng in cases(60):
        table = rng.integers(0, 4, (5, 5)) * (rng.random((5, 5)) < 0.3)
        table[0, 0] += 1
        found = stuart_maxwell(*pairs_of(table.tolist()))
        d = table.sum(1) - table.sum(0)
        variance = np.diag(table.sum(1) + table.sum(0)) - table - table.T
        assert found.df == np.linalg.matrix_rank(variance)
        assert found.statistic == pytest.approx(d @ np.linalg.pinv(variance) @ d, abs=1e-9)
        degrees.add(found.df)
    assert degrees >= {1, 2, 3, 4}, "some tables must fall into parts"


def test_permutation_agrees_with_scipy() -> None:
    for rng in cases(12):
        differences: Any = rng.normal(0.4, 1, 10).round(1)
        found = paired_permutation(array([0.0] * 10), differences, seed=0)
        other = scipy.stats.permutation_test(
            (differences,), np.mean, permutation_type="samples", n_resamples=np.inf, vectorized=True
        )
        assert found.p_value == pytest.approx(other.pvalue, abs=1e-12)


@needs_statsmodels
def test_tost_agrees_with_statsmodels() -> None:
    from statsmodels.stats.weightstats import ttost_paired

    for rng in cases():
        first, second = rng.normal(0, 1, (2, 25))
        found = tost_paired(first, second, low=-0.5, high=0.3)
        p_value, below, above = ttost_paired(second, first, -0.5, 0.3)
        assert found.p_value == pytest.approx(p_value, abs=1e-12)
        assert found.statistic == pytest.approx(max(below, above, key=lambda one: one[1])[0], abs=1e-9)


# what must hold whatever the data


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2, 0.5])
def test_exact_permutation_keeps_its_level_over_all_sign_patterns(alpha: float) -> None:
    sizes = [0.1, 0.1, 0.2, 0.3, 0.3, 0.7, 1.1, 2.0]
    found = [
        paired_permutation([0.0] * 8, [s * d for s, d in zip(signs, sizes, strict=True)], seed=0).p_value
        for signs in itertools.product((-1, 1), repeat=8)
    ]
    share = sum(p is not None and p <= alpha for p in found) / 256
    assert alpha / 2 - 2 / 256 <= share <= alpha


def test_sampled_permutation_is_near_the_exact_binomial_and_repeats() -> None:
    second = [1] * 40 + [-1] * 20
    exact = scipy.stats.binomtest(20, 60).pvalue
    found = paired_permutation([0] * 60, second, seed=7)
    assert found.p_value == pytest.approx(exact, abs=4 * math.sqrt(exact / 9_999))
    assert found == paired_permutation([0] * 60, second, seed=7)
    assert found.p_value == 0.0136, "seed 7 on any machine"
    assert found.p_value != paired_permutation([0] * 60, second, seed=8).p_value
    assert "seed 7" in found.method


def test_sampled_permutation_is_never_zero_and_does_not_depend_on_its_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    assert paired_permutation([0] * 100, [1] * 100, seed=1, patterns=999).p_value == 1 / 1000
    second = [math.sin(k) + 0.1 for k in range(100)]
    whole = paired_permutation([0] * 100, second, seed=1)
    monkeypatch.setattr("pytest_llminvariance.measures.paired.PATTERNS_AT_ONCE", 1000)
    assert paired_permutation([0] * 100, second, seed=1) == whole


def test_sums_that_differ_by_rounding_only_are_ties() -> None:
    # .1 + .2 - .3 is not 0 in floats; all 8 patterns are as in whole numbers
    floats = paired_permutation([0] * 3, [0.1, 0.2, -0.3], seed=0).p_value
    assert floats == paired_permutation([0] * 3, [1, 2, -3], seed=0).p_value == 1
    assert paired_permutation([0.3, 1], [0.1 + 0.2, 2], seed=0).counts["zero"] == 1


@needs_statsmodels
def test_swapping_the_sides_changes_signs_only() -> None:
    first, second = VISION
    for test in (
        mcnemar_exact_of_best, stuart_maxwell, lambda a, b: paired_permutation(a, b, seed=3),
        lambda a, b: tost_paired(a, b, low=-0.1, high=0.1),
    ):  # fmt: skip
        there, back = test(first, second), test(second, first)
        assert there.p_value == pytest.approx(back.p_value, rel=1e-9)
        assert there.estimate is None or there.estimate == -(back.estimate or 0)


def mcnemar_exact_of_best(first: list[int], second: list[int]) -> PairedTest:
    return mcnemar_exact([a == 0 for a in first], [b == 0 for b in second])


# edges


@pytest.mark.parametrize("n", [1, 50])
def test_equal_answers_are_no_evidence_of_a_difference(n: int) -> None:
    answers = [k % 2 for k in range(n)]
    for found in (
        mcnemar_exact(answers, answers), cochran_q([[a, a, a] for a in answers]), stuart_maxwell(answers, answers),
        paired_permutation(answers, answers, seed=0),
    ):  # fmt: skip
        assert (found.statistic, found.p_value, found.n) == (0, 1, n)


def test_one_changed_question_is_no_evidence_either() -> None:
    assert mcnemar_exact([1], [0]).p_value == 1
    assert paired_permutation([1], [0], seed=0).p_value == 1


@pytest.mark.parametrize("shift", [0, 0.1])
def test_tost_without_spread_says_nothing(shift: float) -> None:
    first = [0.1, 0.2, 0.3, 0.7]
    found = tost_paired(first, [value + shift for value in first], low=-0.5, high=0.5)
    assert (found.p_value, found.statistic) == (None, None)
    assert "all differences are the same" in found.method
    assert found.estimate == pytest.approx(shift)


def test_tost_outside_its_margin_is_no_evidence() -> None:
    found = tost_paired([0, 0, 0, 0], [1, 1.1, 0.9, 1.2], low=-0.5, high=0.5)
    assert found.p_value is not None
    assert found.p_value > 0.99


@needs_statsmodels
def test_small_cochran_is_called_rough() -> None:
    assert "rough" in cochran_q([[0, 1, 1], [1, 0, 0], [1, 1, 1]]).method
    assert "rough" not in cochran_q(DRUGS).method


def test_whole_numbers_texts_arrays_and_fractions_are_read() -> None:
    assert mcnemar_exact(array([True, False]), [1, Fraction(0)]).counts["both"] == 1
    assert stuart_maxwell(array(["A", "B"]), ["A", "B"]).counts == {
        "changed": 0, "same": 2, "first A": 1, "first B": 1, "second A": 1, "second B": 1
    }  # fmt: skip
    assert paired_permutation([Fraction(1, 3)], array([1]), seed=0).estimate == pytest.approx(2 / 3)


def two(test: Callable[..., PairedTest], **settings: Any) -> Callable[..., PairedTest]:
    return lambda first, second: test(first, second, **settings)


@pytest.mark.parametrize(
    "test", [two(mcnemar_exact), two(stuart_maxwell), two(paired_permutation, seed=0), two(tost_paired, low=0, high=1)]
)
@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ([], [], "no question"),
        ([0, 1], [0], r"2 values, second has 1"),
        ({0, 1}, [0, 1], r"first is \{0, 1\}"),
        ("01", [0, 1], "first is '01'"),
        ([0, 1], 3, "second is 3"),
        ([0, None], [0, 1], r"first\[1\] is None"),
        ([0, 1], [0, math.nan], r"second\[1\] is nan"),
        ([0, 1], [0, [1]], r"second\[1\] is \[1\]"),
    ],
)
def test_bad_pairs_are_refused(test: Callable[..., PairedTest], first: Any, second: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        test(first, second)


@pytest.mark.parametrize("value", ["1", math.inf, 1j, 10**400, np.array([1, 2]), b"1"])
def test_what_is_no_finite_number_is_refused(value: Any) -> None:
    for test in (two(mcnemar_exact), two(paired_permutation, seed=0), two(tost_paired, low=0, high=1)):
        with pytest.raises(UsageError, match=r"second\[1\] is .*finite number"):
            test([0, 1], [0, value])


def test_other_values_than_zero_and_one_are_refused() -> None:
    with pytest.raises(UsageError, match=r"first\[0\] is 2, but must be 0 or 1"):
        mcnemar_exact([2], [1])
    with pytest.raises(UsageError, match=r"answers\[1\]\[0\] is 0.5"):
        cochran_q([[0, 1], [0.5, 1]])


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([], "no question"),
        ([[0]], r"answers\[0\] has 1 values"),
        ([[0, 1], [0, 1, 1]], r"answers\[1\] has 3 values"),
        ([0, 1], r"answers\[0\] is 0"),
        ("01", "answers is '01'"),
    ],
)
def test_bad_tables_are_refused(answers: Any, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        cochran_q(answers)


def test_mixed_categories_are_refused() -> None:
    with pytest.raises(UsageError, match="use one kind"):
        stuart_maxwell([1, 2], ["1", "2"])


@pytest.mark.parametrize(
    ("settings", "said"),
    [({"seed": -1}, "seed is -1"), ({"seed": True}, "seed is True"), ({"seed": 0, "patterns": 10}, "patterns is 10")],
)
def test_bad_chance_is_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        paired_permutation([0, 1], [1, 0], **settings)


@pytest.mark.parametrize(
    ("low", "high", "said"), [(0.1, -0.1, "margin"), (0, 0, "margin"), (math.nan, 1, "low is nan")]
)
def test_bad_margins_are_refused(low: float, high: float, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        tost_paired([0, 1], [1, 0], low=low, high=high)


def test_tost_needs_two_questions() -> None:
    with pytest.raises(UsageError, match="one question"):
        tost_paired([0], [1], low=-1, high=1)


@pytest.mark.parametrize(
    "test", [lambda: cochran_q([[0, 1], [1, 0]]), lambda: stuart_maxwell(["A", "B"], ["B", "A"])], ids=["Q", "SM"]
)
def test_without_statsmodels_the_extra_is_named(
    test: Callable[[], PairedTest], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("statsmodels")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "statsmodels", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pytest-llminvariance\[stats\]'"):
        test()
