"""Bookkeeping errors that looked like findings in published work: each has a test that fails if it is put in."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llminvariance import Item, Presentation, Question, Questionnaire, Reorder, Scale, check, controls
from pytest_llminvariance.checks.run import run
from pytest_llminvariance.checks.verdict import Verdict
from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.measures.reading import read_reply
from pytest_llminvariance.models.engine import ask
from pytest_llminvariance.models.protocol import LabelRequest, TextReply, TextRequest
from pytest_llminvariance.questions.orders import compose, cyclic_orders, identity, inverse, kendall_distance
from pytest_llminvariance.transforms.designs import orders_of, williams_rows

SIZES = range(2, 13)


def bank(n: int = 12, k: int = 4) -> list[Question]:
    return [Question(f"stem {i}?", [f"option {i}-{c}" for c in range(k)], id=f"q{i}", answer=i % k) for i in range(n)]


@st.composite
def orders(draw: st.DrawFn, n: int = 1) -> list[tuple[int, ...]]:
    k = draw(st.integers(2, 12))
    return [tuple(draw(st.permutations(range(k)))) for _ in range(n)]


# the permutation applied where its inverse is needed


@given(orders())
def test_permute_and_unpermute_round_trip(drawn: list[tuple[int, ...]]) -> None:
    (order,) = drawn
    k = len(order)
    assert compose(order, inverse(order)) == identity(k) == compose(inverse(order), order)
    contents = [f"content {c}" for c in range(k)]
    shown = [contents[c] for c in order]
    assert [shown[inverse(order)[c]] for c in range(k)] == contents


@given(orders(n=3))
def test_composition_is_showing_again(drawn: list[tuple[int, ...]]) -> None:
    a, b, c = (order for order in drawn)
    if len(a) == len(b) == len(c):
        shown = [f"content {content}" for content in a]
        assert [shown[p] for p in b] == [f"content {content}" for content in compose(a, b)]
        assert compose(compose(a, b), c) == compose(a, compose(b, c))
        assert inverse(compose(a, b)) == compose(inverse(b), inverse(a))


@given(orders())
def test_answers_come_back_to_content_and_not_through_the_inverse(drawn: list[tuple[int, ...]]) -> None:
    (order,) = drawn
    k = len(order)
    weights = [content + 1 for content in range(k)]
    shown = [math.log(weights[content] / sum(weights)) for content in order]
    answer = AnswerDistribution.from_label_logprobs(shown, order)
    assert answer.probabilities == pytest.approx([weight / sum(weights) for weight in weights])
    assert AnswerDistribution.from_option_scores(shown, order).probabilities == pytest.approx(answer.probabilities)


@pytest.mark.parametrize("k", [3, 4, 5, 6])
def test_a_perfectly_invariant_respondent_has_no_entropy(k: int) -> None:
    """With the permutation in the place of its inverse its answers scatter: entropy 0.79 to 0.95."""
    question = Question("Which?", [f"option {c}" for c in range(k)], answer=k - 1)
    shown = [Presentation(question, order=order) for order in itertools.permutations(range(k))]
    replies = controls.oracle().answer([LabelRequest(presentation) for presentation in shown])
    answers = [read_reply(reply, presentation, "label") for reply, presentation in zip(replies, shown, strict=True)]
    assert {answer.outcomes(1e-4) for answer in answers} == {frozenset({k - 1})}


@pytest.mark.parametrize("readout", ["label", "option", "option_sum", "text"])
def test_every_readout_is_taken_back_to_content(readout: str) -> None:
    assert check("option_order", controls.oracle(), bank(), tolerance=0, readout=readout).verdict is Verdict.HOLDS
    finding = check("option_order", controls.always_first(), bank(), tolerance=0.05, readout=readout)
    assert finding.count == "216 of 276 other presentations"


@given(orders(), st.data())
def test_labels_positions_and_contents_agree(drawn: list[tuple[int, ...]], data: st.DataObject) -> None:
    (order,) = drawn
    question = Question("Which?", [f"option {c}" for c in range(len(order))])
    labels = data.draw(st.permutations("ABCDEFGHIJKLMN"))
    shown = Presentation(question, order=order, labels=labels)
    for position, (label, content) in enumerate(zip(shown.labels, order, strict=True)):
        assert shown.option_at(label) == content
        assert shown.position_of(content) == position == shown.position_of(question.options[content])
        assert shown.label_of(content) == label
        assert f"{label}. {question.options[content]}" in shown.render()[0].content


# keys compared as the wrong type: reverse-keyed items never re-keyed


def likert() -> Questionnaire:
    scale = Scale(("no", "rather no", "neutral", "rather yes", "yes"), (1, 2, 3, 4, 5))
    items = [Item(f"plus {n}", "calm", id=f"p{n}") for n in range(2)]
    items += [Item(f"minus {n}", "calm", reverse_keyed=True, id=f"m{n}") for n in range(2)]
    return Questionnaire(tuple(items), scale)


def test_reverse_keyed_items_are_rekeyed() -> None:
    instrument = likert()
    assert instrument.trait_scores([5, 4, 1, 2]) == {"calm": pytest.approx(4.5)}
    assert instrument.trait_scores([5, 5, 5, 5]) == {"calm": pytest.approx(3.0)}
    assert [question.keyed_scores for question in instrument.questions[1:3]] == [(1, 2, 3, 4, 5), (5, 4, 3, 2, 1)]


def test_acquiescence_is_agreement_beyond_content() -> None:
    instrument = likert()
    assert instrument.acquiescence_index([5, 5, 5, 5]) == 4
    assert instrument.acquiescence_index([5, 4, 1, 2]) == 0
    assert instrument.acquiescence_index([None, None, 1, 2]) is None


def test_the_middle_of_a_scale_keeps_both_and_counts_for_neither() -> None:
    def kept(model: object) -> dict[str, int]:
        finding = check("option_order", model, likert(), tolerance=0.1, orders="reversed")
        return dict(finding.details["kept_under_reversal"])

    middle = controls.Control("middle", lambda p: [0.8 if c == 2 else 0.05 for c in p.order])
    assert kept(middle) == {"content": 0, "position": 0, "both": 4, "other": 0}
    assert kept(controls.always_first()) == {"content": 0, "position": 4, "both": 0, "other": 0}
    fixed = controls.Control("fixed", lambda p: [0.8 if c == 1 else 0.05 for c in p.order])
    assert kept(fixed) == {"content": 4, "position": 0, "both": 0, "other": 0}
    assert kept(controls.uniform()) == {"content": 0, "position": 0, "both": 0, "other": 4}


# two ifs where the second undoes the first


def test_an_always_a_model_and_a_content_fixed_one_have_their_true_rates() -> None:
    always_a = check("option_order", controls.always_label("A"), bank(), tolerance=0.05)
    assert always_a.count == "216 of 276 other presentations"  # 18 of 23 each: 6 of 24 orders leave A in place
    assert check("option_order", controls.oracle(), bank(), tolerance=0.05).count.startswith("0 of 276")


@pytest.mark.parametrize(
    ("design", "rate"), [("all", 18 / 23), ("cyclic", 1.0), ("reversed", 1.0), ("balanced", 3 / 4)]
)
def test_the_as_written_presentation_is_not_in_the_denominator(design: str, rate: float) -> None:
    finding = check("option_order", controls.always_first(), bank(), tolerance=0.05, orders=design)
    assert float(finding.effect.low) == pytest.approx(rate) == float(finding.effect.high)


# lists that forget the first order, or are unordered from 10 options on


@pytest.mark.parametrize("k", SIZES)
@pytest.mark.parametrize("design", ["auto", "cyclic", "reversed", "balanced"])
def test_as_written_comes_first_and_no_order_twice(design: str, k: int) -> None:
    planned = orders_of(design, k, "content")
    assert planned[0] == identity(k)
    assert len(set(planned)) == len(planned)
    assert all(sorted(order) == list(range(k)) for order in planned)


@pytest.mark.parametrize(("k", "n"), [(2, 2), (3, 6), (4, 24), (5, 21), (6, 13), (7, 15), (8, 17), (9, 19), (10, 21)])
def test_auto_plans_all_up_to_four_options_and_twelve_rows_above(k: int, n: int) -> None:
    assert len(orders_of("auto", k, "content")) == n


@pytest.mark.parametrize(("k", "n"), [(2, 1), (4, 23), (5, 30), (11, 7)])
def test_sample_draws_distinct_other_orders(k: int, n: int) -> None:
    planned = orders_of("sample", k, "content", n)
    assert len(set(planned)) == n + 1
    assert planned != orders_of("sample", k, "another", n) or k == 2 or n == 23


def test_questions_with_fewer_options_than_labels() -> None:
    shown = Presentation(Question("Which?", ["x", "y"]), labels="PQRS")
    assert shown.labels == ("P", "Q")
    assert "R" not in shown.render()[0].content


# designs that hardly move anything


@pytest.mark.parametrize("k", SIZES)
def test_williams_designs_balance_positions_and_neighbours(k: int) -> None:
    rows = williams_rows(k)
    assert len(rows) == (2 * k if k % 2 else k)
    places = Counter((position, content) for row in rows for position, content in enumerate(row))
    neighbours = Counter(pair for row in rows for pair in itertools.pairwise(row))
    assert len(places) == k * k
    assert len(set(places.values())) == 1
    assert len(neighbours) == k * (k - 1)
    assert len(set(neighbours.values())) == 1


@pytest.mark.parametrize("k", SIZES)
@pytest.mark.parametrize("design", ["auto", "balanced", "cyclic"])
def test_planned_orders_show_every_option_equally_often_everywhere(design: str, k: int) -> None:
    transform = Reorder(design)  # type: ignore[arg-type]
    for question in bank(5, k):
        orbit = transform.orbit(question)
        part = transform.balanced_part(orbit)
        assert part is not None
        rows = [orbit.presentations[index].order for index in part]
        places = Counter((position, content) for row in rows for position, content in enumerate(row))
        assert len(places) == k * k
        assert len(set(places.values())) == 1
        if design != "cyclic":
            neighbours = Counter(pair for row in rows for pair in itertools.pairwise(row))
            assert len(set(neighbours.values())) == 1


def test_no_two_questions_share_their_shuffle() -> None:
    plans = {orders_of("balanced", 6, question.content_hash) for question in bank(40, 6)}
    assert len(plans) == 40


def test_rows_are_spread_over_all_orders() -> None:
    first = Counter(orders_of("balanced", 4, f"question {n}")[1][0] for n in range(2000))
    assert set(first) == {0, 1, 2, 3}
    assert max(first.values()) - min(first.values()) < 0.1 * 2000


# one generator for all questions


def test_dropping_or_moving_a_question_leaves_the_others_orders_alone() -> None:
    questions = bank(8, 6)
    transform = Reorder("balanced")
    planned = {question.id: transform.orbit(question).presentations for question in questions}
    for some in (questions[3:], questions[::-1], questions[:1]):
        assert all(transform.orbit(question).presentations == planned[question.id] for question in some)


# a cache without the model's identity


def test_what_one_model_answered_is_not_taken_for_another() -> None:
    with run():
        assert check("option_order", controls.always_first(), bank(), tolerance=0.05).verdict is Verdict.BROKEN
        assert check("option_order", controls.oracle(), bank(), tolerance=0.05).verdict is Verdict.HOLDS
    memo: dict[object, object] = {}
    request = LabelRequest(Presentation(bank()[0]))
    replies = [ask(model, [request], memo).replies[0] for model in (controls.always_first(), controls.always_last())]  # type: ignore[arg-type]
    assert replies[0] != replies[1]
    assert len(memo) == 2


@given(st.lists(st.integers(0, 5), max_size=20), st.sets(st.integers(0, 5)))
def test_answers_come_in_the_order_asked_whatever_is_remembered(asked: Sequence[int], known: set[int]) -> None:
    requests = [LabelRequest(Presentation(question)) for question in bank(6)]
    memo: dict[object, object] = {}
    model = controls.content_blind()
    ask(model, [requests[n] for n in sorted(known)], memo)  # type: ignore[arg-type]
    found = ask(model, [requests[n] for n in asked], memo)  # type: ignore[arg-type]
    assert list(found.replies) == model.answer([requests[n] for n in asked])
    assert found.fresh == len(set(asked) - known)


# unparsed answers dropped in silence


def test_unparsed_answers_are_neither_dropped_nor_guessed() -> None:
    class Rambling:
        name, fingerprint, capabilities = "rambling", "rambling", frozenset({"text"})

        def answer(self, requests: Sequence[TextRequest]) -> list[TextReply]:
            told = controls.oracle().answer(requests)
            rambles = [request.presentation.order[-1] == 0 for request in requests]
            return [
                TextReply("Well, it depends." if silent else reply.text, reply.sent_sha256)  # type: ignore[union-attr]
                for silent, reply in zip(rambles, told, strict=True)
            ]

    finding = check("option_order", Rambling(), bank(), tolerance=0.05, readout="text")
    assert finding.verdict is Verdict.UNDECIDED
    assert float(finding.effect.low) == 0
    assert float(finding.effect.high) == pytest.approx(6 / 23)
    assert "unparsed 25%" in finding.reasons[0]


@given(orders(n=3))
def test_distance_counts_adjacent_swaps(drawn: list[tuple[int, ...]]) -> None:
    a, b, c = drawn
    k = len(a)
    assert kendall_distance(a, a) == 0
    assert kendall_distance(identity(k), identity(k)[::-1]) == k * (k - 1) // 2
    if len(a) == len(b) == len(c):
        assert kendall_distance(a, b) == kendall_distance(b, a)
        assert kendall_distance(a, c) <= kendall_distance(a, b) + kendall_distance(b, c)


def test_rotations_are_rotations() -> None:
    assert cyclic_orders(3) == ((0, 1, 2), (1, 2, 0), (2, 0, 1))
