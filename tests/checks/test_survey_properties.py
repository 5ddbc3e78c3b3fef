"""Positions and labels, decompositions, frames, paraphrases, must-change edits, multiverse: against numbers computed by hand."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_llminvariance import (
    InvarianceError,
    Paraphrase,
    Question,
    QuestionError,
    Reorder,
    Restate,
    Reword,
    Template,
    UndecidedError,
    UsageError,
    Verdict,
    assert_complementary,
    assert_no_position_bias,
    assert_order_symmetric,
    assert_paraphrase_consistent,
    assert_tracks,
    check,
    compare_frames,
    controls,
    debiased,
    decompose,
    multiverse,
)
from pytest_llminvariance.checks.properties.places import PLACE_SETS
from pytest_llminvariance.cli.auditing import read_bank
from pytest_llminvariance.measures.calibration import expected_calibration_error, quality
from pytest_llminvariance.measures.consensus import consensus
from pytest_llminvariance.measures.decomposition import decomposed
from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.measures.places import Choice, interaction, normalised_entropy, recall_spread
from pytest_llminvariance.models.controls import Control
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.transforms.must_change import BankOptions, must_change, statement, with_another_number

BANK = [Question(f"Which is {n}?", [f"{w}{n}" for w in "abcd"], id=f"q{n}", answer=n % 4) for n in range(16)]
NO_KEY = [Question(q.stem, q.options, id=q.id) for q in BANK]
TWO = PLACE_SETS[::2]


# positions and labels


def biased(at_position: float, at_label: float, together: float = 0.0) -> Control:
    """Adds nats to the first position, to the label A, and to A at the first position."""

    def respond(p: Presentation) -> Sequence[float]:
        inner = controls.oracle().respond(p)
        bonus = [
            at_position * (place == 0) + at_label * (label == "A") + together * (place == 0 and label == "A")
            for place, label in enumerate(p.labels)
        ]
        weights = [x * math.exp(b) for x, b in zip(inner, bonus, strict=True)]
        return [w / sum(weights) for w in weights]

    return Control(f"biased({at_position:g},{at_label:g},{together:g})", respond)


def numbers(model: Any, **options: Any) -> tuple[Any, dict[str, float], dict[str, Any]]:
    found = check("position_and_label", model, BANK, tolerance=0.1, label_sets=TWO, **options)
    return found, {name: row["value"] for name, row in found.details["estimates"].items()}, dict(found.details)


def test_a_position_and_a_label_are_told_apart() -> None:
    _, by_position, details = numbers(biased(9, 0))
    assert [by_position[f"position {n}"] for n in range(1, 5)] == [1, 0, 0, 0]
    assert by_position["label A (ABCD)"] == by_position["label N (NTRS)"] == 0.25
    assert details["interaction (ABCD)"] == pytest.approx(0, abs=1e-12)
    _, by_label, details = numbers(biased(0, 9))
    assert by_label["label A (ABCD)"] == 1
    assert {by_label[f"position {n}"] for n in range(1, 5)} == {0.25}
    assert by_label["label N (NTRS)"] == 0.25
    assert details["interaction (ABCD)"] == pytest.approx(0, abs=1e-12)
    assert details["A-bias"] == 0.75, "as published: where labels stand in their order, A is a position too"


def test_a_bias_of_both_together_is_an_interaction() -> None:
    found, by, details = numbers(biased(0, 0, 9))
    assert found.verdict is Verdict.BROKEN
    # one prompt in four shows A first and is answered so; the other three by content, which is spread evenly
    table = np.full((4, 4), 0.0)
    for rotation, order in itertools.product(range(4), range(4)):
        for q in BANK:
            content = order if rotation == 0 else q.answer
            place = (int(content or 0) - order) % 4
            table[place, (place + rotation) % 4] += 1 / 256
    rows, columns = table.sum(1, keepdims=True), table.sum(0, keepdims=True)
    assert details["interaction (ABCD)"] == pytest.approx(np.abs(table - rows / 4 - columns / 4 + 1 / 16).sum() / 2)
    assert by["label A (ABCD)"] == pytest.approx(table.sum(0)[0])


def test_the_plan_is_balanced_in_every_pair_of_position_label_and_content() -> None:
    from pytest_llminvariance.checks.properties.places import PlaceBias

    for k in range(2, 8):
        plan = PlaceBias(label_sets=TWO).plan(Question("Q?", [f"x{n}" for n in range(k)]), None)
        triples = [
            (place, label, content)
            for probe in plan.probes
            for place, (label, content) in enumerate(
                zip(probe.presentation.labels, probe.presentation.order, strict=True)
            )
        ]
        assert len(plan.probes) == 2 * k * k
        assert len(set(triples)) == len(triples) == 2 * k**3


def test_open_answers_widen_shares_and_a_set_that_nobody_answered_is_unknown() -> None:
    found, _, _ = numbers(controls.always_label())
    assert (float(found.effect.low), float(found.effect.high)) == (0.75, 1.0)

    def respond(p: Presentation) -> Sequence[float]:
        return (0.0,) * 4 if p.order == (0, 1, 2, 3) and p.labels[0] == "A" else controls.oracle().respond(p)

    found, by, _ = numbers(Control("silent at times", respond))
    assert 0 <= float(found.effect.low) < float(found.effect.high) <= float(found.effect.low) + 2 / 16
    assert sum(by[f"position {n}"] for n in range(1, 5)) == pytest.approx(1)


def test_bullets_are_read_by_option_and_refused_by_label() -> None:
    found = check("position_and_label", controls.always_first(), BANK, tolerance=0.1, bullets=True, readout="option")
    assert found.verdict is Verdict.BROKEN
    assert found.presentations_planned == 16 * (4 * 16 + 4)
    with pytest.raises(UsageError, match="shows no labels"):
        check("position_and_label", controls.always_first(), BANK, tolerance=0.1, bullets=True)


def test_assertion_both_ways() -> None:
    assert assert_no_position_bias(controls.oracle(), BANK, label_sets=TWO).verdict is Verdict.HOLDS
    with pytest.raises(InvarianceError, match=r"choices by position or label are off balance by 0\.75"):
        assert_no_position_bias(controls.always_first(), BANK, label_sets=TWO)
    with pytest.raises(UndecidedError):
        assert_no_position_bias(controls.uniform(), BANK, label_sets=TWO)


def test_numbers_of_places_by_hand() -> None:
    flat = [Choice("q", tuple("AB"[s:] + "AB"[:s]), parts) for s in (0, 1) for parts in ((1.0, 0.0), (0.0, 1.0))]
    assert interaction(flat) == 0
    assert interaction([flat[0], flat[3]]) == pytest.approx(0.0), "A in one, A in the other"
    assert recall_spread([("A", 1.0), ("A", 1.0), ("B", 0.0)]) == 0.5
    assert recall_spread([("A", 1.0)]) is None
    assert normalised_entropy([0.5, 0.5]) == pytest.approx(1)
    assert normalised_entropy([1.0, 0.0]) == 0


# decompositions


@given(
    st.lists(st.lists(st.floats(0, 1), min_size=4, max_size=4).filter(lambda p: sum(p) > 0.1), min_size=2, max_size=9)
)
def test_the_identity_holds_to_1e_9(rows: list[list[float]]) -> None:
    answers = [[value / math.fsum(row) for value in row] for row in rows]
    found = decomposed(answers)
    assert found.total_bits == pytest.approx(found.uncertainty_bits + found.inconsistency_bits, abs=1e-9)
    assert -1e-9 <= found.inconsistency <= 1 + 1e-9


def test_uncertain_and_inconsistent_are_different_things() -> None:
    unsure = decompose(controls.uniform(), BANK, under=Reorder())
    assert (unsure.uncertainty_bits, unsure.inconsistency_bits) == pytest.approx((2, 0))
    assert unsure.consistency == pytest.approx(1)
    first = Control("first", lambda p: [float(place == 0) for place in range(4)])
    moved = decompose(first, BANK, under=Reorder("cyclic"))
    assert (moved.uncertainty_bits, moved.inconsistency_bits) == pytest.approx((0, 2))
    assert moved.consistency == pytest.approx(0), "four forms, five outcomes: log2 4"
    assert moved.prompts == 64
    assert str(moved).startswith(
        "entropy 2.000 bits = 0.000 uncertain + 2.000 inconsistent; form consistency 0.000 over 16"
    )


def test_open_answers_are_named_and_in_no_mean() -> None:
    found = decompose(controls.only_eliminating(), BANK[:3], under=Reorder())
    assert found.open == ("q0", "q1", "q2")
    assert found.consistency is None
    assert str(found) == "nothing to decompose: 3 questions have open answers"
    with pytest.raises(UsageError, match="but must be a transform"):
        decompose(controls.oracle(), BANK, under="orders")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="makes one form"):
        decompose(controls.oracle(), [Question("Q?", ["rose", "lily", "Both A and B"])], under=Reorder())


@pytest.mark.parametrize(
    ("name", "verdict"),
    [("oracle", Verdict.HOLDS), ("always_first", Verdict.BROKEN), ("uniform", Verdict.UNDECIDED), ("only_eliminating", Verdict.UNDECIDED)],
)  # fmt: skip
def test_form_inconsistency_as_a_metric(name: str, verdict: Verdict) -> None:
    found = check("option_order", controls.control(name), BANK, tolerance=0.05, metric="form_inconsistency")
    assert found.verdict is verdict
    if name == "oracle":
        assert float(found.effect.high) == 0


# coherent probabilities


def says_yes(share_true: float, share_false: float) -> Control:
    def respond(p: Presentation) -> Sequence[float]:
        yes = share_true if p.question.answer == 0 else share_false
        return [yes if content == 0 else 1 - yes for content in p.order]

    return Control("says yes", respond)


def test_the_gap_is_the_distance_of_the_sum_from_one() -> None:
    found = check("complementary", says_yes(0.9, 0.3), BANK, tolerance=0.05)
    assert float(found.effect.low) == float(found.effect.high) == pytest.approx(0.2)
    assert found.verdict is Verdict.BROKEN
    row = found.details["estimates"]["P(yes, s) + P(yes, not s) - 1"]
    assert row["value"] == pytest.approx(0.2)
    assert assert_complementary(controls.oracle(), BANK).verdict is Verdict.HOLDS
    with pytest.raises(InvarianceError, match=r"P\(yes\) of a statement and of its negation miss 1 by"):
        assert_complementary(controls.always_first(), BANK)
    with pytest.raises(UndecidedError):
        assert_complementary(controls.uniform(), BANK)


def test_pairs_of_your_own() -> None:
    pairs = [
        (
            Question(f"Is {n} even?", ["yes", "no"], answer=n % 2),
            Question(f"Is {n} odd?", ["yes", "no"], answer=1 - n % 2),
        )
        for n in range(12)
    ]
    assert assert_complementary(controls.oracle(), pairs).verdict is Verdict.HOLDS
    wrong: list[Any] = [[(BANK[0], BANK[1])], [(pairs[0][0], pairs[0][0])], [3], [Question("Q?", ["a", "b"])]]
    for bad in wrong:
        with pytest.raises(QuestionError):
            check("complementary", controls.oracle(), bad, tolerance=0.05)


# frames and priors


def test_a_prior_is_taken_off_and_the_mass_stays() -> None:
    model = debiased(controls.position_prior(2), BANK[:4])
    assert assert_order_symmetric(model, BANK[4:], readout="label").verdict is Verdict.HOLDS
    with pytest.raises(InvarianceError):
        assert_order_symmetric(controls.position_prior(2), BANK[4:], readout="label")
    half = Control("half", lambda p: [x / 2 for x in controls.position_prior(1).respond(p)])
    from pytest_llminvariance.models.protocol import LabelReply, LabelRequest

    reply = debiased(half, BANK[:4]).answer([LabelRequest(Presentation(BANK[5]))])[0]
    assert isinstance(reply, LabelReply)
    shares = [math.exp(x) for x in reply.logprobs_nats]
    assert sum(shares) == pytest.approx(0.5)
    assert shares[1] / shares[0] == pytest.approx(math.e, rel=0.01), "the margin of 1 nat is left"


def test_a_prior_that_cannot_be_estimated_is_refused() -> None:
    with pytest.raises(UsageError, match="but none of the questions that its prior is from has 2"):
        check("option_order", debiased(controls.oracle(), BANK), [Question("Q?", ["a", "b"])], tolerance=0.1)
    with pytest.raises(UsageError, match="there are no questions"):
        debiased(controls.oracle(), [])


def test_frames_side_by_side_and_the_cheapest() -> None:
    asked: list[Presentation] = []

    def respond(p: Presentation) -> Sequence[float]:
        asked.append(p)
        return controls.position_prior(2).respond(p)

    table = compare_frames(Control("prior", respond), BANK[8:], estimate_on=BANK[:8])
    by = {row.way: row for row in table.rows}
    assert [row.prompts for row in table.rows] == [1, 2, 4, 24, 1 + 8 * 4 / 8]
    assert by["as it is"].effect.low > 0.5
    assert by["averaged: cyclic"].effect.high == by["prior taken off"].effect.high == 0
    assert table.cheapest is by["averaged: cyclic"]
    assert len(asked) == len(set(asked)) == 8 * 24 + 8 * 4, "each distinct prompt once for all ways"
    first = by["as it is"].quality
    assert first is not None
    assert first.accuracy == 0.25
    assert by["averaged: all"].quality is not None
    assert by["averaged: all"].quality.accuracy == 1
    assert "cheapest within 0.05: averaged: cyclic" in str(table)
    blind = compare_frames(controls.content_blind(), BANK, frames=["reversed"])
    assert blind.cheapest is None
    assert compare_frames(controls.refuser(), BANK, frames=["cyclic"]).rows[0].quality is None


def test_calibration_by_hand() -> None:
    sure = AnswerDistribution((0.8, 0.2), 0.0, "scored", (math.log(0.8), math.log(0.2)), 1.0)
    found = quality([sure] * 4, [0, 0, 0, 1], 1e-4)
    assert found is not None
    assert (found.accuracy, found.ece) == pytest.approx((0.75, 0.05))
    assert found.brier == pytest.approx((3 * 0.08 + 1.28) / 4)
    assert expected_calibration_error([0.95, 0.55], [0.0, 1.0]) == pytest.approx((0.95 + 0.45) / 2)
    assert quality([sure], [None], 1e-4) is None


# paraphrases


WORDS = Restate({q.stem: [f"Please say: {q.stem}", f"{q.stem} Say it."] for q in BANK})


def test_paraphrases_agree_or_not_with_numbers_by_hand() -> None:
    right, wrong = controls.oracle(), controls.wrong_oracle()
    rude = Control("rude", lambda p: (wrong if "Please" in p.question.stem else right).respond(p))
    found = check("paraphrase", rude, BANK, tolerance=0.05, paraphrases=WORDS)
    estimates = found.details["estimates"]
    assert estimates["pairwise agreement"]["value"] == pytest.approx(1 / 3)
    assert estimates["largest cluster"]["value"] == pytest.approx(2 / 3)
    p, q = np.array([0.9, 0.1 / 3, 0.1 / 3, 0.1 / 3]), np.array([0.1 / 3, 0.9, 0.1 / 3, 0.1 / 3])
    centroid = (2 * p + q) / 3

    def js(a: Any, b: Any) -> float:
        m = (a + b) / 2
        return float(np.sqrt((np.sum(a * np.log(a / m)) + np.sum(b * np.log(b / m))) / 2))

    assert float(found.effect.low) == pytest.approx((2 * js(p, centroid) + js(q, centroid)) / 3)
    assert assert_paraphrase_consistent(controls.oracle(), BANK, paraphrases=WORDS).verdict is Verdict.HOLDS
    with pytest.raises(InvarianceError):
        assert_paraphrase_consistent(rude, BANK, paraphrases=WORDS)
    with pytest.raises(UndecidedError):
        assert_paraphrase_consistent(controls.uniform(), BANK, paraphrases=WORDS)


def test_a_reviewed_file_is_taken_and_a_path_is_not(tmp_path: Path) -> None:
    from pytest_llminvariance.paraphrases.importing import merged
    from pytest_llminvariance.paraphrases.lock import Lock
    from pytest_llminvariance.paraphrases.lock_file import write_lock

    row = {
        "question": "Which is {n}?",
        "wording": "Say which is {n}?",
        "source": "us",
        "audit": "human",
        "reviewer": "Ada",
    }
    write_lock(tmp_path / "p.toml", merged(Lock("q", ()), BANK, [row], "t.csv").lock, expected=None)
    found = assert_paraphrase_consistent(controls.oracle(), BANK, paraphrases=Paraphrase(tmp_path / "p.toml"))
    assert found.presentations_asked == 32
    with pytest.raises(UsageError, match=r"must be Paraphrase\('paraphrases.toml'\)"):
        assert_paraphrase_consistent(controls.oracle(), BANK, paraphrases="p.toml")  # type: ignore[arg-type]


# edits that must change the answer


def test_an_insensitive_model_fails_edits_made_from_questions() -> None:
    assert assert_tracks(controls.oracle(), BANK).verdict is Verdict.HOLDS
    for name in ("always_first", "stem_blind", "always_label"):
        with pytest.raises(InvarianceError, match="the answer stayed the same in"):
            assert_tracks(controls.control(name), BANK)
    with pytest.raises(UndecidedError):
        assert_tracks(controls.refuser(), BANK)
    with pytest.raises(QuestionError, match="has no known answer, so no edit of it is known to change it"):
        assert_tracks(controls.oracle(), NO_KEY)


def test_every_audit_with_answers_holds_a_property_that_an_insensitive_model_fails() -> None:
    from pytest_llminvariance.checks.properties import audits, default_audits

    assert "tracks" in default_audits()
    kind, _ = audits()["tracks"]
    for questions, model, verdict in (
        (read_bank(None), controls.stem_blind(), Verdict.BROKEN),
        (read_bank(None), controls.oracle(), Verdict.HOLDS),
        (NO_KEY, controls.stem_blind(), Verdict.UNDECIDED),
    ):
        made, template = kind.usual(questions, None)
        assert check(made, model, questions, tolerance=0.05, template=template).verdict is verdict


def test_what_is_right_after_an_edit_is_known_and_another() -> None:
    for question in (*BANK, *read_bank(None)):
        pairs = list(must_change(question, BankOptions(read_bank(None))))
        assert pairs
        for before, after in pairs:
            assert before.answer is not None
            assert after.answer is not None
            assert before.answer != after.answer
            assert len(before.options) == len(after.options)
    truths = [statement(question)[0].answer for question in BANK]
    assert 3 < sum(truth == 0 for truth in truths if truth is not None) < 13, "neither word is right for most"


@pytest.mark.parametrize(
    ("question", "stem", "context", "answer"),
    [
        (Question("What is 7 plus 5?", ["11", "12", "13"], answer="12"), "What is 6 plus 5?", None, "11"),
        (Question("What is 9 - 4?", ["5", "8"], answer="5"), "What is 12 - 4?", None, "8"),
        (Question("3 × 4 is?", ["12", "13", "16"], answer="12"), "4 × 4 is?", None, "16"),
        (Question("How heavy?", ["12 kg", "15 kg"], context="It weighs 12 kg.", answer=0), "How heavy?", "It weighs 15 kg.", "15 kg"),
    ],
)  # fmt: skip
def test_a_number_is_changed(question: Question, stem: str, context: str | None, answer: str) -> None:
    pair = with_another_number(question)
    assert pair is not None
    assert (pair[1].stem, pair[1].context) == (stem, context)
    assert pair[1].options[pair[1].answer or 0] == answer


@pytest.mark.parametrize(
    "question",
    [
        Question("What is 7 plus 5?", ["11", "12"], answer="11"),
        Question("What is 7 plus 5 plus 1?", ["13", "12"], answer="13"),
        Question("How many legs has a spider?", ["8", "6"], answer="8"),
        Question("How heavy?", ["12 kg", "15 kg"], context="12 kg, not 15 kg.", answer=0),
        Question("What is 1.5 plus 2?", ["3", "4"], answer="3"),
    ],
)
def test_no_number_is_changed_where_the_answer_would_not_be_known(question: Question) -> None:
    assert with_another_number(question) is None


# multiverse and consensus


TWO_WAYS = [Template("{stem}\n{options}", name="plain"), Template("Say: {stem}\n{options}", name="say")]


def test_worst_and_median_configuration_and_shares() -> None:
    def respond(p: Presentation) -> Sequence[float]:
        inner = controls.wrong_oracle() if p.template.name == "say" and p.order[0] != 0 else controls.oracle()
        return inner.respond(p)

    made = multiverse(Control("odd", respond), BANK, templates=TWO_WAYS)
    assert made.measure == "accuracy"
    assert made.prompts == 16 * 2 * 3 * 2
    scores = {one.name: float(one.score.low) for one in made.configurations}
    assert sorted(scores.values()) == [0.0] * 4 + [1.0] * 8
    assert (made.median, made.worst.score.low, made.best.score.low) == (1.0, 0.0, 1.0)
    assert all(("say" in name and "as written" not in name) == (score == 0) for name, score in scores.items())
    assert made.shares is not None
    assert made.shares.form is not None
    assert made.shares.order is not None
    assert made.shares.form + made.shares.order == pytest.approx(1)
    assert made.shares.replicate is None
    assert "worst: 0.000 (say, " in str(made)


def test_without_a_key_the_consensus_counts() -> None:
    noisy = multiverse(controls.noisy(0.2), NO_KEY, templates=TWO_WAYS)
    assert noisy.measure == "agreement with the consensus"
    assert 0.6 < float(noisy.median) < 1
    first = multiverse(controls.always_first(), NO_KEY, templates=TWO_WAYS)
    assert {one.answer for one in first.consensus.values()} == {None}, "three orders, four votes each"
    assert (float(first.worst.score.low), float(first.worst.score.high)) == (0, 1)
    for bad in ({"orders": ["sideways"]}, {"templates": TWO_WAYS[:1], "orders": ["reversed"], "label_sets": ["ABCD"]}):
        with pytest.raises(UsageError):
            multiverse(controls.oracle(), BANK, **bad)


def test_consensus_by_hand() -> None:
    one, two = (AnswerDistribution.chosen(content, 3) for content in (1, 2))
    lost, refused = AnswerDistribution.nothing(3, "unparsed"), AnswerDistribution.nothing(3, "refused")
    found = consensus([one, one, two, refused], 1e-4)
    assert (found.answer, found.margin, found.n_open) == (1, 0.25, 0)
    assert found.support == pytest.approx(2 / 3)
    assert found.off == (2, 3)
    assert consensus([one, one, two, lost], 1e-4).answer is None, "the lost answer could make it a draw"
    assert consensus([one, two], 1e-4).answer is None


def test_rewording_is_a_form_too() -> None:
    assert decompose(controls.prompt_sensitive(), BANK, under=Reword(TWO_WAYS)).consistency is not None


def test_the_examples_pass(pytester: pytest.Pytester) -> None:
    example = Path(__file__).parents[2] / "examples" / "test_surveys.py"
    pytester.runpytest("-p", "no:cacheprovider", example).assert_outcomes(passed=8)
