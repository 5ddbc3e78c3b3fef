"""Other words for the same question must get the same answer."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, Self

from pytest_llminvariance.checks.properties.base import Case, Pooled, SelfTest
from pytest_llminvariance.checks.properties.invariance import Invariance
from pytest_llminvariance.checks.verdict import Verdict
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.measures.estimates import mean_bounds, mean_estimate
from pytest_llminvariance.measures.metrics import METRICS, UNKNOWN, Interval, mean_interval, own_metric
from pytest_llminvariance.models.controls import Control, oracle, wrong_oracle
from pytest_llminvariance.questions.question import Question, cluster_of
from pytest_llminvariance.questions.template import Template
from pytest_llminvariance.transforms.texts import Restate, Rewording


def _word_bound() -> Control:
    """Wrong where it is asked politely."""
    right, wrong = oracle(), wrong_oracle()
    return Control("word_bound", lambda p: (wrong if p.question.stem.startswith("Please") else right).respond(p))


class ParaphraseConsistency(Invariance):
    """`paraphrases` are wordings that somebody accepted: `Paraphrase("paraphrases.toml")`, or `Restate({id: [...]})`.

    The effect is the mean over questions of the mean Jensen-Shannon distance (natural logarithm, square root, at most 0.833)
    of the answers to their centroid. Beside it: the share of pairs of wordings with the same answer, and the share of
    wordings that give the most frequent one.
    """

    name = "paraphrase"
    says = "the answer stays the same in other words that a person accepted"
    advice = "look at the wordings first: one of them may ask something else; docs/broken.md"
    assertion = "assert_paraphrase_consistent"
    source = "Are Large Language Models Consistent over Value-laden Questions?"
    metric = "paraphrase_distance"
    own = own_metric("paraphrase_distance", "Jensen-Shannon distance to the mean answer over wordings is")
    selftests = MappingProxyType(
        {
            "paraphrase": SelfTest(
                cases=(
                    Case("oracle", Verdict.HOLDS),
                    Case("word_bound", Verdict.BROKEN, _word_bound),
                    Case("content_blind", Verdict.BROKEN),
                    Case("stem_blind", Verdict.UNDECIDED),
                    Case("refuser", Verdict.UNDECIDED),
                )
            )
        }
    )

    def __init__(self, *, paraphrases: Rewording) -> None:
        if not isinstance(paraphrases, Rewording):
            raise UsageError(
                f"paraphrases is {paraphrases!r:.80}, but must be Paraphrase('paraphrases.toml') or Restate({{id: [texts]}})"
            )
        super().__init__(paraphrases, self.name)

    @classmethod
    def usual(
        cls, questions: Sequence[Question], template: Template | None, **options: Any
    ) -> tuple[Self, Template | None]:
        """Return it with two wordings that change nothing: for the selftest."""
        texts = {
            question.content_hash: [f"Please answer. {question.stem}", f"{question.stem} Think of it."]
            for question in questions
        }
        return cls(paraphrases=Restate(texts), **options), template

    def pool(self, evidence: Sequence[Any], risk: float | None) -> Pooled:
        """Return the mean distance, and how many wordings agree."""
        measure = METRICS["js_distance"].measure
        values = [
            measure(item.compared, None, item.delta_nats) if item.reached and len(item.compared) > 1 else UNKNOWN
            for item in evidence
        ]
        clusters = [cluster_of(item.plan.question) for item in evidence]
        effect = mean_interval(values)
        if risk is not None:
            low, _ = mean_bounds([float(v.low) for v in values], clusters, risk, signed=False)
            _, high = mean_bounds([float(v.high) for v in values], clusters, risk, signed=False)
            effect = Interval(low, high)
        known = [(row, cluster) for item, cluster in zip(evidence, clusters, strict=True) if (row := _chosen(item))]
        numbers = {"pairwise agreement": _agreement, "largest cluster": _largest}
        estimates = {
            name: mean_estimate([number(row) for row, _ in known], [cluster for _, cluster in known])
            for name, number in numbers.items()
            if known
        }
        return Pooled(effect=effect, values=values, estimates=estimates)


def _chosen(item: Any) -> list[int]:
    """Return the content of each answer; nothing where one is open or there are fewer than two."""
    outcomes = [answer.outcomes(item.delta_nats) for answer in item.compared]
    return [min(one) for one in outcomes] if len(outcomes) > 1 and all(len(one) == 1 for one in outcomes) else []


def _agreement(row: Sequence[int]) -> float:
    return math.fsum(a == b for a, b in itertools.combinations(row, 2)) / math.comb(len(row), 2)


def _largest(row: Sequence[int]) -> float:
    return max(Counter(row).values()) / len(row)
