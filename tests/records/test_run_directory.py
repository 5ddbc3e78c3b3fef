"""Run directories are read whole or not at all: what is damaged is never a finding less."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance import Question, Verdict, check, controls, run
from pytest_llminvariance.errors import RecordError
from pytest_llminvariance.records.answers import as_written, read_answers
from pytest_llminvariance.records.record import load
from tests.run_directories import write_run

BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abc"], id=f"q{n}", answer=n % 3) for n in range(12)]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    with run() as current:
        found = check("option_order", controls.oracle(), BANK, tolerance=0.05)
        return write_run(tmp_path / "run", [found], memo=current.memo)


def stored(directory: Path) -> dict[str, Any]:
    return dict(json.loads((directory / "findings.json").read_text()))


def test_a_finding_comes_back_as_it_was_written(directory: Path) -> None:
    read = load(directory)
    (found,) = read.findings
    made = check("option_order", controls.oracle(), BANK, tolerance=0.05)
    assert found.verdict is Verdict.HOLDS
    assert found.tolerance == Fraction(1, 20)
    assert (found.effect.low, found.effect.high) == (0, 0)
    assert found.guards == made.guards
    assert found.per_question == made.per_question
    assert found.question_hashes == tuple(question.content_hash for question in BANK)
    assert (found.alpha, found.is_exhaustive, found.level, found.markers) == (0, True, "block", ())
    assert read.fact("commit") == "c0ffee"
    assert load(directory / "findings.json").findings == read.findings


def test_run_json_and_answers_are_optional(directory: Path) -> None:
    (directory / "run.json").unlink()
    (directory / "answers.jsonl").unlink()
    assert load(directory).facts is None
    with pytest.raises(RecordError, match="is not there, so answers of that run are not known"):
        read_answers(directory)


@pytest.mark.parametrize("part", [0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.9999])
def test_a_record_that_is_cut_off_is_refused(directory: Path, part: float) -> None:
    file = directory / "findings.json"
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(RecordError, match="no evidence"):
        load(directory)


def test_what_is_not_there_is_no_evidence(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="does not exist, so there is no evidence"):
        load(tmp_path / "nothing")
    with pytest.raises(RecordError, match=r"holds no findings\.json, so there is no evidence"):
        load(tmp_path)


REQUIRED = (
    "property", "title", "metric", "model", "fingerprint", "plan", "readout", "template", "verdict", "effect",
    "tolerance", "questions_asked",
)  # fmt: skip


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("value", [None, [], True, "", {}])
def test_every_required_field_is_checked(directory: Path, name: str, value: object) -> None:
    data = stored(directory)
    data["findings"][0][name] = value
    (directory / "findings.json").write_text(json.dumps(data))
    with pytest.raises(RecordError, match=rf"finding 1: {name}"):
        load(directory)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"verdict": "FINE"}, "verdict is 'FINE', but must be one of HOLDS, BROKEN, UNDECIDED"),
        ({"level": "off"}, "level is 'off', but must be one of block, warn, ignore"),
        ({"effect": {"low": 0.5, "high": 0.4}}, "effect runs from 0.5 down to 0.4"),
        ({"effect": {"low": 0, "high": 1e400}}, "cannot be read as JSON .*Infinity"),
        ({"effect": {"low": float("nan"), "high": 1}}, "cannot be read as JSON .*NaN is no number"),
        ({"effect": {"low": 0.4, "high": 0.4}}, r"says HOLDS, but its effect of 0.4 to 0.4 against the tolerance 0.05"),
        ({"verdict": "BROKEN"}, r"says BROKEN, but its effect of 0 to 0"),
        (
            {"guards": [{"name": "x", "passed": 1, "text": "y"}]},
            r"guards\[0\].passed is 1, but must be true or false or null",
        ),
        ({"guards": {}}, "guards is {}, but must be a list"),
        ({"details": {"question_hashes": ["a"]}}, "1 question hashes for 12 questions"),
        ({"questions_asked": 5000, "questions_planned": 5000}, "5000 questions asked, but only 12 are in it"),
        ({"decision": {"method": "exhaustive", "alpha": 2}}, "decision.alpha is 2, but must be a number from 0 to 1"),
        ({"decision": {"method": "guessed", "alpha": 0}}, "method is 'guessed'"),
        ({"line": "7"}, "line is '7', but must be a whole number"),
        ({"markers": "slow"}, "markers is 'slow', but must be a list of texts"),
    ],
)
def test_what_cannot_be_is_refused_and_named(directory: Path, change: dict[str, Any], says: str) -> None:
    data = stored(directory)
    data["findings"][0] |= change
    (directory / "findings.json").write_text(json.dumps(data))
    with pytest.raises(RecordError, match=says):
        load(directory)


def test_a_finding_that_comes_twice_is_refused(directory: Path) -> None:
    data = stored(directory)
    data["findings"] *= 2
    (directory / "findings.json").write_text(json.dumps(data))
    with pytest.raises(RecordError, match="holds the finding 'finding0' twice"):
        load(directory)


@pytest.mark.parametrize("version", [None, 0, 3, True, "1"])
@pytest.mark.parametrize("name", ["findings.json", "run.json"])
def test_another_version_is_refused(directory: Path, name: str, version: object) -> None:
    data = json.loads((directory / name).read_text())
    (directory / name).write_text(json.dumps(data | {"schema_version": version}))
    with pytest.raises(RecordError, match=r"schema_version .*, but this version reads 1"):
        load(directory)


def test_sampled_findings_tell_what_they_spent_or_that_they_do_not(directory: Path) -> None:
    data = stored(directory)
    decision = {"method": "sequential", "alpha": 0.01, "n": 5, "n_planned": 12}
    data["findings"][0] |= {"risk_limit": 0.05, "decision": decision}
    (directory / "findings.json").write_text(json.dumps(data))
    (found,) = load(directory).findings
    assert (found.alpha, found.is_exhaustive) == (0.01, False)
    data["findings"][0]["decision"] = None
    (directory / "findings.json").write_text(json.dumps(data))
    (found,) = load(directory).findings
    assert (found.alpha, found.is_exhaustive) == (None, False)


def test_answers_as_written_are_found_by_check(directory: Path) -> None:
    answers = read_answers(directory)
    assert len(answers) == 12 * 6
    found = as_written(load(directory).by_place("finding0"))
    assert {digest: set(answer.outcomes) for digest, answer in found.items()} == {
        question.content_hash: {question.answer} for question in BANK
    }
    assert as_written(load(directory).by_place("another")) == {}


def test_a_cut_last_line_is_left_out_and_a_damaged_one_refused(directory: Path) -> None:
    file = directory / "answers.jsonl"
    text = file.read_text()
    file.write_text(text[:-20])
    assert len(read_answers(directory)) == 12 * 6 - 1
    lines = text.splitlines(keepends=True)
    file.write_text("".join([lines[0][:-20] + "\n", *lines[1:]]))
    with pytest.raises(RecordError, match=r"line 1 is damaged"):
        read_answers(directory)
    file.write_text("")
    with pytest.raises(RecordError, match="holds no answer"):
        read_answers(directory)


@pytest.mark.parametrize(
    "change",
    [
        {"order": [0, 0, 1]},
        {"order": [0, 1]},
        {"role": None},
        {"correct": 3},
        {"answer": {"probabilities": [0.5, 0.5, 2], "other": 0, "status": "scored", "outcomes": [0]}},
        {"answer": {"probabilities": [1, 0, 0], "other": 0, "status": "scored", "outcomes": []}},
        {"answer": {"probabilities": [1, 0, 0], "other": 0, "status": "scored", "outcomes": [3]}},
        {"answer": {"probabilities": [1, 0, 0], "other": 0, "status": "sure", "outcomes": [0]}},
    ],
)
def test_answers_that_cannot_be_are_refused(directory: Path, change: dict[str, Any]) -> None:
    file = directory / "answers.jsonl"
    first, *rest = file.read_text().splitlines()
    file.write_text("\n".join([json.dumps(json.loads(first) | change), *rest]) + "\n")
    with pytest.raises(RecordError, match=r"line 1 is no answer"):
        read_answers(directory)
