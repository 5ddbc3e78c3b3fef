"""Checks of these tests are about the package, so they stay out of the session's own findings."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pytest_llminvariance.checks.run import Run, current_run


@pytest.fixture(autouse=True)
def no_session() -> Iterator[None]:
    token = current_run.set(Run())
    yield
    current_run.reset(token)
