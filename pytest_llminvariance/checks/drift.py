"""Whether a model changed while it was asked: prompts of the beginning are asked again at the end."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

from pytest_llminvariance.checks.asking import Asking, passes_of
from pytest_llminvariance.checks.noise import Measured, forget_noise, jumped, moved_beyond, pair_of, pairs_of, replicas
from pytest_llminvariance.checks.run import current_run
from pytest_llminvariance.checks.sheet import Sheet
from pytest_llminvariance.checks.verdict import Guard
from pytest_llminvariance.measures.noise import Replicates, moved_nats
from pytest_llminvariance.models.engine import ask
from pytest_llminvariance.models.protocol import (
    LabelReply,
    MissingReply,
    Model,
    OptionReply,
    Reply,
    Request,
    TextReply,
    is_deterministic,
)

N_SENTINELS = 3
"""Prompts of a deterministic model that are asked again at the end: of one that only changes as a whole, of its first question."""
MAX_DRIFT_NATS = 0.1
"""Of a model that declares itself deterministic."""
TIMES = 10
"""So often a prompt must be answered otherwise at the end. A reply that comes by chance, at whatever rate, comes 3 times
at the beginning and never in 10 at the end with probability below 0.0009, so for one of 59 prompts below 0.06."""


def sentinels(asking: Asking) -> list[Guard]:
    """Ask prompts again at the end, where anything was asked now: those of the noise, or a few of a deterministic model."""
    log, model, measured = current_run.get().answers, asking.terms.model, asking.measured
    goes_on = log is not None and log.continues and not asking.terms.property.batches
    if not asking.fresh and not goes_on:
        return []
    is_sure = is_deterministic(model)
    if is_sure and _came_at_once(asking) and not goes_on:
        text = "drift not asked: everything was answered in one pass of the model"
        return [Guard(name="drift", passed=None, text=text, blocks="nothing", needed=False)]
    if measured is None and not is_sure:
        text = "drift not checked: what is asked again may be answered anew"
        return [Guard(name="drift", passed=None, text=text, blocks="nothing")]
    if measured is None or is_sure:
        chosen = _sentinels(asking, of_first=getattr(model, "changes_as_a_whole", False))
    else:
        chosen = measured.requests
    before = ask(model, chosen, asking.memo).replies if is_sure else ()
    again = ask(model, chosen, {})
    asking.tokens += again.prompt_tokens
    if log is not None:
        log.again(chosen, again.replies)
    if measured is None or is_sure:
        return [drift_guard(before, again.replies)]
    guard, asking.again = noisy_drift_guard(model, measured, again.replies)
    return [guard]


def _sentinels(asking: Asking, *, of_first: bool) -> list[Request]:
    """Return the first, the middle and the last of the requests that were planned, or of those of the first question."""
    n = asking.new[0] if of_first else len(asking.asked)
    return [_nth(asking.sheet, asking.new, place) for place in sorted({0, n // 2, n - 1})]


def _nth(sheet: Sheet, new: Sequence[int], place: int) -> Request:
    """Return the request at a place among those that were planned and differ: each plan has so many `new` ones."""
    number = next(n for n, total in enumerate(itertools.accumulate(new)) if total > place)
    planned = dict.fromkeys(sheet.planned(number))
    if len(planned) > new[number]:
        earlier = {request for other in range(number) for request in sheet.planned(other)}
        planned = {request: None for request in planned if request not in earlier}
    return list(planned)[place - sum(new[:number])]


def _came_at_once(asking: Asking) -> bool:
    """Return whether all answers came from one pass, of a way to ask that was shown to be right: nothing can have changed."""
    model = asking.terms.model
    shown = getattr(model, "is_proven", False) and passes_of(model) == asking.passes + 1
    return shown and asking.fresh == len(asking.asked) and not asking.under_stems


def drift_guard(before: Sequence[Reply], after: Sequence[Reply]) -> Guard:
    """Require that prompts asked again at the end get the answer that they got before."""
    drift = max((_drift(a, b) for a, b in zip(before, after, strict=True)), default=0.0)
    says = f"{len(after)} prompts asked again moved by at most {drift:.2g} nat (at most {MAX_DRIFT_NATS:g})"
    return _guard(says, changed=drift > MAX_DRIFT_NATS, unchanged="")


def noisy_drift_guard(model: Model, measured: Measured, again: Sequence[Reply]) -> tuple[Guard, Replicates]:
    """Return the guard, and what moved by noise alone.

    Noise comes and goes, a change lasts: what moved is asked more often. Where more prompts moved than when they were
    asked twice at once, that is a change too.
    """
    found, delta, noise = measured.rows[-1], measured.floor.delta_nats, measured.floor.replicates
    pairs = pairs_of(measured.probes, found, again, measured.floor.readout)
    moved = moved_beyond(pairs, delta)
    says = (
        f"{moved.changed} of {moved.pairs} prompts asked again at the end moved, "
        f"{noise.changed} of {noise.pairs} asked twice at the beginning"
    )
    changed = moved.differs_from(noise)
    if not changed and (n_lasting := _n_lasting(model, measured, again)):
        changed = True
        says += f"; {n_lasting} answered otherwise {TIMES} times in a row, and alike before"
    if changed:
        forget_noise(model, measured)
        return _guard(says, changed=True, unchanged=""), Replicates(0, 0)
    measured.rows[:] = [*measured.rows[1:], list(again)]
    return _guard(says, changed=False, unchanged="within noise: "), jumped(pairs, delta)


def _n_lasting(model: Model, measured: Measured, again: Sequence[Reply]) -> int:
    """Count prompts with equal replies before, of which all replies to come differ from those."""
    requests = measured.requests
    left = [
        index
        for index in range(len(again))
        if all(_same(measured, index, measured.rows[0][index], row[index]) for row in measured.rows[1:])
        and _differs(measured, index, again[index])
    ]
    for n_batches in (1, TIMES - 4):  # each time alone, too, and one reply is there
        if not left:
            break
        rows = replicas(model, [requests[index] for index in left], n_batches)
        left = [i for place, i in enumerate(left) if all(_differs(measured, i, row[place]) for row in rows)]
    return len(left)


def _same(measured: Measured, index: int, one: Reply, other: Reply) -> bool:
    pair = pair_of(measured.probes[index], one, other, measured.floor.readout)
    return pair.is_known and not pair.moves(measured.floor.delta_nats)


def _differs(measured: Measured, index: int, reply: Reply) -> bool:
    pairs = [pair_of(measured.probes[index], row[index], reply, measured.floor.readout) for row in measured.rows]
    return all(pair.is_known and pair.moves(measured.floor.delta_nats) for pair in pairs)


def _guard(says: str, *, changed: bool, unchanged: str) -> Guard:
    text = f"the model changed while it was asked: {says}" if changed else f"{unchanged}{says}"
    return Guard(name="drift", passed=not changed, text=text, blocks="both")


def _drift(one: Reply, other: Reply) -> float:
    if isinstance(one, TextReply) and isinstance(other, TextReply):
        return 0.0 if one.text == other.text else math.inf
    if isinstance(one, MissingReply) or isinstance(other, MissingReply):
        return 0.0 if type(one) is type(other) else math.inf
    assert isinstance(one, LabelReply | OptionReply) and isinstance(other, LabelReply | OptionReply)  # noqa: S101, PT018
    return moved_nats(one, other)
