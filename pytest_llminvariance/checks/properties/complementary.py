"""What is true with one probability must be false with the rest of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pytest_llminvariance.checks.properties.base import Audited, Case, Plan, Pooled, Property, SelfTest
from pytest_llminvariance.checks.verdict import Verdict
from pytest_llminvariance.errors import QuestionError
from pytest_llminvariance.measures.distribution import share_between, share_told
from pytest_llminvariance.measures.estimates import mean_effect, mean_estimate
from pytest_llminvariance.measures.metrics import UNKNOWN, Interval, own_metric
from pytest_llminvariance.models.controls import Control, oracle
from pytest_llminvariance.models.probes import Probe
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question, cluster_of
from pytest_llminvariance.questions.template import Template
from pytest_llminvariance.transforms.edits import edited
from pytest_llminvariance.transforms.must_change import statement


def _yes_sayer() -> Control:
    """Right, but takes every third of its doubt for a yes."""
    inner = oracle()

    def respond(p: Presentation) -> Sequence[float]:
        return [0.6 * x + 0.4 * (content == 0) for x, content in zip(inner.respond(p), p.order, strict=True)]

    return Control("yes_sayer", respond)


class Complementary(Property):
    """Each question whose answer is known becomes a statement about one of its options, and the negation of that statement.

    Or give pairs (question, negated question) of your own, both with the same two options, yes first. The effect is the mean
    of |P(yes, s) + P(yes, not s) - 1|, where P(yes) is the share of yes in what both options have.
    """

    name = "complementary"
    title = "coherence of a statement and its negation"
    says = "P(yes) of a statement and P(yes) of its negation add up to 1"
    advice = "ask both and take the difference, or calibrate; docs/broken.md"
    assertion = "assert_complementary"
    source = "Language Models (Mostly) Know What They Know"
    metric = "complement_gap"
    own = own_metric("complement_gap", "P(yes) of a statement and of its negation miss 1 by")
    audits = MappingProxyType({"complementary": Audited()})
    selftests = MappingProxyType(
        {
            "complementary": SelfTest(
                cases=(
                    Case("oracle", Verdict.HOLDS),
                    Case("yes_sayer", Verdict.BROKEN, _yes_sayer),
                    Case("always_first", Verdict.BROKEN),
                    Case("uniform", Verdict.UNDECIDED),
                    Case("refuser", Verdict.UNDECIDED),
                )
            )
        }
    )

    def __init__(self) -> None:
        self._negations: Mapping[str, Question] = {}

    def asked(self, questions: Question | Iterable[Question | tuple[Question, Question]]) -> Any:
        """Return the statements."""
        given = [questions] if isinstance(questions, Question) else list(questions)
        pairs = [statement(one) if isinstance(one, Question) else _checked(one) for one in given]
        self._negations = {before.content_hash: after for before, after in pairs}
        return tuple(before for before, _ in pairs)

    def plan(self, question: Question, template: str | Template | None) -> Plan:
        """Plan the statement and its negation."""
        shown = (question, self._negations[question.content_hash])
        return Plan(
            question, tuple(Probe(Presentation(one, template=template)) for one in shown), "a statement and its negation", self.spec()
        )  # fmt: skip

    def spec(self) -> str:
        """Return the name."""
        return self.name

    def pool(self, evidence: Sequence[Any], risk: float | None) -> Pooled:
        """Return by how much the two miss 1."""
        values = [_gap(item) for item in evidence]
        clusters = [cluster_of(item.plan.question) for item in evidence]
        effect = mean_effect(values, clusters, risk)
        told = [[share_told(answer, 0, 1) for answer in item.answers] for item in evidence if item.reached]
        sums = [first + second - 1 for first, second in told if first is not None and second is not None]
        estimates = {"P(yes, s) + P(yes, not s) - 1": mean_estimate(sums, bounded=False)} if sums else {}
        return Pooled(effect=effect, values=values, estimates=estimates)


def _gap(item: Any) -> Interval:
    if not item.reached:
        return UNKNOWN
    (a, b), (c, d) = (share_between(answer, 0, 1, item.delta_nats) for answer in item.answers)
    low, high = a + c - 1, b + d - 1
    return Interval(max(0.0, low, -high), max(abs(low), abs(high)))


def _checked(pair: Any) -> tuple[Question, Question]:
    if not (isinstance(pair, tuple | list) and len(pair) == 2 and all(isinstance(one, Question) for one in pair)):
        raise QuestionError(f"{pair!r:.80} is neither a question nor a pair (question, negated question)")
    before, after = pair
    if len(before.options) != 2 or before.options != after.options or before.stem == after.stem:
        raise QuestionError(
            f"question {before.name!r} and its negation must have the same two options, yes first, and different stems"
        )
    negated = edited(before, "negate the statement", stem=after.stem, context=after.context)
    return before, dataclasses.replace(negated, answer=after.answer)
