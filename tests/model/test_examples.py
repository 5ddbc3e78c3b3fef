"""The examples run on the real model, as a user runs them, and give the known verdicts.

Answers are kept between these runs as they are for a user, so that what the demo asked is asked once.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.real_model

EXAMPLES = Path(__file__).parents[2] / "examples"


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    settings = {**os.environ, "LLMINVARIANCE_ANSWERS": str(tmp_path_factory.mktemp("answers"))}

    def ran(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *command], cwd=EXAMPLES, env=settings, capture_output=True, text=True, check=False, timeout=900
        )  # fmt: skip

    return ran


def test_the_demo_shows_its_verdicts_and_exits_0(run: Run) -> None:
    done = run("demo.py", "-p", "no:rerunfailures")
    out = done.stdout
    assert done.returncode == 0, out + done.stderr
    assert "option order is broken: the answer changed in 428 of 552 other presentations (78%, tolerated 5%)." in out
    assert "BROKEN    option order: flip_rate 38 of 72 other presentations (53%)" in out
    assert "HOLDS     option order: flip_rate 0 of 72 other presentations (0%)" in out
    assert "pytest exited 1" in out
    assert "exactly what is known of this small model" in out


def test_plain_pytest_exits_1_and_two_workers_find_the_same(run: Run) -> None:
    chosen = ["-m", "pytest", "model_repo/test_survey.py", "--rootdir=model_repo", "-q", "-p", "no:cacheprovider"]
    one, two = run(*chosen), run(*chosen, "-n", "2", "--invariance-cache=off")
    assert one.returncode == two.returncode == 1
    lines = [sorted(line for line in done.stdout.splitlines() if line.startswith("BROKEN")) for done in (one, two)]
    assert len(lines[0]) == 2
    assert lines[0] == lines[1]


def test_a_demo_whose_verdicts_differ_exits_1(run: Run) -> None:
    done = run("demo.py", "-k", "repairs")
    assert done.returncode == 1
    assert "the verdicts are NOT the known ones" in done.stdout
