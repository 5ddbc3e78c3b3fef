"""Questions that a check leaves out, because showing them in another way would change what they mean, and what it says of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from pytest_llminvariance.checks.properties.base import Property
from pytest_llminvariance.checks.verdict import Finding, Guard, Verdict
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.questions.labels import fold_label
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.questions.references import label_clash, option_forms
from pytest_llminvariance.questions.template import DEFAULT_TEMPLATE, Template, as_template
from pytest_llminvariance.transforms.base import Transform
from pytest_llminvariance.transforms.showing import CLASHES

MAX_LEFT_OUT = Fraction(1, 5)
"""Share of a suite that may be left out; the rest says too little about the suite with more."""
NAMED = 5
BY_DIGIT = dataclasses.replace(DEFAULT_TEMPLATE, name="by digit", labels=tuple(map(str, range(1, 27))))
"""The usual way of asking for options that are letters themselves."""
LeftOut = Mapping[str, Sequence[str]]
"""Names of questions by the reason, as it follows "they"."""


def leave_out(
    property: Property, questions: Sequence[Question], template: str | Template | None, readout: str
) -> tuple[tuple[Question, ...], LeftOut]:
    """Return the questions to ask, and those that are left out; where all would be, the first is asked to have a finding.

    Raises:
        UsageError: under `on_reference="error"`.
    """
    parts = () if property.transform is None else property.transform.factors()
    heeds = [getattr(part, "on_reference", "leave_out") for part in parts]
    forms = {fold_label(label) for labels in _label_sets(parts) for label in labels}
    by_label = readout in ("label", "text") and "ask_anyway" not in heeds
    kept: list[Question] = []
    left: dict[str, list[str]] = {}
    for question in questions:
        written = Presentation(question, template=template)
        why = next((why for part in parts if (why := part.leaves_out(written))), "")
        known = forms | {fold_label(label) for label in written.labels}
        if by_label and not why and known & option_forms(question.options):
            shown = (probe.presentation for probe in property.plan(question, template).probes)
            clash = next((label for label in map(label_clash, shown) if label), "")
            why = CLASHES if clash else ""
            if clash and "error" in heeds:
                raise UsageError(
                    f"question {question.name!r} is shown with the label {clash!r}, which is also an option's text, so an answer "
                    "could mean either. Use other labels, or readout='option'"
                )
        if why:
            left.setdefault(why, []).append(question.name)
        else:
            kept.append(question)
    return tuple(kept or questions[:1]), left


def other_labels(
    property: Property, questions: Sequence[Question], left: LeftOut, readout: str
) -> tuple[tuple[Question, ...], LeftOut, Template] | None:
    """Return what to ask under digits, where too many questions have a letter of the usual labels as an option."""
    if Fraction(len(left.get(CLASHES, ())), len(questions)) <= MAX_LEFT_OUT:
        return None
    kept, still = leave_out(property, questions, BY_DIGIT, readout)
    return None if still.get(CLASHES) else (kept, still, BY_DIGIT)


def _label_sets(parts: Sequence[Transform]) -> Iterator[Sequence[str]]:
    for part in parts:
        yield from getattr(part, "label_sets", ())
        yield from (as_template(template).labels or () for template in getattr(part, "templates", ()))


def with_left_out(finding: Finding, left: LeftOut) -> Finding:
    """Return a finding that names what was left out, and is UNDECIDED where that is more than a fifth."""
    if not left:
        return finding
    names = [name for row in left.values() for name in row]
    asked = {row.question for row in finding.per_question}
    whole = len(names) + (0 if asked <= set(names) else finding.questions_planned)
    passed = Fraction(len(names), whole) <= MAX_LEFT_OUT
    told = "; ".join(f"{len(row)} {why}: {_named(row)}" for why, row in left.items())
    text = f"{len(names):,} of {whole:,} questions are left out (at most {float(MAX_LEFT_OUT):.0%}): {told}"
    if not passed and CLASHES in left:
        text += ". Use labels that are no option's text (labels= of a template), or readout='option'"
    guard = Guard(name="left out", passed=passed, text=text, blocks="both")
    details = {**finding.details, "left_out": {why: tuple(row) for why, row in left.items()}}
    finding = dataclasses.replace(finding, guards=(*finding.guards, guard), details=details)
    if passed:
        return finding
    return dataclasses.replace(finding, verdict=Verdict.UNDECIDED, reasons=(text, *finding.reasons))


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(map(repr, names[:NAMED])) + more
