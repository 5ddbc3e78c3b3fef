"""The last layer of a 16-bit model multiplies in float32, and every other model is left alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pytest_llminvariance.models.local.head import COLUMNS_AT_ONCE, has_short_head, long_head


class Network:
    """Nothing but a last layer."""

    def __init__(self, head: Any) -> None:
        self.head = head

    def get_output_embeddings(self) -> Any:
        return self.head


def linear(dtype: torch.dtype, *, bias: bool = False, columns: int = 50) -> torch.nn.Linear:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return torch.nn.Linear(16, columns, bias=bias).to(dtype)


@pytest.mark.parametrize("columns", [50, COLUMNS_AT_ONCE + 3])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_short_head_is_exact_within_and_as_before_after(dtype: torch.dtype, bias: bool, columns: int) -> None:
    head = linear(dtype, bias=bias, columns=columns).requires_grad_(requires_grad=False)
    hidden = (torch.arange(32.0).reshape(2, 16) / 3).to(dtype)
    before = head(hidden)
    with long_head(Network(head)):
        exact = head(hidden)
    wanted = hidden.double() @ head.weight.double().T + (head.bias.double() if bias else 0)
    assert exact.dtype == torch.float32
    assert float((exact - wanted).abs().max()) < 1e-4 < float((before - wanted).abs().max())
    assert torch.equal(head(hidden), before)


def test_other_heads_are_left_alone() -> None:
    own = type("Quantised", (torch.nn.Linear,), {})(2, 2).to(torch.bfloat16)
    hooked = linear(torch.bfloat16)
    hooked.forward = lambda hidden: hidden
    for head in (linear(torch.float32), own, hooked, None):
        assert not has_short_head(Network(head))
        with long_head(Network(head)):
            pass
    assert "forward" in vars(hooked)
    assert not has_short_head(object())
