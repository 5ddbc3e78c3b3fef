"""`check`: the one use case. Plan, ask, measure, guard, decide.

Everything planned is asked, so a verdict is exact up to what ties and missing answers leave open.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from pytest_llminvariance.audit.metrics import METRICS, Metric
from pytest_llminvariance.engine import Memo, ask, read_reply
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.evidence import (
    Evidence,
    choice_shares,
    count_words,
    effect_of,
    examples_by_distance,
    expected_scores,
    kept_under_reversal,
    measure_questions,
    per_question,
    read,
    tally,
)
from pytest_llminvariance.guards import (
    foreign_presentations,
    inside_frame,
    noise_guard,
    replicates_guard,
    reply_guards,
    responsiveness,
    sentinel_guard,
)
from pytest_llminvariance.models.protocol import Model, Reply, Request, check_model, request_for, resolve_readout
from pytest_llminvariance.noise import MAX_PROMPTS, delta_nats, measure_noise, replicas
from pytest_llminvariance.presentation import DEFAULT_TEMPLATE, Template, as_template
from pytest_llminvariance.progress import progress_bar
from pytest_llminvariance.properties import BatchAgreement, Plan, Property, ReadoutAgreement, as_property
from pytest_llminvariance.questions import Question, Questions, as_questions
from pytest_llminvariance.runs import current_run, recorded
from pytest_llminvariance.transforms import Transform
from pytest_llminvariance.verdict import Finding, Guard, as_tolerance, decide

__all__ = ["Measured", "check", "in_search", "measure", "package_versions"]

N_SENTINELS = 3


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
    _check_claim(claim, samples)
    limit = as_tolerance(tolerance)
    model = check_model(model)
    asked_for = as_questions(questions)
    chosen = _metric(metric or made.metric, made, asked_for)
    way = resolve_readout(_first_readout(made, readout), model)
    for other in made.readouts if isinstance(made, ReadoutAgreement) else ():
        resolve_readout(other, model)
    plans = [made.plan(question, template) for question in asked_for]
    _check_plans(chosen, plans)
    answers = _Asking(model, way, made).ask(plans)
    known = {
        "property": made.name,
        "title": made.title,
        "plan": _plan_spec(plans),
        "design": _design(plans),
        "model": model.name,
        "fingerprint": model.fingerprint,
        "readout": way if not isinstance(made, ReadoutAgreement) else " and ".join(made.readouts),
        "template": DEFAULT_TEMPLATE.shown_name if template is None else as_template(template).shown_name,
        "seed": current_run.get().seed,
        "versions": package_versions(),
        "claim": claim,
    }
    finding = _judged(answers, made, chosen, limit, known)
    return Measured(dataclasses.replace(finding, duration_s=time.perf_counter() - began), answers.evidence)


def _judged(answers: _Answers, made: Property, metric: Metric, limit: Fraction, known: Mapping[str, Any]) -> Finding:
    """Measure, guard and decide: numbers only, nothing is asked."""
    evidence, values = answers.evidence, measure_questions(answers.evidence, metric)
    effect = effect_of(evidence, metric, values)
    guards = [*reply_guards(evidence, of_engine=isinstance(made, BatchAgreement)), *answers.guards(made, metric, limit)]
    causes, n_answers = tally(evidence)
    verdict, reasons = decide(effect, limit, guards, causes, n_answers)
    examples = examples_by_distance(evidence, wants_change=metric.name == "unchanged")
    return Finding(
        **known,
        metric=metric.name,
        effect=effect,
        tolerance=limit,
        verdict=verdict,
        reasons=reasons,
        count=count_words(evidence, metric),
        questions_asked=len(evidence),
        questions_planned=len(evidence),
        presentations_asked=n_answers,
        presentations_planned=n_answers,
        tokens=answers.tokens,
        example=examples[0] if examples else None,
        per_question=per_question(evidence, values),
        guards=tuple(guards),
        details={
            "position_shares": choice_shares(evidence),
            "expected_scores": expected_scores(evidence),
            "kept_under_reversal": kept_under_reversal(evidence),
            "question_hashes": tuple(item.plan.question.content_hash for item in evidence),
            "template_sha256": evidence[0].plan.probes[0].presentation.template.content_hash,
        },
    )


@dataclass(frozen=True, slots=True)
class _Answers:
    """Everything that came back for one check."""

    evidence: tuple[Evidence, ...]
    foreign: tuple[tuple[Any, ...], ...]
    tokens: int
    runtime: tuple[Guard, ...]
    """Guards on the engine: noise between batches, and drift while it was asked."""

    def guards(self, made: Property, metric: Metric, limit: Fraction) -> list[Guard]:
        found = list(self.runtime)
        if isinstance(made, BatchAgreement):
            found.append(replicates_guard(len(self.evidence) * made.batches))
        if _needs_response(made):
            found.append(responsiveness(self.evidence, self.foreign, metric, limit))
        return found


@dataclass(frozen=True, slots=True)
class _Asking:
    """Asks what is planned, foreign stems for the responsiveness guard, and sentinels again at the end."""

    model: Model
    readout: str
    made: Property

    def ask(self, plans: Sequence[Plan]) -> _Answers:
        foreign = foreign_presentations(plans, current_run.get().seed) if _needs_response(self.made) else ()
        planned = [
            request_for(probe.presentation, probe.readout or self.readout) for plan in plans for probe in plan.probes
        ]
        strange = [request_for(shown, self.readout) for row in foreign for shown in row]
        memo = current_run.get().memo
        memo = {} if memo is None else memo
        noise = self._noise(plans)
        delta = 0.0 if isinstance(self.made, BatchAgreement) else delta_nats(self.model, self.readout)
        replicated = self._replicated(plans)
        wanted = [*planned, *strange] if replicated is None else strange
        asked = ask(self.model, wanted, memo, progress_bar(self.made.title))
        replies = iter(asked.replies if replicated is None else (*replicated, *asked.replies))
        evidence = tuple(
            read(
                plan,
                [next(replies) for _ in plan.probes],
                self.readout,
                must_differ=self.made.compares_prompts and not inside_frame(plan, self.model),
                delta_nats=delta,
            )
            for plan in plans
        )
        answers = tuple(tuple(read_reply(next(replies), shown, self.readout) for shown in row) for row in foreign)
        again, tokens = self._sentinels(planned, memo) if asked.fresh else (None, 0)
        return _Answers(evidence, answers, asked.tokens + tokens, tuple(filter(None, (noise, again))))

    def _noise(self, plans: Sequence[Plan]) -> Guard | None:
        """Measure the engine's noise once, where rounding may be more than a tie; see `noise_floor`."""
        known = current_run.get().noise
        found = (known or {}).get((self.model.name, self.model.fingerprint, self.readout))
        if found is None and getattr(self.model, "is_noisy", False):
            shown = list(dict.fromkeys(probe.presentation for plan in plans for probe in plan.probes))
            found = measure_noise(self.model, shown[:MAX_PROMPTS], self.readout)
        return None if found is None else noise_guard(found)

    def _replicated(self, plans: Sequence[Plan]) -> list[Reply] | None:
        """Return the replies to every plan's probes, asked alone and in batches, where that is the property."""
        if not isinstance(self.made, BatchAgreement):
            return None
        requests = [request_for(plan.probes[0].presentation, self.readout) for plan in plans]
        rows = replicas(self.model, requests, self.made.batches)
        return [row[index] for index in range(len(plans)) for row in rows]

    def _sentinels(self, planned: Sequence[Request], memo: Memo) -> tuple[Guard, int]:
        chosen = list(dict.fromkeys(planned))
        chosen = [chosen[index] for index in sorted({0, len(chosen) // 2, len(chosen) - 1})][:N_SENTINELS]
        before = ask(self.model, chosen, memo).replies
        again = ask(self.model, chosen, {})
        return sentinel_guard(before, again.replies), again.tokens


def in_search() -> bool:
    """Return whether Hypothesis is running an example right now; never imports Hypothesis."""
    hypothesis = sys.modules.get("hypothesis")
    return bool(hypothesis and hypothesis.currently_in_test_context())


def _needs_response(made: Property) -> bool:
    """Whether a model that never changes its answer would pass without having earned it."""
    return made.metric != "unchanged" and not isinstance(made, BatchAgreement)


def _refuse_inside_search(made: Property) -> None:
    if in_search():
        raise UsageError(
            f"{made.title} is a rate over fixed presentations, but inside @given examples are chosen to fail, so a rate means nothing. "
            "Use assert_same_answer(model, a, b) here, or move the check out of @given"
        )


def _check_claim(claim: str, samples: int) -> None:
    if claim != "suite":
        raise UsageError(
            f"claim is {claim!r}, but this version knows only 'suite': these questions and the planned presentations"
        )
    if samples != 1:
        raise UsageError(
            f"samples is {samples!r}, but this version reads every prompt once (samples=1), without sampling"
        )


def _first_readout(made: Property, readout: str) -> str:
    return made.readouts[0] if isinstance(made, ReadoutAgreement) else readout


def _metric(name: str, made: Property, questions: Sequence[Question]) -> Metric:
    if name == "excess_disagreement":
        raise UsageError(
            "metric='excess_disagreement' needs samples >= 2, which this version does not draw. Use 'flip_rate' or 'tv'"
        )
    if not isinstance(name, str) or name not in METRICS:
        raise UsageError(f"there is no metric {name!r}; the metrics are {', '.join(METRICS)}")
    metric = METRICS[name]
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


def _check_plans(metric: Metric, plans: Sequence[Plan]) -> None:
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


def _design(plans: Sequence[Plan]) -> str:
    kinds = list(dict.fromkeys(plan.design for plan in plans))
    return kinds[0] if len(kinds) == 1 else f"{kinds[0]} to {kinds[-1]}"


def _plan_spec(plans: Sequence[Plan]) -> str:
    """Return what identifies the plan: the specs as they became, hashed together where there are many."""
    specs = list(dict.fromkeys(plan.spec for plan in plans))
    return " or ".join(specs) if len(specs) <= 4 else hashlib.sha256(json.dumps(specs).encode()).hexdigest()[:16]


def package_versions() -> dict[str, str]:
    """Return the versions of what determines answers and numbers."""
    found = {}
    for name in ("pytest-llminvariance", "torch", "transformers"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
