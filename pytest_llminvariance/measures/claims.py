"""The claims of a text: where it says what it answers, and what takes a claim away.

A claim is an option that stands alone in a sentence, or after a phrase of the table that opens a clause, and
is followed by nothing that changes it. What is around it in the sentence must not doubt, and must not deny
but for other options. Where an option is only mentioned there is no claim.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from pytest_llminvariance.measures.language_table import ENGLISH
from pytest_llminvariance.measures.languages import Frame, one_of
from pytest_llminvariance.measures.targets import OPENERS, Claim, disagree_rule, starts, target
from pytest_llminvariance.measures.wording import (
    BOX,
    BOX_END,
    ONLY_MARKS,
    STOP,
    WORD_LABELS,
    Page,
    ShownQuestion,
    words,
)

_CLOSERS = re.compile(rf"[ \"')\]}}*{BOX_END}]*")
_SET_OFF = re.compile(r"[).:\]]|\s*-\s|\s*\(")
_MORE = re.compile(r"[,、:(]|-\s")
_BECAUSE = re.compile(r"\s*,?\s*(?:because|since)\b")
_CLAUSE = re.compile(r"[,、;:()]|\s-\s")
_SAYS = re.compile(r"\s*(?:is|are|was|says|states|means|refers|stands)\b")
"""What follows a label that is only spoken of: `(B) is Paris`."""
_FILLER = re.compile(
    r"[,\s]*(?:i (?:understand|see|got it|can (?:help|answer|do))|i(?:'ll| will) (?:help|answer|try)|i'd be happy|let me|let's)\b"
)
"""What follows a `Yes,` that answers nothing yet."""
_ENGLISH_REASON = one_of([ENGLISH.reason])

UNREAD = "unread announcement"
"""Rule of an announced answer that is no option; what is claimed later stands."""
EXPLAINED = -1
"""Tier of a label before a sentence on its option; after an announced answer it says why not that one."""


def claims_of(page: Page) -> list[Claim]:
    """Return all claims in the order of the text."""
    made = [*_listed(page), *_boxed(page)]
    for others in (_announced(page), _standing(page)):
        made += [claim for claim in others if not any(one.start <= claim.start < one.end for one in made)]
    announced = min((claim.start for claim in made if claim.tier > 0), default=len(page.text))
    kept = [claim for claim in made if claim.tier > EXPLAINED or claim.start < announced]
    return sorted((replace(one, tier=max(0, one.tier)) for one in kept), key=lambda claim: (claim.start, claim.end))


def whole(page: Page) -> Claim | None:
    """Read a text that is an option, letter for letter."""
    exact = page.shown.forms.get(" ".join(page.text.split()), frozenset())
    label = page.shown.label_at(page.text, 0)
    if len(exact) == 1 and not (label and label.end == len(page.text)):
        return Claim(min(exact), "option text", len(page.text))
    if re.fullmatch(r"(?:both|either|all)(?: (?:of )?(?:them|these|the above))?[.!]?", page.text):
        return Claim(None, "two answers", len(page.text))
    return None


def _announced(page: Page) -> Iterator[Claim]:
    done = 0
    for start in _clause_starts(page):
        if start < done:
            continue
        claim = next(filter(None, (_framed(page, start, at) for at in _after_openers(page, start))), None)
        if claim is not None:
            done = done if claim.rule == UNREAD else claim.end
            yield claim


def _clause_starts(page: Page) -> list[int]:
    text, turn = page.masked, words().turn
    found = {0} | {mark.end() for mark in STOP.finditer(text)} | {mark.end() for mark in _CLAUSE.finditer(text)}
    found |= {mark.start() for mark in turn.finditer(text)} | {mark.end() for mark in turn.finditer(text)}
    return sorted(found)


def _after_openers(page: Page, start: int) -> Iterator[int]:
    """Yield the beginning of a clause, and what follows words that change nothing."""
    at = start
    while True:
        opened = OPENERS.match(page.text, at)
        at = opened.end() if opened else at
        yield at
        more = words().opener.match(page.masked, at)
        if more is None or more.end() == at:
            return
        at = more.end()


def _framed(page: Page, start: int, at: int) -> Claim | None:
    """Read the claim whose phrase starts there."""
    unread, known = None, dict[int, list[Claim]]()
    for frame in words().frames:
        before = frame.before.match(page.masked, at)
        if before is None:
            continue
        if before.end() not in known:
            known[before.end()] = list(_targets(page, before.end()))
        held = (_held(page, frame, replace(found, start=start), before) for found in known[before.end()])
        claim = next(filter(None, held), None)
        if claim is not None:
            return claim
        if unread is None and frame.names_answer:
            unread = _unread(page, frame, before, start)
    return unread


def _targets(page: Page, at: int) -> Iterator[Claim]:
    """Yield what may be read as the option after a phrase that ends there."""
    for place in starts(page.shown, page.text, _after_rejected(page, at)):
        yield from filter(None, (target(page.shown, page.text, place), _set_off_label(page, place)))


def _after_rejected(page: Page, at: int) -> int:
    """Skip `not Berlin but` before the option that is claimed."""
    denied = words().deny.match(page.masked, at)
    other = denied and next(
        filter(None, (target(page.shown, page.text, n) for n in starts(page.shown, page.text, denied.end()))), None
    )
    turn = other and re.compile(rf"\s*,?\s*(?:{words().turn.pattern})\s+").match(page.masked, other.end)
    return turn.end() if turn else at


def _set_off_label(page: Page, at: int) -> Claim | None:
    """Read a label that ends its sentence, though the next one begins with its option."""
    label = page.shown.label_at(page.text, at)
    ends = label is not None and STOP.match(page.masked, label.end) is not None
    return Claim(min(label.positions), "label", label.end, at) if label is not None and ends else None


def _held(page: Page, frame: Frame, found: Claim, before: re.Match[str]) -> Claim | None:
    """Return the claim if what stands after and around it lets it stand."""
    end, rule = found.end, found.rule
    if frame.options_only and rule not in ("option text", "ambiguous option text"):
        return None
    if frame.after is not None:
        after = frame.after.match(page.text, end)
        if after is None:
            return None
        if page.shown.named(page.text[end : after.end()]) - {found.position}:
            return None
        end = after.end()
        if "also" in after.re.groupindex and after["also"]:
            found = replace(found, position=None, rule="two answers")
    several = rule == "two answers"
    if not several and not _tail(page, end, frame.reason, loose=rule in ("label", "label and text")):
        return None
    if not _allowed(page, found, end, frame.reason):
        return None
    opens_line = not page.text[: before.start()].rpartition("\n")[2].strip(" \"'(*")
    final = re.search(rf"(?:{frame.language.final})", before[0]) is not None
    tier = 2 if (frame.tier == 2 and opens_line) or (frame.names_answer and final) else 1
    if found.position is not None:
        rule = frame.rule if frame.rule == "called correct" else f"announced {found.rule}"
    else:
        rule = found.rule
    return replace(found, rule=rule, end=end, tier=tier, language=frame.language.code)


def _unread(page: Page, frame: Frame, before: re.Match[str], start: int) -> Claim | None:
    """Return a claim of nothing where an answer is announced that is no option."""
    rest = re.match(r"[\s\"'(\[{]*(\w[^.!?\n。]*)", page.text[before.end() :])
    if rest is None or _undone(page, before.end(), before.end() + rest.end()):
        return None
    if not _allowed(page, Claim(None, "", before.end(), start), before.end() + rest.end(), frame.reason):
        return None
    if frame.tier < 2 and len(rest[1].split()) > 3:  # `the answer is based on ...` announces nothing
        return None
    return Claim(None, UNREAD, before.end() + rest.end(), start, frame.tier, frame.language.code)


def _tail(page: Page, end: int, reason: re.Pattern[str], *, loose: bool) -> bool:
    """Return whether a claim that ends there is followed by an end, a reason, or a clause of its own."""
    text = page.text
    closed = _CLOSERS.match(text, end)
    at = closed.end() if closed else end
    if (
        ONLY_MARKS.match(text, at)
        or STOP.match(page.masked, at)
        or reason.match(text, at)
        or words().turn.match(text, at)
    ):
        return True
    more = _MORE.match(text, at)
    if more is None:
        return words().deny.match(page.masked, at) is not None and page.shown.text_at(text, at) is None
    if text[end - 1].isdigit() and re.compile(r"\s*[-+]?\d").match(text, more.end()):
        return False
    following = re.compile(r"\s*(\w+)").match(text, more.end())
    if loose or following is None or following[1] in page.stem:
        return True
    known = (words().glue, words().deny, words().turn, words().reason, words().opener)
    return any(one.match(page.masked, following.start(1)) for one in known)


def _allowed(page: Page, claim: Claim, end: int, reason: re.Pattern[str]) -> bool:
    """Return whether nothing around the claim doubts it, denies it, or tells another's opinion."""
    start, stop, asks = page.sentence(claim.start, end)
    start = _after_concession(page, start, claim)
    because = reason.search(page.masked, end, stop)
    stop = because.start() if because else stop
    if asks or words().doubt.search(page.masked, start, claim.start) or words().doubt.search(page.masked, end, stop):
        return False
    turns = [found.end() for found in words().turn.finditer(page.masked, start, claim.start)]
    back = next((found.start() for found in words().turn.finditer(page.masked, end, stop)), stop)
    before = _clauses(page, turns[-1] if turns else start, claim.start)
    after = _clauses(page, end, back)
    told = any(words().others.search(page.masked, *clause) for clause in before)
    if told and not any(_of_others(page, clause, claim) for clause in before):
        return False
    denied = [clause for clause in (*before, *after) if words().deny.search(page.masked, *clause)]
    return all(_of_others(page, clause, claim) for clause in denied)


def _after_concession(page: Page, start: int, claim: Claim) -> int:
    """Return the end of `Although A may seem right`, where a sentence begins with it and grants nothing to the claim."""
    first, stop = _clauses(page, start, claim.start)[0]
    opened = words().concession.match(
        page.masked, first + len(page.masked[first:stop]) - len(page.masked[first:stop].lstrip())
    )
    return stop if opened and stop < claim.start and _of_others(page, (first, stop), claim) else start


def _clauses(page: Page, start: int, end: int) -> list[tuple[int, int]]:
    marks = [found.span() for found in _CLAUSE.finditer(page.masked, start, end)]
    return list(zip([start, *(stop for _, stop in marks)], [*(first for first, _ in marks), end], strict=True))


def _of_others(page: Page, clause: tuple[int, int], claim: Claim) -> bool:
    named = page.shown.named(page.text[clause[0] : clause[1]])
    return bool(named) and claim.position not in named


def _listed(page: Page) -> Iterator[Claim]:
    """Yield ratings in lines that repeat a numbered item: `1. You like music: 5 (strongly agree)`."""
    if page.shown.highest is None:
        return
    for line in re.finditer(r"^\d+[.)] [^\n]*: *(?=[^:\n]+$)", page.text, re.M):
        found = target(page.shown, page.text, line.end())
        if found is not None and ONLY_MARKS.match(page.text[line.end() :].split("\n")[0], found.end - line.end()):
            yield replace(found, start=line.start())


def _boxed(page: Page) -> Iterator[Claim]:
    """Yield what stands in a box or in the field of an object that names the answer."""
    for box in re.finditer(rf"{BOX}([^{BOX_END}]*){BOX_END}", page.text):
        found = next(
            (
                claim
                for at in starts(page.shown, page.text, box.start(1))
                if (claim := target(page.shown, page.text, at)) and ONLY_MARKS.match(page.text[: box.end(1)], claim.end)
            ),
            None,
        )
        start, stop, asks = page.sentence(box.start(), box.end())
        near = _clauses(page, start, box.start())[-1], _clauses(page, box.end(), stop)[0]
        if asks or any(_undone(page, *clause) for clause in near):
            continue
        made = Claim(None, UNREAD, box.end()) if found is None else found
        rule = made.rule if made.position is None else f"marked {made.rule}"
        yield replace(made, rule=rule, start=box.start(), end=box.end(), tier=2)


def _standing(page: Page) -> Iterator[Claim]:
    """Yield claims that are a sentence of their own, or open it and are set off from what it says."""
    done, refused = 0, False
    for start, stop, asks in page.sentences():
        answers_denial, refused = refused, asks and _undone(page, start, stop)
        if asks or start < done or answers_denial:
            continue
        places = (place for at in _after_openers(page, start) for place in starts(page.shown, page.text, at))
        claim = next(filter(None, (_alone(page, place, stop) for place in places)), None)
        if claim is not None:
            done = claim.end
            yield claim


def _alone(page: Page, at: int, stop: int) -> Claim | None:
    found = target(page.shown, page.text, at)
    if found is None:
        return None
    found = replace(found, start=at)
    if _ends_sentence(page, found, stop):
        return _unless_list(page, found)
    if _own_words_follow(page, at):
        label = page.shown.label_at(page.text, at)
        return None if label is None else Claim(min(label.positions), "label", label.end, at, EXPLAINED)
    return found if found.rule.endswith("disagree") and _SET_OFF.match(page.text, _label_end(page, at)) else None


def _label_end(page: Page, at: int) -> int:
    label = page.shown.label_at(page.text, at)
    return at if label is None else label.end


def _own_words_follow(page: Page, at: int) -> bool:
    """Return whether a label is set off from a sentence that speaks of its own option, and of no other."""
    label = page.shown.label_at(page.text, at)
    off = None if label is None else _SET_OFF.match(page.text, label.end)
    if label is None or off is None or _SAYS.match(page.text, off.end()):
        return False
    line = page.text[off.end() :].split("\n")[0]
    said = re.match(r"\s*.*?(?:[!?.](?=\s)|$)", line)
    stop = off.end() + (said.end() if said else 0)
    return {_stated(page.shown, page.text[off.end() : stop])} == label.positions and not _undone(page, off.end(), stop)


def _ends_sentence(page: Page, found: Claim, stop: int) -> bool:
    closed = _CLOSERS.match(page.text, found.end)
    end = closed.end() if closed else found.end
    said = page.text[found.start : found.end]
    if ONLY_MARKS.match(page.text, end) or page.text[end] == "\n" or STOP.match(page.masked, end):
        return end <= max(stop, found.end)
    if _BECAUSE.match(page.text, found.end):
        return True
    if said in WORD_LABELS:
        return False
    if page.text[end] in ",(" and _only_asked(page, end, stop):
        return True
    if words().particle.fullmatch(said) and page.text[end] in ",、":
        declines = any(refusal.search(page.masked, end, stop) for _, refusal in words().refusals)
        return not (declines or words().doubt.search(page.masked, end, stop) or _other_follows(page, end, stop))
    return page.text[end] in ",、" and _tail_of_others(page, found, end, stop)


def _only_asked(page: Page, end: int, stop: int) -> bool:
    """Return whether nothing follows but words of the question: `Paris, France`."""
    following = re.findall(r"\w+", page.masked[end:stop])
    return bool(following) and all(word in page.stem and not words().glue.fullmatch(word) for word in following)


def _other_follows(page: Page, end: int, stop: int) -> bool:
    """Return whether what follows `Yes,` names an option, turns to another word for one, or only opens the answer."""
    turn = words().turn.search(page.masked, end, stop)
    turned = turn is not None and any(page.shown.option_texts(page.text[turn.end() : stop]))
    return turned or bool(page.shown.named(page.text[end:stop])) or _FILLER.match(page.text, end) is not None


def _tail_of_others(page: Page, found: Claim, end: int, stop: int) -> bool:
    """Return whether the sentence goes on with a reason, or with what it denies of other options."""
    following = re.compile(r"[,、]\s*").match(page.text, end)
    at = following.end() if following else end
    if words().reason.match(page.masked, at):
        return True
    because = words().reason.search(page.masked, at, stop)
    clauses = _clauses(page, at, because.start() if because else stop)
    denied = all(words().deny.search(page.masked, *clause) and _of_others(page, clause, found) for clause in clauses)
    return denied and _allowed(page, found, end, _ENGLISH_REASON)


def _unless_list(page: Page, found: Claim) -> Claim | None:
    """Return a label that opens a line unless it numbers what follows, or what follows speaks of another option."""
    following = re.compile(r"[).:] +([^\n]+)").match(page.text, found.end)
    if found.rule != "label" or following is None or page.text[: found.start].rpartition("\n")[2].strip(" \"'(*"):
        return found
    said = re.split(r"(?<=[!?.])\s", following[1])[0]
    stated = _stated(page.shown, said)
    if stated == found.position:
        return replace(found, tier=EXPLAINED)
    label = page.text[found.start : found.end]
    if stated is not None:
        return replace(found, position=None, rule=disagree_rule(page.shown))
    return None if label.isdigit() or label == "i" else found


def _stated(shown: ShownQuestion, text: str) -> int | None:
    """Return the one position that a sentence speaks of; `None` for none, -1 for several."""
    named = {position for span in shown.mentions(text) for position in span.positions}
    return min(named) if len(named) == 1 else -1 if named else None


def _undone(page: Page, start: int, stop: int) -> bool:
    return bool(words().deny.search(page.masked, start, stop) or words().doubt.search(page.masked, start, stop))
