"""On a CUDA device: the same answers as on the CPU within the noise of the dtype, and memory handed back."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch

from pytest_llminvariance import Presentation, Question, load_model
from pytest_llminvariance.models.local.transformers import TransformersModel
from pytest_llminvariance.models.protocol import LabelReply, LabelRequest

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.real_model,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]


@pytest.mark.parametrize(("dtype", "tolerance_nats"), [("float32", 2e-3), ("bfloat16", 0.5)])
def test_cuda_equals_cpu(
    dtype: str, tolerance_nats: float, demo_model: TransformersModel, facts: tuple[Question, ...]
) -> None:
    requests = [LabelRequest(Presentation(question)) for question in facts]
    model = load_model("demo", device="cuda", dtype=dtype)
    for cpu, cuda in zip(demo_model.answer(requests), model.answer(requests), strict=True):
        assert isinstance(cpu, LabelReply)
        assert isinstance(cuda, LabelReply)
        assert cuda.logprobs_nats == pytest.approx(cpu.logprobs_nats, abs=tolerance_nats)


def test_memory_comes_back() -> None:
    gc.collect()  # models of the tests before
    before = torch.cuda.memory_allocated()
    model = load_model("demo", device="cuda")
    assert isinstance(model, TransformersModel)
    assert torch.cuda.memory_allocated() > before + 100e6
    network = weakref.ref(model._network)
    model.release()
    assert network() is None
    assert torch.cuda.memory_allocated() <= before
