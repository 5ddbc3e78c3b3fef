"""Which part of a suite a session ran: what was collected, chosen, skipped, run to its end, and how it failed.

A plugin of its own, registered where a record or a gate is wanted. Each process that collects writes down what it
left out (workers have --lf, -k and --deselect to themselves); the process that ends the session sees all reports.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llminvariance.plugin.places import uses_fixture

if TYPE_CHECKING:
    from pytest_llminvariance.records.events import EventLog

CARRIED = "invariance_findings"
"""Attribute of a failed report: ids of the findings that the failure carries; it travels from workers."""
MAX_SAID = 300


class Selection:
    """What of a suite was run, and how."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._collected: list[tuple[pytest.Item, str]] = []
        self._ended: set[str] = set()
        self._skipped: set[str] = set()
        self._failures: dict[tuple[str, str | None], str] = {}

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Keep what was collected, by the names that tests have now; a conftest may take tests away before any other hook."""
        self._collected.append((item, item.nodeid))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Write down what was chosen, what was left out, and what uses the model."""
        chosen = set(map(id, session.items))
        names = [(item.nodeid, name) for item, name in self._collected if id(item) in chosen]
        self._log.collected(
            {
                "chosen": [name for _, name in names],
                "renamed": {now: name for now, name in names if now != name},
                "left_out": [name for item, name in self._collected if id(item) not in chosen],
                "with_model": [name for item, name in self._collected if _uses_model(item)],
                "why": _previous_failures_only(session.config),
            }
        )

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_makereport(self, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
        """Put the ids of findings with the failure that carries them."""
        report = yield
        if report.outcome == "failed" and call.excinfo is not None:
            setattr(report, CARRIED, list(carried(call.excinfo.value)))
        return report

    @pytest.hookimpl(tryfirst=True)  # before a test is failed for what its subtests have reported already
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note that a test came to its end (`pytest.exit` in one leaves no report of its teardown), was skipped or failed."""
        if report.when not in ("setup", "call"):  # or, where its worker died, the report that says so
            self._ended.add(report.nodeid)
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note files that were skipped or could not be read."""
        self._note(report)

    def facts(self, session: pytest.Session, records: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
        """Return how the session ended, as `run.json` holds it; `records` are those of all its processes."""
        records = list(records)
        told = [record for record in records if record["kind"] == "collected"]
        names = {now: name for record in told for now, name in record["renamed"].items()}
        ended = {names.get(node, node) for node in self._ended}
        rows = [
            {"where": names.get(node, node), "finding": finding, "why": why}
            for (node, finding), why in self._failures.items()
        ]
        left_out = _union(told, "left_out")
        idle = [node for node in _union(told, "chosen") if node not in ended]
        why = next((record["why"] for record in told if record["why"]), None)
        stopped = session.shouldfail or session.shouldstop or "not all tests were run to their end"
        return {
            "exit": int(session.exitstatus),
            "stopped": why or (str(stopped) if idle else None),
            "failed": sorted({row["where"] or "" for row in rows}),
            "failures": rows,
            "skipped": sorted({names.get(node, node) for node in self._skipped}),
            "deselected": len(left_out),
            "left_out": left_out,
            "with_model": _union(told, "with_model"),
            "apart": [
                {name: record[name] for name in ("where", "title", "model", "model_from")}
                for record in records
                if record["kind"] == "apart"
            ],
            "unchecked": sorted({record["where"] for record in records if record["kind"] == "unchecked"}),
            "named": [word for word in session.config.args if "::" in word] or None,
        }

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if report.outcome == "skipped":
            self._skipped.add(report.nodeid)
        elif report.outcome == "failed":
            carries = getattr(report, CARRIED, None) or [None]
            self._failures |= {(report.nodeid, finding): _said(report) for finding in carries}


def _said(report: pytest.TestReport | pytest.CollectReport) -> str:
    """Return what a failure says, in one line."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = str(report.longrepr or "") if crash is None else crash.message
    return " ".join(text.split())[:MAX_SAID]


def carried(error: BaseException) -> Iterable[str | None]:
    """Yield the id of the finding that an error carries, `None` where it carries none; of a group, those of its parts."""
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from carried(part)
        return
    yield getattr(getattr(error, "finding", None), "id", None)


def _uses_model(item: pytest.Item) -> bool:
    return uses_fixture(item) or item.get_closest_marker("invariance") is not None


def _union(told: Iterable[Mapping[str, Any]], name: str) -> list[str]:
    return list(dict.fromkeys(node for record in told for node in record[name]))


def _previous_failures_only(config: pytest.Config) -> str | None:
    """Return that --lf has left tests out, some of them before they were collected."""
    again = config.pluginmanager.get_plugin("lfplugin")
    if config.getoption("lf", default=False) and getattr(again, "_previously_failed_count", 1):
        return "--lf runs what failed before"
    return None
