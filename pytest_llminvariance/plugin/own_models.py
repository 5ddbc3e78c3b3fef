"""Models that tests bring themselves: made with the session's settings, written down, and let go with their fixture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakSet

from pytest_llminvariance.models.kept import forget, is_made_of
from pytest_llminvariance.models.protocol import Model
from pytest_llminvariance.models.wrapping import as_model


class OwnModels:
    """The models of a session that were made of what its tests hold; none is kept alive."""

    def __init__(
        self, settings: Mapping[str, Any], began: Callable[[Model], None], ended: Callable[[Model], None]
    ) -> None:
        """Take the session's settings, and what is told when a model is first asked for and when its fixture ends."""
        self._settings, self._began, self._ended = settings, began, ended
        self._models: WeakSet[Any] = WeakSet()

    def wrap(
        self, obj: object, tokenizer: object = None, *, name: str | None = None, settings: Mapping[str, Any] | None = None
    ) -> Model:
        """Return an object as a model, as `as_model` does; settings that are not given are the session's."""
        made = as_model(obj, tokenizer, name=name, settings={**self._settings, **(settings or {})})
        if hasattr(made, "origin") and made not in self._models:
            self._models.add(made)
            self._began(made)
        return made

    def end(self, value: object = None) -> None:
        """Let go of the models that were made of a fixture's value; at the end of the session of all."""
        for model in list(self._models):
            if value is None or is_made_of(model, value):
                self._models.discard(model)
                self._ended(model)
                forget(model)
