"""How a check comes to its answers: everything is asked, or a test stops it at the risk that it may spend."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from fractions import Fraction

from pytest_llminvariance.checks.asking import Asking
from pytest_llminvariance.checks.evidence import Answers, all_answers
from pytest_llminvariance.checks.finding import effect_of, may_hold
from pytest_llminvariance.checks.planning import Planner
from pytest_llminvariance.checks.properties.base import Property
from pytest_llminvariance.checks.refusals import check_plans, movement_bound, no_share
from pytest_llminvariance.checks.responses import Responses
from pytest_llminvariance.checks.risk import DEFAULT_RISK, ItemRisk
from pytest_llminvariance.checks.run import current_run
from pytest_llminvariance.checks.stopping import Stopping
from pytest_llminvariance.checks.verdict import Decision
from pytest_llminvariance.measures.metrics import Metric
from pytest_llminvariance.measures.noise import MIN_PAIRS, Limits, NoiseFloor, limits


def decide_by_asking(asking: Asking, planner: Planner, alpha: float, *, light: bool) -> Answers:
    """Ask until it is decided at the risk `alpha`, or everything; see `docs/statistics.md`.

    `light`: of answers that were measured no more is kept than a finding says.
    """
    terms = asking.terms
    why_all = terms.why_all or _why_everything(asking, planner)
    asks_all = bool(why_all) and not terms.must_test
    if asks_all:
        plans = planner.all_plans()
        if terms.metric.pooled:
            check_plans(terms.metric, plans)
        noise = asking.measure_noise(lambda: plans)
        answers = all_answers(asking.each(plans), terms.metric, why_all, light=light and not terms.metric.own)
        responses = Responses(asking, terms.metric)
        if terms.claim == "population" and terms.metric.own:
            answers = dataclasses.replace(answers, decision=_at_risk(answers.decision, terms.risk, alpha))
    else:
        if not alpha:
            raise no_share(terms.risk)
        noise = asking.measure_noise(lambda: planner.some_plans(MIN_PAIRS))
        rule = Stopping(
            source=asking, metric=terms.metric, tolerance=terms.tolerance, alpha=alpha, n_units=planner.n_units,
            least_movement=terms.least_movement, is_exact_at_end=not terms.must_test, samples=terms.samples, unit_name=planner.unit_name,
            largest=planner.largest, n_known=terms.n_known,
            limits=None if asking.measured is None else _limits_at_start(asking, planner, asking.measured.floor),
        )  # fmt: skip
        answers, responses = rule.run(planner.units(current_run.get().seed)), rule.responses
    answers = dataclasses.replace(answers, noise=asking.noise if asking.measured else None)
    answers = responded(
        answers, responses, terms.property, terms.metric, terms.tolerance, len(terms.questions), planner.n_presentations,
        always=current_run.get().baseline is not None,
    )  # fmt: skip
    tokens, runtime = asking.tokens, (*noise, *asking.sentinels())
    # prompts asked again at the end are counted by a check that may stop, and not by one that asks everything
    return dataclasses.replace(
        answers,
        runtime=runtime,
        noise=asking.noise if asking.measured else None,
        tokens=tokens if asks_all else asking.tokens,
    )


def responded(
    answers: Answers,
    responses: Responses,
    property: Property,
    metric: Metric,
    limit: Fraction,
    n_questions: int,
    n_shown: int,
    *,
    always: bool = False,
) -> Answers:
    """Return the answers with how far they move under foreign stems: asked after all others, and where HOLDS is still possible.

    Where a test has decided, it has asked what it needs. A run that is compared with a baseline asks `always`, as a model that
    has stopped to read the question is worse.
    """
    if answers.verdict is not None:
        return answers
    found = effect_of(answers, property, metric)
    most = movement_bound(property, limit, found.mean.high)
    answers = dataclasses.replace(answers, effect=found, moves=(), could=())
    if most is None or not (always or may_hold(answers, found, metric, limit, n_questions, n_shown)):
        return answers
    evidence = answers.evidence
    responses.ask_until_certain(evidence, most)
    return dataclasses.replace(
        answers,
        moves=tuple(responses.move(number, item) for number, item in enumerate(evidence)),
        could=tuple(map(responses.could, evidence)),
        n_stems=responses.n_asked,
        lacking=responses.lacking,
    )


def _limits_at_start(asking: Asking, planner: Planner, floor: NoiseFloor) -> Limits:
    """Return what noise leaves of the tolerance, as far as it is known before anything is decided."""
    terms, noise = asking.terms, asking.noise
    n, found = len(terms.questions), noise.start if noise else None
    return limits(terms.tolerance, terms.metric.name, found, floor.delta_nats, n, planner.n_presentations / n)


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
