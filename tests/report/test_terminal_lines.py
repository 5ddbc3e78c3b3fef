"""The lines of the terminal section about the engine: one path a kind, tokens summed over workers."""

from __future__ import annotations

from typing import Any

from pytest_llminvariance.report.terminal import engine_lines, section_lines


def engine(path: str, asked: int, sent: int) -> dict[str, Any]:
    return {"kind": "engine", "model": "m", "path": path, "asked_tokens": asked, "sent_tokens": sent}


def test_workers_are_summed_and_equal_paths_said_once() -> None:
    records = [
        engine("prefix tree (differs by 1e-05 nat)", 2_000, 800),
        engine("prefix tree (differs by 1e-05 nat)", 64, 8),
    ]
    assert list(engine_lines(records)) == [
        "engine: prefix tree (differs by 1e-05 nat)",
        "tokens: 808 sent for prompts of 2,064 (61% saved)",
    ]


def test_different_paths_are_all_said() -> None:
    records = [engine("prefix tree", 10, 5), engine("padded batches; no prefix tree: chunked attention", 10, 10)]
    assert [line for line in engine_lines(records) if line.startswith("engine")] == [
        "engine: prefix tree",
        "engine: padded batches; no prefix tree: chunked attention",
    ]


def test_nothing_is_said_where_nothing_was_asked() -> None:
    assert list(engine_lines([])) == []
    assert list(engine_lines([engine("nothing was asked", 0, 0)])) == []
    assert list(section_lines([engine("nothing was asked", 0, 0)], "fail")) == []
