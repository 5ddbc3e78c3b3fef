"""What must not matter to a decision model: names, company, order of questions, state; and, asked for alone, direction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self

from pytest_llminvariance.checks.properties.base import Audited, Case, SelfTest
from pytest_llminvariance.checks.properties.invariance import Invariance
from pytest_llminvariance.checks.verdict import Verdict
from pytest_llminvariance.models.controls import Control
from pytest_llminvariance.models.decision_wire import request_body
from pytest_llminvariance.questions.decision import DecisionQuestion, decision_of
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
TONES = {"calm": "A polite message", "pushy": "Presses the reader", "sad": "Sounds unhappy"}
STATE = {"message": "WIN a FREE phone", "words": 4}
BANK = tuple(
    DecisionQuestion(f"What is the tone of part {n}?", TONES, id=f"tone-{n}", context=STATE, answer=n % 2)
    for n in range(6)
)
LEVELS = tuple(
    DecisionQuestion(
        f"How urgent is part {n}?",
        ("low", "middle", "high"),
        kind="score",
        id=f"urgent-{n}",
        context=STATE,
        answer=n % 2,
    )
    for n in range(6)
)
Sees = Callable[[Mapping[str, Any], DecisionQuestion], bool]
"""Whether something in a request, or in the question that it is about, moves a control."""


def _decides(name: str, sees: Sees) -> Control:
    """Content-fixed, but for what it sees: the next content then."""

    def respond(p: Any) -> Sequence[float]:
        asked, k = decision_of(p.question), len(p.order)
        best = (len(asked.stem) if asked.answer is None else asked.answer) + sees(request_body(p), asked)
        return [0.9 if content == best % k else 0.1 / (k - 1) for content in p.order]

    return Control(name, respond, frozenset({"decision"}))


def _selftest(name: str, sees: Sees, bank: tuple[DecisionQuestion, ...]) -> SelfTest:
    """Return a line of the selftest: a model that is moved by nothing, one that is moved, and one that decides nothing."""
    return SelfTest(
        bank=bank,
        cases=(
            Case("fair", Verdict.HOLDS, lambda: _decides("fair", lambda _, __: False)),
            Case(name, Verdict.BROKEN, lambda: _decides(name, sees)),
            Case(
                "refuser",
                Verdict.UNDECIDED,
                lambda: Control("refuses", lambda p: [0.0] * len(p.order), frozenset({"decision"})),
            ),
        ),
    )


class OptionNames(Invariance):
    """What options are called must not matter where a description says what they mean."""

    name = "option_names"
    says = "the answer stays the same with names alone, descriptions alone, or neutral names with the descriptions"
    advice = "say in the description what the name says, or ship with the names that hold; docs/decisions.md"
    assertion = "assert_invariant"
    source = WIRE
    made_of = NameOptions
    audits = MappingProxyType({"names": Audited()})
    selftests = MappingProxyType(
        {"option names": _selftest("by name", lambda _, asked: asked.options[0] == "option_1", BANK)}
    )

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
    selftests = MappingProxyType({"state field": _selftest("by fields", lambda body, _: len(body["state"]) > 2, BANK)})

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
        return make(bank=questions, **options), template


class Isolation(_InCompany):
    """Which other questions a request holds must not matter."""

    name = "isolation"
    says = "the answer stays the same alone and in one request with other questions about the same state"
    advice = "send one question a request; docs/decisions.md"
    assertion = "assert_invariant"
    source = WIRE
    made_of = Isolate
    audits = MappingProxyType({"isolation": Audited(of_decisions=True)})
    selftests = MappingProxyType(
        {"isolation": _selftest("by company", lambda body, _: len(body["questions"]) > 1, BANK)}
    )

    def __init__(self, *, bank: Sequence[Question], together: int = 8) -> None:
        super().__init__(Isolate(bank, together), self.name)


class QuestionOrder(_InCompany):
    """The order of questions in a request must not matter."""

    name = "question_order"
    says = "the answer stays the same under orders of the questions of one request"
    advice = "send one question a request, or always in the order that was tested; docs/decisions.md"
    assertion = "assert_invariant"
    source = WIRE
    made_of = ReorderQuestions
    audits = MappingProxyType({"questions": Audited(of_decisions=True)})
    selftests = MappingProxyType({"question order": _selftest("by place", lambda _, asked: asked.place == 0, BANK)})

    def __init__(self, *, bank: Sequence[Question], together: int = 8) -> None:
        super().__init__(ReorderQuestions(bank, together), self.name)


class LevelDirection(Invariance):
    """The direction in which levels are listed must not matter; asked for by name only."""

    name = "level_direction"
    says = "the answer stays the same with the levels of a score listed from the highest to the lowest"
    advice = "always list levels in the direction that was tested; docs/decisions.md"
    assertion = "assert_invariant"
    source = WIRE
    made_of = ReverseLevels
    audits = MappingProxyType({"levels": Audited()})
    selftests = MappingProxyType(
        {
            "level direction": _selftest(
                "by direction", lambda body, _: next(iter(body["questions"].values()))["criteria"][0] == "high", LEVELS
            )
        }
    )

    def __init__(self) -> None:
        super().__init__(ReverseLevels(), self.name)
