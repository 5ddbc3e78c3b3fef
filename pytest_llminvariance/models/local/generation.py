"""Texts, greedy or sampled, in batches that share no padding and, where it pays, the beginning of their prompts."""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    GenerationConfig,
    GenerationMixin,
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
)

from pytest_llminvariance.models.local.devices import Coming, entrance, placed
from pytest_llminvariance.models.local.gates import probe_readings
from pytest_llminvariance.models.local.passes import GateClosedError, remembered, state_argument
from pytest_llminvariance.models.local.rotary import depends_on_length, reset_rotary
from pytest_llminvariance.models.local.tree import Reading, shared_beginning
from pytest_llminvariance.models.protocol import Draw
from pytest_llminvariance.models.thoughts import answer_part, has_marks

PROBE_TOKENS = 4
SHARE_FROM_TOKENS = 32
"""A shared beginning below this is not worth a pass of its own."""
PROBE_TRUNK = SHARE_FROM_TOKENS + 2


@dataclass(frozen=True, slots=True)
class Written:
    """A generated text."""

    text: str
    ran_out: bool
    """It ended because its tokens ran out."""


def text_batches(prompts: Sequence[tuple[int, ...]], n_new: Sequence[int], limit_tokens: int) -> list[list[int]]:
    """Return groups of prompts of one length, neighbours in order, within the tokens of a pass.

    Prompts of one length need no padding, which some models take note of.
    """
    order = sorted(range(len(prompts)), key=lambda index: (len(prompts[index]), n_new[index], prompts[index]))
    groups: list[list[int]] = []
    for index in order:
        first = groups[-1][0] if groups else index
        same = len(prompts[first]) == len(prompts[index]) and n_new[first] == n_new[index]
        if groups and same and (len(groups[-1]) + 1) * len(prompts[index]) <= limit_tokens:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


def end_tokens(network: Any, tokenizer: Any) -> tuple[int, ...]:
    """Return the ids that end a text, as the first of generation settings, configuration and tokenizer tells them."""
    for holder in (getattr(network, "generation_config", None), getattr(network, "config", None), tokenizer):
        told = getattr(holder, "eos_token_id", None)
        if told is not None:
            return tuple(told) if isinstance(told, Sequence) else (int(told),)
    return ()


def _greedy(n_new: int, pad: int, ends: Sequence[int]) -> GenerationConfig:
    """Return all settings of generation, so that nothing that a model's files say reaches an answer but its ends."""
    return GenerationConfig(
        max_new_tokens=n_new, do_sample=False, num_beams=1, use_cache=True, pad_token_id=pad,
        eos_token_id=list(ends) or None,
    )  # fmt: skip


@torch.inference_mode()
def continued(network: Any, ids: torch.Tensor, settings: GenerationConfig, common: int, **more: Any) -> Any:
    """Return what a model generates after `ids`, (prompts, tokens); the first `common` tokens are sent once.

    What the settings leave open is taken from transformers' own defaults: the model's settings are put aside.
    """
    reset_rotary(network)
    if common:
        state = remembered(network, ids[:1, :common], len(ids))
        more[state_argument(GenerationMixin.prepare_inputs_for_generation)] = state
    own = getattr(network, "generation_config", None)
    network.generation_config = GenerationConfig()
    try:
        return network.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=settings, **more)
    finally:
        network.generation_config = own


def prove_generation(network: Any, pad: int, tolerance: float, trunk: int) -> None:
    """Compare texts after a shared beginning that is sent once with the same texts, each generated alone.

    Raises:
        GateClosedError: if the log-probabilities differ by more than the tolerance at any step, up to the first at
            which the texts do.
    """
    vocabulary = int(network.config.get_text_config().vocab_size)
    prompts = [item.tokens for item in probe_readings(vocabulary, trunk=trunk, branches=3, twigs=1)][:3]
    settings = _greedy(PROBE_TOKENS, pad, ())
    settings.update(return_dict_in_generate=True, output_logits=True)
    ids = placed(prompts, entrance(network))
    shared = continued(network, ids, settings, trunk)
    for row in range(len(prompts)):
        alone = continued(network, ids[row : row + 1], settings, 0)
        for step, (one, other) in enumerate(zip(alone.logits, shared.logits, strict=True)):
            gap = float((torch.log_softmax(one[0].float(), -1) - torch.log_softmax(other[row].float(), -1)).abs().max())
            if not gap <= tolerance:
                raise GateClosedError(
                    f"generated token {step + 1} differs by {gap:.2g} nat on a probe, tolerance {tolerance:.1e}"
                )
            place = ids.shape[1] + step
            if alone.sequences[0, place] != shared.sequences[row, place]:
                break  # a tie


@torch.inference_mode()
def generate(
    network: Any,
    tokenizer: Any,
    prompts: Sequence[tuple[int, ...]],
    n_new: int,
    *,
    pad: int,
    share: bool,
    draws: Sequence[Draw | None] = (),
) -> tuple[list[Written], int]:
    """Return the continuation of each prompt, greedy or as its draw says, and the prompt tokens that were sent.

    The prompts have one length. A row ends at the end-of-text token, at `n_new` tokens, or where a next
    question begins; the batch ends with its last row.
    """
    ids = placed(prompts, entrance(network))
    common = shared_beginning([Reading(prompt, (len(prompt) - 1,), ()) for prompt in prompts])
    if not share or len(prompts) < 2 or common < SHARE_FROM_TOKENS or depends_on_length(network.config):
        common = 0
    ended = _NextQuestion(tokenizer, ids)
    more: dict[str, Any] = {"stopping_criteria": StoppingCriteriaList([ended])}
    if any(draws):
        more["logits_processor"] = LogitsProcessorList([_Sampler(draws, prompts)])
    ends = end_tokens(network, tokenizer)
    out = continued(network, ids, _greedy(n_new, pad, ends), common, **more)
    lines: list[list[int]] = out[:, ids.shape[1] :].tolist()
    ended.end(lines)
    rows = [line[: ended.length.get(number, len(line))] for number, line in enumerate(lines)]
    texts = [answer_part(text) for text in decoded(tokenizer, rows)]
    cut = [number not in ended.length and _ran_out(row, n_new, ends) for number, row in enumerate(rows)]
    return [Written(*item) for item in zip(texts, cut, strict=True)], common + len(prompts) * (ids.shape[1] - common)


def _ran_out(row: Sequence[int], n_new: int, ends: Sequence[int]) -> bool:
    """Return whether a row holds all tokens that it may have, and none that ends a text."""
    return len(row) >= n_new and set(ends).isdisjoint(row)


def decoded(tokenizer: Any, rows: Any) -> list[str]:
    """Return texts without special tokens, but with those that mark a thought."""
    special = getattr(tokenizer, "all_special_tokens", ())
    if not any(has_marks(token) for token in special):
        return list(tokenizer.batch_decode(rows, skip_special_tokens=True))
    texts = tokenizer.batch_decode(rows, skip_special_tokens=False)
    ends = "|".join(re.escape(token) for token in (tokenizer.eos_token, tokenizer.pad_token) if token)
    return [re.sub(ends, "", text) if ends else text for text in texts]


class _Sampler(LogitsProcessor):  # type: ignore[misc] # transformers is not followed by the type checker
    """Samples each row by itself: the likeliest token after Gumbel noise is a draw from softmax(logits / T).

    A row's noise comes from its own seed, index and prompt, so its company changes nothing and the same draw
    comes back. Source: Maddison, Tarlow and Minka, A* Sampling (2014).
    """

    def __init__(self, draws: Sequence[Draw | None], prompts: Sequence[tuple[int, ...]]) -> None:
        self.draws = draws
        self.sources = [draw and _source(draw, prompt) for draw, prompt in zip(draws, prompts, strict=True)]

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:  # noqa: ARG002
        noise = torch.zeros(scores.shape)  # made in main memory, and sent at once
        for row, (draw, source) in enumerate(zip(self.draws, self.sources, strict=True)):
            if draw is not None:
                uniform = torch.rand(scores.shape[1:], generator=source, dtype=torch.float64).clamp_min(1e-300)
                noise[row] = draw.temperature * -(-uniform.log()).log()
        return scores.float() + placed(noise, scores.device, torch.float32)


def _source(draw: Draw, prompt: tuple[int, ...]) -> torch.Generator:
    told = f"{draw.seed}|{draw.index}|{draw.temperature}|{prompt}"
    seed = int.from_bytes(hashlib.sha256(told.encode()).digest()[:8], "big", signed=True)
    return torch.Generator().manual_seed(seed)


class _NextQuestion(StoppingCriteria):  # type: ignore[misc] # transformers is not followed by the type checker
    """Ends a row that has begun a next question; nothing after it is read.

    What begins a question ends in a colon or a full stop, so a text is looked at only when its newest token holds one.
    On CUDA tokens are looked at one step later than they are made, while the device is busy with the next.
    """

    def __init__(self, tokenizer: Any, ids: torch.Tensor) -> None:
        self.tokenizer = tokenizer
        self.length: dict[int, int] = {}
        """Tokens after which a row ended, by row."""
        self._written: list[list[int]] = [[] for _ in ids]
        self._late = int(ids.is_cuda)
        self._coming: deque[Coming] = deque()
        self._may_end: dict[int, bool] = {}
        """By token whether a next question can begin with it."""
        self._done = torch.zeros(len(ids), dtype=torch.bool, device=ids.device)

    def __call__(self, ids: torch.Tensor, scores: Any, **more: Any) -> torch.Tensor:  # noqa: ARG002
        self._coming.append(Coming(ids[:, -1]))
        known = len(self.length)
        if len(self._coming) > self._late:
            self._look(self._coming.popleft().tolist())
        if len(self.length) > known:
            self._done = placed([row in self.length for row in range(len(ids))], ids.device, torch.bool)
        return self._done

    def end(self, lines: Sequence[Sequence[int]]) -> None:
        """Look at the tokens that were not looked at yet, of all that were made."""
        for newest in list(zip(*lines, strict=True))[len(self._written[0]) :]:
            self._look(newest)

    def _look(self, newest: Sequence[int]) -> None:
        new = [token for token in dict.fromkeys(newest) if token not in self._may_end]
        for token, text in zip(new, decoded(self.tokenizer, [[token] for token in new]) if new else (), strict=True):
            self._may_end[token] = "." in text or ":" in text
        for row, token in enumerate(newest):
            self._written[row].append(token)
        rows = [row for row, token in enumerate(newest) if self._may_end[token] and row not in self.length]
        for row, text in zip(
            rows, decoded(self.tokenizer, [self._written[r] for r in rows]) if rows else (), strict=True
        ):
            if answer_part(text) != text:
                self.length[row] = len(self._written[row])
