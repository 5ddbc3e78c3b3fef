"""Which column of a file is which field of a question, and from a row to a question."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_llminvariance.errors import QuestionError
from pytest_llminvariance.questions.decision import DecisionQuestion
from pytest_llminvariance.questions.keys import (
    LIST_SEPARATOR,
    Choices,
    Style,
    is_blank,
    read_key,
    read_options,
    whole_number,
)
from pytest_llminvariance.questions.presets import PRESETS, Column, Preset, looks_like
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.questions.template import LETTERS

FIELDS = (
    "stem",
    "options",
    "answer",
    "context",
    "scores",
    "reverse_keyed",
    "id",
    "attributes",
    "decision",
    "descriptions",
)
OTHER_NAMES: Mapping[str, frozenset[str]] = {
    "stem": frozenset({"question", "questions", "prompt", "input", "query", "statement", "item", "text"}),
    "options": frozenset({"option", "choices", "choice", "endings", "alternatives", "answers", "candidates"}),
    "answer": frozenset(
        {"label", "labels", "answerkey", "answerindex", "answeridx", "correct", "correctanswer", "correctoption", "gold",
         "target", "key", "solution", "groundtruth"}
    ),
    "context": frozenset({"passage", "ctx", "article", "paragraph", "background", "support", "premise"}),
    "reverse_keyed": frozenset({"reverse", "reversed", "reversekey", "keyed"}),
    "id": frozenset({"questionid", "qid", "uid", "guid", "idx", "itemid"}),
    "scores": frozenset({"score"}),
}  # fmt: skip
"""What people call the fields: a column of such a name is asked about, never taken in silence."""
TEXTS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _folded(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()


def option_number(column: str) -> int:
    """Return n of a column `option_n`; 0 for any other."""
    found = re.fullmatch(r"option_([1-9][0-9]{0,3})", column)
    return int(found[1]) if found else 0


@dataclass(frozen=True, slots=True)
class Columns:
    """Where each field is found, and how the key is written."""

    places: Mapping[str, tuple[Column, ...]]
    """Without the fields that are not there, or are told to be left out."""
    told: tuple[Style, ...]
    constant: tuple[str, ...] = ()
    """The options of every question, where no column has them."""
    in_cells: bool = False
    """Whether each cell is a text, as in CSV."""
    bare: bool = False
    """Whether labels in front of options are taken off."""

    def question(self, row: Mapping[str, Any]) -> Question:
        """Return the question of a row.

        Raises:
            QuestionError: naming field, value and the way out.
        """
        found = {name: _first(row, columns) for name, columns in self.places.items()}
        if is_blank(found.get("stem")):
            raise QuestionError("the field 'stem' is missing" + (" or empty" if "stem" in row else ""))
        choices = self.choices(row)
        given = {
            name: value for name, value in found.items() if not is_blank(value) and name not in ("stem", "options")
        }
        made = {name: self._value(name, value, choices) for name, value in given.items()}
        if "scores" in self.told and choices.scores is not None:
            made["answer"] = read_key(None, choices, self.told)
        attributes = made.pop("attributes", {})
        if not isinstance(attributes, Mapping):
            raise QuestionError(f"attributes is {attributes!r}, but must map names to values")
        made["attributes"] = {**self._rest(row), **attributes} or None
        if {"decision", "descriptions"} & made.keys():
            return DecisionQuestion(found["stem"], choices.texts, kind=made.pop("decision", "choice"), **made)
        return Question(found["stem"], choices.texts, **made)

    def choices(self, row: Mapping[str, Any]) -> Choices:
        """Return the options of a row."""
        for column in self.places.get("options", ()):
            if isinstance(column, tuple):
                cells = [lookup(row, name) for name in column]
                if any(not is_blank(cell) for cell in cells):
                    return read_options([None if is_blank(cell) else cell for cell in cells], self.told, bare=self.bare)
            elif not is_blank(lookup(row, column)):
                return read_options(lookup(row, column), self.told, in_cell=self.in_cells, bare=self.bare)
        if self.constant:
            return Choices(self.constant)
        raise QuestionError("the field 'options' is missing or empty")

    def key(self, row: Mapping[str, Any]) -> object:
        """Return the key of a row as it is written; `None` where there is none."""
        value = _first(row, self.places.get("answer", ()))
        return None if is_blank(value) else value

    def _value(self, name: str, value: Any, choices: Choices) -> Any:
        if name == "answer":
            return read_key(value, choices, self.told)
        if name == "id":
            number = whole_number(value) if isinstance(value, int | float) else None
            return value if number is None else str(number)
        if not self.in_cells:
            return value
        if name == "descriptions":
            return [part.strip() or None for part in value.split(LIST_SEPARATOR)]
        if name == "scores":
            return [_number(part) for part in value.split(LIST_SEPARATOR)]
        return _flag(value) if name == "reverse_keyed" else value

    def _rest(self, row: Mapping[str, Any]) -> dict[str, Any]:
        used = {name for columns in self.places.values() for column in columns for name in _names(column)}
        return {name: value for name, value in row.items() if name not in used and not is_blank(value)}


def _names(column: Column) -> tuple[str, ...]:
    return tuple(part.partition(".")[0] for part in ((column,) if isinstance(column, str) else column))


def lookup(row: Mapping[str, Any], column: str) -> Any:
    """Return a cell; `a.b` is `b` inside the column `a`."""
    if column in row or "." not in column:
        return row.get(column)
    outer, _, inner = column.partition(".")
    value = row.get(outer)
    return lookup(value, inner) if isinstance(value, Mapping) else None


def _first(row: Mapping[str, Any], columns: Sequence[Column]) -> Any:
    cells = (lookup(row, column) for column in columns if isinstance(column, str))
    return next((cell for cell in cells if not is_blank(cell)), None)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise QuestionError(f"the score {text!r} is not a number. Separate scores by {LIST_SEPARATOR!r}") from error


def _flag(text: str) -> bool:
    if text.strip().lower() not in TEXTS:
        raise QuestionError(f"reverse_keyed is {text!r}, but must be true or false")
    return TEXTS[text.strip().lower()]


def check_fields(fields: object) -> dict[str, tuple[Column, ...]]:
    """Return a mapping of fields to columns, each as the alternatives that there are: one, or none.

    Raises:
        QuestionError: naming the field that is not known, or the column that is no text.
    """
    if fields is None:
        return {}
    if not isinstance(fields, Mapping):
        raise QuestionError(f"fields is {fields!r}, but must map fields to columns: {{'stem': 'question'}}")
    made: dict[str, tuple[Column, ...]] = {}
    for name, column in fields.items():
        if name not in FIELDS:
            raise QuestionError(f"fields names {name!r}, which is no field; the fields are {', '.join(FIELDS)}")
        several = name == "options" and isinstance(column, list | tuple) and column
        if column is not None and not isinstance(column, str) and not several:
            raise QuestionError(
                f"fields[{name!r}] is {column!r}, but must be the name of a column, or None for no column"
            )
        made[name] = () if column is None else (tuple(column) if several else column,)
    return made


def columns_of(
    names: Sequence[str], where: str, preset: Preset | None, fields: Mapping[str, tuple[Column, ...]], answers: Style | None,
    *, in_cells: bool,
) -> Columns:  # fmt: skip
    """Return which of a file's columns is which field; `where` is the place of the header, or of the first row.

    Raises:
        QuestionError: where a field is not found, or a column may be one and is not called so.
    """
    numbered = tuple(sorted((name for name in names if option_number(name)), key=option_number))
    places: dict[str, tuple[Column, ...]] = {}
    for name in FIELDS:
        own: tuple[Column, ...] = (numbered, name) if name == "options" and numbered else (name,)
        wanted = fields[name] if name in fields else (*(preset.fields.get(name, ()) if preset else ()), *own)
        there = tuple(column for column in wanted if set(_names(column)) <= set(names))
        if name in fields and fields[name] and not there:
            raise QuestionError(
                f"{where}: fields[{name!r}] is {fields[name][0]!r}, but there is no such column; there are {_listed(names)}"
            )
        if there:
            places[name] = there
    constant = preset.options if preset and "options" not in places else ()
    if not preset and not fields:
        _check_preset(names, where, places, header=in_cells)
    _check_names(names, where)
    _check_near(names, where, places, fields, preset)
    _check_missing(names, where, places, preset, fields, has_options=bool(constant), in_cells=in_cells)
    told = (answers,) if answers else preset.answers if preset else ()
    made = Columns(places, told, constant, in_cells, bare=answers not in (None, "text"))
    unknown = sorted(
        set(names) - {name for columns in places.values() for column in columns for name in _names(column)}
    )
    if unknown and not (in_cells or preset or fields):
        raise QuestionError(
            f"{where}: unknown field {unknown[0]!r}; the fields are {', '.join(FIELDS)}. Put it under "
            "attributes, or pass fields={'stem': 'stem'}: with fields, columns that are no field become attributes"
        )
    return made


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"


def _check_names(names: Sequence[str], where: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise QuestionError(f"{where}: the column {name!r} comes twice")
        if name.startswith("option_") and not option_number(name):
            raise QuestionError(f"{where}: the column {name!r} must be numbered option_1, option_2, ...")
    if "options" in names and any(map(option_number, names)):
        raise QuestionError(f"{where}: has both 'options' and 'option_1', ...; keep one of the two forms")


def _check_preset(names: Sequence[str], where: str, places: Mapping[str, object], *, header: bool) -> None:
    like = None if {"stem", "options"} <= set(places) else looks_like(names, header=header)
    if like is not None:
        raise QuestionError(
            f"{where}: the columns {_listed(names)} look like {like}: pass preset={like!r}. Else name the columns: "
            "fields={'stem': ..., 'options': ..., 'answer': ...}"
        )


def _check_near(
    names: Sequence[str], where: str, places: Mapping[str, tuple[Column, ...]], fields: Mapping[str, object], preset: Preset | None
) -> None:  # fmt: skip
    """Raise where a column may be a field that is not found: called nearly so, or as people call it."""
    used = {name for columns in places.values() for column in columns for name in _names(column)}
    near: dict[str, str | list[str]] = {}
    for field in FIELDS:
        if field in places or field in fields or (field == "options" and preset and preset.options):
            continue
        wanted = [
            field,
            *(one for column in (preset.fields.get(field, ()) if preset else ()) for one in _names(column)),
        ]
        meant = {_folded(name) for name in wanted} | (set() if preset else OTHER_NAMES.get(field, frozenset()))
        found = [name for name in names if name not in used and _folded(name) in meant]
        numbered = [name for name in names if name not in used and re.fullmatch(r"option\d+", _folded(name))]
        lettered = list(itertools.takewhile(lambda letter: letter in names and letter not in used, LETTERS))
        several = numbered if len(numbered) > 1 else lettered
        if field == "options" and len(several) > 1 and not found:
            near[field] = several
        elif found:
            near[field] = found[0]
    if near:
        columns = " and ".join(map(repr, near.values()))
        told = ", ".join(f"{field!r}: {column!r}" for field, column in near.items())
        raise QuestionError(
            f"{where}: {columns} may stand for {' and '.join(map(repr, near))}, but {'is' if len(near) == 1 else 'are'} not called so. "
            f"Rename, or pass fields={{{told}}}; None in place of a column leaves it an attribute"
        )


def _check_missing(
    names: Sequence[str], where: str, places: Mapping[str, object], preset: Preset | None, fields: Mapping[str, object],
    *, has_options: bool, in_cells: bool,
) -> None:  # fmt: skip
    needed = ["stem", *([] if has_options else ["options"])]
    if preset is not None and "answer" in preset.fields and "answer" not in fields:
        needed.append("answer")
    for field in needed:
        if field not in places:
            shown = "'options' (or 'option_1', 'option_2', ...)" if field == "options" and in_cells else repr(field)
            asked = [repr(column) for column in preset.fields.get(field, ())] if preset else []
            told = f" (for the preset: {' or '.join(asked)})" if asked else ""
            raise QuestionError(
                f"{where}: the {'column' if in_cells else 'field'} {shown} is missing{told}; there are {_listed(names)}. "
                f"Pass fields={{{field!r}: ...}} to name the column"
            )


def preset_named(name: object) -> Preset:
    """Return a preset.

    Raises:
        QuestionError: where there is none of that name.
    """
    if not isinstance(name, str) or name not in PRESETS:
        raise QuestionError(f"preset is {name!r}, but must be one of {', '.join(PRESETS)}")
    return PRESETS[name]
