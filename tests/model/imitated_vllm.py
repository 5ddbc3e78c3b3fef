"""vLLM as far as it is used: `LLM`, `SamplingParams`, `EngineArgs` and outputs, with the names, rules and errors of vLLM 0.32.

Answers are those of the folder's weights, computed by transformers one prompt at a time, so that numbers can be compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
import transformers as hf

BLOCK = 16
"""Tokens that the prefix cache keeps together."""
MAX_IDS = 128


@dataclass
class SamplingParams:
    temperature: float = 1.0
    seed: int | None = None
    max_tokens: int | None = 16
    logprobs: int | None = None
    logprob_token_ids: list[int] | None = None
    detokenize: bool = True

    def verify(self, vocabulary: int) -> None:
        ids = self.logprob_token_ids
        if ids is None:
            return
        if len(ids) > MAX_IDS:
            raise ValueError(
                f"Requested logprob_token_ids of length {len(ids)}, which is greater than max allowed: {MAX_IDS}"
            )
        if any(token < 0 or token >= vocabulary for token in ids):
            raise ValueError(
                f"token_id(s) in logprob_token_ids contain out-of-vocab token ids. Vocabulary size: {vocabulary}"
            )
        if self.logprobs is not None and self.logprobs != len(ids):
            raise ValueError(
                "When both logprobs and logprob_token_ids are set, logprobs must equal len(logprob_token_ids)."
            )


@dataclass
class EngineArgs:
    model: str = ""
    dtype: str = "auto"
    tokenizer: str | None = None
    revision: str | None = None
    trust_remote_code: bool = False
    max_model_len: int | None = None
    max_num_batched_tokens: int | None = None
    tensor_parallel_size: int = 1
    enable_prefix_caching: bool | None = None
    enforce_eager: bool = False
    logprobs_mode: str = "raw_logprobs"
    skip_tokenizer_init: bool = False
    runner: str = "auto"


@dataclass
class Logprob:
    logprob: float
    rank: int | None = None
    decoded_token: str | None = None


@dataclass
class CompletionOutput:
    index: int
    text: str
    token_ids: Sequence[int]
    cumulative_logprob: float | None
    logprobs: list[dict[int, Logprob]] | None
    finish_reason: str | None = None


@dataclass
class RequestOutput:
    request_id: str
    prompt_token_ids: list[int]
    outputs: list[CompletionOutput]
    num_cached_tokens: int | None


@dataclass
class EngineCore:
    """The engine's other process."""

    is_running: bool = True

    def shutdown(self) -> None:
        self.is_running = False


class LLM:
    """As much of vllm.LLM as a test needs."""

    made: list[LLM] = []  # noqa: RUF012 - looked at by tests

    def __init__(self, model: str, *, tensor_parallel_size: int = 1, **kwargs: Any) -> None:
        told = EngineArgs(model=model, tensor_parallel_size=tensor_parallel_size, **kwargs)
        if tensor_parallel_size > 1:
            raise ValueError(
                f"World size ({tensor_parallel_size}) is larger than the number of available GPUs (0) in this node."
            )
        self.arguments = told
        self.network = hf.AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
        self.tokenizer = hf.AutoTokenizer.from_pretrained(told.tokenizer or model)
        config = self.network.config
        self.model_config = SimpleNamespace(
            model=model, dtype=torch.float32, max_model_len=told.max_model_len or config.max_position_embeddings, quantization=None,
            hf_config=config, runner_type="pooling" if told.runner == "pooling" else "generate", logprobs_mode=told.logprobs_mode,
        )  # fmt: skip
        self.llm_engine = SimpleNamespace(engine_core=EngineCore())
        self.asked: list[list[tuple[int, ...]]] = []
        """The prompts of each call."""
        self.params: list[SamplingParams] = []
        self._remembered: set[tuple[int, ...]] = set()
        LLM.made.append(self)

    def get_tokenizer(self) -> Any:
        if self.arguments.skip_tokenizer_init:
            raise ValueError("`skip_tokenizer_init=True` but tokenizer is required.")
        return self.tokenizer

    def generate(
        self, prompts: Sequence[Mapping[str, Any]], sampling_params: Sequence[SamplingParams], *, use_tqdm: bool = True
    ) -> list[RequestOutput]:
        assert self.llm_engine.engine_core.is_running, "Engine core proc died unexpectedly"
        assert not use_tqdm
        assert len(prompts) == len(sampling_params)
        self.asked.append([tuple(prompt["prompt_token_ids"]) for prompt in prompts])
        self.params += sampling_params
        return [self._output(*pair) for pair in zip(self.asked[-1], sampling_params, strict=True)]

    def _output(self, prompt: tuple[int, ...], params: SamplingParams) -> RequestOutput:
        config = self.model_config
        params.verify(self.network.config.vocab_size)
        if len(prompt) >= config.max_model_len:
            raise ValueError(
                f"The decoder prompt (length {len(prompt)}) is longer than the maximum model length of {config.max_model_len}."
            )
        tokens, rows = self._written(prompt, params)
        text = self.tokenizer.decode(tokens, skip_special_tokens=True) if params.detokenize else ""
        ended = tokens[-1] == self.network.config.eos_token_id
        done = CompletionOutput(0, text, tokens, None, rows or None, "stop" if ended else "length")
        return RequestOutput("0", list(prompt), [done], self._cached(prompt))

    @torch.inference_mode()
    def _written(self, prompt: tuple[int, ...], params: SamplingParams) -> tuple[list[int], list[dict[int, Logprob]]]:
        tokens: list[int] = []
        rows: list[dict[int, Logprob]] = []
        source = torch.Generator().manual_seed(params.seed or 0)
        while len(tokens) < (params.max_tokens or 16) and self.network.config.eos_token_id not in tokens:
            logits = self.network(torch.tensor([[*prompt, *tokens]])).logits[0, -1]
            logs = torch.log_softmax(logits, -1)
            if params.temperature:
                token = int(torch.multinomial(torch.softmax(logits / params.temperature, -1), 1, generator=source))
            else:
                token = int(logits.argmax())
            tokens.append(token)
            if params.logprob_token_ids is not None:
                rows.append({t: Logprob(float(logs[t])) for t in (token, *params.logprob_token_ids)})
        return tokens, rows

    def _cached(self, prompt: tuple[int, ...]) -> int:
        blocks = [prompt[:end] for end in range(BLOCK, len(prompt), BLOCK)]
        known = [block for block in blocks if block in self._remembered]
        self._remembered |= set(blocks) if self.arguments.enable_prefix_caching else set()
        return len(known) * BLOCK


for kind in (LLM, SamplingParams, EngineArgs):
    kind.__module__ = f"vllm.{kind.__name__.lower()}"


def imitation() -> ModuleType:
    """Return a module `vllm`, for `sys.modules`."""
    made = ModuleType("vllm")
    made.__spec__ = ModuleSpec("vllm", None)
    made.__version__ = "0.32.0"  # type: ignore[attr-defined]
    made.LLM, made.SamplingParams, made.EngineArgs = LLM, SamplingParams, EngineArgs  # type: ignore[attr-defined]
    return made
