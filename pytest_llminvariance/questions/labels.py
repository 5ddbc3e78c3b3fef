"""Labels of options, and the form in which they and answers are compared."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

from pytest_llminvariance.errors import UsageError

PLAIN_MARKS = str.maketrans(
    {"—": " - "}
    | {
        mark: plain
        for marks, plain in (("’‘ʼ", "'"), ("“”„‟«»「」『』《》〈〉", '"'), ("‐‑‒–−", "-"))
        for mark in marks
    }
    | dict.fromkeys("`\u200b\u200c\u200d\u2060\ufeff", "")
)
LOOKS_ALIKE = ("<noBreak>", "<compat>", "<wide>", "<narrow>")
UNREADABLE = re.compile(
    r"<\|[^|>]*\|>|</?(?:s|b|i|em|strong|p|think|answer)>|\\(?:text|textbf|mathrm|mathbf|boxed)\s*\{", re.IGNORECASE
)
"""Markup that is taken off an answer before it is read."""


def holds_half_a_pair(text: str) -> bool:
    """Return whether a text holds half a surrogate pair, so that it is none that can be written."""
    return any("\ud800" <= character <= "\udfff" for character in text)


def check_text(value: object, name: str) -> None:
    """Raise where a value is no text that can be sent."""
    if not isinstance(value, str):
        raise UsageError(f"{name} is {value!r} ({type(value).__name__}), but must be text")
    if holds_half_a_pair(value):
        raise UsageError(f"{name} is {value!r}, which holds half a surrogate pair and is no valid text")


def same_form(text: str) -> str:
    """Return what a reader sees: one form of Unicode, single blanks, nothing invisible.

    Small and raised digits, fractions and case stay apart, for they mean something.
    """
    if not text.isascii():
        seen = [
            unicodedata.normalize("NFKC", one) if unicodedata.decomposition(one).startswith(LOOKS_ALIKE) else one
            for one in text
            if unicodedata.category(one) != "Cf"
        ]
        text = unicodedata.normalize("NFC", "".join(seen))
    return " ".join(text.split())


def fold(text: str) -> str:
    """Return the form in which texts are compared: NFKC, casefold, straight quotes, no emphasis."""
    if text.isascii():
        text = text.lower().replace("`", "")  # what the other way comes to
    else:
        text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).translate(PLAIN_MARKS)
    if "*" not in text and "_" not in text:
        return text
    text = re.sub(r"(?<!\w)(?:\*\*|__)|(?:\*\*|__)(?!\w)", "", text)
    return re.sub(r"(?<!\w)([*_])(\S(?:[^\n*_]*\S)?)\1(?!\w)", r"\2", text)


@lru_cache(maxsize=1024)  # the labels of every question, and its options some times in a row
def fold_label(label: str) -> str:
    """Return the form in which labels are compared: folded, no list mark or formula, no punctuation around it."""
    form = re.sub(r"\$(\w+)\$", r"\1", fold(label)).strip()
    form = re.sub(r"^(?:[-*>•#]+ +)+", "", form)
    while form and _is_mark(form[-1]):
        form = form[:-1]
    while form and _is_mark(form[0]) and not re.match(r"-\d", form):
        form = form[1:]
    return " ".join(form.split())


def _is_mark(character: str) -> bool:
    return character == "`" or (unicodedata.category(character)[0] in "PZ" and character not in "#%&@")


def check_labels(labels: Sequence[str]) -> tuple[str, ...]:
    """Return labels as a tuple, or raise where they cannot tell options apart."""
    if not isinstance(labels, Sequence):
        raise UsageError(f"labels is {labels!r}, but must be a list of texts")
    for label in labels:
        if not isinstance(label, str) or not label.strip() or label != label.strip():
            raise UsageError(f"the label {label!r} must be text without surrounding blanks")
    return _distinct(tuple(labels))


@lru_cache(maxsize=1024)  # every presentation of every question has its labels checked, and few differ
def _distinct(labels: tuple[str, ...]) -> tuple[str, ...]:
    for label in labels:
        check_text(label, "the label")
        if UNREADABLE.search(label) or len(label.splitlines()) > 1:
            raise UsageError(
                f"the label {label!r} holds markup or several lines, which are taken off an answer before it is read, "
                "so no answer can name it. Use letters or digits"
            )
    folded = [fold_label(label) for label in labels]
    for label, form in zip(labels, folded, strict=True):
        if form and folded.count(form) > 1:
            raise UsageError(
                f"the label {label!r} comes twice in {list(labels)!r} (case and punctuation do not count), but labels must be distinct"
            )
        if not any(unicodedata.category(character)[0] in "LNS" for character in form):
            raise UsageError(f"the label {label!r} holds nothing but punctuation, so no answer can name it")
        if inside := re.search(r"[()\[\]{}*_`\":;|]", form):
            raise UsageError(f"the label {label!r} holds {inside[0]!r}, which ends a label in an answer. Leave it out")
    return labels
