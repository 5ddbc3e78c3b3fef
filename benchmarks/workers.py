"""What the scripts share that measure in processes of their own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def worker_result(command: Sequence[str]) -> Row:
    """Run a worker and return the JSON object on its last line."""
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[1])
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}\n{done.stderr}")
    result: Row = json.loads(done.stdout.splitlines()[-1])
    return result


def numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of a list with commas."""
    return tuple(int(part) for part in text.split(","))
