"""The benchmark of whole checks runs, and both verdicts are what they are made to be."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks import checks
from benchmarks.contestants import Bench, Setting
from tests.model.tiny_configs import TREE


def test_whole_checks_stand_beside_their_orbits(
    tiny_folder: Callable[[Any], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "PAUSE_S", 0.0)
    bench = Bench(Setting(spec=str(tiny_folder(TREE["llama"]()))))
    row = checks._cell(bench, 5, 1, Namespace(rounds=1, salt=3, clock="cpu"))
    (sent,) = ({name: part["tokens_sent"] for name, part in found.items()} for found in row["rounds"])
    assert sent["orbits"] <= sent["BROKEN"] < sent["HOLDS"]
    assert "tokens sent" in checks._line(row)
