"""Transforms: what an orbit holds, in which order, and what a draw depends on."""

from __future__ import annotations

import math
import pickle

import pytest

from pytest_llminvariance import (
    Layout,
    Presentation,
    Product,
    Question,
    Reformat,
    Relabel,
    Reorder,
    Reword,
    Template,
    Transform,
    check,
    controls,
)
from pytest_llminvariance.checks.check import measure
from pytest_llminvariance.checks.properties import as_property

WHO = Question("Who?", ["Ann", "Bob", "Cy"])
WAYS = Reword((Template("{stem}\n{options}"), Template("{stem}\n{options}\nAnswer:")))
LABELS = Relabel((("A", "B", "C", "D", "E"), ("1", "2", "3", "4", "5")))
ALL: list[Transform] = [
    Reorder(),
    Reorder("cyclic"),
    Reorder("reversed"),
    Reorder("sample", 3),
    Relabel(),
    Reformat(),
    WAYS,
    WAYS * Reorder("reversed"),
    LABELS * WAYS * Reorder("cyclic"),
]


def question(k: int, stem: str = "Which?") -> Question:
    return Question(stem, [f"option {index}" for index in range(k)])


@pytest.mark.parametrize("transform", ALL, ids=lambda transform: transform.spec()[:40])
def test_orbit_begins_as_written_and_repeats_nothing(transform: Transform) -> None:
    orbit = transform.orbit(WHO)
    first = next(iter(transform.variants(Presentation(WHO))))
    assert orbit.as_written == first
    assert first.order == (0, 1, 2)
    assert len(set(orbit)) == len(orbit) == len(tuple(orbit))
    assert all(shown.question == WHO for shown in orbit)
    assert orbit.question == WHO


@pytest.mark.parametrize("transform", ALL, ids=lambda transform: transform.spec()[:40])
def test_planned_presentations_are_variants(transform: Transform) -> None:
    variants = list(transform.variants(Presentation(WHO)))
    assert set(transform.orbit(WHO)) <= set(variants)
    assert transform.size(Presentation(WHO)) == len(variants) == len(set(variants))


@pytest.mark.parametrize("transform", ALL, ids=lambda transform: transform.spec()[:40])
def test_plans_are_the_same_after_pickling(transform: Transform) -> None:
    twin = pickle.loads(pickle.dumps(transform))
    assert twin == transform
    assert twin.orbit(WHO).presentations == transform.orbit(WHO).presentations
    assert twin.spec() == transform.spec()


@pytest.mark.parametrize("k", range(2, 9))
def test_auto_asks_all_orders_up_to_four_options_and_a_balanced_part_above(k: int) -> None:
    n = len(Reorder().orbit(question(k)))
    assert n == (math.factorial(k) if k <= 4 else n)
    assert 13 <= n <= 1 + 2 * k * 2 or k <= 4


@pytest.mark.parametrize("k", [4, 5, 6, 7])
def test_balanced_part_shows_every_option_equally_often_everywhere(k: int) -> None:
    transform = Reorder("balanced")
    orbit = transform.orbit(question(k))
    part = transform.balanced_part(orbit)
    assert part is not None
    for position in range(k):
        shown = [orbit.presentations[index].order[position] for index in part]
        assert {shown.count(content) for content in range(k)} == {len(part) // k}


def test_reversed_shows_both_directions() -> None:
    assert [shown.order for shown in Reorder("reversed").orbit(WHO)] == [(0, 1, 2), (2, 1, 0)]


def test_cyclic_shows_all_rotations() -> None:
    assert [shown.order for shown in Reorder("cyclic").orbit(WHO)] == [(0, 1, 2), (1, 2, 0), (2, 0, 1)]


def test_relabel_leaves_out_sets_that_are_too_short() -> None:
    sets = Relabel((("A", "B", "C"), ("x", "y"), ("1", "2", "3", "4")))
    assert [shown.labels for shown in sets.orbit(WHO)] == [("A", "B", "C"), ("1", "2", "3")]
    two = Question("Who?", ["Ann", "Bob"])
    assert [shown.labels for shown in sets.orbit(two)] == [("A", "B"), ("x", "y"), ("1", "2")]


def test_relabel_asks_sets_that_print_the_same_once() -> None:
    sets = Relabel((("A", "B", "C"), ("A", "B", "C", "X"), ("1", "2", "3")))
    assert len(sets.orbit(WHO)) == 2


def test_reword_uses_the_labels_and_layout_of_each_template() -> None:
    legend = Template("{stem} ({options})", labels=("1", "2", "3"), layout=Layout("{label} = ", ", "))
    first, second = Reword((Template("{stem} {options}"), legend)).orbit(WHO)
    assert first.render_options() == "A. Ann\nB. Bob\nC. Cy"
    assert second.render_options() == "1 = Ann, 2 = Bob, 3 = Cy"


def test_product_crosses_every_part_with_every_other() -> None:
    orbit = (LABELS * Reorder("reversed")).orbit(WHO)
    assert [(shown.labels, shown.order) for shown in orbit] == [
        (("A", "B", "C"), (0, 1, 2)),
        (("A", "B", "C"), (2, 1, 0)),
        (("1", "2", "3"), (0, 1, 2)),
        (("1", "2", "3"), (2, 1, 0)),
    ]


def test_order_of_factors_changes_the_sequence_but_not_the_orbit() -> None:
    assert set((LABELS * WAYS).orbit(WHO)) == set((WAYS * LABELS).orbit(WHO))


def test_brackets_do_not_matter() -> None:
    left, right = (LABELS * WAYS) * Reorder("cyclic"), LABELS * (WAYS * Reorder("cyclic"))
    assert left.orbit(WHO).presentations == right.orbit(WHO).presentations
    assert left.spec() == right.spec()
    assert len(left.orbit(WHO)) == 2 * 2 * 3


def test_product_of_one_part_twice_is_asked_once() -> None:
    twice = Product((LABELS, LABELS))
    assert twice.orbit(WHO).presentations == LABELS.orbit(WHO).presentations


def test_title_and_size_in_words() -> None:
    product = LABELS * Reorder("reversed")
    assert product.title == f"{LABELS.title} x option order"
    assert Reorder("cyclic").describe(Reorder("cyclic").orbit(question(5))) == "5 of 120 orders"
    assert LABELS.describe(LABELS.orbit(WHO)) == "2 of 2 presentations"


DRAWS: list[Transform] = [Reorder("sample", 4), Reorder("balanced"), Reorder()]


@pytest.mark.parametrize("transform", DRAWS, ids=lambda transform: transform.spec())
def test_draws_depend_on_the_content_only(transform: Transform) -> None:
    plain = Question("Which?", list("abcdef"))
    marked = Question("Which?", list("abcdef"), id="x", answer="c", attributes={"trait": "t"})
    orders = [shown.order for shown in transform.orbit(plain)]
    assert [shown.order for shown in transform.orbit(marked)] == orders
    assert [shown.order for shown in transform.orbit(question(6, "Which one?"))] != orders


@pytest.mark.parametrize("transform", DRAWS, ids=lambda transform: transform.spec())
def test_draws_are_pinned_across_versions(transform: Transform) -> None:
    pinned = {
        "reorder:sample:4": PINNED_SAMPLE,
        "reorder:balanced": PINNED_BALANCED,
        "reorder:auto": PINNED_BALANCED,
    }
    assert transform.orbit(question(5)).presentations[1].order == pinned[transform.spec()]


PINNED_SAMPLE = (4, 3, 2, 0, 1)
PINNED_BALANCED = (0, 4, 1, 3, 2)


def test_draws_do_not_depend_on_the_place_in_a_list() -> None:
    suite = [question(6, f"Which of {n}?") for n in range(5)]
    made = as_property("option_order", {"orders": "sample", "n": 3})

    def plans(questions: list[Question]) -> dict[str, tuple[tuple[int, ...], ...]]:
        evidence = measure(made, controls.oracle(), questions, tolerance=0.1).evidence
        return {
            item.plan.question.stem: tuple(probe.presentation.order for probe in item.plan.probes) for item in evidence
        }

    whole = plans(suite)
    assert plans(suite[::-1]) == whole
    assert plans(suite[2:]) == {stem: whole[stem] for stem in list(whole)[2:]}


def test_a_larger_sample_begins_with_the_smaller() -> None:
    six = question(6)
    orders = [shown.order for shown in Reorder("sample", 9).orbit(six)]
    assert [shown.order for shown in Reorder("sample", 4).orbit(six)] == orders[:5]


def test_spec_tells_plans_apart() -> None:
    specs = [transform.spec() for transform in [*ALL, Reorder("sample", 4), Reformat((Layout(), Layout("{label}: ")))]]
    assert len(set(specs)) == len(specs)


def test_a_check_says_which_plan_it_followed() -> None:
    finding = check(LABELS * Reorder("reversed"), controls.oracle(), WHO, tolerance=0.1)
    assert finding.plan == "relabel:A,B,C,D,E|1,2,3,4,5*reorder:reversed"
    assert finding.presentations_asked == 4
