"""pytest's own `--junitxml`: the summary of a finding is there, is JSON, and hostile texts leave the file XML."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

import pytest

from tests.run_records import HOSTILE

SUITE = f"""
    from pytest_llminvariance import Question, assert_order_symmetric

    HOSTILE = {HOSTILE!r}
    BANK = [Question(f"{{HOSTILE[0]}} {{n}} {{HOSTILE[3]}}", HOSTILE, id=f"{{HOSTILE[1]}} {{n}}", answer=n % 4) for n in range(4)]

    def test_order(invariance_model):
        assert_order_symmetric(invariance_model, BANK)
"""


@pytest.mark.parametrize("family", ["xunit1", "xunit2"])
def test_properties_hold_hostile_texts(pytester: pytest.Pytester, family: str) -> None:
    pytester.makepyfile(test_suite=SUITE)
    flags = ["--invariance-model=control:always_first", "--junitxml=out.xml", "-o", f"junit_family={family}"]
    pytester.runpytest(*flags).assert_outcomes(failed=1)
    root = ET.parse(pytester.path / "out.xml").getroot()
    assert {element.tag for element in root.iter()} <= {
        "testsuites", "testsuite", "testcase", "properties", "property", "failure", "system-out", "system-err",
    }  # fmt: skip
    (value,) = [item.get("value") for item in root.iter("property") if item.get("name") == "invariance_finding"]
    finding = json.loads(value or "")
    assert (finding["verdict"], finding["count"]) == ("BROKEN", "72 of 92 other presentations")
    assert "<script>alert(1)</script>" in finding["example"]["before"]["options"]
    assert finding["example"]["before"]["stem"].startswith("<script>alert(1)</script> 0 \x1b[31mred\u202eevil")
