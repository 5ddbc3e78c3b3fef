"""Lines of answers as nearly all of a record are: with a place and numbers, in the bytes that `answer_log` writes.

One pattern allows no more than their schema does, and takes a fifth of the time that JSON and the schema take. A line
that is written in any other way is no error here: `answers` reads it.
"""

from __future__ import annotations

import re
from typing import Any

from pytest_llminvariance.models.protocol import LabelReply, OptionReply
from pytest_llminvariance.records.shapes import with_defaults

WHOLE = r"(?:0|[1-9]\d{0,14})"
NUMBER = rf'(?:-?{WHOLE}(?:\.\d{{1,30}}(?:e[-+]?\d\d?)?|e[-+]?\d\d?)|"-inf")'
"""With a point or an exponent: `json` reads others as whole numbers."""
DIGEST = '(?:"([0-9a-f]{64})"|null)'
USUAL = re.compile(
    (
        r'\{"check": "([^"\\\x00-\x1f\x80-\xff]*)", '
        rf'"role": "(planned|foreign)", "index": \[({WHOLE}), ({WHOLE})\], '
        rf'"prompt_sha256": {DIGEST}, "request_sha256": {DIGEST}, '
        rf'"reply": \{{"kind": "(?:label|(option))", "logprobs_nats": \[({NUMBER}(?:, {NUMBER})+)\]'
        rf'(?(7), "option_tokens": \[({WHOLE}(?:, {WHOLE})+)\])\}}, '
        rf'"tokens": ({WHOLE})(, "remembered": true)?(?:, "sent_tokens": ({WHOLE}))?\}}\n'
    ).encode()
)


def usual_row(text: bytes) -> dict[str, Any] | None:
    """Return what such a line says, with what it may leave out; `None` for any other."""
    if (match := USUAL.fullmatch(text)) is None:
        return None
    check, role, question, shown, prompt, request, option, values, lengths, tokens, remembered, sent = match.groups()
    reply: dict[str, Any] = {
        "kind": "option" if option else "label",
        "logprobs_nats": [float(value) if value != b'"-inf"' else "-inf" for value in values.split(b", ")],
    }
    if option:
        reply["option_tokens"] = [*map(int, lengths.split(b", "))]
    row = {
        "check": check.decode(),
        "role": role.decode(),
        "index": [int(question), int(shown)],
        "prompt_sha256": None if prompt is None else prompt.decode(),
        "request_sha256": None if request is None else request.decode(),
        "reply": reply,
        "tokens": int(tokens),
    }
    if remembered:
        row["remembered"] = True
    if sent:
        row["sent_tokens"] = int(sent)
    return with_defaults("answer", row)


def usual_reply(text: bytes) -> LabelReply | OptionReply | None:
    """Return what came back, as such a line says it; `None` for any other line."""
    if (match := USUAL.fullmatch(text)) is None:
        return None
    prompt, option, values, lengths, tokens = match.group(5, 7, 8, 9, 10)
    numbers = tuple(map(float, values.replace(b'"', b"").split(b", ")))
    sent = "" if prompt is None else prompt.decode()
    if option:
        return OptionReply(numbers, tuple(map(int, lengths.split(b", "))), sent, int(tokens))
    return LabelReply(numbers, sent, int(tokens))


def usual_place(text: bytes) -> tuple[str, str, int, int, int] | None:
    """Return check, role, question, presentation and the number of values of such a line; `None` for any other."""
    if (match := USUAL.fullmatch(text)) is None:
        return None
    check, role, question, shown, values = match.group(1, 2, 3, 4, 8)
    return check.decode(), role.decode(), int(question), int(shown), values.count(b",") + 1
