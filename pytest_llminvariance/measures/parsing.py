r"""Read which option a generated text chooses, and never guess.

Rules, in this order; the first that applies decides:

1. empty: nothing is left without markup, reasoning (up to `</think>`) and what follows a next `Question:`.
   Lines that show all the options again are then cut.
2. The whole text is one claim: a label, an option text, or a label with its own option text.
3. Claims inside the text, in three tiers: it only stands there (opens the text, fills a line, is the last
   sentence); it is announced (`the answer is Paris`, `I would choose B`, `B is correct`); it is announced as
   final (`Answer:` opening a line, `final answer`, a box). The last claim stands if all agree, if its tier is
   higher than that of those that disagree, or after a word of revision (`but`, `wait`). Else: two answers.
   A refusal after the claim, or a last announcement that names no option, leaves the text unparsed.
4. refusal: outside of option texts, the text declines to answer.
5. Prose affirms exactly one option text or marked label (`(B)`, `option B`), and mentions no other except to
   reject it (`not B`, `A is wrong`).
6. Otherwise unparsed: two answers, negated, no answer.

Knows: the longest option wins, at word boundaries, after NFKC and casefold. A label in prose is only read if
announced or marked, so the article `A` and the pronoun `I` are not labels. A label with another option's text
disagrees with it; a label that is also another option's text is ambiguous.
Does not know: cues and refusals that are not English; scripts without spaces (only whole texts and claims are
read); paraphrases of an option; units (`2 million` mentions `2`); irony, hedging (`maybe B` is B), and whose
opinion is told (`some say the answer is A`).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from pytest_llminvariance.measures.wording import (
    ANSWER,
    END,
    END_PLAIN,
    GAP,
    JOIN,
    LEAD_IN,
    NEGATION,
    NOT_NEXT,
    ONLY_MARKS,
    REFUSAL,
    REVISION,
    RIGHT,
    SAY,
    STOP,
    UNREAL,
    VERB,
    WORD_LABELS,
    WRONG,
    ShownQuestion,
    Span,
    answer_body,
    as_patterns,
)


class Outcome(enum.Enum):
    """Say whether a text chose, refused, or could not be read."""

    CHOSEN = "chosen"
    REFUSED = "refused"
    UNPARSED = "unparsed"


@dataclass(frozen=True, slots=True)
class ParsedText:
    """What a text answers, and the rule that decided."""

    outcome: Outcome
    position: int | None
    """The shown position that was chosen; `None` unless `CHOSEN`."""
    rule: str


@dataclass(frozen=True, slots=True)
class _Claim:
    position: int | None
    rule: str
    end: int
    start: int = 0
    tier: int = 0
    """0 stands there, 1 is announced, 2 is announced as final."""


@dataclass(frozen=True, slots=True)
class _Row:
    start: int
    end: int
    claim: _Claim | None
    filled: bool
    """The claim is all there is in the line."""


def parse_choice(text: str, *, labels: Sequence[str], options: Sequence[str]) -> ParsedText:
    """Read which of the shown options `text` chooses.

    `labels[i]` and `options[i]` stand at shown position i. Raise `ValueError` for fewer than two options,
    different lengths, a blank label, or labels equal after casefold.

    >>> parse_choice("The answer is (B).", labels=["A", "B"], options=["Berlin", "Paris"])
    ParsedText(outcome=<Outcome.CHOSEN: 'chosen'>, position=1, rule='announced label')
    >>> parse_choice("B. Berlin", labels=["A", "B"], options=["Berlin", "Paris"]).rule
    'label and text disagree'
    """
    shown = as_patterns(labels, options)
    body = answer_body(text)
    if not body:
        return ParsedText(Outcome.UNPARSED, None, "empty")
    body = _without_listing(shown, body)
    claim = _whole(shown, body) or _decide(_claims(shown, body), body)
    if claim is not None and claim.position is not None and REFUSAL.search(_masked(shown, body), claim.end):
        claim = replace(claim, position=None, rule="choice then refusal")
    if claim is None and REFUSAL.search(_masked(shown, body)):
        return ParsedText(Outcome.REFUSED, None, "refusal")
    claim = claim or _prose(shown, body)
    outcome = Outcome.UNPARSED if claim.position is None else Outcome.CHOSEN
    return ParsedText(outcome, claim.position, claim.rule)


def _read(shown: ShownQuestion, text: str, start: int) -> _Claim | None:
    """Read the claim that starts exactly there."""
    label, option = shown.any_label.match(text, start), shown.text_at(text, start)
    if label is not None:
        own = shown.labels[label[0]]
        gap = GAP.match(text, label.end())
        named = shown.text_at(text, gap.end()) if gap else None
        if named is not None and gap is not None and (option is None or option.end <= label.end()):
            if own in named.positions:
                return _Claim(own, "label and text", named.end)
            loose = label[0] in WORD_LABELS and not gap[0].strip()
            bracket = option is not None and _bracketed(shown, text, option.end) in option.positions
            if not loose and not bracket and not WRONG.match(text, named.end):
                return _Claim(None, "label and text disagree", named.end)
    if option is not None:
        bracketed = _bracketed(shown, text, option.end)
        if bracketed is not None and bracketed in option.positions:
            return _Claim(bracketed, "label and text", text.find(")", option.end) + 1)
        if bracketed is not None:
            return _Claim(None, "label and text disagree", option.end)
    return _several(shown, text, start) or _single(shown, text, start, option)


def _bracketed(shown: ShownQuestion, text: str, end: int) -> int | None:
    found = re.compile(rf" ?[(]({shown.any_label.pattern})[)]").match(text, end)
    return None if found is None else shown.labels[found[1]]


def _single(shown: ShownQuestion, text: str, start: int, option: Span | None) -> _Claim | None:
    label = shown.ended_label.match(text, start)
    ended = option is not None and re.compile(END_PLAIN).match(text, option.end) is not None
    if label is not None:
        own = shown.labels[label[0]]
        if option is not None and option.positions != {own}:
            return _Claim(None, "ambiguous label", option.end)
        return _Claim(own, "label", max(label.end(), option.end if option else 0))
    if option is None or not ended:
        return None
    if len(option.positions) > 1:
        return _Claim(None, "ambiguous option text", option.end)
    return _Claim(min(option.positions), "option text", option.end)


def _several(shown: ShownQuestion, text: str, start: int) -> _Claim | None:
    """Return a claim of two answers if what starts there is joined with another label or option."""
    option, label = shown.text_at(text, start), shown.any_label.match(text, start)
    first = option or (label and Span(label.start(), label.end(), frozenset({shown.labels[label[0]]})))
    join = first and JOIN.match(text, first.end)
    lead_in = join and LEAD_IN.match(text, join.end())
    if not first or not join or not lead_in:
        return None
    at = lead_in.end()
    option, label = shown.text_at(text, at), shown.any_label.match(text, at)
    if label is not None and label[0] in WORD_LABELS and not shown.ended_label.match(text, at):
        label = label if JOIN.match(text, label.end()) else None
    second = option or (label and Span(at, label.end(), frozenset({shown.labels[label[0]]})))
    if not second or second.positions == first.positions or WRONG.match(text, second.end):
        return None
    new_sentence = not join["word"] and VERB.match(text, second.end)
    return None if new_sentence else _Claim(None, "two answers", second.end)


def _read_after(shown: ShownQuestion, text: str, start: int) -> _Claim | None:
    """Read the claim after an announcement, skipping words like `clearly` and opening brackets."""
    lead_in, blank = LEAD_IN.match(text, start), re.compile(r"\s*").match(text, start)
    starts = [found.end() for found in (blank, lead_in) if found]
    claims = (_read(shown, text, at) for at in starts)
    return next((claim for claim in claims if claim and not WRONG.match(text, claim.end)), None)


def _whole(shown: ShownQuestion, body: str) -> _Claim | None:
    """Read a text that is one claim and nothing else."""
    exact = shown.forms.get(" ".join(body.split()))
    if exact is not None and len(exact) == 1 and not shown.ended_label.match(body):
        return _Claim(min(exact), "option text", len(body))
    if re.fullmatch(r"(?:both|either|all)(?: (?:of )?(?:them|these|the above))?[.!]?", body):
        return _Claim(None, "two answers", len(body))
    claim = _read_after(shown, body, 0)
    return claim if claim and ONLY_MARKS.match(body, claim.end) else None


def _claims(shown: ShownQuestion, body: str) -> list[_Claim]:
    made = [*_announced(shown, body), *_verdicts(shown, body)]
    standing = [claim for claim in _standing(shown, body) if not any(cue.start < claim.start < cue.end for cue in made)]
    return sorted([*made, *standing], key=lambda claim: claim.start)


def _announced(shown: ShownQuestion, body: str) -> Iterator[_Claim]:
    """Yield claims after a cue, and unread ones where an answer is announced that names no option."""
    for cue in (*ANSWER.finditer(body), *SAY.finditer(body)):
        before, _ = _clause(body, cue.start(), cue.end())
        if NEGATION.search(before) or UNREAL.search(before + cue[0]):
            continue
        is_answer = "noun" in cue.re.groupindex
        tier = 2 if is_answer and cue["final"] is not None else 1
        claim = _read_after(shown, body, cue.end())
        if claim is not None:
            rule = claim.rule if claim.position is None else f"announced {claim.rule}"
            yield replace(claim, rule=rule, start=cue.start(), tier=tier)
        elif is_answer and re.match(r"[\s\"'(\[{]*\w", body[cue.end() :]):
            sentence = re.split(r"(?<=[.!?])\s|\n", body[cue.end() :].lstrip())[0]
            inner = _prose(shown, sentence)
            rule = "announced option text" if inner.position is not None else "unread announcement"
            rule = inner.rule if inner.rule in ("two answers", "negated") else rule
            yield _Claim(inner.position, rule, cue.end() + len(sentence), cue.start(), tier)


def _verdicts(shown: ShownQuestion, body: str) -> Iterator[_Claim]:
    """Yield claims such as `B is correct`."""
    for verdict in RIGHT.finditer(body):
        span = _ending_at(shown, body, verdict.start())
        if span is None:
            continue
        before, _ = _clause(body, span.start, span.end)
        join = re.search(rf"{JOIN.pattern}[ (\"']*$", body[: span.start])
        other = join and _ending_at(shown, body, join.start())
        prefix = re.search(rf"({shown.any_label.pattern})[).:] ?$", body[: span.start])
        if NEGATION.search(before) or UNREAL.search(before):
            continue
        if prefix and shown.labels[prefix[1]] not in span.positions:
            yield _Claim(None, "label and text disagree", verdict.end(), span.start, 2)
        elif other or verdict["also"] or len(span.positions) > 1:
            yield _Claim(None, "two answers", verdict.end(), span.start, 1)
        else:
            yield _Claim(min(span.positions), "called correct", verdict.end(), span.start, 1)


def _ending_at(shown: ShownQuestion, body: str, end: int) -> Span | None:
    """Return the longest label or option text that ends there, with all it could mean."""
    spans = [span for span in shown.option_texts(body) if span.end == end]
    for found in shown.any_label.finditer(body, 0, end):
        if found.end() == end:
            spans.append(Span(found.start(), end, frozenset({shown.labels[found[0]]})))
    start = min((span.start for span in spans), default=end)
    meant = frozenset().union(*(span.positions for span in spans if span.start == start))
    return Span(start, end, meant) if spans else None


def _rows(shown: ShownQuestion, body: str) -> list[_Row]:
    rows = []
    for found in re.finditer(r"[^\n]+", body):
        claim = _read(shown, body, found.start())
        filled = claim is not None and ONLY_MARKS.match(body[: found.end()], claim.end) is not None
        rows.append(_Row(found.start(), found.end(), claim, filled))
    return rows


def _without_listing(shown: ShownQuestion, body: str) -> str:
    """Cut the first run of lines that shows every option again."""
    rows = _rows(shown, body)
    n_options = len(shown.labels)
    for first in range(len(rows) - n_options + 1):
        run = rows[first : first + n_options]
        if {row.claim.position for row in run if row.claim and row.filled} == set(shown.labels.values()):
            return f"{body[: run[0].start]}\n{body[run[-1].end :]}".strip()
    return body


def _standing(shown: ShownQuestion, body: str) -> Iterator[_Claim]:
    """Yield claims that open the text, fill a line, or are its last sentence."""
    rows = _rows(shown, body)
    for row in rows:
        if row.claim and row.filled:
            yield replace(row.claim, start=row.start)
        elif row.start == 0:
            yield from _opening(shown, body, body[: row.end], row.claim)
    last = re.search(r"[.!:]\s+(?=[^.!?:\n]*[.!]?[\"')\]]*\Z)", body)
    claim = _read_after(shown, body, last.end()) if last else None
    if claim and ONLY_MARKS.match(body, claim.end):
        yield replace(claim, start=claim.end - 1)


def _opening(shown: ShownQuestion, body: str, row: str, claim: _Claim | None) -> Iterator[_Claim]:
    """Yield what the first line opens with, unless it is a list, or its prose speaks of another option."""
    starts = {
        shown.labels[found[0]]
        for found in shown.any_label.finditer(body)
        if (mark := re.compile(r"[).:] ?").match(body, found.end()))
        and (body[: found.start()].rstrip(" ([")[-1:] in ("", "\n") or shown.text_at(body, mark.end()))
    }
    if len(starts) > 1:
        yield _Claim(None, "two answers", 0)
    elif claim is not None and claim.position is None:
        yield claim
    elif claim is not None and _opens(shown, row, claim):
        spoken = _stated(shown, re.split(r"(?<=[!?.])\s", row[claim.end :].lstrip(" .)]:"))[0])
        set_off = claim.rule == "label" and row[claim.end : claim.end + 1] in ".):]"
        clash = set_off and spoken and spoken != {claim.position}
        yield _Claim(None, "label and text disagree", claim.end) if clash else claim


def _opens(shown: ShownQuestion, row: str, claim: _Claim) -> bool:
    """Return whether the claim is set off from the prose after it, and not the first number of a list."""
    if claim.rule != "label":
        return STOP.match(row, claim.end) is not None
    enumerates = re.match(r"(?:[1i][.)]|a:) ", row) and claim.position not in _stated(shown, row[claim.end :])
    return not enumerates and re.compile(rf"{END}").match(row, claim.end) is not None


def _decide(claims: Sequence[_Claim], body: str) -> _Claim | None:
    """Return the last claim, if those that disagree with it are of a lower tier or revised."""
    known = [claim for claim in claims if claim.rule != "unread announcement" or claim is claims[-1]]
    if not known:
        return None
    last = known[-1]
    agreeing = [claim for claim in known if claim.position == last.position]
    rivals = [claim for claim in known if claim.position != last.position]
    revised = rivals and REVISION.search(body, rivals[-1].end, last.end)
    if not rivals or revised or last.tier > max(rival.tier for rival in rivals):
        return replace(max(agreeing, key=lambda claim: claim.tier), end=last.end)
    return _Claim(None, "two answers", last.end)


def _clause(text: str, start: int, end: int) -> tuple[str, str]:
    """Return what stands before and after in the same clause."""
    before = re.split(r"[.,;:!?\n]|\bbut\b", text[:start])[-1]
    return before, re.split(r"[.,;:!?\n]|\b(?:but|because|since)\b", text[end:])[0]


def _stated(shown: ShownQuestion, text: str) -> set[int | None]:
    spans = (span for span in shown.mentions(text) if not _denied(text, span))
    return {position for span in spans for position in span.positions}


def _denied(text: str, span: Span) -> bool:
    before, _ = _clause(text, span.start, span.end)
    return bool(NOT_NEXT.search(before) or WRONG.match(text, span.end))


def _prose(shown: ShownQuestion, text: str) -> _Claim:
    """Read prose that affirms one option and mentions no other, except to reject it."""
    affirmed: set[frozenset[int]] = set()
    idle: set[frozenset[int]] = set()
    denied: set[frozenset[int]] = set()
    for span in shown.mentions(text):
        before, after = _clause(text, span.start, span.end)
        asked = re.match(r"[^.!?\n]*\?", text[span.end :])
        doubtful = asked or UNREAL.search(before) or NEGATION.search(before) or NEGATION.search(after)
        (denied if _denied(text, span) else idle if doubtful else affirmed).add(span.positions)
    if len(affirmed | idle) > 1:
        return _Claim(None, "two answers", 0)
    if affirmed and not idle and not affirmed & denied:
        [positions] = affirmed
        rule = "option text" if len(positions) == 1 else "ambiguous option text"
        return _Claim(min(positions) if len(positions) == 1 else None, rule, 0)
    return _Claim(None, "negated" if denied or idle else "no answer", 0)


def _masked(shown: ShownQuestion, body: str) -> str:
    """Blank out option texts, which may themselves look like refusals."""
    return shown.texts.sub(lambda found: "\0" * len(found[0]), body)
