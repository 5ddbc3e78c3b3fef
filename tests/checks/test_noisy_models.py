"""Servers that answer otherwise when asked again: what noise explains is no flip, what it cannot explain decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest

from pytest_llminvariance import (
    Finding,
    Model,
    Question,
    UsageError,
    Verdict,
    check,
    controls,
    repeated,
    run,
    wrap_model,
)
from pytest_llminvariance.checks.noise import noise_floor, spread
from pytest_llminvariance.measures.noise import MIN_PAIRS, Replicates, limits
from pytest_llminvariance.models.probes import Probe
from pytest_llminvariance.models.protocol import (
    Draw,
    LabelReply,
    LabelRequest,
    MissingReply,
    OptionReply,
    OptionRequest,
    Reply,
    Request,
    TextReply,
    TextRequest,
)
from pytest_llminvariance.questions.presentation import Presentation
from tests.noisy import Server, bank, blind, changed_for, first_shown, often_first

TWENTIETH = Fraction(1, 20)


def order(model: Model, n: int = 24, **more: Any) -> Finding:
    return check("option_order", model, bank(n), **{"tolerance": 0.05, "orders": "balanced", **more})


def guard(finding: Finding, name: str) -> Any:
    return next((item for item in finding.guards if item.name == name), None)


def verdicts(make: Any, runs: int, n: int = 12, **more: Any) -> Counter[Verdict]:
    return Counter(order(make(seed), n, **more).verdict for seed in range(runs))


@pytest.mark.parametrize("readout", ["text", "label"])
@pytest.mark.parametrize("noise", [0.04, 0.1])
def test_noise_alone_is_never_broken(readout: str, noise: float) -> None:
    """At 5%, 5 of 25 would be less likely than 1 in 100."""
    runs, n = (25, 12) if readout == "label" else (5, 5)
    found = verdicts(lambda seed: Server(noise=noise, seed=seed), runs, n, readout=readout)
    assert found[Verdict.BROKEN] <= 4


@pytest.mark.parametrize("readout", ["text", "label"])
def test_a_large_effect_is_broken_through_noise(readout: str) -> None:
    found = verdicts(lambda seed: Server(first_shown, noise=0.04, seed=seed), 3, 8, readout=readout)
    assert found == {Verdict.BROKEN: 3}


def test_a_silent_server_is_decided_as_if_it_were_deterministic() -> None:
    assert order(Server()).verdict is Verdict.HOLDS
    assert order(Server(), n=12).verdict is Verdict.HOLDS
    assert order(Server(first_shown)).verdict is Verdict.BROKEN


def test_what_noise_may_explain_says_what_would_decide() -> None:
    found = order(Server(noise=0.04, seed=1))
    assert found.verdict is Verdict.UNDECIDED
    assert found.reasons[0].startswith("noise may explain the effect of 0.")
    assert "prompts asked again got another answer, so BROKEN takes more than 0." in found.reasons[0]
    assert "noise_floor(model, questions, pairs=500)" in found.reasons[0]
    assert found.details["noise"]["all"]["pairs"] == 2 * MIN_PAIRS


def test_a_noisy_server_can_hold_by_repeated_asking() -> None:
    found = Counter(order(repeated(Server(noise=0.04, seed=seed), 5), n=12).verdict for seed in range(10))
    assert found[Verdict.HOLDS] >= 6
    assert not found[Verdict.BROKEN]
    assert order(repeated(Server(first_shown, noise=0.04), 3), n=12).verdict is Verdict.BROKEN


def test_more_pairs_let_a_noisy_server_hold() -> None:
    with run():
        server = Server(noise=0.04, seed=3)
        noise_floor(server, bank(60), pairs=600)
        found = order(server, n=60, metric="disagreement", tolerance=0.1)
    assert found.verdict is Verdict.HOLDS


# a model that changes


def test_a_redeployed_server_is_no_verdict() -> None:
    later = changed_for(0.3, lambda p: p.question.stem)
    for after in (180, 240, 300):
        found = order(Server(later=later, redeployed_after=after))
        assert found.verdict is Verdict.UNDECIDED
        assert guard(found, "drift").passed is False
        assert found.reasons[0].startswith("the model changed while it was asked: ")
        assert (
            f"of {MIN_PAIRS} prompts asked again at the end moved, 0 of {MIN_PAIRS} asked twice at the beginning"
            in found.reasons[0]
        )


@pytest.mark.parametrize("readout", ["label", "text"])
@pytest.mark.parametrize("noise", [0.0, 0.04])
def test_a_change_of_few_prompts_lasts_and_noise_does_not(noise: float, readout: str) -> None:
    later = changed_for(0.07, lambda p: (p.question.stem, p.order))
    for seed in range(3 if readout == "label" else 1):
        found = order(Server(noise=noise, later=later, redeployed_after=220, seed=seed), n=16, readout=readout)
        assert found.verdict is Verdict.UNDECIDED
        assert guard(found, "drift").passed is False
        assert "answered otherwise 10 times in a row, and alike before" in found.reasons[0]


@pytest.mark.parametrize("noise", [0.04, 0.3])
def test_noise_is_not_taken_for_a_change(noise: float) -> None:
    """Fisher's test at 5%, and less than that for what lasts."""
    found = [order(Server(noise=noise, seed=seed), n=6) for seed in range(20)]
    assert sum(guard(item, "drift").passed is False for item in found) <= 3


def test_after_a_change_noise_is_measured_anew() -> None:
    later = changed_for(0.5, lambda p: p.question.stem)
    server = Server(later=later, redeployed_after=260)
    with run():
        changed = order(server)
        after = order(server, metric="disagreement", template="Answer this.\n{stem}\n{options}")
    assert guard(changed, "drift").passed is False
    assert guard(after, "drift").passed is True


def test_noise_at_the_end_is_called_noise() -> None:
    found = order(Server(noise=0.04, seed=2))
    assert guard(found, "drift").passed is True
    assert guard(found, "drift").text.startswith("within noise: ")


# rounding


@pytest.mark.parametrize("rounding", [0.05, 0.25, 0.5])
@pytest.mark.parametrize(
    ("rule", "margin", "verdict"),
    [
        (blind, 3.0, Verdict.HOLDS),
        (first_shown, 3.0, Verdict.BROKEN),
        (often_first(0.3), 3.0, Verdict.BROKEN),
        (blind, 0.0, Verdict.UNDECIDED),
    ],
)
def test_rounding_decides_only_what_is_nearer_than_it(
    rule: Any, margin: float, verdict: Verdict, rounding: float
) -> None:
    server = Server(rule, rounding_nats=rounding, margin_nats=margin, deterministic="rounding")
    found = order(server, n=12)
    assert found.verdict is verdict
    assert guard(found, "noise").passed is True
    assert guard(found, "drift").text.startswith("within noise: ")
    if verdict is Verdict.UNDECIDED:
        assert "tie" in found.reasons[0] or "noise" in found.reasons[0]


# what it costs


def test_a_deterministic_model_is_asked_nothing_twice_but_three_prompts() -> None:
    quiet, other = Server(deterministic=True), Server()
    order(quiet)
    order(other)
    n_foreign = 8  # of 24: so many show that it reads
    assert quiet.n_asked == 24 * 5 + n_foreign + 3
    assert other.n_asked == quiet.n_asked - 3 + 4 * MIN_PAIRS


def test_noise_is_measured_once_a_session_and_drift_by_every_check() -> None:
    server = Server()
    with run():
        order(server)
        once = server.n_asked
        order(server, metric="disagreement")
        assert server.n_asked == once  # every answer was there already
        check("labels", server, bank(24), tolerance=0.05)
    asked = server.n_asked - once
    alone = Server(deterministic=True)
    check("labels", alone, bank(24), tolerance=0.05)
    assert asked <= alone.n_asked + MIN_PAIRS


def test_two_servers_of_one_name_do_not_share_their_noise() -> None:
    with run():
        quiet, loud = order(Server()), order(Server(noise=0.5))
    assert quiet.details["noise"]["start"]["changed"] == 0
    assert loud.details["noise"]["start"]["changed"] > 9


def test_a_function_says_that_it_is_deterministic() -> None:
    calls: list[int] = []

    def asks(messages: list[dict[str, str]]) -> str:
        calls.append(len(messages))
        return "A"

    order(asks)  # type: ignore[arg-type]
    unsaid = len(calls)
    asks.deterministic = True  # type: ignore[attr-defined]
    calls.clear()
    order(wrap_model(asks, name="said"))
    assert unsaid == len(calls) - 3 + 4 * MIN_PAIRS


def test_controls_recordings_and_wrappers_say_what_they_are() -> None:
    from pytest_llminvariance import symmetrized
    from pytest_llminvariance.models.protocol import is_deterministic, only_rounds

    assert is_deterministic(controls.oracle())
    assert is_deterministic(symmetrized(controls.oracle()))
    assert is_deterministic(controls.sorting_proxy(controls.oracle()))
    assert not is_deterministic(symmetrized(Server()))
    assert not is_deterministic(repeated(Server()))
    assert only_rounds(Server(deterministic="rounding"))
    assert not only_rounds(Server(deterministic="yes"))

    class Kept:
        cacheable = True

    assert is_deterministic(Kept())  # type: ignore[arg-type]
    Kept.deterministic = "rounding"  # type: ignore[attr-defined]
    assert not is_deterministic(Kept())  # type: ignore[arg-type]


def test_prompts_are_spread_over_questions_and_half_of_them_as_written() -> None:
    for n in (1, 3, 24, 59, 200):
        rows = [[Probe(shown) for shown in _orders(question)] for question in bank(n, 3)]
        chosen = spread(rows, 59)
        assert len(chosen) == len(set(chosen)) == min(59, 6 * n)
        stems = {probe.presentation.question.stem for probe in chosen}
        assert len(stems) == min(n, 59)
        written = sum(probe.presentation.order == (0, 1, 2) for probe in chosen)
        assert written == min(n, 30)


def _orders(question: Question) -> Sequence[Presentation]:
    import itertools

    return [Presentation(question, order=order) for order in itertools.permutations(range(len(question.options)))]


# counts


def test_limits_by_hand() -> None:
    plain = limits(TWENTIETH, "flip_rate", None, 24, 24)
    assert plain.broken_above == plain.holds_within == TWENTIETH
    silent = limits(TWENTIETH, "flip_rate", Replicates(0, 59), 24, 24)
    assert silent.broken_above == TWENTIETH + Fraction(2, 24)  # 3 of 24 against 0 of 59: at most 0.0069, and 2: 0.028
    assert silent.holds_within == TWENTIETH - Fraction(1, 24)
    assert limits(TWENTIETH, "flip_rate", Replicates(0, 59), 12, 24).holds_within == TWENTIETH
    loud = limits(TWENTIETH, "flip_rate", Replicates(59, 59), 24, 24)
    assert loud.broken_above >= 1
    many = limits(TWENTIETH, "flip_rate", Replicates(0, 5_900), 1_000, 24)
    assert float(many.broken_above) == pytest.approx(0.05, abs=0.006)


def test_every_pair_moves_the_limits_the_right_way() -> None:
    for metric in ("flip_rate", "disagreement", "tv", "unchanged", "score_shift", "position_bias"):
        found = [limits(TWENTIETH, metric, Replicates(b, 59), 24, 24) for b in (0, 1, 3, 9, 30, 59)]
        above = [item.broken_above for item in found]
        assert above == sorted(above)
        assert min(above) > TWENTIETH
        assert all(item.holds_within < 1 for item in found)
        fewer = limits(TWENTIETH, metric, Replicates(2, 59), 24, 24)
        more = limits(TWENTIETH, metric, Replicates(20, 590), 24, 24)
        assert more.broken_above <= fewer.broken_above


def test_fisher() -> None:
    assert not Replicates(0, 59).differs_from(Replicates(0, 59))
    assert not Replicates(4, 59).differs_from(Replicates(0, 59))
    assert Replicates(5, 59).differs_from(Replicates(0, 59))
    assert not Replicates(5, 59).differs_from(Replicates(5, 59))


# asking several times


def test_repeated_by_hand() -> None:
    class Telling:
        name, fingerprint, capabilities = "telling", "1", frozenset({"label", "option", "text"})

        def __init__(self, *replies: Reply) -> None:
            self.left = list(replies)

        def answer(self, requests: Sequence[Request]) -> list[Reply]:
            return [self.left.pop(0) for _ in requests]

    shown = Presentation(bank(1, 2)[0])

    def asked(request: Request, *replies: Reply) -> Reply:
        model: Any = repeated(Telling(*replies), len(replies))
        return model.answer([request])[0]  # type: ignore[no-any-return]

    text = asked(TextRequest(shown), TextReply("A", "s", 1), TextReply("B", "s", 1), TextReply(" B\n", "s", 1))
    assert text == TextReply("B", "s", 3)
    label = asked(
        LabelRequest(shown), *(LabelReply(values, "s", 1) for values in ((0.0, -9.0), (0.0, -9.0), (-9.0, 0.0)))
    )
    assert isinstance(label, LabelReply)
    assert label.logprobs_nats == pytest.approx((0.0, -9.0), abs=1e-3)
    option = asked(OptionRequest(shown), *(OptionReply((value, -2.0), (1, 2), "s", 1) for value in (-1.0, -5.0, -2.0)))
    assert option == OptionReply((-2.0, -2.0), (1, 2), "s", 3)
    gone = MissingReply("time-out")
    assert isinstance(asked(TextRequest(shown), gone, TextReply("A", "s"), gone), MissingReply)
    assert asked(TextRequest(shown), gone, TextReply("A", "s"), TextReply("A", "s")) == TextReply("A", "s")


@pytest.mark.parametrize("times", [1, 2, 4, True, 3.0, "3"])
def test_an_even_number_of_times_is_refused(times: Any) -> None:
    with pytest.raises(UsageError, match="must be an odd number from 3"):
        repeated(Server(), times)


# samples


def test_a_sampling_seed_differs_by_seed_index_and_prompt() -> None:
    shown = [Presentation(question) for question in bank(5)]
    draws = [Draw(seed, index) for seed in (0, 1) for index in (0, 1, 2)]
    seeds = [TextRequest(p, draw=draw).sampling_seed for p in shown for draw in draws]
    assert len(set(seeds)) == 30
    assert all(seed is not None and 0 <= seed < 2**48 for seed in seeds)
    assert TextRequest(shown[0], draw=draws[0]).sampling_seed == seeds[0]
    assert TextRequest(shown[0]).sampling_seed is None


def test_a_server_that_draws_anew_is_not_told_to_have_changed() -> None:
    found = check("option_order", Server(noise=0.5, seed=1), bank(4), tolerance=0.4, samples=2, orders="cyclic")
    assert guard(found, "drift").passed is None
    assert guard(found, "noise") is None
