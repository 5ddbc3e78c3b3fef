"""In which order questions are asked: by a hash that neither the cache nor the file's order can move."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence


def asking_order(seed: int, fingerprint: str, hashes: Sequence[str]) -> list[int]:
    """Return the indices of the questions in the order of asking.

    The key of a question is SHA-256 of seed, fingerprint of the weights, the question's content hash and the
    number of its occurrence, so that copies do not stay together.
    """
    seen: Counter[str] = Counter()
    keys = []
    for index, content in enumerate(hashes):
        keys.append((_key(seed, fingerprint, content, seen[content]), index))
        seen[content] += 1
    return [index for _, index in sorted(keys)]


def draw_order(seed: int, fingerprint: str, n_questions: int, n_draws: int) -> list[int]:
    """Return independent draws of questions, with replacement: which question each draw asks."""
    draws = []
    for number in range(n_draws):
        value = int.from_bytes(_key(seed, fingerprint, "draw", number)[:16], "big")
        draws.append(value * n_questions >> 128)
    return draws


def _key(seed: int, fingerprint: str, content: str, occurrence: int) -> bytes:
    return hashlib.sha256(f"{seed}|{fingerprint}|{content}|{occurrence}".encode()).digest()
