"""Findings without pytest: as text, as HTML, and the page of a `with run()`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance import (
    FindingList,
    InvarianceError,
    Presentation,
    Question,
    UsageError,
    assert_same_answer,
    check,
    controls,
    run,
)

BANK = [Question(f"<b>stem</b> {n}?", [f"{c}{n}" for c in "abcd"], id=f"q{n}", answer=n % 4) for n in range(12)]


def test_a_finding_is_one_screen_of_text() -> None:
    said = str(check("option_order", controls.always_first(), BANK, tolerance=0.1))
    assert said.startswith(
        "option order is broken: the answer changed in 216 of 276 other presentations (78%, tolerated 10%)."
    )
    assert "  example: q0: <b>stem</b> 0? - swap A and B:" in said
    assert len(said.splitlines()) <= 25
    held = str(check("option_order", controls.oracle(), BANK, tolerance=0.1))
    assert held.startswith("option order holds: the answer changed in 0 of 276")
    assert "example" not in held


def test_a_finding_shows_itself_in_a_notebook() -> None:
    found = check("option_order", controls.always_first(), BANK, tolerance=0.1)
    text = found._repr_html_()
    assert text is not None
    assert ">BROKEN</b> option order is broken" in text
    assert "&lt;b&gt;stem&lt;/b&gt;" in text
    assert "<b>stem" not in text


def test_the_page_of_a_run(tmp_path: Path) -> None:
    with run(seed=3) as session:
        check("option_order", controls.oracle(), BANK, tolerance=0.1)
        shown = Presentation(BANK[0])
        with pytest.raises(InvarianceError) as caught:
            assert_same_answer(controls.always_first(), shown, shown.replace(order=(1, 0, 2, 3)))
    assert str(caught.value.finding).startswith("search: same answer: a counter-example was found, 1 pair compared.")
    session.report(tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "1 of 2 checks is broken" in text
    assert "search: same answer" in text
    assert "swap A and B" in text
    with run() as empty:
        pass
    empty.report(tmp_path / "empty.html")
    assert "Nothing was checked" in (tmp_path / "empty.html").read_text()


def test_the_findings_of_a_recorder_that_was_given(tmp_path: Path) -> None:
    with run(recorder=(kept := FindingList())) as session:
        check("option_order", controls.oracle(), BANK, tolerance=0.1)
    session.report(str(tmp_path / "page.html"))
    assert len(kept.findings) == 1
    with pytest.raises(UsageError, match="there are no findings to report here"):
        session._replace(recorder=None).report(tmp_path / "page.html")


def test_it_needs_no_other_import() -> None:
    source = (
        "from pytest_llminvariance import Question, check, controls\n"
        "bank = [Question(f'Number {n}?', ['red', 'blue'], answer=n % 2) for n in range(10)]\n"
        "print(check('order', controls.oracle(), bank, tolerance=0.1))"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("option order holds: ")


def test_the_snippets_of_the_docs_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parents[2] / "docs" / "notebooks.md").read_text("utf-8")
    codes = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    assert len(codes) == 2
    rows = [{"stem": f"Is {n} even?", "options": ["yes", "no"], "answer": n % 2} for n in range(12)]
    (tmp_path / "questions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    monkeypatch.chdir(tmp_path)
    for code in codes:
        names: dict[str, Any] = {}
        exec(code.replace('"demo"', '"control:always_first"'), names)
    assert (tmp_path / "page.html").stat().st_size > 1_000
    assert len(names["kept"].findings) == 1
