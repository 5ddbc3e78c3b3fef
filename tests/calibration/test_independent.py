"""The independent implementation is right where right can be known: by hand, by theorem, by all orders."""

# ruff: noqa: N803, N806 - N is the papers' size of the population
from __future__ import annotations

import itertools
import math
from collections import Counter
from fractions import Fraction

import pytest

from tests.calibration.enumeration import SIDES, enumerate_orders, exact_expectation, few_valued, orders, zero_one
from tests.calibration.independent import (
    FRACTIONS,
    Side,
    bounds,
    capitals,
    certain_verdict,
    is_rejected,
    log_evidence,
)

ALWAYS, NEVER = math.inf, -math.inf
HALF = Fraction(1, 2)
OTHER: dict[Side, Side] = {"BROKEN": "HOLDS", "HOLDS": "BROKEN"}


def mirrored(values: list[Fraction]) -> list[Fraction]:
    return [1 - value for value in values]


def test_capital_by_hand() -> None:
    # four values, mean 1/2: null means 1/2, 1/3, 0
    first = sum(1 + f for f in FRACTIONS) / 10
    second = sum((1 + f) * (1 + 2 * f) for f in FRACTIONS) / 10
    assert first == Fraction("1.436")
    assert list(capitals([1, 1, 0, 0], 4, HALF, "BROKEN")) == [first, second, second, second]
    # HOLDS: 1/2 - 1 over 1/2, then 1/3 - 1 over 2/3, then 0
    lost = sum((1 - f) ** 2 for f in FRACTIONS) / 10
    assert list(capitals([1, 1, 0, 0], 4, HALF, "HOLDS")) == [2 - first, lost, lost, lost]


@pytest.mark.parametrize(
    ("values", "side", "last"),
    [
        ([1, 1, 1], "BROKEN", ALWAYS),  # three of four: above 1/2 whatever comes
        ([1, 1, 1], "HOLDS", NEVER),
        ([0, 0, 0], "BROKEN", NEVER),
        ([0, 0, 0], "HOLDS", ALWAYS),
        ([1, 1, 0.001], "BROKEN", ALWAYS),  # null mean 0, and something came
        ([0, 0, 0.999], "HOLDS", ALWAYS),
        ([1, 0, 0, 1], "BROKEN", None),  # exactly at the tolerance: nothing is certain
        ([1, 0, 0, 0.9], "HOLDS", ALWAYS),  # known after the last value
        ([1, 0, 0.9, 1], "BROKEN", ALWAYS),
    ],
)
def test_certainty(values: list[float], side: Side, last: float | None) -> None:
    found = log_evidence(values, 4, HALF, side)[-1]
    assert math.isfinite(found) if last is None else found == last


def test_certainty_is_exact_where_floats_are_not() -> None:
    assert sum([0.1, 0.2, 0.0]) / 3 > 0.1
    assert math.isfinite(log_evidence([0.1, 0.2, 0.0], 3, 0.1, "BROKEN")[-1])
    assert certain_verdict([0.1, 0.2, 0.0], 3, 0.1) == "HOLDS"


@pytest.mark.parametrize(
    ("values", "m", "verdict"),
    [
        ([0, 0], HALF, "HOLDS"),  # two ones may come: the mean is 1/2, which is within
        ([1, 1], HALF, None),
        ([1, 1, 0.5], HALF, "BROKEN"),
        ([], 0, None),
        ([0, 0, 0, 0], 0, "HOLDS"),
        ([0, 0, 0], 0, None),
        ([0, 0.001], 0, "BROKEN"),
    ],
)
def test_certain_verdict_agrees_with_every_possible_rest(
    values: list[float], m: Fraction, verdict: Side | None
) -> None:
    assert certain_verdict(values, 4, m) == verdict
    n_left = 4 - len(values)
    above = {(sum(map(Fraction, values)) + sum(rest)) / 4 > m for rest in itertools.product((0, 1), repeat=n_left)}
    assert above == {"HOLDS": {False}, "BROKEN": {True}, None: {False, True}}[verdict]


@pytest.mark.parametrize("side", SIDES)
def test_the_sides_are_mirror_images(side: Side) -> None:
    values = [Fraction(k, 24) for k in (3, 0, 24, 7, 7, 1, 12)]
    assert list(capitals(values, 20, Fraction(3, 10), side)) == list(
        capitals(mirrored(values), 20, Fraction(7, 10), OTHER[side])
    )


@pytest.mark.parametrize("side", SIDES)
def test_digits_and_fractions_agree(side: Side) -> None:
    values = [Fraction(k * k % 25, 24) for k in range(1, 40)]
    logs = log_evidence(values, 60, Fraction("0.4"), side)
    exact = [math.log(capital) for capital in capitals(values, 60, Fraction("0.4"), side)]
    assert logs == pytest.approx(exact, abs=1e-13)


def test_every_order_once() -> None:
    population = [Fraction(k) for k in (0, 0, 0, 1, 1)] + [HALF, HALF]
    found = Counter(orders(population))
    assert set(found) == set(itertools.permutations(population))
    assert set(found.values()) == {1}


@pytest.mark.parametrize("population", [p for p in zero_one() if len(p) <= 10], ids=lambda p: f"{sum(p)}of{len(p)}")
@pytest.mark.parametrize("side", SIDES)
def test_all_orders_of_zeros_and_ones(population: list[Fraction], side: Side) -> None:
    found = enumerate_orders(population, side)
    assert found.orders == math.comb(len(population), int(sum(population)))
    assert found.expected_by_step == pytest.approx([1] * len(population), abs=1e-12)
    assert all(share <= alpha for alpha, share in found.crossing.items())
    assert found.worst_ratio <= 1 + 1e-12


@pytest.mark.parametrize("population", [p for p in few_valued() if len(set(p)) < 4 or len(p) == 9])
@pytest.mark.parametrize("side", SIDES)
def test_expected_capital_is_one_without_rounding(population: list[Fraction], side: Side) -> None:
    assert exact_expectation(population, side) == 1


@pytest.mark.parametrize(("ones", "side"), [(4, "BROKEN"), (6, "HOLDS")])
def test_inside_the_hypothesis_capital_shrinks(ones: int, side: Side) -> None:
    population = [Fraction(1)] * ones + [Fraction(0)] * (10 - ones)
    means = enumerate_orders(population, side, m=HALF).expected_by_step
    assert all(later <= earlier for earlier, later in itertools.pairwise((1.0, *means)))
    assert means[0] < 1


def shifted_null(values: object, N: int, m: Fraction, side: Side) -> list[float]:
    return log_evidence(values, N + 1, m, side)  # type: ignore[arg-type]


def sees_the_next(values: object, N: int, m: Fraction, side: Side) -> list[float]:
    logs = log_evidence(values, N, m, side)  # type: ignore[arg-type]
    return list(itertools.accumulate(logs, max))  # never pays for a loss


def doubled(values: object, N: int, m: Fraction, side: Side) -> list[float]:
    return [log + math.log(2) for log in log_evidence(values, N, m, side)]  # type: ignore[arg-type]


@pytest.mark.parametrize("wrong", [shifted_null, sees_the_next, doubled])
def test_the_enumeration_sees_what_is_wrong(wrong: object) -> None:
    population = [Fraction(1)] * 3 + [Fraction(0)] * 7
    found = enumerate_orders(population, "BROKEN", evidence=wrong)  # type: ignore[arg-type]
    assert max(abs(mean - 1) for mean in found.expected_by_step) > 1e-3


def test_a_doubled_alpha_is_seen_by_the_ratio_of_some_population() -> None:
    population = [Fraction(1)] * 3 + [Fraction(0)] * 7
    assert max(enumerate_orders(population, side).worst_ratio for side in SIDES) > 0.5


def test_bounds_are_where_rejection_begins() -> None:
    values, N = [Fraction(k % 3 == 0) for k in range(30)], 60
    found = bounds(values, N, 0.05)
    assert 0 < found.lower < 1 / 3 < found.upper < 1
    assert is_rejected(values, N, found.lower - 1e-9, "BROKEN", 0.05)
    assert not is_rejected(values, N, found.lower, "BROKEN", 0.05)
    assert is_rejected(values, N, found.upper + 1e-9, "HOLDS", 0.05)
    assert not is_rejected(values, N, found.upper, "HOLDS", 0.05)


def test_bounds_close_on_the_mean_and_a_crossing_is_never_taken_back() -> None:
    values = [Fraction(k % 4 == 0) for k in range(40)]
    nothing, everything = bounds([], 40, 0.05), bounds(values, 40, 0.05)
    assert (nothing.lower, nothing.upper) == (0, 1)
    assert everything.lower == pytest.approx(0.25, abs=1e-9)
    assert everything.upper == pytest.approx(0.25, abs=1e-9)
    early = [Fraction(1)] * 8 + [Fraction(0)] * 32  # looks broken at a tolerance of 1/2 and is not
    assert is_rejected(early[:8], 40, HALF, "BROKEN", 0.05)
    assert is_rejected(early, 40, HALF, "BROKEN", 0.05)
    assert bounds(early, 40, 0.05).lower > HALF


@pytest.mark.parametrize(
    ("values", "N", "m", "side"),
    [([0.5] * 3, 2, 0.5, "HOLDS"), ([1.1], 2, 0.5, "HOLDS"), ([0.5], 2, -0.1, "HOLDS"), ([0.5], 2, 0.5, "holds")],
)
def test_what_is_no_test_is_refused(values: list[float], N: int, m: float, side: Side) -> None:
    with pytest.raises(ValueError, match="not a test"):
        log_evidence(values, N, m, side)
