"""What must not matter to a decision model: names, company, order of questions, state; and, asked for alone, direction."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, Self

from pytest_llminvariance.checks.properties.base import Audited
from pytest_llminvariance.checks.properties.invariance import Invariance
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.questions.template import Template
from pytest_llminvariance.transforms.decisions import (
    AddField,
    Isolate,
    NameOptions,
    ReorderQuestions,
    ReverseLevels,
)

WIRE = "the published interfaces of decision models"


class OptionNames(Invariance):
    """What options are called must not matter where a description says what they mean."""

    name = "option_names"
    says = "the answer stays the same with names alone, descriptions alone, or neutral names with the descriptions"
    advice = "say in the description what the name says, or ship with the names that hold; docs/decisions.md"
    assertion = "assert_invariant"
    source = WIRE
    made_of = NameOptions
    audits = MappingProxyType({"names": Audited()})

    def __init__(self, *, ways: Sequence[str] = NameOptions().ways) -> None:
        super().__init__(NameOptions(tuple(ways)), self.name)


class StateField(Invariance):
    """A field that the question is not about must not matter."""

    name = "state_field"
    says = "the answer stays the same with a field in the state that the question is not about"
    advice = "send only the fields that questions are about; docs/decisions.md"
    assertion = "assert_invariant"
    source = WIRE
    made_of = AddField
    audits = MappingProxyType({"field": Audited(of_decisions=True)})

    def __init__(self, *, fields: dict[str, Any] | None = None) -> None:
        super().__init__(AddField() if fields is None else AddField(fields), self.name)


class _InCompany(Invariance):
    """About several questions in one request; it needs to know them all."""

    @classmethod
    def usual(
        cls, questions: Sequence[Question], template: Template | None, **options: Any
    ) -> tuple[Self, Template | None]:
        """Return it about the questions of the suite."""
        make: Any = cls
        return make(questions=questions, **options), template


class Isolation(_InCompany):
    """Which other questions a request holds must not matter."""

    name = "isolation"
    says = "the answer stays the same alone and in one request with other questions about the same state"
    advice = "send one question a request; docs/decisions.md"
    assertion = "assert_invariant"
    source = WIRE
    made_of = Isolate
    audits = MappingProxyType({"isolation": Audited(of_decisions=True)})

    def __init__(self, *, questions: Sequence[Question], together: int = 8) -> None:
        super().__init__(Isolate(questions, together), self.name)


class QuestionOrder(_InCompany):
    """The order of questions in a request must not matter."""

    name = "question_order"
    says = "the answer stays the same under orders of the questions of one request"
    advice = "send one question a request, or always in the order that was tested; docs/decisions.md"
    assertion = "assert_invariant"
    source = WIRE
    made_of = ReorderQuestions
    audits = MappingProxyType({"questions": Audited(of_decisions=True)})

    def __init__(self, *, questions: Sequence[Question], together: int = 8) -> None:
        super().__init__(ReorderQuestions(questions, together), self.name)


class LevelDirection(Invariance):
    """The direction in which levels are listed must not matter; asked for by name only."""

    name = "level_direction"
    says = "the answer stays the same with the levels of a score listed from the highest to the lowest"
    advice = "always list levels in the direction that was tested; docs/decisions.md"
    assertion = "assert_invariant"
    source = WIRE
    made_of = ReverseLevels
    audits = MappingProxyType({"levels": Audited()})

    def __init__(self) -> None:
        super().__init__(ReverseLevels(), self.name)
