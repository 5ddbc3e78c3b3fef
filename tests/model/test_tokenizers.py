"""Prompts to tokens for every class of tokenizer, with and without template, against plain calls of transformers.

The right value is written here without the package: prompt and answer are one text, encoded at once, and its
log-probabilities are summed from the first token that the answers change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from pytest_llminvariance import Presentation, Question, Template
from pytest_llminvariance.models.local.transformers import TransformersModel
from pytest_llminvariance.models.protocol import (
    LabelReply,
    LabelRequest,
    OptionReply,
    OptionRequest,
    TextReply,
    TextRequest,
)
from tests.model.tiny_tokenizers import NAMES, TEMPLATES, TOKENIZERS

QUESTION = Question("Which is the capital of France?", ["Paris", "Rome", "Berlin", "green paint"])
CUED = Template("{stem}\n{options}\nAnswer:")
UNCUED = Template("{stem}\n{options}")
WITH = [(name, template) for name in NAMES for template in TEMPLATES]


def made(name: str, template: str, **settings: Any) -> TransformersModel:
    tokenizer = TOKENIZERS[name]()
    tokenizer.chat_template = TEMPLATES[template]
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    network = LlamaForCausalLM(
        LlamaConfig(vocab_size=len(tokenizer), eos_token_id=2, bos_token_id=1, pad_token_id=2, **sizes)
    ).eval()
    for parameter in network.parameters():
        parameter.data.normal_(0, 0.3)
    chat = TEMPLATES[template] is not None
    return TransformersModel(name, network, tokenizer, chat=chat, batch_tokens=1024, **settings)


class Plain:
    """One text at a time, encoded as a whole."""

    def __init__(self, model: TransformersModel, template: str) -> None:
        self.tokenizer, self.network = model._tokenizer, model._live()
        self.chat = TEMPLATES[template] is not None

    def text(self, shown: Presentation) -> str:
        question = shown.question
        lines = [f"{label}. {question.options[c]}" for label, c in zip(shown.labels, shown.order, strict=True)]
        asked = "\n".join([question.stem, *lines])
        if shown.template == CUED or not self.chat:
            asked += "\nAnswer:"
        if not self.chat:
            return asked
        chat = [{"role": "user", "content": asked}]
        return str(self.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))

    def ids(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        starts = not self.chat and self.tokenizer("A")["input_ids"][0] == self.tokenizer.bos_token_id
        return [self.tokenizer.bos_token_id, *ids] if starts else ids

    @torch.inference_mode()
    def log_probability(self, ids: Sequence[int], start: int) -> float:
        table = torch.log_softmax(self.network(torch.tensor([list(ids)])).logits[0].double(), -1)
        return math.fsum(float(table[place - 1, ids[place]]) for place in range(start, len(ids)))

    def options(self, shown: Presentation) -> tuple[list[float], list[int]]:
        text = self.text(shown)
        blank = "" if self.chat else " "
        texts = [self.ids(text), *(self.ids(text + blank + option) for option in shown.shown_options)]
        start = shared(texts)
        return [self.log_probability(ids, start) for ids in texts[1:]], [len(ids) - start for ids in texts[1:]]


def shared(texts: Sequence[Sequence[int]]) -> int:
    """Tokens that every continuation has in common with the prompt, the first of the texts."""
    prompt = texts[0]
    return min(
        next((n for n in range(len(prompt)) if n >= len(ids) or ids[n] != prompt[n]), len(prompt)) for ids in texts[1:]
    )


@pytest.mark.parametrize("shown_by", [CUED, UNCUED], ids=["cue", "no cue"])
@pytest.mark.parametrize(("name", "template"), WITH)
def test_options_are_scored_as_one_text_with_the_prompt(name: str, template: str, shown_by: Template) -> None:
    model = made(name, template)
    plain = Plain(model, template)
    for order in ((0, 1, 2, 3), (3, 1, 0, 2)):
        shown = Presentation(QUESTION, order=order, template=shown_by)
        (reply,) = model.answer([OptionRequest(shown)])
        assert isinstance(reply, OptionReply)
        sums, lengths = plain.options(shown)
        assert reply.logprobs_nats == pytest.approx(sums, abs=1e-4)
        assert list(reply.option_tokens) == lengths


@pytest.mark.parametrize("labels", ["ABCD", "1234"])
@pytest.mark.parametrize(("name", "template"), WITH)
def test_the_tokens_of_a_label_are_those_that_the_tokenizer_writes(name: str, template: str, labels: str) -> None:
    """The probability of a label is at least that of how prompt and label are written as one text."""
    model = made(name, template)
    plain = Plain(model, template)
    shown = Presentation(QUESTION, labels=labels, template=CUED)
    (reply,) = model.answer([LabelRequest(shown)])
    assert isinstance(reply, LabelReply)
    text = plain.text(shown)
    blank = "" if plain.chat else " "
    texts = [plain.ids(text), *(plain.ids(text + blank + label) for label in labels)]
    start = shared(texts)
    for value, ids in zip(reply.logprobs_nats, texts[1:], strict=True):
        assert value >= plain.log_probability(ids, start) - 1e-4
    assert math.fsum(map(math.exp, reply.logprobs_nats)) <= 1 + 1e-6


@pytest.mark.parametrize(("name", "template"), WITH)
def test_texts_follow_the_prompt_and_nothing_else(name: str, template: str) -> None:
    model = made(name, template)
    plain = Plain(model, template)
    shown = Presentation(QUESTION, template=CUED)
    (reply,) = model.answer([TextRequest(shown, max_new_tokens=5)])
    ids = plain.ids(plain.text(shown))
    start = len(ids)
    while len(ids) < start + 5 and (len(ids) == start or ids[-1] != 2):
        ids.append(int(plain.network(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    assert isinstance(reply, TextReply)
    assert reply.text == plain.tokenizer.decode(ids[start:], skip_special_tokens=True)


@pytest.mark.parametrize("name", NAMES)
def test_the_end_of_a_prompt_says_as_much_as_the_whole(name: str) -> None:
    """Continuations are encoded with the end of a prompt: the same as with all of it."""
    from pytest_llminvariance.models.local.continuations import Encoder
    from pytest_llminvariance.models.local.tree import common_prefix

    for template in TEMPLATES:
        plain = Plain(made(name, template), template)
        text = plain.text(Presentation(QUESTION, template=CUED))
        encoder = Encoder(plain.tokenizer, chat=plain.chat)
        prompt = encoder.prompt(text)
        for more in ("Paris", " Paris", " 1", "1", "\nRome", " green paint", "1 2"):
            whole = encoder.prompt(text + more)
            ending = encoder.ending(text, prompt, more)
            start = common_prefix(prompt, whole)
            assert (ending.start, ending.tokens) == (start, whole[start:])


def test_a_blank_and_a_digit_spell_a_label_together() -> None:
    model = made("sentencepiece BPE", "no template")
    asked = model._jobs.asked([LabelRequest(Presentation(QUESTION, labels="1234", template=CUED))])[0]
    text, prompt = asked.text, asked.tokens
    spelled = model._jobs.labels.spelled(text, prompt, "1234")
    blank, digit = (model._tokenizer.convert_tokens_to_ids(piece) for piece in "▁1")
    assert spelled.start == len(prompt)
    assert (blank, digit) in spelled.paths[0]
    assert (digit,) in spelled.paths[0]


def test_a_cue_is_not_written_twice() -> None:
    model = made("byte-level BPE", "no template")
    texts = [model.rendered(TextRequest(Presentation(QUESTION, template=template))) for template in (CUED, UNCUED)]
    assert texts[0] == texts[1]
    assert texts[0].count("Answer:") == 1


def test_a_trained_reader_is_read_right(trained: Callable[[str], TransformersModel]) -> None:
    """A model that learned to say the capital after a line break is read as saying it."""
    model = trained("ends in a line break")
    shown = [
        Presentation(QUESTION, order=order, template=UNCUED) for order in ((0, 1, 2, 3), (1, 2, 0, 3), (3, 2, 1, 0))
    ]
    for presentation, reply in zip(shown, model.answer([OptionRequest(one) for one in shown]), strict=True):
        assert isinstance(reply, OptionReply)
        values = reply.logprobs_nats
        assert presentation.order[values.index(max(values))] == 0
        assert max(values) > math.log(0.5)


@pytest.fixture
def trained() -> Callable[[str], TransformersModel]:
    """Return a function that trains a tiny model on the prompt's own end, by all that follows it."""

    def train(template: str) -> TransformersModel:
        model = made("sentencepiece BPE", template)
        plain = Plain(model, template)
        network = plain.network.train()
        for parameter in network.parameters():
            parameter.data.mul_(0.2)
        orders = [(0, 1, 2, 3), (1, 2, 0, 3), (3, 2, 1, 0)]
        rows = [
            plain.ids(plain.text(Presentation(QUESTION, order=order, template=UNCUED)) + "Paris</s>")
            for order in orders
        ]
        ids = torch.tensor(rows)
        answer = len(plain.ids("\nParis</s>")) - len(plain.ids("\n"))
        targets = ids.clone()
        targets[:, : ids.shape[1] - answer] = -100
        optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
        for _ in range(40):
            loss = network(input_ids=ids, labels=targets).loss
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        network.eval()
        return model

    return train


def test_a_folder_is_read_as_the_objects_are(tmp_path: Path) -> None:
    from pytest_llminvariance import load_model

    model = made("sentencepiece BPE with add_eos_token", "no template")
    model._live().save_pretrained(tmp_path)
    model._tokenizer.save_pretrained(tmp_path)
    request = OptionRequest(Presentation(QUESTION))
    (one,), (other,) = model.answer([request]), load_model(tmp_path, device="cpu").answer([request])
    assert isinstance(one, OptionReply)
    assert isinstance(other, OptionReply)
    assert one.logprobs_nats == pytest.approx(other.logprobs_nats, abs=1e-5)
