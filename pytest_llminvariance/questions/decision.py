"""Questions of decision models: a choice, a score or a yes/no about a state, with descriptions of what is chosen from."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from pytest_llminvariance.errors import QuestionError
from pytest_llminvariance.questions.question import Question

Kind = Literal["choice", "score", "yes_no"]
YES_NO = ("yes", "no")
FIXED = {
    "choice": "",
    "score": "are scores, whose levels stand from the lowest to the highest",
    "yes_no": "are yes/no questions, which have no order on the wire",
}
"""Why the options of a kind do not change places, after "they"."""


@dataclass(frozen=True, slots=True, init=False, repr=False)
class DecisionQuestion(Question):
    """A question as decision models take it: instructions (the stem), options, and a state (the context).

    `kind` is `choice` (options in any order), `score` (levels, the lowest first; their scores are 0, 1, 2, ... unless
    given) or `yes_no` (the options are `yes` and `no`). `options` may map each option to its description, `None` where
    it has none; `descriptions` gives them by content. `context` may be an object or a list, which is sent as such:
    `structured` says so where the context is given as JSON text. `beside` are other questions about the same state,
    sent in the same request, and `place` is where this one stands among them.

    Any other `Question` is asked as a choice without descriptions.

    Raises:
        QuestionError: as `Question`, and where kind, descriptions, state or company break their rule.
    """

    kind: Kind = field(kw_only=True)
    descriptions: tuple[str | None, ...] | None = field(kw_only=True)
    """By content; `None` where no option has one."""
    structured: bool = field(kw_only=True)
    """Whether the context is JSON, and sent as what it says."""
    beside: tuple[Question, ...] = field(kw_only=True)
    place: int = field(kw_only=True)

    def __init__(
        self,
        stem: str,
        options: Sequence[str] | Mapping[str, str | None] | None = None,
        *,
        kind: Kind = "choice",
        descriptions: Sequence[str | None] | None = None,
        context: str | Mapping[str, Any] | list[Any] | None = None,
        structured: bool = False,
        beside: Sequence[Question] = (),
        place: int = 0,
        scores: Sequence[float] | None = None,
        **known: Any,
    ) -> None:
        where = f"question {known.get('id') or stem!r:.60}"
        if kind not in get_args(Kind):
            raise QuestionError(f"{where}: kind is {kind!r}, but must be one of {', '.join(get_args(Kind))}")
        if isinstance(options, Mapping):
            if descriptions is not None:
                raise QuestionError(f"{where}: descriptions are given twice, in options and apart. Give them once")
            options, descriptions = _of_mapping(options, kind)
        if kind == "yes_no":
            options = _yes_no(options, where)
        if options is None:
            raise QuestionError(f"{where}: options is None, but a {kind} needs two or more. Only yes_no has its own")
        if not isinstance(context, str | None):
            context, structured = as_json(context, where), True
        if kind == "score" and scores is None:
            scores = list(range(len(options)))
        Question.__init__(self, stem, options, context=context, scores=scores, **known)
        set_field = object.__setattr__
        set_field(self, "kind", kind)
        set_field(self, "descriptions", _descriptions(descriptions, len(self.options), where))
        set_field(self, "structured", _structured(structured, self.context, where))
        set_field(self, "beside", _beside(self, beside))
        if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place <= len(self.beside):
            raise QuestionError(f"{where}: place is {place!r}, but must be from 0 to {len(self.beside)}")
        set_field(self, "place", place)

    @property
    def sent_besides(self) -> tuple[object, ...]:
        """What is sent besides stem, context, options; empty where it is asked as any other question."""
        parts = (self.kind, self.descriptions, self.structured, [one.content_hash for one in self.beside], self.place)
        return () if parts == ("choice", None, False, [], 0) else parts

    @property
    def option_texts(self) -> tuple[str, ...]:
        """The options as a prompt shows them: each with its description."""
        if self.descriptions is None:
            return self.options
        pairs = zip(self.options, self.descriptions, strict=True)
        return tuple(option if told is None else f"{option}: {told}" for option, told in pairs)

    @property
    def fixed_order(self) -> str:
        """Why the options do not change places, after "they"; empty where they may."""
        return FIXED[self.kind]

    @property
    def state(self) -> Any:
        """What the question is about, as it is sent; an empty text where there is nothing."""
        return json.loads(self.context or "") if self.structured else self.context or ""

    def under(self, donor: Question) -> Question:
        """Return these options under the stem and state of `donor`, alone."""
        plain = Question.under(self, donor)
        return dataclasses.replace(
            self, stem=plain.stem, context=plain.context, id=None, answer=None, attributes=plain.attributes,
            structured=plain.context is not None and getattr(donor, "structured", False), beside=(), place=0,
        )  # fmt: skip

    def as_data(self) -> dict[str, Any]:
        """Return what it has more than a `Question`, as plain data."""
        return {
            "kind": self.kind,
            "descriptions": None if self.descriptions is None else list(self.descriptions),
            "structured": self.structured,
            "place": self.place,
        }

    __hash__ = Question.__hash__  # else made again of every field

    def __repr__(self) -> str:
        more: dict[str, Any] = {
            "kind": self.kind, "descriptions": self.descriptions, "structured": self.structured,
            "beside": list(self.beside), "place": self.place,
        }  # fmt: skip
        usual: dict[str, Any] = {"kind": "choice", "descriptions": None, "structured": False, "beside": [], "place": 0}
        told = "".join(f", {name}={value!r}" for name, value in more.items() if value != usual[name])
        return f"Decision{Question.__repr__(self)[:-1]}{told})"


def decision_of(question: Question) -> DecisionQuestion:
    """Return a question as decision models take it; any other than theirs is a choice without descriptions."""
    if isinstance(question, DecisionQuestion):
        return question
    return DecisionQuestion(
        question.stem, question.options, id=question.id, context=question.context, scores=question.scores,
        reverse_keyed=question.reverse_keyed, answer=question.answer, attributes=question.attributes,
    )  # fmt: skip


def as_json(value: object, where: str) -> str:
    """Return an object or a list as JSON text; not sorted, for the order of its fields is sent too.

    Raises:
        QuestionError: where JSON cannot hold it.
    """
    if not isinstance(value, Mapping | list):
        raise QuestionError(f"{where}: context is {value!r:.80}, but must be text, an object or a list")
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise QuestionError(f"{where}: context cannot be sent as JSON: {error}") from error


def _of_mapping(options: Mapping[str, str | None], kind: str) -> tuple[list[str], list[str | None]]:
    names: list[Any] = list(options)
    if kind == "yes_no" and set(names) == set(YES_NO):
        names = list(YES_NO)
    return names, [options[name] for name in names]


def _yes_no(options: Sequence[str] | None, where: str) -> tuple[str, ...]:
    if options is not None and tuple(options) != YES_NO:
        raise QuestionError(
            f"{where}: options is {options!r}, but a yes_no has 'yes' and 'no'. Leave them out, map both to "
            "descriptions, or use kind='choice'"
        )
    return YES_NO


def _descriptions(given: object, n: int, where: str) -> tuple[str | None, ...] | None:
    if given is None:
        return None
    if isinstance(given, str) or not isinstance(given, Sequence) or len(given) != n:
        raise QuestionError(f"{where}: descriptions is {given!r}, but must be a list with one for each of {n} options")
    for told in given:
        if told is not None and (not isinstance(told, str) or not told.strip()):
            raise QuestionError(f"{where}: the description {told!r} must be text, or None where there is none")
    return tuple(given) if any(told is not None for told in given) else None


def _structured(structured: object, context: str | None, where: str) -> bool:
    if not isinstance(structured, bool):
        raise QuestionError(f"{where}: structured is {structured!r}, but must be True or False")
    if structured:
        try:
            value = json.loads(context or "")
        except ValueError as error:
            raise QuestionError(f"{where}: structured=True, but context {context!r:.80} is no JSON: {error}") from error
        as_json(value, where)
    return structured


def _beside(asked: DecisionQuestion, beside: object) -> tuple[Question, ...]:
    where = f"question {asked.name!r}"
    if not isinstance(beside, Sequence) or not all(isinstance(one, Question) for one in beside):
        raise QuestionError(f"{where}: beside is {beside!r:.80}, but must be a list of questions")
    for one in beside:
        other = decision_of(one)
        if other.beside:
            raise QuestionError(
                f"{where}: {other.name!r} is asked beside it and has company of its own. Leave that out"
            )
        if (other.context, other.structured) != (asked.context, asked.structured):
            raise QuestionError(f"{where}: {other.name!r} is about another state, but a request has one. Leave it out")
    return tuple(beside)
