"""Texts from records in a terminal: data stays on its line and moves no cursor."""

from __future__ import annotations

__all__ = ["one_line"]


def one_line(text: str, width: int | None = 160) -> str:
    """Return a text on one line, without control characters, cut at `width` characters; `None`: as long as it is."""
    joined = " ".join(text.split())
    plain = "".join(character if character.isprintable() else "?" for character in joined)
    return plain if width is None or len(plain) <= width else plain[: width - 1] + "…"
