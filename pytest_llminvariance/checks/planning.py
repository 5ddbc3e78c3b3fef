"""What is planned for a suite, and in which units it is counted: questions, draws of questions, or clusters."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal, get_args

from pytest_llminvariance.checks.asking import Part
from pytest_llminvariance.checks.evidence import measure_questions
from pytest_llminvariance.checks.guards import movements
from pytest_llminvariance.checks.properties import Invariance, Plan, Probe, Property
from pytest_llminvariance.checks.stopping import Unit
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.measures.asking_order import asking_order, draw_order
from pytest_llminvariance.measures.metrics import Interval, Metric, mean_interval
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question, cluster_of
from pytest_llminvariance.questions.template import Template
from pytest_llminvariance.transforms.showing import Reorder

Claim = Literal["suite", "orbit", "population"]
DRAWS_PER_QUESTION = 4
"""Budget of draws where each has fresh presentations or samples."""


@dataclass(frozen=True, slots=True)
class Overview:
    """What is planned, without the plans."""

    specs: tuple[str, ...]
    designs: tuple[str, ...]
    n_presentations: int


@dataclass(slots=True)
class Planner:
    """Plans questions when they are asked, so that memory does not grow with those that are not."""

    made: Property
    questions: Sequence[Question]
    template: str | Template | None
    claim: Claim
    samples: int
    _kept: dict[int, Plan] = field(default_factory=dict, init=False)

    @property
    def draws_units(self) -> bool:
        """Whether questions are drawn with replacement, each draw with something fresh."""
        return self.samples > 1 or self.claim == "orbit"

    def overview(self) -> Overview:
        """Plan everything once.

        Raises:
            UsageError: where a question cannot be planned.
        """
        specs: dict[str, None] = {}
        designs: dict[str, None] = {}
        n = 0
        for index in range(len(self.questions)):
            plan = self.plan(index)
            specs[plan.spec], designs[plan.design] = None, None
            n += len(plan.probes)
        return Overview(tuple(specs), tuple(designs), n)

    def plan(self, index: int) -> Plan:
        """Return the plan of a question; with samples, of its first draw."""
        plan = self.made.plan(self.questions[index], self.template)
        return plan if self.samples == 1 else _with_draws(plan, self.samples, 0)

    def all_plans(self) -> list[Plan]:
        """Return all plans, for a check that asks everything."""
        return [self.plan(index) for index in range(len(self.questions))]

    def units(self, metric: Metric, tolerance: Fraction, seed: int, fingerprint: str) -> list[Unit]:
        """Return what is counted, in the order of asking."""
        if self.claim == "population":
            return self._clusters(metric, tolerance, seed, fingerprint)
        if self.draws_units:
            return list(self._draws(metric, seed, fingerprint))
        order = asking_order(seed, fingerprint, [question.content_hash for question in self.questions])
        return [self.unit(metric, lambda index=index: (self.plan(index),)) for index in order]  # type: ignore[misc]

    def _draws(self, metric: Metric, seed: int, fingerprint: str) -> Iterator[Unit]:
        n, seen = len(self.questions), [0] * len(self.questions)
        for index in draw_order(seed, fingerprint, n, DRAWS_PER_QUESTION * n):
            number = seen[index]
            seen[index] += 1
            yield self.unit(metric, lambda index=index, number=number: (self._fresh(index, number, seed),))  # type: ignore[misc]

    def _fresh(self, index: int, number: int, seed: int) -> Plan:
        """Return the plan of the `number`-th draw of a question: other orders, other samples."""
        plan = self.made.plan(self.questions[index], self.template)
        if self.claim == "orbit":
            plan = _with_fresh_orders(self.made, plan, f"{seed}|{number}")
        return plan if self.samples == 1 else _with_draws(plan, self.samples, number)

    def unit(self, metric: Metric, plans: Callable[[], tuple[Plan, ...]]) -> Unit:
        """Return one plan as a unit that is counted."""

        def value(parts: Sequence[Part]) -> Interval:
            return measure_questions([part.evidence for part in parts], metric)[0]

        return Unit(plans, value, self._moved(metric))

    def _moved(self, metric: Metric) -> Callable[[Sequence[Part]], Interval]:
        def moved(parts: Sequence[Part]) -> Interval:
            return mean_interval(movements([(part.evidence, part.foreign) for part in parts], metric, self.samples))

        return moved

    def _clusters(self, metric: Metric, tolerance: Fraction, seed: int, fingerprint: str) -> list[Unit]:
        """Return one unit a cluster, question-weighted.

        tol + sum of (x_i - tol) / n_max lies in [0, 1], and its mean is tol where the mean over questions is.
        """
        members: dict[str, list[int]] = {}
        for index, question in enumerate(self.questions):
            members.setdefault(cluster_of(question), []).append(index)
        names, largest = list(members), max(map(len, members.values()))

        def value(parts: Sequence[Part]) -> Interval:
            found = measure_questions([part.evidence for part in parts], metric)
            low = sum((Fraction(v.low) - tolerance for v in found), Fraction(0)) / largest
            high = sum((Fraction(v.high) - tolerance for v in found), Fraction(0)) / largest
            return Interval(tolerance + low, tolerance + high)

        units = []
        for place in asking_order(seed, fingerprint, names):
            chosen = members[names[place]]
            units.append(Unit(lambda chosen=chosen: tuple(map(self.plan, chosen)), value, self._moved(metric)))  # type: ignore[misc]
        return units

    def suite_key(self, fingerprint: str, specs: Sequence[str], *told: str) -> str:
        """Return what identifies weights, suite and check, for noticing a second seed."""
        parts = [fingerprint, sorted(question.content_hash for question in self.questions), list(specs), *told]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def check_claim(claim: object, samples: object, made: Property, metric: str) -> Claim:
    """Return the claim, or raise where it does not go with samples, property or metric.

    Raises:
        UsageError: naming value, rule and the way out.
    """
    if claim not in get_args(Claim):
        raise UsageError(f"claim is {claim!r}, but must be one of {', '.join(get_args(Claim))}")
    if isinstance(samples, bool) or not isinstance(samples, int) or not 1 <= samples <= 1000:
        raise UsageError(f"samples is {samples!r}, but must be a whole number from 1 to 1,000")
    if samples > 1 and metric != "excess_disagreement":
        raise UsageError(
            f"samples={samples} draws answers at random, and {metric!r} would count the noise as the property's fault. "
            "Use metric='excess_disagreement', which takes off what repeated asking alone changes"
        )
    if samples == 1 and metric == "excess_disagreement":
        raise UsageError("metric='excess_disagreement' compares repeated answers: give samples=3, or at least 2")
    if samples > 1 and (claim != "suite" or not isinstance(made, Invariance)):
        raise UsageError(
            f"samples={samples} goes with claim='suite' and a transform, not with {made.title}, claim={claim!r}"
        )
    sampled = isinstance(made, Invariance) and isinstance(made.transform, Reorder) and made.samples_the_orbit
    if claim == "orbit" and (not sampled or metric not in ("flip_rate", "disagreement", "tv", "score_gap")):
        raise UsageError(
            "claim='orbit' is about all orders, from fresh samples of them: it goes with orders='sample', n=..., and "
            "flip_rate, disagreement, tv or score_gap. Other designs are asked whole: use claim='suite'"
        )
    if claim == "population" and metric in ("position_bias", "trait_shift"):
        raise UsageError(
            f"{metric!r} pools all questions, so claim='population' is not known for it. Use claim='suite'"
        )
    return claim  # type: ignore[return-value]


def _with_draws(plan: Plan, samples: int, number: int) -> Plan:
    """Return the plan with each probe asked `samples` times; no two draws of a question share an index."""
    probes = tuple(
        dataclasses.replace(probe, draw=number * samples + index) for probe in plan.probes for index in range(samples)
    )
    return dataclasses.replace(
        plan, probes=probes, design=f"{plan.design}, {samples} samples each", spec=f"{plan.spec}, {samples} samples"
    )


def _with_fresh_orders(made: Property, plan: Plan, salt: str) -> Plan:
    assert isinstance(made, Invariance) and isinstance(made.transform, Reorder)  # noqa: S101, PT018 - check_claim saw to it
    written: Presentation = plan.probes[0].presentation
    orders = made.transform.orders(written, "sample", f"{plan.question.content_hash}|{salt}")
    return dataclasses.replace(plan, probes=tuple(Probe(written.replace(order=order)) for order in orders))
