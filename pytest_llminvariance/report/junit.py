"""The run as JUnit XML: a test case a finding, with its numbers as properties.

pytest's own `--junitxml` holds a summary of each finding as the property `invariance_finding`; this file is
for runs without pytest, and for readers that want numbers and not JSON.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from xml.etree import ElementTree as ET

from pytest_llminvariance.report.entries import Report, ReportEntry
from pytest_llminvariance.report.summary import certainty, level_words, one_paragraph, severity
from pytest_llminvariance.report.text import cut, visible


def junit(record: Report) -> str:
    """Return the XML text: what blocks fails, what is let pass is skipped, and what else keeps the release back is an error."""
    suite = ET.Element("testsuite", name="llminvariance")
    seen: Counter[tuple[str, str]] = Counter()
    for entry in record.entries:
        _case(suite, entry, record, seen)
    for text in record.unmet:
        _of_the_run(suite, visible(text))
    kinds = Counter(child.tag for case in suite for child in case)
    duration = record.run.get("duration_s")
    suite.set("tests", str(len(suite)))
    for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(name, str(kinds[tag]))
    suite.set("time", f"{duration:.3f}" if isinstance(duration, int | float) else "0.000")
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _of_the_run(suite: ET.Element, text: str) -> None:
    """Add a case for what keeps the release back and belongs to no finding."""
    case = ET.SubElement(suite, "testcase", classname="llminvariance", name=f"gate: {cut(text, 160)}", time="0.000")
    ET.SubElement(case, "error", message=text, type="GATE").text = text


def _case(suite: ET.Element, entry: ReportEntry, record: Report, seen: Counter[tuple[str, str]]) -> None:
    test = visible(entry.where.rpartition("::")[2] or entry.name)
    group = visible(entry.where.rpartition("::")[0].replace("/", ".").removesuffix(".py") or "llminvariance")
    name = f"{test}: {visible(entry.title)}"
    seen[group, name] += 1
    number = seen[group, name]
    case = ET.SubElement(
        suite, "testcase", classname=group, name=name if number == 1 else f"{name} ({number})", time="0.000"
    )
    if entry.file is not None:
        case.set("file", visible(entry.file))
    if entry.line is not None:
        case.set("line", str(entry.line))
    properties = ET.SubElement(case, "properties")
    for key, value in _properties(entry):
        ET.SubElement(properties, "property", name=f"invariance.{key}", value=visible(value))
    weight, said = severity(entry, record), visible(one_paragraph(entry))
    if weight == "error":
        kind = "error" if entry.is_lost else "failure"
        ET.SubElement(case, kind, message=said, type=entry.verdict).text = said
    elif weight is not None:
        message = f"{level_words(entry) or 'let pass'}: {said}"
        ET.SubElement(case, "skipped", message=message, type=entry.verdict)


def _properties(entry: ReportEntry) -> Iterator[tuple[str, str]]:
    yield "verdict", entry.verdict
    yield "level", entry.level
    if entry.is_lost:
        return
    yield "property", entry.name
    yield "metric", entry.metric
    yield "effect.low", repr(entry.low)
    yield "effect.high", repr(entry.high)
    yield "tolerance", repr(entry.tolerance)
    yield "certainty", certainty(entry)
    for name in ("count", "model", "fingerprint", "readout", "plan", "id"):
        if entry.text(name):
            yield name, entry.text(name)
