"""Questions and presentations as Python source, from which equal ones are made again."""

from __future__ import annotations

import ast
import dataclasses
from typing import Any

from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.questions.template import DEFAULT_TEMPLATE, Layout, Template


def question_source(question: Question) -> str:
    """Return `Question(...)`; attributes that have no literal are left out, for they are never shown."""
    attributes = {name: value for name, value in question.attributes.items() if _is_literal(value)}
    return repr(dataclasses.replace(question, attributes=attributes))


def presentation_source(presentation: Presentation, *, known_as: tuple[Question, str] | None = None) -> str:
    """Return `Presentation(...)` with the parts that are not as it would be without them.

    `known_as` is a question and the name that it goes by there.
    """
    question, name = known_as or (None, "")
    parts = [name if question == presentation.question else question_source(presentation.question)]
    plain = Presentation(presentation.question, template=presentation.template)
    given: dict[str, Any] = {}
    if presentation.template != DEFAULT_TEMPLATE:
        given["template"] = presentation.template
    for field in dataclasses.fields(presentation):
        if field.name not in ("question", "template", "given_labels"):
            own = "given_labels" if field.name == "labels" else field.name
            if getattr(presentation, own) != getattr(plain, own):
                given[field.name] = getattr(presentation, own)
    return f"Presentation({', '.join([*parts, *(f'{name}={_source(value)}' for name, value in given.items())])})"


def _source(value: object) -> str:
    """Return a layout or template without what is as usual; other values as they print themselves."""
    if not isinstance(value, Layout | Template):
        return repr(value)
    fields = [field for field in dataclasses.fields(value) if getattr(value, field.name) != field.default]
    return f"{type(value).__name__}({', '.join(f'{f.name}={_source(getattr(value, f.name))}' for f in fields)})"


def _is_literal(value: object) -> bool:
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
