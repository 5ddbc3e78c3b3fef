"""A score must not depend on which of the reasonable ways of asking was chosen."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, Self, get_args

from pytest_llminvariance.checks.cells import Cell, worst_of
from pytest_llminvariance.checks.properties.base import Audited, Case, Plan, Pooled, Property, SelfTest
from pytest_llminvariance.checks.properties.invariance import WORDINGS
from pytest_llminvariance.checks.verdict import Verdict
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.measures.estimates import Estimate
from pytest_llminvariance.measures.metrics import Interval, own_metric
from pytest_llminvariance.measures.multiverse import ARRANGEMENTS, Answered, Arrangement, Multiverse, Way, multiverse_of
from pytest_llminvariance.models.probes import Probe
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question, whole_names
from pytest_llminvariance.questions.template import DEFAULT_TEMPLATE, Template, as_template
from pytest_llminvariance.transforms.showing import LABEL_SETS

MAX_CONFIGURATIONS = 500


class Configurations(Property):
    """Every question is asked in every combination of `templates`, `orders` (as written, reversed, rotated) and `label_sets`.

    With correct answers for all questions a configuration's score is its accuracy; without, the share of questions that it
    answers as most configurations together do. The effect is the largest difference of a configuration's score from
    that of the first one; each other configuration is a cell of the finding with its own verdict.
    """

    name = "multiverse"
    title = "score over configurations"
    says = "the score is the same in every reasonable way of asking: templates, orders and label sets crossed"
    broken = "configuration-sensitive: the score depends on which way of asking was chosen"
    advice = "report the worst and the median configuration beside the one that you chose; docs/broken.md"
    assertion = "assert_configurations_agree"
    source = "The Threat of Analytic Flexibility in Using Large Language Models to Simulate Human Data; NERO"
    metric = "score_difference"
    own = own_metric("score_difference", "the largest difference of a score from that of the first configuration is")
    claim = "suite"
    asks_everything = True
    audits = MappingProxyType({"multiverse": Audited()})
    selftests = MappingProxyType(
        {
            "multiverse": SelfTest(
                tolerance=0.1,
                options={"templates": (DEFAULT_TEMPLATE, *WORDINGS), "label_sets": LABEL_SETS[:1]},
                cases=(
                    Case("oracle", Verdict.HOLDS),
                    Case("prompt_sensitive", Verdict.BROKEN),
                    Case("noisy=0.3", Verdict.BROKEN),
                    Case("always_first", Verdict.UNDECIDED),
                    Case("refuser", Verdict.UNDECIDED),
                ),
            )
        }
    )

    def __init__(
        self,
        *,
        templates: Sequence[str | Template] = (DEFAULT_TEMPLATE,),
        label_sets: Sequence[Sequence[str]] = LABEL_SETS[:2],
        orders: Sequence[Arrangement] = ARRANGEMENTS,
    ) -> None:
        for order in orders:
            if order not in get_args(Arrangement):
                raise UsageError(f"orders holds {order!r}, but may hold {', '.join(ARRANGEMENTS)}")
        ways = [as_template(template) for template in templates]
        self.keys = list(itertools.product(ways, orders, [tuple(labels) for labels in label_sets]))
        if not 2 <= len(set(self.keys)) == len(self.keys) <= MAX_CONFIGURATIONS:
            raise UsageError(
                f"{len(self.keys)} configurations, {len(set(self.keys))} of them different, but there must be 2 to {MAX_CONFIGURATIONS}, each once"
            )
        self.settings = {"ways": [(way.shown_name, order, "".join(labels[:4])) for way, order, labels in self.keys]}

    @classmethod
    def usual(
        cls, questions: Sequence[Question], template: Template | None, **options: Any
    ) -> tuple[Self, Template | None]:
        """Return it for the given way of asking."""
        del questions
        return cls(**({} if template is None else {"templates": (template,)}) | options), None

    def plan(self, question: Question, template: str | Template | None) -> Plan:
        """Plan every configuration."""
        if template is not None:
            raise UsageError(f"template is {template!r:.80}, but configurations have their own. Give templates=[...]")
        shown = [_shown(question, *key) for key in self.keys]
        numbers: tuple[dict[object, int], ...] = ({}, {}, {})
        places = [
            tuple(
                known.setdefault(part, len(known))
                for known, part in zip(numbers, (p.template, p.order, p.labels), strict=True)
            )
            for p in shown
        ]
        varied = [axis for axis, known in enumerate(numbers) if len(known) > 1]
        return Plan(
            question,
            tuple(
                Probe(p, place=tuple(place[axis] for axis in varied)) for p, place in zip(shown, places, strict=True)
            ),
            f"{len(shown)} configurations",
            self.spec(),
            parts=tuple(("template", "option order", "labels")[axis] for axis in varied),
        )

    def spec(self) -> str:
        """Return the configurations, with the hashes of their templates."""
        rows = (f"{way.content_hash[:8]}/{order}/{''.join(labels)}" for way, order, labels in self.keys)
        return f"multiverse:{','.join(rows)}"[:400]

    def pool(self, evidence: Sequence[Any], risk: float | None) -> Pooled:
        """Return how far scores differ from the first one, and the published numbers."""
        del risk
        made = multiverse_from(evidence, self.settings["ways"])
        ways = [Way(*way) for way in self.settings["ways"]]
        first, *others = made.hits
        cells = tuple(_cell(", ".join(way), first, row) for way, row in zip(ways[1:], others, strict=True))
        numbers = {"median": made.median, "worst": float(made.worst.score.low), "best": float(made.best.score.high)}
        return Pooled(
            effect=worst_of(cells),
            values=[_farthest([row[place] for row in made.hits]) for place in range(len(evidence))],
            estimates={f"{name} {made.measure}": Estimate(value, None, None) for name, value in numbers.items()},
            details={"tables": _tables(made, [item.plan.question for item in evidence])},
            cells=cells,
        )


def multiverse_from(evidence: Sequence[Any], ways: Sequence[Sequence[Any]]) -> Multiverse:
    """Return the numbers of what was asked in these ways."""
    rows = [Answered(item.plan.question, item.answers, item.delta_nats) for item in evidence]
    return multiverse_of(rows, [Way(*way) for way in ways])


def _shown(question: Question, template: Template, order: Arrangement, labels: tuple[str, ...]) -> Presentation:
    as_written = Presentation(question, template=template, labels=labels)
    if order == "as written":
        return as_written
    half = len(question.options) // 2
    row = as_written.order
    return as_written.replace(order=row[::-1] if order == "reversed" else row[half:] + row[:half])


def _cell(name: str, first: Sequence[Interval], other: Sequence[Interval]) -> Cell:
    n, score = (
        len(first),
        [math.fsum(map(float, ends)) / len(other) for ends in zip(*((h.low, h.high) for h in other), strict=True)],
    )
    low = math.fsum(float(b.low - a.high) for a, b in zip(first, other, strict=True)) / n
    high = math.fsum(float(b.high - a.low) for a, b in zip(first, other, strict=True)) / n
    return Cell(
        name=name,
        value=low if low == high else None,
        low=low,
        high=high,
        more={"score from": score[0], "score to": score[1]},
    )


def _farthest(hits: Sequence[Interval]) -> Interval:
    first, *others = hits
    gaps = [
        (max(hit.low - first.high, first.low - hit.high, 0), max(hit.high - first.low, first.high - hit.low))
        for hit in others
    ]
    return Interval(max(low for low, _ in gaps), max(high for _, high in gaps))


def _tables(made: Multiverse, questions: Sequence[Question]) -> dict[str, list[dict[str, Any]]]:
    """Return the shares of variance, and each question's consensus."""
    shares, agreed = made.shares, list(made.consensus.values())
    found: dict[str, list[dict[str, Any]]] = {}
    if shares is not None:
        row = {"question": shares.question, "form": shares.form, "order": shares.order, "replicate": shares.replicate}
        found["Shares of variance"] = [row]
    if len(agreed) == len(questions):
        found["Consensus"] = [
            {
                "question": name, "consensus": None if one.answer is None else question.options[one.answer],
                "support": one.support, "configurations off it": len(one.off),
            }
            for name, question, one in zip(whole_names(questions), questions, agreed, strict=True)
        ]  # fmt: skip
    return found
