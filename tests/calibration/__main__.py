"""Print the tables of docs/statistics.md, and fail where a number is outside its bound."""

from __future__ import annotations

import argparse
import sys
import time

from scipy.stats import binom
from tqdm import tqdm

from pytest_llminvariance import Verdict
from pytest_llminvariance.measures.forecast import expected_share
from pytest_llminvariance.measures.noise import MIN_PAIRS, NOISE_RISK
from tests.calibration.cells import TOLERANCE, cells, open_cells, run_cell, run_open, run_sessions
from tests.calibration.exact import enumerate_orders, suites
from tests.calibration.guessing import table as guessing
from tests.calibration.noise import ROUNDING, SERVER_CELLS, count_cells, rounding_controls, run_servers
from tests.calibration.suites import SUITE_CELLS, run_suites

COST_SIMULATIONS = 400


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=20_000)
    parser.add_argument("--sessions", type=int, default=2_000)
    parser.add_argument("--suites", type=int, default=400, help="simulated checks from end to end")
    parser.add_argument("--noisy-counts", type=int, default=2_000, help="simulated suites a cell with noise")
    parser.add_argument("--noisy-checks", type=int, default=40, help="checks of each noisy server")
    arguments = parser.parse_args()
    began = time.perf_counter()
    good = [
        enumeration(),
        worst_cells(arguments.simulations),
        sessions(arguments.sessions),
        end_to_end(arguments.suites),
        straddling(arguments.simulations),
        noisy_counts(arguments.noisy_counts),
        noisy_servers(arguments.noisy_checks),
        rounding(),
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


def straddling(simulations: int) -> bool:
    """One value of each suite is open, with the tolerance inside: asking everything would be UNDECIDED."""
    print(f"\nOne open value that straddles the tolerance, alpha 0.05, {simulations:,} simulations each")
    print(f"  {'suite':<32}{'above':>8}{'within':>8}{'either':>8}{'wrong':>8}{'fails at':>10}")
    good = True
    for cell in open_cells():
        found = run_open(cell, 0.05, simulations)
        fails_at = int(binom.isf(0.005, simulations, 0.05)) + 1
        good &= found.wrong < fails_at
        print(
            f"  {cell.name:<32}{found.above:>8,}{found.within:>8,}{found.either / simulations:>8.2%}{found.wrong:>8,}{fails_at:>10,}"
        )
    return good


def noisy_counts(simulations: int) -> bool:
    found = [(cell, cell.wrong(simulations)) for cell in tqdm(list(count_cells()), disable=None, leave=False)]
    fails_at = int(binom.isf(0.01 / len(found), simulations, NOISE_RISK)) + 1
    print(
        f"\nNoise on every reply, {MIN_PAIRS} replicate pairs: {len(found)} cells, {simulations:,} simulations each, fails at {fails_at:,}"
    )
    for name, flips in (("BROKEN without an effect", False), ("HOLDS just beyond the tolerance", True)):
        cell, wrong = max(((c, w) for c, w in found if bool(c.n_flipping) == flips), key=lambda item: item[1])
        print(
            f"  worst cell, {name:<32} {wrong:>6,} ({wrong / simulations:.2%}): noise {cell.noise:g}, N={cell.n}, tolerance {cell.tolerance:g}"
        )
    return all(wrong < fails_at for _, wrong in found)


def noisy_servers(n: int) -> bool:
    print(f"\nWhole checks of noisy servers, 24 questions in 24 orders, tolerance 0.05, {n} seeds each")
    print(f"  {'server':<40}{'HOLDS':>8}{'BROKEN':>8}{'UNDECIDED':>11}{'wrong':>7}")
    good = True
    for cell in tqdm(SERVER_CELLS, disable=None, leave=False):
        found = run_servers(cell, n)
        wrong = sum(found[verdict] for verdict in cell.wrong)
        good &= wrong < int(binom.isf(0.01 / len(SERVER_CELLS), n, NOISE_RISK)) + 1
        counts = "".join(f"{found[verdict]:>{width}}" for verdict, width in zip(Verdict, (8, 8, 11), strict=True))
        print(f"  {cell.name:<40}{counts}{wrong:>7}")
    return good


def rounding() -> bool:
    print("\nServers whose numbers only round: the margin of 3 nats, or of 0, moves by at most so many nats")
    print(f"  {'server':<20}" + "".join(f"{noise:>11g}" for noise in ROUNDING))
    rows = list(rounding_controls())
    for name in dict.fromkeys(row[0] for row in rows):
        print(f"  {name:<20}" + "".join(f"{found:>11}" for row, _, _, found in rows if row == name))
    return all(found is right for *_, right, found in rows)


def costs() -> None:
    print(f"\nMean share of questions asked, tolerance {TOLERANCE:g}, zeros and ones; standard error in brackets, in %")
    print(f"  {'N':>7}{'alpha':>10}" + "".join(f"{factor:>9} tol" for factor in ("0", "1/2", "1", "2", "5")))
    for n in (50, 200, 1_000, 10_000):
        for alpha in (0.05, 0.05 / 40):
            found = [
                expected_share(f * TOLERANCE, TOLERANCE, alpha, n, simulations=COST_SIMULATIONS)
                for f in (0, 0.5, 1, 2, 5)
            ]
            shown = (f"{100 * item.mean / n:.1f} ({100 * item.standard_error / n:.1f})" for item in found)
            print(f"  {n:>7,}{alpha:>10.4g}" + "".join(f"{text:>13}" for text in shown))


if __name__ == "__main__":
    main()
