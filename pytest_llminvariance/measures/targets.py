"""What a label, an option, or both of them at one place say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_llminvariance.measures.wording import GAP, WORD_LABELS, ShownQuestion, Span, words

OPENERS = re.compile(r"[\s\"'(\[{*¡]*")


@dataclass(frozen=True, slots=True)
class Claim:
    """What a stretch of text claims; `position` is `None` where it claims nothing that can be read."""

    position: int | None
    rule: str
    end: int
    start: int = 0
    tier: int = 0
    """0 stands there, 1 is announced, 2 is announced as final."""
    language: str | None = None


def target(shown: ShownQuestion, text: str, start: int) -> Claim | None:
    """Read the label, the option, or both, that start exactly there."""
    label, option = shown.label_at(text, start), shown.text_at(text, start)
    if label is not None and (option is None or option.end <= label.end):
        both = _label_and_text(shown, text, label)
        if both is not None:
            return both
    if option is not None:
        bracketed = re.compile(rf" ?[(](?:option |choice |answer )?({shown.any_label.pattern})[)]").match(
            text, option.end
        )
        if bracketed is not None and shown.labels[bracketed[1]] in option.positions:
            return Claim(shown.labels[bracketed[1]], "label and text", bracketed.end())
        if bracketed is not None:
            return Claim(None, disagree_rule(shown), bracketed.end())
    several = _several(shown, text, start)
    if several is not None:
        return several
    if option is not None and (label is None or option.end > label.end):
        only = len(option.positions) == 1
        return Claim(
            min(option.positions) if only else None, "option text" if only else "ambiguous option text", option.end
        )
    if label is None:
        return None
    if option is not None and option.positions != label.positions:
        return Claim(None, "ambiguous label", label.end)
    return Claim(min(label.positions), "label", label.end)


def _label_and_text(shown: ShownQuestion, text: str, label: Span) -> Claim | None:
    gap = GAP.match(text, label.end)
    named = shown.text_at(text, gap.end()) if gap else None
    if gap is None or named is None or (not gap[0] and label.end == named.start):
        return None
    if label.positions <= named.positions:
        return Claim(min(label.positions), "label and text", named.end)
    loose = text[label.start : label.end] in WORD_LABELS and not gap[0].strip()
    listed = "," in gap[0] and named.positions.isdisjoint(label.positions) and named.end - named.start <= 1
    return None if loose or listed else Claim(None, disagree_rule(shown), named.end)


def disagree_rule(shown: ShownQuestion) -> str:
    """Return the name of the rule; ratings have one of their own, so that a report can count them."""
    return "label and text disagree" if shown.highest is None else "number and words disagree"


def _several(shown: ShownQuestion, text: str, start: int) -> Claim | None:
    """Return a claim of two answers if what starts there is joined with another label or option."""
    first = shown.text_at(text, start) or shown.label_at(text, start)
    join = first and words().join.match(text, first.end)
    if not first or not join:
        return None
    for at in dict.fromkeys(starts(shown, text, join.end(), doubt=True)):
        second = shown.text_at(text, at) or shown.label_at(text, at)
        loose = second and text[at : second.end] in WORD_LABELS and re.compile(r"\s+\w").match(text, second.end)
        if second and not loose and second.positions != first.positions:
            return Claim(None, "two answers", second.end)
    return None


def starts(shown: ShownQuestion, text: str, at: int, *, doubt: bool = False) -> Iterator[int]:
    """Yield where an option may stand: there, and after words such as `option`, that are no labels."""
    while True:
        yield at
        opened = OPENERS.match(text, at)
        if opened and opened.end() > at:
            at = opened.end()
            yield at
        skipped = words().lead.match(text, at) or (words().doubt.match(text, at) if doubt else None)
        if skipped is None or (skipped[0] in shown.labels and not text[skipped.end() :].startswith(" ")):
            return
        at = skipped.end()
