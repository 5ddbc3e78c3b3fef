"""The errors of this package: one tree, so that `except LLMInvarianceError` catches all of them.

A broken property is an `InvarianceError` and lives beside `Finding` in `verdict`, because it carries one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = [
    "CapabilityError",
    "LLMInvarianceError",
    "MissingExtraError",
    "ModelError",
    "QuestionError",
    "RecordError",
    "UsageError",
    "missing_extra",
]


if TYPE_CHECKING:
    from collections.abc import Iterable


class LLMInvarianceError(Exception):
    """Base of every error that this package raises."""


class UsageError(LLMInvarianceError, ValueError):
    """An argument, option or setting cannot be used; the message names value, rule and way out."""


class QuestionError(UsageError):
    """A question, an instrument or a question file is malformed."""


class RecordError(UsageError):
    """A record of a run is missing, empty or damaged: there is no evidence to decide on."""


class ModelError(LLMInvarianceError, RuntimeError):
    """A model cannot be loaded or did not answer."""


class CapabilityError(ModelError):
    """A model cannot give the kind of answer that was asked for."""


class MissingExtraError(ModelError, ImportError):
    """An optional dependency is not installed; the message holds the command that installs it."""


MAX_SAID = 300


def said_shortly(said: object) -> str:
    """Return in one line, cut where it is long, what another program or library says of an error."""
    line = " ".join(str(said).split())
    return line if len(line) <= MAX_SAID else f"{line[:MAX_SAID]}..."


def as_name(name: object) -> str:
    """Return how a name is compared: in small letters, with `_` for spaces and hyphens."""
    return str(name).strip().lower().replace("-", "_").replace(" ", "_")


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return a hint where something known is nearly called like this; else nothing.

    Letters that only look the same are shown by their codes.
    """
    import difflib

    names = sorted(set(known))
    near = next(
        (found for one in (as_name(name), name) if (found := difflib.get_close_matches(one, names, 1, cutoff))), None
    )
    if near is None or near[0] == name:
        return ""
    other = "" if name.isascii() else f", which is not {name!a}"
    return f". Did you mean {near[0]!r}{other}?"


def missing_extra(extra: str, module: str, purpose: str) -> MissingExtraError:
    """Return the error that tells how to install `extra`, which brings `module`."""
    return MissingExtraError(
        f"{purpose} needs the package {module!r}, which is not installed. "
        f"Install it with: pip install 'pytest-llminvariance[{extra}]'"
    )
