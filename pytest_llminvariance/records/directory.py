"""The directory that a run writes: its files, how they are begun, put together and made whole after a crash.

While a run goes on each process appends to files of its own: events (a check starts, its finding), sheets (what a
check asks) and answers. `findings.json` is made from the events at the end.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_llminvariance.checks.verdict import SCHEMA_VERSION
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.files import encoded, write_whole
from pytest_llminvariance.models.versions import package_versions
from pytest_llminvariance.records.events import read_records, unfinished
from pytest_llminvariance.records.lines import PACK_FROM, PACKED, PARTS, line_files, lines_of, packed, read_line
from pytest_llminvariance.records.redaction import redacted_data
from pytest_llminvariance.records.shapes import read_json

EVENTS, FINDINGS, RUN = "events", "findings.json", "run.json"


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


def check_record_place(directory: Path) -> None:
    """Refuse a place for a record that is a file, or holds anything else; nothing is written.

    Raises:
        UsageError: as `begin_record`.
    """
    if directory.exists():
        _found_in(directory)


def _clear(directory: Path) -> None:
    found = _found_in(directory)
    for path in (*(directory / EVENTS).glob("*.jsonl"), *(path for path in found if path.is_file())):
        path.unlink()


def _found_in(directory: Path) -> list[Path]:
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
    return found


def _is_ours(path: Path) -> bool:
    """Return whether a file belongs to a record, or was made from one by a report."""
    if path.is_dir():
        return path.name == EVENTS and all(part.suffix == ".jsonl" for part in path.iterdir())
    head = path.name.partition(".")[0].partition("-")[0]
    is_part = path.name.endswith((".jsonl", PACKED)) and head in PARTS
    return path.name in (FINDINGS, RUN, "report.html", "report.md") or is_part


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
        "failures": None,
        "skipped": None,
        "deselected": None,
        "left_out": None,
        "with_model": None,
        "apart": None,
        "unchecked": None,
        "named": None,
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
    records = read_records(directory / EVENTS, remove=False)
    _write_findings(directory, records)
    run = read_json(directory / RUN)
    engines = [record for record in records if record["kind"] == "engine"]
    findings = [record["finding"] for record in records if record["kind"] == "finding"]
    sent = sum(record["sent_tokens"] for record in engines) or sum(finding["tokens"] for finding in findings)
    changed = {
        **model_facts(records, run.get("model")),
        "tokens": sent,
        **redacted_data(ended),
        "duration_s": round(duration_s, 3),
    }
    write_json(directory / RUN, {**run, **changed})


def model_facts(records: Sequence[Mapping[str, Any]], model: str | None) -> dict[str, Any]:
    """Return what `run.json` says of the model.

    It is the session's own where that was checked, else what was loaded or handed in, else the only one checked. What processes of a run do not agree on stays unknown.
    """
    findings = [record["finding"] for record in records if record["kind"] == "finding"]
    loaded = [record for record in records if record["kind"] == "model"]
    known = {_identity(finding, "model") for finding in findings if finding.get("model_from") == "session"}
    loaded = [record for record in loaded if _identity(record, "name") in known] or loaded
    known = known or {_identity(record, "name") for record in loaded}
    if not known and model is None and len(checked := {_identity(finding, "model") for finding in findings}) == 1:
        known = checked
    if not known:
        return {}
    names, fingerprints = map(set, zip(*known, strict=True))
    facts = {name: _agreed({record[name] for record in loaded}) for name in ("device", "dtype")}
    return {"model": model or _agreed(names), "fingerprint": _agreed(fingerprints), **facts}


def _identity(row: Mapping[str, Any], name: str) -> tuple[str, str]:
    return row[name], row["fingerprint"]


def _agreed(values: set[str]) -> str | None:
    return (values.pop() or None) if len(values) == 1 else None


def repair(directory: Path) -> None:
    """Make the record of a run that was cut off whole again, so that it can go on: no half lines, and its findings.

    Only for a run of which no process is left. What a run has found that ended stays as it is.

    Raises:
        RecordError: where there is no run.
    """
    ended = read_json(directory / RUN).get("exit") is not None
    files = [*(directory / EVENTS).glob("*.jsonl"), *(file for kind in PARTS for file in line_files(directory, kind))]
    for file in files:
        if not file.name.endswith(PACKED) and not (data := file.read_bytes()).endswith(b"\n"):
            with file.open("r+b") as out:
                out.truncate(data.rfind(b"\n") + 1)
    if not ended:
        _write_findings(directory, read_records(directory / EVENTS, remove=False))


def _fold(directory: Path) -> None:
    """Put the lines of all workers into one file, packed where it is large, and their own away."""
    for kind in PARTS:
        files, main = line_files(directory, kind), directory / f"{kind}.jsonl"
        is_large = sum(file.stat().st_size for file in files) >= PACK_FROM
        is_packed = any(file.name.endswith(PACKED) for file in files)
        main = directory / f"{kind}{PACKED}" if is_large or is_packed else main
        if any(file != main for file in files):
            whole = (one.text for one in lines_of(files) if one.text.endswith(b"\n") or read_line(one) is not None)
            lines = (text.rstrip(b"\n") + b"\n" for text in whole)
            write_whole(main, packed(lines) if main.name.endswith(PACKED) else lines)
        for file in files:
            if file != main:
                file.unlink()


def _write_findings(directory: Path, records: Sequence[Mapping[str, Any]]) -> None:
    write_whole(
        directory / FINDINGS, encoded(findings_text(finding_rows(records), lost_rows(records), search_rows(records)))
    )


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


def search_rows(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the searches that found no counter-example; those that did have a finding."""
    return [{**_spot(record), "pairs": record["pairs"]} for record in records if record["kind"] == "search"]


def findings_text(
    rows: Sequence[Mapping[str, Any]], lost: Sequence[Mapping[str, Any]], searches: Sequence[Mapping[str, Any]] = ()
) -> str:
    """Return the bytes of `findings.json`: equal findings give equal text."""
    return _json_text({"schema_version": SCHEMA_VERSION, "findings": rows, "unfinished": lost, "searches": searches})


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
    write_whole(file, encoded(_json_text(data)))


def _json_text(data: Any) -> str:
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
