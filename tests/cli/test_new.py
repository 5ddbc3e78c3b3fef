"""`new` writes a folder whose tests run at once; `properties` and `--version` say what there is."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest

from pytest_llminvariance.checks.properties import PROPERTIES, audits
from pytest_llminvariance.cli.new import SCAFFOLD
from tests.commands import llminvariance

FILES = {"conftest.py", "test_invariance.py", "questions.jsonl", "gate.toml", "invariance.yml"}


def called(*words: str) -> tuple[int, str]:
    result = llminvariance(words)
    return result.exit_code, result.output


def test_what_is_written_runs_at_once_and_is_decided(pytester: pytest.Pytester) -> None:
    status, said = called("new", "checks/invariance")
    assert status == 0
    assert {path.name for path in Path("checks/invariance").iterdir()} == FILES == {f.stem for f in SCAFFOLD.iterdir()}
    assert "pytest checks/invariance --invariance-model=demo --invariance-report=run" in said
    for model, outcomes, decision in (("oracle", {"passed": 3}, 0), ("always_first", {"failed": 3}, 1)):
        run = f"run-{model}"
        flags = (f"--invariance-model=control:{model}", f"--invariance-report={run}", "-p", "no:cacheprovider")
        pytester.runpytest_subprocess("checks/invariance", *flags).assert_outcomes(**outcomes)
        assert called("gate", run, "--policy", "checks/invariance/gate.toml")[0] == decision
    assert "pytest checks/invariance --invariance-model=./model" in Path("checks/invariance/invariance.yml").read_text()


def test_it_runs_under_a_conftest_of_the_suite_and_with_importlib(pytester: pytest.Pytester) -> None:
    Path("tests").mkdir()
    Path("tests/conftest.py").write_text("OURS = 1\n")
    called("new", "tests/invariance")
    for mode in ("prepend", "importlib"):
        flags = ("--invariance-model=control:oracle", f"--import-mode={mode}", "-p", "no:cacheprovider")
        pytester.runpytest_subprocess("tests", *flags).assert_outcomes(passed=3)


def test_nothing_is_overwritten_and_nothing_is_written_beside(tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text("mine")
    status, said = called("new", str(tmp_path))
    assert status == 2
    assert "gate.toml already" in said
    assert [path.name for path in tmp_path.iterdir()] == ["gate.toml"]
    assert (tmp_path / "gate.toml").read_text() == "mine"


def test_a_folder_that_is_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    status, said = called("new", str(tmp_path / "taken"))
    assert status == 2
    assert len(said.strip().splitlines()) == 1
    assert "cannot be written" in said


def test_all_properties_are_listed_with_their_cost() -> None:
    status, said = called("properties")
    assert status == 0
    for name, kind in PROPERTIES.items():
        assert f"\n{name}\n" in f"\n{said}"
        assert kind.says in said
    assert all(audit in said for audit in audits())
    assert "24 prompts for a question of four options" in said


def test_version() -> None:
    assert called("--version") == (0, f"pytest-llminvariance {version('pytest-llminvariance')}\n")
