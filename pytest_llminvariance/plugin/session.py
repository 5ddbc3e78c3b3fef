"""What a pytest session of ours owns: its settings, recorder, memory of answers, risk and gate; what its tests say.

Each thing is made when it is first asked for, so that an unrelated suite pays for nothing.
"""

from __future__ import annotations

import os
import threading
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llminvariance.checks.run import Lane, Run, memory_in, refused
from pytest_llminvariance.plugin.options import load_settings, read_settings, repeated_flags
from pytest_llminvariance.plugin.places import (
    FIXTURES,
    PLACE,
    TestPlace,
    beside_ini,
    definitions_of_the_model,
    level_of,
    path_from,
    plain_id,
    say,
    uses_fixture,
)
from pytest_llminvariance.plugin.written import Written
from pytest_llminvariance.records.events import PlaceRecorder, unfinished

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_llminvariance.checks.holdout import Holdout
    from pytest_llminvariance.checks.risk import ItemRisk, SeedLedger
    from pytest_llminvariance.models.engine import Memo
    from pytest_llminvariance.models.protocol import Model
    from pytest_llminvariance.plugin.gate import SessionGate, SessionResult
    from pytest_llminvariance.plugin.own_models import OwnModels
    from pytest_llminvariance.plugin.risk import SessionRisk
    from pytest_llminvariance.plugin.scopes import FixtureScope
    from pytest_llminvariance.plugin.selection import Selection

SERVED = ("openai:", "systemone:", "decisions:")
OUTSIDE = (
    "this check is made outside of every test, so its finding would belong to none. Make it in a test or in a fixture, "
    "or say that it stands alone: with pytest_llminvariance.run(recorder=...)"
)


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
        self.written = Written(config, self._place("report"))
        self.log = self.written.log
        self.lane = Lane(self._outside, holds_tests=True)
        self.fixtures: dict[FixtureScope, PlaceRecorder] = {}
        """Of fixtures of wider scope, by their set-up."""
        self._turn = threading.RLock()
        self._collected: list[pytest.Item] = []
        self._definitions: set[int] = set()  # outermost fixtures of the suite's own that give the model
        self.asks_a_server = False  # tests were collected that will
        self.risk: SessionRisk | None = None
        self.holdout: Holdout | None = None
        self.records: list[dict[str, Any]] = []
        self.result: SessionResult | None = None
        self.reasons: list[str] = []
        """Why the session fails."""
        self._noise: dict[Any, Any] = {}
        self._gate = self._read_gate()
        self.selection: Selection | None = None
        if self.settings.policy or self.settings.baseline or self.written.report is not None:
            self.selection = self._watch_selection()

    def _watch_selection(self) -> Selection | None:
        """Note what of the suite is run, where a record or a gate depends on it."""
        if self.config.option.collectonly:
            return None
        from pytest_llminvariance.plugin.selection import Selection

        selection = Selection(self.log)
        self.config.pluginmanager.register(selection, "invariance-selection")
        return selection

    def header(self) -> str | None:
        """Say which model is configured; nothing where none is."""
        if self.settings.model is None:
            return None
        from pytest_llminvariance.records.redaction import redacted

        model = redacted(self.settings.model)
        return f"invariance: model {model}, seed {self.settings.seed}, {self._read_risk().words()}"

    def collect(self, items: list[pytest.Item]) -> list[pytest.Item]:
        """Check the markers, share the risk limit, and return the tests that use the model.

        Raises:
            pytest.UsageError: for a bad marker, or a manifest or hold-out that cannot be read.
        """
        from pytest_llminvariance.errors import UsageError

        for item in items:
            level_of(item)
        self._definitions = {id(found[0]) for item in items if (found := definitions_of_the_model(item))}
        self._collected = list(items)
        using = [item for item in items if uses_fixture(item)]
        asks = bool(using) and not self.settings.plan and not self.config.option.collectonly
        self.asks_a_server = asks and str(self.settings.model).startswith(SERVED)
        try:
            self.holdout = self._read_holdout()
            if using or self.settings.is_told:
                self._shared_risk()
        except UsageError as error:
            raise pytest.UsageError(str(error)) from error
        return using

    def begin_item(self, item: pytest.Item) -> TestPlace:
        """Return the place of a test that begins; its checks belong there until its lane is left."""
        place = item.stash[PLACE] = TestPlace(item, self.log, self._run_of)
        place.lane.enter(self.lane)
        return place

    def _run_of(self, item: pytest.Item, recorder: PlaceRecorder) -> Run:
        """Return what the checks of a test are given: seed, policy, memory, recorder, and its share of the risk."""
        risk = self._shared_risk().of(plain_id(item))
        return self._outside()._replace(
            recorder=recorder, place=recorder, replay=self._replay(item, risk), risk=risk,
            on_plan=self._on_plan(recorder), level=level_of(item), turn=self._turn,
        )  # fmt: skip

    def _outside(self) -> Run:
        """Return what checks outside of tests are given: a refusal; a fixture that is torn down there has its own."""
        return Run(
            seed=self.settings.seed,
            undecided=self.settings.undecided,
            memory=lambda: self._memo,
            seeds=lambda: self._seeds,
            noise=self._noise,
            answers=self.written.answers,
            holdout=self.holdout,
            baseline=self._place("baseline"),
            wrap=lambda *given, **how: self.own_models.wrap(*given, **how),
            say=None if self.is_worker else partial(say, self.config),
            origin=lambda *model: self.own_models.origin_of(*model),
            turn=refused(OUTSIDE),
        )

    def begin_fixture(self, scope: FixtureScope) -> Callable[[Run], Run]:
        """Return what makes of a test's run that of a fixture of wider scope; set up once more, it finds everything anew."""
        own = self.fixtures[scope] = PlaceRecorder(self.log, scope.where, is_fixture=True)
        more: dict[str, Any] = {"risk": None, "level": "block", "on_plan": self._on_plan(own), "turn": self._turn}
        return lambda run: run._replace(recorder=own, place=own, **more)

    def checked_nothing(self, item: pytest.Item) -> bool:
        """Return whether a test asked for the model and checked nothing, nor a fixture that it uses; this is written down."""
        if not uses_fixture(item) or any(one.n_checks or one.n_pairs for one in self._recorders_of(item)):
            return False
        if PLACE in item.stash:
            item.stash[PLACE].recorder.unchecked()
        return True

    def undecided_of(self, item: pytest.Item) -> str | None:
        """Return why a check of a test, or of a fixture that it uses, is UNDECIDED."""
        return next((said for recorder in self._recorders_of(item) for said in recorder.undecided), None)

    def _recorders_of(self, item: pytest.Item) -> list[PlaceRecorder]:
        """Return the recorder of a test, and of each fixture of wider scope that it uses."""
        own = [item.stash[PLACE].recorder] if PLACE in item.stash else []
        return own + [recorder for scope, recorder in self.fixtures.items() if scope.reaches(item)]

    @cached_property
    def own_models(self) -> OwnModels:
        """The models that tests bring themselves."""
        from pytest_llminvariance.plugin.own_models import OwnModels

        return OwnModels(self.load_settings, self.note_model, self.note_engine)

    def end_fixture(self, cached: tuple[Any, ...] | None) -> None:
        """Note the models that were made of what a fixture gave, as it ends."""
        if cached is not None and "own_models" in vars(self):
            self.own_models.end(cached[0])

    def begin_model(self, fixturedef: Any, request: Any, value: Any) -> Any:
        """Return what a fixture gives; one `invariance_model` for all tests is the session's where no setting names another."""
        found = definitions_of_the_model(request._pyfuncitem) if fixturedef.argname == FIXTURES[0] else []
        if fixturedef in found:
            self.own_models.given(
                value, is_the_sessions=self.settings.model is None and {id(fixturedef)} == self._definitions
            )
        return value

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
        from pytest_llminvariance.files import IDENTITIES, answers_folder

        if (folder := answers_folder(self.settings.cache)) is not None:
            more["kept"] = str(self._base("cache") / folder / IDENTITIES)
        return load_settings(self.settings) | more | {"beside": str(self._base("model"))}

    def note_model(self, model: Model) -> None:
        """Write down which model was loaded; its fingerprint only where it will be asked."""
        fingerprint = "" if self.settings.plan else model.fingerprint
        self.log.model(model.name, fingerprint, getattr(model, "device", ""), getattr(model, "dtype", ""))

    def note_engine(self, model: Model) -> None:
        """Write down how prompts were sent, and what was remembered."""
        told = {name: getattr(getattr(model, "usage", None), name, 0) for name in ("sent_tokens", "asked_tokens")}
        told["path"] = model.describe_path() if hasattr(model, "describe_path") else ""
        self.log.engine(model.name, "" if self.settings.plan else model.fingerprint, told)

    def close(self) -> None:
        """Write down what the cache holds back, what it did, and what concerns the whole session.

        That is a part of the manifest, and a hold-out that was left out or opened.
        """
        self.free_memory()
        for recorder in self.fixtures.values():
            recorder.end()
        memo: Any = vars(self).get("_memo", {})
        memo = getattr(memo, "inner", memo)
        if hasattr(memo, "close"):
            memo.close()
            if (memo.recalled or memo.asked) and memo.folder != self.written.together:
                self.log.answers(memo.recalled, memo.asked, str(memo.folder), memo.trouble)
        if not self.log.is_begun:
            return
        lines = [self.risk.partial_words() if self.risk else None, self.holdout.words() if self.holdout else None]
        if self.log.trouble and self.written.report is None:
            lines.append(f"findings of this session were kept in memory only: {self.log.trouble}")
        for line in filter(None, lines):
            self.log.note(line)

    def judge(self, session: pytest.Session) -> list[str]:
        """Collect all workers' records and return why the session fails: lost checks, policy, baseline."""
        self.records = self.written.read()
        self.written.part()
        lost = len(unfinished(self.records))
        reasons = [f"{lost} check(s) started and did not finish"] if lost else []
        if self._gate is not None:
            from datetime import date

            self.result = self._gate.judge(self.records, self._facts(session), self.settings.model, date.today())
            reasons += self.result.failures
        self.reasons = reasons
        return reasons

    def fail(self, session: pytest.Session) -> None:
        """Let a session that is green fail."""
        if session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def finish_record(self, session: pytest.Session) -> None:
        """Finish the record, where one was begun; one that is not whole fails the session."""
        if (trouble := self.written.finish(self._facts(session))) is not None:
            self.reasons.append(trouble)
            self.fail(session)

    def _facts(self, session: pytest.Session) -> dict[str, Any]:
        """Return how it ended, as `run.json` holds it."""
        return {} if self.selection is None else self.selection.facts(session, self.records)

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

        folder, together = answers_folder(self.settings.cache), self.written.together
        place = together if folder is None else self._base("cache") / folder  # workers share what is not kept
        memo = memory_in(place, worker=self._given.get("workerid"), claims=together)
        if self.written.answers is not None:
            from pytest_llminvariance.records.answer_log import RecordedMemo

            memo = RecordedMemo(memo, self.written.answers)
        return memo

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
                self.risk = read_risk(self.settings, self._place("manifest"), beside_ini(self.config))
            except UsageError as error:
                raise pytest.UsageError(str(error)) from error
        return self.risk

    def _shared_risk(self) -> SessionRisk:
        """Return the session's risk, shared by what was collected."""
        risk = self._read_risk()
        if self._collected:
            from pytest_llminvariance.plugin.collecting import collected

            risk.collect(collected(self._collected))
            self._collected = []
        return risk

    def _read_holdout(self) -> Holdout | None:
        """Return the questions that are set aside, where a file beside the ini file says so."""
        path, is_open = beside_ini(self.config) / "invariance-holdout.json", self.settings.holdout
        if not is_open and not path.is_file():
            return None
        from datetime import date

        from pytest_llminvariance.checks.holdout import read_holdout

        return read_holdout(path, is_open=is_open, session=self.written.session, today=str(date.today()))

    def _read_gate(self) -> SessionGate | None:
        """Read policy and baseline before anything is asked; only where the session ends, not in workers."""
        if self.is_worker or (self.settings.policy is None and self.settings.baseline is None):
            return None
        from pytest_llminvariance.errors import UsageError
        from pytest_llminvariance.plugin.gate import SessionGate

        policy, baseline = self._place("policy"), self._place("baseline")
        if (
            self.written.report is not None
            and baseline is not None
            and self.written.report.resolve() == baseline.resolve()
        ):
            raise pytest.UsageError(
                f"--invariance-report and --invariance-baseline are both {str(self.written.report)!r}, so the baseline would be replaced "
                "by this run before it is compared. Name another directory for one of them"
            )
        try:
            return SessionGate.read(policy, baseline, self.settings.margin, self.settings.undecided)
        except UsageError as error:
            raise pytest.UsageError(str(error)) from error

    def _on_plan(self, recorder: PlaceRecorder) -> Callable[[dict[str, Any]], None] | None:
        """Return what notes a check's cost and ends the test, so that nothing is asked."""

        def planned(found: dict[str, Any]) -> None:
            recorder.planned(found)
            pytest.skip("planned, nothing was asked (--invariance-plan)")

        return planned if self.settings.plan else None

    def _replay(self, item: pytest.Item, risk: ItemRisk | None) -> str:
        """Return the command that repeats a test, for a shell in the folder where pytest was started."""
        from shlex import join

        _, colons, rest = plain_id(item).partition("::")
        file = path_from(item.path, self.config.invocation_params.dir)
        flags = repeated_flags(self.config)
        if risk is not None and risk.limit is not None and risk.share and self.settings.check_risk is None:
            flags.append(f"--invariance-check-risk={risk.share!r}")  # its share depends on what else was collected
        return join(["pytest", f"{file}{colons}{rest}", f"--invariance-seed={self.settings.seed}", *flags])

    def _place(self, name: str) -> Path | None:
        """Return a place from the settings."""
        given = getattr(self.settings, name)
        return None if given is None else self._base(name) / given

    def _base(self, name: str) -> Path:
        """Return what a place is relative to: where pytest was started, or the ini file's folder if it stands there."""
        in_ini = self.config.getoption(f"invariance_{name}") is None
        return beside_ini(self.config) if in_ini else self.config.invocation_params.dir


SESSION = pytest.StashKey[Session]()
