"""What a check asks: its plans, foreign stems for the responsiveness guard, replicas, sentinels at the end."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from pytest_llminvariance.checks.evidence import Evidence, read
from pytest_llminvariance.checks.noise import MAX_PROMPTS, delta_nats, measure_noise, replicas
from pytest_llminvariance.checks.properties.base import Plan
from pytest_llminvariance.checks.refusals import Terms
from pytest_llminvariance.checks.run import current_run
from pytest_llminvariance.checks.sheet import ForeignStems, Sheet
from pytest_llminvariance.checks.verdict import Guard
from pytest_llminvariance.measures.noise import NoiseFloor
from pytest_llminvariance.models.engine import Memo, Persistent, ask
from pytest_llminvariance.models.keys import key_of
from pytest_llminvariance.models.progress import progress_bar
from pytest_llminvariance.models.protocol import LabelReply, MissingReply, OptionReply, Reply, Request, TextReply

N_SENTINELS = 3
MAX_DRIFT_NATS = 0.1


@dataclass(slots=True)
class Asking:
    """Asks one model for one check, plan by plan, and counts what that costs.

    Memory grows with what is asked: its plans and requests here, its replies in the session's memory of answers.
    """

    terms: Terms
    tokens: int = field(default=0, init=False)
    """Tokens of all distinct prompts, whether or not they were remembered."""
    fresh: int = field(default=0, init=False)
    """Requests that were sent now."""
    _memo: Memo = field(init=False)
    _stems: ForeignStems | None = field(default=None, init=False)
    _sheet: Sheet = field(init=False)
    """What was asked so far, as it is written down."""
    _asked: dict[Request, None] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        run, terms = current_run.get(), self.terms
        self._memo = run.memory() if run.memory else {}
        self._sheet = Sheet(
            property=terms.property, metric=terms.metric.name, tolerance=terms.tolerance, readout=terms.readout,
            model=terms.model.name, fingerprint="" if run.on_plan else terms.model.fingerprint,
            delta_nats=0.0, samples=terms.samples, seed=run.seed,
            n_known=terms.n_known,
        )  # fmt: skip

    def measure_noise(self, plans: Sequence[Plan]) -> list[Guard]:
        """Measure the engine's noise once, where rounding may be more than a tie; see `noise_floor`."""
        model, readout = self.terms.model, self.terms.readout
        found = (current_run.get().noise or {}).get((model.name, model.fingerprint, readout))
        if found is None and getattr(model, "is_noisy", False) and self.terms.samples == 1:
            shown = list(dict.fromkeys(probe.presentation for plan in plans for probe in plan.probes))
            found = measure_noise(model, shown[:MAX_PROMPTS], readout)
        if not self.terms.property.batches:
            self._sheet = dataclasses.replace(self._sheet, delta_nats=delta_nats(model, readout))
        return [] if found is None else [noise_guard(found)]

    def evidence(self, plans: Sequence[Plan]) -> list[Evidence]:
        """Ask everything that is planned, and its foreign stems, at once; write down what is asked and what came."""
        log, start = current_run.get().answers, len(self._sheet.plans)
        self._sheet = sheet = self._grown(self._sheet, plans)
        if log is not None:
            log.expect(sheet, self.terms.model)
        numbers = range(start, len(sheet.plans))
        planned = [request for number in numbers for request in sheet.planned(number)]
        foreign = [request for number in numbers for request in sheet.foreign_requests(number)]
        self._asked.update(dict.fromkeys(planned))
        replicated = self._replicated(numbers) if self.terms.property.batches else None
        wanted = [*planned, *foreign] if replicated is None else foreign
        asked = ask(
            self.terms.model, wanted, self._memo, progress_bar(self.terms.property.title, current_run.get().say)
        )
        self.tokens, self.fresh = self.tokens + asked.prompt_tokens, self.fresh + asked.fresh
        replies = iter(asked.replies if replicated is None else (*replicated, *asked.replies))
        rows = [[next(replies) for _ in plan.probes] for plan in plans]
        others = [[next(replies) for _ in sheet.foreign_requests(number)] for number in numbers]
        if log is not None:
            log.entered("planned", start, rows, remembered=replicated is None)
            log.entered("foreign", start, others, remembered=True)
        return [read(sheet, number, row, other) for number, row, other in zip(numbers, rows, others, strict=True)]

    def _grown(self, sheet: Sheet, plans: Sequence[Plan]) -> Sheet:
        if self._stems is None and self.terms.property.needs_response:
            self._stems = ForeignStems(self.terms.questions, sheet.seed)
        return sheet.grown(plans, self._stems, self.terms.model)

    def requests(self, plan: Plan) -> list[Request]:
        """Return everything that a plan asks, foreign stems too."""
        alone = dataclasses.replace(self._sheet, plans=(), foreign=())
        sheet = self._grown(alone, [plan])
        return [*sheet.planned(0), *sheet.foreign_requests(0)]

    def knows(self, plan: Plan) -> bool:
        """Return whether every answer to a plan is remembered."""
        keys = [key_of(self.terms.model, request) for request in self.requests(plan)]
        if isinstance(self._memo, Persistent):
            self._memo.fetch(keys)
        return all(key in self._memo for key in keys)

    def sentinels(self) -> list[Guard]:
        """Ask a few prompts again at the end, where anything was asked now."""
        log, model = current_run.get().answers, self.terms.model
        goes_on = log is not None and log.continues and not self.terms.property.batches
        if not self.fresh and not goes_on:
            return []
        chosen = list(self._asked)
        chosen = [chosen[index] for index in sorted({0, len(chosen) // 2, len(chosen) - 1})][:N_SENTINELS]
        before = ask(model, chosen, self._memo).replies
        again = ask(model, chosen, {})
        self.tokens += again.prompt_tokens
        if log is not None:
            log.again(chosen, again.replies)
        return [sentinel_guard(before, again.replies)]

    def _replicated(self, numbers: range) -> list[Reply]:
        """Return the replies to every plan's probes, asked alone and in batches."""
        requests = [self._sheet.planned(number)[0] for number in numbers]
        rows = replicas(self.terms.model, requests, self.terms.property.batches)
        return [row[index] for index in range(len(requests)) for row in rows]


def noise_guard(found: NoiseFloor) -> Guard:
    """Require that the same prompt's margin moves by at most 0.1 nat between batches."""
    passed = not found.margin_max_nats > MAX_DRIFT_NATS
    bad = f"the engine is too noisy: {found} (at most {MAX_DRIFT_NATS:g}). Use dtype='float32'"
    return Guard(name="noise", passed=passed, text=str(found) if passed else bad, blocks="both")


def sentinel_guard(before: Sequence[Reply], after: Sequence[Reply]) -> Guard:
    """Require that prompts asked again at the end get the answer that they got before."""
    drift = max((_drift(a, b) for a, b in zip(before, after, strict=True)), default=0.0)
    says = f"{len(after)} prompts asked again moved by at most {drift:.2g} nat (at most {MAX_DRIFT_NATS:g})"
    passed = drift <= MAX_DRIFT_NATS
    return Guard(
        name="drift",
        passed=passed,
        text=says if passed else f"the model changed while it was asked: {says}",
        blocks="both",
    )


def _drift(one: Reply, other: Reply) -> float:
    if isinstance(one, TextReply) and isinstance(other, TextReply):
        return 0.0 if one.text == other.text else math.inf
    if isinstance(one, MissingReply) or isinstance(other, MissingReply):
        return 0.0 if type(one) is type(other) else math.inf
    assert isinstance(one, LabelReply | OptionReply) and isinstance(other, LabelReply | OptionReply)  # noqa: S101, PT018
    gaps = [0.0 if a == b else abs(a - b) for a, b in zip(one.logprobs_nats, other.logprobs_nats, strict=True)]
    return max(gaps)
