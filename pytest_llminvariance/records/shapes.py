"""Whether data of a record have the shape that the published JSON Schemas give them.

jsonschema needs most of a millisecond for an answer, and a record holds hundreds of thousands. So each schema is first
made into plain functions, which say whether data are right; jsonschema finds what is wrong where they are not.
"""

from __future__ import annotations

import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, reduce
from pathlib import Path
from typing import Any, Literal

from pytest_llminvariance.checks.verdict import READABLE_VERSIONS
from pytest_llminvariance.errors import RecordError

Shape = Literal["findings", "finding", "unfinished", "search", "run", "answer", "sheet"]
Test = Callable[[Any], bool]

SCHEMAS = Path(__file__).parents[1] / "schemas"
INNER: Mapping[str, tuple[str, ...]] = {
    "finding": ("findings", "$defs", "finding"),
    "unfinished": ("findings", "properties", "unfinished", "items"),
    "search": ("findings", "properties", "searches", "items"),
}
"""Shapes that are parts of a published schema, and where they stand in it."""
TYPES: Mapping[str, tuple[str, frozenset[type]]] = {
    "string": ("text", frozenset([str])),
    "integer": ("a whole number", frozenset([int])),
    "number": ("a number", frozenset([int, float])),
    "boolean": ("true or false", frozenset([bool])),
    "array": ("a list", frozenset([list])),
    "object": ("an object", frozenset([dict])),
    "null": ("null", frozenset([type(None)])),
}
"""What they are called, and what `json` reads them as."""
LIMITS = {
    "minimum": " from {:g}", "maximum": " to {:.3g}", "exclusiveMaximum": " to below {:g}", "minItems": " of {} or more",
    "pattern": " that matches {}",
}  # fmt: skip
ANYTHING = ("additionalProperties", True)
NOTES = {"$schema", "$defs", "title", "description", "default", "format"}
"""Keywords that forbid nothing."""


def check_shape(shape: Shape, data: Any, at: str) -> None:
    """Refuse data that its schema does not allow.

    Raises:
        RecordError: names `at`, the field, its value, and what it must be.
    """
    if _test_of(shape)(data):
        return
    error = min(_validator(shape).iter_errors(data), key=lambda error: (error.validator == "required", str(error.path)))
    path, value, rule = list(error.absolute_path), error.instance, error.schema
    if error.validator == "required":
        name = next(name for name in error.validator_value if name not in value)
        path, value, rule = [*path, name], None, rule["properties"][name]
    place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    raise RecordError(f"{at}: {place} is {value!r:.80}, but must be {_words(rule)}".replace(":  is", " is"))


def with_defaults(shape: Shape, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object with the fields that it may lack, as its schema says what they are then."""
    return {**_defaults(shape), **row}


def read_json(file: Path) -> dict[str, Any]:
    """Read a file of a record that holds one object.

    Raises:
        RecordError: if it cannot be read, holds anything else, or is of another version.
    """
    try:
        data = json.loads(file.read_text(encoding="utf-8"), parse_constant=no_constant)
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{file} cannot be read as JSON ({error}), so there is no evidence") from error
    if not isinstance(data, dict):
        raise RecordError(f"{file} holds {type(data).__name__}, but must hold an object")
    version = data.get("schema_version", READABLE_VERSIONS[0])
    if version not in READABLE_VERSIONS or type(version) is not int:
        raise RecordError(
            f"{file} has schema_version {version!r}, but this version reads {' and '.join(map(str, READABLE_VERSIONS))}. "
            "Use the version of pytest-llminvariance that wrote it"
        )
    return data


def no_constant(text: str) -> float:
    """Refuse NaN and the infinities, which are no JSON."""
    raise ValueError(f"{text} is no number of JSON")


@cache
def _schema(shape: Shape) -> dict[str, Any]:
    name, *keys = INNER.get(shape, (shape,))
    whole = part = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    for key in keys:
        part = part[key]
    return {**part, "$defs": whole.get("$defs", {})}


@cache
def _defaults(shape: Shape) -> dict[str, Any]:
    return {name: part["default"] for name, part in _schema(shape)["properties"].items() if "default" in part}


@cache
def _test_of(shape: Shape) -> Test:
    return _test(_schema(shape), _schema(shape)["$defs"])


@cache
def _validator(shape: Shape) -> Any:
    """Return what finds errors: to it too whole numbers have no point, and numbers are finite."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    tests = {name: _test({"type": name}, {}) for name in ("integer", "number")}
    checker = Draft202012Validator.TYPE_CHECKER.redefine_many(
        {name: lambda _, value, test=test: test(value) for name, test in tests.items()}
    )
    return extend(Draft202012Validator, type_checker=checker)(_schema(shape))


def _test(part: Mapping[str, Any], defs: Mapping[str, Any]) -> Test:
    """Return whether a value is as a schema says, as a function."""
    tests = [
        _keyword(name, rule, part, defs)
        for name, rule in part.items()
        if (name, rule) != ANYTHING and name not in NOTES
    ]
    return tests[0] if len(tests) == 1 else _every(tests)


def _every(tests: Sequence[Test]) -> Test:
    def test(value: Any) -> bool:
        for is_right in tests:  # noqa: SIM110 - a generator takes twice the time, and a record holds many lines
            if not is_right(value):
                return False
        return True

    return test


def _either(first: Test, second: Test) -> Test:
    return lambda value: first(value) or second(value)


def _keyword(name: str, rule: Any, part: Mapping[str, Any], defs: Mapping[str, Any]) -> Test:
    """Return the test of one keyword; a value of a type that it is not about passes."""
    match name:
        case "$ref":
            return _test(defs[rule.rpartition("/")[2]], defs)
        case "type":
            return _of_type([rule] if isinstance(rule, str) else rule)
        case "enum" | "const":
            known = frozenset((type(one), one) for one in (rule if name == "enum" else [rule]))
            return lambda value: type(value) in (str, int, bool) and (type(value), value) in known
        case "minimum" | "maximum" | "exclusiveMaximum":
            holds = {"minimum": operator.ge, "maximum": operator.le, "exclusiveMaximum": operator.lt}[name]
            return lambda value: type(value) not in (int, float) or holds(value, rule)
        case "minItems" | "maxItems":
            bound = operator.ge if name == "minItems" else operator.le
            return lambda value: type(value) is not list or bound(len(value), rule)
        case "pattern":
            search = re.compile(rule).search
            return lambda value: type(value) is not str or search(value) is not None
        case "items":
            test = _test(rule, defs)
            return lambda value: type(value) is not list or all(map(test, value))
        case "uniqueItems":
            return lambda value: type(value) is not list or len(set(map(repr, value))) == len(value)
        case "anyOf":
            return reduce(_either, [_test(one, defs) for one in rule])
        case "oneOf":
            kinds = {
                one["properties"]["kind"]["const"]: _test(one, defs) for one in rule
            }  # only kinds are told apart so
            return lambda value: type(value) is dict and _of_kind(kinds, value)
        case "required":
            needed = frozenset(rule)
            return lambda value: type(value) is not dict or needed <= value.keys()
        case "properties":
            return _fields({field: _test(part, defs) for field, part in rule.items()})
        case "additionalProperties":
            known, other = part.get("properties", {}).keys(), _test(rule, defs) if isinstance(rule, dict) else None
            if other is None:
                return lambda value: type(value) is not dict or value.keys() <= known
            return lambda value: type(value) is not dict or all(other(value[n]) for n in value.keys() - known)
    raise ValueError(f"the keyword {name!r} of a schema is not known here")


def _of_type(names: Sequence[str]) -> Test:
    types: frozenset[type] = frozenset().union(*(TYPES[name][1] for name in names))
    if float not in types:
        return lambda value: type(value) in types
    return lambda value: type(value) in types and (type(value) is not float or value - value == 0)


def _of_kind(kinds: Mapping[str, Test], value: Mapping[str, Any]) -> bool:
    kind = value.get("kind")
    test = kinds.get(kind) if type(kind) is str else None
    return test is not None and test(value)


def _fields(tests: Mapping[str, Test]) -> Test:
    def test(value: Any) -> bool:
        if type(value) is dict:
            for name, found in value.items():  # a line has few of the fields that it may have
                is_right = tests.get(name)
                if is_right is not None and not is_right(found):
                    return False
        return True

    return test


def _words(rule: Mapping[str, Any]) -> str:
    """Return what a schema asks for."""
    if parts := rule.get("anyOf", rule.get("oneOf")):
        return " or ".join(dict.fromkeys(map(_words, parts)))
    if "const" in rule or "enum" in rule:
        values = rule.get("enum", [rule.get("const")])
        return f"{'one of ' * (len(values) > 1)}{', '.join(map(str, values))}"
    if "type" not in rule and "required" in rule:
        return f"an object with {', '.join(rule['required'])}"
    names = rule.get("type", "object")  # references are to objects
    names = [names] if isinstance(names, str) else names
    words = [TYPES[name][0] for name in names]
    if "items" in rule and _words(rule["items"]) == "text":
        words[0] = "a list of texts"
    words[0] += "".join(text.format(rule[name]) for name, text in LIMITS.items() if name in rule)
    if kind := rule.get("properties", {}).get("kind", {}).get("const"):
        words[0] += f" of the kind {kind} with {', '.join(rule['required'][1:])}"
    return " or ".join(words)
