"""What the package itself costs, beside the model, as a suite grows: check, record, judge, report, compare, gate.

    python -m benchmarks.scale [--questions 100,1000,5000,14000] [--json FILE]

A fake model that answers at once is asked all 24 orders of each question. Every figure comes from a process of its own:
CPU seconds and the most memory it held, both over what an empty suite takes. `growth` is the slope of the logarithm of
CPU time over the logarithm of the number of answers (1 is linear), with the largest residual of that fit in percent.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

N_OPTIONS = 4
WORDS = [
    "harbour",
    "river",
    "market",
    "bridge",
    "garden",
    "school",
    "station",
    "library",
    "valley",
    "island",
    "forest",
    "village",
    "tower",
    "kitchen",
]
STAGES = ("check", "record", "judge", "report", "summary", "compare", "gate")
FIT_FROM_S = 0.2
"""Below this the clock and the allocator decide."""


def main() -> None:
    arguments = _parse()
    if arguments.stage:
        print(json.dumps(_worker(arguments.stage, arguments.folder, arguments.questions[0])))
        return
    cells: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as place:
        empty = _sizes(Path(place) / "empty", 1)
        for n in tqdm(arguments.questions, disable=None, leave=False):
            found = _sizes(Path(place) / str(n), n)
            for stage in STAGES:
                over = {name: max(0.0, found[stage][name] - empty[stage][name]) for name in ("cpu_s", "peak_bytes")}
                cells.append({"stage": stage, "questions": n, "answers": n * math.factorial(N_OPTIONS), **over})
            cells[-1]["disk_bytes"] = sum(file.stat().st_size for file in (Path(place) / str(n) / "run").rglob("*.*"))
    for line in table(cells):
        print(line)
    if arguments.json:
        arguments.json.write_text(json.dumps({"kind": "scale", "cells": cells}, indent=1) + "\n")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=_numbers, default=(100, 1000, 5000, 14000), help="comma-separated")
    parser.add_argument("--json", type=Path, help="write everything here too")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def table(cells: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the lines of the table: a row a stage and size, then the growth of each stage."""
    lines = [f"{'stage':<9}{'questions':>10}{'answers':>10}{'CPU':>10}{'an answer':>12}{'peak':>10}{'an answer':>12}"]
    for cell in cells:
        n = cell["answers"]
        lines.append(
            f"{cell['stage']:<9}{cell['questions']:>10,}{n:>10,}{cell['cpu_s']:>8.2f} s{1e3 * cell['cpu_s'] / n:>9.3f} ms"
            f"{cell['peak_bytes'] / 2**20:>7,.0f} MB{cell['peak_bytes'] / n / 1e3:>9.2f} kB"
        )
    for cell in cells:
        if "disk_bytes" in cell:
            lines.append(
                f"disk, {cell['questions']:,} questions: {cell['disk_bytes'] / cell['answers'] / 1e3:.2f} kB an answer"
            )
    for stage in STAGES:
        slope = growth([cell for cell in cells if cell["stage"] == stage])
        lines.append(
            f"growth of {stage:<8} "
            + ("too fast to say" if slope is None else f"{slope[0]:.2f}, residual {slope[1]:.0%}")
        )
    return lines


def growth(cells: Sequence[Mapping[str, Any]]) -> tuple[float, float] | None:
    """Return the slope in logarithms and the largest residual; `None` with fewer than two sizes that take time."""
    points = [(math.log(c["answers"]), math.log(c["cpu_s"])) for c in cells if c["cpu_s"] >= FIT_FROM_S]
    if len(points) < 2:
        return None
    x, y = (sum(axis) / len(points) for axis in zip(*points, strict=True))
    slope = sum((a - x) * (b - y) for a, b in points) / sum((a - x) ** 2 for a, _ in points)
    return slope, max(abs(math.expm1(b - y - slope * (a - x))) for a, b in points)


def _sizes(folder: Path, n: int) -> dict[str, dict[str, float]]:
    """Return CPU time and memory of each stage, in processes of their own, on one record."""
    folder.mkdir(parents=True)
    found = {}
    for stage in STAGES:
        command = [
            sys.executable,
            "-m",
            "benchmarks.scale",
            "--stage",
            stage,
            "--folder",
            str(folder),
            "--questions",
            str(n),
        ]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found[stage] = json.loads(done.stdout.splitlines()[-1])
    return found


def _worker(stage: str, folder: Path, n: int) -> dict[str, float]:
    work: Mapping[str, Callable[[Path, int], object]] = {
        "check": _check, "record": _record, "judge": _judge, "report": _report("html"), "summary": _report("markdown"),
        "compare": _compare, "gate": _gate,
    }  # fmt: skip
    before = _cpu_s()
    work[stage](folder, n)
    return {"cpu_s": _cpu_s() - before, "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _questions(n: int) -> list[Any]:
    from pytest_llminvariance import Question

    stems = itertools.product(WORDS, repeat=4)
    return [
        Question(f"Which is {n}: {' '.join(stem)}?", [f"{stem[i]} {n + i}" for i in range(4)], id=f"q{n}", answer=n % 4)
        for n, stem in enumerate(itertools.islice(stems, n))
    ]


def _check(folder: Path, n: int) -> None:
    del folder
    from pytest_llminvariance import check, controls, run

    with run():
        assert check("option_order", controls.oracle(), _questions(n), tolerance=0.05)


def _record(folder: Path, n: int) -> None:
    from pytest_llminvariance.cli.auditing import AuditPlan, run_audit

    plan = AuditPlan(spec="control:oracle", questions=tuple(_questions(n)), properties=("order",))
    run_audit(plan, folder / "run")


def _judge(folder: Path, n: int) -> None:
    del n
    from pytest_llminvariance.records.judge import judge, parse_changes
    from pytest_llminvariance.records.record import load

    assert judge(load(folder / "run"), parse_changes(["0.1"], []))


def _report(form: str) -> Callable[[Path, int], object]:
    def write(folder: Path, n: int) -> None:
        del n
        from pytest_llminvariance.report.formats import FORMATS, report_text

        assert report_text(FORMATS[form], folder / "run")

    return write


def _compare(folder: Path, n: int) -> None:
    del n
    from fractions import Fraction

    from pytest_llminvariance.gate.comparison import compare_runs
    from pytest_llminvariance.records.record import load

    assert compare_runs(load(folder / "run"), load(folder / "run"), margin=Fraction(1, 50))


def _gate(folder: Path, n: int) -> None:
    del n
    import datetime

    from pytest_llminvariance.gate.decision import decide_gate
    from pytest_llminvariance.gate.policy import Policy
    from pytest_llminvariance.records.record import load

    assert decide_gate([load(folder / "run")], Policy(), datetime.date(2026, 1, 1))


if __name__ == "__main__":
    main()
