"""An audit: the usual properties of a model on a bank of questions, with no test code.

Everything is written down as it goes, so an audit that was stopped goes on where it was: checks that have ended
keep their findings, and answers that are there are not asked again.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_llminvariance.checks.check import check
from pytest_llminvariance.checks.noise import Measured, noise_key
from pytest_llminvariance.checks.properties import audits, default_audits
from pytest_llminvariance.checks.run import Run, surrounded
from pytest_llminvariance.checks.verdict import Finding, Verdict
from pytest_llminvariance.errors import UsageError, did_you_mean
from pytest_llminvariance.measures.noise import NoiseFloor
from pytest_llminvariance.models.loading import load_model
from pytest_llminvariance.models.protocol import Model, resolve_readout
from pytest_llminvariance.models.remembered import Remembered
from pytest_llminvariance.models.spec import place_in_full
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.questions.reading import load_bank
from pytest_llminvariance.questions.references import OnReference
from pytest_llminvariance.questions.template import Template
from pytest_llminvariance.records.answer_log import AnswerLog, RecordedMemo, earlier_of
from pytest_llminvariance.records.directory import (
    begin_record,
    check_record_place,
    commit_of,
    finish_record,
    repair,
    run_facts,
    versions_of,
    write_json,
)
from pytest_llminvariance.records.events import EventLog, PlaceRecorder, read_records
from pytest_llminvariance.records.record import Record, load
from pytest_llminvariance.records.redaction import redacted, redacted_data
from pytest_llminvariance.records.shapes import read_json

BANK = Path(__file__).parents[1] / "banks" / "basics.jsonl"
DEFAULT_TOLERANCE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPlan:
    """What an audit is told; all but `properties` must stay the same when it goes on."""

    spec: str
    questions: tuple[Question, ...]
    properties: tuple[str, ...] = field(default_factory=default_audits)
    tolerances: Mapping[str, float] = field(default_factory=dict)
    """By name of a property; 0.05 for the others."""
    readout: str = "auto"
    template: str | None = None
    on_reference: OnReference = "leave_out"
    seed: int = 0
    device: str = "auto"
    dtype: str = "auto"
    revision: str | None = None
    loading: Mapping[str, Any] = field(default_factory=dict)
    """Other settings of `load_model`."""

    def __post_init__(self) -> None:
        known = audits()
        for name in (*self.properties, *self.tolerances):
            if name not in known:
                hint = did_you_mean(name, known)
                raise UsageError(f"there is no property {name!r} in an audit; they are {', '.join(known)}{hint}")
        if not self.properties or len(set(self.properties)) < len(self.properties):
            raise UsageError(
                f"properties is {', '.join(self.properties) or 'empty'!r}, but must name each property once"
            )

    @property
    def settings(self) -> dict[str, Any]:
        """What `run.json` says of it."""
        hashes = json.dumps([[question.content_hash, question.answer] for question in self.questions])
        return {
            "model": redacted(self.spec),
            "questions": len(self.questions),
            "questions_sha256": hashlib.sha256(hashes.encode()).hexdigest(),
            "tolerances": {name: self.tolerances.get(name, DEFAULT_TOLERANCE) for name in audits()},
            "readout": self.readout,
            "template": redacted_data(self.template),
            "on_reference": self.on_reference,
            "seed": self.seed,
            "device": self.device,
            "dtype": self.dtype,
            "revision": self.revision,
            "loading": redacted_data(dict(self.loading)) or None,
            "properties": list(self.properties),
        }


def read_bank(path: str | Path | None, **how: Any) -> tuple[Question, ...]:
    """Return the questions of a file, read as `how` says, or the packaged ones; a Likert instrument gives its items.

    Raises:
        QuestionError: for a bad file.
    """
    return load_bank(BANK if path is None else path, **how)


def run_audit(plan: AuditPlan, directory: Path, say: Callable[[str], object] = str) -> Record:
    """Check every property, writing to `directory`, and return the record.

    `say` is told what is going on, one line at a time. Stopped in whatever way, it goes on there when called with the
    same plan again.

    Raises:
        UsageError: if the directory holds something else, or an audit with other settings.
        ModelError: if the model cannot be loaded or does not answer; what was answered is kept.
    """
    began = time.time()
    check_record_place(directory)
    _check_resumed(plan, directory)
    model = load_model(plan.spec, device=plan.device, dtype=plan.dtype, revision=plan.revision, **plan.loading)
    try:
        resolve_readout(plan.readout, model)
        before = _begin(plan, directory, began)  # a model that cannot be loaded claims no directory
        told = read_records(directory / "events", remove=False)
        log = AnswerLog(directory, earlier=earlier_of(before.answer_rows() if before else ()))
        events = EventLog(directory / "events", "main")
        ended = _same_model(directory, told, model)
        events.model(model.name, model.fingerprint, getattr(model, "device", ""), getattr(model, "dtype", ""))
        if before:
            say(f"going on with {directory}: {len(ended)} of {len(plan.properties)} properties have a finding")
        made = _run(plan, model, events, log, told)
        for name in plan.properties:
            if (where := f"audit::{name}") not in ended:
                say(f"{name}: asking {len(plan.questions):,} questions")
                with surrounded(made._replace(recorder=PlaceRecorder(events, where), origin=lambda *_: "session")):
                    ended[where] = _check(plan, name, model).verdict
                if trouble := events.trouble or log.trouble:
                    raise UsageError(f"{str(directory)!r} cannot be written: {trouble}. Make room and start it again")
    finally:
        getattr(model, "release", lambda: None)()
    status = int(any(verdict is not Verdict.HOLDS for verdict in ended.values()))
    finish_record(directory, {"exit": status}, duration_s=time.time() - began)
    return load(directory)


def _begin(plan: AuditPlan, directory: Path, began: float) -> Record | None:
    """Begin a record, or go on with the one that is there, and return that."""
    started = datetime.fromtimestamp(began, tz=UTC).isoformat(timespec="seconds")
    facts = run_facts(
        started=started, seed=plan.seed, settings=plan.settings, versions=versions_of(), commit=commit_of(Path.cwd())
    )
    if not (directory / "run.json").is_file():
        begin_record(directory, facts)
        return None
    repair(directory)
    before = load(directory)
    # until it ends again it has not ended: what an earlier, smaller audit ended with says nothing of this one
    write_json(
        directory / "run.json",
        {
            **(before.facts or {}),
            "schema_version": facts["schema_version"],
            "settings": facts["settings"],
            "exit": None,
        },
    )
    return before


def _check_resumed(plan: AuditPlan, directory: Path) -> None:
    """Refuse to go on with an audit of other settings; nothing is written."""
    if not (directory / "run.json").is_file():
        return
    before, now = read_json(directory / "run.json").get("settings") or {}, redacted_data(plan.settings)
    for name in now:
        there = before.get(name)
        same = there == now[name] or (name == "model" and place_in_full(str(there)) == place_in_full(now[name]))
        if name != "properties" and not same:
            raise UsageError(
                f"{str(directory)!r} holds an audit with another {name}: {there!r} there, {now[name]!r} now. "
                "Name another --out directory; for other tolerances alone use llminvariance judge"
            )


def _same_model(directory: Path, told: Sequence[Mapping[str, Any]], model: Model) -> dict[str, Verdict]:
    """Return the verdicts of the checks that have ended, by place.

    Raises:
        UsageError: if another model answered there.
    """
    ended = {}
    for record in told:
        if record["kind"] == "model" and record["fingerprint"] != redacted(model.fingerprint):
            raise UsageError(
                f"{str(directory)!r} holds answers of a model with the fingerprint {record['fingerprint'][:16]}, but this one "
                f"has {redacted(model.fingerprint)[:16]}. Name another --out directory"
            )
        if record["kind"] == "finding":
            ended[record["where"]] = Verdict(record["finding"]["verdict"])
    return ended


class _NoiseLog(dict[tuple[object, ...], Measured]):
    """Measured noise, written down so that an audit that goes on need not measure again."""

    def __init__(self, events: EventLog) -> None:
        super().__init__()
        self._events = events

    def __setitem__(self, key: tuple[object, ...], found: Measured) -> None:
        super().__setitem__(key, found)
        floor = found.floor
        self._events.noise((floor.model, floor.readout), dataclasses.asdict(floor))


def _run(plan: AuditPlan, model: Model, events: EventLog, log: AnswerLog, told: Sequence[Mapping[str, Any]]) -> Run:
    memo, noise = RecordedMemo(Remembered(), log), _NoiseLog(events)
    for record in told:
        if record["kind"] == "noise":
            floor = _noise_from(record["floor"])
            dict.__setitem__(noise, noise_key(model, floor.readout), Measured(floor))
    return Run(seed=plan.seed, memory=lambda: memo, noise=noise, answers=log)


def _noise_from(data: Mapping[str, Any]) -> NoiseFloor:
    """Return measured noise; JSON has turned quantiles into texts, and what could not be measured into `nan`."""
    parts: dict[str, Any] = {name: float(value) if name.endswith("max_nats") else value for name, value in data.items()}
    for name in ("margin_quantiles_nats", "logprob_quantiles_nats"):
        parts[name] = {float(share): value for share, value in data[name].items()}
    return NoiseFloor(**parts)


def _check(plan: AuditPlan, name: str, model: Model) -> Finding:
    kind, how = audits()[name]
    options = {"on_reference": plan.on_reference} if "on_reference" in inspect.signature(kind).parameters else {}
    made, way = kind.usual(plan.questions, None if plan.template is None else Template(plan.template), **options)
    return check(
        made,
        model,
        plan.questions,
        tolerance=plan.tolerances.get(name, DEFAULT_TOLERANCE),
        metric=how.metric,
        readout="auto" if made.readouts else plan.readout,
        template=way,
    )
