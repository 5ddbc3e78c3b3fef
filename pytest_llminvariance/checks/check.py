"""`check`: the one use case. Plan, ask, measure, guard, decide.

Without a risk limit everything planned is asked, so a verdict is exact up to what ties and missing answers
leave open; with one, asking stops as soon as the verdict is shown.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_llminvariance.checks.asking import Asking
from pytest_llminvariance.checks.deciding import decide_by_asking
from pytest_llminvariance.checks.evidence import Evidence
from pytest_llminvariance.checks.finding import judged
from pytest_llminvariance.checks.left_out import leave_out, with_left_out
from pytest_llminvariance.checks.planning import Planner, check_claim
from pytest_llminvariance.checks.properties import Property, ReadoutAgreement, as_property
from pytest_llminvariance.checks.risk import DEFAULT_RISK
from pytest_llminvariance.checks.run import current_run, in_search, package_versions, recorded
from pytest_llminvariance.checks.verdict import Finding, as_tolerance
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.measures.metrics import METRICS, Metric, excess_disagreement, of_all_orders
from pytest_llminvariance.models.protocol import Model, check_model, resolve_readout
from pytest_llminvariance.questions.question import Question, Questions, as_questions
from pytest_llminvariance.questions.template import DEFAULT_TEMPLATE, Template, as_template
from pytest_llminvariance.transforms.base import Transform


@dataclass(frozen=True, slots=True)
class Measured:
    """A finding, and the evidence that it was made from."""

    finding: Finding
    evidence: tuple[Evidence, ...]


def check(
    property: str | Property | Transform,
    model: Model,
    questions: Questions,
    *,
    tolerance: float,
    metric: str | None = None,
    readout: str = "auto",
    template: str | Template | None = None,
    claim: str = "suite",
    samples: int = 1,
    **options: Any,
) -> Finding:
    """Check a property of a model on questions and return what was found; never raises for a broken one.

    `property` is a name (`option_order`, `prompt`, `labels`, `layout`, `readouts`, `tracks`), made with
    `options`, or a property or transform object. `metric` and `tolerance` say how much the answers may
    differ: the mean of the metric over the questions must not exceed the tolerance.

    Costs one prompt per planned presentation and at least 12 for the responsiveness guard; prompts asked
    before in the same session cost nothing.

    Raises:
        UsageError: for bad arguments, before anything is asked.
        ModelError: if the model cannot answer.
    """
    made = as_property(property, options)
    with recorded(made.title) as slot:
        measured = measure(
            made, model, questions, tolerance=tolerance, metric=metric, readout=readout, template=template,
            claim=claim, samples=samples,
        )  # fmt: skip
        return slot.store(measured.finding)


def measure(
    made: Property,
    model: Model,
    questions: Questions,
    *,
    tolerance: float,
    metric: str | None = None,
    readout: str = "auto",
    template: str | Template | None = None,
    claim: str = "suite",
    samples: int = 1,
) -> Measured:
    """Do what `check` says, without storing the finding."""
    began = time.perf_counter()
    _refuse_inside_search(made)
    chosen_name = metric or ("excess_disagreement" if samples != 1 else made.metric)
    about = check_claim(claim, samples, made, chosen_name)
    limit = as_tolerance(tolerance)
    model = check_model(model)
    asked_for = as_questions(questions)
    set_aside = current_run.get().holdout
    if set_aside is not None:
        asked_for = set_aside.select(asked_for, model.fingerprint)
    chosen = metric_for(chosen_name, made, asked_for, samples, about)
    way = resolve_readout(_first_readout(made, "text" if samples > 1 and readout == "auto" else readout), model)
    for other in made.readouts if isinstance(made, ReadoutAgreement) else ():
        resolve_readout(other, model)
    asked_for, left = leave_out(made, asked_for, template, way)
    planner = Planner(made, asked_for, template, about, samples)
    plans = planner.overview()
    asking = Asking(model, way, made, asked_for, samples, chosen.name, limit)
    answers = decide_by_asking(asking, planner, chosen, limit, plans)
    known = {
        "property": made.name,
        "title": made.title,
        "plan": _plan_spec(plans.specs),
        "design": _design(plans.designs),
        "model": model.name,
        "fingerprint": model.fingerprint,
        "readout": way if not isinstance(made, ReadoutAgreement) else " and ".join(made.readouts),
        "template": DEFAULT_TEMPLATE.shown_name if template is None else as_template(template).shown_name,
        "seed": current_run.get().seed,
        "versions": package_versions(),
        "claim": about,
        "risk_limit": None if answers.decision.method == "exhaustive" else _session_limit(),
    }
    finding = with_left_out(judged(answers, made, chosen, limit, known), left)
    return Measured(dataclasses.replace(finding, duration_s=time.perf_counter() - began), answers.evidence)


def _refuse_inside_search(made: Property) -> None:
    if in_search():
        raise UsageError(
            f"{made.title} is a rate over fixed presentations, but inside @given examples are chosen to fail, so a rate means nothing. "
            "Use assert_same_answer(model, a, b) here, or move the check out of @given"
        )


def _first_readout(made: Property, readout: str) -> str:
    return made.readouts[0] if isinstance(made, ReadoutAgreement) else readout


def _session_limit() -> float:
    risk = current_run.get().risk
    return risk.limit if risk is not None and risk.limit is not None else DEFAULT_RISK


def metric_for(name: str, made: Property, questions: Sequence[Question], samples: int, claim: str) -> Metric:
    """Return the metric as this check uses it, or raise where property, questions or samples do not go with it."""
    if not isinstance(name, str) or name not in METRICS:
        raise UsageError(f"there is no metric {name!r}; the metrics are {', '.join(METRICS)}")
    metric = METRICS[name] if samples == 1 else excess_disagreement(samples)
    if claim == "orbit":
        metric = of_all_orders(metric)
    if (name == "unchanged") != (made.metric == "unchanged"):
        raise UsageError(f"metric {name!r} cannot be used for {made.title}. Use {made.metric!r}")
    if metric.needs_full_design and made.samples_the_orbit:
        raise UsageError(
            f"metric {name!r} needs a full named design, not orders='sample'. Use orders='all', 'cyclic' or 'balanced'"
        )
    for question in questions:
        if metric.needs_scores and question.scores is None:
            raise UsageError(
                f"metric {name!r} compares scores, but question {question.name!r} has none. Give scores, or use 'flip_rate'"
            )
    return metric


def _design(kinds: Sequence[str]) -> str:
    return kinds[0] if len(kinds) == 1 else f"{kinds[0]} to {kinds[-1]}"


def _plan_spec(specs: Sequence[str]) -> str:
    """Return what identifies the plan: the specs as they became, hashed together where there are many."""
    return " or ".join(specs) if len(specs) <= 4 else hashlib.sha256(json.dumps(list(specs)).encode()).hexdigest()[:16]
