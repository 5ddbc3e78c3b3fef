"""The walk on the demo model, by its commands: blocked, waived, expired, deleted, and compared with a baseline."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance.gate.comparison import Compared, compare_runs
from pytest_llminvariance.records.record import load
from pytest_llminvariance.report.release import COMPARISON_WORDS
from tests.commands import llminvariance
from tests.run_directories import recording

ROOT = Path(__file__).parents[2]
FACTS = ROOT / "examples" / "model_repo" / "questions" / "facts.jsonl"
pytestmark = pytest.mark.real_model

ORDER = """
    from pathlib import Path
    from pytest_llminvariance import assert_order_symmetric, load_questions

    QUESTIONS = load_questions(Path(__file__).parent / "questions.jsonl")

    def test_order(invariance_model):
        assert_order_symmetric(invariance_model, QUESTIONS, orders="cyclic", metric="tv")
"""
LABELS = """
    from pathlib import Path
    import pytest
    from pytest_llminvariance import Relabel, assert_invariant, load_questions

    QUESTIONS = load_questions(Path(__file__).parent / "questions.jsonl")

    @pytest.mark.invariance(level="warn")
    def test_labels(invariance_model):
        assert_invariant(invariance_model, QUESTIONS, under=Relabel([("A", "B", "C", "D"), ("1", "2", "3", "4")]))
"""
POLICY = 'required = ["option_order", "labels"]\nmin_level = "warn"\n'
LAST_DAY, DAY_AFTER = (str(date.today() + timedelta(days=n)) for n in (30, 31))
"""Of a waiver; a day before the run would be refused."""
WAIVER = f"""
[[waivers]]
property = "option_order"
owner = "ana@example.org"
reason = "known of the demo model"
expires = {LAST_DAY}
"""


class Repository:
    """A model's repository: a suite, questions, a policy, and the commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        lines = FACTS.read_text().splitlines()
        self.suite("test_order.py", ORDER)
        self.suite("test_labels.py", LABELS)
        self.questions(lines[:6])
        self.policy(POLICY)

    def suite(self, name: str, text: str) -> None:
        (self.folder / name).write_text("\n".join(line.removeprefix("    ") for line in text.splitlines()))

    def questions(self, lines: list[str]) -> None:
        (self.folder / "questions.jsonl").write_text("\n".join(lines) + "\n")

    def policy(self, text: str) -> None:
        (self.folder / "gate.toml").write_text(text)

    def run(self, name: str, model: str = "demo") -> int:
        flags = [f"--invariance-model={model}", *recording(self.folder / name)]
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir=.", "-c", os.devnull, "."]
        keep = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        settings = {**keep, "PYTHONPATH": str(ROOT), "LLMINVARIANCE_ANSWERS": "off"}
        return subprocess.run(
            [*command, *flags], cwd=self.folder, env=settings, capture_output=True, check=False
        ).returncode

    def cli(self, *arguments: str) -> tuple[int, str]:
        with contextlib.chdir(self.folder):
            done = llminvariance(arguments)
        print(f"$ llminvariance {' '.join(arguments)}\n{done.output}exit status {done.exit_code}\n")
        return done.exit_code, done.output

    def gate(self, *arguments: str) -> tuple[int, str]:
        return self.cli("gate", *arguments, "--policy", "gate.toml")

    def finding(self, name: str, property: str) -> dict[str, Any]:
        rows = json.loads((self.folder / name / "findings.json").read_text())["findings"]
        return next(row for row in rows if row["property"] == property)

    def compared(self, old: str, new: str) -> Compared:
        runs = [load(self.folder / name) for name in (old, new)]
        comparison = compare_runs(runs[0], runs[1], margin=Fraction(1, 10))
        return next(item for item in comparison.checks if item.key.endswith(" option_order"))


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    made = Repository(tmp_path_factory.mktemp("repository"))
    assert made.run("release") == 1, "the demo model breaks the order of options"
    return made


@pytest.fixture(autouse=True)
def as_it_was(repository: Repository) -> Iterator[None]:
    before = {file: file.read_text() for file in repository.folder.iterdir() if file.is_file()}
    yield
    for file, text in before.items():
        file.write_text(text)


def test_blocked_waived_and_expired(repository: Repository) -> None:
    code, said = repository.gate("release")
    assert code == 1
    assert said.startswith("gate: BLOCKED - 1 check of 2\n  BLOCKS   option order BROKEN: tv ")
    repository.policy(POLICY + WAIVER)
    code, said = repository.gate("release", "--today", LAST_DAY)
    assert code == 0
    assert "  WAIVED   option order BROKEN" in said
    assert f"waived by ana@example.org until {LAST_DAY}: known of the demo model  [test_order.py::test_order]" in said
    code, said = repository.gate("release", "--today", DAY_AFTER)
    assert code == 1
    assert f"the waiver of ana@example.org for option_order expired on {LAST_DAY}" in said


def test_a_deleted_property_blocks(repository: Repository) -> None:
    (repository.folder / "test_order.py").unlink()
    repository.run("deleted", "control:oracle")  # what is missing does not depend on the model
    repository.policy(POLICY + WAIVER)
    code, said = repository.gate("deleted", "--today", LAST_DAY)
    assert code == 1
    assert "  MISSING  option_order: required, but no run has checked it" in said


def test_one_tensor_changed_slightly_is_compared(repository: Repository) -> None:
    repository.run("slightly", "python:tests.model.nudged:slightly")
    before, after = (repository.finding(name, "option_order") for name in ("release", "slightly"))
    assert before["fingerprint"] != after["fingerprint"]
    code, said = repository.cli("compare", "release", "slightly", "--margin", "0.1")
    item = repository.compared("release", "slightly")
    assert not item.refused
    assert item.difference is not None
    assert float(item.difference.low) == pytest.approx(after["effect"]["low"] - before["effect"]["high"])
    assert float(item.difference.high) == pytest.approx(after["effect"]["high"] - before["effect"]["low"])
    assert f"{COMPARISON_WORDS[item.verdict]:<10} test_order.py::test_order option_order: tv " in said
    assert code == {"HOLDS": 0, "BROKEN": 1, "UNDECIDED": 3}[item.verdict], "the check of level warn is not counted"
    assert item.worse or item.better, "tv sees what a flip rate that is 100% both times does not"
    code, said = repository.cli("compare", "release", "release", "--margin", "0")
    assert "both runs are of the same weights" in said
    assert repository.compared("release", "release").verdict == "HOLDS"
    assert "WORSE -" not in said.replace("NOT WORSE", "")


def test_switched_questions_are_refused(repository: Repository) -> None:
    repository.questions(FACTS.read_text().splitlines()[6:12])
    repository.run("switched")
    code, said = repository.cli("compare", "release", "switched")
    assert code == 3
    assert said.count("  REFUSED ") == 2
    assert "because: questions: 6 of 6 are gone or changed and 6 are new" in said
