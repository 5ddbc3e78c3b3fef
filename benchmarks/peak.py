"""The most memory that a piece of work held over what was held before it."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from pytest_llminvariance.errors import LLMInvarianceError

STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Peak:
    """A `with` block; afterwards `over_bytes` is what it held at most over what was held when it began.

    On the CPU that is the process's resident memory by Linux's own high-water mark, which is set back at the
    start; on CUDA what torch's allocator handed out. Memory that was freed earlier and kept by the allocator
    counts as held before, so load and warm up with little.
    """

    over_bytes: int

    def __init__(self, device: str) -> None:
        self._cuda = device.startswith("cuda")

    def __enter__(self) -> Peak:
        if self._cuda:
            import torch

            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            self._before = torch.cuda.memory_allocated()
        else:
            if not CLEAR.exists():
                raise LLMInvarianceError("peak memory on the CPU is read from /proc, which only Linux has")
            CLEAR.write_text("5")  # proc(5): sets VmHWM back to the present size
            self._before = _resident("VmRSS")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._cuda:
            import torch

            torch.cuda.synchronize()
            after = torch.cuda.max_memory_allocated()
        else:
            after = _resident("VmHWM")
        self.over_bytes = max(0, after - self._before)


def _resident(field: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field + ":"))
    return int(line.split()[1]) * 1024
