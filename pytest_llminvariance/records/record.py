"""The one reader of a run directory: `load` reads it whole or not at all, writes nothing, and asks nothing.

A finding that is damaged, contradicts itself or comes twice is an error, never a finding less. Sheets and answers are
read when they are asked for, check by check.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from pytest_llminvariance.checks.run import Level
from pytest_llminvariance.checks.sheet import Sheet
from pytest_llminvariance.checks.verdict import Finding, Verdict, from_plain
from pytest_llminvariance.errors import RecordError
from pytest_llminvariance.measures.metrics import METRICS
from pytest_llminvariance.records.answers import ByPlace, RecordedAnswer, StoredAnswers, row_in, stored_answers
from pytest_llminvariance.records.directory import EVENTS, FINDINGS, RUN, finding_rows, lost_rows, search_rows
from pytest_llminvariance.records.events import read_records
from pytest_llminvariance.records.lines import LinesByCheck
from pytest_llminvariance.records.shapes import Shape, check_shape, read_json, with_defaults

SLACK = Fraction(1, 10**9)
"""What rounding in JSON may change."""
ROUNDING = 1e-6
"""What rounding may change in a mean of many questions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFinding(Finding):
    """A finding, and the place where it was made."""

    where: str = ""
    file: str | None = None
    line: int | None = None
    level: Level = "block"
    markers: tuple[str, ...] | None = None
    """Names of the test's pytest markers; `None` where the record does not hold them."""

    @property
    def question_hashes(self) -> tuple[str, ...] | None:
        """Content hashes beside `per_question`; `None` where the record does not hold them."""
        hashes: tuple[str, ...] | None = self.details.get("question_hashes")
        if hashes is None or len(hashes) == len(self.per_question):
            return hashes
        return tuple(dict.fromkeys(hashes))  # what was drawn more than once has one effect

    @property
    def template_sha256(self) -> str:
        """Of everything but the template's name; empty where the record does not hold it."""
        return self.details.get("template_sha256") or ""

    @property
    def is_exhaustive(self) -> bool:
        """True where everything planned was asked."""
        return self.risk_limit is None if self.decision is None else self.decision.method == "exhaustive"

    @property
    def alpha(self) -> float | None:
        """Risk that was spent on it; `None` where the record does not say."""
        return self.decision.alpha if self.decision is not None else 0.0 if self.is_exhaustive else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LostCheck:
    """A check that started and has no finding: it failed on its own, or its worker died."""

    where: str
    file: str | None
    line: int | None
    level: Level
    markers: tuple[str, ...] | None
    id: str
    title: str
    reason: str

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.title}: {self.reason}  [{self.where}]"

    def to_json(self) -> dict[str, Any]:
        """Return it as `findings.json` holds it."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanSearch:
    """The searches of one test, which found no counter-example: no evidence, but it is known that they were made."""

    where: str
    file: str | None
    line: int | None
    level: Level
    markers: tuple[str, ...] | None
    pairs: int


@dataclass(frozen=True, slots=True)
class Record:
    """One run: its findings, what is known of the run, what did not end, and on demand what was asked and answered."""

    name: str
    findings: tuple[StoredFinding, ...]
    facts: Mapping[str, Any] | None
    """`run.json`; `None` where there is none."""
    lost: tuple[LostCheck, ...] = ()
    searches: tuple[CleanSearch, ...] = ()
    directory: Path | None = None
    _answers: StoredAnswers = field(
        default_factory=lambda: StoredAnswers(LinesByCheck(), LinesByCheck()), repr=False, compare=False
    )

    def fact(self, name: str) -> Any:
        """Return an entry of `run.json`, or `None`."""
        return None if self.facts is None else self.facts.get(name)

    @property
    def ended(self) -> bool:
        """False where the run was cut off, or where nothing says that it was not."""
        return self.fact("exit") is not None

    def n_answers(self, check: str | None = None) -> int:
        """Return how many answers the record holds of a check; without one, of all."""
        return self._answers.lines.count(check)

    def answers(self, check: str | None = None) -> Iterator[RecordedAnswer]:
        """Yield the answers of a check; without one, all.

        Raises:
            RecordError: where a line is damaged.
        """
        return self._answers.of(check)

    def by_place(self, check: str) -> ByPlace:
        """Return where the answers of a check stand, to read some of them."""
        return ByPlace(self._answers, check)

    def answer_rows(self) -> Iterator[Mapping[str, Any]]:
        """Yield what each line of an answer says, without what its sheet says.

        Raises:
            RecordError: where a line is damaged.
        """
        return (row for line in self._answers.lines.of() if (row := row_in(line)) is not None)

    def sheet(self, check: str) -> Sheet | None:
        """Return what a check asked; `None` where the record does not hold it.

        Raises:
            RecordError: where a line is damaged.
        """
        return self._answers.sheet(check)


def load(place: str | Path) -> Record:
    """Read a run directory, or the `findings.json` in one; nothing is written.

    What a run has found that was cut off is read from its events, and `ended` is False.

    Raises:
        RecordError: where it is missing, empty, damaged, of another version, or contradicts itself.
    """
    path = Path(place)
    file = path if path.is_file() else path / FINDINGS
    directory = file.parent
    facts = read_json(directory / RUN) if (directory / RUN).is_file() else None
    if facts is not None:
        check_shape("run", facts, str(directory / RUN))
        if facts.get("exit") is None and ((directory / EVENTS).is_dir() or not file.is_file()):
            return from_events(str(path), read_records(directory / EVENTS, remove=False), facts, directory)
    if not file.is_file():
        said = f"holds no {FINDINGS}" if path.is_dir() else "does not exist"
        raise RecordError(f"{path} {said}, so there is no evidence. Write a record with --invariance-report={path}")
    stored = read_json(file)
    check_shape("findings", {**stored, "findings": _empty(stored, "findings")}, str(file))
    return _record(str(path), stored, facts, directory)


def from_events(
    name: str, records: Sequence[Mapping[str, Any]], facts: Mapping[str, Any], directory: Path | None = None
) -> Record:
    """Return the record of a run from what its recorders wrote; `facts` are as in `run.json`.

    Raises:
        RecordError: as `load`.
    """
    stored = {"findings": finding_rows(records), "unfinished": lost_rows(records), "searches": search_rows(records)}
    return _record(name, stored, facts, directory)


def _empty(stored: Mapping[str, Any], name: str) -> Any:
    """Return an empty list for a list: its rows are checked one by one, so that a message has their number."""
    return [] if isinstance(stored.get(name), list) else stored.get(name)


def _record(name: str, stored: Mapping[str, Any], facts: Mapping[str, Any] | None, directory: Path | None) -> Record:
    rows = stored["findings"]
    findings = tuple(_finding(row, f"{name}: finding {number}") for number, row in enumerate(rows, start=1))
    ids = [finding.id for finding in findings if finding.id]
    twice = next((one for one in ids if ids.count(one) > 1), None)
    if twice is not None:
        raise RecordError(f"{name} holds the finding {twice!r} twice, so it is damaged. Run the checks again")
    lost = tuple(_lost(row, name) for row in stored.get("unfinished", ()))
    clean = tuple(from_plain(CleanSearch, with_defaults("search", row)) for row in stored.get("searches", ()))
    answers = () if directory is None else (stored_answers(directory),)
    return Record(name, findings, facts, lost, clean, directory, *answers)


def _lost(row: Any, name: str) -> LostCheck:
    return from_plain(LostCheck, _whole("unfinished", row, f"{name}: a check without a finding"))


def _finding(row: Any, at: str) -> StoredFinding:
    found = StoredFinding.from_json(_whole("finding", row, at))
    low, high, limit = Fraction(found.effect.low), Fraction(found.effect.high), found.tolerance
    if low > high:
        raise RecordError(f"{at}: effect runs from {float(low):g} down to {float(high):g}")
    holds, broken = high <= limit + SLACK, low > limit - SLACK
    wrong = (found.verdict is Verdict.HOLDS and not holds) or (found.verdict is Verdict.BROKEN and not broken)
    if found.is_exhaustive and wrong:
        raise RecordError(
            f"{at} says {found.verdict}, but its effect of {float(low):g} to {float(high):g} against the tolerance "
            f"{float(limit):g} does not. The record is damaged or was edited; run the checks again"
        )
    unmet = (guard for guard in found.guards if guard.passed is False or not guard.needed)
    failed = [guard.text for guard in unmet if guard.blocks != "nothing"]
    if found.verdict is Verdict.HOLDS and failed:
        raise RecordError(
            f"{at} says HOLDS, although: {failed[0]}. The record is damaged or was edited; run the checks again"
        )
    if differs := _not_the_mean(found):
        raise RecordError(f"{at}: {differs}. The record is damaged or was edited; run the checks again")
    hashes = found.question_hashes
    if hashes is not None and len(hashes) != len(found.per_question):
        raise RecordError(f"{at}: {len(hashes)} question hashes for {len(found.per_question)} questions")
    if hashes is not None and found.is_exhaustive and found.questions_asked > len(hashes):
        raise RecordError(f"{at}: {found.questions_asked} questions asked, but only {len(hashes)} are in it")
    return found


def _not_the_mean(found: StoredFinding) -> str:
    """Return how an effect differs from the mean of what the questions have; empty where it does not, or is no such mean."""
    metric, rows = METRICS.get(found.metric), found.per_question
    if metric is None or metric.pooled or metric.own or not rows or not found.is_exhaustive or found.claim != "suite":
        return ""
    for end, told in (("low", found.effect.low), ("high", found.effect.high)):
        mean = math.fsum(getattr(row, end) for row in rows) / len(rows)
        if abs(mean - float(told)) > ROUNDING:
            return f"effect.{end} is {float(told):g}, but the mean over its {len(rows)} questions is {mean:g}"
    return ""


def _whole(shape: Shape, row: Any, at: str) -> dict[str, Any]:
    check_shape(shape, row, at)
    return with_defaults(shape, row)
