"""Other wordings by rule: few, and each of a kind that keeps the meaning of any English question.

Applied only to stems that are one plain question on one line. Statements, gaps to be filled, several
sentences and questions about words as words get none, or only a frame around the untouched stem. Everything
that a rule makes is screened and reviewed like the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from pytest_llminvariance.paraphrases.words import AMERICAN, lexicon, mentions_words, words
from pytest_llminvariance.questions.question import Question

ONE_QUESTION = re.compile(r"[A-Z][^?!\n\r\t:;]*[^?!\s]\?")
GAP = re.compile(r"_{2,}|\.{2,}|…|\[[^\]]*\]|\{|\}|\$|\\|`|<")
OWN_LIST = lexicon("these those following options option choices above below list listed")
CATCH_ALL = lexicon("none all neither both other others")
EITHER_WAY = AMERICAN | {american: british for british, american in AMERICAN.items()}


def _please_answer(question: Question) -> str:
    return f"Please answer this question: {question.stem}"


def _here_is(question: Question) -> str:
    return f"Here is a question: {question.stem}"


def _of_the_options(question: Question) -> str | None:
    """Name the options as the range, where the stem does not and no option stands for what is not listed."""
    found = re.match(r"Which (?=[a-z])(?!of\b|one\b|ones\b)", question.stem)
    catches = any(CATCH_ALL & set(words(option)) for option in question.options)
    if found is None or catches or OWN_LIST & set(words(question.stem)):
        return None
    return f"Of the options given, which {question.stem[found.end() :]}"


def _these_or_following(question: Question) -> str | None:
    """Say `these` for `the following`, or the other way round, where it is followed by a verb."""
    pairs = (("Which of the following ", "Which of these "), ("Which of these ", "Which of the following "))
    for before, after in pairs:
        rest = question.stem.removeprefix(before)
        if rest != question.stem and re.match(
            r"(?:is|are|was|were|would|can|could|should|has|have|does|do|did)\b", rest
        ):
            return after + rest
    return None


def _other_spelling(question: Question) -> str | None:
    """Write the one British spelling as the American one, or the other way round."""
    found = [match for match in re.finditer(r"\b[a-z]+\b", question.stem) if match[0] in EITHER_WAY]
    in_options = {word for option in question.options for word in words(option)} & EITHER_WAY.keys()
    if len(found) != 1 or in_options or mentions_words(question.stem):
        return None
    match = found[0]
    return question.stem[: match.start()] + EITHER_WAY[match[0]] + question.stem[match.end() :]


RULES: dict[str, Callable[[Question], str | None]] = {
    "please answer": _please_answer,
    "here is a question": _here_is,
    "of the options": _of_the_options,
    "these or the following": _these_or_following,
    "other spelling": _other_spelling,
}
"""By name; a rule returns nothing where it is not certain to keep the meaning."""


def by_rule(question: Question) -> Iterator[tuple[str, str]]:
    """Yield (wording, name of the rule) for each rule that applies."""
    if not ONE_QUESTION.fullmatch(question.stem) or GAP.search(question.stem) or re.search(r"\. ", question.stem):
        return
    if words(question.stem)[0] in ("please", "here"):
        return
    for name, rule in RULES.items():
        stem = rule(question)
        if stem is not None:
            yield stem, name
