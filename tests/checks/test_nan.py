"""Numbers that are none: NaN is a missing answer wherever it comes from, never HOLDS, BROKEN or a traceback."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance import (
    Presentation,
    Question,
    Questionnaire,
    Verdict,
    assert_order_symmetric,
    check,
    controls,
    load_model,
)
from pytest_llminvariance.checks.verdict import Finding, UndecidedError
from pytest_llminvariance.cli.selftest import _bank, _items
from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.measures.metrics import METRICS, UNKNOWN, Interval
from pytest_llminvariance.models.protocol import LabelReply, MissingReply, OptionReply, Reply, Request, request_for
from pytest_llminvariance.models.replay import AnswerWriter
from pytest_llminvariance.models.symmetrized import symmetrized

COMPARING = sorted(
    {name for name, metric in METRICS.items() if not metric.own} - {"excess_disagreement", "position_bias"}
)
"""Metrics of any plan; the others have a test of their own."""


def suite(metric: str) -> Sequence[Question]:
    likert: Questionnaire = _items()
    return likert.questions if METRICS[metric].needs_scores else _bank()


@pytest.mark.parametrize("share", [1.0, 0.5])
@pytest.mark.parametrize("property", ["option_order", "labels", "layout", "batch"])
@pytest.mark.parametrize("metric", COMPARING)
def test_a_content_fixed_model_with_nan_is_undecided_by_every_metric(metric: str, property: str, share: float) -> None:
    options: dict[str, Any] = {"orders": "cyclic"} if property == "option_order" else {}
    readout = "option" if property == "layout" else "label"
    finding = check(
        property, controls.nan_scores(share), suite(metric), tolerance=0.05, metric=metric, readout=readout, **options
    )
    assert finding.verdict is Verdict.UNDECIDED, (finding.effect, finding.guards)
    assert all(0 <= end <= 1 for end in (finding.effect.low, finding.effect.high))
    said = repr([finding.reasons, finding.guards])
    assert "NaN" not in said.replace("gave NaN for the option at position", "")  # as the cause, and never as a number


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_position_bias_and_excess_too(share: float) -> None:
    model = controls.nan_scores(share)
    by_place = check("option_order", model, _bank(), tolerance=0.05, metric="position_bias", orders="cyclic")
    assert by_place.verdict is Verdict.UNDECIDED
    sampled = check("option_order", model, _bank()[:3], tolerance=0.05, samples=2, orders="cyclic")
    assert sampled.verdict is Verdict.UNDECIDED


@pytest.mark.parametrize("metric", ["flip_rate", "tv", "js_distance", "score_gap", "score_shift"])
def test_nan_hides_no_change_that_is_certain(metric: str) -> None:
    class Lost:
        name = fingerprint = "lost"
        capabilities = controls.always_first().capabilities

        def answer(self, requests: Sequence[Request]) -> list[Reply]:
            return [self._one(request) for request in requests]

        def _one(self, request: Request) -> Reply:
            (reply,) = controls.always_first().answer([request])
            assert isinstance(reply, LabelReply)
            lost = int(reply.sent_sha256[:2], 16) < 26
            return LabelReply((math.nan,) * len(reply.logprobs_nats), reply.sent_sha256) if lost else reply

    questions = [Question(f"Agree with {n}?", list("vwxyz"), scores=range(1, 6)) for n in range(8)]
    finding: Finding = check("option_order", Lost(), questions, tolerance=0.05, metric=metric, orders="cyclic")
    assert finding.verdict is Verdict.BROKEN or metric == "js_distance", finding.effect
    assert finding.verdict is not Verdict.HOLDS


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("build", ["from_label_logprobs", "from_option_scores", "from_probabilities"])
def test_a_distribution_with_a_value_that_is_no_number_is_missing(build: str, bad: float) -> None:
    made: AnswerDistribution = getattr(AnswerDistribution, build)([bad, 0.5 if "prob" in build[-13:] else -1.0], [0, 1])
    assert made == AnswerDistribution.nothing(2, "missing")
    assert made.outcomes(1e-4)
    fixed = AnswerDistribution.chosen(0, 2)
    for name in COMPARING:
        if not METRICS[name].pooled:
            ends = METRICS[name].measure([fixed, made], [1.0, 2.0], 1e-4)
            assert ends == UNKNOWN or (name, ends) == ("score_shift", Interval(0.0, 1.0)), name


def test_options_that_cannot_be_said_at_all_are_missing() -> None:
    assert AnswerDistribution.from_option_scores([-math.inf] * 3, [0, 1, 2]).status == "missing"
    assert AnswerDistribution.from_label_logprobs([-math.inf] * 3, [0, 1, 2]).other == 1.0
    assert AnswerDistribution.from_probabilities([-0.5, 1.0], [0, 1]).status == "missing"
    assert AnswerDistribution.from_probabilities([0.0, 1.0], [0, 1]).probabilities == (0.0, 1.0)


@pytest.mark.parametrize("readout", ["label", "option"])
def test_an_average_over_nan_is_missing(readout: str) -> None:
    request = request_for(Presentation(_bank()[0]), readout)
    (averaged,) = symmetrized(controls.nan_scores(0.2), "cyclic").answer([request])
    assert isinstance(averaged, MissingReply)
    assert "NaN" in averaged.reason


def test_nan_is_not_written_into_recorded_answers(tmp_path: Path) -> None:
    model = AnswerWriter(controls.nan_scores(0.5), tmp_path / "answers.jsonl")
    with pytest.raises(UndecidedError, match="missing"):
        assert_order_symmetric(model, _bank())
    assert "NaN" not in (tmp_path / "answers.jsonl").read_text()
    again = check("option_order", load_model(f"replay:{tmp_path / 'answers.jsonl'}"), _bank(), tolerance=0.05)
    assert again.verdict is Verdict.UNDECIDED


def test_what_is_written_is_unreadable_and_no_answer() -> None:
    finding = check("option_order", controls.nan_scores(), _bank(), tolerance=0.05, readout="text")
    assert finding.verdict is Verdict.UNDECIDED
    assert set(finding.details["readings"]) == {"unparsed: no answer"}


def test_a_reply_of_options_may_hold_nan_in_one_place() -> None:
    values = (-1.0, math.nan, -2.0)
    assert (
        AnswerDistribution.from_option_scores(OptionReply(values, (1, 1, 1), "s").mean_logprobs_nats, [2, 0, 1]).status
        == "missing"
    )
