"""The examples for CI: well formed, and their own commands block and pass what they should, run here on controls."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_llminvariance.gate.policy import policy_from, read_policy

ROOT = Path(__file__).parents[2]
CI = ROOT / "examples" / "ci"
SUITE = """
from pytest_llminvariance import Question, assert_order_symmetric

BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abc"], answer=n % 3) for n in range(12)]

def test_order_of_options(invariance_model):
    assert_order_symmetric(invariance_model, BANK)
"""
LABELS = """
from pytest_llminvariance import Question, Relabel, assert_invariant

BANK = [Question(f"stem {n}?", [f"{c}{n}" for c in "abc"], answer=n % 3) for n in range(12)]

def test_labels(invariance_model):
    assert_invariant(invariance_model, BANK, under=Relabel([("A", "B", "C"), ("1", "2", "3")]))
"""


def load(name: str) -> Any:
    return yaml.safe_load((CI / name).read_text())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with a suite, the examples at their place, and the command on the path."""
    (tmp_path / "tests" / "invariance").mkdir(parents=True)
    (tmp_path / "tests" / "invariance" / "test_order.py").write_text(SUITE)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:cacheprovider\n")
    (tmp_path / "examples" / "ci").mkdir(parents=True)
    for file in CI.iterdir():
        (tmp_path / "examples" / "ci" / file.name).write_text(file.read_text())
    (tmp_path / "tests" / "invariance" / "gate.toml").write_text((CI / "gate.toml").read_text())
    (tmp_path / "bin").mkdir()
    for name, code in {
        "python": 'exec {python} "$@"',
        "llminvariance": "exec {python} -c 'from pytest_llminvariance.cli import main; main()' \"$@\"",
    }.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{code.format(python=sys.executable)}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


def shell(project: Path, command: list[str], **variables: str) -> subprocess.CompletedProcess[str]:
    # tests/ of the project would hide our package of that name
    (project / "conftest.py").write_text(f"import sys\nsys.path.insert(0, {str(ROOT)!r})\n")
    keep = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "CI"))}
    path = f"{project / 'bin'}:{os.environ['PATH']}"
    known = {"PATH": path, "PYTHONPATH": str(ROOT), "PYTHONSAFEPATH": "1", "LLMINVARIANCE_ANSWERS": "off"}
    return subprocess.run(
        command, cwd=project, env={**keep, **known, **variables}, capture_output=True, text=True, check=False
    )


def github(project: Path, model: str) -> tuple[int, str]:
    """Run the steps of the workflow as the runner does: stop at the first failure that is not let go on."""
    job = yaml.safe_load((project / "examples/ci/github-actions.yml").read_text())["jobs"]["gate"]
    status, said = 0, ""
    summary = project / "summary.md"
    for step in job["steps"]:
        command = step.get("run")
        here = step.get("if", "")
        skipped = "hashFiles" in here and not (project / "baseline" / "findings.json").is_file()
        if command is None or step["name"] == "Install" or skipped or (status and here != "always()"):
            continue
        flags = ["--noprofile", "--norc", "-eo", "pipefail"] if step.get("shell") == "bash" else ["-e"]
        variables = {**job["env"], "MODEL": model, "GITHUB_STEP_SUMMARY": str(summary)}
        done = shell(project, ["bash", *flags, "-c", command], **variables)
        said += done.stdout + done.stderr
        status = status or (0 if step.get("continue-on-error") else done.returncode)
    assert "    gate: " in summary.read_text()
    if (project / "invariance-report" / "run.json").is_file():
        assert " Invariance: " in summary.read_text()
        assert (project / "invariance-report" / "report.html").is_file()
        assert ("::error " in said) == bool(status)
    return status, said


def gitlab(project: Path, model: str) -> tuple[int, str]:
    job = yaml.safe_load((project / "examples/ci/gitlab-ci.yml").read_text())["invariance"]
    variables = {**job["variables"], "MODEL": model}
    done = shell(project, ["sh", "-ec", "\n".join(job["script"])], **variables)
    after = shell(project, ["sh", "-c", "\n".join(job["after_script"])], **variables)
    if (project / "invariance-report" / "run.json").is_file():
        assert after.returncode == 0, after.stdout + after.stderr
        assert all((project / place).exists() for place in job["artifacts"]["paths"])
        assert "<testsuite" in (project / job["artifacts"]["reports"]["junit"]).read_text()
    return done.returncode, done.stdout + done.stderr


def pre_push(project: Path, model: str) -> tuple[int, str]:
    config = yaml.safe_load((project / "examples/ci/pre-commit-config.yaml").read_text())
    (hook,) = config["repos"][0]["hooks"]
    done = shell(project, hook["entry"].split(), MODEL=model)
    return done.returncode, done.stdout + done.stderr


def make(project: Path, model: str) -> tuple[int, str]:
    done = shell(project, ["make", "-f", "examples/ci/Makefile", "gate", f"MODEL={model}"])
    said = done.stdout + done.stderr
    stopped = re.search(r"\*\*\* \[.*\] Error (\d)", said)
    assert (stopped is None) == (done.returncode == 0)
    return (int(stopped[1]) if stopped else 0), said


SYSTEMS: dict[str, Callable[[Path, str], tuple[int, str]]] = {
    "github": github,
    "gitlab": gitlab,
    "pre-push": pre_push,
    "make": make,
}


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize(
    ("model", "code", "says"),
    [
        ("control:oracle", 0, "gate: PASSED"),
        ("control:always_first", 1, "gate: BLOCKED"),
        ("control:no_such_model", 3, "gate: NO EVIDENCE"),
    ],
)
def test_its_own_commands_pass_block_and_notice_that_nothing_ran(
    project: Path, system: str, model: str, code: int, says: str
) -> None:
    status, said = SYSTEMS[system](project, model)
    assert says in said, said
    assert status == code, said


def test_deleting_the_test_does_not_pass(project: Path) -> None:
    (project / "tests/invariance/test_order.py").write_text(LABELS)
    status, said = gitlab(project, "control:oracle")
    assert "option_order: required, but no run has checked it" in said
    assert status == 1


def test_a_stale_record_does_not_pass_with_make(project: Path) -> None:
    assert make(project, "control:oracle")[0] == 0
    assert make(project, "control:no_such_model")[0] == 3


def test_a_release_that_is_worse_than_its_baseline_is_stopped(project: Path) -> None:
    suite = project / "tests/invariance/test_order.py"
    suite.write_text(SUITE.replace("BANK)", "BANK, tolerance=0.3)"))
    assert gitlab(project, "control:oracle")[0] == 0
    (project / "invariance-report").rename(project / "baseline")
    for system in (github, gitlab):
        status, said = system(project, "control:noisy=0.1")
        assert "gate: PASSED" in said
        assert "compare: WORSE" in said
        assert status == 1


def test_the_policy_of_the_examples_is_one() -> None:
    policy = read_policy(CI / "gate.toml", CI)
    assert policy.required == ("option_order",)
    text = (CI / "gate.toml").read_text()
    waiver = "\n".join(line.removeprefix("# ") for line in text[text.index("# [[waivers]]") :].splitlines())
    assert "[[waivers]]" in waiver

    assert len(policy_from(tomllib.loads(waiver), "gate.toml").waivers) == 1


@pytest.mark.parametrize("name", ["github-actions.yml", "gitlab-ci.yml", "Makefile", "pre-push"])
def test_no_command_needs_our_folder_and_reports_follow_the_policy_of_the_gate(name: str) -> None:
    text = (CI / name).read_text()
    assert "examples/ci" not in text
    for line in text.splitlines():
        if "llminvariance report " in line or "llminvariance gate " in line:
            assert "--policy" in line, line


def test_a_waiver_that_passes_the_gate_is_no_error_in_the_reports_of_ci(project: Path) -> None:
    waiver = '\n[[waivers]]\nproperty = "option_order"\nowner = "kim"\nreason = "known"\nexpires = 2100-01-01\n'
    policy = project / "tests/invariance/gate.toml"
    policy.write_text(policy.read_text() + waiver)
    status, said = github(project, "control:always_first")
    assert (status, "gate: PASSED" in said) == (0, True), said
    assert "waived by kim" in (project / "summary.md").read_text()


def test_the_github_workflow_has_the_shape_of_one() -> None:
    flow = load("github-actions.yml")
    assert set(flow) == {"name", True, "permissions", "jobs"}, "YAML 1.1 reads on: as true, as GitHub allows"
    assert flow["permissions"] == {"contents": "read"}
    (job,) = flow["jobs"].values()
    assert {"runs-on", "steps", "timeout-minutes", "env"} == set(job)
    for step in job["steps"]:
        assert ("uses" in step) != ("run" in step)
        assert set(step) <= {"name", "id", "uses", "with", "run", "shell", "if", "continue-on-error"}
        assert "@v" in step.get("uses", "@v")
    going_on = [step["name"] for step in job["steps"] if step.get("continue-on-error")]
    assert going_on == ["Ask the model"], "the gate itself must stop the job"
    piped = [step for step in job["steps"] if "|" in step.get("run", "") and "||" not in step["run"]]
    assert all(step.get("shell") == "bash" for step in piped), "without pipefail a pipe hides the exit status"


def test_the_gitlab_job_has_the_shape_of_one() -> None:
    config = load("gitlab-ci.yml")
    job = config["invariance"]
    assert job["stage"] in config["stages"]
    assert set(job) <= {
        "stage",
        "image",
        "timeout",
        "variables",
        "before_script",
        "script",
        "after_script",
        "artifacts",
        "cache",
    }
    assert job["artifacts"]["when"] == "always"
    assert all(isinstance(line, str) for line in job["script"] + job["before_script"])
    assert [line for line in job["script"] if line.startswith("llminvariance gate")]
    assert not [line for line in job["script"] if "llminvariance" in line.split() and "||" in line]


def test_the_hook_has_the_shape_of_one() -> None:
    config = load("pre-commit-config.yaml")
    (repo,) = config["repos"]
    (hook,) = repo["hooks"]
    assert repo["repo"] == "local"
    assert {"id", "name", "entry", "language"} <= set(hook)
    assert hook["stages"] == ["pre-push"]
    assert hook["pass_filenames"] is False
    assert (CI / "pre-push").stat().st_mode & 0o111
    assert (CI / "pre-push").read_text().startswith("#!/bin/sh\n")


@pytest.mark.parametrize(
    ("name", "schema"), [("github-actions.yml", "github-workflows"), ("gitlab-ci.yml", "gitlab-ci")]
)
def test_files_follow_the_published_schemas(name: str, schema: str) -> None:
    pytest.importorskip("check_jsonschema", reason="the schemas come with check-jsonschema")
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(CI / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_git_push_is_stopped_by_the_hook(project: Path, tmp_path: Path) -> None:
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    other = tmp_path / "other.git"
    for command in (
        [*git, "init", "-q", "-b", "main"],
        [*git, "init", "-q", "--bare", str(other)],
        [*git, "add", "tests"],
        [*git, "commit", "-q", "-m", "suite"],
        ["cp", "examples/ci/pre-push", ".git/hooks/pre-push"],
        ["chmod", "+x", ".git/hooks/pre-push"],
    ):
        done = shell(project, command)
        assert done.returncode == 0, done.stderr
    push = [*git, "push", "-q", str(other), "main"]
    refused = shell(project, push, MODEL="control:always_first")
    assert refused.returncode != 0
    assert "gate: BLOCKED" in refused.stdout + refused.stderr
    assert not shell(project, ["git", "-C", str(other), "branch"]).stdout
    allowed = shell(project, push, MODEL="control:oracle")
    assert allowed.returncode == 0, allowed.stdout + allowed.stderr
    assert "main" in shell(project, ["git", "-C", str(other), "branch"]).stdout
