"""All orders of one question: our engine against other ways to the same log-probabilities, in interleaved rounds.

    python -m benchmarks.orbits                      # 24 orders of 4 options, stems of 20, 200 and 600 tokens
    python -m benchmarks.orbits --full               # the grid (hours on a CPU)
    python -m benchmarks.orbits --stems 200 --options 10 --designs cyclic,balanced
    python -m benchmarks.orbits --memory             # peak memory, each contestant in a process of its own
    python -m benchmarks.orbits --growth             # tokens sent against orders, options and questions

Every round asks a text that was never asked before, of every contestant once, in an order that is drawn anew, with a second
between them: a server's threads spin for a while after their last answer. A ratio is taken within a round, seconds of a contestant over ours, and the median
and the range over rounds are shown: above 1, ours is faster. README.md beside this file tells more.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import importlib.metadata
import json
import logging
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from benchmarks.contestants import (
    CONTESTANTS,
    SENDS_EVERY_PROMPT,
    Answered,
    Bench,
    Contestant,
    Setting,
    ask_counted,
    largest_difference,
    why_absent,
)
from benchmarks.peak import Peak
from benchmarks.random_llama import SIZES, random_llama
from benchmarks.workers import Row, numbers, worker_result
from benchmarks.workload import Cell, grid, make_question, requests_for


@dataclasses.dataclass(frozen=True, slots=True)
class Axes:
    """What a run covers where nothing else is asked for."""

    stems: tuple[int, ...]
    options: tuple[int, ...]
    designs: tuple[str, ...]


HEADLINE = Axes((20, 200, 600), (4,), ("all",))
FULL = Axes((20, 200, 600, 2000), (2, 4, 5, 10), ("all", "cyclic", "balanced"))
PAUSE_S = 1.0
WARM = Cell(20, 2, "all")

"""What is known of one contestant in one cell, as it goes to the JSON file."""


@dataclasses.dataclass(frozen=True, slots=True)
class Round:
    """One contestant in one round."""

    seconds: float
    answered: Answered


def main() -> None:
    arguments = _parse()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    if arguments.worker:
        print(json.dumps(_worker(arguments)))
        return
    with model_spec(arguments) as spec:
        arguments.model = spec
        result: Row = {
            "kind": "orbits",
            "mode": _mode(arguments),
            "where": where(arguments.device),
            "settings": vars(arguments),
        }
        modes = {"growth": _growth, "memory": _memory, "time": _time}
        result["cells"] = modes[_mode(arguments)](arguments)
        result["where"]["load_average_after"] = os.getloadavg()
    write(result, arguments.json)


def write(result: Row, file: Path | None) -> None:
    """Write what was measured as JSON, where a file is named."""
    if file:
        file.write_text(json.dumps(result, indent=1, default=str) + "\n")


def engine_parser(description: str | None) -> argparse.ArgumentParser:
    """Return a parser of what every measurement of our engine is told."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="demo", help="demo, a folder, or a hub id (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: %(default)s)")
    parser.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16 (default: %(default)s)")
    parser.add_argument("--batch-tokens", type=int, help="our engine's tokens in one pass (default: the engine's)")
    parser.add_argument(
        "--salt", type=int, default=time.time_ns() % 1_000_000, help="texts are drawn from it (default: the time)"
    )
    parser.add_argument("--json", type=Path, help="write everything here too")
    return parser


def _parse() -> argparse.Namespace:
    parser = engine_parser(__doc__)
    parser.add_argument("--random-llama", choices=SIZES, help="a Llama of this size with random weights in bfloat16")
    parser.add_argument("--threads", type=int, help="CPU threads of torch")
    parser.add_argument("--contestants", type=_words, default=tuple(CONTESTANTS), help="comma-separated names")
    parser.add_argument("--vllm-url", help="a vLLM server with prefix caching, such as http://127.0.0.1:8100/v1")
    parser.add_argument("--full", action="store_true", help="the whole grid")
    parser.add_argument("--stems", type=numbers, help="stem lengths in tokens, comma-separated")
    parser.add_argument("--options", type=numbers, help="numbers of options, comma-separated")
    parser.add_argument("--designs", type=_words, help="all, cyclic, balanced, comma-separated")
    parser.add_argument("--max-prompt-tokens", type=int, help="leave out what sends every prompt in larger cells")
    parser.add_argument(
        "--rounds", type=int, default=7, help="timed rounds, 5 or more for figures (default: %(default)s)"
    )
    parser.add_argument("--warmup", type=int, default=1, help="rounds before that (default: %(default)s)")
    parser.add_argument("--memory", action="store_true", help="peak memory in place of time")
    parser.add_argument("--growth", action="store_true", help="tokens that our engine sends in place of time")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error(f"--rounds is {arguments.rounds}, but must be 1 or more")
    unknown = [name for name in arguments.contestants if name not in CONTESTANTS]
    if unknown:
        parser.error(f"--contestants names {unknown[0]!r}, but the contestants are {', '.join(CONTESTANTS)}")
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    return arguments


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _mode(arguments: argparse.Namespace) -> str:
    return "growth" if arguments.growth else "memory" if arguments.memory else "time"


def _cells(arguments: argparse.Namespace) -> list[Cell]:
    default = FULL if arguments.full else HEADLINE
    return grid(
        arguments.stems or default.stems, arguments.options or default.options, arguments.designs or default.designs
    )


def setting(arguments: argparse.Namespace) -> Setting:
    return Setting(
        arguments.model, arguments.device, arguments.dtype, arguments.batch_tokens, getattr(arguments, "vllm_url", None)
    )


@contextmanager
def model_spec(arguments: argparse.Namespace) -> Iterator[str]:
    """Yield the model to load; random weights are made first, and removed afterwards."""
    if not arguments.random_llama:
        yield arguments.model
        return
    with tempfile.TemporaryDirectory() as folder:
        random_llama(arguments.random_llama, Path(folder), arguments.device)
        yield folder


# ---- time


def _time(arguments: argparse.Namespace) -> list[Row]:
    bench = Bench(setting(arguments))
    absent = {name: why for name in arguments.contestants if (why := why_absent(name, bench.setting))}
    ready = {name: CONTESTANTS[name](bench) for name in arguments.contestants if name not in absent}
    cells, found = _cells(arguments), []
    with tqdm(total=len(cells) * (arguments.rounds + arguments.warmup) * len(ready), disable=None, leave=False) as bar:
        for cell in cells:
            fitting, left_out = dict(ready), dict(absent)
            for name in _too_large(bench, cell, arguments):
                if fitting.pop(name, None):
                    left_out[name] = "left out: --max-prompt-tokens"
            rounds = _play(bench, cell, fitting, arguments, bar)
            found.append(_row(bench, cell, rounds, left_out, arguments))
            bar.clear()
            print("\n".join(time_table(found[-1])), flush=True)
    return found


def _too_large(bench: Bench, cell: Cell, arguments: argparse.Namespace) -> Sequence[str]:
    limit = arguments.max_prompt_tokens
    if limit is None or bench.size(_requests(bench, cell, arguments.salt, 0)).prompt_tokens <= limit:
        return ()
    return SENDS_EVERY_PROMPT


def _requests(bench: Bench, cell: Cell, salt: int, number: int) -> list[Any]:
    question = make_question(bench.count, cell.stem_tokens, cell.n_options, salt, *dataclasses.astuple(cell), number)
    return requests_for(question, cell.design)


def _play(
    bench: Bench, cell: Cell, contestants: Mapping[str, Contestant], arguments: argparse.Namespace, bar: Any
) -> list[dict[str, Round]]:
    names, rounds = list(contestants), []
    for number in range(arguments.warmup + arguments.rounds):
        requests = _requests(bench, cell, arguments.salt, number)
        bench.size(requests)
        played = {}
        for name in random.Random(f"{arguments.salt}|{number}").sample(names, len(names)):
            bar.set_description(f"{cell.stem_tokens} tokens, {cell.n_options} options, {cell.design}: {name}")
            _settle(arguments.device)
            time.sleep(PAUSE_S)
            began = time.perf_counter()
            answered = contestants[name](requests)
            _settle(arguments.device)
            played[name] = Round(time.perf_counter() - began, answered)
            bar.update()
        rounds.append(played)
    return rounds[arguments.warmup :]


def _settle(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()


def _row(
    bench: Bench,
    cell: Cell,
    rounds: Sequence[Mapping[str, Round]],
    absent: Mapping[str, str],
    arguments: argparse.Namespace,
) -> Row:
    size = bench.size(_requests(bench, cell, arguments.salt, arguments.warmup))
    contestants: Row = {}
    for name in arguments.contestants:
        contestants[name] = {"note": absent[name]} if name in absent else _measured(name, rounds)
    return {**dataclasses.asdict(cell), "n_orders": size.rows, **dataclasses.asdict(size), "contestants": contestants}


def _measured(name: str, rounds: Sequence[Mapping[str, Round]]) -> Row:
    seconds = [played[name].seconds for played in rounds]
    ratios = [played[name].seconds / played["ours"].seconds for played in rounds if "ours" in played]
    sent = [played[name].answered.tokens_sent for played in rounds]
    speeds = [n / s for n, s in zip(sent, seconds, strict=True) if n is not None]
    off = [largest_difference(p[name].answered, p["loop"].answered) for p in rounds if "loop" in p]
    known = [value for value in off if value is not None]
    return {
        "seconds": seconds,
        "seconds_median": statistics.median(seconds),
        "ratios_to_ours": ratios,
        "ratio_median": statistics.median(ratios) if ratios else None,
        "tokens_sent": sent,
        "tokens_per_s_median": statistics.median(speeds) if speeds else None,
        "largest_difference_nats": max(known, default=None),
    }


def time_table(row: Row) -> Iterator[str]:
    """Yield the lines that show one cell."""
    yield (
        f"\nstem of {row['stem_tokens']:,} tokens, {row['n_options']} options, {row['design']}: {row['n_orders']} orders, "
        f"{row['prompt_tokens']:,} prompt tokens, {row['nodes']:,} in the prefix tree"
    )
    yield (
        f"{'contestant':<11}{'seconds':>9}{'x ours':>8}{'min to max':>15}{'tokens sent':>13}{'tokens/s':>10}{'|log p diff|':>14}"
    )
    for name, part in row["contestants"].items():
        if "note" in part:
            yield f"{name:<11}{part['note']}"
            continue
        ratios = part["ratios_to_ours"]
        spread = f"{min(ratios):.2f} to {max(ratios):.2f}" if ratios else "-"
        off = part["largest_difference_nats"]
        yield (
            f"{name:<11}{part['seconds_median']:>9.3f}{_shown(part['ratio_median'], '.2f'):>8}{spread:>15}"
            f"{_shown(_middle(part['tokens_sent']), ',.0f'):>13}{_shown(part['tokens_per_s_median'], ',.0f'):>10}"
            f"{'reference' if name == 'loop' else _shown(off, '.1e'):>14}"
        )


def _middle(values: Sequence[int | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


# ---- memory


def _memory(arguments: argparse.Namespace) -> list[Row]:
    names = [name for name in arguments.contestants if not name.startswith("vllm")]
    absent = {name: why for name in names if (why := why_absent(name, setting(arguments)))}
    found = []
    print("peak memory over the loaded model, MiB; each figure from a process of its own")
    print(f"{'stem':>6}{'options':>9}  {'design':<10}" + "".join(f"{name:>10}" for name in names))
    for cell in tqdm(_cells(arguments), disable=None, leave=False):
        parts: Row = {
            name: {"note": absent[name]} if name in absent else _spawn(name, cell, arguments) for name in names
        }
        found.append({**dataclasses.asdict(cell), "contestants": parts})
        shown = [f"{p['peak_bytes'] / 2**20:,.0f}" if "peak_bytes" in p else "absent" for p in parts.values()]
        print(
            f"{cell.stem_tokens:>6}{cell.n_options:>9}  {cell.design:<10}" + "".join(f"{text:>10}" for text in shown),
            flush=True,
        )
    return found


def _spawn(name: str, cell: Cell, arguments: argparse.Namespace) -> Row:
    command = [sys.executable, "-m", "benchmarks.orbits", "--worker", name]
    passed = {"model": arguments.model, "device": arguments.device, "dtype": arguments.dtype, "salt": arguments.salt}
    passed |= {"batch-tokens": arguments.batch_tokens, "threads": arguments.threads}
    passed |= {"stems": cell.stem_tokens, "options": cell.n_options, "designs": cell.design}
    for option, value in passed.items():
        command += [] if value is None else [f"--{option}", str(value)]
    return worker_result(command)


def _worker(arguments: argparse.Namespace) -> Row:
    bench = Bench(setting(arguments))
    answer = CONTESTANTS[arguments.worker](bench)
    (cell,) = _cells(arguments)
    warm, requests = _requests(bench, WARM, arguments.salt, 0), _requests(bench, cell, arguments.salt, 0)
    for asked in (warm, requests):
        bench.size(asked)
    answer(warm)
    with Peak(arguments.device) as peak:
        answer(requests)
    return {"peak_bytes": peak.over_bytes}


# ---- growth


def _growth(arguments: argparse.Namespace) -> list[Row]:
    """Ask growing sets of requests once and count tokens; nothing is timed."""
    bench = Bench(setting(arguments))
    stem = (arguments.stems or (60,))[0]
    cells = [(f"{n} options", 1, Cell(stem, n, "cyclic")) for n in (2, 4, 6, 8, 10)]
    cells += [(f"all {n}! orders", 1, Cell(stem, n, "all")) for n in (2, 3, 4, 5)]
    cells += [(f"{n} questions", n, Cell(stem, 4, "cyclic")) for n in (1, 4, 16, 64)]
    found = []
    print(
        f"{'':<16}{'requests':>9}{'prompt tokens':>15}{'tree':>9}{'ours sent':>11}{'sent/tree':>11}{'sent/prompts':>14}"
    )
    for title, n_questions, cell in tqdm(cells, disable=None, leave=False):
        requests = [
            request for number in range(n_questions) for request in _requests(bench, cell, arguments.salt, number)
        ]
        size = bench.size(requests)
        _, sent = ask_counted(bench.ours, requests)
        found.append(
            {**dataclasses.asdict(cell), **dataclasses.asdict(size), "n_questions": n_questions, "tokens_sent": sent}
        )
        print(
            f"{title:<16}{size.rows:>9,}{size.prompt_tokens:>15,}{size.nodes:>9,}{sent:>11,}{sent / size.nodes:>11.2f}"
            f"{sent / size.prompt_tokens:>14.2f}",
            flush=True,
        )
    return found


# ---- where


def where(device: str) -> Row:
    """Return what the figures belong to."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": platform.platform(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load_average_before": os.getloadavg(),
        "gpu": torch.cuda.get_device_name() if device.startswith("cuda") else None,
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in ("torch", "transformers", "lm_eval", "pytest-llminvariance")},
        "commit": _commit(),
    }


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    try:
        asked = subprocess.run(
            ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, cwd=Path(__file__).parent
        )
    except FileNotFoundError:
        return None
    return asked.stdout.strip() or None


if __name__ == "__main__":
    main()
