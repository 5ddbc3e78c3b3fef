"""Writing a session's checks down, one JSON line at a time, so that nothing is lost with a worker.

Each process appends to a file of its own in the run directory and flushes every line: a check that starts,
its finding, or its error. At the end the controller takes the union by id. Reports and `user_properties`
are never read back: a finding travels up to three times with them, and not at all if its worker dies.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pytest_llminvariance.checks.verdict import Finding


PROPERTY_NAME = "invariance_finding"
MAX_PROPERTY_BYTES = 16_000


def new_run_directory() -> Path:
    """Return the name of a fresh directory; it is made when the first check starts."""
    return Path(tempfile.gettempdir()) / f"pytest-llminvariance-{os.urandom(16).hex()}"


class Scope(Protocol):
    """Where checks of a fixture of wider scope belong."""

    @property
    def where(self) -> str:
        """What stands in records in the place of a test's node id."""
        ...

    def reaches(self, item: Any) -> bool:
        """Return whether a test uses it."""
        ...


class SessionRecorder:
    """The recorder of one process; `begin` tells it which test runs."""

    def __init__(self, directory: Path, worker: str) -> None:
        self.directory, self._worker = directory, worker
        self._where, self._attempt = "", 1
        self.test = ""
        """Node id of the test that was begun last."""
        self._scope: Scope | None = None
        self._spot: dict[str, Any] = {}
        self._titles: dict[str, str] = {}
        self.undecided_fixtures: dict[Scope, str] = {}
        self._properties: list[tuple[str, object]] = []
        self._calls: dict[str, int] = {}
        self._pairs, self._found = 0, False
        self.checks_in_test = 0
        self.undecided_in_test: list[str] = []
        self.session_checks = 0

    def begin(
        self, where: str, attempt: int, properties: list[tuple[str, object]], spot: Mapping[str, Any] | None = None
    ) -> None:
        """Start a test, or another attempt at it, whose user properties are `properties`.

        `spot` says more about the place: file, line (from 1), its level and markers, for a gate.
        """
        self._where, self._attempt, self._properties = where, attempt, properties
        self._spot = dict(spot or {})
        properties[:] = [entry for entry in properties if entry[0] != PROPERTY_NAME]
        self._calls.pop(where, None)
        self._pairs, self._found = 0, False
        self.checks_in_test = 0
        self.undecided_in_test = []

    def end(self) -> None:
        """End a test: write down what its searches compared."""
        if self._pairs:
            self._write({"kind": "search", **self._place(), "pairs": self._pairs, "found": self._found})
        self._pairs = 0

    def enter_scope(self, scope: Scope, *, again: bool) -> tuple[str, Scope | None, int]:
        """Attribute checks to a fixture of wider scope; return what to give to `leave_scope`.

        What is found when it is set up once more, as for another attempt, takes the place of what was found before.
        """
        before = (self._where, self._scope, self._attempt)
        if not again:
            self._calls.pop(scope.where, None)
        self._where, self._scope, self._attempt = scope.where, scope, 1
        return before

    def leave_scope(self, before: tuple[str, Scope | None, int]) -> None:
        """Attribute checks to the test again."""
        self._where, self._scope, self._attempt = before

    @property
    def compared_in_test(self) -> int:
        """Pairs that searches of the current test compared."""
        return self._pairs

    def model(self, name: str, fingerprint: str, device: str, dtype: str) -> None:
        """Note a model that was used."""
        facts = {"name": name, "fingerprint": fingerprint, "device": device, "dtype": dtype}
        self._write({"kind": "model", "id": f"{name} {fingerprint}", **facts})

    def noise(self, key: Sequence[str], floor: Mapping[str, Any]) -> None:
        """Note how noisy a model's engine was found to be."""
        plain = {name: str(value) if value != value else value for name, value in floor.items()}
        self._write({"kind": "noise", "id": " ".join(key), "key": list(key), "floor": plain})

    def engine(self, model: str, fingerprint: str, facts: Mapping[str, Any]) -> None:
        """Note what the engine of a model did in this process."""
        self._write({"kind": "engine", "id": f"{self._worker} {model} {fingerprint}", "model": model, **facts})

    def answers(self, recalled: int, asked: int, place: str, trouble: str | None) -> None:
        """Note how many answers came from the cache, and how many were asked."""
        self._write({"kind": "cache", "recalled": recalled, "asked": asked, "place": place, "trouble": trouble})

    def note(self, line: str) -> None:
        """Note a line about the whole session, the same in every worker; nothing where no check was made."""
        if self.directory.is_dir():
            self._write({"kind": "note", "id": line, "line": line})

    def planned(self, found: dict[str, Any]) -> None:
        """Note what a check would cost, where nothing is asked."""
        self._write({"kind": "planned", **self._place(), **found})

    def started(self, title: str) -> str:
        """Note that a check starts and return its id, made of node id, call index, attempt and worker."""
        index = self._calls[self._where] = self._calls.get(self._where, 0) + 1
        # a fixture of wider scope runs once in each worker and finds the same there: one finding
        worker = self._worker if self._scope is None else ""
        identity = json.dumps([self._where, index, self._attempt, worker])
        finding_id = hashlib.sha256(identity.encode()).hexdigest()[:16]
        self._count()
        self._titles[finding_id] = title
        self._write({"kind": "started", "id": finding_id, "title": title, **self._place()})
        return finding_id

    def finished(self, finding_id: str, finding: Finding) -> Finding:
        """Store a finding in full, and its summary with the test for JUnit."""
        from pytest_llminvariance.records.redaction import without_secrets

        scope: Any = "test" if self._scope is None else "session"
        finding = dataclasses.replace(without_secrets(finding), id=finding_id, scope=scope)
        self._write({"kind": "finding", "id": finding_id, **self._place(), "finding": finding.to_json()})
        if self._scope is None:
            self._properties.append((PROPERTY_NAME, _bounded(finding.summary())))
        return finding

    def let_pass(self, finding: Finding) -> None:
        """Note that an assertion was UNDECIDED and did not raise; what is let pass by its level is in the record."""
        if self._spot.get("level", "block") != "block" and self._scope is None:
            return
        text = f"{finding.title}: {'; '.join(finding.reasons)}"
        if self._scope is None:
            self.undecided_in_test.append(text)
        else:
            self.undecided_fixtures[self._scope] = text

    def failed(self, finding_id: str, reason: str) -> None:
        """Note that a check ended in an error of its own."""
        title = self._titles.get(finding_id, "check")
        self._write({"kind": "failed", "id": finding_id, **self._place(), "title": title, "reason": reason})

    def _place(self) -> dict[str, Any]:
        return {"where": self._where, "attempt": self._attempt, **(self._spot if self._scope is None else {})}

    def searched(self, found: bool) -> None:  # noqa: FBT001
        """Count a pair that a search compared."""
        self._pairs, self._found = self._pairs + 1, self._found or found

    def _count(self) -> None:
        if self._scope is None:
            self.checks_in_test += 1
        else:
            self.session_checks += 1

    def _write(self, record: dict[str, Any]) -> None:
        from pytest_llminvariance.records.redaction import redacted_data

        finding = record.pop("finding", None)
        record = redacted_data(record) | ({} if finding is None else {"finding": finding})
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / f"{self._worker}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, allow_nan=False, default=str) + "\n")


def _bounded(summary: dict[str, Any]) -> str:
    """Return a summary as JSON of at most 16 kB: what is long goes first."""
    text = json.dumps(summary)
    for name in ("example", "guards", "reasons"):
        if len(text.encode()) > MAX_PROPERTY_BYTES:
            text = json.dumps({**summary, name: None})
            summary = {**summary, name: None}
    return text


def read_records(directory: Path, *, remove: bool) -> list[dict[str, Any]]:
    """Return the union of all workers' records, each id and kind once; a line cut off by a crash is left out.

    Only the last attempt at a test counts. Where workers differ in what a fixture of wider scope found, the worse counts.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    origin: dict[str, Path] = {}
    for file in sorted(directory.glob("*.jsonl")) if directory.is_dir() else ():
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines()):
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue
            key = record["kind"], record.get("id", f"{file.name}:{number}")
            if record["kind"] == "finding":  # the check was taken up again, and ended
                found.pop(("failed", record["id"]), None)
                elsewhere = origin.get(key[1]) not in (None, file) and _is_worse(found[key], record)
                if elsewhere:
                    continue
                origin[key[1]] = file
            found[key] = record
    if remove:
        shutil.rmtree(directory, ignore_errors=True)
    return _last_attempts(list(found.values()))


def _is_worse(record: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    ranks = ("HOLDS", "UNDECIDED", "BROKEN")
    return ranks.index(record["finding"]["verdict"]) > ranks.index(other["finding"]["verdict"])


def _last_attempts(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    last: dict[str, int] = {}
    for record in records:
        if "attempt" in record:
            last[record["where"]] = max(last.get(record["where"], 0), record["attempt"])
    return [record for record in records if "attempt" not in record or record["attempt"] == last[record["where"]]]


def unfinished(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return checks that started and neither finished nor failed."""
    ended = {record["id"] for record in records if record["kind"] in ("finding", "failed")}
    return [record for record in records if record["kind"] == "started" and record["id"] not in ended]
