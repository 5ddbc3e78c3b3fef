"""The readouts of the real demo model equal plain calls to transformers, written here without the package."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from pytest_llminvariance import Presentation, Question, Template
from pytest_llminvariance.models.local.demo import demo_folder
from pytest_llminvariance.models.local.transformers import TransformersModel
from pytest_llminvariance.models.protocol import (
    LabelReply,
    LabelRequest,
    OptionReply,
    OptionRequest,
    TextReply,
    TextRequest,
)

pytestmark = pytest.mark.real_model


class Plain:
    """One prompt at a time, the whole vocabulary, no batching, no package code but the folder's place."""

    def __init__(self) -> None:
        folder = str(demo_folder())
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def prompt(self, text: str) -> list[int]:
        chat = [{"role": "user", "content": text}]
        written = self.tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        ids: list[int] = self.tokenizer(written, add_special_tokens=False)["input_ids"]
        return ids

    def spellings(self, label: str) -> list[int]:
        """Ids of the label as one token, with and without a blank before it."""
        encoded = [self.tokenizer.encode(text, add_special_tokens=False) for text in (label, " " + label)]
        return sorted({ids[0] for ids in encoded if len(ids) == 1})

    @torch.inference_mode()
    def logprobs(self, ids: Sequence[int]) -> torch.Tensor:
        return torch.log_softmax(self.network(torch.tensor([list(ids)])).logits[0].double(), dim=-1)


@pytest.fixture(scope="module")
def plain() -> Plain:
    return Plain()


@pytest.fixture(scope="module")
def shown(facts: tuple[Question, ...]) -> list[Presentation]:
    """20 prompts: orders, labels and templates of different lengths."""
    ways = [
        Template("{stem}\n{options}\nAnswer:"),
        Template("Read this carefully, then choose. {stem}\n\n{options}\n\nAnswer with the letter only, {labels}."),
    ]
    orders = [(0, 1, 2, 3), (3, 1, 0, 2), (2, 3, 1, 0), (1, 0, 3, 2)]
    label_sets = ["ABCD", "1234", "RSNT"]
    return [
        Presentation(question, order=orders[n % 4], labels=label_sets[n % 3], template=ways[n % 2])
        for n, question in enumerate(facts[:20])
    ]


def text_of(presentation: Presentation) -> str:
    question = presentation.question
    lines = [
        f"{label}. {question.options[c]}" for label, c in zip(presentation.labels, presentation.order, strict=True)
    ]
    listed = "\n".join(lines)
    if presentation.template.text.startswith("Read"):
        names = ", ".join(presentation.labels)
        return f"Read this carefully, then choose. {question.stem}\n\n{listed}\n\nAnswer with the letter only, {names}."
    return f"{question.stem}\n{listed}\nAnswer:"


def test_label_readout_equals_plain_calls(
    demo_model: TransformersModel, plain: Plain, shown: list[Presentation]
) -> None:
    replies = demo_model.answer([LabelRequest(presentation) for presentation in shown])
    for presentation, reply in zip(shown, replies, strict=True):
        assert isinstance(reply, LabelReply)
        last = plain.logprobs(plain.prompt(text_of(presentation)))[-1]
        for position, label in enumerate(presentation.labels):
            expected = float(torch.logsumexp(last[plain.spellings(label)], 0))
            assert reply.logprobs_nats[position] == pytest.approx(expected, abs=1e-4)


def test_padded_batches_equal_single_calls(demo_model: TransformersModel, shown: list[Presentation]) -> None:
    requests = [LabelRequest(presentation) for presentation in shown]
    together = demo_model.answer(requests)
    for request, reply in zip(requests, together, strict=True):
        (alone,) = demo_model.answer([request])
        assert isinstance(alone, LabelReply)
        assert isinstance(reply, LabelReply)
        assert reply.logprobs_nats == pytest.approx(alone.logprobs_nats, abs=1e-4)
        assert reply.sent_sha256 == alone.sent_sha256


def test_replies_come_in_the_order_asked(demo_model: TransformersModel, shown: list[Presentation]) -> None:
    requests = [LabelRequest(presentation) for presentation in shown[:6]]
    forwards = demo_model.answer(requests)
    backwards = demo_model.answer(requests[::-1])
    assert [reply.sent_sha256 for reply in forwards] == [reply.sent_sha256 for reply in backwards[::-1]]
    assert len({reply.sent_sha256 for reply in forwards}) == 6


def test_option_readout_equals_plain_calls(
    demo_model: TransformersModel, plain: Plain, shown: list[Presentation]
) -> None:
    replies = demo_model.answer([OptionRequest(presentation) for presentation in shown[:6]])
    for presentation, reply in zip(shown[:6], replies, strict=True):
        assert isinstance(reply, OptionReply)
        prompt = plain.prompt(text_of(presentation))
        for position, content in enumerate(presentation.order):
            tokens = plain.tokenizer.encode(presentation.question.options[content], add_special_tokens=False)
            table = plain.logprobs(prompt + tokens)
            expected = sum(float(table[len(prompt) - 1 + step, token]) for step, token in enumerate(tokens))
            assert reply.logprobs_nats[position] == pytest.approx(expected, abs=1e-3)
            assert reply.option_tokens[position] == len(tokens)


def test_text_readout_equals_greedy_decoding_by_hand(
    demo_model: TransformersModel, plain: Plain, shown: list[Presentation]
) -> None:
    requests = [TextRequest(presentation, max_new_tokens=6) for presentation in shown[:4]]
    for request, reply in zip(requests, demo_model.answer(requests), strict=True):
        ids = plain.prompt(text_of(request.presentation))
        start = len(ids)
        while len(ids) < start + 6 and (len(ids) == start or ids[-1] != plain.tokenizer.eos_token_id):
            ids.append(int(plain.logprobs(ids)[-1].argmax()))
        assert isinstance(reply, TextReply)
        assert reply.text == plain.tokenizer.decode(ids[start:], skip_special_tokens=True)


def test_mass_on_labels_is_what_the_vocabulary_gives_them(
    demo_model: TransformersModel, plain: Plain, shown: list[Presentation]
) -> None:
    from pytest_llminvariance.measures.reading import read_reply

    (reply,) = demo_model.answer([LabelRequest(shown[0])])
    answer = read_reply(reply, shown[0], "label")
    last = plain.logprobs(plain.prompt(text_of(shown[0])))[-1].exp()
    ids = [token for label in "ABCD" for token in plain.spellings(label)]
    assert answer.mass == pytest.approx(float(last[ids].sum()), abs=1e-4)
    assert sum(answer.vector()) == pytest.approx(1)
