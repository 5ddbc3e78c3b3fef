"""A statement that answers the question in its own words, such as `The capital of France is Paris`.

Knows: one option, the words of the question in the order of the question, and small words; nothing else.
Does not know: other words for the same, and other forms of words than those that begin alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_llminvariance.measures.targets import Claim
from pytest_llminvariance.measures.wording import HIDDEN, Page, Span, spread, words
from pytest_llminvariance.questions.labels import fold

_ASKED = re.compile(r"\b(?:which|what)(?: of (?:the|these|those|following))*(?: following)? (\w+)")
_ASKING = frozenset(re.findall(r"\w+", "which what who whom whose where when how many much do does did you we"))
_WORD = re.compile(rf"\w+|{HIDDEN}+")
_SHADE = re.compile(rf"(?<=\bis )an? (?:[\w-]+,? (?:and )?)*(?:shade|tone|hue) of (?={HIDDEN})")
_NEEDED = 0.75
"""Share of the question's words that a statement must repeat."""


def stated(page: Page, stem: str | None) -> Iterator[Claim]:
    """Yield what sentences state that answer `stem`."""
    asked = spread(" ".join(fold(stem or "").split()))
    if not asked or words().deny.search(asked) or words().doubt.search(asked):
        return
    needed = [word for word in re.findall(r"\w+", asked) if word not in _ASKING and not words().glue.fullmatch(word)]
    kinds = {found[1] for found in _ASKED.finditer(asked)}
    needed = [word for word in needed if word not in kinds]
    if not needed:
        return
    for start, stop, asks in page.sentences():
        claim = None if asks else _answer(page, start, stop, needed)
        if claim is not None:
            yield claim


def _answer(page: Page, start: int, stop: int, needed: list[str]) -> Claim | None:
    reason = words().reason.search(page.masked, start, stop)
    comma = _comma(page, start, stop)
    for end in (reason.start() if reason else stop, comma):
        spans = list(page.shown.option_texts(page.text[start:end]))
        if len(spans) == 1 and end == comma < stop and _rejects_others(page, comma, stop, spans[0]):
            stop = comma
        rest = page.masked[start:stop]
        if len(spans) != 1 or len(spans[0].positions) != 1 or words().deny.search(rest) or words().doubt.search(rest):
            continue
        named = page.shown.named(page.text[start:stop])
        if named <= spans[0].positions and _in_own_words(page, start, end, needed):
            return Claim(min(spans[0].positions), "statement", stop, start)
    return None


def _rejects_others(page: Page, comma: int, stop: int, said: Span) -> bool:
    """Return whether a statement ends in `, not Rome`."""
    named = page.shown.named(page.text[comma:stop])
    opened = re.compile(r",\s*").match(page.masked, comma)
    denied = opened and words().deny.match(page.masked, opened.end())
    return bool(denied and named and named.isdisjoint(said.positions))


def _comma(page: Page, start: int, stop: int) -> int:
    found = page.masked.find(",", start, stop)
    return stop if found < 0 else found


def _in_own_words(page: Page, start: int, end: int, needed: list[str]) -> bool:
    """Return whether nothing is said but the question's words, in their order, small words and the option."""
    sentence = page.masked[start:end].lstrip()
    opener = words().opener.match(sentence)
    said = _WORD.findall(_SHADE.sub("", sentence[opener.end() if opener else 0 :]))
    places: list[int] = []
    for word in said:
        place = next((n for n, known in enumerate(needed) if _alike(word, known) and n not in places), None)
        if place is not None:
            places.append(place)
        elif not (
            word[0] == HIDDEN or word in page.stem or words().glue.fullmatch(word) or words().lead.fullmatch(word)
        ):
            return False
    return places == sorted(places) and len(places) >= _NEEDED * len(needed)


def _alike(word: str, known: str) -> bool:
    short = min(len(word), len(known))
    return word == known or (
        short >= 4 and word[: short - 1] == known[: short - 1] and abs(len(word) - len(known)) <= 3
    )
