"""The errors of this package: one tree, so that `except LLMInvarianceError` catches all of them.

A broken property is an `InvarianceError` and lives beside `Finding` in `verdict`, because it carries one.
"""

from __future__ import annotations

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


def missing_extra(extra: str, module: str, purpose: str) -> MissingExtraError:
    """Return the error that tells how to install `extra`, which brings `module`."""
    return MissingExtraError(
        f"{purpose} needs the package {module!r}, which is not installed. "
        f"Install it with: pip install 'pytest-llminvariance[{extra}]'"
    )
