"""What a check is going to ask, as plain data and back, so that its evidence can be rebuilt from a record.

A sheet is made before the first answer: questions in full, every presentation, and all that turns replies into
numbers. Together with the answers it is what `measure` had, and nothing else is needed to judge again.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from pytest_llminvariance.checks.properties import recorded
from pytest_llminvariance.checks.properties.base import Plan, Probe
from pytest_llminvariance.checks.sheet import Sheet, must_reach
from pytest_llminvariance.errors import RecordError
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
from pytest_llminvariance.records.lines import line_files, lines_of, read_line


def sheet_data(sheet: Sheet) -> dict[str, Any]:
    """Return a sheet as plain data; templates and layouts are listed once and named by their index."""
    books = _Books([], [])
    questions = [
        {
            "question": question_data(plan.question),
            "design": plan.design,
            "spec": plan.spec,
            "balanced": None if plan.balanced is None else list(plan.balanced),
            "must_differ": bool(plan.parts),
            "parts": list(plan.parts),
            "probes": [
                {
                    **books.shown(p.presentation, plan.question),
                    "readout": p.readout,
                    "draw": p.draw,
                    "place": list(p.place),
                }
                for p in plan.probes
            ],
            "foreign": [books.shown(shown, plan.question) for shown in foreign],
        }
        for plan, foreign in zip(sheet.plans, sheet.foreign or ((),) * len(sheet.plans), strict=True)
    ]
    return {
        "property": sheet.property.to_record(),
        "metric": sheet.metric,
        "tolerance": str(sheet.tolerance),
        "readout": sheet.readout,
        "model": sheet.model,
        "fingerprint": sheet.fingerprint,
        "delta_nats": sheet.delta_nats,
        "samples": sheet.samples,
        "seed": sheet.seed,
        "n_known": sheet.n_known,
        "needs_response": bool(sheet.foreign),
        "questions": questions,
        "templates": [_template_data(template) for template in books.templates],
        "layouts": [dataclasses.asdict(layout) for layout in books.layouts],
    }


def sheet_from(data: Mapping[str, Any]) -> Sheet:
    """Return the sheet that `sheet_data` wrote down.

    Raises:
        KeyError, TypeError, ValueError: where it is no such data.
    """
    books = _Books([_template_from(row) for row in data["templates"]], [Layout(**row) for row in data["layouts"]])
    made = recorded(data["property"])
    plans, foreign = [], []
    for row in data["questions"]:
        question = question_from(row["question"])
        probes = tuple(
            Probe(books.presentation(part, question), part["readout"], part.get("draw"), tuple(part.get("place", ())))
            for part in row["probes"]
        )
        balanced = None if row["balanced"] is None else tuple(row["balanced"])
        plan = Plan(question, probes, row["design"], row["spec"], balanced, tuple(row.get("parts", ())))
        # a record of before parts were told: its plan is one
        plans.append(must_reach(plan, made.title, None) if row["must_differ"] and not plan.parts else plan)
        foreign.append(tuple(books.presentation(part, question) for part in row["foreign"]))
    return Sheet(
        property=made,
        metric=data["metric"],
        tolerance=Fraction(data["tolerance"]),
        readout=data["readout"],
        model=data["model"],
        fingerprint=data["fingerprint"],
        plans=tuple(plans),
        foreign=tuple(foreign) if data["needs_response"] else (),
        delta_nats=data["delta_nats"],
        samples=data.get("samples", 1),
        seed=data.get("seed", 0),
        n_known=data.get("n_known", 0),
    )


@dataclass(slots=True)
class _Books:
    """Templates and layouts of a sheet, each once."""

    templates: list[Template]
    layouts: list[Layout]

    def shown(self, shown: Presentation, asked: Question) -> dict[str, Any]:
        return {
            "question": None if shown.question == asked else question_data(shown.question),
            "order": list(shown.order),
            "labels": list(shown.given_labels),
            "layout": _place(self.layouts, shown.layout),
            "template": _place(self.templates, shown.template),
            **({"shots": [question_data(shot) for shot in shown.shots]} if shown.shots else {}),
            **({"turns": [_turn_data(turn) for turn in shown.turns]} if shown.turns else {}),
        }

    def presentation(self, row: Mapping[str, Any], asked: Question) -> Presentation:
        return Presentation(
            asked if row["question"] is None else question_from(row["question"]),
            order=row["order"],
            labels=row["labels"],
            layout=self.layouts[row["layout"]],
            template=self.templates[row["template"]],
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


def _place(items: list[Any], item: object) -> int:
    if item not in items:
        items.append(item)
    return items.index(item)


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
    if "kind" not in data:
        return Question(**data)
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


def readable_contexts(directory: Path) -> dict[str, tuple[str, ...]]:
    """Return the contexts of the questions of each check, as far as they can be read: for reports, which decide nothing."""
    found: dict[str, tuple[str, ...]] = {}
    for line in lines_of(line_files(directory, "sheets")):
        with contextlib.suppress(RecordError, KeyError, TypeError, AttributeError):
            row = read_line(line)
            if row is not None:
                found[row["check"]] = tuple(str(part["question"]["context"] or "") for part in row["questions"])
    return found
