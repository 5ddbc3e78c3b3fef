"""Models that tests bring themselves: made with the session's settings, written down, gone once their fixture has ended."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakSet

from pytest_llminvariance.models.kept import is_made_of
from pytest_llminvariance.models.protocol import Model
from pytest_llminvariance.models.wrapping import as_model, free_memory


class OwnModels:
    """The models of a session that were made of what its tests hold; none is kept alive."""

    def __init__(
        self, settings: Mapping[str, Any], began: Callable[[Model], None], ended: Callable[[Model], None]
    ) -> None:
        """Take the session's settings, and what is told when a model is first asked for and when its fixture ends."""
        self._settings, self._began, self._ended = settings, began, ended
        self._models: WeakSet[Any] = WeakSet()
        self._has_ended = False

    def wrap(
        self,
        obj: object,
        tokenizer: object = None,
        *,
        name: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Model:
        """Return an object as a model, as `as_model` does; settings that are not given are the session's."""
        made = as_model(obj, tokenizer, name=name, settings={**self._settings, **(settings or {})})
        if made is not obj and made not in self._models:
            self._models.add(made)
            self._began(made)
        return made

    def end(self, value: object) -> None:
        """Note the models that were made of a fixture's value, which ends now and is let go of soon."""
        for model in [model for model in self._models if is_made_of(model, value)]:
            self._has_ended = True
            self._ended(model)

    def free(self) -> None:
        """Give memory back once a fixture has ended: its model and what was made of it hold each other."""
        if self._has_ended:
            self._has_ended = False
            for name in (
                "last_exc",
                "last_type",
                "last_value",
                "last_traceback",
            ):  # of a test that failed with the model
                vars(sys).pop(name, None)
            free_memory()
