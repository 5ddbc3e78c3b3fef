"""Weights of a folder that was loaded before are loaded when the first answer is missing, and never for what is remembered."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf

from pytest_llminvariance import LLMInvarianceError, Question, load_model
from pytest_llminvariance.models.local import identity
from pytest_llminvariance.models.local.fingerprint import device_name
from pytest_llminvariance.models.protocol import LabelRequest
from pytest_llminvariance.questions.presentation import Presentation

REQUESTS = [LabelRequest(Presentation(Question(f"stem {n}?", ["Answer", "option"]))) for n in range(3)]
SUITE = """
    from pytest_llminvariance import Question, check

    def test_order(invariance_model):
        questions = [Question(f"stem {n}?", ["Answer", "option", "stem"], answer=0) for n in range(4)]
        check("option_order", invariance_model, questions, tolerance=0.5)
"""


@pytest.fixture
def folder(tiny_folder: Callable[[Any], Path], settled: None) -> Path:
    """A tiny model whose files count as written long ago."""
    return tiny_folder(hf.LlamaConfig(vocab_size=280, hidden_size=16, intermediate_size=32, num_hidden_layers=1,
                                      num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=512))  # fmt: skip


def test_weights_are_loaded_when_the_first_answer_is_missing(
    folder: Path, loads: list[str], hashed: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    kept = str(tmp_path_factory.mktemp("kept"))
    first: Any = load_model(str(folder), device="cpu", kept=kept)
    assert len(loads) == 1
    assert "model.safetensors" in hashed
    wanted = first.answer(REQUESTS)
    hashed.clear()
    again: Any = load_model(str(folder), device="cpu", kept=kept)
    told = [(m.name, m.fingerprint, m.device, m.dtype, m.deterministic, m.context_tokens) for m in (first, again)]
    assert told[0] == told[1]
    assert again.rendered(REQUESTS[0]) == first.rendered(REQUESTS[0])
    assert len(loads) == 1
    assert hashed == []
    usage = again.usage
    assert again.answer(REQUESTS) == wanted
    assert len(loads) == 2
    assert again.usage is usage
    assert usage.passes
    assert again.plain.answer(REQUESTS)
    again.release()
    with pytest.raises(LLMInvarianceError, match="released"):
        again.answer(REQUESTS)
    assert len(loads) == 2


def test_without_a_place_to_keep_it_nothing_waits(folder: Path, loads: list[str], hashed: list[str]) -> None:
    for _ in range(2):
        load_model(str(folder), device="cpu")
    assert len(loads) == 2
    assert hashed == []


def test_what_touches_a_file_is_seen(
    folder: Path, loads: list[str], hashed: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    kept = str(tmp_path_factory.mktemp("kept"))
    before = load_model(str(folder), device="cpu", kept=kept)
    weights = folder / "model.safetensors"
    data, stat = weights.read_bytes(), weights.stat()
    weights.write_bytes(data)  # touched, and the same
    hashed.clear()
    assert load_model(str(folder), device="cpu", kept=kept).fingerprint == before.fingerprint
    assert (hashed, len(loads)) == (["model.safetensors"], 1)
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # the same size and time of writing
    other = load_model(str(folder), device="cpu", kept=kept)
    assert len(loads) == 2
    assert other.fingerprint != before.fingerprint


def test_files_that_change_before_they_are_loaded_are_an_error(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    kept = str(tmp_path_factory.mktemp("kept"))
    load_model(str(folder), device="cpu", kept=kept)
    late: Any = load_model(str(folder), device="cpu", kept=kept)
    weights = folder / "model.safetensors"
    data = weights.read_bytes()
    weights.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(LLMInvarianceError, match=r"changed since the session began.*Run again"):
        late.answer(REQUESTS)
    assert load_model(str(folder), device="cpu", kept=kept).answer(REQUESTS)


def test_a_file_that_was_just_written_is_hashed_again(
    folder: Path, hashed: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Written again within the clock's tick it would have the same times."""
    monkeypatch.setattr(identity, "SETTLED_NS", 10**18)
    kept = str(tmp_path_factory.mktemp("kept"))
    for _ in range(2):
        hashed.clear()
        load_model(str(folder), device="cpu", kept=kept)
        assert "model.safetensors" in hashed


@pytest.mark.parametrize("broken", ["config.json", "tokenizer.json"])
def test_a_folder_that_lost_a_file_is_refused_at_once(
    broken: str, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    kept = str(tmp_path_factory.mktemp("kept"))
    load_model(str(folder), device="cpu", kept=kept)
    for name in {broken, "tokenizer_config.json"} if broken == "tokenizer.json" else {broken}:
        (folder / name).unlink(missing_ok=True)
    with pytest.raises(LLMInvarianceError, match=r"tokenizer|cannot be loaded"):
        load_model(str(folder), device="cpu", kept=kept)


def test_other_settings_are_another_model(
    folder: Path, loads: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    kept = str(tmp_path_factory.mktemp("kept"))
    told = {
        load_model(str(folder), device="cpu", kept=kept, dtype=dtype).fingerprint for dtype in ("float32", "bfloat16")
    }
    assert (len(told), len(loads)) == (2, 2)
    late: Any = load_model(str(folder), device="cpu", kept=kept, dtype="bfloat16")
    assert late.deterministic == "rounding"
    assert len(loads) == 2


def test_a_session_of_remembered_answers_loads_no_weights(
    folder: Path, loads: list[str], pytester: pytest.Pytester
) -> None:
    pytester.makepyfile(test_suite=SUITE)
    flags = (f"--invariance-model={folder}", "--invariance-device=cpu", f"--invariance-cache={pytester.path / 'cache'}")
    for n_loads in (1, 1):
        pytester.runpytest(*flags).assert_outcomes(passed=1)
        assert len(loads) == n_loads
    pytester.makepyfile(test_suite=SUITE.replace("stem {n}?", "other {n}?"))
    pytester.runpytest(*flags).assert_outcomes(passed=1)
    assert len(loads) == 2
    pytester.runpytest(*flags[:2], "--invariance-cache=off").assert_outcomes(passed=1)
    assert len(loads) == 3


@pytest.mark.parametrize(
    ("device", "name"), [("cuda", "cuda NVIDIA H100"), ("cuda:1", "cuda NVIDIA H100"), ("meta", "meta")]
)
def test_a_gpu_is_known_by_its_kind(device: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100")
    assert device_name(torch.device(device)) == name
