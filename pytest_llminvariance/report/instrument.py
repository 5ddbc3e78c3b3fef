"""`instrument`: a Likert instrument as the published tables have it, in a terminal, as a page, as CSV and as a data frame."""

from __future__ import annotations

import csv
import io
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pytest_llminvariance.checks.instrument import DIRECTIONS, Cell, InstrumentNumbers, measure_instrument
from pytest_llminvariance.checks.verdict import Verdict
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.measures.likert import KEPT
from pytest_llminvariance.models.loading import load_model
from pytest_llminvariance.models.protocol import AnyModel
from pytest_llminvariance.models.replay import load_replay
from pytest_llminvariance.questions.questionnaire import Questionnaire
from pytest_llminvariance.questions.template import Template
from pytest_llminvariance.report.text import one_line
from pytest_llminvariance.report.words import plural, table_value

Part = Literal["cells", "table", "acceptance", "consistency"]
Rows = list[dict[str, Any]]
P_VALUES = ("p_permutation", "p_permutation_holm", "p_permutation_bh", "p_rank", "p_rank_holm", "p_rank_bh")


@dataclass(frozen=True, slots=True)
class Instrument:
    """The numbers of an instrument, and the formats that they are told in. `print` gives the text for a terminal."""

    numbers: InstrumentNumbers

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every comparison: order cells (trait x administration), prompt cells (trait x pair of administrations x direction)."""
        return self.numbers.cells

    @property
    def verdict(self) -> Verdict:
        """BROKEN where a cell is, HOLDS where all cells hold."""
        found = {cell.verdict for cell in self.cells}
        return next((one for one in (Verdict.BROKEN, Verdict.UNDECIDED) if one in found), Verdict.HOLDS)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with the keys, in words."""
        return self.numbers.warnings

    def rows(self, part: Part = "cells") -> Rows:
        """Return a part as plain rows: `cells`, `table`, `acceptance` or `consistency`.

        Raises:
            UsageError: for another part.
        """
        parts = {"cells": _cell, "table": _trait_row, "acceptance": _acceptance, "consistency": _consistency}
        if part not in parts:
            raise UsageError(f"part is {part!r}, but must be one of {', '.join(parts)}")
        return [row for one in getattr(self.numbers, part) for row in parts[part](one)]

    def to_csv(self, path: str | os.PathLike[str] | None = None, part: Part = "cells") -> str:
        """Return a part as CSV, and write it to `path` where one is given; a number that is not known is empty."""
        rows, text = self.rows(part), io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        return _written(text.getvalue(), path)

    def to_pandas(self, part: Part = "cells") -> Any:
        """Return a part as a data frame.

        Raises:
            UsageError: if pandas is not installed.
        """
        try:
            import pandas
        except ImportError as error:
            raise UsageError(
                "to_pandas needs pandas, which is not installed. Install it (extra: data), or use rows() or to_csv()"
            ) from error
        return pandas.DataFrame(self.rows(part))

    def to_text(self) -> str:
        """Return what a terminal shows."""
        return "\n".join(_lines(self))

    def __str__(self) -> str:
        return self.to_text()

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return one page without scripts, and write it to `path` where one is given."""
        from pytest_llminvariance.report.html.page import instrument_page

        tables = [(title, self.rows(part)) for part, title in TITLES.items()]
        return _written(instrument_page(headline(self), self.verdict, tables, self.warnings), path)


TITLES: Mapping[Part, str] = {
    "cells": "Order and prompt cells",
    "table": "Trait scores",
    "acceptance": "Acquiescence, and what a reversal left in place",
    "consistency": "Internal consistency (Cronbach's alpha) before and after re-keying",
}


def instrument(
    model: AnyModel | str | os.PathLike[str] | list[AnyModel | str | os.PathLike[str]],
    questionnaire: Questionnaire,
    *,
    margin: float = 0.5,
    administrations: Sequence[Template] | None = None,
    readout: str = "auto",
) -> Instrument:
    """Ask a Likert instrument in several ways and both directions of its scale, and return the tables.

    `model` is a model, recorded answers (a path ending in `.jsonl`), a spec such as `control:oracle`, or a list of these:
    one respondent each. `administrations` are templates, by default the three of `questionnaire.administrations()`; in
    each the items are asked as written and with the scale reversed. `margin` is the largest move of a trait score, in
    points of the scale, that is accepted: a cell is BROKEN where the move is certainly larger, HOLDS where it is
    certainly within, and UNDECIDED where open answers leave both, or where answers hardly depend on the item.
    p-values (paired permutation and signed-rank tests over items, adjusted over all cells) decide nothing.

    Costs items x administrations x 2 prompts a respondent.

    Raises:
        UsageError: for bad arguments, before anything is asked.
    """
    given = model if isinstance(model, list) else [model]
    if not given:
        raise UsageError("model is an empty list, but must name at least one respondent")
    return Instrument(
        measure_instrument([_subject(one) for one in given], questionnaire, administrations, margin, readout)
    )


def _subject(model: AnyModel | str | os.PathLike[str]) -> AnyModel:
    if not isinstance(model, str | os.PathLike):
        return model
    return load_replay(Path(model)) if str(model).endswith(".jsonl") and ":" not in str(model) else load_model(model)


def _written(text: str, path: str | os.PathLike[str] | None) -> str:
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")
    return text


def _cell(cell: Cell) -> Iterator[dict[str, Any]]:
    found = cell.effect
    yield {
        "model": cell.model, "cell": cell.name, "kind": cell.kind, "trait": cell.trait, "before": ", ".join(cell.before), "after": ", ".join(cell.after),
        "effect": found.mean, "low": found.low, "high": found.high, "pairs": len(found.differences),
        "verdict": str(cell.verdict), "reason": cell.reason, **{name: getattr(cell, name) for name in P_VALUES},
    }  # fmt: skip


def _trait_row(row: Any) -> Iterator[dict[str, Any]]:
    scores = row.scores
    yield {
        "model": row.model, "trait": row.trait, "administration": row.administration, "direction": row.direction,
        "mean": scores.mean, "sd": scores.sd, "n": scores.n, "unparsed": scores.n_open, "low": scores.low, "high": scores.high,
    }  # fmt: skip


def _acceptance(one: Any) -> Iterator[dict[str, Any]]:
    for direction in DIRECTIONS:
        found = one.acquiescence[direction]
        yield {
            "model": one.model, "administration": one.administration, "direction": direction,
            "acquiescence": found and found.value, "low": found and found.low, "high": found and found.high,
            **{f"kept_{name}": one.kept[name] for name in KEPT},
        }  # fmt: skip


def _consistency(one: Any) -> Iterator[dict[str, Any]]:
    yield {"trait": one.trait, "before": one.before, "after": one.after, "items": one.n_items, "rows": one.n_rows}


def headline(made: Instrument) -> str:
    """Return how many cells are broken, and what was asked."""
    numbers, counts = made.numbers, Counter(cell.verdict for cell in made.cells)
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in (Verdict.BROKEN, Verdict.UNDECIDED, Verdict.HOLDS))
    return (
        f"{one_line(numbers.name)}: {said} of {plural(len(made.cells), 'cell')} at a margin of {numbers.margin:g} points "
        f"on {numbers.scale[0]:g} to {numbers.scale[1]:g}; {plural(numbers.n_items, 'item')} x "
        f"{plural(len(numbers.administrations), 'administration')} x 2 directions, {plural(numbers.prompts, 'prompt')}, "
        f"{', '.join(map(one_line, numbers.models))}"
    )


def _lines(made: Instrument) -> Iterator[str]:
    yield headline(made)
    for part, title in TITLES.items():
        yield ""
        yield title
        yield from _aligned(made.rows(part))
    for warning in made.warnings:
        yield f"warning: {one_line(warning)}"


def _aligned(rows: Rows) -> Iterator[str]:
    """Yield rows as columns; what the name of a cell says already is left out, and so is a column that is empty or one model's name."""
    told = {"kind", "trait", "before", "after"} if "cell" in rows[0] else set()
    names = [name for name in rows[0] if name not in told and any(row[name] not in (None, "") for row in rows)]
    names = [name for name in names if name != "model" or len({row["model"] for row in rows}) > 1]
    shown = [names, *([table_value(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[column]) for line in shown) for column in range(len(names))]
    for line in shown:
        yield ("  " + "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True))).rstrip()
