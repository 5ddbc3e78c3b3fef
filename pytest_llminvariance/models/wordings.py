"""How a control puts a choice into words: in thoughts, by rejecting the others, in other languages.

Knows: what is shown, and the position that was chosen. Which wording is used hangs on the question alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TypeVar

from pytest_llminvariance.questions.presentation import Presentation

Made = TypeVar("Made")

FOREIGN: tuple[str, ...] = (
    "Die richtige Antwort ist {}.",
    "La bonne réponse est {}.",
    "La respuesta correcta es {}.",
    "La risposta corretta è {}.",
    "A resposta correta é {}.",
    "Het juiste antwoord is {}.",
    "Poprawna odpowiedź to {}.",
    "Правильный ответ: {}.",
    "Doğru cevap: {}.",
    "الإجابة الصحيحة هي {}.",
    "सही उत्तर {} है।",
    "正确答案是{}。",
    "正解は{}です。",
    "정답은 {}입니다.",
)
"""Claims in languages other than English."""

ELIMINATIONS: tuple[tuple[str, str, str, str], ...] = (
    ("It is not ", ", not ", ".", " So it is {}."),
    ("", " is wrong. ", " is wrong.", " That leaves {}."),
    ("We can rule out ", " and ", ".", " Therefore, the answer is {}."),
    ("The answer is not ", ", and it is not ", "", ", so I choose {}."),
)
"""What stands before, between and after the rejected options, and the claim that follows."""

DOUBTS = ("Maybe it is {}.", "The answer could be {}?", "But {} is wrong.", "Hmm, the answer is {}. No, wait.")


def with_thoughts(shown: Presentation, position: int, n_words: int) -> str:
    """Write `n_words` of thoughts about every option, then the answer."""
    thoughts = (doubt.format(name) for doubt in itertools.cycle(DOUBTS) for name in _names(shown))
    words = itertools.islice((word for thought in thoughts for word in thought.split()), n_words)
    return f"<think>{' '.join(words)}</think>\nThe answer is {_names(shown)[position]}."


def only_rejections(shown: Presentation, position: int) -> str:
    """Reject every option but the chosen one, and claim nothing."""
    before, between, after, _ = _pick(shown, ELIMINATIONS)
    others = [name for place, name in enumerate(_names(shown)) if place != position]
    return before + between.join(others) + after


def by_elimination(shown: Presentation, position: int) -> str:
    """Reject every option but the chosen one, and claim that one."""
    claim = _pick(shown, ELIMINATIONS)[-1].format(_names(shown)[position])
    return only_rejections(shown, position) + claim


def in_another_language(shown: Presentation, position: int) -> str:
    """Claim the chosen option in a language other than English."""
    return _pick(shown, FOREIGN).format(_names(shown)[position])


def _names(shown: Presentation) -> Sequence[str]:
    """Return what options are called: by label for half of the questions, where labels are shown."""
    by_label = shown.shows_labels and _number(shown) % 2
    return shown.labels if by_label else shown.shown_options


def _pick(shown: Presentation, made: Sequence[Made]) -> Made:
    return made[_number(shown) // 2 % len(made)]


def _number(shown: Presentation) -> int:
    return int(shown.question.content_hash[:8], 16)
