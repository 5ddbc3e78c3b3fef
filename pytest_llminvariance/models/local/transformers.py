"""Causal language models of the library transformers, in this process: from requests to tokens, and back.

How token sequences reach the model is for `scoring` and `generation`.
"""

from __future__ import annotations

import gc
import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pytest_llminvariance.errors import ModelError, UsageError
from pytest_llminvariance.models.local.fingerprint import fingerprint_of
from pytest_llminvariance.models.local.generation import generate, text_batches
from pytest_llminvariance.models.local.label_tokens import LabelTokens
from pytest_llminvariance.models.local.passes import Values
from pytest_llminvariance.models.local.rotary import rotary_settings
from pytest_llminvariance.models.local.scoring import Scorer, TooLargeError, Usage, out_of_memory
from pytest_llminvariance.models.local.tree import Reading, grow, packs
from pytest_llminvariance.models.protocol import (
    Capability,
    LabelReply,
    LabelRequest,
    OptionReply,
    OptionRequest,
    Reply,
    Request,
    TextReply,
    TextRequest,
)

PLAIN_CUE = "\nAnswer:"
"""Ends the prompt of a model without a chat template; continuations then start with a blank."""


@dataclass(frozen=True, slots=True)
class _Job:
    """A request as token sequences, and how their values become its reply."""

    index: int
    readings: tuple[Reading, ...]
    reply: Callable[[Sequence[Values]], Reply]


class TransformersModel:
    """A causal language model and its tokenizer, held in memory until `release`."""

    capabilities: frozenset[Capability] = frozenset({"label", "option", "text"})
    cacheable = True
    """The fingerprint covers everything that determines the answers, so they may be kept on disk."""

    def __init__(
        self, name: str, network: Any, tokenizer: Any, *, chat: bool, batch_tokens: int, packed: bool = True
    ) -> None:
        self.name = name
        self.chat = chat
        self.packed = packed
        self._network: Any = network
        self._tokenizer: Any = tokenizer
        self._labels = LabelTokens(tokenizer)
        self._scorer = Scorer(network, pad=self._pad(), batch_tokens=batch_tokens, shared=packed)
        self.device = str(network.device)
        self.dtype = str(network.dtype).removeprefix("torch.")
        self._fingerprint: str | None = None

    def __repr__(self) -> str:
        return f"<{self.name} on {self.device}, {self.dtype}>"

    @property
    def fingerprint(self) -> str:
        """SHA-256 over weights, configuration, tokenizer, prompt format and arithmetic; made on first use."""
        if self._fingerprint is None:
            self._fingerprint = fingerprint_of(self._live(), self._tokenizer, chat=self.chat, shared=self.packed)
        return self._fingerprint

    @property
    def context_tokens(self) -> int | None:
        """The longest sequence that the model takes, where its configuration says so."""
        config = self._live().config
        value = getattr(config.get_text_config(), "max_position_embeddings", None)
        stretched = [part["factor"] for part in rotary_settings(config) if part.get("rope_type") == "dynamic"]
        return int(value * max(stretched, default=1)) if value else None

    @property
    def plain(self) -> TransformersModel:
        """The same model, asked prompt by prompt in padded batches and with its own attention: for comparison."""
        return TransformersModel(
            self.name, self._live(), self._tokenizer, chat=self.chat, batch_tokens=self.batch_tokens, packed=False
        )

    @property
    def is_noisy(self) -> bool:
        """Whether rounding can move an answer by more than 1e-4 nat, so that its noise floor must be measured."""
        return self.dtype != "float32"

    @property
    def usage(self) -> Usage:
        """Tokens asked for and tokens sent so far."""
        return self._scorer.usage

    @property
    def batch_tokens(self) -> int:
        """Tokens of one pass; halved whenever memory ran out."""
        return self._scorer.batch_tokens

    def describe_path(self) -> str:
        """Return one line: how prompts are sent, what was measured to allow it, and why not faster."""
        return self._scorer.describe() if self.usage.passes else "nothing was asked"

    def planned_tokens(self, requests: Sequence[Request]) -> tuple[int, int]:
        """Return the tokens of all prompts, and those that a prefix tree would send for them; nothing is asked.

        Texts count with all tokens that they may have. Needs tokenizer and configuration, no weights.
        """
        jobs = [self._label_job(n, item) for n, item in enumerate(requests) if isinstance(item, LabelRequest)]
        jobs += [self._option_job(n, item) for n, item in enumerate(requests) if isinstance(item, OptionRequest)]
        readings = [reading for job in jobs for reading in job.readings]
        prompt, sent = sum(len(item.tokens) for item in readings), 0
        for group in packs(readings, self.batch_tokens, limit_rows=self.batch_tokens):
            sent += len(grow([readings[index] for index in group]).tokens)
        texts = [item for item in requests if isinstance(item, TextRequest)]
        written = sum(len(self._prompt(item)) + item.max_new_tokens for item in texts)
        return prompt + written, sent + written

    def release(self) -> None:
        """Let go of the weights; on a GPU, hand cached memory back."""
        self._fingerprint = self.fingerprint if self._network is not None else self._fingerprint
        self._network = None
        self._scorer.release()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """Score and generate; replies come in the order asked."""
        replies = dict(pair for batch in self.answers(requests) for pair in batch)
        return [replies[index] for index in range(len(requests))]

    def answers(self, requests: Sequence[Request]) -> Iterator[list[tuple[int, Reply]]]:
        """Yield (index, reply) pairs after every pass, each request once, in any order."""
        if self.device == "meta":
            raise ModelError(f"{self.name} was loaded without weights: it can count tokens, but cannot answer")
        jobs: list[_Job] = []
        for index, request in enumerate(requests):
            if isinstance(request, LabelRequest):
                jobs.append(self._label_job(index, request))
            elif isinstance(request, OptionRequest):
                jobs.append(self._option_job(index, request))
        texts = [(index, request) for index, request in enumerate(requests) if isinstance(request, TextRequest)]
        yield from self._scored(jobs, requests)
        yield from self._texts(texts)

    def _scored(self, jobs: Sequence[_Job], requests: Sequence[Request]) -> Iterator[list[tuple[int, Reply]]]:
        owners = [(job, part) for job in jobs for part in range(len(job.readings))]
        waiting: dict[int, dict[int, Values]] = {job.index: {} for job in jobs}
        try:
            for scored in self._scorer.score([job.readings[part] for job, part in owners]) if jobs else ():
                done = []
                for item in scored:
                    job, part = owners[item.index]
                    found = waiting[job.index]
                    found[part] = item.values
                    if len(found) == len(job.readings):
                        done.append((job.index, job.reply([found[n] for n in range(len(found))])))
                        del waiting[job.index]
                yield done
        except TooLargeError as error:
            job, part = owners[error.args[0]]
            raise self._too_large(requests[job.index], len(job.readings[part].tokens)) from error

    def _label_job(self, index: int, request: LabelRequest) -> _Job:
        prompt = self._prompt(request)
        spelled = self._labels.columns(request.presentation.labels)
        columns = tuple(column for ids in spelled for column in ids)

        def reply(found: Sequence[Values]) -> Reply:
            row = iter(found[0][0])
            sums = tuple(_log_sum([next(row) for _ in ids]) for ids in spelled)
            return LabelReply(sums, _digest(prompt), len(prompt))

        return _Job(index, (Reading(prompt, (len(prompt) - 1,), (columns,)),), reply)

    def _option_job(self, index: int, request: OptionRequest) -> _Job:
        endings = [self._continuation(option) for option in request.presentation.shown_options]
        prompt = self._prompt(request, reserve=max(map(len, endings)) - 1)
        start = len(prompt) - 1
        readings = tuple(
            Reading(
                prompt + ending[:-1],
                tuple(range(start, start + len(ending))),
                tuple((token,) for token in ending),
            )
            for ending in endings
        )

        def reply(found: Sequence[Values]) -> Reply:
            sums = tuple(math.fsum(row[0] for row in values) for values in found)
            n_tokens = len(prompt) * len(endings) + sum(map(len, endings))
            return OptionReply(sums, tuple(map(len, endings)), _digest(prompt), n_tokens)

        return _Job(index, readings, reply)

    def _texts(self, requests: Sequence[tuple[int, TextRequest]]) -> Iterator[list[tuple[int, Reply]]]:
        prompts = [self._prompt(request, reserve=request.max_new_tokens) for _, request in requests]
        news = [request.max_new_tokens for _, request in requests]
        groups = text_batches(prompts, news, self.batch_tokens)
        while groups:
            group = groups.pop(0)
            try:
                texts, sent = generate(
                    self._live(), self._tokenizer, [prompts[n] for n in group], news[group[0]],
                    pad=self._pad(), share=self._scorer.shares_beginnings(len(prompts[group[0]])),
                    draws=[requests[n][1].draw for n in group],
                )  # fmt: skip
            except RuntimeError as error:
                if not out_of_memory(error):
                    raise
                if len(group) == 1:
                    raise self._too_large(requests[group[0]][1], len(prompts[group[0]])) from error
                self._scorer.shrink(len(group) * len(prompts[group[0]]))
                groups[:0] = [group[: len(group) // 2], group[len(group) // 2 :]]
                continue
            self._scorer.count(sum(len(prompts[n]) for n in group), sent)
            yield [
                (requests[n][0], TextReply(made.text, _digest(prompts[n]), len(prompts[n]), made.ran_out))
                for n, made in zip(group, texts, strict=True)
            ]

    def _too_large(self, request: Request, n_tokens: int) -> ModelError:
        return ModelError(
            f"{self.name}: question {request.presentation.question.name!r} needs {n_tokens:,} tokens, and memory on "
            f"{self.device} does not suffice for this one prompt. Shorten it, or use dtype='bfloat16' or another device"
        )

    def _prompt(self, request: Request, reserve: int = 0) -> tuple[int, ...]:
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        if self.chat:
            tokens = self._chat_tokens(messages, request.presentation.template.shown_name)
        else:
            if messages[0]["role"] == "system":
                raise UsageError(
                    f"{self.name} is asked without a chat template, so the system message of the template "
                    f"{request.presentation.template.shown_name!r} cannot be sent. Leave system out, or use a chat model"
                )
            tokens = self._tokenizer(_plain_text(messages))["input_ids"]
        limit = self.context_tokens
        if limit is not None and len(tokens) + reserve > limit:
            raise ModelError(
                f"{self.name}: question {request.presentation.question.name!r} needs {len(tokens) + reserve:,} tokens, "
                f"but the model's context is {limit:,}. Shorten its stem or context"
            )
        return tuple(tokens)

    def _chat_tokens(self, messages: list[dict[str, str]], template: str) -> list[int]:
        try:
            text = self._tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except Exception as error:  # a chat template is code of the model's author and raises what it likes
            raise ModelError(
                f"{self.name}: its chat template cannot take the messages of template {template!r}: {error}"
            ) from error
        tokens: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return tokens

    def _continuation(self, text: str) -> tuple[int, ...]:
        start = text if self.chat else " " + text
        tokens = tuple(self._tokenizer(start, add_special_tokens=False)["input_ids"])
        if not tokens:
            raise ModelError(f"{self.name}: the option {text!r} has no tokens")
        return tokens

    def _pad(self) -> int:
        for value in (self._tokenizer.pad_token_id, self._tokenizer.eos_token_id, 0):
            if value is not None:
                return int(value)
        raise AssertionError("unreachable")  # pragma: no cover

    def _live(self) -> Any:
        if self._network is None:
            raise ModelError(f"{self.name} was released and cannot be asked any more. Load it again")
        return self._network


def _plain_text(messages: Sequence[dict[str, str]]) -> str:
    """Return a chat as text for a model without a chat template: each question ends with the cue, each answer with a blank line."""
    said = ((turn["content"], turn["role"] == "user") for turn in messages)
    return "".join(text + PLAIN_CUE if asks else f" {text}\n\n" for text, asks in said)


def _log_sum(logs: Sequence[float]) -> float:
    """Return the logarithm of the sum of probabilities that are given as logarithms."""
    top = max(logs)
    return top if math.isinf(top) else top + math.log(math.fsum(math.exp(value - top) for value in logs))


def _digest(tokens: Sequence[int]) -> str:
    """SHA-256 over the token ids that go to the model."""
    return hashlib.sha256(",".join(map(str, tokens)).encode()).hexdigest()
