"""What is imported is declared; what README's commands install is pinned, every direct dependency of it, and within that."""

from __future__ import annotations

import ast
import itertools
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house.test_layers import imports
from tests.pins import ENGINES, ROOT, direct_dependencies, pin

PROJECT = ROOT / "pyproject.toml"


def pinned(file: Path) -> dict[str, str]:
    lines = (line.strip() for line in file.read_text("utf-8").splitlines())
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def test_every_direct_dependency_is_pinned_and_nothing_else() -> None:
    assert sorted(pinned(ROOT / "constraints.txt")) == direct_dependencies(PROJECT)


def test_pins_are_what_the_package_declares() -> None:
    pins = pinned(ROOT / "constraints.txt")
    read = tomllib.loads(PROJECT.read_text("utf-8"))
    told = [*read["project"]["dependencies"], *read["dependency-groups"]["tests"]]
    for extra, lines in read["project"]["optional-dependencies"].items():
        told += [] if extra in ENGINES else [line for line in lines if not line.startswith("pytest-llminvariance")]
    for need in map(Requirement, told):
        assert need.specifier.contains(pins[need.name]), need


def test_the_oldest_versions_are_the_declared_bounds() -> None:
    oldest = pinned(ROOT / "tests" / "lowest.txt")
    read = tomllib.loads(PROJECT.read_text("utf-8"))
    for need in map(Requirement, read["project"]["dependencies"]):
        (bound,) = need.specifier
        assert bound.operator == ">="
        assert oldest[need.name].removesuffix(".0").removesuffix(".0") == bound.version.removesuffix(".0"), need


def test_a_build_label_is_no_part_of_a_pin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.pins.version", lambda name: "2.13.0+cpu")
    assert pin("torch") == "torch==2.13.0"


def test_what_is_imported_is_declared() -> None:
    read = tomllib.loads(PROJECT.read_text("utf-8"))
    told = [*read["project"]["dependencies"], *itertools.chain(*read["project"]["optional-dependencies"].values())]
    declared = {canonicalize_name(Requirement(line).name) for line in told}
    trees = [ast.parse(path.read_text("utf-8")) for path in (ROOT / "pytest_llminvariance").rglob("*.py")]
    named = {name.partition(".")[0] for tree in trees for name in imports(tree)} - {"pytest_llminvariance"}
    foreign = named - sys.stdlib_module_names
    assert {"jinja2", "yaml"} <= foreign
    names = {canonicalize_name({"yaml": "pyyaml"}.get(name, name)) for name in foreign}
    assert not names - declared, "imported, but at most a dependency of a dependency"
