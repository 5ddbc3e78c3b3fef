"""Options and keys as files write them, and the one reading that they have.

A key may be an index, a letter, a text or scores. Where two readings differ, it is refused until told which.
"""

from __future__ import annotations

import ast
import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from pytest_llminvariance.errors import QuestionError
from pytest_llminvariance.questions.labels import fold_label
from pytest_llminvariance.questions.question import places_of
from pytest_llminvariance.questions.template import LETTERS

Style = Literal["index", "letter", "text", "one_based", "scores"]
STYLES: tuple[Style, ...] = get_args(Style)
MEANS: Mapping[Style, str] = {
    "index": "an index that counts from 0",
    "letter": "the letter or label of an option",
    "text": "the text of an option",
    "one_based": "a number that counts from 1",
    "scores": "one number an option, the highest is right",
}
LIST_SEPARATOR = "|"
QUOTED = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
OWN_LABEL = re.compile(r"\s*\(?(?:([A-Za-z])(?:[.):]\s*|\s+[-–]\s+)|(\d{1,2})(?:[.):]\s+|\s+[-–]\s+))(?=\S)")
BRACKETS = {"(": ")", "[": "]", "{": "}"}


@dataclass(frozen=True, slots=True)
class Choices:
    """The options of a row as texts, with what the file says of them."""

    texts: tuple[str, ...]
    labels: tuple[str, ...] | None = None
    scores: tuple[object, ...] | None = None
    are_numbers: bool = False


def is_blank(value: object) -> bool:
    """Return whether a cell says nothing: null, NaN, or blanks."""
    return value is None or value != value or (isinstance(value, str) and not value.strip())


def read_options(value: object, told: Sequence[Style] = (), *, in_cell: bool = False, bare: bool = False) -> Choices:
    """Return the options of a row.

    `in_cell` says that it is the text of a cell, which separates options by "|" or holds a list, and `bare` that
    labels in front of the texts are to be taken off.

    Raises:
        QuestionError: where they are no list, have a blank between them, or carry labels of their own.
    """
    if in_cell and isinstance(value, str):
        value = split_cell(value)
    made = _of_mapping(value, told) if isinstance(value, Mapping) else _of_list(value)
    return made if tuple(told) == ("text",) else _without_labels(made, bare=bare)


def _of_mapping(value: Mapping[object, object], told: Sequence[Style]) -> Choices:
    parts = {str(name).rstrip("s"): part for name, part in value.items()}
    texts, labels = parts.get("text"), parts.get("label")
    if len(value) == 2 and isinstance(texts, list | tuple) and isinstance(labels, list | tuple):
        if len(texts) != len(labels):
            raise QuestionError(f"options has {len(texts)} texts and {len(labels)} labels. Give one label a text")
        return _choices(texts, labels)
    if "scores" in told:
        return Choices(tuple(map(str, value)), scores=tuple(value.values()))
    return _choices(list(value.values()), list(value))


def _of_list(value: object) -> Choices:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise QuestionError(f"options is {value!r}, but must be a list of two or more texts, or map labels to texts")
    if value and all(isinstance(part, Mapping) and {"label", "text"} <= set(part) for part in value):
        return _choices([part["text"] for part in value], [part["label"] for part in value])
    return _choices(value, None)


def _choices(texts: Sequence[object], labels: Sequence[object] | None) -> Choices:
    kept = list(texts)
    while kept and (kept[-1] is None or kept[-1] != kept[-1]):
        kept.pop()
    for place, text in enumerate(kept):
        if is_blank(text):
            raise QuestionError(
                f"options has a blank {'after' if place == len(kept) - 1 else 'between'} others: option {place} of {kept!r}. Fill it, or move the others up and correct the answer"
            )
    numbers = bool(kept) and all(isinstance(text, int | float) and not isinstance(text, bool) for text in kept)
    shown = None if labels is None else tuple(str(label) for label in labels[: len(kept)])
    return Choices(tuple(_as_text(text) for text in kept), shown, are_numbers=numbers)


def _as_text(option: object) -> str:
    if isinstance(option, bool | int | float):
        return json.dumps(option)
    if not isinstance(option, str):
        raise QuestionError(f"options holds {option!r} ({type(option).__name__}), but must hold texts")
    return option


def _without_labels(choices: Choices, *, bare: bool) -> Choices:
    """Take labels off that stand in the texts, where told so; else refuse them."""
    found = [OWN_LABEL.match(text) for text in choices.texts]
    own = tuple(hit[1] or hit[2] for hit in found if hit is not None)
    if len(own) < 2 or len(own) != len(choices.texts) or own != _in_order(own[0], len(own)):
        return choices
    if bare and choices.labels is None:
        texts = tuple(text[hit.end() :] for text, hit in zip(choices.texts, found, strict=True) if hit is not None)
        return Choices(texts, own)
    raise QuestionError(
        f"options carry labels of their own: {list(choices.texts)!r}. They would be shown under two labels. Take them off, "
        "or say how the answer is written and they are taken off: answers='letter' or answers='index'; answers='text' keeps them"
    )


def _in_order(first: str, n: int) -> tuple[str, ...]:
    """Return the labels of n options in the kind of the first: digits, capital or small letters."""
    start = 1 if first.isdigit() else ord("A" if first.isupper() else "a")
    return tuple(str(start + place) if first.isdigit() else chr(start + place) for place in range(n))


def split_cell(cell: str) -> object:
    """Return the options in one cell: a list as JSON, Python or numpy prints it, or texts separated by "|".

    Raises:
        QuestionError: where a "|" seems to belong to an option.
    """
    text = cell.strip()
    if text[:1] == "[" and text[-1:] == "]":
        try:
            made = json.loads(text)
        except ValueError:
            rest = re.sub(QUOTED, "", text[1:-1])
            made = re.findall(QUOTED, text) if re.search(QUOTED, text) and not rest.strip(", \n\t") else None
            made = None if made is None else [ast.literal_eval(part) for part in made]
        if isinstance(made, list):
            return made
    if text[:1] == "{" and text[-1:] == "}":
        try:
            return json.loads(text)
        except ValueError:
            pass
    parts = cell.split(LIST_SEPARATOR)
    if reason := _torn(parts):
        raise QuestionError(
            f"options is {cell!r}, where a '|' may belong to an option: {reason}. Use columns option_1, option_2, ..., or JSON"
        )
    return [part.strip() for part in parts]


def _torn(parts: Sequence[str]) -> str:
    if len(parts) < 2:
        return ""
    for part in parts:
        if not part.strip():
            return "there is nothing between two of them, or before or after one"
        if any(part.count(opens) != part.count(closes) for opens, closes in BRACKETS.items()):
            return f"a bracket is not closed in {part.strip()!r}"
        if part.count("$") % 2 or part.count('"') % 2:
            return f"a quote or formula is not closed in {part.strip()!r}"
    blanks = {left[-1:].isspace() and right[:1].isspace() for left, right in itertools.pairwise(parts)}
    return "some stand between blanks and some do not" if len(blanks) > 1 else ""


def whole_number(value: object) -> int | None:
    """Return the whole number that a key is, also as text or as 1.0; `None` where it is none."""
    if isinstance(value, str) and re.fullmatch(r"\s*-?[0-9]{1,9}(\.0+)?\s*", value):
        return int(float(value))
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 10**9 or value != int(value):
        return None
    return int(value)


def bare_number(value: object, choices: Choices) -> int | None:
    """Return the number of a key that can only be an index; `None` where it can be something else."""
    return whole_number(value) if _readings(value, choices, ("letter", "text")) == {} else None


def read_key(value: object, choices: Choices, told: Sequence[Style] = ()) -> int:
    """Return the index of the right option.

    Raises:
        QuestionError: where the key is nothing of what it may be, or two things that differ.
    """
    if isinstance(value, list | tuple) and len(value) == 1 and "scores" not in told:
        value = value[0]
    if "scores" in told:
        return _highest(value if choices.scores is None else choices.scores, choices)
    found = _readings(value, choices, told or _possible(value, choices))
    if not told and isinstance(value, str) and found.keys() == {"letter"}:  # B, where an option is called b
        alike = [place for place, text in enumerate(choices.texts) if fold_label(text) == fold_label(value)]
        if alike:
            found["text"] = alike[0]
    if len(set(found.values())) == 1:
        return next(iter(found.values()))
    if not found:
        raise QuestionError(_nothing(value, choices, told))
    said = " and ".join(f"{MEANS[style]} (option {place}, {choices.texts[place]!r})" for style, place in found.items())
    ways = " or ".join(f"answers={style!r}" for style in found)
    raise QuestionError(f"answer is {value!r}, which is both {said}. Pass {ways} to say which")


def _possible(value: object, choices: Choices) -> tuple[Style, ...]:
    if isinstance(value, bool):
        return ("text",)
    is_number = isinstance(value, int | float)
    if choices.labels is not None:
        numbered = any(label.strip().isdigit() for label in choices.labels)
        return ("letter", "text") if numbered or not is_number else ("index",)
    return ("index",) if is_number and not choices.are_numbers else ("index", "letter", "text")


def _readings(value: object, choices: Choices, styles: Sequence[Style]) -> dict[Style, int]:
    """Return the option that a key names, for each way of writing keys in which it names one."""
    number, k = whole_number(value), len(choices.texts)
    found: dict[Style, int] = {}
    for style in styles:
        places: list[int] = []
        if style in ("index", "one_based") and number is not None:
            places = [number - (style == "one_based")]
        elif style == "letter":
            labels = [label.strip().casefold() for label in choices.labels or LETTERS[:k]]
            said = str(value if number is None else number).strip(" \t().:").casefold()
            places = [place for place, label in enumerate(labels) if label == said]
        elif style == "text":
            places = _texts(value, number, choices.texts)
        if len(places) == 1 and 0 <= places[0] < k:
            found[style] = places[0]
    if choices.labels is None and isinstance(value, str) and value.islower() and "text" in found:
        found.pop("letter", None)  # nobody writes the key A as "a" beside an option "a"
    return found


def _texts(value: object, number: int | None, texts: tuple[str, ...]) -> list[int]:
    if isinstance(value, bool):
        words = ("true", "yes") if value else ("false", "no")
        return [place for place, text in enumerate(texts) if text.strip().casefold() in words]
    said = value if isinstance(value, str) else json.dumps(value, default=str)
    exact = places_of(said, texts)
    return exact or [place for place, text in enumerate(texts) if number is not None and whole_number(text) == number]


def _highest(value: object, choices: Choices) -> int:
    if not isinstance(value, list | tuple) or len(value) != len(choices.texts):
        raise QuestionError(f"answer is {value!r}, but must hold one score for each of {len(choices.texts)} options")
    if not all(isinstance(score, int | float) and math.isfinite(score) for score in value):
        raise QuestionError(f"answer is {list(value)!r}, but scores must be numbers")
    best = [place for place, score in enumerate(value) if score == max(value)]
    if len(best) > 1:
        raise QuestionError(
            f"answer is {list(value)!r}: {len(best)} options have the highest score, but one must be right. Leave the row out"
        )
    return best[0]


def _nothing(value: object, choices: Choices, told: Sequence[Style]) -> str:
    number, k = whole_number(value), len(choices.texts)
    if number is not None and set(told or ("index",)) <= {"index", "one_based"} and not choices.labels:
        start = int(tuple(told) == ("one_based",))
        hint = "" if start else "; indices count from 0. Pass answers='one_based' if they count from 1"
        other = _readings(value, choices, ("text",))
        more = f", answers='text' if it is option {other['text']}" if other and not start else ""
        return f"the answer index {number} is outside {start}..{k - 1 + start}{hint}{more}"
    labels = "" if choices.labels is None else f", labelled {list(choices.labels)!r}"
    must = " or ".join(MEANS[style] for style in told) if told else "the text, letter or index of an option"
    return (
        f"answer is {value!r}, but must be {must}: the options are {list(choices.texts)!r}{labels}. Correct it, "
        "or pass answers= to say how keys are written"
    )
