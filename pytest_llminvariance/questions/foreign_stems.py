"""Which other stems each question's options are asked under, to see that the answer follows the question.

A question of the suite over the same options that has another right answer says most: who reads it must answer
otherwise. Where the suite has none, stems of unlike questions alternate with packaged instructions to choose another
option, as surveys use them to see who reads the items: the suite's own stems may all ask for one answer.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import STEM_OF, Question, cluster_of

MIN_FOREIGN = 12
"""Foreign stems asked in all, at least: with fewer, a fixed answer could agree by accident."""
LOOK = 100
"""Questions that are looked at for one of another kind: in a suite of one kind there is none to find."""
PACKAGED = "packaged instruction"
INSTRUCTIONS = (
    "Choose the option whose text is: {option}",
    "This one is a test of attention. The right option reads: {option}",
    'Which option says "{option}"?',
    "Here the answer is given: {option}. Choose it.",
    "Find the option with this text and choose it: {option}",
    'Nothing is asked here. Please pick "{option}".',
    "Whatever you think yourself, choose this option: {option}",
    "The key to this item says: {option}. What is the right option?",
    'Please show that you read this: the option to choose is "{option}".',
    "Which of these options is worded like this? {option}",
    "Ignore what you know; only one option counts as right here, and it is: {option}",
    'Repeat this choice: "{option}"',
)
"""Stems with a right answer among any options; for suites with few contrasting questions of their own."""


class ForeignStems:
    """The stems to ask each question's options under: at least 12 over the suite, the same for the same suite and seed.

    A property that brings `donors` takes these alone.
    """

    def __init__(self, questions: Sequence[Question], seed: int, donors: Sequence[Question] = ()) -> None:
        self._donors = tuple(donors)
        self._cycle = sorted(questions, key=lambda q: hashlib.sha256(f"{seed}|{q.content_hash}".encode()).digest())
        self._place = {question.content_hash: index for index, question in enumerate(self._cycle)}
        self._each = math.ceil(MIN_FOREIGN / len(questions))
        self._by_options: dict[frozenset[str], dict[str, list[Question]]] = {}
        for question in self._cycle:
            if question.answer is not None:
                same = self._by_options.setdefault(frozenset(question.options), {})
                same.setdefault(question.options[question.answer], []).append(question)

    def under(self, asked: Question, shown: Presentation) -> tuple[Presentation, ...]:
        """Return a question's presentation as written under foreign stems."""
        place = self._place[asked.content_hash]
        if self._donors:
            own = (self._donors[(place + step) % len(self._donors)] for step in range(len(self._donors)))
            return tuple(_under(shown, donor) for donor in itertools.islice(own, self._each))
        told = (_instruction(shown, place // 2 + step) for step in itertools.count())
        contrasts = list(itertools.islice(self._contrasts(asked, place), self._each))
        if contrasts:
            donors: Iterator[Question] = itertools.chain(contrasts, told)
        else:
            unlike = self._unlike(asked, place)
            donors = _in_turn(unlike, told) if place % 2 else _in_turn(told, unlike)
        return tuple(_under(shown, donor) for donor in itertools.islice(donors, self._each))

    def _contrasts(self, asked: Question, place: int) -> Iterator[Question]:
        """Yield questions over the same options with another right answer; each is used about equally often."""
        if asked.answer is None:
            return
        same, own = self._by_options[frozenset(asked.options)], asked.options[asked.answer]
        others = [question for text, found in sorted(same.items()) if text != own for question in found[:LOOK]]
        for step in range(len(others)):
            if _about(other := others[(place + step) % len(others)]) != _about(asked):
                yield other

    def _unlike(self, asked: Question, place: int) -> Iterator[Question]:
        """Yield questions that may have another answer: of another cluster, and not known to have the same one."""
        n, seen = len(self._cycle), {_about(asked)}
        for step in range(1, min(n, LOOK)):
            other = self._cycle[(place + step) % n]
            if _about(other) in seen or cluster_of(other) == cluster_of(asked) or _agree(asked, other):
                continue
            seen.add(_about(other))
            yield other


def _about(question: Question) -> tuple[str, str | None]:
    return question.stem, question.context


def _agree(one: Question, other: Question) -> bool:
    """Return whether two questions over the same options are known to have the same right answer."""
    if one.answer is None or other.answer is None or set(one.options) != set(other.options):
        return False
    return one.options[one.answer] == other.options[other.answer]


def _in_turn(first: Iterator[Question], second: Iterator[Question]) -> Iterator[Question]:
    """Yield from both in turn, from one alone once the other has no more."""
    for pair in itertools.zip_longest(first, second):
        yield from (donor for donor in pair if donor is not None)


def _instruction(shown: Presentation, number: int) -> Question:
    """Return a packaged instruction to choose one of these options that is not known to be right.

    On a scale, and where only its ends are shown, that is one of the two ends.
    """
    question, texts = shown.question, shown.template.options or shown.question.options
    places = list(range(len(texts)))
    if question.scores is not None:
        places = [min(places, key=question.scores.__getitem__), max(places, key=question.scores.__getitem__)]
    elif shown.template.names_ends_only:
        places = [0, len(texts) - 1]
    places = [place for place in places if place != question.answer]
    target = places[number % len(places)]
    words = INSTRUCTIONS[number % len(INSTRUCTIONS)].replace("{option}", texts[target])
    return question.under_stem(words, PACKAGED, answer=target)


def _under(shown: Presentation, donor: Question) -> Presentation:
    context = donor.context if "context" in shown.template.fields else None
    if donor.options == shown.question.options and donor.context == context:
        return shown.about(donor) if shown.fits(donor) else shown.replace(question=donor)
    if context is None and donor.context is not None:
        donor = Question(donor.stem, donor.options, id=donor.id, answer=donor.answer)
    return shown.replace(question=shown.question.under(donor))


class Kinds(NamedTuple):
    """Where the foreign stems of a suite come from."""

    stems: int
    contrasting: int
    """Stems of questions over the same options with another right answer."""
    packaged: int
    contrasts: int
    """Different questions among the contrasting stems."""
    telling: int
    """Different questions of the suite that a model which reads would answer otherwise: those over other options,
    and those over the same ones that have not the commonest right answer."""

    def __str__(self) -> str:
        many = "question" if self.contrasts == 1 else "questions"
        known = f"{self.contrasting} of {self.stems} stems are of {self.contrasts} {many} with another right answer"
        none = (
            "no question here is known to have another right answer over the same options, "
            f"so {self.packaged} of {self.stems} stems are built-in instructions, which ask for an option"
        )
        cause = known if self.contrasting else none
        return f"{cause}. Add contrasting questions: the same options, another right answer"


def kinds(rows: Sequence[tuple[Question, Sequence[Presentation]]]) -> Kinds:
    """Count the kinds of foreign stems; each row is a question and its presentations under them."""
    suite = {_about(asked): asked for asked, _ in rows}
    contrasts: dict[tuple[str, str | None], str] = {}
    unlike, contrasting, packaged = set(), 0, 0
    for asked, shown in rows:
        for part in shown:
            strange, about = part.question, _about(part.question)
            donor = suite.get(about)
            if strange.attributes.get(STEM_OF) == PACKAGED:
                packaged += 1
            elif asked.answer is not None and strange.answer is not None:
                contrasting, contrasts[about] = contrasting + 1, strange.options[strange.answer]
            elif donor is not None and set(donor.options) != set(asked.options):
                unlike.add(about)
    commonest = max(Counter(contrasts.values()).values(), default=0)
    n_stems = sum(len(shown) for _, shown in rows)
    return Kinds(n_stems, contrasting, packaged, len(contrasts), len(contrasts) - commonest + len(unlike))
