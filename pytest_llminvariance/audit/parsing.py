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

import enum
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace


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
class _Span:
    start: int
    end: int
    positions: frozenset[int]


@dataclass(frozen=True, slots=True)
class _Row:
    start: int
    end: int
    claim: _Claim | None
    filled: bool
    """The claim is all there is in the line."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """The question as patterns over folded text."""

    labels: dict[str, int]
    forms: dict[str, frozenset[int]]
    texts: re.Pattern[str]
    any_label: re.Pattern[str]
    ended_label: re.Pattern[str]
    """A label with something after it that ends a claim; stricter for labels that are English words."""
    marked_label: re.Pattern[str]

    def text_at(self, text: str, start: int) -> _Span | None:
        """Return the longest option text that starts exactly there."""
        found = self.texts.match(text, start)
        return None if found is None or _in_grapheme(text, found.end()) else self._span(found)

    def option_texts(self, text: str) -> Iterator[_Span]:
        """Yield what is written as an option, the longest from left to right."""
        for found in self.texts.finditer(text):
            if not _in_grapheme(text, found.end()):
                yield self._span(found)

    def mentions(self, text: str) -> Iterator[_Span]:
        """Yield option texts and marked labels, leaving out common words in running prose."""
        for span in self.option_texts(text):
            word = text[span.start : span.end]
            alone = _EDGE_BEFORE.search(text[: span.start]) and _EDGE_AFTER.match(text, span.end)
            if alone or not (word in _COMMON or (len(word) == 1 and word.isalpha())):
                yield span
        for found in self.marked_label.finditer(text):
            yield _Span(found.start(), found.end(), frozenset({self.labels[found[found.lastindex or 0]]}))

    def _span(self, found: re.Match[str]) -> _Span:
        return _Span(found.start(), found.end(), self.forms[" ".join(found[0].split())])


_WORD_LABELS = frozenset("aioeyu")
_COMMON = frozenset(
    re.findall(r"\w+", "no yes true false none all some any both either neither other never always often it")
)
_PLAIN = str.maketrans(
    {"—": " - "}
    | {mark: plain for marks, plain in (("’‘ʼ", "'"), ("“”«»", '"'), ("‐‑‒–−", "-")) for mark in marks}
    | dict.fromkeys("`\u200b\u200c\u200d\u2060\ufeff", "")
)
_EDGE_BEFORE = re.compile(r"(?:^|[.,;:!?\n(\"']|\b(?:is|are|be|say|answer))\s*[\"'(]*$")
_EDGE_AFTER = re.compile(r"[\"')]*\s*(?:[.,;:!\n]|\Z)")
_END = r"[\"'*]*(?:\s*\Z| *\n|[.;:!](?![\w.*])| *[)\]}]| = |,? (?:because|since)\b)"
_END_PLAIN = rf"(?:{_END}|[\"'*]*(?:,(?!\w)| - | \(| (?:as|which|given|due|based|but|in|for|from|with|not)\b))"
_STOP = re.compile(r"[\"')\]]*(?:\s*\Z| *\n|[.!](?![\w.])|,? (?:because|since)\b)")
_GAP = re.compile(r"[ )\].:=,\"'*(\-]*")
_ONLY_MARKS = re.compile(r"[\s.!,;:)\]}\"'*]*\Z")
_LEAD_IN = re.compile(
    r"\s*(?:(?:that|the|option|choice|answer|letter|number|label|statement|clearly|definitely|probably|likely|most"
    r"|simply|indeed|actually|obviously|either|both|maybe|perhaps)\s+)*[\"'(\[{*]*"
)
_JOIN = re.compile(r"[\"')\]}]*\s?(?:(?P<word>,? ?(?:and/or|and|or)\b)|[,/&+:])")
_VERB = re.compile(r"\s+(?:is|was|has|would|can|does)\b")
_WRONG = re.compile(
    r"[\"')\]}]*\s*(?:(?:is|are|was|seems?|would be|must be)\s+(?:\w+ly\s+)?"
    r"(?:wrong|incorrect|false|untrue|not|out)\b"
    r"|(?:isn't|wasn't|aren't|cannot|can't|can not|does not|doesn't|wouldn't|would not|could not|couldn't)\b)"
)
_RIGHT = re.compile(
    r"[\"')\]}]*\s(?:is|would be|must be|seems(?: to be)?)\s+(?P<also>also )?(?:\w+ly\s+)?"
    r"(?:(?:the|my)\s+)?(?:(?:most|best|only)\s+)?(?:correct|true|(?:final )?answer|choice|"
    r"right(?=\s*(?:[.,;!\n]|\Z|answer|choice|option|one|because)))\b"
)
_NOT_NEXT = re.compile(
    r"(?:\bnot|n't|\bnever|\bneither|\bnor|\brather than|\binstead of|\bexcept)"
    r"\s+(?:(?:the|in|be|an?|option|answer|choice)\s+)*[\"'(\[]*$"
)
_NEGATION = re.compile(r"(?:\b(?:not(?! only)|no(?! doubt)|never|neither|nor|cannot|unable|hardly|without)|n't)\b")
_UNREAL = re.compile(
    r"\b(?:suppose|assuming|whether|unless|both|either"
    r"|if(?! (?:i (?:had|have|must|were)|forced|pressed|asked)))\b"
)
_REVISION = re.compile(r"\b(?:but|wait|actually|however|instead|correction|therefore|thus|hence|so|finally)\b")
_ANSWER = re.compile(
    r"(?P<final>\bfinal\s+|^(?:(?:so|thus|therefore|hence),? )?(?:the |my )?(?:correct )?"
    r"(?=(?:answer|choice)\s*[:=]))?"
    r"\b(?P<noun>answer|choice|option|selection|pick|response)\b[\"'\])}]*"
    r"(?: (?:to|for|here)\b[^.:?!\n]{0,80}?)?"
    r"\s*(?:[:=]|\b(?:is|would be|should be|must be|will be|has to be)\b\s*:?)", re.M,
)  # fmt: skip
_SAY = re.compile(
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
_REFUSAL = re.compile(
    r"\bas an? (?:\w+ )?(?:ai|artificial intelligence|(?:large )?language model|assistant)\b"
    r"|\bsorry,? but\b"
    rf"|\bi (?:can ?not|can't|could not|couldn't|won't|will not)(?: \w+ly)? (?:{_ABLE})\b"
    r"|\bi(?: am|'m) (?:not able|unable|not allowed|not in a position) to\b|\bi"
    r"(?: must| have to| would)? (?:refuse|(?:respectfully )?decline|prefer not|(?:would )?rather not)\b"
    r"|\bi'd (?:rather|prefer) not\b"
    r"|\bi (?:do not|don't) (?:know|have (?:any |a )?(?:personal )?"
    r"(?:opinions?|preferences?|beliefs?|feelings?))\b"
)


def parse_choice(text: str, *, labels: Sequence[str], options: Sequence[str]) -> ParsedText:
    """Read which of the shown options `text` chooses.

    `labels[i]` and `options[i]` stand at shown position i. Raise `ValueError` for fewer than two options,
    different lengths, a blank label, or labels equal after casefold.

    >>> parse_choice("The answer is (B).", labels=["A", "B"], options=["Berlin", "Paris"])
    ParsedText(outcome=<Outcome.CHOSEN: 'chosen'>, position=1, rule='announced label')
    >>> parse_choice("B. Berlin", labels=["A", "B"], options=["Berlin", "Paris"]).rule
    'label and text disagree'
    """
    shown = _shown(labels, options)
    body = _body(text)
    if not body:
        return ParsedText(Outcome.UNPARSED, None, "empty")
    body = _without_listing(shown, body)
    claim = _whole(shown, body) or _decide(_claims(shown, body), body)
    if claim is not None and claim.position is not None and _REFUSAL.search(_masked(shown, body), claim.end):
        claim = replace(claim, position=None, rule="choice then refusal")
    if claim is None and _REFUSAL.search(_masked(shown, body)):
        return ParsedText(Outcome.REFUSED, None, "refusal")
    claim = claim or _prose(shown, body)
    outcome = Outcome.UNPARSED if claim.position is None else Outcome.CHOSEN
    return ParsedText(outcome, claim.position, claim.rule)


def _fold(text: str) -> str:
    """Return the form in which texts are compared: NFKC, casefold, straight quotes, no emphasis."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold()).translate(_PLAIN)
    text = re.sub(r"(?<!\w)(?:\*\*|__)|(?:\*\*|__)(?!\w)", "", text)
    return re.sub(r"(?<!\w)([*_])(\S(?:[^\n*_]*\S)?)\1(?!\w)", r"\2", text)


def _body(text: str) -> str:
    """Return the folded answer without reasoning, markup, and what a next question starts."""
    text = "\n".join(_fold(text).splitlines()).rpartition("</think>")[2]
    text = re.sub(r"<\|[^|>\n]*\|>|</?s>|</?(?:b|i|em|strong|p)>", "", text)
    text = re.sub(r"\\(?:text|textbf|mathrm|mathbf)\s*\{([^{}]*)\}", r"\1", text)
    text = re.sub(r"\\boxed\s*\{((?:[^{}]|\{[^{}]*\})*)\}", r"\nfinal answer: \1\n", text)
    text = re.sub(r"<answer>(.*?)</answer>", r"\nfinal answer: \1\n", text, flags=re.S)
    text = re.sub(r"\$(\w+)\$", r"\1", re.sub(r"[^\S\n]+", " ", text)).strip()
    text = re.sub(r"^ *(?:[-*>•#]+ +)*", "", text, flags=re.M).strip()
    return re.split(r"(?<=\n)(?:question|q|user|human)(?: ?\d+)? ?[:.]", text, maxsplit=1)[0].strip()


def _shown(labels: Sequence[str], options: Sequence[str]) -> _Shown:
    if len(labels) != len(options) or len(labels) < 2:
        raise ValueError(f"need two or more labels and as many options, got {labels!r} and {options!r}")
    at: dict[str, int] = {}
    for position, label in enumerate(labels):
        folded = _fold(label).strip()
        folded = folded.strip("()[]{}.: ") or folded
        if not folded or folded in at:
            raise ValueError(f"label {label!r} is {'blank' if not folded else 'not distinct'} in {labels!r}")
        at[folded] = position
    forms = _forms(options)
    spelled = sorted(at, key=len, reverse=True)
    every = "|".join(map(re.escape, spelled))
    plain = "|".join(re.escape(label) for label in spelled if label not in _WORD_LABELS) or r"(?!)"
    words = "|".join(re.escape(label) for label in spelled if label in _WORD_LABELS) or r"(?!)"
    start = r"(?<!\w)(?<!\w')"
    return _Shown(
        labels=at,
        forms=forms,
        texts=re.compile("|".join(map(_bounded, sorted(forms, key=len, reverse=True))) or r"(?!)"),
        any_label=re.compile(rf"{start}(?:{every})(?!\w)"),
        ended_label=re.compile(rf"{start}(?:(?:{plain})(?!\w)(?={_END_PLAIN})|(?:{words})(?!\w)(?={_END}))"),
        marked_label=re.compile(
            rf"(?<!\w)[(\[]({every})[)\]]|\b(?:option|choice|answer|letter) [\"'(\[]*"
            rf"(?:({plain})(?!\w)(?![-'.]\w)|({words})(?={_END}| (?:is|was|and|or)\b))"
        ),
    )


def _forms(options: Sequence[str]) -> dict[str, frozenset[int]]:
    """Map each way of writing an option to its positions: as given, else without quotes and final marks."""
    full: dict[str, frozenset[int]] = {}
    bare: dict[str, frozenset[int]] = {}
    folded = [" ".join(_fold(option).split()) for option in options]
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


def _read(shown: _Shown, text: str, start: int) -> _Claim | None:
    """Read the claim that starts exactly there."""
    label, option = shown.any_label.match(text, start), shown.text_at(text, start)
    if label is not None:
        own = shown.labels[label[0]]
        gap = _GAP.match(text, label.end())
        named = shown.text_at(text, gap.end()) if gap else None
        if named is not None and gap is not None and (option is None or option.end <= label.end()):
            if own in named.positions:
                return _Claim(own, "label and text", named.end)
            loose = label[0] in _WORD_LABELS and not gap[0].strip()
            bracket = option is not None and _bracketed(shown, text, option.end) in option.positions
            if not loose and not bracket and not _WRONG.match(text, named.end):
                return _Claim(None, "label and text disagree", named.end)
    if option is not None:
        bracketed = _bracketed(shown, text, option.end)
        if bracketed is not None and bracketed in option.positions:
            return _Claim(bracketed, "label and text", text.find(")", option.end) + 1)
        if bracketed is not None:
            return _Claim(None, "label and text disagree", option.end)
    return _several(shown, text, start) or _single(shown, text, start, option)


def _bracketed(shown: _Shown, text: str, end: int) -> int | None:
    found = re.compile(rf" ?[(]({shown.any_label.pattern})[)]").match(text, end)
    return None if found is None else shown.labels[found[1]]


def _single(shown: _Shown, text: str, start: int, option: _Span | None) -> _Claim | None:
    label = shown.ended_label.match(text, start)
    ended = option is not None and re.compile(_END_PLAIN).match(text, option.end) is not None
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


def _several(shown: _Shown, text: str, start: int) -> _Claim | None:
    """Return a claim of two answers if what starts there is joined with another label or option."""
    option, label = shown.text_at(text, start), shown.any_label.match(text, start)
    first = option or (label and _Span(label.start(), label.end(), frozenset({shown.labels[label[0]]})))
    join = first and _JOIN.match(text, first.end)
    lead_in = join and _LEAD_IN.match(text, join.end())
    if not first or not join or not lead_in:
        return None
    at = lead_in.end()
    option, label = shown.text_at(text, at), shown.any_label.match(text, at)
    if label is not None and label[0] in _WORD_LABELS and not shown.ended_label.match(text, at):
        label = label if _JOIN.match(text, label.end()) else None
    second = option or (label and _Span(at, label.end(), frozenset({shown.labels[label[0]]})))
    if not second or second.positions == first.positions or _WRONG.match(text, second.end):
        return None
    new_sentence = not join["word"] and _VERB.match(text, second.end)
    return None if new_sentence else _Claim(None, "two answers", second.end)


def _read_after(shown: _Shown, text: str, start: int) -> _Claim | None:
    """Read the claim after an announcement, skipping words like `clearly` and opening brackets."""
    lead_in, blank = _LEAD_IN.match(text, start), re.compile(r"\s*").match(text, start)
    starts = [found.end() for found in (blank, lead_in) if found]
    claims = (_read(shown, text, at) for at in starts)
    return next((claim for claim in claims if claim and not _WRONG.match(text, claim.end)), None)


def _whole(shown: _Shown, body: str) -> _Claim | None:
    """Read a text that is one claim and nothing else."""
    exact = shown.forms.get(" ".join(body.split()))
    if exact is not None and len(exact) == 1 and not shown.ended_label.match(body):
        return _Claim(min(exact), "option text", len(body))
    if re.fullmatch(r"(?:both|either|all)(?: (?:of )?(?:them|these|the above))?[.!]?", body):
        return _Claim(None, "two answers", len(body))
    claim = _read_after(shown, body, 0)
    return claim if claim and _ONLY_MARKS.match(body, claim.end) else None


def _claims(shown: _Shown, body: str) -> list[_Claim]:
    made = [*_announced(shown, body), *_verdicts(shown, body)]
    standing = [claim for claim in _standing(shown, body) if not any(cue.start < claim.start < cue.end for cue in made)]
    return sorted([*made, *standing], key=lambda claim: claim.start)


def _announced(shown: _Shown, body: str) -> Iterator[_Claim]:
    """Yield claims after a cue, and unread ones where an answer is announced that names no option."""
    for cue in (*_ANSWER.finditer(body), *_SAY.finditer(body)):
        before, _ = _clause(body, cue.start(), cue.end())
        if _NEGATION.search(before) or _UNREAL.search(before + cue[0]):
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


def _verdicts(shown: _Shown, body: str) -> Iterator[_Claim]:
    """Yield claims such as `B is correct`."""
    for verdict in _RIGHT.finditer(body):
        span = _ending_at(shown, body, verdict.start())
        if span is None:
            continue
        before, _ = _clause(body, span.start, span.end)
        join = re.search(rf"{_JOIN.pattern}[ (\"']*$", body[: span.start])
        other = join and _ending_at(shown, body, join.start())
        prefix = re.search(rf"({shown.any_label.pattern})[).:] ?$", body[: span.start])
        if _NEGATION.search(before) or _UNREAL.search(before):
            continue
        if prefix and shown.labels[prefix[1]] not in span.positions:
            yield _Claim(None, "label and text disagree", verdict.end(), span.start, 2)
        elif other or verdict["also"] or len(span.positions) > 1:
            yield _Claim(None, "two answers", verdict.end(), span.start, 1)
        else:
            yield _Claim(min(span.positions), "called correct", verdict.end(), span.start, 1)


def _ending_at(shown: _Shown, body: str, end: int) -> _Span | None:
    """Return the longest label or option text that ends there, with all it could mean."""
    spans = [span for span in shown.option_texts(body) if span.end == end]
    for found in shown.any_label.finditer(body, 0, end):
        if found.end() == end:
            spans.append(_Span(found.start(), end, frozenset({shown.labels[found[0]]})))
    start = min((span.start for span in spans), default=end)
    meant = frozenset().union(*(span.positions for span in spans if span.start == start))
    return _Span(start, end, meant) if spans else None


def _rows(shown: _Shown, body: str) -> list[_Row]:
    rows = []
    for found in re.finditer(r"[^\n]+", body):
        claim = _read(shown, body, found.start())
        filled = claim is not None and _ONLY_MARKS.match(body[: found.end()], claim.end) is not None
        rows.append(_Row(found.start(), found.end(), claim, filled))
    return rows


def _without_listing(shown: _Shown, body: str) -> str:
    """Cut the first run of lines that shows every option again."""
    rows = _rows(shown, body)
    n_options = len(shown.labels)
    for first in range(len(rows) - n_options + 1):
        run = rows[first : first + n_options]
        if {row.claim.position for row in run if row.claim and row.filled} == set(shown.labels.values()):
            return f"{body[: run[0].start]}\n{body[run[-1].end :]}".strip()
    return body


def _standing(shown: _Shown, body: str) -> Iterator[_Claim]:
    """Yield claims that open the text, fill a line, or are its last sentence."""
    rows = _rows(shown, body)
    for row in rows:
        if row.claim and row.filled:
            yield replace(row.claim, start=row.start)
        elif row.start == 0:
            yield from _opening(shown, body, body[: row.end], row.claim)
    last = re.search(r"[.!:]\s+(?=[^.!?:\n]*[.!]?[\"')\]]*\Z)", body)
    claim = _read_after(shown, body, last.end()) if last else None
    if claim and _ONLY_MARKS.match(body, claim.end):
        yield replace(claim, start=claim.end - 1)


def _opening(shown: _Shown, body: str, row: str, claim: _Claim | None) -> Iterator[_Claim]:
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


def _opens(shown: _Shown, row: str, claim: _Claim) -> bool:
    """Return whether the claim is set off from the prose after it, and not the first number of a list."""
    if claim.rule != "label":
        return _STOP.match(row, claim.end) is not None
    enumerates = re.match(r"(?:[1i][.)]|a:) ", row) and claim.position not in _stated(shown, row[claim.end :])
    return not enumerates and re.compile(rf"{_END}").match(row, claim.end) is not None


def _decide(claims: Sequence[_Claim], body: str) -> _Claim | None:
    """Return the last claim, if those that disagree with it are of a lower tier or revised."""
    known = [claim for claim in claims if claim.rule != "unread announcement" or claim is claims[-1]]
    if not known:
        return None
    last = known[-1]
    agreeing = [claim for claim in known if claim.position == last.position]
    rivals = [claim for claim in known if claim.position != last.position]
    revised = rivals and _REVISION.search(body, rivals[-1].end, last.end)
    if not rivals or revised or last.tier > max(rival.tier for rival in rivals):
        return replace(max(agreeing, key=lambda claim: claim.tier), end=last.end)
    return _Claim(None, "two answers", last.end)


def _clause(text: str, start: int, end: int) -> tuple[str, str]:
    """Return what stands before and after in the same clause."""
    before = re.split(r"[.,;:!?\n]|\bbut\b", text[:start])[-1]
    return before, re.split(r"[.,;:!?\n]|\b(?:but|because|since)\b", text[end:])[0]


def _stated(shown: _Shown, text: str) -> set[int | None]:
    spans = (span for span in shown.mentions(text) if not _denied(text, span))
    return {position for span in spans for position in span.positions}


def _denied(text: str, span: _Span) -> bool:
    before, _ = _clause(text, span.start, span.end)
    return bool(_NOT_NEXT.search(before) or _WRONG.match(text, span.end))


def _prose(shown: _Shown, text: str) -> _Claim:
    """Read prose that affirms one option and mentions no other, except to reject it."""
    affirmed: set[frozenset[int]] = set()
    idle: set[frozenset[int]] = set()
    denied: set[frozenset[int]] = set()
    for span in shown.mentions(text):
        before, after = _clause(text, span.start, span.end)
        asked = re.match(r"[^.!?\n]*\?", text[span.end :])
        doubtful = asked or _UNREAL.search(before) or _NEGATION.search(before) or _NEGATION.search(after)
        (denied if _denied(text, span) else idle if doubtful else affirmed).add(span.positions)
    if len(affirmed | idle) > 1:
        return _Claim(None, "two answers", 0)
    if affirmed and not idle and not affirmed & denied:
        [positions] = affirmed
        rule = "option text" if len(positions) == 1 else "ambiguous option text"
        return _Claim(min(positions) if len(positions) == 1 else None, rule, 0)
    return _Claim(None, "negated" if denied or idle else "no answer", 0)


def _masked(shown: _Shown, body: str) -> str:
    """Blank out option texts, which may themselves look like refusals."""
    return shown.texts.sub(lambda found: "\0" * len(found[0]), body)
