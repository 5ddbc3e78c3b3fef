"""Run every command of docs/tutorial.md in a fresh folder and write what they print, and how long they take, into the page.

`python -m tests.tutorial` does so with the demo model as "your model" and this Python. `--check` changes nothing and exits 1 where the page
says something else, apart from times, paths and fingerprints. `--fresh` makes an environment of its own and installs the package of
this repository into it, so that the step `install` is measured too.

In the page `<!-- file: NAME -->` stands before a block that is written to a file, and `<!-- step: NAME -->` before a block of commands;
the next block of text holds what they print.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "tutorial.md"
PART = re.compile(
    r"<!-- file: (?P<file>\S+) -->\n+```\w*\n(?P<content>.*?)^```$"
    r"|(?P<head><!-- step: (?P<step>[\w ]+) -->\n+```sh\n(?P<commands>.*?)^```\n+)(?P<output>```text\n.*?^```$)?",
    re.MULTILINE | re.DOTALL,
)
TIMES = re.compile(r"(<!-- times -->\n).*?(<!-- end of times -->)", re.DOTALL)
VARIES = [
    (re.compile(r"\b\d+(?:\.\d+)?s\b|\b\d+(?:\.\d+)? (?:seconds|minutes|s|min)\b|\(\d+:\d\d:\d\d\)"), "TIME"),
    (re.compile(r"fingerprint [0-9a-f]{8,}|run [0-9a-f]{16}"), "FINGERPRINT"),
    (re.compile(r"[\d,.]+ tokens/s"), "SPEED"),
    (re.compile(r"^(?:engine|cache|tokens): .*$", re.MULTILINE), "MACHINE"),
    (re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?"), "DATE"),
]
"""What may differ between two runs of the same commands."""


@dataclass(frozen=True, slots=True)
class Step:
    """One block of commands that was run."""

    name: str
    output: str
    wall_s: float
    processor_s: float


def run_commands(commands: str, folder: Path, env: Mapping[str, str], name: str = "") -> Step:
    """Run a block of commands in a shell; what they write to standard error is shown and not kept."""
    print(f"step {name}", flush=True)
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        ["bash", "-c", commands],
        cwd=folder,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    output = done.stdout.replace(f"{folder}/", "").replace(str(folder), ".")
    shown = "\n".join(line.rstrip() for line in output.strip("\n").splitlines())
    print(shown, flush=True)
    return Step(name, shown, time.perf_counter() - began, used)


def run_page(
    text: str, folder: Path, env: Mapping[str, str], skip: Sequence[str] = (), change: Callable[[str], str] = str
) -> tuple[str, list[Step]]:
    """Return the page with the outputs of its commands, and what was run; `change` may put others in the place of commands."""
    steps: list[Step] = []

    def replaced(found: re.Match[str]) -> str:
        if found["file"]:
            (folder / found["file"]).write_text(found["content"], encoding="utf-8")
            return found[0]
        if found["step"] in skip:
            return found[0]
        steps.append(run_commands(change(found["commands"]), folder, env, found["step"]))
        return found["head"] + (f"```text\n{steps[-1].output}\n```" if found["output"] else "")

    return PART.sub(replaced, text), steps


def times_table(steps: Sequence[Step]) -> str:
    """Return a table of the steps: time on the clock, and of processors, which no other work on the machine makes longer."""
    rows = ["| step | on the clock | of processors | of processors since the beginning |", "|---|---|---|---|"]
    total = 0.0
    for step in steps:
        total += step.processor_s
        rows.append(f"| {step.name} | {step.wall_s:,.0f} s | {step.processor_s:,.0f} s | {total / 60:.1f} min |")
    return "\n".join(rows)


def without_what_varies(text: str) -> str:
    """Return a page as two runs of it must agree."""
    text = TIMES.sub(r"\1\2", text)
    for pattern, word in VARIES:
        text = pattern.sub(word, text)
    return re.sub(r"=+", "=", text)  # lines that pytest fills up to the width of the terminal, around a time


def differences(page: str, made: str) -> list[str]:
    """Return where a page says something else than what was run, apart from what may differ."""
    told, found = (without_what_varies(text).splitlines() for text in (page, made))
    return list(difflib.unified_diff(told, found, "the page", "this run", lineterm="", n=1))


def surroundings(folder: Path, binaries: Path) -> dict[str, str]:
    """Return the environment of the commands: this Python's programs first, nothing remembered from before, no colours."""
    told = {"PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "100", "NO_COLOR": "1"}
    return {
        **os.environ,
        **told,
        "LLMINVARIANCE_ANSWERS": str(folder / "answers"),
        "HF_HUB_OFFLINE": "1",
        "PWD": str(folder),
    }


def alone(folder: Path) -> dict[str, str]:
    """Return the environment for commands that install everything themselves: nothing of this Python, no unpacked model."""
    own = surroundings(folder, folder / "env" / "bin") | {"LLMINVARIANCE_CACHE": str(folder / "cache")}
    return {name: value for name, value in own.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


def installed_from_here(commands: str) -> str:
    """Return commands that install the package of this repository in the place of a released one."""
    return re.sub(
        r"pip install '?pytest-llminvariance(\[\w+\])?'?",
        lambda found: (
            f"pip install --quiet --disable-pip-version-check -c {ROOT / 'constraints.txt'} '{ROOT}{found[1] or ''}'"
        ),
        commands,
    )


def machine() -> Iterator[str]:
    """Yield what the times were measured on."""
    yield f"{os.cpu_count()} cores, Python {sys.version.split()[0]}"
    if hasattr(os, "getloadavg"):
        yield f"load average {os.getloadavg()[0]:.1f}"


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--fresh", action="store_true")
    told = parser.parse_args()
    page = PAGE.read_text("utf-8")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        env = alone(folder) if told.fresh else surroundings(folder, Path(sys.executable).parent)
        made, steps = run_page(page, folder, env, () if told.fresh else ("install",), installed_from_here)
    if told.check:
        print(*(different := differences(page, made)), sep="\n")
        return int(bool(different))
    head = f"Measured on {', '.join(machine())}:"
    made = TIMES.sub(lambda found: f"{found[1]}\n{head}\n\n{times_table(steps)}\n\n{found[2]}", made)
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
