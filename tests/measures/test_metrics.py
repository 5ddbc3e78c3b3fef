"""Metrics against values computed by hand or written again from their definitions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from pytest_llminvariance.checks.refusals import as_tolerance
from pytest_llminvariance.checks.verdict import Guard, Verdict, decide
from pytest_llminvariance.measures.distribution import REFUSED, AnswerDistribution
from pytest_llminvariance.measures.metrics import (
    METRICS,
    Interval,
    flip,
    mean_interval,
    position_bias,
    position_shares,
    trait_shift,
)

DELTA = 1e-4
CHOSEN = [AnswerDistribution.chosen(content, 3) for content in range(3)]
REFUSAL = AnswerDistribution.nothing(3, "refused")
UNPARSED = AnswerDistribution.nothing(3, "unparsed")
MISSING = AnswerDistribution.nothing(3, "missing")


def of(*probabilities: float) -> AnswerDistribution:
    return AnswerDistribution.from_probabilities(probabilities, range(len(probabilities)))


@st.composite
def distributions(draw: st.DrawFn, k: int = 4) -> AnswerDistribution:
    weights = draw(st.lists(st.floats(0.001, 1), min_size=k + 1, max_size=k + 1))
    return of(*(weight / sum(weights) for weight in weights[:k]))


def measured(name: str, answers: Sequence[AnswerDistribution], scores: Sequence[float] | None = None) -> Interval:
    return METRICS[name].measure(answers, scores, DELTA)


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [
        (CHOSEN[0], CHOSEN[0], 0, 0),
        (CHOSEN[0], CHOSEN[1], 1, 1),
        (CHOSEN[0], REFUSAL, 1, 1),
        (REFUSAL, REFUSAL, 0, 0),
        (CHOSEN[0], UNPARSED, 0, 1),
        (UNPARSED, UNPARSED, 0, 1),
        (MISSING, CHOSEN[2], 0, 1),
        (of(0.4, 0.4, 0.1), CHOSEN[0], 0, 1),
        (of(0.4, 0.4, 0.1), CHOSEN[2], 1, 1),
        (of(0.4, 0.4, 0.1), of(0.4, 0.4, 0.1), 0, 1),
        (of(0.4, 0.4 * math.exp(-2e-4), 0.1), CHOSEN[0], 0, 0),
        (of(0.4, 0.4 * math.exp(-5e-5), 0.1), CHOSEN[0], 0, 1),
        (of(0, 0, 0), CHOSEN[0], 0, 1),
    ],
)
def test_flips_between_answer_sets(one: AnswerDistribution, other: AnswerDistribution, low: int, high: int) -> None:
    assert flip(one, other, DELTA) == flip(other, one, DELTA) == Interval(Fraction(low), Fraction(high))


def test_outcomes() -> None:
    assert UNPARSED.outcomes(DELTA) == {REFUSED, 0, 1, 2}
    assert REFUSAL.outcomes(DELTA) == {REFUSED}
    assert of(0.2, 0.5, 0.3).outcomes(DELTA) == {1}


def test_flip_rate_counts_the_other_presentations_only() -> None:
    answers = [CHOSEN[0], CHOSEN[1], CHOSEN[0], CHOSEN[2]]
    assert measured("flip_rate", answers) == Interval(Fraction(2, 3), Fraction(2, 3))
    assert measured("unchanged", answers) == Interval(Fraction(1, 3), Fraction(1, 3))
    assert measured("flip_rate", [CHOSEN[0], MISSING]) == Interval(Fraction(0), Fraction(1))


@given(st.lists(st.integers(0, 2), min_size=3, max_size=8))
def test_disagreement_splits_into_flips_and_the_rest(contents: list[int]) -> None:
    """D = (2/M) F + ((M-2)/M) D_rest, M the size of the orbit."""
    answers = [CHOSEN[content] for content in contents]
    m = len(answers)
    d = measured("disagreement", answers).low
    f = measured("flip_rate", answers).low
    rest = measured("disagreement", answers[1:]).low
    assert d == Fraction(2, m) * f + Fraction(m - 2, m) * rest
    counts = [contents.count(content) for content in range(3)]
    assert d == 1 - Fraction(sum(n * (n - 1) for n in counts), m * (m - 1))


@given(st.lists(distributions(), min_size=2, max_size=5))
def test_tv_is_the_mean_over_pairs(answers: list[AnswerDistribution]) -> None:
    table = np.array([answer.vector() for answer in answers])
    pairs = [np.abs(a - b).sum() / 2 for a, b in itertools.combinations(table, 2)]
    value = measured("tv", answers)
    assert (float(value.low) + float(value.high)) / 2 == pytest.approx(np.mean(pairs), abs=1e-4)
    assert float(value.low) <= np.mean(pairs) + 1e-9
    assert float(value.high) >= np.mean(pairs) - 1e-9
    assert float(value.high) - float(value.low) <= 2.1e-4


@given(st.lists(distributions(), min_size=2, max_size=5))
def test_js_distance_is_to_the_centroid_in_nats(answers: list[AnswerDistribution]) -> None:
    table = np.array([answer.vector() for answer in answers])
    with np.errstate(invalid="ignore"):
        expected = np.mean(np.nan_to_num([jensenshannon(row, table.mean(axis=0)) for row in table]))
    assert float(measured("js_distance", answers).low) == pytest.approx(float(expected), abs=1e-7)
    assert float(measured("js_distance", answers).high) < 0.8326


def test_js_distance_of_nearly_equal_answers_is_zero_without_a_warning() -> None:
    chance = np.random.default_rng(0)
    for _ in range(200):
        row = chance.dirichlet(np.ones(5))
        answers = [of(*(row * (1 + chance.normal(0, 1e-16, 5)))[:4]) for _ in range(2)]
        assert 0 <= float(measured("js_distance", answers).low) < 1e-6


@given(st.lists(distributions(3), min_size=2, max_size=5))
def test_score_metrics(answers: list[AnswerDistribution]) -> None:
    scores = (1.0, 2.0, 5.0)
    table = np.array([answer.probabilities for answer in answers])
    expected = table @ np.array(scores) / table.sum(axis=1)
    gaps = [abs(a - b) / 4 for a, b in itertools.combinations(expected, 2)]
    assert float(measured("score_gap", answers, scores).low) == pytest.approx(np.mean(gaps))
    assert float(measured("score_shift", answers, scores).low) == pytest.approx(np.ptp(expected) / 4)


def test_open_answers_leave_every_metric_open() -> None:
    for name in ("flip_rate", "disagreement", "tv", "js_distance", "score_gap", "score_shift"):
        value = measured(name, [CHOSEN[0], UNPARSED], (1, 2, 3))
        assert (value.low, value.high) == (0, 1), name


@given(st.lists(distributions(3), min_size=2, max_size=6))
def test_every_metric_stays_between_zero_and_one(answers: list[AnswerDistribution]) -> None:
    for metric in METRICS.values():
        value = metric.measure([*answers, UNPARSED], (1, 2, 3), DELTA)
        assert -1 < metric.least <= 0
        assert metric.least <= value.low <= value.high <= 1, metric.name


@given(st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4), min_size=1, max_size=9))
def test_position_bias_is_the_maximum_over_sets_of_positions(rows: list[list[float]]) -> None:
    if sum(map(sum, rows)) < 1e-6:
        return
    shares = position_shares(rows)
    sets = itertools.chain.from_iterable(itertools.combinations(range(4), n) for n in range(5))
    expected = max(sum(shares[p] for p in chosen) - len(chosen) / 4 for chosen in sets)
    assert position_bias({4: rows}) == pytest.approx(expected, abs=1e-9)


def test_position_bias_pools_and_does_not_average_per_question() -> None:
    one_hot = [[float(p == n) for p in range(4)] for n in range(4)]
    assert position_bias({4: one_hot}) == 0
    assert position_bias({4: one_hot[:1]}) == 0.75
    assert position_bias({4: one_hot, 2: [[1.0, 0.0]] * 4}) == pytest.approx(0.25)


def test_trait_shift_is_the_largest_move_of_a_trait_mean() -> None:
    scores = {"calm": [[1, 2, 3], [3, 2, 1]], "order": [[1, 1, 2], [1, 1, 2]]}
    ends = {trait: [[(value, value) for value in row] for row in rows] for trait, rows in scores.items()}
    assert trait_shift(ends, 4) == Interval(0.25, 0.25)


def test_means_are_exact() -> None:
    tenths = [Interval(Fraction(n, 10), Fraction(n, 10)) for n in (1, 2, 0)]
    assert mean_interval(tenths).high <= as_tolerance(0.1)
    assert sum([0.1, 0.2, 0]) / 3 > 0.1
    assert mean_interval([Interval(0.1, 0.1)] * 10).low == 0.1


OPEN, BLOCKED = Guard(name="g", passed=False, text="why"), Guard(name="b", passed=False, text="both", blocks="both")
FINE = Guard(name="f", passed=True, text="fine")


@pytest.mark.parametrize(
    ("low", "high", "guards", "verdict"),
    [
        ("0", "0.05", [FINE], Verdict.HOLDS),
        ("0", "0.05", [FINE, OPEN], Verdict.UNDECIDED),
        ("0.06", "0.2", [FINE, OPEN], Verdict.BROKEN),
        ("0.05", "0.05", [], Verdict.HOLDS),
        ("0.05", "0.06", [], Verdict.UNDECIDED),
        ("0.06", "0.06", [BLOCKED], Verdict.UNDECIDED),
        ("0", "0", [BLOCKED], Verdict.UNDECIDED),
        ("0", "1", [], Verdict.UNDECIDED),
    ],
)
def test_decision(low: str, high: str, guards: list[Guard], verdict: Verdict) -> None:
    found, reasons = decide(Interval(Fraction(low), Fraction(high)), as_tolerance(0.05), guards, {"tie": 3}, 10)
    assert found is verdict
    assert bool(reasons) is (verdict is Verdict.UNDECIDED)


def test_a_tolerance_of_zero_is_a_claim_about_every_presentation() -> None:
    assert decide(Interval(Fraction(1, 10**6), Fraction(1)), as_tolerance(0), [], {}, 1)[0] is Verdict.BROKEN
    assert decide(Interval(Fraction(0), Fraction(0)), as_tolerance(0), [], {}, 1)[0] is Verdict.HOLDS
