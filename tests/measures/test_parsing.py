"""Pin what a generated text is read to answer, and that nothing is ever guessed."""

from __future__ import annotations

import doctest
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_llminvariance.measures import parsing
from pytest_llminvariance.measures.parsing import Outcome, ParsedText, parse_choice
from tests.measures.parsing_cases import (
    ACCENTS,
    AIC,
    BARE,
    CATCH_ALL,
    CHOSEN,
    CITY,
    CYCLED,
    HINDI,
    LOWER,
    MARKED,
    NUMBERS,
    REFUSED,
    REGEX,
    ROMAN,
    RSN,
    SCALE,
    SHY,
    TWINS,
    UNPARSED,
    YES_NO,
    YORK,
    Question,
)


def describe(question: Question, text: str) -> str:
    return f"{'/'.join(question[0])}-{'/'.join(question[1])}-{text}"


def cases_chosen() -> list[tuple[Question, str, int]]:
    return [(question, text, position) for question, position, texts in CHOSEN for text in texts]


@pytest.mark.parametrize(
    ("question", "text", "position"), cases_chosen(), ids=[describe(q, t) for q, t, _ in cases_chosen()]
)
def test_reads_the_choice(question: Question, text: str, position: int) -> None:
    parsed = parse_choice(text, labels=question[0], options=question[1])
    assert (parsed.outcome, parsed.position) == (Outcome.CHOSEN, position), parsed.rule


@pytest.mark.parametrize(("question", "text"), [(question, text) for question, texts in REFUSED for text in texts])
def test_reads_a_refusal(question: Question, text: str) -> None:
    assert parse_choice(text, labels=question[0], options=question[1]) == ParsedText(Outcome.REFUSED, None, "refusal")


@pytest.mark.parametrize(
    ("question", "rule", "text"),
    [(question, rule, text) for question, rule, texts in UNPARSED for text in texts],
)
def test_does_not_guess(question: Question, rule: str, text: str) -> None:
    assert parse_choice(text, labels=question[0], options=question[1]) == ParsedText(Outcome.UNPARSED, None, rule)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("B", "label"),
        ("B. Paris", "label and text"),
        ("Answer: B", "announced label"),
        ("The answer is B. Paris", "announced label and text"),
        ("Paris", "option text"),
        ("The answer is Paris", "announced option text"),
        ("The capital is Paris.", "option text"),
        ("B is correct", "called correct"),
    ],
)
def test_names_the_rule_that_decided(text: str, rule: str) -> None:
    assert parse_choice(text, labels=CITY[0], options=CITY[1]) == ParsedText(Outcome.CHOSEN, 1, rule)


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (["A", "B"], ["x"], r"\['A', 'B'\] and \['x'\]"),
        (["A"], ["x"], "two or more"),
        ([], [], "two or more"),
        (["A", "a"], ["x", "y"], "'a' is not distinct"),
        (["ß", "SS"], ["x", "y"], "'SS' is not distinct"),
        (["A", " "], ["x", "y"], "' ' is blank"),
    ],
)
def test_refuses_bad_arguments(labels: list[str], options: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_choice("A", labels=labels, options=options)


def test_docstring_examples_hold() -> None:
    assert doctest.testmod(parsing).failed == 0


BY_LABEL = [
    *(
        "{label}",
        "({label})",
        "{label}.",
        "Answer: {label}",
        "The answer is {label}.",
        "I would choose {label}.",
    ),
    *(
        "**{label}**",
        "\\boxed{{{label}}}",
        "Final answer: ({label})",
        "Answer: {label}\n",
        "{label} is correct.",
    ),
]
BY_TEXT = [
    *("{option}", "{option}.", "Answer: {option}", "The answer is {option}.", "I would choose {option}."),
    *(
        "It is {option}.",
        "Final answer: **{option}**",
        "I'd go with {option}",
        "{option} is the correct answer.",
    ),
]
BY_BOTH = [
    "{label}. {option}",
    "({label}) {option}",
    "Answer: {label}: {option}",
    "The answer is {label} ({option}).",
]

questions = st.sampled_from([CITY, LOWER, ROMAN, AIC, RSN, SCALE, YORK, ACCENTS, SHY, MARKED, YES_NO])
wild_questions = st.sampled_from([CITY, AIC, SCALE, NUMBERS, REGEX, HINDI, MARKED, CYCLED, SHY, CATCH_ALL, TWINS, BARE])
WORDS = [
    *(
        "A",
        "B",
        "I",
        "the answer is",
        "Answer:",
        "Paris",
        "Berlin",
        "agree",
        "not",
        "is wrong",
        "or",
        "and",
        "but",
    ),
    *(
        "\n",
        ".",
        ",",
        ":",
        "(",
        ")",
        "**",
        "*",
        "_",
        "\\boxed{",
        "}",
        "I cannot answer",
        "</think>",
        "Question:",
    ),
    *(
        "2",
        "?",
        "-",
        "C++",
        "is correct",
        "I would choose",
        "A. Berlin\n",
        "B. Paris\n",
        "C. Rome\n",
        "\u0301",
    ),
    *("ﬁ", "</s>"),
]
texts = st.one_of(
    st.text(), st.lists(st.sampled_from(WORDS)).map(" ".join), st.lists(st.sampled_from(WORDS)).map("".join)
)


@pytest.mark.parametrize("template", [*BY_LABEL, *BY_TEXT, *BY_BOTH])
@given(question=questions, data=st.data())
def test_order_of_the_pairs_does_not_matter(template: str, question: Question, data: st.DataObject) -> None:
    pairs = list(zip(*question, strict=True))
    label, option = data.draw(st.sampled_from(pairs))
    shown = data.draw(st.permutations(pairs))
    text = template.format(label=label, option=option)
    parsed = parse_choice(text, labels=[one for one, _ in shown], options=[one for _, one in shown])
    assert parsed.outcome is Outcome.CHOSEN, (text, parsed.rule)
    assert parsed.position is not None
    assert shown[parsed.position] == (label, option)


@pytest.mark.parametrize("template", BY_TEXT)
@pytest.mark.parametrize("options", list(itertools.permutations(CITY[1])))
def test_content_follows_the_text_under_fixed_labels(template: str, options: tuple[str, ...]) -> None:
    parsed = parse_choice(template.format(option="Paris"), labels=CITY[0], options=options)
    assert parsed.position == options.index("Paris")


@given(text=texts, question=wild_questions, data=st.data())
@settings(max_examples=300)
def test_order_of_the_pairs_does_not_matter_for_any_text(text: str, question: Question, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(question[0]))))
    plain = parse_choice(text, labels=question[0], options=question[1])
    moved = parse_choice(text, labels=[question[0][i] for i in order], options=[question[1][i] for i in order])
    assert moved.outcome is plain.outcome
    assert moved.rule == plain.rule
    assert (None if moved.position is None else order[moved.position]) == plain.position


@given(text=texts, question=wild_questions)
@settings(max_examples=300)
def test_has_a_position_only_if_chosen(text: str, question: Question) -> None:
    parsed = parse_choice(text, labels=question[0], options=question[1])
    assert (parsed.position is None) == (parsed.outcome is not Outcome.CHOSEN)
    assert parsed.position in (None, *range(len(question[0])))


@given(text=texts, question=wild_questions, blank=st.text(alphabet=" \t\n\r\u00a0", max_size=4))
@settings(max_examples=300)
def test_trailing_blanks_and_bold_do_not_matter(text: str, question: Question, blank: str) -> None:
    plain = parse_choice(text, labels=question[0], options=question[1])
    assert parse_choice(text + blank, labels=question[0], options=question[1]) == plain
    assert parse_choice(f"**{text}**", labels=question[0], options=question[1]) == plain
