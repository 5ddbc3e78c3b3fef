"""Markdown, annotations, JUnit, SARIF, model card: what they say, how long they are, and that data stay data."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import pytest
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt

from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.gate.policy import policy_from
from pytest_llminvariance.report.card import BEGIN, END, card
from pytest_llminvariance.report.entries import Report, read_report
from pytest_llminvariance.report.formats import FORMATS, TERMINAL
from pytest_llminvariance.report.github import escape_message, escape_value, github_commands
from pytest_llminvariance.report.junit import junit
from pytest_llminvariance.report.markdown import as_text, markdown
from pytest_llminvariance.report.sarif import sarif
from tests.commands import llminvariance
from tests.run_records import HOSTILE, RUN, bank, finding_row, hostile_bank, measured, write_run

EXISTING = """---
license: apache-2.0
tags:
- chat
model-index:
- name: ours
  results:
  - task:
      type: text-generation
    dataset:
      name: MMLU
      type: mmlu
    metrics:
    - type: accuracy
      value: 0.5
---

# A model

Words of its authors.
"""


class Seen(HTMLParser):
    """Tags and text of rendered HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.text += data


def rendered(text: str) -> Seen:
    return Seen(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    checks = [
        measured("always_first", bank(12)),
        measured("oracle", bank(12)),
        measured("uniform", bank(12)),
        measured("always_first", bank(12)),
    ]
    places: list[dict[str, Any]] = [{"line": line} for line in (10, 20, 30)]
    return write_run(
        tmp_path_factory.mktemp("mixed"),
        checks,
        places=[*places, {"line": 40, "level": "warn", "file": "a b/t,1:é.py"}],
    )


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Report:
    found = [measured("always_first", hostile_bank())]
    place = {
        "where": "tests/t.py::test[<img src=x onerror=alert(1)>|`]",
        "file": "tests/<b>,:%\n.py",
        "title": HOSTILE[1],
    }
    return read_report(write_run(tmp_path_factory.mktemp("hostile"), found, places=[place]))


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """Two thousand broken findings with long texts."""
    directory = write_run(tmp_path_factory.mktemp("many"), [measured("always_first", hostile_bank(2))])
    row = finding_row(measured("always_first", hostile_bank(2)).finding)
    rows = [
        {**row, "title": f"option order {n} " + "wide " * 40, "where": f"tests/t.py::test_{n}"} for n in range(2000)
    ]
    (directory / "findings.json").write_text(json.dumps({"schema_version": 1, "findings": rows}))
    return read_report(directory)


def test_markdown_says_the_verdicts_worst_first(mixed: Path) -> None:
    text = markdown(read_report(mixed))
    assert text.startswith("## ✗ Invariance: 1 of 4 checks is broken")
    seen = rendered(text)
    rows = re.findall(r"^\| . (BROKEN|UNDECIDED|HOLDS)", text, flags=re.MULTILINE)
    assert rows == ["BROKEN", "BROKEN", "UNDECIDED", "HOLDS"]
    assert {"table", "h2", "h3", "li", "code"} <= seen.tags
    assert "tests/test_model.py:10" in seen.text
    assert "because: the effect lies between 0 and 1" in seen.text
    assert "swap A and B" in seen.text


def test_markdown_keeps_below_its_limit_and_counts_what_it_left_out(many: Report) -> None:
    text = markdown(many)
    assert 40_000 < len(text.encode()) < 64_000
    listed = len(re.findall(r"^\| ✗ BROKEN", text, flags=re.MULTILINE))
    (left_out,) = re.findall(r"^([\d,]+) more checks not listed here", text, flags=re.MULTILINE)
    assert listed + int(left_out.replace(",", "")) == 2000
    detailed = len(re.findall(r"^### ", text, flags=re.MULTILINE))
    (rest,) = re.findall(r"^Details of ([\d,]+) more findings", text, flags=re.MULTILINE)
    assert detailed + int(rest.replace(",", "")) == 2000


def test_markdown_of_hostile_texts_is_text(hostile: Report) -> None:
    seen = rendered(markdown(hostile))
    assert seen.tags <= {"h2", "h3", "p", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "code", "b"}
    assert seen.links == []
    assert "<script>alert(1)</script>" in seen.text
    assert "<img src=x onerror=alert(1)>" in seen.text
    assert "[x](javascript:alert(1))" in seen.text


@pytest.mark.parametrize(
    "text", [*HOSTILE, "*a* _b_ ~~c~~ <http://x.y> www.x.y ![i](u) \\| `code` &amp; $x$ [^1] :-) 1. #a"]
)
def test_a_text_in_markdown_is_read_back_as_it_was(text: str) -> None:
    seen = rendered(f"so: {as_text(text)} end")
    assert seen.tags == {"p"}
    assert seen.text.strip().removeprefix("so: ").removesuffix(" end") == " ".join(
        text.replace("\x1b", "\\x1b").replace("\u202e", "\\u202e").replace("\x00", "\\x00").split()
    )


def test_annotations_stand_on_the_tests_and_weigh_by_level(mixed: Path) -> None:
    lines = github_commands(read_report(mixed)).splitlines()
    heads = [line.split("::")[1] for line in lines]
    assert heads == [
        "error file=tests/test_model.py,line=10,title=option order%3A BROKEN",
        "error file=tests/test_model.py,line=30,title=option order%3A UNDECIDED",
        "warning file=a b/t%2C1%3Aé.py,line=40,title=option order%3A BROKEN",
    ]
    assert "(78%25, tolerated 5%25)" in lines[0]


@pytest.mark.parametrize("level", ["block", "warn", "ignore"])
def test_nothing_is_said_of_what_holds(level: str, tmp_path: Path) -> None:
    run = read_report(write_run(tmp_path, [measured("oracle", bank(12))], places=[{"level": level}]))
    nothing_counts = "::error title=Invariance::no finding counts\n"  # the gate takes it for no evidence
    assert github_commands(run) == (nothing_counts if level == "ignore" else "")
    assert ET.fromstring(junit(run))[0].get("skipped") == "0"


def test_what_a_policy_lets_pass_is_said_with_its_level(mixed: Path) -> None:
    policy = policy_from({"properties": {"option_order": {"level": "warn"}}}, "here")
    said = [case.get("message") or "" for case in ET.fromstring(junit(read_report(mixed, policy))).iter("skipped")]
    assert len(said) > 1
    assert all(text.startswith("warns: ") for text in said)


def test_undecided_that_the_session_let_pass_is_a_warning(mixed: Path, tmp_path: Path) -> None:
    (tmp_path / "findings.json").write_text((mixed / "findings.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**RUN, "settings": {"undecided": "warn"}}))
    kinds = [line.split(" ")[0] for line in github_commands(read_report(tmp_path)).splitlines()]
    assert kinds == ["::error", "::warning", "::warning"]


def test_a_hostile_text_cannot_begin_a_command(hostile: Report) -> None:
    text = github_commands(hostile)
    assert text.count("\n") == 1
    head = text.split("::")[1]
    assert dict(part.split("=", 1) for part in head.removeprefix("error ").split(",")).keys() == {
        "file",
        "line",
        "title",
    }
    assert "\x1b" not in text
    assert escape_message("50%\r\n::error::x") == "50%25%0D%0A::error::x"
    assert escape_value("a:b,c%\n") == "a%3Ab%2Cc%25%0A"


def test_more_annotations_than_are_shown_are_counted(many: Report) -> None:
    lines = github_commands(many).splitlines()
    assert len(lines) == 10
    assert lines[-1] == "::error title=More findings::1991 more findings like these are in findings.json"


def test_junit_counts_and_properties(mixed: Path) -> None:
    root = ET.fromstring(junit(read_report(mixed)))
    (suite,) = root
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4", "failures": "2", "errors": "0", "skipped": "1",
    }  # fmt: skip
    assert len({(case.get("classname"), case.get("name")) for case in suite}) == 4
    first = {item.get("name"): item.get("value") for item in suite[0].iter("property")}
    assert first["invariance.verdict"] == "BROKEN"
    assert float(first["invariance.effect.low"] or "") == pytest.approx(18 / 23)
    assert [child.tag for child in suite[0]] == ["properties", "failure"]
    assert [child.tag for child in suite[3]] == ["properties"]


def test_junit_of_hostile_texts_is_xml(hostile: Report) -> None:
    root = ET.fromstring(junit(hostile))
    failure = root.find(".//failure")
    assert failure is not None
    assert "<script>alert(1)</script>" in (failure.text or "")
    assert {element.tag for element in root.iter()} == {
        "testsuites", "testsuite", "testcase", "properties", "property", "failure",
    }  # fmt: skip


def check_sarif(log: dict[str, Any]) -> None:
    """The rules of SARIF 2.1.0 that matter for what we write."""
    assert set(log) == {"$schema", "version", "runs"}
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    assert set(run) <= {"tool", "automationDetails", "invocations", "columnKind", "results", "properties"}
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    assert isinstance(run["invocations"][0]["executionSuccessful"], bool)
    for result in run["results"]:
        assert set(result) <= {
            "ruleId",
            "ruleIndex",
            "level",
            "message",
            "locations",
            "partialFingerprints",
            "properties",
        }
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note", "none")
        check_message(result["message"]["text"])
        for place in result.get("locations", ()):
            physical = place["physicalLocation"]
            assert re.fullmatch(r"[\w./:%~-]+", physical["artifactLocation"]["uri"], flags=re.ASCII)
            assert physical.get("region", {"startLine": 1})["startLine"] >= 1
    digests = [result["partialFingerprints"]["llminvariance/v1"] for result in run["results"]]
    assert len(set(digests)) == len(digests)


def check_message(text: str) -> None:
    """No link and no placeholder is left when escapes are taken out."""
    assert not re.search(r"[\[\]]", re.sub(r"\\[\\\[\]]", "", text))
    assert not re.search(r"[{}]", text.replace("{{", "").replace("}}", ""))


def test_sarif_has_a_result_for_each_that_does_not_hold(mixed: Path) -> None:
    log = json.loads(sarif(read_report(mixed)))
    check_sarif(log)
    (run,) = log["runs"]
    assert [result["level"] for result in run["results"]] == ["error", "warning", "error"]
    assert run["properties"] == {"broken": 2, "undecided": 1, "holds": 1}
    uris = [result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for result in run["results"]]
    assert unquote(uris[1]) == "a b/t,1:é.py"
    assert run["invocations"] == [{"executionSuccessful": True, "startTimeUtc": "2026-11-21T10:00:00Z"}]


def test_sarif_fingerprints_stay_when_numbers_change(mixed: Path, tmp_path: Path) -> None:
    stored = json.loads((mixed / "findings.json").read_text())
    stored["findings"][0]["effect"] = {"low": 0.9, "high": 0.9}
    for row in stored["findings"][0]["per_question"]:
        row |= stored["findings"][0]["effect"]
    (tmp_path / "findings.json").write_text(json.dumps(stored))
    before, after = (json.loads(sarif(read_report(place)))["runs"][0]["results"] for place in (mixed, tmp_path))
    assert [item["partialFingerprints"] for item in before] == [item["partialFingerprints"] for item in after]


def test_sarif_of_hostile_texts(hostile: Report, many: Report) -> None:
    for record in (hostile, many):
        check_sarif(json.loads(sarif(record)))
    assert sarif(hostile).isascii()


def test_a_new_card_can_be_read_by_the_hub(mixed: Path) -> None:
    made = ModelCard(card(read_report(mixed), None))
    values = [result.metric_value for result in made.data.eval_results]  # type: ignore[attr-defined]
    assert values == [18 / 23, 18 / 23, "0 to 1", 0.0]
    assert made.text.count(BEGIN) == made.text.count(END) == 1


def test_a_card_written_twice_is_the_same_and_keeps_what_others_wrote(mixed: Path, tmp_path: Path) -> None:
    record = read_report(mixed)
    once = card(record, EXISTING)
    assert card(record, once) == once
    made = ModelCard(once)
    assert made.data.license == "apache-2.0"  # type: ignore[attr-defined]
    results = made.data.eval_results  # type: ignore[attr-defined]
    assert (results[0].dataset_type, results[0].metric_value) == ("mmlu", 0.5)
    assert len(results) == 5
    assert made.text.strip().startswith("# A model\n\nWords of its authors.")
    held = read_report(write_run(tmp_path, [measured("oracle", bank(12))]))
    again = card(held, once)
    assert len(ModelCard(again).data.eval_results) == 2  # type: ignore[attr-defined]
    assert "BROKEN |" not in again
    assert again.index("# A model") < again.index(BEGIN)
    assert card(record, again) == once, "the way back"


def test_words_after_the_section_stay(mixed: Path) -> None:
    record = read_report(mixed)
    text = card(record, EXISTING) + "\n## After\n\nMore words.\n"
    again = card(record, text)
    assert again == text


def test_a_card_without_data_and_broken_cards(mixed: Path) -> None:
    record = read_report(mixed)
    plain = card(record, "# A model\n")
    assert ModelCard(plain).text.strip().startswith("# A model")
    assert card(record, plain) == plain
    for text, said in (
        (f"# A model\n{BEGIN}\n", "1 begin marks and 0 end marks"),
        ("---\n[1, 2\n---\n", "metadata cannot be read"),
        (EXISTING.replace("- name: ours", "- name: other\n  results: []\n- name: ours"), "several models"),
    ):
        with pytest.raises(UsageError, match=said):
            card(record, text)


def test_a_card_of_hostile_texts_is_text_and_idempotent(hostile: Report) -> None:
    once = card(hostile, EXISTING)
    assert card(hostile, once) == once
    seen = rendered(ModelCard(once).text)
    assert not {"script", "img"} & seen.tags
    assert seen.links == []


@pytest.mark.parametrize("form", ["markdown", "junit", "github", "sarif", "card"])
def test_the_command_prints_each_form(mixed: Path, form: str) -> None:
    result = llminvariance(["report", str(mixed), "--format", form])
    assert result.exit_code == 0, result.output
    made = {"markdown": markdown, "junit": junit, "github": github_commands, "sarif": sarif}
    record = read_report(mixed)
    assert result.stdout == (card(record, None) if form == "card" else made[form](record))


def test_a_form_that_is_not_there_is_refused_with_those_that_are(mixed: Path) -> None:
    result = llminvariance(["report", str(mixed), "--format", "pdf"])
    assert result.exit_code == 2
    said = " ".join(re.sub("[│╭╮╰╯─]", " ", result.stderr).split())
    assert "'pdf' is not one of 'html', 'markdown', 'junit', 'github', 'sarif', 'card'." in said


TOY = """
import dataclasses
from pytest_llminvariance.report import formats

toy = formats.Format(
    name="toy", about="a count of findings and answers", file="toy.txt", needs_answers=True,
    write=lambda source: f"{len(source.record.entries)} findings, {len(source.answers)} answers",
)
bare = dataclasses.replace(toy, name="bare", file=formats.TERMINAL, needs_answers=False)
formats.FORMATS = {**formats.FORMATS, "toy": toy, "bare": bare}
from pytest_llminvariance.cli import main
main()
"""


def test_a_format_is_one_entry_in_one_table(mixed: Path) -> None:
    def run(*args: str) -> str:
        command = [sys.executable, "-c", TOY, "report", *args]
        environment = {**os.environ, "COLUMNS": "300", "PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout

    told = " ".join(run("--help").split())
    assert "sarif|card|toy|bare" in told
    assert "toy: a count of findings and answers" in told
    assert "toy: DIR/toy.txt." in told
    assert run(str(mixed), "--format", "toy") == ""
    n_answers = len((mixed / "answers.jsonl").read_text().splitlines())
    assert (mixed / "toy.txt").read_text() == f"4 findings, {n_answers} answers"
    assert run(str(mixed), "--format", "bare") == "4 findings, 0 answers", "no answers are read for it"


def test_the_docs_list_the_formats() -> None:
    rows = [
        f"| `{form.name}` | {form.about} | findings{' and answers' if form.needs_answers else ''} | "
        + ("the terminal" if form.file == TERMINAL else f"`{form.place(Path('DIR'))}`")
        + ("; with `--out` into the file that is there |" if form.in_place else " |")
        for form in FORMATS.values()
    ]
    docs = (Path(__file__).parents[2] / "docs" / "reports.md").read_text()
    table = docs.split("kept equal to the table of formats by a test -->")[1].split("<!-- end of formats -->")[0]
    assert [line for line in table.splitlines() if line.startswith("| `")][1:] == rows


def test_the_command_changes_a_card_in_place(mixed: Path, tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text(EXISTING)
    for _ in range(2):
        assert llminvariance(["report", str(mixed), "--format=card", f"--out={file}"]).exit_code == 0
        assert file.read_text() == card(read_report(mixed), EXISTING)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]


def test_the_command_exits_2_with_the_reason(tmp_path: Path) -> None:
    result = llminvariance(["report", str(tmp_path), "--format=sarif"])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "holds no findings.json" in result.stderr
