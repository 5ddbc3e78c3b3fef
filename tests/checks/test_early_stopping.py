"""Checks that stop early: what is asked, in which order, at which risk, and what the finding says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance import Finding, Model, Question, UsageError, Verdict, check, controls, run
from pytest_llminvariance.checks.properties.invariance import OptionOrder
from pytest_llminvariance.checks.run import current_run
from pytest_llminvariance.checks.verdict import Decision
from pytest_llminvariance.measures.asking_order import asking_order, draw_order
from pytest_llminvariance.models.controls import Control
from pytest_llminvariance.models.protocol import MissingReply, Reply, Request
from pytest_llminvariance.report.failure import failure_message
from tests.calibration.suites import SUITE_CELLS, SuiteCell, flipping, just_above, run_suites

LIMIT = 0.1
"""The first check of an item gets half of it."""


def bank(n: int, **more: Any) -> list[Question]:
    return [Question(f"Which is number {i}?", [f"a{i}", f"b{i}", f"c{i}"], answer=i % 3, **more) for i in range(n)]


class Counting:
    """A control that notes which questions it was asked."""

    deterministic = True

    def __init__(self, inner: Control) -> None:
        self.inner = inner
        self.asked: list[str] = []
        self.name, self.fingerprint, self.capabilities = inner.name, inner.fingerprint, inner.capabilities

    def answer(self, requests: Sequence[Request]) -> Sequence[Reply]:
        self.asked += [request.presentation.question.stem for request in requests]
        return self.inner.answer(requests)


def early(model: Model, questions: list[Question], **more: Any) -> Finding:
    with run(seed=more.pop("seed", 0), risk_limit=more.pop("risk_limit", LIMIT)):
        return check("option_order", model, questions, **{"tolerance": 0.05, **more})


def decision_of(found: Finding) -> Decision:
    assert found.decision is not None
    return found.decision


def test_both_verdicts_stop_early_and_agree_with_everything() -> None:
    for model, verdict in ((controls.oracle(), Verdict.HOLDS), (controls.always_first(), Verdict.BROKEN)):
        found, whole = early(model, bank(300)), check("option_order", model, bank(300), tolerance=0.05)
        assert found.verdict is whole.verdict is verdict
        assert decision_of(found).method == "sequential"
        assert found.questions_asked < whole.questions_asked == 300
        assert decision_of(found).alpha == LIMIT / 2
        assert found.risk_limit == LIMIT
        lower, upper = decision_of(found).lower, decision_of(found).upper
        assert lower is not None
        assert upper is not None
        assert lower <= whole.effect.low <= upper
        assert not found.is_exact
        assert whole.is_exact


class ForAnyone(OptionOrder):
    """Says something of models that know nothing, too."""

    name = "order_for_anyone"
    needs_accuracy = False


def test_holds_waits_for_the_guards_of_its_finding_and_no_others() -> None:
    """A property that needs no accuracy was asked in full where the model knows nothing, as the others are."""
    for made, method, verdict in (
        (ForAnyone(), "sequential", Verdict.HOLDS),
        (OptionOrder(), "exhaustive", Verdict.UNDECIDED),
    ):
        with run(risk_limit=LIMIT):
            found = check(made, controls.wrong_oracle(), bank(300), tolerance=0.05)
        assert (decision_of(found).method, found.verdict) == (method, verdict)
        assert [guard.passed for guard in found.guards if guard.name == "accuracy"] == (
            [] if verdict is Verdict.HOLDS else [False]
        )


def test_without_a_limit_everything_is_asked_and_nothing_is_spent() -> None:
    found = check("option_order", controls.oracle(), bank(300), tolerance=0.05)
    assert found.questions_asked == 300
    assert decision_of(found).method == "exhaustive"
    assert decision_of(found).alpha == 0
    assert found.risk_limit is None


def test_a_small_suite_is_asked_whole_and_then_exact() -> None:
    found = early(controls.oracle(), bank(3), tolerance=0.04)
    assert found.verdict is Verdict.HOLDS
    assert found.questions_asked == found.questions_planned == 3
    assert decision_of(found).method == "exhaustive"
    assert decision_of(found).alpha == LIMIT / 2, "it could have stopped, so its share is spent"
    assert found.is_exact


def test_what_is_certain_says_so() -> None:
    """One flip in 20 is tolerated, so after 19 without one the last cannot matter."""
    found = early(controls.oracle(), bank(20))
    assert found.questions_asked == 19
    assert decision_of(found).log_e_holds == 1e9
    assert "certain" in failure_message(found, None)


def test_a_constant_model_is_undecided_early() -> None:
    found = early(controls.stem_blind(), [Question(q.stem, q.options) for q in bank(300)])
    assert found.verdict is Verdict.UNDECIDED
    assert found.questions_asked < 300
    assert "reads the question" in found.reasons[0]


def test_a_guessing_model_does_not_hold() -> None:
    """Accuracy is looked at where HOLDS would stop and at the end, not at every question in between."""
    found = early(controls.wrong_oracle(), bank(120))
    assert found.verdict is Verdict.UNDECIDED
    assert any("no better than guessing" in reason for reason in found.reasons)


def test_checks_of_one_run_share_its_limit() -> None:
    with run(risk_limit=LIMIT):
        found = [check("option_order", controls.oracle(), bank(200), tolerance=0.05) for _ in range(3)]
    alphas = [decision_of(one).alpha for one in found]
    assert alphas[0] == LIMIT / 2
    assert alphas[1:] == [LIMIT / 6, LIMIT / 12]


def test_the_order_of_asking_is_the_key_and_nothing_else() -> None:
    model = Counting(controls.oracle())
    early(model, bank(300))
    first = list(dict.fromkeys(model.asked))
    backwards = Counting(controls.oracle())
    early(backwards, bank(300)[::-1])
    hashes = [question.content_hash for question in bank(300)]
    order = asking_order(0, model.fingerprint, hashes)
    planned = [bank(300)[index].stem for index in order]
    asked = [stem for stem in first if stem in planned]
    assert set(asked[:4]) == set(planned[:4])
    found, again = early(controls.oracle(), bank(300)), early(controls.oracle(), bank(300)[::-1])
    assert found.decision == again.decision
    assert {part.question for part in found.per_question} == {part.question for part in again.per_question}


def test_another_seed_asks_others_and_copies_do_not_stay_together() -> None:
    hashes = [f"{number}" for number in range(100)]
    assert asking_order(0, "w", hashes) != asking_order(1, "w", hashes)
    assert asking_order(0, "w", hashes) != asking_order(0, "v", hashes)
    copies = asking_order(0, "w", ["same"] * 50 + hashes[:50])
    places = [place for place, index in enumerate(copies) if index < 50]
    assert max(places) - min(places) > 60, "copies are spread"
    assert sorted(copies) == list(range(100))


def test_draws_are_even_and_repeat() -> None:
    draws = draw_order(3, "w", 7, 7_000)
    assert draws == draw_order(3, "w", 7, 7_000)
    counts = [draws.count(index) for index in range(7)]
    assert min(counts) > 880
    assert max(counts) < 1120


def test_remembered_answers_do_not_move_the_order() -> None:
    """Asked before: the good half. The finding is that of a cold start."""
    cold = early(flipping(), just_above(200), orders="reversed")
    with run(risk_limit=LIMIT) as made:
        assert made.risk is not None
        made.risk.limit = None
        good = [question for question in just_above(200) if not question.attributes["flips"]]
        check("option_order", flipping(), good, tolerance=0.05, orders="reversed")
        made.risk.limit = LIMIT
        made.risk.begin()
        warm = check("option_order", flipping(), just_above(200), tolerance=0.05, orders="reversed")
    strip = ("tokens",)
    assert {k: v for k, v in warm.to_json().items() if k not in strip and k != "guards"} == {
        k: v for k, v in cold.to_json().items() if k not in strip and k != "guards"
    }


@pytest.mark.parametrize("cell", SUITE_CELLS, ids=lambda cell: cell.name)
def test_suites_at_the_boundary_in_short(cell: SuiteCell) -> None:
    """40 whole checks just above the tolerance; `python -m tests.calibration` does 400."""
    assert run_suites(cell, 40) <= 7, "at most 5% wrong is promised; 8 of 40 is less likely than 1 in 1,000"


def test_answers_that_are_all_there_make_it_exact() -> None:
    with run(risk_limit=LIMIT) as made:
        assert made.risk is not None
        made.risk.limit = None
        model = controls.oracle()
        check("option_order", model, bank(200), tolerance=0.05)
        made.risk.limit = LIMIT
        found = check("option_order", model, bank(200), tolerance=0.05)
    assert decision_of(found).method == "exhaustive"
    assert decision_of(found).note == "all answers were there already"
    assert decision_of(found).alpha == 0


class Silent(Counting):
    """Gives no answer to some questions: they may be anything, so they never help HOLDS."""

    def answer(self, requests: Sequence[Request]) -> Sequence[Reply]:
        found = self.inner.answer(requests)
        silent = [request.presentation.question.stem.endswith("1?") for request in requests]
        return [MissingReply("gone") if quiet else reply for quiet, reply in zip(silent, found, strict=True)]


def test_missing_answers_never_help_either_side() -> None:
    found = early(Silent(controls.oracle()), bank(300))
    assert found.verdict is Verdict.UNDECIDED
    assert found.questions_asked == 300


def test_a_second_seed_is_noticed(tmp_path: Path) -> None:
    def found(seed: int) -> Finding:
        with run(seed=seed, risk_limit=LIMIT, cache=tmp_path):
            return check("option_order", controls.oracle(), bank(200), tolerance=0.05)

    first, again, other, back = found(3), found(3), found(4), found(3)
    assert {decision_of(one).method for one in (first, again, back)} == {"sequential"}
    assert json.dumps(first.to_json()) == json.dumps(again.to_json()) == json.dumps(back.to_json())
    assert decision_of(other).method == "exhaustive"
    assert "second one for this suite (first 3)" in decision_of(other).note
    assert (tmp_path / "seeds.jsonl").is_file()


def test_another_suite_or_metric_is_no_second_seed(tmp_path: Path) -> None:
    with run(seed=3, risk_limit=LIMIT, cache=tmp_path):
        check("option_order", controls.oracle(), bank(200), tolerance=0.05)
    with run(seed=4, risk_limit=LIMIT, cache=tmp_path):
        other = check("option_order", controls.oracle(), bank(201), tolerance=0.05)
    assert decision_of(other).method == "sequential"


def test_pooled_metrics_and_single_questions_ask_everything() -> None:
    found = early(controls.oracle(), bank(200), metric="position_bias")
    assert decision_of(found).method == "exhaustive"
    assert "position_bias is decided on everything" in decision_of(found).note
    assert decision_of(early(controls.oracle(), bank(1))).method == "exhaustive"


def test_a_population_is_never_exact() -> None:
    questions = [
        Question(q.stem, q.options, answer=q.answer, attributes={"cluster": number // 3})
        for number, q in enumerate(bank(240))
    ]
    found = early(controls.oracle(), questions, claim="population", tolerance=0.2)
    assert found.verdict is Verdict.HOLDS
    assert found.claim == "population"
    assert decision_of(found).method == "sequential"
    assert decision_of(found).n_planned == 80
    assert found.questions_asked == 3 * decision_of(found).n
    small = early(controls.oracle(), questions[:9], claim="population", tolerance=0.2)
    assert small.verdict is Verdict.UNDECIDED
    assert "would take about" in small.reasons[0]


def test_unequal_clusters_are_weighted_by_questions() -> None:
    """One cluster of 30 that flips among 300 single ones that do not: 9% of questions, 0.3% of clusters."""
    good, bad = just_above(1000)[:300], just_above(1000)[-30:]
    questions = [*good, *(Question(q.stem, q.options, attributes={**q.attributes, "cluster": "bad"}) for q in bad)]
    found = early(flipping(), questions, claim="population", orders="reversed", risk_limit=0.5)
    assert found.verdict is not Verdict.HOLDS


def test_a_claim_about_all_orders_from_samples_of_them() -> None:
    for model, tolerance, verdict in (
        (controls.oracle(), 0.2, Verdict.HOLDS),
        (controls.always_first(), 0.05, Verdict.BROKEN),
    ):
        found = early(model, bank(60), claim="orbit", orders="sample", n=2, tolerance=tolerance)
        assert found.verdict is verdict
        assert decision_of(found).method == "sequential"
        assert decision_of(found).n_planned == 240


def test_claims_and_samples_are_checked() -> None:
    cases = (
        ({"claim": "world"}, "must be one of suite, orbit, population"),
        ({"samples": 0}, "must be a whole number from 1"),
        ({"samples": 3, "metric": "flip_rate"}, "excess_disagreement"),
        ({"metric": "excess_disagreement"}, "give samples=3"),
        ({"samples": 3, "claim": "population"}, "goes with claim='suite'"),
        ({"claim": "orbit"}, "orders='sample'"),
        ({"claim": "population", "metric": "position_bias"}, "pools all questions"),
        ({"samples": 3, "readout": "label"}, "nothing is sampled"),
    )
    for given, words in cases:
        with pytest.raises(UsageError, match=words):
            early(controls.oracle(), bank(5), **given)


def test_a_check_without_a_share_cannot_draw() -> None:
    with run(risk_limit=LIMIT) as made:
        assert made.risk is not None
        made.risk.share = 0.0
        with pytest.raises(UsageError, match="no share of the risk limit"):
            check("option_order", controls.oracle(), bank(20), tolerance=0.05, samples=3)


def test_risk_limits_are_checked() -> None:
    bad: Any
    for bad in (0, -0.1, 0.6, True, "x"):
        with pytest.raises(UsageError, match="risk_limit"), run(risk_limit=bad):
            pass
    assert current_run.get().risk is None
