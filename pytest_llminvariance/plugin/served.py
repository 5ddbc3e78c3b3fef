"""A session's model behind a server: what was found out about it is said before the first test, and asked only once."""

from __future__ import annotations

import pytest

from pytest_llminvariance.errors import LLMInvarianceError
from pytest_llminvariance.models.loading import load_model
from pytest_llminvariance.models.protocol import Model
from pytest_llminvariance.plugin.session import SESSION

EARLY = pytest.StashKey[Model]()
"""The model, where it was loaded before its fixture asked for it."""


def found_line(config: pytest.Config) -> str | None:
    """Return what was found out about the server; nothing where it does not answer, as the fixture will say why."""
    try:
        model = config.stash[EARLY] = session_model(config)
    except LLMInvarianceError:
        return None
    words = getattr(model, "found_words", None)
    return None if words is None else f"invariance: {words()}"


def session_model(config: pytest.Config) -> Model:
    """Return the model of the settings, loaded once.

    Raises:
        LLMInvarianceError: where it cannot be loaded.
    """
    ours = config.stash[SESSION]
    early = config.stash.get(EARLY, None)
    return load_model(str(ours.settings.model), **ours.load_settings) if early is None else early
