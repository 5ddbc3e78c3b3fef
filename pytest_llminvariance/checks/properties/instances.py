"""Instances of one problem are equally hard: other numbers, names or an other order of clauses change no right answer to a wrong one."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import Any

from pytest_llminvariance.checks.properties.base import Case, Plan, Pooled, Property, SelfTest
from pytest_llminvariance.checks.verdict import Guard, Verdict
from pytest_llminvariance.errors import QuestionError
from pytest_llminvariance.measures.estimates import mean_effect, mean_estimate, share_estimate
from pytest_llminvariance.measures.metrics import Interval, mean_interval, own_metric
from pytest_llminvariance.models.controls import Control, oracle, wrong_oracle
from pytest_llminvariance.models.probes import Probe
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question, Questions, as_questions
from pytest_llminvariance.questions.template import Template

INSTANCE_OF = "template"


def _knows_small_numbers() -> Control:
    """Right on every second instance."""
    right, wrong = oracle(), wrong_oracle()
    return Control("small_numbers", lambda p: (wrong if "has 1" in p.question.stem else right).respond(p))


class InstancesEqual(Property):
    """Questions that share `attributes["template"]` are instances of one problem; each has its own correct answer.

    The number of options must be the same within a problem. The effect is the share of pairs of instances of one
    problem of which one is answered right and the other wrong, averaged over problems: p correct of n give
    2 p (n - p) / (n (n - 1)). It is 0 where a model can do a problem in all its instances, or in none; at least one answer
    in all has to be right for the check to hold.
    """

    name = "instances"
    title = "equal instances"
    says = "instances of one problem are answered right, or wrong, alike"
    advice = (
        "the model knows some instances by heart or fails on some values: look at the rates by problem; docs/broken.md"
    )
    assertion = "assert_instances_equal"
    source = "Alice in Wonderland: Simple Tasks Showing Complete Reasoning Breakdown in State-Of-the-Art Large Language Models"
    metric = "unequal_instances"
    own = own_metric("unequal_instances", "one of two instances alone is right in", "pairs of instances")
    selftests = MappingProxyType(
        {
            "instances": SelfTest(
                bank=tuple(
                    Question(
                        f"{name} has {n} brothers. How many siblings has a sister of {name}?", [str(n + m) for m in (0, 1, 2)],
                        id=f"{name}-{n}", answer=1, attributes={INSTANCE_OF: name},
                    )
                    for name in ("Alice", "Bella", "Cleo", "Dora", "Else", "Finja", "Greta", "Hanna", "Ida")
                    for n in (2, 13, 4)
                ),
                cases=(
                    Case("oracle", Verdict.HOLDS),
                    Case("small_numbers", Verdict.BROKEN, _knows_small_numbers),
                    Case("content_blind", Verdict.BROKEN),
                    Case("wrong_oracle", Verdict.UNDECIDED),
                    Case("uniform", Verdict.UNDECIDED),
                ),
            )
        }
    )  # fmt: skip

    def __init__(self) -> None:
        self._instances: dict[str, tuple[Question, ...]] = {}

    def asked(self, questions: Questions) -> tuple[Question, ...]:
        """Return the first instance of each problem, and keep the others for its plan."""
        found: dict[str, list[Question]] = {}
        for one in as_questions(questions):
            name = one.attributes.get(INSTANCE_OF)
            if name is None or one.answer is None:
                lacks = "attributes['template'], which names its problem" if name is None else "answer"
                raise QuestionError(f"question {one.name!r} has no {lacks}. Give it to every instance")
            found.setdefault(str(name), []).append(one)
        for name, rows in found.items():
            if len({len(one.options) for one in rows}) > 1:
                raise QuestionError(f"instances of {name!r} have different numbers of options. Give each as many")
        self._instances = {rows[0].content_hash: tuple(rows) for rows in found.values()}
        return tuple(rows[0] for rows in found.values())

    def plan(self, question: Question, template: str | Template | None) -> Plan:
        """Plan all instances of the problem."""
        rows = self._instances[question.content_hash]
        shown = tuple(Probe(Presentation(one, template=template)) for one in rows)
        return Plan(question, shown, f"{len(rows)} instances", self.spec())

    def spec(self) -> str:
        """Return its name."""
        return "instances"

    def pool(self, evidence: Sequence[Any], risk: float | None) -> Pooled:
        """Return the share of pairs of which one alone is right."""
        rights = [[_right(item, index) for index in range(len(item.answers))] for item in evidence]
        values = [
            mean_interval([_unlike(a, b) for a, b in itertools.combinations(row, 2)] or [Interval(0, 1)])
            for row in rights
        ]
        names = [str(item.plan.question.attributes[INSTANCE_OF]) for item in evidence]
        effect = mean_effect(values, names, risk)
        every = [right for row in rights for right in row]
        n_right = sum(int(right.low) for right in every)
        says = f"{n_right:,} of {len(every):,} instances are answered right"
        unlike = sum(int(_unlike(a, b).low) for row in rights for a, b in itertools.combinations(row, 2))
        n_pairs = sum(len(row) * (len(row) - 1) // 2 for row in rights)
        return Pooled(
            effect=effect,
            values=values,
            count=f"{unlike:,} of {n_pairs:,} pairs of instances",
            estimates={
                "answered right": share_estimate(n_right, len(every)),
                "unlike pairs": mean_estimate([float(v.low) for v in values], names),
            },
            details={"right_by_template": {n: f"{sum(int(r.low) for r in row)} of {len(row)}" for n, row in zip(names, rights, strict=True)}},
            guards=(Guard(name="something right", passed=n_right > 0, text=says),),
        )  # fmt: skip


def _right(item: Any, index: int) -> Interval:
    """Return whether an instance is answered right, by its own correct answer."""
    outcomes, answer = (
        item.answers[index].outcomes(item.delta_nats),
        item.plan.probes[index].presentation.question.answer,
    )
    return Interval(Fraction(int(outcomes == {answer})), Fraction(int(answer in outcomes)))


def _unlike(a: Interval, b: Interval) -> Interval:
    known = a.is_exact and b.is_exact
    return Interval(Fraction(int(known and a.low != b.low)), Fraction(int(not known or a.low != b.low)))
