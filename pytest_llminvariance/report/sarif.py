"""The run as SARIF 2.1.0: one result a finding that does not hold.

Findings that hold are left out: code-scanning services show every result as an alert. Their number is in the
run's properties.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import quote

from pytest_llminvariance.report.entries import Report, ReportEntry
from pytest_llminvariance.report.summary import one_paragraph, severity
from pytest_llminvariance.report.text import cut, one_line

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def sarif(record: Report) -> str:
    """Return the log as JSON."""
    names = sorted({entry.name for entry in record.entries if entry.verdict != "HOLDS"})
    seen: Counter[str] = Counter()
    results = [_result(entry, record, names, seen) for entry in record.entries if entry.verdict != "HOLDS"]
    driver = {
        "name": "pytest-llminvariance",
        "semanticVersion": metadata.version("pytest-llminvariance"),
        "rules": [_rule(name, record) for name in names],
    }
    run = {
        "tool": {"driver": driver},
        "automationDetails": {"id": "llminvariance/"},
        "invocations": [_invocation(record)],
        "columnKind": "unicodeCodePoints",
        "results": results,
        "properties": {verdict.lower(): len(record.of(verdict)) for verdict in ("BROKEN", "UNDECIDED", "HOLDS")},
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1, ensure_ascii=True) + "\n"


def _invocation(record: Report) -> dict[str, Any]:
    """Return how the run went; what keeps the release back and belongs to no result is told as notifications."""
    told = [{"level": "error", "message": {"text": _message(cut(one_line(text), 2_000))}} for text in record.unmet]
    ended = record.run.get("exit", 0) is not None
    return {
        "executionSuccessful": ended,
        **_started(record.run),
        **({"toolExecutionNotifications": told} if told else {}),
    }


def _started(run: Mapping[str, Any]) -> dict[str, str]:
    try:
        started = datetime.fromisoformat(str(run.get("started")))
    except ValueError:
        return {}
    if started.tzinfo is None:
        return {}
    return {"startTimeUtc": started.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}


def _rule(name: str, record: Report) -> dict[str, Any]:
    title = next(entry.title for entry in record.entries if entry.name == name)
    return {
        "id": f"invariance/{one_line(name)}",
        "name": "".join(part.capitalize() for part in one_line(name).split("_")),
        "shortDescription": {"text": _message(f"Invariance: {one_line(title)}")},
        "fullDescription": {
            "text": "A change that keeps the meaning of a question must not change the model's answer by more than is tolerated."
        },
        "defaultConfiguration": {"level": "error"},
    }


def _result(entry: ReportEntry, record: Report, names: list[str], seen: Counter[str]) -> dict[str, Any]:
    identity = "\0".join((entry.where, entry.name, entry.metric, entry.title))
    seen[identity] += 1
    digest = hashlib.sha256(f"{identity}\0{seen[identity]}".encode(errors="replace")).hexdigest()
    numbers = {} if entry.is_lost else {"low": entry.low, "high": entry.high, "tolerance": entry.tolerance}
    result: dict[str, Any] = {
        "ruleId": f"invariance/{one_line(entry.name)}",
        "ruleIndex": names.index(entry.name),
        "level": severity(entry, record) or "none",
        "message": {"text": _message(cut(one_paragraph(entry), 2_000))},
        "partialFingerprints": {"llminvariance/v1": digest},
        "properties": {"verdict": entry.verdict, "metric": one_line(entry.metric), **numbers},
    }
    if entry.file is not None:
        place: dict[str, Any] = {"artifactLocation": _artifact(entry.file)}
        if entry.line is not None:
            place["region"] = {"startLine": entry.line}
        result["locations"] = [{"physicalLocation": place}]
    return result


def _artifact(file: str) -> dict[str, str]:
    path = one_line(file).replace("\\", "/")
    if PurePosixPath(path).is_absolute():
        return {"uri": f"file://{quote(path)}"}
    return {"uri": quote(path, safe="/"), "uriBaseId": "%SRCROOT%"}


def _message(text: str) -> str:
    """Return a text in which nothing is a link or a placeholder of SARIF."""
    for mark in "\\[]":
        text = text.replace(mark, "\\" + mark)
    return text.replace("{", "{{").replace("}", "}}")
