"""Presentations: a question with everything fixed that is shown, and the way back to content."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.questions.conversation import Ask, Message, Said, Turn, check_shots, check_turns
from pytest_llminvariance.questions.labels import check_labels
from pytest_llminvariance.questions.orders import Order, check_order, identity, inverse
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.questions.template import (
    DEFAULT_LAYOUT,
    DEFAULT_TEMPLATE,
    LETTERS,
    Layout,
    Template,
    _check_layout,
    as_template,
)


class Manner:
    """How a presentation shows its question, apart from the question; its hash is made once for all that share it."""

    __slots__ = ("_hash", "_parts")

    def __init__(self, parts: tuple[object, ...]) -> None:
        self._parts, self._hash = parts, hash(parts)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Manner) and self._hash == other._hash and self._parts == other._parts

    def __hash__(self) -> int:
        return self._hash


class _Hashed:
    """The hash, which is asked for with every answer; no field, as a copy in another process has another."""

    __slots__ = ("_hash", "_manner")
    _hash: int
    _manner: Manner


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Presentation(_Hashed):
    """One way of showing a question, and the way back from what was shown.

    `order[position]` is the content shown at that position. Where more labels than options are given, the
    first ones are used. `shots` are worked examples, shown before in the same way and with their answers;
    `turns` is what was said after the question, up to the user's turn that asks for an answer.

    Raises:
        UsageError: if a part does not fit the question.
    """

    question: Question
    order: Order
    labels: tuple[str, ...]
    """As shown: in the case that the layout asks for."""
    layout: Layout
    template: Template
    shots: tuple[Question, ...]
    turns: tuple[Turn, ...]
    given_labels: tuple[str, ...] = field(compare=False, init=False)
    """Before the layout's case, so that another layout starts from them."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: FBT001 - as Hypothesis calls it
        """Print one line: the question's name, and what is not as it would be without it."""
        del cycle
        plain = Presentation(self.question, template=self.template)
        said = [f"order={self.order}"] if self.order != plain.order else []
        said += [f"labels={' '.join(self.labels)!r}"] if self.labels != plain.labels else []
        said += [f"template={self.template.shown_name!r}"] if self.template != DEFAULT_TEMPLATE else []
        said += ["layout=..."] if self.layout != plain.layout else []
        said += [f"{len(part)} {name}" for name in ("shots", "turns") if (part := getattr(self, name))]
        printer.text(f"<Presentation {', '.join([repr(self.question.name), *said])}>")

    def __init__(
        self,
        question: Question,
        *,
        order: Sequence[int] | None = None,
        labels: Sequence[str] | None = None,
        layout: Layout | None = None,
        template: str | Template | None = None,
        shots: Sequence[Question] = (),
        turns: Sequence[Turn] = (),
    ) -> None:
        if not isinstance(question, Question):
            raise UsageError(f"a presentation shows a Question, but was given {question!r}")
        k = len(question.options)
        way = DEFAULT_TEMPLATE if template is None else as_template(template)
        chosen_layout = DEFAULT_LAYOUT if way.layout is None else way.layout
        if layout is not None:
            chosen_layout = _check_layout(layout, "layout")
        set_field = object.__setattr__
        set_field(self, "question", question)
        as_written = identity(k)[::-1] if way.reverse else identity(k)
        set_field(self, "order", as_written if order is None else check_order(order, k))
        given = _labels_for(k, labels if labels is not None else way.labels)
        set_field(self, "given_labels", given)
        set_field(self, "labels", _cased(given, chosen_layout))
        set_field(self, "layout", chosen_layout)
        set_field(self, "template", way)
        set_field(self, "turns", check_turns(turns, k))
        if question.context is not None and "context" not in way.fields:
            raise UsageError(
                f"question {question.name!r} has a context, but the template {way.shown_name!r} has no {{context}} field, "
                "so it would not be shown"
            )
        if way.names_ends_only:
            _check_ends(self)
        if way.options is not None and len(way.options) != k:
            raise UsageError(
                f"the template {way.shown_name!r} has {len(way.options)} options, but question {question.name!r} has {k}. "
                "Give one text for each, in the order of the question's"
            )
        set_field(self, "shots", check_shots(shots))
        if self.shots and way.system_fields:
            raise UsageError(
                f"the template {way.shown_name!r} shows the question in the system message, which worked examples cannot follow. "
                "Put the fields into its text, or leave shots out"
            )
        for shot in self.shots:
            self._as_shot(shot)

    @property
    def parts(
        self,
    ) -> tuple[Order, Question, tuple[str, ...], Layout, Template, tuple[Question, ...], tuple[Turn, ...]]:
        """All that makes it what it is, the order first."""
        return self.order, self.question, self.labels, self.layout, self.template, self.shots, self.turns

    def __hash__(self) -> int:
        try:
            return self._hash
        except AttributeError:
            object.__setattr__(self, "_hash", hash((self.question, self.manner)))
            return self._hash

    @property
    def manner(self) -> Manner:
        """All that makes it what it is but the question."""
        try:
            return self._manner
        except AttributeError:
            object.__setattr__(self, "_manner", Manner((self.order, *self.parts[2:])))
            return self._manner

    @property
    def shows_labels(self) -> bool:
        """False where options are listed without labels, so that no answer can name one."""
        return ("{label}" in self.layout.enumerator or self.template.names_ends_only) and not self.template.open

    def __repr__(self) -> str:
        k = len(self.order)
        usual = {"order": identity(k), "labels": LETTERS[:k], "layout": DEFAULT_LAYOUT, "template": DEFAULT_TEMPLATE}
        parts = [repr(self.question)]
        for name, as_written in {**usual, "shots": (), "turns": ()}.items():
            value = getattr(self, name)
            parts += [] if value == as_written else [f"{name}={value!r}"]
        return f"Presentation({', '.join(parts)})"

    def replace(self, **changes: Any) -> Presentation:
        """Return a copy in which the named parts are changed."""
        parts = {name: getattr(self, name) for name in ("question", "order", "layout", "template", "shots", "turns")}
        parts["labels"] = self.given_labels
        way = changes.get("template", self.template)
        if "order" not in changes and isinstance(way, Template) and way.reverse != self.template.reverse:
            parts["order"] = self.order[::-1]
        return Presentation(**{**parts, **changes})

    @property
    def way(self) -> tuple[object, ...]:
        """How it shows its question, which is equal for questions that are shown in the same way."""
        return self.order, self.given_labels, self.labels, self.layout, self.template, self.shots, self.turns

    def fits(self, question: Question) -> bool:
        """Return whether another question can be shown in this way for certain."""
        k_and_context = (len(self.order), self.question.context is None)
        return (len(question.options), question.context is None) == k_and_context

    def about(self, question: Question) -> Presentation:
        """Return another question, which `fits`, shown in this way; nothing is checked again."""
        made = self._copy()
        object.__setattr__(made, "question", question)
        object.__setattr__(made, "_manner", self.manner)
        return made

    def reordered(self, order: Sequence[int]) -> Presentation:
        """Return it with its options in another order; nothing but the order is checked again."""
        made = self._copy()
        object.__setattr__(made, "order", check_order(order, len(self.order)))
        if self.template.names_ends_only:
            _check_ends(made)
        return made

    def _copy(self) -> Presentation:
        made, set_field = object.__new__(Presentation), object.__setattr__
        set_field(made, "question", self.question)
        set_field(made, "order", self.order)
        set_field(made, "labels", self.labels)
        set_field(made, "layout", self.layout)
        set_field(made, "template", self.template)
        set_field(made, "shots", self.shots)
        set_field(made, "turns", self.turns)
        set_field(made, "given_labels", self.given_labels)
        return made

    @property
    def shown_options(self) -> tuple[str, ...]:
        """The options' texts by position."""
        texts = self.template.options or self.question.option_texts
        return tuple(texts[content] for content in self.order)

    def option_at(self, label: str) -> int:
        """Return the content index that `label` stands for."""
        if label not in self.labels:
            raise UsageError(f"the label {label!r} is not shown; the labels are {', '.join(self.labels)}")
        return self.order[self.labels.index(label)]

    def position_of(self, option: int | str) -> int:
        """Return the position at which an option, given by content index or text, is shown."""
        if isinstance(option, str):
            if option not in self.question.options:
                raise UsageError(f"the option {option!r} is not one of {list(self.question.options)!r}")
            option = self.question.options.index(option)
        if not 0 <= option < len(self.order):
            raise UsageError(f"the content index {option} is outside 0..{len(self.order) - 1}")
        return inverse(self.order)[option]

    def label_of(self, option: int | str) -> str:
        """Return the label under which an option is shown."""
        return self.labels[self.position_of(option)]

    def render_options(self) -> str:
        """Return the list of options as printed."""
        entries = (
            self.layout.enumerator.replace("{label}", label) + text
            for label, text in zip(self.labels, self.shown_options, strict=True)
        )
        return self.layout.separator.join(entries)

    def render(self) -> tuple[Message, ...]:
        """Return the chat messages that ask the question."""
        told, asked = self._asked()
        system = () if told is None else (Message("system", told),)
        shots = [message for shot in self.shots for message in self._as_shot(shot)._with_answer()]
        return (*system, *shots, Message("user", asked), *(self._spoken(turn, asked) for turn in self.turns))

    def _asked(self) -> tuple[str | None, str]:
        question, shown = self.question, self.shown_options
        return self.template.filled(
            {
                "context": "" if question.context is None else question.context + "\n\n",
                "stem": question.stem,
                "options": "\n" * self.layout.extra_blank_lines + self.render_options(),
                "labels": ", ".join(self.labels),
                "first_label": self.labels[0],
                "last_label": self.labels[-1],
                "first_option": shown[0],
                "last_option": shown[-1],
            }
        )

    def _as_shot(self, shot: Question) -> Presentation:
        """Return a worked example, shown as the question is."""
        usual = self.template.labels is None and self.given_labels == LETTERS[: len(self.order)]
        given = None if usual else self.given_labels
        return Presentation(shot, labels=given, layout=self.layout, template=self.template)

    def _with_answer(self) -> tuple[Message, Message]:
        assert self.question.answer is not None  # noqa: S101 - worked examples have one
        return Message("user", self._asked()[1]), self._spoken(Said(self.question.answer), "")

    def _spoken(self, turn: Turn, asked: str) -> Message:
        if isinstance(turn, Said):
            named = (
                self.label_of(turn.content) if self.shows_labels else self.shown_options[self.position_of(turn.content)]
            )
            return Message("assistant", named)
        if isinstance(turn, Ask):
            fields = {"{question}": asked, "{labels}": ", ".join(self.labels)}
            return Message("user", re.sub("|".join(map(re.escape, fields)), lambda hit: fields[hit[0]], turn.text))
        return turn


def _labels_for(k: int, labels: Sequence[str] | None) -> tuple[str, ...]:
    chosen = LETTERS if labels is None else check_labels(labels)
    if len(chosen) < k:
        raise UsageError(f"{len(chosen)} labels ({', '.join(chosen[:8])}) for {k} options. Give at least {k} labels")
    return chosen[:k]


def _cased(labels: tuple[str, ...], layout: Layout) -> tuple[str, ...]:
    if layout.label_case == "as_is":
        return labels
    cased = [label.upper() if layout.label_case == "upper" else label.lower() for label in labels]
    try:
        return check_labels(cased)
    except UsageError as error:
        raise UsageError(
            f"label_case is {layout.label_case!r}, which does not go with {list(labels)!r}: {error}"
        ) from error


def _check_ends(presentation: Presentation) -> None:
    order = presentation.order
    if order not in (identity(len(order)), identity(len(order))[::-1]):
        raise UsageError(
            f"the template {presentation.template.shown_name!r} names only the ends of the scale, so the order {list(order)} "
            "cannot be shown. Use orders='reversed'"
        )
