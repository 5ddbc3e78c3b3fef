"""Scoring token sequences: the fastest path that was proven for the model, within a bound of tokens a pass."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pytest_llminvariance.errors import ModelError
from pytest_llminvariance.models.local.batching import absorbed
from pytest_llminvariance.models.local.devices import entrance, free_memory, out_of_memory
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
from pytest_llminvariance.models.local.passes import (
    FlexPath,
    GateClosedError,
    PaddedPath,
    Path,
    PrefixPath,
    TreePath,
    UnderWay,
    Values,
)
from pytest_llminvariance.models.local.rotary import length_class
from pytest_llminvariance.models.local.tree import Reading
from pytest_llminvariance.models.protocol import Request

PROBE_BLOCK_NODES = 16
"""Smaller than the probe, so that it crosses blocks."""
FLEX_PROBE = {"trunk": 300, "branches": 12}
"""Of a probe that holds blocks of FlexAttention which are seen in part, wholly, and not at all."""
FLEX_FROM_TOKENS = 400_000
"""Tokens of the first prompts asked below which compiling FlexAttention takes longer than it could save."""
FLEX_GAIN = 0.9
"""The most time that a pass with FlexAttention may take, of one with blocks, to be used."""


class TooLargeError(Exception):
    """One sequence alone does not fit into memory; `args[0]` is its index."""


def too_large(name: str, device: str, request: Request, n_tokens: int) -> ModelError:
    """Return what says so to users."""
    return ModelError(
        f"{name}: question {request.presentation.question.name!r} needs {n_tokens:,} tokens, and memory on "
        f"{device} does not suffice for this one prompt. Shorten it, or use dtype='bfloat16' or another device"
    )


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


@dataclass(frozen=True, slots=True)
class _Begun:
    """What was handed to the device: passes, and which sequences they hold."""

    passes: tuple[tuple[Sequence[int], UnderWay], ...]

    def scored(self) -> list[Scored]:
        """Wait for the passes."""
        return [
            Scored(index, values)
            for group, under_way in self.passes
            for index, values in zip(group, under_way.sent().values, strict=True)
        ]


class Scorer:
    """Sends sequences through one model and keeps what the readings want.

    Memory over the model's own weights is bounded by the tokens of a pass: at most `batch_tokens`, up to four
    times that where a cut would send a long shared beginning twice, and never less than one sequence. Time and
    memory of planning grow with the tokens given at once.
    """

    def __init__(self, network: Any, *, pad: int, batch_tokens: int, shared: bool = True) -> None:
        self.network = network
        self.batch_tokens = self._whole_pass = batch_tokens
        self._calm = self._patience = 0
        """Askings since memory last ran out, and how many of them it takes to try whole passes again."""
        self.usage = Usage()
        self.proof: Proof | None = None
        self.closed: list[str] = []
        """Why faster paths are not used, one line a path."""
        self._plain = PaddedPath(network, pad)
        self._proven: dict[str, int] = dict.fromkeys(
            (FlexPath.name, TreePath.name, PrefixPath.name, PaddedPath.name), 0
        )
        """Tokens of the longest prompt that a path was proven with."""
        self._proven_texts = 0
        """The same for the shared beginning of texts."""
        self._reuse = PrefixPath(network, pad) if shared else None
        self._faster: list[Path] = [TreePath(network), PrefixPath(network, pad)] if shared else []
        self._path: Path | None = None
        self._put_off: list[Path] = []
        """Paths that memory did not suffice to prove; tried again when next something is asked."""
        on_cuda = entrance(network).type == "cuda"
        self.ahead = int(on_cuda)
        """Passes that are handed to the device before an earlier one is waited for: they are prepared meanwhile."""
        self.flex = on_cuda and shared and not torch.are_deterministic_algorithms_enabled()
        """Whether FlexAttention is still to be tried."""

    @property
    def path(self) -> Path:
        """The fastest path whose gates are open; proven on first use."""
        while self._path is None:
            path = next((path for path in self._faster if path not in self._put_off), None)
            if path is None:
                self._path = self._plain
                break
            try:
                self.proof = self._prove(path)
                self._path = path
            except Exception as error:  # a model's own code says in its own way what it cannot do
                self._close(path, error)
        return self._path

    def describe(self) -> str:
        """Return one line: the path, its proof, how attention is computed, and why faster ones are closed."""
        path = self.path
        proof = "" if self.proof is None else f" ({self.proof})"
        says = f", {path.says}" if isinstance(path, TreePath) else ""
        later = [f"no {path.name} for now: memory ran out while it was proven" for path in self._put_off]
        return "; ".join([f"{path.name}{proof}{says}", *self.closed, *later])

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
            if out_of_memory(error):
                free_memory()
                return False
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
        if self._put_off:
            self._put_off, self._path = [], None
        if self._calm >= self._patience:
            self.batch_tokens = self._whole_pass
        self._calm += 1
        self._choose_attention(readings)
        left, too_large = set(range(len(readings))), list[int]()
        waiting: deque[_Begun] = deque()
        while left:
            for group in self._plan(readings, sorted(left)):
                begun = self._begin(group, readings, too_large)
                if begun is None:
                    break
                left -= set(group)
                waiting.append(begun)
                if len(waiting) > self.ahead:
                    yield waiting.popleft().scored()
        yield from (begun.scored() for begun in waiting)
        if too_large:
            raise TooLargeError(min(too_large))

    def _begin(self, group: Sequence[int], readings: Sequence[Reading], too_large: list[int]) -> _Begun | None:
        """Hand a pass to the device; `None` where what is left must be planned anew."""
        path = self.path
        try:
            return _Begun(((group, self._start(group, readings, path)),))
        except Exception as error:
            if isinstance(error, GateClosedError) or (isinstance(path, FlexPath) and not out_of_memory(error)):
                self._close(path, error)
                return None
            if not out_of_memory(error):
                raise
        # from here on the error, which holds what the pass had made so far, is gone
        if len(absorbed([readings[index].tokens for index in group])) == 1:
            return self._begin_alone(group, readings, too_large)
        self.shrink(sum(len(readings[index].tokens) for index in group))
        return None

    def _begin_alone(self, group: Sequence[int], readings: Sequence[Reading], too_large: list[int]) -> _Begun:
        """Send what cannot be cut one by one, in the plain way, which needs the least memory."""
        begun: list[tuple[Sequence[int], UnderWay]] = []
        for index in group:
            free_memory()
            try:
                begun.append(([index], self._start([index], readings, self._plain)))
            except Exception as error:
                if not out_of_memory(error):
                    raise
                too_large.append(index)
        return _Begun(tuple(begun))

    def _plan(self, readings: Sequence[Reading], left: Sequence[int]) -> Iterator[list[int]]:
        yield from self._planned(self.path, readings, left)

    def tree_passes(self, readings: Sequence[Reading]) -> Iterator[list[int]]:
        """Yield the passes that a prefix tree would take; needs no weights."""
        yield from self._planned(TreePath(self.network), readings, range(len(readings)))

    def _planned(self, path: Path, readings: Sequence[Reading], left: Sequence[int]) -> Iterator[list[int]]:
        """Yield groups of indices; a pass never mixes prompts whose numbers depend on one another's length."""
        classes: dict[tuple[int, ...], list[int]] = {}
        for index in left:
            kind = length_class(self.network.config, len(readings[index].tokens))
            classes.setdefault(kind, []).append(index)
        for members in classes.values():
            chosen = [readings[index] for index in members]
            for group in path.plan(chosen, self.batch_tokens):
                yield [members[number] for number in group]

    def _start(self, group: Sequence[int], readings: Sequence[Reading], path: Path) -> UnderWay:
        chosen = [readings[index] for index in group]
        if path is not self._plain:
            self._prove_length(path, max(len(item.tokens) for item in chosen))
        under_way = path.start(chosen)
        self.count(sum(len(item.tokens) for item in chosen), under_way.n_tokens)
        return under_way

    def _choose_attention(self, readings: Sequence[Reading]) -> None:
        """Choose FlexAttention, once and before the first pass, where it is right and faster for these readings."""
        if not self.flex or not readings:
            return
        self.flex = False
        asked = sum(len(item.tokens) for item in readings)
        if self.usage.passes or asked < FLEX_FROM_TOKENS or not isinstance(blocks := self.path, TreePath):
            return
        flex = FlexPath(self.network)
        try:
            proof = self._prove(flex)
            first = [readings[index] for index in next(self._plan(readings, range(len(readings))))]
            self._prove_length(flex, max(len(item.tokens) for item in first))
            self._prove_length(blocks, max(len(item.tokens) for item in first))
            share = seconds_of(flex, first) / seconds_of(blocks, first)
            if share > FLEX_GAIN:
                raise GateClosedError(f"a pass takes {share:.2f} of the time of one in blocks")
        except Exception as error:  # as in `path`
            self.closed.append(f"no {flex.name}: {first_line(error)}")
            free_memory()
            return
        self._faster.insert(0, flex)
        self._path, self.proof = flex, proof

    def _prove(self, path: Path) -> Proof:
        """Open the gates of a path, or raise."""
        config = self.network.config
        reason = tree_gate(config) if isinstance(path, TreePath) else prefix_gate(config)
        if reason is not None:
            raise GateClosedError(reason)
        size = FLEX_PROBE if isinstance(path, FlexPath) else {}
        readings = probe_readings(int(config.get_text_config().vocab_size), **size)
        usual = path.block_nodes if isinstance(path, TreePath) else 0
        if isinstance(path, TreePath):
            path.block_nodes = PROBE_BLOCK_NODES
        try:
            proof = prove(path, self._plain, readings)
        finally:
            if isinstance(path, TreePath):
                path.block_nodes = usual
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
                raise GateClosedError(first_line(error)) from error  # of memory too: `_close` sees it in the cause
            self._proven[path.name] = window + 1

    def _prove_texts(self, n_tokens: int) -> None:
        """Prove generation on its own, and again before the first prompt that is longer than a sliding window."""
        passed = [window for window in declared_windows(self.network.config) if window < n_tokens]
        trunk = max(PROBE_TRUNK, *(window + 8 for window in passed)) if passed else PROBE_TRUNK
        if self._proven_texts < trunk:
            readings = probe_readings(int(self.network.config.get_text_config().vocab_size))
            prove_generation(self.network, self._plain.pad, tolerance_of(self._plain, readings), trunk)
            self._proven_texts = trunk

    def _close(self, path: Path, error: Exception) -> None:
        """Take the next slower path from here on; for now, where memory ran out."""
        if out_of_memory(error):
            self._put_off.append(path)
            free_memory()
        else:
            self._faster.remove(path)
            self.closed.append(f"no {path.name}: {first_line(error)}")
        self._path = self.proof = None

    def shrink(self, n_tokens: int) -> None:
        """Halve the tokens of a pass after a pass of `n_tokens` ran out of memory, and remember it for a while.

        Others may have held that memory. So whole passes are tried again after an asking that did with smaller ones, and
        after twice as many each time that they fail.
        """
        self._calm = 0
        if self.batch_tokens == self._whole_pass:
            self._patience = 2 * self._patience + 1
        self.batch_tokens = max(1, min(self.batch_tokens, n_tokens) // 2)
        free_memory()


def seconds_of(path: Path, readings: Sequence[Reading], times: int = 3) -> float:
    """Return the least time of a pass, after one that is not counted: it compiles and fills caches."""
    path.send(readings)
    found = []
    for _ in range(times):
        start = time.perf_counter()
        path.send(readings)
        found.append(time.perf_counter() - start)
    return min(found)


def first_line(error: BaseException) -> str:
    """Return the first line of why a gate is closed; of what nobody expected, with its kind."""
    told = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    expected = isinstance(error, GateClosedError)
    return told if expected and told else f"{type(error).__name__}: {told}".rstrip(": ")
