"""A session's risk limit, shared by its tests: by weight, over everything collected before any deselection.

A committed manifest keeps the shares where a smaller selection runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_llminvariance.checks.risk import DEFAULT_RISK, ItemRisk
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.files import read_committed, write_committed
from pytest_llminvariance.measures.shares import UNRELATED_WEIGHT, item_shares

if TYPE_CHECKING:
    from pytest_llminvariance.plugin.options import Settings

MANIFEST_NAME = "invariance-plan.json"
MANIFEST_VERSION = 1


@dataclass(frozen=True, slots=True)
class Collected:
    """A test as far as risk is concerned."""

    node_id: str
    uses_model: bool
    weight: float | None = None
    """From the marker; `None`: 1 with the model, 0.1 without."""
    exhaustive: bool = False

    @property
    def risk_weight(self) -> float:
        """The weight of its share: 0 where it is declared exhaustive."""
        if self.exhaustive:
            return 0.0
        return (1.0 if self.uses_model else UNRELATED_WEIGHT) if self.weight is None else float(self.weight)


@dataclass(slots=True)
class SessionRisk:
    """The shares of a session's tests."""

    limit: float | None
    """`None` where everything planned is asked."""
    check_risk: float | None = None
    """The risk of each test, in place of its share."""
    manifest: Mapping[str, float] | None = None
    shares: dict[str, float] = field(default_factory=dict, init=False)
    n_collected: int = field(default=0, init=False)

    def collect(self, items: Iterable[Collected]) -> None:
        """Share the limit over the manifest's tests, or over these where there is none.

        Raises:
            UsageError: for a weight that is no number from 0.
        """
        weights = {item.node_id: item.risk_weight for item in items}
        self.n_collected = len(weights)
        shares = item_shares(self.limit or DEFAULT_RISK, weights if self.manifest is None else self.manifest)
        self.shares = {name: share if weights.get(name, 1.0) else 0.0 for name, share in shares.items()}

    def of(self, node_id: str) -> ItemRisk:
        """Return what a test may spend; a test that the shares do not know asks everything."""
        if self.check_risk is not None:
            return ItemRisk(self.check_risk if self.limit is None else self.limit, self.check_risk)
        if node_id in self.shares:
            share = self.shares[node_id]
            return ItemRisk(self.limit, share, "" if share else "declared exhaustive")
        known = "this test is not in the manifest" if self.manifest is not None else "this test was not collected"
        return ItemRisk(self.limit, 0.0, f"{known}, so it has no share of the risk limit")

    def words(self) -> str:
        """Return how the session decides, for the header."""
        if self.check_risk is not None:
            return f"risk {self.check_risk:g} for each test"
        if self.limit is None:
            return "everything planned is asked (no sampling risk)"
        told = f"risk limit {self.limit:g}"
        if self.manifest is None:
            return f"{told}, shared by the tests of this selection only (no manifest)"
        return f"{told}, shared as in the manifest by {len(self.manifest):,} tests"

    def partial_words(self) -> str | None:
        """Return that the selection is part of the manifest, or `None`."""
        if self.manifest is None or self.limit is None or self.n_collected >= len(self.manifest):
            return None
        return f"partial: {self.n_collected:,} of the manifest's {len(self.manifest):,} tests were collected; their shares are kept"


def read_risk(settings: Settings, manifest: Path | None, beside: Path) -> SessionRisk:
    """Return the risk that settings allow, with the `manifest` that they name, or that lies `beside` the ini file.

    Raises:
        UsageError: for a file that is no manifest.
    """
    limit = None if settings.exhaustive else settings.risk_limit
    path = manifest or beside / MANIFEST_NAME
    is_read = manifest is not None or (limit is not None and path.is_file())
    check_risk = None if settings.exhaustive else settings.check_risk
    return SessionRisk(limit, check_risk, read_manifest(path) if is_read else None)


def read_manifest(path: Path) -> dict[str, float]:
    """Return the weights of a manifest.

    Raises:
        UsageError: for a file that is no manifest; the message names file, field and rule.
    """
    again = "Write it again with: llminvariance plan"
    data = read_committed(path, "manifest", MANIFEST_VERSION, again)
    weights = data.get("weights")
    if not isinstance(weights, dict) or not weights:
        raise UsageError(f"manifest {str(path)!r}: weights must map node ids of tests to numbers. {again}")
    item_shares(1.0, weights)
    return {str(name): float(weight) for name, weight in weights.items()}


def write_manifest(path: Path, items: Iterable[Collected]) -> None:
    """Write a manifest, sorted, so that changes are small.

    Raises:
        UsageError: where it cannot be written.
    """
    weights = {item.node_id: item.risk_weight for item in items}
    write_committed(path, "manifest", {"schema_version": MANIFEST_VERSION, "weights": dict(sorted(weights.items()))})
