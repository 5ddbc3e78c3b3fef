"""Where a server is and what it is asked for: `MODEL@URL`, and the key that goes with it.

A key comes from an environment variable and is never part of an address, a setting or a message.
"""

from __future__ import annotations

import base64
import html
import ipaddress
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.models.load_settings import key_variable_problem

TARGET = re.compile(r"(?P<model>.+?)@(?P<url>https?://.*)", re.DOTALL | re.IGNORECASE)
PATHS = re.compile(r"/(chat/completions|completions|models|responses|generate|systemone|decisions)$")
"""Paths of one call, where those before all calls belong."""
MASK = "***"
SHORTEST = 6
"""Characters of a key that is masked wherever it stands. Shorter ones are dummies, such as `x`, that are part of many texts."""
FORM = "Write MODEL@http://HOST:PORT or MODEL@https://HOST"


@dataclass(frozen=True, slots=True)
class Address:
    """A server."""

    root: str
    """What stands before `/v1`."""
    api: str
    """Where its OpenAI-like paths begin: the URL as given, and `/v1` where that names no path."""
    is_loopback: bool
    is_encrypted: bool

    def url(self, path: str) -> str:
        """Return a whole URL: a path that begins with `/` is one of the server, any other one of its API."""
        return self.root + path if path.startswith("/") else f"{self.api}/{path}"


class Key:
    """A key that shows itself to nobody: not in a repr, not in a traceback with local variables."""

    __slots__ = ("_forms", "bearer", "variable")

    def __init__(self, value: str, variable: str) -> None:
        self.variable = variable
        self.bearer: Callable[[], str] = lambda: f"Bearer {value}"
        forms = {value, *_escaped(value)} if len(value) >= SHORTEST else {self.bearer()}
        self._forms: Callable[[], list[str]] = lambda: sorted(forms, key=len, reverse=True)

    def __repr__(self) -> str:
        return f"<the key in {self.variable}>"

    def __reduce__(self) -> str:
        raise TypeError("a key is not written down")

    def masked(self, text: str) -> str:
        """Return a text without the key, in the forms that a server may give it back in."""
        for form in self._forms():
            text = text.replace(form, MASK)
        return text

    def masked_json(self, text: str) -> str:
        """Mask the key in the texts of JSON, however they are escaped there, and nowhere else: numbers are left alone."""
        try:
            return json.dumps(_each_text(json.loads(text), self.masked))
        except (ValueError, RecursionError):  # no JSON
            return self.masked(text)


def _each_text(data: Any, change: Callable[[str], str]) -> Any:
    """Return what JSON says with each text changed, names of fields too."""
    if isinstance(data, str):
        return change(data)
    if isinstance(data, list):
        return [_each_text(item, change) for item in data]
    return {change(name): _each_text(item, change) for name, item in data.items()} if isinstance(data, dict) else data


def _escaped(value: str) -> Iterator[str]:
    """Yield how a text may be written in JSON, a URL, a page of HTML, an error of Python, and a header."""
    in_json = json.dumps(value)[1:-1]
    yield from (in_json, in_json.replace("/", "\\/"), quote(value, safe=""))
    yield from (html.escape(value), html.escape(value, quote=False), html.escape(value).replace("&#x27;", "&#39;"))
    in_python = value.replace("\\", "\\\\")
    yield from (in_python, in_python.replace("'", "\\'"), base64.b64encode(value.encode()).decode())


def parse_target(target: str) -> tuple[str, Address]:
    """Return model and server of `MODEL@URL`.

    Raises:
        UsageError: for another form, or a URL that holds a user, a password, a query or a fragment. The message
            does not repeat the URL, as it may hold a secret.
    """
    found = TARGET.fullmatch(target.strip())
    if found is None:
        given = (
            ", with http:// or https:// before the host"
            if re.search(r"[@?#/=]", target)  # then it may hold a key
            else f" but is {target.strip()[:60]!r}"
        )
        raise UsageError(f"the model spec must name a model and a server{given}. {FORM}")
    model, url = found["model"].strip(), found["url"].strip()
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise UsageError(f"the address of model {model!r} is no URL. {FORM}") from error
    if not host or re.search(r"[\s\x00-\x1f\\]", url):
        raise UsageError(f"the address of model {model!r} is no URL. {FORM}")
    if "@" in parts.netloc or parts.query or parts.fragment or "?" in url or "#" in url:
        raise UsageError(
            f"the address of model {model!r} holds more than scheme, host, port and path. Keys never stand in it: name "
            "the environment variable that holds the key, with --invariance-key-variable=NAME. An api-version is not needed: "
            "Azure answers under https://RESOURCE.openai.azure.com/openai/v1"
        )
    scheme, api = parts.scheme.lower(), f"{parts.scheme.lower()}://{parts.netloc.lower()}{parts.path.rstrip('/')}"
    if (found := PATHS.search(api)) is not None:
        raise UsageError(
            f"the address of model {model!r} ends with {found[0]!r}, which is added by itself. Leave it out of MODEL@URL"
        )
    if not parts.path.rstrip("/"):
        api += "/v1"
    return model, Address(api.removesuffix("/v1"), api, _is_loopback(host), scheme == "https")


def key_for(address: Address, variable: str | None, environment: Mapping[str, str] | None = None) -> Key | None:
    """Return the key that an environment variable holds; `None` where none is named.

    Raises:
        UsageError: where the variable is not set, what it holds is no key, or it would be sent unencrypted to
            another machine.
    """
    if variable is None:
        return None
    if (problem := key_variable_problem(variable)) is not None:
        raise UsageError(f"key_variable {problem}")
    value = (os.environ if environment is None else environment).get(variable, "").strip()
    if not value:
        raise UsageError(f"the environment variable {variable}, which is to hold the server's key, is not set or empty")
    if re.search(r"[^\x21-\x7e]", value):
        raise UsageError(
            f"what the environment variable {variable} holds is no key: it has blanks or characters beyond ASCII"
        )
    if not (address.is_encrypted or address.is_loopback):
        raise UsageError(
            f"the key in {variable} would go unencrypted to {address.api}. Use https://, a server on this machine, or no key"
        )
    return Key(value, variable)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return bool((mapped or ip).is_loopback)
