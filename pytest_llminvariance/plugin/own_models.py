"""Models that tests bring themselves: made with the session's settings, written down, gone once their fixture has ended."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakSet

from pytest_llminvariance.checks.verdict import ModelFrom
from pytest_llminvariance.models.kept import is_made_of
from pytest_llminvariance.models.protocol import Model
from pytest_llminvariance.models.wrapping import as_model, free_memory, is_loaded


class OwnModels:
    """The models of a session that were made of what its tests hold; none is kept alive."""

    def __init__(
        self, settings: Mapping[str, Any], began: Callable[[Model], None], ended: Callable[[Model], None]
    ) -> None:
        """Take the session's settings, and what is told when a model is first asked for and when its fixture ends."""
        self._settings, self._began, self._ended = settings, began, ended
        self._models: WeakSet[Any] = WeakSet()
        self._has_ended = False
        self._given: dict[ModelFrom, list[object]] = {"session": [], "fixture": []}
        """What fixtures called `invariance_model` gave and have not ended with."""

    def given(self, value: object, *, is_the_sessions: bool) -> None:
        """Note what a fixture gives: the model under test, or one beside it."""
        self._given["session" if is_the_sessions else "fixture"].append(value)

    def origin_of(self, *model: object) -> ModelFrom:
        """Return where a model came from, by what a check was given and what was made of it: which objects they are, not what they say."""
        made = [
            one for one in model if any(one is own for own in self._models)
        ]  # only ours say truly what they were made of
        for origin, values in self._given.items():
            if any(one is value for one in model for value in values) or any(
                is_made_of(one, value) for one in made for value in values
            ):
                return origin
        return "loaded" if is_loaded(model[-1]) else "test"

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
        for values in self._given.values():
            values[:] = [one for one in values if one is not value]
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
