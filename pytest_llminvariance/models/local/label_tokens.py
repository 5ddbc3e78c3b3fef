"""Which tokens spell a label.

A label can start an answer as `A`, as ` A`, or glued to whatever the chat template ends with; tokenizers
have different entries for these. All that spell the label count, and their probabilities add up. Some tokenizers
write a blank before a digit as a token of its own; then blank and digit together spell the label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.models.local.continuations import Encoder, Ending

ANCHORS = ("", "\n", ":")
"""What may stand before the label; some tokenizers give a label other tokens at the start of a text."""

Path = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Spelled:
    """How labels continue one prompt."""

    start: int
    """Tokens of the prompt that stand before all of them; mostly the whole prompt."""
    paths: tuple[tuple[Path, ...], ...]
    """For each label, the token sequences after `start` that spell it; none begins another one."""


class LabelTokens:
    """Token ids of labels for one tokenizer, looked up once per label."""

    def __init__(self, tokenizer: Any, *, chat: bool = True) -> None:
        self._tokenizer = tokenizer
        self._encoder = Encoder(tokenizer, chat=chat)
        self._known: dict[str, tuple[int, ...]] = {}

    def columns(self, labels: Sequence[str]) -> tuple[tuple[int, ...], ...]:
        """Return the token ids that spell each label alone, in the order of `labels`.

        Raises:
            UsageError: if a label is no single token: its first token would stand for something longer,
                and labels such as 1 and 10 would share it.
        """
        for label in labels:
            if label not in self._known:
                self._known[label] = self._ids(label)
        return tuple(self._known[label] for label in labels)

    def spelled(self, text: str, prompt: tuple[int, ...], labels: Sequence[str]) -> Spelled:
        """Return how labels continue a prompt, whose text and tokens are given.

        A prompt that ends in a blank or a line break is followed by the label; any other by the label, or by a
        blank and the label.

        Raises:
            UsageError: as `columns`.
        """
        alone = self.columns(labels)
        blanks = ("",) if text[-1:].isspace() else ("", " ")
        joint = [[self._joint(text, prompt, blank + label, label) for blank in blanks] for label in labels]
        start = min([len(prompt), *(ending.start for row in joint for ending in row if ending)])
        rest = prompt[start:]
        paths = []
        for ids, row in zip(alone, joint, strict=True):
            found = {(*rest, token) for token in ids}
            found |= {(*prompt[start : ending.start], *ending.tokens) for ending in row if ending}
            paths.append(tuple(sorted(found)))
        return Spelled(start, tuple(paths))

    def _joint(self, text: str, prompt: tuple[int, ...], more: str, label: str) -> Ending | None:
        """Return a label as a continuation, where its last token is the label and nothing else of it comes before."""
        ending = self._encoder.ending(text, prompt, more)
        if not ending.tokens or self._encoder.decode(ending.tokens[-1:]).strip() != label:
            return None
        before, was = self._encoder.decode(ending.tokens[:-1]), self._encoder.decode(prompt[ending.start :])
        return ending if before.strip() == was.strip() else None

    def _ids(self, label: str) -> tuple[int, ...]:
        encode = self._encoder.encode
        found: set[int] = set()
        for anchor in ANCHORS:
            before = encode(anchor)
            for blank in ("", " "):
                tokens = encode(anchor + blank + label)
                if tokens[: len(before)] == before and len(tokens) == len(before) + 1:
                    found.add(tokens[-1])
        spelled = tuple(sorted(token for token in found if self._encoder.decode([token]).strip() == label))
        if not spelled:
            unknown = getattr(self._tokenizer, "unk_token_id", None)
            tokens = encode(label)
            if unknown is not None and unknown in tokens:
                raise UsageError(f"the label {label!r} is unknown to this model's tokenizer. Use other labels")
            pieces = [self._encoder.decode([token]) for token in tokens]
            if len(pieces) == 1:
                raise UsageError(
                    f"the label {label!r} becomes {pieces[0]!r} in this model's tokenizer. Use labels that it keeps as they are"
                )
            raise UsageError(
                f"the label {label!r} is {len(pieces)} tokens for this model ({' + '.join(map(repr, pieces))}), but the label readout "
                "compares single tokens. Use other labels (letters or single digits), or readout='option' or 'text'"
            )
        return spelled
