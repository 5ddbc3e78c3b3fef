"""`openai:MODEL@URL`: from the spec and settings to a model that was probed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from pytest_llminvariance.errors import ModelError, UsageError
from pytest_llminvariance.models.load_settings import LoadSettings
from pytest_llminvariance.models.served.client import Client, client_for
from pytest_llminvariance.models.served.faults import ServedError
from pytest_llminvariance.models.served.model import ServedModel, Way
from pytest_llminvariance.models.served.probing import HI, Found, probe

PROBE_TEXT = "Which planet is it?\nA. Venus\nB. Mars 12345 é\nAnswer:"
NO_THINKING = {"enable_thinking": False}
"""Given to servers that pass it to the chat template, as long as nothing else is told: a thought is no answer."""


def load_served(target: str, settings: LoadSettings) -> ServedModel:
    """Return the model of `openai:MODEL@URL`; nothing is asked of the server where `weights` are not wanted.

    Raises:
        UsageError: for a bad target or setting.
        ModelError: where the server cannot be reached, or the model or its tokenizer is another one.
    """
    model, client = client_for(target, settings)
    tokenizer = _tokenizer(settings)
    chat = settings.prompt_format != "plain"
    arguments = dict(settings.chat_arg or {})
    if arguments and not chat:
        raise UsageError(
            "chat_arg goes with a chat template, and prompt_format='plain' uses none. Leave one of them out"
        )
    try:
        if settings.weights:
            found = probe(client, model, tokens=tokenizer is not None, chat=chat)
        else:
            found = Found("", "", {}, "completions" if tokenizer is not None else "top")
        name = f"{model} at {client.address.api}"
        way = _way(name, model, client, found, tokenizer, settings, arguments)
    except BaseException:
        client.close()
        raise
    return ServedModel(name, client, way, cacheable=settings.cacheable)


def _way(
    name: str, model: str, client: Client, found: Found, tokenizer: Any, settings: LoadSettings, arguments: dict[str, Any]
) -> Way:  # fmt: skip
    if tokenizer is None:
        if found.kind in ("vLLM", "SGLang") and not arguments:
            arguments = NO_THINKING
        labels = None
        if found.scores == "chat":
            from pytest_llminvariance.models.local.label_tokens import LabelTokens

            labels = LabelTokens(ServerTokenizer(client, model))
        chat = settings.prompt_format != "plain"
        return Way(model, found, chat, settings.max_new_tokens, arguments, labels=labels)
    from pytest_llminvariance.models.local.fingerprint import vocabulary_of
    from pytest_llminvariance.models.local.jobs import Jobs

    if settings.prompt_format == "chat" and not tokenizer.chat_template:
        raise UsageError(f"prompt_format='chat', but the tokenizer {settings.tokenizer!r} has no chat template")
    chat = bool(tokenizer.chat_template) and settings.prompt_format != "plain"
    jobs = Jobs(
        name, tokenizer, chat=chat, max_new_tokens=settings.max_new_tokens, arguments=arguments,
        context_tokens=lambda: found.context_tokens,
    )  # fmt: skip
    notes = _checked(client, model, jobs, settings) if settings.weights else ()
    digest = hashlib.sha256(f"{jobs.prompts.template}|{vocabulary_of(tokenizer)}".encode()).hexdigest()
    return Way(model, found, chat, settings.max_new_tokens, jobs.prompts.arguments, jobs, None, (digest, *notes))


def _tokenizer(settings: LoadSettings) -> Any:
    if settings.tokenizer is None:
        return None
    from pytest_llminvariance.models.local.checkpoint import load_tokenizer

    return load_tokenizer(settings.folder_or_id(settings.tokenizer), settings)


def _checked(client: Client, model: str, jobs: Any, settings: LoadSettings) -> Sequence[str]:
    """Compare the tokenizer with the server's own, where that tells what it makes of a text.

    Raises:
        ModelError: where the two give other tokens.
    """
    ours = list(jobs.encoder.encode(PROBE_TEXT))
    try:
        body = {"model": model, "prompt": PROBE_TEXT, "add_special_tokens": False}
        theirs = client.post("/tokenize", body).data["tokens"]
    except (ServedError, KeyError, TypeError):
        return ("the tokenizer could not be compared with the server's",)
    if theirs != ours:
        raise ModelError(
            f"the tokenizer {settings.tokenizer!r} is not that of the model {model!r}: it gives other tokens than the server. "
            "Name the tokenizer that the model was trained with"
        )
    if not jobs.chat:
        return ()
    try:
        body = {"model": model, "messages": HI, "chat_template_kwargs": dict(jobs.prompts.arguments)}
        theirs = client.post("/tokenize", body).data["tokens"]
    except (ServedError, KeyError, TypeError):
        return ()
    same = theirs == list(jobs.encoder.prompt(jobs.prompts.chat_text(HI)))
    return () if same else ("the server's chat template is another than the tokenizer's, which is used",)


class ServerTokenizer:
    """The tokens of a server, asked for text by text."""

    unk_token_id = None

    def __init__(self, client: Client, model: str) -> None:
        self._client, self._model = client, model

    def __call__(self, text: str, *, add_special_tokens: bool = True) -> dict[str, list[int]]:
        """Return the tokens of a text."""
        body = {"model": self._model, "prompt": text, "add_special_tokens": add_special_tokens}
        return {"input_ids": list(self._client.post("/tokenize", body).data["tokens"])}

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens."""
        return str(self._client.post("/detokenize", {"model": self._model, "tokens": list(tokens)}).data["prompt"])
