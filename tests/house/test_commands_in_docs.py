"""Commands, options and environments that README, docs, examples and workflows name are there."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from pytest_llminvariance.cli import app
from pytest_llminvariance.plugin.options import Settings

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
FILES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted(file for file in (ROOT / "examples/ci").iterdir()),
    *sorted((ROOT / "pytest_llminvariance/cli/scaffold").iterdir()),
    *WORKFLOWS,
]
CALL = re.compile(r"(?<![\w-])llminvariance((?: [a-z]+)+)((?: [^\n`|;&#]*)?)")
CODE = re.compile(r"```(?:sh|yaml|text)?\n(.*?)```|`([^`\n]+)`", re.DOTALL)
FLAGS = {f"--invariance-{field.name.replace('_', '-')}" for field in dataclasses.fields(Settings)}


def commands(command: Any = None, path: str = "") -> Iterator[tuple[str, set[str]]]:
    """Yield every command with its options."""
    command = command or typer.main.get_command(app)
    yield path, {"--help", *(option for part in command.params for option in part.opts)}
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{path} {name}")


COMMANDS = dict(commands())


def calls(text: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the longest command that a call names, and its options; prose such as `llminvariance is` names none."""
    for words, rest in CALL.findall(text.replace("\\\n", " ")):
        found = words
        while found and found not in COMMANDS:
            found = found.rpartition(" ")[0]
        named = re.findall(r"(?<!\S)--[a-z][a-z-]*", f"{words[len(found) :]}{rest}")
        yield found, [flag for flag in named if not flag.startswith("--invariance-")]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_what_is_called_is_there(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    code = "\n".join(block or inline for block, inline in CODE.findall(text))
    for command, options in calls(code if file.suffix == ".md" else text):
        assert command, f"{file.name} calls a command that is not there"
        assert set(options) <= COMMANDS[command], (command, set(options) - COMMANDS[command])
    flags = set(re.findall(r"(?<![\w-])--invariance-[a-z-]*[a-z]", text))
    assert flags <= FLAGS, flags - FLAGS


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_workflows_are_yaml_and_run_environments_that_exist(file: Path) -> None:
    flow = yaml.safe_load(file.read_text())
    known = set(re.findall(r"^\[testenv:(\w+)\]", (ROOT / "tox.ini").read_text(), re.MULTILINE))
    for job in flow["jobs"].values():
        matrix = job.get("strategy", {}).get("matrix", {})
        for step in job["steps"]:
            for named in re.findall(r"tox run -e (\S+|\$\{\{.*?\}\})", step.get("run", "")):
                names = matrix["environment"] if named.startswith("$") else named.split(",")
                assert set(names) <= known, (file.name, names)


def test_workflows_cover_what_the_package_declares() -> None:
    flow = yaml.safe_load((ROOT / ".github/workflows/test.yml").read_text())
    matrix = flow["jobs"]["pinned"]["strategy"]["matrix"]
    lowest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"].removeprefix(">=")
    assert matrix["python"] == [lowest, "3.12", "3.13", "3.14"]
    assert {name.partition("-")[0] for name in matrix["os"]} == {"ubuntu", "macos", "windows"}
