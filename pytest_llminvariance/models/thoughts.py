"""Thoughts that a model writes before its answer: the marks that open and close them.

Knows: one row a way of marking. A closing mark without an opening one ends a thought that the prompt opened.
Does not know: thoughts without marks; those are read as any text is.
"""

from __future__ import annotations

import re

_CHANNEL = r"(?:<\|start\|>\s*\w*\s*)?<\|channel\|>\s*"
_TO_MESSAGE = r"\b[^<]*(?:<\|(?!message)[^<]*)*<\|message\|>"
MARKS: tuple[tuple[str, str], ...] = (
    (r"<think\b[^<>]*>", r"</think\s*>"),
    (r"<thinking\b[^<>]*>", r"</thinking\s*>"),
    (r"<thoughts?\b[^<>]*>", r"</thoughts?\s*>"),
    (r"<reasoning\b[^<>]*>", r"</reasoning\s*>"),
    (r"<reflection\b[^<>]*>", r"</reflection\s*>"),
    (r"<scratchpad\b[^<>]*>", r"</scratchpad\s*>"),
    (r"<analysis\b[^<>]*>", r"</analysis\s*>"),
    (r"<seed:think>", r"</seed:think>"),
    (r"<longcat_think>", r"</longcat_think>"),
    (r"\[think(?:ing)?\]", r"\[/think(?:ing)?\]"),
    (r"\[reasoning\]", r"\[/reasoning\]"),
    (r"◁think▷", r"◁/think▷"),
    (r"<\|begin_of_thought\|>", r"<\|end_of_thought\|>"),
    (r"<\|(?:begin_of_)?thinking\|>", r"<\|(?:end_of_thinking|/thinking)\|>"),
    (r"<\|start_thinking\|>", r"<\|end_thinking\|>"),
    (r"<\|think\|>", r"<\|/think\|>"),
    (r"<\|inner_prefix\|>", r"<\|inner_suffix\|>"),
    (
        rf"{_CHANNEL}(?:analysis|commentary){_TO_MESSAGE}",
        rf"<\|(?:end|return|call)\|>|(?={_CHANNEL}(?:analysis|commentary|final)\b)",
    ),
)
"""What opens a thought and what closes it, as patterns."""

_ANSWER_MARKS = re.compile(
    rf"{_CHANNEL}final{_TO_MESSAGE}|<\|(?:begin|end)_of_solution\|>|<\|(?:start|end)_response\|>", re.IGNORECASE
)
"""What only says where the answer begins or ends."""

_PAIRS = tuple((re.compile(opens, re.IGNORECASE), re.compile(closes, re.IGNORECASE)) for opens, closes in MARKS)
_NO_OTHER_USE = [closes for _, closes in _PAIRS[:-1]]
"""Marks that close nothing but thoughts; the end of a channel also ends messages of models without channels."""
NEXT_QUESTION = re.compile(r"(?<=\n)(?:question|q|user|human)(?: ?\d+)? ?[:.]", re.IGNORECASE)
_SPECIAL = re.compile(r"<\|channel\|>", re.IGNORECASE)


def has_marks(text: str) -> bool:
    """Return whether a mark of the table is in the text."""
    known = (*(opens for opens, _ in _PAIRS), *_NO_OTHER_USE, _SPECIAL)
    return any(mark.search(text) for mark in known)


def after_thoughts(text: str) -> str | None:
    """Return the text without thoughts; `None` where one was opened and never closed."""
    while True:
        found = [(mark.start(), -mark.end(), closes) for opens, closes in _PAIRS if (mark := opens.search(text))]
        first = min(found, key=lambda item: item[:2], default=None)
        limit = len(text) if first is None else first[0]
        strays = [mark.end() for closes in _NO_OTHER_USE for mark in closes.finditer(text, 0, limit)]
        if strays:
            text = text[max(strays) :]
        elif first is None:
            return _ANSWER_MARKS.sub("\n", text)
        else:
            closed = first[2].search(text, -first[1])
            if closed is None:
                return None
            text = f"{text[: first[0]]}\n{text[closed.end() :]}"


def answer_part(text: str) -> str:
    """Return a generated text up to where the model begins a next question of its own.

    Texts that hold a thought are left whole: a thought may quote questions.
    """
    found = None if has_marks(text) else NEXT_QUESTION.search(text)
    return text if found is None else text[: found.start()]
