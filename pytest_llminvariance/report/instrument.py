"""`instrument`: a Likert instrument as the published tables have it, in a terminal, as a page, as CSV and as a data frame."""

from __future__ import annotations

import csv
import dataclasses
import io
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from pytest_llminvariance.checks.cells import Cell
from pytest_llminvariance.checks.check import stored
from pytest_llminvariance.checks.costs import announce_asking
from pytest_llminvariance.checks.instrument import (
    TITLES,
    InstrumentNumbers,
    Respondent,
    Rows,
    instrument_numbers,
    part_rows,
    respondent,
)
from pytest_llminvariance.checks.properties.instruments import InstrumentStability
from pytest_llminvariance.checks.subject import model_of
from pytest_llminvariance.checks.verdict import Finding, Verdict
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.models.loading import load_model
from pytest_llminvariance.models.protocol import AnyModel, request_for, resolve_readout
from pytest_llminvariance.models.replay import load_replay
from pytest_llminvariance.questions.questionnaire import Questionnaire
from pytest_llminvariance.questions.template import Template
from pytest_llminvariance.report.text import one_line
from pytest_llminvariance.report.words import plural, table_value

Part = Literal["cells", "table", "acceptance", "consistency"]


@dataclass(frozen=True, slots=True)
class Instrument:
    """The numbers of an instrument, and the formats that they are told in. `print` gives the text for a terminal."""

    name: str
    findings: tuple[Finding, ...]
    """One a respondent, as the run records them."""
    numbers: InstrumentNumbers
    models: tuple[str, ...]
    scale: tuple[float, float]
    margin: float
    prompts: int

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Every comparison: order cells (trait x administration), prompt cells (trait x pair of administrations x direction)."""
        return self.numbers.cells

    @property
    def verdict(self) -> Verdict:
        """BROKEN where a finding is, HOLDS where all hold."""
        found = {finding.verdict for finding in self.findings}
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
        if part not in TITLES:
            raise UsageError(f"part is {part!r}, but must be one of {', '.join(TITLES)}")
        return part_rows(self.numbers, part)

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

        tables = [(title, part_rows(self.numbers, part)) for part, title in TITLES.items()]
        return _written(instrument_page(headline(self), self.verdict, tables, self.warnings), path)


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
    scale = _scale(questionnaire, margin)
    made, subjects = InstrumentStability(administrations=administrations), [model_of(_subject(one)) for one in given]
    ways = [resolve_readout(readout, subject) for subject in subjects]
    if len(subjects) > 1:  # else the check itself says it
        shown = [
            probe.presentation for question in questionnaire.questions for probe in made.plan(question, None).probes
        ]
        asked = [(one, [request_for(each, way) for each in shown]) for one, way in zip(subjects, ways, strict=True)]
        announce_asking(made.title, "comparison", *asked)
    tolerance = Fraction(str(margin)) / Fraction(str(scale[1] - scale[0]))
    answered, findings, cells = list[Respondent](), list[Finding](), list[Cell]()
    for subject, name in zip(subjects, _distinct([subject.name for subject in subjects]), strict=True):
        found = stored(made, subject, questionnaire, tolerance=tolerance, readout=readout)
        answered.append(respondent(name, found.evidence))
        findings.append(found.finding)
        cells += [dataclasses.replace(cell, more={**cell.more, "model": name}) for cell in found.finding.cells]
    return Instrument(
        questionnaire.name, tuple(findings), instrument_numbers(answered, cells), tuple(one.model for one in answered), scale,
        float(margin), sum(finding.presentations_asked for finding in findings),
    )  # fmt: skip


def _scale(questionnaire: object, margin: object) -> tuple[float, float]:
    """Return the ends of the scale, or refuse what is no questionnaire or no margin on it."""
    if not isinstance(questionnaire, Questionnaire):
        raise UsageError(
            f"questionnaire is {questionnaire!r:.80}, but must be a Questionnaire (load_questionnaire reads one)"
        )
    scale = min(questionnaire.scale.scores), max(questionnaire.scale.scores)
    if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 <= margin < scale[1] - scale[0]:
        raise UsageError(
            f"margin is {margin!r}, but must be a number of points from 0 to below {scale[1] - scale[0]:g}, the range of the scale"
        )
    return scale


def _distinct(names: Sequence[str]) -> list[str]:
    """Return names of respondents, numbered where one comes twice."""
    return [
        name if names.count(name) == 1 else f"{name} ({names[:place].count(name) + 1})"
        for place, name in enumerate(names)
    ]


def _subject(model: AnyModel | str | os.PathLike[str]) -> AnyModel:
    if not isinstance(model, str | os.PathLike):
        return model
    return load_replay(Path(model)) if str(model).endswith(".jsonl") and ":" not in str(model) else load_model(model)


def _written(text: str, path: str | os.PathLike[str] | None) -> str:
    if path is not None:
        Path(path).write_text(text, encoding="utf-8")
    return text


def headline(made: Instrument) -> str:
    """Return how many cells are broken, and what was asked."""
    counts, asked = Counter(cell.verdict for cell in made.cells), made.findings[0]
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in (Verdict.BROKEN, Verdict.UNDECIDED, Verdict.HOLDS))
    return (
        f"{one_line(made.name)}: {said} of {plural(len(made.cells), 'cell')} at a margin of {made.margin:g} points "
        f"on {made.scale[0]:g} to {made.scale[1]:g}; {plural(asked.questions_asked, 'item')} x {asked.design}, "
        f"{plural(made.prompts, 'prompt')}, {', '.join(map(one_line, made.models))}"
    )


def _lines(made: Instrument) -> Iterator[str]:
    yield headline(made)
    for part, title in TITLES.items():
        yield ""
        yield title
        yield from _aligned(part_rows(made.numbers, part))
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
