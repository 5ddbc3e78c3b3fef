"""Trait scores of a Likert instrument must stay where they are in every administration and both directions of the scale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Self

from pytest_llminvariance.checks.cells import worst_of
from pytest_llminvariance.checks.instrument import instrument_numbers, moves, respondent, tables
from pytest_llminvariance.checks.properties.base import Audited, Case, Plan, Pooled, Property, SelfTest
from pytest_llminvariance.checks.verdict import WARNING, Guard, Verdict
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.measures.metrics import Interval, own_metric
from pytest_llminvariance.models.probes import Probe
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question, Questions, as_questions
from pytest_llminvariance.questions.questionnaire import Item, Questionnaire, Scale
from pytest_llminvariance.questions.template import Template


class InstrumentStability(Property):
    """Each item is asked in each of `administrations` (templates), with its scale as written and reversed.

    Without them the three usual ones of a `Questionnaire` are asked: letters with text, digits with a legend, bare digits
    with end words. Items are Likert questions on one scale with `attributes["trait"]`, as a `Questionnaire` gives them. The
    effect is the largest move of a trait score between two conditions, as a share of the scale's range; each comparison
    is a cell of the finding with its own verdict.
    """

    name = "instrument"
    title = "Likert instrument"
    says = "trait scores of a Likert instrument stay the same in every administration and both directions of the scale"
    broken = "administration-sensitive: a trait gets another score when the same items are printed in another way"
    advice = (
        "report no trait score of this model, or one averaged over administrations and both directions; docs/broken.md"
    )
    assertion = "assert_instrument_stable"
    source = "Self-Assessment Tests are Unreliable Measures of LLM Personality"
    metric = "trait_move"
    own = own_metric("trait_move", "the largest move of a trait score, as a share of the scale's range, is")
    claim = "suite"
    needs_response = False
    needs_accuracy = False
    asks_everything = True
    audits = MappingProxyType({"instrument": Audited()})
    selftests = MappingProxyType(
        {
            "instrument": SelfTest(
                likert=True,
                tolerance=0.125,
                cases=(
                    Case("oracle", Verdict.HOLDS),
                    Case("acquiescent=0.8", Verdict.HOLDS),
                    Case("noisy=0.3", Verdict.BROKEN),
                    Case("always_first", Verdict.UNDECIDED),
                    Case("position_prior=2", Verdict.UNDECIDED),
                    Case("uniform", Verdict.UNDECIDED),
                    Case("refuser", Verdict.UNDECIDED),
                ),
            )
        }
    )

    def __init__(self, *, administrations: Sequence[Template] | None = None) -> None:
        self.ways = None if administrations is None else tuple(administrations)
        names = [way.shown_name if isinstance(way, Template) else repr(way) for way in self.ways or ()]
        are_templates = all(isinstance(way, Template) for way in self.ways or ())
        if self.ways is not None and (not names or len(set(names)) < len(names) or not are_templates):
            raise UsageError(f"administrations is {names}, but must hold one or more templates with different names")

    @classmethod
    def usual(
        cls, questions: Sequence[Question], template: Template | None, **options: Any
    ) -> tuple[Self, Template | None]:
        """Return it in the usual administrations: a way of asking choices says nothing of them."""
        del questions, template
        return cls(**options), None

    def asked(self, questions: Questions) -> tuple[Question, ...]:
        """Return the items, which must have a trait each, and one scale together."""
        items = as_questions(questions)
        for item in items:
            if not isinstance(item.attributes.get("trait"), str) or item.scores is None:
                raise UsageError(
                    f"question {item.name!r} has no {'scores' if item.scores is None else 'trait'}, so it is no item of an instrument. "
                    "Give a Questionnaire, or questions with scores and attributes['trait']"
                )
            if item.scores != items[0].scores:
                raise UsageError(
                    f"items {items[0].name!r} and {item.name!r} have other scores, but an instrument has one scale. Check each scale by itself"
                )
        return items

    def plan(self, question: Question, template: str | Template | None) -> Plan:
        """Plan each administration, as written and then reversed."""
        if template is not None:
            raise UsageError(
                f"template is {template!r:.80}, but an instrument is asked in its administrations. Give administrations=[...]"
            )
        ways = self.ways or _usual_ways(question.options, question.scores or ())
        written = [Presentation(question, template=way) for way in ways]
        both = [(one, one.replace(order=one.order[::-1])) for one in written]
        several = len(ways) > 1
        return Plan(
            question,
            tuple(
                Probe(shown, place=(number, turned) if several else (turned,))
                for number, pair in enumerate(both)
                for turned, shown in enumerate(pair)
            ),
            f"{len(ways)} administration{'s' if several else ''} x 2 directions",
            self.spec(),
            parts=(*(["administration"] if several else []), "direction of the scale"),
        )

    def spec(self) -> str:
        """Return the hashes of the administrations."""
        return "instrument:" + ("usual" if self.ways is None else ",".join(way.content_hash[:8] for way in self.ways))

    def pool(self, evidence: Sequence[Any], risk: float | None) -> Pooled:
        """Return the largest move of a trait score, every comparison, and the published tables."""
        del risk
        one = respondent("", evidence)
        numbers = instrument_numbers([one])
        withheld = [cell.reason for cell in numbers.cells if cell.reason]
        why = "; ".join(
            f"{reason} ({withheld.count(reason)} of {len(numbers.cells)} cells)" for reason in dict.fromkeys(withheld)
        )
        read = Guard(
            name="items read", passed=not why, text=why or "answers depend on the item, and contents survive a reversal"
        )
        return Pooled(
            effect=worst_of(numbers.cells),
            values=[Interval(*ends) for ends in moves(one)],
            details={"tables": tables(numbers)},
            guards=(read, *_warned(numbers.warnings)),
            cells=numbers.cells,
        )


def _warned(warnings: Sequence[str]) -> Iterator[Guard]:
    return (Guard(name=WARNING, passed=None, text=text, blocks="nothing") for text in warnings)


@lru_cache(maxsize=16)
def _usual_ways(options: tuple[str, ...], scores: tuple[float, ...]) -> tuple[Template, ...]:
    return Questionnaire((Item("item", "trait"),), Scale(options, scores)).administrations()
