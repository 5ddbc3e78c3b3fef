"""vLLM's engine in this process: prompts as tokens, many at a time, and what it says of the tokens that may follow.

Knows vLLM's `LLM`, `SamplingParams` and outputs. How an engine is started is for `vllm_start`.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pytest_llminvariance.errors import ModelError, said_shortly
from pytest_llminvariance.models.kept import forget
from pytest_llminvariance.models.local.devices import free_memory
from pytest_llminvariance.models.local.fingerprint import vocabulary_of
from pytest_llminvariance.models.local.generation import decoded
from pytest_llminvariance.models.local.jobs import Asked, Job, Jobs, Tokens, in_tree_order, tokens_digest
from pytest_llminvariance.models.local.scoring import Usage
from pytest_llminvariance.models.protocol import Capability, Reply, Request, TextReply, TextRequest, in_order
from pytest_llminvariance.models.served.wire import MAX_IDS
from pytest_llminvariance.models.thoughts import answer_part

AT_ONCE = 256
"""Requests that are handed to the engine together; it batches them as it likes. What they brought is kept if the next fail."""
OLDEST = "0.22"
"""The first version that tells the log-probabilities of exactly the tokens that are asked for."""


class _Wanted(NamedTuple):
    """What the engine is asked: a prompt and how it goes on, and whose answer it is part of."""

    tokens: Tokens
    params: Any
    asked: Asked
    job: Job | None
    """Of a label or an option; `None`: a text."""
    ids: Sequence[int]


class EngineModel:
    """A `vllm.LLM`, asked as the same weights in this process would be.

    Labels and options are the log-probabilities of exactly the tokens that spell them: one prompt a node of the trie of what
    may follow, in the order in which the engine's prefix cache has what was read.
    """

    capabilities: frozenset[Capability] = frozenset({"label", "option", "text"})
    deterministic = "rounding"
    """What shares a batch, and what the prefix cache holds, moves numbers, but only by rounding; so the noise is measured in nats."""
    taken = ("dtype", "prompt_format", "max_new_tokens", "chat_arg")
    """Settings that reach an engine which runs already."""

    def __init__(self, llm: Any, name: str, jobs: Jobs, says: Mapping[str, Any], *, cacheable: bool = False, ends: bool = False) -> None:  # fmt: skip
        self.name = name
        self.cacheable = cacheable
        self.usage = Usage()
        self.at_once = AT_ONCE
        self.device = f"vLLM {says['vllm']}"
        self.dtype = str(llm.model_config.dtype).removeprefix("torch.")
        self.origin: tuple[object, ...] = () if ends else (llm,)
        self._llm = llm
        self._jobs = jobs
        self._says = dict(says)
        self._ends = ends
        """Whether the engine was started for this model, and ends with it."""

    def __repr__(self) -> str:
        return f"<{self.name} in {self.device}, {self.dtype}>"

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the weights as far as they are told, how the engine was started, and how it is asked."""
        jobs = self._jobs
        says = [self._says, self.dtype, jobs.prompts.template, jobs.prompts.arguments, jobs.encoder.before, jobs.max_new_tokens]  # fmt: skip
        digest = hashlib.sha256(json.dumps(says, sort_keys=True, default=str).encode())
        digest.update(vocabulary_of(jobs.tokenizer).encode())
        return digest.hexdigest()

    @property
    def plain(self) -> EngineModel:
        """The same model, asked one request at a time: for comparison."""
        other = copy.copy(self)
        other.at_once = 1
        return other

    def calm(self) -> bool:
        """Ask one request at a time from now on, as answers move with their company; false where that is so already."""
        was, self.at_once = self.at_once, 1
        return was > 1

    def rendered(self, request: Request) -> str:
        """Return the text that is sent for a request: answers are remembered by it."""
        return self._jobs.prompts.text(request)

    def describe_path(self) -> str:
        """Return one line: what was asked, and what of it the engine remembered from earlier prompts."""
        asked, sent = self.usage.asked_tokens, self.usage.sent_tokens
        if not asked:
            return "nothing was asked"
        at_once = "one request at a time" if self.at_once == 1 else f"{self.at_once} requests at a time"
        return f"{self.device} in this process; prompts as tokens, {at_once}; prefix cache had {1 - sent / asked:.0%} of {asked:,} tokens"

    def release(self) -> None:
        """End the engine if it was started for this model, and hand memory back; else let go of it."""
        llm, self._llm = self._llm, None
        if llm is not None and self._ends:
            llm.llm_engine.engine_core.shutdown()
        del llm
        forget(self)
        self.origin = ()
        free_memory()

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """Ask for every request; replies come in the order of the requests."""
        return in_order(self.answers(requests))

    def answers(self, requests: Sequence[Request]) -> Iterator[list[tuple[int, Reply]]]:
        """Yield (index, reply) pairs as they come, neighbours in the tree of prompts after one another."""
        asked = self._jobs.asked(requests)
        order = in_tree_order(requests, [item.tokens for item in asked])
        for start in range(0, len(order), self.at_once):
            yield self._answered([asked[index] for index in order[start : start + self.at_once]])

    def _answered(self, group: Sequence[Asked]) -> list[tuple[int, Reply]]:
        wanted = [part for item in group for part in self._wanted(item)]
        known: dict[int, dict[Tokens, dict[int, float]]] = {item.index: {} for item in group}
        jobs = {part.asked.index: part.job for part in wanted if part.job is not None}
        found: dict[int, Reply] = {}
        for part, output in zip(wanted, self._generated(wanted), strict=True):
            cached = output.num_cached_tokens or 0
            self.usage.asked_tokens += len(part.tokens)
            self.usage.sent_tokens += len(part.tokens) - cached
            if part.job is None:
                found[part.asked.index] = self._text(part.asked, output.outputs[0])
            else:
                known[part.asked.index].setdefault(part.tokens, {}).update(self._scores(output.outputs[0], part.ids))
        found |= {index: job.reply_of(known[index]) for index, job in jobs.items()}
        return [(item.index, found[item.index]) for item in group]

    def _wanted(self, item: Asked) -> list[_Wanted]:
        params = self._sampling_params()
        if isinstance(item.request, TextRequest):
            draw = item.request.draw
            how = (
                {"temperature": 0.0}
                if draw is None
                else {"temperature": draw.temperature, "seed": item.request.sampling_seed}
            )
            return [_Wanted(item.tokens, params(max_tokens=item.n_new, detokenize=False, **how), item, None, ())]
        job = self._jobs.job(item)
        return [
            _Wanted(
                node, params(max_tokens=1, temperature=0.0, detokenize=False, logprob_token_ids=ids), item, job, ids
            )
            for node, ids in job.nodes(MAX_IDS)
        ]

    def _generated(self, wanted: Sequence[_Wanted]) -> Sequence[Any]:
        if self._llm is None:
            raise ModelError(f"{self.name} was released and cannot be asked any more. Load it again")
        prompts = [{"prompt_token_ids": list(part.tokens)} for part in wanted]
        try:
            outputs: Sequence[Any] = self._llm.generate(prompts, [part.params for part in wanted], use_tqdm=False)
        except Exception as error:  # vLLM raises many kinds, those of its own processes among them
            raise ModelError(f"{self.name}: vLLM did not answer: {told_by(error)}") from error
        return outputs

    def _sampling_params(self) -> Callable[..., Any]:
        from vllm import SamplingParams

        made: Callable[..., Any] = SamplingParams
        return made

    def _scores(self, output: Any, ids: Sequence[int]) -> dict[int, float]:
        told = output.logprobs[0] if output.logprobs else {}
        missing = [token for token in ids if token not in told]
        if missing:
            raise ModelError(
                f"{self.name}: vLLM gave no log-probability for {len(missing)} of {len(ids)} tokens that were asked for, such as "
                f"{missing[0]}. Install a newer one: pip install -U vllm"
            )
        return {token: float(told[token].logprob) for token in ids}

    def _text(self, asked: Asked, output: Any) -> Reply:
        (text,) = decoded(self._jobs.tokenizer, [list(output.token_ids)])
        answer = answer_part(text)
        cut = output.finish_reason == "length" and answer == text
        return TextReply(answer, tokens_digest(asked.tokens), len(asked.tokens), cut)


def told_by(error: BaseException) -> str:
    """Return what an error of vLLM says; of one that says nothing, its kind."""
    return said_shortly(error) or type(error).__name__
