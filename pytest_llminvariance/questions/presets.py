"""Presets: question files as published data sets have them, one table entry each.

An entry says which column is which field, and how the key is written; the page `docs/data.md` shows the table.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from pytest_llminvariance.questions.keys import Style

Column = str | tuple[str, ...]
"""A column by name (`question.stem` is `stem` inside the column `question`), or several, each with one option."""


@dataclass(frozen=True, slots=True)
class Preset:
    """Which column is which field, and how the key is written."""

    fields: Mapping[str, tuple[Column, ...]]
    """For each field its columns: the first that the file has is taken."""
    answers: tuple[Style, ...]
    options: tuple[str, ...] = ()
    """The options of every question, where the file has none."""
    header: tuple[str, ...] = ()
    """Names of the columns of a CSV file without a header."""
    example: Mapping[str, object] = field(default_factory=dict)
    """A row, as the documentation shows it."""

    def fits(self, columns: Collection[str]) -> bool:
        """Return whether a file with these columns looks like it."""
        names = {name.partition(".")[0] for name in columns}
        return bool(self.fields) and all(
            any(names.issuperset(_roots(column)) for column in self.fields[name])
            for name in ("stem", "options", "context", "answer")
            if name in self.fields
        )


def _roots(column: Column) -> set[str]:
    return {name.partition(".")[0] for name in ((column,) if isinstance(column, str) else column)}


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "mmlu": Preset(
            {"stem": ("question",), "options": ("choices", tuple("ABCD")), "answer": ("answer",)},
            ("index", "letter"),
            header=("question", *"ABCD", "answer"),
            example={"question": "Which is a metal?", "choices": ["Iron", "Wood"], "answer": 0},
        ),
        "mmlu_pro": Preset(
            {"stem": ("question",), "options": ("options",), "answer": ("answer",), "id": ("question_id",)},
            ("letter",),
            example={"question_id": 70, "question": "Which is hot?", "options": ["Ice", "Fire"], "answer": "B"},
        ),
        "arc": Preset(
            {
                "stem": ("question.stem", "question", "question_stem"),
                "options": ("choices", "question.choices"),
                "answer": ("answerKey",),
                "id": ("id",),
            },
            ("letter",),
            example={
                "id": "M1",
                "question": "Which is hot?",
                "choices": {"text": ["Ice", "Fire"], "label": ["A", "B"]},
                "answerKey": "B",
            },
        ),
        "hellaswag": Preset(
            {"stem": ("ctx",), "options": ("endings",), "answer": ("label",)},
            ("index",),
            example={"ctx": "A man sits", "endings": ["down.", "up."], "label": "0"},
        ),
        "boolq": Preset(
            {"stem": ("question",), "context": ("passage",), "answer": ("answer", "label")},
            ("text", "index"),
            options=("no", "yes"),
            example={"question": "is fire hot", "passage": "Fire is hot.", "answer": True},
        ),
        "bigbench": Preset(
            {"stem": ("input",), "options": ("target_scores",)},
            ("scores",),
            example={"input": "2+2?", "target_scores": {"3": 0, "4": 1}},
        ),
        "inspect": Preset(
            {"stem": ("input",), "options": ("choices",), "answer": ("target",), "id": ("id",)},
            ("letter",),
            example={"input": "2+2?", "choices": ["3", "4"], "target": "B"},
        ),
        "lm_eval_samples": Preset(
            {},
            (),
            example={"doc_id": 0, "doc": {"question": "2+2?", "choices": ["3", "4"], "answer": 1}, "target": "1"},
        ),
    }
)
"""`lm_eval_samples` has no columns of its own: what lies in `doc` is read by the preset that it looks like."""


def looks_like(columns: Collection[str], *, header: bool = True) -> str | None:
    """Return the preset that a file with these columns looks like: of several the one that explains most."""
    if {"doc", "doc_id"} <= set(columns):
        return "lm_eval_samples"
    fitting = [name for name, preset in PRESETS.items() if preset.fits(columns)]
    if fitting:
        return max(fitting, key=lambda name: sum(column in columns for column in PRESETS[name].example))
    places = tuple(columns)
    return "mmlu" if header and len(places) == 6 and places[-1] in tuple("ABCD") else None
