"""A few simulated respondents of each kind; `python -m tests.calibration.planted` asks 200."""

from __future__ import annotations

import pytest

from tests.calibration.planted import RESPONDENTS, simulate


@pytest.mark.parametrize("name", RESPONDENTS)
def test_the_planted_truth_is_in_the_interval(name: str) -> None:
    found = simulate(name, 3)
    assert sum(one.is_covered for one in found) >= 2
    assert all(one.high - one.low < (2.5 if "points" in name else 0.6) for one in found)
    assert len({one.truth for one in found}) == 3
