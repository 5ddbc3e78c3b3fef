"""What a whole check takes beside the orbits that it is about: guards, prompts asked again, planning, deciding.

Three things are timed on the same questions in the same round: the log-probabilities of all orders, asked at once; a
check of them that is BROKEN; one that HOLDS. The network does all its work each time; the replies that it gives to the
checks are then those of a model that takes what is shown first, or of one that takes a content by the stem, so that
both verdicts are certain. A share is the time of the orbits over that of the check in the same round: what is left of
the ratio that `benchmarks.orbits` shows.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch

from benchmarks.contestants import Bench
from benchmarks.orbits import engine_parser, setting, where, write
from benchmarks.workers import Row, numbers
from benchmarks.workload import make_question, requests_for
from pytest_llminvariance import Question, check
from pytest_llminvariance.models.protocol import LabelReply, Reply, Request, in_order

Kind = Literal["BROKEN", "HOLDS"]
PAUSE_S = 1.0
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


class Steered:
    """A model that does all of its work and is then told what it has answered."""

    def __init__(self, inner: Any, kind: Kind) -> None:
        self._inner = inner
        self._kind = kind

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """Return replies in the order asked."""
        return in_order(self.answers(requests))

    def answers(self, requests: Sequence[Request]) -> Iterator[list[tuple[int, Reply]]]:
        """Yield (index, reply) pairs after every pass."""
        for batch in self._inner.answers(requests):
            yield [(index, self._told(requests[index], reply)) for index, reply in batch]

    def _told(self, request: Request, reply: Reply) -> Reply:
        shown = request.presentation
        by_stem = int(hashlib.sha256(shown.question.stem.encode()).hexdigest(), 16) % len(shown.order)
        chosen = shown.order.index(by_stem) if self._kind == "HOLDS" else 0
        assert isinstance(reply, LabelReply)
        values = tuple(-0.1 if place == chosen else -4.0 for place in range(len(shown.order)))
        return LabelReply(values, reply.sent_sha256, reply.n_tokens)


def main() -> None:
    arguments = _parse()
    bench = Bench(setting(arguments))
    result: Row = {"kind": "checks", "where": where(arguments.device), "settings": vars(arguments), "cells": []}
    print(
        f"{'stem':>5}{'questions':>11}{'orbits, s':>11}{'BROKEN':>9}{'HOLDS':>9}   share of the orbits' ratio: BROKEN, HOLDS"
    )
    for stem in arguments.stems:
        for n in arguments.questions:
            row = _cell(bench, stem, n, arguments)
            result["cells"].append(row)
            print(_line(row), flush=True)
    result["where"]["load_average_after"] = os.getloadavg()
    write(result, arguments.json)


def _parse() -> argparse.Namespace:
    parser = engine_parser(__doc__)
    parser.add_argument("--stems", type=numbers, default=(20, 200, 600), help="stem lengths in tokens")
    parser.add_argument("--questions", type=numbers, default=(1, 4, 24), help="questions of a check")
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds (default: %(default)s)")
    parser.add_argument(
        "--clock", choices=CLOCKS, default="wall", help="cpu: of this process, where others use the machine too"
    )
    return parser.parse_args()


def _cell(bench: Bench, stem: int, n: int, arguments: argparse.Namespace) -> Row:
    rounds = [_round(bench, stem, n, number, arguments) for number in range(-1, arguments.rounds)][1:]
    shares = {kind: [row["orbits"]["seconds"] / row[kind]["seconds"] for row in rounds] for kind in ("BROKEN", "HOLDS")}
    return {"stem_tokens": stem, "questions": n, "rounds": rounds, "shares": shares}


def _round(bench: Bench, stem: int, n: int, number: int, arguments: argparse.Namespace) -> Row:
    salt = arguments.salt
    questions = [make_question(bench.count, stem, 4, salt, stem, n, number, index) for index in range(n)]
    found: Row = {}
    for name in random.Random(f"{salt}|{stem}|{n}|{number}").sample(("orbits", "BROKEN", "HOLDS"), 3):
        time.sleep(PAUSE_S)
        before = bench.ours.usage.sent_tokens  # type: ignore[attr-defined]
        clock = CLOCKS[arguments.clock]
        began = clock()
        _play(bench, name, questions)
        if bench.setting.device.startswith("cuda"):
            torch.cuda.synchronize()
        seconds = clock() - began
        found[name] = {"seconds": seconds, "tokens_sent": bench.ours.usage.sent_tokens - before}  # type: ignore[attr-defined]
    return found


def _play(bench: Bench, name: str, questions: Sequence[Question]) -> None:
    if name == "orbits":
        bench.ours.answer([request for question in questions for request in requests_for(question, "all")])
        return
    model = Steered(bench.ours, "BROKEN" if name == "BROKEN" else "HOLDS")
    finding = check("option_order", model, questions, tolerance=0.05, orders="all")
    if finding.verdict != name:
        raise AssertionError(f"the check of a model that is made {name} is {finding.verdict}: {finding.reasons}")


def _line(row: Row) -> str:
    seconds = {
        name: statistics.median(r[name]["seconds"] for r in row["rounds"]) for name in ("orbits", "BROKEN", "HOLDS")
    }
    shares = [
        f"{statistics.median(found):.0%} ({min(found):.0%} to {max(found):.0%})" for found in row["shares"].values()
    ]
    tokens = {name: round(statistics.median(r[name]["tokens_sent"] for r in row["rounds"])) for name in seconds}
    return (
        f"{row['stem_tokens']:>5}{row['questions']:>11}{seconds['orbits']:>11.2f}{seconds['BROKEN']:>9.2f}{seconds['HOLDS']:>9.2f}"
        f"   {shares[0]}, {shares[1]}; tokens sent {tokens['orbits']:,}, {tokens['BROKEN']:,}, {tokens['HOLDS']:,}"
    )


if __name__ == "__main__":
    main()
