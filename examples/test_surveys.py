"""Surveys: a Likert instrument in several administrations, positions and labels, coherence, other words; on stand-ins without weights.

    pytest examples/test_surveys.py

Put your model in their place: `invariance_model`, `load_model(...)`, (model, tokenizer), or a function.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_llminvariance import (
    InvarianceError,
    Question,
    Reorder,
    Restate,
    Verdict,
    assert_complementary,
    assert_configurations_agree,
    assert_forms_agree,
    assert_instrument_stable,
    assert_no_position_bias,
    assert_paraphrase_consistent,
    assert_tracks,
    compare_frames,
    controls,
    decompose,
    instrument,
    load_questionnaire,
    multiverse,
)

PERSONALITY = Path(__file__).parent / "model_repo" / "questions" / "personality.json"
TOWNS = {"France": "Paris", "Italy": "Rome", "Spain": "Madrid", "Japan": "Tokyo", "Kenya": "Nairobi", "Peru": "Lima",
         "Egypt": "Cairo", "Norway": "Oslo"}  # fmt: skip
FACTS = [
    Question(f"What is the capital of {land}?", sorted({town, "Lima", "Oslo", "Cairo"})[:3] if town < "L" else [town, "Bern", "Baku"], id=land, answer=town)
    for land, town in TOWNS.items()
]  # fmt: skip
GOOD, FIRST = controls.oracle(), controls.always_first()


def test_trait_scores_survive_the_administration_and_the_direction_of_the_scale() -> None:
    made = instrument(GOOD, load_questionnaire(PERSONALITY))
    assert made.verdict is Verdict.HOLDS, made
    assert_instrument_stable(GOOD, load_questionnaire(PERSONALITY), tolerance=0.125)  # half a point on 1 to 5


def test_neither_a_position_nor_a_label_attracts_choices() -> None:
    assert_no_position_bias(GOOD, FACTS, label_sets=("ABC", "RSN"), tolerance=0.2)
    with pytest.raises(InvarianceError):
        assert_no_position_bias(FIRST, FACTS, label_sets=("ABC", "RSN"), tolerance=0.2)


def test_a_statement_and_its_negation_add_up() -> None:
    assert_complementary(GOOD, FACTS)


def test_other_words_get_the_same_answer() -> None:
    assert_paraphrase_consistent(GOOD, FACTS, paraphrases=Restate({q.stem: [f"Name it: {q.stem}"] for q in FACTS}))


def test_an_edit_that_changes_the_meaning_changes_the_answer() -> None:
    assert_tracks(GOOD, FACTS)
    with pytest.raises(InvarianceError):
        assert_tracks(FIRST, FACTS)


def test_what_is_unsure_and_what_depends_on_the_form() -> None:
    found = decompose(controls.uniform(), FACTS, under=Reorder())
    assert found.consistency == pytest.approx(1), "unsure, and the same in every order"
    assert_forms_agree(GOOD, FACTS, under=Reorder())


def test_which_frame_is_the_cheapest() -> None:
    table = compare_frames(controls.position_prior(2), FACTS[2:], estimate_on=FACTS[:2])
    assert table.cheapest is not None
    assert table.cheapest.way == "prior taken off"


def test_the_worst_configuration_stands_beside_the_median() -> None:
    made = multiverse(FIRST, FACTS)
    assert made.worst.score.high <= made.median
    assert_configurations_agree(GOOD, FACTS)
