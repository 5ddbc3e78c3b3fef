"""Rows of recorded answers: what a line may say, and which presentation it answers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.models.protocol import Capability, Request, TextRequest
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import STEM_OF, Question, is_under_another
from pytest_llminvariance.questions.template import DEFAULT_TEMPLATE, Layout

VALUES: Mapping[str, Capability] = {
    "probabilities": "label",
    "logprobs_nats": "label",
    "option_logprobs_nats": "option",
    "decision_logprobs_nats": "decision",
    "text": "text",
    "choice": "text",
    "unparsed": "text",
    "refused": "text",
}
KEYS = ("question", "under", "order", "labels", "template", "system", "layout", "draw", "around")
FROM_ONE = ("logprobs_nats", "decision_logprobs_nats")
"""Those that are logarithms of parts of one whole."""
EXTRAS = ("option_tokens", "sent_sha256", "ran_out", "unlisted")
SLACK = 1e-6
MAX_WHOLE = 10**9


@dataclass(frozen=True, slots=True)
class ReplayRow:
    """One recorded answer."""

    line: int
    key: Mapping[str, Any]
    kind: Capability
    data: Mapping[str, Any]

    def matches(self, presentation: Presentation) -> bool:
        """Return whether this row answers `presentation`; a part that is not recorded is as written."""
        template, given, question = presentation.template, self.key, presentation.question
        if given.get("order", list(presentation.order)) != list(presentation.order):
            return False
        written = Presentation(question, template=template)
        labels = Presentation(question, template=template, layout=presentation.layout).labels
        layout = {**asdict(written.layout), **given.get("layout", {})}
        return (
            given.get("order", list(written.order)) == list(presentation.order)
            and given.get("labels", list(labels)) == list(presentation.labels)
            and given.get("template", DEFAULT_TEMPLATE.text) in (template.name, template.text)
            and given.get("system", template.system if "template" in given else None) == template.system
            and layout == asdict(presentation.layout)
            and given.get("around", []) == around_of(presentation)
            and self._is_under(question)
        )

    def _is_under(self, question: Question) -> bool:
        """Return whether it was shown under the stem of another question where this one is, and only there."""
        if self.key["question"] == question.content_hash:
            return True
        donor = (question.attributes[STEM_OF], question.stem) if is_under_another(question) else (None,)
        return self.key.get("under") in donor

    def told(self) -> str:
        """Return where it stands and what it is for."""
        rest = [f"{name} {self.key[name]!r}" for name in ("under", "template", "order") if name in self.key]
        return ", ".join([f"line {self.line}: question {self.key['question']!r}", *rest])

    def is_draw(self, request: Request) -> bool:
        """Return whether this row is the sampled answer that is asked for, or a greedy one as asked."""
        return self.key.get("draw") == draw_index(request)


def parse_row(text: str, where: str, number: int) -> ReplayRow:
    """Return what a line says, or raise naming place, field and reason."""
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"{where}: not JSON ({error.msg} at column {error.colno})") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or as many brackets
        raise UsageError(f"{where}: cannot be read: {error}") from error
    if isinstance(data, dict):
        data |= {name: str(data[name]) for name in ("question", "under") if type(data.get(name)) is int}
    if not isinstance(data, dict) or not isinstance(data.get("question"), str):
        raise UsageError(f"{where}: the field 'question' is missing. Give the question's id, content hash or stem")
    unknown = set(data) - set(KEYS) - set(VALUES) - set(EXTRAS)
    if unknown:
        raise UsageError(
            f"{where}: unknown field {sorted(unknown)[0]!r}; the fields are {', '.join((*KEYS, *VALUES, *EXTRAS))}"
        )
    given = [name for name in VALUES if name in data]
    if len(given) != 1:
        raise UsageError(f"{where}: needs exactly one of {', '.join(VALUES)}, but has {', '.join(given) or 'none'}")
    _check_values(given[0], data, where)
    _check_key(data, where)
    key = {name: data[name] for name in KEYS if name in data}
    return ReplayRow(number, key, VALUES[given[0]], data)


def _check_values(name: str, data: Mapping[str, Any], where: str) -> None:
    values = data[name]
    if name == "text":
        if not isinstance(values, str):
            raise UsageError(f"{where}: text is {values!r}, but must be text")
        if type(data.get("ran_out", False)) is not bool:
            raise UsageError(f"{where}: ran_out is {data['ran_out']!r}, but must be true or false")
        return
    if name == "choice":
        if type(values) is not int and not (isinstance(values, str) and values.strip()):
            raise UsageError(
                f"{where}: choice is {values!r}, but must be an option's text, label or content index. "
                'Where there was none, write "unparsed": true or "refused": true'
            )
        return
    if name in ("unparsed", "refused"):
        if values is not True:
            raise UsageError(f"{where}: {name} is {values!r}, but must be true. Else leave it out and give the answer")
        return
    if not isinstance(values, list) or not all(_is_number(value) for value in values):
        raise UsageError(f"{where}: {name} is {values!r}, but must be a list of numbers, one per position")
    if name == "probabilities" and not (min(values, default=0) >= 0 and math.fsum(values) <= 1 + SLACK):
        raise UsageError(f"{where}: probabilities {values!r} must be at least 0 and sum to at most 1")
    if name != "probabilities" and max(values, default=0) > SLACK:
        raise UsageError(f"{where}: {name} {values!r} must be at most 0, as logarithms of probabilities are")
    if name in FROM_ONE and math.fsum(math.exp(value) for value in values) > 1 + SLACK:
        raise UsageError(f"{where}: the probabilities of {name} {values!r} sum to more than 1")
    unlisted = data.get("unlisted", 0.0)
    if not _is_number(unlisted) or not 0 <= unlisted <= 1:
        raise UsageError(f"{where}: unlisted is {unlisted!r}, but must be a probability")
    lengths = data.get("option_tokens", [1] * len(values))
    if (
        not isinstance(lengths, list)
        or len(lengths) != len(values)
        or any(type(n) is not int or n < 1 for n in lengths)
    ):
        raise UsageError(
            f"{where}: option_tokens is {lengths!r}, but must hold one whole number from 1 for each position"
        )


def _check_key(data: Mapping[str, Any], where: str) -> None:
    order, labels = data.get("order", [0, 1]), data.get("labels", [])
    whole = isinstance(order, list) and all(type(n) is int for n in order)
    if not whole or not order or sorted(order) != list(range(len(order))):
        raise UsageError(f"{where}: order is {order!r}, but must list each content index 0, 1, ... once")
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise UsageError(f"{where}: labels is {labels!r}, but must be a list of texts")
    for name, nullable in (("under", False), ("template", False), ("system", True), ("sent_sha256", False)):
        value = data.get(name, "")
        if not isinstance(value, str) and not (nullable and value is None):
            raise UsageError(f"{where}: {name} is {value!r}, but must be text")
    if type(data.get("draw", 0)) is not int:
        raise UsageError(f"{where}: draw is {data['draw']!r}, but must be the number of a sampled answer")
    _check_layout(data.get("layout", {}), where)
    around = data.get("around", [])
    if not isinstance(around, list) or not all(
        isinstance(turn, list) and len(turn) == 2 and all(isinstance(part, str) for part in turn) for turn in around
    ):
        raise UsageError(f"{where}: around is {around!r}, but must be a list of [role, text] pairs")


def draw_index(request: Request) -> int | None:
    """Return the number of the sampled answer that is asked for; `None` for a greedy one."""
    return request.draw.index if isinstance(request, TextRequest) and request.draw is not None else None


def _check_layout(layout: object, where: str) -> None:
    known = {item.name for item in fields(Layout)}
    if not isinstance(layout, dict) or not set(layout) <= known:
        raise UsageError(
            f"{where}: layout is {layout!r}, but must be an object with fields among {', '.join(sorted(known))}"
        )
    try:
        Layout(**layout)
    except UsageError as error:
        raise UsageError(f"{where}: layout: {error}") from error


def _is_number(value: object) -> bool:
    """Return whether it is a number; whole ones are bounded, as some do not fit into a float."""
    if isinstance(value, float):
        return not math.isnan(value)
    return type(value) is int and abs(value) < MAX_WHOLE


def around_of(shown: Presentation) -> list[list[str]]:
    """Return what stands around the question: worked examples before it, turns after it."""
    if not shown.shots and not shown.turns:
        return []
    start = 0 if shown.template.system is None else 1
    messages = [[message.role, message.content] for message in shown.render()[start:]]
    place = 2 * len(shown.shots)
    return messages[:place] + messages[place + 1 :]
