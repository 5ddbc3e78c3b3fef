"""Kill an audit at random moments, go on, and compare with one that nobody disturbed.

    python -m tests.kill_audit [SPEC] [--times 20] [--questions FILE] [--seed 0]

Without SPEC a slow control is asked, which also counts what it was asked twice.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.records.answers import RecordedAnswer
from pytest_llminvariance.records.record import load

ROOT = Path(__file__).parents[1]
SLOW = "python:tests.slow_control:Slow"
START = "from pytest_llminvariance.cli import main; main()"
SENTINELS = 3


@dataclass(frozen=True)
class Bench:
    """What is run, where."""

    spec: str
    questions: str | None
    properties: str
    folder: Path

    def start(self, out: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", START, "audit", self.spec, "--out", str(out), "--properties", self.properties]
        if self.questions is not None:
            command += ["--questions", self.questions]
        env = {**os.environ, "SLOW_LOG": str(out) + ".log", "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(command, env=env, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def run(self, out: Path) -> float:
        began = time.monotonic()
        status = self.start(out).wait()
        assert status in (0, 1), f"the audit ended with {status}"
        return time.monotonic() - began


@dataclass(frozen=True)
class Outcome:
    """One audit that was killed and went on."""

    wanted: int
    """Answers after which it was to be killed."""
    kept: int
    """Answers in the record when it was killed."""
    findings: int
    asked_again: int
    """Answers that were in the record and were asked again, apart from sentinels."""
    in_flight: int
    """Answers that the model had given and the record did not have."""
    same_findings: bool
    same_answers: bool

    @property
    def good(self) -> bool:
        return self.same_findings and self.same_answers and not self.asked_again


def killed(bench: Bench, out: Path, wanted: int, delay_s: float, whole: Path) -> Outcome:
    """Kill `delay_s` after `wanted` answers, load what is there, go on, and compare with `whole`.

    Counting answers and not seconds makes it independent of how busy the machine is.
    """
    process = bench.start(out)
    while process.poll() is None and lines_in(out / "answers.jsonl") < wanted:
        time.sleep(0.01)
    time.sleep(delay_s)
    process.send_signal(signal.SIGKILL)
    process.wait()
    try:
        record = load(out)
        lines = list(record.answers())
        n_findings = len(record.findings)
    except UsageError:
        lines, n_findings = [], 0
        assert not (out / "run.json").exists(), "a record that cannot be loaded"
    log = Path(str(out) + ".log")
    before = log.read_text().split() if log.exists() else []
    kept = {answer.request_sha256 or "" for answer in lines}
    bench.run(out)
    if log.exists():
        later = Counter(log.read_text().split()[len(before) :])
        again = sum(later[digest] for digest in kept) - sum(sentinels(out, lines).values())
    else:
        again = twice(out)
    same = (out / "findings.json").read_bytes() == (whole / "findings.json").read_bytes()
    return Outcome(
        wanted, len(lines), n_findings, max(0, again), len(set(before) - kept), same, answers(out) == answers(whole)
    )


def lines_in(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def sentinels(out: Path, before: Sequence[RecordedAnswer]) -> Counter[str]:
    """What was asked again on purpose by the second run, at the end of each check."""
    n_before = sum(answer.role == "sentinel" for answer in before)
    again = [answer.request_sha256 or "" for answer in load(out).answers() if answer.role == "sentinel"]
    return Counter(again[n_before:])


def twice(out: Path) -> int:
    """Answers that the record has more than once, although nothing was remembered."""
    asked = Counter(
        answer.request_sha256 for answer in load(out).answers() if answer.role != "sentinel" and not answer.remembered
    )
    return sum(n - 1 for n in asked.values())


def answers(out: Path) -> dict[tuple[Any, ...], Any]:
    """Every answer that entered a check, by its place."""
    return {
        (answer.check, answer.role, answer.place): (answer.reply, answer)
        for answer in load(out).answers()
        if answer.role in ("planned", "foreign")
    }


def largest_change(one: Path, other: Path) -> float:
    """The largest difference of a log-probability between two records, in nats."""
    a, b = answers(one), answers(other)
    gaps = [
        abs(float(x) - float(y))
        for place in a.keys() & b.keys()
        for x, y in zip(a[place][0]["logprobs_nats"], b[place][0]["logprobs_nats"], strict=True)
        if x != y
    ]
    return max(gaps, default=0.0)


def main() -> int:
    parser = argparse.ArgumentParser(description="Kill audits at random moments.")
    parser.add_argument("spec", nargs="?", default=SLOW)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--questions")
    parser.add_argument("--properties", default="order,labels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--delay", type=float, default=0.3, help="up to so many seconds later")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="kill-audit-"))
    bench = Bench(given.spec, given.questions, given.properties, folder)
    whole = folder / "whole"
    duration = bench.run(whole)
    print(f"undisturbed: {duration:.1f} s, {len(answers(whole))} answers, {folder}", flush=True)
    chance, outcomes, n_lines = random.Random(given.seed), [], lines_in(whole / "answers.jsonl")
    for number in range(given.times):
        out = folder / f"killed-{number}"
        outcome = killed(bench, out, chance.randrange(n_lines), chance.uniform(0, given.delay), whole)
        outcomes.append(outcome)
        words = json.dumps(outcome.__dict__)
        change = "" if outcome.same_answers else f", largest change {largest_change(out, whole):.2g} nat"
        print(f"{number + 1:>3} {'same' if outcome.good else 'DIFFERENT'} {words}{change}", flush=True)
    good = sum(outcome.good for outcome in outcomes)
    middle = sum(0 < outcome.kept < len(answers(whole)) for outcome in outcomes)
    print(f"{good} of {len(outcomes)} as if nobody had disturbed them; {middle} were killed between two answers")
    return int(good < len(outcomes))


if __name__ == "__main__":
    raise SystemExit(main())
