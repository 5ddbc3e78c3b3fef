"""What is asked in the benchmarks: questions of a given length in real words, a different text for every number.

The words are drawn with SHA-256 from the numbers that are given, so that the same numbers make the same text
on every machine, and no cache of an earlier round can hold a later round's text.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pytest_llminvariance import Presentation, Question
from pytest_llminvariance.models.protocol import LabelRequest
from pytest_llminvariance.transforms.designs import orders_of

Count = Callable[[str], int]
"""Number of tokens of a text."""

WORDS = {
    "adjective": "old new quiet busy narrow wide cold warm early late small large plain bright steep open closed distant",
    "noun": "harbour river market bridge garden school station library valley island forest village tower kitchen orchard",
    "who": "teacher sailor baker doctor farmer painter clerk driver nurse gardener builder writer tailor miner pilot cook",
    "verb": "visited measured described painted crossed closed repaired remembered bought photographed entered left",
}
TIMES = ("in the morning", "after the storm", "before dinner", "last winter", "on Monday", "without a map", "at night")
OPTIONS = (
    *("the baker", "the river", "a bridge", "Monday", "the old map"),
    *("nobody", "twelve boats", "the tower", "rain", "a letter"),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One point of the grid."""

    stem_tokens: int
    n_options: int
    design: str


def make_stem(count: Count, n_tokens: int, *number: object) -> str:
    """Return a text of `n_tokens` tokens (a few less where a word has several) that depends on `number` only."""
    sentences = [f"Log {_draw(100_000, number, 'log')}."]
    while count(" ".join(sentences)) < n_tokens:
        sentences.append(_sentence((*number, len(sentences))))
    words = " ".join(sentences).split(" ")
    low, high = 1, len(words)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if count(" ".join(words[:middle])) <= n_tokens else (low, middle - 1)
    return " ".join(words[:low])


def make_question(count: Count, stem_tokens: int, n_options: int, *number: object) -> Question:
    """Return a question whose stem has `stem_tokens` tokens."""
    first = _draw(len(OPTIONS), number, "options")
    options = [OPTIONS[(first + place) % len(OPTIONS)] for place in range(n_options)]
    return Question(make_stem(count, stem_tokens, *number), options)


def requests_for(question: Question, design: str) -> list[LabelRequest]:
    """Return one request for each planned order of `question`."""
    orders = orders_of(design, len(question.options), question.content_hash)
    return [LabelRequest(Presentation(question, order=order)) for order in orders]


def tree_nodes(prompts: Iterable[Sequence[int]]) -> int:
    """Return the number of distinct non-empty beginnings: the fewest tokens that can be sent for `prompts`."""
    nodes = 0
    before: tuple[int, ...] = ()
    for prompt in sorted(tuple(prompt) for prompt in prompts):
        shared = next((n for n, (a, b) in enumerate(zip(prompt, before, strict=False)) if a != b), None)
        nodes += len(prompt) - (min(len(prompt), len(before)) if shared is None else shared)
        before = prompt
    return nodes


def grid(stems: Sequence[int], options: Sequence[int], designs: Sequence[str]) -> list[Cell]:
    """Return the cells; `all` up to 5 options, and one design only where all of them are the same two orders."""
    cells = []
    for stem_tokens in stems:
        for n_options in options:
            fitting = [design for design in designs if design != "all" or n_options <= 5]
            for design in fitting[:1] if n_options == 2 else fitting:
                cells.append(Cell(stem_tokens, n_options, design))
    return cells


def _sentence(number: tuple[object, ...]) -> str:
    said = {role: words.split()[_draw(len(words.split()), number, role)] for role, words in WORDS.items()}
    time = TIMES[_draw(len(TIMES), number, "time")]
    return f"The {said['who']} {said['verb']} the {said['adjective']} {said['noun']} {time}."


def _draw(n: int, *seed: object) -> int:
    return int.from_bytes(hashlib.sha256(repr(seed).encode()).digest()[:8]) % n
