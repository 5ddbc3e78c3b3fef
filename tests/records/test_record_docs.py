"""docs/record.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_llminvariance.checks.properties import audits, default_audits
from tests.commands import llminvariance

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "record.md").read_text()


def test_linked_schemas_are_there() -> None:
    linked = {(ROOT / "docs" / target).resolve() for target in re.findall(r"\]\((\S+\.json)\)", TEXT)}
    assert linked == {path.resolve() for path in (ROOT / "pytest_llminvariance" / "schemas").iterdir()}


def test_properties_of_an_audit_are_told() -> None:
    table = TEXT.split("| property |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE) == list(audits())
    assert tuple(audits())[:5] == default_audits(), "the first five are checked unless you say otherwise"


def test_the_command_says_which_properties_it_checks_by_itself() -> None:
    told = re.sub(r"\s+", " ", llminvariance(["audit", "--help"], env={"COLUMNS": "200"}).output)
    assert (
        f"By default {', '.join(default_audits())}; of a decision model {', '.join(default_audits(of_decisions=True))}."
        in told
    )
