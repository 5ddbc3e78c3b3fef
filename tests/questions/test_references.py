"""Options that refer to options: what is found, what is shown, and which verdicts come of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument, NoSuchExample

from pytest_llminvariance import (
    Choices,
    InvarianceError,
    Presentation,
    Question,
    QuestionError,
    Relabel,
    Reorder,
    UsageError,
    Verdict,
    assert_order_symmetric,
    check,
    controls,
    find_counterexample,
    fix_references,
)
from pytest_llminvariance import strategies as inv
from pytest_llminvariance.checks.left_out import with_left_out
from pytest_llminvariance.paraphrases.screens import why_not
from pytest_llminvariance.questions.references import claims, find_references, label_clash
from pytest_llminvariance.transforms.designs import orders_of
from pytest_llminvariance.transforms.edits import origin_of
from pytest_llminvariance.transforms.showing import LABEL_SETS

REFERS = [
    "Both A and B", "A and C only", "Neither B nor C", "A, B and C", "A and B", "A & B", "Either A or C", "Not A",
    "Both (A) and (C)", "(a) and (b)", "both a and b", '"A" and "B"', "Options A and B", "both options A and B",
    "Option A", "A only", "Only A", "B is correct", "All except A", "All of the above except A", "Answers B and C",
    "Both A and B are correct.", "A and B above", "Same as A", "Statements A and C are true", "options 1 and 3",
    "the first two options", "The first two", "Both of the first two options", "the first and third", "the last option",
    "the option above", "the previous option", "Same as above", "Both of the above", "None of the above but A",
]  # fmt: skip
"""Each as the last of four options: by letter or place."""
CATCH_ALLS = [
    "All of the above", "None of the above", "None of the above.", "NONE OF THE ABOVE", "All the above", "none of these",
    "All of these", "Neither of these", "any of these", "All of these countries", "None of them", "Neither", "Both",
    "all are correct", "None is correct", "both are true", "all of the above are correct", "No correct answer",
    "none of the options", "None of the choices", "none of the listed options", "All answers are correct",
    "None of the other options", "all others", "It is none of these", "none of the above reasons", "Two of the above",
    "All of the above-mentioned", "More than one of the above", "Only one of the above", "Any of the above",
]  # fmt: skip
PLAIN = [
    "Vitamin A", "Plan B", "hepatitis B", "grade A", "type A blood", "A and B blood groups", "Group B streptococcus",
    "B cells and T cells", "A-level", "A right", "a right to vote", "A dog", "A", "AB", "Both parents", "Either parent",
    "Both kidneys and lungs", "Neither agree nor disagree", "All men", "All of the students", "None of my friends", "None",
    "All", "Above sea level", "below average", "above 100", "The above-ground part", "first line", "1 and 3", "1 only",
    "I and II only", "A and R are true", "Option 7", "Two options", "No answer", "the next day", "All but one",
    "Metformin is the first choice", "A's and B's",
]  # fmt: skip


def last(option: str, stem: str = "Which?") -> Question:
    return Question(stem, ["dog", "cow", "hen", option])


@pytest.mark.parametrize("option", REFERS)
def test_an_option_that_names_others_is_found(option: str) -> None:
    assert find_references(last(option)).refers == option


@pytest.mark.parametrize("option", CATCH_ALLS)
def test_a_catch_all_stays(option: str) -> None:
    found = find_references(last(option))
    assert (found.stays, found.refers) == ((3,), "")


@pytest.mark.parametrize("option", PLAIN)
def test_ordinary_words_are_content(option: str) -> None:
    found = find_references(last(option))
    assert (found.stays, found.refers) == ((), "")
    assert Reorder().orbit(last(option)).presentations == tuple(
        Presentation(last(option), order=order) for order in itertools.permutations(range(4))
    )


@pytest.mark.parametrize(
    ("stem", "words"),
    [
        ("Is option A right?", "option A"),
        ("Which of A, B and C is best?", "A, B and C"),
        ("Which of options B and C is it?", "options B and C"),
        ("Why is the second statement false?", "the second statement"),
        ("Do options 1 and 3 agree?", "options 1 and 3"),
        ("All men are mortal. Is the second statement true?", ""),
        ("Which of the options below is right?", ""),
        ("Is vitamin A a fat?", ""),
        ("What is the first choice for flu?", ""),
        ("Which option a customer prefers?", ""),
        ("Points A and B lie on a line. Which?", ""),
    ],
)
def test_a_stem_that_names_options_is_found(stem: str, words: str) -> None:
    assert find_references(last("bee", stem)).refers == words


def test_statements_of_the_stem_are_not_options() -> None:
    assert not find_references(last("Both statements are true", "Statement 1 | x. Statement 2 | y.")).stays
    assert find_references(last("Both statements are true")).stays == (3,)


def test_letters_count_where_they_are_labels_and_digits_likewise() -> None:
    assert find_references(last("1 and 3"), "1234").refers == "1 and 3"
    assert not find_references(last("A and B"), "1234").refers
    assert find_references(last("Both A and B"), "1234").refers, "a phrase about options, whatever is shown"
    assert not find_references(last("Both A and B", "Events A and B?"), "1234").refers, "the stem speaks of them"
    letters = Question("Which blood group?", ["A", "B", "Both A and B", "O"])
    assert not find_references(letters).refers, "its options are the letters"


def test_a_catch_all_speaks_of_what_stands_on_its_side() -> None:
    assert find_references(Question("Which?", ["All of the above", "dog", "hen"])).refers
    assert find_references(Question("Which?", ["dog", "None of the above", "hen"])).refers
    assert find_references(Question("Which?", ["dog", "None of these", "hen"])).stays == (1,)
    assert find_references(Question("Which?", ["dog", "hen", "Both of the above", "Neither of the above"])).stays == (
        2,
        3,
    )
    assert find_references(Question("Which?", ["All of the following", "dog", "hen"])).stays == (0,)
    assert not find_references(Question("?", ["agree", "neither", "disagree"], scores=[1, 2, 3])).stays


# Plans

ANYWHERE = st.sampled_from(
    ["None of these", "All of them", "Neither", "all are correct", "None of the options", "Both"]
)


@st.composite
def with_catch_alls(draw: st.DrawFn) -> Question:
    """Draw questions with two to five plain options and catch-alls at any places."""
    options = [f"thing {number}" for number in range(draw(st.integers(2, 5)))]
    for text in draw(st.lists(ANYWHERE, max_size=3, unique=True)):
        options.insert(draw(st.integers(0, len(options))), text)
    return Question(f"Which of many {draw(st.integers(0, 999))}?", options)


DESIGNS = st.sampled_from(
    [Reorder(), Reorder("all"), Reorder("cyclic"), Reorder("reversed"), Reorder("balanced"), Reorder("sample", 7)]
)


@settings(max_examples=150, deadline=None)
@given(question=with_catch_alls(), transform=DESIGNS)
def test_catch_alls_keep_their_place_and_the_others_are_balanced(question: Question, transform: Reorder) -> None:
    stays = find_references(question).stays
    free = [content for content in range(len(question.options)) if content not in stays]
    assert [question.options[content] for content in stays] == [o for o in question.options if "thing" not in o]
    if transform.design == "sample" and not stays and math.factorial(len(free)) - 1 < 7:
        return
    orbit = transform.orbit(question)
    m = len(free)
    assert len(set(orbit)) == len(orbit)
    assert orbit.as_written.order == tuple(range(len(question.options)))
    assert transform.size(orbit.as_written) == len(set(transform.variants(orbit.as_written))) == math.factorial(m)
    for shown in orbit:
        assert all(shown.order[content] == content for content in stays)
        assert all(shown.option_at(shown.label_of(content)) == content for content in range(len(question.options)))
    part = {"cyclic": orbit.presentations, "balanced": orbit.presentations[1:]}.get(transform.design, ())
    if transform.design == "balanced" and m <= 3:
        part = orbit.presentations
    for place in free if part else ():
        shown_there = [shown.order[place] for shown in part]
        assert {shown_there.count(content) for content in free} == {len(part) // m}
    if not stays:
        assert [p.order for p in orbit] == list(orders_of(transform.design, m, origin_of(question), transform.n))


@settings(max_examples=100, deadline=None)
@given(question=with_catch_alls(), data=st.data())
def test_what_hypothesis_draws_keeps_catch_alls_in_place(question: Question, data: st.DataObject) -> None:
    order = data.draw(inv.option_orders(question))
    assert all(order[content] == content for content in find_references(question).stays)


def test_every_order_that_keeps_the_meaning_is_drawn_and_no_other() -> None:
    wanted = set(itertools.permutations(range(3)))
    for order in wanted:
        assert find(inv.option_orders(last("None of these")), lambda drawn, o=order: drawn[:3] == o)[3] == 3  # type: ignore[misc]
    with pytest.raises(NoSuchExample):
        find(inv.option_orders(last("Both A and B")), lambda drawn: drawn != (0, 1, 2, 3))


def test_the_plan_says_what_stays() -> None:
    orbit = Reorder("all").orbit(last("None of these"))
    assert Reorder("all").describe(orbit) == "6 of 6 orders (catch-alls in place: 1)"
    assert Reorder().spec_for(orbit.as_written) == "reorder:all, 1 in place"
    assert len(Reorder("sample", 20).orbit(last("None of these"))) == 6, "there are no more"
    assert len(Reorder(on_reference="ask_anyway").orbit(last("None of these"))) == 24
    assert len(Reorder().orbit(last("Both A and B"))) == 1


def test_position_bias_does_not_count_what_cannot_move() -> None:
    assert Reorder("all").balanced_part(Reorder("all").orbit(last("None of these"))) == ()


def test_a_search_for_a_counterexample_keeps_the_meaning() -> None:
    reader = controls.literal_reader()
    both = Question("Which are prime?", ["2", "3", "Both A and B", "4"], answer=2)
    assert find_counterexample(reader, both, under=Reorder(on_reference="ask_anyway")).example is not None
    for under in (None, Reorder("cyclic"), Reorder() * Relabel(), Choices()):
        found = find_counterexample(reader, both, under=under)
        assert found.example is None
        assert found.exhausted
    every = Question("Which are mammals?", ["Dog", "Whale", "Bat", "All of the above"], answer=3)
    assert find_counterexample(reader, every).presentations_asked == 6
    first = find_counterexample(controls.always_first(), every)
    assert first.presentation is not None
    assert first.presentation.order == (1, 0, 2, 3)


# Labels


def test_packaged_sets_with_a_label_in_the_options_are_passed_over_and_own_ones_refused() -> None:
    numbers = Question("Which is even?", ["2", "3", "5", "7"])
    assert ("1", "2", "3", "4") not in [shown.labels for shown in Relabel().orbit(numbers)]
    assert len(Relabel(on_reference="ask_anyway").orbit(numbers)) == 4
    points = Question("Which lie on the line?", ["P and Q", "P and R", "the third", "none"])
    assert [shown.labels[0] for shown in Relabel().orbit(points)] == ["A", "1", "R"]
    with pytest.raises(UsageError, match=r"the label '2' is in the options of question 'Which is even\?'"):
        Relabel([LABEL_SETS[0], "1234"]).orbit(numbers)
    assert len(Relabel([LABEL_SETS[0], "1234"], on_reference="ask_anyway").orbit(numbers)) == 2


def test_labels_that_are_drawn_keep_the_meaning() -> None:
    numbers = Question("Which is even?", ["2", "3", "5", "7"])
    with pytest.raises(NoSuchExample):
        find(inv.labels(numbers), lambda drawn: drawn[0] == "1")
    with pytest.raises(InvalidArgument, match="label '2' is in the options"):
        inv.labels(numbers, ["1234"]).validate()
    with pytest.raises(NoSuchExample):
        find(inv.labels(last("Both A and B")), lambda drawn: drawn[0] != "A")


def test_a_label_that_is_its_own_options_text_is_no_clash_until_they_part() -> None:
    letters = Question("Which letter?", ["A", "B", "C"], answer=0)
    assert label_clash(Presentation(letters)) == ""
    assert label_clash(Presentation(letters, order=(1, 0, 2))) == "A"
    assert label_clash(Presentation(letters, order=(1, 0, 2), labels="123")) == ""


# Verdicts


def suite(n: int = 12) -> list[Question]:
    return [
        Question(f"Which name goes with {n}?", [f"{word} {n}" for word in ("elm", "oak", "ash", "fir")], answer=n % 4)
        for n in range(n)
    ]


REFERRING = [
    Question("Which are prime?", ["2", "3", "Both A and B", "4"], answer=2),
    Question("Which live in water?", ["Shark", "Hen", "Cod", "Both A and C"], answer=3),
    Question("Which of A and B is larger?", ["Ant", "Elephant", "Mite"], answer=1),
]
ANSWERED_BY_ALL = [
    Question("Which are mammals?", ["Dog", "Whale", "Bat", "All of the above"], answer=3),
    Question("Which is a fish?", ["Dog", "Cow", "Hen", "None of the above"], answer=3),
    Question("Which is a plant?", ["Carrot", "Stone", "Shoe", "All of the above"], answer=0),
    Question("Which is a drink?", ["Milk", "Tea", "Both", "Neither"], answer=2),
]
PROPERTIES = ["option_order", "labels"]


@pytest.mark.parametrize("property", PROPERTIES)
@pytest.mark.parametrize("readout", ["label", "option", "text"])
def test_a_perfect_literal_reader_holds_and_what_is_left_out_is_named(property: str, readout: str) -> None:
    questions = [*REFERRING, *ANSWERED_BY_ALL, *suite()]
    finding = check(property, controls.literal_reader(), questions, tolerance=0.0, readout=readout)
    assert finding.verdict is Verdict.HOLDS, finding.reasons
    names = tuple(question.name for question in REFERRING)
    assert finding.details["left_out"] == {"refer to options by letter or place": names}
    assert finding.questions_planned == 16
    (guard,) = [guard for guard in finding.guards if guard.name == "left out"]
    assert guard.passed
    assert guard.text.startswith(
        "3 of 19 questions are left out (at most 20%): 3 refer to options by letter or place: "
    )


def test_asked_anyway_a_perfect_reader_is_broken_so_the_rule_is_needed() -> None:
    finding = check("option_order", controls.literal_reader(), REFERRING, tolerance=0.05, on_reference="ask_anyway")
    assert finding.verdict is Verdict.BROKEN
    assert "left_out" not in finding.details


def test_a_model_that_answers_by_place_is_broken_on_the_rest() -> None:
    with pytest.raises(InvarianceError) as caught:
        assert_order_symmetric(controls.always_first(), [*REFERRING, *ANSWERED_BY_ALL, *suite()])
    assert caught.value.finding is not None
    assert caught.value.finding.verdict is Verdict.BROKEN
    assert "  without: 3: Which are prime?, Which live in water?, Which of A and B is larger?; they refer to " in str(
        caught.value
    )
    alone = check("option_order", controls.always_first(), ANSWERED_BY_ALL, tolerance=0.05)
    assert alone.verdict is Verdict.BROKEN


@pytest.mark.parametrize("property", PROPERTIES)
@pytest.mark.parametrize("model", [controls.literal_reader(), controls.always_first()], ids=lambda model: model.name)
@pytest.mark.parametrize("kept", [0, 1, 7])
def test_more_than_a_fifth_left_out_is_undecided(property: str, model: controls.Control, kept: int) -> None:
    finding = check(property, model, [*REFERRING, *suite(kept)], tolerance=0.05)
    assert finding.verdict is Verdict.UNDECIDED
    assert finding.reasons[0].startswith(f"3 of {3 + kept} questions are left out (at most 20%)")


def test_a_fifth_is_allowed() -> None:
    finding = check("option_order", controls.literal_reader(), [*REFERRING, *suite(12)], tolerance=0.05)
    assert finding.verdict is Verdict.HOLDS


def test_a_suite_without_references_says_nothing_of_them() -> None:
    finding = check("option_order", controls.oracle(), suite(), tolerance=0.05)
    assert "left_out" not in finding.details
    assert "left out" not in [guard.name for guard in finding.guards]
    assert finding is with_left_out(finding, {})


@pytest.mark.parametrize("readout", ["label", "text"])
def test_options_that_are_the_labels_withhold_the_finding(readout: str) -> None:
    letters = [Question(f"Which letter is {n}?", ["A", "B", "C", "D"], answer=n % 4) for n in range(8)]
    finding = check("option_order", controls.oracle(), letters, tolerance=0.05, readout=readout)
    assert finding.verdict is Verdict.UNDECIDED
    assert "8 have a label that is also an option's text" in finding.reasons[0]
    by_option = check("option_order", controls.oracle(), letters, tolerance=0.05, readout="option")
    assert by_option.verdict is Verdict.HOLDS
    assert check("layout", controls.oracle(), letters, tolerance=0.05, readout=readout).verdict is Verdict.HOLDS


def test_error_names_the_words_and_two_ways_out() -> None:
    for transform in (Reorder(on_reference="error"), Relabel(on_reference="error")):
        with pytest.raises(UsageError, match=r"'Both A and B'\. fix_references\(question\) proposes .*leave_out"):
            transform.orbit(REFERRING[0])
        with pytest.raises(UsageError, match="Which are prime"):
            check(transform, controls.oracle(), [*suite(), REFERRING[0]], tolerance=0.05)
    with pytest.raises(UsageError, match="on_reference is 'ignore', but must be one of leave_out, error, ask_anyway"):
        Reorder(on_reference="ignore")  # type: ignore[arg-type]
    letters = Question("Which letter?", ["A", "B", "C"])
    with pytest.raises(UsageError, match="the label 'B', which is also an option's text"):
        check("option_order", controls.oracle(), letters, tolerance=0.05, on_reference="error", readout="label")


def test_under_a_claim_about_all_orders_only_those_that_keep_the_meaning_are_drawn() -> None:
    questions = [*suite(20), *ANSWERED_BY_ALL]
    settings = {"orders": "sample", "n": 3, "claim": "orbit"}
    finding = check("option_order", controls.literal_reader(), questions, tolerance=0.3, **settings)  # type: ignore[arg-type]
    assert finding.effect.high == 0


# Proposals


@pytest.mark.parametrize(
    ("options", "fixed"),
    [
        (["2", "3", "Both A and B", "4"], "Both 2 and 3"),
        (["2", "3", "A and (B) only", "4"], "2 and 3 only"),
        (["2", "3", "Neither A nor D", "4"], "Neither 2 nor 4"),
        (["2", "3", "the first two options", "4"], "2 and 3"),
        (["2", "3", "Both options A and B", "4"], "Both 2 and 3"),
        (["2", "3", "options 1 and 4", "4"], "2 and 4"),
    ],
)
def test_a_proposal_names_contents(options: Sequence[str], fixed: str) -> None:
    question = Question("Which?", options, id="q", answer=2, attributes={"topic": "numbers"})
    found = fix_references(question)
    assert found.options == (options[0], options[1], fixed, options[3])
    assert (found.id, found.answer, found.attributes) == ("q", 2, {"topic": "numbers"})
    assert find_references(found).refers == ""
    assert claims(Presentation(question))[2] is not None


def test_a_stem_is_rewritten_and_what_cannot_be_is_said() -> None:
    assert fix_references(REFERRING[2]).stem == 'Which of "Ant" and "Elephant" is larger?'
    assert fix_references(ANSWERED_BY_ALL[0]) is ANSWERED_BY_ALL[0]
    for options in (
        ["x", "y", "Both A and D", "All of the above"],
        ["x", "All of the above", "y"],
        ["A and C", "x", "A and B"],
    ):
        with pytest.raises(QuestionError, match=r"cannot be rewritten for certain\. Name the contents by hand"):
            fix_references(Question("Which?", options))


def test_a_wording_that_refers_to_options_anew_is_sorted_out() -> None:
    question = Question("Which animal is the largest?", ["ant", "mite", "bee"])
    assert "refers to options by letter or place" in str(
        why_not(question, "Which of A, B and C is the largest animal?")
    )


def test_a_proposal_that_makes_two_options_equal_is_refused() -> None:
    with pytest.raises(QuestionError, match="'hen' is given 2 times"):
        fix_references(last("the option above"))
