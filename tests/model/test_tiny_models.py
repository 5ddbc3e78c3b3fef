"""Padded batches against single prompts on tiny random models whose attention or positions are special."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pytest_llminvariance import Presentation, Question, load_model
from pytest_llminvariance.models.local.transformers import TransformersModel
from pytest_llminvariance.models.protocol import LabelReply, LabelRequest, OptionReply, OptionRequest
from tests.model.tiny_configs import REFUSED, TREE

NAMES = [*TREE, *REFUSED]


def questions() -> list[Question]:
    """Short and long prompts in turns, on both sides of 128 tokens."""
    return [Question("stem " * (1 + 60 * (n % 3)) + f"{n}?", ["red", "green paint", "blue", "b"]) for n in range(6)]


@pytest.fixture
def load(tiny_folder: Callable[[Any], Path]) -> Callable[[str], TransformersModel]:
    def make(name: str) -> TransformersModel:
        folder = str(tiny_folder({**TREE, **REFUSED}[name]()))
        model = load_model(folder, device="cpu", dtype="float32", batch_tokens=100_000)
        assert isinstance(model, TransformersModel)
        return model

    return make


@pytest.mark.parametrize("name", NAMES)
def test_batches_equal_single_prompts(name: str, load: Callable[[str], TransformersModel]) -> None:
    model = load(name)
    requests = [LabelRequest(Presentation(question)) for question in questions()]
    requests += [LabelRequest(Presentation(question, order=(2, 0, 3, 1))) for question in questions()]
    together = dict(zip(requests, model.answer(requests), strict=True))
    fresh = load(name)  # asked the other way round, shortest first: nothing may be left over from longer prompts
    for request in sorted(requests, key=lambda request: len(request.presentation.question.stem)):
        (alone,), reply = fresh.answer([request]), together[request]
        assert isinstance(alone, LabelReply)
        assert isinstance(reply, LabelReply)
        assert reply.logprobs_nats == pytest.approx(alone.logprobs_nats, abs=1e-4)


@pytest.mark.parametrize("name", ["llama", "mistral with a window", "phi-3 with long rope"])
def test_options_that_share_a_pass_equal_options_scored_alone(
    name: str, load: Callable[[str], TransformersModel]
) -> None:
    model = load(name)
    shown = [Presentation(question) for question in questions()]
    for presentation, reply in zip(shown, model.answer([OptionRequest(p) for p in shown]), strict=True):
        assert isinstance(reply, OptionReply)
        for position, option in enumerate(presentation.shown_options):
            assert reply.logprobs_nats[position] == pytest.approx(by_hand(model, presentation, option), abs=1e-3)


@torch.inference_mode()
def by_hand(model: TransformersModel, presentation: Presentation, option: str) -> float:
    """One option in one pass of its own (long rope: as long as prompt and option are)."""
    tokenizer, network = model._tokenizer, model._live()
    prompt = tokenizer(presentation.render()[0].content + "\nAnswer:")["input_ids"]
    tokens = tokenizer(" " + option)["input_ids"]
    table = torch.log_softmax(network(torch.tensor([prompt + tokens[:-1]])).logits[0].double(), -1)
    return sum(float(table[len(prompt) - 1 + step, token]) for step, token in enumerate(tokens))


def test_small_batches_equal_large_ones(tiny_folder: Callable[[Any], Path]) -> None:
    folder = str(tiny_folder(TREE["llama"]()))
    requests = [LabelRequest(Presentation(question)) for question in questions()]
    found = []
    for batch_tokens in (1, 300, 100_000):
        replies = load_model(folder, batch_tokens=batch_tokens).answer(requests)
        found.append([value for reply in replies if isinstance(reply, LabelReply) for value in reply.logprobs_nats])
    assert found[1] == pytest.approx(found[0], abs=1e-5)
    assert found[2] == pytest.approx(found[0], abs=1e-5)


def test_release_lets_the_weights_go(load: Callable[[str], TransformersModel]) -> None:
    model = load("llama")
    network = weakref.ref(model._live())
    fingerprint = model.fingerprint
    model.release()
    gc.collect()
    assert network() is None
    assert model.fingerprint == fingerprint


@pytest.mark.parametrize("change", ["one element", "two swapped", "sign"])
def test_fingerprint_sees_a_change_of_one_weight(change: str, load: Callable[[str], TransformersModel]) -> None:
    model, other = load("llama"), load("llama")
    assert model.fingerprint == other.fingerprint
    weight = next(other._live().parameters()).data
    if change == "two swapped":
        weight[0, 0], weight[0, 1] = weight[0, 1].clone(), weight[0, 0].clone()
    else:
        weight[0, 0] = -weight[0, 0] if change == "sign" else weight[0, 0] * 1.001
    other._fingerprint = None
    assert model.fingerprint != other.fingerprint
