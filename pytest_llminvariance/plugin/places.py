"""Where checks of a session belong: which test runs, what its marker says, and what its checks are given."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast, get_args

import pytest

from pytest_llminvariance.checks.run import Lane, Level, Run
from pytest_llminvariance.records.events import EventLog, PlaceRecorder

MARKER = (
    "invariance(level='block', weight=1.0, exhaustive=False): block, warn or ignore: what a check in this test that does not "
    "hold does; the test's weight when the risk limit is shared; exhaustive tests ask everything"
)
MARKER_TAKES = {"level", "weight", "exhaustive"}
FIXTURES = ("invariance_model", "invariance")
OURS = "pytest_llminvariance.plugin"
"""Where our own fixtures are defined."""


class TestPlace:
    """A test that runs: its lane, its recorder, and what its checks are given, made when the first one is."""

    __test__ = False

    def __init__(self, item: pytest.Item, log: EventLog, make: Callable[[pytest.Item, PlaceRecorder], Run]) -> None:
        self.item, self._make = item, make
        self._run: Run | None = None
        self._is_begun = False
        self.recorder = PlaceRecorder(log, plain_id(item), spot=self._spot, properties=item.user_properties)
        self.lane = Lane(self._given)

    def begin(self) -> None:
        """Begin the test, or another attempt at it."""
        if self._is_begun:
            if self._run is not None and self._run.risk is not None:
                self._run.risk.begin()
            self.recorder.begin(getattr(self.item, "execution_count", 1))
        self._is_begun = True

    def _given(self) -> Run:
        """Return the same run for all checks of the test, as long as its marker says the same."""
        if self._run is None:
            self._run = self._make(self.item, self.recorder)
        if self._run.level != (level := level_of(self.item)):
            self._run = self._run._replace(level=level)
        return self._run

    def _spot(self) -> dict[str, Any]:
        path, line, _ = self.item.location
        markers = sorted({marker.name for marker in self.item.iter_markers()})
        return {
            "file": path,
            "line": None if line is None else line + 1,
            "level": level_of(self.item),
            "markers": markers,
        }


PLACE = pytest.StashKey[TestPlace]()


def plain_id(item: pytest.Item) -> str:
    """Return a test's node id, without the group that xdist puts behind it in workers."""
    groups = {
        str(mark.args[0] if mark.args else mark.kwargs.get("name", "default"))
        for mark in item.iter_markers("xdist_group")
    }
    ending = f"@{'_'.join(sorted(groups))}" if groups and hasattr(item.config, "workerinput") else ""
    return item.nodeid.removesuffix(ending)


def beside_ini(config: pytest.Config) -> Path:
    """Return the folder that places in the ini file are relative to."""
    return config.rootpath if config.inipath is None else config.inipath.parent


def say(config: pytest.Config, line: str) -> None:
    """Write a line where people see it while a test runs and its output is captured."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    capture = config.pluginmanager.get_plugin("capturemanager")
    if reporter is not None:
        with capture.global_and_fixture_disabled() if capture else nullcontext():
            reporter.ensure_newline()
            reporter.write_line(f"invariance: {line}")


def path_from(path: os.PathLike[str], start: os.PathLike[str]) -> str:
    """Return a path relative to `start`, or as it is where it is on another drive."""
    try:
        return os.path.relpath(path, start)
    except ValueError:
        return str(path)


def uses_fixture(item: pytest.Item) -> bool:
    """Return whether a test asks for the model."""
    return any(name in fixtures_of(item) for name in FIXTURES)


def fixtures_of(item: Any) -> Sequence[str]:
    """Return the names of a test's fixtures; once it runs, also of those that it has asked for by `getfixturevalue`."""
    request = getattr(item, "_request", None)  # nothing public leads from a test to its request
    return tuple(getattr(request, "fixturenames", ())) or tuple(getattr(item, "fixturenames", ()))


def definitions_of_the_model(item: Any) -> list[Any]:
    """Return the fixtures `invariance_model` that a test sees and that are not ours, the outermost first."""
    known = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})  # nothing public tells
    return [one for one in known.get("invariance_model", ()) if getattr(one.func, "__module__", "") != OURS]


def level_of(item: pytest.Item) -> Level:
    """Return the level that a test's marker gives its checks.

    Raises:
        pytest.UsageError: for a marker with other arguments; the message names the test and the rule.
    """
    marker = item.get_closest_marker("invariance")
    if marker is None:
        return "block"
    level = marker.kwargs.get("level", "block")
    if marker.args or not set(marker.kwargs) <= MARKER_TAKES or level not in get_args(Level):
        given = ", ".join([*map(repr, marker.args), *(f"{name}={value!r}" for name, value in marker.kwargs.items())])
        raise pytest.UsageError(
            f"{item.nodeid}: the marker is invariance({given}), but takes level= (one of {', '.join(get_args(Level))}), weight= and exhaustive="
        )
    return cast("Level", level)


def let_pass_by_level(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Turn a failure by an invariance alone into a pass with its message kept, where the level is not `block`."""
    if call.when != "call" or call.excinfo is None or report.outcome != "failed":
        return
    from pytest_llminvariance.checks.verdict import InvarianceError

    if isinstance(call.excinfo.value, InvarianceError) and (level := level_of(item)) != "block":
        report.sections.append((f"invariance, level {level}: let pass", report.longreprtext))
        report.outcome, report.longrepr = "passed", None


def show_test_to_copy(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """With -v, add the example of a failure to its report as a test that fails by itself."""
    if call.excinfo is None or item.config.get_verbosity() < 1:
        return
    from pytest_llminvariance.checks.verdict import InvarianceError

    error = call.excinfo.value
    if isinstance(error, InvarianceError) and error.example is not None:
        from pytest_llminvariance.report.paste import pasted_test

        if text := pasted_test(error.example, error.readout):
            report.sections.append(("invariance: test to copy", text))
