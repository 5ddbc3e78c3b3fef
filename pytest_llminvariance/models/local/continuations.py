"""What follows a prompt, in the tokens that the two have together.

A tokenizer may write a text otherwise at the beginning of a text than after another one, and what follows may
change the last token of the prompt. So continuations are encoded together with the prompt, and cut after what all
of them have in common with it. With p the tokens of the prompt, e(o) those of prompt and continuation o together,
and n the longest common beginning of p and all e(o), the number of o is

    log P(e(o)[n:] | p[:n]) = sum over i >= n of log P(e(o)[i] | e(o)[:i])

Mostly n is the length of p. Where one continuation changes the end of the prompt, the end of the prompt is scored
with every continuation of that prompt, and counts among the tokens of its mean: like is compared with like.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_llminvariance.models.local.tree import common_prefix

TAIL_CHARACTERS = 64
"""Continuations are encoded with so much of the prompt's end, where its tokens are the same as in the whole."""
KEPT_ENDINGS = 4_096


@dataclass(frozen=True, slots=True)
class Ending:
    """A continuation of a prompt."""

    start: int
    """Tokens of the prompt that it keeps."""
    tokens: tuple[int, ...]
    """What comes after them."""


class Encoder:
    """Token ids of prompts and of what follows them, for one tokenizer."""

    def __init__(self, tokenizer: Any, *, chat: bool) -> None:
        self._tokenizer = tokenizer
        self.before = () if chat else _added_before(tokenizer)
        """Special tokens that begin a text; a chat template writes its own. Nothing ends a prompt."""
        self._known: dict[tuple[str, str], tuple[int, tuple[int, ...]] | None] = {}

    def encode(self, text: str) -> tuple[int, ...]:
        """Return the tokens of a text, without special tokens of the tokenizer's own."""
        tokens: Sequence[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"] if text else ()
        return tuple(tokens)

    def prompt(self, text: str) -> tuple[int, ...]:
        """Return the tokens of a prompt."""
        return self.before + self.encode(text)

    def prompts(self, texts: Sequence[str]) -> list[tuple[int, ...]]:
        """Return the tokens of many prompts; a tokenizer that takes them at once, and in parallel, gets them so."""
        if not getattr(self._tokenizer, "is_fast", False) or len(texts) < 2 or not all(texts):
            return [self.prompt(text) for text in texts]
        found = self._tokenizer(list(texts), add_special_tokens=False)["input_ids"]
        return [self.before + tuple(tokens) for tokens in found]

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens."""
        return str(self._tokenizer.decode(list(tokens)))

    def ending(self, text: str, prompt: tuple[int, ...], more: str) -> Ending:
        """Return what `more` adds to a prompt, whose text and tokens are given."""
        found = self._by_tail(text, prompt, more)
        if found is None:
            joint = self.prompt(text + more)
            start = common_prefix(prompt, joint)
            return Ending(start, joint[start:])
        dropped, tokens = found
        return Ending(len(prompt) - dropped, tokens)

    def endings(self, text: str, prompt: tuple[int, ...], more: Sequence[str]) -> list[Ending]:
        """Return what each of `more` adds after the tokens that all of them keep."""
        found = [self.ending(text, prompt, each) for each in more]
        start = min(ending.start for ending in found)
        return [Ending(start, prompt[start : ending.start] + ending.tokens) for ending in found]

    def _by_tail(self, text: str, prompt: tuple[int, ...], more: str) -> tuple[int, tuple[int, ...]] | None:
        """Return how many tokens of the prompt are dropped and what comes instead, by the end of the prompt alone.

        `None` where the end alone has other tokens than in the prompt, as far as the continuation reaches back.
        """
        tail = text[-TAIL_CHARACTERS:]
        if len(self._known) > KEPT_ENDINGS:
            self._known.clear()
        if (tail, more) not in self._known:
            alone, joint = self.encode(tail), self.encode(tail + more)
            kept = common_prefix(alone, joint)
            sure = kept >= 2 and len(tail) < len(text)
            self._known[tail, more] = (len(alone) - kept, joint[kept:]) if sure else None
            self._known.setdefault((tail, ""), (0, alone))
        found = self._known[tail, more]
        if found is None:
            return None
        _, alone = self._known[tail, ""] or (0, ())
        same = min(len(alone), found[0] + 2)
        return found if prompt[len(prompt) - same :] == alone[len(alone) - same :] else None


def _added_before(tokenizer: Any) -> tuple[int, ...]:
    """Return the special tokens that the tokenizer puts before a text."""
    for probe in ("a", "A", "1", "."):
        bare = tuple(tokenizer(probe, add_special_tokens=False)["input_ids"])
        full = tuple(tokenizer(probe)["input_ids"])
        for start in range(len(full) - len(bare) + 1 if bare else 0):
            if full[start : start + len(bare)] == bare:
                return full[:start]
    return ()
