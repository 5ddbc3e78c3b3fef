"""Texts from questions, models and files, made harmless before anything prints them.

What is here changes only what a reader could not see or a program might obey; escaping for HTML, Markdown,
SARIF or a CI log is done where that is written.
"""

from __future__ import annotations

import unicodedata

KEPT = {"\n", "\t"}
BIDIRECTIONAL = {chr(code) for code in (0x200E, 0x200F, 0x061C, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}


def visible(text: object) -> str:
    r"""Return a text in which control, direction and broken characters stand as escapes: `\x1b`, `\u202e`.

    New lines and tabs stay. What is left can be written as UTF-8 and as XML 1.0.
    """
    said = str(text).replace("\r\n", "\n")
    if said.isascii() and said.isprintable():
        return said
    return "".join(character if _is_harmless(character) else _escaped(character) for character in said)


def _is_harmless(character: str) -> bool:
    if character in KEPT:
        return True
    code = ord(character)
    if character in BIDIRECTIONAL or 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE:
        return False
    return unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def one_line(text: object, width: int | None = None) -> str:
    """Return a visible text with every run of white space as one blank, cut at `width` characters if one is given."""
    line = " ".join(visible(text).split())
    return line if width is None else cut(line, width)


def joined(text: object, width: int | None = None) -> str:
    """Return a visible text with its lines side by side, blank ones left out; what stands within a line stays as it is."""
    line = "  ".join(part.strip() for part in visible(text).split("\n") if part.strip())
    return line if width is None else cut(line, width)


def cut(text: str, width: int) -> str:
    """Return a text of at most `width` characters; what is left out is marked."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def capital(text: str) -> str:
    """Return a text with a capital at its beginning."""
    return text[:1].upper() + text[1:]
