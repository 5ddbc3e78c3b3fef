"""Collecting a suite for its manifest: pytest runs once and collects only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_llminvariance.plugin.places import beside_ini, plain_id, uses_fixture
from pytest_llminvariance.plugin.risk import MANIFEST_NAME, Collected, write_manifest


@dataclass(frozen=True, slots=True)
class Found:
    """A suite as collected."""

    tests: tuple[Collected, ...]
    default_file: Path

    @property
    def n_with_model(self) -> int:
        """How many of its tests ask for the model."""
        return sum(test.uses_model for test in self.tests)

    def write(self, path: Path | None) -> Path:
        """Write the manifest, beside the ini file where no place is named, and return where it is.

        Raises:
            UsageError: where it cannot be written.
        """
        write_manifest(path or self.default_file, self.tests)
        return path or self.default_file


class _Collector:
    """A plugin that takes the collected tests before any deselection."""

    def __init__(self) -> None:
        self.tests: list[Collected] = []
        self.root = Path()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Keep what the shares depend on."""
        self.tests, self.root = list(collected(items)), beside_ini(config)


def collected(items: list[pytest.Item]) -> Iterator[Collected]:
    """Yield what the risk's shares depend on: the fixtures and the marker of each test."""
    for item in items:
        marker = item.get_closest_marker("invariance")
        told = marker.kwargs if marker else {}
        yield Collected(plain_id(item), uses_fixture(item), told.get("weight"), bool(told.get("exhaustive", False)))


def collect_tests(arguments: list[str]) -> Found | None:
    """Return the suite that pytest collects with `arguments`, or `None` where it fails or there is none."""
    collector = _Collector()
    exit_code = pytest.main(["--collect-only", "-qq", "-p", "no:cacheprovider", *arguments], plugins=[collector])
    if exit_code != pytest.ExitCode.OK or not collector.tests:
        return None
    return Found(tuple(collector.tests), collector.root / MANIFEST_NAME)
