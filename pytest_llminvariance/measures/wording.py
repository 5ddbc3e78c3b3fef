"""English wording as patterns, and the folded form of a text in which they are looked for.

Everything here says how an answer may be written; which part of it decides is said in `parsing`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_llminvariance.questions.labels import fold, fold_label

WORD_LABELS = frozenset("aioeyu")
_COMMON = frozenset(
    re.findall(r"\w+", "no yes true false none all some any both either neither other never always often it")
)
_EDGE_BEFORE = re.compile(r"(?:^|[.,;:!?\n(\"']|\b(?:is|are|be|say|answer))\s*[\"'(]*$")
_EDGE_AFTER = re.compile(r"[\"')]*\s*(?:[.,;:!\n]|\Z)")
END = r"[\"'*]*(?:\s*\Z| *\n|[.;:!](?![\w.*])| *[)\]}]| = |,? (?:because|since)\b)"
END_PLAIN = rf"(?:{END}|[\"'*]*(?:,(?!\w)| - | \(| (?:as|which|given|due|based|but|in|for|from|with|not)\b))"
STOP = re.compile(r"[\"')\]]*(?:\s*\Z| *\n|[.!](?![\w.])|,? (?:because|since)\b)")
GAP = re.compile(r"[ )\].:=,\"'*(\-]*")
ONLY_MARKS = re.compile(r"[\s.!,;:)\]}\"'*]*\Z")
LEAD_IN = re.compile(
    r"\s*(?:(?:that|the|option|choice|answer|letter|number|label|statement|clearly|definitely|probably|likely|most"
    r"|simply|indeed|actually|obviously|either|both|maybe|perhaps)\s+)*[\"'(\[{*]*"
)
JOIN = re.compile(r"[\"')\]}]*\s?(?:(?P<word>,? ?(?:and/or|and|or)\b)|[,/&+:])")
VERB = re.compile(r"\s+(?:is|was|has|would|can|does)\b")
WRONG = re.compile(
    r"[\"')\]}]*\s*(?:(?:is|are|was|seems?|would be|must be)\s+(?:\w+ly\s+)?"
    r"(?:wrong|incorrect|false|untrue|not|out)\b"
    r"|(?:isn't|wasn't|aren't|cannot|can't|can not|does not|doesn't|wouldn't|would not|could not|couldn't)\b)"
)
RIGHT = re.compile(
    r"[\"')\]}]*\s(?:is|would be|must be|seems(?: to be)?)\s+(?P<also>also )?(?:\w+ly\s+)?"
    r"(?:(?:the|my)\s+)?(?:(?:most|best|only)\s+)?(?:correct|true|(?:final )?answer|choice|"
    r"right(?=\s*(?:[.,;!\n]|\Z|answer|choice|option|one|because)))\b"
)
NOT_NEXT = re.compile(
    r"(?:\bnot|n't|\bnever|\bneither|\bnor|\brather than|\binstead of|\bexcept)"
    r"\s+(?:(?:the|in|be|an?|option|answer|choice)\s+)*[\"'(\[]*$"
)
NEGATION = re.compile(r"(?:\b(?:not(?! only)|no(?! doubt)|never|neither|nor|cannot|unable|hardly|without)|n't)\b")
UNREAL = re.compile(
    r"\b(?:suppose|assuming|whether|unless|both|either"
    r"|if(?! (?:i (?:had|have|must|were)|forced|pressed|asked)))\b"
)
REVISION = re.compile(r"\b(?:but|wait|actually|however|instead|correction|therefore|thus|hence|so|finally)\b")
ANSWER = re.compile(
    r"(?P<final>\bfinal\s+|^(?:(?:so|thus|therefore|hence),? )?(?:the |my )?(?:correct )?"
    r"(?=(?:answer|choice)\s*[:=]))?"
    r"\b(?P<noun>answer|choice|option|selection|pick|response)\b[\"'\])}]*"
    r"(?: (?:to|for|here)\b[^.:?!\n]{0,80}?)?"
    r"\s*(?:[:=]|\b(?:is|would be|should be|must be|will be|has to be)\b\s*:?)", re.M,
)  # fmt: skip
SAY = re.compile(
    r"(?:^|(?<=[.!?:;,] )|\b(?:but|so|and|then|therefore|thus),? |"
    r"\bi(?:'(?:d|ll|m|ve))? (?:(?:would|will|have|had|to|must|do|can|could|am|might|probably"
    r"|likely|personally|definitely|therefore|thus|still|only|now|also|rather) )*)"
    r"(?:(?:choos(?:e|ing)|chose|pick|select|go(?:ing)? (?:with|for)|opt for|vote for|prefer|think|believe"
    r"|guess|say|answer)\b(?: (?:that|it is|it's|it must be|it would be|it should be))*"
    r"|(?:it is|it's|that's|that is|therefore|thus|hence|so|sure)\b)[:,]?", re.M,
)  # fmt: skip
_ABLE = (
    "answer|help|assist|choose|select|pick|provide|say|tell|comply|give|do|engage|respond|make|discuss"
    "|take|offer|express|share|decide|judge"
)
REFUSAL = re.compile(
    r"\bas an? (?:\w+ )?(?:ai|artificial intelligence|(?:large )?language model|assistant)\b"
    r"|\bsorry,? but\b"
    rf"|\bi (?:can ?not|can't|could not|couldn't|won't|will not)(?: \w+ly)? (?:{_ABLE})\b"
    r"|\bi(?: am|'m) (?:not able|unable|not allowed|not in a position) to\b|\bi"
    r"(?: must| have to| would)? (?:refuse|(?:respectfully )?decline|prefer not|(?:would )?rather not)\b"
    r"|\bi'd (?:rather|prefer) not\b"
    r"|\bi (?:do not|don't) (?:know|have (?:any |a )?(?:personal )?"
    r"(?:opinions?|preferences?|beliefs?|feelings?))\b"
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
    ended_label: re.Pattern[str]
    """A label with something after it that ends a claim; stricter for labels that are English words."""
    marked_label: re.Pattern[str]

    def text_at(self, text: str, start: int) -> Span | None:
        """Return the longest option text that starts exactly there."""
        found = self.texts.match(text, start)
        return None if found is None or _in_grapheme(text, found.end()) else self._span(found)

    def option_texts(self, text: str) -> Iterator[Span]:
        """Yield what is written as an option, the longest from left to right."""
        for found in self.texts.finditer(text):
            if not _in_grapheme(text, found.end()):
                yield self._span(found)

    def mentions(self, text: str) -> Iterator[Span]:
        """Yield option texts and marked labels, leaving out common words in running prose."""
        for span in self.option_texts(text):
            word = text[span.start : span.end]
            alone = _EDGE_BEFORE.search(text[: span.start]) and _EDGE_AFTER.match(text, span.end)
            if alone or not (word in _COMMON or (len(word) == 1 and word.isalpha())):
                yield span
        for found in self.marked_label.finditer(text):
            yield Span(found.start(), found.end(), frozenset({self.labels[found[found.lastindex or 0]]}))

    def _span(self, found: re.Match[str]) -> Span:
        return Span(found.start(), found.end(), self.forms[" ".join(found[0].split())])


def answer_body(text: str) -> str:
    """Return the folded answer without reasoning, markup, and what a next question starts."""
    text = "\n".join(fold(text).splitlines()).rpartition("</think>")[2]
    text = re.sub(r"<\|[^|>\n]*\|>|</?s>|</?(?:b|i|em|strong|p)>", "", text)
    text = re.sub(r"\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}", r"\nfinal answer: \1\n", text)
    text = re.sub(r"<answer>(.*?)</answer>", r"\nfinal answer: \1\n", text, flags=re.S)
    text = re.sub(r"\$(\w+)\$", r"\1", re.sub(r"[^\S\n]+", " ", text)).strip()
    text = re.sub(r"^ *(?:[-*>•#]+ +)*", "", text, flags=re.M).strip()
    return re.split(r"(?<=\n)(?:question|q|user|human)(?: ?\d+)? ?[:.]", text, maxsplit=1)[0].strip()


def as_patterns(labels: Sequence[str], options: Sequence[str]) -> ShownQuestion:
    """Return labels and options, by shown position, as patterns.

    Raises:
        ValueError: for fewer than two options, different lengths, a blank label, or labels equal after casefold.
    """
    if len(labels) != len(options) or len(labels) < 2:
        raise ValueError(f"need two or more labels and as many options, got {labels!r} and {options!r}")
    at: dict[str, int] = {}
    for position, label in enumerate(labels):
        folded = fold_label(label) or fold(label).strip()
        if not folded or folded in at:
            raise ValueError(f"label {label!r} is {'blank' if not folded else 'not distinct'} in {labels!r}")
        at[folded] = position
    forms = _forms(options)
    spelled = sorted(at, key=len, reverse=True)
    every = "|".join(map(re.escape, spelled))
    plain = "|".join(re.escape(label) for label in spelled if label not in WORD_LABELS) or r"(?!)"
    words = "|".join(re.escape(label) for label in spelled if label in WORD_LABELS) or r"(?!)"
    start = r"(?<!\w)(?<!\w')"
    return ShownQuestion(
        labels=at,
        forms=forms,
        texts=re.compile("|".join(map(_bounded, sorted(forms, key=len, reverse=True))) or r"(?!)"),
        any_label=re.compile(rf"{start}(?:{every})(?!\w)"),
        ended_label=re.compile(rf"{start}(?:(?:{plain})(?!\w)(?={END_PLAIN})|(?:{words})(?!\w)(?={END}))"),
        marked_label=re.compile(
            rf"(?<!\w)[(\[]({every})[)\]]|\b(?:option|choice|answer|letter) [\"'(\[]*"
            rf"(?:({plain})(?!\w)(?![-'.]\w)|({words})(?={END}| (?:is|was|and|or)\b))"
        ),
    )


def _forms(options: Sequence[str]) -> dict[str, frozenset[int]]:
    """Map each way of writing an option to its positions: as given, else without quotes and final marks."""
    full: dict[str, frozenset[int]] = {}
    bare: dict[str, frozenset[int]] = {}
    folded = [" ".join(fold(option).split()) for option in options]
    for position, form in enumerate(folded):
        core = form.rstrip(".!?,;: ").strip("\"'")
        for forms, key in ((full, form), (bare, core if core not in folded else "")):
            if key:
                forms[key] = forms.get(key, frozenset()) | {position}
    return full | bare


def _bounded(form: str) -> str:
    """Return a pattern for an option that is no part of a longer word, number, or compound."""
    before = r"(?<!\w)(?<!\w['-])" + (r"(?<![-+^.])(?<!\d[,/:])" if form[0].isdigit() else "")
    after = r"(?!\w)(?!-\w)" + (r"(?![+#])" if form[-1].isalnum() else f"(?!{re.escape(form[-1])})")
    after += r"(?![.,/:^]\d)(?! ?%)" if form[-1].isdigit() else ""
    return before + r"\s+".join(map(re.escape, form.split())) + after


def _in_grapheme(text: str, end: int) -> bool:
    return end < len(text) and unicodedata.category(text[end]).startswith("M")
