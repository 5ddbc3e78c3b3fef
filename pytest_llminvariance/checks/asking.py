"""What a check asks: its plans, foreign stems for the responsiveness guard, replicas, sentinels at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from pytest_llminvariance.checks.evidence import Evidence, read
from pytest_llminvariance.checks.guards import Foreign, ForeignStems, inside_frame, noise_guard, sentinel_guard
from pytest_llminvariance.checks.noise import MAX_PROMPTS, delta_nats, measure_noise, replicas
from pytest_llminvariance.checks.properties import BatchAgreement, Plan, Property
from pytest_llminvariance.checks.run import current_run
from pytest_llminvariance.checks.sheet import Sheet
from pytest_llminvariance.checks.verdict import Guard
from pytest_llminvariance.measures.reading import read_reply
from pytest_llminvariance.models.engine import Memo, Persistent, ask
from pytest_llminvariance.models.keys import key_of
from pytest_llminvariance.models.progress import progress_bar
from pytest_llminvariance.models.protocol import Draw, Model, Reply, Request, request_for
from pytest_llminvariance.questions.question import Question

N_SENTINELS = 3


@dataclass(frozen=True, slots=True)
class Part:
    """What came back for one plan."""

    evidence: Evidence
    foreign: Foreign


@dataclass(slots=True)
class Asking:
    """Asks one model for one check, plan by plan, and counts what that costs."""

    model: Model
    readout: str
    made: Property
    questions: Sequence[Question]
    samples: int = 1
    metric: str = ""
    tolerance: Fraction = Fraction(0)
    tokens: int = field(default=0, init=False)
    """Tokens of all distinct prompts, whether or not they were remembered."""
    fresh: int = field(default=0, init=False)
    """Requests that were sent now."""
    _memo: Memo = field(init=False)
    _stems: ForeignStems | None = field(init=False)
    _asked: dict[Request, None] = field(default_factory=dict, init=False)
    _delta: float = field(default=0.0, init=False)
    _plans: list[Plan] = field(default_factory=list, init=False)
    _rows: list[list[Reply]] = field(default_factory=list, init=False)
    _strange_rows: list[list[Reply]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        run = current_run.get()
        memo = run.memo
        self._memo = {} if memo is None else memo
        self._stems = ForeignStems(self.questions, run.seed) if needs_response(self.made) else None

    def measure_noise(self, plans: Sequence[Plan]) -> Guard | None:
        """Measure the engine's noise once, where rounding may be more than a tie; see `noise_floor`."""
        known = current_run.get().noise
        found = (known or {}).get((self.model.name, self.model.fingerprint, self.readout))
        if found is None and getattr(self.model, "is_noisy", False) and self.samples == 1:
            shown = list(dict.fromkeys(probe.presentation for plan in plans for probe in plan.probes))
            found = measure_noise(self.model, shown[:MAX_PROMPTS], self.readout)
        own = isinstance(self.made, BatchAgreement)
        self._delta = 0.0 if own else delta_nats(self.model, self.readout)
        return None if found is None else noise_guard(found)

    def parts(self, plans: Sequence[Plan]) -> list[Part]:
        """Ask everything that is planned, and its foreign stems, at once; write down what is asked and what came."""
        log = current_run.get().answers
        start = len(self._plans)
        self._plans += plans
        sheet = self.sheet()
        if log is not None:
            log.expect(sheet, self.model)
        numbers = range(start, len(self._plans))
        planned = [request for number in numbers for request in sheet.planned(number)]
        strange = [request for number in numbers for request in sheet.strange(number)]
        self._asked.update(dict.fromkeys(planned))
        replicated = self._replicated(plans)
        wanted = [*planned, *strange] if replicated is None else strange
        asked = ask(self.model, wanted, self._memo, progress_bar(self.made.title))
        self.tokens, self.fresh = self.tokens + asked.prompt_tokens, self.fresh + asked.fresh
        replies = iter(asked.replies if replicated is None else (*replicated, *asked.replies))
        self._rows += [[next(replies) for _ in plan.probes] for plan in plans]
        self._strange_rows += [[next(replies) for _ in sheet.strange(number)] for number in numbers]
        if log is not None:
            log.entered("planned", self._rows, remembered=replicated is None)
            log.entered("foreign", self._strange_rows, remembered=True)
        return [part_of(sheet, number, self._rows[number], self._strange_rows[number]) for number in numbers]

    def sheet(self) -> Sheet:
        """Return what was asked so far, as it is written down."""
        compares = self.made.compares_prompts
        stems = self._stems
        return Sheet(
            made=self.made,
            metric=self.metric,
            tolerance=self.tolerance,
            readout=self.readout,
            model=self.model.name,
            fingerprint=self.model.fingerprint,
            plans=tuple(self._plans),
            foreign=() if stems is None else tuple(stems.under(plan) for plan in self._plans),
            must_differ=tuple(compares and not inside_frame(plan, self.model) for plan in self._plans),
            delta_nats=self._delta,
            samples=self.samples,
            seed=current_run.get().seed,
        )

    def requests(self, plan: Plan) -> list[Request]:
        """Return everything that a plan asks, foreign stems too."""
        return [*self._planned(plan), *self._strange(plan)]

    def knows(self, plan: Plan) -> bool:
        """Return whether every answer to a plan is remembered."""
        keys = [key_of(self.model, request) for request in self.requests(plan)]
        if isinstance(self._memo, Persistent):
            self._memo.fetch(keys)
        return all(key in self._memo for key in keys)

    def sentinels(self) -> Guard | None:
        """Ask a few prompts again at the end, where anything was asked now."""
        log = current_run.get().answers
        replicated = isinstance(self.made, BatchAgreement)
        if not self.fresh and not (log is not None and log.continues and not replicated):
            return None
        chosen = list(self._asked)
        chosen = [chosen[index] for index in sorted({0, len(chosen) // 2, len(chosen) - 1})][:N_SENTINELS]
        before = ask(self.model, chosen, self._memo).replies
        again = ask(self.model, chosen, {})
        self.tokens += again.prompt_tokens
        if log is not None:
            log.again(chosen, again.replies)
        return sentinel_guard(before, again.replies)

    def _planned(self, plan: Plan) -> Iterator[Request]:
        for probe in plan.probes:
            yield request_for(probe.presentation, probe.readout or self.readout, _draw(probe.draw))

    def _strange(self, plan: Plan) -> Iterator[Request]:
        for shown in self._stems.under(plan) if self._stems else ():
            for probe in plan.probes[: self.samples]:
                yield request_for(shown, self.readout, _draw(probe.draw))

    def _replicated(self, plans: Sequence[Plan]) -> list[Reply] | None:
        """Return the replies to every plan's probes, asked alone and in batches, where that is the property."""
        if not isinstance(self.made, BatchAgreement):
            return None
        requests = [request_for(plan.probes[0].presentation, self.readout) for plan in plans]
        rows = replicas(self.model, requests, self.made.batches)
        return [row[index] for index in range(len(plans)) for row in rows]


def part_of(sheet: Sheet, number: int, row: Sequence[Reply], strange: Sequence[Reply]) -> Part:
    """Take the replies to one plan of a sheet back to contents, in the run and from a record alike."""
    plan, n = sheet.plans[number], sheet.samples
    evidence = read(plan, row, sheet.readout, must_differ=sheet.must_differ[number], delta_nats=sheet.delta_nats)
    stems = sheet.foreign[number] if sheet.foreign else ()
    foreign = tuple(
        tuple(read_reply(reply, shown, sheet.readout) for reply in strange[place * n : (place + 1) * n])
        for place, shown in enumerate(stems)
    )
    return Part(evidence, foreign)


def needs_response(made: Property) -> bool:
    """Return whether a model that never changes its answer would pass without having earned it."""
    return made.metric != "unchanged" and not isinstance(made, BatchAgreement)


def _draw(index: int | None) -> Draw | None:
    return None if index is None else Draw(current_run.get().seed, index)
