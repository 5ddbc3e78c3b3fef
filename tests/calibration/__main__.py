"""Print the tables of docs/statistics.md, and fail where a number is outside its bound."""

from __future__ import annotations

import argparse
import sys
import time

from scipy.stats import binom
from tqdm import tqdm

from pytest_llminvariance.measures.forecast import expected_share
from tests.calibration.cells import TOLERANCE, cells, run_cell, run_sessions
from tests.calibration.exact import enumerate_orders, suites
from tests.calibration.guessing import table as guessing
from tests.calibration.suites import SUITE_CELLS, run_suites


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=20_000)
    parser.add_argument("--sessions", type=int, default=2_000)
    parser.add_argument("--suites", type=int, default=400, help="simulated checks from end to end")
    arguments = parser.parse_args()
    began = time.perf_counter()
    good = [
        enumeration(),
        worst_cells(arguments.simulations),
        sessions(arguments.sessions),
        end_to_end(arguments.suites),
        guessing(arguments.suites),
    ]
    costs()
    print(f"\n{time.perf_counter() - began:.0f} s; {'every number is within its bound' if all(good) else 'FAILED'}")
    sys.exit(0 if all(good) else 1)


def enumeration() -> bool:
    found = [enumerate_orders(values, side) for values in suites() for side in ("above", "within")]
    off = max(abs(item.mean_capital - 1) for item in found)
    print("All orders of small suites, mean exactly at the tolerance")
    print(f"  {len(found)} suites and sides, {sum(item.orders for item in found):,} orders")
    print(f"  mean capital differs from 1 by at most {off:.1e} (at most 1e-12)")
    good = off <= 1e-12
    for alpha in found[0].crossed:
        most = max(item.crossed[alpha] for item in found)
        good &= most <= alpha
        print(f"  largest share of orders that cross 1/{alpha:g}: {most:.4f} (at most {alpha:g})")
    return good


def worst_cells(simulations: int) -> bool:
    print(f"\nWorst cells, tolerance {TOLERANCE:g}, {simulations:,} simulations each")
    print(f"  {'suite':<32}{'shown':>8}{'alpha':>7}{'wrong':>8}{'share':>9}{'fails at':>10}")
    todo = [(cell, alpha) for alpha in (0.05, 0.01) for cell in cells()]
    good = True
    for cell, alpha in tqdm(todo, disable=None, leave=False):
        found = run_cell(cell, alpha, simulations, len(todo))
        good &= found.passes
        mark = "" if found.passes else "  FAILED"
        print(
            f"  {cell.name:<32}{cell.side:>8}{alpha:>7g}{found.wrong:>8,}{found.wrong / simulations:>9.4f}"
            f"{found.fails_at:>10,}{mark}"
        )
    return good


def sessions(n: int) -> bool:
    wrong = run_sessions(n, 40, 1000, 0.05)
    fails_at = int(binom.isf(0.01, n, 0.05)) + 1
    print(f"\nSessions of 40 checks just above the tolerance, N = 1,000, risk limit 0.05: {n:,}")
    print(f"  with any wrong verdict: {wrong:,} ({wrong / n:.2%}); fails at {fails_at:,}")
    return wrong < fails_at


def end_to_end(n: int) -> bool:
    print(f"\nChecks from end to end (questions, order of asking, engine, verdict): {n:,} seeds each")
    good = True
    for cell in SUITE_CELLS:
        wrong = run_suites(cell, n)
        fails_at = int(binom.isf(0.01 / len(SUITE_CELLS), n, cell.alpha)) + 1
        good &= wrong < fails_at
        print(f"  {cell.name:<52}{wrong:>6,} wrong ({wrong / n:.2%}); alpha {cell.alpha:g}, fails at {fails_at:,}")
    return good


def costs() -> None:
    print(f"\nMean share of questions asked, tolerance {TOLERANCE:g}, zeros and ones (exact where all were asked)")
    print(f"  {'N':>7}{'alpha':>10}" + "".join(f"{factor:>9} tol" for factor in ("0", "1/2", "1", "2", "5")))
    for n in (50, 200, 1_000, 10_000):
        for alpha in (0.05, 0.05 / 40):
            shares = [expected_share(f * TOLERANCE, TOLERANCE, alpha, n).mean / n for f in (0, 0.5, 1, 2, 5)]
            print(f"  {n:>7,}{alpha:>10.4g}" + "".join(f"{share:>13.0%}" for share in shares))


if __name__ == "__main__":
    main()
