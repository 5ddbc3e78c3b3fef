"""The run directory: schemas that follow the code, half lines, and what is refused."""

from __future__ import annotations

import dataclasses
import json
import math
from fractions import Fraction
from pathlib import Path

import jsonschema
import pytest

from pytest_llminvariance import Question
from pytest_llminvariance.checks.properties import as_property
from pytest_llminvariance.checks.sheet import Sheet
from pytest_llminvariance.checks.verdict import Decision, Finding
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.models.protocol import LabelReply, MissingReply, OptionReply, TextReply
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.template import Layout, Template
from pytest_llminvariance.records.directory import begin_record, repair
from pytest_llminvariance.records.lines import lines_of, read_line
from pytest_llminvariance.records.record import load
from pytest_llminvariance.records.sheets import SheetWriter, reply_data, reply_from, sheet_from
from tests.records.records_schema import SCHEMAS, schema

QUESTION = Question("s?", ["a", "b", "c"], id="q", context="c", scores=[1, 2, 3], reverse_keyed=True, answer=1)
WAY = Template(
    "{context}{stem} {options}", system="Short.", labels=tuple("xyz"), layout=Layout("{label}) ", "; ", "upper")
)
FACTS = {"schema_version": 1, "exit": 0}


@pytest.mark.parametrize("name", ["findings", "run", "answer", "sheet"])
def test_schemas_are_schemas(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))
    assert {path.name for path in SCHEMAS.iterdir()} == {
        "findings.schema.json", "run.schema.json", "answer.schema.json", "sheet.schema.json",
    }  # fmt: skip


def test_the_schema_names_every_field_of_a_finding() -> None:
    told = set(schema("findings")["$defs"]["finding"]["properties"])
    stored = {item.name for item in dataclasses.fields(Finding)} - {"duration_s"}
    assert told == stored | {"where", "file", "line", "level", "markers"}
    decision = schema("findings")["$defs"]["finding"]["properties"]["decision"]["properties"]
    assert set(decision) == {item.name for item in dataclasses.fields(Decision)}


def test_the_schema_refuses_what_is_no_finding() -> None:
    checker = jsonschema.Draft202012Validator(schema("findings"))
    assert checker.is_valid({"schema_version": 1, "findings": [], "unfinished": []})
    assert checker.is_valid({"schema_version": 2, "findings": [], "unfinished": []})
    assert not checker.is_valid({"schema_version": 3, "findings": [], "unfinished": []})
    assert not checker.is_valid({"schema_version": 1, "findings": [{"verdict": "HOLDS"}], "unfinished": []})


@pytest.mark.parametrize("name", ["option_order", "labels", "layout", "readouts", "batch"])
def test_a_sheet_comes_back_equal(name: str) -> None:
    made = as_property(name, {})
    plan = made.plan(QUESTION, WAY if name == "option_order" else "{context}{stem} {options}")
    strange = Presentation(Question("t?", QUESTION.options, context="d"), template=WAY)
    sheet = Sheet(
        property=made, metric="tv", tolerance=Fraction(1, 3), readout="label", model="m", fingerprint="f", plans=(plan,),
        foreign=((strange,),), delta_nats=1e-4,
    )  # fmt: skip
    lines = list(SheetWriter().lines(sheet))
    back = sheet_from(json.loads(json.dumps(lines, allow_nan=False)))
    assert back is not None
    assert (back.plans, back.foreign, back.tolerance) == (sheet.plans, sheet.foreign, sheet.tolerance)
    assert [p.presentation.given_labels for p in back.plans[0].probes] == [
        p.presentation.given_labels for p in plan.probes
    ]
    needs = ("batches", "needs_response", "needs_accuracy", "asks_everything", "samples_the_orbit", "title")
    assert {need: getattr(back.property, need) for need in needs} == {need: getattr(made, need) for need in needs}
    assert (back.property.name, back.property.metric, back.property.compares_prompts) == (
        made.name,
        made.metric,
        made.compares_prompts,
    )


@pytest.mark.parametrize(
    "reply",
    [
        LabelReply((-0.1, -math.inf), "ab", 3),
        OptionReply((-1.5, 0.1 + 0.2), (1, 2), "ab", 3),
        TextReply("\u2028 A\x00", "ab", 3),
        MissingReply("time-out"),
    ],
)
def test_a_reply_comes_back_equal(reply: object) -> None:
    text = json.dumps(reply_data(reply), allow_nan=False)  # type: ignore[arg-type]
    sent, tokens = getattr(reply, "sent_sha256", None), getattr(reply, "n_tokens", 0)
    assert reply_from(json.loads(text), sent, tokens) == reply


def test_a_number_that_is_none_comes_back_as_none() -> None:
    back = reply_from(json.loads(json.dumps(reply_data(LabelReply((math.nan,), "")))), "", 0)
    assert isinstance(back, LabelReply)
    assert math.isnan(back.logprobs_nats[0])


def test_half_lines_are_cut_off_and_left_out(tmp_path: Path) -> None:
    begin_record(tmp_path / "rec", FACTS)
    file = tmp_path / "rec" / "answers.jsonl"
    file.write_bytes(b'{"check": "a"}\n{"check": "b", "text": "\xc3')
    assert [read_line(line) for line in lines_of([file])] == [{"check": "a"}, None]
    repair(tmp_path / "rec")
    assert file.read_bytes() == b'{"check": "a"}\n'
    repair(tmp_path / "rec")
    assert file.read_bytes() == b'{"check": "a"}\n'


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(UsageError, match=r"holds 'thesis.tex', which is no part of a record"):
        begin_record(tmp_path, FACTS)
    assert (tmp_path / "thesis.tex").read_text() == "precious"


def test_findings_without_a_run_are_not_taken_for_a_record(tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").write_text("{}\n")
    with pytest.raises(UsageError, match=r"holds 'answers.jsonl', which is no part of a record"):
        begin_record(tmp_path, FACTS)


def test_a_file_is_no_place(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file, but a record is a directory"):
        begin_record(tmp_path / "file", FACTS)
    with pytest.raises(UsageError, match="cannot be written"):
        begin_record(tmp_path / "file" / "below", FACTS)


def test_what_is_no_record_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds no findings.json, so there is no evidence"):
        load(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(UsageError, match="cannot be read as JSON"):
        load(tmp_path)
    (tmp_path / "run.json").write_text('{"schema_version": 7, "exit": 0}')
    with pytest.raises(UsageError, match="has schema_version 7, but this version reads 1"):
        load(tmp_path)
