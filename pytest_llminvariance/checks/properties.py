"""The properties that can be checked: what is planned for a question, and what its numbers need.

A property turns a question into probes (a presentation and how its answer is read); the first probe is the
question as written. Everything else about a check is the same for all properties.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from pytest_llminvariance.errors import QuestionError, UsageError
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.questions.references import OnReference
from pytest_llminvariance.questions.template import Layout, Template
from pytest_llminvariance.transforms.base import Product, Transform
from pytest_llminvariance.transforms.designs import Design
from pytest_llminvariance.transforms.showing import LABEL_SETS, LAYOUTS, Reformat, Relabel, Reorder, Reword


@dataclass(frozen=True, slots=True)
class Probe:
    """A presentation to ask, and the readout if it is not the check's own."""

    presentation: Presentation
    readout: str | None = None
    draw: int | None = None
    """Which of several sampled answers; `None` for the one answer that is not sampled."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is asked about one question, fixed before any answer."""

    question: Question
    probes: tuple[Probe, ...]
    design: str
    """How much is planned, in words: `24 of 24 orders`."""
    spec: str
    """Identifies the plan, with `auto` told as what it became."""
    balanced: tuple[int, ...] | None = None
    """Probes that show each content equally often at each position; `None` where the plan is not balanced."""


class Property(Protocol):
    """What can be checked."""

    @property
    def name(self) -> str:
        """Name for records: `option_order`."""
        ...

    @property
    def title(self) -> str:
        """Name in messages: `option order`."""
        ...

    @property
    def metric(self) -> str:
        """The metric that is used unless another is asked for."""
        ...

    @property
    def compares_prompts(self) -> bool:
        """True where the probes of a question must reach the model as different prompts."""
        ...

    @property
    def samples_the_orbit(self) -> bool:
        """True where the plan is a random part of an orbit, so that ranges over it mean nothing."""
        ...

    def plan(self, question: Question, template: str | Template | None) -> Plan:
        """Return what is asked about `question`."""
        ...

    def spec(self) -> str:
        """Return a text that identifies the plans of all questions."""
        ...


@dataclass(frozen=True, slots=True)
class Invariance:
    """Answers must stay the same under a transform."""

    transform: Transform
    name: str
    metric: str = "flip_rate"
    compares_prompts: bool = field(default=True, init=False)

    @property
    def title(self) -> str:
        """The transform's title."""
        return self.transform.title

    @property
    def samples_the_orbit(self) -> bool:
        """True for the design `sample`."""
        return "reorder:sample" in self.transform.spec()

    def plan(self, question: Question, template: str | Template | None) -> Plan:
        """Plan the orbit."""
        orbit = self.transform.orbit(question, template)
        balanced = self.transform.balanced_part(orbit) if isinstance(self.transform, Reorder) else None
        return Plan(
            question,
            tuple(map(Probe, orbit)),
            self.transform.describe(orbit),
            self.transform.spec_for(orbit.as_written),
            balanced,
        )

    def spec(self) -> str:
        """Return the transform's spec."""
        return self.transform.spec()


@dataclass(frozen=True, slots=True)
class ReadoutAgreement:
    """The same prompt, read in several ways, must give the same answer."""

    readouts: tuple[str, ...]
    name: str = field(default="readouts", init=False)
    title: str = field(default="agreement of readouts", init=False)
    metric: str = field(default="flip_rate", init=False)
    compares_prompts: bool = field(default=False, init=False)
    samples_the_orbit: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if len(set(self.readouts)) < 2 or len(set(self.readouts)) < len(self.readouts) or "auto" in self.readouts:
            raise UsageError(
                f"readouts is {self.readouts!r}, but must name two or more different readouts: label, option, option_sum, text"
            )

    def plan(self, question: Question, template: str | Template | None) -> Plan:
        """Plan the question as written, once per readout."""
        shown = Presentation(question, template=template)
        return Plan(
            question, tuple(Probe(shown, name) for name in self.readouts), " and ".join(self.readouts), self.spec()
        )

    def spec(self) -> str:
        """Return the readouts."""
        return "readouts:" + ",".join(self.readouts)


@dataclass(frozen=True, slots=True)
class BatchAgreement:
    """The same prompt must give the same answer alone and in every company."""

    batches: int = 3
    name: str = field(default="batch", init=False)
    title: str = field(default="batch invariance", init=False)
    metric: str = field(default="flip_rate", init=False)
    compares_prompts: bool = field(default=False, init=False)
    samples_the_orbit: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if isinstance(self.batches, bool) or not isinstance(self.batches, int) or self.batches < 1:
            raise UsageError(f"batches is {self.batches!r}, but must be a whole number from 1")

    def plan(self, question: Question, template: str | Template | None) -> Plan:
        """Plan the question as written, alone and once for each batch."""
        shown = Presentation(question, template=template)
        return Plan(question, (Probe(shown),) * (1 + self.batches), f"alone and in {self.batches} batches", self.spec())

    def spec(self) -> str:
        """Return how many batches."""
        return f"batch:{self.batches}"


@dataclass(frozen=True, slots=True, init=False)
class Tracking:
    """An edit that changes the meaning must change the answer."""

    edits: Mapping[str, Question]
    """Edited question by content hash of the one that it was made from."""
    name: str = field(default="tracks", init=False)
    title: str = field(default="tracking of answer-changing edits", init=False)
    metric: str = field(default="unchanged", init=False)
    compares_prompts: bool = field(default=True, init=False)
    samples_the_orbit: bool = field(default=False, init=False)

    def __init__(self, edits: Sequence[tuple[Question, Question]]) -> None:
        for name, value in (
            ("name", "tracks"),
            ("title", "tracking of answer-changing edits"),
            ("metric", "unchanged"),
            ("compares_prompts", True),
            ("samples_the_orbit", False),
        ):
            object.__setattr__(self, name, value)
        pairs = [_checked_edit(edit) for edit in edits]
        if not pairs:
            raise UsageError("edits is empty, but tracking needs at least one pair (question, edited question)")
        object.__setattr__(self, "edits", MappingProxyType({before.content_hash: after for before, after in pairs}))

    def plan(self, question: Question, template: str | Template | None) -> Plan:
        """Plan the question and its edit; contents are counted as in the question."""
        if question.content_hash not in self.edits:
            raise QuestionError(f"question {question.name!r} has no edit. Give questions and edits in pairs")
        edited = self.edits[question.content_hash]
        order = tuple(question.options.index(option) for option in edited.options)
        answer = None if edited.answer is None else edited.options[edited.answer]
        after = Question(edited.stem, question.options, id=edited.id, context=edited.context, answer=answer)
        shown = (Presentation(question, template=template), Presentation(after, order=order, template=template))
        return Plan(question, tuple(map(Probe, shown)), "1 edit", f"tracks:{edited.content_hash[:12]}")

    def spec(self) -> str:
        """Return the edits' hashes."""
        return "tracks:" + ",".join(edited.content_hash[:12] for edited in self.edits.values())


def _checked_edit(edit: object) -> tuple[Question, Question]:
    if not (isinstance(edit, tuple | list) and len(edit) == 2 and all(isinstance(part, Question) for part in edit)):
        raise UsageError(f"edits holds {edit!r}, but must hold pairs (question, edited question)")
    before, after = edit
    if set(before.options) != set(after.options):
        raise QuestionError(
            f"the edit of {before.name!r} has other options, so answers cannot be compared. Keep the set of options"
        )
    if (before.stem, before.context) == (after.stem, after.context):
        raise QuestionError(
            f"the edit of {before.name!r} changes neither stem nor context, so the answer need not change"
        )
    if (
        before.answer is not None
        and after.answer is not None
        and before.options[before.answer] == after.options[after.answer]
    ):
        raise QuestionError(
            f"the edit of {before.name!r} has the same correct answer {before.options[before.answer]!r}, so the answer need not change"
        )
    return before, after


def _option_order(
    *, orders: Design = "auto", n: int | None = None, on_reference: OnReference = "leave_out"
) -> Property:
    return Invariance(Reorder(orders, n, on_reference=on_reference), "option_order")


def _prompt(*, templates: Sequence[str | Template], orders: Design | None = None, n: int | None = None) -> Property:
    wording: Transform = Reword(templates)
    return Invariance(wording if orders is None else Product((wording, Reorder(orders, n))), "prompt")


def _labels(*, label_sets: Sequence[Sequence[str]] = LABEL_SETS, on_reference: OnReference = "leave_out") -> Property:
    return Invariance(Relabel(tuple(tuple(labels) for labels in label_sets), on_reference=on_reference), "labels")


def _layout(*, layouts: Sequence[Layout] = LAYOUTS) -> Property:
    return Invariance(Reformat(tuple(layouts)), "layout")


def _readouts(*, readouts: Sequence[str] = ("label", "text")) -> Property:
    return ReadoutAgreement(tuple(readouts))


def _tracks(*, edits: Sequence[tuple[Question, Question]]) -> Property:
    return Tracking(edits)


def _batch(*, batches: int = 3) -> Property:
    return BatchAgreement(batches)


_MAKERS: Mapping[str, Callable[..., Property]] = {
    "option_order": _option_order,
    "prompt": _prompt,
    "labels": _labels,
    "layout": _layout,
    "readouts": _readouts,
    "tracks": _tracks,
    "batch": _batch,
}
PROPERTY_NAMES: tuple[str, ...] = tuple(_MAKERS)
_TRANSFORM_NAMES = {Reorder: "option_order", Relabel: "labels", Reformat: "layout", Reword: "prompt"}


def as_property(given: str | Property | Transform, options: Mapping[str, Any]) -> Property:
    """Return the property called `given`, made with `options`; a transform becomes its invariance.

    Raises:
        UsageError: for an unknown name, or options that the property does not take.
    """
    if isinstance(given, Transform):
        given = Invariance(given, _TRANSFORM_NAMES.get(type(given), given.title.replace(" ", "_")))
    if not isinstance(given, str):
        if isinstance(given, type) or not hasattr(given, "plan"):
            raise UsageError(
                f"property is {given!r}, but must be a name ({', '.join(PROPERTY_NAMES)}), a transform or a property"
            )
        if options:
            raise UsageError(f"{', '.join(options)} cannot be given together with a property object")
        return given
    if given not in _MAKERS:
        raise UsageError(f"there is no property {given!r}; the properties are {', '.join(PROPERTY_NAMES)}")
    maker = _MAKERS[given]
    takes = inspect.signature(maker).parameters
    unknown = [name for name in options if name not in takes]
    missing = [name for name, p in takes.items() if p.default is p.empty and name not in options]
    if unknown or missing:
        wrong = f"does not take {unknown[0]!r}" if unknown else f"needs {missing[0]!r}"
        raise UsageError(f"property {given!r} {wrong}; its options are {', '.join(takes)}")
    return maker(**options)
