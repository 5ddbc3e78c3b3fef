"""Which device a model goes to, and how many tokens of a pass fit there."""

from __future__ import annotations

import gc
import os
from dataclasses import dataclass
from typing import Any

import torch

from pytest_llminvariance.errors import ModelError, UsageError

CPU_BATCH_TOKENS = 1_024
"""More is not faster on a CPU (512 to 4,096 are level), and less keeps memory low."""
MOST_BATCH_TOKENS = 32_768
KEPT_FREE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Worker:
    """One of several processes that share this machine's devices."""

    index: int
    count: int


def choose_device(device: str, worker: Worker | None = None) -> torch.device:
    """Return the device of that name; `auto` is CUDA, MPS or CPU, and workers take the CUDA devices in turn.

    Raises:
        ModelError: if torch does not see that device here.
    """
    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        device = "cuda" if has_cuda else "mps" if has_mps else "cpu"
    place = torch.device(device)
    if place.type == "cuda" and not has_cuda:
        raise ModelError(
            f"device={device!r}, but torch {torch.__version__} sees no CUDA device here. Use device='cpu' or 'auto'"
        )
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise ModelError(f"device={device!r}, but there are {torch.cuda.device_count()} CUDA devices, counted from 0")
    if place.type == "mps" and not has_mps:
        raise ModelError(f"device={device!r}, but torch sees no MPS device here. Use device='cpu' or 'auto'")
    if place.type == "cuda" and place.index is None and worker is not None:
        return torch.device("cuda", worker.index % torch.cuda.device_count())
    return place


def fit_workers(name: str, model_bytes: int, worker: Worker, devices: int, device_bytes: int) -> None:
    """Check that the workers which share a device have room for a model each.

    Raises:
        UsageError: if they have not; the message says how many workers fit.
    """
    sharing = -(-worker.count // devices)
    fitting = max(0, device_bytes - KEPT_FREE_BYTES) // max(1, model_bytes)
    if sharing > max(1, fitting):
        raise UsageError(
            f"{worker.count} workers share {devices} CUDA device(s), but {name} takes {model_bytes / 2**30:.1f} GiB and "
            f"{fitting} fit on a device of {device_bytes / 2**30:.0f} GiB. Use -n {max(1, fitting) * devices} or fewer; "
            "with one worker per device, --dist loadgroup and @pytest.mark.xdist_group keep tests of one model together"
        )


def weight_bytes(network: Any) -> int:
    """Return the bytes of all parameters and buffers."""
    return sum(tensor.numel() * tensor.element_size() for tensor in (*network.parameters(), *network.buffers()))


def batch_tokens_for(network: Any) -> int:
    """Return the tokens of a pass: a constant on a CPU, by free memory on a GPU.

    On a CPU too much memory ends the process instead of raising, so nothing can be tried there. On a GPU the
    estimate counts a layer's activations, and is halved when memory runs out nevertheless.
    """
    place = network.device
    if place.type != "cuda":
        return CPU_BATCH_TOKENS
    text = network.config.get_text_config()
    width = 12 * text.hidden_size + 4 * (getattr(text, "intermediate_size", None) or 4 * text.hidden_size)
    free = torch.cuda.mem_get_info(place)[0] - KEPT_FREE_BYTES
    size = torch.finfo(network.dtype).bits // 8
    return max(CPU_BATCH_TOKENS, min(MOST_BATCH_TOKENS, int(free // (4 * width * size))))


def free_memory() -> None:
    """Collect what nobody holds any more, and hand cached memory of GPUs back."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def be_deterministic() -> None:
    """Let torch use only algorithms that give the same bits every time, and no TF32, in this process from now on."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(mode=True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
