"""Random answers: what repeated asking alone changes is no fault of the property."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest

from pytest_llminvariance import (
    Finding,
    InvarianceError,
    Model,
    Question,
    Verdict,
    assert_order_symmetric,
    check,
    controls,
    run,
)  # fmt: skip
from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.measures.metrics import excess_disagreement, of_all_orders
from pytest_llminvariance.models.cache_rows import row_key
from pytest_llminvariance.models.protocol import Capability, Draw, Reply, Request, TextReply, TextRequest
from pytest_llminvariance.questions.presentation import Presentation


def bank(n: int) -> list[Question]:
    return [Question(f"Which is number {i}?", [f"a{i}", f"b{i}", f"c{i}"], answer=i % 3) for i in range(n)]


def sampled(model: Model, n: int = 30, seed: int = 0, tolerance: float = 0.1, **more: Any) -> Finding:
    with run(seed=seed, risk_limit=0.1):
        return check("option_order", model, bank(n), tolerance=tolerance, orders="cyclic", samples=3, **more)


def test_an_order_blind_sampler_holds() -> None:
    found = sampled(controls.oracle())
    assert found.verdict is Verdict.HOLDS
    assert found.metric == "excess_disagreement"
    assert found.readout == "text"
    assert found.decision is not None
    assert found.decision.n < found.decision.n_planned == 120


def test_a_planted_bias_is_broken() -> None:
    found = sampled(controls.always_first())
    assert found.verdict is Verdict.BROKEN
    assert found.details["majority_flips"] == found.details["majority_pairs"] > 0
    assert found.details["root_of_excess"] == pytest.approx(math.sqrt(found.effect.low))
    assert found.example is not None
    assert found.example.before.answer != found.example.after.answer


@pytest.mark.parametrize("design", ["cyclic", "all"])
def test_an_example_of_sampled_answers_is_another_presentation(design: Any) -> None:
    """The prompt as written, drawn again, is nearer than all others and shows nothing."""
    with run(seed=0), pytest.raises(InvarianceError) as caught:
        assert_order_symmetric(
            controls.always_first(), bank(8), samples=3, metric="excess_disagreement", orders=design, tolerance=0.05
        )
    assert caught.value.finding is not None
    example = caught.value.finding.example
    assert example is not None
    assert example.before.order != example.after.order


def test_an_order_blind_sampler_is_not_broken_at_tolerance_zero() -> None:
    """Each of 40 seeds may be wrong with probability 0.05; 8 would be less likely than 1 in 1,000."""
    wrong = sum(
        sampled(controls.oracle(), n=10, seed=seed, tolerance=0.0).verdict is Verdict.BROKEN for seed in range(40)
    )
    assert wrong <= 7


def written(model: Model, requests: Sequence[Request]) -> list[str]:
    texts = []
    for reply in model.answer(requests):
        assert isinstance(reply, TextReply)
        texts.append(reply.text)
    return texts


def test_draws_of_one_prompt_differ_and_repeat() -> None:
    model, shown = controls.uniform(), Presentation(bank(1)[0])
    ask = [TextRequest(shown, draw=Draw(seed, index)) for seed in (0, 1) for index in range(60)]
    texts = written(model, ask)
    assert texts == written(model, ask)
    assert texts[:60] != texts[60:]
    assert {texts[:60].count(label) for label in "ABC"} <= set(range(8, 35))


def test_a_sampler_draws_by_its_probabilities() -> None:
    model, shown = controls.always_first(), Presentation(bank(1)[0])
    texts = written(model, [TextRequest(shown, draw=Draw(0, index)) for index in range(2000)])
    assert texts.count("A") / 2000 == pytest.approx(0.9, abs=0.03)


def test_every_draw_has_a_place_of_its_own_in_the_cache() -> None:
    shown = Presentation(bank(1)[0])
    asked = [TextRequest(shown)] + [
        TextRequest(shown, draw=Draw(s, i, t)) for s in (0, 1) for i in (0, 1) for t in (1.0, 0.5)
    ]
    keys = [row_key("weights", request) for request in asked]
    assert None not in keys
    assert len(set(keys)) == len(asked)


def test_no_two_draws_of_a_question_share_a_sample() -> None:
    asked: list[tuple[str, tuple[int, ...], Draw]] = []

    class Noting:
        name, fingerprint = "noting", "noting"
        capabilities: frozenset[Capability] = frozenset({"text"})

        def answer(self, requests: Sequence[Any]) -> Sequence[Reply]:
            asked.extend((r.presentation.question.stem, r.presentation.order, r.draw) for r in requests)
            return controls.uniform().answer(requests)

    sampled(Noting(), n=4, tolerance=0.3)
    planned = [entry for entry in asked if entry[0].startswith("Which is number")]
    assert max(draw.index for *_, draw in planned) >= 6, "questions were drawn more than once"
    by_prompt: dict[tuple[str, tuple[int, ...]], list[int]] = {}
    for stem, order, draw in planned:
        by_prompt.setdefault((stem, order), []).append(draw.index)
    assert all(len(rows) >= 3 for rows in by_prompt.values())


def chosen(*contents: int) -> tuple[AnswerDistribution, ...]:
    return tuple(AnswerDistribution.chosen(content, 3) for content in contents)


def test_excess_by_hand() -> None:
    metric = excess_disagreement(2)
    assert metric.least == -0.5
    cases = (
        (chosen(0, 0, 0, 0), Fraction(0)),
        (chosen(0, 0, 1, 1), Fraction(1)),
        (chosen(0, 1, 0, 1), Fraction(1, 2) - 1),
        (chosen(0, 0, 0, 1), Fraction(1, 2) - Fraction(1, 2)),
    )
    for answers, value in cases:
        found = metric.measure(answers, None, 0.0)
        assert (found.low, found.high) == (value, value)


def test_excess_is_zero_on_average_where_presentations_do_not_matter() -> None:
    """All outcomes of two presentations x two draws of a fair coin: the mean is exactly 0, and it is not clipped."""
    import itertools

    metric = excess_disagreement(2)
    values = [metric.measure(chosen(*row), None, 0.0).low for row in itertools.product((0, 1), repeat=4)]
    assert sum(values) == 0
    assert min(values) < 0


def test_unreadable_draws_leave_it_open() -> None:
    answers = (*chosen(0, 0, 1), AnswerDistribution.nothing(3, "unparsed"))
    found = excess_disagreement(2).measure(answers, None, 0.0)
    assert found.low < found.high


def test_disagreement_of_an_orbit_from_a_sample_is_unbiased() -> None:
    """All samples of 2 of the 5 other orders of three options: their mean is the disagreement of the whole orbit."""
    import itertools

    from pytest_llminvariance.measures.metrics import METRICS

    orbit = chosen(0, 0, 1, 2, 1, 0)
    whole = METRICS["disagreement"].measure(orbit, None, 0.0).low
    estimate = of_all_orders(METRICS["disagreement"]).measure
    values = [estimate((orbit[0], *others), None, 0.0).low for others in itertools.combinations(orbit[1:], 2)]
    assert sum(values) / len(values) == whole
    naive = [
        METRICS["disagreement"].measure((orbit[0], *o), None, 0.0).low for o in itertools.combinations(orbit[1:], 2)
    ]
    assert sum(naive) / len(naive) != whole, "the control: pairs of the sample alone are biased"
