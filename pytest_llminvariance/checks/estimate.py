"""What a check would cost, before anything is asked: presentations, tokens, risk, and whether it can decide."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pytest_llminvariance.checks.asking import Asking
from pytest_llminvariance.checks.costs import Estimate, seconds_of, tokens_of
from pytest_llminvariance.checks.drift import N_SENTINELS
from pytest_llminvariance.checks.planning import DRAWS_PER_QUESTION, Planner
from pytest_llminvariance.checks.properties.base import Plan
from pytest_llminvariance.measures.betting import rescaled
from pytest_llminvariance.measures.forecast import expected_share, fewest_values
from pytest_llminvariance.measures.noise import MIN_PAIRS
from pytest_llminvariance.models.engine import chunk_of
from pytest_llminvariance.models.protocol import Request, is_deterministic

COUNTED_QUESTIONS = 100
"""Tokens are counted on so many questions, and scaled."""
EFFECTS = {"none": 0.0, "half the tolerance": 0.5, "twice the tolerance": 2.0}


def estimate(asking: Asking, planner: Planner, alpha: float) -> Estimate:
    """Return what the check would cost, with the risk `alpha` where it may stop early; nothing is asked."""
    terms = asking.terms
    stops = terms.must_test or (not terms.why_all and planner.n_units > 1)
    alpha = alpha if stops else 0.0
    n = len(terms.questions)
    counted = planner.some_plans(COUNTED_QUESTIONS)
    budget = DRAWS_PER_QUESTION if terms.draws else 1
    scale, units = budget * n / len(counted), budget * n
    prompt, once, again = _most_tokens(asking, counted, stops=stops)
    bound = float(rescaled(terms.tolerance, terms.metric.least))
    expected = {}
    for name, factor in EFFECTS.items():
        effect = float(rescaled(min(1.0, factor * float(terms.tolerance)), terms.metric.least))
        share = expected_share(effect, bound, alpha, units).mean / units if stops else 1.0
        expected[name] = round(share * once * scale + again)
    return Estimate(
        title=terms.property.title, metric=terms.metric.name, tolerance=float(terms.tolerance), questions=n,
        presentations=planner.n_presentations * budget, prompt_tokens=round(prompt * scale),
        sent_tokens=(sent := math.ceil(once * scale + again)), alpha=alpha, method="sequential" if stops else "exhaustive",
        expected_tokens=expected, trouble=_trouble(bound, alpha, units) if terms.must_test else None,
        seconds=seconds_of(terms.model, sent),
    )  # fmt: skip


def _most_tokens(asking: Asking, plans: Sequence[Plan], *, stops: bool) -> tuple[int, int, int]:
    """Return the tokens of all prompts; of what is sent for them at most; and of what is asked again at most.

    A check that may stop asks a few questions at a time, so that none shares a pass with others for certain. Foreign stems come
    after all else, as few at a time as HOLDS needs, so none shares one either.
    """
    terms = asking.terms
    both = [asking.requests(plan) for plan in plans]
    planned = [requests for requests, _ in both]
    known = {request for requests in planned for request in requests}
    foreign = list(dict.fromkeys(r for _, requests in both for r in requests if r not in known))
    groups = planned if stops else [[request for requests in planned for request in requests]]
    size = chunk_of(terms.model)
    chunks = [group[start : start + size] for group in groups for start in range(0, len(group), size)]
    counts = [tokens_of(terms.model, chunk) for chunk in chunks]
    prompts, sent = sum(prompt for prompt, _ in counts), sum(sent for _, sent in counts)
    others, _ = tokens_of(terms.model, foreign) if foreign else (0, 0)
    longest = max(tokens_of(terms.model, [request])[0] for request in {max(group, key=_length) for group in planned})
    if stops:  # a pass of several questions may be cut elsewhere than a pass of one
        sent += longest * (sent // max(1, getattr(terms.model, "batch_tokens", sent)))
    if terms.property.batches:
        sent = prompts
    n_again = N_SENTINELS if is_deterministic(terms.model) else 4 * MIN_PAIRS
    return prompts + others, sent + others, longest * (0 if terms.property.batches else n_again)


def _length(request: Request) -> int:
    return sum(len(message.content) for message in request.messages)


def _trouble(bound: float, alpha: float, units: int) -> str | None:
    needed = fewest_values(bound, alpha, 10**9, "within", at_most=100_000)
    if needed is None or needed > units:
        told = "more than 100,000" if needed is None else f"{needed:,}"
        return f"HOLDS is out of reach: it takes at least {told} draws or clusters at this tolerance and risk, {units:,} are planned"
    return None
