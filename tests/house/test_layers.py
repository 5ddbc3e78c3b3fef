"""Imports only go down; heavy packages stay where they belong; files and functions stay small."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "pytest_llminvariance"
ROOMS = (
    "errors",
    "files",
    "questions",
    "transforms",
    "models",
    "measures",
    "checks",
    "records",
    "gate",
    "report",
    "search",
    "assertions",
    "hypothesis_profile",
    "strategies",
    "paraphrases",
    "plugin",
    "cli",
)
"""From the lowest up: a room imports from rooms before it, and from itself."""
TORCH = {f"models.local.{path.stem}" for path in (PACKAGE / "models" / "local").glob("[a-z]*.py")}
HOMES: dict[str, set[str]] = {  # a room, or a module
    "pytest": {"plugin"},
    "hypothesis": {"hypothesis_profile", "search.guidance", "search.conversations", "strategies"},
    "torch": {"models.local"},
    "transformers": {"models.local"},
    "typer": {"cli"},
    "vllm": {"models.local.vllm_start", "models.local.vllm_engine"},
    "httpx": {"models.served.client"},
    "tenacity": {"models.served.client"},
    "sqlite3": {"models.cache_file", "models.cache"},
    "pickle": set(),
    "scipy": {"measures.flips", "measures.noise", "measures.estimates", "measures.paired_tests", "checks.guards"},
    "jinja2": {"report.html"},
    "pandas": {"report.instrument"},
    "huggingface_hub": {"report.card"},
    "yaml": {"report.card"},
    "datasets": {"questions.tables"},
}
# a type checker needs the whole public surface in one place
LONG_FILES: set[str] = set()


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


MODULES = {name_of(path): ast.parse(path.read_text()) for path in PACKAGE.rglob("*.py") if name_of(path)}


def imports(tree: ast.Module) -> set[str]:
    """Every imported module, lazy and type-checking imports too."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def own(tree: ast.Module) -> set[str]:
    found = {
        name.removeprefix("pytest_llminvariance.") for name in imports(tree) if name.startswith("pytest_llminvariance.")
    }
    return found & MODULES.keys()


def room_of(module: str) -> str:
    return module.partition(".")[0]


def is_in(module: str, homes: set[str]) -> bool:
    return any(module == home or module.startswith(f"{home}.") for home in homes)


def test_every_module_is_in_a_room() -> None:
    assert {room_of(name) for name in MODULES} == set(ROOMS)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_down_or_stay_in_the_room(module: str) -> None:
    height = ROOMS.index(room_of(module))
    assert not {other for other in own(MODULES[module]) if ROOMS.index(room_of(other)) > height}


def test_there_is_no_import_cycle() -> None:
    left = {module: own(tree) - {module} for module, tree in MODULES.items()}
    while ready := {module for module, needs in left.items() if not needs & left.keys()}:
        left = {module: needs for module, needs in left.items() if module not in ready}
    assert not left


@pytest.mark.parametrize("package", HOMES)
def test_packages_are_imported_in_their_homes_only(package: str) -> None:
    users = {m for m, tree in MODULES.items() if any(n.partition(".")[0] == package for n in imports(tree))}
    assert users or not HOMES[package], f"nobody imports {package}"
    assert not {user for user in users if not is_in(user, HOMES[package])}


def test_verdicts_do_not_hang_on_assert() -> None:
    for room in ("assertions.py", "checks", "plugin", "gate"):
        for path in (PACKAGE / room).rglob("*.py") if (PACKAGE / room).is_dir() else [PACKAGE / room]:
            texts = path.read_text().splitlines()
            asserts = [node.lineno for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Assert)]
            assert all("noqa: S101" in "".join(texts[line - 1 : line + 3]) for line in asserts), (path, asserts)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: name_of(path) or "__init__")
def test_files_and_functions_are_small(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= 400 or name_of(path) in LONG_FILES
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
            assert (node.end_lineno or 0) - first.lineno < 40, node.name


def test_no_module_is_called_utils() -> None:
    assert not {"utils", "helpers", "manager", "common"} & {name.rpartition(".")[2] for name in MODULES}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: name_of(path) or "__init__")
def test_every_import_is_one_that_the_tests_above_can_read(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, "a relative import"
            if node.module == "pytest_llminvariance":  # the lazy names of the package would lead to any row
                assert {alias.name for alias in node.names} <= MODULES.keys()
        if isinstance(node, ast.Import):
            assert "pytest_llminvariance" not in {alias.name for alias in node.names}
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            # the package's own lazy names, and factories of users
            assert name_of(path) in ("", "models.loading")


def test_the_walk_above_sees_the_package() -> None:
    assert (PACKAGE / "plugin" / "__init__.py").is_file(), "it would pass on an empty folder"
    assert len(MODULES) > 30


def test_the_root_holds_doors_and_rooms_only() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 8
    assert {path.stem for path in PACKAGE.glob("*.py")} == {
        "__init__",
        "assertions",
        "errors",
        "files",
        "hypothesis_profile",
    }


@pytest.mark.parametrize("room", [room for room in ROOMS if (PACKAGE / room).is_dir()])
def test_each_room_says_what_it_knows_in_five_lines(room: str) -> None:
    told = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text()))
    assert told
    assert len(told.splitlines()) <= 5


def test_an_upward_import_a_lazy_one_and_one_for_types_would_be_seen() -> None:
    source = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from pytest_llminvariance.checks.check import check
def late():
    import pytest_llminvariance.plugin
    from pytest_llminvariance import assertions
"""
    assert own(ast.parse(source)) == {"checks.check", "plugin", "assertions"}
