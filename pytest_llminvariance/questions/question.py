"""Questions as content: what is asked, apart from how it is shown.

A question knows nothing about letters, positions or wording of instructions; those belong to a
`Presentation`. Options are identified by their index here, and every answer is traced back to it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

from pytest_llminvariance.errors import QuestionError
from pytest_llminvariance.questions.labels import PLAIN_MARKS, same_form

MAX_SCORE = 1e9
OPTIONS_OF, STEM_OF = "options_of", "stem_of"


@dataclass(frozen=True, slots=True)
class SkippedRows:
    """Rows of a file that were left out, because `bad_rows="skip"` said so."""

    n_rows: int
    """Of the file, with those that were left out."""
    rows: tuple[str, ...]
    """Place and reason of each that was left out."""


T = TypeVar("T")


class _Known:
    """Hash and content hash: both are asked for with every answer, and neither is a field."""

    __slots__ = ("_known",)
    _known: tuple[int, str]


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Question(_Known):
    """A stem and its options.

    `options` are two or more distinct, non-empty strings. `answer` is the correct option, given as its
    text or its index and stored as an index. `scores` holds one number per option (Likert scales), and
    `reverse_keyed` says that agreement counts against the trait. `attributes` are free; `trait` and
    `cluster` have a meaning to this package. `dataclasses.replace` makes a copy with other fields, checked again.

    Raises:
        QuestionError: if any field breaks its rule; the message names the value, the rule and the way out.
    """

    stem: str
    options: tuple[str, ...]
    id: str | None = field(kw_only=True)
    context: str | None = field(kw_only=True)
    scores: tuple[float, ...] | None = field(kw_only=True)
    reverse_keyed: bool = field(kw_only=True)
    answer: int | None = field(kw_only=True)
    attributes: Mapping[str, Any] = field(kw_only=True, hash=False)
    skipped: SkippedRows | None = field(init=False, compare=False)
    """What was left out of its file; every question of the file knows it, so no choice among them hides it."""

    def __init__(
        self,
        stem: str,
        options: Sequence[str],
        *,
        id: str | None = None,
        context: str | None = None,
        scores: Sequence[float] | None = None,
        reverse_keyed: bool = False,
        answer: int | str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        set_field = object.__setattr__
        where = f"question {id!r}" if id is not None else "question"
        set_field(self, "id", _optional_text(id, f"{where}: id"))
        set_field(self, "stem", _text(stem, f"{where}: stem"))
        where = f"question {self.name!r}"
        set_field(self, "options", check_options(options, where))
        set_field(self, "context", _optional_text(context, f"{where}: context"))
        set_field(self, "scores", _scores(scores, len(self.options), where))
        if not isinstance(reverse_keyed, bool):
            raise QuestionError(f"{where}: reverse_keyed is {reverse_keyed!r}, but must be True or False")
        if reverse_keyed and self.scores is None:
            raise QuestionError(f"{where}: reverse_keyed needs scores, which are not given. Give one score per option")
        set_field(self, "reverse_keyed", reverse_keyed)
        set_field(self, "answer", _answer(answer, self.options, where))
        set_field(self, "attributes", _attributes(attributes, where))
        set_field(self, "skipped", None)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: FBT001 - as Hypothesis calls it
        """Print one line."""
        del cycle
        printer.text(f"<Question {self.name!r}, {len(self.options)} options>")

    @property
    def name(self) -> str:
        """The id, or the beginning of the stem where there is no id."""
        return self.id if self.id is not None else self.stem if len(self.stem) <= 40 else self.stem[:39] + "…"

    @property
    def content_hash(self) -> str:
        """SHA-256 over what the question means: stem, options, context, scores and key.

        Designs are drawn from this and never from the place in a list, so removing a question changes
        nothing for the others.
        """
        return self._hashes()[1]

    def __hash__(self) -> int:
        return self._hashes()[0]

    def _hashes(self) -> tuple[int, str]:
        try:
            return self._known
        except AttributeError:  # at the first asking, when a question of any kind is whole
            content = [self.stem, self.options, self.context, self.scores, self.reverse_keyed]
            text = json.dumps([*content, *self.sent_besides], ensure_ascii=True)
            made = hash((*content, self.id, self.answer)), hashlib.sha256(text.encode()).hexdigest()
            object.__setattr__(self, "_known", made)
            return made

    @property
    def sent_besides(self) -> tuple[object, ...]:
        """What is sent besides stem, context and options: nothing, unless a kind of question says otherwise."""
        return ()

    @property
    def option_texts(self) -> tuple[str, ...]:
        """The options as a prompt shows them."""
        return self.options

    @property
    def fixed_order(self) -> str:
        """Why the options do not change places, after "they"; empty where they may."""
        return ""

    @property
    def keyed_scores(self) -> tuple[float, ...] | None:
        """Scores towards the trait: mirrored on the scale's range for a reverse-keyed item."""
        if self.scores is None or not self.reverse_keyed:
            return self.scores
        total = max(self.scores) + min(self.scores)
        return tuple(total - score for score in self.scores)

    def under(self, donor: Question) -> Question:
        """Return these options under the stem and context of `donor`.

        The answer is known where the donor's is and has the same options. The attributes `options_of` and `stem_of` name
        both questions, so that a recorded answer can be found.
        """
        is_known = donor.answer is not None and set(donor.options) == set(self.options)
        answer = donor.options[donor.answer] if is_known and donor.answer is not None else None
        return self.under_stem(donor.stem, donor.id or donor.stem, context=donor.context, answer=answer)

    def under_stem(self, stem: str, name: str, *, context: str | None = None, answer: int | str | None) -> Question:
        """Return these options under a stem and context that are called `name`."""
        names = {OPTIONS_OF: self.id or self.stem, STEM_OF: name}
        return Question(stem, self.options, context=context, scores=self.scores, attributes=names, answer=answer)

    def __repr__(self) -> str:
        parts = [repr(self.stem), repr(list(self.options))]
        for name in ("id", "context", "scores", "answer"):
            value = getattr(self, name)
            parts += [] if value is None else [f"{name}={value!r}"]
        parts += ["reverse_keyed=True"] if self.reverse_keyed else []
        parts += [f"attributes={dict(self.attributes)!r}"] if self.attributes else []
        return f"Question({', '.join(parts)})"

    def __reduce__(self) -> tuple[Any, ...]:
        parts = {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.init}
        return _rebuild, (type(self), {**parts, "attributes": dict(self.attributes)}, self.skipped)


def is_under_another(question: Question) -> bool:
    """Return whether its options are shown under the stem of another question."""
    return {OPTIONS_OF, STEM_OF} <= question.attributes.keys()


def _rebuild(kind: type[Question], parts: dict[str, Any], skipped: SkippedRows | None = None) -> Question:
    question = kind(**parts)
    object.__setattr__(question, "skipped", skipped)
    return question


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise QuestionError(f"{where} is {value!r} ({type(value).__name__}), but must be text")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise QuestionError(
            f"{where} is {value!r}, which holds half a surrogate pair and is no valid text. Read the file as UTF-8"
        )
    if not value.strip():
        raise QuestionError(f"{where} is {value!r}, but must not be empty. Write what is to be asked")
    return value


def _optional_text(value: object, where: str) -> str | None:
    return None if value is None else _text(value, where)


def check_options(options: object, where: str) -> tuple[str, ...]:
    """Return options as a tuple of two or more texts that a reader can tell apart, or raise."""
    if isinstance(options, str) or not isinstance(options, Sequence):
        raise QuestionError(f"{where}: options is {options!r}, but must be a list of two or more texts")
    texts = tuple(_text(option, f"{where}: option {index}") for index, option in enumerate(options))
    if len(texts) < 2:
        raise QuestionError(f"{where}: {len(texts)} option(s) {list(texts)!r}, but a choice needs at least 2")
    forms = [same_form(text) for text in texts]
    for index, text in enumerate(texts):
        first = texts[forms.index(forms[index])]
        if texts.count(text) > 1 or first != text:
            given = (
                f"the option {text!r} is given {texts.count(text)} times"
                if texts.count(text) > 1
                else f"the options {first!r} and {text!r} look the same: they differ in blanks or Unicode form only"
            )
            raise QuestionError(f"{where}: {given}, but options must be distinct. Merge them or tell them apart")
    return texts


def places_of(text: str, options: Sequence[str]) -> list[int]:
    """Return where a text stands among options: as it is, or else up to blanks, Unicode form and kind of quotes."""
    if text in options:
        return [options.index(text)]
    form = same_form(text.translate(PLAIN_MARKS))
    return [place for place, option in enumerate(options) if same_form(option.translate(PLAIN_MARKS)) == form]


def _scores(scores: Sequence[float] | None, n_options: int, where: str) -> tuple[float, ...] | None:
    if scores is None:
        return None
    if isinstance(scores, str) or not isinstance(scores, Sequence):
        raise QuestionError(f"{where}: scores is {scores!r}, but must be a list with one number per option")
    values = [_score(score, where) for score in scores]
    if len(values) != n_options:
        raise QuestionError(f"{where}: {len(values)} scores for {n_options} options, but each option needs one")
    if max(values) == min(values):
        raise QuestionError(f"{where}: all scores are {values[0]:g}, but a scale needs at least two different scores")
    return tuple(values)


def _score(score: object, where: str) -> float:
    if isinstance(score, int | float) and not isinstance(score, bool) and abs(score) < MAX_SCORE:
        return float(score)
    raise QuestionError(f"{where}: the score {score!r} is not a number between -{MAX_SCORE:g} and {MAX_SCORE:g}")


def _answer(answer: int | str | None, options: tuple[str, ...], where: str) -> int | None:
    if answer is None:
        return None
    if isinstance(answer, str):
        places = places_of(answer, options)
        if len(places) != 1:
            raise QuestionError(
                f"{where}: the answer {answer!r} is {'not one' if not places else 'more than one'} of the options {list(options)!r}. "
                "Give an option's text or its index"
            )
        return places[0]
    if isinstance(answer, bool) or not isinstance(answer, int):
        raise QuestionError(f"{where}: the answer {answer!r} is neither an option's text nor its index")
    if not 0 <= answer < len(options):
        raise QuestionError(
            f"{where}: the answer index {answer} is outside 0..{len(options) - 1}; indices count from 0"
        )
    return answer


def _attributes(attributes: object, where: str) -> Mapping[str, Any]:
    if attributes is None:
        return MappingProxyType({})
    if not isinstance(attributes, Mapping):
        raise QuestionError(f"{where}: attributes is {attributes!r}, but must map names to values")
    for name, value in attributes.items():
        if not isinstance(name, str) or name.strip():
            _text(name, f"{where}: the attribute name")
        if isinstance(value, str) and value.strip():
            _text(value, f"{where}: the attribute {name!r}")
    return MappingProxyType(dict(attributes))


class Bank(tuple[Question, ...]):
    """The questions of a file, and what was left out of it."""

    source: str
    left_out: tuple[str, ...]
    """Place and reason of each row that was left out, because `bad_rows="skip"` said so."""

    def __new__(cls, questions: Iterable[Question], source: str = "", left_out: Sequence[str] = ()) -> Bank:
        """Make it of questions that are checked already, and tell each of them what was left out."""
        made = super().__new__(cls, questions)
        made.source, made.left_out = source, tuple(left_out)
        skipped = SkippedRows(len(made) + len(left_out), made.left_out) if left_out else None
        for question in made:
            object.__setattr__(question, "skipped", skipped)
        return made


def check_unique(questions: Sequence[Question], where: str = "questions") -> tuple[Question, ...]:
    """Return `questions` as a tuple, or raise where one is asked twice or two share an id.

    Copies of a question that sit in one suite would count the same evidence twice.
    """
    found: dict[str, Question] = {}
    ids: set[str] = set()
    for question in questions:
        if not isinstance(question, Question):
            raise QuestionError(f"{where}: {question!r} is a {type(question).__name__}, but must be a Question")
        if question.content_hash in found:
            raise QuestionError(
                f"{where}: {question.name!r} repeats {found[question.content_hash].name!r} (same stem, options and context). Remove one"
            )
        if question.id is not None and question.id in ids:
            raise QuestionError(f"{where}: the id {question.id!r} is used twice, but ids must be unique")
        found[question.content_hash] = question
        ids.update([question.id] if question.id is not None else [])
    return tuple(questions)


def cluster_of(question: Question) -> str:
    """Return the cluster of a question: `attributes["cluster"]`, or the question alone."""
    given = question.attributes.get("cluster")
    return f"question {question.content_hash}" if given is None else f"cluster {given}"


MIN_KNOWN = 8
"""Known answers below which nothing is said of accuracy: with two options, 7 of 8 are needed to tell knowing from guessing."""


def name_of_unit(question: Question, *, by_cluster: bool) -> str:
    """Return what tells the units apart that are counted: questions, or clusters of them."""
    return cluster_of(question) if by_cluster else question.content_hash


def known_answers(questions: Iterable[Question], *, by_cluster: bool) -> int:
    """Return how many questions have a known answer; with `by_cluster`, how many clusters."""
    return len({name_of_unit(one, by_cluster=by_cluster) for one in questions if one.answer is not None})


def whole_names(questions: Sequence[Question]) -> tuple[str, ...]:
    """Return for each question a name that no other has: its id or whole stem, numbered where that comes twice."""
    found: dict[str, None] = {}
    for question in questions:
        name = question.id or question.stem
        numbered = (f"{name} ({number})" for number in itertools.count(2))
        found[name if name not in found else next(one for one in numbered if one not in found)] = None
    return tuple(found)


def given_for(question: Question, table: Mapping[str, T]) -> T | None:
    """Return what a table gives for a question, under its id, content hash or stem; `None` where it gives nothing."""
    names = (question.id, question.content_hash, question.stem)
    return next((table[name] for name in names if name is not None and name in table), None)


def skipped_rows(given: object) -> tuple[SkippedRows, ...]:
    """Return what was left out of the files of questions, pairs of them, or what else holds some; each file once."""
    if isinstance(given, Question):
        return () if given.skipped is None else (given.skipped,)
    parts = given if isinstance(given, Collection) and not isinstance(given, str | Mapping) else ()
    return tuple(dict.fromkeys(file for part in parts for file in skipped_rows(part)))


Questions = Question | Iterable[Question]


def as_questions(questions: Questions) -> tuple[Question, ...]:
    """Return one question or many as a checked, non-empty tuple."""
    if isinstance(questions, Question):
        return (questions,)
    if isinstance(questions, str | os.PathLike):
        raise QuestionError(
            f"questions is {questions!r}, but must be a Question or many. load_questions({str(questions)!r}) reads a file"
        )
    if not isinstance(questions, Iterable):
        raise QuestionError(f"questions is {questions!r}, but must be a Question or many")
    many = check_unique(tuple(questions))
    if not many:
        raise QuestionError("there are no questions, and a check of nothing would hold. Give at least one Question")
    return many
