"""A Likert instrument: scores must not depend on how the scale is printed."""

from __future__ import annotations

from pytest_llminvariance import Model, Questionnaire, assert_prompt_insensitive

ASK = 'How much do you agree with this statement about yourself? "{stem}"'


def test_scores_do_not_depend_on_the_administration(llm: Model, personality: Questionnaire) -> None:
    ways = personality.administrations(ASK)
    assert_prompt_insensitive(llm, personality, templates=ways, orders="reversed", metric="score_gap")


def test_trait_scores_do_not_depend_on_the_administration(llm: Model, personality: Questionnaire) -> None:
    ways = personality.administrations(ASK)
    assert_prompt_insensitive(llm, personality, templates=ways, orders="reversed", metric="trait_shift")
