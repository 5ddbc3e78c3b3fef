"""Likert instruments: items with a trait and a key on one scale, scored by trait."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from pytest_llminvariance.errors import QuestionError
from pytest_llminvariance.questions.question import Question, check_unique
from pytest_llminvariance.questions.template import Layout, Template

WAYS = ("letters with text", "digits with a legend", "bare digits with end words")
"""The ways of asking that `Questionnaire.administrations` gives."""


@dataclass(frozen=True, slots=True)
class Scale:
    """The answer options of an instrument, from one end to the other, each with its score."""

    options: tuple[str, ...]
    scores: tuple[float, ...]

    def __post_init__(self) -> None:
        checked = Question("scale", self.options, scores=self.scores)
        if checked.scores is None:
            raise QuestionError("scale: scores is None, but each option needs a score")
        object.__setattr__(self, "options", checked.options)
        object.__setattr__(self, "scores", checked.scores)
        steps = [after - before for before, after in zip(self.scores, self.scores[1:], strict=False)]
        if not (all(step > 0 for step in steps) or all(step < 0 for step in steps)):
            raise QuestionError(
                f"scale: the scores {list(self.scores)} neither rise nor fall from one end to the other. "
                "List the options in the order of the scale"
            )

    @property
    def midpoint(self) -> float:
        """Half-way between the two end scores."""
        return (self.scores[0] + self.scores[-1]) / 2


@dataclass(frozen=True, slots=True)
class Item:
    """A statement, the trait that it measures, and whether agreement counts against the trait."""

    stem: str
    trait: str
    reverse_keyed: bool = False
    id: str | None = None


@dataclass(frozen=True, slots=True)
class Questionnaire:
    """Likert items on one scale.

    Iterating gives one `Question` per item, with `attributes["trait"]`, so a questionnaire goes wherever
    questions go.
    """

    items: tuple[Item, ...]
    scale: Scale
    name: str = "questionnaire"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise QuestionError(f"questionnaire: name is {self.name!r}, but must be text")
        if isinstance(self.items, str) or not isinstance(self.items, Sequence):
            raise QuestionError(f"{self.name}: items is {self.items!r}, but must be a list of Item")
        if not isinstance(self.scale, Scale):
            raise QuestionError(f"{self.name}: scale is {self.scale!r}, but must be a Scale")
        object.__setattr__(self, "items", tuple(self.items))
        if not self.items:
            raise QuestionError(f"{self.name}: there are no items, but an instrument needs at least one")
        for number, item in enumerate(self.items, start=1):
            self._check_item(item, f"{self.name}, item {number}")
        check_unique(self.questions, self.name)

    def __iter__(self) -> Iterator[Question]:
        return iter(self.questions)

    def __len__(self) -> int:
        return len(self.items)

    @property
    def questions(self) -> tuple[Question, ...]:
        """One question per item, in the order of the items."""
        return tuple(self._question(item) for item in self.items)

    def _question(self, item: Item) -> Question:
        return Question(
            item.stem,
            self.scale.options,
            id=item.id,
            scores=self.scale.scores,
            reverse_keyed=item.reverse_keyed,
            attributes={"trait": item.trait},
        )

    def _check_item(self, item: object, where: str) -> None:
        if not isinstance(item, Item):
            raise QuestionError(f"{where}: {item!r} is a {type(item).__name__}, but must be an Item")
        if not isinstance(item.trait, str) or not item.trait.strip():
            raise QuestionError(f"{where}: trait is {item.trait!r}, but must be text. Name what the item measures")
        try:
            self._question(item)
        except QuestionError as error:
            raise QuestionError(f"{where}: {error}") from error

    @property
    def traits(self) -> tuple[str, ...]:
        """The traits in the order of their first item."""
        return tuple(dict.fromkeys(item.trait for item in self.items))

    def administrations(
        self,
        ask: str = 'How much do you agree with this statement? "{stem}"',
        *,
        options: Mapping[str, Sequence[str]] = MappingProxyType({}),
        reverse: Collection[str] = (),
        in_system: Collection[str] = (),
    ) -> tuple[Template, Template, Template]:
        """Return three equivalent ways of asking: letters with text, digits with a legend, bare digits with end words.

        Digits count from 1 in the order shown, so with `orders="reversed"` they stand for the other end.
        The last way names only the two ends of the scale. By these names, `options` gives a way its own texts for
        the scale (in the order of the scale), `reverse` names the ways that begin at its other end, and `in_system`
        those that put item and scale into the system message.

        Raises:
            QuestionError: if the scale has more than 9 options, which digits cannot tell apart, a way is not known,
                or has another number of texts than the scale.
        """
        k = len(self.scale.options)
        if k > 9:
            raise QuestionError(f"{self.name}: digits cannot label the {k} options of the scale; 9 is the most")
        for named in (*options, *reverse, *in_system):
            if named not in WAYS:
                raise QuestionError(f"{self.name}: there is no way of asking {named!r}; they are {', '.join(WAYS)}")
        for named, texts in options.items():
            if len(texts) != k:
                raise QuestionError(
                    f"{self.name}: {named!r} has {len(texts)} texts, but the scale has {k} options. Give one for each"
                )
        digits = tuple(str(number) for number in range(1, k + 1))

        def way(name: str, scale: str, tail: str, layout: Layout | None = None) -> Template:
            shown, moved = f"{ask}\n{scale}", name in in_system
            own = tuple(options[name]) if name in options else None
            return Template(
                tail if moved else f"{shown}\n{tail}", name=name, system=shown if moved else None,
                labels=None if name == WAYS[0] else digits, layout=layout, options=own, reverse=name in reverse,
            )  # fmt: skip

        ends = "{first_label} means {first_option}, {last_label} means {last_option}."
        return (
            way(WAYS[0], "{options}", "Answer with the letter only.\nAnswer:"),
            way(WAYS[1], "{options}", "Answer with only one of: {labels}.\nAnswer:", Layout(enumerator="{label} = ")),
            way(WAYS[2], ends, "Answer with the number only: {labels}.\nAnswer:"),
        )

    def trait_scores(self, raw_scores: Sequence[float | None]) -> Mapping[str, float | None]:
        """Return the mean keyed score of each trait.

        `raw_scores` has one expected score per item on the scale as printed (before re-keying), `None`
        where there is no answer. Reverse-keyed items are mirrored: min + max - score. A trait without
        any answer is `None`.
        """
        keyed: dict[str, list[float]] = {trait: [] for trait in self.traits}
        for item, score in self._paired(raw_scores):
            keyed[item.trait].append(self._mirrored(score) if item.reverse_keyed else score)
        return MappingProxyType({t: sum(s) / len(s) if s else None for t, s in keyed.items()})

    def acquiescence_index(self, raw_scores: Sequence[float | None]) -> float | None:
        """Return how far agreeing wins over content: mean on + items minus mirrored mean on - items.

        In points of the scale; 0 for a respondent who answers by content, up to the range for one who
        agrees with everything. `None` unless both keys were answered.
        """
        pairs = self._paired(raw_scores)
        plus = [score for item, score in pairs if not item.reverse_keyed]
        minus = [self._mirrored(score) for item, score in pairs if item.reverse_keyed]
        if not plus or not minus:
            return None
        return sum(plus) / len(plus) - sum(minus) / len(minus)

    def _mirrored(self, score: float) -> float:
        return self.scale.scores[0] + self.scale.scores[-1] - score

    def _paired(self, raw_scores: Sequence[float | None]) -> list[tuple[Item, float]]:
        if len(raw_scores) != len(self.items):
            raise QuestionError(f"{self.name}: {len(raw_scores)} scores for {len(self.items)} items")
        return [(item, score) for item, score in zip(self.items, raw_scores, strict=True) if score is not None]
