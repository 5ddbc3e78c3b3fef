"""Whether data of a record have the shape that the published JSON Schemas give them.

jsonschema needs most of a millisecond for an answer, and a record holds hundreds of thousands. So each schema is first
made into plain functions, which say whether data are right; jsonschema finds what is wrong where they are not.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pytest_llminvariance.checks.verdict import SCHEMA_VERSION
from pytest_llminvariance.errors import RecordError

Shape = Literal["findings", "finding", "unfinished", "run", "answer", "sheet"]
Test = Callable[[Any], bool]

SCHEMAS = Path(__file__).parents[1] / "schemas"
INNER: Mapping[str, tuple[str, ...]] = {
    "finding": ("findings", "$defs", "finding"),
    "unfinished": ("findings", "properties", "unfinished", "items"),
}
"""Shapes that are parts of a published schema, and where they stand in it."""
TYPES: Mapping[str, frozenset[type]] = {
    "string": frozenset([str]),
    "integer": frozenset([int]),
    "number": frozenset([int, float]),
    "boolean": frozenset([bool]),
    "array": frozenset([list]),
    "object": frozenset([dict]),
    "null": frozenset([type(None)]),
}
"""What `json` reads them as."""
WORDS = {
    "string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false", "array": "a list",
    "object": "an object", "null": "null",
}  # fmt: skip
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
        path, value, rule = [*path, name], None, error.schema["properties"].get(name, {})
    raise RecordError(f"{at}{_path(path)} is {value!r:.80}, but must be {_words(_found(rule, _schema(shape)[1]))}")


def with_defaults(shape: Shape, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object with the fields that it may lack, as its schema says what they are then."""
    return {**_defaults(shape), **row}


def read_json(file: Path) -> dict[str, Any]:
    """Read a file of a record that holds one object.

    Raises:
        RecordError: if it cannot be read, or holds anything else.
    """
    try:
        data = json.loads(file.read_text(encoding="utf-8"), parse_constant=no_constant)
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{file} cannot be read as JSON ({error}), so there is no evidence") from error
    if not isinstance(data, dict):
        raise RecordError(f"{file} holds {type(data).__name__}, but must hold an object")
    version = data.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise RecordError(
            f"{file} has schema_version {version!r}, but this version reads {SCHEMA_VERSION}. "
            "Use the version of pytest-llminvariance that wrote it"
        )
    return data


def no_constant(text: str) -> float:
    """Refuse NaN and the infinities, which are no JSON."""
    raise ValueError(f"{text} is no number of JSON")


@cache
def _schema(shape: Shape) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a schema, and the whole one that its references are looked up in."""
    name, *keys = INNER.get(shape, (shape,))
    whole: dict[str, Any] = json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))
    part = whole
    for key in keys:
        part = part[key]
    return {**part, "$defs": whole.get("$defs", {})}, whole


@cache
def _defaults(shape: Shape) -> dict[str, Any]:
    return {name: part["default"] for name, part in _schema(shape)[0]["properties"].items() if "default" in part}


@cache
def _test_of(shape: Shape) -> Test:
    return _test(*_schema(shape))


@cache
def _validator(shape: Shape) -> Any:
    """Return the judge of what is wrong: whole numbers have no point, numbers are finite."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    checker = Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": lambda _, value: type(value) is int, "number": lambda _, value: _is_number(value)}
    )
    return extend(Draft202012Validator, type_checker=checker)(_schema(shape)[0])


def _is_number(value: Any) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))


def _test(part: Mapping[str, Any], whole: Mapping[str, Any]) -> Test:
    """Return whether a value is as a schema says, as a function."""
    part = _found(part, whole)
    tests = [made(part, whole) for keywords, made in _RULES if keywords & part.keys()]
    unknown = part.keys() - _KNOWN - NOTES
    if unknown:
        raise ValueError(f"the keyword {min(unknown)!r} of a schema is not known here")
    if len(tests) == 1:
        return tests[0]
    if len(tests) == 2:
        first, second = tests
        return lambda value: first(value) and second(value)
    return lambda value: all(test(value) for test in tests)


def _found(part: Mapping[str, Any], whole: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in part:
        part = whole["$defs"][part["$ref"].rpartition("/")[2]]
    return part


def _type(part: Mapping[str, Any], _: Mapping[str, Any]) -> Test:
    names = [part["type"]] if isinstance(part["type"], str) else part["type"]
    types = frozenset().union(*(TYPES[name] for name in names))
    if "number" in names:
        return lambda value: type(value) in types and value * 0 == 0 if type(value) is float else type(value) in types
    return lambda value: type(value) in types


def _enum(part: Mapping[str, Any], _: Mapping[str, Any]) -> Test:
    known = set(part["enum"])
    return lambda value: type(value) is str and value in known


def _const(part: Mapping[str, Any], _: Mapping[str, Any]) -> Test:
    wanted = part["const"]
    return lambda value: type(value) is type(wanted) and value == wanted


def _object(part: Mapping[str, Any], whole: Mapping[str, Any]) -> Test:
    tests = [(name, _test(rule, whole)) for name, rule in part.get("properties", {}).items()]
    required, others = frozenset(part.get("required", ())), part.get("additionalProperties", True)
    known = part.get("properties", {}).keys()
    other: Test = _test(others, whole) if isinstance(others, Mapping) else lambda _: bool(others)
    missing = object()

    def test(value: Any) -> bool:
        if type(value) is not dict:
            return True
        for name, is_right in tests:
            found = value.get(name, missing)
            if found is not missing and not is_right(found):
                return False
        return required <= value.keys() and (others is True or all(other(value[n]) for n in value.keys() - known))

    return test


def _items(part: Mapping[str, Any], whole: Mapping[str, Any]) -> Test:
    test = _test(part["items"], whole)
    return lambda value: type(value) is not list or all(map(test, value))


def _length(part: Mapping[str, Any], _: Mapping[str, Any]) -> Test:
    least, most = part.get("minItems", 0), part.get("maxItems", math.inf)
    return lambda value: type(value) is not list or least <= len(value) <= most


def _bounds(part: Mapping[str, Any], _: Mapping[str, Any]) -> Test:
    least, most = part.get("minimum", -math.inf), part.get("maximum", math.inf)
    below = part.get("exclusiveMaximum", math.inf)
    return lambda value: type(value) not in TYPES["number"] or (least <= value <= most and value < below)


def _pattern(part: Mapping[str, Any], _: Mapping[str, Any]) -> Test:
    pattern = re.compile(part["pattern"])
    return lambda value: type(value) is not str or pattern.search(value) is not None


def _unique(_: Mapping[str, Any], __: Mapping[str, Any]) -> Test:
    return lambda value: type(value) is not list or len(set(map(repr, value))) == len(value)


def _any(part: Mapping[str, Any], whole: Mapping[str, Any]) -> Test:
    tests = [_test(rule, whole) for rule in part.get("anyOf", part.get("oneOf", ()))]
    if "anyOf" in part:
        return lambda value: any(test(value) for test in tests)
    return lambda value: sum(test(value) for test in tests) == 1


_RULES: Sequence[tuple[frozenset[str], Callable[[Mapping[str, Any], Mapping[str, Any]], Test]]] = (
    (frozenset(["type"]), _type),
    (frozenset(["enum"]), _enum),
    (frozenset(["const"]), _const),
    (frozenset(["properties", "required", "additionalProperties"]), _object),
    (frozenset(["items"]), _items),
    (frozenset(["minItems", "maxItems"]), _length),
    (frozenset(["minimum", "maximum", "exclusiveMaximum"]), _bounds),
    (frozenset(["pattern"]), _pattern),
    (frozenset(["uniqueItems"]), _unique),
    (frozenset(["anyOf", "oneOf"]), _any),
)
"""Keywords that are read together, and what makes a test of them."""
_KNOWN = frozenset().union(*(keywords for keywords, _ in _RULES))


def _path(path: Sequence[str | int]) -> str:
    return ": " + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


def _words(rule: Mapping[str, Any]) -> str:
    """Return what a schema asks for."""
    if parts := rule.get("anyOf", rule.get("oneOf")):
        return " or ".join(dict.fromkeys(map(_words, parts)))
    if "const" in rule or "enum" in rule:
        values = rule.get("enum", [rule.get("const")])
        return f"{'one of ' * (len(values) > 1)}{', '.join(map(str, values))}"
    names = rule.get("type", "object")  # references are to objects
    names = [names] if isinstance(names, str) else names
    words = [WORDS[name] for name in names]
    if "items" in rule and _words(rule["items"]) == "text":
        words[0] = "a list of texts"
    kind = rule.get("properties", {}).get("kind", {}).get("const")
    if kind is not None:
        words[0] += f" of the kind {kind} with {', '.join(rule['required'][1:])}"
    if "minimum" in rule:
        words[0] += f" from {rule['minimum']}"
    if "maximum" in rule:
        words[0] += f" to {rule['maximum']:.6g}"
    if "exclusiveMaximum" in rule:
        words[0] += f" to below {rule['exclusiveMaximum']}"
    if "pattern" in rule:
        words[0] += " that is not empty" if rule["pattern"] == r"\S" else f" that matches {rule['pattern']}"
    if "minItems" in rule:
        words[0] += f" of {'exactly' if rule.get('maxItems') == rule['minItems'] else 'at least'} {rule['minItems']}"
    return " or ".join(words)
