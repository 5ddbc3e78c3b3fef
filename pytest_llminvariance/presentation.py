"""Presentations: a question with everything fixed that is shown, and the way back to content."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from pytest_llminvariance.conversation import Ask, Message, Said, Turn, check_shots, check_turns
from pytest_llminvariance.designs import Order, check_order, identity, inverse
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.labels import check_labels, check_text
from pytest_llminvariance.questions import Question

__all__ = [
    "DEFAULT_LAYOUT",
    "DEFAULT_TEMPLATE",
    "LETTERS",
    "Layout",
    "Message",
    "Presentation",
    "Template",
    "as_template",
]

LETTERS = tuple(string.ascii_uppercase)
LabelCase = Literal["as_is", "upper", "lower"]
TEMPLATE_FIELDS = ("context", "stem", "options", "labels", "first_label", "last_label", "first_option", "last_option")
END_FIELDS = frozenset({"first_label", "last_label", "first_option", "last_option"})


@dataclass(frozen=True, slots=True)
class Layout:
    """How the list of options is set: nothing here may change its meaning."""

    enumerator: str = "{label}. "
    """What stands before each option: holds `{label}`, or is a plain mark such as "- " (or nothing), and then
    answers cannot be read by label."""
    separator: str = "\n"
    """What stands between two options."""
    label_case: LabelCase = "as_is"
    """Case in which labels are printed."""
    extra_blank_lines: int = 0
    """Blank lines added before the list."""

    def __post_init__(self) -> None:
        check_text(self.enumerator, "enumerator")
        check_text(self.separator, "separator")
        if self.enumerator.count("{label}") > 1 or "{" in self.enumerator.replace("{label}", ""):
            raise UsageError(f"enumerator is {self.enumerator!r}, but may hold {{label}} once and no other field")
        if not self.separator:
            raise UsageError("separator is '', but options must be kept apart. Use '\\n' or '; '")
        if self.label_case not in get_args(LabelCase):
            raise UsageError(f"label_case is {self.label_case!r}, but must be one of {', '.join(get_args(LabelCase))}")
        if type(self.extra_blank_lines) is not int or not 0 <= self.extra_blank_lines <= 10:
            raise UsageError(f"extra_blank_lines is {self.extra_blank_lines!r}, but must be a number from 0 to 10")


@dataclass(frozen=True, slots=True)
class Template:
    """A way of asking: the instructions around stem and options.

    `text` holds fields in braces. `{stem}` is required, and either `{options}` (the whole list) or all of
    `{first_label}`, `{first_option}`, `{last_label}`, `{last_option}` (a scale of which only the ends are
    named). `{context}` and `{labels}` are optional. `system` becomes a system message, which needs a chat
    model. `labels` and `layout` are used wherever a presentation does not name its own.
    """

    text: str
    name: str | None = field(default=None, kw_only=True)
    system: str | None = field(default=None, kw_only=True)
    labels: tuple[str, ...] | None = field(default=None, kw_only=True)
    layout: Layout | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(self.text, str) or not self.text.strip():
            raise UsageError(f"template text is {self.text!r}, but must be text with {{stem}} and {{options}}")
        for what, value in (("text", self.text), ("name", self.name), ("system", self.system)):
            if value is not None:
                check_text(value, f"template {what}")
        if self.layout is not None:
            _check_layout(self.layout, "template layout")
        fields = self.fields
        unknown = fields - set(TEMPLATE_FIELDS)
        if unknown:
            raise UsageError(
                f"template {self.shown_name!r} has the unknown field {{{sorted(unknown)[0]}}}; "
                f"the fields are {', '.join(TEMPLATE_FIELDS)}. Write {{{{ and }}}} for braces"
            )
        if "stem" not in fields:
            raise UsageError(f"template {self.shown_name!r} has no {{stem}} field, so the question would not be asked")
        if "options" not in fields and not fields >= END_FIELDS:
            raise UsageError(
                f"template {self.shown_name!r} has no {{options}} field, so no option would be shown. "
                f"Add it, or name both ends of a scale with {', '.join(sorted(END_FIELDS))}"
            )
        if self.labels is not None:
            object.__setattr__(self, "labels", check_labels(self.labels))

    @property
    def content_hash(self) -> str:
        """SHA-256 over everything but the name."""
        layout = None if self.layout is None else dataclasses.astuple(self.layout)
        content = [self.text, self.system, self.labels, layout]
        return hashlib.sha256(json.dumps(content, ensure_ascii=True).encode()).hexdigest()

    @property
    def fields(self) -> frozenset[str]:
        """Names of the fields in `text`."""
        try:
            parsed = list(string.Formatter().parse(self.text))
        except ValueError as error:
            raise UsageError(
                f"template {self.shown_name!r} cannot be read: {error}. Write {{{{ and }}}} for braces"
            ) from error
        for _, name, spec, conversion in parsed:
            if name is not None and (not name.isidentifier() or spec or conversion):
                raise UsageError(f"template {self.shown_name!r}: the field {{{name}}} must be a plain name")
        return frozenset(name for _, name, _, _ in parsed if name is not None)

    @property
    def names_ends_only(self) -> bool:
        """True where only the two ends of a scale are named."""
        return "options" not in self.fields

    @property
    def shown_name(self) -> str:
        """The name, or the text where that is short and all there is, or its beginning and a mark of the whole."""
        if self.name is not None:
            return self.name
        rest = (self.system, self.labels, self.layout)
        if rest == (None, None, None) and len(self.text) <= 40 and "\n" not in self.text:
            return self.text
        mark = hashlib.sha256(repr((self.text, *rest)).encode()).hexdigest()[:6]
        return f"{self.text[:24]}{'…' if len(self.text) > 24 else ''} #{mark}".replace("\n", " ")


DEFAULT_LAYOUT = Layout()
DEFAULT_TEMPLATE = Template(
    "{context}{stem}\n\n{options}\n\nAnswer with only one of: {labels}.",
    name="default",
)


def _check_layout(value: object, name: str) -> Layout:
    if not isinstance(value, Layout):
        raise UsageError(f"{name} is {value!r}, but must be a Layout")
    return value


def as_template(template: str | Template) -> Template:
    """Return `template`, made from its text where it is a string."""
    if isinstance(template, Template):
        return template
    if not isinstance(template, str):
        raise UsageError(f"template is {template!r}, but must be a Template or its text")
    return Template(template)


@dataclass(frozen=True, slots=True, init=False, repr=False)
class Presentation:
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
        set_field(self, "order", identity(k) if order is None else check_order(order, k))
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
        set_field(self, "shots", check_shots(shots))
        for shot in self.shots:
            self._as_shot(shot)

    @property
    def shows_labels(self) -> bool:
        """False where options are listed without labels, so that no answer can name one."""
        return "{label}" in self.layout.enumerator or self.template.names_ends_only

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
        return Presentation(**{**parts, **changes})

    @property
    def shown_options(self) -> tuple[str, ...]:
        """The options' texts by position."""
        return tuple(self.question.options[content] for content in self.order)

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
        system = () if self.template.system is None else (Message("system", self.template.system),)
        shots = [message for shot in self.shots for message in self._as_shot(shot)._with_answer()]
        asked = self._asked()
        return (*system, *shots, Message("user", asked), *(self._spoken(turn, asked) for turn in self.turns))

    def _asked(self) -> str:
        question, shown = self.question, self.shown_options
        return self.template.text.format(
            context="" if question.context is None else question.context + "\n\n",
            stem=question.stem,
            options="\n" * self.layout.extra_blank_lines + self.render_options(),
            labels=", ".join(self.labels),
            first_label=self.labels[0],
            last_label=self.labels[-1],
            first_option=shown[0],
            last_option=shown[-1],
        )

    def _as_shot(self, shot: Question) -> Presentation:
        """Return a worked example, shown as the question is."""
        usual = self.template.labels is None and self.given_labels == LETTERS[: len(self.order)]
        given = None if usual else self.given_labels
        return Presentation(shot, labels=given, layout=self.layout, template=self.template)

    def _with_answer(self) -> tuple[Message, Message]:
        assert self.question.answer is not None  # noqa: S101 - worked examples have one
        return Message("user", self._asked()), self._spoken(Said(self.question.answer), "")

    def _spoken(self, turn: Turn, asked: str) -> Message:
        if isinstance(turn, Said):
            named = self.label_of(turn.content) if self.shows_labels else self.question.options[turn.content]
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
