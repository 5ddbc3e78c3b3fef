"""What a pytest session of ours owns: its settings, recorder, memory of answers, risk and gate; what its tests say.

Each thing is made when it is first asked for, so that an unrelated suite pays for nothing.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import pytest

from pytest_llminvariance.checks.run import Level, Run
from pytest_llminvariance.plugin.options import load_settings, read_settings, repeated_flags
from pytest_llminvariance.records.events import SessionRecorder, new_run_directory, read_records, unfinished

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_llminvariance.checks.holdout import Holdout
    from pytest_llminvariance.checks.risk import ItemRisk, SeedLedger
    from pytest_llminvariance.models.engine import Memo
    from pytest_llminvariance.models.protocol import Model
    from pytest_llminvariance.plugin.gate import SessionGate, SessionResult
    from pytest_llminvariance.plugin.own_models import OwnModels
    from pytest_llminvariance.plugin.risk import Collected, SessionRisk
    from pytest_llminvariance.records.answer_log import AnswerLog

MARKER = (
    "invariance(level='block', weight=1.0, exhaustive=False): block, warn or ignore: what a check in this test that does not "
    "hold does; the test's weight when the risk limit is shared; exhaustive tests ask everything"
)
MARKER_TAKES = {"level", "weight", "exhaustive"}
FIXTURES = ("invariance_model", "invariance")


class Session:
    """One process of a session: the whole of it, or a worker of xdist."""

    def __init__(self, config: pytest.Config) -> None:
        """Read the settings and prepare the recorder; nothing is written yet.

        Raises:
            pytest.UsageError: for a bad setting, or a policy or baseline that cannot be read.
        """
        self.config = config
        self.settings = read_settings(config)
        self._given: dict[str, Any] = getattr(config, "workerinput", {})
        self.is_worker = hasattr(config, "workerinput")
        given = self._given.get("invariance_report_directory")
        self.report = Path(given) if given is not None else self._place("report")
        """The directory of the record; `None`: none is wanted."""
        given = self._given.get("invariance_run_directory")
        directory = Path(given or (self.report / "events" if self.report else new_run_directory()))
        self.recorder = SessionRecorder(directory, self._given.get("workerid", "main"))
        self.risk: SessionRisk | None = None
        self.holdout: Holdout | None = None
        self.records: list[dict[str, Any]] = []
        self.result: SessionResult | None = None
        self._noise: dict[Any, Any] = {}
        self._began: float | None = None
        self._gate = self._read_gate()

    def for_worker(self) -> dict[str, str]:
        """Return what a worker must know, as its `workerinput` takes it."""
        places = {"run": self.recorder.directory, "report": self.report}
        return {f"invariance_{name}_directory": str(place) for name, place in places.items() if place is not None}

    def begin_record(self) -> None:
        """Begin the record, where one is wanted."""
        if self.report is None or self.is_worker or self.config.option.collectonly:
            return
        from time import time

        from pytest_llminvariance.errors import UsageError
        from pytest_llminvariance.records.directory import begin_session

        self._began = time()
        try:
            begin_session(self.report, self.settings, self.config.rootpath, self._began)
        except UsageError as error:
            raise pytest.UsageError(f"--invariance-report: {error}") from error

    def header(self) -> str | None:
        """Say which model is configured; nothing where none is."""
        if self.settings.model is None:
            return None
        return f"invariance: model {self.settings.model}, seed {self.settings.seed}, {self._read_risk().words()}"

    def collect(self, items: list[pytest.Item]) -> list[pytest.Item]:
        """Check the markers, share the risk limit, and return the tests that use the model.

        Raises:
            pytest.UsageError: for a bad marker, or a manifest or hold-out that cannot be read.
        """
        from pytest_llminvariance.errors import UsageError

        for item in items:
            level_of(item)
        using = [item for item in items if uses_fixture(item)]
        if using or self.settings.model is not None:
            try:
                self._read_risk().collect(collected(items))
                self.holdout = self._read_holdout()
            except UsageError as error:
                raise pytest.UsageError(str(error)) from error
        return using

    def run_of(self, item: pytest.Item) -> Run:
        """Return what the checks of a test are given: seed, policy, memory, recorder, and its share of the risk."""
        risk = None if self.risk is None else self.risk.of(item.nodeid)
        return Run(
            seed=self.settings.seed,
            undecided=self.settings.undecided,
            recorder=self.recorder,
            memory=lambda: self._memo,
            replay=self._replay(item, risk),
            risk=risk,
            seeds=lambda: self._seeds,
            noise=self._noise,
            answers=self._answers,
            on_plan=self._on_plan if self.settings.plan else None,
            holdout=self.holdout,
            level=level_of(item),
            baseline=self._place("baseline"),
            wrap=lambda *given, **how: self.own_models.wrap(*given, **how),
        )

    def begin_test(self, item: pytest.Item, risk: ItemRisk | None) -> None:
        """Begin a test, or another attempt at it."""
        if risk is not None:
            risk.begin()
        path, line, _ = item.location
        markers = sorted({marker.name for marker in item.iter_markers()})
        spot = {"file": path, "line": None if line is None else line + 1, "level": level_of(item), "markers": markers}
        self.recorder.begin(item.nodeid, getattr(item, "execution_count", 1), item.user_properties, spot)

    def checked_nothing(self, item: pytest.Item) -> bool:
        """Return whether a test asked for the model and checked nothing."""
        recorder = self.recorder
        checked = recorder.checks_in_test or recorder.compared_in_test or recorder.session_checks
        return uses_fixture(item) and not checked

    def undecided_of(self, item: pytest.Item) -> str | None:
        """Return why a check of a test, or of a fixture that it uses, is UNDECIDED."""
        in_fixtures = [said for scope, said in self.recorder.undecided_fixtures.items() if scope.reaches(item)]
        return next(iter(self.recorder.undecided_in_test + in_fixtures), None)

    @cached_property
    def own_models(self) -> OwnModels:
        """The models that tests bring themselves."""
        from pytest_llminvariance.plugin.own_models import OwnModels

        return OwnModels(self.load_settings, self.note_model, self.note_engine)

    def end_fixture(self, cached: tuple[Any, ...] | None) -> None:
        """Note the models that were made of what a fixture gave, as it ends."""
        if cached is not None and "own_models" in vars(self):
            self.own_models.end(cached[0])

    def free_memory(self) -> None:
        """Give back what the models of fixtures took that have ended."""
        if "own_models" in vars(self):
            self.own_models.free()

    @property
    def load_settings(self) -> dict[str, Any]:
        """The arguments of `load_model`: what the settings say of it, and what this process is among its workers."""
        count = int(self._given.get("workercount", 0))
        more: dict[str, Any] = {"weights": not self.settings.plan}
        if count:
            index = int(self._given["workerid"].removeprefix("gw"))
            more |= {"worker": (index, count), "threads": max(1, (os.cpu_count() or 1) // count)}
        return load_settings(self.settings) | more

    def note_model(self, model: Model) -> None:
        """Write down which model was loaded; its fingerprint only where it will be asked."""
        fingerprint = "" if self.settings.plan else model.fingerprint
        self.recorder.model(model.name, fingerprint, getattr(model, "device", ""), getattr(model, "dtype", ""))

    def note_engine(self, model: Model) -> None:
        """Write down how prompts were sent, and what was remembered."""
        told = {name: getattr(getattr(model, "usage", None), name, 0) for name in ("sent_tokens", "asked_tokens")}
        told["path"] = model.describe_path() if hasattr(model, "describe_path") else ""
        self.recorder.engine(model.name, "" if self.settings.plan else model.fingerprint, told)

    def close(self) -> None:
        """Write down what the cache holds back, what it did, and what concerns the whole session.

        That is a part of the manifest, and a hold-out that was left out or opened.
        """
        self.free_memory()
        memo: Any = vars(self).get("_memo", {})
        memo = getattr(memo, "inner", memo)
        if hasattr(memo, "close"):
            memo.close()
            if memo.recalled or memo.asked:
                self.recorder.answers(memo.recalled, memo.asked, str(memo.folder), memo.trouble)
        lines = [self.risk.partial_words() if self.risk else None, self.holdout.words() if self.holdout else None]
        for line in filter(None, lines):
            self.recorder.note(line)

    def judge(self, session: pytest.Session) -> list[str]:
        """Collect all workers' records and return why the session fails: lost checks, policy, baseline."""
        self.records = read_records(self.recorder.directory, remove=self.report is None)
        lost = len(unfinished(self.records))
        reasons = [f"{lost} check(s) started and did not finish"] if lost else []
        if self._gate is not None:
            from datetime import date

            facts = {**self._how_it_ended(session), "model": self.settings.model}
            self.result = self._gate.judge(self.records, facts, date.today())
            reasons += self.result.failures
        return reasons

    def finish_record(self, session: pytest.Session) -> None:
        """Finish the record, where one was begun."""
        if self.report is None or self._began is None:
            return
        from pytest_llminvariance.records.directory import finish_session

        finish_session(self.report, self._how_it_ended(session), self._began)

    def summary(self) -> list[tuple[str, str]]:
        """Return the lines of the terminal section with their colours; none where nothing was checked."""
        if not self.records and self.result is None:
            return []
        from pytest_llminvariance.report.terminal import section_lines

        return [*section_lines(self.records, self.settings.undecided), *(self.result.lines if self.result else ())]

    @cached_property
    def _memo(self) -> Memo:
        """The memory of answers, made when a check first asks for it."""
        from pytest_llminvariance.files import answers_folder

        memo: Memo = {}
        if (folder := answers_folder(self.settings.cache)) is not None:
            from pytest_llminvariance.models.cache import AnswerCache

            memo = AnswerCache(self._base("cache") / folder, worker=self._given.get("workerid"))
        if self._answers is not None:
            from pytest_llminvariance.records.answer_log import RecordedMemo

            memo = RecordedMemo(memo, self._answers)
        return memo

    @cached_property
    def _answers(self) -> AnswerLog | None:
        """What writes answers down; `None` where no record is wanted."""
        if self.report is None:
            return None
        from pytest_llminvariance.records.answer_log import AnswerLog

        return AnswerLog(self.report, self._given.get("workerid", "main"))

    @cached_property
    def _seeds(self) -> SeedLedger:
        """The seeds that suites were first asked with."""
        from pytest_llminvariance.checks.risk import SeedLedger

        return SeedLedger(getattr(self._memo, "folder", None))

    def _read_risk(self) -> SessionRisk:
        """Return the session's risk, with the manifest where there is one."""
        if self.risk is None:
            from pytest_llminvariance.errors import UsageError
            from pytest_llminvariance.plugin.risk import read_risk

            try:
                self.risk = read_risk(self.settings, self.config.invocation_params.dir, self.config.rootpath)
            except UsageError as error:
                raise pytest.UsageError(str(error)) from error
        return self.risk

    def _read_holdout(self) -> Holdout | None:
        """Return the questions that are set aside, where a file beside the ini file says so."""
        path, is_open = self.config.rootpath / "invariance-holdout.json", self.settings.holdout
        if not is_open and not path.is_file():
            return None
        from datetime import date

        from pytest_llminvariance.checks.holdout import read_holdout

        return read_holdout(path, is_open=is_open, session=self.recorder.directory.name, today=str(date.today()))

    def _read_gate(self) -> SessionGate | None:
        """Read policy and baseline before anything is asked; only where the session ends, not in workers."""
        if self.is_worker or (self.settings.policy is None and self.settings.baseline is None):
            return None
        from pytest_llminvariance.errors import UsageError
        from pytest_llminvariance.plugin.gate import SessionGate

        policy, baseline = self._place("policy"), self._place("baseline")
        if self.report is not None and baseline is not None and self.report.resolve() == baseline.resolve():
            raise pytest.UsageError(
                f"--invariance-report and --invariance-baseline are both {str(self.report)!r}, so the baseline would be replaced "
                "by this run before it is compared. Name another directory for one of them"
            )
        try:
            return SessionGate.read(policy, baseline, self.settings.margin, self.settings.undecided)
        except UsageError as error:
            raise pytest.UsageError(str(error)) from error

    def _on_plan(self, found: dict[str, Any]) -> None:
        """Note a check's cost and end the test, so that nothing is asked."""
        self.recorder.planned(found)
        pytest.skip("planned, nothing was asked (--invariance-plan)")

    def _replay(self, item: pytest.Item, risk: ItemRisk | None) -> str:
        """Return the command that repeats a test, for a shell in the folder where pytest was started."""
        from shlex import join

        _, colons, rest = item.nodeid.partition("::")
        file = os.path.relpath(item.path, self.config.invocation_params.dir)
        flags = repeated_flags(self.config)
        if risk is not None and risk.limit is not None and risk.share and self.settings.check_risk is None:
            flags.append(f"--invariance-check-risk={risk.share!r}")  # its share depends on what else was collected
        return join(["pytest", f"{file}{colons}{rest}", f"--invariance-seed={self.settings.seed}", *flags])

    def _how_it_ended(self, session: pytest.Session) -> dict[str, Any]:
        """Return how it ended, as `run.json` holds it: exit status, tests that failed, why tests were left out."""
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        stats = {} if reporter is None else reporter.stats
        failed = {report.nodeid for kind in ("failed", "error") for report in stats.get(kind, ())}
        return {
            "exit": int(session.exitstatus),
            "stopped": self._left_out(session),
            "failed": None if reporter is None else sorted(failed),
            "deselected": len(stats.get("deselected", ())),
        }

    def _left_out(self, session: pytest.Session) -> str | None:
        last = session.items[-1].nodeid if session.items else ""
        again = self.config.pluginmanager.get_plugin("lfplugin")
        if self.config.getoption("lf", default=False) and getattr(again, "_previously_failed_count", 1):
            return "--lf runs what failed before"
        if self.recorder.test == last or self.config.option.collectonly:
            return None
        return str(session.shouldfail or session.shouldstop or (last and "not all tests were begun")) or None

    def _place(self, name: str) -> Path | None:
        """Return a place from the settings."""
        given = getattr(self.settings, name)
        return None if given is None else self._base(name) / given

    def _base(self, name: str) -> Path:
        """Return what a place is relative to: where pytest was started, or the ini file's folder if it stands there."""
        in_ini = self.config.getoption(f"invariance_{name}") is None
        return self.config.rootpath if in_ini else self.config.invocation_params.dir


SESSION = pytest.StashKey[Session]()


def collected(items: list[pytest.Item]) -> Iterator[Collected]:
    """Yield what the risk's shares depend on: the fixtures and the marker of each test."""
    from pytest_llminvariance.plugin.risk import Collected

    for item in items:
        marker = item.get_closest_marker("invariance")
        told = marker.kwargs if marker else {}
        yield Collected(item.nodeid, uses_fixture(item), told.get("weight"), bool(told.get("exhaustive", False)))


def uses_fixture(item: pytest.Item) -> bool:
    """Return whether a test asks for the model."""
    return any(name in getattr(item, "fixturenames", ()) for name in FIXTURES)


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
    if call.when != "call" or call.excinfo is None or level_of(item) == "block":
        return
    from pytest_llminvariance.checks.verdict import InvarianceError

    if report.outcome == "failed" and isinstance(call.excinfo.value, InvarianceError):
        report.sections.append((f"invariance, level {level_of(item)}: let pass", report.longreprtext))
        report.outcome, report.longrepr = "passed", None
