r"""Read which option a generated text chooses, and never guess.

Rules, in this order; the first that applies decides:

1. unfinished: a thought was opened and not closed (`models.thoughts` has the marks), or the tokens ran out
   before a claim that opens the text or is announced as final.
2. empty: nothing is left without thoughts, markup, and what follows a next `Question:`. The question said
   again, and lines that show all the options again, are then cut.
3. The whole text is an option, letter for letter.
4. Claims (`claims`): a sentence that is a label, an option, or both, and nothing else; a phrase of a known
   language (`language_table`) that opens a clause: `the answer is Paris`, `I choose B`, `B is correct`; a
   box, an answer in JSON; a statement that answers the question in its own words (`statements`). The last
   claim stands if all agree, if it is announced more surely than those that disagree, or after a word of
   revision (`but`, `wait`). Else: two answers. A sentence after it that calls it wrong takes it back.
5. refusal: the text declines to answer, in a known language. A claim wins over a refusal.
6. Otherwise unparsed: two answers, negated, only mentioned, no answer.

Knows: the longest option wins, at word boundaries, after NFKC and casefold. Rejection, doubt, condition, and
what others say are never read as a choice in any language of the table, whichever language is written. A
number before words that mean another option is unparsed (`number and words disagree`), and so is a list's
numeral. A label with another option's text disagrees with it; a label that is also an option's text is
ambiguous.
Does not know: languages outside of the table (bare labels and options are read in any); paraphrases of an
option; irony; names that no phrase sets apart (`Paris, which is in Texas`).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pytest_llminvariance.measures.claims import UNREAD, claims_of, whole
from pytest_llminvariance.measures.statements import stated
from pytest_llminvariance.measures.targets import Claim, target
from pytest_llminvariance.measures.wording import ONLY_MARKS, Page, as_patterns, read_page, words
from pytest_llminvariance.models.thoughts import after_thoughts

_SHORT = 5
"""Words of a sentence that takes back what was said before it without naming it: `No, that is wrong.`"""


class Outcome(enum.Enum):
    """Say whether a text chose, refused, was cut off, or could not be read."""

    CHOSEN = "chosen"
    REFUSED = "refused"
    UNFINISHED = "unfinished"
    UNPARSED = "unparsed"


@dataclass(frozen=True, slots=True)
class ParsedText:
    """What a text answers, and the rule that decided."""

    outcome: Outcome
    position: int | None
    """The shown position that was chosen; `None` unless `CHOSEN`."""
    rule: str
    language: str | None = None
    """Code of the entry of the language table that read it; `None` where no language was needed."""

    @property
    def reading(self) -> str:
        """How it was read, in words to be counted: `en: announced label`, `unparsed: two answers`."""
        said = self.rule if self.language is None else f"{self.language}: {self.rule}"
        return said if self.outcome is Outcome.CHOSEN else f"{self.outcome.value}: {said}"


def parse_choice(
    text: str, *, labels: Sequence[str], options: Sequence[str], stem: str | None = None, ran_out: bool = False
) -> ParsedText:
    """Read which of the shown options `text` chooses.

    `labels[i]` and `options[i]` stand at shown position i; `stem` is the question, `ran_out` says that the text
    ended because its tokens ran out. Raise `ValueError` for fewer than two options, different lengths, a blank
    label, or labels equal after casefold.

    >>> parse_choice("The answer is (B).", labels=["A", "B"], options=["Berlin", "Paris"])
    ParsedText(outcome=<Outcome.CHOSEN: 'chosen'>, position=1, rule='announced label', language='en')
    >>> parse_choice("B. Berlin", labels=["A", "B"], options=["Berlin", "Paris"]).rule
    'label and text disagree'
    """
    shown = as_patterns(labels, options)
    answer = after_thoughts(text)
    if answer is None:
        return ParsedText(Outcome.UNFINISHED, None, "open thought")
    page = read_page(shown, answer, stem)
    if not page.text and not ran_out:
        return ParsedText(Outcome.UNPARSED, None, "empty")
    page = _without_listing(page)
    exact = whole(page)
    claims = [*claims_of(page), *stated(page, stem)] if exact is None else [exact]
    claim = _decide(claims, page)
    if ran_out and not any(_is_final(page, one) for one in claims if claim and one.position == claim.position):
        return ParsedText(Outcome.UNFINISHED, None, "tokens ran out")
    if claim is not None:
        outcome = Outcome.UNPARSED if claim.position is None else Outcome.CHOSEN
        return ParsedText(outcome, claim.position, claim.rule, claim.language)
    language = _declined(page, 0, len(page.text))
    if language is not None:
        return ParsedText(Outcome.REFUSED, None, "refusal", language)
    return ParsedText(Outcome.UNPARSED, None, _why_unread(page))


OPENING = 300
"""Characters in which a text must decline, where it is to be read as a refusal; later ones are part of an answer."""


def parse_refusal(text: str, *, ran_out: bool = False) -> ParsedText:
    """Read whether a text answers (`CHOSEN`, without a position) or refuses; what it answers is not read.

    A text that was cut off before it declined is unfinished: it may have come to that.
    """
    answer = after_thoughts(text)
    if answer is None:
        return ParsedText(Outcome.UNFINISHED, None, "open thought")
    page = read_page(as_patterns(["\ue000", "\ue001"], ["\ue000\ue000", "\ue001\ue001"]), answer, None)
    language = _declined(page, 0, min(OPENING, len(page.text)))
    if language is not None:
        return ParsedText(Outcome.REFUSED, None, "refusal", language)
    if ran_out:
        return ParsedText(Outcome.UNFINISHED, None, "tokens ran out")
    return ParsedText(Outcome.CHOSEN if page.text else Outcome.UNPARSED, None, "answered" if page.text else "empty")


def _declined(page: Page, start: int, end: int) -> str | None:
    """Return the language in which a stretch of text declines to answer, or `None`."""
    return next((code for code, refusal in words().refusals if refusal.search(page.masked, start, end)), None)


def _is_final(page: Page, claim: Claim) -> bool:
    """Return whether a text that was cut off had already said its answer: first of all, or as final."""
    if claim.position is None:
        return False
    said = " ".join(page.text[claim.start : claim.end].split()).strip(" .\"'(")
    known = page.shown.labels if said in page.shown.labels else page.shown.forms
    if claim.end >= len(page.text) and any(form.startswith(said) and form != said for form in known):
        return False
    start, _, _ = page.sentence(claim.start, claim.end)
    return claim.tier > 1 or not page.text[:start].strip()


def _decide(claims: Sequence[Claim], page: Page) -> Claim | None:
    """Return the last claim, if those that disagree with it are less sure or revised."""
    claims = sorted(claims, key=lambda claim: claim.start)
    known = [claim for claim in claims if claim.rule != UNREAD or claim is claims[-1]]
    if not known:
        return None
    last = known[-1]
    agreeing = [claim for claim in known if claim.position == last.position]
    rivals = [claim for claim in known if claim.position != last.position]
    revised = rivals and words().revise.search(page.masked, rivals[-1].end, last.end)
    if rivals and not revised and last.tier <= max(rival.tier for rival in rivals):
        return Claim(None, "two answers", last.end)
    if _taken_back(page, last):
        return Claim(None, "negated", last.end)
    return replace(max(agreeing, key=lambda claim: claim.tier), end=last.end)


def _taken_back(page: Page, claim: Claim) -> bool:
    """Return whether a later sentence denies the option that was claimed, or calls what was said wrong."""
    for start, stop, _ in page.sentences():
        if start < claim.end or claim.position is None:
            continue
        if words().retract.search(page.masked, start, stop):
            return True
        because = words().reason.search(page.masked, start, stop)
        stop = because.start() if because else stop
        named = page.shown.named(page.text[start:stop])
        if named == {claim.position} and words().deny.search(page.masked, start, stop):
            return True
        short = len(page.text[start:stop].split()) <= _SHORT
        if short and not named and words().deny.search(page.masked, start, stop) and not _declined(page, start, stop):
            return True
    return False


def _without_listing(page: Page) -> Page:
    """Cut the first run of lines that shows every option again."""
    rows = [(found.start(), found.end()) for found in re.finditer(r"[^\n]+", page.text)]
    n_options = len(page.shown.labels)
    for first in range(len(rows) - n_options + 1):
        run = rows[first : first + n_options]
        if {_filled(page, *row) for row in run} == set(page.shown.labels.values()):
            start, end = run[0][0], run[-1][1]
            cut = [f"{part[:start]}\n{part[end:]}" for part in (page.text, page.masked)]
            lead = len(cut[0]) - len(cut[0].lstrip())
            kept = [part[lead : lead + len(cut[0].strip())] for part in cut]
            return replace(page, text=kept[0], masked=kept[1])
    return page


def _filled(page: Page, start: int, end: int) -> int | None:
    claim = target(page.shown, page.text, start)
    return claim.position if claim and ONLY_MARKS.match(page.text[:end], claim.end) else None


def _why_unread(page: Page) -> str:
    shown, text = page.shown, page.text
    for at in {span.start for span in shown.option_texts(text)} | {
        found.start() for found in shown.any_label.finditer(text)
    }:
        claim = target(shown, text, at)
        if claim is not None and claim.rule == "two answers":
            return claim.rule
    mentioned: set[frozenset[int]] = set()
    denied = False
    for start, stop, asks in page.sentences():
        found = {span.positions for span in shown.mentions(text[start:stop])}
        undone = asks or words().deny.search(page.masked, start, stop) or words().doubt.search(page.masked, start, stop)
        denied = denied or bool(found and undone)
        mentioned |= set() if undone else found
    if len(mentioned) > 1:
        return "two answers"
    return "only mentioned" if mentioned else "negated" if denied else "no answer"
