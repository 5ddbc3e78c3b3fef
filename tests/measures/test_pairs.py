"""Pairs are counted by outcomes, and the counts are those of looking at every pair."""

from __future__ import annotations

import itertools
import random

import pytest

from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.measures.metrics import DELTA_NATS, METRICS, Pairs, excess_disagreement, flip, mean_interval


def answer(dice: random.Random) -> AnswerDistribution:
    kind = dice.random()
    if kind < 0.15:
        return AnswerDistribution.nothing(3, dice.choice(["refused", "missing", "unparsed"]))
    if kind < 0.4:
        return AnswerDistribution.chosen(dice.randrange(3), 3)
    return AnswerDistribution.from_label_logprobs([dice.choice([-1.0, -2.0]) for _ in range(3)], (0, 1, 2))


@pytest.mark.parametrize("seed", range(40))
def test_counting_is_pairing(seed: int) -> None:
    dice = random.Random(seed)
    answers = [answer(dice) for _ in range(2 * dice.randrange(1, 7))]
    flips = [flip(a, b, DELTA_NATS) for a, b in itertools.combinations(answers, 2)]
    assert METRICS["disagreement"].measure(answers, None, DELTA_NATS) == mean_interval(flips)
    found = Pairs.of(answers, DELTA_NATS)
    assert found == (sum(int(one.low) for one in flips), sum(int(one.high) for one in flips), len(flips))
    first = mean_interval([flip(answers[0], one, DELTA_NATS) for one in answers[1:]])
    assert METRICS["flip_rate"].measure(answers, None, DELTA_NATS) == first
    if len(answers) > 2:
        rows = [answers[start : start + 2] for start in range(0, len(answers), 2)]
        within = mean_interval([flip(row[0], row[1], DELTA_NATS) for row in rows])
        across = [flip(a, b, DELTA_NATS) for p, q in itertools.combinations(rows, 2) for a in p for b in q]
        between = mean_interval(across)
        value = excess_disagreement(2).measure(answers, None, DELTA_NATS)
        assert (value.low, value.high) == (max(-0.5, between.low - within.high), min(1, between.high - within.low))


@pytest.mark.parametrize("seed", range(20))
def test_an_answer_without_numbers_may_be_the_same(seed: int) -> None:
    dice = random.Random(seed)
    for one in [answer(dice) for _ in range(30)]:
        light = one.without_numbers(DELTA_NATS)
        assert light.outcomes(DELTA_NATS) == one.outcomes(DELTA_NATS)
        assert (light.status, light.reading, light.k) == (one.status, one.reading, one.k)
