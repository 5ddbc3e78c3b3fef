"""Words of all languages together, the shown question as patterns, and the folded form in which texts are read."""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from operator import attrgetter
from typing import Any

from pytest_llminvariance.measures.language_table import ENGLISH, FRENCH, GERMAN, ITALIAN, PORTUGUESE, SPANISH
from pytest_llminvariance.measures.language_table_more import (
    ARABIC,
    CHINESE,
    DUTCH,
    HINDI,
    JAPANESE,
    KOREAN,
    POLISH,
    RUSSIAN,
    TURKISH,
)
from pytest_llminvariance.measures.languages import Frame, Language, frames_of, one_of, pattern
from pytest_llminvariance.questions.labels import fold, fold_label

LANGUAGES: tuple[Language, ...] = (
    ENGLISH, GERMAN, FRENCH, SPANISH, ITALIAN, PORTUGUESE, DUTCH, POLISH,
    RUSSIAN, TURKISH, ARABIC, HINDI, CHINESE, JAPANESE, KOREAN,
)  # fmt: skip
WORD_LABELS = frozenset("aioeyu")
"""Labels that are words of some language."""
_COMMON = frozenset(
    re.findall(r"\w+", "no yes true false none all some any both either neither other never always often it")
)
_EDGE_BEFORE = re.compile(r"(?:^|[.,;:!?\n(\"']|\b(?:is|are|be|say|answer))\s*[\"'(]*$")
_EDGE_AFTER = re.compile(r"[\"')]*\s*(?:[.,;:!\n]|\Z)")
END = r"[\"'*]*(?:\s*\Z| *\n|[.;:!](?![\w.*])| *[)\]}]| = |,? (?:because|since)\b)"
GAP = re.compile(r"[ )\].:=,\"'*(\-]*")
ONLY_MARKS = re.compile(r"[\s.!,;:)\]}\"'*。！，、।؟]*\Z")
STOP = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\bz\.b)[.](?!\w)|[!?;。！？；।؟…\n]")
_CJK = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_SIGNS = "❌✗✘✖🚫👎⛔❎"
BOX, BOX_END = "\ue001", "\ue002"
HIDDEN = "\ue000"


@dataclass(frozen=True, slots=True)
class Words:
    """Words of all languages of the table, by what they do."""

    frames: tuple[Frame, ...]
    deny: re.Pattern[str]
    wrong: re.Pattern[str]
    doubt: re.Pattern[str]
    others: re.Pattern[str]
    turn: re.Pattern[str]
    """Contrasts and conclusions: what stands before them is not said of what follows."""
    revise: re.Pattern[str]
    retract: re.Pattern[str]
    concession: re.Pattern[str]
    reason: re.Pattern[str]
    opener: re.Pattern[str]
    join: re.Pattern[str]
    lead: re.Pattern[str]
    glue: re.Pattern[str]
    particle: re.Pattern[str]
    out_of: re.Pattern[str]
    refusals: tuple[tuple[str, re.Pattern[str]], ...]


@lru_cache(maxsize=1)
def words() -> Words:
    """Return the words of the table as patterns; they are made when the first text is read."""

    def every(*names: str, more: str = "") -> re.Pattern[str]:
        parts = [
            one_of(map(attrgetter(name), [language]), spaced=language.spaced).pattern
            for name in names
            for language in LANGUAGES
            if getattr(language, name)
        ]
        return re.compile("|".join([*parts, *([more] if more else [])]))

    join, deny, revise = every("joins").pattern, every("deny", "wrong").pattern, every("revise").pattern
    return Words(
        frames=tuple(frame for language in LANGUAGES for frame in frames_of(language)),
        deny=every("deny", "wrong", more=f"[{_SIGNS}]"),
        wrong=every("wrong", more=f"[{_SIGNS}]"),
        doubt=every("doubt", more="[🤔🤷❓]"),
        others=every("others"),
        turn=every("contrast", "conclusion"),
        revise=every("revise"),
        retract=every("retract"),
        concession=every("concession"),
        reason=every("reason"),
        opener=re.compile(
            rf"(?:{every('openers', 'conclusion').pattern})[\s,.:!]*|(?:{revise})\s*[,.:!\-]+\s*|(?!{deny})(?:{revise})\s+"
        ),
        join=re.compile(rf"[\"')\]}}]*(?:\s*(?P<word>,?\s*(?:{join}))|\s?[,/&+:、])"),
        lead=every("lead"),
        glue=every("glue"),
        particle=every("particles"),
        out_of=every("out_of", more="/"),
        refusals=tuple((language.code, one_of([language.refuse], spaced=language.spaced)) for language in LANGUAGES),
    )


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of folded text, and the shown positions that it could mean."""

    start: int
    end: int
    positions: frozenset[int]


@dataclass(frozen=True, slots=True)
class ShownQuestion:
    """The question as patterns over folded text."""

    labels: dict[str, int]
    forms: dict[str, frozenset[int]]
    texts: re.Pattern[str]
    any_label: re.Pattern[str]
    marked_label: re.Pattern[str]
    highest: str | None
    """The highest label, where labels are numbers."""

    def text_at(self, text: str, start: int) -> Span | None:
        """Return the longest option text that starts exactly there."""
        found = self.texts.match(text, start)
        return None if found is None or _in_grapheme(text, found.end()) else self._span(found)

    def label_at(self, text: str, start: int) -> Span | None:
        """Return the label that starts exactly there, with what makes a rating of a number: `4/5`, `4.0`."""
        found = self.any_label.match(text, start)
        if found is None:
            return None
        own, end = self.labels[found[0]], found.end()
        if self.highest is not None:
            rated = re.compile(
                rf"(?:\.0+(?![\w.]))?(?:\s*(?:{words().out_of.pattern})\s*{self.highest}(?:\.0+)?(?:\s*(?:stars?|points?))?(?![\w/]|\.\d))?"
            )
            more = rated.match(text, end)
            end = more.end() if more else end
        return Span(start, end, frozenset({own}))

    def option_texts(self, text: str) -> Iterator[Span]:
        """Yield what is written as an option, the longest from left to right."""
        for found in self.texts.finditer(text):
            if not _in_grapheme(text, found.end()):
                yield self._span(found)

    def spoken(self, text: str) -> Iterator[Span]:
        """Yield option texts, leaving out common words in running prose."""
        for span in self.option_texts(text):
            word = text[span.start : span.end]
            alone = _EDGE_BEFORE.search(text[: span.start]) and _EDGE_AFTER.match(text, span.end)
            if alone or not (word in _COMMON or (len(word) == 1 and word.isalpha())):
                yield span

    def mentions(self, text: str) -> Iterator[Span]:
        """Yield option texts and marked labels, leaving out common words in running prose."""
        yield from self.spoken(text)
        for found in self.marked_label.finditer(text):
            yield Span(found.start(), found.end(), frozenset({self.labels[found[found.lastindex or 0]]}))

    def named(self, text: str) -> frozenset[int]:
        """Return the positions of all options and labels in a clause, but for labels that are words in it."""
        found = {position for span in self.mentions(text) for position in span.positions}
        for label in self.any_label.finditer(text):
            if label[0] not in WORD_LABELS or re.compile(
                END + r"|\s+(?:is|was|are|isn't|may|might|could|would|seems|looks)\b"
            ).match(text, label.end()):
                found.add(self.labels[label[0]])
        return frozenset(found)

    def _span(self, found: re.Match[str]) -> Span:
        return Span(found.start(), found.end(), self.forms[" ".join(found[0].split())])


@dataclass(frozen=True, slots=True)
class Page:
    """An answer as it is read."""

    shown: ShownQuestion
    text: str
    masked: str
    """The text with options hidden, place for place, so that words of an option deny and doubt nothing."""
    stem: frozenset[str] = field(default=frozenset())
    """Words of the question."""

    def sentence(self, at: int, end: int) -> tuple[int, int, bool]:
        """Return start and end of the sentences from `at` to `end`, and whether it asks."""
        stops = _stops(self.masked)
        place = bisect_right(stops, at - 1)
        start = stops[place - 1] if place else 0
        last = STOP.match(self.masked, at - 1, at) if at else None  # a dot is a stop where what is looked at ends
        if last is not None and _ends(last):
            start = at
        after = next((found for found in STOP.finditer(self.masked, end) if _ends(found)), None)
        stop = len(self.text) if after is None else after.start()
        return start, stop, after is not None and after[0] in "?？؟"

    def sentences(self) -> Iterator[tuple[int, int, bool]]:
        """Yield start and end of every sentence, and whether it asks."""
        start = 0
        for found in STOP.finditer(self.masked + "\n"):
            if found.start() >= len(self.masked) or _ends(found):
                if self.masked[start : found.start()].strip(" \"')]}*"):
                    yield start, found.start(), found[0] in "?？؟"
                start = found.end()


@lru_cache(maxsize=4)
def _stops(text: str) -> tuple[int, ...]:
    """Return where sentences end, found once for a text: a long one is asked about at each of its words."""
    return tuple(found.end() for found in STOP.finditer(text) if _ends(found))


def _ends(found: re.Match[str]) -> bool:
    """A line that ends in a colon goes on in the next."""
    if found[0] != "\n":
        return True
    text, place = found.string, found.start()
    while place and text[place - 1].isspace():
        place -= 1
    return text[max(0, place - 1) : place] not in (":", ",")


def spread(text: str) -> str:
    """Set Latin letters and digits apart from scripts without blanks."""
    return re.sub(rf"(?<=[{_CJK}])(?=[a-z0-9])|(?<=[a-z0-9])(?=[{_CJK}])", " ", text)


def read_page(shown: ShownQuestion, text: str, stem: str | None) -> Page:
    """Return an answer without markup, the question said again, and what a next question starts."""
    body = answer_body(text)
    asked = spread(" ".join(fold(stem or "").split()))
    if asked:
        again = r"\s+".join(map(re.escape, asked.split()))
        body = re.sub(rf"^{again}[ \t]*(?:[:?]|$)?", "", body, flags=re.M).strip()
    kept = "".join(shown.forms) + "".join(shown.labels) + _SIGNS + "🤔🤷❓"
    body = "".join(
        " " if unicodedata.category(sign) in ("So", "Sk") and sign not in kept else sign
        for sign in body
        if sign not in "\ufe0f\u20e3" or sign in kept
    ).strip()
    masked = list(body)
    for span in shown.spoken(body):
        masked[span.start : span.end] = HIDDEN * (span.end - span.start)
    return Page(shown, body, "".join(masked), frozenset(re.findall(r"\w+", asked)))


def answer_body(text: str) -> str:
    """Return the folded answer without markup, and without what a next question starts."""
    text = "\n".join(fold(_from_json(text)).splitlines())
    text = re.sub(r"<\|[^|>\n]*\|>|</?s>|</?(?:b|i|em|strong|p)>|[\u200e\u200f]", "", text)
    text = re.sub(r"\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"\$?\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}\$?", rf"{BOX}\1{BOX_END}", text)
    text = re.sub(r"<answer>\s*(.*?)\s*</answer>", rf"{BOX}\1{BOX_END}", text, flags=re.S)
    text = re.sub(r"【([^】\n]*)】", r"\1: ", text)
    text = re.sub(r"\$(\w+)\$", r"\1", re.sub(r"[^\S\n]+", " ", text)).strip()
    text = re.sub(r"^ *(?:(?!- +\d)[-*>•#]+ +)*", "", text, flags=re.M).strip()
    text = re.sub(r"\A(?:assistant|ai|bot) ?: *", "", text)
    return spread(re.split(r"(?<=\n)(?:question|q|user|human)(?: ?\d+)? ?[:.]", text, maxsplit=1)[0].strip())


def _from_json(text: str) -> str:
    """Put what a JSON object answers in the object's place; other objects answer nothing."""
    start = text.find("{")
    while start >= 0:
        data, length = _object_at(text, start)
        if isinstance(data, dict) and data:
            fence = re.compile(r"\s*```(?:json)?\s*$", re.IGNORECASE)
            before = fence.sub("", text[:start])
            return f"{before}\n{_said(data)}\n" + re.sub(r"^\s*```", "", text[start + length :])
        start = text.find("{", start + 1)
    return text


def _object_at(text: str, start: int) -> tuple[Any, int]:
    """Return the object that starts there, as JSON or as Python writes it, and its length."""
    try:
        return json.JSONDecoder().raw_decode(text[start:])
    except (ValueError, RecursionError):
        stop = text.find("}", start) + 1
    try:
        return ast.literal_eval(text[start:stop]), stop - start
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None, 1


def _said(data: dict[str, Any]) -> str:
    said = []
    for name, value in data.items():
        value = value[0] if isinstance(value, list) and len(value) == 1 else value
        known = any(
            pattern(language.answer).fullmatch(fold(str(name)).replace("_", " ").strip()) for language in LANGUAGES
        )
        if known and isinstance(value, str | int | float):
            said.append(f"{BOX}{value}{BOX_END}")
    return "\n".join(said)


def as_patterns(labels: Sequence[str], options: Sequence[str]) -> ShownQuestion:
    """Return labels and options, by shown position, as patterns.

    Raises:
        ValueError: for fewer than two options, different lengths, a blank label, or labels equal after casefold.
    """
    return _as_patterns(tuple(labels), tuple(options))


@lru_cache(maxsize=256)
def _as_patterns(labels: tuple[str, ...], options: tuple[str, ...]) -> ShownQuestion:
    if len(labels) != len(options) or len(labels) < 2:
        raise ValueError(f"need two or more labels and as many options, got {list(labels)!r} and {list(options)!r}")
    at: dict[str, int] = {}
    for position, label in enumerate(labels):
        form = spread(fold_label(label) or fold(label).strip())
        if not form or form in at:
            raise ValueError(f"label {label!r} is {'blank' if not form else 'not distinct'} in {list(labels)!r}")
        at[form] = position
    forms = _forms(options)
    spelled = sorted(at, key=len, reverse=True)
    every = "|".join(map(re.escape, spelled))
    plain = "|".join(re.escape(label) for label in spelled if label not in WORD_LABELS) or r"(?!)"
    loose = "|".join(re.escape(label) for label in spelled if label in WORD_LABELS) or r"(?!)"
    numbers = sorted((label for label in spelled if label.isdecimal()), key=int)
    return ShownQuestion(
        labels=at,
        forms=forms,
        texts=re.compile("|".join(map(_bounded, sorted(forms, key=len, reverse=True))) or r"(?!)"),
        any_label=re.compile(rf"(?<!\w)(?<!\w')(?:{every})(?!\w)"),
        marked_label=re.compile(
            rf"(?<!\w)[(\[]({every})[)\]]|\b(?:option|choice|answer|letter) [\"'(\[]*"
            rf"(?:({plain})(?!\w)(?![-'.]\w)|({loose})(?={END}| (?:is|was|and|or)\b))"
        ),
        highest=numbers[-1] if len(numbers) == len(spelled) else None,
    )


def _forms(options: Sequence[str]) -> dict[str, frozenset[int]]:
    """Map each way of writing an option to its positions: as given, else without quotes and final marks."""
    full: dict[str, frozenset[int]] = {}
    bare: dict[str, frozenset[int]] = {}
    whole = [spread(" ".join(fold(option).split())) for option in options]
    for position, form in enumerate(whole):
        core = form.rstrip(".!?,;: ").strip("\"'")
        for forms, key in ((full, form), (bare, core if core not in whole else "")):
            if key:
                forms[key] = forms.get(key, frozenset()) | {position}
    return full | bare


def _bounded(form: str) -> str:
    """Return a pattern for an option that is no part of a longer word, number, or compound."""
    before = r"(?<!\w)(?<!\w['-])" + (r"(?<![-+^.])(?<!\d[,/:])" if form[0].isdigit() else "")
    after = r"(?!\w)(?!-\w)" + (r"(?![+#])" if form[-1].isalnum() else f"(?!{re.escape(form[-1])})")
    after += r"(?![.,/:^]\d)(?! ?%)" if form[-1].isdigit() else ""
    before = "" if re.match(rf"[{_CJK}]", form) else before
    after = "" if re.match(rf"[{_CJK}]", form[-1]) else after
    return before + r"\s+".join(map(re.escape, form.split())) + after


def _in_grapheme(text: str, end: int) -> bool:
    return end < len(text) and unicodedata.category(text[end]).startswith("M")
