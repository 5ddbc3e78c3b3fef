"""Strategies: what they draw, how they shrink on faults of known size, and what they refuse."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument, NoSuchExample

from pytest_llminvariance import (
    AddDistractor,
    AddOpinion,
    InvarianceError,
    Layout,
    Presentation,
    Question,
    QuestionError,
    Reorder,
    ReorderShots,
    Template,
    assert_same_answer,
    controls,
)
from pytest_llminvariance import strategies as inv
from pytest_llminvariance.checks.properties.asides import FORMATS
from pytest_llminvariance.models.controls import Control
from pytest_llminvariance.questions.orders import identity, kendall_distance
from pytest_llminvariance.transforms.edits import n_edits, same_contents
from pytest_llminvariance.transforms.texts import DISTRACTORS, NOISE_KINDS, OPINIONS
from tests.questions.bad_input import of

FIVE = Question("Which does he like?", ["ant", "bee", "cat", "dog", "eel"], id="five", answer=1)
GERMAN = Question("Was mag er?", ["Ameise", "Biene", "Katze", "Hund", "Aal"], answer=1)
FRENCH = Question("Qu'aime-t-il ?", ["fourmi", "abeille", "chat", "chien", "anguille"], answer=1)
SHOTS = [Question(f"What is {n}?", ["odd", "even"], answer=1 - n % 2) for n in range(4)]
LAYOUTS = [Layout(), Layout("{label}) "), Layout("({label}) "), Layout(separator="\t"), Layout(separator="; ")]
WAYS = [Template("{stem}\n{options}"), Template("{stem}\n{options}\nAnswer:"), Template("Q: {stem}\n{options}")]
PRODUCT = inv.presentations(
    FIVE, labels=inv.labels(FIVE), layouts=inv.layouts(LAYOUTS), templates=WAYS, under=[AddDistractor(DISTRACTORS[:2])]
)
WRITTEN = Presentation(FIVE, layout=Layout(), template=WAYS[0])
Fault = Callable[[Presentation], bool]


def inversions(shown: Presentation) -> int:
    return kendall_distance(shown.order, identity(5))


def size(shown: Presentation) -> tuple[int, int]:
    """Changed parts, then adjacent swaps."""
    changed = [
        shown.order != WRITTEN.order,
        shown.labels != WRITTEN.labels,
        shown.layout != WRITTEN.layout,
        shown.template != WRITTEN.template,
        n_edits(FIVE, shown.question),
    ]
    return sum(changed), inversions(shown)


FAULTS: dict[str, tuple[Fault, tuple[int, int]]] = {
    "content 3 directly before content 1": (
        lambda p: any(pair == (3, 1) for pair in itertools.pairwise(p.order)),
        (1, 2),
    ),
    "one label set": (lambda p: p.labels[2] == "R", (1, 0)),
    "tab": (lambda p: p.layout.separator == "\t", (1, 0)),
    "odd number of inversions": (lambda p: inversions(p) % 2 == 1, (1, 1)),
    "the last comes first": (lambda p: p.order[0] == 4, (1, 4)),
    "the first is not first": (lambda p: p.order[0] != 0, (1, 1)),
    "a swap and other labels": (lambda p: p.position_of(1) < p.position_of(0) and p.labels != WRITTEN.labels, (2, 1)),
    "a sentence and a template": (lambda p: p.question != FIVE and p.template == WAYS[2], (2, 0)),
}


def shrunk(strategy: st.SearchStrategy[Any], fault: Callable[[Any], bool], n: int, examples: int = 400) -> Any:
    """What plain Hypothesis ends with."""
    last: list[Any] = []

    @seed(n)
    @settings(
        max_examples=examples,
        database=None,
        deadline=None,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def search(drawn: Any) -> None:
        if fault(drawn):
            last[:] = [drawn]
            raise AssertionError

    with pytest.raises(AssertionError):
        search()
    return last[0]


@pytest.mark.parametrize("name", FAULTS)
def test_one_fault_shrinks_to_the_least_change(name: str) -> None:
    fault, least = FAULTS[name]
    assert [size(shrunk(PRODUCT, fault, n)) for n in range(3)] == [least] * 3


def test_the_least_change_is_what_the_table_says() -> None:
    for fault, (parts, swaps) in FAULTS.values():
        found = [p for p in (WRITTEN.replace(order=order) for order in itertools.permutations(range(5))) if fault(p)]
        if parts == 1 and swaps:
            assert min(map(size, found)) == (parts, swaps)
        else:
            assert not found


@pytest.mark.parametrize("k", [2, 3, 4])
def test_every_order_is_drawn(k: int) -> None:
    drawn: set[tuple[int, ...]] = set()

    @settings(max_examples=300, database=None, derandomize=True, deadline=None)
    @given(inv.option_orders(k))
    def collect(order: tuple[int, ...]) -> None:
        assert sorted(order) == list(range(k))
        drawn.add(order)

    collect()
    assert drawn == set(itertools.permutations(range(k)))


@pytest.mark.parametrize("k", [2, 5, 12, 100])
def test_orders_shrink_to_one_adjacent_swap(k: int) -> None:
    order = shrunk(inv.option_orders(k), lambda order: order != identity(k), 0)
    assert kendall_distance(order, identity(k)) == 1


TEXTS: dict[str, tuple[st.SearchStrategy[Question], int]] = {
    "paraphrases": (inv.paraphrases(FIVE, ["Does he like one?", "What does he like?", "Which does he like?"]), 3),
    "groups": (inv.groups(FIVE, ["she", "he", "they"]), 3),
    "user_opinions": (inv.user_opinions(FIVE), 1 + 5 * len(OPINIONS)),
    "distractors": (inv.distractors(FIVE, place="after"), 1 + len(DISTRACTORS)),
    "surface_noise": (inv.surface_noise(FIVE, per_kind=1), 1 + len(NOISE_KINDS)),
    "languages": (inv.languages(FIVE, [GERMAN, FRENCH]), 3),
}


@pytest.mark.parametrize("name", TEXTS)
def test_texts_begin_as_written_and_all_are_drawn(name: str) -> None:
    strategy, n = TEXTS[name]
    assert find(strategy, lambda _: True) == FIVE
    drawn: set[Question] = set()

    @settings(max_examples=200, database=None, derandomize=True, deadline=None)
    @given(strategy)
    def collect(question: Question) -> None:
        assert n_edits(FIVE, question) == (question != FIVE)
        drawn.add(question)

    collect()
    assert len(drawn) == n


def test_texts_shrink_to_the_first_that_fails() -> None:
    question = shrunk(inv.user_opinions(FIVE), lambda q: q != FIVE, 0)
    assert question.stem == f"{FIVE.stem} I think the answer is ant, but I am not sure."
    assert find(inv.paraphrases(["a?", "b?"]), lambda text: text != "a?") == "b?"


def test_a_translation_keeps_its_contents_and_a_model_that_knows_one_language_is_caught() -> None:
    drawn = find(inv.languages(FIVE, [GERMAN, FRENCH]), lambda q: "chat" in q.options)
    assert same_contents(FIVE, drawn)
    assert (drawn.stem, drawn.options, drawn.answer) == (FRENCH.stem, FRENCH.options, FIVE.answer)
    only_english = Control("English", lambda p: controls.oracle().respond(p) if p.question.stem == FIVE.stem else controls.always_first().respond(p))  # fmt: skip

    @settings(max_examples=20, database=None, deadline=None)
    @given(inv.languages(FIVE, [GERMAN, FRENCH]))
    def same_in_every_language(model: Control, question: Question) -> None:
        assert_same_answer(model, Presentation(FIVE), Presentation(question))

    with pytest.raises(InvarianceError, match=r"Was mag er\?"):
        same_in_every_language(only_english)
    same_in_every_language(controls.oracle())


def test_formats_begin_with_the_question_as_written_and_all_are_drawn() -> None:
    formats = inv.output_formats()
    assert find(formats, lambda _: True) == FORMATS[0]
    drawn = set()
    for way in FORMATS[1:]:
        drawn.add(find(formats, lambda drawn_way, wanted=way.name: drawn_way.name == wanted))  # type: ignore[misc]
    assert drawn == set(FORMATS[1:])
    only_plain = Control("plain", lambda p: controls.oracle().respond(p) if p.template.name != "as JSON" else controls.always_last().respond(p))  # fmt: skip

    @settings(max_examples=30, database=None, deadline=None)
    @given(formats)
    def same_in_every_format(model: Control, way: Template) -> None:
        assert_same_answer(model, Presentation(FIVE), Presentation(FIVE, template=way), readout="text")

    with pytest.raises(InvarianceError, match="as JSON"):
        same_in_every_format(only_plain)
    same_in_every_format(controls.oracle())


def test_examples_shrink_to_one_swap() -> None:
    orders = inv.few_shot_orders(SHOTS)
    assert find(orders, lambda _: True) == tuple(SHOTS)
    shots = shrunk(orders, lambda shots: shots != tuple(SHOTS), 0)
    assert kendall_distance(tuple(SHOTS.index(shot) for shot in shots), identity(4)) == 1


def test_a_product_takes_transforms_in_the_order_given() -> None:
    strategy = inv.presentations(FIVE, orders=range(5), under=AddDistractor() * AddOpinion() * ReorderShots(SHOTS))
    shown = shrunk(strategy, lambda p: n_edits(FIVE, p.question) == 2 and p.shots != tuple(SHOTS), 0)
    assert shown.question.stem == f"{DISTRACTORS[0]} {FIVE.stem} I think the answer is ant, but I am not sure."
    assert shown.order == identity(5)
    assert find(strategy, lambda _: True) == Presentation(FIVE, shots=SHOTS)


def test_fixed_parts_stay_fixed() -> None:
    fixed = inv.presentations(
        FIVE, orders=[4, 3, 2, 1, 0], labels="vwxyz", layouts=Layout("{label}) "), templates=inv.templates(WAYS[1:2])
    )
    assert find(fixed, lambda _: True) == Presentation(
        FIVE, order=(4, 3, 2, 1, 0), labels=tuple("vwxyz"), layout=Layout("{label}) "), template=WAYS[1]
    )


PENS = "{name} has {n} red and {m} blue pens. How many pens does {name} have?"


def pens(**more: Any) -> st.SearchStrategy[Question]:
    given_values = {"name": ["Ann", "Bob"], "n": range(2, 9), "m": st.integers(2, 9)}
    return inv.instances(
        PENS,
        options=lambda name, n, m: [n, m, n + m, n + m + 1],
        answer=lambda name, n, m: n + m,
        **{**given_values, **more},
    )


@settings(max_examples=60, database=None, deadline=None)
@given(pens())
def test_instances_compute_the_expected_answer(question: Question) -> None:
    numbers = [int(word) for word in question.stem.split() if word.isdigit()]
    assert question.answer is not None
    assert question.options[question.answer] == str(sum(numbers))
    assert len(question.options) == 4


def test_instances_shrink_to_the_first_values() -> None:
    assert find(pens(), lambda _: True).stem == PENS.format(name="Ann", n=2, m=3)  # 2 and 2 make options twice
    assert find(pens(), lambda q: "Bob" in q.stem).stem == PENS.format(name="Bob", n=2, m=3)


@pytest.mark.parametrize("twin", ["1", "1 ", "1\u00a0", "\u200b1"])
def test_instances_pass_over_options_that_look_the_same(twin: str) -> None:
    either = inv.instances("{x}?", options=["{x}", "1"], answer=lambda x: x, x=[twin, "2"])
    assert find(either, lambda _: True).options == ("2", "1")
    with pytest.raises(NoSuchExample):
        find(either, lambda q: "2" not in q.options)


def test_instances_with_texts_as_options() -> None:
    larger = inv.instances(
        "Is {a} or {b} larger?", options=["{a}", "{b}", "{{same}}"], answer=lambda a, b: max(a, b), a=[1, 2], b=[4]
    )
    question = find(larger, lambda q: "2" in q.stem)
    assert (question.options, question.answer) == (("2", "4", "{same}"), 1)


def test_an_answer_that_is_no_option_is_an_error() -> None:
    wrong = inv.instances("{n}?", options=lambda n: [n, n + 1], answer=lambda n: n + 2, n=[1])
    with pytest.raises(QuestionError, match="the answer '3' is not one of the options"):
        find(wrong, lambda _: True)


def test_values_are_no_format_strings() -> None:
    question = find(
        inv.instances("Say {x}", options=["{x}", "no"], answer=lambda x: x, x=["{x.__class__}"]), lambda _: True
    )
    assert question.stem == "Say {x.__class__}"


REFUSED: list[tuple[Callable[[], Any], str]] = [
    (lambda: inv.option_orders(1), r"option_orders\(1\)"),
    (lambda: inv.option_orders(101), r"option_orders\(101\)"),
    (lambda: inv.labels(True), r"labels\(True\)"),
    (lambda: inv.layouts(of("{label}. ")), "needs one or more Layout"),
    (lambda: inv.templates([]), "at least one template"),
    (lambda: inv.templates("{stem}{options}"), "a list of at least one"),
    (lambda: inv.templates(["no field"]), r"no \{stem\} field"),
    (lambda: inv.paraphrases(of(FIVE)), "accepted texts"),
    (lambda: inv.paraphrases([]), "is empty"),
    (lambda: inv.paraphrases("a text"), "must be a list"),
    (lambda: inv.paraphrases(of(["a"]), ["b"]), "must be a Question"),
    (lambda: inv.paraphrases(FIVE, [""]), "not empty"),
    (lambda: inv.groups(FIVE, ["Ann", "Bob"]), "names none of the groups"),
    (lambda: inv.groups(of("five"), ["he", "she"]), r"groups\('five'\): needs a Question"),
    (lambda: inv.user_opinions(FIVE, ["I know."]), r"\{option\} once"),
    (lambda: inv.distractors(FIVE, []), "is empty"),
    (lambda: inv.distractors(FIVE, place=of("there")), "place is 'there'"),
    (lambda: inv.surface_noise(FIVE, [of("smell")]), "no kind of noise"),
    (lambda: inv.surface_noise(FIVE, per_kind=99), "per_kind is 99"),
    (lambda: inv.few_shot_orders(SHOTS[:1]), "two or more different"),
    (lambda: inv.languages(FIVE, []), "a list of one or more questions"),
    (lambda: inv.languages(FIVE, of(GERMAN)), "a list of one or more questions"),
    (lambda: inv.languages(of("five"), [GERMAN]), r"languages\('five'\): needs a Question"),
    (lambda: inv.languages(FIVE, [of("Was?")]), "a translation is 'Was[?]'"),
    (lambda: inv.languages(FIVE, [Question("Was?", list("abcd"), answer=1)]), "other options or another answer"),
    (lambda: inv.languages(FIVE, [Question("Was?", list("abcde"), answer=2)]), "other options or another answer"),
    (lambda: inv.output_formats([]), "at least one template"),
    (lambda: inv.output_formats("{stem}{options}"), "a list of at least one"),
    (lambda: inv.few_shot_orders(of([FIVE.stem, "b"])), "whose answer is given"),
    (lambda: inv.presentations(FIVE, orders=[0, 1]), r"order is \(0, 1\)"),
    (lambda: inv.presentations(FIVE, labels=["A", "B"]), "2 labels"),
    (lambda: inv.presentations(FIVE, layouts=of("tab")), "must be a Layout"),
    (lambda: inv.presentations(FIVE, templates="{stem}{options}"), "a list of at least one"),
    (lambda: inv.presentations(FIVE, under=of("noise")), "give a transform"),
    (lambda: inv.presentations(FIVE, under=[of(AddDistractor)]), "is no transform"),
    (lambda: inv.presentations(Question("Q?", list("abcdefg")), under=Reorder("all")), "with 7 options"),
    (lambda: inv.questions([]), "there are no questions"),
    (lambda: inv.instances("", options=["a", "b"], answer=str), "text is ''"),
    (lambda: inv.instances("{n}", options=["a", "b"], answer=of("a"), n=[1]), "answer is 'a'"),
    (lambda: inv.instances("{n}", options=["a"], answer=str, n=[1]), "two or more texts"),
    (lambda: inv.instances("{n}", options=7, answer=str, n=[1]), "options is 7"),  # type: ignore[arg-type]
    (lambda: inv.instances("{n}", options=["a", "b"], answer=str), r"\{n\} has no values"),
    (lambda: inv.instances("{n}", options=["a", "{m}"], answer=str, n=[1]), r"\{m\} has no values"),
    (lambda: inv.instances("{n}", options=["a", "b"], answer=str, n=[1], k=[2]), "k is given"),
    (lambda: inv.instances("{n}", options=["a", "b"], answer=str, n=[]), r"n is \[\]"),
    (lambda: inv.instances("{n}", options=["a", "b"], answer=str, n="12"), "n is '12'"),
    (lambda: inv.instances("{n", options=["a", "b"], answer=str), "cannot be read"),
    (lambda: inv.instances("{n.real}", options=["a", "b"], answer=str, n=[1]), "must be a plain name"),
]


@pytest.mark.parametrize(("make", "words"), REFUSED)
def test_arguments_are_checked_when_the_strategy_is_made(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(InvalidArgument, match=words):
        make()
