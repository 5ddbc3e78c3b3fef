"""docs/data.md says what the code does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from pytest_llminvariance import load_questions
from pytest_llminvariance.models.replay import load_replay
from pytest_llminvariance.models.replay_rows import KEYS, VALUES
from pytest_llminvariance.questions.columns import FIELDS
from pytest_llminvariance.questions.keys import MEANS, STYLES
from pytest_llminvariance.questions.presets import PRESETS, Column
from tests.questions.bad_input import write

TEXT = (Path(__file__).parents[2] / "docs" / "data.md").read_text()


def told(name: str) -> list[str]:
    table = TEXT.split(f"<!-- {name}: kept equal to the code by a test -->")[1].split("<!-- end of")[0]
    return table.strip().splitlines()[2:]


def shown(columns: tuple[Column, ...]) -> str:
    return " or ".join(", ".join(f"`{name}`" for name in ((one,) if isinstance(one, str) else one)) for one in columns)


def test_presets_are_those_of_the_code() -> None:
    rows = []
    for name, preset in PRESETS.items():
        constant = " and ".join(map(repr, preset.options))
        cells = [shown(preset.fields.get(field, ())) for field in ("stem", "options", "answer")]
        keys = " or ".join(f"`{style}`" for style in preset.answers)
        empty = "as `doc`" if not preset.fields else ""
        cells = [cells[0] or empty, cells[1] or constant or empty, cells[2] or empty or "the same", keys or empty]
        rows.append(f"| `{name}` | {' | '.join(cells)} | `{json.dumps(preset.example)}` |")
    assert told("presets") == rows, "\n" + "\n".join(rows)


def test_ways_of_writing_keys_are_those_of_the_code() -> None:
    assert told("keys") == [f"| `{style}` | {MEANS[style]} |" for style in STYLES]


@pytest.mark.parametrize("number", range(2))
def test_examples_of_json_load(tmp_path: Path, number: int) -> None:
    example = re.findall(r"```json\n(.*?)```", TEXT, flags=re.DOTALL)[number]
    assert load_questions(write(tmp_path, ("a.jsonl", "a.json")[number], example))


def test_the_example_of_csv_loads(tmp_path: Path) -> None:
    example = TEXT.split("```text\n")[1].split("```")[0]
    assert [dict(question.attributes) for question in load_questions(write(tmp_path, "a.csv", example))] == [
        {"topic": "planets"},
        {"topic": "things"},
    ]


def test_the_example_of_recorded_answers_loads_and_its_fields_are_told(tmp_path: Path) -> None:
    example = re.findall(r"```json\n(.*?)```", TEXT, flags=re.DOTALL)[3]
    assert load_replay(write(tmp_path, "a.jsonl", example)).capabilities == {"text"}
    table = TEXT.split("| field | what it says |")[1].split("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", re.sub(r"\| [^|`]*(`true`)?[^|]*\|$", "", table, flags=re.MULTILINE))) == {
        *KEYS,
        *VALUES,
    }


def test_every_field_is_named() -> None:
    line = next(line for line in TEXT.splitlines() if line.startswith("The fields are"))
    assert tuple(re.findall(r"`(\w+)`", line)) == ("stem", "options", *FIELDS[2:])
