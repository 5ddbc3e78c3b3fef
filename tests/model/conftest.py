"""Models for these tests: the real demo model, loaded once, and tiny random ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from pytest_llminvariance import Question, load_model, load_questions
from pytest_llminvariance.models.local import identity
from pytest_llminvariance.models.local.transformers import TransformersModel

FACTS = Path(__file__).parents[2] / "examples" / "model_repo" / "questions" / "facts.jsonl"


@pytest.fixture(scope="session")
def demo_model() -> Iterator[TransformersModel]:
    model = load_model("demo")
    assert isinstance(model, TransformersModel)
    yield model
    model.release()


@pytest.fixture(scope="session")
def facts() -> tuple[Question, ...]:
    return load_questions(FACTS)


@pytest.fixture(scope="session")
def tiny_tokenizer() -> Any:
    """A byte-level BPE tokenizer trained on a few lines: every text can be encoded."""
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE(unk_token=None))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    core.train_from_iterator(
        ["Answer: A", "stem option"], trainers.BpeTrainer(vocab_size=280, initial_alphabet=alphabet)
    )
    return PreTrainedTokenizerFast(tokenizer_object=core, eos_token="!", pad_token="!")


@pytest.fixture
def tiny_folder(tmp_path: Path, tiny_tokenizer: Any) -> Callable[[Any], Path]:
    """Return a function that saves a randomly initialised model of a config, with the tiny tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM

    def save(config: Any) -> Path:
        torch.manual_seed(0)
        network = AutoModelForCausalLM.from_config(config).float()
        for parameter in network.parameters():
            parameter.data.normal_(0, 0.2)
        network.save_pretrained(tmp_path)
        tiny_tokenizer.save_pretrained(tmp_path)
        return tmp_path

    return save


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as written long ago."""
    monkeypatch.setattr(identity, "SETTLED_NS", -(10**18))


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Models whose weights were loaded."""
    from transformers import PreTrainedModel

    found: list[str] = []
    before = PreTrainedModel.from_pretrained.__func__

    def load(kind: Any, target: Any, *args: Any, **settings: Any) -> Any:
        found.append(str(target))
        return before(kind, target, *args, **settings)

    monkeypatch.setattr(PreTrainedModel, "from_pretrained", classmethod(load))
    return found


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Files that were read to know them."""
    found: list[str] = []
    before: Any = vars(identity)["file_digest"]

    def digest(file: Path) -> str:
        found.append(file.name)
        return str(before(file))

    monkeypatch.setattr(identity, "file_digest", digest)
    return found
