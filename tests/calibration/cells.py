"""Simulated suites exactly at the tolerance, and just above it: the cells in which errors are most likely."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import binom

from pytest_llminvariance.measures.betting import Side, crossing

Values = np.ndarray
TOLERANCE = 0.05


@dataclass(frozen=True)
class Cell:
    """One kind of suite: its values, and the side that must not be shown."""

    name: str
    n: int
    side: Side
    make: Callable[[np.random.Generator, int], Values]
    with_replacement: bool = False


@dataclass(frozen=True)
class Counted:
    """How often the wrong side was shown."""

    cell: Cell
    alpha: float
    simulations: int
    wrong: int
    fails_at: int

    @property
    def passes(self) -> bool:
        return self.wrong < self.fails_at


def at(mean: float) -> Callable[[np.random.Generator, int], Values]:
    """Zeros and ones with this mean, or the next one above that the suite allows."""

    def make(rng: np.random.Generator, n: int) -> Values:
        values = np.zeros(n)
        values[: round(mean * n)] = 1.0
        return values

    return make


def next_above(rng: np.random.Generator, n: int) -> Values:
    values = np.zeros(n)
    values[: math.floor(TOLERANCE * n + 1e-9) + 1] = 1.0
    return values


def moved_to(values: Values, mean: float) -> Values:
    """Scale values so that their mean is exactly `mean`, inside [0, 1]."""
    low, high = 0.0, 50.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(1, values * middle).mean() < mean else (low, middle)
    return np.minimum(1.0, values * high)


def beta(rng: np.random.Generator, n: int) -> Values:
    return moved_to(rng.beta(0.3, 3.0, n), TOLERANCE)


def constant_above(rng: np.random.Generator, n: int) -> Values:
    return np.full(n, TOLERANCE + 1e-6)


def low_with_rare_ones(rng: np.random.Generator, n: int) -> Values:
    values = np.full(n, 0.9 * TOLERANCE)
    ones = max(1, math.ceil((0.1 * TOLERANCE * n) / (1 - 0.9 * TOLERANCE)))
    values[:ones] = 1.0
    return values


def shares_of_24(rng: np.random.Generator, n: int) -> Values:
    values = rng.binomial(24, TOLERANCE, n) / 24
    while values.mean() < TOLERANCE:
        place = rng.integers(n)
        values[place] = min(1.0, values[place] + 1 / 24)
    return values


def noisy_draws(rng: np.random.Generator, n: int) -> Values:
    """Draws with replacement, each with noise of its own around the tolerance."""
    centre = np.where(rng.random(n) < 0.5, 0.0, 2 * TOLERANCE)
    return (rng.random(n) < centre).astype(float)


def cells() -> Iterator[Cell]:
    """Each cell is at the boundary: whatever is shown there on this side is wrong, or as good as wrong."""
    for n in (50, 200, 1000):
        yield Cell(f"0/1 at the tolerance, N={n}", n, "within", at(TOLERANCE))
        yield Cell(f"0/1 at the tolerance, N={n}", n, "above", at(TOLERANCE))
        yield Cell(f"0/1 just above, N={n}", n, "within", next_above)
    yield Cell("beta at the tolerance, N=200", 200, "within", beta)
    yield Cell("beta at the tolerance, N=200", 200, "above", beta)
    yield Cell("constant just above, N=200", 200, "within", constant_above)
    yield Cell("0.9 tol and rare ones, N=200", 200, "within", low_with_rare_ones)
    yield Cell("0.9 tol and rare ones, N=1000", 1000, "within", low_with_rare_ones)
    yield Cell("shares of 24, N=200", 200, "within", shares_of_24)
    yield Cell("noisy draws, 200 of them", 200, "within", noisy_draws, with_replacement=True)
    yield Cell("noisy draws, 200 of them", 200, "above", noisy_draws, with_replacement=True)


def run_cell(cell: Cell, alpha: float, simulations: int, n_cells: int, seed: int = 0) -> Counted:
    """Count wrong verdicts; the threshold is 1 in 100 over all cells for a test that is just right."""
    rng = np.random.default_rng([seed, cell.n, int(alpha * 1000), len(cell.name)])
    wrong = 0
    for _ in range(simulations):
        values = cell.make(rng, cell.n)
        if not cell.with_replacement:
            values = rng.permutation(values)
        planned = None if cell.with_replacement else cell.n
        wrong += shown_before_end(values, planned, TOLERANCE, cell.side, alpha)
    return Counted(cell, alpha, simulations, wrong, int(binom.isf(0.01 / n_cells, simulations, alpha)) + 1)


def shown_before_end(values: Values, n_planned: int | None, bound: float, side: Side, alpha: float) -> bool:
    """Whether a side is shown before it is exact; what is certain is no error."""
    stop = crossing(values, n_planned, bound, side, alpha)
    if stop is None or (n_planned is not None and stop >= n_planned):
        return False
    total, n = float(values[:stop].sum()), len(values)
    if n_planned is None:
        return True
    certain = total > bound * n + 1e-7 if side == "above" else total + (n - stop) <= bound * n + 1e-7
    return not certain


def run_sessions(sessions: int, checks: int, n: int, alpha: float, seed: int = 0) -> int:
    """Count sessions with any wrong verdict: every check at the boundary, the risk shared equally."""
    rng = np.random.default_rng([seed, sessions, checks])
    share, wrong = alpha / checks, 0
    base = next_above(rng, n)
    for _ in range(sessions):
        wrong += any(shown_before_end(rng.permutation(base), n, TOLERANCE, "within", share) for _ in range(checks))
    return wrong


@dataclass(frozen=True)
class OpenCell:
    """A suite with `n_ones` certain ones and values that may be 0 or 1, so that asking everything is UNDECIDED."""

    name: str
    n: int
    n_ones: int
    n_open: int


@dataclass(frozen=True)
class CountedOpen:
    """How often each verdict was shown; `wrong` is the commoner one, the only one that a truth can make wrong."""

    above: int
    within: int
    either: int

    @property
    def wrong(self) -> int:
        return max(self.above, self.within)


def open_cells() -> Iterator[OpenCell]:
    """Yield suites whose low end is at the tolerance, and whose high end is above it."""
    for n in (50, 200, 1000):
        at_most = math.floor(TOLERANCE * n + 1e-9)
        yield OpenCell(f"one open, N={n}", n, at_most, 1)
        yield OpenCell(f"as many open as ones, N={n}", n, at_most - at_most // 2, at_most // 2 + 1)


def run_open(cell: OpenCell, alpha: float, simulations: int, seed: int = 0) -> CountedOpen:
    """Count suites where a side is shown early, though everything asked would leave it open."""
    rng = np.random.default_rng([seed, cell.n, cell.n_open])
    low = np.zeros(cell.n)
    low[: cell.n_ones] = 1.0
    high = low.copy()
    high[cell.n_ones : cell.n_ones + cell.n_open] = 1.0
    above = within = either = 0
    for _ in range(simulations):
        order = rng.permutation(cell.n)
        is_above = shown_before_end(low[order], cell.n, TOLERANCE, "above", alpha)
        is_within = shown_before_end(high[order], cell.n, TOLERANCE, "within", alpha)
        above, within, either = above + is_above, within + is_within, either + (is_above or is_within)
    return CountedOpen(above, within, either)
