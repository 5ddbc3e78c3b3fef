"""A gate's decision in words: what blocks first, then what was let pass and why, then the risk."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_llminvariance.gate import BLOCKED, PASSED, GateDecision, Judged, Outcome
from pytest_llminvariance.report.plain import one_line
from pytest_llminvariance.report.words import percent, plural
from pytest_llminvariance.verdict import Verdict

__all__ = ["gate_lines", "headline"]

WORDS: tuple[tuple[Outcome, str], ...] = (
    ("blocks", "BLOCKS"),
    ("open", "OPEN"),
    ("waived", "WAIVED"),
    ("warns", "WARNS"),
    ("ignored", "IGNORED"),
)


def headline(decision: GateDecision) -> str:
    """Return the decision in one line."""
    if decision.exit_code == PASSED:
        rest = [f"{len(decision.of(name))} {word.lower()}" for name, word in WORDS[2:] if decision.of(name)]
        held = f"{len(decision.of('passes'))} of {plural(len(decision.judged), 'check')} hold"
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
    yield headline(decision), colour
    yield from ((f"  UNSOUND  {one_line(text, 300)}", "red") for text in decision.distrusted)
    yield from ((f"  MISSING  {one_line(text)}", "red") for text in decision.missing)
    for outcome, word in WORDS:
        for item in decision.of(outcome):
            yield f"  {word:<8} {_said(item)}", "red" if outcome == "blocks" else "yellow"
    yield from ((f"  OPEN     {one_line(text, 300)}", "yellow") for text in decision.insufficient)
    yield from ((f"  NOTE     {one_line(text, 300)}", "") for text in decision.notes)
    spent, limit = float(f"{decision.spent:.3g}"), float(decision.risk_limit)
    yield f"  risk spent: {spent:g} of at most {limit:g}, over {plural(decision.n_runs, 'run')} ({decision.source})", ""


def _said(item: Judged) -> str:
    finding = item.finding
    low, high = float(finding.effect.low), float(finding.effect.high)
    if finding.count:
        effect = percent(low) if low == high else f"{percent(low)} to {percent(high)}"
        tolerated = percent(float(item.tolerance))
    else:
        effect = f"{low:.2g}" if f"{low:.2g}" == f"{high:.2g}" else f"{low:.2g} to {high:.2g}"
        tolerated = f"{float(item.tolerance):.2g}"
    text = (
        f"{one_line(finding.title, 60)} {item.verdict}: {one_line(finding.metric, 40)} {effect}, tolerated {tolerated}"
    )
    if item.verdict is not Verdict.HOLDS and item.reasons:
        text += f" - {one_line('; '.join(item.reasons), 300)}"
    if item.waiver is not None:
        waiver = item.waiver
        text += f" - waived by {one_line(waiver.owner, 60)} until {waiver.expires}: {one_line(waiver.reason)}"
    return text + (f"  [{one_line(finding.where)}]" if finding.where else "")
