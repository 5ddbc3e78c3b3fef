"""How a question is laid out and worded: layouts of options, templates of prompts."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal, get_args

from pytest_llminvariance.errors import QuestionError, UsageError
from pytest_llminvariance.questions.labels import check_labels, check_text
from pytest_llminvariance.questions.question import check_options

LETTERS = tuple(string.ascii_uppercase)


LabelCase = Literal["as_is", "upper", "lower"]


TEMPLATE_FIELDS = ("context", "stem", "options", "labels", "first_label", "last_label", "first_option", "last_option")


END_FIELDS = frozenset({"first_label", "last_label", "first_option", "last_option"})
SYSTEM_FIELD = re.compile(r"\{(" + "|".join(TEMPLATE_FIELDS) + r")\}")
"""A field in a system message; other braces there are text."""


@lru_cache(maxsize=64)  # asked for with every presentation, of which a suite has few templates
def _parsed(text: str) -> tuple[dict[str, bool], frozenset[str]]:
    """Return the fields of a text and whether each is a plain name; and their names."""
    found: dict[str, bool] = {}
    for _, name, spec, conversion in string.Formatter().parse(text):
        if name is not None:
            found[name] = found.get(name, True) and name.isidentifier() and not spec and not conversion
    return found, frozenset(found)


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

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: FBT001 - as Hypothesis calls it
        """Print one line."""
        del cycle
        printer.text(f"<Layout {self.enumerator!r} separated by {self.separator!r}>")

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


@dataclass(frozen=True, slots=True, repr=False)
class Template:
    """A way of asking: the instructions around stem and options.

    `text` and `system` hold fields in braces; `system` becomes a system message, which needs a chat model, and other
    braces in it are text. `{stem}` is required in one of the two, and either `{options}` (the whole list) or
    `{first_option}` and `{last_option}` with the labels (a scale of which only the ends are named). `{context}` and
    `{labels}` are optional. `labels` and `layout` are used wherever a presentation does not name its own.

    `options` are other texts for the question's options, by content, and `reverse` shows them from the other end.
    """

    text: str
    name: str | None = field(default=None, kw_only=True)
    system: str | None = field(default=None, kw_only=True)
    labels: tuple[str, ...] | None = field(default=None, kw_only=True)
    layout: Layout | None = field(default=None, kw_only=True)
    options: tuple[str, ...] | None = field(default=None, kw_only=True)
    reverse: bool = field(default=False, kw_only=True)
    open: bool = field(default=False, kw_only=True)
    """Whether the question is asked without its options, so that the answer is free text."""

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: FBT001 - as Hypothesis calls it
        """Print one line."""
        del cycle
        printer.text(f"<Template {self.shown_name!r}>")

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
        ends = fields >= {"first_option", "last_option"} and ("labels" in fields or fields >= END_FIELDS)
        if self.open and fields - {"context", "stem"}:
            raise UsageError(f"template {self.shown_name!r} is open, so it shows {{context}} and {{stem}} only")
        if not self.open and "options" not in fields and not ends:
            raise UsageError(
                f"template {self.shown_name!r} has no {{options}} field, so no option would be shown. "
                f"Add it, name both ends of a scale with {', '.join(sorted(END_FIELDS))}, or say open=True"
            )
        if not isinstance(self.reverse, bool):
            raise UsageError(f"template reverse is {self.reverse!r}, but must be True or False")
        if self.options is not None:
            try:
                object.__setattr__(self, "options", check_options(self.options, f"template {self.shown_name!r}"))
            except QuestionError as error:
                raise UsageError(str(error)) from error
        if self.labels is not None:
            object.__setattr__(self, "labels", check_labels(self.labels))

    @property
    def content_hash(self) -> str:
        """SHA-256 over everything but the name."""
        layout = None if self.layout is None else dataclasses.astuple(self.layout)
        content = [self.text, self.system, self.labels, layout, *self._own_scale, *(["open"] if self.open else [])]
        return hashlib.sha256(json.dumps(content, ensure_ascii=True).encode()).hexdigest()

    @property
    def fields(self) -> frozenset[str]:
        """Names of the fields in `text` and `system`."""
        try:
            fields, names = _parsed(self.text)
        except ValueError as error:
            raise UsageError(
                f"template {self.shown_name!r} cannot be read: {error}. Write {{{{ and }}}} for braces"
            ) from error
        for name, is_plain in fields.items():
            if not is_plain:
                raise UsageError(f"template {self.shown_name!r}: the field {{{name}}} must be a plain name")
        return names | self.system_fields

    @property
    def system_fields(self) -> frozenset[str]:
        """Names of the fields in `system`: with one of them it shows the question, or a part of it."""
        return frozenset(SYSTEM_FIELD.findall(self.system)) if self.system else frozenset()

    @property
    def _own_scale(self) -> tuple[object, ...]:
        return (self.options, self.reverse) if self.options is not None or self.reverse else ()

    def filled(self, values: Mapping[str, str]) -> tuple[str | None, str]:
        """Return the system message and the text with the fields filled in."""
        system = None if self.system is None else SYSTEM_FIELD.sub(lambda hit: values[hit[1]], self.system)
        return system, self.text.format(**values)

    @property
    def names_ends_only(self) -> bool:
        """True where only the two ends of a scale are named."""
        return "options" not in self.fields and not self.open

    @property
    def shown_name(self) -> str:
        """The name, or the text where that is short and all there is, or its beginning and a mark of the whole."""
        if self.name is not None:
            return self.name
        rest = (self.system, self.labels, self.layout, *self._own_scale, *(("open",) if self.open else ()))
        if rest == (None, None, None) and len(self.text) <= 40 and "\n" not in self.text:
            return self.text
        mark = hashlib.sha256(repr((self.text, *rest)).encode()).hexdigest()[:6]
        return f"{self.text[:24]}{'…' if len(self.text) > 24 else ''} #{mark}".replace("\n", " ")

    def __repr__(self) -> str:
        """Return what makes it; a plan is known by it, so what is as usual since fields were added is left out."""
        shown = ["name", "system", "labels", "layout", *(["options", "reverse"] if self._own_scale else [])]
        shown += ["open"] if self.open else []
        return f"Template(text={self.text!r}, {', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"


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
