"""Misuse of presentations, templates and layouts: each refused with value, rule and way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_llminvariance import Layout, Presentation, Question, Template, UsageError
from tests.questions.bad_input import Misuse, assert_refused, of

RED = Question("Which planet is red?", ["Venus", "Mars", "Jupiter"], answer="Mars")
READ = Question("Who came?", ["Ann", "Bob"], context="Ann came.", id="q1")


PRESENTATIONS = [
    Misuse(
        "label not shown",
        lambda _: Presentation(RED).option_at("D"),
        UsageError,
        "the label 'D' is not shown; the labels are A, B, C",
    ),
    Misuse(
        "option unknown",
        lambda _: Presentation(RED).position_of("Pluto"),
        UsageError,
        "the option 'Pluto' is not one of ['Venus', 'Mars', 'Jupiter']",
    ),
    Misuse(
        "no permutation",
        lambda _: Presentation(RED, order=[0, 0, 2]),
        UsageError,
        "order is [0, 0, 2], but must hold each content index 0..2 once",
    ),
    Misuse(
        "too few labels",
        lambda _: Presentation(RED, labels="AB"),
        UsageError,
        "2 labels (A, B) for 3 options. Give at least 3 labels",
    ),
    Misuse(
        "labels equal up to case",
        lambda _: Presentation(RED, labels=["a", "b", "A"]),
        UsageError,
        "the label 'a' comes twice in ['a', 'b', 'A'] (case and punctuation do not count), but labels must be distinct",
    ),
    Misuse(
        "label with blanks",
        lambda _: Presentation(RED, labels=["A ", "B", "C"]),
        UsageError,
        "the label 'A ' must be text without surrounding blanks",
    ),
    Misuse(
        "no stem",
        lambda _: Template("{options}"),
        UsageError,
        "template '{options}' has no {stem} field, so the question would not be asked",
    ),
    Misuse(
        "no options",
        lambda _: Template("{stem} Choose.", name="short"),
        UsageError,
        "template 'short' has no {options} field, so no option would be shown. "
        "Add it, name both ends of a scale with first_label, first_option, last_label, last_option, or say open=True",
    ),
    Misuse(
        "unknown field",
        lambda _: Template("{stem}{options}{hint}", name="short"),
        UsageError,
        "template 'short' has the unknown field {hint}; the fields are context, stem, options, labels, "
        "first_label, last_label, first_option, last_option. Write {{ and }} for braces",
    ),
    Misuse(
        "unbalanced brace",
        lambda _: Template("{stem}{options} }", name="short"),
        UsageError,
        "template 'short' cannot be read: Single '}' encountered in format string. Write {{ and }} for braces",
    ),
    Misuse(
        "field with conversion",
        lambda _: Template("{stem!r}{options}", name="short"),
        UsageError,
        "template 'short': the field {stem} must be a plain name",
    ),
    Misuse(
        "template is no text",
        lambda _: Presentation(RED, template=of(5)),
        UsageError,
        "template is 5, but must be a Template or its text",
    ),
    Misuse(
        "context not shown",
        lambda _: Presentation(READ, template="{stem}{options}"),
        UsageError,
        "question 'q1' has a context, but the template '{stem}{options}' has no {context} field, so it would not be shown",
    ),
    Misuse(
        "separator empty",
        lambda _: Layout(separator=""),
        UsageError,
        r"separator is '', but options must be kept apart. Use '\n' or '; '",
    ),
    Misuse(
        "unknown case",
        lambda _: Layout(label_case=of("Upper")),
        UsageError,
        "label_case is 'Upper', but must be one of as_is, upper, lower",
    ),
    Misuse(
        "negative blank lines",
        lambda _: Layout(extra_blank_lines=-1),
        UsageError,
        "extra_blank_lines is -1, but must be a number from 0 to 10",
    ),
    Misuse(
        "enumerator with field",
        lambda _: Layout(enumerator="{number}. "),
        UsageError,
        "enumerator is '{number}. ', but may hold {label} once and no other field",
    ),
    *(
        Misuse(
            f"label {label!r} is taken off an answer",
            lambda _, label=label: Presentation(RED, labels=[label, "B", "C"]),  # type: ignore[misc]
            UsageError,
            f"the label {label!r} holds markup or several lines, which are taken off an answer before it is read, "
            "so no answer can name it. Use letters or digits",
        )
        for label in ("<b>", "</S>", "<|x|>", "<answer>", r"\boxed{A}", "A\nB")
    ),
    Misuse(
        "labels that look alike",
        lambda _: Presentation(RED, labels=["-1", "\N{EN DASH}1", "2"]),
        UsageError,
        "the label '-1' comes twice in ['-1', '\N{EN DASH}1', '2'] (case and punctuation do not count), but labels must be distinct",
    ),
    Misuse(
        "labels alike in the layout's case",
        lambda _: Presentation(
            RED, labels=["i", "\N{LATIN SMALL LETTER DOTLESS I}", "c"], layout=Layout(label_case="upper")
        ),
        UsageError,
        "label_case is 'upper', which does not go with ['i', '\N{LATIN SMALL LETTER DOTLESS I}', 'c']: the label 'I' comes twice<...>",
    ),
    Misuse(
        "half a surrogate pair in a label",
        lambda _: Presentation(RED, labels=["\ud800", "B", "C"]),
        UsageError,
        r"the label is '\ud800', which holds half a surrogate pair and is no valid text",
    ),
    *(
        Misuse(
            f"half a surrogate pair in a template's {part}",
            lambda _, given=given: Template(**{"text": "{stem}{options}"} | given),  # type: ignore[misc]
            UsageError,
            rf"template {part} is '<...>\udfff', which holds half a surrogate pair and is no valid text",
        )
        for part, given in {
            "text": {"text": "{stem}{options}\udfff"},
            "name": {"name": "n\udfff"},
            "system": {"system": "s\udfff"},
        }.items()
    ),
    *(
        Misuse(
            f"template's {part} is a number",
            lambda _, part=part: Template("{stem}{options}", **{part: of(5)}),  # type: ignore[misc]
            UsageError,
            f"template {part} is 5{rule}",
        )
        for part, rule in {
            "name": " (int), but must be text",
            "system": " (int), but must be text",
            "layout": ", but must be a Layout",
        }.items()
    ),
    Misuse(
        "template's labels is a number",
        lambda _: Template("{stem}{options}", labels=of(5)),
        UsageError,
        "labels is 5, but must be a list of texts",
    ),
    *(
        Misuse(
            f"layout is {value!r}",
            lambda _, value=value: Presentation(RED, layout=of(value)),  # type: ignore[misc]
            UsageError,
            f"layout is {value!r}, but must be a Layout",
        )
        for value in ("; ", of({}), 0)
    ),
    *(
        Misuse(
            f"layout's {part} is a number",
            lambda _, part=part: Layout(**{part: of(5)}),  # type: ignore[misc]
            UsageError,
            f"{part} is 5 (int), but must be text",
        )
        for part in ("enumerator", "separator")
    ),
    Misuse(
        "blank lines is a truth value",
        lambda _: Layout(extra_blank_lines=True),
        UsageError,
        "extra_blank_lines is True, but must be a number from 0 to 10",
    ),
]


@pytest.mark.parametrize("misuse", PRESENTATIONS, ids=lambda misuse: misuse.id)
def test_is_refused(misuse: Misuse, tmp_path: Path) -> None:
    assert_refused(misuse, tmp_path)
