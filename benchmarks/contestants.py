"""Ways to get the label log-probabilities of the same requests.

Each takes `LabelRequest`s, as a test would hold them, and returns log-probabilities: rendering and tokenising
count, loading does not. The peers share one plain copy of the model, loaded by transformers and touched by
nothing else, so that nothing our engine does to its own copy reaches them.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.workload import tree_nodes
from pytest_llminvariance import load_model
from pytest_llminvariance.models.local.demo import demo_folder
from pytest_llminvariance.models.local.hub import quiet
from pytest_llminvariance.models.local.label_tokens import LabelTokens
from pytest_llminvariance.models.local.prompts import plain_text
from pytest_llminvariance.models.protocol import LabelReply, LabelRequest, Model, Reply

BATCH = 8
TOP_LOGPROBS = 20

Nats = dict[str | int, float]
"""Log-probabilities for one request: of a label (all tokens that spell it), by label; of a token, by token id."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What a contestant returned."""

    nats: list[Nats] = field(default_factory=list)
    """One for each request; empty for a contestant that answers nothing."""
    tokens_sent: int | None = None
    """Tokens that went through the model, padding among them; None where that cannot be known."""


@dataclass(frozen=True)
class Setting:
    """The model and where it runs."""

    spec: str = "demo"
    device: str = "cpu"
    dtype: str = "auto"
    batch_tokens: int | None = None
    vllm_url: str | None = None


@dataclass(frozen=True, slots=True)
class Size:
    """What a list of requests comes to."""

    prompt_tokens: int
    """Tokens of all prompts together."""
    nodes: int
    """Nodes of their prefix tree: the fewest tokens that can be sent."""
    rows: int
    """Distinct prompts."""


class Bench:
    """Everything that is loaded, each part when it is first used."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self._sizes: dict[tuple[LabelRequest, ...], Size] = {}

    def size(self, requests: Sequence[LabelRequest]) -> Size:
        """Return the size of `requests`, counted on the first call."""
        key = tuple(requests)
        if key not in self._sizes:
            prompts = {tuple(self.prompt(request)) for request in requests}
            self._sizes[key] = Size(sum(map(len, prompts)), tree_nodes(prompts), len(prompts))
        return self._sizes[key]

    @functools.cached_property
    def ours(self) -> Model:
        setting = self.setting
        return load_model(setting.spec, device=setting.device, dtype=setting.dtype, batch_tokens=setting.batch_tokens)

    @functools.cached_property
    def folder(self) -> str:
        return str(demo_folder()) if self.setting.spec == "demo" else self.setting.spec.removeprefix("hf:")

    @functools.cached_property
    def tokenizer(self) -> Any:
        return AutoTokenizer.from_pretrained(self.folder)

    @functools.cached_property
    def network(self) -> Any:
        name = "float32" if self.setting.spec == "demo" and self.setting.dtype == "auto" else self.setting.dtype
        dtype = name if name == "auto" else getattr(torch, name)
        with quiet():
            network = AutoModelForCausalLM.from_pretrained(self.folder, dtype=dtype)
        return network.to(self.setting.device).eval()

    @functools.cached_property
    def labels(self) -> LabelTokens:
        return LabelTokens(self.tokenizer)

    def count(self, text: str) -> int:
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def text(self, request: LabelRequest) -> str:
        """Return the prompt as text, as our own backend words it."""
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        if not self.tokenizer.chat_template:
            return plain_text(messages)
        return str(self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))

    def prompt(self, request: LabelRequest) -> list[int]:
        special = not self.tokenizer.chat_template
        tokens: list[int] = self.tokenizer(self.text(request), add_special_tokens=special)["input_ids"]
        return tokens

    def read(self, request: LabelRequest, logits: torch.Tensor) -> Nats:
        """Return what logits (vocabulary,) say of each label and of each token that spells one."""
        logprobs = torch.log_softmax(logits.float(), dim=-1).cpu()
        nats: Nats = {}
        for label, ids in zip(
            request.presentation.labels, self.labels.columns(request.presentation.labels), strict=True
        ):
            nats[label] = float(torch.logsumexp(logprobs[list(ids)], 0))
            nats.update({token: float(logprobs[token]) for token in ids})
        return nats


Contestant = Callable[[Sequence[LabelRequest]], Answered]


def without_gradients(answer: Contestant) -> Contestant:
    """`torch.inference_mode` with its type, which mypy does not see."""
    wrapped: Contestant = torch.inference_mode()(answer)
    return wrapped


def ask_counted(model: Model, requests: Sequence[LabelRequest]) -> tuple[Sequence[Reply], int]:
    """Return our replies and the tokens sent for them: the model's own count where it keeps one."""

    usage = getattr(model, "usage", None)
    before = usage.sent_tokens if usage is not None else 0
    replies = model.answer(requests)
    if usage is None:
        return replies, sum(reply.n_tokens for reply in replies)
    return replies, usage.sent_tokens - before


def ours(bench: Bench) -> Contestant:
    model = bench.ours

    def answer(requests: Sequence[LabelRequest]) -> Answered:
        replies, n_tokens = ask_counted(model, requests)
        nats: list[Nats] = []
        for request, reply in zip(requests, replies, strict=True):
            assert isinstance(reply, LabelReply)
            nats.append(dict(zip(request.presentation.labels, reply.logprobs_nats, strict=True)))
        return Answered(nats, n_tokens)

    return answer


def loop(bench: Bench) -> Contestant:
    """Plain transformers, one prompt at a time."""
    network = bench.network

    @without_gradients
    def answer(requests: Sequence[LabelRequest]) -> Answered:
        nats: list[Nats] = []
        sent = 0
        for request in requests:
            ids = torch.tensor([bench.prompt(request)], device=network.device)
            sent += ids.numel()
            logits = network(input_ids=ids, logits_to_keep=1, use_cache=False).logits
            nats.append(bench.read(request, logits[0, 0]))
        return Answered(nats, sent)

    return answer


def padded(bench: Bench) -> Contestant:
    """Plain transformers in right-padded batches, longest prompts first, only the rows that are read."""
    network = bench.network
    pad = bench.tokenizer.pad_token_id or bench.tokenizer.eos_token_id or 0

    @without_gradients
    def answer(requests: Sequence[LabelRequest]) -> Answered:
        prompts = [bench.prompt(request) for request in requests]
        by_length = sorted(range(len(prompts)), key=lambda index: -len(prompts[index]))
        nats: list[Nats] = [{} for _ in prompts]
        sent = 0
        for start in range(0, len(prompts), BATCH):
            members = by_length[start : start + BATCH]
            width = len(prompts[members[0]])
            ids = torch.full((len(members), width), pad)
            mask = torch.zeros((len(members), width), dtype=torch.long)
            for line, index in enumerate(members):
                ids[line, : len(prompts[index])] = torch.tensor(prompts[index])
                mask[line, : len(prompts[index])] = 1
            rows = sorted({len(prompts[index]) - 1 for index in members})
            sent += ids.numel()
            logits = network(
                input_ids=ids.to(network.device),
                attention_mask=mask.to(network.device),
                logits_to_keep=torch.tensor(rows, device=network.device),
                use_cache=False,
            ).logits
            for line, index in enumerate(members):
                nats[index] = bench.read(requests[index], logits[line, rows.index(len(prompts[index]) - 1)])
        return Answered(nats, sent)

    return answer


def causal(bench: Bench) -> Contestant:
    """One plain causal pass over as many random tokens as the prefix tree has nodes: it answers nothing.

    What a pass over the distinct tokens costs without any tree; the nodes were counted before.
    """
    network = bench.network
    generator = torch.Generator().manual_seed(0)

    @without_gradients
    def answer(requests: Sequence[LabelRequest]) -> Answered:
        size = bench.size(requests)
        ids = torch.randint(0, network.config.get_text_config().vocab_size, (1, size.nodes), generator=generator)
        logits = network(input_ids=ids.to(network.device), logits_to_keep=size.rows, use_cache=False).logits
        torch.log_softmax(logits[0].float(), dim=-1).cpu()
        return Answered([], size.nodes)

    return answer


def hflm(bench: Bench) -> Contestant:
    """lm-eval's HFLM, told each label as a continuation, on the peers' model object.

    It moves blanks at the end of the prompt into the continuation and scores them too: README.md.
    """
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    chat = bool(bench.tokenizer.chat_template)
    extra = {"add_bos_token": False} if chat else {}
    harness = HFLM(pretrained=bench.network, tokenizer=bench.tokenizer, batch_size=BATCH, **extra)
    sent = 0
    plain_call = harness._model_call

    def counted(inps: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        nonlocal sent
        sent += inps.numel()
        return plain_call(inps, *args, **kwargs)

    harness._model_call = counted

    def answer(requests: Sequence[LabelRequest]) -> Answered:
        nonlocal sent
        sent = 0
        blank = "" if chat else " "
        asked = [(bench.text(r), blank + label) for r in requests for label in r.presentation.labels]
        instances = [
            Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=number)
            for number, pair in enumerate(asked)
        ]
        values = iter(harness.loglikelihood(instances, disable_tqdm=True))
        nats: list[Nats] = []
        for request in requests:
            spelled = [
                bench.tokenizer(blank + label, add_special_tokens=False)["input_ids"]
                for label in request.presentation.labels
            ]
            nats.append({tokens[-1]: next(values)[0] for tokens in spelled})
        return Answered(nats, sent)

    return answer


def vllm(bench: Bench) -> Contestant:
    """A vLLM server, all requests at once."""
    return _vllm(bench, n_first=0)


def vllm_lead(bench: Bench) -> Contestant:
    """A vLLM server, one request first: the others find what they share with it in the prefix cache."""
    return _vllm(bench, n_first=1)


def _vllm(bench: Bench, n_first: int) -> Contestant:
    assert bench.setting.vllm_url is not None
    url = urlsplit(bench.setting.vllm_url)

    def call(path: str, body: dict[str, Any] | None = None) -> Any:
        connection = HTTPConnection(url.hostname or "", url.port or 80, timeout=3600)
        data = None if body is None else json.dumps(body)
        headers = {"Content-Type": "application/json"}
        connection.request("GET" if body is None else "POST", url.path.rstrip("/") + path, data, headers)
        reply = connection.getresponse()
        content = json.loads(reply.read())
        connection.close()
        if reply.status != 200:
            raise RuntimeError(f"the server at {bench.setting.vllm_url} answered {reply.status}: {content}")
        return content

    name = call("/models")["data"][0]["id"]
    pool = ThreadPoolExecutor(max_workers=128)

    def answer(requests: Sequence[LabelRequest]) -> Answered:
        # a fresh salt keeps this call apart from every other in the prefix cache: it always begins empty
        fixed = {
            "model": name,
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": TOP_LOGPROBS,
            "return_tokens_as_token_ids": True,
            "cache_salt": uuid.uuid4().hex,
        }
        bodies = [{**fixed, "prompt": bench.prompt(request)} for request in requests]
        replies = [call("/completions", body) for body in bodies[:n_first]]
        replies += pool.map(lambda body: call("/completions", body), bodies[n_first:])
        nats: list[Nats] = []
        sent, knows_cached = 0, True
        for reply in replies:
            top = reply["choices"][0]["logprobs"]["top_logprobs"][0]
            nats.append({int(key.removeprefix("token_id:")): value for key, value in top.items()})
            details = reply["usage"].get("prompt_tokens_details")
            knows_cached = knows_cached and details is not None
            sent += reply["usage"]["prompt_tokens"] - ((details or {}).get("cached_tokens") or 0)
        return Answered(nats, sent if knows_cached else None)

    return answer


CONTESTANTS: dict[str, Callable[[Bench], Contestant]] = {
    "ours": ours,
    "loop": loop,
    "padded": padded,
    "causal": causal,
    "hflm": hflm,
    "vllm": vllm,
    "vllm_lead": vllm_lead,
}
SENDS_EVERY_PROMPT = ("loop", "padded", "hflm")


def why_absent(name: str, setting: Setting) -> str | None:
    """Return why a contestant cannot take part here, or None."""
    if name == "hflm" and importlib.util.find_spec("lm_eval") is None:
        return "not installed"
    if name.startswith("vllm") and setting.vllm_url is None:
        return "no --vllm-url"
    return None


def largest_difference(answered: Answered, reference: Answered) -> float | None:
    """Return max |log p - log p of the reference| over everything that both tell, or None where that is nothing."""
    found = [
        abs(value - other[key])
        for mine, other in zip(answered.nats, reference.nats, strict=False)
        for key, value in mine.items()
        if key in other
    ]
    return max(found, default=None)
