"""Reading a run directory: `findings.json`, and `run.json` and `answers.jsonl` where they are there.

A reader that decides about releases: optional parts may be missing, but what is there must be whole. A finding
that is damaged, contradicts itself or comes twice is an error, never a finding less.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, TypedDict, get_args

from pytest_llminvariance.checks.run import Level
from pytest_llminvariance.checks.verdict import Guard, QuestionEffect, Verdict
from pytest_llminvariance.errors import RecordError
from pytest_llminvariance.measures.metrics import Interval
from pytest_llminvariance.records.directory import check_version, read_json

SLACK = Fraction(1, 10**9)
"""What rounding in JSON may change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFinding:
    """A finding as a run directory holds it: what a gate and a comparison need."""

    id: str
    property: str
    title: str
    metric: str
    verdict: Verdict
    reasons: tuple[str, ...]
    effect: Interval
    tolerance: Fraction
    count: str
    questions_asked: int
    design: str
    plan: str
    readout: str
    template: str
    claim: str
    model: str
    fingerprint: str
    versions: Mapping[str, str]
    guards: tuple[Guard, ...]
    per_question: tuple[QuestionEffect, ...] = field(repr=False)
    question_hashes: tuple[str, ...] | None = field(repr=False)
    """Content hashes beside `per_question`; `None` where the record does not hold them."""
    template_sha256: str
    """Of everything but the template's name; empty where the record does not hold it."""
    alpha: float | None
    """Risk that was spent on it; `None` where the record does not say."""
    exhaustive: bool
    where: str
    file: str | None
    line: int | None
    level: Level
    markers: tuple[str, ...] | None
    """Names of the test's pytest markers; `None` where the record does not hold them."""
    raw: Mapping[str, Any] = field(repr=False)
    """All that is stored of it, for reports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LostCheck:
    """A check that started and has no finding: it failed on its own, or its worker died."""

    id: str
    title: str
    reason: str
    where: str
    file: str | None
    line: int | None
    level: Level

    def __str__(self) -> str:
        """Return it as one line."""
        return f"{self.title}: {self.reason}  [{self.where}]"


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run: its findings, what is known of the run, and what did not end."""

    name: str
    findings: tuple[StoredFinding, ...]
    facts: Mapping[str, Any] | None
    """`run.json`; `None` where there is none."""
    lost: tuple[LostCheck, ...] = ()
    directory: Path | None = None

    def fact(self, name: str) -> Any:
        """Return an entry of `run.json`, or `None`."""
        return None if self.facts is None else self.facts.get(name)


def read_run(path: Path) -> RunRecord:
    """Read a run directory, or the `findings.json` in one.

    Raises:
        RecordError: where it is missing, empty, damaged, of another version, or contradicts itself.
    """
    file = path if path.is_file() else path / "findings.json"
    if not file.is_file():
        said = "holds no findings.json" if path.is_dir() else "does not exist"
        raise RecordError(f"{path} {said}, so there is no evidence. Write a record with --invariance-report={path}")
    stored = read_json(file)
    directory = file.parent
    if not isinstance(stored.get("findings"), list):
        raise RecordError(f'{file} is no record of findings: expected an object with a list "findings"')
    check_version(stored, file)
    facts_file = directory / "run.json"
    facts = read_json(facts_file) if facts_file.is_file() else None
    if facts is not None:
        check_version(facts, facts_file)
        _check_exit(facts, facts_file)
    lost = _list(stored, "unfinished", str(file))
    return run_from_rows(str(path), stored["findings"], facts, lost, directory)


def run_from_rows(
    name: str,
    rows: Sequence[Any],
    facts: Mapping[str, Any] | None,
    lost: Sequence[Any] = (),
    directory: Path | None = None,
) -> RunRecord:
    """Return the record of a run from its findings, and its checks without one, as plain data.

    Raises:
        RecordError: for a finding that is damaged, contradicts itself, or comes twice.
    """
    findings = tuple(_finding(row, f"{name}: finding {number}") for number, row in enumerate(rows, start=1))
    ids = [finding.id for finding in findings if finding.id]
    twice = next((one for one in ids if ids.count(one) > 1), None)
    if twice is not None:
        raise RecordError(f"{name} holds the finding {twice!r} twice, so it is damaged. Run the checks again")
    return RunRecord(name, findings, facts, tuple(_lost(row, name) for row in lost), directory)


def _check_exit(facts: Mapping[str, Any], file: Path) -> None:
    status = facts.get("exit")
    if status is not None and (isinstance(status, bool) or not isinstance(status, int)):
        raise RecordError(f"{file}: exit is {status!r}, but must be a whole number, or null where the run did not end")


def _lost(row: Any, name: str) -> LostCheck:
    at = f"{name}: a check without a finding"
    if not isinstance(row, Mapping):
        raise RecordError(f"{at} is {row!r:.80}, but must be an object")
    return LostCheck(
        id=_text(row, "id", at, default=""),
        title=_text(row, "title", at, default="a check"),
        reason=_text(row, "reason", at, default="started and did not finish"),
        **_spot(row, at),
    )


class _Spot(TypedDict):
    where: str
    file: str | None
    line: int | None
    level: Level


def _spot(row: Mapping[str, Any], at: str) -> _Spot:
    return {
        "where": _text(row, "where", at, default=""),
        "file": _text(row, "file", at, default="") or None,
        "line": _whole(row, "line", at) if row.get("line") is not None else None,
        "level": _level(_one_of(row, "level", get_args(Level), at, default="block")),
    }


def _finding(row: Any, at: str) -> StoredFinding:
    if not isinstance(row, Mapping):
        raise RecordError(f"{at} is {row!r:.80}, but must be an object")
    effect = _interval(row.get("effect"), f"{at}: effect")
    per_question = tuple(_question(part, f"{at}: per_question") for part in _list(row, "per_question", at))
    alpha, exhaustive = _risk(row, at)
    found = StoredFinding(
        property=_text(row, "property", at),
        title=_text(row, "title", at),
        metric=_text(row, "metric", at),
        model=_text(row, "model", at),
        fingerprint=_text(row, "fingerprint", at),
        plan=_text(row, "plan", at),
        readout=_text(row, "readout", at),
        template=_text(row, "template", at),
        id=_text(row, "id", at, default=""),
        claim=_text(row, "claim", at, default="suite"),
        count=_text(row, "count", at, default=""),
        design=_text(row, "design", at, default=""),
        **_spot(row, at),
        verdict=Verdict(_one_of(row, "verdict", tuple(Verdict), at)),
        reasons=_texts(row, "reasons", at) or (),
        markers=_texts(row, "markers", at),
        effect=effect,
        tolerance=_number(row.get("tolerance"), f"{at}: tolerance"),
        questions_asked=_whole(row, "questions_asked", at),
        versions={str(key): str(value) for key, value in _object(row, "versions", at).items()},
        guards=tuple(_guard(part, f"{at}: guards") for part in _list(row, "guards", at)),
        per_question=per_question,
        question_hashes=_texts(_object(row, "details", at), "question_hashes", at),
        template_sha256=_text(_object(row, "details", at), "template_sha256", at, default=""),
        alpha=alpha,
        exhaustive=exhaustive,
        raw=row,
    )
    _check_sense(found, at)
    return found


def _check_sense(found: StoredFinding, at: str) -> None:
    """Refuse what cannot be: a verdict that its own numbers exclude, or lists of different lengths."""
    low, high, limit = Fraction(found.effect.low), Fraction(found.effect.high), found.tolerance
    holds, broken = high <= limit + SLACK, low > limit - SLACK
    wrong = (found.verdict is Verdict.HOLDS and not holds) or (found.verdict is Verdict.BROKEN and not broken)
    if found.exhaustive and wrong:
        raise RecordError(
            f"{at} says {found.verdict}, but its effect of {float(low):g} to {float(high):g} against the tolerance "
            f"{float(limit):g} does not. The record is damaged or was edited; run the checks again"
        )
    if found.question_hashes is not None and len(found.question_hashes) != len(found.per_question):
        raise RecordError(f"{at}: {len(found.question_hashes)} question hashes for {len(found.per_question)} questions")


def _risk(row: Mapping[str, Any], at: str) -> tuple[float | None, bool]:
    """Return the risk spent, `None` where a sampled finding does not say, and whether everything was asked."""
    decision, limit = row.get("decision"), row.get("risk_limit")
    if decision is None:
        return (0.0, True) if limit is None else (None, False)
    if not isinstance(decision, Mapping):
        raise RecordError(f"{at}: decision is {decision!r:.80}, but must be an object")
    alpha = float(_number(decision.get("alpha"), f"{at}: decision.alpha"))
    if not 0 <= alpha <= 1:
        raise RecordError(f"{at}: decision.alpha is {alpha!r}, but must be from 0 to 1")
    return alpha, _one_of(decision, "method", ("exhaustive", "sequential"), at) == "exhaustive"


def _interval(part: Any, at: str) -> Interval:
    if not isinstance(part, Mapping):
        raise RecordError(f"{at} is {part!r:.80}, but must be an object with low and high")
    low, high = (_number(part.get(name), f"{at}.{name}") for name in ("low", "high"))
    if low > high:
        raise RecordError(f"{at} runs from {float(low):g} down to {float(high):g}")
    return Interval(low, high)


def _question(part: Any, at: str) -> QuestionEffect:
    if not isinstance(part, Mapping):
        raise RecordError(f"{at} holds {part!r:.80}, but must hold objects")
    value = _interval(part, at)
    return QuestionEffect(
        question=_text(part, "question", at),
        low=float(value.low),
        high=float(value.high),
        presentations=_whole(part, "presentations", at),
        causes=_texts(part, "causes", at) or (),
    )


def _guard(part: Any, at: str) -> Guard:
    if not isinstance(part, Mapping) or not isinstance(part.get("passed"), bool | None):
        raise RecordError(f"{at} holds {part!r:.80}, but must hold objects with name, passed, text and blocks")
    blocks: Any = _one_of(part, "blocks", ("HOLDS", "both", "nothing"), at, default="HOLDS")
    return Guard(name=_text(part, "name", at), passed=part["passed"], text=_text(part, "text", at), blocks=blocks)


def _text(row: Mapping[str, Any], name: str, at: str, default: str | None = None) -> str:
    value = row.get(name)
    if value is None and default is not None:
        return default
    if not isinstance(value, str) or (default is None and not value.strip()):
        raise RecordError(f"{at}: {name} is {value!r:.80}, but must be text")
    return value


def _texts(row: Mapping[str, Any], name: str, at: str) -> tuple[str, ...] | None:
    value = row.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise RecordError(f"{at}: {name} is {value!r:.80}, but must be a list of texts")
    return tuple(value)


def _list(row: Mapping[str, Any], name: str, at: str) -> list[Any]:
    value = row.get(name)
    if value is not None and not isinstance(value, list):
        raise RecordError(f"{at}: {name} is {value!r:.80}, but must be a list")
    return value or []


def _object(row: Mapping[str, Any], name: str, at: str) -> Mapping[str, Any]:
    value = row.get(name)
    if value is not None and not isinstance(value, Mapping):
        raise RecordError(f"{at}: {name} is {value!r:.80}, but must be an object")
    return value or {}


def _one_of(row: Mapping[str, Any], name: str, known: Sequence[str], at: str, default: str | None = None) -> str:
    value = row.get(name, default)
    if value not in known:
        raise RecordError(f"{at}: {name} is {value!r:.80}, but must be one of {', '.join(known)}")
    return str(value)


def _level(value: str) -> Literal["block", "warn", "ignore"]:
    return "block" if value == "block" else "warn" if value == "warn" else "ignore"


def _whole(row: Mapping[str, Any], name: str, at: str) -> int:
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise RecordError(f"{at}: {name} is {value!r:.80}, but must be a whole number from 0")
    return value


def _number(value: Any, at: str) -> Fraction:
    """Return a number as the fraction that its digits say."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e6 or math.isnan(value):
        raise RecordError(f"{at} is {value!r:.80}, but must be a number")
    return Fraction(str(value))
