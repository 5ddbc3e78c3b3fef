"""The noise floor: how far the same prompt's answer moves when only its company changes.

The same prompts are asked alone, all together, and in mixed batches. What moves between these says nothing
about the prompt, so differences below it are ties (interval-valued answers), and no tolerance can be smaller.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Sequence

from pytest_llminvariance.checks.run import current_run
from pytest_llminvariance.checks.subject import model_of
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.measures.metrics import DELTA_NATS
from pytest_llminvariance.measures.noise import MIN_PAIRS, NoiseFloor, moved_nats
from pytest_llminvariance.measures.reading import read_reply
from pytest_llminvariance.models.engine import answers_of
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
MAX_PROMPTS = 30
QUANTILES = (0.5, 0.9, 0.99)


def noise_floor(
    model: AnyModel,
    questions: Questions,
    *,
    readout: str = "auto",
    template: str | Template | None = None,
    pairs: int = MIN_PAIRS,
) -> NoiseFloor:
    """Measure how far answers move when the same prompts are asked alone, together and in mixed batches.

    Checks that follow in the same session count differences below the largest change of the margin as ties.
    Costs up to 30 prompts asked one by one, and these again in two or more batches.

    Raises:
        UsageError: for fewer than 59 pairs, or bad questions.
    """
    if isinstance(pairs, bool) or not isinstance(pairs, int) or pairs < MIN_PAIRS:
        raise UsageError(f"pairs is {pairs!r}, but must be a whole number from {MIN_PAIRS}: fewer say too little")
    subject = model_of(model)
    way = resolve_readout(readout, subject)
    shown = []
    for question in as_questions(questions):
        orders = itertools.islice(itertools.permutations(range(len(question.options))), MAX_PROMPTS)
        shown += [Presentation(question, order=order, template=template) for order in orders]
    first = sorted(shown, key=lambda item: item.order != tuple(range(len(item.order))))
    return measure_noise(subject, first[:MAX_PROMPTS], way, pairs)


def measure_noise(model: Model, shown: Sequence[Presentation], readout: str, pairs: int = MIN_PAIRS) -> NoiseFloor:
    """Measure on these presentations, and remember the result for the checks that follow."""
    requests = [request_for(presentation, readout) for presentation in shown]
    rows = replicas(model, requests, math.ceil(pairs / len(requests)))
    found = _summary(model, shown, readout, rows)
    known = current_run.get().noise
    if known is not None:
        known[model.name, model.fingerprint, readout] = found
    return found


def delta_nats(model: Model, readout: str) -> float:
    """Return below which difference of log-probabilities two answers are a tie: measured noise, at least 1e-4."""
    known = (current_run.get().noise or {}).get((model.name, model.fingerprint, readout))
    measured = 0.0 if known is None or math.isnan(known.margin_max_nats) else known.margin_max_nats
    return max(DELTA_NATS, measured)


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


def _summary(model: Model, shown: Sequence[Presentation], readout: str, rows: Sequence[Sequence[Reply]]) -> NoiseFloor:
    margins, logprobs, changed = [], [], 0
    for row in rows[1:]:
        for presentation, alone, together in zip(shown, rows[0], row, strict=True):
            one, other = (read_reply(reply, presentation, readout) for reply in (alone, together))
            changed += one.outcomes(0.0) != other.outcomes(0.0)
            if one.log_weights is None or other.log_weights is None:
                continue
            top, second = sorted(range(one.k), key=lambda content: -one.log_weights[content])[:2]  # type: ignore[index]
            before, after = (_gap(answer.log_weights, top, second) for answer in (one, other))  # type: ignore[arg-type]
            if math.isfinite(before + after) or not (one.unlisted or other.unlisted):
                margins.append(0.0 if before == after else abs(before - after))
            assert isinstance(alone, LabelReply | OptionReply) and isinstance(together, LabelReply | OptionReply)  # noqa: S101, PT018
            logprobs.append(moved_nats(alone, together))
    return NoiseFloor(
        model=model.name,
        readout=readout,
        n_pairs=len(shown) * (len(rows) - 1),
        margin_max_nats=max(margins, default=math.nan),
        margin_quantiles_nats=_quantiles(margins),
        logprob_max_nats=max(logprobs, default=math.nan),
        logprob_quantiles_nats=_quantiles(logprobs),
        changed_answers=changed,
    )


def _gap(weights: Sequence[float], top: int, second: int) -> float:
    gap = weights[top] - weights[second]
    return math.inf if math.isnan(gap) else gap


def _quantiles(values: Sequence[float]) -> dict[float, float]:
    """Return the smallest values that reach each share of the pairs."""
    ranked = sorted(values)
    return {q: ranked[math.ceil(q * len(ranked)) - 1] for q in QUANTILES} if ranked else {}
