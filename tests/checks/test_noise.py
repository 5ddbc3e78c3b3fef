"""The noise floor on engines of known noise, what it does to verdicts, and batch invariance both ways."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from pytest_llminvariance import (
    InvarianceError,
    Question,
    UsageError,
    Verdict,
    assert_batch_invariant,
    check,
    controls,
    noise_floor,
    run,
)
from pytest_llminvariance.checks.noise import delta_nats
from pytest_llminvariance.measures.metrics import DELTA_NATS
from pytest_llminvariance.models.protocol import Capability, LabelReply, Reply, Request, TextReply, sent_digest


def known_answer(stem: str) -> int:
    return sum(map(ord, stem)) % 3


STEMS = [f"Which one is number {n}?" for n in range(24)]
QUESTIONS = [Question(stem, ["red", "blue", "green"], answer=known_answer(stem)) for stem in STEMS]


@dataclass
class Engine:
    """Answers the correct option by a margin; in company of others the top two move by `noise_nats` in all."""

    noise_nats: float
    margin_nats: float = 1.0
    deterministic: bool = False
    name: str = "engine"
    fingerprint: str = "1"
    capabilities: frozenset[Capability] = frozenset({"label"})
    calls: list[int] = field(default_factory=list)

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        self.calls.append(len(requests))
        return [self.reply(request, company=len(requests) > 1) for request in requests]

    def reply(self, request: Request, *, company: bool) -> Reply:
        shown = request.presentation
        best = known_answer(shown.question.stem)
        values = [-5.0 - content for content in range(len(shown.order))]
        rival = (best + 1) % 3
        values[best], values[rival] = -0.9, -0.9 - self.margin_nats
        if company:
            values[rival] += self.noise_nats
        return LabelReply(tuple(values[content] for content in shown.order), sent_digest(request.messages), 1)


def test_a_silent_engine_has_no_noise() -> None:
    found = noise_floor(Engine(0.0), QUESTIONS)
    assert (found.margin_max_nats, found.logprob_max_nats, found.changed_answers) == (0, 0, 0)
    assert found.n_pairs >= 59


def test_the_change_of_the_margin_is_measured() -> None:
    found = noise_floor(Engine(0.03), QUESTIONS)
    assert found.margin_max_nats == pytest.approx(0.03)
    assert found.logprob_max_nats == pytest.approx(0.03)
    assert found.margin_quantiles_nats == pytest.approx({0.5: 0.03, 0.9: 0.03, 0.99: 0.03})
    assert found.changed_answers == 0
    assert "moved by at most 0.03 nat" in str(found)


def test_alone_means_one_prompt_a_call_and_the_rest_come_in_company() -> None:
    engine = Engine(0.0)
    noise_floor(engine, QUESTIONS)
    assert engine.calls == [1] * 59 + [59, 59]
    engine.calls.clear()
    noise_floor(engine, QUESTIONS[:2])
    assert engine.calls[:12] == [1] * 12
    assert engine.calls[12] == 12
    assert max(engine.calls[13:-1]) < 12


def test_one_question_gives_enough_pairs() -> None:
    assert noise_floor(Engine(0.01), QUESTIONS[0]).n_pairs >= 59


def test_plain_is_what_alone_is_asked_of() -> None:
    engine, plain = Engine(0.0), Engine(0.0)
    engine.plain = plain  # type: ignore[attr-defined]
    noise_floor(engine, QUESTIONS)
    assert plain.calls == [1] * 59
    assert 1 not in engine.calls


def test_texts_count_changed_answers() -> None:
    class Writer(Engine):
        def reply(self, request: Request, *, company: bool) -> Reply:
            return TextReply(request.presentation.labels[int(company)], "sent", 1)

    writer = Writer(0.0, capabilities=frozenset({"text"}))
    found = noise_floor(writer, QUESTIONS, readout="text")
    assert found.changed_answers == found.n_pairs
    assert str(found) == f"{found.n_pairs} of {found.n_pairs} answers changed between batches"


@pytest.mark.parametrize("pairs", [0, 58, True, 60.0, "many"])
def test_fewer_than_59_pairs_are_refused(pairs: object) -> None:
    with pytest.raises(UsageError, match="must be a whole number from 59"):
        noise_floor(Engine(0.0), QUESTIONS, pairs=pairs)  # type: ignore[arg-type]


def test_measured_noise_counts_as_a_tie_from_then_on() -> None:
    engine = Engine(0.015, margin_nats=0.02, deterministic=True)
    with run():
        before = check("option_order", engine, QUESTIONS, tolerance=0.05)
        assert delta_nats(engine, "label") == DELTA_NATS
        noise_floor(engine, QUESTIONS)
        assert delta_nats(engine, "label") == pytest.approx(0.015)
        after = check("option_order", engine, QUESTIONS, tolerance=0.05)
    assert before.verdict is Verdict.HOLDS
    assert after.verdict is Verdict.UNDECIDED
    assert "tie within the noise 100%" in after.reasons[0]
    named = ", ".join(question.name for question in QUESTIONS[:5])
    more = f" and {len(QUESTIONS) - 5} more" if len(QUESTIONS) > 5 else ""
    assert after.reasons[-1].startswith(f"noise of 0.015 nat decides {named}{more}: float32 is less noisy")
    assert not any("decides" in reason for reason in before.reasons)
    assert delta_nats(engine, "label") == DELTA_NATS  # the session is over


def test_a_noisy_engine_is_measured_by_the_check_itself() -> None:
    with run():
        quiet = check("option_order", Engine(0.02), QUESTIONS, tolerance=0.05)
        loud = check("option_order", Engine(0.2, fingerprint="2"), QUESTIONS, tolerance=0.05)
        near = check("option_order", Engine(0.2, margin_nats=0.1, fingerprint="3"), QUESTIONS, tolerance=0.05)
    assert quiet.verdict is loud.verdict is Verdict.HOLDS
    assert next(guard for guard in loud.guards if guard.name == "noise").passed
    assert near.verdict is Verdict.UNDECIDED


def test_the_noise_is_measured_once_a_session() -> None:
    engine = Engine(0.02)
    with run():
        check("option_order", engine, QUESTIONS, tolerance=0.05)
        singles = engine.calls.count(1)
        check("labels", engine, QUESTIONS, tolerance=0.05)
    assert engine.calls.count(1) == singles


@pytest.mark.parametrize("control", [controls.oracle(), controls.always_first(), Engine(0.5)])
def test_batch_invariance_holds_where_company_changes_no_answer(control: object) -> None:
    assert assert_batch_invariant(control, QUESTIONS).verdict is Verdict.HOLDS


def test_batch_invariance_is_broken_where_company_changes_answers() -> None:
    with pytest.raises(InvarianceError, match="batch invariance is broken") as caught:
        assert_batch_invariant(Engine(0.2, margin_nats=0.1), QUESTIONS)
    assert caught.value.finding is not None
    assert caught.value.finding.effect.low == 1


def test_batch_invariance_needs_59_pairs() -> None:
    found = check("batch", controls.oracle(), QUESTIONS[:19], tolerance=0.01)
    assert found.verdict is Verdict.UNDECIDED
    assert "57 replicate pairs (at least 59)" in found.reasons[0]
    assert check("batch", controls.oracle(), QUESTIONS[:19], tolerance=0.01, batches=4).verdict is Verdict.HOLDS


def test_batches_must_be_a_number() -> None:
    with pytest.raises(UsageError, match="batches is 0"):
        assert_batch_invariant(controls.oracle(), QUESTIONS, batches=0)
