"""What holds under a tolerance holds under every larger one; a model that does not read, or reads less than it flips, under none."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import pytest

from pytest_llminvariance import Presentation, Question, Verdict, check, controls
from pytest_llminvariance.gate.decision import under_tolerance
from pytest_llminvariance.records.judge import judge, parse_changes
from pytest_llminvariance.records.record import load
from tests.checks.test_asked import recorded

EXAM = [Question(f"What is {i}?", [f"{i}-{c}" for c in "dacb"], answer=i % 4) for i in range(60)]
OWN = {question.options[0]: (number, question) for number, question in enumerate(EXAM)}


def reader(moves: int, flips: int = 0) -> controls.Control:
    """Knows the exam; of 20 questions it takes another answer under a foreign stem in `moves`, and in turned orders in `flips`."""

    def respond(p: Presentation) -> Sequence[float]:
        number, own = OWN[min(p.question.options, key=lambda text: "dacb".index(text[-1]))]
        shift = int(p.question.stem != own.stem and number % 20 < moves)
        shift = 2 if number % 20 < flips and p.order != tuple(range(4)) and not shift else shift
        right = ((own.answer or 0) + shift) % 4
        return [0.97 if content == right else 0.01 for content in p.order]

    return controls.Control(f"reader {moves} {flips}", respond)


def verdict(model: controls.Control, tolerance: float) -> Verdict:
    return check("option_order", model, EXAM, tolerance=tolerance, orders="reversed").verdict


@pytest.mark.parametrize("tolerance", [0.05, 0.1, 0.2, 0.4, 0.6])
def test_a_verdict_that_holds_does_not_end_with_a_larger_tolerance(tolerance: float) -> None:
    assert verdict(reader(4), tolerance) is Verdict.HOLDS
    assert verdict(reader(0), tolerance) is Verdict.UNDECIDED
    assert verdict(reader(1), tolerance) is Verdict.UNDECIDED


def test_more_movement_is_needed_where_more_answers_change() -> None:
    assert verdict(reader(6, flips=5), 0.05) is Verdict.BROKEN
    assert verdict(reader(6, flips=5), 0.4) is Verdict.UNDECIDED
    assert verdict(reader(14, flips=5), 0.4) is Verdict.HOLDS


@pytest.mark.parametrize("limit", [None, 0.05])
def test_a_record_that_holds_is_judged_so_under_larger_tolerances(limit: float | None, tmp_path: Path) -> None:
    read = recorded(tmp_path / "reads", reader(8), limit=limit, questions=EXAM)
    blind = recorded(tmp_path / "blind", reader(0), limit=limit, questions=EXAM)
    for place, wanted in ((read, Verdict.HOLDS), (blind, Verdict.UNDECIDED)):
        record = load(place)
        (stored,) = record.findings
        assert stored.verdict is wanted, stored.reasons
        for tolerance in ("0.1", "0.4", "0.6"):
            (again,) = judge(record, parse_changes([tolerance], []))
            assert again.row is not None, again.thin
            assert again.row.verdict is wanted, (tolerance, again.row.reasons)
            assert under_tolerance(stored, Fraction(tolerance))[0] is wanted
