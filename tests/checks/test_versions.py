"""The versions that findings and runs name."""

from __future__ import annotations

import pytest

from pytest_llminvariance import Question, check, controls
from pytest_llminvariance.models.versions import package_versions
from pytest_llminvariance.records.directory import versions_of


def test_a_run_names_what_its_findings_name_and_what_ran_them() -> None:
    """There were two lists, of three and of four packages; one added to the first would have been missing in the other."""
    finding = check("option_order", controls.oracle(), [Question("Q?", ["a", "b"], answer=0)], tolerance=0.05)
    assert finding.versions == package_versions()
    assert versions_of() == {**package_versions(), "pytest": pytest.__version__}
    assert package_versions("no-such-package")["no-such-package"] == "not installed"
