"""Ways to take a preference for places off a model, side by side: what each is worth, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from pytest_llminvariance.checks.costs import announce_asking
from pytest_llminvariance.checks.noise import delta_nats
from pytest_llminvariance.checks.refusals import as_tolerance
from pytest_llminvariance.checks.run import current_run
from pytest_llminvariance.checks.subject import answers_to, model_of
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.measures.calibration import Quality, quality
from pytest_llminvariance.measures.metrics import METRICS, Interval, mean_interval
from pytest_llminvariance.models.debiased import DebiasedModel, debiased
from pytest_llminvariance.models.engine import Memo, ask
from pytest_llminvariance.models.protocol import AnyModel, Model, Reply, Request, request_for, resolve_readout
from pytest_llminvariance.models.symmetrized import Frame, SymmetrizedModel, symmetrized
from pytest_llminvariance.questions.question import Question, Questions, as_questions
from pytest_llminvariance.questions.template import Template
from pytest_llminvariance.transforms.designs import Design
from pytest_llminvariance.transforms.showing import Reorder

FRAMES: tuple[Frame, ...] = ("reversed", "cyclic", "all")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameRow:
    """One way of asking: as it is, averaged over a frame, or with its prior taken off."""

    way: str
    effect: Interval
    """Flip rate over the orders of the design: share of the other orders whose answer is another."""
    quality: Quality | None
    """Of the answers as written; `None` where no correct answer is known, or one is open."""
    prompts: float
    """Prompts a question, with the share of what an estimation costs."""


@dataclass(frozen=True, slots=True)
class FrameTable:
    """The ways, and the cheapest of those whose effect is within the tolerance."""

    rows: tuple[FrameRow, ...]
    tolerance: Fraction

    @property
    def cheapest(self) -> FrameRow | None:
        """The way with the fewest prompts whose effect is certainly within the tolerance; `None` where none is."""
        within = [row for row in self.rows if row.effect.high <= self.tolerance]
        return min(within, key=lambda row: row.prompts) if within else None

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{'way':<22}{'flip rate':>12}{'accuracy':>10}{'ECE':>8}{'Brier':>8}{'prompts':>9}"
        for row in self.rows:
            low, high = float(row.effect.low), float(row.effect.high)
            shown = f"{low:.3f}" if low == high else f"{low:.2f}-{high:.2f}"
            q = row.quality
            told = f"{q.accuracy:>10.3f}{q.ece:>8.3f}{q.brier:>8.3f}" if q else f"{'?':>10}{'?':>8}{'?':>8}"
            yield f"{row.way:<22}{shown:>12}{told}{row.prompts:>9.3g}"
        best = self.cheapest
        yield f"cheapest within {float(self.tolerance):.2g}: {best.way if best else 'none'}"


@dataclass(frozen=True, slots=True)
class _Once:
    """A model that is sent each distinct request once, whatever wraps it."""

    inner: Model
    memo: Memo = field(default_factory=dict)
    name = property(lambda self: self.inner.name)
    fingerprint = property(lambda self: self.inner.fingerprint)
    capabilities = property(lambda self: self.inner.capabilities)

    def answer(self, requests: Sequence[Request]) -> Sequence[Reply]:
        return ask(self.inner, requests, self.memo).replies


def compare_frames(
    model: AnyModel,
    questions: Questions,
    *,
    tolerance: float = 0.05,
    frames: Sequence[Frame] = FRAMES,
    estimate_on: Questions | None = None,
    orders: Design = "auto",
    readout: str = "label",
    template: str | Template | None = None,
) -> FrameTable:
    """Compare the model as it is, averaged over each frame, and with its prior taken off (where `estimate_on` is given).

    For each way: the flip rate under `orders`, accuracy, calibration (ECE, Brier) and prompts a question, and which is the
    cheapest within the tolerance. `estimate_on` should hold other questions than those that are judged. Every distinct
    prompt is sent once for all ways together.

    Raises:
        UsageError: for bad arguments, before anything is asked.
    """
    limit, asked = as_tolerance(tolerance), as_questions(questions)
    plans = [Reorder(orders).orbit(question, template).presentations for question in asked]
    if unmoved := next((q.name for q, plan in zip(asked, plans, strict=True) if len(plan) < 2), None):
        raise UsageError(f"the options of question {unmoved!r} have one order only. Leave it out")
    run, subject = current_run.get(), model_of(model)
    inner: Any = _Once(subject, {} if run.memo is None else run.memo)
    ways: list[tuple[str, Any]] = [("as it is", inner), *((f"averaged: {f}", symmetrized(inner, f)) for f in frames)]
    if estimate_on is not None:
        ways.append(("prior taken off", debiased(inner, as_questions(estimate_on))))
    readout = resolve_readout(readout, subject)
    with run.turn:
        requests = [request_for(shown, readout) for plan in plans for shown in plan]
        sent = dict.fromkeys(part for _, way in ways for one in requests for part in _sent_for(way, one))
        announce_asking("compare frames", "description", (subject, list(sent)))
        delta = delta_nats(subject, readout)  # ways of asking that were never measured are made of its answers
        rows = [_row(name, way, asked, plans, readout, delta) for name, way in ways]
    return FrameTable(tuple(rows), limit)


def _sent_for(way: Any, request: Request) -> Sequence[Request]:
    """Return what the model itself is asked for a request."""
    if isinstance(way, SymmetrizedModel):
        return way.framed(request)
    return [request, *(way.estimation(request.presentation) if isinstance(way, DebiasedModel) else ())]


def _row(
    name: str, model: Any, asked: Sequence[Question], plans: Sequence[Sequence[Any]], readout: str, delta: float
) -> FrameRow:
    flips = METRICS["flip_rate"].measure
    answers = iter(answers_to(model, [shown for plan in plans for shown in plan], readout, "compare frames"))
    rows = [[next(answers) for _ in plan] for plan in plans]
    return FrameRow(
        way=name,
        effect=mean_interval([flips(row, None, delta) for row in rows]),
        quality=quality([row[0] for row in rows], [question.answer for question in asked], delta),
        prompts=math.fsum(_prompts(model, question) for question in asked) / len(asked) + _estimation(model, asked),
    )


def _prompts(model: Any, question: Question) -> int:
    frame = getattr(model, "frame_orders", None)
    return 1 if frame is None else len(set(frame(len(question.options))))


def _estimation(model: Any, asked: Sequence[Question]) -> float:
    if not isinstance(model, DebiasedModel):
        return 0.0
    return sum(model.prompts_for(k) for k in {len(question.options) for question in asked}) / len(asked)
