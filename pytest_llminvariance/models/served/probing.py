"""What a server is and can do, found out once, with a few small requests."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pytest_llminvariance.errors import ModelError
from pytest_llminvariance.models.served import wire
from pytest_llminvariance.models.served.client import Client
from pytest_llminvariance.models.served.faults import GarbledError, OtherAnswerError, ServedError, StatusError

Scores = Literal["completions", "generate", "chat", "top", "top completions", "none"]
"""How log-probabilities come: of the tokens asked for, by three paths, or of the likeliest by two, or not at all."""
PROBE_IDS = (1, 2, 3, 4)
TOPS = (20, 5)
HI = [{"role": "user", "content": "Hi"}]
SHOWN = 5


@dataclass(frozen=True, slots=True)
class Found:
    """What was found."""

    kind: str
    """vLLM, SGLang or llama.cpp; empty where the server does not tell."""
    version: str
    identity: Mapping[str, Any]
    """What the server says of its model."""
    scores: Scores
    top: int = 0
    """Likeliest tokens that it tells, where it tells no others."""
    limit: str = "max_tokens"
    """What it calls the bound on new tokens."""

    @property
    def context_tokens(self) -> int | None:
        """The longest prompt and answer, where the server says so."""
        told = self.identity.get("max_model_len")
        return told if isinstance(told, int) else None

    def words(self) -> str:
        """Return one line for people."""
        who = f"{self.kind} {self.version}".strip() or "a server that does not say what it is"
        how = {
            "completions": "exact label and option scores",
            "generate": "exact label and option scores",
            "chat": "exact label scores",
            "top": f"labels by the {self.top} likeliest tokens, what is not among them as an interval",
            "top completions": f"labels by the {self.top} likeliest tokens, what is not among them as an interval",
            "none": "texts only, no log-probabilities",
        }[self.scores]
        return f"{who}: {how}"


def probe(client: Client, model: str, *, tokens: bool, chat: bool) -> Found:
    """Ask a server what it is, whether it has the model, and how it gives log-probabilities.

    Costs up to seven requests of one token. `tokens` says whether prompts are sent as tokens, `chat` whether as messages.

    Raises:
        ServedError: where it cannot be reached or refuses.
        ModelError: where it has another model, or does not take tokens.
    """
    identity = _listed(client, model)
    kind, version = _kind(client, identity)
    if tokens:
        return Found(kind, version, identity, _token_path(client, model, kind))
    if not chat:
        return _top_completions(client, model, kind, version, identity)
    return _of_chat(client, model, kind, version, identity)


def _listed(client: Client, model: str) -> Mapping[str, Any]:
    """Return what the server says of the model; nothing where it has no list, or a long one without it."""
    try:
        data = client.get("models", attempts=3).data
    except (
        StatusError,
        GarbledError,
    ):  # the list may be missing, broken or not for this key, and the model still be there
        return {}
    rows = data.get("data") if isinstance(data, Mapping) else data
    rows = [row for row in rows if isinstance(row, Mapping)] if isinstance(rows, list) else []
    named = [row for row in rows if isinstance(row.get("id"), str) and wire.is_called(row["id"], model)]
    mine = next((row for row in named if row["id"] == model), named[0] if named else None)
    if (
        mine is None
        and rows
        and (len(rows) == 1 or rows[0].get("owned_by") in ("vllm", "sglang", "llamacpp", "library"))
    ):
        names = [repr(row.get("id")) for row in rows]
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        raise ModelError(
            f"the server {client.address.api} has no model {model!r}. It has {', '.join(names[:SHOWN])}{more}"
        )
    unsteady = ("created", "permission", "object")  # vLLM makes these anew for every answer
    return {key: value for key, value in (mine or {}).items() if key not in unsteady}


def _kind(client: Client, identity: Mapping[str, Any]) -> tuple[str, str]:
    for kind, path, field in (("vLLM", "/version", "version"), ("SGLang", "/get_server_info", "version"), ("llama.cpp", "/props", "build_info")):  # fmt: skip
        owner = str(identity.get("owned_by", "")).replace(".", "")
        is_owner = owner == kind.lower().replace(".", "")
        if owner in ("vllm", "sglang", "llamacpp") and not is_owner:
            continue
        try:
            data = client.get(path, attempts=1).data
        except ServedError:
            data = None
        told = data.get(field) if isinstance(data, Mapping) else None
        if isinstance(told, str | int):
            # Ollama has a /version of its own elsewhere; what calls itself nothing is only told by its path
            return kind, str(told)
        if is_owner:
            return kind, ""
    return "", ""


def _token_path(client: Client, model: str, kind: str) -> Scores:
    """Return the path that gives the log-probabilities of exactly the tokens asked for."""
    said = ""
    paths: tuple[Scores, ...] = ("generate", "completions") if kind == "SGLang" else ("completions", "generate")
    where: str
    for path in paths:
        if path == "completions":
            where, body, read = (
                "completions",
                wire.scored_completion(model, PROBE_IDS[:2], PROBE_IDS),
                wire.scores_of_completion,
            )
        else:
            where, body, read = "/generate", wire.scored_generate(PROBE_IDS[:2], PROBE_IDS), wire.scores_of_generate
        why = _works(client, body, functools.partial(_ids_of, read), model, where)
        if why is None:
            return path
        if isinstance(why, StatusError) and why.status in (401, 403):
            raise why
        said = said or str(why)
    raise ModelError(
        f"the server {client.address.api} gives no log-probabilities of chosen tokens (vLLM from 0.22 and SGLang do): "
        f"{said}. Leave the tokenizer out, so that messages are sent"
    )


def _of_chat(client: Client, model: str, kind: str, version: str, identity: Mapping[str, Any]) -> Found:
    limit = "max_tokens"

    def asked(**more: object) -> dict[str, object]:
        return {"model": model, "messages": HI, limit: 1, "temperature": 0, "logprobs": True, **more}

    if kind == "vLLM":
        body = asked(logprob_token_ids=list(PROBE_IDS), return_tokens_as_token_ids=True)
        if _works(client, body, lambda data: wire.scores_of_chat(data, PROBE_IDS), model) is None:
            return Found(kind, version, identity, "chat")
    why = None
    for top in TOPS:
        why = _works(client, asked(top_logprobs=top), _told, model)
        if isinstance(why, StatusError) and limit == "max_tokens" and "max_completion_tokens" in str(why):
            limit = "max_completion_tokens"
            why = _works(client, asked(top_logprobs=top), _told, model)
        if why is None:
            return Found(kind, version, identity, "top", top, limit)
    # what thinks first, or has no log-probabilities, still writes texts: the first text will say if not
    _raise_if_refused(why)
    return Found(kind, version, identity, "none", limit=limit)


def _top_completions(client: Client, model: str, kind: str, version: str, identity: Mapping[str, Any]) -> Found:
    why: Exception | None = None
    for top in TOPS:
        body = {"model": model, "prompt": "Hi", "max_tokens": 1, "temperature": 0, "logprobs": top}
        why = _works(client, body, wire.top_of_completion, model, "completions")
        if why is None:
            return Found(kind, version, identity, "top completions", top)
    _raise_if_refused(why)
    return Found(kind, version, identity, "none")


def _raise_if_refused(why: Exception | None) -> None:
    """Raise what says nothing of log-probabilities: no key, no such model, too many requests."""
    if isinstance(why, StatusError) and why.status in (401, 402, 403, 404, 429):
        raise why


def _ids_of(read: Callable[[Any, Sequence[int]], dict[int, float]], data: Any) -> None:
    read(data, PROBE_IDS)


def _told(data: Any) -> None:
    if wire.top_of_chat(data) is None:
        raise OtherAnswerError("no token was written")


def _works(
    client: Client, body: Mapping[str, Any], read: Any, model: str, path: str = "chat/completions"
) -> Exception | None:
    """Return why a request is not answered as it must be; `None` where it is."""
    try:
        data = client.post(path, body).data
    except StatusError as error:
        return error
    wire.check_model(data, model)
    try:
        read(data)
    except OtherAnswerError as error:
        return error
    return None
