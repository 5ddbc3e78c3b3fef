"""docs/record.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

from pytest_llminvariance.checks.properties import audits, default_audits
from pytest_llminvariance.cli.audit import audit_command

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "record.md").read_text()


def test_linked_schemas_are_there() -> None:
    linked = {(ROOT / "docs" / target).resolve() for target in re.findall(r"\]\((\S+\.json)\)", TEXT)}
    assert linked == {path.resolve() for path in (ROOT / "pytest_llminvariance" / "schemas").iterdir()}


def test_properties_of_an_audit_are_told() -> None:
    table = TEXT.split("| property |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE) == list(audits())
    assert tuple(audits())[:5] == default_audits(), "the first five are checked unless you say otherwise"


def test_the_command_checks_the_default_properties() -> None:
    defaults = audit_command.__defaults__ or ()
    assert ",".join(default_audits()) in defaults
