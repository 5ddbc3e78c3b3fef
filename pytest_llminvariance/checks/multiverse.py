"""`multiverse`: one number under every reasonable way of asking, so that the way which was chosen can be seen among them.

Source: The Threat of Analytic Flexibility in Using Large Language Models to Simulate Human Data; NERO.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from pytest_llminvariance.checks.noise import delta_nats
from pytest_llminvariance.checks.subject import answers_to, model_of
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.measures.consensus import Consensus, consensus
from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.measures.metrics import Interval, mean_interval
from pytest_llminvariance.measures.variance import Observation, Variance, VarianceShares
from pytest_llminvariance.models.protocol import AnyModel, resolve_readout
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question, Questions, as_questions, whole_names
from pytest_llminvariance.questions.template import DEFAULT_TEMPLATE, Template, as_template
from pytest_llminvariance.transforms.showing import LABEL_SETS

Arrangement = Literal["as written", "reversed", "rotated"]
ARRANGEMENTS: tuple[Arrangement, ...] = ("as written", "reversed", "rotated")
MAX_CONFIGURATIONS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """One way of asking all questions, and what comes out."""

    template: str
    order: Arrangement
    labels: str
    score: Interval
    """Accuracy where correct answers are known, else agreement with the consensus of all ways; open answers widen it."""

    @property
    def name(self) -> str:
        """The way in words."""
        return f"{self.template}, {self.order}, {self.labels}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Multiverse:
    """Every configuration, the worst first; the variance's shares; the consensus of each question."""

    configurations: tuple[Configuration, ...]
    measure: Literal["accuracy", "agreement with the consensus"]
    shares: VarianceShares | None
    """Of the probability of each question's favourite: questions, forms (template and labels), orders, repeats."""
    consensus: Mapping[str, Consensus]
    prompts: int

    @property
    def worst(self) -> Configuration:
        """The configuration with the lowest score."""
        return self.configurations[0]

    @property
    def best(self) -> Configuration:
        """The configuration with the highest score."""
        return self.configurations[-1]

    @property
    def median(self) -> float:
        """Median score over configurations; the middle of what open answers leave."""
        return statistics.median(_middle(one.score) for one in self.configurations)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.measure} over {len(self.configurations)} configurations, {self.prompts} prompts: median {self.median:.3f}"
        for title, one in (("worst", self.worst), ("best", self.best)):
            yield f"  {title}: {_said(one.score)} ({one.name})"
        if self.shares is not None:
            names = {"item": "question", "form": "form", "order": "order", "replicate": "replicate"}
            told = ((title, getattr(self.shares, name)) for title, name in names.items())
            yield "  variance: " + ", ".join(
                f"{title} {'not varied' if v is None else f'{v:.0%}'}" for title, v in told
            )
        split = sum(one.answer is None for one in self.consensus.values())
        yield f"  consensus on {len(self.consensus) - split} of {len(self.consensus)} questions"


def multiverse(
    model: AnyModel,
    questions: Questions,
    *,
    templates: Sequence[str | Template] = (DEFAULT_TEMPLATE,),
    label_sets: Sequence[Sequence[str]] = LABEL_SETS[:2],
    orders: Sequence[Arrangement] = ARRANGEMENTS,
    readout: str = "auto",
) -> Multiverse:
    """Ask every question in every combination of templates, orders and label sets, and compare the ways.

    With correct answers for all questions a way's score is its accuracy. Without, it is the share of questions that it
    answers as most ways together do: questions without a clear consensus are open. It describes, and decides nothing.
    Costs questions x templates x orders x label sets prompts.

    Raises:
        UsageError: for bad arguments, before anything is asked.
    """
    asked, ways = as_questions(questions), [as_template(template) for template in templates]
    for order in orders:
        if order not in ARRANGEMENTS:
            raise UsageError(f"orders holds {order!r}, but may hold {', '.join(ARRANGEMENTS)}")
    keys = list(itertools.product(ways, orders, [tuple(labels) for labels in label_sets]))
    if not 2 <= len(set(keys)) == len(keys) <= MAX_CONFIGURATIONS:
        raise UsageError(
            f"{len(keys)} configurations, {len(set(keys))} of them different, but there must be 2 to {MAX_CONFIGURATIONS}, each once"
        )
    subject = model_of(model)
    shown = [_shown(question, *key) for key in keys for question in asked]
    answers = iter(answers_to(subject, shown, readout, "multiverse"))
    rows = [[next(answers) for _ in asked] for _ in keys]
    delta = delta_nats(subject, resolve_readout(readout, subject))
    agreed = [consensus([row[place] for row in rows], delta) for place in range(len(asked))]
    is_known = all(question.answer is not None for question in asked)
    targets = [q.answer if is_known else one.answer for q, one in zip(asked, agreed, strict=True)]
    made = [
        Configuration(
            template=way.shown_name, order=order, labels="".join(labels[:4]),
            score=mean_interval([_hit(answer, target, delta) for answer, target in zip(row, targets, strict=True)]),
        )
        for (way, order, labels), row in zip(keys, rows, strict=True)
    ]  # fmt: skip
    return Multiverse(
        configurations=tuple(sorted(made, key=lambda one: (_middle(one.score), one.name))),
        measure="accuracy" if is_known else "agreement with the consensus",
        shares=_spread(keys, rows).shares(),
        consensus=dict(zip(whole_names(asked), agreed, strict=True)),
        prompts=len(shown),
    )


def _shown(question: Question, template: Template, order: Arrangement, labels: tuple[str, ...]) -> Presentation:
    as_written = Presentation(question, template=template, labels=labels)
    if order == "reversed":
        return as_written.replace(order=as_written.order[::-1])
    half = len(question.options) // 2
    return (
        as_written.replace(order=as_written.order[half:] + as_written.order[:half])
        if order == "rotated"
        else as_written
    )


def _hit(answer: AnswerDistribution, target: int | None, delta_nats: float) -> Interval:
    """Return whether an answer is the target; ties count in parts, and without a target nothing is known."""
    if target is None:
        return Interval(0.0, 1.0)
    parts = answer.parts(delta_nats)
    if parts is None:
        return Interval(0.0, float(target in answer.outcomes(delta_nats)))
    return Interval(parts[target], parts[target])


def _spread(
    keys: Sequence[tuple[Template, Arrangement, tuple[str, ...]]], rows: Sequence[Sequence[AnswerDistribution]]
) -> Variance:
    """Gather the probability of each question's favourite, the option that is most probable on average, under each way."""
    found = Variance()
    for place in range(len(rows[0])):
        known = [(key, row[place]) for key, row in zip(keys, rows, strict=True) if row[place].is_known]
        totals = [math.fsum(column) for column in zip(*(answer.probabilities for _, answer in known), strict=True)]
        found.add(
            [
                Observation(place, (way, labels), order, answer.probabilities[totals.index(max(totals))])
                for (way, order, labels), answer in known
            ]
        )
    return found


def _middle(score: Interval) -> float:
    return float(score.low + score.high) / 2


def _said(score: Interval) -> str:
    low, high = f"{float(score.low):.3f}", f"{float(score.high):.3f}"
    return low if low == high else f"{low} to {high}"
