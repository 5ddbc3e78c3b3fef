"""What deciding costs for each question asked, and its memory: `python -m benchmarks.decision [--questions 100000]`.

The peer is a plain running mean over the same values, the least that any decision has to do.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
import time
import tracemalloc
from collections.abc import Callable, Sequence
from fractions import Fraction

from pytest_llminvariance.measures.asking_order import asking_order
from pytest_llminvariance.measures.betting import MeanTest, bounds

ROUNDS = 5


def running_mean(values: Sequence[Fraction]) -> float:
    total, n = Fraction(0), 0
    for value in values:
        total, n = total + value, n + 1
        mean = float(total) / n
    return mean


def test_all(values: Sequence[Fraction]) -> None:
    """Both sides at an alpha that is never reached, so that every question is counted."""
    test = MeanTest(Fraction(1, 20), 1e-300, len(values) * 100)
    for value in values:
        test.add(value, value)


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=100_000)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    n = arguments.questions
    values = [Fraction(hashlib.sha256(str(i).encode()).digest()[0] % 3, 24) for i in range(n)]
    hashes = [hashlib.sha256(f"q{i}".encode()).hexdigest() for i in range(n)]
    parts: dict[str, Callable[[], object]] = {
        "order of asking": lambda: asking_order(0, "weights", hashes),
        "both tests": lambda: test_all(values),
        "bounds at the stop": lambda: bounds(values, values, n * 2, 0.05),
        "running mean (peer)": lambda: running_mean(values),
    }
    rounds = [{name: timed(work) for name, work in parts.items()} for _ in range(ROUNDS)]
    found = {name: statistics.median(row[name] for row in rounds) / n * 1e6 for name in parts}
    tracemalloc.start()
    for name, work in parts.items():
        if "peer" not in name:
            work()
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    if arguments.json:
        print(json.dumps({"questions": n, "us_per_question": found, "peak_mib": peak}))
        return
    print(f"{n:,} questions, median of {ROUNDS} rounds")
    for name, micros in found.items():
        print(f"  {name:<22}{micros:>8.2f} us a question")
    ours = sum(micros for name, micros in found.items() if "peer" not in name)
    print(
        f"  {'all of ours':<22}{ours:>8.2f} us a question, {ours / found['running mean (peer)']:.1f} x the running mean"
    )
    print(f"  peak memory of deciding {peak:.0f} MiB")


if __name__ == "__main__":
    main()
