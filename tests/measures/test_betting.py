"""The betting test: fair games, certainty, bounds by inversion, one by one equal to all at once."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom

from pytest_llminvariance import UsageError
from pytest_llminvariance.measures.betting import FRACTIONS, Capital, MeanTest, Side, bounds, crossing, log_capital
from pytest_llminvariance.measures.forecast import expected_share, fewest_values, forecast_words
from tests.calibration.cells import cells, open_cells, run_cell, run_open, run_sessions
from tests.calibration.exact import added, distinct_orders, enumerate_orders, suites

SIDES: tuple[Side, ...] = ("above", "within")


@pytest.mark.parametrize("side", SIDES)
def test_a_fair_game_wins_nothing_and_rarely_much(side: Side) -> None:
    seen = 0
    for values in suites():
        found = enumerate_orders(values, side)
        seen += found.orders
        assert found.mean_capital == pytest.approx(1, abs=1e-12), values
        assert all(share <= alpha for alpha, share in found.crossed.items()), values
    assert seen > 8_000


def test_enumeration_meets_each_order_once() -> None:
    orders = list(distinct_orders((Fraction(0), Fraction(0), Fraction(1), Fraction(1, 2))))
    assert len(orders) == len(set(orders)) == 12


def test_worst_cells_in_short() -> None:
    """1,000 simulations of each cell; `python -m tests.calibration` does 20,000."""
    todo = [(cell, alpha) for alpha in (0.05, 0.01) for cell in cells() if cell.n <= 200]
    bad = [found for cell, alpha in todo if not (found := run_cell(cell, alpha, 1_000, len(todo))).passes]
    assert bad == []


def test_open_values_that_straddle_the_tolerance_stay_within_what_is_claimed() -> None:
    """Wrong against every truth that the answers allow: alpha; other than asking everything, which is UNDECIDED: 2 alpha."""
    n, alpha = 1_000, 0.05
    found = [run_open(cell, alpha, n) for cell in open_cells() if cell.n <= 200]
    assert all(
        one.wrong <= binom.isf(0.001, n, alpha) and one.either <= binom.isf(0.001, n, 2 * alpha) for one in found
    )
    assert any(one.above for one in found)
    assert any(one.within for one in found)
    assert any(run_open(cell, 0.5, n).either > binom.isf(0.001, n, 2 * alpha) for cell in open_cells() if cell.n <= 200)


def test_the_cells_can_fail() -> None:
    """The mixture errs less than alpha (about 2% at .05), so the cells see a fourfold alpha, not a doubled one."""
    cell = next(cell for cell in cells() if cell.n == 1000 and "just above" in cell.name)
    fourfold = run_cell(cell, 0.20, 1_000, 1)
    assert fourfold.wrong >= int(binom.isf(0.01, 1_000, 0.05)) + 1


@pytest.mark.parametrize("alpha", [0.2, 0.05, 0.001])
@pytest.mark.parametrize(("value", "said"), [(0.0, "within"), (1.0, "above")])
def test_it_is_shown_with_the_first_capital_that_reaches_one_over_alpha(alpha: float, value: float, said: Side) -> None:
    test = MeanTest(0.05, alpha, None)
    capitals: list[float] = []
    while test.add(value, value) is None:
        capitals.append(max(test.above.log_capital, test.within.log_capital))
    assert test.shown == said
    assert max(capitals, default=0.0) < math.log(1 / alpha) <= max(test.above.log_capital, test.within.log_capital)


def test_sessions_in_short() -> None:
    wrong = run_sessions(60, 40, 1000, 0.05)
    assert wrong < int(binom.isf(0.001, 60, 0.05)) + 1


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("n_planned", [None, 300])
def test_one_by_one_equals_all_at_once(side: Side, n_planned: int | None) -> None:
    rng = np.random.default_rng(4)
    values: Any = rng.beta(0.4, 4, 300)
    capital = Capital(0.07, side, n_planned)
    slow = [added(capital, float(value)) for value in values]
    fast = log_capital(values, n_planned, 0.07, side)
    finite = np.isfinite(slow)
    assert finite.any()
    assert np.allclose(np.asarray(slow)[finite], fast[finite], atol=1e-9)
    assert (np.isfinite(fast) == finite).all()


def test_blocks_do_not_show() -> None:
    rng = np.random.default_rng(5)
    values: Any = (rng.random(10_000) < 0.05).astype(float)
    capital = Capital(0.05, "within", 10_000)
    slow = [added(capital, value) for value in values]
    assert np.allclose(log_capital(values, 10_000, 0.05, "within")[-1], slow[-1], atol=1e-7)


def test_certainty_above_and_within() -> None:
    test = MeanTest(Fraction(1, 10), 0.0, 20)
    shown = [test.add(Fraction(1), Fraction(1)) for _ in range(3)]
    assert shown == [None, None, "above"], "2 of 20 may be accepted, 3 may not, whatever follows"
    test = MeanTest(Fraction(1, 10), 0.0, 20)
    shown = [test.add(Fraction(0), Fraction(0)) for _ in range(18)]
    assert shown == [None] * 17 + ["within"], "with two to come the mean cannot pass 2 of 20"


def test_counts_are_compared_as_fractions() -> None:
    """sum([.1, .2, 0]) / 3 <= .1 is False in floats."""
    test = MeanTest(Fraction(1, 10), 0.0, 3)
    for value in (Fraction(1, 10), Fraction(2, 10), Fraction(0)):
        last = test.add(value, value)
    assert last == "within"


def test_tolerance_zero_is_a_claim_about_all() -> None:
    test = MeanTest(Fraction(0), 0.05, 1000)
    assert [test.add(Fraction(0), Fraction(0)) for _ in range(999)] == [None] * 999
    assert test.add(Fraction(0), Fraction(0)) == "within"
    test = MeanTest(Fraction(0), 0.05, 1000)
    assert test.add(Fraction(1, 24), Fraction(1, 24)) == "above"


def test_open_values_help_neither_side() -> None:
    test = MeanTest(Fraction(1, 20), 0.05, 500)
    assert {test.add(Fraction(0), Fraction(1)) for _ in range(500)} == {None}
    assert test.above.log_peak == 0.0
    assert test.within.log_peak == 0.0


@pytest.mark.parametrize("n_planned", [None, 400])
def test_bounds_are_the_means_that_are_not_rejected(n_planned: int | None) -> None:
    rng = np.random.default_rng(6)
    values: Any = rng.beta(0.5, 8, 200)
    found = bounds(values, values, n_planned, 0.05)
    assert 0 <= found.lower < values.mean() < found.upper <= 1
    cases: tuple[tuple[float, Side, bool], ...] = (
        (found.lower - 1e-6, "above", True),
        (found.lower + 1e-6, "above", False),
        (found.upper + 1e-6, "within", True),
        (found.upper - 1e-6, "within", False),
    )
    for mean, side, rejected in cases:
        assert (crossing(values, n_planned, mean, side, 0.05) is not None) is rejected, (mean, side)


def test_bounds_say_what_the_test_says() -> None:
    rng = np.random.default_rng(7)
    for _ in range(60):
        values = (rng.random(150) < rng.choice([0.0, 0.02, 0.05, 0.1, 0.3])).astype(float)
        test = MeanTest(0.05, 0.05, 400)
        shown = next((said for value in values if (said := test.add(value, value)) is not None), None)
        counted = values[: test.above.n]
        found = bounds(counted, counted, 400, 0.05)
        assert (shown == "within") == (found.upper <= 0.05)
        assert (shown == "above") == (found.lower >= 0.05)


def test_bounds_of_everything_are_the_mean() -> None:
    values: Any = np.array([0.0, 1.0, 0.5, 0.25])
    found = bounds(values, values, 4, 0.05)
    assert found.lower == pytest.approx(values.mean())
    assert found.upper == pytest.approx(values.mean())


def test_a_suite_has_no_more_values_than_planned() -> None:
    capital = Capital(0.1, "above", 1)
    capital.add(0.0)
    with pytest.raises(UsageError, match="value 2 of 1 planned"):
        capital.add(0.0)


@pytest.mark.parametrize(("bound", "alpha"), [(-0.1, 0.05), (1.1, 0.05), (0.1, 1.0), (0.1, -0.2)])
def test_bad_numbers_are_refused(bound: float, alpha: float) -> None:
    with pytest.raises(UsageError):
        MeanTest(bound, alpha, 10)


def test_fewest_values_is_where_the_best_answers_decide() -> None:
    n = fewest_values(0.05, 0.05, 1000, "within")
    assert n is not None
    test = MeanTest(0.05, 0.05, 1000)
    assert [test.add(0.0, 0.0) for _ in range(n)] == [None] * (n - 1) + ["within"]
    assert 60 < n < 100
    above = fewest_values(0.05, 0.05, 1000, "above")
    assert above is not None
    assert above < 5
    assert fewest_values(0.05, 0.0, 1000, "above") == 51, "without a risk, only certainty decides"
    assert fewest_values(0.25, 0.05, 10**9, "within", at_most=5) is None


def test_the_draws_that_the_docs_promise_for_an_excess_of_zero() -> None:
    """H = 0 throughout with three samples is bet on as .25, and a tolerance of .01 as (.01 + 1/3) / (4/3)."""
    test, n = MeanTest((Fraction(1, 100) + Fraction(1, 3)) / Fraction(4, 3), 0.05, None), 1
    while test.add(0.25, 0.25) is None:
        n += 1
    docs = (Path(__file__).parents[2] / "docs" / "statistics.md").read_text(encoding="utf-8")
    assert f"HOLDS at 0.01 takes {n} draws at alpha 0.05 with three samples where H is 0 throughout" in docs


def test_expected_cost_is_near_the_published_one() -> None:
    """Section 11 of the rules: 85, 315 and 168 of 1,000 at tolerance .05 and alpha .05, for other bets."""
    asked = [expected_share(effect, 0.05, 0.05, 1000).mean for effect in (0.0, 0.025, 0.1)]
    assert 60 <= asked[0] <= 110
    assert 200 <= asked[1] <= 420
    assert 90 <= asked[2] <= 250
    assert expected_share(0.05, 0.05, 0.05, 1000).all_share < 1


def test_forecast_says_what_would_decide() -> None:
    test = MeanTest(0.05, 0.01, None)
    for _ in range(30):
        test.add(0.0, 0.0)
    words = forecast_words(test, "draw")
    assert words.startswith("HOLDS would take about ")
    needed = int(words.split("about ")[1].split()[0])
    for _ in range(needed - 30):
        test.add(0.0, 0.0)
    assert test.shown == "within"
    test = MeanTest(0.5, 0.01, None)
    for number in range(60):
        test.add(float(number % 2), float(number % 2))
    assert forecast_words(test, "draw").startswith("no end is in sight, as the mean is too near the tolerance")
    assert forecast_words(test, "draw", 3).startswith("no end is in sight, as 3 of")


def test_fractions_are_fixed() -> None:
    """Another mixture is another test: bounds of stored findings would not be comparable."""
    assert FRACTIONS == (0.02, 0.05, 0.10, 0.20, 0.30, 0.45, 0.60, 0.75, 0.90, 0.99)
