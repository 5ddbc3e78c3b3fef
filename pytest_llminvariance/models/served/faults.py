"""What can go wrong between here and a server: one error for each kind, and whether to ask again."""

from __future__ import annotations

import datetime
import email.utils
import json
import math
import time
from collections.abc import Mapping
from types import MappingProxyType

from pytest_llminvariance.errors import ModelError, said_shortly

PASSING = (408, 409, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529)
"""Statuses after which the same request may be answered."""
SPENT = ("insufficient_quota", "billing_hard_limit_reached")
"""What servers call it when waiting does not help."""
MOST_SAID = 2_000
"""Characters of a server's own words that are looked at; what a terminal would obey is none of them."""
NAME_THE_KEY = "Name the environment variable that holds it: --invariance-key-variable=NAME, or in an audit --setting key_variable=NAME"
ADVICE = {
    400: "the server does not take this request",
    401: f"the server wants a key, or another one. {NAME_THE_KEY}",
    403: f"the key may not use this. Check what it is allowed, or take another one. {NAME_THE_KEY}",
    404: "the server has no such path or model. Check both in MODEL@URL; most servers answer under /v1",
    413: "the request is too large for the server",
    422: "the server does not take this request",
    429: "the server wants fewer requests. Lower --invariance-concurrency, or wait",
}


class ServedError(ModelError):
    """A server gave no answer that can be used."""

    wait_s: float | None = None
    """How long the server wants to be left alone."""

    def __init__(self, message: str, *, passes: bool = False) -> None:
        super().__init__(message)
        self.passes = passes
        """Whether asking again may help."""


class UnreachableError(ServedError):
    """No connection: nobody listens, no such host, a certificate that is not trusted, or it broke off."""


class StatusError(ServedError):
    """The server answered with an error."""

    def __init__(
        self, message: str, status: int, *, passes: bool = False, wait_s: float | None = None, code: str = ""
    ) -> None:
        super().__init__(message, passes=passes)
        self.status = status
        self.code = code
        """What the server calls it."""
        self.wait_s = wait_s


class SlowError(ServedError):
    """The answer did not come in time."""


class GarbledError(ServedError):
    """The answer is cut off or no JSON."""


class OtherAnswerError(ServedError):
    """The answer is none to what was asked: of another model, or without what was asked for."""


def status_error(where: str, status: int, headers: Mapping[str, str], text: str) -> StatusError:
    """Return the error that an HTTP status stands for; `text` holds no key any more."""
    said, codes = _said(text)
    spent = any(name in SPENT for name in codes)
    passes = status in PASSING and not spent
    if 300 <= status < 400:
        advice = (
            "it sends elsewhere, and keys are sent nowhere but to the address given. Give the address that it means"
        )
    else:
        advice = ADVICE.get(status, "see the server's log" if status >= 500 else "the server refuses this request")
    if spent:
        advice = "the account behind the key has nothing left"
    message = f"{where}: HTTP {status}{f' ({said})' if said else ''}: {advice}"
    wait_s = retry_after_s(headers) if passes else None
    return StatusError(message, status, passes=passes, wait_s=wait_s, code=codes[0] if codes else "")


def error_inside(where: str, data: object, headers: Mapping[str, str] = MappingProxyType({})) -> StatusError | None:
    """Return the error that an answer with status 200 tells of, as gateways say it; `None` where it is an answer."""
    if not isinstance(data, Mapping):
        return None
    choices = data.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    error = data.get("error") or (first.get("error") if isinstance(first, Mapping) else None)
    if not error:
        return None
    codes = [str(error.get(name)) for name in ("code", "status")] if isinstance(error, Mapping) else []
    status = next((int(code) for code in codes if code.isdecimal() and 400 <= int(code) < 600), 500)
    return status_error(f"{where}: an error in place of an answer", status, headers, json.dumps({"error": error}))


def retry_after_s(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Return the seconds that a server asks to wait for, as it says them: a number or a date."""
    given = headers.get("retry-after-ms")
    if (value := _number(given)) is not None:
        return value / 1000
    given = headers.get("retry-after")
    if given is None or (value := _number(given)) is not None:
        return value if given else None
    moment, sent = _moment(given), _moment(headers.get("date"))  # both by the server's clock, where it tells the time
    if moment is None:
        return None
    now = time.time() if now is None else now
    return max(0.0, moment - (now if sent is None else sent))


def _moment(text: str | None) -> float | None:
    """Return the time of an HTTP date, in any of its forms; all are of Greenwich."""
    try:
        found = email.utils.parsedate_to_datetime(text or "")
        return (found if found.tzinfo else found.replace(tzinfo=datetime.UTC)).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < math.inf else None


def _said(text: str) -> tuple[str, list[str]]:
    """Return a server's own words, and its code and type of the error, from the forms in use."""
    said: object = text
    codes: list[str] = []
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        data = None
    if isinstance(data, Mapping):
        inner = data.get("error", data)
        if isinstance(inner, Mapping):
            said = next((inner[name] for name in ("message", "detail", "error", "title") if inner.get(name)), text)
            codes = [str(inner[name]) for name in ("code", "type") if inner.get(name)]
        else:
            said = inner
    shown = "".join(letter if letter.isprintable() else " " for letter in str(said)[:MOST_SAID])
    return said_shortly(shown), codes
