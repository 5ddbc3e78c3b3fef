"""The sentence encoder: pooling by hand, padding that changes nothing, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertModel, LlamaConfig

from pytest_llminvariance import ModelError
from pytest_llminvariance.models.local.encoder import load_encoder

TEXTS = ["stem option", "Answer: A", "an altogether longer text than the others are, with more tokens in it"]


@pytest.fixture
def folder(tmp_path: Path, tiny_tokenizer: Any) -> Path:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=300, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    BertModel(config).save_pretrained(tmp_path)
    tiny_tokenizer.save_pretrained(tmp_path)
    return tmp_path


def pool(folder: Path, **modes: bool) -> None:
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"word_embedding_dimension": 16, **modes}))


@torch.inference_mode()
def by_hand(folder: Path, tokenizer: Any, how: str) -> list[float]:
    """Each text alone, without padding."""
    network = BertModel.from_pretrained(folder).eval()
    vectors = []
    for text in TEXTS:
        hidden = network(input_ids=torch.tensor([tokenizer(text)["input_ids"]])).last_hidden_state[0]
        vectors.append(hidden.mean(0) if how == "mean" else hidden[0])
    return [float(torch.cosine_similarity(vectors[0], vector, dim=0)) for vector in vectors]


@pytest.mark.parametrize("how", ["mean", "cls"])
def test_similarities_are_those_of_the_pooled_vectors(how: str, folder: Path, tiny_tokenizer: Any) -> None:
    if how == "cls":
        pool(folder, pooling_mode_cls_token=True, pooling_mode_mean_tokens=False)
    found = load_encoder(str(folder)).similarities(TEXTS[0], TEXTS)
    assert found == pytest.approx(by_hand(folder, tiny_tokenizer, how), abs=2e-4)
    assert found[0] == pytest.approx(1, abs=1e-4)
    assert min(found) < 0.999


def test_nothing_is_compared_with_nothing(folder: Path) -> None:
    assert load_encoder(str(folder)).similarities("a", []) == []


def test_another_pooling_is_refused(folder: Path) -> None:
    pool(folder, pooling_mode_max_tokens=True, pooling_mode_mean_tokens=False)
    with pytest.raises(ModelError, match="pools by pooling_mode_max_tokens, which is not known"):
        load_encoder(str(folder))


def test_missing_weights_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 2}))
    with pytest.raises(ModelError, match=r"lacks \d+ weights, such as"):
        load_encoder(str(folder))


def test_no_encoder_and_no_folder(tiny_folder: Callable[[Any], Path]) -> None:
    config = LlamaConfig(
        vocab_size=300, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        num_key_value_heads=2,
    )  # fmt: skip
    with pytest.raises(ModelError, match="is no encoder"):
        load_encoder(str(tiny_folder(config)))
    with pytest.raises(ModelError, match=r"the encoder '\./nowhere' cannot be loaded"):
        load_encoder("./nowhere")
