"""English phrases in which options speak of options, as patterns.

They match a text in one line, with single blanks, without quotes and without the mark at its end (`plain`).
Another language is a second set of these patterns.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache

from pytest_llminvariance.questions.template import LETTERS

OPTION = r"(?:options?|choices?|alternatives?)"
THING = rf"(?:(?:answer )?{OPTION}|answers?|responses?)"
LISTED = rf"(?:{THING}|statements?|items?|possibilities)"
TRUE = r"(?:correct|true|right|false|wrong|incorrect|valid|invalid|possible|applicable|appropriate|acceptable|suitable)"
IS = rf" (?:(?:is|are|was|were|(?:can|could|may) be) )?(?:both |all |equally |not )?(?:{TRUE}|appl(?:y|ies))"
UP, DOWN = "above|foregoing|aforementioned|previous|preceding", "below|following"
NAMED = "(?:[ -](?:mentioned|listed|named|stated|given))?"
WHOLE = "all|none|both|neither|either|any|each|every"
SOME = "some|most|several|one|two|three|(?:more than|at least|exactly|only) (?:one|two)|not all|not any"
CATCH_ALLS = tuple(
    re.compile(rf"(?:(?:it|they|the answer|there) (?:is|are) )?{form}(?:{IS})?", re.IGNORECASE)
    for form in (
        rf"(?P<how>{WHOLE}) (?:of )?(?:the |these |those )?(?P<side>above|foregoing|aforementioned){NAMED}(?: \w+s)?",
        rf"(?P<how>{WHOLE}|{SOME}) of (?:the |these )(?P<side>{UP}|{DOWN}){NAMED}(?: (?:{LISTED}|\w+s))?",
        rf"(?P<how>{WHOLE}|{SOME}) of (?:these|those|them)(?: (?:{LISTED}|\w+s))?",
        rf"(?P<how>{WHOLE}) (?:these|those|(?:of )?(?:the )?others?)(?: {LISTED})?",
        rf"(?P<how>{WHOLE}) (?:of )?(?:the |these |those )?(?:listed |given |provided |stated |presented )?"
        rf"(?P<thing>{LISTED})(?: (?:listed|given|provided|here|(?P<side>above|below)))?",
        rf"(?P<how>{WHOLE}) (?:of )?(?:the )?(?P<side>{UP}|{DOWN}) (?P<thing>{LISTED})",
        rf"(?P<how>no) {TRUE} {THING}",
        rf"(?P<how>no) {THING}(?={IS})",
        rf"(?P<how>all|none|both|neither)(?={IS})",
        r"(?P<how>both|neither|either)(?: one)?",
    )
)
"""Whole options that stand for the others, whatever these are. "All" or "None" alone can be any content."""
START = re.compile(rf"(?:{WHOLE}|some|most|several|one|two|three|more|at|exactly|only|not?|it|they|the|there)\b", re.I)
"""First words of catch-alls, to pass over other options at once."""
EXCEPT = re.compile(rf"(?:{WHOLE}) (?:of )?(?:the )?(?:{UP}|these|{DOWN})\b.*\b(?:except|but)\b.*", re.IGNORECASE)

ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
COUNTS = ("two", "three", "four", "five")
ORDINAL = rf"(?:{'|'.join(ORDINALS)}|last)"
ORDINAL_LIST = rf"{ORDINAL}(?:(?:,| and| or| nor)+ (?:the )?{ORDINAL})"
END = rf"(?:first|last) (?:{'|'.join(COUNTS)})"
PLACED = re.compile(
    rf"\b(?:the )?(?P<places>{END}|{ORDINAL_LIST}*) "
    r"(?:(?:answer )?options?|alternatives?|answers|(?:answer )?choices|(?P<own>statements?))\b",
    re.IGNORECASE,
)
"""Counts options from one end, in running text."""
PLACED_OPTION = re.compile(
    rf"(?:(?:both|only|neither|either) )?(?:of )?(?P<all>(?:the )?(?P<places>{END}|{ORDINAL_LIST}+)(?: ones?)?)"
    rf"(?: only| above)?(?:{IS})?",
    re.IGNORECASE,
)
"""Counts options from one end, as a whole option: "The first two"."""
BESIDE = re.compile(
    rf"\b(?:the )?{THING} (?:directly |immediately |just |listed |given )*(?P<side>above|below)\b"
    rf"|\b(?:the )?(?P<before>{UP}|{DOWN}|next) (?:answer )?(?:{OPTION}|answers?)\b",
    re.IGNORECASE,
)
"""Names an option by where it stands from here."""
BARE_ABOVE = re.compile(
    rf"(?:(?:both|neither|either|same|see|as|like) )*(?:as )?(?P<all>(?:the )?(?:one |two )?(?:directly |just )?above(?: one| two)?)(?:{IS})?",
    re.IGNORECASE,
)
OWN_STATEMENTS = re.compile(r"[.!?:;]\s|\n|\bstatement \w\b|(?:^|\s)\(?(?:\d|[ivx]+|[a-h])[.):]\s", re.IGNORECASE)
"""A stem with statements of its own: its second statement is no option."""

QUOTES = re.compile(r"[\"“”‘*`]|(?<!\w)['’]|['’](?!\w)")

LEAD = (
    r"(?:(?:both|either|neither|only|just|not|none of|all of|any of|one of|each of|all but|(?:all|everything|any) except(?: for)?"
    r"|(?:every|any)thing but|(?:the )?same as|as in|(?:all|none|any) of the above,? (?:except|but)(?: for)?) )*"
)
BETWEEN = r"(?: ?, ?(?:(?:and|or|nor|but not) )?| ?& ?| (?:and/or|and|or|nor|but not|as well as) )"
TAIL = rf"(?:,? (?:only|alone|together|above|combined))*(?:{IS})?"
DENIES = re.compile(r"(?:neither|not|none of|no)\b", re.IGNORECASE)
HEDGES = re.compile(
    r"(?:either|any of|one of|all but|all except|every|any)\b|.*\b(?:or|but not|except|false|wrong|incorrect|not)\b",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Patterns:
    """What finds the labels of one question."""

    token: re.Pattern[str]
    option: re.Pattern[str]
    """A whole option made of labels: `Both A and B`, `A, C only`."""
    phrase: re.Pattern[str]
    """Labels in running text: `option A`, `options 1 and 3`, `which of A, B and C`."""


@lru_cache(maxsize=256)
def patterns(labels: tuple[str, ...]) -> Patterns:
    """Return what finds these labels, and as many letters and numbers."""
    k, edge = len(labels), r"(?![\w'’]|-\w)"
    words = _any_of([*labels, *LETTERS[:k], *map(str, range(1, k + 1))])
    letters, numbers = _any_of([*labels, *LETTERS[:k]]), _any_of([str(n) for n in range(1, k + 1)])
    token = rf"(?:[(\[] ?(?:{words}) ?[)\]]|(?<!\w)(?:{words})[.)]?{edge})"
    exact = rf"(?:[(\[] ?(?:{words}) ?[)\]]|(?<!\w)(?-i:{letters}){edge})"
    either = rf"(?:{exact}|(?<!\w)(?:{numbers}){edge})"
    option = (
        rf"(?P<lead>{LEAD})(?:the )?(?P<thing>(?:{THING}|statements?) )?"
        rf"(?P<tokens>{token}(?:{BETWEEN}(?:{THING} )?{token})*)(?P<tail>{TAIL})"
    )
    phrase = (
        rf"\b(?:(?P<thing>{OPTION} (?={either})|(?:answer )?(?:{OPTION}|answers?|responses?) (?={exact}))"
        rf"|(?:which|any|each|all|none|some|one|either|neither|both) of (?={exact}{BETWEEN}))"
        rf"(?P<tokens>{either}(?:{BETWEEN}(?:{OPTION} )?{either})*)"
    )
    found = (rf"(?<!\w)(?:{words}){edge}", option, phrase)
    return Patterns(*(re.compile(pattern, re.IGNORECASE) for pattern in found))


SPEAKS = ("option", "choice", "alternative", "answer", "response", "statement", " of ")
"""Running text that names options has one of these."""


def _any_of(words: list[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(set(words), key=lambda word: (-len(word), word)))


@lru_cache(maxsize=4096)
@lru_cache(maxsize=256)  # each option some times in a row
def plain(text: str) -> str:
    """Return a text as the patterns match it."""
    form = QUOTES.sub("", unicodedata.normalize("NFKC", text))
    return " ".join(form.split()).rstrip(".!;: ")
