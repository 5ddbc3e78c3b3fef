"""Assertions: a check that raises `InvarianceError` where the property is broken.

Each returns its `Finding`. An UNDECIDED finding raises `UndecidedError` under the policy `fail` (the
default); under `skip` and `warn` it is recorded and the test goes on.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pytest_llminvariance.checks.backends import BackendDifference, backend_difference
from pytest_llminvariance.checks.check import check as check
from pytest_llminvariance.checks.check import measure
from pytest_llminvariance.checks.costs import announce_asking
from pytest_llminvariance.checks.examples import make_example
from pytest_llminvariance.checks.guards import rows_guards
from pytest_llminvariance.checks.noise import delta_nats
from pytest_llminvariance.checks.properties import as_property, by_assertion
from pytest_llminvariance.checks.properties.base import Property
from pytest_llminvariance.checks.properties.invariance import OptionOrder, Prompt
from pytest_llminvariance.checks.properties.tracks import Tracking
from pytest_llminvariance.checks.refusals import Claim, as_tolerance, in_search
from pytest_llminvariance.checks.run import Run, current_run, recorded
from pytest_llminvariance.checks.searches import search_finding
from pytest_llminvariance.checks.subject import model_of
from pytest_llminvariance.checks.verdict import Finding, InvarianceError, UndecidedError, Verdict
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.gate.negative_flips import TITLE, _ask, _baseline, _finding, _given_baseline, _questions
from pytest_llminvariance.measures.metrics import flip
from pytest_llminvariance.measures.reading import read_reply
from pytest_llminvariance.models.engine import ask
from pytest_llminvariance.models.probes import Probe
from pytest_llminvariance.models.protocol import AnyModel, Model, Readout, request_for, resolve_readout
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question, Questions, skipped_rows
from pytest_llminvariance.questions.references import OnReference
from pytest_llminvariance.questions.template import DEFAULT_TEMPLATE, Template, as_template
from pytest_llminvariance.report import notebook as notebook  # says how findings show themselves
from pytest_llminvariance.report.failure import failure_message, flips_message, same_answer_message
from pytest_llminvariance.search.drawn import orbit_to_prefetch
from pytest_llminvariance.search.guidance import guide
from pytest_llminvariance.search.nearest import finding_with_nearest_example, nearest_example_of_pair
from pytest_llminvariance.transforms.base import Transform
from pytest_llminvariance.transforms.designs import Design
from pytest_llminvariance.transforms.edits import same_contents

MetricName = Literal[
    "flip_rate",
    "disagreement",
    "tv",
    "js_distance",
    "form_inconsistency",
    "score_gap",
    "score_shift",
    "position_bias",
    "trait_shift",
    "excess_disagreement",
]


def assert_order_symmetric(
    model: AnyModel,
    questions: Questions,
    *,
    tolerance: float = 0.05,
    metric: MetricName | None = None,
    orders: Design = "auto",
    n: int | None = None,
    on_reference: OnReference = "leave_out",
    readout: Readout = "auto",
    template: str | Template | None = None,
    claim: Claim = "suite",
    samples: int = 1,
) -> Finding:
    """Assert that the answer, as content, stays the same under orders of the options.

    `orders` is a design: `all` (up to 6 options), `cyclic`, `reversed`, `balanced` (each option equally
    often at each position and directly after each other one), `sample` with `n` drawn orders, or `auto`
    (all up to 4 options, balanced above). The metric is `flip_rate`, or `excess_disagreement` with `samples`
    of 2 or more sampled answers to each prompt. `claim` says what the verdict is about: `suite` (these
    questions, the planned presentations), `orbit` (all orders, from samples), `population` (questions like
    these; clusters by `attributes["cluster"]`); see docs/statistics.md. `on_reference` is for questions such as "Both A and
    B": `leave_out` (and name them), `error`, or `ask_anyway`; see docs/references.md.

    Raises:
        InvarianceError: if the property is broken.
        UndecidedError: if it is undecided and the policy is `fail`.
        UsageError: for bad arguments, before anything is asked.
    """
    __tracebackhide__ = True
    make = partial(OptionOrder, orders=orders, n=n, on_reference=on_reference)
    return _assert(make, model, questions, tolerance, metric, readout, template, claim, samples)


def assert_prompt_insensitive(
    model: AnyModel,
    questions: Questions,
    *,
    templates: Sequence[str | Template],
    tolerance: float = 0.05,
    metric: MetricName | None = None,
    orders: Design | None = None,
    n: int | None = None,
    readout: Readout = "auto",
    claim: Claim = "suite",
    samples: int = 1,
) -> Finding:
    """Assert that the answer, as content, stays the same under equivalent ways of asking.

    The first of `templates` is the question as written. `orders="reversed"` crosses them with both
    directions of the options. For Likert items `metric="score_gap"` compares scores instead of choices,
    and `"trait_shift"` the trait scores.

    Raises:
        InvarianceError: if the property is broken.
        UndecidedError: if it is undecided and the policy is `fail`.
        UsageError: for bad arguments, before anything is asked.
    """
    __tracebackhide__ = True
    if n is not None and orders is None:
        raise UsageError(f"n={n!r} goes with orders='sample', but orders is not given")
    make = partial(Prompt, templates=templates, orders=orders, n=n)
    return _assert(make, model, questions, tolerance, metric, readout, None, claim, samples)


def assert_invariant(
    model: AnyModel,
    questions: Questions,
    *,
    under: Transform,
    tolerance: float = 0.05,
    metric: MetricName | None = None,
    readout: Readout = "auto",
    template: str | Template | None = None,
    claim: Claim = "suite",
    samples: int = 1,
) -> Finding:
    """Assert that the answer stays the same under any transform, or a product of them (`Relabel() * Reorder()`).

    Raises:
        InvarianceError: if the property is broken.
        UndecidedError: if it is undecided and the policy is `fail`.
        UsageError: for bad arguments, before anything is asked.
    """
    __tracebackhide__ = True
    if not isinstance(under, Transform):
        raise UsageError(
            f"under is {under!r}, but must be a transform, for example Reorder(), Relabel(), Reformat() or Reword([...])"
        )
    return _assert(
        partial(as_property, under, {}), model, questions, tolerance, metric, readout, template, claim, samples
    )


def assert_tracks(
    model: AnyModel,
    edits: Sequence[tuple[Question, Question] | Question],
    *,
    tolerance: float = 0.05,
    readout: Readout = "auto",
    template: str | Template | None = None,
) -> Finding:
    """Assert that edits which change the meaning change the answer.

    `edits` holds pairs (question, edited question) with the same set of options, or questions with a known answer, of
    which edits are made: a statement negated, the right option replaced, a number changed. The metric is the share
    of edits after which the answer, as content, stayed the same. A model that answers anything fails here.

    Raises:
        InvarianceError: if that share exceeds the tolerance.
        UndecidedError: if it is undecided and the policy is `fail`.
    """
    __tracebackhide__ = True
    made = Tracking(edits=edits)
    return _assert(lambda: made, model, made.given, tolerance, None, readout, template, "suite", 1)


def __getattr__(name: str) -> Callable[..., Finding]:
    """Return the assertion that is made of a property: those that are not written out here."""
    kind = by_assertion().get(name)
    if kind is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _made(kind)


def _made(kind: type[Property]) -> Callable[..., Finding]:
    """Return a function that checks a property, made with its options, and raises."""
    options, how = inspect.signature(kind).parameters, list(_settings(kind))
    by_keyword = [*(p.replace(kind=p.KEYWORD_ONLY) for p in options.values()), *how]
    taken = inspect.signature(kind.asked).parameters["questions"].annotation
    taken = "Questions" if kind.asked is Property.asked else taken
    first = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=what)
        for name, what in (("model", "AnyModel"), ("questions", taken))
    ]
    signature = inspect.Signature([*first, *by_keyword], return_annotation="Finding")

    def assertion(*args: Any, **given: Any) -> Finding:
        __tracebackhide__ = True
        told = signature.bind(*args, **given).arguments
        usual = {p.name: p.default for p in how} | {name: told[name] for name in told if name not in options}
        make = partial(kind, **{name: told[name] for name in options if name in told})
        model, questions, tolerance = usual["model"], usual["questions"], usual["tolerance"]
        readout, template, claim = usual.get("readout", "auto"), usual.get("template"), usual.get("claim", "suite")
        return _assert(make, model, questions, tolerance, None, readout, template, claim, 1)

    vars(assertion).update(__signature__=signature, __module__=__name__)
    assertion.__name__ = assertion.__qualname__ = kind.assertion
    assertion.__doc__ = (
        f"Assert that {kind.says}.\n\n{inspect.getdoc(kind)}\n\nRaises:\n    InvarianceError: if the property is broken.\n"
        "    UndecidedError: if it is undecided and the policy is `fail`.\n    UsageError: for bad arguments."
    )
    return assertion


def _settings(kind: type[Property]) -> Iterator[inspect.Parameter]:
    """Yield what the assertion of a property takes beside its options, with defaults."""
    options = inspect.signature(kind).parameters.keys()
    fixed, has_ways = bool(kind.readouts) or "readouts" in options, bool({"templates", "administrations"} & options)
    usual = {
        "tolerance": ("float", 0.05, True),
        "readout": ("Readout", "auto", not fixed),
        "template": ("str | Template | None", None, not has_ways),
        "claim": ("Claim", "suite", not (kind.claim or kind.asks_everything or fixed)),
    }
    for name, (what, default, is_taken) in usual.items():
        if is_taken:
            yield inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=what)


def assert_same_answer(model: AnyModel, a: Presentation, b: Presentation, *, readout: Readout = "auto") -> None:
    """Assert that two presentations of one question get the same answer; for use inside `@given`.

    Only a certain difference is a failure: ties and unreadable answers never stop a search. A search is no
    evidence that a property holds. Inside `@given` the example in the message is the nearest that fails in the
    same way, searched breadth first between the two presentations. Where only orders of up to four options are drawn, all orders are asked
    with the first example, in one pass; else an example costs the presentations that it names. What was
    asked before costs nothing.

    Raises:
        InvarianceError: if the answers differ; its message starts the same for every pair.
        UsageError: if the two do not show the same options.
    """
    __tracebackhide__ = True
    for shown in (a, b):
        if not isinstance(shown, Presentation):
            raise UsageError(f"{shown!r} is a {type(shown).__name__}, but must be a Presentation")
    if not same_contents(a.question, b.question):
        raise UsageError("the two presentations show different options, so their answers cannot be compared")
    subject, run = model_of(model), current_run.get()
    way = resolve_readout(readout, subject)
    with run.turn:
        _compare(run, subject, a, b, way)


def _compare(run: Run, model: Model, a: Presentation, b: Presentation, way: str) -> None:
    """Ask for two presentations, and raise if their answers differ."""
    __tracebackhide__ = True
    asked = [request_for(shown, way) for shown in (a, b)]
    announce_asking("same answer (search), for each example", "search", (model, asked))
    memo = {} if run.memo is None else run.memo
    more = orbit_to_prefetch(a, b) if run.memo is not None and in_search() else []
    replies = ask(model, [*asked, *(request_for(shown, way) for shown in more)], memo).replies[:2]
    answers = [read_reply(reply, shown, way) for reply, shown in zip(replies, (a, b), strict=True)]
    delta = delta_nats(model, way)
    differs = bool(flip(answers[0], answers[1], delta).low)
    guide(a, b, answers[0], answers[1], delta)
    if not differs:
        run.searched()
        return
    if in_search():
        example = nearest_example_of_pair(model, way, (a, b), (answers[0], answers[1]), delta)
    else:
        example = make_example(Probe(a), answers[0], Probe(b), answers[1], delta)
    found = search_finding("same answer", example, model, way, run.seed, run.model_from(model))
    stored = run.searched(found)
    raise InvarianceError(same_answer_message(example, model.name, way, run.replay), stored, example, way)


def _assert(
    make: Callable[[], Property],
    model: AnyModel,
    questions: Question | Iterable[Any],
    tolerance: float,
    metric: str | None,
    readout: str,
    template: str | Template | None,
    claim: str,
    samples: int,
) -> Finding:
    """Check, find the smallest example, store, and raise by verdict and policy."""
    __tracebackhide__ = True
    made = make()
    with recorded(made.title) as slot:
        how: dict[str, Any] = {"metric": metric, "readout": readout, "template": template, "claim": claim}
        measured = measure(made, model, questions, tolerance=tolerance, samples=samples, **how)
        finding = measured.finding
        if finding.verdict is Verdict.BROKEN:
            finding = finding_with_nearest_example(measured, made, template)
        finding = slot.store(finding, model, measured.model)
    return raise_by_verdict(finding, failure_message)


def raise_by_verdict(finding: Finding, message: Callable[[Finding, str | None], str]) -> Finding:
    """Raise by verdict, level and policy, or return the finding."""
    __tracebackhide__ = True
    run = current_run.get()
    if finding.verdict is Verdict.BROKEN and run.level == "block":
        raise InvarianceError(message(finding, run.replay), finding)
    if finding.verdict is not Verdict.HOLDS and not in_search():
        if finding.verdict is Verdict.UNDECIDED and run.level == "block" and run.undecided == "fail":
            raise UndecidedError(message(finding, run.replay), finding)
        if run.recorder is not None:
            run.recorder.let_pass(finding)
    return finding


def assert_no_negative_flips(
    model: AnyModel,
    questions: Questions,
    *,
    baseline: AnyModel | str | Path | None = None,
    margin: float = 0.02,
    readout: Readout = "auto",
    template: str | Template | None = None,
) -> Finding:
    """Assert that the share of questions which `baseline` answered right and `model` answers wrong is within `margin`.

    `baseline` is a model, the run directory of one (or its `answers.jsonl`), or `None` for --invariance-baseline.
    Questions need a correct answer, and are asked as written. The finding's `details` name the flips both ways,
    the answers that changed although both are wrong, and McNemar's exact p-value, which decides nothing.

    Raises:
        InvarianceError: if the share exceeds the margin.
        UndecidedError: if it is undecided and the policy is `fail`.
        UsageError: if the baseline cannot be compared (other questions, template, layout or readout), or a
            question has no correct answer.
    """
    __tracebackhide__ = True
    if in_search():
        raise UsageError("negative flips are a rate over fixed questions, so they mean nothing inside @given")
    with recorded(TITLE) as slot:
        began = time.perf_counter()
        limit = as_tolerance(margin)
        asked_for, model = _questions(questions), model_of(model)
        way = resolve_readout(readout, model)
        shown = [Presentation(question, template=template) for question in asked_for]
        given = _given_baseline(baseline)
        others = [] if isinstance(given, Path) else [(given, resolve_readout(readout, given))]
        asked = [(one, [request_for(each, how) for each in shown]) for one, how in ((model, way), *others)]
        announce_asking(TITLE, "comparison", *asked)
        name, before = _baseline(given, model.fingerprint, shown, way)
        now, tokens = _ask(model, shown, way)
        known = {
            "model": model.name,
            "fingerprint": model.fingerprint,
            "readout": way,
            "template": DEFAULT_TEMPLATE.shown_name if template is None else as_template(template).shown_name,
            "tokens": tokens,
        }
        finding = _finding(shown, before, now, limit, {**known, "baseline": name})
        finding = replace(finding, guards=(*finding.guards, *rows_guards(skipped_rows(asked_for))))
        finding = slot.store(replace(finding, duration_s=time.perf_counter() - began), model)
    return raise_by_verdict(finding, flips_message)


def assert_backends_agree(
    model: AnyModel,
    other: AnyModel,
    questions: Questions,
    *,
    readout: Readout = "auto",
    template: str | Template | None = None,
) -> BackendDifference:
    """Assert that two ways of running the same weights, in this process and on a server, give the same answers.

    The first four orders of each question are asked of both, and a few prompts again for the noise of each. A difference
    counts where it is beyond that noise and 0.001 nat.

    Raises:
        AssertionError: the message names the largest difference and where it is.
        UsageError: where the two have no readout in common.
    """
    __tracebackhide__ = True
    run = current_run.get()
    with run.turn:
        found = backend_difference(model, other, questions, readout=readout, template=template)
        run.searched()
    if not found.agrees:
        raise AssertionError(
            f"{found.first} and {found.second} do not agree: {found}.\n"
            f"They differ most at question {found.where!r}. Other weights, tokens, chat template or arithmetic?"
        )
    return found
