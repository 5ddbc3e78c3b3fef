"""Answers that are open: every metric keeps what they may have been, and no more, against all that they may have been."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Sequence

import pytest

from pytest_llminvariance import Finding, Question, Reorder, Verdict, check
from pytest_llminvariance.checks.evidence import Evidence
from pytest_llminvariance.checks.finding import pooled_effect
from pytest_llminvariance.checks.guards import mass_guard
from pytest_llminvariance.checks.properties.base import Plan
from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.measures.metrics import METRICS, Ends, Interval, range_between, trait_shift
from pytest_llminvariance.models.probes import Probe
from pytest_llminvariance.models.protocol import (
    Capability,
    LabelReply,
    MissingReply,
    OptionReply,
    Reply,
    Request,
    sent_digest,
)
from pytest_llminvariance.transforms.designs import Design

SCALE = (1.0, 2.0, 4.0)
MISSING = AnswerDistribution.nothing(3, "missing")
NAN = math.nan


def known(score: float) -> AnswerDistribution:
    """An answer with this expected score, as probabilities of the two ends of the scale."""
    share = (score - SCALE[0]) / (SCALE[-1] - SCALE[0])
    return AnswerDistribution.from_probabilities([1 - share, 0, share], range(3))


def completions(answers: Sequence[AnswerDistribution], grid: Sequence[float]) -> list[list[AnswerDistribution]]:
    sides = [[answer] if answer.is_known else [known(score) for score in grid] for answer in answers]
    return [list(row) for row in itertools.product(*sides)]


@pytest.mark.parametrize("name", ["score_gap", "score_shift"])
@pytest.mark.parametrize("n_open", [1, 2, 3])
@pytest.mark.parametrize("n_known", [0, 1, 2, 3, 4])
def test_scores_of_open_answers_are_bounded_by_what_they_may_have_been(name: str, n_open: int, n_known: int) -> None:
    chance = random.Random(7 * n_open + n_known)
    for _ in range(3):
        scores = [round(chance.uniform(*SCALE[::2]), 3) for _ in range(n_known)]
        answers = [*map(known, scores), *[MISSING] * n_open]
        chance.shuffle(answers)
        if len(answers) < 2:
            continue
        found = METRICS[name].measure(answers, SCALE, 1e-4)
        grid = sorted({*SCALE, *scores, 3.0})
        values = [float(METRICS[name].measure(row, SCALE, 1e-4).low) for row in completions(answers, grid)]
        assert (float(found.low), float(found.high)) == pytest.approx((min(values), max(values)))


def test_a_half_known_pair_is_open_by_its_own_worst_case() -> None:
    found = METRICS["score_gap"].measure([known(2.0), MISSING], SCALE, 1e-4)
    assert (found.low, found.high) == pytest.approx((0, 2 / 3))
    found = METRICS["score_gap"].measure([known(1.0), known(4.0), MISSING], SCALE, 1e-4)
    assert (found.low, found.high) == pytest.approx((2 / 3, 2 / 3)), "it lies between them, wherever it lies"


def shift(rows: dict[str, list[list[float]]], span: float) -> float:
    """The largest move of a trait's mean, written again from its definition."""
    means = [[sum(column) / len(column) for column in zip(*items, strict=True)] for items in rows.values()]
    return float(max(max(row) - min(row) for row in means) / span)


def test_trait_shift_is_bounded_by_all_that_the_open_cells_may_be() -> None:
    chance = random.Random(3)
    grid = [1.0, 1.75, 2.5, 3.25, 4.0]
    for _ in range(12):
        n_forms, sizes = chance.choice([2, 3]), {"calm": 2, "order": 1}
        cells = [(t, i, f) for t, n in sizes.items() for i in range(n) for f in range(n_forms)]
        value = {cell: round(chance.uniform(1, 4), 2) for cell in cells}
        unknown = chance.sample(cells, 3)

        def rows(completed: dict[tuple[str, int, int], float]) -> dict[str, list[list[float]]]:
            return {t: [[completed[t, i, f] for f in range(n_forms)] for i in range(n)] for t, n in sizes.items()}  # noqa: B023

        ends: dict[str, list[list[Ends]]] = {
            t: [
                [(1.0, 4.0) if (t, i, f) in unknown else (value[t, i, f],) * 2 for f in range(n_forms)]
                for i in range(n)
            ]
            for t, n in sizes.items()
        }
        found = trait_shift(ends, 3.0)
        values = [
            shift(rows({**value, **dict(zip(unknown, row, strict=True))}), 3.0)
            for row in itertools.product(grid, repeat=3)
        ]
        assert float(found.high) == pytest.approx(max(values)), "the largest stands at the ends"
        assert float(found.low) <= min(values) + 1e-9
        assert min(values) - float(found.low) < 0.13, "and the smallest between points of the grid"


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_the_range_of_open_values(n: int) -> None:
    chance = random.Random(n)
    for _ in range(30):
        ends = [tuple(sorted(chance.choices(range(5), k=2))) for _ in range(n)]
        values = [max(row) - min(row) for row in itertools.product(*(range(a, b + 1) for a, b in ends))]
        assert range_between([(float(a), float(b)) for a, b in ends]) == (min(values), max(values))


def survey(n: int, k: int = 5) -> list[Question]:
    return [
        Question(
            f"I like {i}.", [f"{c}-{i}" for c in range(k)], id=f"i{i}", scores=range(1, k + 1), attributes={"trait": t}
        )
        for i in range(n)
        for t in ["calm" if i % 2 else "open"]
    ]


class Losing:
    """Moves with every second question's order, and loses the first `loses` questions as written."""

    name, fingerprint = "losing", "losing"
    capabilities: frozenset[Capability] = frozenset({"label", "option"})

    def __init__(self, loses: int, value: Sequence[float] | None = None) -> None:
        self.loses, self.value = loses, value

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        p = request.presentation
        number = int("0" + "".join(filter(str.isdigit, p.question.stem)))
        best = (number + (p.order[0] != 0) * (number % 2)) % len(p.order)
        values = [math.log(0.96 if content == best else 0.01) for content in p.order]
        sent = sent_digest(request.messages)
        if number < self.loses and p.order[0] == 0:
            if self.value is None:
                return MissingReply("time-out", sent)
            values = list(self.value) * len(p.order)
        if request.capability == "label":
            return LabelReply(tuple(values[: len(p.order)]), sent)
        return OptionReply(tuple(values[: len(p.order)]), (1,) * len(p.order), sent)


def shifted(model: Losing, n: int = 40, metric: str = "trait_shift") -> Finding:
    return check(Reorder("reversed"), model, survey(n), tolerance=0.3, metric=metric)


def test_one_open_answer_of_many_widens_a_trait_by_its_own_worst_case() -> None:
    whole = shifted(Losing(0))
    assert whole.effect.is_exact
    part = shifted(Losing(2))
    n_open = sum("missing" in effect.causes for effect in part.per_question)
    assert 1 <= n_open < 10
    assert part.effect.low <= whole.effect.low <= part.effect.high
    assert float(part.effect.high) - float(part.effect.low) <= 2 * n_open / 20 + 1e-9, "at most the share of its trait"


def test_open_forms_in_a_pooled_effect_against_all_that_they_may_have_been() -> None:
    questions = survey(3, 3)
    shown = [list(Reorder("cyclic").orbit(question)) for question in questions]
    picks = [[0, 1, 2], [2, 2, 0], [1, 1, 1]]
    missing = [(0, 0), (2, 1)]

    def evidence(filled: dict[tuple[int, int], int | None]) -> list[Evidence]:
        found = []
        for i, question in enumerate(questions):
            row = [filled.get((i, f), picks[i][f]) for f in range(3)]
            answers = tuple(MISSING if c is None else AnswerDistribution.chosen(c, 3) for c in row)
            plan = Plan(question, tuple(map(Probe, shown[i])), "", "", (0, 1, 2))
            found.append(Evidence(plan, answers, ("",) * 3))
        return found

    for name in ("trait_shift", "position_bias"):
        got = pooled_effect(evidence(dict.fromkeys(missing)), METRICS[name])
        every = [
            pooled_effect(evidence(dict(zip(missing, row, strict=True))), METRICS[name])
            for row in itertools.product(range(3), repeat=2)
        ]
        assert all(one.is_exact for one in every)
        assert float(got.low) <= min(float(one.low) for one in every)
        assert float(got.high) >= max(float(one.high) for one in every)
        assert float(got.high) - float(got.low) < 1, name
    assert float(pooled_effect(evidence(dict.fromkeys(missing)), METRICS["trait_shift"]).high) == pytest.approx(
        max(float(pooled_effect(evidence(dict(zip(missing, row, strict=True))), METRICS["trait_shift"]).high)
            for row in itertools.product(range(3), repeat=2))
    )  # fmt: skip


PAIRS = ("flip_rate", "disagreement", "tv", "js_distance", "score_gap", "score_shift")


@pytest.mark.parametrize(
    "broken",
    [
        AnswerDistribution.from_label_logprobs([NAN, -1.0, -1.0], range(3)),
        AnswerDistribution.from_option_scores([-1.0, NAN, -1.0], range(3)),
        AnswerDistribution.from_option_scores([-math.inf] * 3, range(3)),
        AnswerDistribution.from_probabilities([0.5, NAN, 0.1], range(3)),
        MISSING,
    ],
    ids=["label", "option", "no option at all", "probabilities", "missing"],
)
def test_what_is_no_number_is_no_answer_under_every_metric(broken: AnswerDistribution) -> None:
    assert (broken.is_known, broken.mass) == (False, None)
    for name in PAIRS:
        found = METRICS[name].measure([known(1.0), broken], SCALE, 1e-4)
        assert found == Interval(0, 1), name
    for name, metric in METRICS.items():
        found = metric.measure([known(1.0), known(2.0), broken, known(1.0)], SCALE, 1e-4)
        assert metric.least <= found.low < found.high <= 1, name
    guard = mass_guard([broken, broken])
    assert (guard.passed, guard.text) == (None, "mass on options not checked: no answer came")
    assert mass_guard([broken, known(1.0)]).text == "mean mass on the options 1.000 (at least 0.5, over 1 of 2 answers)"


@pytest.mark.parametrize("metric", [*PAIRS, "position_bias", "trait_shift"])
@pytest.mark.parametrize("readout", ["label", "option"])
@pytest.mark.parametrize("value", [NAN, -math.inf])
def test_a_model_that_gives_no_numbers_never_holds(metric: str, readout: str, value: float) -> None:
    """NaN compared as 0 under `js_distance` and `score_shift`, and as a mass of 1."""
    orders: Design = "cyclic" if metric == "position_bias" else "reversed"
    finding = check(Reorder(orders), Losing(97, [value]), survey(12, 3), tolerance=0.3, metric=metric, readout=readout)
    if readout == "option" or math.isnan(value):
        assert finding.effect.high > finding.tolerance
    assert finding.verdict is not Verdict.HOLDS
    assert not any(guard.name == "mass on options" and "1.000 (at least 0.5)" in guard.text for guard in finding.guards)
