"""Records of many answers: small lines, packed files, nothing written twice, and records of before lines were small."""

from __future__ import annotations

import json
import pickle
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import pytest

from pytest_llminvariance import Question, Verdict
from pytest_llminvariance.checks.properties import as_property
from pytest_llminvariance.checks.sheet import Sheet
from pytest_llminvariance.checks.verdict import SCHEMA_VERSION
from pytest_llminvariance.cli.auditing import AuditPlan, run_audit
from pytest_llminvariance.errors import RecordError
from pytest_llminvariance.gate.comparison import compare_runs
from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.measures.metrics import DELTA_NATS
from pytest_llminvariance.questions.decision import DecisionQuestion
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.records import directory, lines
from pytest_llminvariance.records.answers import readable_answers
from pytest_llminvariance.records.judge import judge, parse_changes
from pytest_llminvariance.records.record import load
from pytest_llminvariance.records.shapes import check_shape
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


def decisions() -> list[Question]:
    """Questions for decision models, some with company, descriptions or a state, and a plain one among them."""
    state = {"n": 1}
    rank = DecisionQuestion("S?", ("a", "b", "c"), kind="score", context=state)
    told = DecisionQuestion("Q?", {"a": "x", "b": None, "c": "z"}, context=state, id="q")
    company = DecisionQuestion("R?", ("a", "b", "c"), context=state, beside=[rank, told], place=1)
    return [told, company, rank, Question("P?", ("a", "b", "c"), context="c", answer=0)]


@pytest.mark.parametrize("asked", decisions(), ids=lambda question: question.name)
@pytest.mark.parametrize("strange", decisions(), ids=lambda question: question.name)
def test_a_sheet_tells_questions_of_any_kind_by_what_differs(asked: Question, strange: Question) -> None:
    """What another question lacks, as its kind, descriptions or company, is not taken from the one that is asked."""
    made, way = as_property("labels", {}), "{context}{stem} {options}"
    shown = (Presentation(strange, template=way), Presentation(asked.under(strange), template=way))
    sheet = Sheet(
        property=made, metric="tv", tolerance=Fraction(1, 3), readout="label", model="m", fingerprint="f",
        plans=tuple(made.plan(question, way) for question in (asked, strange)), foreign=(shown, shown[::-1]), delta_nats=1e-4,
    )  # fmt: skip
    rows = json.loads(json.dumps(list(SheetWriter().lines(sheet)), allow_nan=False))
    for row in rows:
        check_shape("sheet", {"check": "c", **row}, "here")
    back = sheet_from(rows)
    assert back is not None
    assert (back.plans, back.foreign) == (sheet.plans, sheet.foreign)
    hashes = [[plan.question.content_hash for plan in one.plans] for one in (back, sheet)]
    assert hashes[0] == hashes[1]


def test_questions_of_another_kind_have_another_hash() -> None:
    plain, *others = (
        Question("Q?", ("a", "b")),
        *(
            DecisionQuestion("Q?", ("a", "b"), **more)
            for more in ({"kind": "score"}, {"descriptions": ("x", None)}, {"beside": [Question("R?", ("a", "b"))]})
        ),
    )
    assert DecisionQuestion("Q?", ("a", "b")).content_hash == plain.content_hash
    assert len({question.content_hash for question in (plain, *others)}) == 4
    for question in (plain, *others):
        again = pickle.loads(pickle.dumps(question))
        assert (again, hash(again), again.content_hash) == (question, hash(question), question.content_hash)


@pytest.mark.parametrize(
    "answer",
    [
        AnswerDistribution.from_label_logprobs((-0.1, -0.105, -9.0), (0, 1, 2)),
        AnswerDistribution.from_label_logprobs((-0.5, -0.9, -9.0), (0, 1, 2), unlisted=0.3),
        AnswerDistribution.nothing(3, "missing", said="time-out"),
        AnswerDistribution.nothing(3, "missing", said="refused by the server"),
        AnswerDistribution.from_label_logprobs((-0.1, -3.0, -9.0), (2, 0, 1)),
    ],
)
def test_what_is_left_of_a_measured_answer_says_what_guards_ask(answer: AnswerDistribution) -> None:
    """Whether noise makes a tie, what a server did not tell, and why nothing came, are said by guards of a judged record."""
    left = answer.without_numbers(0.01)
    assert [left.outcomes(delta) for delta in (0.01, DELTA_NATS)] == [answer.outcomes(d) for d in (0.01, DELTA_NATS)]
    kept = ("status", "reading", "said", "is_known", "contradiction", "k", "unlisted")
    assert [getattr(left, name) for name in kept] == [getattr(answer, name) for name in kept]


@pytest.mark.parametrize("packed", [False, True])
def test_a_reader_that_stops_leaves_no_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, packed: bool
) -> None:
    """An error keeps the place where it stopped, and so would keep a file."""
    monkeypatch.setattr(directory, "PACK_FROM", 1 if packed else 1 << 40)
    place = audited(tmp_path / "a")
    (finding,) = load(place).findings
    opened: list[IO[bytes]] = []
    kept = Path.open

    def followed(path: Path, *more: Any, **named: Any) -> Any:
        opened.append(kept(path, *more, **named))
        return opened[-1]

    monkeypatch.setattr(Path, "open", followed)
    for check in (None, finding.id):
        answers = load(place).answers(check)
        next(answers)
        assert opened
        assert all(file.closed for file in opened)


def test_records_are_written_as_version_2_and_a_newer_one_is_refused(tmp_path: Path) -> None:
    """So a package that knows version 1 only refuses lines that it could not read."""
    place = audited(tmp_path / "a")
    for name in ("run.json", "findings.json"):
        assert json.loads((place / name).read_text())["schema_version"] == SCHEMA_VERSION == 2
    run = json.loads((place / "run.json").read_text())
    (place / "run.json").write_text(json.dumps(run | {"schema_version": 1}))  # as an audit of before that was stopped
    audited(place, ("order", "labels"))
    assert json.loads((place / "run.json").read_text())["schema_version"] == 2
    (place / "run.json").write_text(json.dumps(run | {"schema_version": 3}))
    with pytest.raises(RecordError, match="has schema_version 3, but this version reads 1 and 2"):
        load(place)


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
