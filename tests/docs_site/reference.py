"""Reference pages made from the code: settings, commands, public names, schemas and changes."""

from __future__ import annotations

import dataclasses
import html
import inspect
import json
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import typer

import pytest_llminvariance
from pytest_llminvariance import assertions
from pytest_llminvariance.cli import app
from pytest_llminvariance.plugin.options import Settings

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "pytest_llminvariance" / "schemas"
API = {
    "Assertions": ("assertions",),
    "Checks and runs": ("checks",),
    "Questions": ("questions",),
    "Transforms": ("transforms", "paraphrases"),
    "Models": ("models", "measures"),
    "Searching": ("search", "strategies"),
    "Reports": ("report",),
    "Errors": ("errors",),
}
"""Pages of public names: title, and the rooms whose names stand on it."""


def settings_table() -> str:
    """Return the table of flags and ini keys, as docs/settings.md holds it."""
    rows = ["| flag | ini key | meaning |", "|---|---|---|"]
    for item in dataclasses.fields(Settings):
        value = f"={item.metadata['metavar']}" if item.metadata["metavar"] else ""
        flag = f"--invariance-{item.name.replace('_', '-')}{value}"
        rows.append(f"| `{flag}` | `invariance_{item.name}` | {item.metadata['help']} |")
    return "\n".join(rows)


def commands() -> str:
    """Return a section for each command: usage, what it does, arguments and options."""
    return "\n".join(_command(typer.main.get_command(app), None, "llminvariance"))


def _command(command: Any, around: Any, name: str) -> Iterator[str]:
    context = command.make_context(name, [], parent=around, resilient_parsing=True)
    inner = getattr(command, "commands", {})
    if around is not None:
        path = command.get_usage(context).removeprefix("Usage: ")
        yield f"\n## {context.command_path}\n\n```text\n{path}\n```\n\n{_text(inspect.cleandoc(command.help or ''))}\n"
        told = [record for part in command.get_params(context) if (record := part.get_help_record(context))]
        rows = [f"| {_code(names)} | {_cell(_text(says))} |" for names, says in told if "--help" not in names]
        yield "\n".join(["| argument or option | meaning |", "|---|---|", *rows, ""]) if rows and not inner else ""
    for each in inner.values():
        yield from _command(each, context, each.name)


def _code(text: str) -> str:
    """Return code for a cell of a table; a bar there would end the cell."""
    return f"<code>{html.escape(text).replace('|', '&#124;')}</code>"


def _cell(text: str) -> str:
    return text.replace("\n", " ").replace("|", "\\|")


def _text(text: str) -> str:
    """Return text of a help page as Markdown that says the same."""
    return text.replace("<", "&lt;").replace("*", "\\*").replace("[", "\\[").replace("_", "\\_").replace("\b", "")


def api_pages() -> Mapping[str, str]:
    """Return file and text of each page of public names; a test sees that none is missing."""
    pages = {}
    for title, rooms in API.items():
        homes = pytest_llminvariance._HOMES.items()
        names = sorted((name, home) for name, home in homes if home.partition(".")[0] in rooms)
        parts = [_api(name, home) for name, home in names]
        pages[f"api/{title.lower().replace(' ', '-')}.md"] = "\n".join([f"# {title}\n", *parts])
    return pages


def _api(name: str, home: str) -> str:
    module = f"pytest_llminvariance.{home}"
    if name in pytest_llminvariance._MODULES:
        return f"::: {module if module.endswith(name) else f'{module}.{name}'}\n"
    if name.startswith("assert_") and name not in vars(assertions):  # made of a property's class
        return _made(name)
    return f"::: {module}.{name}\n"


def _made(name: str) -> str:
    """Return the section of an assertion that no file holds: it is made of its property when it is asked for."""
    function = getattr(assertions, name)
    shown = [f"    {_parameter(part)},\n" for part in _with_star(inspect.signature(function).parameters)]
    says, _, raises = inspect.cleandoc(function.__doc__).partition("\n\nRaises:\n")
    rows = [line.strip().partition(": ") for line in raises.splitlines() if line.strip()]
    listed = "\n".join(f"- `{error}`: {when}" for error, _, when in rows)
    code = f"```python\n{name}(\n{''.join(shown)}) -> Finding\n```"
    return f"## {name} {{#pytest_llminvariance.{name}}}\n\n{code}\n\n{inspect.cleandoc(says)}\n\nRaises:\n\n{listed}\n"


def _with_star(parameters: Mapping[str, inspect.Parameter]) -> Iterator[inspect.Parameter | str]:
    starred = False
    for part in parameters.values():
        if part.kind is inspect.Parameter.KEYWORD_ONLY and not starred:
            starred = True
            yield "*"
        yield part


def _parameter(part: inspect.Parameter | str) -> str:
    if isinstance(part, str):
        return part
    hint = "" if part.annotation is part.empty else f": {part.annotation}"
    return f"{part.name}{hint}" + ("" if part.default is part.empty else f" = {part.default!r}")


def schema_page() -> str:
    """Return the fields of each file of a record, as its JSON schema has them."""
    parts = []
    for file in sorted(SCHEMAS.glob("*.schema.json")):
        schema = json.loads(file.read_text("utf-8"))
        name = file.name.removesuffix(".schema.json")
        parts += [
            f"## {name}\n",
            f"{schema['title']}. The schema itself: [{file.name}](../pytest_llminvariance/schemas/{file.name}).\n",
        ]
        parts.append(_fields(schema))
        for part, inner in schema.get("$defs", {}).items():
            parts += [f"### {name}: {part}\n", _fields(inner)]
    return "\n".join(parts)


def _fields(schema: Mapping[str, Any]) -> str:
    needed = schema.get("required", [])
    rows = ["| field | type | must be there | what it holds |", "|---|---|---|---|"]
    for name, told in schema.get("properties", {}).items():
        there = "yes" if name in needed else ""
        rows.append(f"| `{name}` | {_cell(_type(told))} | {there} | {_cell(told.get('description', ''))} |")
    return "\n".join(rows) + "\n"


def _type(told: Mapping[str, Any]) -> str:
    if "$ref" in told:
        return str(told["$ref"]).rpartition("/")[2]
    if "enum" in told or "const" in told:
        return ", ".join(f"`{json.dumps(value)}`" for value in told.get("enum", [told.get("const")]))
    if "anyOf" in told or "oneOf" in told:
        return " or ".join(_type(one) for one in told.get("anyOf", told.get("oneOf", [])))
    kinds = told.get("type", "any")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    of = f" of {_type(told['items'])}" if isinstance(told.get("items"), dict) else ""
    return " or ".join(f"{kind}{of if kind == 'array' else ''}" for kind in kinds)


def changelog() -> str:
    """Return the changes that are not released yet, by type, in the order of pyproject.toml."""
    read = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    parts = [f"## Not released yet (after {read['project']['version']})\n"]
    for kind in read["tool"]["towncrier"]["type"]:
        files = sorted((ROOT / read["tool"]["towncrier"]["directory"]).glob(f"*.{kind['directory']}.md"))
        lines = [line for file in files for line in _items(file.read_text("utf-8"))]
        parts += [f"### {kind['name']}\n", *lines, ""]
    return "\n".join(parts)


def _items(text: str) -> list[str]:
    """Return a fragment as items of a list; each of its lines that begins an item is one."""
    if text.lstrip().startswith("- "):
        return [text.strip("\n")]
    return ["- " + text.strip().replace("\n", "\n  ")]
