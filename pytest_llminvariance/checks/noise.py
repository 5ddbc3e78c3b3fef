"""The noise floor: how far the same prompt's answer moves when only its company changes.

The same prompts are asked alone, all together, and in mixed batches. What moves between these says nothing
about the prompt, so differences below it are ties (interval-valued answers), and a share of answers that change
by themselves is taken off the effect (`measures/noise`).
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from pytest_llminvariance.checks.costs import announce_asking
from pytest_llminvariance.checks.run import current_run
from pytest_llminvariance.checks.subject import model_of
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.measures.metrics import DELTA_NATS
from pytest_llminvariance.measures.noise import MIN_PAIRS, NoiseFloor, Replicates, moved_nats
from pytest_llminvariance.measures.reading import read_reply
from pytest_llminvariance.models.engine import answers_of
from pytest_llminvariance.models.keys import owner_of
from pytest_llminvariance.models.probes import Probe
from pytest_llminvariance.models.protocol import (
    AnyModel,
    LabelReply,
    Model,
    OptionReply,
    Reply,
    Request,
    request_for,
    resolve_readout,
)
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Questions, as_questions
from pytest_llminvariance.questions.template import Template

MIXED_BATCH = 5
N_BEFORE = 3
"""Replies before a check to each prompt that is asked again at its end."""
QUANTILES = (0.5, 0.9, 0.99)


@dataclass(frozen=True, slots=True)
class Measured:
    """The noise of a model, and the prompts that every check asks again at its end."""

    floor: NoiseFloor
    probes: list[Probe] = field(default_factory=list)
    rows: list[list[Reply]] = field(default_factory=list)
    """The last three replies to each: alone, in company, in company again; later those at the end of checks."""

    @property
    def requests(self) -> list[Request]:
        """What is asked."""
        return _requests(self.probes, self.floor.readout)


def noise_floor(
    model: AnyModel,
    questions: Questions,
    *,
    readout: str = "auto",
    template: str | Template | None = None,
    pairs: int = MIN_PAIRS,
) -> NoiseFloor:
    """Measure how far answers move when the same prompts are asked alone, together and in mixed batches.

    Checks that follow in the same session count differences below the largest change of the margin as ties, and take
    answers that change by themselves off their effect; the more pairs, the less is left open.
    Costs up to `pairs` prompts asked one by one, and these again in one or more batches.

    Raises:
        UsageError: for fewer than 59 pairs, or bad questions.
    """
    if isinstance(pairs, bool) or not isinstance(pairs, int) or pairs < MIN_PAIRS:
        raise UsageError(f"pairs is {pairs!r}, but must be a whole number from {MIN_PAIRS}: fewer say too little")
    subject = model_of(model)
    way = resolve_readout(readout, subject)
    rows = []
    for question in as_questions(questions):
        orders = itertools.islice(itertools.permutations(range(len(question.options))), pairs)
        rows.append([Probe(Presentation(question, order=order, template=template)) for order in orders])
    probes = spread(rows, pairs)
    with current_run.get().turn:
        n_rounds = max(N_BEFORE, 1 + _batches(pairs, probes))
        announce_asking("noise floor", "description", (subject, _requests(probes, way) * n_rounds))
        return measure_noise(subject, probes, way, pairs).floor


def spread(rows: Sequence[Sequence[Probe]], most: int) -> list[Probe]:
    """Return up to `most` distinct probes, spread over the rows of all questions, half of them as written.

    As written and otherwise shown take turns from question to question, for noise may differ between them, and each
    weighs a half in a comparison.
    """
    n = len(rows)
    some = rows if n <= most else [rows[number * n // most] for number in range(most)]
    turned = [row if number % 2 == 0 else (*row[1:2], *row[:1], *row[2:]) for number, row in enumerate(some)]
    turns = (probe for turn in itertools.zip_longest(*turned) for probe in turn if probe is not None)
    return list(itertools.islice(dict.fromkeys(turns), most))


def measure_noise(model: Model, probes: Sequence[Probe], readout: str, pairs: int = MIN_PAIRS) -> Measured:
    """Measure on these probes, and remember the result for the checks that follow."""
    requests = _requests(probes, readout)
    rows = replicas(model, requests, _batches(pairs, probes))
    again = answers_of(model, requests[:MIN_PAIRS])
    kept = [*(row[:MIN_PAIRS] for row in rows[:2]), again]
    found = Measured(_summary(model, probes, readout, rows, again), list(probes[:MIN_PAIRS]), kept)
    known = current_run.get().noise
    if known is not None:
        known[noise_key(model, readout)] = found
    return found


def floor_of(model: Model, probes: Sequence[Probe], readout: str, pairs: int) -> NoiseFloor:
    """Measure on these probes; what the session knows of the noise of `model` stays as it is."""
    return _summary(model, probes, readout, replicas(model, _requests(probes, readout), _batches(pairs, probes)))


def _requests(probes: Sequence[Probe], readout: str) -> list[Request]:
    return [request_for(probe.presentation, probe.readout or readout) for probe in probes]


def _batches(pairs: int, probes: Sequence[Probe]) -> int:
    """Return in how many companies so many probes give the wanted number of pairs."""
    return math.ceil(pairs / len(probes))


def watch(model: Model, measured: Measured, probes: Sequence[Probe]) -> None:
    """Ask the first of these probes, which every check asks again at its end, three times each."""
    measured.probes[:] = probes[:MIN_PAIRS]
    measured.rows[:] = [answers_of(model, measured.requests) for _ in range(N_BEFORE)]


def forget_noise(model: Model, measured: Measured) -> None:
    """Measure anew in the next check: the model is not what it was."""
    (current_run.get().noise or {}).pop(noise_key(model, measured.floor.readout), None)


def known_noise(model: Model, readout: str) -> Measured | None:
    """Return what was measured in this session; `None` where nothing was."""
    return (current_run.get().noise or {}).get(noise_key(model, readout))


def noise_key(model: Model, readout: str) -> tuple[object, ...]:
    """Return by what noise is remembered: as answers are, so that two models of one name share nothing."""
    return model.name, model.fingerprint, owner_of(model), readout


def delta_nats(model: Model, readout: str) -> float:
    """Return below which difference of log-probabilities two answers are a tie: measured noise, at least 1e-4."""
    measured = known_noise(model, readout)
    return DELTA_NATS if measured is None else measured.floor.delta_nats


def replicas(model: Model, requests: Sequence[Request], n_batches: int) -> list[list[Reply]]:
    """Return the replies to each request asked alone, then in `n_batches` different companies.

    Alone means by the plainest path that the model has (`model.plain`, where it has several). The first company
    is all requests together; the others are small batches, mixed by the session's seed.
    """
    plain: Model = getattr(model, "plain", model)
    rows = [[answers_of(plain, [request])[0] for request in requests]]
    for number in range(n_batches):
        order = list(range(len(requests)))
        size = len(order)
        if number:
            salt = f"{current_run.get().seed}|{number}|"
            order.sort(key=lambda index: hashlib.sha256(f"{salt}{index}".encode()).digest())
            size = min(size, MIXED_BATCH + number)
        replies: dict[int, Reply] = {}
        for start in range(0, len(order), size):
            part = order[start : start + size]
            replies.update(zip(part, answers_of(model, [requests[index] for index in part]), strict=True))
        rows.append([replies[index] for index in range(len(requests))])
    return rows


@dataclass(frozen=True, slots=True)
class Pair:
    """Two answers to the same prompt."""

    one: AnswerDistribution
    other: AnswerDistribution

    @property
    def is_known(self) -> bool:
        """False where one of them may have been anything, so that the pair tells nothing."""
        return self.one.is_known and self.other.is_known

    def jumps(self, delta_nats: float) -> bool:
        """Return whether they differ by more than a tie within `delta_nats` explains."""
        return not self.one.outcomes(delta_nats) & self.other.outcomes(delta_nats)

    def moves(self, delta_nats: float) -> bool:
        """Return whether they differ by more than `delta_nats`, whether or not the answer changed."""
        return self.jumps(delta_nats) or self.width_nats > delta_nats

    @property
    def width_nats(self) -> float:
        """Within which width noise explains it: how far the margin moved, and what else did, so that sums of probabilities follow."""
        if self.margin_nats is None or self.one.unlisted or self.other.unlisted:
            return self.margin_nats or 0.0
        return max(self.margin_nats, self.one.noise_to(self.other))

    @property
    def margin_nats(self) -> float | None:
        """How far the log-probability between the top two moved; `None` for texts."""
        one, other = self.one.log_weights, self.other.log_weights
        if one is None or other is None:
            return None
        top, second = sorted(range(self.one.k), key=lambda content: -one[content])[:2]
        before, after = one[top] - one[second], other[top] - other[second]
        is_listed = not (self.one.unlisted or self.other.unlisted)
        return _change(before, after) if is_listed or math.isfinite(before + after) else None


def pairs_of(probes: Sequence[Probe], before: Sequence[Reply], after: Sequence[Reply], readout: str) -> list[Pair]:
    """Return the answers to each probe before and after, where both are known."""
    found = (pair_of(probe, one, other, readout) for probe, one, other in zip(probes, before, after, strict=True))
    return [pair for pair in found if pair.is_known]


def pair_of(probe: Probe, before: Reply, after: Reply, readout: str) -> Pair:
    """Return the answers to a probe before and after."""
    one, other = (read_reply(reply, probe.presentation, probe.readout or readout) for reply in (before, after))
    return Pair(one, other)


def moved_beyond(pairs: Sequence[Pair], delta_nats: float) -> Replicates:
    """Count pairs that moved by more than `delta_nats`, whether or not their answer changed."""
    return Replicates(sum(pair.moves(delta_nats) for pair in pairs), len(pairs))


def jumped(pairs: Sequence[Pair], delta_nats: float) -> Replicates:
    """Count pairs whose answer changed by more than a tie explains."""
    return Replicates(sum(pair.jumps(delta_nats) for pair in pairs), len(pairs))


def _summary(
    model: Model, probes: Sequence[Probe], readout: str, rows: Sequence[Sequence[Reply]], again: Sequence[Reply] = ()
) -> NoiseFloor:
    """Return what moved from alone to company; the width also holds what moved between one company and the next, `again`."""
    pairs = [pair for row in rows[1:] for pair in pairs_of(probes, rows[0], row, readout)]
    replies = [both for row in rows[1:] for both in zip(rows[0], row, strict=True)]
    logprobs = [moved for both in replies if (moved := _largest_change(*both)) is not None]
    margins = [pair.margin_nats for pair in pairs if pair.margin_nats is not None]
    n = len(again)
    delta = _tie_width([*pairs, *pairs_of(probes[:n], rows[1][:n], again, readout)])
    return NoiseFloor(
        model=model.name,
        readout=readout,
        n_pairs=len(pairs),
        margin_max_nats=max(margins, default=math.nan),
        margin_quantiles_nats=_quantiles(margins),
        logprob_max_nats=max(logprobs, default=math.nan),
        logprob_quantiles_nats=_quantiles(logprobs),
        changed_answers=sum(pair.one.outcomes(0.0) != pair.other.outcomes(0.0) for pair in pairs),
        delta_nats=delta,
        jumps=jumped(pairs, delta).changed,
    )


def _tie_width(pairs: Sequence[Pair]) -> float:
    """Return the largest change of a margin that is no jump: an answer that changes within it was nearly a tie."""
    delta = 0.0
    wider = DELTA_NATS
    while wider > delta:
        delta = wider
        wider = max([delta, *(pair.width_nats for pair in pairs if not pair.jumps(delta))])
    return delta


def _change(one: float, other: float) -> float:
    """Return how far a number moved, at least 0; from no number to another without bound."""
    moved = 0.0 if one == other else abs(one - other)
    return moved if not math.isnan(moved) else 0.0 if math.isnan(one) and math.isnan(other) else math.inf


def _largest_change(one: Reply, other: Reply) -> float | None:
    if not isinstance(one, LabelReply | OptionReply) or not isinstance(other, LabelReply | OptionReply):
        return None
    return moved_nats(one, other)


def _quantiles(values: Sequence[float]) -> dict[float, float]:
    """Return the smallest values that reach each share of the pairs."""
    ranked = sorted(values)
    return {q: ranked[math.ceil(q * len(ranked)) - 1] for q in QUANTILES} if ranked else {}
