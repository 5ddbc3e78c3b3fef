"""Scoring token sequences: the fastest path that was proven for the model, within a bound of tokens a pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pytest_llminvariance.models.local.devices import free_memory
from pytest_llminvariance.models.local.gates import (
    Proof,
    declared_windows,
    prefix_gate,
    probe_readings,
    prove,
    prove_windows,
    tolerance_of,
    tree_gate,
)
from pytest_llminvariance.models.local.generation import PROBE_TRUNK, prove_generation
from pytest_llminvariance.models.local.passes import GateClosedError, PaddedPath, Path, PrefixPath, TreePath, Values
from pytest_llminvariance.models.local.rotary import length_class
from pytest_llminvariance.models.local.tree import Reading

PROBE_BLOCK_NODES = 16
"""Smaller than the probe, so that it crosses blocks."""


class TooLargeError(Exception):
    """One sequence alone does not fit into memory; `args[0]` is its index."""


@dataclass(slots=True)
class Usage:
    """What was sent so far."""

    asked_tokens: int = 0
    """Tokens of all sequences, as a loop over single prompts would send them."""
    sent_tokens: int = 0
    """Tokens that went through the model."""
    passes: int = 0


@dataclass(frozen=True, slots=True)
class Scored:
    """What one pass brought."""

    index: int
    """Of the sequence, in the order given."""
    values: Values


class Scorer:
    """Sends sequences through one model and keeps what the readings want.

    Memory over the model's own weights is bounded by the tokens of a pass: at most `batch_tokens`, up to four
    times that where a cut would send a long shared beginning twice, and never less than one sequence. Time and
    memory of planning grow with the tokens given at once.
    """

    def __init__(self, network: Any, *, pad: int, batch_tokens: int, shared: bool = True) -> None:
        self.network = network
        self.batch_tokens = batch_tokens
        self.usage = Usage()
        self.proof: Proof | None = None
        self.closed: list[str] = []
        """Why faster paths are not used, one line a path."""
        self._plain = PaddedPath(network, pad)
        self._proven: dict[str, int] = {TreePath.name: 0, PrefixPath.name: 0, PaddedPath.name: 0}
        """Tokens of the longest prompt that a path was proven with."""
        self._proven_texts = 0
        """The same for the shared beginning of texts."""
        self._reuse = PrefixPath(network, pad) if shared else None
        self._faster: list[Path] = [TreePath(network), PrefixPath(network, pad)] if shared else []
        self._path: Path | None = None

    @property
    def path(self) -> Path:
        """The fastest path whose gates are open; proven on first use."""
        while self._path is None:
            if not self._faster:
                self._path = self._plain
                break
            path = self._faster[0]
            try:
                self.proof = self._prove(path)
                self._path = path
            except Exception as error:  # a model's own code says in its own way what it cannot do
                self._close(error)
        return self._path

    def describe(self) -> str:
        """Return one line: the path, its proof, and why faster ones are closed."""
        path = self.path
        proof = "" if self.proof is None else f" ({self.proof})"
        return "; ".join([f"{path.name}{proof}", *self.closed])

    def shares_beginnings(self, n_tokens: int) -> bool:
        """Return whether keys and values of a shared beginning can be reused for prompts of this length."""
        if self._reuse is None:
            return False
        try:
            if not self._proven[self._reuse.name]:
                self._prove(self._reuse)
            self._prove_length(self._reuse, n_tokens)
            self._prove_texts(n_tokens)
        except Exception as error:  # as in `path`
            self.closed.append(f"texts without {self._reuse.name}: {first_line(error)}")
            self._reuse = None
            return False
        return True

    def release(self) -> None:
        """Let go of the model."""
        self.network = self._plain.network = None
        self._faster, self._path, self._reuse = [], self._plain, None

    def count(self, asked_tokens: int, sent_tokens: int) -> None:
        """Add a pass to what was used."""
        self.usage.asked_tokens += asked_tokens
        self.usage.sent_tokens += sent_tokens
        self.usage.passes += 1

    def score(self, readings: Sequence[Reading]) -> Iterator[list[Scored]]:
        """Yield what each pass brought, until every reading was answered once.

        Raises:
            TooLargeError: if one sequence alone does not fit into memory; all others are answered before.
        """
        left, too_large = set(range(len(readings))), []
        while left:
            for group in self._plan(readings, sorted(left)):
                try:
                    found = self._send(group, readings)
                except GateClosedError as error:
                    self._close(error)
                    break
                except RuntimeError as error:
                    if not out_of_memory(error):
                        raise
                    if len(group) == 1:
                        too_large += group
                        left -= set(group)
                        continue
                    self.shrink(sum(len(readings[index].tokens) for index in group))
                    break
                left -= set(group)
                yield found
        if too_large:
            raise TooLargeError(min(too_large))

    def _plan(self, readings: Sequence[Reading], left: Sequence[int]) -> Iterator[list[int]]:
        """Yield groups of indices; a pass never mixes prompts whose numbers depend on one another's length."""
        classes: dict[tuple[int, ...], list[int]] = {}
        for index in left:
            kind = length_class(self.network.config, len(readings[index].tokens))
            classes.setdefault(kind, []).append(index)
        for members in classes.values():
            chosen = [readings[index] for index in members]
            for group in self.path.plan(chosen, self.batch_tokens):
                yield [members[number] for number in group]

    def _send(self, group: Sequence[int], readings: Sequence[Reading]) -> list[Scored]:
        chosen = [readings[index] for index in group]
        path = self.path
        if path is not self._plain:
            self._prove_length(path, max(len(item.tokens) for item in chosen))
        sent = path.send(chosen)
        self.count(sum(len(item.tokens) for item in chosen), sent.n_tokens)
        return [Scored(index, value) for index, value in zip(group, sent.values, strict=True)]

    def _prove(self, path: Path) -> Proof:
        """Open the gates of a path, or raise."""
        config = self.network.config
        reason = tree_gate(config) if isinstance(path, TreePath) else prefix_gate(config)
        if reason is not None:
            raise GateClosedError(reason)
        readings = probe_readings(int(config.get_text_config().vocab_size))
        if isinstance(path, TreePath):
            usual, path.block_nodes = path.block_nodes, PROBE_BLOCK_NODES
            proof = prove(path, self._plain, readings)
            path.block_nodes = usual
        else:
            proof = prove(path, self._plain, readings)
        self._proven[path.name] = max(len(item.tokens) for item in readings)
        return proof

    def _prove_length(self, path: Path, n_tokens: int) -> None:
        """Prove each sliding window before the first prompt that is longer than it."""
        windows = declared_windows(self.network.config) | (path.windows if isinstance(path, TreePath) else set())
        for window in sorted(windows):
            if not self._proven[path.name] <= window < n_tokens:
                continue
            try:
                self.proof = prove_windows(path, self._plain, window)
            except Exception as error:  # as in `path`
                raise GateClosedError(first_line(error)) from error
            self._proven[path.name] = window + 1

    def _prove_texts(self, n_tokens: int) -> None:
        """Prove generation on its own, and again before the first prompt that is longer than a sliding window."""
        passed = [window for window in declared_windows(self.network.config) if window < n_tokens]
        trunk = max(PROBE_TRUNK, *(window + 8 for window in passed)) if passed else PROBE_TRUNK
        if self._proven_texts < trunk:
            readings = probe_readings(int(self.network.config.get_text_config().vocab_size))
            prove_generation(self.network, self._plain.pad, tolerance_of(self._plain, readings), trunk)
            self._proven_texts = trunk

    def _close(self, error: Exception) -> None:
        """Take the next slower path from here on."""
        self.closed.append(f"no {self._faster.pop(0).name}: {first_line(error)}")
        self._path = self.proof = None

    def shrink(self, n_tokens: int) -> None:
        """Halve the tokens of a pass after a pass of `n_tokens` ran out of memory, and remember it."""
        self.batch_tokens = max(1, min(self.batch_tokens, n_tokens) // 2)
        free_memory()


def first_line(error: BaseException) -> str:
    """Return the first line of why a gate is closed; of what nobody expected, with its kind."""
    told = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    expected = isinstance(error, GateClosedError)
    return told if expected and told else f"{type(error).__name__}: {told}".rstrip(": ")


def out_of_memory(error: BaseException) -> bool:
    """Return whether an error of torch says that memory ran out, on a GPU or on the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error)
