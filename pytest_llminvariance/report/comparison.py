"""A comparison in words: what is worse first, what cannot be compared and why, then the rest."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_llminvariance.audit.flip_counts import Flips
from pytest_llminvariance.audit.metrics import Interval
from pytest_llminvariance.comparison import Compared, Comparison
from pytest_llminvariance.report.flips import names
from pytest_llminvariance.report.plain import one_line
from pytest_llminvariance.report.words import plural
from pytest_llminvariance.verdict import Verdict

__all__ = ["comparison_lines", "flip_lines"]

COLOURS = {Verdict.HOLDS: "green", Verdict.BROKEN: "red", Verdict.UNDECIDED: "yellow"}
WORDS = {Verdict.HOLDS: "NOT WORSE", Verdict.BROKEN: "WORSE", Verdict.UNDECIDED: "UNDECIDED"}


def comparison_lines(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Yield (line, colour): the result, one line a check, what only one run has, and notes."""
    verdict = comparison.outcome
    worse, open_ones = len(comparison.of(Verdict.BROKEN)), len(comparison.of(Verdict.UNDECIDED))
    counts = [f"{plural(len(comparison.checks), 'check')} compared", f"{worse} worse", f"{open_ones} undecided"]
    yield f"compare: {WORDS[verdict]} - {', '.join(counts)}", COLOURS[verdict]
    for wanted in (Verdict.BROKEN, Verdict.UNDECIDED, Verdict.HOLDS):
        for item in comparison.of(wanted):
            yield from ((f"  {line}", COLOURS[wanted]) for line in _check_lines(item))
    yield from ((f"  MISSING    {one_line(key)}: in the baseline only", "yellow") for key in comparison.only_old)
    yield from ((f"  OPEN       {one_line(doubt, 300)}", "yellow") for doubt in comparison.doubts)
    yield from ((f"  NEW        {one_line(key)}: not in the baseline", "") for key in comparison.only_new)
    yield from ((f"  NOTE       {one_line(text, 300)}", "") for text in comparison.notes)


def _check_lines(item: Compared) -> Iterator[str]:
    word = "REFUSED" if item.refused else WORDS[item.verdict]
    line = f"{word:<10} {one_line(item.key)}" + ("" if item.level == "block" else f" (level {item.level}: not counted)")
    if item.difference is not None and item.old is not None:
        moved = f"{_range(item.old)} -> {_range(item.new)}"
        line += f": {item.metric} {moved}, difference {_range(item.difference, '+')}, margin {float(item.margin):g}"
    if item.limit is not None and not item.refused:
        line += f", limit {float(item.limit):.3g}"
    yield line
    for reason in item.reasons:
        yield f"             because: {one_line(reason, 300)}"
    if item.worse or item.better:
        yield f"             worse {names(item.worse)}; better {names(item.better)}"


def flip_lines(key: str, flips: Flips) -> Iterator[str]:
    """Yield the report on right and wrong answers of one check; it decides nothing."""
    yield f"  ANSWERS    {one_line(key)}: right {flips.right_before} -> {flips.right_now} of {flips.n} as written"
    yield f"             right before, wrong now {names(flips.negative)}; wrong before, right now {names(flips.positive)}"
    p = "" if flips.mcnemar_p is None else f"; McNemar exact p = {flips.mcnemar_p:.2g} (decides nothing)"
    yield f"             changed although both wrong {names(flips.both_wrong)}{p}"


def _range(value: Interval, sign: str = "") -> str:
    low, high = (format(float(end), f"{sign}.3g") for end in (value.low, value.high))
    return low if low == high else f"{low} to {high}"
