"""Answers must stay the same under a transform: the order of options, the wording, labels, the layout, or any other."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self

from pytest_llminvariance.checks.properties.base import Audited, Case, Plan, Property, SelfTest
from pytest_llminvariance.checks.verdict import Verdict
from pytest_llminvariance.models.controls import Control, oracle, wrong_oracle
from pytest_llminvariance.models.probes import Probe, Showings, Ways
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.questions.references import OnReference
from pytest_llminvariance.questions.template import DEFAULT_LAYOUT, DEFAULT_TEMPLATE, Layout, Template
from pytest_llminvariance.transforms.base import Changes, Product, Transform
from pytest_llminvariance.transforms.designs import Design
from pytest_llminvariance.transforms.edits import origin_of
from pytest_llminvariance.transforms.showing import LABEL_SETS, LAYOUTS, Reformat, Relabel, Reorder, Reword

MAX_KNOWN = 64
"""Plans that are remembered: orders drawn for each question are mostly met once."""
WORDINGS: tuple[Template, ...] = (
    Template("{context}Question: {stem}\n{options}\nAnswer with the letter only.\nAnswer:", name="exam"),
    Template("{context}{stem}\n\nPick one:\n{options}\n\nYour choice:", name="pick one"),
    Template(
        "Choose the right option.\n\n{context}{stem}\n{options}\n\nReply with one of {labels}.\nReply:", name="reply"
    ),
)
"""Ways of asking, for an audit and the selftest."""


class Invariance(Property):
    """Answers must stay the same under a transform."""

    transform: Transform

    def __init__(self, transform: Transform, name: str) -> None:
        self.transform, self.name, self.title = transform, name, transform.title
        self.samples_the_orbit = "reorder:sample" in transform.spec()
        self.draws_fresh = self.samples_the_orbit and isinstance(transform, Reorder)
        self._known: dict[Hashable, tuple[Plan, Ways]] = {}

    def plan(self, question: Question, template: str | Template | None) -> Plan:
        """Plan the orbit; questions whose options are shown in the same orders share one plan."""
        if not isinstance(self.transform, Reorder):
            return self._whole(question, template)
        start = Presentation(question, template=template)
        orders = self.transform.orders(start, self.transform.design, origin_of(question))
        key = (orders, self.transform.moving(start), start.manner)
        known = self._known.get(key)
        if known is None:
            plan = self._whole(question, template)
            if len(self._known) < MAX_KNOWN:
                self._known[key] = plan, Ways(plan.probes)
            return plan
        plan, ways = known
        return dataclasses.replace(plan, question=question, probes=Showings(question, ways))

    def _whole(self, question: Question, template: str | Template | None) -> Plan:
        orbit = self.transform.orbit(question, template)
        balanced = self.transform.balanced_part(orbit) if isinstance(self.transform, Reorder) else None
        factors = self.transform.factors()
        places = _places(self.transform, orbit.as_written, len(factors)) if len(factors) > 1 else {}
        return Plan(
            question,
            tuple(Probe(shown, place=places.get(shown, ())) for shown in orbit),
            self.transform.describe(orbit),
            self.transform.spec_for(orbit.as_written),
            balanced,
            tuple(factor.title for factor in factors) if places else (),
        )

    def fresh(self, plan: Plan, salt: str) -> Plan:
        """Return the plan with other orders."""
        assert isinstance(self.transform, Reorder)  # noqa: S101 - `draws_fresh` says so
        written = plan.probes[0].presentation
        orders = self.transform.orders(written, "sample", f"{plan.question.content_hash}|{salt}")
        return dataclasses.replace(plan, probes=tuple(Probe(written.reordered(order)) for order in orders))

    def spec(self) -> str:
        """Return the transform's spec."""
        return self.transform.spec()


def _places(transform: Transform, start: Presentation, n: int) -> Mapping[Presentation, tuple[int, ...]]:
    """Return which variant of each of the `n` factors a presentation shows; the first variant met is 0."""
    numbers: list[dict[Changes, int]] = [{} for _ in range(n)]
    found: dict[Presentation, tuple[int, ...]] = {}
    for changes, shown in transform.placed(start):
        place = tuple(known.setdefault(one, len(known)) for known, one in zip(numbers, changes, strict=True))
        found.setdefault(shown, place)
    return found


class OptionOrder(Invariance):
    """The order of options must not matter."""

    name = "option_order"
    short = "order"
    says = "the answer, as content, stays the same under orders of the options"
    broken = "order-sensitive: the same question gets another answer when its options stand in another order"
    advice = "average over orders with symmetrized(model), or train on permuted options; docs/broken.md"
    assertion = "assert_order_symmetric"
    source = "Self-Assessment Tests are Unreliable Measures of LLM Personality"
    made_of = Reorder
    audits = MappingProxyType(
        {"order": Audited(by_default=True, of_decisions=True), "position": Audited("position_bias")}
    )
    selftests = MappingProxyType(
        {
            "order": SelfTest(
                broken="always_first always_last always_label content_blind position_prior=2 label_prior=2 noisy=0.3 "
                "pair_order_sensitive adjacency_sensitive",
                undecided="wrong_oracle stem_blind refuser uniform jitter tie_maker",
            ),
            "order tv": SelfTest(
                metric="tv",
                broken="always_first always_last always_label content_blind position_prior=0.5 position_prior=2 "
                "label_prior=0.5 label_prior=2 noisy=0.3 pair_order_sensitive adjacency_sensitive",
                undecided="wrong_oracle stem_blind refuser uniform jitter tie_maker",
            ),
            # their early and late choices cancel where correct answers are spread evenly
            "position": SelfTest(
                metric="position_bias",
                tolerance=0.1,
                broken="always_first always_last always_label position_prior=2 label_prior=2",
                undecided="wrong_oracle stem_blind content_blind refuser uniform jitter tie_maker",
            ),
            "likert": SelfTest(
                metric="score_gap",
                likert=True,
                options={"orders": "reversed"},
                broken="always_first always_last always_label content_blind position_prior=0.5 position_prior=2 "
                "label_prior=0.5 label_prior=2 noisy=0.3 pair_order_sensitive adjacency_sensitive",
                undecided="stem_blind refuser uniform jitter tie_maker acquiescent=0.8",
            ),
        }
    )

    def __init__(
        self, *, orders: Design = "auto", n: int | None = None, on_reference: OnReference = "leave_out"
    ) -> None:
        super().__init__(Reorder(orders, n, on_reference=on_reference), self.name)


class Prompt(Invariance):
    """The wording of instructions must not matter."""

    name = "prompt"
    says = "the answer, as content, stays the same under equivalent ways of asking"
    broken = "wording-sensitive: the same question gets another answer when it is asked in other words"
    advice = "ship with the wording that holds, or average over wordings; docs/broken.md"
    assertion = "assert_prompt_insensitive"
    source = "Self-Assessment Tests are Unreliable Measures of LLM Personality"
    made_of = Reword
    audits = MappingProxyType({"prompt": Audited(by_default=True)})
    selftests = MappingProxyType(
        {
            "prompt": SelfTest(
                broken="content_blind noisy=0.3 prompt_sensitive",
                undecided="always_first always_last always_label wrong_oracle stem_blind refuser uniform jitter tie_maker "
                "position_prior=2 label_prior=2",
            )
        }
    )

    def __init__(
        self, *, templates: Sequence[str | Template], orders: Design | None = None, n: int | None = None
    ) -> None:
        wording: Transform = Reword(templates)
        super().__init__(wording if orders is None else Product((wording, Reorder(orders, n))), self.name)

    @classmethod
    def usual(
        cls, questions: Sequence[Question], template: Template | None, **options: Any
    ) -> tuple[Self, Template | None]:
        """Return it for the given way of asking and three others."""
        del questions
        return cls(templates=(template or DEFAULT_TEMPLATE, *WORDINGS), **options), None


class Labels(Invariance):
    """What options are called must not matter."""

    name = "labels"
    says = "the answer, as content, stays the same whatever the options are called"
    broken = "label-sensitive: the same question gets another answer when its options have other letters or numbers"
    advice = "ship with one set of labels, or read the option's text (readout='option'); docs/broken.md"
    assertion = "assert_invariant"
    source = "Questioning the Survey Responses of Large Language Models"
    made_of = Relabel
    audits = MappingProxyType({"labels": Audited(by_default=True)})
    selftests = MappingProxyType(
        {
            "labels": SelfTest(
                broken="content_blind label_prior=2 noisy=0.3",
                undecided="always_first always_last always_label wrong_oracle stem_blind refuser uniform jitter tie_maker "
                "position_prior=2",
            )
        }
    )

    def __init__(
        self, *, label_sets: Sequence[Sequence[str]] = LABEL_SETS, on_reference: OnReference = "leave_out"
    ) -> None:
        super().__init__(Relabel(tuple(tuple(labels) for labels in label_sets), on_reference=on_reference), self.name)


def _laid_out() -> Control:
    """Right in the usual layout, wrong in every other."""
    right, wrong = oracle(), wrong_oracle()
    return Control("by layout", lambda p: (right if p.layout == DEFAULT_LAYOUT else wrong).respond(p))


class LayoutKept(Invariance):
    """How options are laid out must not matter."""

    name = "layout"
    says = "the answer, as content, stays the same however the options are laid out"
    broken = "layout-sensitive: the same question gets another answer when its options are set out in another way"
    advice = "ship with one layout and test that one, or train on several; docs/broken.md"
    assertion = "assert_invariant"
    source = "Quantifying Language Models' Sensitivity to Spurious Features in Prompt Design"
    made_of = Reformat
    audits = MappingProxyType({"layout": Audited(by_default=True)})
    selftests = MappingProxyType(
        {
            "layout": SelfTest(
                cases=(
                    Case("oracle", Verdict.HOLDS),
                    Case("by layout", Verdict.BROKEN, lambda: _laid_out()),
                    Case("refuser", Verdict.UNDECIDED),
                )
            )
        }
    )

    def __init__(self, *, layouts: Sequence[Layout] = LAYOUTS) -> None:
        super().__init__(Reformat(tuple(layouts)), self.name)
