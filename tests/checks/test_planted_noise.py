"""Controls of planted noise: what is certain after widening decides, whatever the metric; only what noise can change is open."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from pytest_llminvariance import Finding, Question, Restate, Verdict, check
from pytest_llminvariance.measures.distribution import AnswerDistribution, moved_share
from pytest_llminvariance.measures.metrics import METRICS, Interval
from pytest_llminvariance.models.protocol import (
    Capability,
    LabelReply,
    OptionReply,
    OptionRequest,
    Reply,
    Request,
    sent_digest,
)
from pytest_llminvariance.questions.presentation import Presentation
from tests.noisy import bank, blind, first_shown

BROKEN, HOLDS, UNDECIDED = Verdict.BROKEN, Verdict.HOLDS, Verdict.UNDECIDED
Rule = Callable[[Presentation], int]


@dataclass
class Rounding:
    """Answers by a rule with a margin; noise of `nats` moves each option's log-weight, or as `how` says."""

    rule: Rule = blind
    nats: float = 0.25
    margin_nats: float = 8.0
    how: str = "each"
    """`each` option; only the `last` one; in proportion to the `company`; by the `place` in the batch."""
    deterministic: object = "rounding"
    name: str = "rounding"
    fingerprint: str = "1"
    capabilities: frozenset[Capability] = frozenset({"label", "option"})
    chance: random.Random = field(default_factory=lambda: random.Random(1))

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        return [self.reply(request, place, len(requests)) for place, request in enumerate(requests)]

    def moved(self, place: int, n: int) -> float:
        if self.how == "company":
            return self.nats * self.chance.choice((-1, 1)) * min(n, 59) / 59
        return self.nats * (math.sin(2.0 * place) if self.how == "place" else self.chance.uniform(-1, 1))

    def reply(self, request: Request, place: int, n: int) -> Reply:
        shown, sent = request.presentation, sent_digest(request.messages)
        content, k = self.rule(shown), len(shown.order)
        weights = [0.0 if other == content else -self.margin_nats for other in range(k)]
        weights[-1] -= 3.0 if self.how == "last" else 0.0
        for other in range(k - 1 if self.how == "last" else 0, k):
            weights[other] += self.moved(place, n)
        whole = math.log(math.fsum(map(math.exp, weights)))
        values = tuple(weights[one] - whole for one in shown.order)
        return OptionReply(values, (1,) * k, sent) if isinstance(request, OptionRequest) else LabelReply(values, sent)


ITEMS = [
    Question(f"I like number {i}.", ["no", "hardly", "rather", "yes"], scores=[1, 2, 3, 4], answer=i % 4, attributes={"trait": "t"})
    for i in range(24)
]  # fmt: skip
ORDERS = {"trait_shift": "cyclic"}


def found(model: Rounding, metric: str = "flip_rate", **more: Any) -> Finding:
    questions = ITEMS if METRICS[metric].needs_scores else bank(24)
    how = {"tolerance": 0.05, "orders": ORDERS.get(metric, "balanced"), **more}
    return check("option_order", model, questions, metric=metric, **how)


def guard(finding: Finding, name: str) -> Any:
    return next(item for item in finding.guards if item.name == name)


MOVING = ("tv", "js_distance", "score_gap", "score_shift", "trait_shift")
COUNTING = ("flip_rate", "disagreement", "position_bias")
CONTROLS = [
    *((metric, rule, 8.0, verdict) for metric in MOVING for rule, verdict in ((blind, HOLDS), (first_shown, BROKEN))),
    *((metric, rule, 8.0, verdict) for metric in COUNTING for rule, verdict in ((blind, HOLDS), (first_shown, BROKEN))),
    *((metric, blind, 0.01, UNDECIDED) for metric in (*MOVING, *COUNTING)),
]


@pytest.mark.parametrize("readout", ["label", "option"])
@pytest.mark.parametrize(("metric", "rule", "margin", "verdict"), CONTROLS)
def test_what_is_certain_through_rounding_decides(
    metric: str, rule: Rule, margin: float, verdict: Verdict, readout: str
) -> None:
    """24 controls of known truth a readout: fair, biased, and nearly a tie; at a fifth of a nat and more."""
    finding = found(Rounding(rule, margin_nats=margin), metric, readout=readout)
    assert finding.verdict is verdict, finding.reasons
    assert guard(finding, "drift").text.startswith("within noise: ")
    if verdict is UNDECIDED:
        assert "both sides of the tolerance" in finding.reasons[0] or metric == "position_bias"
        assert finding.reasons[-1].startswith("noise of 0.")
        assert "nat decides " in finding.reasons[-1]


@pytest.mark.parametrize("how", ["each", "company", "place"])
@pytest.mark.parametrize("deterministic", ["rounding", False])
@pytest.mark.parametrize("nats", [0.01, 0.25, 2.0])
def test_moving_within_noise_is_no_changed_model(how: str, deterministic: object, nats: float) -> None:
    for rule, wrong in ((blind, BROKEN), (first_shown, HOLDS)):
        finding = found(Rounding(rule, nats, how=how, deterministic=deterministic))
        assert guard(finding, "drift").passed is True
        assert finding.verdict is not wrong
        assert finding.verdict is not UNDECIDED or nats == 2.0


def test_noise_of_an_option_that_never_wins_widens_what_it_moves() -> None:
    """The margin between the two likeliest says nothing of it."""
    finding = found(Rounding(even, nats=2.0, margin_nats=2.0, how="last"), "tv", tolerance=0.01)
    assert finding.effect.low < 0.01 < finding.effect.high
    assert finding.verdict is UNDECIDED


OWN: dict[str, tuple[Any, dict[str, Any]]] = {
    "complementary": ([Question(f"Claim {i}", ["yes", "no"], answer=i % 2) for i in range(12)], {}),
    "forms": (bank(12), {}),
    "evidence_order": (
        [Question(f"Claim {i}?", ["yes", "no"], answer=i % 2, attributes={"chunks": ["One.", "Two.", "Three."]}) for i in range(12)], {},
    ),
    "groups": ([Question(f"Anna has paid {i} bills. A loan?", ["yes", "no"], answer=i % 2) for i in range(12)], {"groups": ("Anna", "Bela")}),
    "paraphrase": (
        (texts := [Question(f"Which is number {i}?", ["a", "b", "c"], answer=i % 3, id=f"q{i}") for i in range(12)]),
        {"paraphrases": Restate({f"q{i}": [f"Now: {one.stem}"] for i, one in enumerate(texts)})},
    ),
}  # fmt: skip


def even(shown: Presentation) -> int:
    """Answers yes everywhere: its probabilities move by noise alone."""
    del shown
    return 0


@pytest.mark.parametrize("name", OWN)
def test_a_number_of_its_own_is_widened_too(name: str) -> None:
    """Noise alone makes the effect of these; without it they hold, and with it they must not be BROKEN."""
    questions, options = OWN[name]
    for nats in (0.0, 1.0):
        model = Rounding(even, nats, margin_nats=0.5)
        finding = check(name, model, questions, tolerance=0.02, **options)
        if nats and name != "complementary":
            assert finding.effect.low <= 0.02 < finding.effect.high
            assert any("nat decides" in reason for reason in finding.reasons), finding.reasons
            assert finding.verdict is UNDECIDED
        elif nats:
            assert finding.effect.low < float(
                check(name, Rounding(even, 0.0, 0.5), questions, tolerance=0.02).effect.low
            )


@pytest.mark.parametrize("k", [2, 3, 5])
def test_widths_hold_for_every_move_of_log_weights(k: int) -> None:
    """Of 300 answers each log-weight moves by up to half the width, so that log-odds move by up to the width."""
    chance = random.Random(k)
    for _ in range(300):
        delta = chance.choice((0.01, 0.25, 1.0, 4.0))
        before = [chance.uniform(-8, 0) for _ in range(k)]
        after = [value + chance.choice((-1, 1)) * delta / 2 for value in before]
        one, other = (AnswerDistribution.from_option_scores(row, range(k)) for row in (before, after))
        pairs = zip(one.probabilities, other.probabilities, strict=True)
        assert math.fsum(abs(p - q) for p, q in pairs) / 2 <= one.moved(delta) + 1e-12
        assert one.noise_to(other) <= delta + 1e-9
        assert (
            one.moved(one.noise_to(other))
            >= math.fsum(abs(p - q) for p, q in zip(one.probabilities, other.probabilities, strict=True)) / 2 - 1e-9
        )
        low, high = one.expected_scores(range(k), delta)
        assert low - 1e-9 <= math.fsum(map(math.prod, zip(other.probabilities, range(k), strict=True))) <= high + 1e-9
        for metric in ("js_distance", "form_inconsistency", "tv"):
            still = AnswerDistribution.from_option_scores([0.0, *[-2.0] * (k - 1)], range(k))
            wide = METRICS[metric].measure((one, still, still), None, delta)
            true = METRICS[metric].measure((other, still, still), None, 0.0)
            assert isinstance(wide, Interval)
            assert wide.low - 1e-9 <= true.low <= wide.high + 1e-9


@pytest.mark.parametrize("metric", COUNTING)
def test_a_bias_that_hides_in_noise_does_not_hold(metric: str) -> None:
    """Half of the questions are answered for certain, and the others take what is first by less than the noise."""

    class Mixed(Rounding):
        def reply(self, request: Request, place: int, n: int) -> Reply:
            hides = request.presentation.question.name.endswith(("1?", "3?", "5?", "7?", "9?"))
            self.rule, self.margin_nats = (first_shown, 0.1) if hides else (blind, 8.0)
            return super().reply(request, place, n)

    finding = found(Mixed(), metric)
    assert finding.effect.high > 0.3
    assert finding.verdict is UNDECIDED


def test_no_noise_is_no_width() -> None:
    assert moved_share(0.3, 0.0) == 0
    assert moved_share(0.5, math.inf) == pytest.approx(1.0)
    assert moved_share(1e-9, 0.25) < 0.001  # a sure answer stays sure
    assert moved_share(0.5, 0.25) == pytest.approx(math.tanh(0.25 / 4))
