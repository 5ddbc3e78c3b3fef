"""Changes to what is said, and not only to how it is shown: other words, groups, opinions, side remarks, examples.

Each makes edited questions of one question. An edited question keeps its contents: option i is the same answer as
option i of the question that it was made from, even where a name inside it was swapped. It carries the edits in
words and the hash of that question in its attributes, so that two of them can be compared.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, get_args

from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.questions.conversation import check_shots
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question, given_for
from pytest_llminvariance.transforms.base import TextTransform, Transform
from pytest_llminvariance.transforms.designs import Design, check_design, draw_order, orders_of
from pytest_llminvariance.transforms.edits import edited, edits_of

DISTRACTORS: tuple[str, ...] = (
    "Thank you for taking the time to answer.",
    "I am writing this on a train.",
    "This question is part of a longer list.",
    "The room that I sit in has two windows.",
)
"""Sentences that have nothing to do with any question."""
OPINIONS: tuple[str, ...] = (
    "I think the answer is {option}, but I am not sure.",
    "A friend of mine would say: {option}.",
)
"""What a user may believe; `{option}` stands for the text of an option."""
NoiseKind = Literal["typo", "case", "spacing", "lookalike"]
NOISE_KINDS: tuple[NoiseKind, ...] = get_args(NoiseKind)
LOOK_ALIKES = {"a": "а", "c": "с", "e": "е", "o": "о", "p": "р", "x": "х", "y": "у"}
"""Latin letters and the Cyrillic ones that look the same."""
Place = Literal["before", "after"]


class Rewording(TextTransform):
    """Ask with other words for the same stem, which somebody has accepted; to add one, give `title`, `stems` and `spec`.

    In a product it stands before other edits, which would otherwise be lost.
    """

    @abstractmethod
    def stems(self, question: Question) -> Sequence[str]:
        """Return the other stems of a question, or raise where there are none."""

    def words(self, stem: str) -> str:
        """Say what is done."""
        return f"ask {stem!r}"

    def edits(self, question: Question) -> Iterator[Question]:
        """Yield the question with each of its other stems."""
        if edits_of(question):
            name = type(self).__name__
            raise UsageError(
                f"question {question.name!r} was edited before {name} re-words it, and the edit would be lost. "
                f"Put {name} first, and re-word a question once"
            )
        for stem in dict.fromkeys(self.stems(question)):
            if stem != question.stem:
                yield edited(question, self.words(stem), stem=stem)


@dataclass(frozen=True, slots=True, init=False)
class Restate(Rewording):
    """Ask with other words for the same stem, taken from texts that somebody has accepted.

    `texts` maps a question, by its id, content hash or stem, to its paraphrases. In a product it stands before other edits.
    """

    texts: Mapping[str, tuple[str, ...]] = field(hash=False)
    title: str = field(default="wording of the question", init=False, repr=False)

    def __init__(self, texts: Mapping[str, Sequence[str]]) -> None:
        if not isinstance(texts, Mapping):
            raise UsageError(
                f"texts is {texts!r}, but must map a question's id, content hash or stem to its paraphrases"
            )
        checked = {name: check_texts(many, f"paraphrases of {name!r}") for name, many in texts.items()}
        object.__setattr__(self, "texts", MappingProxyType(checked))
        object.__setattr__(self, "title", "wording of the question")

    def stems(self, question: Question) -> Sequence[str]:
        """Return the texts under the question's id, content hash or stem."""
        found = given_for(question, self.texts)
        if found is None:
            raise UsageError(
                f"there are no paraphrases of question {question.name!r}. Give them under its id, content hash or stem"
            )
        return found

    def spec(self) -> str:
        """Return a hash of the texts."""
        return "restate:" + _hash(sorted(self.texts.items()))


@dataclass(frozen=True, slots=True)
class SwapGroups(TextTransform):
    """Put other groups or names in the place of those in the question, in stem, context and options alike.

    A group is a word, or a list of forms that belong together: `[["he", "his"], ["she", "her"]]`. Whole words are
    replaced, and a capital at the beginning is kept. Where two groups occur they change places as well, so both
    may be asked about.
    """

    groups: Sequence[str | Sequence[str]]
    title: str = field(default="groups and names", init=False, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.groups, str) or not isinstance(self.groups, Sequence):
            raise UsageError(f"groups is {self.groups!r}, but must be a list of two or more words, or lists of forms")
        groups = tuple(
            check_texts((group,) if isinstance(group, str) else group, "the forms of a group") for group in self.groups
        )
        if len(groups) < 2:
            raise UsageError(f"groups holds {len(groups)} group(s), but there is nothing to swap below 2")
        if len({len(group) for group in groups}) > 1:
            raise UsageError(
                f"groups is {list(map(list, groups))!r}, but every group needs as many forms as the others"
            )
        flat = [form.casefold() for group in groups for form in dict.fromkeys(group)]
        for form in flat:
            if flat.count(form) > 1:
                raise UsageError(f"the form {form!r} belongs to two groups, so it cannot be told which is meant")
        object.__setattr__(self, "groups", groups)

    def there(self, question: Question) -> list[tuple[str, ...]]:
        """Return the groups that a question names.

        Raises:
            UsageError: where it names none.
        """
        text = _whole(question)
        found = [tuple(group) for group in self.groups if _forms_in(group, text)]
        if not found:
            raise UsageError(
                f"question {question.name!r} names none of the groups {', '.join(group[0] for group in self.groups)}, "
                "so there is nothing to swap"
            )
        return found

    def edits(self, question: Question) -> Iterator[Question]:
        """Yield the question with every other assignment of groups."""
        groups, there, text = [tuple(group) for group in self.groups], self.there(question), _whole(question)
        for group in there:
            twice = [form for form in _forms_in(group, text) if group.count(form) > 1]
            if twice:
                raise UsageError(
                    f"question {question.name!r} holds {twice[0]!r}, which stands for two forms of its group, so it "
                    "cannot be told what takes its place. Write the question with another group"
                )
        for chosen in itertools.permutations(groups, len(there)):
            if list(chosen) != there:
                words = ", ".join(
                    f"{new[0]} for {old[0]}" for old, new in zip(there, chosen, strict=True) if old != new
                )
                yield _swapped(question, f"put {words}", list(zip(there, chosen, strict=True)))

    def spec(self) -> str:
        """Return a hash of the groups."""
        return "groups:" + _hash(self.groups)


@dataclass(frozen=True, slots=True)
class AddDistractor(TextTransform):
    """Add a sentence that has nothing to do with the question, before its stem or after it."""

    sentences: Sequence[str] = DISTRACTORS
    place: Place = "before"
    title: str = field(default="irrelevant sentence", init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sentences", check_texts(self.sentences, "sentences"))
        if self.place not in get_args(Place):
            raise UsageError(f"place is {self.place!r}, but must be 'before' or 'after'")

    def edits(self, question: Question) -> Iterator[Question]:
        """Yield the question with one sentence each."""
        for sentence in self.sentences:
            both = (sentence, question.stem) if self.place == "before" else (question.stem, sentence)
            yield edited(question, f"add {sentence!r}", stem=" ".join(both))

    def spec(self) -> str:
        """Return place and a hash of the sentences."""
        return f"distractor:{self.place}:" + _hash(self.sentences)


@dataclass(frozen=True, slots=True)
class AddOpinion(TextTransform):
    """Let the user say what they believe, once for every option; the right answer does not depend on it."""

    opinions: Sequence[str] = OPINIONS
    title: str = field(default="user's opinion", init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "opinions", check_texts(self.opinions, "opinions"))
        for opinion in self.opinions:
            if opinion.count("{option}") != 1:
                raise UsageError(f"the opinion {opinion!r} must hold {{option}} once, for the text of an option")

    def edits(self, question: Question) -> Iterator[Question]:
        """Yield the question with each opinion about each option."""
        for opinion, option in itertools.product(self.opinions, question.options):
            said = opinion.replace("{option}", option)
            yield edited(question, f"add {said!r}", stem=f"{question.stem} {said}")

    def spec(self) -> str:
        """Return a hash of the opinions."""
        return "opinion:" + _hash(self.opinions)


@dataclass(frozen=True, slots=True)
class AddNoise(TextTransform):
    """Make small mistakes in the stem: a typing error, upper or lower case, spacing, a letter that looks the same.

    These can change the meaning ("US" and "us"), so nothing applies them unless it is asked to. Words of the
    options, words with digits and words below four letters (such as "not") are left alone, but for case and spacing.
    """

    kinds: Sequence[NoiseKind] = NOISE_KINDS
    per_kind: int = 2
    title: str = field(default="surface noise", init=False, repr=False)

    def __post_init__(self) -> None:
        kinds = check_texts(self.kinds, "kinds")
        for kind in kinds:
            if kind not in NOISE_KINDS:
                raise UsageError(f"there is no kind of noise {kind!r}; the kinds are {', '.join(NOISE_KINDS)}")
        if type(self.per_kind) is not int or not 1 <= self.per_kind <= 50:
            raise UsageError(f"per_kind is {self.per_kind!r}, but must be a number from 1 to 50")
        object.__setattr__(self, "kinds", kinds)

    def edits(self, question: Question) -> Iterator[Question]:
        """Yield the stem with one mistake each, up to `per_kind` of every kind, drawn from the question's content."""
        made = {"typo": _typos, "lookalike": _look_alikes, "case": _cases, "spacing": _spacings}
        for kind in self.kinds:
            stems = [stem for stem in dict.fromkeys(made[kind](question)) if stem != question.stem]
            for place in draw_order(len(stems), "noise", question.content_hash, kind)[: self.per_kind]:
                yield edited(question, f"write {stems[place]!r}", stem=stems[place])

    def spec(self) -> str:
        """Return kinds and number."""
        return f"noise:{','.join(self.kinds)}:{self.per_kind}"


@dataclass(frozen=True, slots=True)
class ReorderShots(Transform):
    """Show worked examples before the question, in other orders. The order given is the one as written."""

    examples: Sequence[Question]
    design: Design = "auto"
    n: int | None = None
    title: str = field(default="order of worked examples", init=False, repr=False)

    def __post_init__(self) -> None:
        check_design(self.design, self.n)
        object.__setattr__(self, "examples", check_shots(self.examples))
        if len(set(self.examples)) < max(2, len(self.examples)):
            raise UsageError(
                f"examples holds {len(self.examples)} questions, but two or more different ones are needed"
            )

    def variants(self, start: Presentation) -> Iterator[Presentation]:
        """Yield every order of the examples."""
        for shots in itertools.permutations(self.examples):
            yield start.replace(shots=shots)

    def size(self, start: Presentation) -> int:  # noqa: ARG002 - the same for every question
        """Return the factorial of the number of examples."""
        return math.factorial(len(self.examples))

    def plan(self, start: Presentation) -> tuple[Presentation, ...]:
        """Return the orders of the design."""
        orders = orders_of(self.design, len(self.examples), start.question.content_hash, self.n)
        return tuple(start.replace(shots=[self.examples[index] for index in order]) for order in orders)

    def spec(self) -> str:
        """Return design and a hash of the examples."""
        hashes = [example.content_hash for example in self.examples]
        return f"shots:{self.design}:{self.n}:" + _hash(hashes)


def check_texts(texts: object, name: str) -> tuple[str, ...]:
    """Return one or more texts as a tuple, or raise."""
    if isinstance(texts, str) or not isinstance(texts, Sequence):
        raise UsageError(f"{name} is {texts!r}, but must be a list of texts")
    if not texts:
        raise UsageError(f"{name} is empty, but must hold at least one text")
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise UsageError(f"{name} holds {text!r}, but must hold texts that are not empty")
    return tuple(texts)


def _hash(value: object) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def _word(form: str) -> str:
    return rf"(?<!\w){re.escape(form)}(?!\w)"


def _whole(question: Question) -> str:
    return " \n ".join((question.stem, question.context or "", *question.options))


def _forms_in(group: Sequence[str], text: str) -> list[str]:
    return [form for form in dict.fromkeys(group) if re.search(_word(form), text, flags=re.IGNORECASE)]


def _swapped(question: Question, words: str, pairs: Sequence[tuple[Sequence[str], Sequence[str]]]) -> Question:
    takes = {a.casefold(): b for old, new in pairs for a, b in zip(old, new, strict=True)}
    pattern = re.compile("|".join(map(_word, sorted(takes, key=len, reverse=True))), flags=re.IGNORECASE)

    def other(hit: re.Match[str]) -> str:
        form = takes[hit[0].casefold()]
        return form[0].upper() + form[1:] if hit[0][0].isupper() else form

    context = None if question.context is None else pattern.sub(other, question.context)
    options = tuple(pattern.sub(other, option) for option in question.options)
    return edited(question, words, stem=pattern.sub(other, question.stem), context=context, options=options)


def _noisy_words(question: Question) -> Iterator[re.Match[str]]:
    kept = {word.casefold() for option in question.options for word in re.findall(r"\w+", option)}
    for hit in re.finditer(r"\w+", question.stem):
        word = hit[0]
        if len(word) >= 4 and word.isascii() and word.isalpha() and word.casefold() not in kept:
            yield hit


def _typos(question: Question) -> Iterator[str]:
    stem = question.stem
    for hit in _noisy_words(question):
        for place in range(hit.start() + 1, hit.end() - 2):
            yield stem[:place] + stem[place + 1] + stem[place] + stem[place + 2 :]


def _look_alikes(question: Question) -> Iterator[str]:
    stem = question.stem
    for hit in _noisy_words(question):
        for place in range(hit.start(), hit.end()):
            if stem[place] in LOOK_ALIKES:
                yield stem[:place] + LOOK_ALIKES[stem[place]] + stem[place + 1 :]


def _cases(question: Question) -> Iterator[str]:
    yield question.stem.lower()
    yield question.stem.upper()


def _spacings(question: Question) -> Iterator[str]:
    yield question.stem.replace(" ", "  ")
    yield re.sub(r"([?.!])$", r" \1", question.stem)
    yield question.stem + " "
