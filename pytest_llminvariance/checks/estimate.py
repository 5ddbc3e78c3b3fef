"""What a check would cost, before anything is asked: presentations, tokens, risk, and whether it can decide."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from pytest_llminvariance.checks.asking import N_SENTINELS, Asking
from pytest_llminvariance.checks.planning import DRAWS_PER_QUESTION, Planner
from pytest_llminvariance.checks.properties.base import Plan
from pytest_llminvariance.checks.run import Run
from pytest_llminvariance.checks.stopping import rescaled
from pytest_llminvariance.measures.forecast import expected_share, fewest_values
from pytest_llminvariance.measures.noise import MIN_PAIRS
from pytest_llminvariance.models.engine import chunk_of
from pytest_llminvariance.models.protocol import Request, TextRequest, is_deterministic

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
    """What the engine would send at most, every shared beginning once a pass: all planned prompts, every foreign stem, and what
    is asked again for noise and drift. Of more than 100 questions so many are counted, and scaled."""
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
        seconds=_seconds(terms.model, sent),
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
    counts = [_tokens(terms.model, chunk) for chunk in chunks]
    prompts, sent = sum(prompt for prompt, _ in counts), sum(sent for _, sent in counts)
    others, _ = _tokens(terms.model, foreign) if foreign else (0, 0)
    longest = max(_tokens(terms.model, [request])[0] for request in {max(group, key=_length) for group in planned})
    if stops:  # a pass of several questions may be cut elsewhere than a pass of one
        sent += longest * (sent // max(1, getattr(terms.model, "batch_tokens", sent)))
    if terms.property.batches:
        sent = prompts
    n_again = N_SENTINELS if is_deterministic(terms.model) else 4 * MIN_PAIRS
    return prompts + others, sent + others, longest * (0 if terms.property.batches else n_again)


def _length(request: Request) -> int:
    return sum(len(message.content) for message in request.messages)


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
