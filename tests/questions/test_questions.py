"""Questions: what is kept, what identifies them, and what survives copying."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llminvariance import Item, Question, QuestionError, Questionnaire, Scale
from pytest_llminvariance.questions.labels import same_form
from pytest_llminvariance.questions.question import as_questions

FULL = Question(
    "I plan ahead.",
    ["disagree", "neutral", "agree"],
    id="plan",
    context="About you:",
    scores=[1, 2, 3],
    reverse_keyed=True,
    answer="agree",
    attributes={"trait": "order", "tags": ["a"]},
)
texts = st.text(min_size=1).filter(str.strip)
made_questions = st.builds(
    Question,
    texts,
    st.lists(texts, min_size=2, max_size=5, unique_by=same_form),
    context=st.none() | texts,
    attributes=st.dictionaries(st.text(), st.integers()),
)


def test_answer_is_an_index_however_it_was_given() -> None:
    by_text = Question("Who?", ["Ann", "Bob"], answer="Bob")
    assert by_text.answer == 1
    assert by_text == Question("Who?", ("Ann", "Bob"), answer=1)


def test_an_option_that_looks_like_an_index_is_read_as_text() -> None:
    assert Question("2 - 1 = ?", ["0", "1", "2"], answer="0").answer == 0
    assert Question("2 - 1 = ?", ["2", "1", "0"], answer="0").answer == 2


def test_optional_fields_are_absent_not_empty() -> None:
    plain = Question("Who?", ["Ann", "Bob"])
    assert (plain.id, plain.context, plain.scores, plain.answer) == (None, None, None, None)
    assert dict(plain.attributes) == {}
    assert plain.keyed_scores is None


def test_name_is_the_id_or_the_beginning_of_the_stem() -> None:
    assert FULL.name == "plan"
    assert Question("x" * 40, ["a", "b"]).name == "x" * 40
    assert Question("x" * 41, ["a", "b"]).name == "x" * 39 + "…"


def test_is_frozen_all_the_way() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        FULL.stem = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        FULL.attributes["trait"] = "other"  # type: ignore[index]


def test_does_not_follow_changes_of_what_it_was_made_from() -> None:
    options, attributes = ["Ann", "Bob"], {"trait": "x"}
    question = Question("Who?", options, attributes=attributes)
    options.append("Cy")
    attributes["trait"] = "y"
    assert question.options == ("Ann", "Bob")
    assert question.attributes["trait"] == "x"


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda q: pickle.loads(pickle.dumps(q))])
def test_copies_are_equal_and_frozen(copied: Any) -> None:
    twin = copied(FULL)
    assert twin == FULL
    assert hash(twin) == hash(FULL)
    assert twin.content_hash == FULL.content_hash
    assert type(twin.attributes) is type(FULL.attributes)


@given(made_questions)
def test_any_question_survives_pickling(question: Question) -> None:
    assert pickle.loads(pickle.dumps(question)) == question


def test_can_be_changed_into_another_with_replace() -> None:
    changed = dataclasses.replace(FULL, stem="I improvise.", answer=0)
    assert (changed.stem, changed.answer, changed.scores) == ("I improvise.", 0, FULL.scores)


def test_repr_makes_the_question_again() -> None:
    assert eval(repr(FULL), {"Question": Question}) == FULL


def changes() -> list[dict[str, object]]:
    return [
        {"stem": "I plan."},
        {"options": FULL.options[::-1]},
        {"context": None},
        {"scores": [1, 2, 4]},
        {"reverse_keyed": False},
    ]


@pytest.mark.parametrize("change", changes(), ids=lambda change: next(iter(change)))
def test_content_hash_changes_with_the_meaning(change: dict[str, Any]) -> None:
    assert dataclasses.replace(FULL, **change).content_hash != FULL.content_hash


@pytest.mark.parametrize("change", [{"id": "other"}, {"answer": None}, {"attributes": {}}], ids=str)
def test_content_hash_ignores_what_is_not_shown(change: dict[str, Any]) -> None:
    assert dataclasses.replace(FULL, **change).content_hash == FULL.content_hash


def test_content_hash_is_the_same_on_every_machine() -> None:
    expected = "786e9a05"
    assert Question("Who?", ["Ann", "Bob"]).content_hash[:8] == expected


def test_content_hash_does_not_mix_up_fields() -> None:
    one = Question("a", ["b", "c"], context="d")
    assert one.content_hash != Question("a", ["b", "c", "d"]).content_hash
    assert Question("a", ['b", "c', "d"]).content_hash != Question("a", ["b", "c", "d"]).content_hash


def test_reverse_keyed_scores_are_mirrored_on_the_range() -> None:
    assert FULL.scores == (1.0, 2.0, 3.0)
    assert FULL.keyed_scores == (3.0, 2.0, 1.0)
    uneven = Question("s", ["a", "b", "c"], scores=[-1, 0, 5], reverse_keyed=True)
    assert uneven.keyed_scores == (5.0, 4.0, -1.0)


def test_under_another_stem_keeps_options_and_scores_only() -> None:
    donor = Question("Who?", ["yes", "no"], context="Listen:", answer="no")
    strange = FULL.under(donor)
    assert (strange.stem, strange.context, strange.options) == ("Who?", "Listen:", FULL.options)
    assert (strange.answer, strange.id, strange.scores) == (None, None, FULL.scores)


def test_one_question_or_many_or_a_questionnaire() -> None:
    one, other = Question("a?", ["x", "y"]), Question("b?", ["x", "y"])
    instrument = Questionnaire((Item("I plan.", "order"),), Scale(("no", "yes"), (0, 1)))
    assert as_questions(one) == (one,)
    assert as_questions(iter([one, other])) == (one, other)
    assert [question.stem for question in as_questions(instrument.questions)] == ["I plan."]


def test_same_content_with_another_order_of_options_is_another_question() -> None:
    one, turned = Question("a?", ["x", "y"]), Question("a?", ["y", "x"])
    assert as_questions([one, turned]) == (one, turned)


def test_content_hash_takes_any_text() -> None:
    strange = Question("\u2028 ﷽ \x00 \U0001f600", ["a", "b"])
    assert len(strange.content_hash) == 64
    assert json.loads(json.dumps(strange.stem)) == strange.stem


def test_a_copy_with_other_fields_is_checked_as_a_new_question_is() -> None:
    """Questions were copied field by field in five places, and a field that is added would be lost in some."""
    question = Question("Q?", ["a", "b"], id="q", context="c", scores=[1, 2], reverse_keyed=True, answer="b")
    again = dataclasses.replace(question, stem="R?", attributes={"trait": "x"})
    assert (again.stem, again.context, again.answer, again.attributes) == ("R?", "c", 1, {"trait": "x"})
    assert dataclasses.replace(again, stem="Q?", attributes={}) == question
    assert pickle.loads(pickle.dumps(again)) == again
    with pytest.raises(QuestionError, match="must be distinct"):
        dataclasses.replace(question, options=("a", "a"))
