"""The pytest plugin: hooks that translate, and decide nothing.

Loaded at the start of every pytest run where this package is installed, so it imports nothing heavy.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llminvariance.options import Settings, add_options, read_settings, repeated_flags
from pytest_llminvariance.recording import SessionRecorder, new_run_directory, read_records, unfinished
from pytest_llminvariance.runs import Run, current_run

if TYPE_CHECKING:
    from pytest_llminvariance.bound import Checks
    from pytest_llminvariance.engine import Memo
    from pytest_llminvariance.models.protocol import Model

FIXTURES = ("invariance_model", "invariance")
SETTINGS = pytest.StashKey[Settings]()
RECORDER = pytest.StashKey[SessionRecorder]()
MEMO = pytest.StashKey["Memo"]()
NOISE = pytest.StashKey[dict[Any, Any]]()
RECORDS = pytest.StashKey[list[dict[str, Any]]]()


class UncheckedModelWarning(UserWarning):
    """A test asked for the model and checked nothing."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the settings."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Read the settings and prepare the recorder; nothing is written yet."""
    worker = getattr(config, "workerinput", {})
    directory = Path(worker.get("invariance_run_directory") or new_run_directory())
    config.stash[SETTINGS] = read_settings(config)
    config.stash[RECORDER] = SessionRecorder(directory, worker.get("workerid", "main"))
    config.stash[NOISE] = {}


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give every xdist worker the same run directory."""
    node.workerinput["invariance_run_directory"] = str(node.config.stash[RECORDER].directory)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say which model is configured; nothing where none is."""
    settings = config.stash[SETTINGS]
    if settings.model is None:
        return None
    return f"invariance: model {settings.model}, seed {settings.seed}, everything planned is asked (no sampling risk)"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Fit the settings of Hypothesis tests that use the model: no deadline, no check for slow draws."""
    from sys import modules

    using = [item for item in items if _uses_fixture(item)]
    if using and "hypothesis" in modules:
        from pytest_llminvariance.hypothesis_profile import fit_settings

        fit_settings(using, FIXTURES)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Give checks inside the test the session's seed, policy, memory and recorder."""
    config = item.config
    settings, recorder = config.stash[SETTINGS], config.stash[RECORDER]
    run = Run(settings.seed, settings.undecided, recorder, lambda: _memo(config), _replay(item), config.stash[NOISE])
    token = current_run.set(run)
    try:
        return (yield)
    finally:
        recorder.end()
        current_run.reset(token)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin a test, or another attempt at it."""
    attempt = getattr(item, "execution_count", 1)
    item.config.stash[RECORDER].begin(item.nodeid, attempt, item.user_properties)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any, request: Any) -> Generator[None, Any, Any]:
    """Attribute checks in a fixture of wider scope to the fixture, not to the test that came first."""
    if fixturedef.scope == "function":
        return (yield)
    recorder = request.config.stash[RECORDER]
    where = f"{fixturedef.baseid or '.'}::{fixturedef.argname} ({fixturedef.scope} fixture)"
    before = recorder.enter_scope(where, fixturedef.argname)
    try:
        return (yield)
    finally:
        recorder.leave_scope(before)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Warn where the model was asked for and nothing was checked."""
    result = yield
    recorder = pyfuncitem.config.stash[RECORDER]
    if _uses_fixture(pyfuncitem) and not (
        recorder.checks_in_test or recorder.compared_in_test or recorder.session_checks
    ):
        from warnings import warn

        warn(UncheckedModelWarning(f"{pyfuncitem.nodeid} asks for the model and checks nothing"), stacklevel=1)
    return result


@pytest.hookimpl(wrapper=True, trylast=True)  # inside pytest's own, which turns what is left into XFAIL and XPASS
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Under the policy `skip`, turn a passed test with an UNDECIDED check into a skipped one."""
    report = yield
    recorder = item.config.stash[RECORDER]
    fixtures = [name for name in getattr(item, "fixturenames", ()) if name in recorder.undecided_fixtures]
    undecided = recorder.undecided_in_test + [recorder.undecided_fixtures[name] for name in fixtures]
    policy = item.config.stash[SETTINGS].undecided
    if call.when == "call" and report.outcome == "passed" and undecided and policy == "skip":
        path, line, _ = item.location
        report.outcome = "skipped"
        report.longrepr = (path, (line or 0) + 1, f"Skipped: UNDECIDED: {undecided[0]}")
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, Any, Any]:
    """Collect all workers' records; a check that never finished fails the session, in one last red line."""
    config = session.config
    _close_memo(config)
    if hasattr(config, "workerinput"):
        return (yield)
    records = config.stash[RECORDS] = read_records(config.stash[RECORDER].directory, remove=True)
    lost = len(unfinished(records))
    if lost and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    result = yield
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if lost and reporter is not None:
        reporter.write_line(f"invariance: {lost} check(s) started and did not finish; the session fails", red=True)
    return result


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print one line a finding."""
    records = config.stash.get(RECORDS, None)
    if not records:
        return
    from pytest_llminvariance.report.terminal import section_lines

    terminalreporter.section("invariance")
    for line, colour in section_lines(records, config.stash[SETTINGS].undecided):
        terminalreporter.write_line(line, **({colour: True} if colour else {}))


@pytest.fixture(scope="session")
def invariance_model(request: pytest.FixtureRequest) -> Generator[Model, None, None]:
    """The model under test, loaded once for the session from --invariance-model or the ini key."""
    from pytest_llminvariance.errors import LLMInvarianceError
    from pytest_llminvariance.models.loading import load_model

    settings = request.config.stash[SETTINGS]
    if settings.model is None:
        pytest.fail(
            "no model to test: give --invariance-model=SPEC, or invariance_model in the ini file", pytrace=False
        )
    try:
        model = load_model(
            settings.model,
            device=settings.device,
            dtype=settings.dtype,
            revision=settings.revision,
            batch_tokens=settings.batch_tokens,
            threads=_threads(request.config),
            deterministic=settings.deterministic,
            device_map=settings.device_map,
            worker=_worker(request.config),
        )
        facts = (model.name, model.fingerprint, getattr(model, "device", ""), getattr(model, "dtype", ""))
    except LLMInvarianceError as error:
        model, problem = None, f"{type(error).__name__}: {error}"
    if model is None:
        pytest.fail(problem, pytrace=False)
    request.config.stash[RECORDER].model(*facts)
    yield model
    _note_engine(request.config, model)
    release = getattr(model, "release", None)
    if release is not None:
        release()


@pytest.fixture(scope="session")
def invariance(invariance_model: Model) -> Checks:
    """Return the checks, bound to the session's model: `invariance.order_symmetric(questions)`."""
    from pytest_llminvariance.bound import Checks

    return Checks(invariance_model)


def _memo(config: pytest.Config) -> Memo:
    """Return the session's memory of answers, made when a check first asks for it."""
    if MEMO not in config.stash:
        from pytest_llminvariance.folders import answers_folder

        folder = answers_folder(config.stash[SETTINGS].cache)
        config.stash[MEMO] = {}
        if folder is not None:
            from pytest_llminvariance.cache import AnswerCache

            named_in_ini = config.getoption("invariance_cache") is None
            base = config.rootpath if named_in_ini else config.invocation_params.dir
            worker = getattr(config, "workerinput", {}).get("workerid")
            config.stash[MEMO] = AnswerCache(base / folder, worker=worker)
    return config.stash[MEMO]


def _close_memo(config: pytest.Config) -> None:
    """Write down what the cache holds back, and what it did, where a model's answers were kept."""
    memo: Any = config.stash.get(MEMO, {})
    if hasattr(memo, "close"):
        memo.close()
        if memo.recalled or memo.asked:
            config.stash[RECORDER].answers(memo.recalled, memo.asked, str(memo.folder), memo.trouble)


def _replay(item: pytest.Item) -> str:
    """Return the command that repeats a test, for a shell in the folder where pytest was started."""
    from shlex import join

    settings = item.config.stash[SETTINGS]
    _, colons, rest = item.nodeid.partition("::")
    file = os.path.relpath(item.path, item.config.invocation_params.dir)
    return join(["pytest", f"{file}{colons}{rest}", f"--invariance-seed={settings.seed}", *repeated_flags(item.config)])


def _note_engine(config: pytest.Config, model: Model) -> None:
    """Write down how prompts were sent, and what was remembered."""
    usage = getattr(model, "usage", None)
    config.stash[RECORDER].engine(
        model.name,
        {
            "path": model.describe_path() if hasattr(model, "describe_path") else "",
            "sent_tokens": usage.sent_tokens if usage else 0,
            "asked_tokens": usage.asked_tokens if usage else 0,
        },
    )


def _uses_fixture(item: pytest.Item) -> bool:
    return any(name in getattr(item, "fixturenames", ()) for name in FIXTURES)


def _worker(config: pytest.Config) -> tuple[int, int] | None:
    """Return index and count of the workers, or `None` outside xdist."""
    given = getattr(config, "workerinput", {})
    return (int(given["workerid"].removeprefix("gw")), int(given["workercount"])) if "workercount" in given else None


def _threads(config: pytest.Config) -> int | None:
    """Return the CPU threads of one worker, or `None` outside xdist."""
    workers = getattr(config, "workerinput", {}).get("workercount")
    return None if workers is None else max(1, (os.cpu_count() or 1) // int(workers))
