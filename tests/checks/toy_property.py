"""A toy property with a number of its own, in one file: thanks at the end must not make the answer less sure."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from pytest_llminvariance import Presentation, Question, Verdict, controls
from pytest_llminvariance.checks.properties import Audited, Case, Plan, Pooled, Probe, Property, SelfTest, own_metric
from pytest_llminvariance.checks.properties import register as register
from pytest_llminvariance.measures.estimates import mean_estimate
from pytest_llminvariance.measures.metrics import Interval
from pytest_llminvariance.models.controls import Control


def swayed() -> Control:
    """Less sure where it is thanked."""
    return Control("swayed", lambda p: controls.oracle().respond(p) if "Thank" not in p.question.stem else (0.5, 0.5))


class Thanks(Property):
    """Thanks at the end must not make the answer less sure."""

    name = "thanks"
    title = "thanks at the end"
    says = "the answer stays as sure where the question ends with thanks"
    advice = "be polite"
    assertion = "assert_thanks_change_nothing"
    metric = "sureness_lost"
    own = own_metric("sureness_lost", "the largest probability falls by")
    needs_response = False
    audits = MappingProxyType({"thanks": Audited()})
    bank = tuple(Question(f"Is {n} even?", ("yes", "no"), answer=n % 2) for n in range(12))
    cases = (
        Case("oracle", Verdict.HOLDS),
        Case("swayed", Verdict.BROKEN, swayed),
        Case("refuser", Verdict.UNDECIDED),
    )
    selftests = MappingProxyType({"thanks": SelfTest(bank=bank, cases=cases)})

    def plan(self, question: Question, template: Any) -> Plan:
        polite = Question(f"{question.stem} Thank you.", question.options, answer=question.answer)
        shown = (Presentation(one, template=template) for one in (question, polite))
        return Plan(question, tuple(map(Probe, shown)), "with and without thanks", self.spec())

    def spec(self) -> str:
        return "thanks"

    def pool(self, evidence: Sequence[Any], risk: float | None) -> Pooled:
        del risk
        lost = [max(item.answers[0].probabilities) - max(item.answers[1].probabilities) for item in evidence]
        mean = mean_estimate(lost)
        values = tuple(Interval(max(0.0, one), max(0.0, one)) for one in lost)
        effect = max(0.0, mean.value)
        return Pooled(effect=Interval(effect, effect), values=values, estimates={"sureness lost": mean})
