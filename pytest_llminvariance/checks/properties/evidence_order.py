"""The order of pieces of evidence must not move a yes-or-no answer: how far it does, and how fast that grows with their number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from pytest_llminvariance.checks.properties.base import Case, Plan, Pooled, Property, SelfTest
from pytest_llminvariance.checks.verdict import Verdict
from pytest_llminvariance.errors import QuestionError, UsageError
from pytest_llminvariance.measures.dispersion import Dispersion, dispersion
from pytest_llminvariance.measures.distribution import beyond_ties, share_told
from pytest_llminvariance.measures.estimates import Estimate, line_estimate, mean_effect, mean_estimate
from pytest_llminvariance.measures.metrics import UNKNOWN, Interval, own_metric
from pytest_llminvariance.models.controls import Control
from pytest_llminvariance.models.probes import Probe
from pytest_llminvariance.questions.orders import identity
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question, Questions, cluster_of
from pytest_llminvariance.questions.template import Template
from pytest_llminvariance.transforms.designs import some_orders
from pytest_llminvariance.transforms.edits import edited

CHUNKS = "chunks"
MAX_ORDERS = 120


def _weighs(first: float, name: str) -> Control:
    """Counts evidence for and against, the first piece `first` times."""

    def respond(p: Presentation) -> Sequence[float]:
        pieces = (p.question.context or "").split("\n")
        signs = [1 if "for it" in piece else -1 for piece in pieces]
        total = math.fsum(signs) + (first - 1) * signs[0] + (0 if p.question.context else 0.1)
        share = 1 / (1 + math.exp(-total / 2))
        return [share if content == 0 else 1 - share for content in p.order]

    return Control(name, respond)


class EvidenceOrder(Property):
    """A question whose first two options are yes and no, and whose `attributes["chunks"]` are two or more pieces of evidence.

    They are shown as the context, in up to `orders` orders: all where there are no more, else drawn by the question's
    content. q is P(yes) / (P(yes) + P(no)). The effect is the mean over questions of the dispersion, the mean of
    |q - mean q| over orders. Beside it: the line a + b ln n through the dispersions of questions with n pieces; the Jensen
    gap H(mean q) - mean H(q) in nats; the bound sqrt(gap / 2), which no dispersion can exceed; and over how many random
    orders to average so that the standard deviation of the mean falls to the tolerance of 0.05.
    """

    name = "evidence_order"
    title = "order of evidence"
    says = "a yes-or-no answer stays the same in every order of the pieces of evidence"
    advice = "average over as many orders as the numbers say, or sort evidence before asking; docs/broken.md"
    assertion = "assert_evidence_order_stable"
    source = "Predictable Compression Failures"
    metric = "evidence_dispersion"
    own = own_metric("evidence_dispersion", "the share of yes is off its mean over orders by")
    selftests = MappingProxyType(
        {
            "evidence order": SelfTest(
                bank=tuple(
                    Question(
                        f"Is claim {n} true?", ("yes", "no"), id=f"claim-{n}", answer=n % 2,
                        attributes={CHUNKS: [f"Witness {m} is {('for it', 'against it')[(m + n) % 2 if m < 2 + n % 3 else n % 2]}." for m in range(3 + n % 3)]},
                    )
                    for n in range(12)
                ),
                cases=(
                    Case("counts", Verdict.HOLDS, lambda: _weighs(1.0, "counts")),
                    Case("first_weighs_double", Verdict.BROKEN, lambda: _weighs(2.0, "first_weighs_double")),
                    Case("uniform", Verdict.UNDECIDED),
                    Case("refuser", Verdict.UNDECIDED),
                ),
            )
        }
    )  # fmt: skip

    def __init__(self, *, orders: int = 24) -> None:
        if type(orders) is not int or not 2 <= orders <= MAX_ORDERS:
            raise UsageError(f"orders is {orders!r}, but must be a number from 2 to {MAX_ORDERS}")
        self.orders = orders

    def asked(self, questions: Questions) -> Any:
        """Return the questions with their pieces as the context, in the order given."""
        many = [questions] if isinstance(questions, Question) else questions
        return tuple(_shown(one, tuple(range(len(_chunks(one))))) for one in many)

    def plan(self, question: Question, template: str | Template | None) -> Plan:
        """Plan the orders of the pieces."""
        n = len(_chunks(question))
        written = identity(n)
        orders = [written, *some_orders(n, self.orders - 1, "evidence", question.content_hash)]
        shown = tuple(
            Probe(Presentation(question if order == written else _shown(question, order), template=template))
            for order in orders
        )
        return Plan(question, shown, f"{len(orders)} of {math.factorial(n):,} orders", self.spec())

    def spec(self) -> str:
        """Return how many orders."""
        return f"evidence_order:{self.orders}"

    def pool(self, evidence: Sequence[Any], risk: float | None) -> Pooled:
        """Return the mean dispersion, and what else is known of it."""
        found = [_measured(item) for item in evidence]
        values = [UNKNOWN if one is None else _value(one, item) for one, item in zip(found, evidence, strict=True)]
        clusters = [cluster_of(item.plan.question) for item in evidence]
        effect = mean_effect(values, clusters, risk)
        known = [
            (math.log(len(_chunks(item.plan.question))), one, cluster)
            for item, one, cluster in zip(evidence, found, clusters, strict=True)
            if one is not None
        ]
        estimates: dict[str, Estimate] = {}
        if known:
            rows, names = [one for _, one, _ in known], [cluster for *_, cluster in known]
            line = line_estimate([x for x, *_ in known], [one.mean_gap for one in rows])
            estimates = {"dispersion": mean_estimate([one.mean_gap for one in rows], names)}
            estimates |= {} if line is None else {"a": line[0], "b (a + b ln n)": line[1]}
            estimates["Jensen gap in nats"] = mean_estimate([one.jensen_gap_nats for one in rows], names)
            estimates["bound"] = mean_estimate([one.bound for one in rows], names)
        orders = max((one.orders_to_average(TOLERATED) for _, one, _ in known), default=None)
        if orders is not None:
            estimates["orders to average"] = Estimate(orders, None, None)
        return Pooled(effect=effect, values=values, estimates=estimates)


TOLERATED = 0.05
"""Standard deviation of a mean over orders that is small enough."""


def _chunks(question: Question) -> tuple[str, ...]:
    chunks = question.attributes.get(CHUNKS)
    if (
        not isinstance(chunks, list | tuple)
        or len(chunks) < 2
        or not all(isinstance(part, str) and part.strip() for part in chunks)
    ):
        raise QuestionError(
            f"question {question.name!r} has attributes['chunks'] = {chunks!r:.80}, but must have two or more texts there: the "
            "pieces of evidence"
        )
    return tuple(chunks)


def _shown(question: Question, order: Sequence[int]) -> Question:
    chunks = _chunks(question)
    text = "\n".join(chunks[index] for index in order)
    if list(order) == sorted(order):
        return Question(
            question.stem, question.options, id=question.id, context=text, answer=question.answer, attributes=question.attributes
        )  # fmt: skip
    return edited(question, f"show evidence in the order {', '.join(str(index + 1) for index in order)}", context=text)


def _value(found: Dispersion, item: Any) -> Interval:
    """Return the mean gap as far as noise leaves it known: it moves each share, and the mean of all."""
    moved = [answer.moved(beyond_ties(item.delta_nats)) for answer in item.compared]
    return Interval(found.mean_gap, found.mean_gap).widened(2 * math.fsum(moved) / len(moved))


def _measured(item: Any) -> Dispersion | None:
    """Return how far the answers of one question lie apart; `None` where one is open."""
    told = [share for answer in item.compared if (share := share_told(answer, 0, 1)) is not None]
    return dispersion(told) if item.reached and len(told) == len(item.compared) else None
