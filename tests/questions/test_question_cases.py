"""Question files as people have them: each loads with the key right, or is refused with the way out."""

from __future__ import annotations

import json
import pickle
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance import Question, Verdict, assert_no_negative_flips, check, controls, load_questions
from pytest_llminvariance.cli.auditing import read_bank
from pytest_llminvariance.errors import MissingExtraError, QuestionError
from pytest_llminvariance.questions.presets import PRESETS, looks_like
from pytest_llminvariance.questions.question import Bank
from tests.questions.bad_input import write

CASES = Path(__file__).parent / "cases" / "files"
LOADS: list[tuple[str, dict[str, Any], list[str | None]]] = [
    ("mmlu.jsonl", {"preset": "mmlu"}, ["Iron"]),
    ("mmlu_orig.csv", {"preset": "mmlu"}, ["Iron"]),
    ("abcd.csv", {"preset": "mmlu"}, ["Paris"]),
    ("abcd.csv", {"fields": {"stem": "question", "options": ["A", "B", "C", "D"]}}, ["Paris"]),
    ("hf_rows.json", {"preset": "mmlu"}, ["4"]),
    ("hf_to_json.json", {"preset": "mmlu"}, ["4"]),
    ("mmlu_pro.jsonl", {"preset": "mmlu_pro"}, ["Fire"]),
    ("arc.jsonl", {"preset": "arc"}, ["Fire"]),
    ("hellaswag.jsonl", {"preset": "hellaswag"}, ["d"]),
    ("boolq.jsonl", {"preset": "boolq"}, ["yes"]),
    ("boolq.jsonl", {}, ["yes"]),
    ("bigbench.json", {"preset": "bigbench"}, ["4"]),
    ("inspect.jsonl", {"preset": "inspect"}, ["4"]),
    ("lmeval_samples.jsonl", {"preset": "lm_eval_samples"}, ["4"]),
    ("optdict.jsonl", {}, ["Fire"]),
    ("letters.jsonl", {}, ["Fire"]),
    ("numopts.jsonl", {}, ["4"]),
    ("intid.jsonl", {}, [None]),
    ("emptyctx.jsonl", {}, [None]),
    ("null_rev.jsonl", {}, [None]),
    ("floatkey.csv", {}, ["Rome"]),
    ("hfcsv.csv", {}, ["4"]),
    ("numkey.csv", {"answers": "index"}, ["7", "2", "0"]),
    ("onebased.csv", {"answers": "one_based"}, ["Paris", "Rome"]),
    ("onebased.csv", {"answers": "index"}, ["Rome", "Lima"]),
    ("semi.csv", {}, ["Ann"]),
    ("utf16.csv", {}, [None]),
    ("cp1252.csv", {"encoding": "cp1252"}, [None]),
    ("excel_trailing.csv", {}, ["Ann"]),
    ("excel_blank.csv", {}, ["Ann"]),
    ("hdr_case.csv", {"fields": {"stem": "Stem", "options": "Options", "answer": "Answer"}}, ["Ann"]),
    ("space_hdr.csv", {"fields": {"options": " options", "answer": " answer"}}, ["Ann"]),
    ("passage.csv", {"fields": {"answer": "label", "context": "passage"}}, ["Ann"]),
    ("prefixed.jsonl", {"answers": "index"}, ["rises"]),
    ("smart.csv", {}, ["It’s Ann"]),
]
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    *((name, {}, f"look like {like}: pass preset='{like}'") for name, like in (
        ("mmlu.jsonl", "mmlu"), ("mmlu_orig.csv", "mmlu"), ("abcd.csv", "mmlu"), ("hf_rows.json", "mmlu"),
        ("hf_to_json.json", "mmlu"), ("mmlu_pro.jsonl", "mmlu_pro"), ("arc.jsonl", "arc"), ("hellaswag.jsonl", "hellaswag"),
        ("bigbench.json", "bigbench"), ("inspect.jsonl", "inspect"), ("lmeval_samples.jsonl", "lm_eval_samples"),
    )),
    ("near.jsonl", {}, r"near.jsonl, line 1: question 'effect?': the options 'Increase Increase' and 'Increase\xa0Increase' look the same"),
    ("near2.jsonl", {}, "near2.jsonl, line 1: question 'effect?': the options 'Yes' and 'Yes ' look the same"),
    ("numkey.csv", {}, "numkey.csv, line 3: answer is '0', which is both an index that counts from 0 (option 0, '2') and the text of an "
        "option (option 2, '0'). Pass answers='index' or answers='text' to say which"),
    ("gap.csv", {}, "gap.csv, line 2: options has a blank between others"),
    ("onebased.csv", {}, "Pass answers='one_based' if they do, answers='index' if they count from 0"),
    ("pipe.csv", {}, "where a '|' may belong to an option: a bracket is not closed in 'P(D'. Use columns option_1"),
    ("cp1252.csv", {}, "is not UTF-8 text (byte 15 is 0xe9). Pass encoding='cp1252' if 'Qué?,sí|no' reads right"),
    ("hdr_case.csv", {}, "pass fields={'stem': 'Stem', 'options': 'Options', 'answer': 'Answer'}"),
    ("space_hdr.csv", {}, "pass fields={'options': ' options', 'answer': ' answer'}"),
    ("passage.csv", {}, "pass fields={'answer': 'label', 'context': 'passage'}"),
    ("prefixed.jsonl", {}, "options carry labels of their own: ['A. rises', 'B. falls', 'C. stays']"),
]  # fmt: skip


def keys(questions: tuple[Question, ...]) -> list[str | None]:
    return [None if q.answer is None else q.options[q.answer] for q in questions]


@pytest.mark.parametrize(("name", "told", "right"), LOADS)
def test_loads_with_the_right_key(name: str, told: dict[str, Any], right: list[str | None]) -> None:
    assert keys(load_questions(CASES / name, **told)) == right


@pytest.mark.parametrize(("name", "told", "message"), REFUSED)
def test_is_refused_with_the_way_out(name: str, told: dict[str, Any], message: str) -> None:
    with pytest.raises(QuestionError) as caught:
        load_questions(CASES / name, **told)
    assert message in str(caught.value)


def test_every_case_is_tried() -> None:
    tried = {name for name, *_ in (*LOADS, *REFUSED)} | {"five_bad.jsonl", "catchall.jsonl"}
    assert {path.name for path in CASES.iterdir()} == tried


def test_all_bad_rows_are_named_and_of_many_the_first_20_with_their_number(tmp_path: Path) -> None:
    with pytest.raises(QuestionError) as caught:
        load_questions(CASES / "five_bad.jsonl")
    lines = str(caught.value).splitlines()
    assert lines[0] == "five_bad.jsonl: 5 of 5 rows cannot be read:"
    assert [line.split(":")[0] for line in lines[1:6]] == [f"  five_bad.jsonl, line {n}" for n in range(1, 6)]
    assert lines[6] == "Correct them, or pass bad_rows='skip' to leave them out"
    rows = [{"stem": f"q{n}", "options": ["a"]} for n in range(25)] + [{"stem": "good", "options": ["a", "b"]}]
    file = write(tmp_path, "a.jsonl", "\n".join([*map(json.dumps, rows), "{", "5"]))
    with pytest.raises(QuestionError) as caught:
        load_questions(file)
    lines = str(caught.value).splitlines()
    assert (lines[0], lines[21]) == ("a.jsonl: 27 of 28 rows cannot be read:", "  and 7 more")
    with pytest.raises(QuestionError, match=r"5 of 5 rows cannot be read(.|\n)*Correct them: no row is left$"):
        load_questions(CASES / "five_bad.jsonl", bad_rows="skip")
    bank = load_questions(file, bad_rows="skip")
    assert [question.stem for question in bank] == ["good"]
    assert len(bank.left_out) == 27
    assert bank.left_out[-1] == "a.jsonl, line 28: 5 is no object with fields"


def test_rows_that_were_left_out_are_said_in_the_finding(tmp_path: Path) -> None:
    rows = [{"stem": f"q{n}", "options": ["elm", "oak", "ash"], "answer": n % 3} for n in range(12)]
    file = write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, [*rows, {"stem": "bad", "options": ["elm"]}])))
    bank = load_questions(file, bad_rows="skip")
    assert pickle.loads(pickle.dumps(bank)).left_out == bank.left_out
    finding = check("option_order", controls.oracle(), bank, tolerance=0.1, orders="cyclic")
    assert finding.verdict is Verdict.HOLDS
    (guard,) = [guard for guard in finding.guards if guard.name == "rows left out"]
    assert guard.text.startswith(
        "1 of 13 rows were left out (bad_rows='skip'), first a.jsonl, line 13: question 'bad': 1 option"
    )
    flips = assert_no_negative_flips(
        controls.oracle(), bank, baseline=controls.always_first(), margin=0.1, readout="label"
    )
    assert "rows left out" in {guard.name for guard in flips.guards}


@pytest.mark.parametrize(
    "choose",
    [
        tuple,
        lambda bank: bank[:6],
        lambda bank: [question for question in bank if question.answer],
        lambda bank: sorted(bank, key=lambda question: question.stem)[::2],
        lambda bank: bank[:3] + bank[5:7],
        lambda bank: pickle.loads(pickle.dumps(list(bank))),
        lambda bank: [*bank, Question("Is it one of your own?", ["yes", "no"])],
    ],
)
def test_no_choice_among_questions_hides_that_rows_were_left_out(tmp_path: Path, choose: Callable[..., Any]) -> None:
    rows = [{"stem": f"q{n}", "options": ["elm", "oak", "ash"], "answer": n % 3} for n in range(12)]
    file = write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, [*rows, {"stem": "bad", "options": ["elm"]}])))
    chosen = choose(load_questions(file, bad_rows="skip"))
    finding = check("option_order", controls.oracle(), chosen, tolerance=0.1, orders="cyclic")
    (text,) = [guard.text for guard in finding.guards if guard.name == "rows left out"]
    assert text.startswith("1 of 13 rows were left out (bad_rows='skip'), first a.jsonl, line 13: ")
    own = check("option_order", controls.oracle(), [Question("Which?", ["a1", "b1"])], tolerance=0.1)
    assert "rows left out" not in {guard.name for guard in own.guards}


def test_rows_left_out_of_two_files_are_both_said(tmp_path: Path) -> None:
    banks = []
    for name in "ab":
        rows = [{"stem": f"{name}{n}", "options": ["elm", "oak"]} for n in range(3)]
        file = write(tmp_path, f"{name}.jsonl", "\n".join(map(json.dumps, [*rows, {"stem": "bad", "options": []}])))
        banks.append(load_questions(file, bad_rows="skip"))
    finding = check("option_order", controls.oracle(), banks[0] + banks[1], tolerance=0.1)
    (text,) = [guard.text for guard in finding.guards if guard.name == "rows left out"]
    assert text.count("1 of 4 rows were left out") == 2
    assert "first b.jsonl, line 4" in text


def test_skipping_does_not_hide_that_keys_count_from_1(tmp_path: Path) -> None:
    file = write(tmp_path, "a.csv", "stem,options,answer\nq1,a|b,1\nq2,a|b,2\nq3,a|b,1\n")
    with pytest.raises(QuestionError, match="no answer is 0 in 3 rows"):
        load_questions(file, bad_rows="skip")


@pytest.mark.parametrize(("n", "refused"), [(10, False), (11, True)])
def test_numbers_in_json_count_from_0_unless_it_is_strange_that_none_is_0(
    tmp_path: Path, n: int, refused: bool
) -> None:
    rows = [{"stem": f"q{i}", "options": ["a", "b", "c", "d"], "answer": 1 + i % 3} for i in range(n)]
    file = write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
    if refused:
        with pytest.raises(QuestionError, match="no answer is 0 in 11 rows"):
            load_questions(file)
    else:
        assert load_questions(file)[0].answer == 1


def one(folder: Path, row: dict[str, Any], **told: Any) -> Question:
    (question,) = load_questions(write(folder, "a.jsonl", json.dumps(row)), **told)
    return question


WHO = {"stem": "Who?", "options": ["Ann", "Bob", "Cid"]}


@pytest.mark.parametrize(
    ("options", "answer", "told", "right"),
    [
        (["Ann", "Bob"], "b", None, 1),
        (["Ann", "Bob"], "(B)", None, 1),
        (["Ann", "Bob"], "1.0", None, 1),
        (["Ann", "Bob"], 1.0, None, 1),
        (["Ann", "Bob"], ["B"], None, 1),
        (["Ann", "Bob"], "2", "one_based", 1),
        (["B", "A"], "A", "letter", 0),
        (["B", "A"], "A", "text", 1),
        (["b", "a"], "a", None, 1),
        (["7", "0"], 0, None, 0),
        ([7, 9, 8], 9, None, 1),
        ([2.5, 3.5], 3.5, None, 1),
        (["2", "1", "0"], "0", "text", 2),
        (["It’s", "no"], "It's", None, 0),
        (["a\u00a0b", "c"], "a b", None, 0),
        (["cafe\u0301", "tea"], "café", None, 0),
        ({"1": "Ann", "2": "Bob"}, "1", None, 0),
        ({"A": "Ann", "B": "Bob", "C": None}, "B", None, 1),
        ({"A": "Ann", "B": "Bob"}, 1, None, 1),
        ([{"label": "A", "text": "Ann"}, {"label": "B", "text": "Bob"}], "B", None, 1),
        ({"text": ["Ann", "Bob"], "label": ["1", "2"]}, "2", None, 1),
        (["Ann", "Bob", None], 1, None, 1),
        ([True, False], False, None, 1),
        ({"Ann": 0, "Bob": 1.0}, None, "scores", 1),
        (["Ann", "Bob"], [0, 1], "scores", 1),
        (["A) Ann", "B) Bob"], "B", "letter", 1),
        (["A. Lee", "B. Lee"], "B. Lee", "text", 1),
    ],
)  # fmt: skip
def test_a_key_has_one_reading(tmp_path: Path, options: Any, answer: Any, told: Any, right: int) -> None:
    assert one(tmp_path, {"stem": "Who?", "options": options, "answer": answer}, answers=told).answer == right


@pytest.mark.parametrize(
    ("options", "answer", "told", "message"),
    [
        (["B", "A"], "A", None, "both the letter or label of an option (option 0, 'B') and the text of an option (option 1, 'A')"),
        (["c", "a", "b"], "B", None, "both the letter or label of an option (option 1, 'a') and the text of an option (option 2, 'b')"),
        (["1", "0"], "1", None, "both an index that counts from 0"),
        ([3, 4, 1], 1, None, "both an index that counts from 0"),
        ({"1": "2", "2": "1"}, "1", None, "both the letter or label of an option"),
        (["Ann", "Bob"], "Cid", None, "answer is 'Cid', but must be the text, letter or index of an option"),
        (["Ann", "Bob"], "C", "letter", "answer is 'C', but must be the letter or label of an option"),
        (["Ann", "Bob"], 0, "one_based", "the answer index 0 is outside 1..2"),
        (["7", "9"], 9, None, "the answer index 9 is outside 0..1; indices count from 0. Pass answers='one_based' if they count from 1, "
            "answers='text' if it is option 1"),
        (["Ann", "Bob"], ["A", "B"], None, "answer is ['A', 'B'], but must be"),
        (["Ann", "Bob"], [1, 1], "scores", "2 options have the highest score"),
        (["Ann", "Bob"], [1], "scores", "must hold one score for each of 2 options"),
        (["Ann", "Bob"], ["x", 1], "scores", "scores must be numbers"),
        (["Ann", None, "Cid"], 0, None, "options has a blank between others: option 1"),
        (["Ann", " ", "Cid"], 0, None, "options has a blank between others: option 1"),
        ("Ann|Bob", 0, None, "options is 'Ann|Bob', but must be a list"),
        ({"text": ["Ann", "Bob"], "label": ["A"]}, 0, None, "2 texts and 1 labels"),
        (["A) Ann", "B) Bob"], 0, None, "options carry labels of their own"),
        (["1. Ann", "2. Bob"], 0, None, "options carry labels of their own"),
        (["(a) Ann", "(b) Bob"], 0, None, "options carry labels of their own"),
        (["Ann", ["Bob"]], 0, None, "options holds ['Bob'] (list)"),
        (["ﬁne", "fine"], 0, None, "look the same"),
        (["a\u200bb", "ab"], 0, None, "look the same"),
    ],
)  # fmt: skip
def test_a_key_or_option_that_is_no_or_two_things_is_refused(
    tmp_path: Path, options: Any, answer: Any, told: Any, message: str
) -> None:
    with pytest.raises(QuestionError) as caught:
        one(tmp_path, {"stem": "Who?", "options": options, "answer": answer}, answers=told)
    assert message in str(caught.value)
    assert str(caught.value).startswith("a.jsonl, line 1: ")


@pytest.mark.parametrize("options", [["x²", "x2"], ["½", "12"], ["yes", "Yes"], ["1.5", "2.5"], ["A. Lee", "C. Day"]])
def test_options_that_mean_different_things_stay(tmp_path: Path, options: list[str]) -> None:
    assert one(tmp_path, {"stem": "Which?", "options": options}).options == tuple(options)


@pytest.mark.parametrize(
    ("cell", "options"),
    [
        ("['a' 'b']", ("a", "b")),
        ("['a', \"it's\"]", ("a", "it's")),
        ('["a", "b"]', ("a", "b")),
        ("[3, 4]", ("3", "4")),
        ("[0, 1]|[1, 2]", ("[0, 1]", "[1, 2]")),
        ('{"A": "a", "B": "b"}', ("a", "b")),
        ("a | b", ("a", "b")),
    ],
)
def test_options_in_one_cell(tmp_path: Path, cell: str, options: tuple[str, ...]) -> None:
    quoted = '"' + cell.replace('"', '""') + '"'
    assert load_questions(write(tmp_path, "a.csv", f"stem,options\nWho?,{quoted}\n"))[0].options == options


@pytest.mark.parametrize("cell", ["|x||y|z", "a || b|c", "f(a|b)|c", "a | b|c | d", "$P(a|b$|c", "a|", "{x|y}|z"])
def test_a_bar_that_may_belong_to_an_option_is_refused(tmp_path: Path, cell: str) -> None:
    with pytest.raises(QuestionError, match=r"a\.csv, line 2: options is .* where a '\|' may belong to an option"):
        load_questions(write(tmp_path, "a.csv", f"stem,options\nWho?,{cell}\n"))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_separators_and_encodings_with_a_mark_are_found(tmp_path: Path, separator: str, encoding: str) -> None:
    text = "\r\n".join(
        separator.join(row) for row in (["stem", "option_1", "option_2"], ["Où?", "a", "b"], ["", "", ""])
    )
    assert load_questions(write(tmp_path, "a.csv", text.encode(encoding))) == (Question("Où?", ["a", "b"]),)


@pytest.mark.parametrize(
    ("data", "told", "message"),
    [
        ("stem,options\nWho?,a|b\n".encode("utf-16-le"), {}, "is not utf-8 text (it holds NUL). Pass encoding='utf-16-le'"),
        (b"stem,options\nWho\x81?,a|b\n", {}, "Pass encoding= with the one that it was saved in"),
        (b"x", {"encoding": "klingon"}, "encoding is 'klingon', which is not known"),
        (b"stem,options,,x\nWho?,a|b,c,d\n", {}, "has a cell in a column without a name"),
        (b"stem,option1,option2\nWho?,a,b\n", {}, "pass fields={'options': ['option1', 'option2']}"),
        (b"question;A;B;C;answer\nWho?;x;y;z;B\n", {}, "pass fields={'stem': 'question', 'options': ['A', 'B', 'C']}"),
        (b"stem,options,answers\nWho?,a|b,a\n", {"fields": {"answer": "answer"}}, "fields['answer'] is 'answer', but there is no such column"),
        (b"stem,options\nWho?,a|b\n", {"fields": {"key": "x"}}, "fields names 'key', which is no field"),
        (b"stem,options\nWho?,a|b\n", {"fields": {"stem": 5}}, "fields['stem'] is 5, but must be the name of a column"),
        (b"stem,options\nWho?,a|b\n", {"fields": "stem"}, "fields is 'stem', but must map fields to columns"),
        (b"stem,options\nWho?,a|b\n", {"answers": "number"}, "answers is 'number', but must be one of index, letter, text, one_based, scores"),
        (b"stem,options\nWho?,a|b\n", {"bad_rows": "drop"}, "bad_rows is 'drop', but must be one of error, skip"),
        (b"stem,options\nWho?,a|b\n", {"preset": "gsm8k"}, "preset is 'gsm8k', but must be one of mmlu, mmlu_pro"),
        (b"Question,choices,answer\nWho?,a|b,0\n", {"preset": "mmlu"}, "pass fields={'stem': 'Question'}"),
        (b"question,choices\nWho?,a|b\n", {"preset": "mmlu"}, "the column 'answer' is missing (for the preset: 'answer')"),
    ],
)  # fmt: skip
def test_a_file_that_does_not_fit_names_the_way_out(tmp_path: Path, data: bytes, told: Any, message: str) -> None:
    with pytest.raises(QuestionError) as caught:
        load_questions(write(tmp_path, "a.csv", data), **told)
    assert message in str(caught.value)


def test_a_column_may_be_left_an_attribute_or_lie_inside_another(tmp_path: Path) -> None:
    question = one(
        tmp_path,
        {"q": {"text": "Who?"}, "options": ["a", "b"], "label": "x"},
        fields={"stem": "q.text", "answer": None},
    )
    assert (question.stem, question.answer, dict(question.attributes)) == ("Who?", None, {"label": "x"})


@pytest.mark.parametrize("name", [name for name, preset in PRESETS.items() if preset.fields])
def test_each_preset_is_recognised_and_reads_its_example(tmp_path: Path, name: str) -> None:
    example = dict(PRESETS[name].example)
    assert looks_like(list(example)) == name
    assert one(tmp_path, example, preset=name).answer is not None
    sample = {"doc_id": 3, "doc": example, "target": "x", "filter": "none"}
    again = json.dumps({**sample, "filter": "strict"})
    (question,) = load_questions(
        write(tmp_path, "samples_x.jsonl", f"{json.dumps(sample)}\n{again}"), preset="lm_eval_samples"
    )
    assert question.id in ("3", str(example.get("id", example.get("question_id"))))


@pytest.mark.parametrize(
    "row",
    [
        {"id": "c1", "question": {"stem": "Which is hot?", "choices": [{"label": "A", "text": "Ice"}, {"label": "B", "text": "Fire"}]},
         "answerKey": "B"},
        {"id": "c2", "question_stem": "Which is hot?", "choices": {"text": ["Ice", "Fire"], "label": ["A", "B"]}, "answerKey": "B"},
        {"id": "c3", "question": "Which is hot?", "question_concept": "heat",
         "choices": {"label": ["A", "B"], "text": ["Ice", "Fire"]}, "answerKey": "B"},
    ],
    ids=["as published", "OpenBookQA", "CommonsenseQA"],
)  # fmt: skip
def test_arc_reads_its_relatives(tmp_path: Path, row: dict[str, Any]) -> None:
    question = one(tmp_path, row, preset="arc")
    assert (question.stem, question.options, question.answer, question.id) == (
        "Which is hot?",
        ("Ice", "Fire"),
        1,
        row["id"],
    )


def test_samples_of_an_unknown_form_need_fields(tmp_path: Path) -> None:
    row = {"doc_id": 1, "doc": {"q": "Who?", "o": ["a", "b"], "k": "b"}}
    with pytest.raises(
        QuestionError, match=r"have the columns doc_id, q, o, k, which are no known form\. Pass fields="
    ):
        one(tmp_path, row, preset="lm_eval_samples")
    told = {"stem": "q", "options": "o", "answer": "k"}
    assert one(tmp_path, row, preset="lm_eval_samples", fields=told, answers="text").answer == 1


def fake_datasets(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    asked: list[tuple[Any, ...]] = []
    module = types.ModuleType("datasets")
    rows = [{"question": "2+2?", "choices": ["3", "4"], "answer": 1}]

    def load_dataset(*names: str, split: str) -> list[dict[str, Any]]:
        asked.append((*names, split))
        if split == "none":
            raise ValueError('Unknown split "none"')
        return rows

    module.load_dataset = load_dataset  # type: ignore[attr-defined]
    module.Dataset = types.SimpleNamespace(from_parquet=lambda path: rows)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)
    return asked


def test_data_sets_and_parquet_are_read_through_the_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = fake_datasets(monkeypatch)
    for path in ("hf:org/mmlu:test", "hf:org/mmlu:all:test", write(tmp_path, "a.parquet", b"")):
        assert keys(load_questions(path, preset="mmlu")) == ["4"]
    assert asked == [("org/mmlu", "test"), ("org/mmlu", "all", "test")]
    with pytest.raises(QuestionError, match=r"^hf:org/mmlu:test, row 1: the columns .* look like mmlu"):
        load_questions("hf:org/mmlu:test")
    with pytest.raises(QuestionError, match=r'^hf:org/mmlu:none: cannot be loaded: Unknown split "none"'):
        load_questions("hf:org/mmlu:none", preset="mmlu")
    for spec in ("hf:org/mmlu", "hf::test", "hf:a:b:c:d"):
        with pytest.raises(
            QuestionError, match=r"names no split of a data set\. Write hf:NAME:SPLIT, or hf:NAME:CONFIG:SPLIT"
        ):
            load_questions(spec)
    with pytest.raises(QuestionError, match="there is no such file"):
        load_questions(tmp_path / "none.parquet")


def test_the_missing_library_is_named_with_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    for path in ("hf:org/mmlu:test", tmp_path / "a.parquet"):
        with pytest.raises(MissingExtraError, match=r"pip install 'pytest-llminvariance\[data\]'"):
            load_questions(path)


def test_the_real_library_reads_parquet_and_folders(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = [json.loads((CASES / "mmlu.jsonl").read_text())]
    (tmp_path / "set").mkdir()
    datasets.Dataset.from_list(rows).to_parquet(str(tmp_path / "set" / "test.parquet"))
    for path in (tmp_path / "set" / "test.parquet", f"hf:{tmp_path / 'set'}:test"):
        assert keys(load_questions(path, preset="mmlu")) == ["Iron"]


def test_commands_read_files_with_the_same_arguments() -> None:
    bank = read_bank(CASES / "abcd.csv", fields=["stem=question", "options=A,B,C,D", "context="], answers="letter")
    assert keys(bank) == ["Paris"]
    assert isinstance(bank, Bank)
    with pytest.raises(QuestionError, match=r"fields is 'stem', but must be FIELD=COLUMN"):
        read_bank(CASES / "abcd.csv", fields=["stem"])
