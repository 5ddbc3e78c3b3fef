"""Strategies for questions: from a bank, or made from a text with blanks."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st
from hypothesis.errors import InvalidArgument
from hypothesis.strategies import SearchStrategy

from pytest_llminvariance.questions.labels import same_form
from pytest_llminvariance.questions.question import Question, as_questions
from pytest_llminvariance.strategies.parts import noted
from pytest_llminvariance.strategies.texts import made

Options = Sequence[str] | Callable[..., Sequence[Any]]


def questions(bank: Sequence[Question]) -> SearchStrategy[Question]:
    """Draw questions from a bank; shrinks towards the first.

    Raises:
        InvalidArgument: if the bank is empty, or holds a question twice.
    """
    known = list(made("questions", lambda: as_questions(tuple(bank))))
    drawn = st.sampled_from(known)
    return noted("questions", drawn) if len(known) > 1 else drawn


def instances(
    text: str, *, options: Options, answer: Callable[..., Any], **values: SearchStrategy[Any] | Sequence[Any]
) -> SearchStrategy[Question]:
    """Draw questions made from a text with blanks, with the expected answer computed.

    `text` holds fields such as `{n}`; each has a keyword with a strategy, or with values to choose from (a list
    or a range). `answer` is called with the values by name and gives the right option. `options` are texts with
    the same fields, or a function of the values that gives the options. Numbers become their decimal text. Draws
    in which a reader cannot tell two options apart are passed over.

    Shrinks each value as its own strategy does, or towards the first value given::

        instances("Ann has {n} red and {m} blue pens. How many pens has she?", n=range(2, 6), m=range(2, 6),
                  options=lambda n, m: [n, m, n + m, n * m + 1], answer=lambda n, m: n + m)

    Raises:
        InvalidArgument: if a field has no values, a value no field, or something is empty or of another type.
        QuestionError: when drawn, if the answer is not among the options.
    """
    if not isinstance(text, str) or not text.strip():
        raise InvalidArgument(f"instances: text is {text!r}, but must be a text with fields such as {{n}}")
    for name, value in (("answer", answer), *((("options", options),) if not isinstance(options, Sequence) else ())):
        if not callable(value):
            raise InvalidArgument(f"instances: {name} is {value!r}, but must be a function of the values")
    named = _fields(text)
    if isinstance(options, Sequence):
        if isinstance(options, str) or len(options) < 2 or not all(isinstance(option, str) for option in options):
            raise InvalidArgument(f"instances: options is {options!r}, but must be two or more texts, or a function")
        named |= {field for option in options for field in _fields(option)}
    missing, unused = named - set(values), set(values) - named
    if missing:
        raise InvalidArgument(f"instances: the field {{{min(missing)}}} has no values. Give {min(missing)}=...")
    if unused:
        raise InvalidArgument(f"instances: {min(unused)} is given, but neither text nor options hold {{{min(unused)}}}")
    drawn = {name: _values(name, value) for name, value in values.items()}
    return noted("instances", _instance(text, options, answer, drawn))


@st.composite
def _instance(
    draw: st.DrawFn, text: str, options: Options, answer: Callable[..., Any], values: Mapping[str, SearchStrategy[Any]]
) -> Question:
    chosen = {name: draw(value) for name, value in values.items()}
    shown = {name: str(value) for name, value in chosen.items()}
    many = [option.format(**shown) for option in options] if isinstance(options, Sequence) else options(**chosen)
    texts = [str(option) for option in many]
    assume(len(set(map(same_form, texts))) == len(texts))
    return Question(text.format(**shown), texts, answer=str(answer(**chosen)))


def _fields(text: str) -> set[str]:
    try:
        parsed = list(string.Formatter().parse(text))
    except ValueError as error:
        raise InvalidArgument(f"instances: {text!r} cannot be read: {error}. Write {{{{ and }}}} for braces") from error
    for _, name, spec, conversion in parsed:
        if name is not None and (not name.isidentifier() or spec or conversion):
            raise InvalidArgument(f"instances: the field {{{name}}} of {text!r} must be a plain name")
    return {name for _, name, _, _ in parsed if name is not None}


def _values(name: str, given: object) -> SearchStrategy[Any]:
    if isinstance(given, SearchStrategy):
        return given
    if isinstance(given, str) or not isinstance(given, Sequence) or not given:
        raise InvalidArgument(f"instances: {name} is {given!r}, but must be a strategy, or a list or range of values")
    return st.sampled_from(list(given))
