"""What a check would cost, before anything is asked: presentations, tokens, risk, and whether it can decide."""

from __future__ import annotations

from pytest_llminvariance.checks.asking import Asking
from pytest_llminvariance.checks.costs import Estimate, seconds_of, tokens_of
from pytest_llminvariance.checks.planning import DRAWS_PER_QUESTION, Planner
from pytest_llminvariance.checks.stopping import rescaled
from pytest_llminvariance.measures.forecast import expected_share, fewest_values

COUNTED_QUESTIONS = 100
"""Tokens are counted on so many questions, and scaled."""
EFFECTS = {"none": 0.0, "half the tolerance": 0.5, "twice the tolerance": 2.0}


def estimate(asking: Asking, planner: Planner, alpha: float) -> Estimate:
    """Return what the check would cost, with the risk `alpha` where it may stop early; nothing is asked."""
    terms = asking.terms
    stops = terms.must_test or (not terms.why_all and planner.n_units > 1)
    alpha = alpha if stops else 0.0
    n = len(terms.questions)
    counted = [planner.plan(index) for index in range(min(n, COUNTED_QUESTIONS))]
    requests = [request for plan in counted for request in asking.requests(plan)]
    prompt, sent = tokens_of(terms.model, requests)
    budget = DRAWS_PER_QUESTION if terms.draws else 1
    scale, units = budget * n / len(counted), budget * n
    bound = float(rescaled(terms.tolerance, terms.metric.least))
    expected = {}
    for name, factor in EFFECTS.items():
        effect = float(rescaled(min(1.0, factor * float(terms.tolerance)), terms.metric.least))
        share = expected_share(effect, bound, alpha, units).mean / units if stops else 1.0
        expected[name] = round(share * sent * scale)
    return Estimate(
        title=terms.property.title, metric=terms.metric.name, tolerance=float(terms.tolerance), questions=n,
        presentations=planner.n_presentations * budget, prompt_tokens=round(prompt * scale),
        sent_tokens=round(sent * scale), alpha=alpha, method="sequential" if stops else "exhaustive",
        expected_tokens=expected, trouble=_trouble(bound, alpha, units) if terms.must_test else None,
        seconds=seconds_of(terms.model, round(sent * scale)),
    )  # fmt: skip


def _trouble(bound: float, alpha: float, units: int) -> str | None:
    needed = fewest_values(bound, alpha, 10**9, "within", at_most=100_000)
    if needed is None or needed > units:
        told = "more than 100,000" if needed is None else f"{needed:,}"
        return f"HOLDS is out of reach: it takes at least {told} draws or clusters at this tolerance and risk, {units:,} are planned"
    return None
