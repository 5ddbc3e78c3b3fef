"""An edit that changes the meaning must change the answer."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import Any, Self

from pytest_llminvariance.checks.properties.base import Plan, Probe, Property, SelfTest
from pytest_llminvariance.errors import QuestionError, UsageError
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.questions.template import Template


class Tracking(Property):
    """Answers follow the meaning; the metric counts those that stayed."""

    name = "tracks"
    title = "tracking of answer-changing edits"
    says = "an edit that changes the meaning changes the answer"
    broken = "blind to changes: the answer stays although the question now asks for something else"
    advice = "the model does not follow the edit: look at the example first, then at the prompt; docs/broken.md"
    assertion = "assert_tracks"
    source = "Alice in Wonderland: Simple Tasks Showing Complete Reasoning Breakdown in State-Of-the-Art Large Language Models"
    metric = "unchanged"
    needs_response = False
    selftests = MappingProxyType(
        {
            "tracks": SelfTest(
                broken="always_first always_last always_label stem_blind content_blind position_prior=2 label_prior=2 "
                "noisy=0.3",
                undecided="wrong_oracle refuser uniform jitter tie_maker",
            )
        }
    )

    def __init__(self, *, edits: Sequence[tuple[Question, Question]]) -> None:
        pairs = [_checked_edit(edit) for edit in edits]
        if not pairs:
            raise UsageError("edits is empty, but tracking needs at least one pair (question, edited question)")
        self.edits = MappingProxyType({before.content_hash: after for before, after in pairs})
        """Edited question by content hash of the one that it was made from."""

    @classmethod
    def usual(
        cls, questions: Sequence[Question], template: Template | None, **options: Any
    ) -> tuple[Self, Template | None]:
        """Return it with an edit of each question after which another option is correct: for the selftest."""
        edits = [
            (
                question,
                Question(
                    f"Not so: {question.stem}", question.options, id=f"{question.id}-edit",
                    answer=((question.answer or 0) + 1 + number % 3) % len(question.options),
                ),
            )
            for number, question in enumerate(questions)
        ]  # fmt: skip
        return cls(edits=edits, **options), template

    def plan(self, question: Question, template: str | Template | None) -> Plan:
        """Plan the question and its edit, both in the question's order: else a model that only looks at places would follow."""
        if question.content_hash not in self.edits:
            raise QuestionError(f"question {question.name!r} has no edit. Give questions and edits in pairs")
        edited = self.edits[question.content_hash]
        answer = None if edited.answer is None else edited.options[edited.answer]
        after = Question(edited.stem, question.options, id=edited.id, context=edited.context, answer=answer)
        shown = (Presentation(question, template=template), Presentation(after, template=template))
        return Plan(question, tuple(map(Probe, shown)), "1 edit", f"tracks:{edited.content_hash[:12]}")

    def spec(self) -> str:
        """Return the edits' hashes."""
        return "tracks:" + ",".join(edited.content_hash[:12] for edited in self.edits.values())


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
