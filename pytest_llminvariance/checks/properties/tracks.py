"""An edit that changes the meaning must change the answer."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pytest_llminvariance.checks.properties.base import Audited, Plan, Property, SelfTest
from pytest_llminvariance.errors import QuestionError, UsageError
from pytest_llminvariance.models.probes import Probe
from pytest_llminvariance.questions.decision import DecisionQuestion, decision_of
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question, as_questions
from pytest_llminvariance.questions.template import Template
from pytest_llminvariance.transforms.edits import same_contents
from pytest_llminvariance.transforms.must_change import BankOptions, must_change


class Tracking(Property):
    """Answers follow the meaning; the metric counts those that stayed.

    Without `edits` they are made from the questions that are asked and whose answers are known: a statement is negated,
    the right option replaced by a foreign one beside "None of these", a number changed (`transforms/must_change`).
    """

    name = "tracks"
    title = "tracking of answer-changing edits"
    says = "an edit that changes the meaning changes the answer"
    broken = "blind to changes: the answer stays although the question now asks for something else"
    advice = "the model does not follow the edit: look at the example first, then at the prompt; docs/broken.md"
    assertion = "assert_tracks"
    source = "Alice in Wonderland: Simple Tasks Showing Complete Reasoning Breakdown in State-Of-the-Art Large Language Models"
    metric = "unchanged"
    needs_response = False
    audits = MappingProxyType({"tracks": Audited(by_default=True)})
    selftests = MappingProxyType(
        {
            "tracks": SelfTest(
                broken="always_first always_last always_label stem_blind content_blind position_prior=2 label_prior=2 "
                "noisy=0.3",
                undecided="wrong_oracle refuser uniform jitter tie_maker",
            )
        }
    )

    def __init__(self, *, edits: Sequence[tuple[Question, Question] | Question] | None = None) -> None:
        self._makes_edits = edits is None
        self.given = tuple(edits or ())
        """Pairs, and questions of which edits are made."""
        options = BankOptions(one for one in self.given if isinstance(one, Question))
        pairs = [pair for edit in self.given for pair in _pairs(edit, options)]
        if not pairs and edits is not None:
            raise UsageError("edits is empty, but tracking needs at least one pair (question, edited question)")
        self.edits: Mapping[str, Question] = {before.content_hash: after for before, after in pairs}
        """Edited question by content hash of the one that it was made from."""
        self.questions = tuple(before for before, _ in pairs)

    def asked(self, questions: Any) -> Any:
        """Return the questions that are asked before their edits; where no edit can be made, the first as it is."""
        if not self._makes_edits:
            return self.questions if questions is self.given else questions
        given = as_questions(questions)
        options = BankOptions(given)
        pairs = [pair for question in given for pair in must_change(question, options)]
        self.edits = {before.content_hash: after for before, after in pairs}
        return tuple(before for before, _ in pairs) or given[:1]

    def plan(self, question: Question, template: str | Template | None) -> Plan:
        """Plan the question and its edit, both in the question's order: else a model that only looks at places would follow."""
        edited = self.edits.get(question.content_hash)
        if edited is None and self._makes_edits:
            return Plan(question, (Probe(Presentation(question, template=template)),), "no edit", "tracks:none")
        if edited is None:
            raise QuestionError(f"question {question.name!r} has no edit. Give questions and edits in pairs")
        after = edited
        answer = None if edited.answer is None else edited.options[edited.answer]
        if isinstance(question, DecisionQuestion):
            fields: dict[str, Any] = {"stem": edited.stem, "id": edited.id, "context": edited.context, "answer": answer}
            after = dataclasses.replace(
                question, **fields, structured=decision_of(edited).structured, beside=(), place=0
            )
        elif not same_contents(question, edited) or edited.options == question.options:
            after = Question(edited.stem, question.options, id=edited.id, context=edited.context, answer=answer)
        shown = (Presentation(question, template=template), Presentation(after, template=template))
        return Plan(question, tuple(map(Probe, shown)), "1 edit", f"tracks:{edited.content_hash[:12]}")

    def spec(self) -> str:
        """Return the edits' hashes."""
        return "tracks:" + ",".join(edited.content_hash[:12] for edited in self.edits.values())


def _pairs(edit: object, options: BankOptions) -> list[tuple[Question, Question]]:
    """Return a pair as it is, or every edit of a question."""
    if not isinstance(edit, Question):
        return [_checked_edit(edit)]
    made = list(must_change(edit, options))
    if not made:
        raise QuestionError(
            f"question {edit.name!r} has no known answer, so no edit of it is known to change it. Give a pair"
        )
    return made


def _checked_edit(edit: object) -> tuple[Question, Question]:
    if not (isinstance(edit, tuple | list) and len(edit) == 2 and all(isinstance(part, Question) for part in edit)):
        raise UsageError(f"edits holds {edit!r}, but must hold pairs (question, edited question)")
    before, after = edit
    if set(before.options) != set(after.options):
        raise QuestionError(
            f"the edit of {before.name!r} has other options, so answers cannot be compared. Keep the set of options"
        )
    if (before.stem, before.context) == (after.stem, after.context):
        raise QuestionError(
            f"the edit of {before.name!r} changes neither stem nor context, so the answer need not change"
        )
    if (
        before.answer is not None
        and after.answer is not None
        and before.options[before.answer] == after.options[after.answer]
    ):
        raise QuestionError(
            f"the edit of {before.name!r} has the same correct answer {before.options[before.answer]!r}, so the answer need not change"
        )
    return before, after
