"""How a check comes to its answers: everything is asked, or a test stops it at the risk that it may spend."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence

from pytest_llminvariance.checks.asking import Asking
from pytest_llminvariance.checks.evidence import Answers, Evidence, measure_questions, movements
from pytest_llminvariance.checks.planning import Planner
from pytest_llminvariance.checks.properties.base import Property
from pytest_llminvariance.checks.refusals import Terms, check_plans, check_share
from pytest_llminvariance.checks.risk import DEFAULT_RISK, ItemRisk
from pytest_llminvariance.checks.run import current_run
from pytest_llminvariance.checks.stopping import Stopping
from pytest_llminvariance.checks.verdict import NO_LIMIT, Decision
from pytest_llminvariance.measures.metrics import Metric


def risk_now() -> ItemRisk:
    """Return what the current test may spend; a session that records gives nothing to a check outside of tests."""
    run = current_run.get()
    return run.risk or ItemRisk(None, 0.0 if run.recorder else DEFAULT_RISK)


def why_never(terms: Terms, risk: ItemRisk) -> str | None:
    """Return why a check asks everything whatever its questions; `None` where that depends."""
    if risk.limit is None:
        return NO_LIMIT
    if terms.metric.pooled or terms.made.asks_everything:
        return f"{terms.metric.name if terms.metric.pooled else terms.made.title} is decided on everything"
    return None if risk.may_stop else risk.note or "declared exhaustive"


def decide_by_asking(asking: Asking, planner: Planner, risk: ItemRisk, alpha: float) -> Answers:
    """Ask until it is decided, or everything; see `docs/statistics.md`."""
    terms = asking.terms
    why_all = why_never(terms, risk) or _why_everything(asking, planner) or ""
    asks_all = bool(why_all) and not terms.must_test
    if asks_all:
        plans = planner.all_plans()
        check_plans(terms.metric, plans)
        noise = asking.measure_noise(plans)
        answers = all_answers(asking.evidence(plans), terms.made, terms.metric, why_all)
    else:
        check_share(alpha, risk.note)
        noise = asking.measure_noise([planner.plan(0)])
        rule = Stopping(
            source=asking, metric=terms.metric, tolerance=terms.tolerance, alpha=alpha, n_units=planner.n_units,
            needs_response=terms.made.needs_response, is_exact_at_end=not terms.must_test, samples=terms.samples,
            unit_name=planner.unit_name, largest=planner.largest,
        )  # fmt: skip
        answers = rule.run(planner.units(current_run.get().seed))
    tokens, runtime = asking.tokens, (*noise, *asking.sentinels())
    # prompts asked again at the end are counted by a check that may stop, and not by one that asks everything
    return dataclasses.replace(answers, runtime=runtime, tokens=tokens if asks_all else asking.tokens)


def all_answers(evidence: Sequence[Evidence], made: Property, metric: Metric, note: str) -> Answers:
    """Return what came back where everything was asked, measured."""
    n = len(evidence)
    return Answers(
        evidence=tuple(evidence),
        values=measure_questions(evidence, metric),
        moves=movements(evidence, metric, 1) if made.needs_response else (),
        decision=Decision(method="exhaustive", alpha=0.0, n=n, n_planned=n, note=note),
    )


def _why_everything(asking: Asking, planner: Planner) -> str | None:
    """Return why a check that may stop asks everything; `None` where it does not."""
    run, terms = current_run.get(), asking.terms
    if planner.n_units < 2:
        return "one question has nothing to stop before"
    if all(asking.knows(plan) for plans in planner.units(run.seed) for plan in plans):
        return "all answers were there already"
    hashes = sorted(question.content_hash for question in terms.questions)
    told = [terms.made.name, terms.metric.name, terms.readout]
    suite = json.dumps([terms.model.fingerprint, hashes, list(planner.specs), *told])
    key = hashlib.sha256(suite.encode()).hexdigest()
    first = run.seed if run.seeds is None else run.seeds().first_seed(key, run.seed)
    if first != run.seed:
        return (
            f"seed {run.seed} is a second one for this suite (first {first}), and the best of many seeds is no evidence"
        )
    return None
