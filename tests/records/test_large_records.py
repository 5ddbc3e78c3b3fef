"""Records of many answers: small lines, packed files, nothing written twice, and records of before lines were small."""

from __future__ import annotations

import json
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest

from pytest_llminvariance import Question, Verdict
from pytest_llminvariance.checks.properties import as_property
from pytest_llminvariance.checks.sheet import Sheet
from pytest_llminvariance.cli.auditing import AuditPlan, run_audit
from pytest_llminvariance.errors import RecordError
from pytest_llminvariance.gate.comparison import compare_runs
from pytest_llminvariance.records import directory, lines
from pytest_llminvariance.records.answers import readable_answers
from pytest_llminvariance.records.judge import judge, parse_changes
from pytest_llminvariance.records.record import load
from pytest_llminvariance.records.sheets import SheetWriter, sheet_from
from pytest_llminvariance.report.formats import FORMATS, report_text

BEFORE = Path(__file__).parent / "record_of_before"
QUESTIONS = tuple(
    Question(f"Which of these is number {n}?", [f"{word} {n}" for word in ("red", "blue", "green", "grey")], id=f"q{n}", answer=n % 4)
    for n in range(12)
)  # fmt: skip


def audited(place: Path, properties: tuple[str, ...] = ("order",), model: str = "control:noisy=0.3") -> Path:
    run_audit(AuditPlan(spec=model, questions=QUESTIONS, properties=properties), place)
    return place


@pytest.fixture
def packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pack everything, in blocks of a few lines."""
    monkeypatch.setattr(directory, "PACK_FROM", 1)
    monkeypatch.setattr(lines, "BLOCK", 3_000)


@pytest.mark.usefixtures("packs")
def test_a_packed_record_says_what_a_plain_one_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    packed = audited(tmp_path / "packed", ("order", "labels"))
    monkeypatch.setattr(directory, "PACK_FROM", 1 << 40)
    plain = audited(tmp_path / "plain", ("order", "labels"))
    names = [{path.name for path in place.iterdir()} for place in (packed, plain)]
    assert names[0] - names[1] == {"answers.jsonl.gz", "sheets.jsonl.gz"}
    assert names[1] - names[0] == {"answers.jsonl", "sheets.jsonl"}
    one, other = load(packed), load(plain)
    assert list(one.answers()) == list(other.answers())
    for finding in other.findings:
        assert list(one.answers(finding.id)) == list(other.answers(finding.id))
        sheets = [record.sheet(finding.id) for record in (one, other)]
        assert [sheet and (sheet.plans, sheet.foreign) for sheet in sheets] == 2 * [
            sheets[0] and (sheets[0].plans, sheets[0].foreign)
        ]
    assert all(item.row == item.stored for item in judge(one))
    assert [item.row for item in judge(one, parse_changes(["0.5"], []))] == [
        item.row for item in judge(other, parse_changes(["0.5"], []))
    ]
    (packed / "run.json").write_bytes((plain / "run.json").read_bytes())  # of another moment
    for form in ("html", "markdown"):
        assert report_text(FORMATS[form], packed) == report_text(FORMATS[form], plain)
    same = compare_runs(one, other, margin=Fraction(1, 50))
    assert same.outcome is not Verdict.BROKEN
    assert same.checks[0].flips is not None


@pytest.mark.usefixtures("packs")
def test_an_audit_goes_on_with_a_packed_record(tmp_path: Path) -> None:
    audited(tmp_path / "a")
    n = load(tmp_path / "a").n_answers()
    audited(tmp_path / "a", ("order", "labels"))
    record = load(tmp_path / "a")
    assert record.n_answers() > n
    assert not (tmp_path / "a" / "answers.jsonl").exists()
    assert all(item.row == item.stored for item in judge(record))


@pytest.mark.usefixtures("packs")
@pytest.mark.parametrize("part", [0.1, 0.5, 0.99])
def test_a_packed_file_that_is_damaged_is_refused_and_said(tmp_path: Path, part: float) -> None:
    file = audited(tmp_path / "a") / "answers.jsonl.gz"
    n_answers = load(tmp_path / "a").n_answers()
    data = file.read_bytes()
    file.write_bytes(data[: int(part * len(data))])
    with pytest.raises(
        RecordError, match=r"answers\.jsonl\.gz is damaged: it ends in the middle\. Run the checks again"
    ):
        judge(load(tmp_path / "a"))
    answers, notes = readable_answers(tmp_path / "a")
    assert notes == ("1 unreadable line of answers.jsonl left out.",)
    assert len(answers) < n_answers
    file.write_bytes(b"no gzip at all")
    with pytest.raises(RecordError, match=r"answers\.jsonl\.gz is damaged: "):
        judge(load(tmp_path / "a"))


@pytest.mark.usefixtures("packs")
def test_an_answer_takes_less_than_200_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "BLOCK", 1 << 18)
    place = audited(tmp_path / "a")
    size = sum(file.stat().st_size for file in place.glob("*.gz"))
    assert size / load(place).n_answers() < 200


def test_a_sheet_that_grows_is_written_once() -> None:
    made = as_property("option_order", {})
    plans = [made.plan(question, "{stem} {options}") for question in QUESTIONS]
    writer, rows = SheetWriter(), []
    for n in (1, 4, 9, 12):
        sheet = Sheet(
            property=made, metric="tv", tolerance=Fraction(1, 3), readout="label", model="m", fingerprint="f",
            plans=tuple(plans[:n]), delta_nats=1e-4,
        )  # fmt: skip
        rows += json.loads(json.dumps(list(writer.lines(sheet))))
        back = sheet_from(rows)
        assert back is not None
        assert back.plans == sheet.plans
    assert Counter("question" in row for row in rows) == {True: 12, False: 2}
    assert len(json.dumps(rows[-1])) < 250, "a question and where its way of showing stands"


def test_a_record_of_before_lines_were_small_is_read() -> None:
    assert '"questions": [' in (BEFORE / "sheets.jsonl").read_text()
    record = load(BEFORE)
    judged = judge(record)
    assert len(judged) == 2
    assert {finding.schema_version for finding in record.findings} == {1}
    for item in judged:
        assert item.row is not None
        for name in ("verdict", "effect", "per_question", "count", "example", "decision", "details"):
            assert getattr(item.row, name) == getattr(item.stored, name)
    assert record.n_answers() == len(list(record.answers())) > 20
    assert "always_first" in report_text(FORMATS["html"], BEFORE)
    compared = compare_runs(record, record, margin=Fraction(1, 50))
    assert all(item.flips is not None for item in compared.checks)


def test_an_answer_that_its_sheet_does_not_ask_for_is_refused(tmp_path: Path) -> None:
    file = audited(tmp_path / "a") / "answers.jsonl"
    first, *rest = file.read_text().splitlines(keepends=True)
    file.write_text("".join([first.replace('"index": [0, 0]', '"index": [12, 0]'), *rest]))
    with pytest.raises(RecordError, match=r"answers\.jsonl, line 1 is no answer that the sheet of its check asks for"):
        list(load(tmp_path / "a").answers())
    assert readable_answers(tmp_path / "a")[1] == ("1 unreadable line of answers.jsonl left out.",)
