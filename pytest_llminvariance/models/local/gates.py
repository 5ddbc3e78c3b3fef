"""Whether a fast path gives the numbers of the plain one, shown on the loaded model before it is used.

Three gates: what the configuration says, what the layers asked of the attention function, and numbers. The
numeric probe sends branching prompts both ways. It comes with a control that must fail: the same tree under a
plain causal mask has to differ clearly, else the probe could not have seen a wrong mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pytest_llminvariance.models.local.passes import GateClosedError, PaddedPath, Path, TreePath, Values
from pytest_llminvariance.models.local.rotary import depends_on_length
from pytest_llminvariance.models.local.tree import Reading, causal, grow
from pytest_llminvariance.models.local.tree_attention import exchange

LAYER_KINDS = frozenset({"full_attention", "sliding_attention"})
TOLERANCE_NATS = 1e-4
WINDOW_NAMES = ("sliding_window", "attention_window_size", "window_size", "local_attention", "attention_chunk_size")
COLUMNS = 64
"""Vocabulary entries compared at each row of a probe."""


@dataclass(frozen=True, slots=True)
class _Bars:
    """What a probe must reach, in multiples of the rounding noise and of the tolerance."""

    noise: float
    control: float


FULL = _Bars(noise=4, control=100)
REDUCED = _Bars(noise=2, control=5)
"""In 16 bits rounding alone moves a log-probability by tenths of a nat, and nothing differs by 100 times that."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a probe measured; largest differences of log-probability, in nats."""

    difference: float
    tolerance: float
    control: float | None
    """Of the same tree under a plain causal mask; `None` where the path has no mask."""

    def __str__(self) -> str:
        control = "" if self.control is None else f", control {self.control:.2g}"
        return f"differs by {self.difference:.1e} nat, tolerance {self.tolerance:.1e}{control}"


def tree_gate(config: Any) -> str | None:
    """Return why a configuration rules the tree out, or `None`."""
    text = config.get_text_config()
    strange = set(getattr(text, "layer_types", None) or ()) - LAYER_KINDS
    if strange:
        return f"layers of kind {', '.join(sorted(map(str, strange)))}"
    if getattr(text, "attention_chunk_size", None):
        return "chunked attention"
    if getattr(text, "index_topk", None):
        return "sparse attention"
    if not isinstance(getattr(text, "num_hidden_layers", None), int):
        return "the configuration does not say how many layers there are"
    return None


def prefix_gate(config: Any) -> str | None:
    """Return why a configuration rules out keeping keys and values of a shared beginning, or `None`."""
    return "rotary embedding that depends on the prompt's length" if depends_on_length(config) else None


def declared_windows(config: Any) -> set[int]:
    """Return the lengths at which layers stop looking back, as the configuration tells them."""
    text = config.get_text_config()
    found = (getattr(text, name, None) for name in WINDOW_NAMES)
    return {value for value in found if isinstance(value, int) and value > 0}


def probe_readings(vocabulary: int, trunk: int = 12, branches: int = 3, twigs: int = 2) -> list[Reading]:
    """Return branching prompts of made-up tokens: trunk, branches, twigs, and one that ends at a branch."""
    count = iter(range(1, 1_000_000))

    def tokens(n: int) -> tuple[int, ...]:
        return tuple((next(count) * 7_919 + 31) % vocabulary for _ in range(n))

    columns = tuple(range(0, vocabulary, max(1, vocabulary // COLUMNS)))
    stem = tokens(trunk)
    prompts = []
    for _ in range(branches):
        branch = stem + tokens(6)
        prompts += [branch + tokens(5) for _ in range(twigs)]
    prompts.append(prompts[0][: trunk + 6])
    return [Reading(prompt, (trunk + 4, len(prompt) - 1), (columns, columns)) for prompt in prompts]


def prove(path: Path, plain: PaddedPath, readings: Sequence[Reading]) -> Proof:
    """Compare a path with prompts sent one at a time.

    Raises:
        GateClosedError: if they differ by more than the tolerance, or the control does not differ.
    """
    bars, alone = _bars(plain), _alone(plain, readings)
    tolerance = _tolerance(plain, readings, alone)
    difference = _largest(alone, path.send(readings).values)
    if not difference <= tolerance:
        raise GateClosedError(f"its numbers differ by {difference:.2g} nat on a probe, tolerance {tolerance:.1e}")
    if not isinstance(path, TreePath):
        return Proof(difference, tolerance, None)
    control = _largest(alone, path.send_tree(readings, causal(grow(readings))).values)
    if not control >= bars.control * tolerance:
        needed = bars.control * tolerance
        raise GateClosedError(f"the probe says nothing: a wrong mask differs by {control:.2g} nat, needed {needed:.2g}")
    return Proof(difference, tolerance, control)


def tolerance_of(plain: PaddedPath, readings: Sequence[Reading]) -> float:
    """Return how far two right ways of the same arithmetic may differ, in nats."""
    return _tolerance(plain, readings, _alone(plain, readings))


def _tolerance(plain: PaddedPath, readings: Sequence[Reading], alone: Sequence[Values]) -> float:
    return max(TOLERANCE_NATS, _bars(plain).noise * _rounding_noise(plain, readings, alone))


def _bars(plain: PaddedPath) -> _Bars:
    return FULL if plain.network.dtype == torch.float32 else REDUCED


def _alone(plain: PaddedPath, readings: Sequence[Reading]) -> list[Values]:
    return [plain.send([item]).values[0] for item in readings]


def _rounding_noise(plain: PaddedPath, readings: Sequence[Reading], alone: Sequence[Values]) -> float:
    """Return how much equally right orders of the same arithmetic differ, in nats.

    Padded batches against single prompts; in 16 bits also the model's other attention against its own.
    """
    noise = _largest(alone, plain.send(readings).values)
    network = plain.network
    own = network.config._attn_implementation
    if network.dtype != torch.float32 and own != "eager":
        exchange(network, "eager")
        try:
            noise = max(noise, _largest(alone, _alone(plain, readings)))
        finally:
            exchange(network, own)
    return noise


def prove_windows(path: Path, plain: PaddedPath, window: int) -> Proof:
    """Compare again on branching prompts that are longer than the window.

    Raises:
        GateClosedError: as `prove`.
    """
    vocabulary = int(plain.network.config.get_text_config().vocab_size)
    return prove(path, plain, probe_readings(vocabulary, trunk=window + 8, branches=2, twigs=1))


def _largest(a: Sequence[Values], b: Sequence[Values]) -> float:
    pairs = [
        abs(x - y) for u, v in zip(a, b, strict=True) for r, s in zip(u, v, strict=True) for x, y in zip(r, s, strict=True)
    ]  # fmt: skip
    return float("nan") if any(pair != pair for pair in pairs) else max(pairs)
