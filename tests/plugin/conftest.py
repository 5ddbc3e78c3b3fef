"""Inner runs of pytest that see our plugin and nothing of the outer run's settings."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
import scipy.spatial.distance
import scipy.stats

import pytest_llminvariance

assert scipy.stats
assert scipy.spatial.distance
# pytester forgets modules that an inner run imports first, so heavy ones and ours are there before
for module in pkgutil.walk_packages(pytest_llminvariance.__path__, "pytest_llminvariance."):
    importlib.import_module(module.name)

SUITE = """
    import pytest
    from pytest_llminvariance import Question, assert_order_symmetric

    BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], id=f"q{n}", answer=n % 4) for n in range(12)]

    def test_order(invariance_model):
        assert_order_symmetric(invariance_model, BANK)
"""


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """A suite with one order check on twelve questions."""
    pytester.makepyfile(test_suite=SUITE)
    return pytester


@pytest.fixture(autouse=True)
def quiet(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.delenv("CI", raising=False)
    pytester.makeini("[pytest]\naddopts = -p no:cacheprovider -p no:cov\n")
