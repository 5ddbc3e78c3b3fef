"""What must not be mixed up: two subjects of one check, two questions of one beginning, what was told and what was not."""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest

from pytest_llminvariance import (
    AddDistractor,
    Choices,
    Product,
    Question,
    Reformat,
    Relabel,
    Reorder,
    UsageError,
    assert_backends_agree,
    assert_tracks,
    check,
    compare_frames,
    controls,
    decompose,
    multiverse,
    noise_floor,
    run,
)
from pytest_llminvariance import strategies as inv
from pytest_llminvariance.checks.backends import MAX_NOISE_PROMPTS, backend_difference
from pytest_llminvariance.checks.guards import near_form
from pytest_llminvariance.checks.left_out import leave_out
from pytest_llminvariance.checks.noise import Measured, known_noise
from pytest_llminvariance.checks.properties import as_property
from pytest_llminvariance.checks.properties.judging import JudgeSymmetry
from pytest_llminvariance.checks.properties.places import PlaceBias
from pytest_llminvariance.checks.properties.stances import Languages
from pytest_llminvariance.errors import ModelError
from pytest_llminvariance.measures.betting import bounds
from pytest_llminvariance.measures.calibration import quality
from pytest_llminvariance.measures.consensus import consensus
from pytest_llminvariance.measures.distribution import REFUSED, AnswerDistribution, share_between
from pytest_llminvariance.measures.estimates import mean_bounds
from pytest_llminvariance.measures.metrics import METRICS, position_bias
from pytest_llminvariance.measures.places import off_balance
from pytest_llminvariance.models.protocol import LabelReply, MissingReply, Reply, Request, TextReply
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Bank, given_for, whole_names
from pytest_llminvariance.search.spaces import space_under
from pytest_llminvariance.transforms.must_change import BankOptions, must_change
from tests.noisy import Server, bank

LONG = "Which of these is, all in all and as far as anybody knows, "
ALIKE = [Question(f"{LONG}{what}?", ["a1", "b1", "c1"], answer=0) for what in ("the first", "the second", "the third")]
PAIR = [("Why?", "It is exactly so.", "I guess that it may be so.")]


def prefers_the_first(prompt: str, first: str, second: str) -> float:
    del prompt, first, second
    return 0.9


def reward(prompt: str, response: str) -> float:
    del prompt
    return 1.0 if "exactly" in response else 0.0


# one property, two subjects


@pytest.mark.parametrize("before", [[], [reward], [reward, prefers_the_first, reward]])
def test_a_reward_leaves_nothing_behind_for_the_next_judge(before: Sequence[Any]) -> None:
    made, alone = JudgeSymmetry(), check(JudgeSymmetry(), prefers_the_first, PAIR, tolerance=0.05)
    for judge in before:
        assert check(made, judge, PAIR, tolerance=0.05).plan == f"judge:{1 + (judge is not reward)} orders"
    found = check(made, prefers_the_first, PAIR, tolerance=0.05)
    assert found.effect == alone.effect
    assert found.effect.low >= 0.79
    assert found.plan == alone.plan


# two backends


class Fixed:
    """Says what it is told to, by the stem; `name` tells it from others."""

    capabilities = frozenset({"label", "text"})

    def __init__(self, name: str, say: Callable[[Presentation], Reply]) -> None:
        self.name = self.fingerprint = name
        self.say, self.n_asked = say, 0

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        self.n_asked += len(requests)
        return [self.say(request.presentation) for request in requests]


def says(content: Callable[[Presentation], int]) -> Callable[[Presentation], Reply]:
    return lambda p: TextReply(p.labels[p.position_of(content(p))], "s" * 64, 1)


def test_comparing_backends_leaves_the_noise_of_the_session_alone() -> None:
    one, other = Server(rounding_nats=0.2, seed=1, name="one"), Server(rounding_nats=0.2, seed=2, name="other")
    with run():
        noise_floor(one, bank(8), pairs=80)
        before = known_noise(one, "label")
        assert isinstance(before, Measured)
        n_pairs = before.floor.n_pairs
        assert_backends_agree(one, other, bank(8))
        assert known_noise(one, "label") is before
        assert before.floor.n_pairs == n_pairs >= 80
        assert known_noise(other, "label") is None, "8 prompts say too little for the checks that follow"


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 9, 17, 40])
def test_never_more_prompts_for_noise_than_wanted(n: int) -> None:
    one, other = (Fixed(name, says(lambda p: p.question.answer or 0)) for name in "ab")
    backend_difference(one, other, bank(n), readout="text")
    prompts = min(4 * n, MAX_NOISE_PROMPTS)
    assert one.n_asked == other.n_asked == 4 * n + 3 * prompts


def test_noise_is_measured_as_written_and_otherwise() -> None:
    asked: list[Presentation] = []
    other = Fixed("b", says(lambda p: 0))
    one = Fixed("a", lambda p: asked.append(p) or other.say(p))  # type: ignore[func-returns-value]
    backend_difference(one, other, bank(8), readout="text")
    again = asked[32:40]
    assert {p.order == (0, 1, 2, 3) for p in again} == {True, False}
    assert len({p.question for p in again}) == 8


@pytest.mark.parametrize("wrong", [0, 3, 6])
def test_where_texts_differ_is_named(wrong: int) -> None:
    questions = bank(7)
    one = Fixed("a", says(lambda p: 0))
    other = Fixed("b", says(lambda p: int(p.question == questions[wrong])))
    found = backend_difference(one, other, questions, readout="text")
    assert (found.where, found.changed_answers) == (questions[wrong].name, 4)
    with pytest.raises(AssertionError, match=f"'Which is number {wrong}\\?'"):
        assert_backends_agree(one, other, questions, readout="text")


def test_where_nothing_differs_no_question_is_named() -> None:
    one, other = (Fixed(name, says(lambda p: 0)) for name in "ab")
    assert backend_difference(one, other, bank(3), readout="text").where == ""


def test_a_backend_that_answers_nothing_agrees_with_nobody() -> None:
    dead = Fixed("dead", lambda p: MissingReply("no route to host", "s" * 64))
    with pytest.raises(ModelError, match="dead answered none of 8 prompts"):
        assert_backends_agree(dead, Fixed("too", dead.say), bank(2), readout="text")


# frames


def test_frames_take_the_noise_of_the_model_that_is_wrapped() -> None:
    loud = Server(rule=lambda p: 0, margin_nats=0.01, rounding_nats=0.05, name="loud")
    with run():
        assert noise_floor(loud, bank(8), pairs=80).delta_nats > 0.02
        rows = compare_frames(loud, bank(4), frames=("cyclic",)).rows
    assert all(row.effect.low == 0 for row in rows), "ties within the noise are no flips"
    assert rows[0].effect.high > 0


def test_frames_resolve_the_readout_before_they_look_for_noise() -> None:
    loud = Server(rule=lambda p: 0, margin_nats=0.01, rounding_nats=0.05, name="loud")
    with run():
        noise_floor(loud, bank(8), pairs=80)
        assert compare_frames(loud, bank(4), frames=("cyclic",), readout="auto").rows[0].effect.low == 0


# products of products


NESTED = [
    Product((Relabel(), Product((Reformat(), Reorder())))),
    Product((Product((Product((Reorder(),)),)), Relabel())),
    Reformat() * (Relabel() * (AddDistractor() * Reorder())),
]


@pytest.mark.parametrize("under", NESTED)
def test_a_space_is_that_of_the_flat_product(under: Product) -> None:
    flat, question = Product(under.factors()), Question("Which?", ["one", "two", "three", "four"])
    found, wanted = (space_under(one, question, None) for one in (under, flat))
    assert found == wanted
    assert found.orders is None, "all orders are searched by adjacent swaps"


@pytest.mark.parametrize("under", NESTED)
def test_questions_are_left_out_whatever_the_nesting(under: Product) -> None:
    refers = Question("Which?", ["one", "two", "Both A and B"])
    letters = Question("Which letter?", ["A", "B", "E"])
    for questions in ([refers], [letters], [refers, letters]):
        kept = [
            leave_out(as_property(one, {}), [*questions, Question("Which?", ["x", "y"])], None, "label")
            for one in (under, Product(under.factors()))
        ]
        assert kept[0] == kept[1]
    assert kept[0][1], "one is left out of a flat product"


def test_an_error_that_was_asked_for_is_raised_inside_a_product_of_products() -> None:
    under = Product((Reformat(), Product((Relabel(), Reorder(on_reference="error")))))
    with pytest.raises(UsageError, match="also an option's text"):
        check(under, controls.oracle(), Question("Which letter?", ["A", "B", "E"]), tolerance=0.1, readout="label")


def test_parts_of_a_nested_product_are_drawn_one_by_one() -> None:
    question = Question("Which?", ["one", "two", "three"])
    nested, flat = (repr(inv.presentations(question, under=one)) for one in (NESTED[2], Product(NESTED[2].factors())))
    assert nested == flat


# large banks, long names


def test_edits_of_a_bank_take_time_in_proportion() -> None:
    def seconds(n: int) -> float:
        questions = [Question(f"Which is {i}?", [f"{i}-{c}" for c in "abcd"], answer=i % 4) for i in range(n)]
        began = time.process_time()
        options = BankOptions(questions)
        assert sum(1 for one in questions for _ in must_change(one, options)) == 2 * n
        return time.process_time() - began

    small = min(seconds(200) for _ in range(3))
    assert seconds(1_600) < 24 * small + 0.3


@pytest.mark.parametrize("seed", range(3))
def test_a_foreign_option_is_the_one_that_a_list_of_others_gives(seed: int) -> None:
    words = ["elm", "Elm", "oak", "OAK", "ash", "fir", "yew", "box"]
    questions = [
        Question(f"Which is {seed}-{i}?", row, answer=0) for i, row in enumerate(itertools.permutations(words, 3))
        if len({w.casefold() for w in row}) == 3
    ][seed::7]  # fmt: skip
    options = BankOptions(questions)
    for one in questions:
        own = {option.casefold() for option in one.options}
        others = [o for o in dict.fromkeys(o for q in questions for o in q.options) if o.casefold() not in own]
        wanted = others[int(one.content_hash, 16) % len(others)] if others else None
        assert options.foreign_to(one) == wanted


def test_without_another_option_nothing_is_foreign() -> None:
    one = Question("Which?", ["elm", "oak", "ash"], answer=0)
    assert BankOptions([one, Question("What?", ["ELM", "Oak"])]).foreign_to(one) is None


def test_questions_of_one_beginning_stay_two() -> None:
    assert len({one.name for one in ALIKE}) == 1
    model = controls.oracle()
    assert len(decompose(model, ALIKE, under=Reorder()).questions) == 3
    assert list(multiverse(model, ALIKE).consensus) == [one.stem for one in ALIKE]
    same = [
        Question("Which?", ["a1", "b1"]),
        Question("Which?", ["a1", "c1"]),
        Question("So?", ["a", "b"], id="Which?"),
    ]
    assert whole_names(same) == ("Which?", "Which? (2)", "Which? (3)")
    assert len(decompose(model, same, under=Reorder()).questions) == 3


def test_names_that_are_numbered_already_stay_apart() -> None:
    stems = ["a", "a (2)", "a", "a"]
    names = whole_names([Question(stem, [f"{n}x", f"{n}y"]) for n, stem in enumerate(stems)])
    assert names == ("a", "a (2)", "a (3)", "a (4)")


def test_scores_of_items_of_one_beginning_stay_two() -> None:
    items = [Question(one.stem, one.options, scores=[1, 2, 3]) for one in ALIKE]
    found = check("option_order", controls.oracle(), items, tolerance=0.1, orders="reversed", metric="score_gap")
    assert list(found.details["expected_scores"]) == [one.stem for one in items]


def translations(n: int, last: str) -> dict[str, list[Question]]:
    return {f"q{i}": [Question(f"Frage {i}{last if i == n - 1 else ''}?", ["ja", "nein"])] for i in range(n)}


def test_plans_of_many_translations_are_told_apart() -> None:
    one, other = (Languages(translations=translations(60, last)) for last in ("", " noch einmal"))
    assert one.spec() != other.spec()
    assert one.spec() == Languages(translations=dict(reversed(translations(60, "").items()))).spec()


def test_which_question_a_translation_belongs_to_is_part_of_the_plan() -> None:
    a, b = Question("Eins?", ["ja", "nein"]), Question("Zwei?", ["ja", "nein"])
    assert Languages(translations={"q": [a, b]}).spec() != Languages(translations={"q": [a], "r": [b]}).spec()


def test_a_table_is_read_by_id_hash_or_stem() -> None:
    one = Question("Which?", ["a", "b"], id="q")
    for name in ("q", one.content_hash, "Which?"):
        assert given_for(one, {name: [], "other": [1]}) == []
    assert given_for(one, {"other": 1}) is None


# what a server did not tell


def told(*probabilities: float, unlisted: float = 0.0) -> AnswerDistribution:
    logs = [math.log(p) if p else -math.inf for p in probabilities]
    return AnswerDistribution.from_label_logprobs(logs, range(len(logs)), unlisted)


CLEAR, TIED, NARROW = told(0.7, 0.2, 0.1), told(0.4, 0.4, 0.2), told(0.4, 0.35, 0.1, unlisted=0.1)


@pytest.mark.parametrize(
    ("answer", "parts"),
    [
        (CLEAR, (1, 0, 0)),
        (TIED, (0.5, 0.5, 0)),
        (told(0.6, 0.1, 0.1, unlisted=0.2), (1, 0, 0)),
        (NARROW, None),
        (told(0, 0, 0, unlisted=1), None),
        (told(0, 0, 0), None),
        (AnswerDistribution.chosen(2, 3), (0, 0, 1)),
        (AnswerDistribution.nothing(3, "refused"), (0, 0, 0)),
        (AnswerDistribution.nothing(3, "unparsed"), None),
        (AnswerDistribution.nothing(3, "missing"), None),
    ],
)
def test_parts_of_a_choice(answer: AnswerDistribution, parts: tuple[float, ...] | None) -> None:
    assert answer.parts(0.0) == parts
    if parts is not None:
        assert {place for place, part in enumerate(parts) if part} == answer.outcomes(0.0) - {REFUSED}


def test_what_was_not_told_leaves_quality_and_consensus_open() -> None:
    assert quality([CLEAR, NARROW], [0, 0], 0.0) is None
    assert quality([CLEAR, TIED], [0, 0], 0.0) is not None
    assert consensus([CLEAR, NARROW, NARROW], 0.0).n_open == 2
    assert consensus([CLEAR, NARROW, NARROW], 0.0).answer is None
    assert consensus([CLEAR, TIED, CLEAR], 0.0).n_open == 0


def unlisting(shown: Presentation) -> Reply:
    """Likes what is printed first a little, and keeps more to itself than that."""
    return LabelReply(tuple(math.log(p) for p in (0.4, 0.35, 0.1)), "s" * 64, 1, unlisted=0.1)


def test_what_was_not_told_is_no_choice_of_a_place_and_no_hit() -> None:
    questions = [Question(f"Which is {n}?", [f"{w}{n}" for w in "abc"], answer=n % 3) for n in range(4)]
    model = Fixed("server", unlisting)
    found = check(PlaceBias(label_sets=("ABC", "XYZ")), model, questions, tolerance=0.1)
    assert (found.effect.low, found.effect.high) == (0, 1)
    worst = multiverse(model, questions).worst.score
    assert worst.low == 0
    assert worst.high > 0


def test_shares_of_two_are_as_wide_as_what_was_not_told() -> None:
    low, high = share_between(told(0.4, 0.4, 0.1, unlisted=0.1), 0, 1)
    assert [low, high] == pytest.approx([4 / 9, 5 / 9])
    assert list(share_between(CLEAR, 0, 1)) == pytest.approx([7 / 9, 7 / 9])


@pytest.mark.parametrize("seed", range(5))
def test_inconsistency_is_as_wide_as_what_was_not_told(seed: int) -> None:
    chance = random.Random(seed)
    rows = [[chance.random() for _ in range(3)] for _ in range(4)]
    rows = [[0.9 * p / sum(row) for p in row] for row in rows]
    measure = METRICS["form_inconsistency"].measure
    wide = measure([told(*row, unlisted=0.1) for row in rows], None, 0.0)
    exact = measure([told(*row) for row in rows], None, 0.0)
    assert exact.is_exact
    assert wide.low < exact.low < wide.high
    for _ in range(200):
        goes = [chance.randrange(3) for _ in rows]
        moved = [
            [p + 0.0999 * (place == at) for place, p in enumerate(row)] for row, at in zip(rows, goes, strict=True)
        ]
        assert wide.low <= measure([told(*row) for row in moved], None, 0.0).low <= wide.high


# one formula, once


def test_bias_of_positions_is_the_distance_of_their_shares_from_balance() -> None:
    rows = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 1.0]]
    assert position_bias({3: rows}) == pytest.approx(off_balance([0.5, 1 / 6, 1 / 3]))
    assert position_bias({3: [[0.0, 0.0, 0.0]]}) == 0


def test_both_ends_come_of_one_computation_where_they_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[float] = []

    def counted(*given: Any) -> Any:
        calls.append(given[-1])
        return bounds(*given)

    monkeypatch.setattr("pytest_llminvariance.measures.estimates.bounds", counted)
    values, names = [0.1, 0.2, 0.3, 0.2], ["a", "b", "c", "d"]
    once = mean_bounds(values, names, 0.05, signed=False)
    assert calls == [0.05]
    assert mean_bounds(values, names, 0.05, signed=False, claims=2)[1] == once[1]
    assert calls == [0.05, 0.025, 0.05]


# rows that were left out


def skipping(questions: Iterable[Question]) -> Bank:
    return Bank(questions, "a.jsonl", ["a.jsonl, line 99: bad"])


def left_out_rows(finding: Any) -> list[str]:
    return [guard.text for guard in finding.guards if guard.name == "rows left out"]


def known() -> list[Question]:
    return [Question(f"Which is {n}?", [f"{w}{n}" for w in "abcd"], id=f"q{n}", answer=n % 4) for n in range(8)]


def yes_no() -> list[Question]:
    return [Question(f"Is it {n}?", ["yes", "no"], id=f"y{n}", answer=n % 2) for n in range(4)]


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("tracks", lambda: skipping(known())),
        ("tracks", lambda: iter(skipping(known()))),
        ("complementary", lambda: skipping(known())),
        ("complementary", lambda: [(q, Question(f"not {q.stem}", q.options)) for q in skipping(yes_no())]),
        ("refusals", lambda: skipping(known())),
        ("option_order", lambda: (q for q in skipping(known()))),
        ("evidence_order", lambda: skipping(Question(q.stem, q.options, attributes={"chunks": ["x", "y"]}) for q in known())),
        ("judge", lambda: skipping(Question(q.stem, q.options) for q in yes_no())),
    ],
)  # fmt: skip
def test_no_property_hides_that_rows_were_left_out(name: str, make: Callable[[], Any]) -> None:
    (text,) = left_out_rows(check(name, controls.oracle(), make(), tolerance=0.5))
    assert text.startswith("1 of ")
    assert "first a.jsonl, line 99: bad" in text


def test_edits_of_a_file_say_it_too() -> None:
    finding = assert_tracks(controls.oracle(), skipping(known()))
    assert len(left_out_rows(finding)) == 1
    assert left_out_rows(assert_tracks(controls.oracle(), known())) == []


def test_choices_take_no_part_in_this() -> None:
    space = space_under(Choices(orders=True), known()[0], None)
    assert space.orders is None


# near copies


def capitals(n: int, copies: int) -> list[Question]:
    rows = [Question(f"Which is the word {'abcdefghijklmnopqrstuvwxyz'[i % 26] * (1 + i // 26)}?", ["elm", "oak", "ash"], answer=i % 3) for i in range(n - copies)]  # fmt: skip
    return [*rows, *(Question(f"Case {i}: what is the capital of France{'!?'[i % 2]}", ["Paris", "Rome"], answer=0) for i in range(copies))]  # fmt: skip


def near_copies(questions: Sequence[Question], **how: Any) -> list[str]:
    finding = check("option_order", controls.oracle(), questions, tolerance=0.1, orders="cyclic", **how)
    return [guard.text for guard in finding.guards if guard.name == "near copies"]


def test_a_bank_of_near_copies_is_named() -> None:
    (text,) = near_copies(capitals(60, 40))
    assert text.startswith("40 of 60 questions are near copies of others")
    assert "of 21 kinds in all" in text
    assert near_copies(capitals(60, 12)) == []
    assert near_copies(capitals(60, 13))


@pytest.mark.parametrize(
    ("one", "other", "are_near"),
    [
        (Question("What is it?", ["a", "b"]), Question("WHAT is it", ["B.", "A."]), True),
        (Question("No 1: what is it?", ["a", "b"]), Question("No 22: what is it?", ["a", "b"]), True),
        (Question("How much is 1 plus 2?", ["3", "4"]), Question("How much is 5 plus 2?", ["7", "8"]), False),
        (Question("Is 3 even?", ["yes", "no"], answer=1), Question("Is 4 even?", ["yes", "no"], answer=0), False),
        (Question("1 + 2?", ["3", "4"]), Question("2 + 2?", ["3", "4"]), False),
        (Question("What?", ["a", "b"], context="One."), Question("What?", ["a", "b"], context="Two."), False),
        (Question("哪个?", ["一", "二"]), Question("哪个", ["一", "二"]), True),
        (Question("哪个?", ["一", "二"]), Question("什么?", ["一", "二"]), False),
        (Question("Which?", ["+", "-"]), Question("Which!", ["*", "/"]), False),
    ],
)
def test_what_a_near_copy_is(one: Question, other: Question, are_near: bool) -> None:
    assert (near_form(one) == near_form(other)) is are_near


def test_copies_of_one_cluster_are_one_already() -> None:
    copies = [
        Question(q.stem, q.options, answer=0, attributes={"cluster": "france"} if "France" in q.stem else {})
        for q in capitals(30, 20)
    ]
    assert near_copies(copies, claim="population") == []
    assert near_copies(copies)
