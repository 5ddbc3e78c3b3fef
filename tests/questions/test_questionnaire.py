"""Instruments: items become questions, and raw scores become trait scores."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llminvariance import Item, Questionnaire, Scale, assert_order_symmetric, controls, load_questionnaire
from pytest_llminvariance.errors import QuestionError
from tests.questions.bad_input import write

SCALE = Scale(("disagree", "neutral", "agree"), (1, 2, 3))
ITEMS = (
    Item("I plan ahead.", "order", id="o1"),
    Item("I forget dates.", "order", reverse_keyed=True, id="o2"),
    Item("I talk a lot.", "talk", id="t1"),
)
MINI = Questionnaire(ITEMS, SCALE, "mini")


def test_items_become_questions_on_the_scale() -> None:
    first, second, third = MINI
    assert [question.stem for question in MINI] == [item.stem for item in ITEMS]
    assert first.options == SCALE.options
    assert second.keyed_scores == (3.0, 2.0, 1.0)
    assert (third.id, third.attributes["trait"]) == ("t1", "talk")
    assert len(MINI) == 3


def test_traits_come_in_the_order_of_their_first_item() -> None:
    assert MINI.traits == ("order", "talk")


def test_midpoint() -> None:
    assert SCALE.midpoint == 2.0
    assert Scale(("often", "never"), (4, 0)).midpoint == 2.0


def test_reverse_keyed_items_are_mirrored() -> None:
    assert dict(MINI.trait_scores([3, 1, 2])) == {"order": 3.0, "talk": 2.0}
    assert dict(MINI.trait_scores([3, 3, 2])) == {"order": 2.0, "talk": 2.0}


def test_a_trait_without_answers_is_unknown_and_missing_items_do_not_count() -> None:
    assert dict(MINI.trait_scores([None, 1, None])) == {"order": 3.0, "talk": None}


def test_agreeing_with_everything_shows_as_acquiescence() -> None:
    assert MINI.acquiescence_index([3, 3, 3]) == 2.0
    assert MINI.acquiescence_index([1, 1, 1]) == -2.0
    assert MINI.acquiescence_index([3, 1, 3]) == 0.0


def test_acquiescence_needs_both_keys() -> None:
    assert MINI.acquiescence_index([3, None, 3]) is None
    assert Questionnaire(ITEMS[:1], SCALE).acquiescence_index([3]) is None


def test_wrong_number_of_scores_is_refused() -> None:
    with pytest.raises(QuestionError, match=r"^mini: 2 scores for 3 items$"):
        MINI.trait_scores([1, 2])


@given(st.lists(st.floats(1, 3), min_size=3, max_size=3))
def test_trait_scores_stay_on_the_scale(raw: list[float]) -> None:
    scores = MINI.trait_scores(raw)
    assert all(score is not None and 1 <= score <= 3 for score in scores.values())


@given(st.lists(st.floats(1, 3), min_size=3, max_size=3))
def test_a_scale_printed_backwards_gives_the_same_trait_scores(raw: list[float]) -> None:
    turned = Questionnaire(ITEMS, Scale(SCALE.options[::-1], SCALE.scores[::-1]), "mini")
    assert turned.trait_scores(raw) == MINI.trait_scores(raw)


def test_file_and_object_are_equal(tmp_path: Path) -> None:
    rows = [
        {"stem": item.stem, "trait": item.trait, "reverse_keyed": item.reverse_keyed, "id": item.id} for item in ITEMS
    ]
    scale = {"options": list(SCALE.options), "scores": list(SCALE.scores)}
    file = write(tmp_path, "a.json", json.dumps({"name": "mini", "scale": scale, "items": rows}))
    assert load_questionnaire(file) == MINI


def test_name_defaults_to_the_file(tmp_path: Path) -> None:
    text = '{"scale": {"options": ["no", "yes"], "scores": [0, 1]}, "items": [{"stem": "I plan.", "trait": "order"}]}'
    assert load_questionnaire(write(tmp_path, "short.json", text)).name == "short"


def test_survives_pickling() -> None:
    assert pickle.loads(pickle.dumps(MINI)) == MINI


def test_goes_wherever_questions_go() -> None:
    finding = assert_order_symmetric(controls.oracle(), MINI, tolerance=0.1)
    assert finding.questions_asked == 3


def test_same_statement_twice_is_refused() -> None:
    with pytest.raises(QuestionError, match=r"^mini: 'copy' repeats 'o1'"):
        Questionnaire((*ITEMS, Item("I plan ahead.", "order", id="copy")), SCALE, "mini")


def test_same_statement_under_both_keys_is_two_items() -> None:
    both = Questionnaire((ITEMS[0], Item("I plan ahead.", "order", reverse_keyed=True)), SCALE)
    assert dict(both.trait_scores([3, 3])) == {"order": 2.0}
