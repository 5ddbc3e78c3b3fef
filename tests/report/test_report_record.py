"""Reading a run directory: what must be there, what may be missing, and that a reader is told."""

from __future__ import annotations

import datetime
import html
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.gate.decision import decide_gate
from pytest_llminvariance.gate.policy import policy_from
from pytest_llminvariance.records.answers import readable_answers
from pytest_llminvariance.records.record import load
from pytest_llminvariance.report.entries import read_report
from pytest_llminvariance.report.github import github_commands
from pytest_llminvariance.report.html.page import page
from pytest_llminvariance.report.junit import junit
from pytest_llminvariance.report.markdown import markdown
from pytest_llminvariance.report.sarif import sarif
from pytest_llminvariance.report.summary import MARKS, certainty, headline, sentence, severity
from pytest_llminvariance.report.text import one_line, visible
from tests.run_records import RUN, bank, measured, write_run


def rewritten(directory: Path, **changes: Any) -> Path:
    """The first finding with some fields changed; `None` removes one."""
    path = directory / "findings.json"
    stored = json.loads(path.read_text())
    row = {**stored["findings"][0], **changes}
    if "effect" in changes:  # which is the mean of its questions
        row["per_question"] = [{**one, **changes["effect"]} for one in row["per_question"]]
    stored["findings"][0] = {name: value for name, value in row.items() if value is not None}
    path.write_text(json.dumps(stored))
    return directory


@pytest.fixture
def run(tmp_path: Path) -> Path:
    broken, held = measured("always_first", bank(12)), measured("oracle", bank(12))
    return write_run(tmp_path / "run", [held, broken], places=[{"line": 5}, {"line": 9}])


def test_worst_first_and_in_words(run: Path) -> None:
    record = read_report(run)
    assert [(entry.verdict, entry.line) for entry in record.entries] == [("BROKEN", 9), ("HOLDS", 5)]
    assert headline(record).text == "1 of 2 checks is broken"
    assert sentence(record.entries[0]) == "The answer changed in 216 of 276 other presentations (78%, tolerated 5%)."
    assert certainty(record.entries[0]) == "exact: 12 questions, 24 of 24 orders each, all asked"
    assert record.notes == ()
    assert len(readable_answers(run)[0]) == 2 * 12 * 24


def test_all_hold_and_nothing_checked_are_different(tmp_path: Path) -> None:
    held = write_run(tmp_path / "held", [measured("oracle", bank(12))])
    nothing = write_run(tmp_path / "nothing", [])
    assert (headline(read_report(held)).kind, headline(read_report(held)).text) == ("HOLDS", "The check holds")
    assert headline(read_report(nothing)).kind == "UNDECIDED"


def test_a_level_that_does_not_block_does_not_make_the_headline(run: Path, tmp_path: Path) -> None:
    said = headline(read_report(rewritten(run, level="warn")))
    assert said.text == "1 of 2 checks is broken"
    lenient = write_run(
        tmp_path / "lenient",
        [measured("oracle", bank(12)), measured("always_first", bank(12))],
        places=[{}, {"level": "warn"}],
    )
    said = headline(read_report(lenient))
    assert (said.kind, said.text) == ("HOLDS", "The blocking check holds")
    assert "1 check did not hold and blocks nothing." in said.rest


def test_a_check_without_a_finding_is_undecided_everywhere(run: Path) -> None:
    stored = json.loads((run / "findings.json").read_text())
    stored["unfinished"] = [{"id": "x", "title": "prompt wording", "where": "t.py::test_p", "reason": "worker died"}]
    (run / "findings.json").write_text(json.dumps(stored))
    record = read_report(run)
    (lost,) = record.of("UNDECIDED")
    assert (lost.title, lost.is_lost, lost.reasons) == ("prompt wording", True, ("worker died",))
    assert severity(lost, record) == "error"
    assert lost.file == "t.py"


def test_everything_but_findings_may_be_missing(run: Path) -> None:
    (run / "run.json").unlink()
    (run / "answers.jsonl").unlink()
    for name in (
        "per_question",
        "details",
        "guards",
        "example",
        "where",
        "file",
        "line",
        "level",
        "markers",
        "decision",
        "count",
    ):
        rewritten(run, **{name: None})
    record = read_report(run)
    assert "no run.json" in record.notes[0]
    assert "no recorded answers" in readable_answers(run)[1][0]
    assert all(sentence(entry) and certainty(entry) for entry in record.entries)


def test_a_run_that_was_cut_off_says_so(run: Path) -> None:
    (run / "run.json").write_text(json.dumps({**RUN, "exit": None}))
    with (run / "answers.jsonl").open("a") as file:
        file.write('{"question": "cut of')
    assert "did not end" in read_report(run).notes[0]
    answers, notes = readable_answers(run)
    assert len(answers) == 2 * 12 * 24
    assert notes == ("1 unreadable line of answers.jsonl left out.",)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"verdict": "FINE"}, "verdict is 'FINE', but must be one of HOLDS, BROKEN, UNDECIDED"),
        ({"verdict": None}, "verdict is None"),
        ({"title": None}, "title is None, but must be text"),
        ({"tolerance": "5%"}, "tolerance is '5%', but must be a number"),
        ({"effect": {"low": 0.5}}, "high is None, but must be a number"),
        ({"level": "maybe"}, "level is 'maybe', but must be one of block, warn, ignore"),
    ],
)
def test_a_finding_that_tells_no_verdict_is_refused(run: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match="finding 1") as caught:
        read_report(rewritten(run, **changes))
    assert said in str(caught.value)


def test_other_directories_files_and_versions_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no findings"):
        read_report(tmp_path)
    path = tmp_path / "findings.json"
    for text, said in (("{", "cannot be read as JSON"), ("[]", "must hold an object"), ('{"findings": 1}', "a list")):
        path.write_text(text)
        with pytest.raises(UsageError, match=said):
            read_report(tmp_path)
    path.write_text('{"schema_version": 3, "findings": []}')
    with pytest.raises(UsageError, match="schema_version 3, but this version reads 1 and 2"):
        read_report(tmp_path)


def test_what_cannot_be_seen_is_made_visible_and_the_rest_stays() -> None:
    assert visible("a\x1b[31m\u202e\x00\ud800\n\tb") == "a\\x1b[31m\\u202e\\x00\\ud800\n\tb"
    assert visible("Grüße 日本 العربية 😀 x̄") == "Grüße 日本 العربية 😀 x̄"
    assert one_line(" a\r\n b\u2028c ") == "a b\\u2028c"
    visible("".join(map(chr, range(0x11000)))).encode("utf-8")


@pytest.mark.parametrize(
    ("model", "changes", "command"),
    [
        ("demo", {}, "pytest 'tests/t.py::test_a[x y]' --invariance-seed=3 --invariance-model=demo"),
        ("openai:m@http://***@host", {}, "pytest 'tests/t.py::test_a[x y]' --invariance-seed=3"),
        (None, {"where": "audit::order"}, ""),
        (
            "demo",
            {"decision": {"method": "sequential", "alpha": 0.01, "n": 9, "n_planned": 12}, "risk_limit": 0.05},
            "pytest 'tests/t.py::test_a[x y]' --invariance-seed=3 --invariance-model=demo --invariance-check-risk=0.01",
        ),
    ],
)
def test_the_command_that_repeats_a_check(run: Path, model: str | None, changes: dict[str, Any], command: str) -> None:
    (run / "run.json").write_text(json.dumps({**RUN, "settings": {"model": model}}))
    rewritten(run, **{"where": "tests/t.py::test_a[x y]", "seed": 3, "title": "mine", **changes})
    assert [entry.replay for entry in read_report(run).entries if entry.title == "mine"] == [command]


WAIVED = {"property": "option_order", "owner": "ann", "reason": "known", "expires": "2026-12-31"}
DAY = datetime.date(2026, 11, 30)


@pytest.mark.parametrize(
    ("models", "level", "policy", "exit", "kind", "says"),
    [
        (["oracle"], "block", {}, 0, "HOLDS", "The check holds"),
        (["oracle", "always_first"], "block", {}, 1, "BROKEN", "1 of 2 checks is broken"),
        (["oracle", "always_first"], "warn", {}, 0, "HOLDS", "The blocking check holds"),
        (["oracle", "always_first"], "block", {"waivers": [WAIVED]}, 0, "WAIVED", "Passes with 1 waived check"),
        (["oracle", "always_first"], "warn", {"properties": {"option_order": {"level": "block"}}}, 1, "BROKEN", "broken"),
        (["oracle"], "block", {"required": ["option_order", "labels"]}, 1, "BROKEN", "1 required check missing"),
        (["uniform"], "block", {}, 3, "UNDECIDED", "The check is undecided"),
        (["uniform"], "block", {"undecided": "block"}, 1, "BROKEN", "The check is undecided"),
        (["oracle"], "block", {"models": ["other"]}, 3, "UNDECIDED", "cannot be trusted"),
    ],
)  # fmt: skip
def test_every_format_says_what_the_gate_decides(
    tmp_path: Path, models: list[str], level: str, policy: dict[str, Any], exit: int, kind: str, says: str
) -> None:
    places = [{"level": "block" if name == "oracle" else level} for name in models]
    directory = write_run(tmp_path / "run", [measured(name, bank(12)) for name in models], places=places)
    rules = policy_from(policy, "policy")
    assert decide_gate([load(directory)], rules, DAY).exit_code == exit
    record = read_report(directory, rules, DAY)
    said = headline(record)
    assert said.kind == kind
    assert says in said.text
    assert f"{MARKS[kind]} Invariance: {said.text}" in html.unescape(markdown(record))
    assert f'class="top {kind}"' in page(record, ())
    suite = ET.fromstring(junit(record))[0]
    stopped = int(suite.attrib["failures"]) + int(suite.attrib["errors"])
    assert bool(stopped) == ("::error" in github_commands(record))
    if not (record.decision.missing or record.decision.distrusted):
        assert bool(stopped) == (exit != 0)
    else:
        assert record.notes


def test_a_run_that_failed_without_a_finding_is_green_nowhere(run: Path, tmp_path: Path) -> None:
    facts = {**RUN, "failed": ["tests/test_model.py::test_crashed"]}
    held = read_report(write_run(tmp_path / "held", [measured("oracle", bank(12))], run=facts))
    assert headline(held).kind == "UNDECIDED"
    assert "no finding says why" in held.notes[0]
    assert "no finding says why" in page(held, ())


UNEVEN = {"count": "442 of 558 other presentations", "effect": {"low": 0.83, "high": 0.83}}


def test_a_mean_over_questions_is_not_told_as_the_share_of_the_count(run: Path) -> None:
    uneven = read_report(rewritten(run, verdict="BROKEN", **UNEVEN))
    said = [sentence(entry) for entry in uneven.entries]
    assert (
        "The answer changed in 442 of 558 other presentations; 83% averaged over 12 questions (tolerated 5%)." in said
    )


def test_a_test_whose_check_did_not_end_is_told_once(run: Path) -> None:
    where = "tests/test_model.py::test_p"
    stored = json.loads((run / "findings.json").read_text())
    lost = {"id": "x", "title": "option order", "where": where, "reason": "no route to host", "level": "block"}
    (run / "findings.json").write_text(json.dumps({**stored, "unfinished": [lost]}))
    failures = [{"where": where, "finding": "", "why": "ModelError: no route to host"}]
    (run / "run.json").write_text(json.dumps({**RUN, "exit": 1, "failures": failures}))
    record = read_report(run)
    (told,) = record.of("UNDECIDED")
    assert (told.name, told.is_failure, told.reasons) == ("option_order", False, ("no route to host",))


def test_what_belongs_to_no_finding_is_an_error_in_every_form(run: Path) -> None:
    policy = policy_from({"required": ["prompt", "<labels>::%0A"]}, "here")
    record = read_report(run, policy)
    assert len(record.unmet) == 2
    assert [
        line for line in github_commands(record).splitlines() if line.startswith("::error title=Invariance::missing")
    ]
    errors = ET.fromstring(junit(record)).findall(".//error")
    assert [error.get("message") for error in errors] == list(record.unmet)
    notes = json.loads(sarif(record))["runs"][0]["invocations"][0]["toolExecutionNotifications"]
    assert [note["level"] for note in notes] == ["error", "error"]
