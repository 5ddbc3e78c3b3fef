"""How a check comes to its answers: everything is asked, or a test stops it at the risk that it may spend."""

from __future__ import annotations

import dataclasses
import hashlib
import json

from pytest_llminvariance.checks.asking import Asking
from pytest_llminvariance.checks.drift import sentinels
from pytest_llminvariance.checks.evidence import Answers, all_answers, measured
from pytest_llminvariance.checks.finding import responded
from pytest_llminvariance.checks.guards import rows_guards
from pytest_llminvariance.checks.planning import Planner
from pytest_llminvariance.checks.refusals import Terms, check_plans, no_share
from pytest_llminvariance.checks.responses import Responses
from pytest_llminvariance.checks.risk import DEFAULT_RISK, ItemRisk
from pytest_llminvariance.checks.run import current_run
from pytest_llminvariance.checks.stopping import Stopping
from pytest_llminvariance.checks.verdict import Decision
from pytest_llminvariance.measures.noise import MIN_PAIRS, Limits, limits
from pytest_llminvariance.models.replay import ReplayModel


def decide_by_asking(terms: Terms, planner: Planner, *, light: bool) -> Answers:
    """Ask until it is decided at the risk that the check may spend, or everything; see `docs/statistics.md`.

    `light`: of answers that were measured no more is kept than a finding says.
    """
    run, asking = current_run.get(), Asking(terms)
    if isinstance(terms.model, ReplayModel) and not terms.draws:
        _check_recorded(terms.model, asking, planner)
    why_all = terms.why_all or _why_everything(asking, planner)
    alpha, asks_all = terms.risk.next(), bool(why_all) and not terms.must_test
    responses = Responses(asking, terms.metric, terms.samples)
    if asks_all:
        plans = tuple(map(planner.plan, range(len(terms.questions))))
        if terms.metric.pooled:
            check_plans(terms.metric, plans)
        noise = asking.begin(lambda: plans)
        found = [measured(item, terms.metric, light=light) for item in asking.each(plans)]
        answers = all_answers(found, why_all)
        if terms.claim == "population" and terms.metric.own:
            answers = dataclasses.replace(answers, decision=_at_risk(answers.decision, terms.risk, alpha))
    else:
        if not alpha:
            raise no_share(terms.risk)
        noise = asking.begin(lambda: planner.some_plans(MIN_PAIRS))
        rule = Stopping(
            responses=responses, property=terms.property, tolerance=terms.tolerance, alpha=alpha,
            n_units=planner.n_units, is_exact_at_end=not terms.must_test, unit_name=planner.unit_name, largest=planner.largest,
            n_known=terms.n_known, limits=None if asking.measured is None else _limits_at_start(asking, planner),
        )  # fmt: skip
        answers = rule.run(planner.units(run.seed))
    answers = dataclasses.replace(answers, noise=asking.noise if asking.measured else None)
    if answers.verdict is None:
        answers = responded(
            answers, responses, terms.property, terms.metric, terms.tolerance, len(terms.questions), planner.n_presentations,
            always=run.baseline is not None,
        )  # fmt: skip
    tokens, runtime = asking.tokens, [*noise, *sentinels(asking)]
    if terms.skipped:
        runtime += rows_guards(terms.skipped)
    # prompts asked again at the end are counted by a check that may stop, and not by one that asks everything
    tokens = tokens if asks_all else asking.tokens
    noisy = asking.noise if asking.measured else None
    return dataclasses.replace(answers, runtime=tuple(runtime), noise=noisy, tokens=tokens)


def _check_recorded(model: ReplayModel, asking: Asking, planner: Planner) -> None:
    """Refuse recorded answers that lack one."""
    both = [asking.requests(planner.plan(index)) for index in range(len(asking.terms.questions))]
    model.check_planned([request for planned, foreign in both for request in (*planned, *foreign)])


def _limits_at_start(asking: Asking, planner: Planner) -> Limits:
    """Return what noise leaves of the tolerance, as far as it is known before anything is decided."""
    terms, noise = asking.terms, asking.noise
    n, found = len(terms.questions), noise.start if noise else None
    return limits(terms.tolerance, terms.metric.name, found, n, planner.n_presentations / n)


def _at_risk(decision: Decision, risk: ItemRisk, alpha: float) -> Decision:
    """Return how an interval decides that is about questions like these: without a session's limit at the usual risk."""
    if risk.limit is not None and not alpha:
        raise no_share(risk)
    return dataclasses.replace(decision, alpha=DEFAULT_RISK if risk.limit is None else alpha, is_interval=True)


def _why_everything(asking: Asking, planner: Planner) -> str:
    """Return why a check that may stop asks everything; empty where it does not."""
    run, terms = current_run.get(), asking.terms
    if planner.n_units < 2:
        return "one question has nothing to stop before"
    if all(asking.knows(plan) for plans in planner.units(run.seed) for plan in plans):
        return "all answers were there already"
    hashes = sorted(question.content_hash for question in terms.questions)
    told = [terms.property.name, terms.metric.name, terms.readout]
    suite = json.dumps([terms.model.fingerprint, hashes, list(planner.specs), *told])
    key = hashlib.sha256(suite.encode()).hexdigest()
    first = run.seed if run.seeds is None else run.seeds().first_seed(key, run.seed)
    if first != run.seed:
        return (
            f"seed {run.seed} is a second one for this suite (first {first}), and the best of many seeds is no evidence"
        )
    return ""
