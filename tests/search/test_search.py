"""The breadth-first search: nearest first over any product, within its budget, and never part of a rate."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pytest_llminvariance import (
    Choices,
    InvarianceError,
    Layout,
    Presentation,
    Question,
    Reformat,
    Relabel,
    Reorder,
    Reword,
    Template,
    Transform,
    UsageError,
    assert_invariant,
    assert_order_symmetric,
    assert_prompt_insensitive,
    check,
    controls,
    find_counterexample,
    run,
)
from pytest_llminvariance.models.controls import Control
from pytest_llminvariance.questions.orders import kendall_distance
from pytest_llminvariance.search.spaces import space_between, space_under
from pytest_llminvariance.transforms.differences import changed_parts, distance, options_moved, with_parts
from tests.planted import FAULTS, INVARIANT, QUESTION, SPACE, WRITTEN, Counting, Fault
from tests.questions.bad_input import of

FOUR = Question("Who?", ["Ann", "Bob", "Cy", "Di"], answer=0)
PRODUCT = Relabel() * Reformat() * Reorder()


def flipping(when: Callable[[Presentation], bool]) -> Counting:
    """Answer the first content, and the second where `when` says so."""

    def respond(p: Presentation) -> Sequence[float]:
        return [0.91 if content == when(p) else 0.09 / (len(p.order) - 1) for content in p.order]

    return Counting(Control("flipping", respond))


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_first_hit_is_the_smallest_there_is(fault: Fault) -> None:
    found = find_counterexample(fault.model(), QUESTION, under=SPACE, template=WRITTEN.template)
    assert found.example is not None
    assert found.presentation is not None
    assert found.example.distance == fault.smallest == distance(WRITTEN, found.presentation)
    assert (found.exhausted, found.note) == (False, "")
    everything = [
        shown for part in space_under(SPACE, QUESTION, WRITTEN.template).classes() for shown in part.presentations
    ]
    assert len(everything) == len(set(everything)) == 3 * 4 * 2 * 120 - 1
    hits = [distance(WRITTEN, shown) for shown in everything if fault.is_hit(shown)]
    assert min(hits) == fault.smallest


def test_an_invariant_model_has_none_and_the_space_was_exhausted() -> None:
    found = find_counterexample(controls.oracle(), FOUR, under=PRODUCT, max_presentations=5_000)
    assert (found.example, found.presentation, found.note) == (None, None, "")
    assert found.exhausted
    assert found.presentations_asked == 24 * 4 * 7
    assert find_counterexample(INVARIANT, QUESTION).presentations_asked == 120


def test_classes_come_nearest_first_and_hold_what_they_say() -> None:
    space = space_under(PRODUCT, FOUR, None)
    seen: list[Presentation] = [space.start]
    before = (0, 0)
    for part in space.classes():
        assert part.distance > before
        before = part.distance
        shown = list(part.presentations)
        assert len(shown) == part.size
        assert {distance(space.start, one) for one in shown} == {part.distance}
        seen += shown
    assert len(seen) == len(set(seen)) == 24 * 4 * 7
    assert set(seen) == set(PRODUCT.variants(Presentation(FOUR)))


def test_within_a_class_the_simplest_then_the_first_declared() -> None:
    moved = next(
        list(part.presentations) for part in space_under(Reorder(), FOUR, None).classes() if part.distance == (1, 2)
    )
    assert [options_moved((0, 1, 2, 3), shown.order) for shown in moved] == [1, 1, 1, 1, 2]
    two = Layout(enumerator="({label}) ", separator="; ")
    layouts = Choices(orders=False, layouts=[two, Layout(separator="; "), Layout(enumerator="({label}) ")])
    (singles,) = (list(part.presentations) for part in space_under(layouts, FOUR, None).classes())
    assert [shown.layout for shown in singles] == [Layout(separator="; "), Layout(enumerator="({label}) "), two]
    found = find_counterexample(flipping(lambda p: p.layout != Layout()), FOUR, under=layouts)
    assert found.presentation is not None
    assert found.presentation.layout == Layout(separator="; ")


def test_a_whole_class_is_one_pass() -> None:
    passes: list[int] = []

    class Noting(Counting):
        def answer(self, requests):  # type: ignore[no-untyped-def]
            passes.append(len(requests))
            return super().answer(requests)

    find_counterexample(Noting(controls.oracle()), FOUR)
    assert passes == [1, 3, 5, 6, 5, 3, 1]


def test_presentations_are_cut_where_the_budget_ends_and_that_is_said() -> None:
    found = find_counterexample(INVARIANT, QUESTION, max_presentations=10)
    assert (found.presentations_asked, found.exhausted) == (10, False)
    assert found.note == "of 9 presentations with 1 change, 2 adjacent swaps among them, 5 were asked, and none beyond"
    exact = find_counterexample(INVARIANT, QUESTION, max_presentations=120)
    assert exact.exhausted
    assert exact.note == ""


def test_tokens_are_cut_where_the_budget_ends_however_much_is_remembered() -> None:
    with run():
        cold = find_counterexample(INVARIANT, QUESTION, budget_tokens=400)
        warm = find_counterexample(INVARIANT, QUESTION, budget_tokens=400)
    assert 300 < cold.prompt_tokens <= 400
    assert (cold.tokens, warm.tokens) == (cold.prompt_tokens, 0)
    assert (cold.presentations_asked, cold.note) == (warm.presentations_asked, warm.note)
    assert cold.note


def test_a_flip_stays_a_flip_where_a_refusal_is_nearer() -> None:
    """Swapping the first two makes it refuse; the last option shown first makes it answer otherwise."""

    def respond(p: Presentation) -> Sequence[float]:
        if p.order[:2] == (1, 0):
            return [0.0] * len(p.order)
        return [0.9 if content == (p.order[0] == 3) else 0.01 for content in p.order]

    model = Control("mixed", respond, frozenset({"text"}))
    with pytest.raises(InvarianceError) as caught:
        assert_order_symmetric(model, FOUR, orders="reversed", readout="text")
    example = caught.value.example
    assert example is not None
    assert (example.after.answer, example.after.order) == ("Bob", (3, 0, 1, 2))
    nearest = find_counterexample(model, FOUR, readout="text")
    assert nearest.example is not None
    assert (nearest.example.after.answer, nearest.example.after.order) == ("a refusal", (1, 0, 2, 3))


def test_ties_are_no_counterexample_and_an_open_answer_as_written_is_said() -> None:
    tied = find_counterexample(controls.uniform(), FOUR)
    assert tied.example is None
    garbled = find_counterexample(Control("garbled", lambda p: [0.0] * 4, frozenset({"label"})), FOUR)
    assert garbled.presentations_asked == 1
    assert garbled.note.startswith("the answer to the question as written is open")
    assert not garbled.exhausted


def test_scales_of_which_only_the_ends_are_named_are_searched_both_ways_only() -> None:
    ends = Template("{stem} {first_option} {first_label} - {last_option} {last_label}", name="ends")
    found = find_counterexample(controls.oracle(), FOUR, template=ends)
    assert (found.presentations_asked, found.exhausted) == (2, True)
    likert = Question("I talk a lot.", ["no", "maybe", "yes"], scores=[1, 2, 3])
    assert find_counterexample(controls.oracle(), likert, under=Reorder("reversed")).presentations_asked == 2
    assert find_counterexample(controls.oracle(), FOUR, under=Reorder("reversed")).presentations_asked == 24


def test_labels_and_layout_of_a_template_are_one_change() -> None:
    other = Template("Q: {stem}\n{options}", labels=tuple("wxyz"), layout=Layout(separator="; "), name="other")
    under = Reword([Template("{stem}\n{options}", name="plain"), other]) * Reorder()
    found = find_counterexample(flipping(lambda p: p.template == other), FOUR, under=under)
    assert found.example is not None
    assert found.example.distance == (1, 0)
    assert found.example.change == "ask with 'other' instead of 'plain'"


class Shout(Transform):
    """A transform of somebody else."""

    title = "shouting"

    def variants(self, start: Presentation):  # type: ignore[no-untyped-def]
        yield start
        yield start.replace(question=Question(start.question.stem.upper(), start.question.options, answer=0))

    def size(self, start: Presentation) -> int:
        return 2

    def spec(self) -> str:
        return "shout"


def test_transforms_of_others_are_searched_too() -> None:
    model = flipping(lambda p: p.question.stem.isupper() and p.order[0] == 1)
    found = find_counterexample(model, Question("who?", FOUR.options), under=Shout() * Reorder())
    assert found.example is not None
    assert found.example.distance == (2, 1)
    assert found.example.explanation == (
        "it takes editing the question and swapping options 1 and 2 together: neither alone flips the answer"
    )


PARTS: dict[str, dict[str, Any]] = {
    "order": {"order": (1, 0, 3, 2)},
    "labels": {"labels": tuple("wxyz")},
    "layout": {"layout": Layout(separator="; ", label_case="upper")},
    "template": {"template": Template("{stem} {options}", labels=tuple("stuv"))},
}


@pytest.mark.parametrize(
    "parts", [parts for n in range(5) for parts in itertools.combinations(PARTS, n)], ids=lambda p: "+".join(p)
)
@pytest.mark.parametrize(
    "start", [{}, {"template": Template("{stem}: {options}", labels=tuple("mnop"))}], ids=["plain", "own"]
)
def test_parts_taken_over_one_by_one_make_the_other(parts: tuple[str, ...], start: dict[str, Any]) -> None:
    a = Presentation(FOUR, **start)
    b = Presentation(FOUR, **{**start, **{k: v for part in parts for k, v in PARTS[part].items()}})
    changed = changed_parts(a, b)
    assert set(changed) == set(parts)
    assert with_parts(a, b, changed) == b
    assert with_parts(a, b, ()) == a
    for part in changed:
        assert changed_parts(a, with_parts(a, b, {part})) == (part,)
    between = [shown for one in space_between(a, b, "label").classes() for shown in one.presentations]
    assert set(parts) == set() or b in between


@pytest.mark.parametrize(
    ("order", "moved"), [((0, 1, 2, 3), 0), ((3, 0, 1, 2), 1), ((1, 0, 3, 2), 2), ((3, 2, 1, 0), 3)]
)
def test_options_moved(order: tuple[int, ...], moved: int) -> None:
    assert options_moved(order, (0, 1, 2, 3)) == options_moved((0, 1, 2, 3), order) == moved
    assert moved <= kendall_distance(order, (0, 1, 2, 3)) or moved == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"under": "orders"}, r"under is 'orders', but must be a transform"),
        ({"budget_tokens": 0}, r"budget_tokens is 0, but must be a whole number from 1"),
        ({"max_presentations": True}, r"max_presentations is True"),
        ({"readout": "letters"}, r"readout is 'letters'"),
        ({"under": Relabel([["a"], ["b"]])}, r"no label set has the 4 labels"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_asked(arguments: dict[str, object], message: str) -> None:
    model = Counting(controls.oracle())
    with pytest.raises(UsageError, match=message):
        find_counterexample(model, FOUR, **arguments)  # type: ignore[arg-type]
    assert model.asked == []


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Choices(orders=False), "there is nothing to choose from"),
        (lambda: Choices(labels="ABCD"), "labels is 'ABCD'"),
        (lambda: Choices(labels=[["a", "A"]]), "comes twice"),
        (lambda: Choices(layouts=[of("x")]), "layouts holds 'x'"),
        (lambda: Choices(templates=["no field"]), "stem"),
        (lambda: Choices(orders=of(7)), "orders is 7"),
        (lambda: find_counterexample(controls.oracle(), FOUR, under=Choices(orders=[(0, 0, 1, 2)])), "order is"),
        (lambda: find_counterexample(controls.oracle(), [FOUR]), "must be one Question"),  # type: ignore[arg-type]
    ],
)
def test_bad_choices_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


def test_chosen_orders_are_all_that_is_searched() -> None:
    choices = Choices(orders=[(3, 2, 1, 0), (1, 0, 2, 3), (0, 1, 2, 3)])
    found = find_counterexample(flipping(lambda p: p.order[0] == 3), FOUR, under=choices)
    assert found.example is not None
    assert (found.example.change, found.presentations_asked) == ("reverse the options", 3)


SEARCHES: dict[str, Callable[[Counting, Question], object]] = {
    "orders": lambda model, question: find_counterexample(model, question),
    "product": lambda model, question: find_counterexample(model, question, under=PRODUCT),
}


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("make", [controls.oracle, controls.always_first, controls.adjacency_sensitive, controls.noisy])
def test_a_finding_is_the_same_to_the_byte_after_a_search(make: Callable[[], Control], search: str) -> None:
    bank = [Question(f"stem {n}?", [f"{n}-{c}" for c in "fedcb"], answer=n % 5) for n in range(12)]

    def finding(*, warm: bool) -> bytes:
        model = Counting(make())
        with run(seed=7):
            for question in bank if warm else ():
                SEARCHES[search](model, question)
            assert bool(model.asked) is warm
            return json.dumps(check("option_order", model, bank, tolerance=0.05).to_json()).encode()

    assert finding(warm=True) == finding(warm=False)


def test_a_search_is_no_finding() -> None:
    from pytest_llminvariance import FindingList

    with run(recorder=(kept := FindingList())):
        find_counterexample(controls.always_first(), FOUR)
    assert kept.findings == []
    assert kept.searched_pairs == 0


SIX = [Question(f"stem {n}?", [f"{n}-{c}" for c in "abcdef"], answer=n % 6) for n in range(12)]


def broken(assertion: Callable[[], object]) -> InvarianceError:
    with pytest.raises(InvarianceError) as caught:
        assertion()
    return caught.value


def test_the_message_of_a_product_shows_the_smallest_that_the_plan_left_out() -> None:
    under = Reorder("reversed") * Relabel()
    error = broken(lambda: assert_invariant(flipping(lambda p: p.order != (0, 1, 2, 3)), FOUR, under=under))
    assert error.example is not None
    assert error.example.change == "swap A and B"
    assert error.example.explanation == (
        "swapping options 1 and 2 alone flips the answer; re-lettering (3 ways) alone does not"
    )
    assert "  enough:  swapping options 1 and 2 alone flips the answer; re-lettering (3 ways) alone does not\n" in str(
        error
    )


def test_wordings_crossed_with_a_reversed_list_are_searched_by_swaps() -> None:
    templates = [Template("{stem}\n{options}", name="plain"), Template("Please: {stem}\n{options}", name="polite")]
    model = flipping(lambda p: p.order[0] != 0 and p.template.name == "polite")
    error = broken(
        lambda: assert_prompt_insensitive(model, FOUR, templates=templates, orders="reversed", tolerance=0.05)
    )
    assert error.example is not None
    assert error.example.distance == (2, 1)
    assert error.example.explanation == (
        "it takes another wording and swapping options 1 and 2 together: neither alone flips the answer"
    )


def test_where_the_budget_ends_changes_are_undone_one_by_one_and_the_message_says_so() -> None:
    nine = Question("Which?", list("abcdefghi"), answer=0)  # letters are labels too, so they are not read by label
    model = flipping(lambda p: p.position_of(8) < p.position_of(0))
    error = broken(lambda: assert_order_symmetric(model, nine, orders="balanced", readout="option"))
    assert error.example is not None
    assert error.example.distance == (1, 8)
    assert error.example.caveat.startswith("of ")
    assert "  nearest: not certain: of " in str(error)


def test_a_planned_orbit_is_not_asked_again_without_a_memory() -> None:
    model = flipping(lambda p: p.order[0] != 0)
    broken(lambda: assert_order_symmetric(model, FOUR))
    own = [shown for shown in model.asked if shown.question == FOUR]
    assert len(own) == 24 + 3  # and three asked again at the end
