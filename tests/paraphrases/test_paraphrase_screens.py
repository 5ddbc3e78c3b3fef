"""Rules keep the meaning and pass the screens; screens let paraphrases pass and sort other things out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llminvariance import Question, load_questions
from pytest_llminvariance.paraphrases.lock import comparable
from pytest_llminvariance.paraphrases.rules import RULES, by_rule
from pytest_llminvariance.paraphrases.screens import SCREENS, same_as_another, why_not
from pytest_llminvariance.paraphrases.words import family, names, negations, numbers, quotations, words

FACTS = Path(__file__).parents[2] / "examples" / "model_repo" / "questions" / "facts.jsonl"
OPTIONS = ("Green", "Dog", "Seventeen", "A long walk")


def ask(stem: str, options: Sequence[str] = OPTIONS, context: str | None = None) -> Question:
    return Question(stem, options, context=context)


def by_name(question: Question) -> dict[str, str]:
    return {name: stem for stem, name in by_rule(question)}


FRAMES = {"please answer", "here is a question"}


def test_rules_on_a_which_question() -> None:
    assert by_name(ask("Which animal barks?")) == {
        "please answer": "Please answer this question: Which animal barks?",
        "here is a question": "Here is a question: Which animal barks?",
        "of the options": "Of the options given, which animal barks?",
    }


def test_rules_that_swap_a_phrase_or_a_spelling() -> None:
    assert by_name(ask("Which of these is a fruit?"))["these or the following"] == "Which of the following is a fruit?"
    assert by_name(ask("Which of the following is a fruit?"))["these or the following"] == "Which of these is a fruit?"
    assert by_name(ask("What colour is snow?"))["other spelling"] == "What color is snow?"
    assert by_name(ask("What color is snow?"))["other spelling"] == "What colour is snow?"


@pytest.mark.parametrize(
    "stem",
    [
        "I start conversations.",
        "The opposite of hot is ____?",
        "Tom has 3 apples. How many apples does he have?",
        "What is 3 + 4\n?",
        "Hot is to cold as up is to: what?",
        "wie heißt du?",
        "What is $x^2$ for x?",
        "Please answer this question: Which animal barks?",
        "Really?! Which animal barks?",
    ],
)
def test_stems_that_are_no_plain_question_get_nothing(stem: str) -> None:
    assert not list(by_rule(ask(stem)))


@pytest.mark.parametrize(
    ("stem", "options"),
    [
        ("Which European country borders Spain?", OPTIONS),  # a capital may begin a title
        ("Which of these is a fruit?", OPTIONS),
        ("Which animal is listed below?", OPTIONS),
        ("Which animal barks?", ("Dog", "None of these")),
        ("Which animals bark?", ("Dog", "Both")),
        ("Who barks?", OPTIONS),
    ],
)
def test_the_options_are_not_named_where_that_could_change_the_range(stem: str, options: Sequence[str]) -> None:
    assert "of the options" not in by_name(ask(stem, options))


@pytest.mark.parametrize(
    ("stem", "options"),
    [
        ('How do you spell the word "colour"?', OPTIONS),
        ("What rhymes with colour?", ("dolour", "color")),
        ("What colour is snow?", ("a colour", "none")),
        ("Which word means the same as grey?", OPTIONS),
        ("Who sang in The Colour Purple?", OPTIONS),
        ("What colour is the neighbour?", OPTIONS),
    ],
)
def test_spelling_stays_where_words_are_the_subject_a_name_or_there_are_two(stem: str, options: Sequence[str]) -> None:
    assert "other spelling" not in by_name(ask(stem, options))


STEMS = st.builds(
    "{} {}?".format,
    st.sampled_from(["Which", "What", "How many", "Who", "Is", "Which of these is", "Which of the following are"]),
    st.lists(
        st.sampled_from(
            [
                "the",
                "a",
                "dog",
                "Paris",
                "7",
                "not",
                "isn't",
                "never",
                "two",
                "colour",
                "grey",
                "I",
                "you",
                "Mary's",
                "favourite",
                "50%",
                "most",
                "only",
            ]
        ),
        min_size=1,
        max_size=8,
    ).map(" ".join),
)


@given(
    stem=STEMS,
    options=st.lists(st.sampled_from(["Dog", "Paris", "7", "the grey one", "none"]), min_size=2, unique=True),
)
def test_no_rule_touches_options_numbers_names_or_negations(stem: str, options: list[str]) -> None:
    question = ask(stem, options)
    for wording, name in by_rule(question):
        assert why_not(question, wording) is None, (name, wording)
        assert numbers(wording) == numbers(stem)
        assert negations(wording) == negations(stem)
        assert names(wording) == names(stem)
        assert comparable(wording) != comparable(stem)


def test_every_rule_is_used_on_the_example_questions_and_passes() -> None:
    used = set()
    for question in (
        *load_questions(FACTS),
        *load_questions(FACTS.with_name("survey.csv")),
        *load_questions(FACTS.with_name("tickets.jsonl")),
    ):
        for wording, name in by_rule(question):
            assert why_not(question, wording) is None
            used.add(name)
    assert used == RULES.keys()


TRUE = [
    ("What colour is fresh grass?", "Which color does fresh grass have?"),
    ("What colour is fresh grass?", "Fresh grass is what colour?"),
    ("Which animal barks?", "What animal barks?"),
    ("What is the capital of France?", "What is France's capital?"),
    ("Paris is the capital of which country?", "Which country has Paris as its capital?"),
    ("How many legs does a spider have?", "A spider has how many legs?"),
    ("What is 1,000 minus five?", "What is 1000 minus 5?"),
    ("Which animals don't bark?", "Which animals do not bark?"),
    ("Birds can do which of these?", "Which of these can birds do?"),
    ("Which part of the body do people use to see?", "With which body part do people see?"),
    ("Which planet do human beings live on?", "What planet do humans live on?"),
    ("I make plans.", "I am one who makes plans."),
]
FALSE = [
    ("text", "Which animal barks?", "Which animal\nbarks?"),
    ("text", "Which animal barks?", "Which animal \x1b[2Jbarks?"),
    ("text", "Which animal barks?", "Which animal \u202ebarks?"),
    ("text", "Which animal barks?", "Which animal barks?<|im_end|>"),
    ("length", "Which of these animals is known for its loud barking?", "Which barks?"),
    ("length", "Which animal barks?", "Which animal barks, " + "and barks, " * 5 + "?"),
    ("kind", "Which animal barks?", "The animal that barks"),
    ("kind", "I make plans.", "Do I make plans?"),
    ("task", "Which animal barks?", "Sure, which animal barks?"),
    ("task", "Which animal barks?", "Rephrased: which animal barks?"),
    ("options", "Which animal barks?", "Which animal barks like a dog?"),
    ("options", "Is the Dog an animal that barks?", "Is this an animal that barks?"),
    ("options", "Which animal barks?", "Which animal barks? A) this?"),
    ("numbers", "What is 3 times 4?", "What is 3 times 5?"),
    ("numbers", "What do two dogs eat?", "What do dogs eat?"),
    ("numbers", "What do 5% eat?", "What do 5 eat?"),
    ("numbers", "What is 7 - 4?", "What is 7 + 4?"),
    ("numbers", "Who came first?", "Who came second?"),
    ("negations", "Which animal does not bark?", "Which animal does bark?"),
    ("negations", "Which animal barks?", "Which animal doesn't bark?"),
    ("negations", "Which end is likely?", "Which end is unlikely?"),
    ("negations", "Which end is impossible?", "Which end is possible?"),
    ("negations", "What is the opposite of hot?", "What is the opposite of cold?"),
    ("names", "What is the capital of France?", "What is the capital of Spain?"),
    ("names", "Who wrote about animals?", "Who wrote about animals in Europe?"),
    ("names", "What does NASA do?", "What does it do?"),
    ("names", "Paris lies in which land?", "It lies in which land?"),
    ("names", 'Who said "no way"?', 'Who said "way no"?'),
    ("scope", "Which animal barks?", "Which animal barks most?"),
    ("scope", "What should all animals eat?", "What should animals eat?"),
    ("scope", "What do you prefer?", "What do I prefer?"),
    ("scope", "What do you prefer?", "What is the preference?"),
    ("adds", "Which animal barks?", "Which animal barks in winter?"),
    ("keeps", "Which animal barks?", "Which river floods?"),
    ("keeps", "Which season is the coldest?", "Which season is the wettest?"),
    ("keeps", "What do bees make?", "What eats bees?"),
    ("keeps", "What do plants need to grow?", "What do plants need?"),
]


@pytest.mark.parametrize(("stem", "wording"), TRUE)
def test_paraphrases_pass(stem: str, wording: str) -> None:
    assert why_not(ask(stem), wording) is None


@pytest.mark.parametrize(("screen", "stem", "wording"), FALSE)
def test_what_changes_the_meaning_is_sorted_out_by_the_screen_for_it(screen: str, stem: str, wording: str) -> None:
    reason = why_not(ask(stem), wording)
    assert reason is not None
    assert reason.startswith(f"{screen}: ")
    assert reason.isprintable()


def test_every_screen_has_something_that_it_sorts_out() -> None:
    assert {screen for screen, _, _ in FALSE} == SCREENS.keys()


def test_with_an_encoder_shared_words_do_not_count_but_additions_do() -> None:
    assert why_not(ask("Which animal barks?"), "Which river floods?", encoded=True) is None
    assert why_not(ask("Which animal barks?"), "Which animal barks in winter?", encoded=True) == "adds: adds winter"


@pytest.mark.parametrize(
    ("wording", "same"),
    [
        ("which ANIMAL barks", True),
        ("“Which  animal barks?”", True),
        ("Which animal barks", True),
        ("What animal barks?", False),
    ],
)
def test_equal_after_normalisation(wording: str, same: bool) -> None:
    assert same_as_another(wording, ["nothing", "Which animal barks?"]) is same


def test_words_are_taken_apart() -> None:
    assert words("Don't, won't, can’t, CANNOT, it's") == [
        "do",
        "not",
        "will",
        "not",
        "can",
        "not",
        "can",
        "not",
        "it",
        "s",
    ]
    assert numbers("1,000 and 2.5 and twenty, 3,5") == {"1000": 1, "2.5": 1, "20": 1, "3,5": 1}
    assert numbers("Which one of the one-way roads?") == {"1": 1}
    assert quotations("'a b' isn't “c” \"d\"") == {"a b": 1, "c": 1, "d": 1}
    assert names("Is Ann Lee here? The USA is. Bob’s too, I'm told") == {"Ann", "Lee", "USA", "Bob"}
    assert family("colours") == family("color")
    assert family("barking") == family("barks")
    assert family("organise") == family("organized")
