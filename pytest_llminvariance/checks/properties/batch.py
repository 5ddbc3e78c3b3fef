"""The same prompt must give the same answer alone and in every company."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from pytest_llminvariance.checks.properties.base import Audited, Case, Plan, Property, SelfTest
from pytest_llminvariance.checks.verdict import Verdict
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.models.controls import oracle, wrong_oracle
from pytest_llminvariance.models.probes import Probe
from pytest_llminvariance.models.protocol import Reply, Request
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.questions.template import Template


class _InCompany:
    """Right where a prompt is asked alone, wrong in company."""

    name = fingerprint = "by company"
    capabilities = oracle().capabilities

    def answer(self, requests: Sequence[Request]) -> Sequence[Reply]:
        """Answer as one that knows what is right, or as one that is always wrong."""
        return (oracle() if len(requests) == 1 else wrong_oracle()).answer(requests)


class BatchAgreement(Property):
    """A property of the engine alone: it says nothing of what the model knows or reads."""

    name = "batch"
    title = "batch invariance"
    says = "a prompt gets the same answer alone and in the company of others"
    broken = "batch-sensitive: the same prompt gets another answer when other prompts are asked with it"
    advice = "use --invariance-dtype=float32, or one prompt a batch; docs/broken.md"
    assertion = "assert_batch_invariant"
    source = "Quantifying Variance in Evaluation Benchmarks"
    compares_prompts = False
    needs_response = False
    needs_accuracy = False
    asks_everything = True
    audits = MappingProxyType({"batch": Audited()})
    selftests = MappingProxyType(
        {
            "batch": SelfTest(
                options={"batches": 5},
                cases=(
                    Case("oracle", Verdict.HOLDS),
                    Case("by company", Verdict.BROKEN, lambda: _InCompany()),
                    Case("refuser", Verdict.UNDECIDED),
                ),
            )
        }
    )

    def __init__(self, *, batches: int = 3) -> None:
        if isinstance(batches, bool) or not isinstance(batches, int) or batches < 1:
            raise UsageError(f"batches is {batches!r}, but must be a whole number from 1")
        self.batches = batches

    def plan(self, question: Question, template: str | Template | None) -> Plan:
        """Plan the question as written, alone and once for each batch."""
        shown = Presentation(question, template=template)
        return Plan(question, (Probe(shown),) * (1 + self.batches), f"alone and in {self.batches} batches", self.spec())

    def spec(self) -> str:
        """Return how many batches."""
        return f"batch:{self.batches}"
