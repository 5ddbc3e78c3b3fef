"""Misuse of questions, presentations, transforms and checks: each refused with value, rule and way out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance import (
    Item,
    Layout,
    Presentation,
    Question,
    Questionnaire,
    Reformat,
    Relabel,
    Reorder,
    Reword,
    Scale,
    Template,
    UsageError,
)
from pytest_llminvariance.errors import QuestionError
from tests.unit.bad_input import Misuse, assert_refused

RED = Question("Which planet is red?", ["Venus", "Mars", "Jupiter"], answer="Mars")
READ = Question("Who came?", ["Ann", "Bob"], context="Ann came.", id="q1")
WAYS = ["{stem}\n{options}\nAnswer:", "{stem}\n{options}\nPick one:"]


def of(value: object) -> Any:
    return value


QUESTIONS = [
    Misuse(
        "one option",
        lambda _: Question("Who?", ["Ann"]),
        QuestionError,
        "question 'Who?': 1 option(s) ['Ann'], but a choice needs at least 2",
    ),
    Misuse(
        "options twice",
        lambda _: Question("Who?", ["Ann", "Bob", "Ann"], id="q7"),
        QuestionError,
        "question 'q7': the option 'Ann' is given 2 times, but options must be distinct. Merge them or tell them apart",
    ),
    Misuse(
        "empty stem",
        lambda _: Question(" ", ["Ann", "Bob"]),
        QuestionError,
        "question: stem is ' ', but must not be empty. Write what is to be asked",
    ),
    Misuse(
        "stem is no text",
        lambda _: Question(of(5), ["Ann", "Bob"]),
        QuestionError,
        "question: stem is 5 (int), but must be text",
    ),
    Misuse(
        "empty option",
        lambda _: Question("Who?", ["Ann", ""]),
        QuestionError,
        "question 'Who?': option 1 is '', but must not be empty. Write what is to be asked",
    ),
    Misuse(
        "options as text",
        lambda _: Question("Who?", "Ann, Bob"),
        QuestionError,
        "question 'Who?': options is 'Ann, Bob', but must be a list of two or more texts",
    ),
    Misuse(
        "answer is no option",
        lambda _: Question("Who?", ["Ann", "Bob"], answer="Cy"),
        QuestionError,
        "question 'Who?': the answer 'Cy' is not one of the options ['Ann', 'Bob']. Give an option's text or its index",
    ),
    Misuse(
        "answer index too large",
        lambda _: Question("Who?", ["Ann", "Bob"], answer=2),
        QuestionError,
        "question 'Who?': the answer index 2 is outside 0..1; indices count from 0",
    ),
    Misuse(
        "answer index negative",
        lambda _: Question("Who?", ["Ann", "Bob"], answer=-1),
        QuestionError,
        "question 'Who?': the answer index -1 is outside 0..1; indices count from 0",
    ),
    Misuse(
        "answer is True",
        lambda _: Question("Who?", ["Ann", "Bob"], answer=True),
        QuestionError,
        "question 'Who?': the answer True is neither an option's text nor its index",
    ),
    Misuse(
        "too few scores",
        lambda _: Question("Who?", ["Ann", "Bob"], scores=[1]),
        QuestionError,
        "question 'Who?': 1 scores for 2 options, but each option needs one",
    ),
    Misuse(
        "equal scores",
        lambda _: Question("Who?", ["Ann", "Bob"], scores=[2, 2.0]),
        QuestionError,
        "question 'Who?': all scores are 2, but a scale needs at least two different scores",
    ),
    Misuse(
        "score is no number",
        lambda _: Question("Who?", ["Ann", "Bob"], scores=[1, float("nan")]),
        QuestionError,
        "question 'Who?': the score nan is not a number between -1e+09 and 1e+09",
    ),
    Misuse(
        "key without scores",
        lambda _: Question("Who?", ["Ann", "Bob"], reverse_keyed=True),
        QuestionError,
        "question 'Who?': reverse_keyed needs scores, which are not given. Give one score per option",
    ),
    Misuse(
        "key is no flag",
        lambda _: Question("Who?", ["Ann", "Bob"], scores=[1, 2], reverse_keyed=of("no")),
        QuestionError,
        "question 'Who?': reverse_keyed is 'no', but must be True or False",
    ),
    Misuse(
        "attributes as list",
        lambda _: Question("Who?", ["Ann", "Bob"], attributes=of(["x"])),
        QuestionError,
        "question 'Who?': attributes is ['x'], but must map names to values",
    ),
    Misuse(
        "scale that turns",
        lambda _: Scale(("no", "yes", "maybe"), (1, 3, 2)),
        QuestionError,
        "scale: the scores [1.0, 3.0, 2.0] neither rise nor fall from one end to the other. "
        "List the options in the order of the scale",
    ),
    Misuse(
        "instrument without items",
        lambda _: Questionnaire((), Scale(("no", "yes"), (0, 1)), "mini"),
        QuestionError,
        "mini: there are no items, but an instrument needs at least one",
    ),
    Misuse(
        "item without trait",
        lambda _: Questionnaire((Item("I plan.", " "),), Scale(("no", "yes"), (0, 1)), "mini"),
        QuestionError,
        "mini: the item 'I plan.' has no trait. Name what it measures",
    ),
]

PRESENTATIONS = [
    Misuse(
        "label not shown",
        lambda _: Presentation(RED).option_at("D"),
        UsageError,
        "the label 'D' is not shown; the labels are A, B, C",
    ),
    Misuse(
        "option unknown",
        lambda _: Presentation(RED).position_of("Pluto"),
        UsageError,
        "the option 'Pluto' is not one of ['Venus', 'Mars', 'Jupiter']",
    ),
    Misuse(
        "no permutation",
        lambda _: Presentation(RED, order=[0, 0, 2]),
        UsageError,
        "order is [0, 0, 2], but must hold each content index 0..2 once",
    ),
    Misuse(
        "too few labels",
        lambda _: Presentation(RED, labels="AB"),
        UsageError,
        "2 labels (A, B) for 3 options. Give at least 3 labels",
    ),
    Misuse(
        "labels equal up to case",
        lambda _: Presentation(RED, labels=["a", "b", "A"]),
        UsageError,
        "the label 'a' comes twice in ['a', 'b', 'A'] (case and punctuation do not count), but labels must be distinct",
    ),
    Misuse(
        "label with blanks",
        lambda _: Presentation(RED, labels=["A ", "B", "C"]),
        UsageError,
        "the label 'A ' must be text without surrounding blanks",
    ),
    Misuse(
        "no stem",
        lambda _: Template("{options}"),
        UsageError,
        "template '{options}' has no {stem} field, so the question would not be asked",
    ),
    Misuse(
        "no options",
        lambda _: Template("{stem} Choose.", name="short"),
        UsageError,
        "template 'short' has no {options} field, so no option would be shown. "
        "Add it, or name both ends of a scale with first_label, first_option, last_label, last_option",
    ),
    Misuse(
        "unknown field",
        lambda _: Template("{stem}{options}{hint}", name="short"),
        UsageError,
        "template 'short' has the unknown field {hint}; the fields are context, stem, options, labels, "
        "first_label, last_label, first_option, last_option. Write {{ and }} for braces",
    ),
    Misuse(
        "unbalanced brace",
        lambda _: Template("{stem}{options} }", name="short"),
        UsageError,
        "template 'short' cannot be read: Single '}' encountered in format string. Write {{ and }} for braces",
    ),
    Misuse(
        "field with conversion",
        lambda _: Template("{stem!r}{options}", name="short"),
        UsageError,
        "template 'short': the field {stem} must be a plain name",
    ),
    Misuse(
        "template is no text",
        lambda _: Presentation(RED, template=of(5)),
        UsageError,
        "template is 5, but must be a Template or its text",
    ),
    Misuse(
        "context not shown",
        lambda _: Presentation(READ, template="{stem}{options}"),
        UsageError,
        "question 'q1' has a context, but the template '{stem}{options}' has no {context} field, so it would not be shown",
    ),
    Misuse(
        "separator empty",
        lambda _: Layout(separator=""),
        UsageError,
        r"separator is '', but options must be kept apart. Use '\n' or '; '",
    ),
    Misuse(
        "unknown case",
        lambda _: Layout(label_case=of("Upper")),
        UsageError,
        "label_case is 'Upper', but must be one of as_is, upper, lower",
    ),
    Misuse(
        "negative blank lines",
        lambda _: Layout(extra_blank_lines=-1),
        UsageError,
        "extra_blank_lines is -1, but must be a number from 0 to 10",
    ),
    Misuse(
        "enumerator with field",
        lambda _: Layout(enumerator="{number}. "),
        UsageError,
        "enumerator is '{number}. ', but may hold {label} once and no other field",
    ),
]

TRANSFORMS = [
    Misuse(
        "unknown design",
        lambda _: Reorder(of("shuffled")),
        UsageError,
        "orders is 'shuffled', but must be one of auto, all, cyclic, reversed, balanced, sample",
    ),
    Misuse(
        "sample without n",
        lambda _: Reorder("sample"),
        UsageError,
        "orders='sample' with n=None: give n, the number of other orders to draw, 1 or more",
    ),
    Misuse(
        "n without sample",
        lambda _: Reorder("all", 5),
        UsageError,
        "n=5 goes with orders='sample' only, not with orders='all'",
    ),
    Misuse(
        "n too large",
        lambda _: Reorder("sample", 6).orbit(RED),
        UsageError,
        "orders='sample' with n=6: 3 options have only 5 other orders",
    ),
    Misuse(
        "one template",
        lambda _: Reword(of(WAYS[:1])),
        UsageError,
        "templates holds 1 template(s), but there is nothing to compare below 2",
    ),
    Misuse(
        "templates as text",
        lambda _: Reword(of(WAYS[0])),
        UsageError,
        r"templates is '{stem}\n{options}\nAnswer:', but must be a list of two or more templates or texts",
    ),
    Misuse(
        "one layout",
        lambda _: Reformat((Layout(),)),
        UsageError,
        "layouts holds 1 layout(s), but there is nothing to compare below 2",
    ),
    Misuse(
        "layout is no layout",
        lambda _: Reformat((Layout(), of("{label}) "))),
        UsageError,
        "layouts holds '{label}) ', but must hold Layout objects",
    ),
    Misuse(
        "label sets too short",
        lambda _: Relabel((("A", "B"), ("1", "2"))).orbit(RED),
        UsageError,
        "no label set has the 3 labels that question 'Which planet is red?' needs. Give longer sets",
    ),
]


@pytest.mark.parametrize("misuse", [*QUESTIONS, *PRESENTATIONS, *TRANSFORMS], ids=lambda misuse: misuse.id)
def test_is_refused(misuse: Misuse, tmp_path: Path) -> None:
    assert_refused(misuse, tmp_path)
