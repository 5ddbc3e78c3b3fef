"""The demo model in vLLM's engine, in an environment of vLLM: `python -m tests.served.in_vllm FOLDER`. `real_server` runs it.

Numbers of labels and options, texts, and the verdict of orders are those of transformers in the same process; at the end the
engine's processes are gone. As a plugin of pytest (`-p tests.served.in_vllm`) it brings ours, where that is not installed.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from pytest_llminvariance import assert_backends_agree, load_model, load_questions, wrap_model
from pytest_llminvariance.models.protocol import LabelRequest, OptionRequest
from tests.served.real_server import BANK, FEW_FACTS, FEW_NATS, QUESTIONS, largest_difference, same_texts, same_verdict

ENGINE = {"enforce_eager": True, "max_model_len": 2048}
if not entry_points(group="pytest11", name="llminvariance"):
    pytest_plugins = ["pytest_llminvariance.plugin"]


def children() -> set[int]:
    """The processes below this one that run; what has ended and was not fetched yet holds nothing.

    The tracker of shared memory that Python starts, and ends with this process, is none of the engine's.
    """
    parents = {}
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            state, parent = place.joinpath("stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z" and b"resource_tracker" not in place.joinpath("cmdline").read_bytes():
                parents[int(place.name)] = int(parent)
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found and pid not in found}:
        found |= more
    return found - {os.getpid()}


def main(folder: str) -> None:
    before = children()
    local = load_model(folder, dtype="float32")
    model: Any = load_model(f"vllm:{folder}", dtype="float32", engine_arg=ENGINE)
    started = children() - before
    assert started, "the engine runs in a process of its own"
    found = {
        "labels": largest_difference(local, model, LabelRequest),
        "options": largest_difference(local, model, OptionRequest),
    }
    print(found, flush=True)
    assert max(found.values()) < FEW_NATS
    same_texts(local, model)
    held: Any = wrap_model(model._llm)
    assert largest_difference(local, held, LabelRequest) < FEW_NATS
    held.release()
    print(assert_backends_agree(local, model, QUESTIONS[:1]))
    same_verdict(local, model, load_questions(BANK / "facts.jsonl")[:FEW_FACTS])
    print(model.describe_path(), model.fingerprint, flush=True)
    model.release()
    end = time.monotonic() + 30
    while (left := children() & started) and time.monotonic() < end:
        time.sleep(0.5)
    assert not left, f"processes {left} of the engine are still there"
    print(f"{len(started)} processes of the engine ended", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
