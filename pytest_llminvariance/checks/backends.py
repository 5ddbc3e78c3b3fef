"""Whether two ways of running the same weights give the same answers: their difference against the noise of both."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_llminvariance.checks.costs import announce_asking
from pytest_llminvariance.checks.noise import floor_of, spread
from pytest_llminvariance.checks.subject import model_of
from pytest_llminvariance.errors import ModelError, UsageError
from pytest_llminvariance.measures.noise import NoiseFloor, moved_nats
from pytest_llminvariance.measures.reading import read_reply
from pytest_llminvariance.models.engine import answers_of
from pytest_llminvariance.models.probes import Probe
from pytest_llminvariance.models.protocol import (
    AnyModel,
    LabelReply,
    MissingReply,
    Model,
    OptionReply,
    Reply,
    TextReply,
    request_for,
    resolve_readout,
)
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Questions, as_questions
from pytest_llminvariance.questions.template import Template

ORDERS = 4
"""Orders of each question that are compared: the first ones, that as written among them."""
MAX_NOISE_PROMPTS = 8
NOISE_ROUNDS = 2
"""So often these are asked in company, after they were asked alone."""
LEAST_NATS = 1e-3
"""Kernels add up in other orders; differences below this are no difference of weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendDifference:
    """How far two backends are apart on the same prompts, in nats."""

    first: str
    second: str
    readout: str
    n_prompts: int
    largest_nats: float
    """Largest difference of any label's or option's log-probability, at the least that it can be."""
    changed_answers: int
    """Prompts with certainly another answer."""
    noise_nats: float
    """What answers of either may move by themselves, both together, and at least 0.001."""
    where: str
    """The question with the largest difference; of texts the first that is read otherwise. Empty where nothing differs."""

    @property
    def agrees(self) -> bool:
        """Whether nothing differs beyond noise; of texts, whether all are read alike."""
        return self.changed_answers == 0 if self.readout == "text" else self.largest_nats <= self.noise_nats

    def __str__(self) -> str:
        what = f"answers differ in {self.changed_answers} of {self.n_prompts} prompts"
        if self.readout == "text":
            return what
        return (
            f"log-probabilities of {self.n_prompts} prompts differ by at most {self.largest_nats:.2g} nat "
            f"(noise of both: {self.noise_nats:.2g}), {what}"
        )


def backend_difference(
    a: AnyModel, b: AnyModel, questions: Questions, *, readout: str = "auto", template: str | Template | None = None
) -> BackendDifference:
    """Ask two models the same prompts, measure the noise of both, and return how far apart they are.

    Raises:
        UsageError: where the two lack a common readout, or there is no question.
        ModelError: where one of the two answers nothing.
    """
    first, second = model_of(a), model_of(b)
    way = _common(first, second) if readout == "auto" else readout
    for model in (first, second):
        resolve_readout(way, model)
    rows = [
        [
            Presentation(question, order=order, template=template)
            for order in itertools.islice(itertools.permutations(range(len(question.options))), ORDERS)
        ]
        for question in as_questions(questions)
    ]
    shown = [item for row in rows for item in row]
    some = spread([[Probe(item) for item in row] for row in rows], MAX_NOISE_PROMPTS)
    requests = [request_for(item, way) for item in shown]
    again = [request_for(probe.presentation, way) for probe in some] * (1 + NOISE_ROUNDS)
    announce_asking("backends agree", "comparison", *((model, requests + again) for model in (first, second)))
    pairs = list(zip(answers_of(first, requests), answers_of(second, requests), strict=True))
    noise = [floor_of(model, some, way, NOISE_ROUNDS * len(some)) for model in (first, second)]
    allowed = math.fsum(_loudest(floor) for floor in noise)
    gaps = [_gap(one, other) for one, other in pairs]
    changed = [_is_changed(one, other, item, way, allowed) for (one, other), item in zip(pairs, shown, strict=True)]
    if silent := next(
        (m for m, came in zip((first, second), zip(*pairs, strict=True), strict=True) if _all_missing(came)), None
    ):
        raise ModelError(f"{silent.name} answered none of {len(shown)} prompts, so there is nothing to compare")
    how = list(zip(changed, gaps, strict=True) if way == "text" else zip(gaps, changed, strict=True))
    return BackendDifference(
        first=first.name, second=second.name, readout=way, n_prompts=len(shown), largest_nats=max(gaps),
        changed_answers=sum(changed), noise_nats=max(LEAST_NATS, allowed),
        where=shown[how.index(max(how))].question.name if any(map(any, how)) else "",
    )  # fmt: skip


def _is_changed(one: Reply, other: Reply, shown: Presentation, readout: str, allowed_nats: float) -> bool:
    """Return whether two replies certainly name other contents."""
    left, right = (read_reply(reply, shown, readout).outcomes(allowed_nats) for reply in (one, other))
    return not left & right


def _all_missing(replies: Sequence[Reply]) -> bool:
    return all(isinstance(reply, MissingReply) for reply in replies)


def _common(first: Model, second: Model) -> str:
    both = [
        name for name in ("label", "option", "text", "decision") if name in first.capabilities & second.capabilities
    ]
    if not both:
        raise UsageError(f"{first.name} and {second.name} have no readout in common")
    return both[0]


def _gap(one: object, other: object) -> float:
    if isinstance(one, LabelReply | OptionReply) and isinstance(other, LabelReply | OptionReply):
        return moved_nats(one, other)
    if isinstance(one, TextReply) and isinstance(other, TextReply):
        return 0.0
    return 0.0 if isinstance(one, MissingReply) and isinstance(other, MissingReply) else math.inf


def _loudest(floor: NoiseFloor) -> float:
    return 0.0 if math.isnan(floor.logprob_max_nats) else floor.logprob_max_nats
