"""Misuse of language models: what cannot be loaded, sent or read is refused in words, on tiny random models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_llminvariance import (
    Model,
    ModelError,
    Question,
    Relabel,
    Template,
    UsageError,
    assert_invariant,
    assert_order_symmetric,
    check,
    load_model,
)
from pytest_llminvariance.models.local.label_tokens import LabelTokens
from pytest_llminvariance.models.local.transformers import TransformersModel
from tests.models.tiny_models import llama_config, save_llama, save_t5, save_tokenizer
from tests.questions.bad_input import Misuse, assert_refused

COLOUR = Question("Which colour is it ?", ["red", "blue", "green"])
TEN = Question("Which colour is it ?", ["red", "blue", "green", *"ABCDEFG"])
NUMBERED = Template("{stem} {options}", name="numbered", labels=tuple(map(str, range(1, 11))))
POLITE = Template("{stem} {options} {labels}", name="polite", system="Be kind.")
NO_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system turn') }}{% endif %}"
    "{{ m.content }}{% endfor %}"
)


class Lowering:
    """A tokenizer of lower-case characters, which knows no circled numbers."""

    unk_token_id = 0

    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": [0 if character > "~" else ord(character.lower()) for character in text]}

    def decode(self, tokens: list[int]) -> str:
        return "".join(chr(token) if token else "<unk>" for token in tokens)


FOLDER_RULE = "Give a hub id, or a folder with config.json, tokenizer and weights"
SINGLE = (
    "but the label readout compares single tokens. "
    "Use other labels (letters or single digits), or readout='option' or 'text'"
)


def llama(folder: Path, **settings: Any) -> Model:
    return load_model(save_llama(folder), device="cpu", **settings)


def config_only(folder: Path) -> Path:
    from transformers import LlamaConfig

    llama_config(LlamaConfig).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def released(folder: Path) -> Model:
    model = llama(folder)
    assert isinstance(model, TransformersModel)
    model.release()
    return model


MISUSES = [
    Misuse(
        "empty folder",
        lambda folder: load_model(str(folder)),
        ModelError,
        f"the model '<...>' cannot be loaded: <...>. {FOLDER_RULE}",
    ),
    Misuse(
        "folder without weights",
        lambda folder: load_model(str(config_only(folder)), device="cpu"),
        ModelError,
        f"the model '<...>' cannot be loaded: Error no file named model.safetensors, <...>. {FOLDER_RULE}",
    ),
    Misuse(
        "encoder-decoder",
        lambda folder: load_model(save_t5(folder), device="cpu"),
        ModelError,
        "<...> is an encoder-decoder model (t5), but a causal language model is needed",
    ),
    Misuse(
        "no chat template",
        lambda folder: llama(folder, prompt_format="chat"),
        UsageError,
        "prompt_format='chat', but <...> has no chat template. Use prompt_format='auto' or 'plain'",
    ),
    Misuse(
        "system message without chat",
        lambda folder: assert_order_symmetric(llama(folder), COLOUR, template=POLITE),
        UsageError,
        "<...> is asked without a chat template, so the system message of the template 'polite' cannot be sent. "
        "Leave system out, or use a chat model",
    ),
    Misuse(
        "system message that the chat template refuses",
        lambda folder: assert_order_symmetric(
            load_model(save_llama(folder, chat_template=NO_SYSTEM), device="cpu"), COLOUR, template=POLITE
        ),
        ModelError,
        "<...>: its chat template cannot take the messages of template 'polite': no system turn",
    ),
    Misuse(
        "label of two tokens",
        lambda folder: assert_invariant(llama(folder), COLOUR, under=Relabel((("A", "B", "C"), ("12", "3", "4")))),
        UsageError,
        f"the label '12' is 2 tokens for this model ('1' + '2'), {SINGLE}",
    ),
    Misuse(
        "labels 1 to 10",
        lambda folder: assert_order_symmetric(llama(folder), TEN, template=NUMBERED, orders="cyclic"),
        UsageError,
        f"the label '10' is 2 tokens for this model ('1' + '0'), {SINGLE}",
    ),
    Misuse(
        "label unknown to the tokenizer",
        lambda _: LabelTokens(Lowering()).columns(["①"]),
        UsageError,
        "the label '①' is unknown to this model's tokenizer. Use other labels",
    ),
    Misuse(
        "label changed by the tokenizer",
        lambda _: LabelTokens(Lowering()).columns(["A"]),
        UsageError,
        "the label 'A' becomes 'a' in this model's tokenizer. Use labels that it keeps as they are",
    ),
    Misuse(
        "prompt too long",
        lambda folder: assert_order_symmetric(llama(folder), Question("is it " * 60, ["red", "blue"], id="long")),
        ModelError,
        "<...>: question 'long' needs 1<...> tokens, but the model's context is 128. Shorten its stem or context",
    ),
    Misuse(
        "released model",
        lambda folder: assert_order_symmetric(released(folder), COLOUR),
        ModelError,
        "<...> was released and cannot be asked any more. Load it again",
    ),
    Misuse(
        "no CUDA device",
        lambda folder: llama_on(folder, "cuda"),
        ModelError,
        "device='cuda', but torch <...> sees no CUDA device here. Use device='cpu' or 'auto'",
    ),
]


def llama_on(folder: Path, device: str) -> Model:
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    return load_model(save_llama(folder), device=device)


@pytest.mark.parametrize("misuse", MISUSES, ids=lambda misuse: misuse.id)
def test_is_refused(misuse: Misuse, tmp_path: Path) -> None:
    assert_refused(misuse, tmp_path)


def test_tiny_model_answers_when_used_rightly(tmp_path: Path) -> None:
    assert check("option_order", llama(tmp_path), COLOUR, tolerance=0.5).presentations_asked == 6
