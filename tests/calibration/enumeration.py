"""Every order of a small suite whose mean is exactly at the tolerance: the expected capital and the share that crosses.

`python -m tests.calibration.enumeration` prints the table for the independent implementation. Both functions take any
implementation with the signature of `independent.log_evidence`, so that one that is wrong can be seen to fail.
"""

# ruff: noqa: N806 - N is the papers' size of the population
from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from tests.calibration.independent import Side, capitals, log_evidence

Evidence = Callable[[Sequence[Fraction], int, Fraction, Side], list[float]]
ALPHAS = (Fraction("0.2"), Fraction("0.1"), Fraction("0.05"), Fraction("0.01"))
SIDES: tuple[Side, Side] = ("BROKEN", "HOLDS")


@dataclass(frozen=True)
class Enumerated:
    """What all orders of one population say about one process."""

    orders: int
    expected: float
    """Mean capital after the last value."""
    expected_by_step: tuple[float, ...]
    crossing: dict[Fraction, Fraction]
    """For each alpha the share of orders whose capital ever reached 1 / alpha."""
    worst_ratio: float
    """Largest share / alpha over every alpha up to 1/2. At most 1; above 1/2, a doubled alpha would show."""


def orders(population: Sequence[Fraction]) -> Iterator[tuple[Fraction, ...]]:
    """Yield each distinct order once; all are equally likely."""
    counts = Counter(population)

    def rest(n_left: int) -> Iterator[tuple[Fraction, ...]]:
        if not n_left:
            yield ()
            return
        for value in sorted(counts):
            if counts[value]:
                counts[value] -= 1
                for tail in rest(n_left - 1):
                    yield (value, *tail)
                counts[value] += 1

    yield from rest(len(population))


def enumerate_orders(
    population: Sequence[Fraction], side: Side, *, m: Fraction | None = None, evidence: Evidence = log_evidence
) -> Enumerated:
    """Ask a population in every order; `m` is its own mean where nothing is given."""
    N = len(population)
    mean = sum(population) / Fraction(N) if m is None else m
    sums, highest = [0.0] * N, []
    for order in orders(population):
        logs = evidence(order, N, mean, side)
        highest.append(max(logs))
        sums = [total + math.exp(log) for total, log in zip(sums, logs, strict=True)]
    n_orders = len(highest)
    means = tuple(total / n_orders for total in sums)
    # 1e-12: a capital of exactly 1 / alpha counts as crossed although its log is rounded
    crossed = {alpha: sum(log >= -math.log(alpha) - 1e-12 for log in highest) for alpha in ALPHAS}
    shares = {alpha: Fraction(count, n_orders) for alpha, count in crossed.items()}
    return Enumerated(n_orders, means[-1], means, shares, worst_ratio(highest))


def worst_ratio(highest: Sequence[float]) -> float:
    """Return the largest share / alpha over the alphas up to 1/2 at which the share jumps: where orders peak."""
    peaks = sorted(highest, reverse=True)
    ratios = [math.exp(log) * rank / len(peaks) for rank, log in enumerate(peaks, start=1) if log >= math.log(2)]
    return max(ratios, default=0.0)


def exact_expectation(population: Sequence[Fraction], side: Side) -> Fraction:
    """Return the mean final capital over all orders without any rounding."""
    N, mean = len(population), sum(population) / Fraction(len(population))
    finals = [list(capitals(order, N, mean, side))[-1] for order in orders(population)]
    return Fraction(sum(finals, Fraction(0)), len(finals))


def zero_one() -> Iterator[list[Fraction]]:
    """Yield every 0/1 population of 8 to 12 values, those without a one or a zero among them."""
    for N in range(8, 13):
        for ones in range(N + 1):
            yield [Fraction(1)] * ones + [Fraction(0)] * (N - ones)


def few_valued() -> Iterator[list[Fraction]]:
    """Yield populations of 8 to 10 values of three or four kinds, small means and large ones."""
    for text in (
        "0 0 0 0 0 0 1/4 1", "0 0 0 1/2 1/2 1/2 1 1", "0 0 1/3 1/3 2/3 2/3 1 1", "9/23 0 0 0 0 0 0 1/24 1/24",
        "0 0 0 1/10 1/10 1/10 9/10 9/10 9/10", "1 1 1 1 1 1 3/4 1/2 1/2 0", "0 0 0 0 0 0 0 1/20 1/20 9/20",
    ):  # fmt: skip
        yield [Fraction(part) for part in text.split()]


def main() -> None:
    """Print one line per population and side, and the worst of all."""
    print(
        f"{'N':>2} {'sum':>6} {'side':6} {'orders':>6} {'|E-1|':>8} {'ratio':>6} "
        + " ".join(f"<={a!s:6}" for a in ALPHAS)
    )
    worst, tightest, highest = 0.0, 0.0, dict.fromkeys(ALPHAS, Fraction(0))
    for population in (*zero_one(), *few_valued()):
        for side in SIDES:
            found = enumerate_orders(population, side)
            error = max(abs(mean - 1) for mean in found.expected_by_step)
            worst, tightest = max(worst, error), max(tightest, found.worst_ratio)
            highest = {alpha: max(highest[alpha], share) for alpha, share in found.crossing.items()}
            shares = " ".join(f"{float(share):8.5f}" for share in found.crossing.values())
            print(
                f"{len(population):2} {sum(population)!s:>6} {side:6} {found.orders:6} {error:8.1e} {found.worst_ratio:6.3f} {shares}"
            )
    print(f"largest |E-1| after any step: {worst:.2e}")
    print(f"largest share / alpha over all alphas up to 1/2: {tightest:.3f}")
    for alpha, share in highest.items():
        print(f"alpha {float(alpha):.2f}: largest share of orders that cross {float(share):.6f}")


if __name__ == "__main__":
    main()
