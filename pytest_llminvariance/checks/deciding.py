"""How a check comes to its verdict: everything is asked, or a test decides at the risk that it may spend."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from pytest_llminvariance.checks.asking import Asking, Part, needs_response
from pytest_llminvariance.checks.estimate import announce, estimate
from pytest_llminvariance.checks.finding import Answers
from pytest_llminvariance.checks.guards import movement_bound, reply_guards
from pytest_llminvariance.checks.planning import Overview, Planner
from pytest_llminvariance.checks.properties import BatchAgreement, Plan, Property
from pytest_llminvariance.checks.risk import DEFAULT_RISK, Allowance, ItemRisk
from pytest_llminvariance.checks.run import current_run
from pytest_llminvariance.checks.stopping import PartSource, Stopping, Unit, rescaled
from pytest_llminvariance.checks.verdict import NO_LIMIT, Decision, Guard
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.measures.betting import MeanTest
from pytest_llminvariance.measures.metrics import Metric


def decide_by_asking(asking: Asking, planner: Planner, metric: Metric, limit: Fraction, overview: Overview) -> Answers:
    """Ask until it is decided, or everything; see `docs/statistics.md`."""
    run = current_run.get()
    allowed = (run.risk or ItemRisk(None, 0.0 if run.recorder else DEFAULT_RISK)).next()
    must_test = planner.draws_units or planner.claim == "population"
    fingerprint = "" if run.on_plan else asking.model.fingerprint
    units = [] if metric.pooled else planner.units(metric, limit, run.seed, fingerprint)
    if run.on_plan is not None:
        stops = must_test or (_why_never(asking, metric, allowed) is None and len(units) > 1)
        announce(run, estimate(asking, planner, metric, limit, overview, allowed, stops=stops))
    why_all = _why_everything(asking, planner, metric, overview, allowed, units)
    planned = {"questions": len(planner.questions), "presentations": overview.n_presentations}
    if why_all is not None and not must_test:
        plans = planner.all_plans()
        check_plans(metric, plans)
        noise = asking.measure_noise(plans)
        parts = tuple(asking.parts(plans))
        decision = Decision(method="exhaustive", alpha=0.0, n=len(parts), n_planned=len(parts), note=why_all)
        return Answers(parts, asking.tokens, _present(noise, asking.sentinels()), decision, None, 1, planned)
    if not allowed.alpha:
        raise UsageError(
            f"this check draws at random, so it needs a risk, but has no share of the risk limit ({allowed.note or 'it is in a fixture'}). "
            "Make it in a test that is not marked exhaustive and is in the manifest"
        )
    noise = asking.measure_noise([planner.plan(0)])
    stopping = stopping_rule(asking, asking.made, planner, metric, limit, allowed.alpha, len(units))
    stopped = stopping.run(units)
    runtime = _present(noise, asking.sentinels())
    shown = None if stopped.verdict is None else stopped
    return Answers(stopped.parts, asking.tokens, runtime, stopped.decision, shown, planner.samples, planned)


def stopping_rule(
    source: PartSource, made: Property, planner: Planner, metric: Metric, limit: Fraction, alpha: float, n_units: int
) -> Stopping:
    """Return the rule of a check; `source` asks the model, or takes what a record holds."""
    must_test = planner.draws_units or planner.claim == "population"
    n_planned = None if must_test else n_units
    response = None
    if needs_response(made):
        response = MeanTest(rescaled(movement_bound(limit), metric.least), alpha, n_planned)

    def may_hold(parts: Sequence[Part]) -> bool:
        guards = reply_guards([part.evidence for part in parts])
        return all(guard.passed is not False for guard in guards)

    unit_name = "draw" if planner.draws_units else "cluster" if planner.claim == "population" else "question"
    test = MeanTest(rescaled(limit, metric.least), alpha, n_planned)
    return Stopping(source, test, response, may_hold, not must_test, unit_name, metric.least)


def _why_everything(
    asking: Asking, planner: Planner, metric: Metric, overview: Overview, allowed: Allowance, units: Sequence[Unit]
) -> str | None:
    """Return why a check asks everything; `None` where it may stop before."""
    run, model = current_run.get(), asking.model
    if (why := _why_never(asking, metric, allowed)) is not None:
        return why
    if len(units) < 2:
        return "one question has nothing to stop before"
    if all(asking.knows(plan) for unit in units for plan in unit.plans()):
        return "all answers were there already"
    key = planner.suite_key(model.fingerprint, overview.specs, asking.made.name, metric.name, asking.readout)
    first = run.seed if run.seeds is None else run.seeds().first_seed(key, run.seed)
    if first != run.seed:
        return (
            f"seed {run.seed} is a second one for this suite (first {first}), and the best of many seeds is no evidence"
        )
    return None


def _why_never(asking: Asking, metric: Metric, allowed: Allowance) -> str | None:
    """Return why a check asks everything whatever its questions; `None` where that depends."""
    if allowed.limit is None:
        return NO_LIMIT
    if metric.pooled or isinstance(asking.made, BatchAgreement):
        return f"{metric.name if metric.pooled else asking.made.title} is decided on everything"
    return None if allowed.may_stop else allowed.note or "declared exhaustive"


def _present(*guards: Guard | None) -> tuple[Guard, ...]:
    return tuple(guard for guard in guards if guard is not None)


def check_plans(metric: Metric, plans: Sequence[Plan]) -> None:
    """Raise where a pooled metric cannot be computed from the plans."""
    for plan in plans:
        question = plan.question
        if metric.name == "position_bias" and plan.balanced is None:
            raise UsageError(
                "position_bias needs every option equally often at every position, which this plan does not give. "
                "Use orders='all', 'cyclic' or 'balanced'"
            )
        if metric.name == "trait_shift" and not isinstance(question.attributes.get("trait"), str):
            raise UsageError(
                f"trait_shift needs attributes['trait'], which question {question.name!r} lacks. Use a Questionnaire"
            )
        if metric.name == "trait_shift" and _forms(plan) != _forms(plans[0]):
            raise UsageError(
                "trait_shift compares the same forms for every item, but this plan draws orders for each question. "
                "Use orders='reversed' or 'cyclic', and items on one scale"
            )


def _forms(plan: Plan) -> list[tuple[object, ...]]:
    """Return how each probe shows the question, apart from its content."""
    shown = [probe.presentation for probe in plan.probes]
    return [(p.order, p.labels, p.layout, p.template) for p in shown]
