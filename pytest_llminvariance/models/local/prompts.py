"""From a request to the text that is sent: chat template and its arguments, or plain text with a cue.

Knows what a template must do for an answer to be read after it. Does not know tokens.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from pytest_llminvariance.errors import ModelError, UsageError
from pytest_llminvariance.models.protocol import Request, TextRequest
from pytest_llminvariance.models.thoughts import after_thoughts

PLAIN_CUE = "\nAnswer:"
"""Ends the prompt of a model without a chat template; continuations then start with a blank."""
NO_THINKING = "enable_thinking"
"""Set to false by default in templates that know it: a thought is no answer."""
RESERVED = frozenset({
    "add_generation_prompt", "chat_template", "continue_final_message", "conversation", "messages", "return_dict",
    "return_tensors", "tokenize", "tokenizer_kwargs",
})  # fmt: skip
"""Names that are no arguments of a template, or that say what is asked."""
THINKING_ADVICE = (
    "Turn thinking off where the template can (--invariance-chat-arg enable_thinking=false, or "
    "load_model(..., chat_arg={'enable_thinking': False})), or use readout='text' with enough "
    "--invariance-max-new-tokens"
)


class Prompts:
    """Renders requests for one model.

    Raises:
        UsageError: for an argument that the chat template does not know.
    """

    def __init__(self, name: str, tokenizer: Any, *, chat: bool, arguments: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self.chat = chat
        self._tokenizer = tokenizer
        self.template = self._template() if chat else None
        self.arguments = self._arguments(dict(arguments or {}))
        """What the chat template is given besides the messages."""

    def text(self, request: Request) -> str:
        """Return the text that is sent.

        Raises:
            ModelError: if the chat template refuses the messages or drops the question, or if its end leaves no
                place where a label or an option could be the answer.
            UsageError: for a system message without a chat template.
        """
        messages = [{"role": message.role, "content": message.content} for message in request.messages]
        template = request.presentation.template.shown_name
        if not self.chat:
            if messages[0]["role"] == "system":
                raise UsageError(
                    f"{self.name} is asked without a chat template, so the system message of the template "
                    f"{template!r} cannot be sent. Leave system out, or use a chat model"
                )
            return plain_text(messages)
        try:
            text = self._render(messages)
        except ModelError:
            raise
        except Exception as error:  # a chat template is code of the model's author and raises what it likes
            raise ModelError(
                f"{self.name}: its chat template cannot take the messages of template {template!r}: {error}"
            ) from error
        if not isinstance(request, TextRequest):
            self._check_end(text, messages[-1]["content"])
        return text

    def _template(self) -> str:
        try:
            return str(self._tokenizer.get_chat_template())
        except ValueError as error:
            raise ModelError(
                f"{self.name} has several chat templates and none is called 'default'. Keep one in its folder, or use "
                "prompt_format='plain'"
            ) from error

    def _arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        known = self.template or ""
        for name in given:
            if not self.chat:
                raise UsageError(
                    f"the chat argument {name!r} cannot be used: {self.name} is asked without a chat template. Leave it out"
                )
            if name in RESERVED or not re.search(rf"\b{re.escape(name)}\b", known):
                raise UsageError(
                    f"the chat template of {self.name} takes no argument {name!r}, so it would change nothing. "
                    "Use a name that stands in its chat_template"
                )
        thinks = re.search(rf"\b{NO_THINKING}\b", known) is not None
        return {**({NO_THINKING: False} if thinks else {}), **given}

    def chat_text(self, messages: Sequence[Mapping[str, str]]) -> str:
        """Return what the chat template makes of messages."""
        return self._render(messages)

    def _render(self, messages: Sequence[Mapping[str, str]], *, ask: bool = True) -> str:
        return self._rendered(messages, ask=ask, listed=self._takes_lists)

    def _rendered(self, messages: Sequence[Mapping[str, str]], *, ask: bool, listed: bool) -> str:
        told: list[dict[str, Any]] = [dict(message) for message in messages]
        for message in told if listed else ():
            message["content"] = [{"type": "text", "text": message["content"]}]
        text = self._tokenizer.apply_chat_template(told, tokenize=False, add_generation_prompt=ask, **self.arguments)
        return str(text)

    @cached_property
    def _takes_lists(self) -> bool:
        """Whether the template reads the parts of a message and not its text, as those of multimodal models do."""
        probes = [{"role": "user", "content": f"probe {word}"} for word in ("one", "two")]
        for listed in (False, True):
            try:
                one, two = (self._rendered([probe], ask=True, listed=listed) for probe in probes)
            except Exception:  # noqa: S112 - as in `text`; what it says of the real messages is reported there
                continue
            if one != two:
                return listed
        try:
            self._rendered(probes[:1], ask=True, listed=False)
        except Exception:  # as above
            return False
        raise ModelError(
            f"{self.name}: its chat template drops the question: two different messages give the same prompt. "
            "Mend chat_template in the model's folder, or use prompt_format='plain'"
        )

    def _check_end(self, text: str, asked: str) -> None:
        """Raise where what comes first after the prompt cannot be an answer."""
        place = text.rfind(asked.strip())
        end = text[place + len(asked.strip()) :] if place >= 0 else text[-200:]
        if after_thoughts(end) is None:
            raise ModelError(
                f"{self.name}: its chat template ends inside an open thought ({end.strip()[-24:]!r}), so the first token "
                f"is no answer. {THINKING_ADVICE}"
            )
        if self._missing:
            raise ModelError(
                f"{self.name}: its chat template writes {self._missing!r} before an answer and does not end its prompts "
                "with it, so the first token is no answer. Mend chat_template in the model's folder, or use "
                "readout='text' or prompt_format='plain'"
            )

    @cached_property
    def _missing(self) -> str:
        """What the template writes between a prompt and an answer; empty where nothing, or where it cannot be told."""
        turns = [{"role": "user", "content": "probe"}, {"role": "assistant", "content": "reply"}]
        try:
            prompt, answered = self._render(turns[:1]), self._render(turns, ask=False)
        except Exception:  # as in `text`
            return ""
        rest = answered.removeprefix(prompt)
        if rest == answered or "reply" not in rest:
            return ""
        before = rest[: rest.index("reply")]
        return before if (after_thoughts(before) or "").strip() else ""


def plain_text(messages: Sequence[Mapping[str, str]]) -> str:
    """Return a chat as text for a model without a chat template.

    Each question ends with the cue, unless its last line ends with a colon and so is a cue itself; each answer
    ends with a blank line.
    """
    return "".join(_cued(turn["content"]) if turn["role"] == "user" else f" {turn['content']}\n\n" for turn in messages)


def _cued(text: str) -> str:
    return text.rstrip() if text.rstrip().endswith((":", "：")) else text + PLAIN_CUE
