"""The directory that a run writes: its files, how they are begun, put together and read.

While a run goes on each process appends to files of its own: events (a check starts, its finding), sheets (what a
check asks) and answers. `findings.json` is made from the events at the end, or by any later command after a crash.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_llminvariance.checks.finding import package_versions
from pytest_llminvariance.checks.verdict import SCHEMA_VERSION
from pytest_llminvariance.errors import RecordError, UsageError
from pytest_llminvariance.files import write_whole
from pytest_llminvariance.records.events import read_records, unfinished
from pytest_llminvariance.records.redaction import redacted_data

EVENTS, FINDINGS, RUN = "events", "findings.json", "run.json"
PARTS = ("answers", "sheets")
"""Files with one line each; a worker's own is `answers-gw0.jsonl`."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a run directory holds."""

    directory: Path
    run: Mapping[str, Any]
    findings: tuple[Mapping[str, Any], ...]
    unfinished: tuple[Mapping[str, Any], ...]
    """Checks without a finding: those that never ended, and those that ended in an error."""
    sheets: Mapping[str, Mapping[str, Any]]
    """What each check asked, by its id."""
    answers: Mapping[str, tuple[Mapping[str, Any], ...]]
    """Lines of answers by check."""

    @property
    def ended(self) -> bool:
        """False where the run was cut off."""
        return self.run.get("exit") is not None


def begin_record(directory: Path, facts: Mapping[str, Any]) -> None:
    """Make the directory ready for a new run: what an earlier run wrote there goes.

    Raises:
        UsageError: if it is a file, holds anything else, or cannot be written.
    """
    try:
        if directory.exists():
            _clear(directory)
        directory.mkdir(parents=True, exist_ok=True)
        write_json(directory / RUN, facts)
    except OSError as error:
        raise UsageError(f"{str(directory)!r} cannot be written: {error.strerror}. Name another directory") from error


def _clear(directory: Path) -> None:
    if not directory.is_dir():
        raise UsageError(f"{str(directory)!r} is a file, but a record is a directory. Name another place")
    found = sorted(directory.iterdir())
    strange = [path.name for path in found if not _is_ours(path)]
    if strange or (found and not (directory / RUN).is_file()):
        named = (strange or [path.name for path in found])[0]
        raise UsageError(
            f"{str(directory)!r} holds {named!r}, which is no part of a record, and a new record replaces what is there. "
            "Name a new or empty directory"
        )
    for path in (*(directory / EVENTS).glob("*.jsonl"), *(path for path in found if path.is_file())):
        path.unlink()


def _is_ours(path: Path) -> bool:
    """Return whether a file belongs to a record, or was made from one by a report."""
    if path.is_dir():
        return path.name == EVENTS and all(part.suffix == ".jsonl" for part in path.iterdir())
    head = path.stem.partition("-")[0]
    return path.name in (FINDINGS, RUN, "report.html", "report.md") or (path.suffix == ".jsonl" and head in PARTS)


def run_facts(
    *,
    started: str,
    seed: int,
    settings: Mapping[str, Any],
    versions: Mapping[str, str],
    commit: str | None,
) -> dict[str, Any]:
    """Return what `run.json` says when a run begins; secrets in the settings are masked."""
    return {
        "schema_version": SCHEMA_VERSION,
        "started": started,
        "duration_s": None,
        "seed": seed,
        "model": redacted_data(settings.get("model")),
        "fingerprint": None,
        "versions": {**versions, "python": platform.python_version()},
        "platform": platform.platform(terse=True),
        "device": None,
        "dtype": None,
        "commit": commit,
        "settings": redacted_data(settings),
        "tokens": None,
        "exit": None,
        "stopped": None,
        "failed": None,
        "deselected": None,
    }


def begin_session(directory: Path, settings: Any, root: Path, began: float) -> None:
    """Begin the record of a pytest session that began at `began`, in seconds since 1970.

    Raises:
        UsageError: as `begin_record`.
    """
    values = dataclasses.asdict(settings)
    versions = versions_of()
    started = datetime.fromtimestamp(began, tz=UTC).isoformat(timespec="seconds")
    facts = run_facts(started=started, seed=settings.seed, settings=values, versions=versions, commit=commit_of(root))
    begin_record(directory, facts)


def finish_session(directory: Path, ended: Mapping[str, Any], began: float) -> None:
    """Finish the record of a session that began at `began`; `ended` are facts for `run.json`, the exit status first."""
    finish_record(directory, ended, duration_s=time.time() - began)


def versions_of() -> dict[str, str]:
    """Return the versions that `run.json` names: of what makes an answer, and of what ran the checks."""
    return package_versions("pytest")


def commit_of(folder: Path) -> str | None:
    """Return the git commit of a folder, with `+changes` where files differ from it; `None` outside git."""
    try:
        head = _git(folder, "rev-parse", "HEAD")
        changed = head and _git(folder, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None
    return f"{head}+changes" if changed else head or None


def _git(folder: Path, *words: str) -> str:
    quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    done = subprocess.run(  # noqa: S603 - words of ours
        ["git", "-C", str(folder), *words],  # noqa: S607 - the user's own git
        capture_output=True, text=True, timeout=10, check=True, env=quiet,
    )  # fmt: skip
    return done.stdout.strip()


def finish_record(directory: Path, ended: Mapping[str, Any], *, duration_s: float) -> None:
    """Put the parts of all workers together, and say how the run ended."""
    _fold(directory)
    for kind in PARTS:
        for part in _parts(directory, kind)[1:]:
            part.unlink()
    records = read_records(directory / EVENTS, remove=False)
    _write_findings(directory, records)
    run = read_json(directory / RUN)
    models = [record for record in records if record["kind"] == "model"]
    engines = [record for record in records if record["kind"] == "engine"]
    findings = [record["finding"] for record in records if record["kind"] == "finding"]
    sent = sum(record["sent_tokens"] for record in engines) or sum(finding["tokens"] for finding in findings)
    facts = {name: models[0][name] or None for name in ("fingerprint", "device", "dtype")} if models else {}
    if not models and findings:
        facts = {"model": run.get("model") or findings[0]["model"], "fingerprint": findings[0]["fingerprint"]}
    changed = {**facts, "tokens": sent, **redacted_data(ended), "duration_s": round(duration_s, 3)}
    write_json(directory / RUN, {**run, **changed})


def load_record(directory: str | Path) -> Record:
    """Read a run directory; after a crash its findings are put together first.

    Raises:
        RecordError: if there is no record, a damaged one, or one of another version.
    """
    place = Path(directory)
    if not (place / RUN).is_file():
        raise RecordError(
            f"{str(directory)!r} holds no {RUN}, so it is no record. Name a directory that --invariance-report or "
            "llminvariance audit has written"
        )
    run = read_json(place / RUN)
    if run.get("exit") is None or not (place / FINDINGS).is_file():
        _write_findings(place, read_records(place / EVENTS, remove=False))
        _fold(place)
    stored = read_json(place / FINDINGS)
    check_version(run, place / RUN)
    check_version(stored, place / FINDINGS)
    answers: dict[str, list[Mapping[str, Any]]] = {}
    for line in read_lines(place / "answers.jsonl"):
        answers.setdefault(line.get("check") or "", []).append(line)
    return Record(
        directory=place,
        run=run,
        findings=tuple(stored["findings"]),
        unfinished=tuple(stored.get("unfinished", ())),
        sheets={line["check"]: line for line in read_lines(place / "sheets.jsonl")},
        answers={check: tuple(lines) for check, lines in answers.items()},
    )


def read_lines(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the objects of a JSONL file; a line that was cut off by a crash is left out."""
    if not file.is_file():
        return
    with file.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            try:
                data = json.loads(line)
            except ValueError:
                continue
            if isinstance(data, dict):
                yield data


def repair(directory: Path) -> None:
    """Take the half line off the end of files that a killed process has left, so that lines can follow."""
    files = [*(directory / EVENTS).glob("*.jsonl")]
    for kind in PARTS:
        files += _parts(directory, kind)
    for file in files:
        if file.is_file() and not (data := file.read_bytes()).endswith(b"\n"):
            with file.open("r+b") as out:
                out.truncate(data.rfind(b"\n") + 1)


def _parts(directory: Path, kind: str) -> list[Path]:
    """Return the main process's file and those of workers."""
    return [directory / f"{kind}.jsonl", *sorted(directory.glob(f"{kind}-*.jsonl"))]


def _fold(directory: Path) -> None:
    """Write the lines of all workers into one file; nothing is removed, for the run may still go on."""
    for kind in PARTS:
        main, *others = _parts(directory, kind)
        if others:
            lines = dict.fromkeys(json.dumps(line) for part in (main, *others) for line in read_lines(part))
            write_whole(main, "".join(f"{line}\n" for line in lines).encode())


def _write_findings(directory: Path, records: Sequence[Mapping[str, Any]]) -> None:
    write_whole(directory / FINDINGS, findings_text(finding_rows(records), lost_rows(records)).encode())


def finding_rows(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the findings among what recorders wrote down, as `findings.json` holds them."""
    return [{**record["finding"], **_spot(record)} for record in records if record["kind"] == "finding"]


def lost_rows(records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the checks that ended without a finding: a worker died, or an error was raised."""
    ended = {record["id"] for record in records if record["kind"] == "finding"}
    failed = [record for record in records if record["kind"] == "failed" and record["id"] not in ended]
    why = [(record, "started and did not finish") for record in unfinished(records)]
    why += [(record, record["reason"]) for record in failed]
    return [{**_spot(record), "id": record["id"], "title": record["title"], "reason": said} for record, said in why]


def findings_text(rows: Sequence[Mapping[str, Any]], open_ones: Sequence[Mapping[str, Any]]) -> str:
    """Return the bytes of `findings.json`: equal findings give equal text."""
    return _json_text({"schema_version": SCHEMA_VERSION, "findings": list(rows), "unfinished": list(open_ones)})


def _spot(record: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "where": record["where"],
        "file": record.get("file"),
        "line": record.get("line"),
        "level": record.get("level", "block"),
        "markers": record.get("markers", []),
    }


def write_json(file: Path, data: Any) -> None:
    """Write a JSON file whole or not at all; equal data give equal bytes."""
    write_whole(file, _json_text(data).encode())


def _json_text(data: Any) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_json(file: Path) -> dict[str, Any]:
    """Read a file of a record that holds one object.

    Raises:
        RecordError: if it cannot be read, or holds anything else.
    """
    try:
        data = json.loads(file.read_text(encoding="utf-8"), parse_constant=_no_constant)
    except (OSError, ValueError, RecursionError) as error:
        raise RecordError(f"{file} cannot be read as JSON ({error}), so there is no evidence") from error
    if not isinstance(data, dict):
        raise RecordError(f"{file} holds {type(data).__name__}, but must hold an object")
    return data


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def check_version(data: Mapping[str, Any], file: Path) -> None:
    """Refuse a file of another version.

    Raises:
        RecordError: naming both versions.
    """
    version = data.get("schema_version")
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise RecordError(
            f"{file} has schema_version {version!r}, but this version reads {SCHEMA_VERSION}. "
            "Use the version of pytest-llminvariance that wrote it"
        )
