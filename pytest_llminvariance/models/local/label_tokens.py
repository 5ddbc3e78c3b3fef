"""Which vocabulary entries spell a label.

A label can start an answer as `A`, as ` A`, or glued to whatever the chat template ends with; tokenizers
have different entries for these. All entries that spell the label count, and their probabilities add up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytest_llminvariance.errors import UsageError

ANCHORS = ("", "\n", ":")
"""What may stand before the label; some tokenizers give a label other tokens at the start of a text."""


class LabelTokens:
    """Token ids of labels for one tokenizer, looked up once per label set."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: dict[tuple[str, ...], tuple[tuple[int, ...], ...]] = {}

    def columns(self, labels: Sequence[str]) -> tuple[tuple[int, ...], ...]:
        """Return the token ids that spell each label, in the order of `labels`.

        Raises:
            UsageError: if a label is no single token: its first token would stand for something longer,
                and labels such as 1 and 10 would share it.
        """
        key = tuple(labels)
        if key not in self._known:
            self._known[key] = tuple(self._ids(label) for label in key)
        return self._known[key]

    def _ids(self, label: str) -> tuple[int, ...]:
        found: set[int] = set()
        for anchor in ANCHORS:
            before = self._encode(anchor)
            for blank in ("", " "):
                tokens = self._encode(anchor + blank + label)
                if tokens[: len(before)] == before and len(tokens) == len(before) + 1:
                    found.add(tokens[-1])
        spelled = tuple(sorted(token for token in found if self._tokenizer.decode([token]).strip() == label))
        if not spelled:
            unknown = getattr(self._tokenizer, "unk_token_id", None)
            tokens = self._encode(label)
            if unknown is not None and unknown in tokens:
                raise UsageError(f"the label {label!r} is unknown to this model's tokenizer. Use other labels")
            pieces = [self._tokenizer.decode([token]) for token in tokens]
            if len(pieces) == 1:
                raise UsageError(
                    f"the label {label!r} becomes {pieces[0]!r} in this model's tokenizer. Use labels that it keeps as they are"
                )
            raise UsageError(
                f"the label {label!r} is {len(pieces)} tokens for this model ({' + '.join(map(repr, pieces))}), but the label readout "
                "compares single tokens. Use other labels (letters or single digits), or readout='option' or 'text'"
            )
        return spelled

    def _encode(self, text: str) -> list[int]:
        tokens: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
        return tokens
