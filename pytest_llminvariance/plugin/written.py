"""What a session writes: its record or a temporary directory, the same for all its workers, in memory where a disk refuses."""

from __future__ import annotations

import contextlib
import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llminvariance.files import temporary_folder
from pytest_llminvariance.records.events import EventLog, read_records

if TYPE_CHECKING:
    from pytest_llminvariance.plugin.options import Settings
    from pytest_llminvariance.records.answer_log import AnswerLog

NO_TESTS = ("collectonly", "showfixtures", "show_fixtures_per_test", "setuponly", "setupplan", "cacheshow")
"""Options of pytest with which no test runs: an earlier record stays as it is."""


class Written:
    """The files of one process of a session."""

    def __init__(self, config: pytest.Config, report: Path | None) -> None:
        self._given: dict[str, Any] = getattr(config, "workerinput", {})
        self._worker = self._given.get("workerid", "main")
        self.session: str = self._given.get("invariance_session") or os.urandom(16).hex()
        """Tells one session from the next; its workers have the same."""
        given = self._given.get("invariance_report_directory")
        runs_tests = not any(config.getoption(name, default=False) for name in NO_TESTS)
        self.report = (Path(given) if given else report) if runs_tests else None
        """The directory of the record; `None`: none is wanted."""
        self.log = EventLog(self._directory, self._worker)
        self._began: float | None = None
        self._kept: list[str] = []
        self._troubles: list[str] = []
        self._shared: Path | None = None

    def begin(self, settings: Settings, root: Path) -> None:
        """Begin the record, where one is wanted.

        Raises:
            pytest.UsageError: where it cannot be written.
        """
        if self.report is None or self._given:
            return
        from time import time

        from pytest_llminvariance.errors import UsageError
        from pytest_llminvariance.records.directory import begin_session

        self._began = time()
        try:
            begin_session(self.report, settings, root, self._began)
        except UsageError as error:
            raise pytest.UsageError(f"--invariance-report: {error}") from error

    def for_worker(self) -> dict[str, str]:
        """Return what a worker must know, as its `workerinput` takes it."""
        told = {"invariance_session": self.session}
        with contextlib.suppress(OSError):
            told["invariance_together"] = str(self._together())
        if self.report is not None:
            told["invariance_report_directory"] = str(self.report)
        try:
            told["invariance_run_directory"] = str(self.log.directory)
        except OSError:  # a worker keeps in memory what it finds, and sends it when it ends
            told["invariance_run_directory"] = ""
        return told

    @property
    def together(self) -> Path | None:
        """The folder in which workers of this session share what they ask; `None` where there is none."""
        given = self._given.get("invariance_together")
        return Path(given) if given and Path(given).is_dir() else None

    def _together(self) -> Path:
        self._shared = temporary_folder() / f"pytest-llminvariance-{self.session}-answers"
        self._shared.mkdir(mode=0o700, exist_ok=True)
        return self._shared

    def part(self) -> None:
        """Remove what workers shared, once all have ended."""
        if self._shared is not None:
            from shutil import rmtree

            rmtree(self._shared, ignore_errors=True)

    def of_worker(self) -> dict[str, Any]:
        """Return what a worker that ends tells the controller: lines that it could not write, and why not."""
        return {"invariance_kept": self.log.kept, "invariance_trouble": self.trouble}

    def take(self, told: dict[str, Any]) -> None:
        """Take what a worker told."""
        self._kept += told.get("invariance_kept", [])
        self._troubles += filter(None, [told.get("invariance_trouble")])

    def read(self) -> list[dict[str, Any]]:
        """Return what all processes of the session have written down."""
        return read_records(self.log.place, remove=self.report is None, kept=[*self.log.kept, *self._kept])

    def finish(self, ended: dict[str, Any]) -> str | None:
        """Finish the record, where one was begun, and return why it is not whole, where it is not."""
        if self.report is None or self._began is None:
            return None
        from pytest_llminvariance.errors import LLMInvarianceError
        from pytest_llminvariance.records.directory import finish_session

        trouble = self.trouble
        try:
            finish_session(self.report, ended, self._began)
        except (LLMInvarianceError, OSError) as error:
            trouble = trouble or str(error)
        return f"the record in {str(self.report)!r} is not whole: {trouble}" if trouble else None

    @property
    def trouble(self) -> str | None:
        """Why something could not be written, in this process or a worker."""
        answers: AnswerLog | None = vars(self).get("answers")
        own = [self.log.trouble, None if answers is None else answers.trouble]
        return next((trouble for trouble in (*own, *self._troubles) if trouble), None)

    @cached_property
    def answers(self) -> AnswerLog | None:
        """What writes answers down; `None` where no record is wanted."""
        if self.report is None:
            return None
        from pytest_llminvariance.records.answer_log import AnswerLog

        return AnswerLog(self.report, self._worker)

    def _directory(self) -> Path:
        given = self._given.get("invariance_run_directory")
        if given == "":
            raise OSError("there is no folder for temporary files")
        if given is not None:
            return Path(given)
        return self.report / "events" if self.report else temporary_folder() / f"pytest-llminvariance-{self.session}"
