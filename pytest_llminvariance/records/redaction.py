"""Keeping secrets out of what is written: credentials in URLs, keys by their form, and secret environment values.

Applied to settings, model names, error messages and paths. Questions and answers are the suite's own data and
stay as they are.
"""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_llminvariance.checks.verdict import Finding

MASK = "***"
SECRET_NAME = r"(?:api|access|auth|private|secret)?[_-]?(?:key|token|secret|passwo?r?d|passwd|pwd|credentials?|auth|signature|sig)"  # noqa: S105
RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # http://user:password@host; a password may hold "/" although it should not, a port is no password
    (re.compile(r"(?<=://)[^\s/?#:@'\"]+:(?!\d+(?:[/?#\s]|$))[^\s'\"]*@"), f"{MASK}@"),
    (re.compile(r"(?<=://)[^\s/?#'\"]*@"), f"{MASK}@"),
    (re.compile(rf"(?i)([?&;][^=&;\s]*{SECRET_NAME}[^=&;\s]*=)[^&;\s'\"#]+"), rf"\1{MASK}"),
    (re.compile(rf"(?i)(\b{SECRET_NAME}['\"]?\s*[=:]\s*['\"]?)(?!\*\*\*)[^\s'\",;&}}]{{6,}}"), rf"\1{MASK}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}"), rf"\1 {MASK}"),
    (re.compile(r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{8,}"), MASK),
    (re.compile(r"\b(?:hf|gh[pousr]|github_pat|glpat|xox[abeprs])[_-][A-Za-z0-9_-]{10,}"), MASK),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), MASK),
    (re.compile(r"\bAIza[0-9A-Za-z_-]{30,}"), MASK),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*"), MASK),
)
SECRET_VARIABLE = re.compile(r"(?i)key|token|secret|passw|passphrase|pwd|credential|auth")
MIN_SECRET = 8
"""Shorter environment values would take ordinary words away with them."""


def redacted(text: str, environment: Mapping[str, str] | None = None) -> str:
    """Return a text without credentials: they become `***`.

    `environment` is where secret values are looked up, by the names of variables; `os.environ` if not given.
    """
    for value in _secret_values(os.environ if environment is None else environment):
        text = text.replace(value, MASK)
    for pattern, instead in RULES:
        text = pattern.sub(instead, text)
    return text


def redacted_data(value: Any, environment: Mapping[str, str] | None = None) -> Any:
    """Return plain data in which every text is redacted; names of fields stay."""
    if isinstance(value, str):
        return redacted(value, environment)
    if isinstance(value, Mapping):
        return {name: redacted_data(part, environment) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [redacted_data(part, environment) for part in value]
    return value


def _secret_values(environment: Mapping[str, str]) -> list[str]:
    """Return values of secret variables, longest first, so that none is left in part."""
    found = {
        value
        for name, value in environment.items()
        if SECRET_VARIABLE.search(name) and len(value) >= MIN_SECRET and not os.path.isabs(value)
    }
    return sorted(found, key=lambda value: (-len(value), value))


def without_secrets(finding: Finding) -> Finding:
    """Return a finding with credentials masked where models and engines put words: not in what was asked."""
    return dataclasses.replace(
        finding,
        model=redacted(finding.model),
        fingerprint=redacted(finding.fingerprint),
        reasons=tuple(map(redacted, finding.reasons)),
        guards=tuple(dataclasses.replace(guard, text=redacted(guard.text)) for guard in finding.guards),
    )
