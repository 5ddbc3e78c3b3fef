"""Run directories made from findings, for tests of what reads them; sessions write theirs with `recording`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_llminvariance import Finding
from pytest_llminvariance.measures.reading import read_reply
from pytest_llminvariance.records.answer_log import described

ANY = "tests/test_model.py::test_order"


def recording(directory: Path) -> list[str]:
    """Return the flags that make pytest write a run directory."""
    return [f"--invariance-report={directory}"]


def write_run(
    directory: Path,
    findings: Sequence[Finding],
    *,
    where: Sequence[str] = (),
    exit: int | None = 0,
    level: str = "block",
    levels: Sequence[str] = (),
    markers: Sequence[str] | None = (),
    memo: Mapping[Any, Any] | None = None,
    **facts: Any,
) -> Path:
    """Write a run directory of findings, the n-th of them made at the n-th place of `where`."""
    rows = []
    for number, finding in enumerate(findings):
        place = where[number] if where else f"{ANY}{number or ''}"
        row = {
            **finding.to_json(),
            "id": finding.id or f"finding{number}",
            "where": place,
            "model_from": "session",
            "level": levels[number] if levels else level,
        }
        row |= {"file": place.partition("::")[0], "line": number + 1}
        rows.append(row if markers is None else {**row, "markers": list(markers)})
    return write_rows(directory, rows, exit=exit, memo=memo or {}, **facts)


def write_rows(
    directory: Path, rows: Sequence[Mapping[str, Any]], *, exit: int | None, memo: Mapping[Any, Any], **facts: Any
) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    run = {
        "schema_version": 1, "started": "2026-01-01T00:00:00+00:00", "duration_s": 1.0, "seed": 0, "model": "m",
        "fingerprint": "f", "versions": {}, "device": "cpu", "dtype": "float32", "commit": "c0ffee", "settings": {},
        "tokens": 0, "exit": exit,
    }  # fmt: skip
    (directory / "findings.json").write_text(json.dumps({"schema_version": 1, "findings": list(rows)}))
    (directory / "run.json").write_text(json.dumps(run | facts))
    lines = list(answer_lines(rows, memo))
    if lines:
        (directory / "answers.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return directory


def answer_lines(rows: Sequence[Mapping[str, Any]], memo: Mapping[Any, Any]) -> Iterable[dict[str, Any]]:
    """Yield a line for every remembered answer and every finding that it belongs to."""
    for key, reply in memo.items():
        request = key.request
        shown = request.presentation
        for row in rows:
            digest = shown.question.content_hash
            way = row["readout"]
            if (
                digest not in row["details"].get("question_hashes", ())
                or way.removesuffix("_sum") != request.capability
            ):
                continue
            yield {
                **described(shown, read_reply(reply, shown, way), way, 1e-4),
                "prompt_sha256": reply.sent_sha256,
                "tokens": reply.n_tokens,
                "model": key.name,
                "fingerprint": key.fingerprint,
                "check": row["id"],
                "role": "planned",
            }
