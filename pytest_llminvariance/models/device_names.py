"""Names of devices and number formats, checked without loading torch."""

from __future__ import annotations

import re

DTYPES = ("auto", "float32", "bfloat16", "float16")
DEVICE = re.compile(r"auto|cpu|mps|cuda(:[0-9]+)?")


def device_problem(device: object) -> str | None:
    """Return the rule that a device's name breaks, or `None`."""
    if isinstance(device, str) and DEVICE.fullmatch(device):
        return None
    return "must be auto, cpu, cuda, cuda:N or mps"


def dtype_problem(dtype: object) -> str | None:
    """Return the rule that a number format's name breaks, or `None`."""
    return None if dtype in DTYPES else f"must be one of {', '.join(DTYPES)}"
