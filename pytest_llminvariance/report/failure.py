"""Messages of failures: what broke, how sure, the smallest example or what was lost, how to see it again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict

from pytest_llminvariance.checks.properties import PROPERTIES
from pytest_llminvariance.checks.verdict import CONTRADICTIONS, UNFINISHED, Example, Finding, Shown, Verdict
from pytest_llminvariance.measures.metrics import METRICS
from pytest_llminvariance.questions.conversation import Said
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.report.cells import cell_lines
from pytest_llminvariance.report.text import joined, one_line, visible
from pytest_llminvariance.report.words import (
    SAID,
    certainty_words,
    effect_words,
    estimate_words,
    is_one_number,
    kept_words,
    low_to_high,
    names,
    percent,
)


def failure_message(finding: Finding, replay: str | None) -> str:
    """Return the message for a finding; the first line starts with the property and its verdict."""
    return _text(_lines(finding, replay))


def _text(lines: Iterable[str]) -> str:
    """Return a message; whatever questions, answers and names hold, it has no control characters."""
    return "\n".join(map(visible, lines))


def _lines(finding: Finding, replay: str | None) -> Iterator[str]:
    metric = METRICS[finding.metric]
    yield f"{finding.title} {SAID[finding.verdict]}: {metric.words} {effect_words(finding)}."
    for reason in finding.reasons:
        yield f"  because: {reason}"
    yield f"  sure:    {_sure(finding)}"
    if finding.verdict is Verdict.BROKEN and finding.example is not None:
        yield from example_lines(finding.example)
    if numbers := estimate_words(finding.details):
        yield f"  numbers: {numbers}"
    yield from (
        f"  {line}"
        for line in cell_lines({"cells": [*map(asdict, finding.cells)], "guards": [*map(asdict, finding.guards)]})
    )
    yield from _unfinished(finding)
    yield from (f"  unread:  {guard.text}" for guard in finding.guards if guard.name == CONTRADICTIONS)
    shares = finding.details.get("position_shares")
    if finding.verdict is Verdict.BROKEN and shares:
        chosen = ", ".join(percent(share) for share in shares)
        yield f"  pattern: share chosen by position shown, first to last: {chosen} (even would be {percent(1 / len(shares))})"
    kept = finding.details.get("kept_under_reversal")
    if finding.verdict is Verdict.BROKEN and kept and not shares:
        yield f"  pattern: when the options are reversed: {kept_words(kept)}"
    if finding.verdict is Verdict.BROKEN:
        yield from (f"  without: {names(row)}; they {why}" for why, row in finding.details.get("left_out", {}).items())
    yield f"  model:   {finding.model}, read by {finding.readout}"
    if finding.verdict is Verdict.BROKEN:
        yield f"  do:      {_advice(finding.property)}"
    yield from _again(replay, finding.example if finding.verdict is Verdict.BROKEN else None)


def _advice(property: str) -> str:
    kind = PROPERTIES.get(property)
    return (kind.advice if kind else "") or "change the model or what it is asked with; docs/broken.md says how"


def _again(replay: str | None, example: Example | None) -> Iterator[str]:
    """Yield how to see it again; nothing outside of pytest."""
    if replay:
        yield f"  replay:  {replay}"
    if replay and example is not None and example.source:
        yield "  copy:    pytest -v shows the example as a test to copy"


def _unfinished(finding: Finding) -> Iterator[str]:
    """Yield the share of answers that ended before they said anything, where no reason has said it already."""
    read = finding.details.get("readings", {})
    cut, whole = sum(n for how, n in read.items() if how.startswith("unfinished")), sum(read.values())
    if cut and not any(UNFINISHED in reason for reason in finding.reasons):
        yield f"  unfinished: {cut:,} of {whole:,} answers ({percent(cut / whole)}). {UNFINISHED}"


def _sure(finding: Finding) -> str:
    return certainty_words(
        finding.decision,
        asked=finding.questions_asked,
        planned=finding.questions_planned,
        design=finding.design,
        is_exact=finding.effect.is_exact or is_one_number(finding),
    )


def example_lines(example: Example) -> Iterator[str]:
    """Yield the lines that show an example: both presentations, both answers as content and as shown."""
    before, after = example.before, example.after
    cut_off = example.question.endswith("…") and example.stem.startswith(example.question[:-1])
    named = "" if cut_off or example.question == example.stem else f"{example.question}: "
    yield f"  example: {named}{joined(before.stem, 90)} - {example.change}:"
    if example.context:
        yield f"             context: {joined(example.context, 110)}"
    for shown in (before, after):
        asked = "" if before.stem == after.stem else f"{joined(shown.stem, 90)}  "
        yield f"             {asked}{joined(shown.options, 110)}  ->  {_answer(shown)}"
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
    return _text([*lines, f"  model:   {model}, read by {readout}", *_again(replay, example)])


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
        lines.append(f"{message.role:>20}: {joined(message.content, 150)}{meant}")
    label = said.answer if said.answer_label is None else f"{said.answer_label} ({said.answer})"
    lines += [f"{'assistant':>20}: {label}", f"  model:   {model}, read by {readout}"]
    return _text([*lines, f"  replay:  {replay}"] if replay else lines)


def _answer(shown: Shown) -> str:
    answer = joined(shown.answer, 110)
    return answer if shown.answer_label is None else f"{answer} ({shown.answer_label})"


def flips_message(finding: Finding, replay: str | None) -> str:
    """Return the message for a finding on negative flips."""
    return _text(_flip_lines(finding, replay))


def _flip_lines(finding: Finding, replay: str | None) -> Iterator[str]:
    rate = low_to_high(finding.effect.low, finding.effect.high, percent)
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
