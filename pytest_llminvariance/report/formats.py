"""The formats of a report: each is one file of this room and one entry of `FORMATS`.

The command, its help and the table in docs/reports.md are made from the entries. Modules are imported when they write.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_llminvariance.gate.policy import Policy
    from pytest_llminvariance.records.answers import RecordedAnswer
    from pytest_llminvariance.report.entries import Report

TERMINAL = "-"


@dataclass(frozen=True, slots=True)
class Source:
    """What a format is made from."""

    record: Report
    answers: Sequence[RecordedAnswer] = ()
    """Empty for formats that do not ask for them."""
    notes: Sequence[str] = ()
    """What the answers could not be read from."""
    history: Sequence[Report] = ()
    """Other runs, for formats that draw effects over runs."""
    existing: str | None = None
    """What the file holds that it will replace; `None` for a new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One way of writing a run down."""

    name: str
    about: str
    """What it is, in one line."""
    write: Callable[[Source], str]
    file: str = TERMINAL
    """Where it goes by itself: a name in the run's directory, or the terminal."""
    needs_answers: bool = False
    in_place: bool = False
    """True where it changes a file that is there and does not replace it."""

    def place(self, directory: Path) -> str:
        """Return where it goes by itself, for a run in a directory."""
        return self.file if self.file == TERMINAL else str(directory / self.file)


def _html(source: Source) -> str:
    from pytest_llminvariance.report.html.page import page

    return page(source.record, source.answers, source.notes, source.history)


def _markdown(source: Source) -> str:
    from pytest_llminvariance.report.markdown import markdown

    return markdown(source.record)


def _junit(source: Source) -> str:
    from pytest_llminvariance.report.junit import junit

    return junit(source.record)


def _github(source: Source) -> str:
    from pytest_llminvariance.report.github import github_commands

    return github_commands(source.record)


def _sarif(source: Source) -> str:
    from pytest_llminvariance.report.sarif import sarif

    return sarif(source.record)


def _card(source: Source) -> str:
    from pytest_llminvariance.report.card import card

    return card(source.record, source.existing)


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        made.name: made
        for made in (
            Format(
                name="html",
                about="one page without network or scripts",
                write=_html,
                file="report.html",
                needs_answers=True,
            ),
            Format(name="markdown", about="for a CI step summary, below 64 kB", write=_markdown),
            Format(name="junit", about="JUnit XML, a test case a finding", write=_junit),
            Format(name="github", about="annotations on the lines of the tests", write=_github),
            Format(name="sarif", about="SARIF 2.1.0 for code scanning", write=_sarif),
            Format(name="card", about="a model card, or its section on invariance", write=_card, in_place=True),
        )
    }
)


def report_text(
    form: Format,
    directory: Path,
    target: str = TERMINAL,
    policy: Policy | None = None,
    history: Sequence[Path] = (),
) -> str:
    """Return the report of a run as it will be written to `target`, decided by a policy or by the tests' levels.

    `history` are directories of other runs, or folders that hold such directories.

    Raises:
        RecordError: where the directory cannot be read.
    """
    from pytest_llminvariance.records.answers import readable_answers
    from pytest_llminvariance.report.entries import read_report

    record = read_report(directory, policy)
    answers, notes = readable_answers(directory) if form.needs_answers else ((), ())
    earlier = [read_report(place, policy) for place in runs_in(history) if place.resolve() != directory.resolve()]
    is_there = form.in_place and target != TERMINAL and Path(target).is_file()
    existing = Path(target).read_text(encoding="utf-8") if is_there else None
    return form.write(Source(record, answers, notes, earlier, existing))


def runs_in(places: Iterable[Path]) -> Iterator[Path]:
    """Yield directories of runs: those named, and of a folder without a record those in it.

    Raises:
        RecordError: for a place in which no run is.
    """
    from pytest_llminvariance.errors import RecordError
    from pytest_llminvariance.records.directory import FINDINGS, RUN

    for place in places:
        inner = sorted(file.parent for file in place.glob("*/findings.json"))
        if (place / FINDINGS).is_file() or (place / RUN).is_file():
            yield place
        elif inner:
            yield from inner
        else:
            raise RecordError(
                f"{place} holds no run. Name a directory that --invariance-report has written, or a folder of them"
            )
