"""The message of a failure: what broke, how sure, the smallest example, how to see it again."""

from __future__ import annotations

from collections.abc import Iterator

from pytest_llminvariance.audit.metrics import METRICS
from pytest_llminvariance.conversation import Said
from pytest_llminvariance.presentation import Presentation
from pytest_llminvariance.report.paste import paste_lines
from pytest_llminvariance.report.words import effect_words, percent, plural
from pytest_llminvariance.verdict import CERTAIN, Decision, Example, Finding, Shown, Verdict

__all__ = ["conversation_message", "example_lines", "failure_message", "same_answer_message"]

SAID = {Verdict.BROKEN: "is broken", Verdict.UNDECIDED: "is undecided", Verdict.HOLDS: "holds"}


def failure_message(finding: Finding, replay: str | None) -> str:
    """Return the message for a finding; the first line starts with the property and its verdict."""
    return "\n".join(_lines(finding, replay))


def _lines(finding: Finding, replay: str | None) -> Iterator[str]:
    metric = METRICS[finding.metric]
    yield f"{finding.title} {SAID[finding.verdict]}: {metric.words} {effect_words(finding)}."
    for reason in finding.reasons:
        yield f"  because: {reason}"
    yield f"  sure:    {_sure(finding)}"
    if finding.verdict is Verdict.BROKEN and finding.example is not None:
        yield from example_lines(finding.example)
    shares = finding.details.get("position_shares")
    if finding.verdict is Verdict.BROKEN and shares:
        chosen = ", ".join(percent(share) for share in shares)
        yield f"  pattern: share chosen by position shown, first to last: {chosen} (even would be {percent(1 / len(shares))})"
    kept = finding.details.get("kept_under_reversal")
    if finding.verdict is Verdict.BROKEN and kept and not shares:
        counts = ", ".join(f"{name} {n}" for name, n in kept.items())
        yield f"  pattern: kept when the options are reversed: {counts}"
    yield f"  model:   {finding.model}, read by {finding.readout}"
    if replay:
        yield f"  replay:  {replay}"
    if finding.verdict is Verdict.BROKEN and finding.example is not None:
        yield from paste_lines(finding.example, finding.readout)


def _sure(finding: Finding) -> str:
    decision = finding.decision
    if decision is not None and decision.method == "sequential":
        return _tested(finding, decision)
    asked = f"{plural(finding.questions_asked, 'question')}, {finding.design} each, all asked"
    if finding.effect.is_exact:
        return f"exact: {asked}"
    return f"{asked}; ties and missing answers leave the range"


def _tested(finding: Finding, decision: Decision) -> str:
    """Say what was asked of what was planned, the risk, and the bounds of the mean."""
    of = "drawn, at most" if decision.n_planned > finding.questions_planned else "of"
    unit = "draw" if of != "of" else "question" if decision.n_planned == finding.questions_planned else "cluster"
    if max(decision.log_e_holds or 0.0, decision.log_e_broken or 0.0) >= CERTAIN:
        return f"certain: {decision.n:,} of {plural(decision.n_planned, unit)}, {finding.design} each; the others cannot change it"
    ends = f"{max(0.0, decision.lower or 0.0):.2g} to {decision.upper:.2g}" if decision.upper is not None else "unknown"
    return (
        f"risk {decision.alpha:.2g}: {decision.n:,} {of} {plural(decision.n_planned, unit)}, {finding.design} each; "
        f"the mean is {ends}, each end wrong with at most that risk"
    )


def example_lines(example: Example) -> Iterator[str]:
    """Yield the lines that show an example: both presentations, both answers as content and as shown."""
    before, after = example.before, example.after
    cut_off = example.question.endswith("…") and example.stem.startswith(example.question[:-1])
    named = "" if cut_off or example.question == example.stem else f"{example.question}: "
    yield f"  example: {named}{_cut(_one_line(before.stem))} - {example.change}:"
    for shown in (before, after):
        asked = "" if before.stem == after.stem else f"{_cut(_one_line(shown.stem))}  "
        yield f"             {asked}{_cut(_one_line(shown.options), 110)}  ->  {_answer(shown)}"
    if example.explanation:
        yield f"  enough:  {example.explanation}"
    if example.caveat:
        yield f"  nearest: not certain: {example.caveat}"


def same_answer_message(example: Example, model: str, readout: str, replay: str | None) -> str:
    """Return the message for two presentations whose answers differ; the first line is the same for every pair."""
    lines = [
        "same answer is broken: two presentations are answered differently.",
        *example_lines(example),
    ]
    lines.append(f"  model:   {model}, read by {readout}")
    lines += [f"  replay:  {replay}"] if replay else []
    return "\n".join([*lines, *paste_lines(example, readout)])


def conversation_message(now: Presentation, said: Shown, model: str, readout: str, replay: str | None) -> str:
    """Return the message for a conversation that changed an answer, turn by turn; the first line is always the same."""
    lines = [
        "conversation is broken: the answer changed, and nothing was said that gives a reason.",
        f"  example: {now.question.name}",
    ]
    messages = now.render()
    named = (None,) * (len(messages) - len(now.turns)) + now.turns
    for message, turn in zip(messages, named, strict=True):
        meant = f" ({now.question.options[turn.content]})" if isinstance(turn, Said) and now.shows_labels else ""
        lines.append(f"{message.role:>20}: {_cut(_one_line(message.content), 150)}{meant}")
    label = said.answer if said.answer_label is None else f"{said.answer_label} ({said.answer})"
    lines += [f"{'assistant':>20}: {label}", f"  model:   {model}, read by {readout}"]
    return "\n".join([*lines, f"  replay:  {replay}"] if replay else lines)


def _answer(shown: Shown) -> str:
    return shown.answer if shown.answer_label is None else f"{shown.answer} ({shown.answer_label})"


def _one_line(options: str) -> str:
    return "  ".join(part.strip() for part in options.splitlines() if part.strip())


def _cut(text: str, width: int = 90) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"
