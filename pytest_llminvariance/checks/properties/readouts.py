"""The same prompt, read in several ways, must give the same answer."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

from pytest_llminvariance.checks.properties.base import Audited, Plan, Property, SelfTest
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.models.probes import Probe
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.questions.template import Template


class ReadoutAgreement(Property):
    """First token, texts of the options, generated text: whatever is read, the answer is one."""

    name = "readouts"
    title = "agreement of readouts"
    says = "one prompt gives the same answer however it is read"
    broken = "readout-sensitive: the same prompt gives another answer when it is read in another way"
    advice = "ship with the readout that you tested, or state the format of answers in the prompt; docs/broken.md"
    assertion = "assert_readouts_agree"
    source = "Look at the Text: Instruction-Tuned Language Models are More Robust Multiple Choice Selectors"
    compares_prompts = False
    audits = MappingProxyType({"readouts": Audited()})
    selftests = MappingProxyType(
        {
            "readouts": SelfTest(
                broken="two_faced",
                undecided="always_first always_last always_label wrong_oracle stem_blind content_blind refuser uniform jitter "
                "tie_maker position_prior=2 label_prior=2",
            )
        }
    )

    def __init__(self, *, readouts: Sequence[str] = ("label", "text")) -> None:
        if isinstance(readouts, str):
            raise UsageError(f"readouts is {readouts!r}, but must be a list of two or more, such as ('label', 'text')")
        self.readouts = tuple(readouts)
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
