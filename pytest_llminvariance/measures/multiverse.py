"""One number under every reasonable way of asking: scores of configurations, shares of variance, consensus.

Source: The Threat of Analytic Flexibility in Using Large Language Models to Simulate Human Data; NERO.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from pytest_llminvariance.measures.consensus import Consensus, consensus
from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.measures.metrics import Interval, mean_interval
from pytest_llminvariance.measures.variance import Observation, Variance, VarianceShares
from pytest_llminvariance.questions.question import Question, whole_names

Arrangement = Literal["as written", "reversed", "rotated"]
ARRANGEMENTS: tuple[Arrangement, ...] = ("as written", "reversed", "rotated")


class Way(NamedTuple):
    """What one configuration is called."""

    template: str
    order: Arrangement
    labels: str


class Answered(NamedTuple):
    """A question, and its answer in each way."""

    question: Question
    answers: Sequence[AnswerDistribution]
    delta_nats: float


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
    hits: tuple[tuple[Interval, ...], ...] = ()
    """By configuration in the order of asking, and by question: whether the answer is the right one, or that of most."""

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


def multiverse_of(rows: Sequence[Answered], ways: Sequence[Way]) -> Multiverse:
    """Return what answers say of the ways; `rows` holds one for each question, with an answer in each way."""
    agreed = [consensus(row.answers, row.delta_nats) for row in rows]
    is_known = all(row.question.answer is not None for row in rows)
    targets = [row.question.answer if is_known else one.answer for row, one in zip(rows, agreed, strict=True)]
    hits = tuple(
        tuple(_hit(row.answers[place], target, row.delta_nats) for row, target in zip(rows, targets, strict=True))
        for place in range(len(ways))
    )
    made = [
        Configuration(template=way.template, order=way.order, labels=way.labels, score=mean_interval(row))
        for way, row in zip(ways, hits, strict=True)
    ]
    return Multiverse(
        configurations=tuple(sorted(made, key=lambda one: (_middle(one.score), one.name))),
        measure="accuracy" if is_known else "agreement with the consensus",
        shares=_spread(ways, [row.answers for row in rows]).shares(),
        consensus=dict(zip(whole_names([row.question for row in rows]), agreed, strict=True)),
        prompts=len(rows) * len(ways),
        hits=hits,
    )


def _hit(answer: AnswerDistribution, target: int | None, delta_nats: float) -> Interval:
    """Return whether an answer is the target; ties count in parts, and without a target nothing is known."""
    if target is None:
        return Interval(0.0, 1.0)
    parts = answer.parts(delta_nats)
    if parts is None:
        return Interval(0.0, float(target in answer.outcomes(delta_nats)))
    return Interval(parts[target], parts[target])


def _spread(ways: Sequence[Way], rows: Sequence[Sequence[AnswerDistribution]]) -> Variance:
    """Gather the probability of each question's favourite, the option that is most probable on average, under each way."""
    found = Variance()
    for place, row in enumerate(rows):
        known = [(way, answer) for way, answer in zip(ways, row, strict=True) if answer.is_known]
        totals = [math.fsum(column) for column in zip(*(answer.probabilities for _, answer in known), strict=True)]
        found.add(
            [
                Observation(
                    place, (way.template, way.labels), way.order, answer.probabilities[totals.index(max(totals))]
                )
                for way, answer in known
            ]
        )
    return found


def _middle(score: Interval) -> float:
    return float(score.low + score.high) / 2


def _said(score: Interval) -> str:
    low, high = f"{float(score.low):.3f}", f"{float(score.high):.3f}"
    return low if low == high else f"{low} to {high}"
