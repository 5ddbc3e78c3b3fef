"""What a check asks: its plans, foreign stems for the responsiveness guard, replicas, sentinels at the end."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from pytest_llminvariance.checks.evidence import Evidence, read
from pytest_llminvariance.checks.noise import Measured, known_noise, measure_noise, replicas, spread, watch
from pytest_llminvariance.checks.properties.base import Plan
from pytest_llminvariance.checks.refusals import Terms
from pytest_llminvariance.checks.responses import Stem
from pytest_llminvariance.checks.run import current_run
from pytest_llminvariance.checks.sheet import Sheet
from pytest_llminvariance.checks.verdict import Guard
from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.measures.metrics import DELTA_NATS
from pytest_llminvariance.measures.noise import MIN_PAIRS, Noise, Replicates
from pytest_llminvariance.measures.reading import read_reply
from pytest_llminvariance.models.engine import Memo, Persistent, Step, ask
from pytest_llminvariance.models.keys import key_of
from pytest_llminvariance.models.probes import Probe
from pytest_llminvariance.models.progress import Parts, progress_bar
from pytest_llminvariance.models.protocol import Request, is_deterministic, only_rounds
from pytest_llminvariance.models.remembered import Remembered, Seen
from pytest_llminvariance.questions.foreign_stems import ForeignStems

PART = 3_072
"""Prompts that are asked together: a multiple of what a model is handed at a time, and of the usual 24 orders."""


@dataclass(slots=True)
class Asking:
    """Asks one model for one check, plan by plan, and counts what that costs.

    Memory grows with what is asked: plans here, replies in the session's memory of answers, requests those of a part.
    """

    terms: Terms
    tokens: int = field(default=0, init=False)
    """Tokens of all distinct prompts, whether or not they were remembered."""
    fresh: int = field(default=0, init=False)
    """Requests that were sent now."""
    memo: Memo = field(init=False)
    _stems: ForeignStems | None = field(default=None, init=False)
    sheet: Sheet = field(init=False)
    """What was asked so far, as it is written down."""
    _alone: Sheet | None = field(default=None, init=False)
    """One without plans."""
    asked: Seen = field(default_factory=Seen, init=False)
    new: list[int] = field(default_factory=list, init=False)
    """How many requests of each plan on the sheet no plan before it had."""
    measured: Measured | None = field(default=None, init=False)
    """How far equal prompts were measured to differ; `None` where that was not asked."""
    under_stems: bool = field(default=False, init=False)
    """Whether foreign stems were asked."""
    passes: int = field(default=0, init=False)
    """Passes of the model before this check, where it counts them."""
    again: Replicates = field(default=Replicates(0, 0), init=False)
    """What changed between the beginning and the end, where that is noise."""

    def begin(self, plans: Callable[[], Sequence[Plan]]) -> list[Guard]:
        """Begin the sheet with how far equal prompts differ: measured once a session, unless the model declares that they do not."""
        run, terms = current_run.get(), self.terms
        self.memo = run.memory() if run.memory else Remembered()
        self.passes = passes_of(terms.model)
        if terms.property.batches:  # what moves there is the finding
            self.sheet = self._blank(0.0)
            return []
        self.measured = found = self._noise(plans)
        self.sheet = self._blank(DELTA_NATS if found is None else found.floor.delta_nats)
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
        return list(self.each(plans))

    def each(self, plans: Sequence[Plan]) -> Iterator[Evidence]:
        """Yield the same, some thousand prompts after the other, so that requests and replies of all are never held at once."""
        log, model, n_batches = current_run.get().answers, self.terms.model, self.terms.property.batches
        parts = _parts(plans, len(self.sheet.plans), whole=bool(n_batches))
        shown = Parts(self._bar(), len(plans), sum(len(plan.probes) for plan in plans))
        self.sheet = sheet = self._grown(self.sheet, plans)
        if log is not None:
            log.expect(sheet, model)
        seen = Seen() if self.asked else self.asked
        for numbers in parts:
            each = [sheet.planned(number) for number in numbers]
            planned = list(itertools.chain.from_iterable(each))
            is_new = seen.add(planned)
            counts = iter(is_new if seen is self.asked else self.asked.add(planned))
            self.new += [sum(itertools.islice(counts, len(requests))) for requests in each]
            shown.begin(len(each), len(planned))
            if n_batches:
                again = replicas(model, [requests[0] for requests in each], n_batches)
                rows = [[row[index] for row in again] for index in range(len(each))]
            else:
                asked = ask(model, planned, self.memo, shown)
                self.fresh += asked.fresh
                self.tokens += sum(reply.n_tokens for reply in itertools.compress(asked.replies, is_new))
                came = iter(asked.replies)
                rows = [list(itertools.islice(came, len(requests))) for requests in each]
            if log is not None:
                log.entered(numbers.start, rows, remembered=not n_batches)
            for number, row in zip(numbers, rows, strict=True):
                yield read(sheet, number, row)

    def _bar(self) -> Callable[[Step], None]:
        return progress_bar(self.terms.property.title, current_run.get().say)

    def responses(self, stems: Sequence[Stem]) -> list[tuple[AnswerDistribution, ...]]:
        """Ask questions under foreign stems that are on the sheet; what the check has asked before costs no tokens."""
        log, sheet = current_run.get().answers, self.sheet
        requests = [sheet.planned(*stem) for stem in stems]
        every = list(itertools.chain(*requests))
        asked = ask(self.terms.model, every, self.memo, self._bar())
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
        memo = run.memory() if run.memory else {}
        if isinstance(memo, Persistent):
            memo.fetch(keys)
        return all(key in memo for key in keys)


def passes_of(model: object) -> int:
    """Return how many passes the model has made, where it counts them."""
    return getattr(getattr(model, "usage", None), "passes", 0)


def _parts(plans: Sequence[Plan], start: int, *, whole: bool) -> list[range]:
    """Return the numbers of the questions that are asked together: all of a small check, some thousand prompts of a large one."""
    found, begin, n = list[range](), start, 0
    for number, plan in enumerate(plans, start):
        n += len(plan.probes)
        if n >= PART and not whole:
            found.append(range(begin, number + 1))
            begin, n = number + 1, 0
    return [*found, range(begin, start + len(plans))] if begin < start + len(plans) else found


def _probes(plans: Sequence[Plan]) -> list[Probe]:
    return spread([plan.probes for plan in plans], MIN_PAIRS)
