"""How much of an answer's uncertainty is about the question, and how much about the form in which it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from pytest_llminvariance.checks.properties.base import Case, Pooled, SelfTest
from pytest_llminvariance.checks.properties.invariance import Invariance
from pytest_llminvariance.checks.verdict import Verdict
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.measures.decomposition import Decomposition, decomposed
from pytest_llminvariance.measures.estimates import mean_estimate
from pytest_llminvariance.measures.metrics import METRICS, UNKNOWN, mean_interval, own_metric
from pytest_llminvariance.questions.question import cluster_of
from pytest_llminvariance.transforms.base import Transform
from pytest_llminvariance.transforms.showing import Reorder


class FormConsistency(Invariance):
    """The forms are what `under` (a transform, by default orders of the options) makes of a question.

    The effect is the mean over questions of the Jensen-Shannon divergence of the answers, as a share of the most that it
    can be. Beside it the entropy of the mean answer, and its two parts: uncertain in every form, and changing with the form.
    """

    name = "forms"
    says = "what the model does not know, it does not know in every form: answers do not diverge between forms"
    broken = "form-sensitive: what looks like uncertainty changes with the form of the question"
    advice = "average over forms, or ask in the form that holds; docs/broken.md"
    assertion = "assert_forms_agree"
    source = "Evaluating the Moral Beliefs Encoded in LLMs"
    metric = "form_divergence"
    own = own_metric("form_divergence", "answers in several forms diverge, as a share of the most that they can, by")
    claim = "suite"
    asks_everything = True
    selftests = MappingProxyType(
        {
            "forms": SelfTest(
                options={"under": Reorder("cyclic")},
                cases=(
                    Case("oracle", Verdict.HOLDS),
                    Case("always_first", Verdict.BROKEN),
                    Case("position_prior=2", Verdict.BROKEN),
                    Case("uniform", Verdict.UNDECIDED),
                    Case("refuser", Verdict.UNDECIDED),
                ),
            )
        }
    )

    def __init__(self, *, under: Transform | None = None) -> None:
        if under is not None and not isinstance(under, Transform):
            raise UsageError(f"under is {under!r}, but must be a transform, for example Reorder() or Reword([...])")
        super().__init__(Reorder() if under is None else under, self.name)
        self.title = f"form consistency under {self.transform.title}"

    def pool(self, evidence: Sequence[Any], risk: float | None) -> Pooled:
        """Return the mean divergence, and the entropies that it is a part of."""
        del risk
        found = [decomposition(item) for item in evidence]
        measure = METRICS["form_inconsistency"].measure
        values = [
            UNKNOWN if one is None else measure(item.compared, None, item.delta_nats)
            for one, item in zip(found, evidence, strict=True)
        ]
        known = [(one, cluster_of(item.plan.question)) for one, item in zip(found, evidence, strict=True) if one]
        names = {
            "entropy": "total_bits",
            "uncertain part": "uncertainty_bits",
            "inconsistent part": "inconsistency_bits",
        }
        return Pooled(
            effect=mean_interval(values),
            values=values,
            estimates={
                f"{said} (bits)": mean_estimate([getattr(one, name) for one, _ in known], [cluster for _, cluster in known], bounded=False)
                for said, name in names.items()
                if known
            },
        )  # fmt: skip


def decomposition(item: Any) -> Decomposition | None:
    """Return how the entropy of a question's answers splits; `None` where an answer is open, or nothing was compared."""
    answers = item.compared
    if not item.reached or len(answers) < 2 or not all(answer.is_known for answer in answers):
        return None
    return decomposed([answer.vector() for answer in answers])
