"""Strategies for what is said: paraphrases, groups, opinions, distractors, noise, worked examples.

Each draws edited questions, which go into `Presentation(...)` and keep their contents, and shrinks towards the
question as written, then towards what is listed first. `presentations(question, under=...)` crosses them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy

from pytest_llminvariance.checks.properties.stances import translated
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.questions.conversation import check_shots
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.strategies.parts import noted, option_orders
from pytest_llminvariance.transforms.base import TextTransform
from pytest_llminvariance.transforms.texts import (
    DISTRACTORS,
    NOISE_KINDS,
    OPINIONS,
    AddDistractor,
    AddNoise,
    AddOpinion,
    NoiseKind,
    Place,
    Restate,
    SwapGroups,
    check_texts,
)

Made = TypeVar("Made")


@overload
def paraphrases(question_or_texts: Question, texts: Sequence[str]) -> SearchStrategy[Question]: ...
@overload
def paraphrases(question_or_texts: Sequence[str]) -> SearchStrategy[str]: ...
def paraphrases(
    question_or_texts: Question | Sequence[str], texts: Sequence[str] | None = None
) -> SearchStrategy[Question] | SearchStrategy[str]:
    """Draw a question with its own stem or one of the accepted `texts`; from texts alone, draw one of them.

    Nothing is generated: give texts that somebody has read and accepted. Shrinks towards the stem as written, or
    towards the first text.

    Raises:
        InvalidArgument: if there is no text, or one is empty.
    """
    if not isinstance(question_or_texts, Question):
        if texts is not None:
            raise InvalidArgument(f"paraphrases({question_or_texts!r}, {texts!r}): the first must be a Question")
        stems = made("paraphrases", lambda: check_texts(question_or_texts, "texts"))
        return noted("texts", st.sampled_from(list(dict.fromkeys(stems))))
    if texts is None:
        raise InvalidArgument(f"paraphrases({question_or_texts!r}): give the accepted texts of this question as well")
    checked = made("paraphrases", lambda: check_texts(texts, "texts"))
    return _edits("paraphrases", question_or_texts, lambda: Restate({question_or_texts.stem: checked}))


def groups(question: Question, groups: Sequence[str | Sequence[str]]) -> SearchStrategy[Question]:
    """Draw the question about other groups or names: every way to put them in the place of those that it names.

    A group is a word, or a list of forms: `[["he", "his"], ["she", "her"]]`. Shrinks towards the question as
    written, then towards the groups listed first.

    Raises:
        InvalidArgument: if the question names none of them, or it cannot be told what takes the place of a form.
    """
    return _edits("groups", question, lambda: SwapGroups(groups))


def user_opinions(question: Question, opinions: Sequence[str] = OPINIONS) -> SearchStrategy[Question]:
    """Draw the question with nothing added, or with an opinion of the user about one of its options.

    Every opinion (a text with `{option}`) is drawn with every option. Shrinks towards none, then the first.

    Raises:
        InvalidArgument: if an opinion does not hold `{option}` once.
    """
    return _edits("user_opinions", question, lambda: AddOpinion(opinions))


def distractors(
    question: Question, sentences: Sequence[str] = DISTRACTORS, *, place: Place = "before"
) -> SearchStrategy[Question]:
    """Draw the question with nothing added, or with one irrelevant sentence before or after its stem.

    Shrinks towards none, then the first sentence.

    Raises:
        InvalidArgument: if there is no sentence, one is empty, or the place is unknown.
    """
    return _edits("distractors", question, lambda: AddDistractor(sentences, place))


def surface_noise(
    question: Question, kinds: Sequence[NoiseKind] = NOISE_KINDS, *, per_kind: int = 2
) -> SearchStrategy[Question]:
    """Draw the question with at most one small mistake: a typing error, case, spacing, a Unicode look-alike.

    Mistakes can change the meaning, so no other strategy makes them unless told to. Per kind there are up to
    `per_kind`, fixed by the question's content. Shrinks towards none, then the kind listed first.

    Raises:
        InvalidArgument: for an unknown kind, or a number outside 1 to 50.
    """
    return _edits("surface_noise", question, lambda: AddNoise(kinds, per_kind))


def languages(question: Question, translations: Sequence[Question]) -> SearchStrategy[Question]:
    """Draw the question or one of its translations, which have as many options in the same order, and the same answer.

    Nothing is translated: give what somebody has read and accepted. Shrinks towards the question as written, then the
    first translation.

    Raises:
        InvalidArgument: if there is no translation, or one has other options or another answer.
    """
    if not isinstance(question, Question):
        raise InvalidArgument(f"languages({question!r}): needs a Question")
    if isinstance(translations, str | Question) or not isinstance(translations, Sequence) or not translations:
        raise InvalidArgument(f"languages({question.name!r}, {translations!r}): give a list of one or more questions")
    return noted("texts", st.sampled_from([question, *made("languages", lambda: translated(question, translations))]))


def few_shot_orders(examples: Sequence[Question]) -> SearchStrategy[tuple[Question, ...]]:
    """Draw the worked examples in any order, for `Presentation(question, shots=...)`.

    Shrinks towards the order given, by adjacent swaps.

    Raises:
        InvalidArgument: unless there are two or more different questions with answers.
    """
    shots = made("few_shot_orders", lambda: check_shots(examples))
    if len(set(shots)) < max(2, len(shots)):
        raise InvalidArgument(f"few_shot_orders({examples!r}): needs two or more different questions")
    orders = option_orders(len(shots)).map(lambda order: tuple(shots[index] for index in order))
    return noted("texts", orders)


def made(name: str, make: Callable[[], Made]) -> Made:
    """Return what `make` gives, with our errors about arguments as Hypothesis' own."""
    try:
        return make()
    except (UsageError, TypeError) as error:
        raise InvalidArgument(f"{name}: {error}") from error


def _edits(name: str, question: Any, make: Callable[[], TextTransform]) -> SearchStrategy[Question]:
    if not isinstance(question, Question):
        raise InvalidArgument(f"{name}({question!r}): needs a Question")
    asked = made(name, lambda: [shown.question for shown in make().variants(Presentation(question))])
    return noted("texts", st.sampled_from(asked))
