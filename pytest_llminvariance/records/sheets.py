"""What a check is going to ask, as plain data and back, so that its evidence can be rebuilt from a record.

A sheet is made before the first answer: questions in full, every presentation, and all that turns replies into
numbers. Together with the answers it is what `measure` had, and nothing else is needed to judge again. Most questions of a
suite are shown in the same ways, so ways are written once, and a question takes a line with its own text.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from pytest_llminvariance.checks.properties import recorded
from pytest_llminvariance.checks.properties.base import Plan
from pytest_llminvariance.checks.sheet import Sheet, must_reach
from pytest_llminvariance.models.probes import Probe, Showings, Ways
from pytest_llminvariance.models.protocol import (
    LabelReply,
    MissingReply,
    OptionReply,
    Reply,
    TextReply,
)
from pytest_llminvariance.questions.conversation import Ask, Message, Said, Turn
from pytest_llminvariance.questions.decision import DecisionQuestion
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.questions.template import Layout, Template
from pytest_llminvariance.records.redaction import redacted

Data = dict[str, Any]


class SheetWriter:
    """Gives the lines of one check's sheet as it grows: what the check is, each way of showing once, a line for each plan."""

    def __init__(self) -> None:
        self._head: Data | None = None
        self._ways: dict[Hashable, int] = {}
        self._n_plans = 0

    def lines(self, sheet: Sheet) -> Iterator[Data]:
        """Yield what was not written yet; another head begins the sheet again."""
        head = _head_data(sheet)
        if head != self._head:
            self._head, self._ways, self._n_plans = head, {}, 0
            yield head
        for number in range(self._n_plans, len(sheet.plans)):
            yield from self._plan(sheet.plans[number], sheet.foreign[number] if sheet.foreign else ())
        self._n_plans = len(sheet.plans)

    def _plan(self, plan: Plan, foreign: Sequence[Presentation]) -> Iterator[Data]:
        asked = _whole(plan.question)
        key = _way_key(plan)
        place = None if key is None else self._ways.get(key)
        way = {} if place is not None else _way_data(plan, asked)
        if key is not None and place is None:
            place = self._ways[key] = len(self._ways)
            yield way
            way = {}
        first = _showing_data(plan.probes[0].presentation, asked) if foreign else {}
        shown = [_changes(_showing_data(one, asked), first) for one in foreign]
        yield {"question": _changes(asked, PLAIN), "way": place, "foreign": shown, **way}


def _head_data(sheet: Sheet) -> Data:
    return {
        "property": sheet.property.to_record(),
        "metric": sheet.metric,
        "tolerance": str(sheet.tolerance),
        "readout": sheet.readout,
        "model": redacted(sheet.model),
        "fingerprint": redacted(sheet.fingerprint),
        "delta_nats": sheet.delta_nats,
        "samples": sheet.samples,
        "seed": sheet.seed,
        "n_known": sheet.n_known,
        "needs_response": bool(sheet.foreign),
    }


def _way_key(plan: Plan) -> Hashable:
    """Return what is equal for plans that show their question in the same ways; `None` where other questions are shown."""
    if any(probe.presentation.question != plan.question for probe in plan.probes):
        return None
    probes = tuple((p.presentation.way, p.readout, p.draw, p.place) for p in plan.probes)
    return plan.design, plan.spec, plan.balanced, plan.parts, probes


def _way_data(plan: Plan, asked: Data) -> Data:
    first, *others = (
        {**_showing_data(p.presentation, asked), "readout": p.readout, "draw": p.draw, "place": list(p.place)}
        for p in plan.probes
    )
    return {
        "design": plan.design,
        "spec": plan.spec,
        "balanced": None if plan.balanced is None else list(plan.balanced),
        "parts": list(plan.parts),
        "probes": [first, *(_changes(other, first) for other in others)],
    }


def _changes(data: Data, base: Data) -> Data:
    """Return the entries that differ from those of `base`."""
    return {name: value for name, value in data.items() if name not in base or base[name] != value}


def _showing_data(shown: Presentation, asked: Data) -> Data:
    """Return how a question is shown as plain data; of its own question what differs from the one that is asked."""
    return {
        "question": _changes(_whole(shown.question), asked),
        "order": list(shown.order),
        "labels": list(shown.given_labels),
        "layout": dataclasses.asdict(shown.layout),
        "template": _template_data(shown.template),
        "shots": [question_data(shot) for shot in shown.shots],
        "turns": [_turn_data(turn) for turn in shown.turns],
    }


def sheet_from(rows: Iterable[Data]) -> Sheet | None:
    """Return the sheet that the lines of a check say, or `None` where they say none.

    Its plans show their question when they are asked for it, so that a large one takes little memory.

    Raises:
        KeyError, TypeError, ValueError: where they are no such lines.
    """
    head: Sheet | None = None
    needs_response = False
    ways: list[_Way] = []
    plans: list[Plan] = []
    foreign: list[tuple[Presentation, ...]] = []
    for row in rows:
        if "property" in row:
            head, needs_response, ways, plans, foreign = _head_from(row), row["needs_response"], [], [], []
            # a record of before lines were small holds all plans in one
            for plan, shown in _plans_of_before(row, head):
                plans.append(plan)
                foreign.append(shown)
        elif "question" not in row:
            ways.append(_Way.of(row))
        else:
            way = _Way.of(row) if row["way"] is None else ways[row["way"]]
            plan, shown = way.plan(row)
            plans.append(plan)
            foreign.append(shown)
    return head and dataclasses.replace(head, plans=tuple(plans), foreign=tuple(foreign) if needs_response else ())


def _head_from(row: Data) -> Sheet:
    return Sheet(
        property=recorded(row["property"]),
        metric=row["metric"],
        tolerance=Fraction(row["tolerance"]),
        readout=row["readout"],
        model=row["model"],
        fingerprint=row["fingerprint"],
        delta_nats=row["delta_nats"],
        samples=row.get("samples", 1),
        seed=row.get("seed", 0),
        n_known=row.get("n_known", 0),
    )


def _plans_of_before(data: Data, head: Sheet) -> Iterator[tuple[Plan, tuple[Presentation, ...]]]:
    def told(row: Data) -> Data:
        named = {"layout": data["layouts"][row["layout"]], "template": data["templates"][row["template"]]}
        question = {**PLAIN, **row["question"]} if row["question"] else {}
        return {"shots": [], "turns": [], **row, "question": question, **named}

    for row in data.get("questions", ()):
        way = _Way.of({**row, "probes": [told(part) for part in row["probes"]]})
        plan, foreign = way.plan({**row, "foreign": [told(part) for part in row["foreign"]]})
        # a record of before parts were told: its plan is one
        yield must_reach(plan, head.property.title, None) if row["must_differ"] and not plan.parts else plan, foreign


@dataclass(slots=True)
class _Way:
    """How a plan shows its question, without the question; of several plans mostly the same."""

    facts: Data
    """What else there is in a plan."""
    rows: list[Data]
    _shown: Ways | None = None
    """The same of some question."""

    @classmethod
    def of(cls, row: Data) -> _Way:
        facts = {
            "design": row["design"],
            "spec": row["spec"],
            "balanced": None if row["balanced"] is None else tuple(row["balanced"]),
            "parts": tuple(row.get("parts", ())),
        }
        first = row["probes"][0]
        return cls(facts, [{**first, **part} for part in row["probes"]])

    def plan(self, row: Data) -> tuple[Plan, tuple[Presentation, ...]]:
        """Return the plan of a question, and its presentations under foreign stems."""
        told = {**PLAIN, **row["question"]}
        question = question_from(told)
        foreign = tuple(_presentation({**self.rows[0], **part}, question, told) for part in row["foreign"])
        return Plan(question, self._probes(question, told), **self.facts), foreign

    def _probes(self, question: Question, told: Data) -> Sequence[Probe]:
        if self._shown is not None and self._shown.fit(question):
            return Showings(question, self._shown)
        made = tuple(
            Probe(_presentation(part, question, told), part["readout"], part.get("draw"), tuple(part.get("place", ())))
            for part in self.rows
        )
        if any(part["question"] for part in self.rows):
            return made
        self._shown = Ways(made)
        return Showings(question, self._shown)


def _presentation(row: Data, asked: Question, told: Data) -> Presentation:
    return Presentation(
        question_from({**told, **row["question"]}) if row["question"] else asked,
        order=row["order"],
        labels=row["labels"],
        layout=Layout(**row["layout"]),
        template=_template_from(row["template"]),
        shots=[question_from(shot) for shot in row.get("shots", ())],
        turns=[_turn_from(turn) for turn in row.get("turns", ())],
    )


def _turn_data(turn: Turn) -> dict[str, Any]:
    return {"kind": type(turn).__name__, **dataclasses.asdict(turn)}


def _turn_from(row: Mapping[str, Any]) -> Turn:
    kinds: dict[str, type[Any]] = {"Message": Message, "Said": Said, "Ask": Ask}
    fields = {name: value for name, value in row.items() if name != "kind"}
    turn: Turn = kinds[row["kind"]](**fields)
    return turn


OF_DECISIONS: Data = {"kind": None, "descriptions": None, "structured": False, "beside": [], "place": 0}
PLAIN: Data = {
    "id": None, "context": None, "scores": None, "reverse_keyed": False, "answer": None, "attributes": {}, **OF_DECISIONS,
}  # fmt: skip
"""What a question has where nothing is said."""


def _whole(question: Question) -> Data:
    """Return a question with all that a question of any kind has, so that each can be told by what differs."""
    return {**PLAIN, **question_data(question)}


def question_data(question: Question) -> dict[str, Any]:
    """Return a question as plain data, as `question_from` takes it."""
    more = question.as_data() if isinstance(question, DecisionQuestion) else {}
    beside = getattr(question, "beside", ())
    return {
        "stem": question.stem,
        "options": list(question.options),
        "id": question.id,
        "context": question.context,
        "scores": None if question.scores is None else list(question.scores),
        "reverse_keyed": question.reverse_keyed,
        "answer": question.answer,
        "attributes": {name: _simple(value) for name, value in question.attributes.items()},
        **more,
        **({"beside": [question_data(one) for one in beside]} if beside else {}),
    }


def question_from(data: Mapping[str, Any]) -> Question:
    """Return the question that `question_data` wrote down.

    Raises:
        QuestionError, TypeError: where it is no such data.
    """
    if data.get("kind") is None:
        return Question(**{name: value for name, value in data.items() if name not in OF_DECISIONS})
    return DecisionQuestion(**{**data, "beside": [question_from(one) for one in data.get("beside", ())]})


def _simple(value: object) -> object:
    """Return an attribute as JSON has it; what JSON cannot hold as its text."""
    if isinstance(value, str | bool | int | None):
        return value
    if isinstance(value, float):
        return plain_number(value)
    if isinstance(value, list | tuple):
        return [_simple(part) for part in value]
    if isinstance(value, Mapping):
        return {str(name): _simple(part) for name, part in value.items()}
    return str(value)


def _template_data(template: Template) -> dict[str, Any]:
    return {
        "text": template.text,
        "name": template.name,
        "system": template.system,
        "labels": None if template.labels is None else list(template.labels),
        "layout": None if template.layout is None else dataclasses.asdict(template.layout),
        **({} if template.options is None else {"options": list(template.options)}),
        **({"reverse": True} if template.reverse else {}),
        **({"open": True} if template.open else {}),
    }


def _template_from(row: Mapping[str, Any]) -> Template:
    layout = None if row["layout"] is None else Layout(**row["layout"])
    labels = None if row["labels"] is None else tuple(row["labels"])
    options = tuple(row["options"]) if "options" in row else None
    return Template(
        row["text"], name=row["name"], system=row["system"], labels=labels, layout=layout, options=options,
        reverse=row.get("reverse", False), open=row.get("open", False),
    )  # fmt: skip


def plain_number(value: float) -> float | str:
    """Return a number as JSON has it: `-inf`, `inf` and `nan` as texts."""
    return value if math.isfinite(value) else str(value)


def reply_data(reply: Reply) -> dict[str, Any]:
    """Return a reply as plain data; numbers that JSON lacks are the texts `-inf`, `inf` and `nan`."""
    if isinstance(reply, MissingReply):
        return {"kind": "missing", "reason": reply.reason}
    if isinstance(reply, TextReply):
        return {"kind": "text", "text": reply.text, **({"ran_out": True} if reply.ran_out else {})}
    values = [plain_number(value) for value in reply.logprobs_nats]
    if isinstance(reply, LabelReply):
        return {"kind": "label", "logprobs_nats": values, **({"unlisted": reply.unlisted} if reply.unlisted else {})}
    return {"kind": "option", "logprobs_nats": values, "option_tokens": list(reply.option_tokens)}


def reply_from(data: Mapping[str, Any], sent_sha256: str | None, tokens: int) -> Reply:
    """Return the reply that `reply_data` wrote down.

    Raises:
        KeyError, TypeError, ValueError: where it is no such data.
    """
    kind = data["kind"]
    if kind == "missing":
        return MissingReply(data["reason"], sent_sha256 or "", tokens)
    sent = sent_sha256 or ""
    if kind == "text":
        return TextReply(data["text"], sent, tokens, bool(data.get("ran_out", False)))
    values = _floats(data["logprobs_nats"])
    if kind == "label":
        return LabelReply(values, sent, tokens, float(data.get("unlisted", 0.0)))
    if kind != "option":
        raise ValueError(f"a reply of the kind {kind!r} is not known")
    return OptionReply(values, tuple(data["option_tokens"]), sent, tokens)


def _floats(values: Sequence[float | str]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
