"""What a GPU makes of our passes, in one script for a machine that is borrowed for some minutes.

    python -m benchmarks.gpu --json gpu.json                     # 8 minutes at most
    python -m benchmarks.gpu --sizes 1b --tokens 4096            # less of it
    python -m benchmarks.gpu --device cpu --sizes tiny --tokens 300 --model tiny   # what the tests run

A table goes to the terminal, and everything to the JSON file after every step, so that what was measured is kept when the
machine is taken away. A step that fails says so in its line; steps for which no time is left are named at the end.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from benchmarks.peak import Peak
from benchmarks.random_llama import SIZES, random_llama, random_network
from pytest_llminvariance import check, load_model, load_questions
from pytest_llminvariance.models.local.devices import free_memory
from pytest_llminvariance.models.local.passes import FlexPath, PaddedPath, PrefixPath, TreePath, Values
from pytest_llminvariance.models.local.scoring import Scorer, first_line
from pytest_llminvariance.models.local.tree import Reading, grow
from pytest_llminvariance.models.local.tree_attention import Blocks

FACTS = Path(__file__).parents[1] / "examples" / "model_repo" / "questions" / "facts.jsonl"
STEM_TOKENS, OPTION_TOKENS, TAIL_TOKENS = 300, 6, 12
DTYPES = ("float32", "bfloat16", "float16")
BLOCKS = (128, 256, 512, 1_024, 2_048)
PADDED_TOKENS = 16_384
COST_S = {"tiny": 1, "1b": 15, "3b": 30, "8b": 60}
"""Seconds that must be left before a network of that size is made and measured."""

Row = dict[str, Any]


@dataclass
class Report:
    """Lines of the table, kept on disk as they come."""

    limit_s: float
    file: Path | None
    began: float = field(default_factory=time.monotonic)
    rows: list[Row] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def add(self, **row: Any) -> None:
        self.rows.append(row)
        print("  ".join(f"{key} {shown(value)}" for key, value in row.items()), flush=True)
        self.save()

    def has_time(self, what: str, cost_s: float) -> bool:
        left = self.limit_s - (time.monotonic() - self.began)
        if left < cost_s:
            self.left_out.append(what)
        return left >= cost_s

    def step(self, what: str, work: Callable[[], Iterator[Row]], cost_s: float = 1) -> None:
        """Add the rows of a step; its failure is a row too."""
        if not self.has_time(what, cost_s):
            return
        try:
            for row in work():
                self.add(step=what, **row)
        except Exception as error:  # one step must not cost the others, on a machine that is there once
            self.add(step=what, failed=first_line(error))
        free_memory()

    def save(self) -> None:
        if self.file is not None:
            about = {"left_out": self.left_out, "seconds": round(time.monotonic() - self.began, 1), **machine()}
            self.file.write_text(json.dumps({**about, "rows": self.rows}, indent=1, default=str), encoding="utf-8")


def shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def machine() -> Row:
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
    return {"gpu": gpu, "torch": torch.__version__, "python": platform.python_version(), "system": platform.platform()}


def orbits(n_nodes: int, vocabulary: int, salt: int = 0) -> list[Reading]:
    """Return all orders of four options after stems of random tokens, as many as make a tree of about `n_nodes`."""
    draw = random.Random(salt)
    stem_tokens = min(STEM_TOKENS, n_nodes // 3)
    found: list[Reading] = []
    while not found or len(grow(found).tokens) < n_nodes:
        stem, tail, *options = (
            tuple(draw.randrange(10, vocabulary) for _ in range(n))
            for n in (stem_tokens, TAIL_TOKENS, *[OPTION_TOKENS] * 4)
        )
        for order in permutations(options):
            tokens = (*stem, *(token for option in order for token in option), *tail)
            found.append(Reading(tokens, (len(tokens) - 1,), ((5, 6, 7, 8),)))
            if len(found) % 4 == 0 and len(grow(found).tokens) >= n_nodes:
                break
    return found


def seconds(work: Callable[[], Any], times: int) -> float:
    """Return the median time of a call that waits for the device, after one that is not counted."""
    work()
    return statistics.median(once(work) for _ in range(times))


def once(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - began


def causal_pass(network: Any, n_tokens: int, n_rows: int) -> None:
    """One plain causal pass over as many tokens, and as many rows of logits: what no tree can do without."""
    ids = torch.arange(n_tokens, device=network.device)[None] % network.config.vocab_size
    with torch.inference_mode():
        logits = network(input_ids=ids, logits_to_keep=n_rows, use_cache=False).logits[0]
        torch.log_softmax(logits.float(), -1).cpu()


def all_of(path: Any, readings: Sequence[Reading], limit_tokens: int) -> list[Values]:
    """Return the values of all readings, in as many passes as the path plans."""
    values: dict[int, Values] = {}
    for group in path.plan(readings, limit_tokens):
        values.update(zip(group, path.send([readings[index] for index in group]).values, strict=True))
    return [values[index] for index in range(len(readings))]


def largest(a: Sequence[Values], b: Sequence[Values]) -> float:
    return float((torch.tensor(a) - torch.tensor(b)).abs().max())


def noise(network: Any, dtype: str) -> Iterator[Row]:
    """Yield how far equally right ways are apart in a dtype, in nats, and what the gates say of it."""
    network = network.to(getattr(torch, dtype))
    readings = orbits(400, network.config.vocab_size)[:12]
    plain = PaddedPath(network, 0)
    alone = [plain.send([item]).values[0] for item in readings]
    for path in (plain, PrefixPath(network, 0), TreePath(network)):
        yield {"dtype": dtype, "way": path.name, "nats_from_alone": largest(alone, path.send(readings).values)}
    scorer = Scorer(network, pad=0, batch_tokens=4_096)
    list(scorer.score(readings))
    yield {"dtype": dtype, "engine": scorer.describe()}


def verdict(model: str, device: str, dtype: str, n_questions: int) -> Iterator[Row]:
    """Yield what a check of the example questions finds in a dtype."""
    loaded = load_model(model, device=device, dtype=dtype)
    began = time.perf_counter()
    found = check("option_order", loaded, load_questions(FACTS)[:n_questions], tolerance=0.05)
    row = {"dtype": dtype, "verdict": str(found.verdict), "effect": [float(found.effect.low), float(found.effect.high)]}
    yield {**row, "reasons": list(found.reasons), "seconds": time.perf_counter() - began}
    loaded.release()  # type: ignore[attr-defined]


def masks(n_nodes: int, device: str) -> Iterator[Row]:
    """Yield how long all masks of a large tree take to make, without a model."""
    tree = grow(orbits(n_nodes, 50_000))
    for size in (128, 512):
        made = seconds(lambda: [p.mask(None, 1, torch.bool) for p in Blocks(tree, torch.device(device), size).parts], 1)  # noqa: B023
        yield {"nodes": len(tree.tokens), "block": size, "seconds": made}


def ways(network: Any, readings: Sequence[Reading], times: int) -> Iterator[Row]:
    """Yield each way to the same log-probabilities: time, ratio to a plain causal pass, memory, difference."""
    tree, device = grow(readings), str(network.device)
    n_nodes, n_prompt = len(tree.tokens), sum(len(item.tokens) for item in readings)
    causal_s = seconds(lambda: causal_pass(network, n_nodes, len(readings)), times)
    about = {"nodes": n_nodes, "prompt_tokens": n_prompt}
    yield {**about, "way": "causal pass", "seconds": causal_s, "of_causal": 1.0, "nodes_per_s": n_nodes / causal_s}
    plain = PaddedPath(network, 0)
    expected = all_of(plain, readings, PADDED_TOKENS)
    paths: list[tuple[str, Any, int]] = [(f"blocks of {size}", TreePath(network, size), n_nodes) for size in BLOCKS]
    paths += [("FlexAttention", FlexPath(network), n_nodes), ("padded batches", plain, PADDED_TOKENS)]
    for name, path, limit in paths:
        first_s = once(lambda: all_of(path, readings, limit))  # noqa: B023
        with Peak(device) as peak:
            took = seconds(lambda: all_of(path, readings, limit), times)  # noqa: B023
        row = {**about, "way": name, "seconds": took, "of_causal": took / causal_s, "nodes_per_s": n_nodes / took}
        more = {"first_s": first_s} if path is not plain else {}
        gib, far = peak.over_bytes / 2**30, largest(expected, all_of(path, readings, limit))
        yield {**row, **more, "peak_gib": gib, "nats_from_padded": far}


def kernels(network: Any, readings: Sequence[Reading]) -> Iterator[Row]:
    """Yield how many kernels a pass starts and how long the device stands idle in it."""
    on_gpu = network.device.type == "cuda"
    kinds = [torch.profiler.ProfilerActivity.CPU] + [torch.profiler.ProfilerActivity.CUDA] * on_gpu
    for name, path in (("blocks", TreePath(network)), ("FlexAttention", FlexPath(network))):
        path.send(readings)
        with torch.profiler.profile(activities=kinds) as profile:
            wall_s = once(lambda: path.send(readings))  # noqa: B023
        if on_gpu:
            run = [event for event in profile.events() if event.device_type == torch.autograd.DeviceType.CUDA]
            busy_s = sum(event.time_range.elapsed_us() for event in run) / 1e6
            yield {"way": name, "kernels": len(run), "idle_share": max(0.0, 1 - busy_s / wall_s), "wall_s": wall_s}
        else:
            yield {"way": name, "operations": len(profile.events()), "wall_s": wall_s}


def vllm_pass(size: str, readings: Sequence[Reading], times: int) -> Iterator[Row]:
    """Yield the time that vLLM takes for the same prompts in this process, its prefix cache cold at each call."""
    from vllm import LLM, SamplingParams

    with tempfile.TemporaryDirectory() as folder:
        random_llama(size, Path(folder), "cuda")
        free_memory()
        served = LLM(folder, dtype="bfloat16", enable_prefix_caching=True, gpu_memory_utilization=0.6, seed=0)
        wanted = SamplingParams(max_tokens=1, temperature=0, logprobs=5)
        prompts = [{"prompt_token_ids": list(item.tokens)} for item in readings]

        def call() -> None:
            served.reset_prefix_cache()
            served.generate(prompts, wanted, use_tqdm=False)

        took = seconds(call, times)
    yield {"prompt_tokens": sum(len(item.tokens) for item in readings), "way": "vLLM", "seconds": took}


def measure(arguments: argparse.Namespace, report: Report) -> None:
    device, folder = arguments.device, tempfile.TemporaryDirectory()
    tokenizer = AutoTokenizer.from_pretrained(arguments.tokenizer) if arguments.tokenizer else None
    vocabulary = len(tokenizer) if tokenizer else 49_152
    spec = arguments.model
    if spec in SIZES:
        spec = str(random_llama(spec, Path(folder.name), device))
    for dtype in arguments.dtypes:
        report.step("verdict", lambda: verdict(spec, device, dtype, arguments.questions), 20)  # noqa: B023
    report.step("masks", lambda: masks(arguments.mask_nodes, device), 5)
    for size in arguments.sizes:
        if report.has_time(f"all of {size}", COST_S[size]):
            our_ways(size, vocabulary, arguments, report)
        if importlib.util.find_spec("vllm") is None or not device.startswith("cuda"):
            report.left_out.append(f"vLLM {size}: not installed, or no GPU")
        else:
            largest_tree = orbits(max(arguments.tokens), vocabulary)
            report.step(f"{size} vLLM", lambda: vllm_pass(size, largest_tree, arguments.times), 90)  # noqa: B023
    folder.cleanup()


def our_ways(size: str, vocabulary: int, arguments: argparse.Namespace, report: Report) -> None:
    network = random_network(size, vocabulary, arguments.device)
    for n_nodes in arguments.tokens:
        readings = orbits(n_nodes, vocabulary)
        report.step(f"{size} {n_nodes}", lambda: ways(network, readings, arguments.times), 20)  # noqa: B023
        report.step(f"{size} {n_nodes} kernels", lambda: kernels(network, readings), 10)  # noqa: B023
    for dtype in arguments.dtypes if size == arguments.sizes[0] else ():
        report.step("noise", lambda: noise(network, dtype), 10)  # noqa: B023


def main(argv: Sequence[str] | None = None) -> Report:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--model", default="demo", help="whose verdicts are compared; tiny: a random one")
    parser.add_argument("--questions", type=int, default=4, help="of a verdict (default: %(default)s)")
    parser.add_argument("--tokenizer", help="whose vocabulary the random networks have (default: 49,152 tokens)")
    parser.add_argument("--sizes", type=lambda text: text.split(","), default=["1b", "8b"], help=", ".join(SIZES))
    parser.add_argument("--tokens", type=_numbers, default=[4_096, 16_384], help="nodes of the tree of a pass")
    parser.add_argument("--dtypes", type=lambda text: text.split(","), default=list(DTYPES))
    parser.add_argument("--mask-nodes", type=int, default=66_000)
    parser.add_argument("--times", type=int, default=5, help="timed calls (default: %(default)s)")
    parser.add_argument("--limit-s", type=float, default=480, help="no step begins that would end later")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args(argv)
    unknown = [size for size in arguments.sizes if size not in SIZES]
    if unknown:
        parser.error(f"--sizes names {unknown[0]!r}, but the sizes are {', '.join(SIZES)}")
    if strange := [dtype for dtype in arguments.dtypes if dtype not in DTYPES]:
        parser.error(f"--dtypes names {strange[0]!r}, but the dtypes are {', '.join(DTYPES)}")
    if (
        arguments.json is not None and not arguments.json.parent.is_dir()
    ):  # not after the first step on a machine that is there once
        parser.error(f"--json is {arguments.json}, but there is no folder {arguments.json.parent}. Make it first")
    if arguments.device.startswith("cuda") and not torch.cuda.is_available():
        parser.error(
            "torch sees no CUDA device here; --device cpu --sizes tiny --tokens 300 --model tiny shows that it runs"
        )
    report = Report(arguments.limit_s, arguments.json)
    measure(arguments, report)
    report.save()
    print(f"{time.monotonic() - report.began:.0f} s; left out: {', '.join(report.left_out) or 'nothing'}")
    return report


def _numbers(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


if __name__ == "__main__":
    main()
