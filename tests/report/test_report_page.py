"""The HTML page without a browser: what it says, that data stay data, that it needs nothing, and its size."""

from __future__ import annotations

import builtins
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pytest_llminvariance.cli import app
from pytest_llminvariance.errors import MissingExtraError
from pytest_llminvariance.records.answers import readable_answers
from pytest_llminvariance.report.entries import read_report
from pytest_llminvariance.report.html.orbit_tables import contrast
from pytest_llminvariance.report.html.page import TEMPLATES, page
from tests.run_records import HOSTILE, RUN, answer_rows, bank, finding_row, hostile_bank, measured, write_run

pytest.importorskip("matplotlib", reason="needs the extra report")


class Parsed(HTMLParser):
    """Tags with their attributes, and the text outside of styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text, self._open = "", ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open = tag

    def handle_endtag(self, tag: str) -> None:
        self._open = ""

    def handle_data(self, data: str) -> None:
        self.text += "" if self._open == "style" else data


def made(directory: Path) -> str:
    return page(read_report(directory), *readable_answers(directory))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    checks = [measured("always_first", bank(12)), measured("oracle", bank(12)), measured("uniform", bank(12))]
    checks.append(measured("always_first", bank(12), "labels"))
    return write_run(tmp_path_factory.mktemp("mixed") / "run", checks)


def test_the_page_says_everything_that_it_must(mixed: Path) -> None:
    text = made(mixed)
    seen = Parsed(text)
    for words in (
        "1 of 4 checks is broken", "The answer changed in 216 of 276 other presentations (78%, tolerated 5%).",
        "Smallest counter-example: swap A and B", "answer as shown", "answer as content", "Choices by position",
        "Where changed answers went", "What the answers vary with", "Questions, worst first", "Choices by label",
        "Cost and origin", "tests/test_model.py:12", "0123abc", "12.5 s",
    ):  # fmt: skip
        assert words in seen.text, words
    assert seen.text.index("BROKEN") < seen.text.index("UNDECIDED") < seen.text.index("HOLDS")
    charts = [attrs for tag, attrs in seen.tags if tag == "svg"]
    assert all(attrs["role"] == "img" and attrs["aria-labelledby"] for attrs in charts)
    assert len(charts) == text.count("<title id=") == text.count("<desc id=")
    assert "option order BROKEN: 78%, tolerated 5%" in seen.text, "the forest plot in words"


def test_the_page_is_the_same_each_time(mixed: Path) -> None:
    assert made(mixed) == made(mixed)


def test_the_page_needs_no_network_and_no_script(mixed: Path) -> None:
    seen = Parsed(made(mixed))
    names = {tag for tag, _ in seen.tags}
    assert not names & {"script", "img", "link", "iframe", "object", "embed", "form", "base", "image", "foreignobject"}
    for tag, attrs in seen.tags:
        for name, value in attrs.items():
            assert not name.startswith("on"), (tag, name)
            if name in ("href", "src", "xlink:href", "action"):
                assert (value or "").startswith("#"), (tag, name, value)
            assert "url(http" not in (value or "")
    ids = [attrs["id"] for _, attrs in seen.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    used = re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", made(mixed))
    assert set(used) <= set(ids)


def test_hostile_texts_are_text(tmp_path: Path) -> None:
    found = [measured("always_first", hostile_bank())]
    place = dict.fromkeys(("title", "where", "model", "readout", "design", "template"), HOSTILE[1] + HOSTILE[0])
    run = write_run(
        tmp_path / "run", found, places=[place], run={**RUN, "model": HOSTILE[0], "settings": {HOSTILE[1]: HOSTILE[0]}}
    )
    seen = Parsed(made(run))
    assert not {"script", "img", "b1"} & {tag for tag, _ in seen.tags}
    assert all(text in seen.text for text in HOSTILE[:2])
    assert "\x1b" not in seen.text
    assert "{{7*7}}" in seen.text


def test_a_part_that_is_missing_is_told_and_nothing_breaks(mixed: Path, tmp_path: Path) -> None:
    (tmp_path / "findings.json").write_text((mixed / "findings.json").read_text())
    seen = Parsed(made(tmp_path))
    assert "There is no run.json" in seen.text
    assert "There are no recorded answers" in seen.text
    assert "Choices by position" in seen.text, "shares by position are in the finding"
    assert "Questions, worst first" not in seen.text


def test_a_run_without_findings_does_not_look_like_success(tmp_path: Path) -> None:
    text = made(write_run(tmp_path / "run", []))
    assert "Nothing was checked" in text
    assert 'class="top UNDECIDED"' in text


def test_a_check_that_did_not_end_is_shown(mixed: Path, tmp_path: Path) -> None:
    stored = json.loads((mixed / "findings.json").read_text())
    stored["unfinished"] = [{"id": "z", "title": "lost check", "where": "t.py::test", "reason": "worker died"}]
    (tmp_path / "findings.json").write_text(json.dumps(stored))
    seen = Parsed(made(tmp_path))
    assert "Undecided because: worker died" in seen.text
    assert "no number" in seen.text


def test_long_suites_are_bounded_and_say_so(tmp_path: Path) -> None:
    check = measured("pair_order_sensitive", bank(14, k=6), orders="all")
    row = finding_row(check.finding)
    tmp_path.joinpath("findings.json").write_text(
        json.dumps({"schema_version": 1, "findings": [{**row, "id": str(n)} for n in range(500)]})
    )
    answers = [json.dumps({**answer, "check": "0"}) for answer in answer_rows("0", check.finding, check.evidence)]
    tmp_path.joinpath("answers.jsonl").write_text("\n".join(answers))
    text = made(tmp_path)
    assert len(text.encode()) < 5_000_000
    seen = Parsed(text).text
    assert "100 more findings are in findings.json" in seen
    assert "The 30 worst of 500 findings are drawn." in seen
    assert "Details are shown of the 20 worst findings; 480 more" in seen
    assert "The 12 worst are shown" in seen
    assert "696 more presentations are in answers.jsonl" in seen


def test_colours_of_words_can_be_read_in_both_schemes() -> None:
    css = (TEMPLATES / "page.css").read_text()
    blocks = re.findall(r":root\{(.*?)\}", css, flags=re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        colours = dict(re.findall(r"--([\w-]+):#([0-9a-f]{3,6})", block))
        shade = {name: tuple(int((c * 2 if len(text) == 3 else text[i : i + 2]), 16) for i, c in pairs(text))
                 for name, text in colours.items()}  # fmt: skip
        for ink in ("ink", "muted", "link"):
            for ground in ("card", "paper"):
                assert contrast(shade[ink], shade[ground]) >= 4.5, (ink, ground)  # type: ignore[arg-type]
        for verdict in ("BROKEN", "UNDECIDED", "HOLDS"):
            for ground in ("card", f"{verdict}-soft"):
                assert contrast(shade[verdict], shade[ground]) >= 4.5, (verdict, ground)  # type: ignore[arg-type]
        for mark in ("bar", "accent", "s1", "s2", "s3", "s4"):
            assert contrast(shade[mark], shade["card"]) >= 3, mark  # type: ignore[arg-type]


def pairs(text: str) -> list[tuple[int, str]]:
    return [(i, text[i]) for i in (range(3) if len(text) == 3 else (0, 2, 4))]


def test_without_matplotlib_the_error_names_the_extra(mixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def no_matplotlib(name: str, *args: Any, **more: Any) -> Any:
        if name.partition(".")[0] == "matplotlib":
            raise ModuleNotFoundError(name)
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", no_matplotlib)
    with pytest.raises(MissingExtraError, match=r"pip install 'pytest-llminvariance\[report\]'"):
        made(mixed)


def test_the_command_writes_the_page_beside_the_record(mixed: Path) -> None:
    result = CliRunner().invoke(app, ["report", str(mixed)])
    assert result.exit_code == 0, result.output
    assert (mixed / "report.html").read_text() == made(mixed)
    assert "report.html" in result.stderr
