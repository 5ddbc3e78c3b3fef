"""How numbers are said: rates with their counts, two significant digits, no class names."""

from __future__ import annotations

from pytest_llminvariance.audit.metrics import METRICS
from pytest_llminvariance.verdict import Finding

__all__ = ["effect_words", "percent", "plural"]


def percent(share: float) -> str:
    """Return a share with two significant digits: `38%`, `0.4%`, `100%`."""
    value = 100 * float(share)
    if value == 0 or value >= 99.5:
        return f"{value:.0f}%"
    return f"{value:.0f}%" if value >= 9.95 else f"{value:.2g}%"


def plural(n: int, one: str) -> str:
    """Return a count with its noun."""
    return f"{n:,} {one}" if n == 1 else f"{n:,} {one}s"


def effect_words(finding: Finding) -> str:
    """Return the effect against its tolerance: `9 of 23 other presentations (39%, tolerated 5%)`."""
    low, high = float(finding.effect.low), float(finding.effect.high)
    tolerated = f"tolerated {percent(float(finding.tolerance))}"
    if METRICS[finding.metric].unit:
        rate = percent(low) if low == high else f"{percent(low)} to {percent(high)}"
        return f"{finding.count} ({rate}, {tolerated})"
    value = f"{low:.2g}" if f"{low:.2g}" == f"{high:.2g}" else f"{low:.2g} to {high:.2g}"
    return f"{value} (tolerated {float(finding.tolerance):.2g})"
