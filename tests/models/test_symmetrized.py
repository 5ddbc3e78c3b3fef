"""Averaged models: invariant by construction inside their frame, and measured outside of it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from pytest_llminvariance import (
    Finding,
    InvarianceError,
    Model,
    Presentation,
    Question,
    Template,
    UsageError,
    Verdict,
    assert_order_symmetric,
    check,
    controls,
    symmetrized,
)
from pytest_llminvariance.models.protocol import (
    LabelReply,
    LabelRequest,
    MissingReply,
    OptionReply,
    OptionRequest,
    Reply,
    Request,
    TextRequest,
)
from pytest_llminvariance.models.symmetrized import Frame
from pytest_llminvariance.questions.orders import identity
from pytest_llminvariance.transforms.designs import Design

WHO = Question("Who?", ["Ann", "Bob", "Cy", "Di"])
SUITE = tuple(Question(f"{word}?", ["Ann", "Bob", "Cy", "Di"]) for word in ("Who", "When", "Where", "Why"))
FRAMES: Mapping[Frame, Design] = {"reversed": "reversed", "cyclic": "cyclic", "all": "all"}
INNER: Mapping[str, Callable[[], Model]] = {
    "oracle": controls.oracle,
    "always_first": controls.always_first,
    "always_last": controls.always_last,
    "content_blind": controls.content_blind,
    "noisy": controls.noisy,
    "position_prior": lambda: controls.position_prior(3),
    "label_prior": lambda: controls.label_prior(3),
    "pair_order_sensitive": controls.pair_order_sensitive,
    "adjacency_sensitive": controls.adjacency_sensitive,
    "jitter": controls.jitter,
}


@dataclass
class Counting:
    """Passes requests on and keeps them."""

    inner: Model
    seen: list[Request] = field(default_factory=list)
    name = "counting"
    fingerprint = "counting"

    @property
    def capabilities(self) -> frozenset[object]:
        return frozenset(self.inner.capabilities)

    def answer(self, requests: Sequence[Request]) -> Sequence[Reply]:
        self.seen += requests
        return self.inner.answer(requests)


def judged(model: Model, orders: Design, readout: str = "label") -> Finding:
    return check("option_order", model, SUITE, tolerance=0, orders=orders, readout=readout)


def by_content(reply: Reply, shown: Presentation) -> tuple[float, ...]:
    assert isinstance(reply, LabelReply | OptionReply)
    return tuple(reply.logprobs_nats[shown.position_of(content)] for content in range(len(shown.order)))


@pytest.mark.parametrize("readout", ["label", "option"])
@pytest.mark.parametrize("name", INNER)
@pytest.mark.parametrize("frame", FRAMES)
def test_is_never_broken_inside_its_frame(frame: Frame, name: str, readout: str) -> None:
    finding = judged(symmetrized(INNER[name](), frame), FRAMES[frame], readout)
    assert finding.verdict is not Verdict.BROKEN
    assert finding.effect.low == 0


@pytest.mark.parametrize("kind", [LabelRequest, OptionRequest])
@pytest.mark.parametrize("name", INNER)
@pytest.mark.parametrize("frame", FRAMES)
def test_answers_are_equal_bit_for_bit_across_an_orbit(
    frame: Frame, name: str, kind: type[LabelRequest] | type[OptionRequest]
) -> None:
    model = symmetrized(INNER[name](), frame)
    shown = [Presentation(WHO, order=order) for order in model.frame_orders(4)]
    replies = model.answer([kind(presentation) for presentation in shown])
    answers = {by_content(reply, presentation) for reply, presentation in zip(replies, shown, strict=True)}
    assert len(answers) == 1
    apart = {by_content(model.answer([kind(presentation)])[0], presentation) for presentation in shown}
    assert apart == answers


@pytest.mark.parametrize("frame", FRAMES)
def test_holds_where_the_inner_model_is_broken_but_has_a_favourite(frame: Frame) -> None:
    inner = controls.position_prior(3)
    assert judged(inner, FRAMES[frame]).verdict is Verdict.BROKEN
    finding = judged(symmetrized(controls.position_prior(0.5), frame), FRAMES[frame])
    assert finding.verdict is Verdict.HOLDS
    assert not [guard.text for guard in finding.guards if guard.passed is False]


def test_a_favourite_position_averages_to_a_tie() -> None:
    finding = judged(symmetrized(controls.always_first(), "cyclic"), "cyclic")
    assert finding.verdict is Verdict.UNDECIDED
    assert "tie 100% of answers" in finding.reasons[0]


def test_is_measured_outside_its_frame() -> None:
    model = symmetrized(controls.always_first(), "reversed")
    finding = judged(model, "all")
    assert finding.verdict is Verdict.BROKEN
    assert finding.effect.low > 0
    with pytest.raises(InvarianceError, match=r"^option order is broken"):
        assert_order_symmetric(model, WHO, orders="all")


def test_frame_of_rotations_does_not_cover_the_reverse() -> None:
    assert judged(symmetrized(controls.adjacency_sensitive(), "cyclic"), "reversed").verdict is Verdict.BROKEN
    assert judged(symmetrized(controls.adjacency_sensitive(), "all"), "reversed").verdict is Verdict.HOLDS


@pytest.mark.parametrize("frame", FRAMES)
def test_average_of_a_content_fixed_model_is_that_model(frame: Frame) -> None:
    shown = Presentation(WHO, order=[2, 0, 3, 1])
    (plain,) = controls.oracle().answer([LabelRequest(shown)])
    (averaged,) = symmetrized(controls.oracle(), frame).answer([LabelRequest(shown)])
    assert by_content(averaged, shown) == pytest.approx(by_content(plain, shown), abs=1e-12)


def test_labels_are_averaged_as_probabilities() -> None:
    shown = Presentation(WHO)
    (reply,) = symmetrized(controls.always_first(), "reversed").answer([LabelRequest(shown)])
    probabilities = [math.exp(value) for value in by_content(reply, shown)]
    low = 0.1 / 3
    assert probabilities == pytest.approx([(0.9 + low) / 2, low, low, (0.9 + low) / 2])


@pytest.mark.parametrize(("frame", "n"), [("reversed", 2), ("cyclic", 4), ("all", 24)])
def test_one_question_costs_the_frame(frame: Frame, n: int) -> None:
    inner = Counting(controls.oracle())
    (reply,) = symmetrized(inner, frame).answer([LabelRequest(Presentation(WHO))])
    assert len(inner.seen) == len(set(inner.seen)) == n
    each = controls.oracle().answer([LabelRequest(Presentation(WHO))])[0].n_tokens
    assert reply.n_tokens == n * each


@pytest.mark.parametrize("frame", FRAMES)
def test_prompts_of_one_orbit_are_shared_and_counted_once(frame: Frame) -> None:
    inner = Counting(controls.oracle())
    model = symmetrized(inner, frame)
    requests = [LabelRequest(Presentation(WHO, order=order)) for order in itertools.permutations(range(4))]
    replies = model.answer(requests)
    assert len(inner.seen) == len(set(inner.seen)) == 24
    once = sum(reply.n_tokens for reply in controls.oracle().answer(requests))
    assert sum(reply.n_tokens for reply in replies) == once
    assert model.answer([*requests, requests[0]])[-1].n_tokens == 0


def test_sent_digest_is_of_all_prompts_of_the_frame() -> None:
    model = symmetrized(controls.oracle(), "reversed")
    orders = [(0, 1, 2, 3), (3, 2, 1, 0), (1, 0, 2, 3)]
    one, same, other = model.answer([LabelRequest(Presentation(WHO, order=order)) for order in orders])
    assert one.sent_sha256 == same.sent_sha256 != other.sent_sha256


def test_one_missing_answer_makes_the_average_missing() -> None:
    (reply,) = symmetrized(controls.refuser(), "cyclic").answer([OptionRequest(Presentation(WHO))])
    assert isinstance(reply, MissingReply)
    assert reply.reason == "refuses to say any option"


def test_names_say_what_was_done() -> None:
    model = symmetrized(controls.oracle(), "cyclic")
    assert model.name == "symmetrized(oracle, frame=cyclic)"
    assert model.fingerprint == "symmetrized:cyclic(control:oracle)"
    assert model.capabilities == {"label", "option", "decision"}


def test_the_frame_is_a_group() -> None:
    for frame in FRAMES:
        orders = set(symmetrized(controls.oracle(), frame).frame_orders(4))
        assert identity(4) in orders
        products = {tuple(a[index] for index in b) for a in orders for b in orders}
        assert products == orders


@pytest.mark.parametrize("frame", ["cyclic", "all"])
def test_a_scale_of_which_only_the_ends_are_named_needs_the_frame_reversed(frame: Frame) -> None:
    ends = Template("{stem} {first_label} {first_option} {last_label} {last_option}", name="ends")
    with pytest.raises(UsageError, match=r"the template 'ends' names only the ends .*\. Use frame='reversed'$"):
        symmetrized(controls.oracle(), frame).answer([LabelRequest(Presentation(WHO, template=ends))])


def test_texts_are_refused() -> None:
    from pytest_llminvariance.errors import CapabilityError

    with pytest.raises(CapabilityError, match=r"cannot average texts\. Use readout='label', 'option' or 'decision'$"):
        symmetrized(controls.oracle()).answer([TextRequest(Presentation(WHO))])
