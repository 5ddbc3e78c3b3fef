"""Answers whose number and words contradict each other are counted apart, where a user looks."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pytest_llminvariance import Presentation, Question, Template, Verdict, check
from pytest_llminvariance.models.protocol import Capability, Reply, Request, TextReply
from pytest_llminvariance.report.failure import failure_message
from pytest_llminvariance.report.terminal import finding_line

LIKE = ["Very like me", "Like me", "Somewhat like me", "Not very like me", "Not like me"]
DIGITS = Template("{stem}\n{options}\nAnswer:", labels=("1", "2", "3", "4", "5"))


class Rater:
    """Says `Not like me`, after the number of another option where one of `wrong` is shown first."""

    name, fingerprint = "rater", "rater"
    capabilities: frozenset[Capability] = frozenset({"text"})

    def __init__(self, wrong: Sequence[int]) -> None:
        self.wrong = wrong

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        return [self._reply(request.presentation) for request in requests]

    def _reply(self, shown: Presentation) -> Reply:
        other = shown.labels[0 if shown.order[0] != 4 else 1]
        said = f"{other} - Not like me" if shown.order[0] in self.wrong else "Not like me"
        return TextReply(said, f"{shown}")


ITEMS = [Question(f"I am like {n}.", LIKE) for n in range(8)]


@pytest.mark.parametrize("wrong", [range(5), (1,)])
def test_answers_whose_number_and_words_disagree_are_counted_apart(wrong: Sequence[int]) -> None:
    finding = check("option_order", Rater(wrong), ITEMS, tolerance=0.05, orders="cyclic", template=DIGITS)
    assert finding.verdict is Verdict.UNDECIDED
    n, whole = finding.details["readings"]["unparsed: number and words disagree"], finding.presentations_asked
    (guard,) = [guard for guard in finding.guards if guard.name == "contradictions"]
    told = f"number and words disagree in {n} of {whole} answers ({n / whole:.0%}), which are unparsed"
    assert (guard.text, guard.passed) == (told, None)
    assert finding_line(finding.summary()).endswith(f" - {told}")
    assert f"  unread:  {told}" in failure_message(finding, None)
    causes = {cause for row in finding.per_question for cause in row.causes}
    assert causes == {"number and words disagree"}
    assert n == len(wrong) * len(ITEMS)
    if len(wrong) == 1:
        assert f"number and words disagree {n / whole:.0%} of answers" in finding.reasons[0]


def test_answers_without_a_contradiction_are_not_mentioned() -> None:
    finding = check("option_order", Rater(()), ITEMS, tolerance=0.05, orders="cyclic", template=DIGITS)
    assert "contradictions" not in {guard.name for guard in finding.guards}
    assert "disagree" not in finding_line(finding.summary()) + failure_message(finding, None)
