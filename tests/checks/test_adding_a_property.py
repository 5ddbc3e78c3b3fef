"""A property is one file, registered once: everything that lists, asks or reports properties has it from there."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pytest_llminvariance
from pytest_llminvariance import InvarianceError, Verdict, check, controls
from pytest_llminvariance.checks.properties import PROPERTIES, register, table_lines
from pytest_llminvariance.cli import selftest
from tests.checks.toy_property import Thanks, swayed
from tests.commands import llminvariance

TOY = Path(__file__).with_name("toy_property.py")
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    register(Thanks)
    yield
    del PROPERTIES[Thanks.name]


def called(*words: str) -> tuple[int, str]:
    result = llminvariance(words)
    return result.exit_code, result.output


def test_it_is_small() -> None:
    assert len(TOY.read_text().splitlines()) < 60


def test_check_has_it_with_its_own_number() -> None:
    found = check("thanks", swayed(), Thanks.bank, tolerance=0.05)
    assert (found.verdict, found.metric, round(float(found.effect.low), 9)) == (Verdict.BROKEN, "sureness_lost", 0.4)
    assert found.details["estimates"]["sureness lost"]["value"] == pytest.approx(0.4)
    assert all(row.low == row.high for row in found.per_question)


def test_an_assertion_is_made_of_it() -> None:
    assert_it = getattr(pytest_llminvariance, Thanks.assertion)
    assert assert_it(controls.oracle(), Thanks.bank).verdict is Verdict.HOLDS
    with pytest.raises(InvarianceError) as caught:
        assert_it(swayed(), Thanks.bank, tolerance=0.1)
    lines = str(caught.value).splitlines()
    assert lines[0] == "thanks at the end is broken: the largest probability falls by 0.4 (tolerated 0.1)."
    assert any(line.startswith("  numbers: sureness lost 0.4") for line in lines)
    assert "  do:      be polite" in lines
    assert inspect.signature(assert_it).parameters["tolerance"].default == 0.05


def test_audit_report_and_judge_have_it(tmp_path: Path) -> None:
    record = str(tmp_path / "run")
    status, said = called("audit", "control:oracle", "--properties", "thanks", "--out", record)
    assert status == 0, said
    assert "HOLDS    thanks" in said
    assert "thanks at the end" in called("report", record, "--format", "markdown")[1]
    called("report", record, "--format", "html")
    assert "Numbers: sureness lost 0" in (tmp_path / "run" / "report.html").read_text()
    assert "HOLDS     thanks at the end" in called("judge", record, "--tolerance", "0.2")[1]
    row = json.loads((tmp_path / "run" / "findings.json").read_text())["findings"][0]
    assert row["details"]["estimates"]["sureness lost"]["value"] == 0


def test_the_self_test_has_its_controls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "CONTROLS", ("oracle",))
    status, said = called("selftest")
    assert status == 0, said
    assert "thanks: oracle HOLDS, swayed BROKEN, refuser UNDECIDED" in said


def test_lists_have_it() -> None:
    assert any(line.startswith("| `thanks` | `thanks` | `assert_thanks_change_nothing` |") for line in table_lines())
    said = called("properties")[1]
    assert "\nthanks\n  checks:    the answer stays as sure" in said
    assert "  metric:    sureness_lost\n  cost:      2 prompts for a question as the self-test asks it" in said


def test_the_help_of_an_audit_has_it() -> None:
    code = "from tests.checks.toy_property import Thanks, register; register(Thanks); from pytest_llminvariance.cli import app; app(['audit', '--help'])"
    known = {**os.environ, "COLUMNS": "300"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True, env=known)
    assert "thanks" in done.stdout


def test_no_option_is_called_like_an_argument_of_check() -> None:
    own = {name for name, one in inspect.signature(check).parameters.items() if one.kind is not one.VAR_KEYWORD}
    for name, kind in PROPERTIES.items():
        assert not own & set(inspect.signature(kind).parameters), name
