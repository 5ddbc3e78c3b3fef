"""Peak memory of our engine over the loaded model, for few and for many questions.

    python -m benchmarks.memory [--questions 10,1000] [--batch-tokens 1024] [--json FILE]

Each figure comes from a process of its own: distinct questions of 4 options in cyclic orders, stems of 20 to
200 tokens, all handed to `model.answer` at once. Memory must not grow with the number of questions, but for
what the questions and replies themselves take.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from tqdm import tqdm

from benchmarks.contestants import Bench, ask_counted
from benchmarks.orbits import engine_parser, model_spec, setting, where, write
from benchmarks.peak import Peak
from benchmarks.random_llama import SIZES
from benchmarks.workers import Row, numbers, worker_result
from benchmarks.workload import make_question, requests_for
from pytest_llminvariance.models.protocol import LabelRequest

STEM_TOKENS = tuple(range(20, 201, 20))
N_OPTIONS = 4


def main() -> None:
    arguments = _parse()
    if arguments.worker:
        print(json.dumps(_worker(arguments)))
        return
    with model_spec(arguments) as spec:
        arguments.model = spec
        found = []
        for n_questions in tqdm(arguments.questions, disable=None, leave=False):
            found.append({"n_questions": n_questions, **worker_result(_command(arguments, n_questions))})
    print(f"{'questions':>9}{'requests':>10}{'tokens sent':>13}{'peak over the model':>21}")
    for part in found:
        mib = part["peak_bytes"] / 2**20
        print(f"{part['n_questions']:>9,}{part['n_requests']:>10,}{part['tokens_sent']:>13,}{mib:>17,.0f} MiB")
    if arguments.json:
        result = {"kind": "memory", "where": where(arguments.device), "settings": vars(arguments), "cells": found}
        write(result, arguments.json)


def _parse() -> argparse.Namespace:
    parser = engine_parser(__doc__)
    parser.add_argument("--random-llama", choices=SIZES, help="a Llama of this size with random weights in bfloat16")
    parser.add_argument("--questions", type=numbers, default=(10, 1000), help="comma-separated (default: 10,1000)")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def _command(arguments: argparse.Namespace, n_questions: int) -> Sequence[str]:
    command = [sys.executable, "-m", "benchmarks.memory", "--worker", "--questions", str(n_questions)]
    for name in ("model", "device", "dtype", "batch_tokens", "salt"):
        value = getattr(arguments, name)
        command += [] if value is None else [f"--{name.replace('_', '-')}", str(value)]
    return command


def _worker(arguments: argparse.Namespace) -> Row:
    bench = Bench(setting(arguments))
    (n_questions,) = arguments.questions
    requests: list[LabelRequest] = []
    for number in range(n_questions):
        stem_tokens = STEM_TOKENS[number % len(STEM_TOKENS)]
        question = make_question(bench.count, stem_tokens, N_OPTIONS, arguments.salt, number)
        requests += requests_for(question, "cyclic")
    ask_counted(bench.ours, requests_for(make_question(bench.count, 20, 2, arguments.salt, "warm"), "all"))
    with Peak(arguments.device) as peak:
        _, sent = ask_counted(bench.ours, requests)
    return {"n_requests": len(requests), "tokens_sent": sent, "peak_bytes": peak.over_bytes}


if __name__ == "__main__":
    main()
