"""How often noise makes a verdict wrong: order-blind, biased and re-deployed servers, whole checks and counts alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import numpy as np

from pytest_llminvariance import Finding, Verdict, check, repeated
from pytest_llminvariance.measures.noise import MIN_PAIRS, Limits, Replicates, limits
from pytest_llminvariance.models.protocol import Model
from tests.noisy import Server, bank, blind, changed_for, first_shown, often_first

N, OPTIONS = 24, 4


@dataclass(frozen=True)
class ServerCell:
    """A server, and the verdict that would be wrong for it; `None` where none is right."""

    name: str
    make: Callable[[int], Model]
    wrong: tuple[Verdict, ...]


def _by_question(share: float) -> Callable[..., int]:
    return changed_for(share, lambda p: p.question.stem)


def _by_prompt(share: float) -> Callable[..., int]:
    return changed_for(share, lambda p: (p.question.stem, p.order))


BOTH = (Verdict.HOLDS, Verdict.BROKEN)
HALF_WAY = MIN_PAIRS * 3 + N * 24 // 2
SERVER_CELLS = (
    ServerCell("order-blind", lambda seed: Server(seed=seed), (Verdict.BROKEN,)),
    ServerCell("order-blind, 1% noise", lambda seed: Server(noise=0.01, seed=seed), (Verdict.BROKEN,)),
    ServerCell("order-blind, 4% noise", lambda seed: Server(noise=0.04, seed=seed), (Verdict.BROKEN,)),
    ServerCell("order-blind, 10% noise", lambda seed: Server(noise=0.1, seed=seed), (Verdict.BROKEN,)),
    ServerCell(
        "order-blind, 4% noise, asked five times",
        lambda seed: repeated(Server(noise=0.04, seed=seed), 5),
        (Verdict.BROKEN,),
    ),
    ServerCell("always first, 4% noise", lambda seed: Server(first_shown, noise=0.04, seed=seed), (Verdict.HOLDS,)),
    ServerCell(
        "first in 30%, 4% noise", lambda seed: Server(often_first(0.3), noise=0.04, seed=seed), (Verdict.HOLDS,)
    ),
    ServerCell(
        "first in 10%, 4% noise", lambda seed: Server(often_first(0.1), noise=0.04, seed=seed), (Verdict.HOLDS,)
    ),
    ServerCell(
        "re-deployed half-way, 7% of prompts",
        lambda seed: Server(blind, later=_by_prompt(0.07), redeployed_after=HALF_WAY, seed=seed),
        BOTH,
    ),
    ServerCell(
        "re-deployed half-way, 30% of questions",
        lambda seed: Server(blind, later=_by_question(0.3), redeployed_after=HALF_WAY, seed=seed),
        BOTH,
    ),
    ServerCell(
        "30% of questions, and 4% noise",
        lambda seed: Server(blind, noise=0.04, later=_by_question(0.3), redeployed_after=HALF_WAY, seed=seed),
        BOTH,
    ),
)


def run_servers(cell: ServerCell, n: int) -> Counter[Verdict]:
    """Count the verdicts of whole checks, one a seed."""
    return Counter(_check(cell.make(seed)).verdict for seed in range(n))


def _check(model: Model) -> Finding:
    return check("option_order", model, bank(N, OPTIONS), tolerance=0.05, readout="label")


ROUNDING = (0.02, 0.1, 0.25, 0.5, 1.0)
"""How far the margin of a prompt moves at most, in nats; in bfloat16 by 0.25 where logits are about 30."""


def rounding_controls() -> Iterator[tuple[str, float, Verdict, Verdict]]:
    """Yield 20 servers whose numbers only round: name, noise, the verdict that is right, and the one that came."""
    kinds = (
        ("order-blind", blind, 3.0, Verdict.HOLDS),
        ("always first", first_shown, 3.0, Verdict.BROKEN),
        ("first in 30%", often_first(0.3), 3.0, Verdict.BROKEN),
        ("nearly a tie", blind, 0.0, Verdict.UNDECIDED),
    )
    for name, rule, margin, right in kinds:
        for noise in ROUNDING:
            server = Server(rule, rounding_nats=noise, margin_nats=margin, deterministic="rounding")
            yield name, noise, right, _check(server).verdict


@dataclass(frozen=True)
class CountCell:
    """Answers of an order-blind model, or of one that flips just beyond the tolerance, with noise on every reply."""

    noise: float
    n: int
    tolerance: float
    n_flipping: int

    def wrong(self, simulations: int) -> int:
        """Count wrong verdicts: BROKEN without an effect, HOLDS with one beyond the tolerance."""
        rng = np.random.default_rng([int(self.noise * 1_000), self.n, int(self.tolerance * 1_000), self.n_flipping])
        true = np.zeros((simulations, self.n, 24), dtype=np.int8)
        true[:, : self.n_flipping, 1:] = 1
        answers = self._replies(true, rng)
        effects = (answers[:, :, 1:] != answers[:, :, :1]).mean(axis=(1, 2))
        twice = self._replies(np.zeros((2, simulations, MIN_PAIRS), dtype=np.int8), rng)
        changed = (twice[0] != twice[1]).sum(axis=1)
        return sum(map(self._is_wrong, effects.tolist(), changed.tolist()))

    def _is_wrong(self, effect: float, changed: int) -> bool:
        ends = _limits(Fraction(str(self.tolerance)), changed, self.n)
        return bool(effect <= ends.holds_within if self.n_flipping else effect > ends.broken_above)

    def _replies(self, true: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return replies of which a share is another content."""
        other = rng.integers(1, OPTIONS, true.shape, dtype=np.int8)
        return (true + other * (rng.random(true.shape, dtype=np.float32) < self.noise)) % OPTIONS


@cache
def _limits(tolerance: Fraction, changed: int, n: int) -> Limits:
    return limits(tolerance, "flip_rate", Replicates(changed, MIN_PAIRS), n, 24)


def count_cells() -> Iterator[CountCell]:
    """Every noise, size and tolerance, without an effect and with the smallest one beyond the tolerance."""
    for noise in (0.002, 0.01, 0.04, 0.1):
        for n in (4, 12, 19, 24, 50, 100):
            for tolerance in (0.01, 0.05, 0.1):
                yield CountCell(noise, n, tolerance, 0)
                yield CountCell(noise, n, tolerance, int(tolerance * n) + 1)
