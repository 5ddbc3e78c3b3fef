"""Answers from a file: recorded or published answers, judged like a model's own.

Each line of the JSONL file is one answer::

    {"question": "planets-1", "order": [1, 0, 2], "probabilities": [0.7, 0.2, 0.1]}
    {"question": "planets-1", "order": [1, 0, 2], "text": "Answer: B"}
    {"question": "planets-1", "order": [1, 0, 2], "choice": "Mars"}

`question` is the id, or the content hash, or the stem. `order`, `labels`, `template` (its name or its text) and
`layout` (some of its fields) are as written where they are left out: the options' own order, the labels and layout
of the template, the default template. `system` is the template's; `draw` is the number of a sampled answer.
`around` (worked examples before and turns after the question, as [role, text] pairs) must equal what was shown.
`under` names the question whose stem was shown over these options: a check asks so to see whether stems are read.
`probabilities` and `logprobs_nats` stand by position as shown. `choice` is an option's text, its label as shown or
its content index; `"unparsed": true` and `"refused": true` say that there was none. What was not recorded is a
missing answer, never a guess.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from pytest_llminvariance.errors import ModelError, UsageError
from pytest_llminvariance.models.engine import answers_of
from pytest_llminvariance.models.protocol import (
    REFUSED_TEXT,
    AnyModel,
    Capability,
    LabelReply,
    MissingReply,
    OptionReply,
    OptionRequest,
    Reply,
    Request,
    TextReply,
    TextRequest,
    declared,
    log_of,
    sent_digest,
)
from pytest_llminvariance.models.replay_rows import VALUES, ReplayRow, around_of, draw_index, parse_row
from pytest_llminvariance.models.wrapping import as_model
from pytest_llminvariance.questions.labels import fold_label
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import OPTIONS_OF, is_under_another, places_of
from pytest_llminvariance.questions.template import DEFAULT_TEMPLATE

MAX_LISTED = 20


@dataclass(frozen=True, slots=True)
class ReplayModel:
    """A model that knows only what was recorded."""

    name: str
    fingerprint: str
    capabilities: frozenset[Capability]
    rows: Mapping[str, tuple[ReplayRow, ...]]
    matched: set[int] = field(default_factory=set, compare=False, repr=False)
    """Lines that answered something which was planned."""
    deterministic: ClassVar[bool] = True

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """Look every request up."""
        return [self._reply(request) for request in requests]

    def check_planned(self, requests: Sequence[Request]) -> None:
        """Look up everything that a check plans to ask.

        Raises:
            UsageError: where something has no answer while rows are left that answer nothing: they were meant for it.
        """
        missing = []
        for request in requests:
            found = self._found(request)
            self.matched.update(row.line for row in found)
            if not found and not is_under_another(request.presentation.question):
                missing.append(request.presentation)
        rows = (row for group in self.rows.values() for row in group)
        unused = [row for row in rows if row.line not in self.matched and "under" not in row.key]
        if missing and unused:
            raise UsageError(self._mismatch(list(dict.fromkeys(missing)), unused))

    def _mismatch(self, missing: Sequence[Presentation], unused: Sequence[ReplayRow]) -> str:
        asked = [
            f"question {p.question.name!r}, template {p.template.shown_name!r}, order {list(p.order)}" for p in missing
        ]
        named = sorted({row.key.get("template", DEFAULT_TEMPLATE.shown_name) for row in unused})
        wanted = sorted({p.template.shown_name for p in missing})
        return (
            f"{self.name}: {len(missing)} presentations have no answer, while {len(unused)} rows answer nothing that is asked.\n"
            f"  rows: {_some([row.told() for row in unused])}\n  asked: {_some(asked)}\n"
            f"  templates: the rows have {', '.join(map(repr, named))}, asked are {', '.join(map(repr, wanted))}\n"
            "Correct question, template, order, labels or layout of the rows, or give each check a file of its own"
        )

    def _found(self, request: Request) -> list[ReplayRow]:
        presentation = request.presentation
        question = presentation.question
        names = (
            (question.attributes[OPTIONS_OF], question.content_hash)
            if is_under_another(question)
            else (question.id, question.content_hash, question.stem)
        )
        return [
            row
            for name in dict.fromkeys(names)
            if name is not None
            for row in self.rows.get(name, ())
            if row.kind == request.capability and row.matches(presentation) and row.is_draw(request)
        ]

    def _reply(self, request: Request) -> Reply:
        presentation, found = request.presentation, self._found(request)
        if not found:
            return MissingReply("not recorded")
        if len(found) > 1:
            lines = " and ".join(str(row.line) for row in found[:2])
            raise ModelError(
                f"{self.name}: lines {lines} both answer question {presentation.question.name!r} in the order {list(presentation.order)}"
            )
        return _as_reply(found[0], request, self.name)


def _some(parts: Sequence[str]) -> str:
    return "; ".join(
        [*parts[:MAX_LISTED], *([f"and {len(parts) - MAX_LISTED} more"] if len(parts) > MAX_LISTED else [])]
    )


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
    rows: dict[str, list[ReplayRow]] = {}
    try:
        lines = data.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise UsageError(f"{file.name}: is not UTF-8 text (byte {error.start}). Save it as UTF-8") from error
    for number, text in enumerate(lines, start=1):
        if text.strip():
            row = parse_row(text, f"{file.name}, line {number}", number)
            rows.setdefault(row.key["question"], []).append(row)
    if not rows:
        raise UsageError(f"{file.name} holds no answers")
    kinds = frozenset(row.kind for group in rows.values() for row in group)
    fingerprint = "replay:" + hashlib.sha256(data).hexdigest()
    return ReplayModel(f"replay:{file.name}", fingerprint, kinds, {name: tuple(group) for name, group in rows.items()})


def _as_reply(row: ReplayRow, request: Request, name: str) -> Reply:
    data = row.data
    sent = data.get("sent_sha256") or sent_digest(request.messages)
    if isinstance(request, TextRequest):
        return TextReply(_said(row, request.presentation, name), sent, ran_out=data.get("ran_out", False))
    field = next(part for part in VALUES if part in data)
    values = data[field]
    k = len(request.presentation.order)
    if len(values) != k:
        raise ModelError(f"{name}, line {row.line}: {len(values)} {field} for a question with {k} options")
    if field == "probabilities":
        values = list(map(log_of, values))
    if not isinstance(request, OptionRequest):
        return LabelReply(tuple(map(float, values)), sent, unlisted=float(data.get("unlisted", 0.0)))
    return OptionReply(tuple(map(float, values)), tuple(data.get("option_tokens") or [1] * k), sent)


def _said(row: ReplayRow, shown: Presentation, name: str) -> str:
    """Return the text of an answer; for one told as a choice the label or option that names it."""
    data = row.data
    if "choice" not in data:
        return str(data.get("text", REFUSED_TEXT if "refused" in data else ""))
    choice, options = data["choice"], shown.question.options
    places = {choice} if type(choice) is int else set()
    if isinstance(choice, str):
        places = {*places_of(choice, options), *(shown.option_at(one) for one in shown.labels if one == choice.strip())}
        places |= {shown.order[place] for place in places_of(choice, shown.shown_options)}
    if len(places) != 1 or not places <= set(range(len(options))):
        problem = "no option" if not places or type(choice) is int else "more than one option, by text and by label"
        raise ModelError(
            f"{name}, line {row.line}: choice is {choice!r}, which names {problem} of {list(options)!r} with the labels "
            f"{', '.join(shown.labels)}. Give the option's text or its content index"
        )
    content = places.pop()
    label, text = shown.label_of(content), shown.shown_options[shown.position_of(content)]
    clashes = any(fold_label(label) == fold_label(option) for option in shown.shown_options if option != text)
    return label if shown.shows_labels and not clashes else text


class AnswerWriter:
    """A model that writes every distinct answer of another to a file which `replay:` can read.

    Its fingerprint is its own, so what a session remembers of the inner model is asked and written again.

    Raises:
        UsageError: if the file is there already and not empty, or cannot be written.
    """

    def __init__(self, inner: AnyModel, path: str | Path) -> None:
        inner = as_model(inner)
        self.inner, self._path = inner, Path(path)
        if self._path.is_file() and self._path.stat().st_size:
            raise UsageError(f"{str(path)!r} already holds answers. Name a new file, or remove it")
        try:
            self._path.open("a").close()
        except OSError as error:
            raise UsageError(f"{str(path)!r} cannot be written: {error.strerror}. Name a file in a folder") from error
        self._written: set[tuple[Capability, str]] = set()
        self.name, self.capabilities, self.deterministic = inner.name, inner.capabilities, declared(inner)
        self.fingerprint = f"recorded({inner.fingerprint})"
        if hasattr(inner, "frame_orders"):
            self.frame_orders = inner.frame_orders

    def answer(self, requests: Sequence[Request]) -> Sequence[Reply]:
        """Ask, append to the file, and return the answers."""
        replies = answers_of(self.inner, requests)
        with self._path.open("a", encoding="utf-8") as file:
            for request, reply in zip(requests, replies, strict=True):
                key = _key(request)
                mark = (request.capability, json.dumps(key))  # requests of one mark are one to a replay
                if mark not in self._written and not isinstance(reply, MissingReply):
                    file.write(json.dumps({**key, **_recorded(request, reply)}) + "\n")
                    self._written.add(mark)
        return replies


def _key(request: Request) -> dict[str, Any]:
    shown, index = request.presentation, draw_index(request)
    around = around_of(shown)
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


def _recorded(request: Request, reply: Reply) -> dict[str, Any]:
    row = {"sent_sha256": reply.sent_sha256}
    if isinstance(reply, TextReply):
        return {**row, "text": reply.text, **({"ran_out": True} if reply.ran_out else {})}
    if isinstance(reply, LabelReply):
        name = "decision_logprobs_nats" if request.capability == "decision" else "logprobs_nats"
        return {**row, name: list(reply.logprobs_nats), **({"unlisted": reply.unlisted} if reply.unlisted else {})}
    assert isinstance(reply, OptionReply)  # noqa: S101 - the only kind left
    return {**row, "option_logprobs_nats": list(reply.logprobs_nats), "option_tokens": list(reply.option_tokens)}
