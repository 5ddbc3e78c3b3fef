"""What a check asks: its plans, foreign stems for the responsiveness guard, replicas, sentinels at the end."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pytest_llminvariance.checks.evidence import Evidence, read
from pytest_llminvariance.checks.noise import Measured, known_noise, measure_noise, replicas, spread, watch
from pytest_llminvariance.checks.properties.base import Plan, Probe
from pytest_llminvariance.checks.refusals import Terms
from pytest_llminvariance.checks.responses import Stem
from pytest_llminvariance.checks.run import current_run
from pytest_llminvariance.checks.sheet import Sheet
from pytest_llminvariance.checks.verdict import Guard
from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.measures.metrics import DELTA_NATS
from pytest_llminvariance.measures.noise import MIN_PAIRS, Noise, Replicates
from pytest_llminvariance.measures.reading import read_reply
from pytest_llminvariance.models.engine import Memo, Persistent, ask
from pytest_llminvariance.models.keys import key_of
from pytest_llminvariance.models.progress import progress_bar
from pytest_llminvariance.models.protocol import Reply, Request, is_deterministic, only_rounds
from pytest_llminvariance.questions.foreign_stems import ForeignStems


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
    memo: Memo = field(init=False)
    _stems: ForeignStems | None = field(default=None, init=False)
    _sheet: Sheet = field(init=False)
    """What was asked so far, as it is written down."""
    _alone: Sheet | None = field(default=None, init=False)
    """One without plans."""
    asked: dict[Request, None] = field(default_factory=dict, init=False)
    measured: Measured | None = field(default=None, init=False)
    """How far equal prompts were measured to differ; `None` where that was not asked."""
    n_first: int = field(default=0, init=False)
    """Prompts of the first question."""
    under_stems: bool = field(default=False, init=False)
    """Whether foreign stems were asked."""
    passes: int = field(default=0, init=False)
    """Passes of the model before this check, where it counts them."""
    again: Replicates = field(default=Replicates(0, 0), init=False)
    """What changed between the beginning and the end, where that is noise."""

    def begin(self, plans: Callable[[], Sequence[Plan]]) -> list[Guard]:
        """Begin the sheet with how far equal prompts differ: measured once a session, unless the model declares that they do not."""
        run, terms = current_run.get(), self.terms
        self.memo = {} if run.memory is None else run.memory()
        self.passes = passes_of(terms.model)
        if terms.property.batches:  # what moves there is the finding
            self._sheet = self._blank(0.0)
            return []
        self.measured = found = self._noise(plans)
        self._sheet = self._blank(DELTA_NATS if found is None else found.floor.delta_nats)
        return [] if found is None else [Guard(name="noise", passed=True, text=str(found.floor), blocks="nothing")]

    def _noise(self, plans: Callable[[], Sequence[Plan]]) -> Measured | None:
        terms, way = self.terms, " and ".join(self.terms.property.readouts) or self.terms.readout
        found = known_noise(terms.model, way) if current_run.get().noise else None
        if found is None and terms.samples == 1 and not is_deterministic(terms.model):
            found = measure_noise(terms.model, _probes(plans()), way)
            if found.floor.is_loud and getattr(terms.model, "calm", bool)():
                found = measure_noise(terms.model, _probes(plans()), way)
        elif found is not None and not found.rows and not is_deterministic(terms.model):
            watch(terms.model, found, _probes(plans()))
        return found

    def _blank(self, delta_nats: float) -> Sheet:
        run, terms = current_run.get(), self.terms
        return Sheet(
            property=terms.property, metric=terms.metric.name, tolerance=terms.tolerance, readout=terms.readout,
            model=terms.model.name, fingerprint="" if run.on_plan else terms.model.fingerprint,
            delta_nats=delta_nats, samples=terms.samples, seed=run.seed,
            n_known=terms.n_known,
        )  # fmt: skip

    @property
    def noise(self) -> Noise | None:
        """Answers that change by themselves; `None` where none did, and none can."""
        if self.measured is None:
            return None
        floor = self.measured.floor
        found = Noise(start=floor.replicates, all=floor.replicates.joined(self.again))
        rounds = only_rounds(self.terms.model) and not math.isnan(floor.margin_max_nats)
        return None if rounds and not found.all.changed else found

    def evidence(self, plans: Sequence[Plan]) -> list[Evidence]:
        """Ask everything that is planned; write down what is asked, foreign stems too, and what came."""
        log, start = current_run.get().answers, len(self._sheet.plans)
        self._sheet = sheet = self._grown(self._sheet, plans)
        if log is not None:
            log.expect(sheet, self.terms.model)
        numbers = range(start, len(sheet.plans))
        planned = [request for number in numbers for request in sheet.planned(number)]
        self.asked.update(dict.fromkeys(planned))
        self.n_first = self.n_first or len(dict.fromkeys(sheet.planned(0)))
        replicated: Sequence[Reply] | None = self._replicated(numbers) if self.terms.property.batches else None
        if replicated is None:
            asked = ask(
                self.terms.model, planned, self.memo, progress_bar(self.terms.property.title, current_run.get().say)
            )
            self.tokens, self.fresh = self.tokens + asked.prompt_tokens, self.fresh + asked.fresh
            replicated = asked.replies
        replies = iter(replicated)
        rows = [[next(replies) for _ in plan.probes] for plan in plans]
        if log is not None:
            log.entered(start, rows, remembered=not self.terms.property.batches)
        return [read(sheet, number, row) for number, row in zip(numbers, rows, strict=True)]

    def responses(self, stems: Sequence[Stem]) -> list[tuple[AnswerDistribution, ...]]:
        """Ask questions under foreign stems that are on the sheet; what the check has asked before costs no tokens."""
        log, sheet = current_run.get().answers, self._sheet
        requests = [sheet.planned(*stem) for stem in stems]
        every = list(itertools.chain(*requests))
        asked = ask(self.terms.model, every, self.memo, progress_bar(self.terms.property.title, current_run.get().say))
        self.fresh, self.under_stems = self.fresh + asked.fresh, True
        known = dict(zip(every, asked.replies, strict=True))
        self.tokens += sum(reply.n_tokens for request, reply in known.items() if request not in self.asked)
        rows = [[known[request] for request in row] for row in requests]
        if log is not None:
            log.responded(stems, rows)
        shown = [sheet.foreign[stem.question][stem.number] for stem in stems]
        return [
            tuple(read_reply(reply, one, sheet.readout) for reply in row) for one, row in zip(shown, rows, strict=True)
        ]

    def _grown(self, sheet: Sheet, plans: Sequence[Plan]) -> Sheet:
        if self._stems is None and self.terms.property.needs_response:
            self._stems = ForeignStems(self.terms.questions, sheet.seed, self.terms.property.donors)
        return sheet.grown(plans, self._stems, self.terms.model)

    def requests(self, plan: Plan) -> tuple[list[Request], list[Request]]:
        """Return what a plan asks, and what it may ask under foreign stems."""
        self._alone = self._alone or self._blank(DELTA_NATS)
        sheet = self._grown(self._alone, [plan])
        return sheet.planned(0), sheet.foreign_requests(0)

    def knows(self, plan: Plan) -> bool:
        """Return whether every answer to a plan is remembered."""
        run, keys = current_run.get(), [key_of(self.terms.model, request) for request in self.requests(plan)[0]]
        memo = {} if run.memory is None else run.memory()
        if isinstance(memo, Persistent):
            memo.fetch(keys)
        return all(key in memo for key in keys)

    def _replicated(self, numbers: range) -> list[Reply]:
        """Return the replies to every plan's probes, asked alone and in batches."""
        requests = [self._sheet.planned(number)[0] for number in numbers]
        rows = replicas(self.terms.model, requests, self.terms.property.batches)
        return [row[index] for index in range(len(requests)) for row in rows]


def passes_of(model: object) -> int:
    """Return how many passes the model has made, where it counts them."""
    return getattr(getattr(model, "usage", None), "passes", 0)


def _probes(plans: Sequence[Plan]) -> list[Probe]:
    return spread([plan.probes for plan in plans], MIN_PAIRS)
