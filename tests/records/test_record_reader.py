"""One reader: findings come back as they were, shapes are those of the schemas, and reading changes nothing."""

from __future__ import annotations

import copy
import dataclasses
import datetime
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest

from pytest_llminvariance import Finding, Question, assert_no_negative_flips, check, records, run
from pytest_llminvariance.checks.run import current_run
from pytest_llminvariance.cli import auditing
from pytest_llminvariance.cli.auditing import AuditPlan, run_audit
from pytest_llminvariance.errors import RecordError
from pytest_llminvariance.gate.decision import decide_gate
from pytest_llminvariance.gate.policy import Policy
from pytest_llminvariance.models.controls import control
from pytest_llminvariance.records.answers import read_answers
from pytest_llminvariance.records.record import LostCheck, StoredFinding, load
from pytest_llminvariance.records.shapes import Shape, check_shape
from tests.commands import llminvariance
from tests.records.records_schema import schema
from tests.run_directories import write_run

BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abcd"], id=f"q{n}", answer=n % 4) for n in range(12)]
SCORED = [
    Question(f"I like {n}.", ["no", "rather", "yes"], scores=[1, 2, 3], attributes={"trait": "calm"}) for n in range(6)
]


def whole(model: str, property: str = "option_order", questions: list[Question] = BANK, **more: Any) -> Finding:
    return check(property, control(model), questions, **{"tolerance": 0.05, **more})


def early(model: str, **more: Any) -> Finding:
    bank = [Question(f"Which is {n}?", list("abc"), answer=n % 3) for n in range(60)]
    with run(risk_limit=0.1):
        return whole(model, questions=bank, **{"orders": "cyclic", **more})


def flips(model: str, baseline: str) -> Finding:
    return assert_no_negative_flips(control(model), BANK, baseline=control(baseline), margin=0.5)


KINDS: dict[str, Callable[[], Finding]] = {
    "exact, holds, no example": lambda: whole("oracle"),
    "exact, broken, with an example": lambda: whole("always_first"),
    "open": lambda: whole("uniform"),
    "refused": lambda: whole("refuser", readout="text"),
    "pooled": lambda: whole("position_prior=2", metric="position_bias", orders="cyclic"),
    "scores": lambda: whole("always_first", questions=SCORED, metric="score_gap"),
    "distance": lambda: whole("noisy=0.3", metric="tv"),
    "labels": lambda: whole("two_faced", "labels"),
    "layout": lambda: whole("noisy=0.3", "layout"),
    "readouts": lambda: whole("two_faced", "readouts"),
    "batch": lambda: whole("oracle", "batch"),
    "sequential, holds": lambda: early("oracle"),
    "sequential, broken": lambda: early("always_first"),
    "samples": lambda: early("noisy=0.3", samples=3, tolerance=0.1),
    "negative flips": lambda: flips("noisy=0.3", "oracle"),
    "no negative flips": lambda: flips("oracle", "noisy=0.3"),
}


@pytest.fixture(scope="module", params=KINDS)
def finding(request: pytest.FixtureRequest) -> Finding:
    return KINDS[request.param]()


def test_a_finding_comes_back_as_it_was(finding: Finding) -> None:
    text = json.dumps(finding.to_json(), allow_nan=False)
    back = Finding.from_json(json.loads(text))
    assert json.dumps(back.to_json()) == text
    assert Finding.from_json(back.to_json() | {"a_later_field": 1}) == back
    for name in ("guards", "per_question", "example", "decision", "reasons", "verdict", "details", "versions"):
        assert getattr(back, name) == getattr(finding, name), name
    assert float(back.tolerance) == float(finding.tolerance)
    assert back.summary() == finding.summary()


def test_a_finding_in_a_record_is_a_finding_with_its_place(finding: Finding, tmp_path: Path) -> None:
    stored = write_run(tmp_path / "run", [finding], markers=["slow"], level="warn")
    (found,) = load(stored).findings
    (row,) = json.loads((stored / "findings.json").read_text())["findings"]
    assert isinstance(found, Finding)
    assert (found.level, found.markers, found.line) == ("warn", ("slow",), 1)
    assert json.dumps(found.to_json(), sort_keys=True) == json.dumps(row, sort_keys=True)
    assert found == StoredFinding.from_json(row)


def test_a_worker_that_died_comes_back(tmp_path: Path) -> None:
    lost = {
        "where": "t.py::test_a", "file": "t.py", "line": 3, "level": "warn", "markers": ["slow"], "id": "x",
        "title": "option order", "reason": "started and did not finish",
    }  # fmt: skip
    directory = write_run(tmp_path / "run", [])
    (directory / "findings.json").write_text(
        json.dumps({"schema_version": 1, "findings": [], "unfinished": [lost, {}]})
    )
    first, second = load(directory).lost
    assert json.dumps(first.to_json()) == json.dumps(lost)
    assert str(first) == "option order: started and did not finish  [t.py::test_a]"
    assert (second.title, second.level, second.markers) == ("a check", "block", None)


def test_the_reader_is_at_the_door_of_its_room(tmp_path: Path) -> None:
    record = records.load(write_run(tmp_path / "run", [KINDS["open"]()]))
    assert isinstance(record, records.Record)
    assert records.repair.__name__ == "repair"
    with pytest.raises(AttributeError, match="no attribute 'read'"):
        _ = records.read


# --- a run that was cut off ---


def contents(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.fixture
def crashed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An audit that was killed in its third check: one holds, one is broken, one never ended."""
    asked = []

    def check_or_die(plan: AuditPlan, name: str, model: Any) -> Any:
        asked.append(name)
        if len(asked) == 3:
            recorder = current_run.get().recorder
            assert recorder is not None
            recorder.started("layout")
            raise KeyboardInterrupt
        return known(plan, name, model)

    known = auditing._check
    monkeypatch.setattr(auditing, "_check", check_or_die)
    plan = AuditPlan(spec="control:always_first", questions=tuple(BANK), properties=("labels", "order", "layout"))
    with pytest.raises(KeyboardInterrupt):
        run_audit(plan, tmp_path / "run")
    return tmp_path / "run"


def test_what_the_gate_says_of_a_crash_does_not_hang_on_who_read_it_before(crashed: Path) -> None:
    def gate() -> tuple[int, str]:
        result = llminvariance(["gate", str(crashed), "--policy", str(policy)])
        return result.exit_code, result.output

    policy = crashed.parent / "gate.toml"
    policy.write_text("")
    before, files = gate(), contents(crashed)
    assert "the run did not end" in before[1]
    assert "option order" in before[1]
    for command in ("judge", "report", "compare"):
        words = [command, str(crashed), *([str(crashed)] if command == "compare" else [])]
        llminvariance([*words, *(["--format", "markdown"] if command == "report" else [])])
        assert contents(crashed) == files, f"{command} writes nothing"
        assert gate() == before
    records.repair(crashed)
    assert (crashed / "findings.json").is_file()
    assert gate() == before


def test_a_crash_gives_the_same_record_before_and_after_repair(crashed: Path) -> None:
    before = load(crashed)
    assert [found.where for found in before.findings] == ["audit::labels", "audit::order"]
    assert [(lost.title, lost.reason) for lost in before.lost] == [("layout", "started and did not finish")]
    assert not before.ended
    records.repair(crashed)
    assert load(crashed) == before
    assert load(crashed / "findings.json").findings == before.findings
    kept = contents(crashed)
    records.repair(crashed)
    assert contents(crashed) == kept


def test_repair_leaves_a_run_that_ended_and_needs_a_run(tmp_path: Path) -> None:
    directory = write_run(tmp_path / "run", [KINDS["open"]()])
    kept = contents(directory)
    records.repair(directory)
    assert contents(directory) == kept
    with pytest.raises(RecordError, match="cannot be read as JSON"):
        records.repair(tmp_path)


def test_a_run_that_ended_needs_its_findings(crashed: Path) -> None:
    facts = json.loads((crashed / "run.json").read_text())
    (crashed / "run.json").write_text(json.dumps(facts | {"exit": 1}))
    with pytest.raises(RecordError, match=r"holds no findings\.json, so there is no evidence"):
        load(crashed)
    today = datetime.date(2026, 1, 1)
    (crashed / "run.json").write_text(json.dumps(facts))
    assert decide_gate([load(crashed)], Policy(), today).exit_code != 0


# --- lines of answers ---


def test_answers_are_found_by_check_whatever_file_they_are_in(crashed: Path) -> None:
    record = load(crashed)
    checks = [found.id for found in record.findings]
    by_check = {one: list(record.answers(one)) for one in checks}
    lines, whole_record = (crashed / "answers.jsonl").read_text().splitlines(keepends=True), list(record.answers())
    (crashed / "answers.jsonl").write_text("".join(lines[:10]))
    (crashed / "answers-gw0.jsonl").write_text("".join(lines[5:50:2]))  # as while they are put together: some twice
    (crashed / "answers-gw1.jsonl").write_text("".join([lines[7], *lines[5:]]) + '{"check": "cut o')
    spread = load(crashed)
    assert spread.n_answers() == len(lines)
    for one in checks:
        assert spread.n_answers(one) == len(by_check[one])
        assert sorted(map(repr, spread.answers(one))) == sorted(map(repr, by_check[one]))
    assert list(spread.answers("another")) == []
    assert sorted(map(repr, read_answers(crashed))) == sorted(map(repr, whole_record))


def test_a_damaged_line_is_named_by_every_command_that_needs_it(crashed: Path) -> None:
    file = crashed / "answers.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    row = json.loads(lines[3]) | {"tokens": -1}
    file.write_text("".join([*lines[:3], json.dumps(row) + "\n", *lines[4:]]))
    result = llminvariance(["judge", str(crashed)])
    assert result.exit_code == 2
    assert "answers.jsonl, line 4 is no answer: tokens is -1, but must be a whole number from 0" in result.output
    file.write_text("".join([*lines[:3], lines[3][:90] + "\n", *lines[4:]]))
    result = llminvariance(["judge", str(crashed)])
    assert result.exit_code == 2
    assert "answers.jsonl, line 4 is damaged" in result.output


def test_a_damaged_sheet_is_named(crashed: Path) -> None:
    file = crashed / "sheets.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[1]["probes"][1]["order"] = ["a", "b"]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    says = r"sheets.jsonl, line 2: probes\[1\].order\[0\] is 'a', but must be a whole number from 0"
    with pytest.raises(RecordError, match=says):
        load(crashed).sheet(rows[0]["check"])


# --- shapes ---


VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 0.5, -0.5, 1.5, 1e300, float("inf"), float("nan"), "", " ", "HOLDS", "label", "a" * 64,
    "1/3", [], [0], [0, 1], [0, 0], ["a", "b"], [1.0, "-inf"], {}, {"kind": "text", "text": ""}, {"low": 0, "high": 1},
)  # fmt: skip


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) in plain data."""
    keys = value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


def documents(directory: Path) -> Iterator[tuple[Shape, Any]]:
    yield "run", json.loads((directory / "run.json").read_text())
    records.repair(directory)
    stored = json.loads((directory / "findings.json").read_text())
    yield "findings", stored
    yield "finding", stored["findings"][1]
    yield "unfinished", stored["unfinished"][0]
    yield (
        "search",
        {"where": "t.py::test_search", "file": "t.py", "line": 3, "level": "block", "markers": [], "pairs": 7},
    )
    lines = (directory / "answers.jsonl").read_text().splitlines()
    yield from (("answer", json.loads(line)) for line in lines[:: len(lines) // 3])
    yield from (("sheet", json.loads(line)) for line in (directory / "sheets.jsonl").read_text().splitlines()[:3])


def strict(name: Shape) -> Any:
    """The published schema, with numbers that are finite and whole numbers without a point."""
    parts: dict[str, tuple[str, ...]] = {
        "finding": ("$defs", "finding"),
        "unfinished": ("properties", "unfinished", "items"),
        "search": ("properties", "searches", "items"),
    }
    whole = part = schema("findings" if name in parts else name)
    for key in parts.get(name, ()):
        part = part[key]
    checker = jsonschema.Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    checker = checker.redefine("number", lambda _, value: type(value) in (int, float) and abs(value) < float("inf"))
    made = jsonschema.validators.extend(jsonschema.Draft202012Validator, type_checker=checker)
    return made({**part, "$defs": whole.get("$defs", {})})


def is_allowed(name: Shape, data: Any) -> bool:
    try:
        check_shape(name, data, "here")
    except RecordError as error:
        said = str(error)
    else:
        return True
    assert said.startswith("here")
    assert "must be" in said
    return False


def test_a_shape_is_what_its_schema_says(crashed: Path) -> None:
    """What is quick and what jsonschema says agree on thousands of changed documents."""
    dice, seen = random.Random(0), {True: 0, False: 0}
    known = list(documents(crashed))
    assert {name for name, _ in known} == set(get_args(Shape))
    for name, document in known:
        validator = strict(name)
        assert is_allowed(name, document)
        for _ in range(150):
            changed = copy.deepcopy(document)
            container, key = dice.choice(list(places(changed)))
            if dice.random() < 0.2:
                del container[key]
            else:
                container[key] = dice.choice(VALUES)
            allowed = is_allowed(name, changed)
            assert allowed == validator.is_valid(changed), (name, key)
            seen[allowed] += 1
    assert min(seen.values()) > 200


@pytest.mark.parametrize("name", ["findings", "run", "answer"])
def test_what_may_be_missing_has_a_value_that_its_schema_allows(name: str) -> None:
    tops = [schema(name)]
    tops += [tops[0]["$defs"]["finding"], tops[0]["properties"]["unfinished"]["items"]] if name == "findings" else []
    for top in tops:
        for field, rule in top["properties"].items():
            if "default" in rule:
                assert jsonschema.Draft202012Validator({**rule, "$defs": tops[0].get("$defs", {})}).is_valid(
                    rule["default"]
                )
                assert field not in top.get("required", ())


def test_what_has_no_default_is_required_or_has_one_in_the_code() -> None:
    rule = schema("findings")["$defs"]["finding"]
    given = {field for field, part in rule["properties"].items() if "default" in part}
    assert {item.name for item in dataclasses.fields(StoredFinding)} - {"duration_s"} == given | set(rule["required"])
    lost = schema("findings")["properties"]["unfinished"]["items"]["properties"]
    assert {item.name for item in dataclasses.fields(LostCheck)} == {name for name in lost if "default" in lost[name]}


def test_an_answer_is_read_in_microseconds(crashed: Path) -> None:
    """jsonschema alone needs most of a millisecond; a suite of 4,000 questions in 24 orders has 100,000 lines."""
    row = json.loads((crashed / "answers.jsonl").read_text().splitlines()[0])
    check_shape("answer", row, "here")
    began = os.times().user
    for _ in range(3000):
        check_shape("answer", row, "here")
    assert (os.times().user - began) / 3000 < 200e-6
