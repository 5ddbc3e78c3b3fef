"""What is refused before anything is asked, and what a check is then told: everything checked, `auto` resolved.

What only one property can refuse of its own options stands with that property; what a question cannot be shown
as, with the transform that shows it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, get_args

from pytest_llminvariance.checks.left_out import LeftOut, leave_out, other_labels
from pytest_llminvariance.checks.properties.base import Plan, Property
from pytest_llminvariance.checks.risk import DEFAULT_RISK, ItemRisk
from pytest_llminvariance.checks.run import current_run
from pytest_llminvariance.checks.verdict import NO_LIMIT
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.measures.metrics import METRICS, Metric, Number, excess_disagreement, of_all_orders
from pytest_llminvariance.measures.movement import bound_of_movement
from pytest_llminvariance.models.protocol import AnyModel, Model, resolve_readout
from pytest_llminvariance.models.wrapping import as_model
from pytest_llminvariance.questions.question import Question, SkippedRows, as_questions, known_answers, skipped_rows
from pytest_llminvariance.questions.template import Template

Claim = Literal["suite", "orbit", "population"]
ORBIT_METRICS = ("flip_rate", "disagreement", "tv", "score_gap")


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a check is told, once nothing of it has to be refused."""

    property: Property
    model: Model
    questions: tuple[Question, ...]
    left_out: LeftOut
    """Questions that are not asked, by the reason."""
    skipped: tuple[SkippedRows, ...]
    """What was left out of the files of the questions that were given, whatever is made of them."""
    template: str | Template | None
    claim: Claim
    samples: int
    metric: Metric
    tolerance: Fraction
    readout: str
    """The readout of probes that have none of their own."""
    risk: ItemRisk
    """What the test may spend."""
    why_all: str
    """Why everything is asked whatever the questions are; empty where that depends on them."""
    draws: bool
    """Whether questions are drawn with replacement, each draw with something fresh."""
    must_test: bool
    """Whether not even everything planned would make the verdict exact."""
    least_movement: Fraction | None
    """What foreign stems must move the answer by, at most; `None` where no response is needed."""
    n_known: int
    """Questions with a known answer, or clusters of them."""


def settle(
    property: Property,
    model: AnyModel,
    questions: Question | Iterable[Any],
    *,
    tolerance: float | Fraction,
    metric: str | None,
    readout: str,
    template: str | Template | None,
    claim: str,
    samples: int,
) -> Terms:
    """Return the terms of a check.

    Raises:
        UsageError: naming value, rule and the way out.
    """
    if in_search():
        raise UsageError(
            f"{property.title} is a rate over fixed presentations, but inside @given examples are chosen to fail, so a rate means nothing. "
            "Use assert_same_answer(model, a, b) here, or move the check out of @given"
        )
    name = metric or ("excess_disagreement" if samples != 1 else property.metric)
    about, limit = _claim(property.claim or claim, samples, property, name), as_tolerance(tolerance)
    given_questions = tuple(questions) if isinstance(questions, Iterator) else questions
    run, asked_for = current_run.get(), as_questions(property.asked(given_questions))
    subject = (run.wrap or as_model)(property.subject(model))
    set_aside = run.holdout
    if set_aside is not None:
        asked_for = set_aside.select(asked_for, None if run.on_plan else subject.fingerprint)
    chosen = metric_for(name, property, asked_for, samples, about)
    wanted = property.readouts or ("text" if samples > 1 and readout == "auto" else readout,)
    ways = [resolve_readout(one, subject) for one in wanted]
    # a session that records gives nothing to a check outside of tests
    risk = run.risk or ItemRisk(None, 0.0 if run.recorder else DEFAULT_RISK)
    if property.needs_probabilities and ways[0] == "text":
        raise UsageError(
            f"{property.title} compares probabilities, which readout='text' does not give. Use readout='label' or 'option', "
            "and a model that has them"
        )
    draws = samples > 1 or about == "orbit"
    why_all, least = _why_all(property, chosen, risk), movement_bound(property, limit)
    given = asked_for
    asked_for, left = leave_out(property, given, template, ways[0])
    if template is None and readout == "auto" and (found := other_labels(property, given, left, ways[0])):
        asked_for, left, template = found
    return Terms(
        property=property, model=subject, questions=asked_for, left_out=left, skipped=skipped_rows(given_questions), template=template, claim=about, samples=samples, metric=chosen,
        tolerance=limit, readout=ways[0], risk=risk, why_all=why_all, draws=draws,
        must_test=draws or (about == "population" and not chosen.pooled), least_movement=least,
        n_known=known_answers(asked_for, by_cluster=about == "population"),
    )  # fmt: skip


def _why_all(property: Property, metric: Metric, risk: ItemRisk) -> str:
    if risk.limit is None:
        return NO_LIMIT
    if metric.pooled or property.asks_everything:
        return f"{metric.name if metric.pooled else property.title} is decided on everything"
    return "" if risk.share else risk.note or "declared exhaustive"


def movement_bound(property: Property, tolerance: Fraction, *others: Number | None) -> Fraction | None:
    """Return what another stem must move the answer by, at most; `None` where no response is needed.

    `others` are smaller tolerances under which it would hold as well: the largest that the effect can be, or one that it was
    shown to hold under. So what holds under a tolerance holds under every larger one.
    """
    least = min([tolerance, *(Fraction(other) for other in others if other is not None)])
    return bound_of_movement(least) if property.needs_response else None


def as_tolerance(tolerance: object) -> Fraction:
    """Return a tolerance as the fraction that its decimal digits say, so that counts compare exactly.

    Raises:
        UsageError: unless it is a number from 0 to below 1.
    """
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float | Fraction):
        raise UsageError(f"tolerance is {tolerance!r}, but must be a number from 0 to below 1")
    if not 0 <= tolerance < 1:
        raise UsageError(
            f"tolerance is {tolerance!r}, but must be from 0 to below 1: it is the largest mean metric that is accepted. "
            "For percent divide by 100"
        )
    return tolerance if isinstance(tolerance, Fraction) else Fraction(str(tolerance))


def _claim(claim: object, samples: object, property: Property, metric: str) -> Claim:
    """Return the claim, or raise where it does not go with samples, property or metric."""
    if claim not in get_args(Claim):
        raise UsageError(f"claim is {claim!r}, but must be one of {', '.join(get_args(Claim))}")
    if isinstance(samples, bool) or not isinstance(samples, int) or not 1 <= samples <= 1000:
        raise UsageError(f"samples is {samples!r}, but must be a whole number from 1 to 1,000")
    if samples > 1 and metric != "excess_disagreement":
        raise UsageError(
            f"samples={samples} draws answers at random, and {metric!r} would count the noise as the property's fault. "
            "Use metric='excess_disagreement', which takes off what repeated asking alone changes"
        )
    if samples == 1 and metric == "excess_disagreement":
        raise UsageError("metric='excess_disagreement' compares repeated answers: give samples=3, or at least 2")
    if samples > 1 and (claim != "suite" or property.transform is None):
        raise UsageError(
            f"samples={samples} goes with claim='suite' and a transform, not with {property.title}, claim={claim!r}"
        )
    if claim == "orbit" and (not property.draws_fresh or metric not in ORBIT_METRICS):
        raise UsageError(
            "claim='orbit' is about all orders, from fresh samples of them: it goes with orders='sample', n=..., and "
            "flip_rate, disagreement, tv or score_gap. Other designs are asked whole: use claim='suite'"
        )
    if claim == "population" and (known := METRICS.get(metric)) and known.pooled and not known.own:
        raise UsageError(
            f"{metric!r} pools all questions, so claim='population' is not known for it. Use claim='suite'"
        )
    return claim  # type: ignore[return-value]


def metric_for(name: str, property: Property, questions: Sequence[Question], samples: int, claim: str) -> Metric:
    """Return the metric as a check uses it, or raise where property, questions or samples do not go with it."""
    if not isinstance(name, str) or name not in METRICS:
        raise UsageError(
            f"there is no metric {name!r}; the metrics are {', '.join(n for n, one in METRICS.items() if not one.own)}"
        )
    metric = METRICS[name] if samples == 1 else excess_disagreement(samples)
    if claim == "orbit":
        metric = of_all_orders(metric)
    if name != property.metric and (metric.own or METRICS[property.metric].own):
        raise UsageError(f"metric {name!r} cannot be used for {property.title}. Use {property.metric!r}")
    if metric.needs_full_design and property.samples_the_orbit:
        raise UsageError(
            f"metric {name!r} needs a full named design, not orders='sample'. Use orders='all', 'cyclic' or 'balanced'"
        )
    for question in questions:
        if metric.needs_scores and question.scores is None:
            raise UsageError(
                f"metric {name!r} compares scores, but question {question.name!r} has none. Give scores, or use 'flip_rate'"
            )
    return metric


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


def no_share(risk: ItemRisk) -> UsageError:
    """Return what a check is refused with that draws at random and has no risk to spend."""
    return UsageError(
        f"this check draws at random, so it needs a risk, but has no share of the risk limit ({risk.note or 'it is in a fixture'}). "
        "Make it in a test that is not marked exhaustive and is in the manifest"
    )


def in_search() -> bool:
    """Return whether Hypothesis is running an example right now; never imports Hypothesis."""
    asked = getattr(
        sys.modules.get("hypothesis"), "currently_in_test_context", None
    )  # another thread may be importing it
    return bool(asked and asked())
