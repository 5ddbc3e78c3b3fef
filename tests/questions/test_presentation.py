"""Presentations: exactly what is printed, and the way back to content."""

from __future__ import annotations

import dataclasses
import itertools
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_llminvariance import Layout, Presentation, Question, Template, UsageError
from pytest_llminvariance.measures.parsing import parse_choice
from pytest_llminvariance.questions.conversation import Message
from pytest_llminvariance.questions.labels import check_labels

PLANETS = Question("Which planet is red?", ["Venus", "Mars", "Jupiter"])
PLAN = Question("I plan ahead.", ["strongly disagree", "neutral", "strongly agree"], scores=[1, 2, 3])
DIGITS = ("1", "2", "3")
LIKERT = {
    "letters": Template("{context}Statement: {stem}\n{options}\nAnswer with one letter ({labels}).", name="letters"),
    "legend": Template(
        "{context}Rate: {stem}\n({options})\nYour number:",
        name="legend",
        labels=DIGITS,
        layout=Layout(enumerator="{label} = ", separator=", "),
    ),
    "ends": Template(
        "{context}{stem}\n{first_label} ({first_option}) to {last_label} ({last_option}). One of: {labels}",
        name="ends",
        labels=DIGITS,
    ),
}
LIKERT_PINNED = {
    ("letters", "written"): "Statement: I plan ahead.\nA. strongly disagree\nB. neutral\nC. strongly agree\n"
    "Answer with one letter (A, B, C).",
    ("letters", "reversed"): "Statement: I plan ahead.\nA. strongly agree\nB. neutral\nC. strongly disagree\n"
    "Answer with one letter (A, B, C).",
    (
        "legend",
        "written",
    ): "Rate: I plan ahead.\n(1 = strongly disagree, 2 = neutral, 3 = strongly agree)\nYour number:",
    (
        "legend",
        "reversed",
    ): "Rate: I plan ahead.\n(1 = strongly agree, 2 = neutral, 3 = strongly disagree)\nYour number:",
    ("ends", "written"): "I plan ahead.\n1 (strongly disagree) to 3 (strongly agree). One of: 1, 2, 3",
    ("ends", "reversed"): "I plan ahead.\n1 (strongly agree) to 3 (strongly disagree). One of: 1, 2, 3",
}


def text_of(shown: Presentation) -> str:
    (message,) = shown.render()
    assert message.role == "user"
    return message.content


def test_default_prompt_is_pinned() -> None:
    assert text_of(Presentation(PLANETS)) == (
        "Which planet is red?\n\nA. Venus\nB. Mars\nC. Jupiter\n\nAnswer with only one of: A, B, C."
    )


def test_order_labels_and_layout_are_pinned_together() -> None:
    layout = Layout(enumerator="({label}) ", separator="; ", label_case="lower", extra_blank_lines=1)
    shown = Presentation(PLANETS, order=[2, 0, 1], labels=["X", "Y", "Z", "unused"], layout=layout)
    assert text_of(shown) == (
        "Which planet is red?\n\n\n(x) Jupiter; (y) Venus; (z) Mars\n\nAnswer with only one of: x, y, z."
    )


@pytest.mark.parametrize(("template", "direction"), LIKERT_PINNED)
def test_likert_administrations_are_pinned(template: str, direction: str) -> None:
    order = [0, 1, 2] if direction == "written" else [2, 1, 0]
    shown = Presentation(PLAN, order=order, template=LIKERT[template])
    assert text_of(shown) == LIKERT_PINNED[template, direction]


def test_ends_of_a_scale_cannot_show_other_orders() -> None:
    with pytest.raises(
        UsageError, match=r"^the template 'ends' names only the ends of the scale, so the order \[1, 0, 2\]"
    ):
        Presentation(PLAN, order=[1, 0, 2], template=LIKERT["ends"])


@pytest.mark.parametrize("name", LIKERT)
def test_context_stands_before_the_question(name: str) -> None:
    about = Question(PLAN.stem, PLAN.options, context="About you:")
    shown = Presentation(about, template=LIKERT[name])
    assert text_of(shown) == "About you:\n\n" + LIKERT_PINNED[name, "written"]


def test_system_message_comes_first_and_braces_in_it_that_name_no_field_are_text() -> None:
    shown = Presentation(
        PLANETS, template=Template("{stem} {options}", system='Be brief: {"answer": "{letter}"} {{x}}')
    )
    assert shown.render() == (
        Message("system", 'Be brief: {"answer": "{letter}"} {{x}}'),
        Message("user", "Which planet is red? A. Venus\nB. Mars\nC. Jupiter"),
    )


def test_the_item_may_stand_in_the_system_message() -> None:
    way = Template("Answer with one of {labels}.", system='{"task": "{stem}"}\n{options}')
    told, asked = Presentation(PLANETS, order=[2, 1, 0], template=way).render()
    assert told == Message("system", '{"task": "Which planet is red?"}\nA. Jupiter\nB. Mars\nC. Venus')
    assert asked == Message("user", "Answer with one of A, B, C.")
    with pytest.raises(UsageError, match="which worked examples cannot follow"):
        Presentation(PLANETS, template=way, shots=[Question("Hot?", ["sun", "moon", "ice"], answer=0)])


def test_end_words_with_the_labels_are_enough_for_a_scale() -> None:
    way = Template("{stem}\n{labels}:", system="From {first_option} to {last_option}.", labels=tuple("123"))
    assert [m.content for m in Presentation(PLANETS, template=way).render()] == [
        "From Venus to Jupiter.", "Which planet is red?\n1, 2, 3:",
    ]  # fmt: skip
    with pytest.raises(UsageError, match=r"has no \{options\} field"):
        Template("{stem}: from {first_option} to {last_option}")


def test_a_template_may_have_its_own_option_texts_and_direction() -> None:
    way = Template("{stem}\n{options}", options=("hot", "red", "big"), reverse=True)
    shown = Presentation(PLANETS, template=way)
    assert shown.order == (2, 1, 0)
    assert text_of(shown) == "Which planet is red?\nA. big\nB. red\nC. hot"
    assert shown.option_at("B") == 1
    plain = Presentation(PLANETS, order=[1, 0, 2])
    turned = plain.replace(template=way)
    assert turned.order == (2, 0, 1), "turned round with the template"
    assert turned.replace(template=plain.template) == plain
    assert plain.replace(template=way, order=(0, 1, 2)).order == (0, 1, 2)
    assert eval(repr(way)) == way
    with pytest.raises(UsageError, match=r"has 2 options, but question .* has 3"):
        Presentation(PLANETS, template=Template("{stem}{options}", options=("a", "b")))
    with pytest.raises(UsageError, match="look the same"):
        Template("{stem}{options}", options=("a b", "a\u00a0b"))


def test_a_template_without_its_own_scale_is_known_as_before() -> None:
    assert repr(Template("{stem}{options}", name="x")) == (
        "Template(text='{stem}{options}', name='x', system=None, labels=None, layout=None)"
    )


def test_braces_in_a_question_are_no_fields() -> None:
    question = Question("What is {x}?", ["{stem}", "{{", "}"])
    assert text_of(Presentation(question, template="{{{stem}}} {options}")) == "{What is {x}?} A. {stem}\nB. {{\nC. }"


def test_labels_with_braces_or_field_names_are_printed_as_they_are() -> None:
    assert (
        Presentation(PLANETS, labels=["{label}", "{stem}", "C"]).render_options().startswith("{label}. Venus\n{stem}. ")
    )


def test_plain_marks_show_no_labels() -> None:
    shown = Presentation(PLANETS, layout=Layout(enumerator="- "))
    assert shown.render_options() == "- Venus\n- Mars\n- Jupiter"
    assert not shown.shows_labels
    assert Presentation(PLANETS).shows_labels


def test_own_labels_and_layout_win_over_the_templates() -> None:
    shown = Presentation(PLAN, labels="XYZ", layout=Layout(), template=LIKERT["legend"])
    assert shown.render_options() == "X. strongly disagree\nY. neutral\nZ. strongly agree"


def test_way_back_is_pinned() -> None:
    shown = Presentation(PLANETS, order=[2, 0, 1])
    assert shown.shown_options == ("Jupiter", "Venus", "Mars")
    assert [shown.option_at(label) for label in "ABC"] == [2, 0, 1]
    assert [shown.position_of(name) for name in PLANETS.options] == [1, 2, 0]
    assert [shown.label_of(content) for content in range(3)] == ["B", "C", "A"]


orders = st.permutations(range(3))


@given(order=orders, labels=st.sampled_from([("A", "B", "C"), DIGITS, ("x", "y", "z")]))
def test_way_there_and_back(order: list[int], labels: tuple[str, ...]) -> None:
    shown = Presentation(PLANETS, order=order, labels=labels)
    for content in range(3):
        assert shown.option_at(shown.label_of(content)) == content
        assert shown.order[shown.position_of(content)] == content
        assert shown.label_of(PLANETS.options[content]) == shown.label_of(content)


@given(order=orders)
def test_every_option_stands_by_its_label(order: list[int]) -> None:
    shown = Presentation(PLANETS, order=order)
    for content, option in enumerate(PLANETS.options):
        assert f"{shown.label_of(content)}. {option}" in text_of(shown)


def test_all_orders_give_different_prompts() -> None:
    prompts = {text_of(Presentation(PLANETS, order=order)) for order in itertools.permutations(range(3))}
    assert len(prompts) == 6


def test_replace_changes_one_part() -> None:
    shown = Presentation(PLANETS, order=[2, 0, 1], labels=DIGITS, template=LIKERT["letters"])
    turned = shown.replace(order=(1, 0, 2))
    assert (turned.order, turned.labels, turned.template) == ((1, 0, 2), DIGITS, LIKERT["letters"])
    assert shown.replace() == shown


def test_equal_presentations_are_one_key() -> None:
    given_twice = {Presentation(PLANETS), Presentation(PLANETS, order=[0, 1, 2], labels="ABC")}
    assert len(given_twice) == 1


def test_survives_pickling() -> None:
    shown = Presentation(PLAN, order=[2, 1, 0], template=LIKERT["legend"])
    assert pickle.loads(pickle.dumps(shown)) == shown


def test_template_is_named_by_its_beginning() -> None:
    assert Template("{stem} {options} and an end").shown_name == "{stem} {options} and an end"
    assert Template("{stem}\n{options} and an end").shown_name.startswith("{stem} {options} and an … #")
    long = [Template("{stem}\n{options} and a long end to it, " + end).shown_name for end in ("one", "two")]
    assert long[0].startswith("{stem} {options} and a l… #")
    assert long[0] != long[1]
    assert LIKERT["legend"].shown_name == "legend"


def test_unnamed_templates_that_differ_have_different_names() -> None:
    text = "{stem} {options}"
    templates = [
        Template(text),
        Template("{stem}\n{options}"),
        Template(text, system="Be kind."),
        Template(text, labels=DIGITS),
        Template(text, layout=Layout(separator="; ")),
    ]
    assert len({template.shown_name for template in templates}) == len(templates)


def test_case_of_a_layout_does_not_stay_with_the_labels() -> None:
    lower = Presentation(PLANETS, layout=Layout(label_case="lower"))
    assert lower.labels == ("a", "b", "c")
    assert lower.replace(layout=Layout()) == Presentation(PLANETS)
    assert hash(lower.replace(layout=Layout())) == hash(Presentation(PLANETS))
    assert pickle.loads(pickle.dumps(lower)).replace(layout=Layout()).labels == ("A", "B", "C")
    assert dataclasses.replace(lower, order=(1, 0, 2)).labels == ("a", "b", "c")
    assert "given_labels" not in repr(lower)


def test_repr_of_more_options_than_letters() -> None:
    many = Question("Which?", [f"option {n}" for n in range(30)])
    shown = Presentation(many, labels=[f"L{n}" for n in range(30)])
    assert eval(repr(shown)) == shown


@pytest.mark.parametrize(
    "labels",
    [
        "A. A",
        "① 1",
        "(A) A",
        "*A* A",
        "`A` A",
        "A\u200b A",
        "–1 -1",
        "’a 'a",
        "— -",
        "$A$ A",
        "ﬁ fi",
        '“a” "a"',
        "ß SS",
    ],
)
def test_labels_that_an_answer_cannot_tell_apart_are_refused(labels: str) -> None:
    with pytest.raises(UsageError, match=r"comes twice|nothing but punctuation"):
        check_labels(labels.split(" "))


@pytest.mark.parametrize("labels", [["–", "['-"], ["1", "1)1["], ["?", "B"], ["a:b", "c"]])
def test_labels_with_marks_that_end_a_label_are_refused(labels: list[str]) -> None:
    with pytest.raises(UsageError, match=r"nothing but punctuation|ends a label in an answer"):
        check_labels(labels)


@settings(deadline=None)  # the first text that is read makes the patterns
@given(st.lists(st.text("aA1.()*_`$-–—’'“\"①\u200b[]:", min_size=1, max_size=3), min_size=2, max_size=2))
def test_accepted_labels_are_not_read_as_one_another(labels: list[str]) -> None:
    try:
        check_labels(labels)
    except UsageError:
        return
    for position, label in enumerate(labels):
        assert parse_choice(label, labels=labels, options=["Xerxes", "Yolanda"]).position in (position, None)


@pytest.mark.parametrize("label", ["very  likely", "*B*", "<c>", "-1", "b\u200b"])
def test_an_answer_that_is_the_label_is_read(label: str) -> None:
    labels = check_labels(["zz", label])
    assert parse_choice(label, labels=labels, options=["Xerxes", "Yolanda"]).position == 1


def test_template_knows_its_fields() -> None:
    assert LIKERT["letters"].fields == {"context", "stem", "options", "labels"}
    assert [template.names_ends_only for template in LIKERT.values()] == [False, False, True]
