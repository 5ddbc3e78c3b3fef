"""Ours against an implementation that somebody else wrote from the papers."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

import numpy as np
import pytest

from pytest_llminvariance.measures.betting import Capital, Side, bounds, log_capital
from tests.calibration import independent
from tests.calibration.exact import added


def suites(n: int) -> Iterator[tuple[list[Fraction], int, Fraction]]:
    """Random suites of zeros and ones, shares and floats, from 2 to 60 values, some with open ends of the sample."""
    rng = np.random.default_rng(20261121)
    for number in range(n):
        size = int(rng.integers(2, 61))
        mean = Fraction(int(rng.integers(0, 21)), 20)
        kind = number % 4
        if kind == 0:
            values = [Fraction(int(value)) for value in rng.random(size) < float(rng.choice([0.0, 0.05, 0.3, 1.0]))]
        elif kind == 1:
            values = [Fraction(int(value), 24) for value in rng.binomial(24, float(rng.choice([0.02, 0.2, 0.9])), size)]
        elif kind == 2:
            values = [Fraction(str(round(float(value), 6))) for value in rng.beta(0.5, 3, size)]
        else:
            values = [Fraction(int(value), 3) for value in rng.integers(0, 4, size)]
        planned = size + (int(rng.integers(0, 40)) if number % 3 else 0)
        yield values, planned, mean


@pytest.mark.parametrize(("side", "theirs"), [("above", "BROKEN"), ("within", "HOLDS")])
def test_a_thousand_suites_to_1e_9(side: Side, theirs: independent.Side) -> None:
    compared = settled = 0
    for values, planned, mean in suites(1000):
        capital = Capital(mean, side, planned)
        ours = [(added(capital, value), capital.is_certain) for value in values]
        for (log, certain), other in zip(ours, independent.log_evidence(values, planned, mean, theirs), strict=True):
            if math.isinf(other) and other > 0:
                assert certain or log == math.inf, (values, planned, mean)
                settled += 1
            elif math.isinf(other):  # settled the other way: theirs ends at 0, ours never matters again
                assert not certain, (values, planned, mean)
                settled += 1
            else:
                assert log == pytest.approx(other, abs=1e-9), (values, planned, mean)
                compared += 1
        fast = log_capital(values, planned, float(mean), side)
        finite = [n for n, (log, certain) in enumerate(ours) if math.isfinite(log) and not certain and 0 < mean < 1]
        assert [fast[n] for n in finite] == pytest.approx([ours[n][0] for n in finite], abs=1e-6)
    assert compared > 10_000
    assert settled > 1_000


def test_bounds_agree() -> None:
    rng = np.random.default_rng(8)
    for _ in range(12):
        values = [Fraction(int(value), 24) for value in rng.binomial(24, 0.1, 40)]
        ours, theirs = bounds(values, values, 90, 0.05), independent.bounds(values, 90, 0.05)
        assert ours.lower == pytest.approx(float(theirs.lower), abs=1e-7)
        assert ours.upper == pytest.approx(float(theirs.upper), abs=1e-7)
