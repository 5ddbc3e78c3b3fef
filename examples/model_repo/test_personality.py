"""A Likert instrument: scores must not depend on how the scale is printed."""

from __future__ import annotations

from pytest_llminvariance import Layout, Model, Questionnaire, Template, assert_prompt_insensitive

ASK = 'How much do you agree with this statement about yourself? "{stem}"\n'
DIGITS = ("1", "2", "3", "4", "5")

ADMINISTRATIONS = (
    Template(ASK + "{options}\nAnswer with the letter only.\nAnswer:", name="letters with text"),
    Template(
        ASK + "{options}\nAnswer with only one of: {labels}.\nAnswer:",
        name="digits with a legend",
        labels=DIGITS,
        layout=Layout(enumerator="{label} = "),
    ),
    Template(
        ASK
        + "{first_label} means {first_option}, {last_label} means {last_option}.\n"
        + "Answer with the number only: {labels}.\nAnswer:",
        name="bare digits with end words",
        labels=DIGITS,
    ),
)


def test_scores_do_not_depend_on_the_administration(llm: Model, personality: Questionnaire) -> None:
    assert_prompt_insensitive(llm, personality, templates=ADMINISTRATIONS, orders="reversed", metric="score_gap")


def test_trait_scores_do_not_depend_on_the_administration(llm: Model, personality: Questionnaire) -> None:
    assert_prompt_insensitive(llm, personality, templates=ADMINISTRATIONS, orders="reversed", metric="trait_shift")
