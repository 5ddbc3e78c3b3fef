"""Which device a model goes to, and how many tokens of a pass fit there."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
from collections.abc import Iterator, Sequence
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


def entrance(network: Any) -> torch.device:
    """Return where a model takes its tokens: where its first layer computes, whatever its weights wait on."""
    first = network.get_input_embeddings() if hasattr(network, "get_input_embeddings") else None
    for hook in placing_hooks(first):
        place = getattr(hook, "execution_device", None)
        if place is not None:
            return torch.device("cuda", place) if isinstance(place, int) else torch.device(place)
    device: torch.device = network.device
    return device


def placing_hooks(module: Any) -> tuple[Any, ...]:
    """Return the hooks with which accelerate places a part of a network."""
    hook = getattr(module, "_hf_hook", None)
    return tuple(getattr(hook, "hooks", (hook,)))


def rows_at(network: Any, rows: Sequence[int]) -> torch.Tensor:
    """Return the rows whose logits are computed, as an index.

    Of a model on several devices the last layer's output may lie anywhere; an index in main memory fits it all.
    """
    several = len({weight.device for weight in network.parameters()}) > 1
    return placed(rows, torch.device("cpu") if several else entrance(network))


def placed(numbers: Any, place: torch.device, dtype: torch.dtype = torch.long) -> torch.Tensor:
    """Return numbers as a tensor on a device; on CUDA without waiting for what the device is doing."""
    made = torch.as_tensor(numbers, dtype=dtype)
    return made.pin_memory().to(place, non_blocking=True) if place.type == "cuda" else made.to(place)


class Coming:
    """Numbers on their way from a device; whoever wants them waits for them, and for nothing begun later."""

    def __init__(self, numbers: torch.Tensor) -> None:
        self._event = None
        self._here = numbers.to("cpu", non_blocking=numbers.is_cuda)
        if numbers.is_cuda:
            with torch.cuda.device(numbers.device):
                self._event = torch.cuda.Event()
                self._event.record()

    def tolist(self) -> list[Any]:
        """Return the numbers."""
        if self._event is not None:
            self._event.synchronize()
        told: list[Any] = self._here.tolist()
        return told


MEMORY_WORDS = ("out of memory", "out_of_memory", "allocate memory", "not enough memory", "alloc_failed", "bad_alloc")


def out_of_memory(error: BaseException | None) -> bool:
    """Return whether an error says that memory ran out, on a GPU or on the CPU, itself or by its cause."""
    while error is not None:
        if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
            return True
        if isinstance(error, OSError) and error.errno == errno.ENOMEM:
            return True
        if isinstance(error, RuntimeError) and any(word in str(error).lower() for word in MEMORY_WORDS):
            return True
        error = error.__cause__
    return False


def weight_bytes(network: Any) -> int:
    """Return the bytes of all parameters and buffers."""
    return sum(tensor.numel() * tensor.element_size() for tensor in (*network.parameters(), *network.buffers()))


def batch_tokens_for(network: Any) -> int:
    """Return the tokens of a pass: a constant on a CPU, by free memory on a GPU.

    On a CPU too much memory ends the process instead of raising, so nothing can be tried there. On a GPU the
    estimate counts a layer's activations, and is halved when memory runs out nevertheless.
    """
    places = {weight.device for weight in network.parameters() if weight.device.type == "cuda"}
    if not places:
        return CPU_BATCH_TOKENS
    text = network.config.get_text_config()
    width = 12 * text.hidden_size + 4 * (getattr(text, "intermediate_size", None) or 4 * text.hidden_size)
    free = min(torch.cuda.mem_get_info(place)[0] for place in places) - KEPT_FREE_BYTES
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


@contextlib.contextmanager
def as_in_use(network: Any) -> Iterator[None]:
    """Let a network answer as it will be used: no dropout, nothing is compiled, outputs have names; afterwards it is as before."""
    training = [module for module in network.modules() if module.training]
    config: Any = getattr(network, "config", None)
    gives_tuples = getattr(config, "return_dict", None) is False
    for module in training:
        module.training = False
    if gives_tuples:
        config.return_dict = True
    try:
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        for module in training:
            module.training = True
        if gives_tuples:
            config.return_dict = False
