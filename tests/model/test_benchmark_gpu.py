"""`benchmarks.gpu` runs, here on a CPU with a tiny model, so that it is no surprise on a machine that is borrowed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from benchmarks import gpu

SMALL = [
    *("--device", "cpu", "--sizes", "tiny", "--tokens", "200", "--model", "tiny", "--mask-nodes", "600"),
    *("--times", "1", "--dtypes", "bfloat16", "--questions", "1"),
]


def test_every_step_runs_and_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "gpu.json"
    report = gpu.main([*SMALL, "--json", str(file)])
    told = json.loads(file.read_text(encoding="utf-8"))
    assert [row["step"] for row in told["rows"]] == [row["step"] for row in report.rows]
    assert not [row for row in report.rows if "failed" in row]
    assert {row["step"] for row in report.rows} == {"verdict", "masks", "tiny 200", "tiny 200 kernels", "noise"}
    ways = {row["way"]: row for row in report.rows if row["step"] == "tiny 200"}
    assert set(ways) == {"causal pass", *(f"blocks of {n}" for n in gpu.BLOCKS), "FlexAttention", "padded batches"}
    assert all(row["nats_from_padded"] < 0.1 for name, row in ways.items() if name != "causal pass")
    assert ways["padded batches"]["prompt_tokens"] > 2 * ways["padded batches"]["nodes"]
    assert "blocks of 512" in capsys.readouterr().out


def test_a_step_that_fails_or_has_no_time_left_says_so_and_costs_no_other(tmp_path: Path) -> None:
    report = gpu.Report(limit_s=100, file=tmp_path / "gpu.json")
    report.step("one", lambda: ({"seconds": 1 // 0} for _ in range(1)))
    report.step("two", lambda: iter([{"seconds": 2.0}]))
    report.step("three", lambda: iter([{"seconds": 3.0}]), 1_000)
    report.save()
    told = json.loads((tmp_path / "gpu.json").read_text(encoding="utf-8"))
    assert [row.get("failed", row.get("seconds")) for row in told["rows"]] == [
        "ZeroDivisionError: integer division or modulo by zero", 2.0,
    ]  # fmt: skip
    assert told["left_out"] == ["three"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--sizes", "9b", "--device", "cpu"], ["--device", "cuda:99"], ["--device", "cpu", "--dtypes", "float32,half"],
        ["--device", "cpu", "--json", "no/such/folder/gpu.json"],
    ],
)  # fmt: skip
def test_what_cannot_be_measured_here_is_refused(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit):
        gpu.main(arguments)
