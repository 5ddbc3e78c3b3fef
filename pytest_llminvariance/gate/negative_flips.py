"""Right before, wrong now: an assertion that a new model keeps what its baseline knew.

The metric of a question, asked as written, is 1 where the baseline's answer was right and the new one is wrong;
its mean must not exceed the margin. A model that is better on average can still fail: it takes away what users
relied on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from pytest_llminvariance.checks.examples import make_example
from pytest_llminvariance.checks.guards import mass_guard
from pytest_llminvariance.checks.noise import delta_nats
from pytest_llminvariance.checks.run import current_run
from pytest_llminvariance.checks.subject import model_of
from pytest_llminvariance.checks.verdict import Decision, Example, Finding, Guard, QuestionEffect, decide
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.measures.flips import Flips, Pair, count_flips
from pytest_llminvariance.measures.metrics import mean_interval
from pytest_llminvariance.measures.reading import read_reply
from pytest_llminvariance.models.engine import ask
from pytest_llminvariance.models.probes import Probe
from pytest_llminvariance.models.protocol import AnyModel, Model, request_for, resolve_readout, sent_digest
from pytest_llminvariance.models.versions import package_versions
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question, Questions, as_questions
from pytest_llminvariance.records.answers import RecordedAnswer, layout_text, read_answers

TITLE = "negative flips"


@dataclass(frozen=True, slots=True)
class _Read:
    """An answer, and which contents may have been meant."""

    answer: AnswerDistribution
    outcomes: frozenset[int]


def _questions(questions: Questions) -> tuple[Question, ...]:
    asked_for = as_questions(questions)
    unknown = [question.name for question in asked_for if question.answer is None]
    if unknown:
        raise UsageError(
            f"{len(unknown)} of {len(asked_for)} questions have no correct answer (first {unknown[0]!r}), so nothing can be "
            "right or wrong. Give Question(..., answer=...), or leave them out"
        )
    return asked_for


def _ask(model: Model, shown: Sequence[Presentation], readout: str) -> tuple[list[_Read], int]:
    memo = current_run.get().memo
    asked = ask(model, [request_for(one, readout) for one in shown], {} if memo is None else memo)
    delta = delta_nats(model, readout)
    answers = [read_reply(reply, one, readout) for reply, one in zip(asked.replies, shown, strict=True)]
    return [_Read(answer, answer.outcomes(delta)) for answer in answers], asked.tokens


def _given_baseline(baseline: AnyModel | str | Path | None) -> Model | Path:
    """Return what to compare with: a model, or where answers are recorded."""
    given = current_run.get().baseline if baseline is None else baseline
    if given is None:
        raise UsageError(
            "there is no baseline to compare with: give baseline= (a model, or the run directory of one), or "
            "--invariance-baseline=DIR"
        )
    return Path(given) if isinstance(given, str | Path) else model_of(given)


def _baseline(
    given: Model | Path, fingerprint: str, shown: Sequence[Presentation], readout: str
) -> tuple[str, list[_Read]]:
    """Return the name of the baseline, and its answers to the presentations; refuses the model itself."""
    if isinstance(given, Path):
        return str(given), _recorded(
            read_answers(given.parent if given.name == "findings.json" else given), shown, readout, given
        )
    model = given
    if model.fingerprint == fingerprint:
        raise UsageError(
            f"baseline and model have the same fingerprint ({fingerprint[:16]!r}), so nothing can differ. Give the model "
            "that is to be replaced, or the run directory of it"
        )
    return model.name, _ask(model, shown, resolve_readout(readout, model))[0]


def _recorded(
    answers: Sequence[RecordedAnswer], shown: Sequence[Presentation], readout: str, place: Path
) -> list[_Read]:
    """Return what the record says of each presentation; refuses where it has none, naming the field that differs."""
    by_question: dict[str, list[RecordedAnswer]] = {}
    for answer in answers:
        by_question.setdefault(answer.question, []).append(answer)
    _refuse_other_questions(by_question, shown, place)
    found = []
    for one in shown:
        rows, wanted = by_question[one.question.content_hash], _fields(one, readout)
        same = [row for row in rows if not _differing(row, wanted)]
        if not same:
            raise UsageError(f"{place}: {one.question.name!r} was not asked like this: {_difference(rows, wanted)}")
        if len({row.fingerprint for row in same}) > 1:
            raise UsageError(f"{place} holds answers of several models, so it is no baseline. Name the model itself")
        if same[0].correct is not None and same[0].correct != one.question.answer:
            raise UsageError(
                f"{place}: the correct answer of {one.question.name!r} was another one. Record the baseline again"
            )
        found.append(_Read(same[0].distribution(), frozenset(same[0].outcomes)))
    return found


def _refuse_other_questions(
    known: Mapping[str, Sequence[RecordedAnswer]], shown: Sequence[Presentation], place: Path
) -> None:
    missing = [one.question.name for one in shown if one.question.content_hash not in known]
    if missing:
        names = ", ".join(map(repr, missing[:5])) + (", …" if len(missing) > 5 else "")
        raise UsageError(
            f"{place}: questions: {len(missing)} of {len(shown)} were not asked then, or have changed since ({names}). "
            "Record the baseline on these questions"
        )


def _fields(shown: Presentation, readout: str) -> dict[str, object]:
    return {
        "readout": readout,
        "template": shown.template.shown_name,
        "shown_sha256": sent_digest(shown.render()),
        "order": shown.order,
        "labels": shown.labels,
        "layout": layout_text(asdict(shown.layout)),
    }


def _differing(row: RecordedAnswer, wanted: Mapping[str, object]) -> list[str]:
    """Return the fields that differ; a layout that is not told may be any, as the text that was shown holds it."""
    found = [name for name, value in wanted.items() if getattr(row, name) != value]
    return [name for name in found if name != "layout" or row.layout]


def _difference(rows: Sequence[RecordedAnswer], wanted: Mapping[str, object]) -> str:
    """Say in which field the nearest recorded presentation differs, and what it was there."""
    nearest = min(rows, key=lambda row: len(_differing(row, wanted)))
    name = _differing(nearest, wanted)[0]
    if name != "shown_sha256":
        return f"{name} was {getattr(nearest, name)!r:.80}, and is {wanted[name]!r:.80}"
    if nearest.shown_sha256 is None:
        return "the record does not say what text was shown. Record the baseline again"
    return (
        f"its text was another one under the same template name {wanted['template']!r}: the template's words, its system "
        "message, examples before or turns after it differ. Record the baseline again"
    )


def _finding(
    shown: Sequence[Presentation], before: Sequence[_Read], now: Sequence[_Read], limit: Fraction, known: dict[str, Any]
) -> Finding:
    """Count, guard and decide."""
    flips_from = known.pop("baseline")
    pairs = _pairs(shown, before, now)
    flips, effect = count_flips(pairs), mean_interval([pair.value for pair in pairs])
    guards = (_reach(flips, limit), mass_guard([one.answer for one in now]))
    causes = Counter(_causes(before, now, pairs))
    verdict, reasons = decide(effect, limit, guards, causes, len(pairs))
    return Finding(
        property="negative_flips",
        title=TITLE,
        metric="negative_flips",
        effect=effect,
        tolerance=limit,
        verdict=verdict,
        reasons=reasons,
        count=f"{len(flips.negative):,} of {len(pairs):,} questions",
        questions_asked=len(pairs),
        questions_planned=len(pairs),
        presentations_asked=len(pairs),
        presentations_planned=len(pairs),
        design="as written",
        plan="negative_flips:as written",
        example=_example(shown, before, now, pairs),
        per_question=tuple(map(_question_effect, pairs)),
        guards=guards,
        details={
            **flips.to_json(),
            "baseline": flips_from,
            "question_hashes": tuple(one.question.content_hash for one in shown),
        },
        **known,
        seed=current_run.get().seed,
        versions=package_versions(),
        decision=Decision(
            method="exhaustive", alpha=0.0, n=len(pairs), n_planned=len(pairs), note="every question was asked"
        ),
    )


def _correct(shown: Presentation) -> int:
    answer = shown.question.answer
    if answer is None:
        raise UsageError(f"question {shown.question.name!r} has no correct answer")
    return answer


def _reach(flips: Flips, limit: Fraction) -> Guard:
    """Require that the baseline was right often enough for the margin to be exceeded at all."""
    share = Fraction(flips.right_before, flips.n)
    says = f"the baseline is right on {flips.right_before:,} of {flips.n:,} questions"
    passed = share > limit
    bad = f"{says}: it has too little to lose for the margin {float(limit):g} to be exceeded"
    return Guard(name="something to lose", passed=passed, text=says if passed else bad)


def _pairs(shown: Sequence[Presentation], before: Sequence[_Read], now: Sequence[_Read]) -> list[Pair]:
    return [
        Pair(one.question.name, was.outcomes, is_.outcomes, _correct(one))
        for one, was, is_ in zip(shown, before, now, strict=True)
    ]


def _question_effect(pair: Pair) -> QuestionEffect:
    low, high = float(pair.value.low), float(pair.value.high)
    return QuestionEffect(question=pair.name, low=low, high=high, presentations=2)


def _causes(before: Sequence[_Read], now: Sequence[_Read], pairs: Sequence[Pair]) -> Iterator[str]:
    """Yield why a question is open, one entry each."""
    for was, is_, pair in zip(before, now, pairs, strict=True):
        if not pair.value.is_exact:
            one = was if len(was.outcomes) > 1 else is_
            yield "tie" if one.answer.is_known else one.answer.status


def _example(
    shown: Sequence[Presentation], before: Sequence[_Read], now: Sequence[_Read], pairs: Sequence[Pair]
) -> Example | None:
    """Return the first negative flip: the same presentation, and both models' answers."""
    for one, was, is_, pair in zip(shown, before, now, pairs, strict=True):
        if pair.value.low:
            return make_example(Probe(one), was.answer, Probe(one), is_.answer)
    return None
