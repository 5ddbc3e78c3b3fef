"""Decisions about a release in words: what blocks or is worse first, then what was let pass or cannot be told, and why."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_llminvariance.checks.searches import SEARCH
from pytest_llminvariance.checks.verdict import Verdict
from pytest_llminvariance.gate.comparison import Compared, Comparison
from pytest_llminvariance.gate.decision import BLOCKED, PASSED, Decided, GateDecision, Outcome
from pytest_llminvariance.measures.flips import Flips
from pytest_llminvariance.measures.metrics import Interval
from pytest_llminvariance.report.text import one_line
from pytest_llminvariance.report.words import COLOURS, COUNTER_EXAMPLE, low_to_high, names, plural, unit_words

GATE_WORDS: tuple[tuple[Outcome, str], ...] = (
    ("blocks", "BLOCKS"),
    ("open", "OPEN"),
    ("waived", "WAIVED"),
    ("warns", "WARNS"),
    ("ignored", "IGNORED"),
)
COMPARISON_WORDS = {Verdict.HOLDS: "NOT WORSE", Verdict.BROKEN: "WORSE", Verdict.UNDECIDED: "UNDECIDED"}


def headline(decision: GateDecision) -> str:
    """Return the decision in one line."""
    if decision.exit_code == PASSED:
        rest = [f"{len(decision.of(name))} {word.lower()}" for name, word in GATE_WORDS[2:] if decision.of(name)]
        n, total = len(decision.of("passes")), len(decision.judged)
        held = f"{n} of {plural(total, 'check')} {'holds' if 1 in (n, total) else 'hold'}"
        return f"gate: PASSED - {', '.join([held, *rest])}"
    if decision.exit_code == BLOCKED:
        blocking = [f"{plural(len(decision.of('blocks')), 'check')} of {len(decision.judged)}"]
        blocking = blocking if decision.of("blocks") else []
        missing = [f"{plural(len(decision.missing), 'required check')} missing"] if decision.missing else []
        return f"gate: BLOCKED - {', '.join([*blocking, *missing])}"
    why = "the evidence cannot be trusted" if decision.distrusted else "not enough is known"
    return f"gate: NO EVIDENCE - {why if decision.judged else 'there is no finding'}"


def gate_lines(decision: GateDecision) -> Iterator[tuple[str, str]]:
    """Yield (line, colour): the decision, everything that did not simply hold, notes, and the risk spent."""
    colour = {PASSED: "green", BLOCKED: "red"}.get(decision.exit_code, "yellow")
    if decision.exit_code == PASSED and decision.failed_runs:
        colour = "yellow"
    yield headline(decision), colour
    yield from ((f"  UNSOUND  {one_line(text, 300)}", "red") for text in decision.distrusted)
    yield from ((f"  MISSING  {one_line(text, 400)}", "red") for text in decision.missing)
    for outcome, word in GATE_WORDS:
        for item in decision.of(outcome):
            yield f"  {word:<8} {_said(item)}", "red" if outcome == "blocks" else "yellow"
    yield from ((f"  OPEN     {one_line(text, 300)}", "yellow") for text in decision.insufficient)
    yield from ((f"  NOTE     {one_line(text, 300)}", "") for text in decision.notes)
    spent, limit = float(f"{decision.spent:.3g}"), float(decision.risk_limit)
    yield f"  risk spent: {spent:g} of at most {limit:g}, over {plural(decision.n_runs, 'run')} ({decision.source})", ""


def _said(item: Decided) -> str:
    finding = item.finding
    say = unit_words(is_share=bool(finding.count))
    effect = f"{low_to_high(finding.effect.low, finding.effect.high, say)}, tolerated {say(item.tolerance)}"
    measured = f"{one_line(finding.metric, 40)} {effect}" if finding.property != SEARCH else COUNTER_EXAMPLE
    text = f"{one_line(finding.title, 60)} {item.verdict}: {measured}"
    if item.reasons:
        text += f" - {one_line('; '.join(item.reasons), 300)}"
    if item.waiver is not None:
        waiver = item.waiver
        text += f" - waived by {one_line(waiver.owner, 60)} until {waiver.expires}: {one_line(waiver.reason, 160)}"
    return text + (f"  [{one_line(finding.where, 160)}]" if finding.where else "")


def comparison_lines(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """Yield (line, colour): the result, one line a check, what only one run has, and notes."""
    verdict = comparison.outcome
    worse, open_ones = len(comparison.of(Verdict.BROKEN)), len(comparison.of(Verdict.UNDECIDED))
    counts = [f"{plural(len(comparison.checks), 'check')} compared", f"{worse} worse", f"{open_ones} undecided"]
    yield f"compare: {COMPARISON_WORDS[verdict]} - {', '.join(counts)}", COLOURS[verdict]
    for wanted in (Verdict.BROKEN, Verdict.UNDECIDED, Verdict.HOLDS):
        for item in comparison.of(wanted):
            yield from ((f"  {line}", COLOURS[wanted]) for line in _check_lines(item))
    yield from ((f"  MISSING    {one_line(key, 160)}: in the baseline only", "yellow") for key in comparison.only_old)
    yield from ((f"  OPEN       {one_line(doubt, 300)}", "yellow") for doubt in comparison.doubts)
    yield from ((f"  NEW        {one_line(key, 160)}: not in the baseline", "") for key in comparison.only_new)
    yield from ((f"  NOTE       {one_line(text, 300)}", "") for text in comparison.notes)
    for item in comparison.checks:
        if item.flips is not None:
            yield from ((line, "") for line in _flip_lines(item.key, item.flips))


def _check_lines(item: Compared) -> Iterator[str]:
    word = "REFUSED" if item.refused else COMPARISON_WORDS[item.verdict]
    line = f"{word:<10} {one_line(item.key, 160)}" + (
        "" if item.level == "block" else f" (level {item.level}: not counted)"
    )
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


def _flip_lines(key: str, flips: Flips) -> Iterator[str]:
    """Yield the report on right and wrong answers of one check."""
    yield f"  ANSWERS    {one_line(key, 160)}: right {flips.right_before} -> {flips.right_now} of {flips.n} as written"
    yield f"             right before, wrong now {names(flips.negative)}; wrong before, right now {names(flips.positive)}"
    p = "" if flips.mcnemar_p is None else f"; McNemar exact p = {flips.mcnemar_p:.2g} (decides nothing)"
    yield f"             changed although both wrong {names(flips.both_wrong)}{p}"


def _range(value: Interval, sign: str = "") -> str:
    return low_to_high(value.low, value.high, lambda end: format(float(end), f"{sign}.3g"))
