"""A slow control that writes down what it is asked, so that a test can see what was asked twice.

`python:tests.slow_control:Slow`; SLOW_LOG names the file, SLOW_PASS_S the seconds of a pass of four answers.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from pytest_llminvariance import controls
from pytest_llminvariance.models.cache_rows import row_key
from pytest_llminvariance.models.protocol import Reply, Request

PASS = 4


class Slow:
    """Noisy, and slower than its log."""

    name, fingerprint, capabilities = "slow", "slow", frozenset({"label"})
    deterministic = True

    def __init__(self) -> None:
        self.inner = controls.noisy(0.3)
        self.log, self.pass_s = Path(os.environ["SLOW_LOG"]), float(os.environ.get("SLOW_PASS_S", "0.02"))

    def answers(self, requests: Sequence[Request]) -> Iterator[list[tuple[int, Reply]]]:
        for start in range(0, len(requests), PASS):
            time.sleep(self.pass_s)
            chosen = range(start, min(start + PASS, len(requests)))
            digests = [row_key(self.fingerprint, requests[index]) for index in chosen]
            with self.log.open("a") as file:
                file.write("".join(f"{digest.hex()}\n" for digest in digests if digest))
            yield [(index, self.inner.answer([requests[index]])[0]) for index in chosen]

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        found = {index: reply for batch in self.answers(requests) for index, reply in batch}
        return [found[index] for index in range(len(requests))]
