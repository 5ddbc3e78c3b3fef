"""Validating a run directory against the published schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema

from pytest_llminvariance.records.lines import line_files, lines_of

SCHEMAS = Path(__file__).parents[2] / "pytest_llminvariance" / "schemas"


def schema(name: str) -> Any:
    return json.loads((SCHEMAS / f"{name}.schema.json").read_text())


def problems(directory: Path) -> list[str]:
    """Everything in a run directory that its schema does not allow, and every line that is no strict JSON."""
    found = []
    for name in ("findings", "run"):
        found += _problems(name, (directory / f"{name}.json").read_text(), f"{name}.json")
    for kind, name in (("answers", "answer"), ("sheets", "sheet")):
        files = line_files(directory, kind)
        assert files
        for line in lines_of(files):
            found += _problems(name, line.text.decode(), line.at)
    return found


def _problems(name: str, text: str, where: str) -> list[str]:
    data = json.loads(text, parse_constant=lambda word: f"no JSON: {word}")
    checker = jsonschema.Draft202012Validator(schema(name))
    return [f"{where}: {error.json_path}: {error.message[:200]}" for error in checker.iter_errors(data)]
