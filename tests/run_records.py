"""Run directories for tests of reports, written from real checks and the evidence that they were made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_llminvariance.checks.check import Measured, measure
from pytest_llminvariance.checks.evidence import Evidence
from pytest_llminvariance.checks.properties import as_property
from pytest_llminvariance.checks.verdict import Finding
from pytest_llminvariance.models.controls import control
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.records.answer_log import described

RUN = {
    "schema_version": 1,
    "started": "2026-11-21T10:00:00+00:00",
    "duration_s": 12.5,
    "seed": 0,
    "model": "control:always_first",
    "device": "cpu",
    "dtype": "float32",
    "commit": "0123abc",
    "settings": {"undecided": "fail"},
    "tokens": 1234,
    "exit": 1,
}
HOSTILE = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "]]> --> ``` | [x](javascript:alert(1)) {{7*7}} %0A::error::",
    "\x1b[31mred\u202eevil\x00 $\\frac{1}{0}$ @someone #1 &lt;b&gt; <!-- llminvariance:end -->\n::error::x",
)


def bank(n: int = 12, k: int = 4) -> list[Question]:
    """Questions with short options, correct answers spread over the positions."""
    return [
        Question(
            f"Which of these is number {i}?", [f"{'abcdefgh'[c]}{i} thing" for c in range(k)], id=f"q{i}", answer=i % k
        )
        for i in range(n)
    ]


def hostile_bank(n: int = 3) -> list[Question]:
    """Questions whose every text attacks whatever prints it."""
    return [
        Question(f"{HOSTILE[1]} {i} {HOSTILE[2]}\n# head {HOSTILE[3]}", HOSTILE, id=f"<b>{i}</b>{HOSTILE[0]}|`[]")
        for i in range(n)
    ]


def measured(
    model: str, questions: Sequence[Question], property: str = "option_order", tolerance: float = 0.05, **more: Any
) -> Measured:
    """Check a control, keeping the evidence."""
    wanted = {name: more.pop(name) for name in ("metric", "readout", "template") if name in more}
    return measure(as_property(property, more), control(model), questions, tolerance=tolerance, **wanted)


def finding_row(finding: Finding, **place: Any) -> dict[str, Any]:
    """One entry of findings.json."""
    stand = {"where": "tests/test_model.py::test_order", "file": "tests/test_model.py", "line": 12, "level": "block"}
    return {**finding.to_json(), **stand, **place}


def answer_rows(check: str, finding: Finding, evidence: Sequence[Evidence]) -> Iterator[dict[str, Any]]:
    """Lines of answers.jsonl."""
    for number, item in enumerate(evidence):
        for index, (probe, answer, sent) in enumerate(zip(item.plan.probes, item.answers, item.sent, strict=True)):
            shown = probe.presentation
            yield {
                "check": check,
                "role": "planned",
                "index": [number, index],
                **described(shown, answer, probe.readout or finding.readout, item.delta_nats),
                "prompt_sha256": sent or hashlib.sha256(repr(shown).encode()).hexdigest(),
                "text": None,
                "tokens": 10,
                "model": finding.model,
                "fingerprint": finding.fingerprint,
            }


def write_run(
    directory: Path,
    found: Sequence[Measured],
    *,
    places: Sequence[Mapping[str, Any]] = (),
    run: Mapping[str, Any] | None = None,
) -> Path:
    """Write a run directory and return it; `places` override where each finding was made."""
    directory.mkdir(parents=True, exist_ok=True)
    rows = [
        finding_row(item.finding, id=f"{n:016x}", **(places[n] if n < len(places) else {}))
        for n, item in enumerate(found)
    ]
    (directory / "findings.json").write_text(json.dumps({"schema_version": 1, "findings": rows}))
    failed = any(row["verdict"] != "HOLDS" and row["level"] == "block" for row in rows)
    facts = {**RUN, "exit": int(failed)} if run is None else run
    (directory / "run.json").write_text(json.dumps(facts))
    with (directory / "answers.jsonl").open("w") as file:
        for n, item in enumerate(found):
            file.writelines(json.dumps(row) + "\n" for row in answer_rows(f"{n:016x}", item.finding, item.evidence))
    return directory
