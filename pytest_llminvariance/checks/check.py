"""`check`: the one use case. Plan, ask, measure, guard, decide.

Without a risk limit everything planned is asked, so a verdict is exact up to what ties and missing answers
leave open; with one, asking stops as soon as the verdict is shown.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from pytest_llminvariance.checks.asking import Asking
from pytest_llminvariance.checks.costs import announce
from pytest_llminvariance.checks.deciding import decide_by_asking
from pytest_llminvariance.checks.estimate import estimate
from pytest_llminvariance.checks.evidence import Evidence
from pytest_llminvariance.checks.finding import judged
from pytest_llminvariance.checks.left_out import with_left_out
from pytest_llminvariance.checks.planning import Planner
from pytest_llminvariance.checks.properties import as_property
from pytest_llminvariance.checks.properties.base import Property
from pytest_llminvariance.checks.refusals import settle
from pytest_llminvariance.checks.risk import DEFAULT_RISK
from pytest_llminvariance.checks.run import current_run, recorded
from pytest_llminvariance.checks.verdict import Finding
from pytest_llminvariance.models.protocol import AnyModel, Model
from pytest_llminvariance.models.versions import package_versions
from pytest_llminvariance.questions.question import Question, skipped_rows
from pytest_llminvariance.questions.template import DEFAULT_TEMPLATE, Template, as_template
from pytest_llminvariance.transforms.base import Transform

DESCRIBED = 0.05
"""What a finding that only describes says is tolerated: the usual tolerance."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A finding, and the evidence that it was made from."""

    finding: Finding
    evidence: tuple[Evidence, ...]
    model: Model
    """What was asked."""


def check(
    property: str | Property | Transform,
    model: AnyModel,
    questions: Question | Iterable[Any],
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

    `property` is a name (`option_order`, `prompt`, `labels`, ...; docs/properties.md has all), made with
    `options`, or a property or transform object. `metric` and `tolerance` say how much the answers may
    differ: the mean of the metric over the questions must not exceed the tolerance.

    Costs one prompt per planned presentation, and where HOLDS is possible a few for the responsiveness guard, at most one a
    question or 12; prompts asked before in the same session, other questions as written among them, cost nothing.

    Raises:
        UsageError: for bad arguments, before anything is asked.
        ModelError: if the model cannot answer.
    """
    property = as_property(property, options)
    return stored(
        property, model, questions, tolerance=tolerance, metric=metric, readout=readout, template=template, claim=claim,
        samples=samples, light=True,
    ).finding  # fmt: skip


def stored(
    property: Property,
    model: AnyModel,
    questions: Question | Iterable[Any],
    *,
    tolerance: float | Fraction | None,
    **how: Any,
) -> Measured:
    """Do what `check` says, and return the evidence as well; without a tolerance the finding only describes."""
    with recorded(property.title) as slot:
        limit = DESCRIBED if tolerance is None else tolerance
        found = measure(property, model, questions, tolerance=limit, **how)
        finding = dataclasses.replace(found.finding, describes=tolerance is None)
        return dataclasses.replace(found, finding=slot.store(finding, model, found.model))


def measure(
    property: Property,
    model: AnyModel,
    questions: Question | Iterable[Any],
    *,
    template: str | Template | None = None,
    light: bool = False,
    **how: Any,
) -> Measured:
    """Do what `check` says, without storing the finding; `light` evidence is enough for it and takes a tenth of the memory."""
    began, run = time.perf_counter(), current_run.get()
    questions = tuple(questions) if isinstance(questions, Iterator) else questions
    asked, subject, rows = property.asked(questions), property.subject(model), skipped_rows(questions)
    terms = settle(
        property, subject, asked, skipped=rows, template=property.way if template is None else template, **how
    )
    planner = Planner(terms, keeps_all=bool(terms.why_all))
    if run.on_plan is not None:
        announce(run, estimate(Asking(terms), planner, terms.risk.next()))
    answers = decide_by_asking(terms, planner, light=light)
    known = {
        "property": property.name,
        "title": property.title,
        "plan": planner.spec,
        "design": planner.design,
        "model": terms.model.name,
        "fingerprint": terms.model.fingerprint,
        "readout": " and ".join(property.readouts) or terms.readout,
        "template": DEFAULT_TEMPLATE.shown_name if terms.template is None else as_template(terms.template).shown_name,
        "seed": run.seed,
        "claim": terms.claim,
        "risk_limit": None if answers.decision.method == "exhaustive" else terms.risk.limit or DEFAULT_RISK,
        "questions_planned": len(terms.questions),
        "presentations_planned": planner.n_presentations,
        "tokens": answers.tokens,
        "versions": package_versions(),
    }
    finding = judged(answers, property, terms.metric, terms.tolerance, known)
    if terms.left_out:
        finding = with_left_out(finding, terms.left_out)
    return Measured(dataclasses.replace(finding, duration_s=time.perf_counter() - began), answers.evidence, terms.model)
