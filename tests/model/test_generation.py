"""Greedy texts: batches with a shared beginning say what prompts generated alone say, and end where they should."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pytest_llminvariance import Presentation, Question, load_model
from pytest_llminvariance.models.local import generation
from pytest_llminvariance.models.local.continuations import Encoder
from pytest_llminvariance.models.local.generation import Written, text_batches
from pytest_llminvariance.models.local.transformers import TransformersModel
from pytest_llminvariance.models.protocol import Draw, TextReply, TextRequest
from pytest_llminvariance.models.thoughts import answer_part
from tests.model.tiny_configs import REFUSED, TREE

QUESTIONS = [
    Question("stem " * length + f"{n}?", ["red", "green", "blue", "gold"]) for n, length in enumerate((20, 20, 45))
]
ORDERS = [(0, 1, 2, 3), (3, 2, 1, 0), (1, 0, 3, 2), (2, 3, 0, 1)]
REQUESTS = [TextRequest(Presentation(q, order=order), max_new_tokens=7) for q in QUESTIONS for order in ORDERS]


@torch.inference_mode()
def alone(model: TransformersModel, request: TextRequest) -> str:
    """One prompt, one token at a time, the whole prompt again for each."""
    tokenizer, network = model._tokenizer, model._live()
    ids: list[int] = tokenizer(request.messages[0].content + "\nAnswer:")["input_ids"]
    start = len(ids)
    while len(ids) < start + request.max_new_tokens and (len(ids) == start or ids[-1] != tokenizer.eos_token_id):
        ids.append(int(network(torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
    text: str = tokenizer.decode(ids[start:], skip_special_tokens=True)
    return text


def load(folder: Path, **settings: Any) -> TransformersModel:
    model = load_model(folder, device="cpu", dtype="float32", **settings)
    assert isinstance(model, TransformersModel)
    return model


NAMES = ["llama", "gemma 3", "gpt-2", "gpt-oss", "mistral with a window", "bloom (alibi)", "mamba 2", "qwen 3 next"]


@pytest.mark.parametrize("name", [*NAMES, "llama with dynamic rope", "phi-3 with long rope"])
def test_batches_say_what_single_prompts_say(name: str, tiny_folder: Callable[[Any], Path]) -> None:
    model = load(tiny_folder({**TREE, **REFUSED}[name]()))
    replies = model.answer(REQUESTS)
    for request, reply in zip(REQUESTS, replies, strict=True):
        assert isinstance(reply, TextReply)
        assert reply.text == alone(model, request)


def test_a_shared_beginning_is_sent_once(tiny_folder: Callable[[Any], Path]) -> None:
    folder = tiny_folder(TREE["llama"]())
    model, plain = load(folder), load(folder, packed=False)
    assert [r.text for r in model.answer(REQUESTS)] == [r.text for r in plain.answer(REQUESTS)]  # type: ignore[union-attr]
    assert plain.usage.sent_tokens == plain.usage.asked_tokens == model.usage.asked_tokens
    assert model.usage.sent_tokens < 0.7 * plain.usage.sent_tokens


def test_prompts_of_one_length_share_a_batch_and_others_do_not() -> None:
    prompts = [(1, 2, 3), (1, 2), (4, 5, 6), (1, 9), (7, 8, 9)]
    assert text_batches(prompts, [5] * 5, 100) == [[1, 3], [0, 2, 4]]
    assert text_batches(prompts, [5] * 5, 6) == [[1, 3], [0, 2], [4]]
    assert text_batches(prompts, [5, 5, 5, 5, 9], 100) == [[1, 3], [0, 2], [4]]
    assert text_batches([], [], 100) == []


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("B\nQuestion: And then?", "B\n"),
        ("B. red\nQ 2: more", "B. red\n"),
        ("B\nUser: thanks", "B\n"),
        ("B because the question: is easy", "B because the question: is easy"),
        ("Question: B", "Question: B"),
        ("<think>Hm\nQuestion: what?</think>B", "<think>Hm\nQuestion: what?</think>B"),
        ("Hm\nQuestion: what?</think>B", "Hm\nQuestion: what?</think>B"),
        ("", ""),
    ],
)
def test_an_answer_ends_where_a_next_question_begins(text: str, kept: str) -> None:
    assert answer_part(text) == kept


class Script:
    """A network that generates given texts, a letter a step; counts its steps."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts, self.steps = texts, 0
        self.device = torch.device("cpu")

    def generate(
        self, input_ids: torch.Tensor, generation_config: Any, stopping_criteria: Any, **_: Any
    ) -> torch.Tensor:
        ids, done = input_ids, torch.zeros(len(input_ids), dtype=torch.bool)
        for step in range(generation_config.max_new_tokens):
            self.steps += 1
            column = [ord(text[step]) if not done[row] else ord("#") for row, text in enumerate(self.texts)]
            ids = torch.cat([ids, torch.tensor(column)[:, None]], dim=1)
            done = done | stopping_criteria(ids, None)
            if done.all():
                break
        return ids


class Letters:
    """Counts the letters that it is asked for."""

    def __init__(self) -> None:
        self.n_decoded = 0

    def batch_decode(self, rows: Sequence[Any], skip_special_tokens: bool) -> list[str]:
        self.n_decoded += sum(map(len, rows))
        return ["".join(map(chr, row)) for row in rows]


def test_a_batch_ends_with_its_last_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "reset_rotary", lambda network: None)
    network = Script(["A\nQuestion: next one", "The answer is\nUser: B", "no end at all, it goes"])
    texts, sent = generation.generate(network, Letters(), [(1,), (2,), (3,)], 20, pad=0, share=False)
    assert [made.text for made in texts] == ["A\n", "The answer is\n", "no end at all, it go"]
    assert [made.ran_out for made in texts] == [False, False, True]
    assert (network.steps, sent) == (20, 3)
    network = Script(["A\nQuestion: next one", "B\nQuestion: next one"])
    texts, _ = generation.generate(network, Letters(), [(1,), (2,)], 20, pad=0, share=False)
    assert texts == [Written("A\n", ran_out=False), Written("B\n", ran_out=False)]
    assert network.steps == len("A\nQuestion:")


def test_a_text_is_not_decoded_again_at_every_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where a next question could begin: 400 letters, 8 of which could, and not 400 times all before."""
    monkeypatch.setattr(generation, "reset_rotary", lambda network: None)
    text = ("and so it went on for a while, as was said before." * 8)[:400]
    tokenizer, network = Letters(), Script([text, text.upper()])
    texts, _ = generation.generate(network, tokenizer, [(1,), (2,)], 400, pad=0, share=False)
    assert [made.text for made in texts] == [text, text.upper()]
    assert tokenizer.n_decoded < 2 * (8 * 400 + 400 + 128) < 2 * 400 * 400 / 20


@pytest.mark.parametrize("question", ["Question:", "Q.", "user 12:", "Human :", "q٣."])
@pytest.mark.parametrize("late", [0, 1])
def test_tokens_looked_at_a_step_late_end_a_text_at_the_same_place(
    question: str, late: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on CUDA: the batch may end a step later, the answers are the same; also where it is the last token."""
    monkeypatch.setattr(generation, "reset_rotary", lambda network: None)
    usual = generation._NextQuestion.__init__

    def init(self: Any, *args: Any) -> None:
        usual(self, *args)
        self._late = late

    monkeypatch.setattr(generation._NextQuestion, "__init__", init)
    begun = f"A: yes.\n{question}"
    for n_new in (len(begun), len(begun) + 1, 40):
        network = Script([begun + "[THINK] and so on. " * 9, "x" * 40, "No.\nQ2: z" + "y" * 40])
        texts, _ = generation.generate(network, Letters(), [(1,), (2,), (3,)], n_new, pad=0, share=False)
        assert texts[0] == Written("A: yes.\n", ran_out=False)
        assert texts[1] == Written("x" * n_new, ran_out=True)
        assert texts[2] == Written("No.\n", ran_out=False)


def test_nothing_on_the_device_is_float64() -> None:
    sampler = generation._Sampler([Draw(1, 0, 0.5), None], [(1, 2), (3, 4)])
    scores = torch.randn(2, 30, generator=torch.Generator().manual_seed(0))
    drawn = sampler(torch.zeros(2, 1), scores)
    assert drawn.dtype == torch.float32
    assert torch.equal(drawn[1], scores[1])
    assert sampler(torch.zeros(2, 1), scores.bfloat16()).dtype == torch.float32


class Marked:
    """A tokenizer whose marks of thoughts are special tokens: `<` and `>` here."""

    all_special_tokens = ("[THINK]", "[/THINK]", "#", "_")
    eos_token, pad_token = "#", "_"

    def batch_decode(self, rows: Sequence[Any], skip_special_tokens: bool) -> list[str]:
        marks = {"<": "[THINK]", ">": "[/THINK]"}
        texts = ["".join(marks.get(chr(token), chr(token)) for token in row) for row in rows]
        return [re.sub(r"\[/?THINK\]|[#_]", "", text) if skip_special_tokens else text for text in texts]


def test_marks_of_thoughts_stay_in_the_text_and_ends_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "reset_rotary", lambda network: None)
    network = Script(["<A>B#____", "<A, or B"])
    network.generation_config = SimpleNamespace(eos_token_id=[ord("#")])  # type: ignore[attr-defined]
    texts, _ = generation.generate(network, Marked(), [(1,), (2,)], 8, pad=0, share=False)
    assert texts == [Written("[THINK]A[/THINK]B", ran_out=False), Written("[THINK]A, or B", ran_out=True)]


def test_a_draw_is_the_same_in_every_company(tiny_folder: Callable[[Any], Path]) -> None:
    model = load(tiny_folder(TREE["llama"]()))
    shown = [Presentation(q, order=order) for q in QUESTIONS for order in ORDERS]
    asked = [TextRequest(s, max_new_tokens=5, draw=Draw(3, index)) for s in shown for index in range(3)]
    mixed = asked + [TextRequest(s, max_new_tokens=5) for s in shown]
    together = [reply.text for reply in model.answer(mixed)][: len(asked)]  # type: ignore[union-attr]
    assert together == [model.answer([request])[0].text for request in asked]  # type: ignore[union-attr]
    assert len(set(together)) > len(asked) / 2, "draws differ"
    greedy = [reply.text for reply in model.answer(mixed)][len(asked) :]  # type: ignore[union-attr]
    assert greedy == [reply.text for reply in model.answer([TextRequest(s, max_new_tokens=5) for s in shown])]  # type: ignore[union-attr]


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_draws_follow_the_distribution(temperature: float) -> None:
    """4,000 draws of one token against softmax(logits / T), by chi-square."""
    from scipy.stats import chisquare

    logits = torch.randn(30, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = 4000 * torch.softmax(logits / temperature, dim=0)
    sampler = generation._Sampler([Draw(1, index, temperature) for index in range(4000)], [(1, 2, 3)] * 4000)
    chosen = sampler(torch.zeros(4000, 1), logits.expand(4000, -1)).argmax(dim=1)
    counts = torch.bincount(chosen, minlength=30).double()
    rare = expected < 10
    pooled = [torch.cat([values[~rare], values[rare].sum()[None]]) for values in (counts, expected)]
    assert len(pooled[0]) > 15
    assert chisquare(*pooled).pvalue > 1e-3
    again = sampler(torch.zeros(4000, 1), logits.expand(4000, -1)).argmax(dim=1)
    assert (again != chosen).float().mean() > 0.5, "the next token has noise of its own"


class Once:
    """A fast tokenizer that counts its calls."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer, self.calls = tokenizer, list[Any]()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)

    def __call__(self, text: Any, **more: Any) -> Any:
        self.calls.append(text)
        return self._tokenizer(text, **more)


@pytest.mark.parametrize("fast", [True, False])
def test_prompts_are_tokenised_at_once(fast: bool, tiny_tokenizer: Any) -> None:
    tokenizer = Once(tiny_tokenizer)
    if not fast:
        tokenizer.is_fast = False  # type: ignore[attr-defined]
    encoder = Encoder(tokenizer, chat=True)
    texts = ["Answer: A", " stem\n", "", "option é 語", "Answer: A"]
    for given in (texts, [text for text in texts if text], texts[:1], []):
        tokenizer.calls.clear()
        assert encoder.prompts(given) == [encoder.prompt(text) for text in given]
    tokenizer.calls.clear()
    encoder.prompts(texts[:2] * 50)
    assert len(tokenizer.calls) == (1 if fast else 100)
