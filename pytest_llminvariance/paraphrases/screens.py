"""Mechanical screens: what sorts a proposed wording out before a reviewer is asked.

Each compares the wording with the stem and says why not, or nothing. They err towards sorting out: what
passes is no proven paraphrase, which is why a person looks at it.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from pytest_llminvariance.paraphrases.lock import UNSEEN, comparable, visible
from pytest_llminvariance.paraphrases.words import (
    NEGATING_PREFIXES,
    POLES,
    STARTERS,
    content_words,
    family,
    lexicon,
    names,
    negations,
    numbers,
    persons,
    quotations,
    scope,
    signs,
    words,
)
from pytest_llminvariance.questions.labels import UNREADABLE, fold
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.questions.references import named_in_stem

MIN_LENGTH, MAX_LENGTH = 0.5, 2.0
EXTRA_CHARACTERS = 40
"""A short stem may grow by this much: a frame such as "Please answer this question:" is as long."""
MIN_KEPT = 0.75
"""Share of the stem's own words that a wording keeps at least, where no encoder compares meanings."""
LABEL_LIST = re.compile(r"(?:^|[\s(])(?:[A-H]|[1-9])[.):]\s")
TASK_WORDS = lexicon(
    "rephrase rephrased rephrasing reword reworded rewording rewrite rewritten rewriting paraphrase paraphrased paraphrasing "
    "sure certainly wording original sentence meaning"
)


def _text(question: Question, wording: str) -> str | None:
    if UNSEEN.search(wording) and not UNSEEN.search(question.stem):
        return "holds line breaks, control or invisible characters"
    if UNREADABLE.search(wording) and not UNREADABLE.search(question.stem):
        return "holds markup"
    return None


def _length(question: Question, wording: str) -> str | None:
    n, new = len(question.stem), len(wording)
    if MIN_LENGTH * n <= new <= max(MAX_LENGTH * n, n + EXTRA_CHARACTERS):
        return None
    return f"has {new} characters and the stem {n}: too {'short' if new < n else 'long'}"


def _kind(question: Question, wording: str) -> str | None:
    asks, asked = (text.rstrip(" \"'”’)").endswith("?") for text in (wording, question.stem))
    if asks == asked:
        return None
    return "is no question any more" if asked else "has become a question"


def _task(question: Question, wording: str) -> str | None:
    added = TASK_WORDS & set(words(wording)) - set(words(question.stem))
    return f"speaks of the task ({_listed(added)})" if added else None


def _options(question: Question, wording: str) -> str | None:
    if LABEL_LIST.search(wording) and not LABEL_LIST.search(question.stem):
        return "holds a list of options"
    if named_in_stem(question, wording) != named_in_stem(question, question.stem):
        return "refers to options by letter or place, and not as the stem does"
    for option in question.options:
        if _mentions(wording, option) != _mentions(question.stem, option):
            return f"names the option {visible(option)!r} {_counts(_mentions(wording, option), _mentions(question.stem, option))}"
    return None


def _mentions(text: str, option: str) -> int:
    option = comparable(option)
    return len(re.findall(rf"(?<!\w){re.escape(option)}(?!\w)", fold(text))) if option else 0


def _numbers(question: Question, wording: str) -> str | None:
    return _same(numbers(question.stem), numbers(wording), "number") or _same(
        signs(question.stem), signs(wording), "sign"
    )


def _negations(question: Question, wording: str) -> str | None:
    said = _same(negations(question.stem), negations(wording), "negation")
    if said is not None:
        return said
    old, new = ({family(word) for word in words(text)} for text in (question.stem, wording))
    for word in sorted(old ^ new):
        for prefix in NEGATING_PREFIXES:
            rest = word.removeprefix(prefix)
            if rest != word and len(rest) > 2 and rest in (new if word in old else old):
                return f"turns a word into its opposite ({word})"
    return _poles(question.stem, wording)


def _poles(stem: str, wording: str) -> str | None:
    old, new = set(words(stem)), set(words(wording))
    for pair in POLES:
        if old & pair and new & pair - old:
            return f"turns a word into its opposite ({_listed(new & pair - old)})"
    return None


def _names(question: Question, wording: str) -> str | None:
    here, there = ({word.lower() for word in WORDS.findall(text)} for text in (wording, question.stem))
    lost = {name for name in names(question.stem) if not _kept(name, wording, here)}
    if lost:
        return f"drops the name {_listed(lost)}"
    added = {name for name in names(wording) if not _kept(name, question.stem, there)}
    if added:
        return f"adds the name {_listed(added)}"
    return _same(quotations(question.stem), quotations(wording), "quotation")


WORDS = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")


def _kept(name: str, text: str, lower: set[str]) -> bool:
    """Return whether a name is in a text: as written, or in any case where it may only begin a sentence."""
    if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text):
        return True
    return name[1:].islower() and name.lower() in lower and name.lower() not in STARTERS


def _scope(question: Question, wording: str) -> str | None:
    said = _same(scope(question.stem), scope(wording), "word of scope")
    if said is not None:
        return said
    old, new = persons(question.stem), persons(wording)
    # a frame may speak to whoever answers, but who a question is about stays
    if old - new or new - old - {"second"}:
        return "speaks of another person (I, you, they)"
    return None


def _adds(question: Question, wording: str) -> str | None:
    """Require that every new word stands for one that went: more words are more meaning."""
    old, new = content_words(question.stem), content_words(wording)
    gone, come = old - new, new - old
    return f"adds {_listed(_as_written(wording, come))}" if come.total() > gone.total() else None


def _keeps(question: Question, wording: str) -> str | None:
    """Without an encoder no new word of content is taken, as nothing tells a synonym from another thing."""
    old, new = content_words(question.stem), content_words(wording)
    kept = (old & new).total()
    if new - old:
        said, stood = _as_written(wording, new - old), _as_written(question.stem, old - new)
        instead = f" for {_listed(stood)}" if stood else ""
        return f"says {_listed(said)}{instead}: without --encoder nothing tells whether that is the same"
    return f"keeps {kept} of {old.total()} words of the stem" if kept < MIN_KEPT * old.total() else None


SCREENS: dict[str, Callable[[Question, str], str | None]] = {
    "text": _text,
    "length": _length,
    "kind": _kind,
    "task": _task,
    "options": _options,
    "numbers": _numbers,
    "negations": _negations,
    "names": _names,
    "scope": _scope,
    "adds": _adds,
    "keeps": _keeps,
}
"""By name, in the order in which they are tried."""


def why_not(question: Question, wording: str, *, encoded: bool = False) -> str | None:
    """Return why a wording is sorted out, as `screen: reason`, or `None` where every screen lets it pass.

    With `encoded` a sentence encoder compares meanings, and the screen of shared words is left out.
    """
    for name, screen in SCREENS.items():
        if encoded and name == "keeps":
            continue
        reason = screen(question, wording)
        if reason is not None:
            return f"{name}: {reason}"
    return None


def same_as_another(wording: str, others: Iterable[str]) -> bool:
    """Return whether a wording equals one of others, apart from case, blanks and closing punctuation."""
    return comparable(wording) in {comparable(other) for other in others}


def _same(old: Counter[str], new: Counter[str], what: str) -> str | None:
    if old == new:
        return None
    gone, come = old - new, new - old
    if gone and come:
        return f"has the {what} {_listed(come)} instead of {_listed(gone)}"
    return f"adds the {what} {_listed(come)}" if come else f"drops the {what} {_listed(gone)}"


def _listed(items: Iterable[str]) -> str:
    return ", ".join(visible(item)[:40] for item in sorted(set(items)))


def _as_written(text: str, families: Iterable[str]) -> list[str]:
    """Return the words of a text that belong to families of words."""
    wanted = set(families)
    return [word for word in words(text) if family(word) in wanted]


def _counts(new: int, old: int) -> str:
    times: Sequence[str] = ("not at all", "once", "twice")
    said = [times[n] if n < len(times) else f"{n} times" for n in (new, old)]
    return f"{said[0]}, the stem {said[1]}"
