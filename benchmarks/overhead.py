"""What the installed plugin adds to an unrelated suite, against `-p no:llminvariance`, in pairs.

    python -m benchmarks.overhead [--pairs 60]

Each pair runs both commands back to back, in turns first one, then the other. The figure is the median of
the paired differences: single starts vary by far more than the plugin costs.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TEST = "def test_nothing() -> None:\n    pass\n"
OFF = ["-p", "no:llminvariance"]


def seconds(folder: Path, extra: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *extra, "test_nothing.py"],
        cwd=folder,
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=60)
    n_pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_nothing.py").write_text(TEST)
        seconds(folder, [])
        seconds(folder, OFF)
        pairs = []
        for number in range(n_pairs):
            if number % 2:
                off, on = seconds(folder, OFF), seconds(folder, [])
            else:
                on, off = seconds(folder, []), seconds(folder, OFF)
            pairs.append((on, off))
    added = sorted(1000 * (on - off) for on, off in pairs)
    print(f"pairs                      {n_pairs}")
    print(f"with the plugin            {1000 * statistics.median(on for on, _ in pairs):.1f} ms (median)")
    print(f"without (-p no:llminvariance) {1000 * statistics.median(off for _, off in pairs):.1f} ms (median)")
    print(f"added                      {statistics.median(added):.1f} ms (median of paired differences)")
    print(f"middle half of the pairs   {added[n_pairs // 4]:.1f} to {added[3 * n_pairs // 4]:.1f} ms")


if __name__ == "__main__":
    main()
