"""The message of `assert_no_negative_flips`: how many, how sure, which, and how to see it again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_llminvariance.report.message import SAID
from pytest_llminvariance.report.plain import one_line
from pytest_llminvariance.report.words import percent
from pytest_llminvariance.verdict import Finding, Verdict

__all__ = ["flips_message", "names"]

SHOWN = 10


def flips_message(finding: Finding, replay: str | None) -> str:
    """Return the message for a finding on negative flips."""
    return "\n".join(_lines(finding, replay))


def _lines(finding: Finding, replay: str | None) -> Iterator[str]:
    low, high = float(finding.effect.low), float(finding.effect.high)
    rate = percent(low) if low == high else f"{percent(low)} to {percent(high)}"
    said = f"{finding.count} ({rate}, margin {percent(float(finding.tolerance))})"
    yield f"{finding.title} {SAID[finding.verdict]}: right before and wrong now are {said}."
    for reason in finding.reasons:
        yield f"  because: {reason}"
    details = finding.details
    yield f"  sure:    {'exact' if finding.effect.is_exact else 'ties and missing answers leave the range'}: every question asked as written"
    if finding.verdict is Verdict.BROKEN and finding.example is not None:
        example = finding.example
        yield f"  example: {one_line(example.question, 60)}: {example.before.answer} before, {example.after.answer} now"
    yield f"  lost:    {names(details['negative_flips'])}"
    yield f"  won:     {names(details['positive_flips'])}"
    yield f"  moved:   {names(details['changed_while_wrong'])} (another answer, wrong both times)"
    right = f"right before {details['right_before']}, now {details['right_now']} of {finding.questions_asked}"
    p = details["mcnemar_exact_p"]
    yield f"  report:  {right}" + ("" if p is None else f"; McNemar exact p = {p:.2g} (decides nothing)")
    yield f"  model:   {finding.model} against {details['baseline']}, read by {finding.readout}"
    if replay:
        yield f"  replay:  {replay}"


def names(found: Sequence[str]) -> str:
    """Return names in one line, the first ten and how many there are."""
    if not found:
        return "none"
    shown = ", ".join(one_line(name, 40) for name in found[:SHOWN])
    return f"{len(found)}: {shown}" + (", …" if len(found) > SHOWN else "")
