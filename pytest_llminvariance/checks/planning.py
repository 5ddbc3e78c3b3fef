"""What is planned for a suite, and in which units it is counted: questions, draws of questions, or clusters."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from pytest_llminvariance.checks.properties.base import Plan
from pytest_llminvariance.checks.refusals import Terms
from pytest_llminvariance.measures.asking_order import asking_order, draw_order
from pytest_llminvariance.questions.question import cluster_of

DRAWS_PER_QUESTION = 4
"""Budget of draws where each has fresh presentations or samples."""
KEPT = 20_000
"""Presentations that are kept until they are asked, where not everything is asked for certain."""


@dataclass(slots=True)
class Planner:
    """Plans every question of a suite once, and tells how much that is.

    Costs one pass over all presentations. A check that asks everything keeps all plans, as it holds them anyway while it
    asks. One that may stop keeps the first 20,000 presentations, a few MB; in a larger suite the rest is counted, let
    go, and planned again if it comes to be asked, so memory grows with what is asked and not with the suite.

    Raises:
        UsageError: where a question cannot be planned.
    """

    terms: Terms
    keeps_all: bool
    specs: tuple[str, ...] = field(init=False)
    """What identifies the plans, as they became."""
    spec: str = field(init=False)
    """The same in one text: hashed where there are many."""
    design: str = field(init=False)
    n_presentations: int = field(default=0, init=False)
    n_units: int = field(init=False)
    unit_name: str = field(default="question", init=False)
    largest: int = field(default=1, init=False)
    """Questions of the largest unit."""
    _kept: dict[int, Plan] = field(default_factory=dict, init=False)
    _clusters: dict[str, list[int]] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        specs: dict[str, None] = {}
        designs: dict[str, None] = {}
        for index, question in enumerate(self.terms.questions):
            plan = self.plan(index)
            self.n_presentations += len(plan.probes)
            if self.keeps_all or self.n_presentations <= KEPT:
                self._kept[index] = plan
            specs[plan.spec], designs[plan.design] = None, None
            if self.terms.claim == "population":
                self._clusters.setdefault(cluster_of(question), []).append(index)
        self.specs = tuple(specs)
        many = hashlib.sha256(json.dumps(list(self.specs)).encode()).hexdigest()[:16]
        self.spec = " or ".join(self.specs) if len(self.specs) <= 4 else many
        first, *others = designs
        self.design = f"{first} to {others[-1]}" if others else first
        self.n_units = len(self.terms.questions)
        if self.terms.draws:
            self.unit_name, self.n_units = "draw", self.n_units * DRAWS_PER_QUESTION
        elif self._clusters:
            self.unit_name, self.n_units = "cluster", len(self._clusters)
            self.largest = max(map(len, self._clusters.values()))

    def plan(self, index: int, number: int = 0) -> Plan:
        """Return the plan of a question; with samples, of its `number`-th draw."""
        terms, plan = self.terms, self._kept.get(index)
        if plan is None:
            plan = terms.property.plan(terms.questions[index], terms.template)
            plan = plan if terms.samples == 1 else _with_draws(plan, terms.samples)
        return _later_draws(plan, number * terms.samples) if terms.samples > 1 and number else plan

    def units(self, seed: int) -> Iterator[tuple[Plan, ...]]:
        """Yield the plans of one unit after the other, in the order of asking; each is made when it is taken."""
        fingerprint, questions = self.terms.model.fingerprint, self.terms.questions
        if self.terms.draws:
            seen = [0] * len(questions)
            for index in draw_order(seed, fingerprint, len(questions), self.n_units):
                yield (self._draw(index, seen[index], seed),)
                seen[index] += 1
            return
        names = list(self._clusters)
        hashes = names or [question.content_hash for question in questions]
        for index in asking_order(seed, fingerprint, hashes):
            yield tuple(map(self.plan, self._clusters[names[index]] if names else (index,)))

    def _draw(self, index: int, number: int, seed: int) -> Plan:
        """Return the plan of the `number`-th draw of a question: other orders, other samples."""
        plan = self.plan(index, number)
        return self.terms.property.fresh(plan, f"{seed}|{number}") if self.terms.claim == "orbit" else plan

    def some_plans(self, most: int) -> tuple[Plan, ...]:
        """Return the plans of up to `most` questions, spread over the suite."""
        n = len(self.terms.questions)
        return tuple(self.plan(number * n // min(n, most)) for number in range(min(n, most)))


def _with_draws(plan: Plan, samples: int) -> Plan:
    """Return the plan with each probe asked `samples` times."""
    probes = tuple(dataclasses.replace(probe, draw=index) for probe in plan.probes for index in range(samples))
    return dataclasses.replace(
        plan, probes=probes, design=f"{plan.design}, {samples} samples each", spec=f"{plan.spec}, {samples} samples"
    )


def _later_draws(plan: Plan, first: int) -> Plan:
    """Return a plan of draws with those from the number `first` on: no two draws of a question share a number."""
    probes = tuple(dataclasses.replace(probe, draw=first + (probe.draw or 0)) for probe in plan.probes)
    return dataclasses.replace(plan, probes=probes)
