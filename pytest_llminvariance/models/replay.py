"""Answers from a file: recorded or published answers, judged like a model's own.

Each line of the JSONL file is one answer::

    {"question": "planets-1", "order": [1, 0, 2], "probabilities": [0.7, 0.2, 0.1]}
    {"question": "planets-1", "order": [1, 0, 2], "text": "Answer: B"}

`question` is the id, or the content hash, or the stem; `order`, `labels`, `template` (its name or its
text), `system` (the template's) and `layout` (some of its fields) narrow it down and match anything where
they are left out; `draw` is the number of a sampled answer. `around` (worked examples before and turns after
the question, as [role, text] pairs) must equal what was shown, and is left out where there was nothing.
`probabilities` and `logprobs_nats` stand by position as shown. What was not recorded is
a missing answer, never a guess.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pytest_llminvariance.errors import ModelError, UsageError
from pytest_llminvariance.models.protocol import (
    Capability,
    LabelReply,
    LabelRequest,
    MissingReply,
    Model,
    OptionReply,
    Reply,
    Request,
    TextReply,
    TextRequest,
    check_model,
    sent_digest,
)
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.template import Layout

VALUES: Mapping[str, Capability] = {
    "probabilities": "label",
    "logprobs_nats": "label",
    "option_logprobs_nats": "option",
    "text": "text",
}
KEYS = ("question", "order", "labels", "template", "system", "layout", "draw", "around")
EXTRAS = ("option_tokens", "sent_sha256", "ran_out")
SLACK = 1e-6
MAX_WHOLE = 10**9


@dataclass(frozen=True, slots=True)
class Row:
    """One recorded answer."""

    line: int
    key: Mapping[str, Any]
    kind: Capability
    data: Mapping[str, Any]

    def matches(self, presentation: Presentation) -> bool:
        """Return whether this row answers `presentation`; a part that is not recorded matches anything."""
        template, layout = presentation.template, asdict(presentation.layout)
        given = self.key
        return (
            given.get("order", list(presentation.order)) == list(presentation.order)
            and given.get("labels", list(presentation.labels)) == list(presentation.labels)
            and given.get("template", template.text) in (template.name, template.text)
            and given.get("system", template.system) == template.system
            and all(layout[name] == value for name, value in given.get("layout", {}).items())
            and given.get("around", []) == _around(presentation)
        )

    def is_draw(self, request: Request) -> bool:
        """Return whether this row is the sampled answer that is asked for, or a greedy one as asked."""
        return self.key.get("draw") == _draw_index(request)


@dataclass(frozen=True, slots=True)
class ReplayModel:
    """A model that knows only what was recorded."""

    name: str
    fingerprint: str
    capabilities: frozenset[Capability]
    rows: Mapping[str, tuple[Row, ...]]

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """Look every request up."""
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        presentation = request.presentation
        question = presentation.question
        names = (question.id, question.content_hash, question.stem)
        found = [
            row
            for name in dict.fromkeys(names)
            if name is not None
            for row in self.rows.get(name, ())
            if row.kind == request.capability and row.matches(presentation) and row.is_draw(request)
        ]
        if not found:
            return MissingReply("not recorded")
        if len(found) > 1:
            lines = " and ".join(str(row.line) for row in found[:2])
            raise ModelError(
                f"{self.name}: lines {lines} both answer question {question.name!r} in the order {list(presentation.order)}"
            )
        return _as_reply(found[0], request, self.name)


def load_replay(path: str | Path) -> ReplayModel:
    """Read recorded answers.

    Raises:
        ModelError: if the file is not there.
        UsageError: for a bad line; the message names file, line, field and reason, and nothing is half-read.
    """
    file = Path(path)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ModelError(
            f"replay: {str(path)!r} cannot be read: {error.strerror}. Give a JSONL file of recorded answers"
        ) from error
    rows: dict[str, list[Row]] = {}
    try:
        lines = data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file.name}: is not UTF-8 text (byte {error.start}). Save it as UTF-8") from error
    for number, text in enumerate(lines, start=1):
        if text.strip():
            row = _parse(text, f"{file.name}, line {number}", number)
            rows.setdefault(row.key["question"], []).append(row)
    if not rows:
        raise UsageError(f"{file.name} holds no answers")
    kinds = frozenset(row.kind for group in rows.values() for row in group)
    fingerprint = "replay:" + hashlib.sha256(data).hexdigest()
    return ReplayModel(f"replay:{file.name}", fingerprint, kinds, {name: tuple(group) for name, group in rows.items()})


def _parse(text: str, where: str, number: int) -> Row:
    try:
        data = json.loads(text)
    except json.JSONDecodeError as error:
        raise UsageError(f"{where}: not JSON ({error.msg} at column {error.colno})") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, or as many brackets
        raise UsageError(f"{where}: cannot be read: {error}") from error
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
    return Row(number, key, VALUES[given[0]], data)


def _check_values(name: str, data: Mapping[str, Any], where: str) -> None:
    values = data[name]
    if name == "text":
        if not isinstance(values, str):
            raise UsageError(f"{where}: text is {values!r}, but must be text")
        if type(data.get("ran_out", False)) is not bool:
            raise UsageError(f"{where}: ran_out is {data['ran_out']!r}, but must be true or false")
        return
    if not isinstance(values, list) or not all(_is_number(value) for value in values):
        raise UsageError(f"{where}: {name} is {values!r}, but must be a list of numbers, one per position")
    if name == "probabilities" and not (min(values, default=0) >= 0 and math.fsum(values) <= 1 + SLACK):
        raise UsageError(f"{where}: probabilities {values!r} must be at least 0 and sum to at most 1")
    if name != "probabilities" and max(values, default=0) > SLACK:
        raise UsageError(f"{where}: {name} {values!r} must be at most 0, as logarithms of probabilities are")
    if name == "logprobs_nats" and math.fsum(math.exp(value) for value in values) > 1 + SLACK:
        raise UsageError(f"{where}: the probabilities of logprobs_nats {values!r} sum to more than 1")
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
    for name, nullable in (("template", False), ("system", True), ("sent_sha256", False)):
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


def _draw_index(request: Request) -> int | None:
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


def _as_reply(row: Row, request: Request, name: str) -> Reply:
    data = row.data
    sent = data.get("sent_sha256") or sent_digest(request.messages)
    if isinstance(request, TextRequest):
        return TextReply(data["text"], sent, ran_out=data.get("ran_out", False))
    field = next(part for part in VALUES if part in data)
    values = data[field]
    k = len(request.presentation.order)
    if len(values) != k:
        raise ModelError(f"{name}, line {row.line}: {len(values)} {field} for a question with {k} options")
    if field == "probabilities":
        values = [math.log(value) if value > 0 else -math.inf for value in values]
    if isinstance(request, LabelRequest):
        return LabelReply(tuple(map(float, values)), sent)
    return OptionReply(tuple(map(float, values)), tuple(data.get("option_tokens") or [1] * k), sent)


class Recorder:
    """A model that writes every distinct answer of another to a file which `replay:` can read.

    Its fingerprint is its own, so what a session remembers of the inner model is asked and written again.

    Raises:
        UsageError: if the file is there already and not empty, or cannot be written.
    """

    def __init__(self, inner: Model, path: str | Path) -> None:
        self.inner, self._path = check_model(inner), Path(path)
        if self._path.is_file() and self._path.stat().st_size:
            raise UsageError(f"{str(path)!r} already holds answers. Name a new file, or remove it")
        try:
            self._path.open("a").close()
        except OSError as error:
            raise UsageError(f"{str(path)!r} cannot be written: {error.strerror}. Name a file in a folder") from error
        self._written: set[tuple[Capability, str]] = set()
        self.name, self.capabilities = inner.name, inner.capabilities
        self.fingerprint = f"recorded({inner.fingerprint})"
        if hasattr(inner, "frame_orders"):
            self.frame_orders = inner.frame_orders

    def answer(self, requests: Sequence[Request]) -> Sequence[Reply]:
        """Ask, append to the file, and return the answers."""
        replies = self.inner.answer(requests)
        with self._path.open("a", encoding="utf-8") as file:
            for request, reply in zip(requests, replies, strict=True):
                key = _key(request)
                mark = (request.capability, json.dumps(key))  # requests of one mark are one to a replay
                if mark not in self._written and not isinstance(reply, MissingReply):
                    file.write(json.dumps({**key, **_recorded(reply)}) + "\n")
                    self._written.add(mark)
        return replies


def _around(shown: Presentation) -> list[list[str]]:
    """Return what stands around the question: worked examples before it, turns after it."""
    if not shown.shots and not shown.turns:
        return []
    start = 0 if shown.template.system is None else 1
    messages = [[message.role, message.content] for message in shown.render()[start:]]
    place = 2 * len(shown.shots)
    return messages[:place] + messages[place + 1 :]


def _key(request: Request) -> dict[str, Any]:
    shown, index = request.presentation, _draw_index(request)
    around = _around(shown)
    return {
        "question": shown.question.content_hash,
        "order": list(shown.order),
        "labels": list(shown.labels),
        "template": shown.template.text,
        "system": shown.template.system,
        "layout": asdict(shown.layout),
        **({} if index is None else {"draw": index}),
        **({"around": around} if around else {}),
    }


def _recorded(reply: Reply) -> dict[str, Any]:
    row = {"sent_sha256": reply.sent_sha256}
    if isinstance(reply, TextReply):
        return {**row, "text": reply.text, **({"ran_out": True} if reply.ran_out else {})}
    if isinstance(reply, LabelReply):
        return {**row, "logprobs_nats": list(reply.logprobs_nats)}
    assert isinstance(reply, OptionReply)  # noqa: S101 - the only kind left
    return {**row, "option_logprobs_nats": list(reply.logprobs_nats), "option_tokens": list(reply.option_tokens)}
