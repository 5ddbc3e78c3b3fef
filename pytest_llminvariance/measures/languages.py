"""What a language is to the reader of answers, and its phrases as patterns over folded text.

Phrases are written as patterns in which a blank is any white space, ` ?` is an optional one, `{}` is where a
label or an option stands, and `{option}` where only the text of an option may stand.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """What is said around an answer in one language."""

    code: str
    answer: str
    """Names of an answer with what may stand beside them: `the correct answer`."""
    final: str
    """Words that make an announcement the last one."""
    copula: str
    """What joins the name of an answer to the option: `is`."""
    claims: tuple[str, ...]
    """Other claims: `i choose {}`."""
    correct: tuple[str, ...]
    """Claims that open with the option: `{} is correct`."""
    lead: str
    """Words that may stand between a claim and its option: `option`, articles."""
    openers: str
    """Words before a claim that change nothing: `sure`, `i think`."""
    conclusion: str
    contrast: str
    reason: str
    """What follows says why and is not read."""
    joins: str
    """Words that join two answers: `or`, `and`."""
    deny: str
    """Negations and exclusions."""
    wrong: str
    """Words that call an answer wrong."""
    doubt: str
    """Doubt, possibility and condition."""
    others: str
    """Whose opinion is told, where it is not the answer's own."""
    revise: str
    """Words that take back what was said before."""
    retract: str = ""
    """Words after an answer that take it back without naming another: `let me reconsider`."""
    concession: str = ""
    """Words that open a clause which grants something to another option: `although`."""
    refuse: str
    out_of: str
    """What stands between a rating and its highest value."""
    glue: str
    """Small words that may stand in a statement beside the words of the question."""
    particles: str = ""
    """Options that answer by themselves, with a comma after them: `yes`."""
    read: tuple[str, ...]
    """Cases: texts that claim B of A, B, C (Berlin, Paris, Rome)."""
    unread: tuple[str, ...]
    """Cases: texts that claim nothing."""
    refused: tuple[str, ...]
    """Cases: refusals."""
    spaced: bool = True
    """Whether words are set apart by blanks."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A claim phrase: what stands before the option and what after it."""

    language: Language
    before: re.Pattern[str]
    after: re.Pattern[str] | None
    reason: re.Pattern[str]
    tier: int
    """1 is announced, 2 is announced as final."""
    rule: str
    options_only: bool = False
    names_answer: bool = False
    """The phrase says that an answer follows, so that one which is no option is an answer too."""


MARKED = r"\s*(?:[:=]|-|\n)"
"""What sets an answer off from its name."""


def frames_of(language: Language) -> tuple[Frame, ...]:
    """Return the claim phrases of a language, the surest first."""
    answer, reason = language.answer, one_of([language.reason], spaced=language.spaced)

    def made(before: str, after: str = "", tier: int = 1, rule: str = "announced", **more: bool) -> Frame:
        end = r"(?!\w)" if language.spaced and before and not before.endswith(MARKED) else ""
        separator = r"\s*[:=]?\s*" if before else ""
        return Frame(
            language,
            pattern(f"(?:{before})", f"{end}{separator}"),
            pattern(f"(?:{after})", r"(?!\w)" if language.spaced else "", before=r"[\"')\]}]*\s*") if after else None,
            reason, tier, rule, **more,
        )  # fmt: skip

    said = [made(rf"{answer}{MARKED}", tier=2, names_answer=True)]
    said.append(made(f"{answer} ?(?:{language.copula})", names_answer=True))
    said += [made(rf"(?:{language.conclusion})\s*,?")]
    for phrase in language.claims:
        before, after = phrase.replace("{option}", "{}").split("{}")
        said.append(made(before.strip(), after.removeprefix(" ?").strip(), options_only="{option}" in phrase))
    for phrase in language.correct:
        said.append(made("", phrase.removeprefix("{}").removeprefix(" ?").strip(), rule="called correct"))
    return tuple(said)


def folded(text: str) -> str:
    """Return words of a pattern in the form of folded text; its own signs stay as they are."""
    parts = re.split(r"(\\.|\(\?P<)", text)
    return "".join(
        part if index % 2 else unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", part).casefold())
        for index, part in enumerate(parts)
    )


def pattern(phrase: str, end: str = "", *, before: str = "") -> re.Pattern[str]:
    """Return a phrase as a pattern, with `before` and `end` as they are."""
    return re.compile(before + folded(phrase).replace(" ?", r"\s*").replace(" ", r"\s+") + end)


def one_of(words: Iterable[str], *, spaced: bool = True) -> re.Pattern[str]:
    """Return a pattern for any of the words, each as a whole where words are set apart."""
    joined = "|".join(word for word in words if word)
    return pattern(rf"(?<!\w)(?:{joined})(?!\w)" if spaced else f"(?:{joined})")
