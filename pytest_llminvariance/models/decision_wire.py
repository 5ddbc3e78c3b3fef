"""What is sent to decision models and what comes back, in both shapes: System One, and OpenAI's decisions.

Options go out in the order of the presentation, and probabilities are taken by the name that they come back under,
never from the option said to be chosen or from a confidence: an exact tie goes to whichever stands first.
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pytest_llminvariance.errors import CapabilityError, ModelError
from pytest_llminvariance.questions.decision import YES_NO, DecisionQuestion, decision_of
from pytest_llminvariance.questions.presentation import Presentation

SUM_SLACK = 0.01
"""How far probabilities that a server has rounded may sum to something else than 1, at least."""
ROUNDING = 0.005
"""How far each of them may be off: two digits after the point."""
Shape = Literal["systemone", "decisions"]


@dataclass(frozen=True, slots=True)
class Said:
    """What was answered to one question of a request, by position shown."""

    probabilities: tuple[float, ...] | None
    """`None` for a refusal."""


@dataclass(frozen=True, slots=True)
class _Part:
    """One question of a request, with its options as they are sent."""

    name: str
    asked: DecisionQuestion
    order: tuple[int, ...]

    @property
    def options(self) -> tuple[str, ...]:
        return tuple(self.asked.options[content] for content in self.order)

    @property
    def told(self) -> tuple[str | None, ...]:
        known = self.asked.descriptions or (None,) * len(self.order)
        return tuple(known[content] for content in self.order)

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(self.asked.option_texts[content] for content in self.order)


def parts_of(shown: Presentation) -> tuple[_Part, ...]:
    """Return the questions of the request that a presentation makes, in the order of sending."""
    asked, names = decision_of(shown.question), dict[str, int]()
    others = [(one, tuple(range(len(one.options)))) for one in map(decision_of, asked.beside)]
    rows = [*others[: asked.place], (asked, shown.order), *others[asked.place :]]
    made = []
    for one, order in rows:
        name = "question" if one.id is None else one.id.partition("~")[0]  # an edit is called what it was made from
        names[name] = names.get(name, 0) + 1
        made.append(_Part(name if names[name] == 1 else f"{name} {names[name]}", one, order))
    return tuple(made)


def own_part(shown: Presentation) -> _Part:
    """Return the part of the question that is read."""
    return parts_of(shown)[decision_of(shown.question).place]


def request_body(shown: Presentation, shape: Shape = "systemone") -> dict[str, Any]:
    """Return the request of a presentation, without the model. Fields stand sorted, so that a sorting proxy shows.

    Raises:
        CapabilityError: where the shape has no place for a part of the question.
    """
    parts, state = parts_of(shown), decision_of(shown.question).state
    if shape == "systemone":
        return {"questions": {part.name: _systemone(part) for part in parts}, "state": state}
    sent = state
    if not isinstance(state, str):
        sent = [{"content": [{"data": state, "type": "input_json"}], "role": "user"}]
    return {"input": sent, "questions": [_decisions(part) for part in parts]}


def canonical(body: Mapping[str, Any]) -> str:
    """Return a request as text, by which equal ones are known."""
    return json.dumps(body, ensure_ascii=False)


def _systemone(part: _Part) -> dict[str, Any]:
    criteria: Any = dict(zip(part.options, part.told, strict=True))
    kind = part.asked.kind
    if kind == "score":
        criteria = list(part.texts)
    elif kind == "yes_no":
        told = part.asked.descriptions
        criteria = None if told is None else {"false": told[1], "true": told[0]}
    made = {"criteria": criteria, "instructions": part.asked.stem, "type": "noul" if kind == "yes_no" else kind}
    return {name: value for name, value in made.items() if value is not None}


def _decisions(part: _Part) -> dict[str, Any]:
    kind = part.asked.kind
    if kind == "yes_no":
        if part.asked.descriptions is not None:
            raise CapabilityError(
                f"question {part.asked.name!r} describes the outcomes of a yes/no, for which /v1/decisions has no place. "
                "Write them into the instructions, or ask it as a choice"
            )
        return {"instructions": part.asked.stem, "name": part.name, "type": "predicate"}
    named = {"choice": ("choices", "value"), "score": ("levels", "label")}[kind]
    options = [
        {named[1]: option, **({} if told is None else {"description": told})}
        for option, told in zip(part.options, part.told, strict=True)
    ]
    return {named[0]: options, "instructions": part.asked.stem, "name": part.name, "type": kind}


def read_answers(answers: object, shown: Presentation, model: str, shape: Shape = "systemone") -> Said:
    """Return what the `answers` of a response say of the question that is read.

    Raises:
        ModelError: naming model, question, value and rule: an answer that is missing or of another kind, options that
            are missing or were not asked, and probabilities that are none or do not sum to 1. NaN is passed on.
    """
    parts, own = parts_of(shown), own_part(shown)
    where = f"{model} gave for question {shown.question.name!r}"
    if shape == "systemone":
        answer = answers.get(own.name) if isinstance(answers, Mapping) else None
    else:
        if not isinstance(answers, Sequence) or isinstance(answers, str) or len(answers) != len(parts):
            raise ModelError(
                f"{where} the answers {answers!r:.120}, but must give one for each of {len(parts)} questions"
            )
        answer = answers[decision_of(shown.question).place]
    if not isinstance(answer, Mapping):
        raise ModelError(f"{where} no answer under the name {own.name!r}: {answers!r:.120}")
    if shape == "decisions" and answer.get("name") not in (own.name, None):
        raise ModelError(
            f"{where} the answer to {answer.get('name')!r:.80}: answers must come in the order of the questions"
        )
    if answer.get("type") == "refusal":
        return Said(None)
    wanted = {"choice": "choice", "score": "score", "yes_no": "noul" if shape == "systemone" else "predicate"}
    kind = wanted[own.asked.kind]
    if answer.get("type") != kind:
        raise ModelError(f"{where} an answer of the type {answer.get('type')!r}, but a {kind} was asked")
    read: Callable[[_Part, Mapping[str, Any], str], list[Any]] = _yes_no if own.asked.kind == "yes_no" else _listed
    return Said(_checked(read(own, answer, where), where))


def _yes_no(part: _Part, answer: Mapping[str, Any], where: str) -> list[Any]:
    name = next((name for name in ("noul", "probability") if name in answer), None)
    if name is None:
        raise ModelError(f"{where} no probability, but must give a number from 0 to 1: {answer!r:.120}")
    yes = math.nan if answer[name] is None else answer[name]
    if isinstance(yes, bool) or not isinstance(yes, int | float):
        raise ModelError(f"{where} the probability {yes!r:.80}, but must give a number from 0 to 1")
    return [yes if option == YES_NO[0] else 1 - yes for option in part.options]


def _listed(part: _Part, answer: Mapping[str, Any], where: str) -> list[Any]:
    given = list(_pairs(answer.get("probabilities"), where))
    levels = part.asked.kind == "score"
    wanted = list(map(str, range(len(part.options)))) if levels else list(part.options)
    known = dict(given)
    for name, _ in given:
        if name not in wanted:
            like = next((one for one in wanted if _alike(one) == _alike(name)), None)
            why = "" if like is None else f". It is {like!a} otherwise written ({name!a}): names must come back as sent"
            raise ModelError(f"{where} a probability for {name!r:.80}, which was not asked: {wanted!r:.200}{why}")
    for name in wanted:
        if name not in known:
            raise ModelError(f"{where} no probability for {name!r:.80}, but must give one for each option")
    if len(given) > len(known):
        raise ModelError(f"{where} two probabilities for one option: {given!r:.200}")
    return [known[name] for name in wanted]


def _alike(name: object) -> str:
    """Return a name without what servers change in names: blanks around it, case, and the form of its letters."""
    return unicodedata.normalize("NFKC", str(name)).strip().casefold()


def _pairs(given: object, where: str) -> Iterator[tuple[object, Any]]:
    """Yield (name of the option, probability) from a mapping, or from a list of objects."""
    if isinstance(given, Mapping):
        yield from given.items()
    elif isinstance(given, Sequence) and all(isinstance(row, Mapping) for row in given) and given:
        for row in given:
            level = isinstance(row.get("value"), int) and not isinstance(row.get("value"), bool)
            yield (str(row["value"]) if level else row.get("value")), row.get("probability")
    else:
        raise ModelError(f"{where} the probabilities {given!r:.120}, but must give one for each option by its name")


def _checked(values: Sequence[Any], where: str) -> tuple[float, ...]:
    numbers = [math.nan if value is None else value for value in values]
    for value in numbers:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ModelError(f"{where} the probability {value!r:.80}, but must give a number from 0 to 1")
        if value < -SUM_SLACK or value > 1 + SUM_SLACK:
            raise ModelError(f"{where} the probability {value:.6g}, but a probability is from 0 to 1")
    total = math.fsum(numbers)
    if not math.isnan(total) and abs(total - 1) > max(SUM_SLACK, ROUNDING * len(numbers)) + 1e-9:
        raise ModelError(
            f"{where} probabilities that sum to {total:.6g}, but they must sum to 1. Are options left out?"
        )
    scale = total if total > 1 else 1.0
    return tuple(min(1.0, max(0.0, float(value)) / scale) if value == value else math.nan for value in numbers)


def was_sorted(answers: object, shown: Presentation) -> bool:
    """Return whether a System One answer lists names in alphabetical order that were sent in another order."""
    if not isinstance(answers, Mapping):
        return False
    own = own_part(shown)
    answer = answers.get(own.name)
    listed = answer.get("probabilities") if isinstance(answer, Mapping) else None
    choices = list(listed) if isinstance(listed, Mapping) and own.asked.kind == "choice" else []
    return any(
        came != sent and came == sorted(came) and set(came) == set(sent)
        for came, sent in ((choices, list(own.options)), (list(answers), [part.name for part in parts_of(shown)]))
    )
