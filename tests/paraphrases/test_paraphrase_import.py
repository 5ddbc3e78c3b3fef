"""Wordings from a table: provenance, one wording for all cases of a template, and nothing accepted that no person audited."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance import Question, QuestionError, UsageError
from pytest_llminvariance.paraphrases.importing import merged, read_rows
from pytest_llminvariance.paraphrases.lock import Lock, LockEntry, Wording
from pytest_llminvariance.paraphrases.lock_file import parse_lock, read_lock, render_lock
from tests.commands import llminvariance

BANK = [
    Question("Is Anna tall?", ["yes", "no"], id="a"),
    Question("Is Bert (the elder) tall?", ["yes", "no"], id="b"),
    Question("Which is red?", ["rose", "grass"], id="c"),
]
HUMAN = {"question": "c", "wording": "Which one is red?", "source": "study X", "audit": "human", "reviewer": "Ada"}
TEMPLATE = {**HUMAN, "question": "Is {who} tall?", "wording": "Would you call {who} tall?"}


def stems(lock: Lock) -> dict[str, list[tuple[str, str]]]:
    return {entry.question.id or "": [(one.stem, one.status) for one in entry.wordings] for entry in lock.entries}


def test_one_row_gives_every_case_of_a_template_its_wording() -> None:
    made = merged(Lock("q", ()), BANK, [TEMPLATE], "t.csv")
    assert stems(made.lock) == {
        "a": [("Would you call Anna tall?", "accepted")],
        "b": [("Would you call Bert (the elder) tall?", "accepted")],
    }
    assert (made.accepted, made.proposed, made.same) == (2, 0, 0)


def test_what_a_model_audited_waits_for_a_person() -> None:
    row = {**HUMAN, "audit": "model"}
    made = merged(Lock("q", ()), BANK, [row], "t.csv")
    assert stems(made.lock) == {"c": [("Which one is red?", "proposed")]}


def test_provenance_is_in_the_file_and_read_back() -> None:
    lock = merged(Lock("q", ()), BANK, [HUMAN], "t.csv").lock
    text = render_lock(lock)
    assert 'reviewer = "Ada"\naudit = "human"' in text
    assert parse_lock(text.encode(), "p.toml") == lock
    wrong = text.replace('audit = "human"', 'audit = "nobody"')
    with pytest.raises(QuestionError, match="the field 'audit' is 'nobody', but must be one of human, model"):
        parse_lock(wrong.encode(), "p.toml")


def test_what_was_rejected_or_is_the_same_stays_as_it_is() -> None:
    old = Lock("q", (LockEntry(BANK[2], (Wording("Which one is red?", "rejected", "rule"),)),))
    made = merged(old, BANK, [HUMAN, {**HUMAN, "wording": "which is RED"}], "t.csv")
    assert made.lock == old
    assert made.same == 2


def test_a_slot_that_comes_twice_is_one_text() -> None:
    row = {**HUMAN, "question": "Is {x} {x}?", "wording": "{x}, is it {x}?"}
    bank = [Question("Is red red?", ["yes", "no"], id="same"), Question("Is red blue?", ["yes", "no"], id="other")]
    assert stems(merged(Lock("q", ()), bank, [row], "t").lock) == {"same": [("red, is it red?", "accepted")]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"audit": "cat"}, "row 1: the field 'audit' is 'cat', but must be one of human, model"),
        ({"reviewer": ""}, "row 1: audit is 'human', but the field 'reviewer' is missing"),
        ({"source": " "}, "row 1: the field 'source' is missing"),
        ({"note": "x"}, "row 1: unknown field 'note'"),
        ({"wording": "Which {who}?"}, "row 1: question and wording have different"),
        ({"wording": 3}, "row 1: the field 'wording' is 3, but must be text"),
    ],
)
def test_a_bad_row_is_named_and_nothing_is_half_read(change: dict[str, Any], words: str, tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    file.write_text(json.dumps([{**HUMAN, **change}]))
    with pytest.raises(QuestionError, match=words):
        read_rows(file)


HEADER = "question,wording,source,audit,reviewer\n"
GOOD = "c,Which one is red?,us,human,Ada\n"
BAD_FILES: dict[str, tuple[str, bytes | str, str]] = {
    "quote": ("t.csv", HEADER + GOOD + 'c,"Which,us,human,Ada\n', r"t\.csv, line 3: .*Close the quote"),
    "text after a quote": ("t.csv", HEADER + 'c,"Which" one,us,human,Ada\n', r"t\.csv, line 2: "),
    "a field too long": ("t.csv", HEADER + f"c,{'x' * 200_000},us,human,Ada\n", r"t\.csv, line 2: field larger"),
    "more cells": ("t.csv", HEADER + GOOD + "c,Which, then,us,human,Ada\n", r"t\.csv, row 2: has more cells"),
    "fewer cells": ("t.csv", HEADER + "c,Which is red?,us\n", r"t\.csv, row 1: has fewer cells"),
    "a column twice": (
        "t.csv",
        HEADER.replace("reviewer", "source") + GOOD,
        r"t\.csv, line 1: the column 'source' comes twice",
    ),
    "NUL": ("t.csv", HEADER + "c,Wh\0ich?,us,human,Ada\n", r"t\.csv: is not utf-8 text \(it holds NUL\)"),
    "no text": ("t.csv", HEADER.encode() + b"c,\xff\n", r"t\.csv: is not UTF-8 text"),
    "empty": ("t.csv", "", r"t\.csv: holds no rows"),
    "header only": ("t.csv", HEADER, r"t\.csv: holds no rows"),
    "another ending": ("t.xlsx", HEADER + GOOD, r"t\.xlsx: the ending '\.xlsx' is not known\. Use"),
    "no JSON": ("t.json", "[{]", r"t\.json, line 1: not JSON"),
    "deep JSON": ("t.json", "[" * 100_000, r"t\.json: cannot be read"),
    "no list": ("t.json", "3", r"t\.json: must hold a list"),
    "no object": ("t.json", json.dumps([HUMAN, 3]), r"t\.json, row 2: 3 is no object with fields"),
    "half a pair": ("t.json", json.dumps([{**HUMAN, "wording": "Which\ud800?"}]), r"row 1: .* half a surrogate pair"),
    "a bad line": ("t.jsonl", json.dumps(HUMAN) + "\n{\n", r"t\.jsonl, row 2: not JSON"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_file_that_is_ill_formed_is_told_in_a_sentence(kind: str, tmp_path: Path) -> None:
    name, held, says = BAD_FILES[kind]
    (tmp_path / name).write_bytes(held if isinstance(held, bytes) else held.encode())
    with pytest.raises(QuestionError, match=says):
        read_rows(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "held"),
    [
        ("t.csv", HEADER + GOOD),
        ("t.csv", "\n" + (HEADER + GOOD).replace(",", ";")),
        ("t.tsv", (HEADER + GOOD).replace(",", "\t")),
        ("t.jsonl", json.dumps(HUMAN | {"source": "us"})),
        ("t.json", json.dumps({"rows": [HUMAN | {"source": "us"}]})),
    ],
)
def test_tables_of_every_kind_are_read_as_questions_are(name: str, held: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(held)
    assert read_rows(tmp_path / name) == [{**HUMAN, "source": "us"}]


def test_bad_files() -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_rows(Path("nowhere.csv"))
    with pytest.raises(QuestionError, match="row 1: 'z' is no id, stem or template"):
        merged(Lock("q", ()), BANK, [{**HUMAN, "question": "z"}], "t")


def test_the_command(tmp_path: Path) -> None:
    questions, table, out = tmp_path / "q.jsonl", tmp_path / "t.csv", tmp_path / "p.toml"
    questions.write_text("\n".join(json.dumps({"id": q.id, "stem": q.stem, "options": list(q.options)}) for q in BANK))
    table.write_text(
        'question,wording,source,audit,reviewer\nIs {w} tall?,"Tall, is {w}?",us,human,Ada\nc,What is red?,m,model,\n'
    )
    done = llminvariance(["paraphrase", "import", str(table), str(questions), "--out", str(out)])
    assert done.exit_code == 0, done.output
    assert done.output == f"{out}: 2 accepted, 1 wait for review, 0 were there already\n"
    assert read_lock(out).entries[0].wordings[0].reviewer == "Ada"
    again = llminvariance(["paraphrase", "import", str(table), str(questions), "--out", str(out)])
    assert again.output == f"{out}: 0 accepted, 0 wait for review, 3 were there already\n"
    assert llminvariance(["paraphrase", "import", "nowhere.csv", str(questions)]).exit_code == 2
