"""Edits that must change the answer, made from a question whose answer is known: a model that does not read them fails.

They are the opposite of a transform: what is right afterwards is another content, and it is known which.
"""

from __future__ import annotations

import dataclasses
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

from pytest_llminvariance.errors import QuestionError
from pytest_llminvariance.questions.decision import YES_NO
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.transforms.edits import edited

Pair = tuple[Question, Question]
NONE_OF_THESE = "None of these"
NUMBER = re.compile(r"(?<![\w.,])\d+(?![\w]|[.,]\d)")
SUMS: Mapping[str, Callable[[int, int], int]] = MappingProxyType(
    {
        "+": operator.add, "plus": operator.add, "-": operator.sub, "−": operator.sub, "minus": operator.sub,
        "*": operator.mul, "×": operator.mul, "times": operator.mul, "multiplied by": operator.mul,
    }
)  # fmt: skip
SUM = re.compile(rf"(?<![\w.,])(\d+)\s*({'|'.join(map(re.escape, SUMS))})\s*(\d+)(?![\w]|[.,]\d)")


def statement(question: Question) -> Pair:
    """Return a yes-or-no question whether an option is the answer, and the same whether it is not.

    The option is the right one for every other question, by its content, so that neither word is right more often.

    Raises:
        QuestionError: where the question has no known answer.
    """
    right = _known(question)
    is_right = int(question.content_hash, 16) % 2 == 0
    option = right if is_right else (right + 1) % len(question.options)
    made = Question(
        f'The statement is: the answer to "{question.stem}" is "{question.options[option]}". Is the statement true?',
        YES_NO, id=_named(question, "statement"), context=question.context, answer=0 if is_right else 1,
        attributes=question.attributes,
    )  # fmt: skip
    words = (
        f'The statement is: the answer to "{question.stem}" is not "{question.options[option]}". Is the statement true?'
    )
    return made, dataclasses.replace(edited(made, "negate the statement", stem=words), answer=1 - (made.answer or 0))


class BankOptions:
    """The distinct options of a bank, in its order: made once, and asked for a foreign one by every question."""

    def __init__(self, bank: Iterable[Question]) -> None:
        self._options = list(dict.fromkeys(option for question in bank for option in question.options))
        self._places: dict[str, list[int]] = {}
        for place, option in enumerate(self._options):
            self._places.setdefault(option.casefold(), []).append(place)

    def foreign_to(self, question: Question) -> str | None:
        """Return an option that is none of the question's, chosen by its content; `None` where there is none."""
        forms = {option.casefold() for option in question.options}
        own = sorted(place for form in forms for place in self._places.get(form, ()))
        n = len(self._options) - len(own)
        if n == 0:
            return None
        chosen = int(question.content_hash, 16) % n
        for place in own:
            chosen += place <= chosen
        return self._options[chosen]


def without_the_right_option(question: Question, options: BankOptions) -> Pair | None:
    """Return the question with "None of these" added, and the same with the right option replaced by a foreign one.

    `None` where there is none, or below three options.
    """
    right, other = _known(question), options.foreign_to(question)
    known = {option.casefold() for option in question.options}
    if len(known) < 3 or other is None or NONE_OF_THESE.casefold() in known or _refers(question):
        return None
    if getattr(question, "descriptions", None):
        return None  # they would still describe the option that is replaced
    asked = (*question.options, NONE_OF_THESE)
    before = dataclasses.replace(
        question, options=asked, scores=None, reverse_keyed=False, id=_named(question, "or none")
    )
    gone = tuple(other if place == right else option for place, option in enumerate(asked))
    after = edited(before, f'replace the right option by "{other}"', options=gone)
    return before, dataclasses.replace(after, answer=len(asked) - 1)


def with_another_number(question: Question) -> Pair | None:
    """Return the question and the same with one number changed, so that another of its options is right.

    Either the stem holds one sum whose result is the right option ("7 plus 5"), or the context says the right option's
    number once. `None` where it is neither, or no other option can be made right.
    """
    right, numbers = _known(question), [_number(option) for option in question.options]
    if numbers[right] is None or numbers.count(numbers[right]) > 1:
        return None
    for place, wanted in enumerate(numbers):
        if place == right or wanted is None or numbers.count(wanted) > 1:
            continue
        stem = _sum_changed(question.stem, numbers[right], wanted)
        texts = {"stem": stem} if stem else _told_changed(question.context, numbers[right], wanted)
        if texts:
            after = edited(question, f"change a number so that {question.options[place]} is right", **texts)
            return question, dataclasses.replace(after, answer=place)
    return None


def must_change(question: Question, options: BankOptions) -> Iterator[Pair]:
    """Yield every edit that can be made of a question; `options` gives foreign ones. Nothing without a known answer."""
    if question.answer is None:
        return
    yield statement(question)
    for pair in (without_the_right_option(question, options), with_another_number(question)):
        if pair is not None:
            yield pair


def _known(question: Question) -> int:
    if question.answer is None:
        raise QuestionError(
            f"question {question.name!r} has no known answer, so no edit is known to change it. Give answer=..., or pairs of your own"
        )
    return question.answer


def _named(question: Question, mark: str) -> str | None:
    return None if question.id is None else f"{question.id} ({mark})"


def _refers(question: Question) -> bool:
    """Return whether an option is about other options, which a replaced one would change."""
    return any(
        re.search(r"\b(?:above|below|both|none|all of|neither)\b", option, re.IGNORECASE) for option in question.options
    )


def _number(text: str) -> int | None:
    found = NUMBER.findall(text)
    return int(found[0]) if len(found) == 1 else None


def _sum_changed(stem: str, now: int | None, wanted: int) -> str:
    """Return the stem with a first number for which its only sum gives `wanted`; empty where there is no such sum."""
    found = list(SUM.finditer(stem))
    if len(found) != 1:
        return ""
    first, sign, second = int(found[0][1]), found[0][2], int(found[0][3])
    if SUMS[sign](first, second) != now:
        return ""
    for other in range(max(wanted + second, 0) + 1):
        if SUMS[sign](other, second) == wanted and other != first:
            return f"{stem[: found[0].start(1)]}{other}{stem[found[0].end(1) :]}"
    return ""


def _told_changed(context: str | None, now: int | None, wanted: int) -> dict[str, str]:
    if context is None:
        return {}
    places = [hit for hit in NUMBER.finditer(context) if int(hit[0]) == now]
    if len(places) != 1 or any(int(hit[0]) == wanted for hit in NUMBER.finditer(context)):
        return {}
    return {"context": f"{context[: places[0].start()]}{wanted}{context[places[0].end() :]}"}
