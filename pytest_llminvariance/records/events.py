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
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_llminvariance.files import DISK, append, json_line

if TYPE_CHECKING:
    from pytest_llminvariance.checks.verdict import Finding


PROPERTY_NAME = "invariance_finding"
MAX_PROPERTY_BYTES = 16_000


class EventLog:
    """What one process writes down, in a file of its own in `directory`.

    The directory is made when the first check starts. Where nothing can be written, all goes on in memory.
    """

    def __init__(self, directory: Path | Callable[[], Path], worker: str) -> None:
        self._directory, self.worker = directory, worker
        self._pid = os.getpid()
        self.kept: list[str] = []
        """Lines that could not be written."""
        self.trouble: str | None = None
        """Why not, where that is so."""

    @property
    def directory(self) -> Path:
        """Where it is.

        Raises:
            OSError: where it would be a temporary folder, and the system has none.
        """
        if callable(self._directory):
            self._directory = DISK.path(str(self._directory()))  # no path of a faked file system
        return self._directory

    @property
    def place(self) -> Path | None:
        """Where it is, as far as anything asked for it."""
        return None if callable(self._directory) else self._directory

    @property
    def is_begun(self) -> bool:
        """Return whether anything was written, here or in another process of the session."""
        return bool(self.kept) or (self.place is not None and self.place.is_dir())

    @property
    def process(self) -> str:
        """Tells the ids of this process from those of another: a fork of it makes its checks itself."""
        return self.worker if os.getpid() == self._pid else f"{self.worker}-forked"

    def model(self, name: str, fingerprint: str, device: str, dtype: str) -> None:
        """Note a model that was used."""
        facts = {"name": name, "fingerprint": fingerprint, "device": device, "dtype": dtype}
        self.write({"kind": "model", "id": f"{name} {fingerprint}", **facts})

    def noise(self, key: Sequence[str], floor: Mapping[str, Any]) -> None:
        """Note how noisy a model's engine was found to be."""
        plain = {name: str(value) if value != value else value for name, value in floor.items()}
        self.write({"kind": "noise", "id": " ".join(key), "key": list(key), "floor": plain})

    def engine(self, model: str, fingerprint: str, facts: Mapping[str, Any]) -> None:
        """Note what the engine of a model did in this process."""
        self.write({"kind": "engine", "id": f"{self.worker} {model} {fingerprint}", "model": model, **facts})

    def collected(self, facts: Mapping[str, Any]) -> None:
        """Note what this process collected, and what of it was left out."""
        self.write({"kind": "collected", "id": self.worker, **facts})

    def answers(self, recalled: int, asked: int, place: str, trouble: str | None) -> None:
        """Note how many answers came from the cache, and how many were asked."""
        self.write({"kind": "cache", "recalled": recalled, "asked": asked, "place": place, "trouble": trouble})

    def note(self, line: str) -> None:
        """Note a line about the whole session, the same in every worker."""
        self.write({"kind": "note", "id": line, "line": line})

    def write(self, record: dict[str, Any]) -> None:
        """Write one line; keep it in memory where that cannot be done, and all that come after it."""
        from pytest_llminvariance.records.redaction import redacted_data

        finding = record.pop("finding", None)
        line = json_line(redacted_data(record) | ({} if finding is None else {"finding": finding}))
        if self.trouble is None:
            name = self.worker if os.getpid() == self._pid else f"{self.worker}-{os.getpid()}"
            try:
                append(self.directory / f"{name}.jsonl", line)
                return
            except OSError as error:
                self.trouble = str(error)
        self.kept.append(line.decode())


class PlaceRecorder:
    """The recorder of one place: a test, or one set-up of a fixture of wider scope (`is_fixture`).

    `spot` says more about a test when it is asked: file, line (from 1), its level and markers, for a gate.
    """

    def __init__(
        self,
        log: EventLog,
        where: str,
        *,
        spot: Callable[[], Mapping[str, Any]] = dict,
        properties: list[tuple[str, object]] | None = None,
        is_fixture: bool = False,
    ) -> None:
        self._log, self._where, self._spot, self._is_fixture = log, where, spot, is_fixture
        self._properties = [] if properties is None else properties
        self._titles: dict[str, str] = {}
        self.begin(1)

    def begin(self, attempt: int) -> None:
        """Begin, or begin another attempt at a test."""
        self._attempt = attempt
        self._properties[:] = [entry for entry in self._properties if entry[0] != PROPERTY_NAME]
        self.n_checks, self.n_pairs = 0, 0
        self._found: dict[str, tuple[str, object]] = {}
        self.undecided: list[str] = []
        self._apart: list[dict[str, str]] = []

    def end(self) -> None:
        """End: write down what searches compared that found nothing."""
        if self.n_pairs and not self._found:
            self._log.write({"kind": "search", **self._place(), "pairs": self.n_pairs})

    def planned(self, found: dict[str, Any]) -> None:
        """Note what a check would cost, where nothing is asked."""
        self._log.write({"kind": "planned", **self._place(), **found})

    def unchecked(self) -> None:
        """Note that a test asked for the model, passed and checked nothing."""
        self._log.write({"kind": "unchecked", "id": self._identity("unchecked"), **self._place()})

    def apart(self, finding: Finding) -> None:
        """Note, once for each title, that a check of this test gave its finding to a recorder of its own."""
        said = {"title": finding.title, "model": finding.model, "model_from": finding.model_from}
        if said not in self._apart:
            self._apart.append(said)
            self._log.write({"kind": "apart", "id": self._identity(["apart", *said.values()]), **self._place(), **said})

    def started(self, title: str) -> str:
        """Note that a check starts and return its id, made of node id, call index, attempt and process."""
        place = self._place()
        self.n_checks += 1
        finding_id = self._identity(self.n_checks)
        self._titles[finding_id] = title
        self._log.write({"kind": "started", "id": finding_id, "title": title, **place})
        return finding_id

    def _identity(self, call: object) -> str:
        # a fixture of wider scope runs once in each worker and finds the same there: one finding
        process = self._log.process if not self._is_fixture else ""
        identity = json.dumps([self._where, call, self._attempt, process])
        return hashlib.sha256(identity.encode()).hexdigest()[:16]

    def finished(self, finding_id: str, finding: Finding) -> Finding:
        """Store a finding in full, and its summary with the test for JUnit."""
        from pytest_llminvariance.records.redaction import without_secrets

        scope: Any = "test" if not self._is_fixture else "session"
        finding = dataclasses.replace(without_secrets(finding), id=finding_id, scope=scope)
        level = {"level": "ignore"} if finding.describes else {}
        self._log.write({"kind": "finding", "id": finding_id, **self._place(), **level, "finding": finding.to_json()})
        if not self._is_fixture:
            self._properties.append((PROPERTY_NAME, _bounded(finding.summary())))
        return finding

    def let_pass(self, finding: Finding) -> None:
        """Note that an assertion was UNDECIDED and did not raise; what is let pass by its level is in the record."""
        if self._is_fixture or self._spot().get("level", "block") == "block":
            self.undecided.append(f"{finding.title}: {'; '.join(finding.reasons)}")

    def failed(self, finding_id: str, reason: str) -> None:
        """Note that a check ended in an error of its own."""
        title = self._titles.get(finding_id, "check")
        self._log.write({"kind": "failed", "id": finding_id, **self._place(), "title": title, "reason": reason})

    def searched(self, counter_example: Finding | None = None) -> Finding | None:
        """Count a pair that a search compared; of a search the last counter-example stays, which is the smallest."""
        self.n_pairs += 1
        if counter_example is None:
            return None
        from pytest_llminvariance.checks.searches import of_pairs

        finding_id = self._identity([counter_example.title, counter_example.fingerprint])
        before = self._found.get(finding_id)
        self._properties[:] = [entry for entry in self._properties if entry is not before]
        finding = self.finished(finding_id, of_pairs(counter_example, self.n_pairs))
        self._found[finding_id] = self._properties[-1] if self._properties else ("", None)
        return finding

    def _place(self) -> dict[str, Any]:
        return {"where": self._where, "attempt": self._attempt, **self._spot()}


def _bounded(summary: dict[str, Any]) -> str:
    """Return a summary as JSON of at most 16 kB: what is long goes first."""
    text = json.dumps(summary)
    for name in ("cells", "example", "guards", "reasons"):
        if len(text.encode()) > MAX_PROPERTY_BYTES:
            text = json.dumps({**summary, name: None})
            summary = {**summary, name: None}
    return text


def read_records(directory: Path | None, *, remove: bool, kept: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Return the union of all workers' records, each id and kind once; a line cut off by a crash is left out.

    `kept` are lines that could not be written.
    Only the last attempt at a test counts. Where workers differ in what a fixture of wider scope found, the worse counts.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    origin: dict[str, str] = {}
    files = sorted(directory.glob("*.jsonl")) if directory and directory.is_dir() else []
    parts = [(file.name, file.read_text(encoding="utf-8", errors="replace").splitlines()) for file in files]
    for name, lines in (*parts, ("", kept)):
        for number, line in enumerate(lines):
            try:
                record = json.loads(line)
            except json.JSONDecodeError:
                continue
            key = record["kind"], record.get("id", f"{name}:{number}")
            if record["kind"] == "finding":  # the check was taken up again, and ended
                found.pop(("failed", record["id"]), None)
                elsewhere = origin.get(key[1]) not in (None, name) and _is_worse(found[key], record)
                if elsewhere:
                    continue
                origin[key[1]] = name
            found[key] = record
    if remove and directory:
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
