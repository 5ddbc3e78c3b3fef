"""Servers as people have them, imitated: what vLLM, SGLang and hosted ones say, for one model of known answers.

The model: after any prompt, the log-probability of token t is `nats(prompt, t)`; as messages, the options of the last
message decide, so that its truth is known whatever the order.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tests.served.faulty import Answer, Say, Seen

VOCABULARY = 300
ALSO = ("Sure", "Well", "I", "The", "It", "One", "Maybe", "Hmm")
"""What a model may say first besides labels."""


def nats(prompt: Sequence[int], token: int) -> float:
    """The log-probability of a token after a prompt: a softmax over a small vocabulary, made up by a hash."""
    logits = [_logit(prompt, t) for t in range(VOCABULARY)]
    return logits[token] - math.log(math.fsum(map(math.exp, logits)))


def _logit(prompt: Sequence[int], token: int) -> float:
    said = hashlib.sha256(f"{list(prompt)}|{token}".encode()).digest()
    return int.from_bytes(said[:4], "big") / 2**30


def liked(number: str, option: str) -> str:
    """How much the model likes an option of the question with this number: its order is nothing to it."""
    return hashlib.sha256(f"{number}|{option}".encode()).hexdigest()


def first_words(text: str) -> dict[str, float]:
    """Probabilities of the first token said to a shown question: most on the label of the option that it likes best."""
    shown = re.findall(r"^([A-Z])[.)] (.*)$", text, re.MULTILINE)
    number = "".join(re.findall(r"number (\d+)", text))
    best = max(shown, key=lambda pair: liked(number, pair[1]))[0] if shown else "A"
    labels = [label for label, _ in shown] or ["A"]
    others = {label: 0.2 / max(1, len(labels) - 1) for label in labels if label != best}
    rest = {word: 0.1 / len(ALSO) for word in ALSO}
    return {best: 0.5, f" {best}": 0.2, **others, **rest}


def chat_answer(body: Mapping[str, Any], *, top: int | None = None, said: str | None = None) -> dict[str, Any]:
    words = first_words(body["messages"][-1]["content"])
    ranked = sorted(words.items(), key=lambda item: -item[1])
    best = ranked[0][0]
    listed = [
        {"token": token, "logprob": math.log(p), "bytes": list(token.encode())}
        for token, p in ranked[: top or len(ranked)]
    ]
    logprobs = {"content": [{**listed[0], "top_logprobs": listed}]} if body.get("logprobs") else None
    message = {"role": "assistant", "content": best.strip() if said is None else said}
    return {
        "id": "x", "object": "chat.completion", "model": body["model"],
        "choices": [{"index": 0, "message": message, "logprobs": logprobs, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 40, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 16}},
    }  # fmt: skip


def hosted(model: str = "m", most: int = 20, *, thinks: bool = False) -> Callable[[Seen, int], Say]:
    """A hosted chat: a list of models, the likeliest tokens up to `most`, nothing about itself."""

    def answer(seen: Seen, number: int) -> Say:
        if seen.path == "/v1/models":
            return Say({"data": [{"id": model, "owned_by": "us"}, {"id": "other", "owned_by": "us"}]})
        if seen.path != "/v1/chat/completions":
            return Say({"error": "no such path"}, 404)
        if seen.body["model"] != model:
            return Say({"error": {"message": "no such model"}}, 404)
        asked = seen.body.get("top_logprobs", 0)
        if asked > most:
            return Say({"error": {"message": f"top_logprobs is at most {most}"}}, 400)
        said = chat_answer(seen.body, top=asked or None)
        if thinks:
            said["choices"][0]["message"]["reasoning_content"] = "Let me think."
        return Say(said)

    return answer


def vllm(model: str = "m", *, exact: bool = True) -> Answer:
    """VLLM as it was recorded: completions take token ids; without `exact`, as before 0.22."""

    def answer(seen: Seen, number: int) -> Say:
        if seen.path == "/v1/models":
            return Say(
                {
                    "data": [
                        {"id": model, "owned_by": "vllm", "root": "/weights", "max_model_len": 2048, "created": number}
                    ]
                }
            )
        if seen.path == "/version":
            return Say({"version": "0.32.0"})
        if seen.path == "/v1/completions" and isinstance(seen.body["prompt"], list):
            return Say(completion(seen.body, exact=exact))
        return Say({"error": "no such path"}, 404)

    return answer


def completion(body: Mapping[str, Any], *, exact: bool = True) -> dict[str, Any]:
    prompt = body["prompt"]
    ids = body.get("logprob_token_ids", []) if exact else []
    best = max(range(VOCABULARY), key=lambda token: _logit(prompt, token))
    listed = {f"token_id:{token}": nats(prompt, token) for token in {best, *ids}}
    return {
        "model": body["model"],
        "choices": [{"text": "x", "logprobs": {"top_logprobs": [listed]}, "finish_reason": "length"}],
        "usage": {"prompt_tokens": len(prompt)},
    }


def sglang(model: str = "m") -> Answer:
    """SGLang's own path."""

    def answer(seen: Seen, number: int) -> Say:
        if seen.path == "/v1/models":
            return Say({"data": [{"id": model, "owned_by": "sglang"}]})
        if seen.path == "/get_server_info":
            return Say({"version": "0.5.6"})
        if seen.path == "/generate":
            prompt, ids = seen.body["input_ids"], seen.body["token_ids_logprob"]
            rows = [[nats(prompt, token), token, None] for token in ids]
            return Say(
                {
                    "text": "x",
                    "meta_info": {
                        "output_token_ids_logprobs": [rows],
                        "prompt_tokens": len(prompt),
                        "cached_tokens": 3,
                    },
                }
            )
        return Say({"error": "no such path"}, 404)

    return answer


class Letters:
    """A tokenizer with one token a character."""

    chat_template = None
    all_special_tokens = ()
    unk_token_id = None
    is_fast = False

    def __call__(self, text: str, *, add_special_tokens: bool = True) -> dict[str, list[int]]:
        return {"input_ids": [min(ord(letter), VOCABULARY - 1) for letter in text]}

    def decode(self, tokens: Sequence[int], **how: Any) -> str:
        return "".join(map(chr, tokens))

    def get_vocab(self) -> dict[str, int]:
        return {chr(n): n for n in range(VOCABULARY)}


def plain(data: Any) -> str:
    return json.dumps(data, sort_keys=True)
