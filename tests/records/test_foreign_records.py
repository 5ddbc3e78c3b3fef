"""Foreign stems in a record: what was asked is judged again to the same bytes, and older records are read as they are."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import pytest

from pytest_llminvariance import Question
from pytest_llminvariance.cli.auditing import AuditPlan, run_audit
from pytest_llminvariance.records.judge import Changes, judge
from pytest_llminvariance.records.record import load

TEAMS = ("billing", "shipping", "returns")
SUITES = {
    "contrasting": [Question(f"Is {i} odd?", ["yes", "no"], answer="yes" if i < 2 else "no") for i in range(30)],
    "packaged": [Question(f"Is {i} fatal?", ["yes", "no"], answer="no") for i in range(14)],
    "alternating": [Question(f"How often is {i}?", TEAMS) for i in range(14)],
    "other order": [Question(f"Is {i} odd?", ["yes", "no"][:: 1 - i % 2 * 2], answer=i // 2 % 2) for i in range(14)],
    "few": [Question(f"Ticket {i}?", TEAMS, answer=i) for i in range(3)],
}


@pytest.mark.parametrize("kind", SUITES)
def test_an_exhaustive_check_is_judged_again_to_the_same_bytes(kind: str, tmp_path: Path) -> None:
    for spec in ("control:oracle", "control:stem_blind"):
        told = AuditPlan(spec=spec, questions=tuple(SUITES[kind]), properties=("order", "position"))
        record = run_audit(told, tmp_path / spec)
        assert all(item.row == item.stored for item in judge(record))
        texts = [guard.text for row in record.findings for guard in row.guards if guard.name == "responsive"]
        assert len(texts) == 2
        wider = judge(record, Changes(tolerances={"*": Fraction(2, 5)}))
        for item in wider:
            assert item.row is not None
            (text,) = [guard.text for guard in item.row.guards if guard.name == "responsive"]
            assert "must exceed 0." in text or ("not asked as far as" in text and item.row.verdict == "UNDECIDED")


def test_a_check_that_stopped_is_judged_again_to_the_same_bytes(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest
        from pytest_llminvariance import Question, assert_order_symmetric

        RARE = [Question(f"Is {i} spam?", ["yes", "no"], answer="yes" if i < 9 else "no") for i in range(300)]

        @pytest.mark.parametrize("tolerance", [0.1, 0.3])
        def test_order(invariance_model, tolerance):
            assert_order_symmetric(invariance_model, RARE, tolerance=tolerance)
        """
    )
    flags = ("--invariance-report=rec", "--invariance-risk-limit=0.05", "-p", "no:cacheprovider")
    pytester.runpytest("--invariance-model=control:oracle", *flags).assert_outcomes(passed=2)
    record = load(pytester.path / "rec")
    assert {row.decision.method for row in record.findings if row.decision} == {"sequential"}
    assert all(item.row == item.stored for item in judge(record))


def test_a_record_from_before_answers_of_foreign_stems_were_known_is_read(tmp_path: Path) -> None:
    told = AuditPlan(spec="control:oracle", questions=tuple(SUITES["few"]), properties=("order",))
    run_audit(told, tmp_path / "rec")
    file = tmp_path / "rec" / "sheets.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for row in rows:
        for shown in row.get("foreign", ()):
            shown["question"]["answer"] = None
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (item,) = judge(load(tmp_path / "rec"))
    assert item.row is not None
    assert item.row.verdict == item.stored.verdict
