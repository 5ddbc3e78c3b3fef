"""How numbers are said: rates with their counts, two significant digits, no class names."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_llminvariance.checks.verdict import CERTAIN, Decision, Finding
from pytest_llminvariance.measures.metrics import METRICS
from pytest_llminvariance.report.text import one_line

NAMES_SHOWN = 10


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
    value = f"{low:.2g}" if is_one_number(finding) else f"{low:.2g} to {high:.2g}"
    return f"{value} (tolerated {float(finding.tolerance):.2g})"


def is_one_number(finding: Finding) -> bool:
    """Return whether an effect that is no share is the same number at both ends, as far as it is shown."""
    ends = {f"{float(end):.2g}" for end in (finding.effect.low, finding.effect.high)}
    return not METRICS[finding.metric].unit and len(ends) == 1


def certainty_words(decision: Decision | None, *, asked: int, planned: int, design: str, is_exact: bool) -> str:
    """Return how sure a verdict is: what was asked of what was planned, and the risk where a test stopped early."""
    if decision is not None and decision.method == "sequential":
        return _tested(decision, planned, design)
    everything = f"{plural(asked, 'question')}{f', {design} each' if design else ''}, all asked"
    return f"exact: {everything}" if is_exact else f"{everything}; ties and missing answers leave the range"


def _tested(decision: Decision, planned: int, design: str) -> str:
    of = "drawn, at most" if decision.n_planned > planned else "of"
    unit = "draw" if of != "of" else "question" if decision.n_planned == planned else "cluster"
    each = f", {design} each" if design else ""
    if max(decision.log_e_holds or 0.0, decision.log_e_broken or 0.0) >= CERTAIN:
        return f"certain: {decision.n:,} of {plural(decision.n_planned, unit)}{each}; the others cannot change it"
    ends = f"{max(0.0, decision.lower or 0.0):.2g} to {decision.upper:.2g}" if decision.upper is not None else "unknown"
    return (
        f"risk {decision.alpha:.2g}: {decision.n:,} {of} {plural(decision.n_planned, unit)}{each}; "
        f"the mean is {ends}, each end wrong with at most that risk"
    )


def names(found: Sequence[str]) -> str:
    """Return names in one line, the first ten and how many there are."""
    if not found:
        return "none"
    shown = ", ".join(one_line(name, 40) for name in found[:NAMES_SHOWN])
    return f"{len(found)}: {shown}" + (", …" if len(found) > NAMES_SHOWN else "")
