"""Question files: the same questions from JSONL, JSON and CSV, and the examples that are shipped."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from pytest_llminvariance import Question, load_questionnaire, load_questions
from pytest_llminvariance.errors import QuestionError
from tests.questions.bad_input import write

EXAMPLES = Path(__file__).parents[2] / "examples" / "model_repo" / "questions"
QUESTIONS = (
    Question("Who, then?", ["Ann", "Bob"], id="q1", answer="Bob", attributes={"topic": "people"}),
    Question(
        'I "plan" ahead.\nAlways.', ["disagree", "neutral", "agree"], id="q2", context="About you:", scores=[1, 2, 3.5],
        reverse_keyed=True, attributes={"trait": "order"},
    ),
    Question("Où?", ["Zürich", "東京", "São Paulo", "Wien"], answer=2),
)  # fmt: skip


def as_row(question: Question) -> dict[str, object]:
    row: dict[str, object] = {"stem": question.stem, "options": list(question.options)}
    for name in ("id", "context", "answer"):
        if getattr(question, name) is not None:
            row[name] = getattr(question, name)
    if question.scores is not None:
        row |= {"scores": list(question.scores), "reverse_keyed": question.reverse_keyed}
    return row | ({"attributes": dict(question.attributes)} if question.attributes else {})


def as_jsonl(questions: tuple[Question, ...]) -> str:
    return "\n".join(json.dumps(as_row(question)) for question in questions) + "\n"


def as_csv(questions: tuple[Question, ...], *, numbered: bool) -> str:
    attributes = sorted({name for question in questions for name in question.attributes})
    options = [f"option_{n}" for n in range(1, 5)] if numbered else ["options"]
    columns = ["stem", *options, "id", "context", "answer", "scores", "reverse_keyed", *attributes]
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns)
    writer.writeheader()
    for question in questions:
        row: dict[str, object] = {"stem": question.stem, "id": question.id, "context": question.context}
        row |= (
            dict(zip(options, question.options, strict=False)) if numbered else {"options": "|".join(question.options)}
        )
        row["answer"] = None if question.answer is None else question.options[question.answer]
        row["scores"] = "|".join(map(str, question.scores or ()))
        row["reverse_keyed"] = "yes" if question.reverse_keyed else ""
        writer.writerow(row | dict(question.attributes))
    return out.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", as_jsonl(QUESTIONS)),
        ("a.JSONL", as_jsonl(QUESTIONS).replace("\n", "\r\n\r\n")),
        ("a.json", json.dumps([as_row(question) for question in QUESTIONS], indent=2)),
        ("b.json", json.dumps({"questions": [as_row(question) for question in QUESTIONS], "source": "mine"})),
        ("a.csv", as_csv(QUESTIONS, numbered=True)),
        ("b.csv", as_csv(QUESTIONS, numbered=False)),
        ("bom.csv", "\ufeff" + as_csv(QUESTIONS, numbered=True)),
        ("bom.jsonl", "\ufeff" + as_jsonl(QUESTIONS)),
    ],
)
def test_every_format_gives_the_same_questions(tmp_path: Path, name: str, content: str) -> None:
    assert load_questions(write(tmp_path, name, content)) == QUESTIONS


def test_takes_a_path_as_text(tmp_path: Path) -> None:
    assert load_questions(str(write(tmp_path, "a.jsonl", as_jsonl(QUESTIONS)))) == QUESTIONS


def test_answer_may_be_an_index_in_json(tmp_path: Path) -> None:
    text = (
        '{"stem": "Who?", "options": ["1", "0"], "answer": 1}\n{"stem": "When?", "options": ["1", "0"], "answer": "1"}'
    )
    assert [question.answer for question in load_questions(write(tmp_path, "a.jsonl", text))] == [1, 0]


def test_csv_takes_blanks_around_separated_options_away(tmp_path: Path) -> None:
    (question,) = load_questions(write(tmp_path, "a.csv", "stem,options\nWho?,Ann | Bob\n"))
    assert question.options == ("Ann", "Bob")


def test_csv_numbered_options_go_by_number_not_by_column(tmp_path: Path) -> None:
    header = ",".join(["stem", *(f"option_{n}" for n in range(10, 0, -1))])
    (question,) = load_questions(write(tmp_path, "a.csv", f"{header}\nn?,{','.join(map(str, range(10, 0, -1)))}\n"))
    assert question.options == tuple(map(str, range(1, 11)))


def test_csv_rows_may_have_different_numbers_of_options(tmp_path: Path) -> None:
    text = "stem,option_1,option_2,option_3\nWho?,Ann,Bob,\nWhen?,now,then,never\n"
    assert [len(question.options) for question in load_questions(write(tmp_path, "a.csv", text))] == [2, 3]


def test_csv_answer_may_be_an_index_unless_it_is_an_option(tmp_path: Path) -> None:
    file = write(tmp_path, "a.csv", "stem,options,answer\nWho?,a|b,1\nHow many?,1|0,1\n")
    assert [question.answer for question in load_questions(file)] == [1, 0]


def test_line_separators_inside_a_text_do_not_end_the_line(tmp_path: Path) -> None:
    file = write(tmp_path, "a.jsonl", '{"stem": "Who\u2028\u0085?", "options": ["a", "b"]}\r\n')
    assert load_questions(file)[0].stem == "Who\u2028\u0085?"


def test_csv_other_columns_are_attributes(tmp_path: Path) -> None:
    text = "stem,options,topic,level\nWho?,a|b,people,\n"
    (question,) = load_questions(write(tmp_path, "a.csv", text))
    assert dict(question.attributes) == {"topic": "people"}


def test_an_error_in_the_last_line_leaves_nothing(tmp_path: Path) -> None:
    text = as_jsonl(QUESTIONS) + '{"stem": "Who?", "options": ["Ann"]}'
    with pytest.raises(QuestionError, match=r"^a\.jsonl, line 4: question 'Who\?': 1 option"):
        load_questions(write(tmp_path, "a.jsonl", text))


@pytest.mark.parametrize("name", ["facts.jsonl", "tickets.jsonl", "survey.csv"])
def test_shipped_questions_load(name: str) -> None:
    questions = load_questions(EXAMPLES / name)
    assert len(questions) >= 5
    assert all(question.id for question in questions)


def test_shipped_facts_know_their_answers() -> None:
    questions = load_questions(EXAMPLES / "facts.jsonl")
    assert all(question.answer is not None for question in questions)
    assert len({question.answer for question in questions}) > 1, "correct answers must not all stand at one position"


def test_shipped_tickets_have_a_context() -> None:
    assert all(question.context for question in load_questions(EXAMPLES / "tickets.jsonl"))


def test_shipped_questionnaire_loads_and_is_balanced_by_key() -> None:
    instrument = load_questionnaire(EXAMPLES / "personality.json")
    assert len(instrument) == len(instrument.questions) >= 10
    for trait in instrument.traits:
        keys = [item.reverse_keyed for item in instrument.items if item.trait == trait]
        assert True in keys
        assert False in keys


def test_no_example_file_is_left_out() -> None:
    tested = {"facts.jsonl", "tickets.jsonl", "survey.csv", "personality.json"}
    assert {file.name for file in EXAMPLES.iterdir()} == tested
