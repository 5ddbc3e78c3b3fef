"""Causal language models of the library transformers, in this process.

Prompts are scored in right-padded batches: in a causal model nothing after a token can change its
log-probability, so padding is harmless, and the rows that are read are picked with `logits_to_keep`.
Models whose rotary embedding depends on the longest prompt in a pass are scored one prompt at a time.
"""

from __future__ import annotations

import gc
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from pytest_llminvariance.errors import ModelError, UsageError
from pytest_llminvariance.models.batching import absorbed, padded_batches
from pytest_llminvariance.models.label_tokens import LabelTokens
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
from pytest_llminvariance.models.rotary import depends_on_length, reset_rotary, rotary_settings

__all__ = ["TransformersModel", "load_transformers", "quiet"]

CPU_BATCH_TOKENS = 1_024
ACCELERATOR_BATCH_TOKENS = 16_384
PLAIN_CUE = "\nAnswer:"
"""Ends the prompt of a model without a chat template; continuations then start with a blank."""


@dataclass(frozen=True, slots=True)
class Sequenced:
    """A token sequence and the rows of it whose next-token distribution is read."""

    tokens: tuple[int, ...]
    rows: tuple[int, ...]


class TransformersModel:
    """A causal language model and its tokenizer, held in memory until `release`."""

    capabilities: frozenset[Capability] = frozenset({"label", "option", "text"})

    def __init__(self, name: str, network: Any, tokenizer: Any, *, chat: bool, batch_tokens: int) -> None:
        self.name = name
        self.chat = chat
        self.batch_tokens = batch_tokens
        self._network: Any = network
        self._tokenizer: Any = tokenizer
        self._labels = LabelTokens(tokenizer)
        self.device = str(network.device)
        self.dtype = str(network.dtype).removeprefix("torch.")
        self._fingerprint: str | None = None

    def __repr__(self) -> str:
        return f"<{self.name} on {self.device}, {self.dtype}>"

    @property
    def fingerprint(self) -> str:
        """SHA-256 over weights, configuration, tokenizer, prompt format and device kind; made on first use."""
        if self._fingerprint is None:
            self._fingerprint = _fingerprint(self._live(), self._tokenizer, chat=self.chat)
        return self._fingerprint

    @property
    def context_tokens(self) -> int | None:
        """The longest sequence that the model takes, where its configuration says so."""
        config = self._live().config
        value = getattr(config.get_text_config(), "max_position_embeddings", None)
        stretched = [part["factor"] for part in rotary_settings(config) if part.get("rope_type") == "dynamic"]
        return int(value * max(stretched, default=1)) if value else None

    def release(self) -> None:
        """Let go of the weights; on a GPU, hand cached memory back."""
        self._fingerprint = self.fingerprint if self._network is not None else self._fingerprint
        self._network = None
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """Score and generate in batches; replies come in the order asked."""
        replies: dict[int, Reply] = {}
        labels = {index: request for index, request in enumerate(requests) if isinstance(request, LabelRequest)}
        options = {index: request for index, request in enumerate(requests) if isinstance(request, OptionRequest)}
        texts = {index: request for index, request in enumerate(requests) if isinstance(request, TextRequest)}
        replies.update(zip(labels, self._label(list(labels.values())), strict=True))
        replies.update(zip(options, self._option(list(options.values())), strict=True))
        replies.update(zip(texts, self._text(list(texts.values())), strict=True))
        return [replies[index] for index in range(len(requests))]

    def _label(self, requests: Sequence[LabelRequest]) -> list[Reply]:
        prompts = [self._prompt(request) for request in requests]
        columns = [self._labels.columns(request.presentation.labels) for request in requests]
        sequences = [Sequenced(prompt, (len(prompt) - 1,)) for prompt in prompts]
        replies: list[Reply | None] = [None] * len(requests)
        for index, logprobs in self._forward(sequences):
            values = tuple(float(torch.logsumexp(logprobs[0, list(ids)], 0)) for ids in columns[index])
            replies[index] = LabelReply(values, _digest(prompts[index]), len(prompts[index]))
        return [reply for reply in replies if reply is not None]

    def _option(self, requests: Sequence[OptionRequest]) -> list[Reply]:
        longest = [max(len(self._continuation(o)) for o in request.presentation.shown_options) for request in requests]
        prompts = [self._prompt(request, reserve=n - 1) for request, n in zip(requests, longest, strict=True)]
        sequences, targets = [], []
        for number, (request, prompt) in enumerate(zip(requests, prompts, strict=True)):
            for option in request.presentation.shown_options:
                tokens = self._continuation(option)
                start = len(prompt) - 1
                sequences.append(Sequenced(prompt + tokens[:-1], tuple(range(start, start + len(tokens)))))
                targets.append((number, tokens))
        sums: list[float] = [0.0] * len(sequences)
        for index, logprobs in self._forward(sequences):
            tokens = targets[index][1]
            sums[index] = float(logprobs[range(len(tokens)), list(tokens)].double().sum())
        return [self._option_reply(number, prompts[number], targets, sums) for number in range(len(requests))]

    @staticmethod
    def _option_reply(
        number: int, prompt: tuple[int, ...], targets: Sequence[tuple[int, tuple[int, ...]]], sums: Sequence[float]
    ) -> OptionReply:
        own = [index for index, (owner, _) in enumerate(targets) if owner == number]
        lengths = tuple(len(targets[index][1]) for index in own)
        n_tokens = len(prompt) * len(own) + sum(lengths)
        return OptionReply(tuple(sums[index] for index in own), lengths, _digest(prompt), n_tokens)

    def _text(self, requests: Sequence[TextRequest]) -> list[Reply]:
        prompts = [self._prompt(request, reserve=request.max_new_tokens) for request in requests]
        replies: list[Reply | None] = [None] * len(requests)
        for batch in padded_batches([len(prompt) for prompt in prompts], self._limit()):
            n_new = max(requests[index].max_new_tokens for index in batch)
            texts = self._generate([prompts[index] for index in batch], n_new)
            for index, text in zip(batch, texts, strict=True):
                replies[index] = TextReply(text, _digest(prompts[index]), len(prompts[index]))
        return [reply for reply in replies if reply is not None]

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
            tokens = self._tokenizer(messages[0]["content"] + PLAIN_CUE)["input_ids"]
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

    def _limit(self) -> int:
        """Tokens of one pass: 1 forces single prompts where lengths must not mix."""
        return 1 if depends_on_length(self._live().config) else self.batch_tokens

    def _forward(self, sequences: Sequence[Sequenced]) -> Iterator[tuple[int, torch.Tensor]]:
        """Yield (index, log-probabilities (rows, vocabulary) in float32 on the CPU) for each sequence.

        A sequence that begins another one is read from the longer one's pass, unless lengths must not mix.
        """
        lone = depends_on_length(self._live().config)
        carriers = {i: [i] for i in range(len(sequences))} if lone else absorbed([s.tokens for s in sequences])
        keys = list(carriers)
        for batch in padded_batches([len(sequences[index].tokens) for index in keys], self._limit()):
            members = [keys[number] for number in batch]
            rows = sorted({row for index in members for held in carriers[index] for row in sequences[held].rows})
            logits = self._pass([sequences[index].tokens for index in members], rows)
            place = {row: number for number, row in enumerate(rows)}
            for line, index in enumerate(members):
                for held in carriers[index]:
                    chosen = [place[row] for row in sequences[held].rows]
                    yield held, torch.log_softmax(logits[line, chosen].float(), dim=-1).cpu()

    @torch.inference_mode()
    def _pass(self, sequences: Sequence[tuple[int, ...]], rows: Sequence[int]) -> torch.Tensor:
        """Return logits (sequences, rows, vocabulary) of one right-padded pass."""
        network = self._live()
        width = max(len(tokens) for tokens in sequences)
        ids = torch.full((len(sequences), width), self._pad(), dtype=torch.long)
        mask = torch.zeros((len(sequences), width), dtype=torch.long)
        for line, tokens in enumerate(sequences):
            ids[line, : len(tokens)] = torch.tensor(tokens)
            mask[line, : len(tokens)] = 1
        reset_rotary(network)
        output = network(
            input_ids=ids.to(network.device),
            attention_mask=mask.to(network.device),
            logits_to_keep=torch.tensor(rows, device=network.device),
            use_cache=False,
        )
        logits: torch.Tensor = output.logits
        return logits

    @torch.inference_mode()
    def _generate(self, prompts: Sequence[tuple[int, ...]], n_new: int) -> list[str]:
        network, pad = self._live(), self._pad()
        width = max(len(prompt) for prompt in prompts)
        ids = torch.full((len(prompts), width), pad, dtype=torch.long)
        mask = torch.zeros((len(prompts), width), dtype=torch.long)
        for line, prompt in enumerate(prompts):
            ids[line, width - len(prompt) :] = torch.tensor(prompt)
            mask[line, width - len(prompt) :] = 1
        reset_rotary(network)
        out = network.generate(
            input_ids=ids.to(network.device),
            attention_mask=mask.to(network.device),
            max_new_tokens=n_new,
            do_sample=False,
            num_beams=1,
            temperature=None,
            top_p=None,
            top_k=None,
            pad_token_id=pad,
        )
        texts: list[str] = self._tokenizer.batch_decode(out[:, width:], skip_special_tokens=True)
        return texts

    def _pad(self) -> int:
        for value in (self._tokenizer.pad_token_id, self._tokenizer.eos_token_id, 0):
            if value is not None:
                return int(value)
        raise AssertionError("unreachable")  # pragma: no cover

    def _live(self) -> Any:
        if self._network is None:
            raise ModelError(f"{self.name} was released and cannot be asked any more. Load it again")
        return self._network


def load_transformers(
    target: str,
    *,
    name: str,
    device: str = "auto",
    dtype: str = "auto",
    revision: str | None = None,
    prompt_format: str = "auto",
    batch_tokens: int | None = None,
    threads: int | None = None,
    trust_remote_code: bool = False,
) -> TransformersModel:
    """Load a causal language model from a hub id or folder; see `load_model`."""
    place = _device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    where = {"revision": revision, "trust_remote_code": trust_remote_code}
    with quiet():
        try:
            config = AutoConfig.from_pretrained(target, **where)
            if config.is_encoder_decoder:
                raise ModelError(
                    f"{name} is an encoder-decoder model ({config.model_type}), but a causal language model is needed"
                )
            tokenizer = AutoTokenizer.from_pretrained(target, **where)
            network, info = AutoModelForCausalLM.from_pretrained(
                target, dtype=dtype if dtype == "auto" else getattr(torch, dtype), output_loading_info=True, **where
            )
        except ModelError:
            raise
        except Exception as error:  # files of any shape are read here, and each reader raises its own kind
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
            raise ModelError(
                f"the model {target!r} cannot be loaded: {reason}. "
                "Give a hub id, or a folder with config.json, tokenizer and weights"
            ) from error
    if info["missing_keys"]:
        raise ModelError(
            f"{name} lacks {len(info['missing_keys'])} weights, such as {min(info['missing_keys'])!r}; they would be random. "
            "Give a folder with all weights of the model"
        )
    network = network.to(place).eval()
    _check_causal(network, name)
    if prompt_format == "chat" and not tokenizer.chat_template:
        raise UsageError(f"prompt_format='chat', but {name} has no chat template. Use prompt_format='auto' or 'plain'")
    chat = bool(tokenizer.chat_template) and prompt_format != "plain"
    default = CPU_BATCH_TOKENS if place.type == "cpu" else ACCELERATOR_BATCH_TOKENS
    return TransformersModel(name, network, tokenizer, chat=chat, batch_tokens=batch_tokens or default)


@torch.inference_mode()
def _check_causal(network: Any, name: str) -> None:
    """Raise where a later token changes what was said of earlier ones: such a model is no causal one."""
    tokens = torch.tensor([[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 7]], device=network.device)
    logits = network(input_ids=tokens, use_cache=False).logits[:, :5].float()
    if not torch.allclose(logits[0], logits[1], atol=1e-2, rtol=1e-2):
        raise ModelError(
            f"{name} looks ahead: its first answers depend on later tokens, but a causal language model is needed"
        )


def _device(device: str) -> torch.device:
    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if device == "auto":
        return torch.device("cuda" if has_cuda else "mps" if has_mps else "cpu")
    place = torch.device(device)
    if place.type == "cuda" and not has_cuda:
        raise ModelError(
            f"device={device!r}, but torch {torch.__version__} sees no CUDA device here. Use device='cpu' or 'auto'"
        )
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise ModelError(f"device={device!r}, but there are {torch.cuda.device_count()} CUDA devices, counted from 0")
    if place.type == "mps" and not has_mps:
        raise ModelError(f"device={device!r}, but torch sees no MPS device here. Use device='cpu' or 'auto'")
    return place


class quiet:  # noqa: N801 - used like a function
    """Keep transformers' progress bars out of test output while loading."""

    def __enter__(self) -> None:
        self.was_on = transformers.utils.logging.is_progress_bar_enabled()
        transformers.utils.logging.disable_progress_bar()

    def __exit__(self, *error: object) -> None:
        if self.was_on:
            transformers.utils.logging.enable_progress_bar()


def _digest(tokens: Sequence[int]) -> str:
    """SHA-256 over the token ids that go to the model."""
    return hashlib.sha256(",".join(map(str, tokens)).encode()).hexdigest()


def _fingerprint(network: Any, tokenizer: Any, *, chat: bool) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    config = {key: value for key, value in network.config.to_dict().items() if not key.startswith("_name")}
    config.pop("transformers_version", None)
    rest = {
        "config": config,
        "chat_template": tokenizer.chat_template if chat else None,
        "device": network.device.type,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    digest.update(json.dumps(rest, sort_keys=True, default=str).encode())
    backend = getattr(tokenizer, "backend_tokenizer", None)
    vocabulary = backend.to_str() if backend is not None else json.dumps(sorted(tokenizer.get_vocab().items()))
    digest.update(vocabulary.encode())
    return digest.hexdigest()
