"""Fixtures of wider scope: what is checked in their set-up and teardown belongs to them, not to the test that came by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from pytest_llminvariance.checks.run import Run, current_run
from pytest_llminvariance.plugin.places import fixtures_of


class FixtureScope(NamedTuple):
    """One set-up of a fixture of wider scope: two modules or two parameters have one each."""

    name: str
    scope: str
    node: str
    """Node id of the module, class or package that it lives in; empty for the session."""
    base: str
    """Where it is defined; empty in the root's conftest or a plugin."""
    parameter: str | None
    """Its parameter in words, or its number where the parameter is no plain value."""

    @classmethod
    def of(cls, fixturedef: Any, request: Any) -> FixtureScope:
        """Return the scope of the fixture that a request sets up."""
        parameter = _parameter(request.param, request.param_index) if hasattr(request, "param") else None
        return cls(fixturedef.argname, fixturedef.scope, request.node.nodeid, fixturedef.baseid or "", parameter)

    @property
    def where(self) -> str:
        """What stands in records in the place of a test's node id."""
        mark = "" if self.parameter is None else f"[{self.parameter}]"
        return f"{self.node or self.base or '.'}::{self.name}{mark} ({self.scope} fixture)"

    def reaches(self, item: Any) -> bool:
        """Return whether a test uses it."""
        if self.name not in fixtures_of(item):
            return False
        spec = getattr(item, "callspec", None)
        used = self.parameter
        if used is not None and spec is not None and self.name in spec.params:
            used = _parameter(spec.params[self.name], spec.indices.get(self.name, 0))
        return used == self.parameter and all(_is_within(item.nodeid, place) for place in (self.node, self.base))


def _parameter(value: object, number: int) -> str:
    return str(value)[:100] if isinstance(value, str | int | float) else str(number)


def _is_within(nodeid: str, place: str) -> bool:
    return place in ("", ".") or nodeid == place or nodeid.startswith((f"{place}::", f"{place}/"))


NARROWER = ("package", "module", "class", "function")


def fit_scope(item: Any) -> None:
    """Give `invariance` the scope of a test's own `invariance_model`, which may be narrower than the session."""
    known = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})  # nothing public tells or changes it
    model, checks = known.get("invariance_model", ()), known.get("invariance", ())
    if len(checks) == 1 and model and model[-1].scope in NARROWER:
        known["invariance"] = item.session._fixturemanager.getfixturedefs(f"_invariance_{model[-1].scope}", item)


class ScopeSwitch:
    """Attributes checks to a fixture while it is set up and torn down, and to the test otherwise."""

    def __init__(self, change: Callable[[Run], Run]) -> None:
        self._change = change
        self._back: list[Callable[[], None]] = []

    def enter(self) -> None:
        """Attribute checks to the fixture."""
        lane = current_run.lane()
        if lane is not None:
            self._back.append(lane.give(self._change))

    def leave(self) -> None:
        """Attribute checks to what they were attributed to before."""
        while self._back:
            self._back.pop()()
