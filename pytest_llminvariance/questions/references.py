"""Options that speak of other options: by letter, by place, or of all at once; and labels that are an option's text.

What such a question means changes with the order or the labels, and the right answer with it. This is the one
detector, for plans, draws, label sets and wordings. It knows English phrases only; a label that is another option's
text is seen in any language. Letters count where they are labels as shown; other letters count in a phrase about
options ("Both A and B", "option C"), unless the stem speaks of the same letters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

from pytest_llminvariance.errors import QuestionError, UsageError
from pytest_llminvariance.questions.labels import fold_label
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.questions.reference_words import (
    BARE_ABOVE,
    BESIDE,
    CATCH_ALLS,
    COUNTS,
    DENIES,
    DOWN,
    EXCEPT,
    HEDGES,
    ORDINAL,
    ORDINALS,
    OWN_STATEMENTS,
    PLACED,
    PLACED_OPTION,
    SPEAKS,
    START,
    patterns,
    plain,
)
from pytest_llminvariance.questions.template import LETTERS

MAX_LABEL = 40
OnReference = Literal["leave_out", "error", "ask_anyway"]


@dataclass(frozen=True, slots=True)
class References:
    """What a question says of its own options."""

    stays: tuple[int, ...] = ()
    """Catch-alls, such as "All of the above": they keep their place while the others move."""
    refers: str = ""
    """The option or words that refer to options by letter or place; empty where there are none."""


def check_on_reference(value: object) -> OnReference:
    """Return `value`, or raise where it is no way to deal with references."""
    if value not in get_args(OnReference):
        raise UsageError(f"on_reference is {value!r}, but must be one of {', '.join(get_args(OnReference))}")
    return value  # type: ignore[return-value]


def find_references(question: Question, labels: Sequence[str] = LETTERS) -> References:
    """Return which options are catch-alls, and whether the question refers to options by letter or place.

    `labels` are those that are shown. "All of the above" with plain options below it refers by place, and so does "Both
    of the above" below three options. A scale (options with scores) has no catch-alls.
    """
    k = len(question.options)
    found = _found(question.stem, question.context, question.options, tuple(labels[:k]) or LETTERS[:k])
    return References((), found.refers) if question.scores is not None else found


@lru_cache(maxsize=1 << 16)  # every part of a plan asks again, each after a whole suite; some 300 bytes each
def _found(stem: str, context: str | None, options: tuple[str, ...], labels: tuple[str, ...]) -> References:
    about = _About(stem, context, options, labels)
    refers = next((option for position, option in enumerate(options) if about.refers(position)), "")
    said = [] if refers else about.phrases(plain(stem))
    return References(about.stays, plain(stem)[said[0].start : said[0].end] if said else refers)


def label_clash(shown: Presentation) -> str:
    """Return a label that is another option's text, or that an option names; empty where there is none."""
    if not shown.shows_labels:
        return ""
    options, forms = shown.shown_options, option_forms(shown.question.options)
    for label, own in zip(shown.labels, options, strict=True):
        if fold_label(label) in forms and fold_label(label) != fold_label(own):
            return label
    about = _About(shown.question.stem, shown.question.context, options, shown.labels)
    return next((shown.labels[said.positions[0]] for text in options for said in about.tokens(plain(text))), "")


@lru_cache(maxsize=4096)
def option_forms(options: tuple[str, ...]) -> frozenset[str]:
    """Return the texts of options as labels are compared; a long text is no label."""
    return frozenset(fold_label(text) for text in options if len(text) <= MAX_LABEL) - {""}


def named_in_stem(question: Question, stem: str) -> list[int]:
    """Return the options that a wording of the stem refers to by letter or place, sorted."""
    about = _About(stem, question.context, question.options, LETTERS[: len(question.options)])
    return sorted(place for said in about.phrases(plain(stem)) for place in said.positions)


def claims(shown: Presentation) -> tuple[frozenset[int] | None, ...]:
    """Return by position the contents that each option says are right, read as shown; `None` where that is open."""
    about = _About(shown.question.stem, shown.question.context, shown.shown_options, shown.labels)
    found = (about.claim(position) for position in range(len(shown.order)))
    return tuple(None if said is None else frozenset(shown.order[position] for position in said) for said in found)


def fix_references(question: Question, labels: Sequence[str] = LETTERS) -> Question:
    """Return the question with options that name contents: "Both A and B" becomes "Both 2 and 3".

    It is a proposal: read it. Without references by letter or place the question comes back as it is.

    Raises:
        QuestionError: where words cannot be replaced for certain; rewrite them by hand.
    """
    if not find_references(question, labels).refers:
        return question
    k = len(question.options)
    about = _About(question.stem, question.context, question.options, tuple(labels[:k]) or LETTERS[:k])
    stem, words = question.stem, plain(question.stem)
    for said in about.phrases(words):
        named = [f'"{question.options[position]}"' for position in said.positions]
        stem = stem.replace(words[said.start : said.end], _listed(named))
    fixed = Question(
        stem, [about.rewritten(position) for position in range(len(question.options))], id=question.id,
        context=question.context, scores=question.scores, reverse_keyed=question.reverse_keyed, answer=question.answer,
        attributes=question.attributes,
    )  # fmt: skip
    if left := find_references(fixed, labels).refers:
        raise QuestionError(
            f"question {question.name!r} says {left!r}, which cannot be rewritten for certain. Name the contents by hand"
        )
    return fixed


class _Mention(NamedTuple):
    """Words of a text that name options, and the positions of these."""

    start: int
    end: int
    positions: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _About:
    """A question as it is shown, to look for references in. Options are meant by position."""

    stem: str
    context: str | None
    options: tuple[str, ...]
    labels: tuple[str, ...]

    @property
    def stays(self) -> tuple[int, ...]:
        return tuple(position for position in range(len(self.options)) if self._catch_all(position))

    def _catch_all(self, position: int) -> re.Match[str] | None:
        text = plain(self.options[position])
        if not START.match(text):
            return None
        hit = next((hit for form in CATCH_ALLS if (hit := form.fullmatch(text))), None)
        thing = "" if hit is None else hit.groupdict().get("thing") or ""
        return None if thing.lower().startswith("statement") and self._has_statements() else hit

    def _has_statements(self) -> bool:
        return self.context is not None or bool(OWN_STATEMENTS.search(self.stem.strip()))

    def _meant(self, hit: re.Match[str], position: int) -> tuple[int, ...] | None:
        """Return the plain options that a catch-all speaks of, or `None` where it leaves some out by their place."""
        side, stays = (hit.groupdict().get("side") or "").lower(), self.stays
        rest = [other for other in range(len(self.options)) if other not in stays]
        meant = [other for other in rest if not side or (other > position) == bool(re.fullmatch(DOWN, side))]
        of_two = side and hit["how"].lower() in ("both", "neither", "either")
        return None if meant != rest or (of_two and len(meant) != 2) else tuple(meant)

    def refers(self, position: int) -> bool:
        """Return whether an option names others by letter or place."""
        if hit := self._catch_all(position):
            return self._meant(hit, position) is None
        return bool(self.mentions(position) or EXCEPT.fullmatch(plain(self.options[position])))

    def mentions(self, position: int) -> list[_Mention]:
        """Return what an option names, in the order of its words."""
        text = plain(self.options[position])
        if tokens := self.tokens(text):
            return tokens
        hit = PLACED_OPTION.fullmatch(text)
        if hit is not None and not {"first", "last", "the first", "the last"} & {
            plain(o).lower() for o in self.options
        }:
            return [_Mention(*hit.span("all"), self._placed(hit["places"]))]
        if said := self.phrases(text):
            return said
        if hit := BARE_ABOVE.fullmatch(text):
            return [_Mention(*hit.span("all"), self._beside(hit["all"], position))]
        return [_Mention(*hit.span(), self._beside(hit[0], position)) for hit in BESIDE.finditer(text)]

    def tokens(self, text: str) -> list[_Mention]:
        """Return the labels that a whole option is made of: `Both A and B`, `A, C only`; none for a lone label."""
        hit = patterns(self.labels).option.fullmatch(text)
        if hit is None:
            return []
        found = self._named(hit, strong=bool(hit["lead"] or hit["thing"] or hit["tail"]), noun=bool(hit["thing"]))
        lone = len(found) == 1
        if lone and hit["thing"] and not (hit["lead"] or hit["tail"] or self._shows(hit["tokens"])):
            return []  # "Option 1" under letters is a name
        if lone and not (hit["lead"] or hit["thing"] or re.search(r"\b(?:only|alone|is|was|be)\b", hit["tail"])):
            return []
        if lone and hit["tokens"] != hit["tokens"].upper() and "(" not in hit["tokens"]:
            return []
        return [found[0]._replace(start=hit.start("thing")), *found[1:]] if found and hit["thing"] else found

    def phrases(self, text: str) -> list[_Mention]:
        """Return what running text names: `option A`, `options 1 and 3`, `which of A and B`, `the second option`."""
        found: list[_Mention] = []
        lower = text.lower()
        if not any(word in lower for word in SPEAKS):
            return found
        for hit in patterns(self.labels).phrase.finditer(text):
            named = self._named(hit, strong=True, noun=True)
            own = plain(hit[0]).lower() in {plain(option).lower() for option in self.options}
            if named and not (own and not self._shows(hit["tokens"])):
                start = hit.start() if hit["thing"] else hit.start("tokens")
                found.append(_Mention(start, hit.end(), tuple(said.positions[0] for said in named)))
        for hit in PLACED.finditer(text):
            if not (hit["own"] and self._has_statements()):
                found.append(_Mention(*hit.span(), self._placed(hit["places"])))
        return sorted(found)

    def _named(self, hit: re.Match[str], *, strong: bool, noun: bool) -> list[_Mention]:
        """Return the labels of a match; none where one of them is an option's text or cannot be a label here."""
        shown = {label.lower(): position for position, label in enumerate(self.labels)}
        found = []
        for token in patterns(self.labels).token.finditer(hit.string, *hit.span("tokens")):
            word = token[0].lower()
            position = shown.get(word, int(word) - 1 if word.isdecimal() else ord(word[0]) - ord("a"))
            counts = word in shown or (strong and (noun or not (word.isdecimal() or self._stem_says(word))))
            if not counts or (word in option_forms(self.options) and not hit["thing"]):
                return []
            (start, end), around = token.span(), hit.string
            bracketed = around[max(0, start - 1) : start] in ("(", "[") and around[end : end + 1] in (")", "]")
            found.append(_Mention(start - bracketed, end + bracketed, (position,)))
        return found

    def _shows(self, words: str) -> bool:
        tokens = {token.lower() for token in patterns(self.labels).token.findall(words)}
        return not tokens.isdisjoint(label.lower() for label in self.labels)

    def _stem_says(self, letter: str) -> bool:
        return bool(re.search(rf"(?<![\w'’]){letter.upper()}(?![\w'’])", f"{self.context or ''} {self.stem}"))

    def _placed(self, words: str) -> tuple[int, ...]:
        """Return the positions that words such as `first two` or `first and last` count."""
        k, places = len(self.options), words.lower().split()
        if places[-1] in COUNTS:
            n = min(k, 2 + COUNTS.index(places[-1]))
            return tuple(range(n)) if places[0] == "first" else tuple(range(k - n, k))
        ordinals = re.findall(ORDINAL, words.lower())
        return tuple(k - 1 if word == "last" else ORDINALS.index(word) for word in ordinals)

    def _beside(self, words: str, position: int) -> tuple[int, ...]:
        """Return the positions that words such as `the option above` name from here."""
        words = words.lower()
        down = bool(re.search(rf"\b(?:{DOWN}|next)\b", words))
        many = re.search(r"s\b", re.sub(r"\bprevious\b", "", words)) or "two" in words or words == "above"
        if many:
            return tuple(range(position + 1, len(self.options)) if down else range(position))
        return (position + 1 if down else position - 1,)

    def claim(self, position: int) -> tuple[int, ...] | None:
        """Return the positions that an option says are right: itself, those that it stands for, or none."""
        text = plain(self.options[position])
        if hit := self._catch_all(position):
            how, meant = hit["how"].lower(), self._meant(hit, position)
            return () if how in ("none", "neither", "no") else meant if how in ("all", "both") else None
        said = [place for mention in self.mentions(position) for place in mention.positions]
        if not said:
            return None if EXCEPT.fullmatch(text) else (position,)
        return () if DENIES.match(text) else None if HEDGES.match(text) else tuple(said)

    def rewritten(self, position: int) -> str:
        """Return an option with contents in place of what it names, as it is where that is not certain."""
        text = plain(self.options[position])
        if self._catch_all(position) or not (said := self.mentions(position)):
            return self.options[position]
        plain_ones = {n for n in range(len(self.options)) if n != position and not self.refers(n)} - set(self.stays)
        if not {place for mention in said for place in mention.positions} <= plain_ones:
            return self.options[position]
        for mention in reversed(said):
            named = _listed([self.options[place] for place in mention.positions])
            text = text[: mention.start] + named + text[mention.end :]
        return text


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
