"""What the package itself costs, beside the model, as a suite grows: check, record, judge, report, compare, gate.

    python -m benchmarks.scale [--questions 100,1000,5000,14000] [--json FILE]

A fake model that answers at once is asked all 24 orders of each question. Every figure comes from a process of its own:
CPU seconds and the most memory it held, both over what a suite of one question takes. `check` is without the time that
the fake model takes, `record` with it. `growth` is the slope of the
logarithm of CPU time over the logarithm of the number of answers (1 is linear), with the largest residual of that fit.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from tqdm import tqdm

from benchmarks.peak import Peak
from benchmarks.workers import Row, numbers, worker_result
from benchmarks.workload import make_question
from pytest_llminvariance import Question, check, controls, run
from pytest_llminvariance.cli.auditing import AuditPlan, run_audit
from pytest_llminvariance.gate.comparison import compare_runs
from pytest_llminvariance.gate.decision import decide_gate
from pytest_llminvariance.gate.policy import Policy
from pytest_llminvariance.models.protocol import Reply, Request
from pytest_llminvariance.records.judge import judge, parse_changes
from pytest_llminvariance.records.record import load
from pytest_llminvariance.report.formats import FORMATS, report_text

N_OPTIONS = 4
STEM_WORDS = 12
FIT_FROM_S = 0.2
"""Below this the clock and the allocator decide."""


def main() -> None:
    arguments = _parse()
    if arguments.stage:
        print(json.dumps(_worker(arguments.stage, arguments.record, arguments.questions[0])))
        return
    cells: list[Row] = []
    with tempfile.TemporaryDirectory() as place:
        least = _stages(Path(place) / "1", 1)
        for n in tqdm(arguments.questions, disable=None, leave=False):
            n_answers, record = n * math.factorial(N_OPTIONS), Path(place) / f"run-{n}"
            for stage, found in _stages(record, n).items():
                over = {name: max(0, found[name] - least[stage][name]) for name in ("cpu_s", "peak_bytes")}
                cells.append({"stage": stage, "questions": n, "answers": n_answers, **over})
            disk_bytes = sum(file.stat().st_size for file in record.rglob("*") if file.is_file())
            cells.append({"stage": "disk", "questions": n, "answers": n_answers, "disk_bytes": disk_bytes})
            if arguments.json:  # what was measured stays, whatever becomes of the next size
                arguments.json.write_text(json.dumps({"kind": "scale", "cells": cells}, indent=1) + "\n")
    for line in table(cells):
        print(line)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=numbers, default=(100, 1000, 5000, 14000), help="comma-separated")
    parser.add_argument("--json", type=Path, help="write everything here too")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--record", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def table(cells: Sequence[Row]) -> list[str]:
    """Return the lines of the table: a row a stage and size, the disk, then the growth of each stage."""
    lines = [f"{'stage':<9}{'questions':>10}{'answers':>10}{'CPU':>10}{'an answer':>12}{'peak':>10}{'an answer':>12}"]
    for cell in cells:
        n = cell["answers"]
        line = f"{cell['stage']:<9}{cell['questions']:>10,}{n:>10,}"
        if "disk_bytes" in cell:
            lines.append(f"{line}{'':>22}{cell['disk_bytes'] / 2**20:>7,.0f} MB{cell['disk_bytes'] / n / 1e3:>9.2f} kB")
            continue
        lines.append(
            f"{line}{cell['cpu_s']:>8.2f} s{1e3 * cell['cpu_s'] / n:>9.3f} ms"
            f"{cell['peak_bytes'] / 2**20:>7,.0f} MB{cell['peak_bytes'] / n / 1e3:>9.2f} kB"
        )
    for stage in STAGES:
        found = growth([(cell["answers"], cell["cpu_s"]) for cell in cells if cell["stage"] == stage])
        said = "too few sizes take time to say" if found is None else f"{found[0]:.2f}, residual {found[1]:.0%}"
        lines.append(f"growth of {stage:<8} {said}")
    return lines


def growth(points: Sequence[tuple[float, float]]) -> tuple[float, float] | None:
    """Return slope and largest relative residual of seconds over size in logarithms; `None` below three sizes that take time."""
    x, y = ([math.log(p[axis]) for p in points if p[1] >= FIT_FROM_S] for axis in (0, 1))
    if len(x) < 3:
        return None
    slope, start = statistics.linear_regression(x, y)
    return slope, max(abs(math.expm1(b - start - slope * a)) for a, b in zip(x, y, strict=True))


def _stages(record: Path, n: int) -> dict[str, Row]:
    """Return CPU time and memory of each stage, in processes of their own, on one record."""
    command = [sys.executable, "-m", "benchmarks.scale", "--record", str(record), "--questions", str(n), "--stage"]
    return {stage: worker_result([*command, stage]) for stage in STAGES}


def _worker(stage: str, record: Path, n: int) -> Row:
    asked = questions(n) if stage in ("check", "record") else ()
    with Peak("cpu") as peak:
        began = time.process_time()
        done = STAGES[stage](record, asked)
        cpu_s = time.process_time() - began - (done if isinstance(done, float) else 0.0)
    return {"cpu_s": cpu_s, "peak_bytes": peak.over_bytes}


def questions(n: int) -> tuple[Question, ...]:
    """Return distinct questions, right answers spread over the positions."""
    made = (make_question(lambda text: len(text.split()), STEM_WORDS, N_OPTIONS, number) for number in range(n))
    return tuple(
        Question(f"{number}: {question.stem}", question.options, id=f"q{number}", answer=number % N_OPTIONS)
        for number, question in enumerate(made)
    )


class Timed:
    """A control that counts the seconds it takes."""

    def __init__(self) -> None:
        self.inner, self.cpu_s = controls.oracle(), 0.0
        self.name, self.fingerprint, self.capabilities = "oracle", "timed", self.inner.capabilities

    def answer(self, requests: Sequence[Request]) -> Sequence[Reply]:
        """Answer as the control does."""
        began = time.process_time()
        replies = self.inner.answer(requests)
        self.cpu_s += time.process_time() - began
        return replies


def _check(_record: Path, asked: Sequence[Question]) -> object:
    """Return the seconds that the model took."""
    model = Timed()
    with run():
        check("option_order", model, asked, tolerance=0.05)
    return model.cpu_s


def _audit(record: Path, asked: Sequence[Question]) -> object:
    return run_audit(AuditPlan(spec="control:oracle", questions=tuple(asked), properties=("order",)), record)


def _judge(record: Path, _asked: Sequence[Question]) -> object:
    return judge(load(record), parse_changes(["0.1"], []))


def _report(form: str) -> Stage:
    return lambda record, _asked: report_text(FORMATS[form], record)


def _compare(record: Path, _asked: Sequence[Question]) -> object:
    return compare_runs(load(record), load(record), margin=Fraction(1, 50))


def _gate(record: Path, _asked: Sequence[Question]) -> object:
    return decide_gate([load(record)], Policy(), datetime.date(2026, 1, 1))


Stage = Callable[[Path, Sequence[Question]], object]
STAGES: Mapping[str, Stage] = {
    "check": _check, "record": _audit, "judge": _judge, "report": _report("html"), "summary": _report("markdown"),
    "compare": _compare, "gate": _gate,
}  # fmt: skip
"""In the order in which they run: those after `record` read what it wrote."""


if __name__ == "__main__":
    main()
