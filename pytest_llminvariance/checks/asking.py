"""What a check asks: its plans, foreign stems for the responsiveness guard, replicas, sentinels at the end."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pytest_llminvariance.checks.evidence import Evidence, read
from pytest_llminvariance.checks.noise import (
    jumped,
    known_noise,
    measure_noise,
    moved_beyond,
    pairs_of,
    replicas,
    spread,
)
from pytest_llminvariance.checks.properties.base import Plan, Probe
from pytest_llminvariance.checks.refusals import Terms
from pytest_llminvariance.checks.run import current_run
from pytest_llminvariance.checks.sheet import ForeignStems, Sheet
from pytest_llminvariance.checks.verdict import Guard
from pytest_llminvariance.measures.metrics import DELTA_NATS
from pytest_llminvariance.measures.noise import MIN_PAIRS, Noise, NoiseFloor, Replicates
from pytest_llminvariance.models.engine import Memo, Persistent, ask
from pytest_llminvariance.models.keys import key_of
from pytest_llminvariance.models.progress import progress_bar
from pytest_llminvariance.models.protocol import (
    LabelReply,
    MissingReply,
    OptionReply,
    Reply,
    Request,
    TextReply,
    is_deterministic,
    only_rounds,
    request_for,
)

N_SENTINELS = 3
"""Prompts of a deterministic model that are asked again at the end."""
MAX_DRIFT_NATS = 0.1
"""Of a model that declares itself deterministic."""
A_GROUP = 15
"""Prompts of a group of questions that are asked first, where a check may stop after any of them."""


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
    floor: NoiseFloor | None = field(default=None, init=False)
    """How far equal prompts were measured to differ; `None` where that was not asked."""
    _first: list[Probe] = field(default_factory=list, init=False)
    """What was asked before all else, where the model may change its answers."""
    _again: Replicates = field(default=Replicates(0, 0), init=False)
    """What changed between the beginning and the end, where that is noise."""
    _at_once: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        run, terms = current_run.get(), self.terms
        self._memo = run.memory() if run.memory else {}
        self._sheet = Sheet(
            property=terms.property, metric=terms.metric.name, tolerance=terms.tolerance, readout=terms.readout,
            model=terms.model.name, fingerprint="" if run.on_plan else terms.model.fingerprint,
            delta_nats=0.0, samples=terms.samples, seed=run.seed,
            n_known=terms.n_known,
        )  # fmt: skip

    def measure_noise(self, plans: Callable[[], Sequence[Plan]], *, at_once: bool) -> list[Guard]:
        """Measure once a session how far equal prompts differ, unless the model declares that they do not.

        `at_once` tells that the first plans that are asked are all of them.
        """
        terms, way = self.terms, " and ".join(self.terms.property.readouts) or self.terms.readout
        if terms.property.batches:
            return []  # what moves there is the finding
        self._at_once = at_once
        found = known_noise(terms.model, way)
        if found is None and terms.samples == 1 and not is_deterministic(terms.model):
            found = measure_noise(terms.model, spread([plan.probes for plan in plans()], MIN_PAIRS), way)
        self.floor = found
        self._sheet = dataclasses.replace(self._sheet, delta_nats=DELTA_NATS if found is None else found.delta_nats)
        return [] if found is None else [Guard(name="noise", passed=True, text=str(found), blocks="nothing")]

    @property
    def noise(self) -> Noise | None:
        """Answers that change by themselves; `None` where none did, and none can."""
        floor = self.floor
        if floor is None:
            return None
        found = Noise(start=floor.replicates, all=floor.replicates.joined(self._again))
        rounds = only_rounds(self.terms.model) and not math.isnan(floor.margin_max_nats)
        return None if rounds and not found.all.changed else found

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
        if self.floor is not None and not is_deterministic(self.terms.model):
            self._ask_first([sheet.plans[number] for number in numbers])
        asked = ask(self.terms.model, wanted, self._memo, progress_bar(self.terms.property.title))
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

    def _ask_first(self, plans: Sequence[Plan]) -> None:
        """Ask some of what is planned before all else, to ask it again at the end: then a change at any time shows."""
        left = MIN_PAIRS - len(self._first)
        probes = spread([plan.probes for plan in plans], left if self._at_once else min(left, A_GROUP))
        asked = ask(self.terms.model, self._requests(probes), self._memo)
        self._first += probes
        self.fresh += asked.fresh

    def _requests(self, probes: Sequence[Probe]) -> list[Request]:
        return [request_for(probe.presentation, probe.readout or self.terms.readout) for probe in probes]

    def sentinels(self) -> list[Guard]:
        """Ask prompts again at the end, where anything was asked now: the first ones, or a few of a deterministic model."""
        log, model = current_run.get().answers, self.terms.model
        goes_on = log is not None and log.continues and not self.terms.property.batches
        if not self.fresh and not goes_on:
            return []
        if not is_deterministic(model) and not self._first:
            return [not_checked("what is asked again may be answered anew")]
        chosen = list(self._asked)
        chosen = [chosen[index] for index in sorted({0, len(chosen) // 2, len(chosen) - 1})][:N_SENTINELS]
        chosen = self._requests(self._first) if self._first else chosen
        before = ask(model, chosen, self._memo).replies
        again = ask(model, chosen, {})
        self.tokens += again.prompt_tokens
        if log is not None:
            log.again(chosen, again.replies)
        return [self._drift(before, again.replies) if self._first else drift_guard(before, again.replies)]

    def _drift(self, before: Sequence[Reply], after: Sequence[Reply]) -> Guard:
        """Compare with what moved at the beginning; what is no more than that is noise, and counted as such."""
        assert self.floor is not None  # noqa: S101 - without it nothing is asked first
        pairs, delta = pairs_of(self._first, before, after, self.terms.readout), self.floor.delta_nats
        guard = drift_beyond_noise(moved_beyond(pairs, delta), self.floor.replicates)
        if guard.passed:
            self._again = jumped(pairs, delta)
        return guard

    def _replicated(self, numbers: range) -> list[Reply]:
        """Return the replies to every plan's probes, asked alone and in batches."""
        requests = [self._sheet.planned(number)[0] for number in numbers]
        rows = replicas(self.terms.model, requests, self.terms.property.batches)
        return [row[index] for index in range(len(requests)) for row in rows]


def drift_beyond_noise(again: Replicates, noise: Replicates) -> Guard:
    """Require that no more prompts moved between beginning and end than moved when they were asked twice at once."""
    says = (
        f"{again.changed} of {again.pairs} prompts asked again at the end moved, "
        f"{noise.changed} of {noise.pairs} asked twice at the beginning"
    )
    changed = again.differs_from(noise)
    text = f"the model changed while it was asked: {says}" if changed else f"within noise: {says}"
    return Guard(name="drift", passed=not changed, text=text, blocks="both")


def not_checked(why: str) -> Guard:
    """Say why drift cannot be told."""
    return Guard(name="drift", passed=None, text=f"drift not checked: {why}", blocks="nothing")


def drift_guard(before: Sequence[Reply], after: Sequence[Reply]) -> Guard:
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
