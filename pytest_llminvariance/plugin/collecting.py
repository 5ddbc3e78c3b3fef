"""Collecting a suite for its manifest: pytest runs once and collects only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_llminvariance.plugin.risk import MANIFEST_NAME, Collected, written_manifest
from pytest_llminvariance.plugin.session import collected


@dataclass(frozen=True, slots=True)
class Found:
    """A suite as collected."""

    text: str
    n_tests: int
    n_with_model: int
    default_file: Path


class _Collector:
    """A plugin that takes the collected tests before any deselection."""

    def __init__(self) -> None:
        self.tests: list[Collected] = []
        self.root = Path()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep what the shares depend on."""
        self.tests, self.root = list(collected(items)), config.rootpath


def collect_tests(arguments: list[str]) -> Found | None:
    """Return the suite that pytest collects with `arguments`, or `None` where it fails or there is none."""
    collector = _Collector()
    exit_code = pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider", *arguments], plugins=[collector])
    if exit_code != pytest.ExitCode.OK or not collector.tests:
        return None
    tests = collector.tests
    return Found(
        written_manifest(tests), len(tests), sum(item.uses_model for item in tests), collector.root / MANIFEST_NAME
    )
