"""The code of docs/data.md that makes questions of tables runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance import QuestionError, controls, load_questionnaire

DOCS = Path(__file__).parents[2] / "docs" / "data.md"
TABLES = {
    "reviews.csv": "text,label\nThe soup was cold.,negative\nBest pizza in town.,positive\n",
    "likert.csv": "item,trait,reverse\nI enjoy meeting new people.,extraversion,0\nI keep to myself.,extraversion,1\n"
    "I worry.,neuroticism,0\nI stay calm.,neuroticism,1\n",
}


def ran(name: str) -> dict[str, Any]:
    (code,) = re.findall(rf"<!-- test: {name} -->\n```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    Path(name).write_text(TABLES[name])
    made: dict[str, Any] = {}
    exec(code, made)
    return made


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_table_of_a_classifier() -> None:
    rows = ran("reviews.csv")["REVIEWS"]
    assert [(row.context, row.options[row.answer]) for row in rows] == [
        ("The soup was cold.", "negative"),
        ("Best pizza in town.", "positive"),
    ]


def test_a_table_of_items() -> None:
    made = ran("likert.csv")
    assert [item.reverse_keyed for item in made["SURVEY"].items] == [False, True, False, True]
    made["test_traits_do_not_depend_on_the_way_of_asking"](controls.oracle())


def test_a_table_as_an_instrument_is_refused_with_the_way_out() -> None:
    Path("likert.csv").write_text(TABLES["likert.csv"])
    with pytest.raises(
        QuestionError, match=r"likert.csv is a table.*Make Questionnaire\(items, Scale\(options, scores\)\)"
    ):
        load_questionnaire("likert.csv")
