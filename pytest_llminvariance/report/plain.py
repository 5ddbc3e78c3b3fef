"""Texts from records in a terminal: data stays on its line and moves no cursor."""

from __future__ import annotations

__all__ = ["one_line"]


def one_line(text: str, width: int = 160) -> str:
    """Return a text on one line, without control characters, cut at `width` characters."""
    joined = " ".join(text.split())
    plain = "".join(character if character.isprintable() else "?" for character in joined)
    return plain if len(plain) <= width else plain[: width - 1] + "…"
