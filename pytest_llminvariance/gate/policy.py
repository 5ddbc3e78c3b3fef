"""The policy of a gate: what blocks a release, read from TOML and checked key by key."""

from __future__ import annotations

import datetime
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, get_args

from pytest_llminvariance.checks.properties import full_name
from pytest_llminvariance.checks.refusals import as_tolerance
from pytest_llminvariance.checks.run import Level
from pytest_llminvariance.checks.searches import COUNTER_EXAMPLE, SEARCH
from pytest_llminvariance.errors import UsageError, did_you_mean
from pytest_llminvariance.gate.presence import is_within
from pytest_llminvariance.measures.metrics import METRICS

Undecided = Literal["block", "insufficient", "warn", "ignore"]
TABLE = "tool.llminvariance.gate"
KEYS = ("risk_limit", "undecided", "left_out", "models", "required", "min_level", "properties", "markers", "waivers")
SEARCHES = ("same answer", "conversation")


@dataclass(frozen=True, slots=True)
class Rule:
    """What a release demands of the checks of one property or one marker; `None`: nothing of its own."""

    level: Level | None = None
    tolerance: Fraction | None = None
    undecided: Undecided | None = None
    min_questions: int | None = None
    metric: str | None = None

    @property
    def demands(self) -> bool:
        """Return whether it asks for more than a check does by itself."""
        strict = self.level == "block" or self.undecided in ("block", "insufficient")
        return strict or any(part is not None for part in (self.tolerance, self.min_questions, self.metric))


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiver:
    """A broken or undecided check that may pass for some time, and who says so."""

    property: str | None
    where: str | None
    """Node id of a test or of one instance of it, a class, a file or a folder."""
    owner: str
    reason: str
    expires: datetime.date
    """The last day on which it counts."""
    up_to: Fraction | None
    """The largest effect that is waived; `None`: any."""

    def covers(self, property: str, where: str) -> bool:
        """Return whether it speaks of a check."""
        if self.property is not None and self.property != property:
            return False
        return self.where is None or is_within(where, self.where)

    def __str__(self) -> str:
        about = " in ".join(part for part in (self.property, self.where) if part)
        return f"the waiver of {self.owner} for {about}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What blocks a release."""

    source: str = "no policy"
    risk_limit: Fraction = Fraction(1, 20)
    """The largest sum of the risk spent over all runs."""
    undecided: Undecided = "insufficient"
    models: tuple[str, ...] = ()
    """Specs of the models that the policy is for; empty: any."""
    required: tuple[str, ...] = ()
    """Properties, or node ids of tests, classes, files or folders, of which every instance must have been checked."""
    min_level: Level = "block"
    """The lowest level at which a required check counts."""
    left_out: Undecided = "insufficient"
    """What tests of the model do that were skipped or left out, and that no run has run."""
    properties: Mapping[str, Rule] = field(default_factory=lambda: MappingProxyType({}))
    markers: Mapping[str, Rule] = field(default_factory=lambda: MappingProxyType({}))
    waivers: tuple[Waiver, ...] = ()


def read_policy(path: Path | None, folder: Path) -> Policy:
    """Read a policy: a TOML file, or `[tool.llminvariance.gate]` of the nearest `pyproject.toml` from `folder` up.

    Raises:
        UsageError: where the file or a key or value in it cannot be used; names file, key and rule.
    """
    above = (place / "pyproject.toml" for place in (folder.resolve(), *folder.resolve().parents))
    file = path or next((found for found in above if found.is_file()), None)
    if file is None:
        return Policy()
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError(f"there is no policy {file} (looked at {file.resolve()})") from error
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} cannot be read as TOML: {error}") from error
    table: Any = data
    for part in TABLE.split("."):
        table = table.get(part) if isinstance(table, Mapping) else None
    if table is not None:
        return policy_from(table, f"{file} [{TABLE}]")
    tool = data.get("tool")
    ours = tool.get("llminvariance") if isinstance(tool, Mapping) else None
    if ours is not None:
        _known(_table(ours, f"{file} [tool.llminvariance]"), ("gate",), f"{file} [tool.llminvariance]: ")
    if path is None:
        return Policy()
    if file.name == "pyproject.toml":
        raise UsageError(f"{file} holds no [{TABLE}]. Add it, or name a policy file of its own")
    return policy_from(data, str(file))


def policy_from(data: Any, source: str) -> Policy:
    """Return the policy that a table says.

    Raises:
        UsageError: for an unknown key or a value that its rule excludes.
    """
    at = f"{source}: "
    table = _table(data, source)
    _known(table, KEYS, at)
    made: dict[str, Any] = {"source": source}
    if "risk_limit" in table:
        made["risk_limit"] = _share(table["risk_limit"], f"{at}risk_limit")
    for name, choices in (("undecided", Undecided), ("left_out", Undecided), ("min_level", Level)):
        if name in table:
            made[name] = _choice(table[name], choices, f"{at}{name}")
    for kind, what in (("models", "specs of models"), ("required", "properties or node ids of tests")):
        if kind in table:
            made[kind] = _named(table[kind], f"{at}{kind}", what)
    made["required"] = tuple(name if is_place(name) else property_name(name) for name in made.get("required", ()))
    for kind in ("properties", "markers"):
        rules = _table(table.get(kind, {}), f"{at}{kind}")
        called = [property_name(name) if kind == "properties" else name for name in rules]
        if twice := next((name for name in called if called.count(name) > 1), None):
            raise UsageError(f"{at}{kind} has two rules for {twice!r}; once is enough")
        parts = (_rule(part, f"{at}{kind}.{name}") for name, part in rules.items())
        made[kind] = MappingProxyType(dict(zip(called, parts, strict=True)))
    waivers = table.get("waivers", [])
    if not isinstance(waivers, list):
        raise UsageError(f"{at}waivers is {waivers!r:.80}, but must be a list of tables: write [[waivers]]")
    made["waivers"] = tuple(_waiver(part, f"{at}waiver {n}") for n, part in enumerate(waivers, start=1))
    return Policy(**made)


def property_name(name: str) -> str:
    """Return the property that a name in a policy stands for; searches are called as the terminal calls them too."""
    known = full_name(name)
    is_search = known.partition(":")[0].strip().lower() == SEARCH or known in SEARCHES
    return SEARCH if is_search else known


def is_place(name: str) -> bool:
    """Return whether a name is a test, a file or a folder, and no property."""
    return "::" in name or "/" in name or name.endswith(".py")


def _rule(data: Any, at: str) -> Rule:
    table = _table(data, at)
    _known(table, ("level", "tolerance", "undecided", "min_questions", "metric"), f"{at}: ")
    made: dict[str, Any] = {}
    if "level" in table:
        made["level"] = _choice(table["level"], Level, f"{at}.level")
    if "tolerance" in table:
        made["tolerance"] = _share(table["tolerance"], f"{at}.tolerance")
    if "undecided" in table:
        made["undecided"] = _choice(table["undecided"], Undecided, f"{at}.undecided")
    if "min_questions" in table:
        number = table["min_questions"]
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise UsageError(f"{at}.min_questions is {number!r}, but must be a whole number from 1")
        made["min_questions"] = number
    if "metric" in table:
        made["metric"] = _metric(table["metric"], f"{at}.metric")
    return Rule(**made)


def _waiver(data: Any, at: str) -> Waiver:
    table = _table(data, at)
    _known(table, ("property", "where", "owner", "reason", "expires", "up_to"), f"{at}: ")
    for name in ("owner", "reason", "expires"):
        if name not in table:
            raise UsageError(
                f"{at} has no {name}, but a waiver needs an owner, a reason and the last day that it counts"
            )
    if "property" not in table and "where" not in table:
        raise UsageError(f"{at} names no check. Give property, or where (the node id of a test), or both")
    optional = {name: _text(table[name], f"{at}: {name}") if name in table else None for name in ("property", "where")}
    return Waiver(
        property=None if optional["property"] is None else property_name(optional["property"]),
        where=optional["where"],
        owner=_text(table["owner"], f"{at}: owner"),
        reason=_text(table["reason"], f"{at}: reason"),
        expires=_date(table["expires"], f"{at}: expires"),
        up_to=_share(table["up_to"], f"{at}: up_to") if "up_to" in table else None,
    )


def _table(data: Any, at: str) -> Mapping[str, Any]:
    if not isinstance(data, Mapping):
        raise UsageError(f"{at} is {data!r:.80}, but must be a table")
    return data


def _known(table: Mapping[str, Any], names: Collection[str], at: str) -> None:
    for key in table:
        if key not in names:
            hint = did_you_mean(key, names) or "."
            raise UsageError(f"{at}there is no key {key!r}; the keys are {', '.join(names)}{hint}")


def _choice(value: Any, kind: Any, at: str) -> Any:
    if value not in get_args(kind):
        raise UsageError(f"{at} is {value!r:.80}, but must be one of {', '.join(get_args(kind))}")
    return value


def _metric(value: Any, at: str) -> str:
    known = (*METRICS, "negative_flips", COUNTER_EXAMPLE)
    if value not in known:
        raise UsageError(
            f"{at} is {value!r:.80}, but must be one of {', '.join(known)}{did_you_mean(str(value), known)}"
        )
    return str(value)


def _share(value: Any, at: str) -> Fraction:
    try:
        return as_tolerance(value)
    except UsageError as error:
        raise UsageError(f"{at} is {value!r:.80}, but must be a number from 0 to below 1") from error


def _named(value: Any, at: str, what: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise UsageError(f"{at} is {value!r:.80}, but must be a list of {what}")
    names = tuple(_text(part, at) for part in value)
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"{at} names {twice!r} twice; once is enough")
    return names


def _text(value: Any, at: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{at} is {value!r:.80}, but must be text")
    return value.strip()


def _date(value: Any, at: str) -> datetime.date:
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value
    try:
        return datetime.date.fromisoformat(value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{at} is {value!s:.80}, but must be a day such as 2026-03-31") from error
