"""How numbers are said: rates with their counts, two significant digits, no class names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_llminvariance.checks.verdict import CERTAIN, Decision, Finding, Verdict
from pytest_llminvariance.measures.metrics import METRICS, Number
from pytest_llminvariance.report.text import one_line

NAMES_SHOWN = 10
COUNTER_EXAMPLE = "a counter-example was found"
CERTAIN_PAIR = "these two presentations are answered differently; a search does not say how often that happens"
"""How sure the finding of a search is."""
SAID: Mapping[str, str] = {Verdict.BROKEN: "is broken", Verdict.UNDECIDED: "is undecided", Verdict.HOLDS: "holds"}
COLOURS: Mapping[str, str] = {Verdict.HOLDS: "green", Verdict.BROKEN: "red", Verdict.UNDECIDED: "yellow"}


def percent(share: Number) -> str:
    """Return a share with two significant digits: `38%`, `0.4%`, `100%`."""
    value = 100 * float(share)
    if value == 0 or value >= 99.5:
        return f"{value:.0f}%"
    return f"{value:.0f}%" if value >= 9.95 else f"{value:.2g}%"


def number(value: Number) -> str:
    """Return a number that is no share with two significant digits: `0.12`."""
    return f"{float(value):.2g}"


def table_value(value: object) -> str:
    """Return a value for a table: numbers with three significant digits, `?` for what is not known."""
    return "?" if value is None else f"{value:.3g}" if isinstance(value, float) else one_line(value)


def unit_words(*, is_share: bool) -> Callable[[Number], str]:
    """Return what says a number of a metric: in percent where the metric is a share."""
    return percent if is_share else number


def low_to_high(low: Number, high: Number, say: Callable[[Number], str]) -> str:
    """Return an interval: `0% to 33%`, or `39%` where both ends are said alike."""
    first, last = say(low), say(high)
    return first if first == last else f"{first} to {last}"


def plural(n: int, one: str) -> str:
    """Return a count with its noun."""
    return f"{n:,} {one}" if n == 1 else f"{n:,} {one}{'es' if one.endswith('ch') else 's'}"


def counted(count: str, low: Number, high: Number, questions: int, more: str = "") -> str:
    """Return a count with its share: `9 of 23 other presentations (39%)`.

    The effect is a mean over questions. Where these have unequal numbers of presentations it is not the share of the
    count, and stands apart: `442 of 558 other presentations; 83% averaged over 40 questions`.
    """
    effect = low_to_high(low, high, percent)
    part, _, rest = count.partition(" of ")
    changed, whole = (int(text.split(" ")[0].replace(",", "")) for text in (part, rest))
    if not whole or percent(changed / whole) == percent(low):
        return f"{count} ({effect}{f', {more}' if more else ''})"
    return f"{count}; {effect} averaged over {plural(questions, 'question')}{f' ({more})' if more else ''}"


def effect_words(finding: Finding) -> str:
    """Return the effect against its tolerance: `9 of 23 other presentations (39%, tolerated 5%)`."""
    is_share = bool(METRICS[finding.metric].unit)
    say = unit_words(is_share=is_share)
    low, high, tolerated = finding.effect.low, finding.effect.high, f"tolerated {say(finding.tolerance)}"
    if is_share:
        return counted(finding.count, low, high, finding.questions_asked, tolerated)
    return f"{low_to_high(low, high, say)} ({tolerated})"


def is_one_number(finding: Finding) -> bool:
    """Return whether an effect that is no share is the same number at both ends, as far as it is shown."""
    return not METRICS[finding.metric].unit and number(finding.effect.low) == number(finding.effect.high)


def certainty_words(decision: Decision | None, *, asked: int, planned: int, design: str, is_exact: bool) -> str:
    """Return how sure a verdict is: what was asked of what was planned, and the risk where a test stopped early."""
    if decision is not None and decision.method == "sequential":
        return _tested(decision, planned, design)
    everything = f"{plural(asked, 'question')}{f', {design} each' if design else ''}, all asked"
    if decision is not None and decision.is_interval:
        return f"risk {decision.alpha:.2g}: {everything}; each end for questions like these is wrong with at most that risk"
    return f"exact: {everything}" if is_exact else f"{everything}; ties and missing answers leave the range"


def _tested(decision: Decision, planned: int, design: str) -> str:
    of = "drawn, at most" if decision.n_planned > planned else "of"
    unit = "draw" if of != "of" else "question" if decision.n_planned == planned else "cluster"
    each = f", {design} each" if design else ""
    if max(decision.log_e_holds or 0.0, decision.log_e_broken or 0.0) >= CERTAIN:
        return f"certain: {decision.n:,} of {plural(decision.n_planned, unit)}{each}; the others cannot change it"
    lower, upper = max(0.0, decision.lower or 0.0), decision.upper
    ends = "unknown" if upper is None else f"{number(lower)} to {number(upper)}"
    return (
        f"risk {decision.alpha:.2g}: {decision.n:,} {of} {plural(decision.n_planned, unit)}{each}; "
        f"the mean is {ends}, each end wrong with at most that risk"
    )


def estimate_words(details: Mapping[str, Any]) -> str:
    """Return the numbers beside an effect: `length 0.2 (0.1 to 0.3 at 99%)`; empty where there are none."""
    rows = details.get("estimates")
    return "; ".join(_estimated(*item) for item in rows.items()) if isinstance(rows, Mapping) else ""


def _estimated(name: str, row: Mapping[str, Any]) -> str:
    low, high, level = row.get("low"), row.get("high"), row.get("level")
    ends = "" if low is None or high is None else f" ({number(low)} to {number(high)} at {level:.0%})"
    return f"{name} {number(row.get('value', 0.0))}{ends}"


def kept_words(kept: Mapping[str, int]) -> str:
    """Return what a reversal of the options left in place: `17 of 18 kept the position, 1 kept the answer`."""
    total = sum(kept.values())
    said = {
        "position": "kept the position",
        "content": "kept the answer",
        "both": "kept both",
        "other": "cannot be told",
    }
    rows = sorted(((kept.get(name, 0), words) for name, words in said.items()), key=lambda row: -row[0])
    parts = [f"{n:,} {words}" for n, words in rows if n]
    return ", ".join([parts[0].replace(" ", f" of {total:,} ", 1), *parts[1:]])


def names(found: Sequence[str]) -> str:
    """Return names in one line, the first ten and how many there are."""
    if not found:
        return "none"
    shown = ", ".join(one_line(name, 40) for name in found[:NAMES_SHOWN])
    return f"{len(found)}: {shown}" + (", …" if len(found) > NAMES_SHOWN else "")
