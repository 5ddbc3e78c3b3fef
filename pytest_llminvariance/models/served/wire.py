"""Requests as servers take them, and what their answers say: completions, chat, and SGLang's own generate.

Pure: bodies in, numbers and texts out. Does not know how they are sent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_llminvariance.models.protocol import REFUSED_TEXT
from pytest_llminvariance.models.replies import SLACK
from pytest_llminvariance.models.served.faults import OtherAnswerError

LEAST_NATS = -9999.0
"""What servers write for the logarithm of 0, which JSON lacks."""
MAX_IDS = 128
"""Tokens that vLLM takes at once as `logprob_token_ids`."""
VERSION = re.compile(r"[-:@](latest|\d{4,8}|\d{4}-\d\d(-\d\d)?|\d\d-\d{4}|\d\d-\d\d)")
"""What a server may add to the name of a model: a date."""
AS_IDS = "token_id:"
FILTERED = "content_filter"
"""Why an answer ended that the server's own filter stopped: nobody answered, and nothing failed."""
PARTS = (None, "text", "output_text")
"""Parts of a message that are its answer, and no thought."""
FILTERED_ANSWER = {"choices": [{"finish_reason": FILTERED, "message": {}, "text": ""}]}
"""What stands for an answer where a filter refused the prompt, and the server says so by a status."""


@dataclass(frozen=True, slots=True)
class Top:
    """The likeliest next tokens, as far as they are told."""

    nats: Mapping[str, float]
    """By the token's text; tokens of one text are added up."""
    unlisted: float
    """Probability of all others."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text that was written."""

    text: str
    ran_out: bool


def scored_completion(model: str, prompt: Sequence[int], ids: Sequence[int]) -> dict[str, Any]:
    """Return a request for the log-probabilities of these tokens after a prompt."""
    return {
        "model": model, "prompt": list(prompt), "max_tokens": 1, "temperature": 0, "logprobs": 1,
        "logprob_token_ids": list(ids), "return_tokens_as_token_ids": True,
    }  # fmt: skip


def scored_generate(prompt: Sequence[int], ids: Sequence[int]) -> dict[str, Any]:
    """Return the same for SGLang's own path."""
    return {
        "input_ids": list(prompt), "sampling_params": {"max_new_tokens": 1, "temperature": 0},
        "return_logprob": True, "token_ids_logprob": list(ids),
    }  # fmt: skip


def scores_of_completion(data: Any, ids: Sequence[int]) -> dict[int, float]:
    """Return the log-probability of each token that was asked for."""
    return _by_id(_at(data, "choices", 0, "logprobs", "top_logprobs", 0), ids)


def scores_of_chat(data: Any, ids: Sequence[int]) -> dict[int, float]:
    """Return the same from a chat."""
    listed = _rows(_at(data, "choices", 0, "logprobs", "content", 0, "top_logprobs"))
    return _by_id({str(_at(item, "token")): _at(item, "logprob") for item in listed}, ids)


def scores_of_generate(data: Any, ids: Sequence[int]) -> dict[int, float]:
    """Return the same from SGLang's own path."""
    rows = _rows(_at(data, "meta_info", "output_token_ids_logprobs", 0))
    return _by_id({f"{AS_IDS}{_at(row, 1)}": _at(row, 0) for row in rows}, ids)


def _rows(listed: Any) -> list[Any]:
    if not isinstance(listed, list):
        raise OtherAnswerError(f"the server gave {listed!r:.60} in place of a list of log-probabilities")
    return listed


def _by_id(listed: Any, ids: Sequence[int]) -> dict[int, float]:
    if not isinstance(listed, Mapping):
        raise OtherAnswerError(f"the server gave {listed!r:.60} in place of log-probabilities")
    missing = [token for token in ids if f"{AS_IDS}{token}" not in listed]
    if missing:
        raise OtherAnswerError(
            f"the server gave no log-probability for {len(missing)} of {len(ids)} tokens that were asked for, such as {missing[0]}"
        )
    return {token: nats(listed[f"{AS_IDS}{token}"]) for token in ids}


def top_of_chat(data: Any) -> Top | None:
    """Return the likeliest first tokens of a chat's answer; `None` where there is no first token.

    Raises:
        OtherAnswerError: without log-probabilities, or where the answer begins with reasoning.
    """
    told = _at(data, "choices", 0, "logprobs", default=None)
    refuse_thoughts(data)
    if not isinstance(told, Mapping) or not isinstance(told.get("content"), list):
        raise OtherAnswerError("the server gave no log-probabilities. Use readout='text'")
    if not told["content"]:
        return None
    first = told["content"][0]
    rows = {
        str(_at(item, "bytes", default=None) or _at(item, "token")): item
        for item in (first, *_rows(_at(first, "top_logprobs")))
    }
    return _top((_at(item, "token"), nats(_at(item, "logprob"))) for item in rows.values())


def refuse_thoughts(data: Any) -> None:
    """Refuse the answer of a chat that begins with reasoning.

    Raises:
        OtherAnswerError: with the way out.
    """
    if reasoning_of(_at(data, "choices", 0, "message")):
        raise OtherAnswerError(
            "the model thinks before it answers, so its first token is no answer. Turn that off where its template can "
            "(--invariance-chat-arg enable_thinking=false), or use readout='text' with enough --invariance-max-new-tokens"
        )


def top_of_completion(data: Any) -> Top | None:
    """Return the likeliest next tokens of a completion."""
    told = _at(data, "choices", 0, "logprobs", default=None)
    if not isinstance(told, Mapping) or not isinstance(told.get("top_logprobs"), list):
        raise OtherAnswerError("the server gave no log-probabilities. Use readout='text'")
    if not told["top_logprobs"]:
        return None
    listed = told["top_logprobs"][0]
    if not isinstance(listed, Mapping):
        raise OtherAnswerError(f"the server gave {listed!r:.60} in place of log-probabilities")
    return _top((token, nats(value)) for token, value in listed.items())


def _top(rows: Any) -> Top:
    found: dict[str, list[float]] = {}
    for token, value in rows:
        if value > SLACK:
            raise OtherAnswerError(
                f"the log-probability {value:.6g} of {token!r:.40} is above 0, so it is none. Are these logits or percentages?"
            )
        if not isinstance(token, str):
            raise OtherAnswerError(f"the server gave the token {token!r:.40}, which is no text. Use readout='text'")
        found.setdefault(token, []).append(value)
    sums = {token: math.fsum(map(math.exp, values)) for token, values in found.items()}
    total = math.fsum(value for value in sums.values() if not math.isnan(value))  # what is not known may be anything
    if total > 1 + SLACK:
        raise OtherAnswerError(
            f"the probabilities of the likeliest tokens sum to {total:.6g}, so they are no probabilities"
        )
    unlisted = max(0.0, 1 - total)
    return Top({token: math.log(value) if value else -math.inf for token, value in sums.items()}, unlisted)


def label_nats(top: Top, labels: Sequence[str]) -> tuple[float, ...]:
    """Return the least that the log-probability of each label can be: that of its spellings in the list."""
    sums = [math.fsum(math.exp(v) for token, v in top.nats.items() if token.strip() == label) for label in labels]
    return tuple(math.log(value) if value else -math.inf for value in sums)


def text_of_completion(data: Any) -> Text:
    """Return what was written after a prompt."""
    return _text(_at(data, "choices", 0, "text"), data)


def text_of_chat(data: Any) -> Text:
    """Return what a chat answered; what the server sorts out as reasoning is no part of it."""
    choice = _at(data, "choices", 0)
    message = _at(choice, "message")
    said = message.get("content") if isinstance(message, Mapping) else None
    refusal = message.get("refusal") if isinstance(message, Mapping) else None
    if isinstance(said, list):  # parts of a message
        texts = [part.get("text") for part in said if isinstance(part, Mapping) and part.get("type") in PARTS]
        said = "".join(text for text in texts if isinstance(text, str))
    if refusal and not said:
        return Text(REFUSED_TEXT, ran_out=False)
    return _text("" if said is None else said, data)


def _text(text: object, data: Any) -> Text:
    if not isinstance(text, str):
        raise OtherAnswerError(f"the server gave {text!r:.60} in place of a text")
    finish = finish_of(data)
    if finish == FILTERED and not text.strip():
        return Text(REFUSED_TEXT, ran_out=False)
    return Text(text, finish in {"length", FILTERED})


def refusal_of(data: Any) -> str | None:
    """Return why nobody answered, where the server's filter or the model itself says so in place of an answer."""
    if finish_of(data) == FILTERED:
        return "the server's filter stopped the answer"
    message = _at(data, "choices", 0, "message", default=None)
    refused = isinstance(message, Mapping) and message.get("refusal") and not message.get("content")
    return "the model refused to answer" if refused else None


def finish_of(data: Any) -> str:
    """Return why the answer ended, as far as the server says it."""
    return str(_at(data, "choices", 0, "finish_reason", default=None) or "")


def reasoning_of(message: Any) -> str:
    """Return what a model thought before its answer, where the server keeps it apart."""
    if not isinstance(message, Mapping):
        return ""
    return str(message.get("reasoning_content") or message.get("reasoning") or "")


def is_called(told: str, asked: str) -> bool:
    """Return whether a server's name for a model may be that of the one asked for: a date or a path makes no other."""
    mine, theirs = asked.lower(), told.lower()
    dated = theirs.startswith(mine) and VERSION.fullmatch(theirs[len(mine) :])
    by_path = mine.endswith(f"/{theirs}") or theirs.endswith(f"/{mine}")
    return bool(mine == theirs or dated or by_path or mine.startswith(f"{theirs}:"))  # after a colon: a variant


def still_called(before: str, data: Any, asked: str, who: str) -> str:
    """Return what a server calls the model, as far as it says so: the one that was asked, and the same one as before.

    Raises:
        OtherAnswerError: the message names both.
    """
    check_model(data, asked, who)
    told = data.get("model") if isinstance(data, Mapping) else None
    named = told if isinstance(told, str) and told else before
    if before and before.lower().rpartition("/")[2] != named.lower().rpartition("/")[2]:
        raise OtherAnswerError(
            f"{who} was {before!r:.80} and is now {named!r:.80}: two models are no one model. Name one version"
        )
    return named


def check_model(data: Any, asked: str, who: str = "the server") -> None:
    """Refuse the answer of another model than was asked.

    Raises:
        OtherAnswerError: the message names both.
    """
    told = data.get("model") if isinstance(data, Mapping) else None
    if not isinstance(told, str) or not told:
        return
    if not is_called(told, asked):
        raise OtherAnswerError(
            f"asked for the model {asked!r}, {who} answered as {told!r:.80}. If that is the one you mean, write its name"
        )


def check_length(data: Any, prompt: Sequence[int]) -> None:
    """Refuse the answer to a prompt of another length than was sent: cut off, added to, or of another request.

    Raises:
        OtherAnswerError: the message names both lengths.
    """
    n, _ = prompt_tokens(data)
    if n not in (0, len(prompt)):
        raise OtherAnswerError(
            f"a prompt of {len(prompt)} tokens was sent, and the server says that it had {n}: it is cut off or added to on the "
            "way, or the answer is that to another request. See the server's settings, such as truncation"
        )


def prompt_tokens(data: Any) -> tuple[int, int]:
    """Return the tokens of a prompt and those that the server remembered, as far as it says so."""
    told = data if isinstance(data, Mapping) else {}
    usages = [part for part in (told.get("usage"), told.get("meta_info")) if isinstance(part, Mapping)]
    usage: Mapping[str, Any] = usages[0] if usages else {}
    details = usage.get("prompt_tokens_details")
    known = details.get("cached_tokens") if isinstance(details, Mapping) else usage.get("cached_tokens")
    n = usage.get("prompt_tokens")
    return (n if isinstance(n, int) else 0), (known if isinstance(known, int) else 0)


def nats(value: Any) -> float:
    """Return a log-probability; what is no number is not known, and so NaN."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return math.nan
    try:
        return -math.inf if value <= LEAST_NATS else float(value)
    except OverflowError:  # JSON's whole numbers have no end
        return math.inf


_RAISE = object()


def _at(data: Any, *path: str | int, default: Any = _RAISE) -> Any:
    """Return what stands at a place of an answer."""
    here = data
    for step in path:
        try:
            here = here[step]
        except (KeyError, IndexError, TypeError):
            if default is not _RAISE:
                return default
            where = ".".join(map(str, path))
            raise OtherAnswerError(f"the server's answer has no {where}: {data!r:.120}") from None
    return here
