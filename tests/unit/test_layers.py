"""Imports only go down; heavy packages stay where they belong; files and functions stay small."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "pytest_llminvariance"
ROWS = [
    {"device_names", "errors", "folders", "labels", "redaction", "whole_files"},
    {
        "conversation",
        "designs",
        "differences",
        "edits",
        "paraphrase_file",
        "paraphrase_lock",
        "paraphrase_rules",
        "paraphrase_screens",
        "paraphrase_words",
        "paraphrases",
        "presentation",
        "properties",
        "question_files",
        "questionnaire",
        "questions",
        "source",
        "transforms",
        "transforms_text",
    },
    {"audit", "stats", "verdict"},
    {"models"},
    {"cache", "cache_file", "cache_rows", "engine"},
    {
        "answer_log",
        "asking",
        "checks",
        "deciding",
        "draws",
        "estimate",
        "evidence",
        "guards",
        "holdout",
        "judging",
        "noise",
        "planning",
        "progress",
        "recorders",
        "risk",
        "runs",
        "sheets",
        "stopping",
    },
    {"explanation", "nearest", "search", "spaces"},
    {
        "assertions",
        "auditing",
        "comparison",
        "flip_report",
        "gate",
        "guidance",
        "hypothesis_profile",
        "machines",
        "negative_flips",
        "options",
        "paraphrase_proposals",
        "paraphrase_review",
        "paraphrase_status",
        "policy",
        "ratchet",
        "recorded_answers",
        "recording",
        "records",
        "rejudging",
        "report",
        "run_directory",
        "session_gate",
        "strategies",
    },
    {
        "bound",
        "cli",
        "cli_audit",
        "cli_compare",
        "cli_gate",
        "cli_holdout",
        "cli_paraphrase",
        "cli_plan",
        "cli_record",
        "cli_report",
        "manifest",
        "plugin",
        "selftest",
        "session_risk",
        "session_state",
    },
]
TORCH = {
    f"models.{name}"
    for name in (
        "demo",
        "devices",
        "encoder",
        "fingerprint",
        "gates",
        "generation",
        "hub",
        "passes",
        "scoring",
        "transformers",
        "tree_attention",
    )
}
HOMES: dict[str, set[str]] = {
    "pytest": {"manifest", "options", "plugin", "session_state"},
    "hypothesis": {
        "guidance",
        "hypothesis_profile",
        "machines",
        "strategies",
        "strategies.banks",
        "strategies.parts",
        "strategies.product",
        "strategies.texts",
    },
    "torch": TORCH,
    "transformers": TORCH,
    "typer": {
        "cli",
        "cli_audit",
        "cli_compare",
        "cli_gate",
        "cli_holdout",
        "cli_paraphrase",
        "cli_plan",
        "cli_record",
        "cli_report",
    },
    "sqlite3": {"cache", "cache_file"},
    "pickle": set(),
    "scipy": {"audit.flips", "audit.metrics", "guards", "stats.paired"},
    "statsmodels": {"stats.paired"},
    "matplotlib": {"report.charts"},
    "jinja2": {"report.page"},
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


def row_of(module: str) -> int:
    return next(number for number, row in enumerate(ROWS) if module.partition(".")[0] in row)


def test_every_module_has_a_row() -> None:
    assert {name.partition(".")[0] for name in MODULES} == set().union(*ROWS)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_down_or_stay_in_the_row(module: str) -> None:
    upward = {other for other in own(MODULES[module]) if row_of(other) > row_of(module)}
    assert not upward


def test_there_is_no_import_cycle() -> None:
    left = {module: own(tree) - {module} for module, tree in MODULES.items()}
    while ready := {module for module, needs in left.items() if not needs & left.keys()}:
        left = {module: needs for module, needs in left.items() if module not in ready}
    assert not left


@pytest.mark.parametrize("package", HOMES)
def test_packages_are_imported_in_their_homes_only(package: str) -> None:
    users = {m for m, tree in MODULES.items() if any(n.partition(".")[0] == package for n in imports(tree))}
    assert users <= HOMES[package]


def test_verdicts_do_not_hang_on_assert() -> None:
    for module in ("assertions", "checks", "evidence", "verdict", "guards", "plugin"):
        asserts = [node.lineno for node in ast.walk(MODULES[module]) if isinstance(node, ast.Assert)]
        texts = (PACKAGE / f"{module}.py").read_text().splitlines()
        assert all("noqa: S101" in "".join(texts[line - 1 : line + 3]) for line in asserts), (module, asserts)


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


def test_the_rows_are_those_of_the_design() -> None:
    assert len(set().union(*ROWS)) == sum(map(len, ROWS))
    assert (PACKAGE / "plugin.py").is_file(), "the walk above would pass on an empty folder"
    assert len(MODULES) > 30


def test_an_upward_import_a_lazy_one_and_one_for_types_would_be_seen() -> None:
    source = """
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from pytest_llminvariance.checks import check
def late():
    import pytest_llminvariance.plugin
    from pytest_llminvariance import assertions
"""
    assert own(ast.parse(source)) == {"checks", "plugin", "assertions"}
