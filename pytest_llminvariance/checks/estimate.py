"""What a check would cost, before anything is asked: presentations, tokens, risk, and whether it can decide."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from pytest_llminvariance.checks.asking import Asking
from pytest_llminvariance.checks.planning import DRAWS_PER_QUESTION, Planner
from pytest_llminvariance.checks.run import Run
from pytest_llminvariance.checks.stopping import rescaled
from pytest_llminvariance.measures.forecast import expected_share, fewest_values
from pytest_llminvariance.models.protocol import Request, TextRequest

COUNTED_QUESTIONS = 100
"""Tokens are counted on so many questions, and scaled."""
EFFECTS = {"none": 0.0, "half the tolerance": 0.5, "twice the tolerance": 2.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """One check, planned and not asked."""

    title: str
    metric: str
    tolerance: float
    questions: int
    presentations: int
    prompt_tokens: int
    """Of all planned prompts, those of the responsiveness guard among them."""
    sent_tokens: int
    """What the engine would send for them at most, every shared beginning once a pass."""
    alpha: float
    method: str
    """`exhaustive`: everything is asked; `sequential`: asking stops when it is decided."""
    expected_tokens: Mapping[str, int]
    """By effect: what would be sent on average."""
    trouble: str | None = None
    """Why no verdict can come of it."""
    seconds: float | None = None
    """About how long `sent_tokens` take on this machine; `None` where the model cannot say."""

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return {**dataclasses.asdict(self), "expected_tokens": dict(self.expected_tokens)}


def announce(run: Run, found: Estimate) -> NoReturn:
    """Hand the estimate to the session, which ends the test there."""
    assert run.on_plan is not None  # noqa: S101 - the caller looked
    run.on_plan(found.to_json())
    raise AssertionError("on_plan must not return")


def estimate(asking: Asking, planner: Planner, alpha: float) -> Estimate:
    """Return what the check would cost, with the risk `alpha` where it may stop early; nothing is asked."""
    terms = asking.terms
    stops = terms.must_test or (not terms.why_all and planner.n_units > 1)
    alpha = alpha if stops else 0.0
    n = len(terms.questions)
    counted = [planner.plan(index) for index in range(min(n, COUNTED_QUESTIONS))]
    requests = [request for plan in counted for request in asking.requests(plan)]
    prompt, sent = _tokens(terms.model, requests)
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
        seconds=_seconds(terms.model, round(sent * scale)),
    )  # fmt: skip


def search_estimate(model: Any, requests: Sequence[Request]) -> Estimate:
    """Return what one example of a search costs; Hypothesis decides how many there are."""
    prompt, sent = _tokens(model, requests)
    return Estimate(
        title="same answer (search), for each example", metric="", tolerance=0.0, questions=1, presentations=len(requests),
        prompt_tokens=prompt, sent_tokens=sent, alpha=0.0, method="search", expected_tokens={},
        seconds=_seconds(model, sent),
    )  # fmt: skip


def _trouble(bound: float, alpha: float, units: int) -> str | None:
    needed = fewest_values(bound, alpha, 10**9, "within", at_most=100_000)
    if needed is None or needed > units:
        told = "more than 100,000" if needed is None else f"{needed:,}"
        return f"HOLDS is out of reach: it takes at least {told} draws or clusters at this tolerance and risk, {units:,} are planned"
    return None


def _seconds(model: Any, tokens: int) -> float | None:
    say = getattr(model, "planned_seconds", None)
    return None if say is None else float(say(tokens))


def _tokens(model: Any, requests: Sequence[Request]) -> tuple[int, int]:
    """Return tokens of all prompts, and those that would be sent: the model's own count, or words."""
    count = getattr(model, "planned_tokens", None)
    if count is not None:
        prompt, sent = count(requests)
        return int(prompt), int(sent)
    words = sum(len(message.content.split()) for request in requests for message in request.messages)
    words += sum(request.max_new_tokens for request in requests if isinstance(request, TextRequest))
    return words, words
