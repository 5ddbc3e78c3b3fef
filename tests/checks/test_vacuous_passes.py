"""Passes that mean nothing, each met in a released tool: none of them is HOLDS here, and the honest twin is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from pytest_llminvariance import (
    Model,
    Presentation,
    Question,
    Reorder,
    Template,
    UsageError,
    assert_order_symmetric,
    check,
    controls,
    symmetrized,
)
from pytest_llminvariance.checks.verdict import Finding, Verdict
from pytest_llminvariance.measures.reading import read_reply
from pytest_llminvariance.models.protocol import LabelReply, LabelRequest, MissingReply, Reply, Request, request_for


def bank(n: int = 12, *, answers: bool = True) -> list[Question]:
    return [
        Question(f"stem {i}?", [f"option {i}-{c}" for c in "dacb"], answer=i % 4 if answers else None) for i in range(n)
    ]


def order(model: Model, questions: Sequence[Question] | None = None, **settings: object) -> Finding:
    return check("option_order", model, questions or bank(), tolerance=0.05, **settings)  # type: ignore[arg-type]


def guard(finding: Finding, name: str) -> bool | None:
    return next(item.passed for item in finding.guards if item.name == name)


class Wrapped:
    """A model whose replies are changed on the way."""

    def __init__(self, inner: Model) -> None:
        self.inner, self.name, self.fingerprint = inner, "wrapped", "wrapped"
        self.capabilities = inner.capabilities
        self.calls = 0

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        self.calls += 1
        return [
            self.change(reply, request) for reply, request in zip(self.inner.answer(requests), requests, strict=True)
        ]

    def change(self, reply: Reply, request: Request) -> Reply:
        raise NotImplementedError


def test_the_honest_model_holds() -> None:
    finding = order(controls.oracle())
    assert finding.verdict is Verdict.HOLDS
    assert finding.is_exact
    assert {item.passed for item in finding.guards} <= {True, None}


def test_the_order_never_reached_the_model() -> None:
    for inner in (controls.oracle(), controls.always_first(), controls.noisy()):
        finding = order(controls.sorting_proxy(inner))
        assert finding.verdict is Verdict.UNDECIDED
        assert finding.reasons[0].startswith(
            "not applicable: option order did not reach the model for 12 of 12 questions"
        )
        assert {cause for item in finding.per_question for cause in item.causes} == {"not reached"}


def test_the_order_reached_the_model_for_some_questions_only() -> None:
    class Partly(Wrapped):
        def change(self, reply: Reply, request: Request) -> Reply:
            assert isinstance(reply, LabelReply)
            stem = request.presentation.question.stem
            return LabelReply(reply.logprobs_nats, "same" if stem in ("stem 0?", "stem 1?") else reply.sent_sha256)

    finding = order(Partly(controls.oracle()))
    assert finding.verdict is Verdict.UNDECIDED
    assert float(finding.effect.high) == pytest.approx(2 / 12)
    assert order(Partly(controls.always_first())).verdict is Verdict.BROKEN


def test_an_average_is_invariant_inside_its_frame_and_measured_outside() -> None:
    inner = controls.position_prior(2)
    inside = order(symmetrized(inner, "cyclic"), orders="cyclic")
    assert (inside.verdict, inside.effect.high) == (Verdict.HOLDS, 0)
    assert order(inner, orders="cyclic").verdict is Verdict.BROKEN
    last = controls.Control("two places", lambda p: [0.6, 0.1, 0.1, 0.2])
    assert order(symmetrized(last, "reversed"), orders="all").verdict is Verdict.BROKEN


def test_a_frame_that_does_not_hold_the_design_is_not_believed() -> None:
    class Claims(controls.SortingProxy):
        def frame_orders(self, k: int) -> tuple[tuple[int, ...], ...]:
            return (tuple(range(k)), tuple(range(k))[::-1])

    proxy = Claims(controls.oracle())
    assert order(proxy, orders="cyclic").verdict is Verdict.UNDECIDED
    assert order(proxy, orders="reversed").verdict is Verdict.HOLDS  # what it claims is its own word


def test_a_sorting_proxy_answers_what_its_model_answers() -> None:
    question = bank()[1]
    for shown in (Presentation(question, order=(2, 0, 3, 1)), Presentation(question)):
        for readout in ("label", "option"):
            request = request_for(shown, readout)
            (reply,) = controls.sorting_proxy(controls.oracle()).answer([request])
            assert read_reply(reply, shown, readout).outcomes(1e-4) == {question.answer}


def test_blind_to_content() -> None:
    for questions in (bank(), bank(answers=False)):
        finding = order(controls.stem_blind(), questions)
        assert finding.effect.high == 0
        assert finding.verdict is Verdict.UNDECIDED
        assert guard(finding, "responsive") is False


def test_ties_do_not_count_as_movement() -> None:
    """Under its own stem one content, under any other a tie with that content: it never really moves."""

    def respond(p: Presentation) -> Sequence[float]:
        known = p.question.answer is not None
        return [0.45 if c == 0 or (c == 1 and not known) else 0.02 for c in p.order]

    questions = [Question(f"stem {i}?", [f"{i}-{c}" for c in "dacb"], answer=0) for i in range(12)]
    finding = order(controls.Control("half", respond), questions)
    assert guard(finding, "responsive") is False
    assert finding.verdict is Verdict.UNDECIDED


def test_always_refuses() -> None:
    for readout in ("label", "text", "option"):
        finding = order(controls.refuser(), readout=readout)
        assert finding.verdict is Verdict.UNDECIDED
    assert "mean mass on the options 0.000" in order(controls.refuser(), readout="text").reasons[0]


def test_mass_below_a_half_withholds_both_verdicts() -> None:
    def thin(model: Model, share: float) -> Model:
        class Thin(Wrapped):
            def change(self, reply: Reply, request: Request) -> Reply:
                import math

                assert isinstance(reply, LabelReply)
                return LabelReply(tuple(x + math.log(share) for x in reply.logprobs_nats), reply.sent_sha256)

        return Thin(model)

    assert order(thin(controls.oracle(), 0.49)).verdict is Verdict.UNDECIDED
    assert order(thin(controls.always_first(), 0.49)).verdict is Verdict.UNDECIDED
    assert order(thin(controls.oracle(), 0.51)).verdict is Verdict.HOLDS
    assert order(thin(controls.always_first(), 0.51)).verdict is Verdict.BROKEN


def test_zero_variants() -> None:
    with pytest.raises(UsageError, match="there is nothing to compare below 2"):
        check("prompt", controls.oracle(), bank(), tolerance=0.05, templates=["{stem} {options}"])

    class Nothing(Reorder):
        def plan(self, start: Presentation) -> tuple[Presentation, ...]:
            return (start,)

    finding = check(Nothing(), controls.oracle(), bank(), tolerance=0.05)
    assert finding.verdict is Verdict.UNDECIDED
    assert finding.reasons[0].startswith("nothing to compare")


def test_exact_ties_are_ties_and_no_flips() -> None:
    finding = order(controls.tie_maker())
    assert (finding.effect.low, finding.effect.high) == (0, 1)
    assert finding.verdict is Verdict.UNDECIDED


def test_a_uniform_model_with_a_little_noise_is_no_invariant_one() -> None:
    for metric in ("flip_rate", "tv", "disagreement"):
        finding = order(controls.jitter(1e-6), bank(answers=False), metric=metric)
        assert finding.verdict is Verdict.UNDECIDED, metric
    assert guard(order(controls.uniform(), metric="tv"), "preference") is False


def test_constant_and_always_wrong_models_do_not_pass() -> None:
    assert order(controls.wrong_oracle()).verdict is Verdict.UNDECIDED
    assert guard(order(controls.wrong_oracle()), "accuracy") is False
    assert guard(order(controls.oracle(), bank(answers=False)), "accuracy") is None


def test_a_guessing_model_rarely_passes_for_a_knowing_one() -> None:
    passed = 0
    for suite in range(60):
        questions = [Question(f"{suite}-{i}?", [f"{suite}-{i}-{c}" for c in "abcd"], answer=i % 4) for i in range(6)]
        passed += guard(order(controls.content_blind(), questions), "accuracy") is True
    assert passed <= 8  # 60 suites at 5%: more than 8 in one of a thousand


def test_missing_answers_are_never_dropped() -> None:
    class Losing(Wrapped):
        def change(self, reply: Reply, request: Request) -> Reply:
            lost = request.presentation.order[0] == 3
            return MissingReply("time-out") if lost else reply

    finding = order(Losing(controls.oracle()))
    assert finding.verdict is Verdict.UNDECIDED
    assert finding.effect.low == 0
    assert float(finding.effect.high) == pytest.approx(6 / 23)
    assert "missing 25%" in finding.reasons[0]
    assert order(Losing(controls.always_first())).verdict is Verdict.BROKEN


def test_a_model_that_changes_while_it_is_asked() -> None:
    class Drifting(Wrapped):
        deterministic = True

        def change(self, reply: Reply, request: Request) -> Reply:
            assert isinstance(reply, LabelReply)
            return LabelReply(tuple(x - 0.2 * (self.calls - 1) for x in reply.logprobs_nats), reply.sent_sha256)

    finding = check("option_order", Drifting(controls.oracle()), bank(3), tolerance=0.05)
    assert finding.verdict is Verdict.UNDECIDED
    assert guard(finding, "drift") is False


def test_the_example_fails_in_the_same_way_and_is_the_nearest() -> None:
    finding = order(controls.adjacency_sensitive())
    example = finding.example
    assert example is not None
    assert (example.change, example.distance) == ("swap A and B", (1, 1))
    assert example.before.answer != example.after.answer
    six = [Question(f"stem {i}?", [f"{i}-{c}" for c in "fedcba"], answer=i % 6) for i in range(12)]
    with pytest.raises(AssertionError) as caught:
        assert_order_symmetric(controls.adjacency_sensitive(), six)
    assert caught.value.finding.example.distance == (1, 1)  # type: ignore[attr-defined]


def test_a_tolerance_is_met_exactly_in_fractions() -> None:
    """One flip in each of three of ten questions with two orders is 0.3, and 0.1 + 0.2 in floats is more."""
    questions = [Question(f"stem {i}?", [f"{i}-b", f"{i}-a"], answer=0) for i in range(10)]

    def respond(p: Presentation) -> Sequence[float]:
        flips = p.question.stem in ("stem 0?", "stem 1?", "stem 2?") and p.order == (1, 0) and p.question.answer == 0
        wanted = p.question.answer if p.question.answer is not None else 1
        return [0.9 if c == (1 - wanted if flips else wanted) else 0.1 for c in p.order]

    model = controls.Control("three of ten", respond)
    assert check("option_order", model, questions, tolerance=0.3).verdict is Verdict.HOLDS
    assert check("option_order", model, questions, tolerance=0.29).verdict is Verdict.BROKEN


def test_a_request_is_for_what_was_shown() -> None:
    shown = Presentation(bank()[0], template=Template("{stem} {options}", system="Be brief."))
    assert [message.role for message in LabelRequest(shown).messages] == ["system", "user"]
