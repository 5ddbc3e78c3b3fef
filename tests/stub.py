"""The package's stub, for type checkers and editors, made from its table of names: `python -m tests.stub` writes it.

Assertions that are made of properties have no source that an editor could read: their signatures stand here, told by the
functions themselves.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest_llminvariance
from pytest_llminvariance import assertions
from pytest_llminvariance.checks.properties import by_assertion

STUB = Path(pytest_llminvariance.__file__).with_suffix(".pyi")
HEAD = "# made by `python -m tests.stub` from the table in __init__.py; a test compares them\n# ruff: noqa: I001\n\n"
PLAIN = (bool, int, float, str, type(None))
"""Defaults that can be read as they are."""


def stub_text() -> str:
    """Return one import a name, sorted as ruff sorts them, and the signatures of the assertions that are made."""
    lines: set[tuple[str, str, str]] = set()
    for name, home in pytest_llminvariance._HOMES.items():
        module = f"pytest_llminvariance.{home}"
        if name not in made():
            lines.add((module.rpartition(".")[0] if name in pytest_llminvariance._MODULES else module, name, name))
    functions = []
    for name in made():
        signature, homes = inspect.signature(getattr(pytest_llminvariance, name)), homes_of(name)
        texts = [str(part.annotation) for part in signature.parameters.values()]
        lines |= {imported(word, homes) for text in (*texts, "Finding") for word in words(text)}
        functions.append(function_text(name, signature))
    twice = {here for _, _, here in lines if sum(other == here for _, _, other in lines) > 1}
    assert not twice, f"{twice} mean two things in one stub. Rename one"
    public = {name for _, _, name in lines if name in pytest_llminvariance._HOMES}
    imports = [
        f"from {module} import {name}{f' as {alias}' if alias in public or alias != name else ''}\n"
        for module, name, alias in sorted(lines)
    ]
    return (
        HEAD
        + "".join(imports)
        + "\n__all__: list[str]\n_HOMES: dict[str, str]\n_MODULES: set[str]\n\n"
        + "\n".join(functions)
    )


def made() -> list[str]:
    """Return the assertions that are made of a property, sorted."""
    return [name for name in pytest_llminvariance._HOMES if name.startswith("assert_") and name not in vars(assertions)]


def function_text(name: str, signature: inspect.Signature) -> str:
    """Return one function, each parameter on a line of its own, with what it does."""
    says = textwrap.indent((inspect.getdoc(getattr(pytest_llminvariance, name)) or "").strip(), "    ").lstrip()
    return (
        f'def {name}(\n{"".join(_parameters(signature))}) -> {signature.return_annotation}:\n    """{says}\n    """\n'
    )


def _parameters(signature: inspect.Signature) -> Iterator[str]:
    seen = False
    for part in signature.parameters.values():
        if part.kind is part.KEYWORD_ONLY and not seen:
            seen = True
            yield "    *,\n"
        yield f"    {part.name}: {part.annotation}{_default(part.default)},\n"


def _default(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return ""
    return f" = {quoted(value)}" if isinstance(value, PLAIN) else " = ..."


def quoted(value: object) -> str:
    """Return a default as Python, in the quotes that the formatter likes."""
    return repr(value) if not isinstance(value, str) else '"' + value + '"'


def words(annotation: str) -> set[str]:
    """Return the names that an annotation uses and Python does not know."""
    found = {node.id for node in ast.walk(ast.parse(annotation)) if isinstance(node, ast.Name)}
    return {name for name in found if not hasattr(builtins, name)}


def homes_of(name: str) -> tuple[str, ...]:
    """Return the modules in which the annotations of an assertion are written."""
    kind: Any = by_assertion()[name]
    return kind.__init__.__module__, kind.asked.__module__, assertions.__name__


def imported(name: str, homes: tuple[str, ...]) -> tuple[str, str, str]:
    """Return where a name comes from: module, its name there, and its name here."""
    for home in homes:
        tree = ast.parse(inspect.getsource(sys.modules[home]))
        for node in tree.body:
            for alias in node.names if isinstance(node, ast.ImportFrom) else ():
                if name == (alias.asname or alias.name):
                    assert isinstance(node, ast.ImportFrom)
                    return str(node.module), alias.name, name
        if hasattr(sys.modules[home], name):
            return home, name, name
    raise LookupError(f"{name} is in none of {homes}")


if __name__ == "__main__":
    STUB.write_text(stub_text())
