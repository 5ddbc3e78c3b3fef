"""What a property is: it plans what is asked about a question, and says what its numbers need.

A property turns a question into probes (a presentation and how its answer is read); the first probe is the
question as written. Everything else about a check is the same for all properties.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

from pytest_llminvariance.checks.verdict import Cell, Guard, Verdict
from pytest_llminvariance.measures.estimates import Estimate
from pytest_llminvariance.measures.metrics import Interval, Metric
from pytest_llminvariance.models.probes import Probe
from pytest_llminvariance.models.protocol import AnyModel
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.questions.template import Template
from pytest_llminvariance.transforms.base import Transform


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is asked about one question, fixed before any answer."""

    question: Question
    probes: Sequence[Probe]
    design: str
    """How much is planned, in words: `24 of 24 orders`."""
    spec: str
    """Identifies the plan, with `auto` told as what it became."""
    balanced: tuple[int, ...] | None = None
    """Probes that show each content equally often at each position; `None` where the plan is not balanced."""
    parts: tuple[str, ...] = ()
    """What is changed, each by itself, in words: `option order`, `labelling`. Empty: the plan is one change, by its property's title."""


@dataclass(frozen=True, slots=True)
class Audited:
    """One line of an audit: a property under a metric."""

    metric: str | None = None
    """`None`: the property's own."""
    by_default: bool = False
    """Whether an audit checks it unless told otherwise."""
    of_decisions: bool = False
    """Whether an audit of a decision model does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """What a property's own number is over all its evidence."""

    effect: Interval
    """What is held against the tolerance."""
    values: Sequence[Interval]
    """The part of each question, in the order of the evidence."""
    count: str = ""
    """The effect as a count, `3 of 40 questions`, where the metric has a unit."""
    estimates: Mapping[str, Estimate] = field(default_factory=dict)
    """Numbers beside it, by what they are called; they stand in the failure and in reports, and decide nothing."""
    details: Mapping[str, Any] = field(default_factory=dict)
    guards: tuple[Guard, ...] = ()
    cells: tuple[Cell, ...] = ()
    """Named parts of the effect, each to be decided at the tolerance; `worst_of(cells)` is the effect then."""


@dataclass(frozen=True, slots=True)
class Case:
    """A subject of known truth in the selftest, and the verdict that is right for it."""

    name: str
    verdict: Verdict
    make: Callable[[], AnyModel] | None = None
    """Makes it; `None` is the control of that name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """One column of the selftest: the controls that must be BROKEN or UNDECIDED; on all others it HOLDS.

    With `cases` it is asked of these alone, and stands in a line of its own.
    """

    broken: str = ""
    undecided: str = ""
    cases: tuple[Case, ...] = ()
    bank: tuple[Question, ...] = ()
    """What is asked, where it is not the usual bank."""
    tolerance: float = 0.05
    metric: str | None = None
    likert: bool = False
    """Whether Likert items are asked, and not the bank."""
    options: Mapping[str, Any] = field(default_factory=dict)


class Property(ABC):
    """What can be checked. To add one, give `name`, `title`, `says`, `plan`, `spec` and what differs below, and `register` it."""

    name: str
    """For records, and for `check`: `option_order`."""
    title: str
    """In messages: `option order`."""
    says: str = ""
    """What must be so, for the table of properties."""
    broken: str = ""
    """What a model is called of which it is broken, and why: `order-sensitive: ...`."""
    advice: str = ""
    """What helps where it is broken, in one line."""
    assertion: str = ""
    """The function of `assertions` that checks it."""
    source: str = ""
    """Where it was published."""
    short: str = ""
    """Another name for it, where tolerances are given: `order`."""
    metric: str = "flip_rate"
    """What is measured unless another metric is asked for."""
    transform: Transform | None = None
    """The change that must not matter; a nearer counter-example is searched in all that it can do."""
    made_of: type[Transform] | None = None
    """A transform whose invariance goes by this name."""
    readouts: tuple[str, ...] = ()
    """The readouts that it compares; empty where the check's own readout is used."""
    batches: int = 0
    """In how many batches each prompt is asked, besides alone. What moves then is the finding and no tie."""
    compares_prompts: bool = True
    """Whether the probes of a question must reach the model as different prompts."""
    samples_the_orbit: bool = False
    """Whether the plan is a random part of an orbit, so that ranges over it mean nothing."""
    draws_fresh: bool = False
    """Whether `fresh` can draw another random part, so that a claim about the whole orbit can be tested."""
    needs_response: bool = True
    """Whether a model that never changes its answer would pass without having earned it."""
    needs_accuracy: bool = True
    """Whether it says something only of a model that knows more than guessing gives."""
    asks_everything: bool = False
    """Whether it can only be decided on all that is planned."""
    own: Metric | None = None
    """The metric that it brings, made with `own_metric`; `pool` computes it."""
    settings: Mapping[str, Any] = MappingProxyType({})
    """What `pool` needs to know besides the evidence: plain data, kept in the record."""
    claim: str | None = None
    """The only claim that it makes; `None` where the caller chooses."""
    needs_probabilities: bool = False
    """Whether it cannot be told from texts."""
    way: Template | None = None
    """How it asks unless another template is given; `None` is the usual one."""
    donors: tuple[Question, ...] = ()
    """Questions whose stems show that the model reads, where those of the suite could not."""
    audits: Mapping[str, Audited] = MappingProxyType({})
    """How an audit checks it, by name in the audit."""
    selftests: Mapping[str, SelfTest] = MappingProxyType({})
    """Its columns of the selftest, by title."""

    @abstractmethod
    def plan(self, question: Question, template: str | Template | None) -> Plan:
        """Return what is asked about `question`."""

    @abstractmethod
    def spec(self) -> str:
        """Return a text that identifies the plans of all questions."""

    def asked(self, questions: Any) -> Any:
        """Return the questions of what is given to a check; what else it takes is the property's own."""
        return questions

    def subject(self, model: AnyModel) -> AnyModel:
        """Return the model of what is given to a check; what else it takes is the property's own."""
        return model

    def pool(self, evidence: Sequence[Any], risk: float | None) -> Pooled:
        """Return its own number over the evidence of all questions, which decides.

        It may read `settings`, and nothing else of itself: a record is judged with the same code. With `risk` the claim
        is about questions like these, and each end of the effect may be wrong with at most that probability.
        """
        raise NotImplementedError(f"{self.title} has no number of its own for {len(evidence)} questions, risk {risk}")

    def fresh(self, plan: Plan, salt: str) -> Plan:
        """Return the plan with another random part of the orbit."""
        raise NotImplementedError(
            f"{self.title} draws nothing at random, salt {salt!r}, question {plan.question.name!r}"
        )

    @classmethod
    def usual(
        cls, questions: Sequence[Question], template: Template | None, **options: Any
    ) -> tuple[Self, Template | None]:
        """Return the property as audits and the selftest check it, and the template to ask with."""
        del questions
        return cls(**options), template

    def to_record(self) -> dict[str, Any]:
        """Return what judging a record needs to know, as plain data."""
        return {
            "name": self.name,
            "title": self.title,
            "metric": self.metric,
            "compares_prompts": self.compares_prompts,
            "samples_the_orbit": self.samples_the_orbit,
            "batches": self.batches or None,
            **({"settings": dict(self.settings)} if self.settings else {}),
        }


class RecordedProperty(Property):
    """A property as it was recorded: it tells what its numbers need, and can plan nothing."""

    def __init__(self, kind: type[Property], row: Mapping[str, Any]) -> None:
        self.name, self.title, self.metric = row["name"], row["title"], row["metric"]
        self.compares_prompts, self.samples_the_orbit = row["compares_prompts"], row["samples_the_orbit"]
        self.batches = row["batches"] or 0
        self.needs_response, self.needs_accuracy = kind.needs_response, kind.needs_accuracy
        self.asks_everything, self.own = kind.asks_everything, kind.own
        self.settings, self._kind = row.get("settings", {}), kind

    def pool(self, evidence: Sequence[Any], risk: float | None) -> Pooled:
        """Return the number as the property makes it."""
        return self._kind.pool(self, evidence, risk)

    def plan(self, question: Question, template: str | Template | None) -> Plan:
        """Refuse: the plans are in the record."""
        raise NotImplementedError(f"{self.title} comes from a record, which holds its plans already")

    def spec(self) -> str:
        """Return the name."""
        return self.name
