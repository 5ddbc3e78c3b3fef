"""Misuse of questions, instruments and transforms: each refused with value, rule and way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_llminvariance import (
    Item,
    Layout,
    Question,
    Questionnaire,
    Reformat,
    Relabel,
    Reorder,
    Reword,
    Scale,
    UsageError,
)
from pytest_llminvariance.errors import QuestionError
from pytest_llminvariance.questions.question import as_questions
from tests.questions.bad_input import Misuse, assert_refused, of

RED = Question("Which planet is red?", ["Venus", "Mars", "Jupiter"], answer="Mars")
READ = Question("Who came?", ["Ann", "Bob"], context="Ann came.", id="q1")
SCALE = Scale(("no", "yes"), (0, 1))
WAYS = ["{stem}\n{options}\nAnswer:", "{stem}\n{options}\nPick one:"]


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
        "mini, item 1: trait is ' ', but must be text. Name what the item measures",
    ),
    Misuse(
        "half a surrogate pair",
        lambda _: Question("Who?", ["Ann", "\ud800"]),
        QuestionError,
        r"question 'Who?': option 1 is '\ud800', which holds half a surrogate pair and is no valid text. Read the file as UTF-8",
    ),
    Misuse(
        "options as set",
        lambda _: Question("Who?", of({"Ann"})),
        QuestionError,
        "question 'Who?': options is {'Ann'}, but must be a list of two or more texts",
    ),
    Misuse(
        "scores is a number",
        lambda _: Question("Who?", ["Ann", "Bob"], scores=of(5)),
        QuestionError,
        "question 'Who?': scores is 5, but must be a list with one number per option",
    ),
    Misuse(
        "score too large for a float",
        lambda _: Question("Who?", ["Ann", "Bob"], scores=[10**400, 1]),
        QuestionError,
        "question 'Who?': the score 1<...>0 is not a number between -1e+09 and 1e+09",
    ),
    Misuse(
        "scale of letters",
        lambda _: Scale(of("abc"), (1, 2, 3)),
        QuestionError,
        "question 'scale': options is 'abc', but must be a list of two or more texts",
    ),
    Misuse(
        "scale without scores",
        lambda _: Scale(("no", "yes"), of(None)),
        QuestionError,
        "scale: scores is None, but each option needs a score",
    ),
    Misuse(
        "instrument without scale",
        lambda _: Questionnaire((Item("I plan.", "order"),), of(None), "mini"),
        QuestionError,
        "mini: scale is None, but must be a Scale",
    ),
    Misuse(
        "items is a number",
        lambda _: Questionnaire(of(5), SCALE, "mini"),
        QuestionError,
        "mini: items is 5, but must be a list of Item",
    ),
    Misuse(
        "item is a number",
        lambda _: Questionnaire(of([5]), SCALE, "mini"),
        QuestionError,
        "mini, item 1: 5 is a int, but must be an Item",
    ),
    Misuse(
        "trait is no text",
        lambda _: Questionnaire((Item("I plan.", of(5)),), SCALE, "mini"),
        QuestionError,
        "mini, item 1: trait is 5, but must be text. Name what the item measures",
    ),
    Misuse(
        "second item is empty",
        lambda _: Questionnaire((Item("I plan.", "order"), Item("", "order")), SCALE, "mini"),
        QuestionError,
        "mini, item 2: question: stem is '', but must not be empty. Write what is to be asked",
    ),
    Misuse(
        "instrument's name is no text",
        lambda _: Questionnaire((Item("I plan.", "order"),), SCALE, of(5)),
        QuestionError,
        "questionnaire: name is 5, but must be text",
    ),
    Misuse(
        "a file's name in the place of questions",
        lambda _: as_questions(of("x.jsonl")),
        QuestionError,
        "questions is 'x.jsonl', but must be a Question or many. load_questions('x.jsonl') reads a file",
    ),
    Misuse(
        "a path in the place of questions",
        lambda _: as_questions(of(Path("x.jsonl"))),
        QuestionError,
        "questions is <...>Path('x.jsonl'), but must be a Question or many. load_questions('x.jsonl') reads a file",
    ),
    Misuse(
        "questions is None",
        lambda _: as_questions(of(None)),
        QuestionError,
        "questions is None, but must be a Question or many",
    ),
    Misuse(
        "half a surrogate pair in an attribute",
        lambda _: Question("Who?", ["Ann", "Bob"], attributes={"topic": "\ud800"}),
        QuestionError,
        r"question 'Who?': the attribute 'topic' is '\ud800', which holds half a surrogate pair and is no valid text. Read the file as UTF-8",
    ),
    Misuse(
        "attribute name is a number",
        lambda _: Question("Who?", ["Ann", "Bob"], attributes=of({5: "x"})),
        QuestionError,
        "question 'Who?': the attribute name is 5 (int), but must be text",
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


@pytest.mark.parametrize("misuse", [*QUESTIONS, *TRANSFORMS], ids=lambda misuse: misuse.id)
def test_is_refused(misuse: Misuse, tmp_path: Path) -> None:
    assert_refused(misuse, tmp_path)
