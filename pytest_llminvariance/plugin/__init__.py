"""The pytest plugin: hooks that translate, and decide nothing.

Loaded at the start of every pytest run where this package is installed, so it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llminvariance.checks.run import Run, current_run
from pytest_llminvariance.plugin.options import add_options, read_settings
from pytest_llminvariance.plugin.scopes import FixtureScope, ScopeSwitch
from pytest_llminvariance.plugin.session import (
    BEGAN,
    FIXTURES,
    GATED,
    HOLDOUT,
    MARKER,
    NOISE,
    RECORDER,
    RECORDS,
    RISK,
    SETTINGS,
    answers_of,
    close_memo,
    gated,
    how_it_ended,
    let_pass_by_level,
    level_of,
    memo_of,
    note_engine,
    note_session,
    place_of,
    planner_of,
    prepare_gate,
    replay_of,
    report_of,
    risk_of,
    seeds_of,
    share_risk,
    spot_of,
    threads_of,
    uses_fixture,
    worker_of,
)
from pytest_llminvariance.records.events import SessionRecorder, new_run_directory, read_records, unfinished

if TYPE_CHECKING:
    from pytest_llminvariance.models.protocol import Model
    from pytest_llminvariance.plugin.fixture import Checks


class UncheckedModelWarning(UserWarning):
    """A test asked for the model and checked nothing."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the settings."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Read the settings and prepare the recorder; nothing is written yet."""
    worker = getattr(config, "workerinput", {})
    config.stash[SETTINGS] = read_settings(config)
    report = report_of(config)
    directory = Path(worker.get("invariance_run_directory") or (report / "events" if report else new_run_directory()))
    config.stash[RECORDER] = SessionRecorder(directory, worker.get("workerid", "main"))
    config.stash[NOISE] = {}
    config.addinivalue_line("markers", MARKER)
    prepare_gate(config)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give every xdist worker the same run directory."""
    node.workerinput["invariance_run_directory"] = str(node.config.stash[RECORDER].directory)
    if (report := report_of(node.config)) is not None:
        node.workerinput["invariance_report_directory"] = str(report)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Begin the record, where one is wanted."""
    config = session.config
    report = report_of(config)
    if report is None or hasattr(config, "workerinput") or config.option.collectonly:
        return
    from time import time

    from pytest_llminvariance.errors import UsageError
    from pytest_llminvariance.records.directory import begin_session

    config.stash[BEGAN] = time()
    try:
        begin_session(report, config.stash[SETTINGS], config.rootpath, config.stash[BEGAN])
    except UsageError as error:
        raise pytest.UsageError(f"--invariance-report: {error}") from error


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say which model is configured; nothing where none is."""
    settings = config.stash[SETTINGS]
    if settings.model is None:
        return None
    return f"invariance: model {settings.model}, seed {settings.seed}, {risk_of(config).words()}"


@pytest.hookimpl(tryfirst=True)  # before -k and --lf take tests away
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Check the markers, share the risk limit, and fit the settings of Hypothesis tests that use the model."""
    from sys import modules

    for item in items:
        level_of(item)
    if config.stash[SETTINGS].model is not None or any(map(uses_fixture, items)):
        share_risk(config, items)
    using = [item for item in items if uses_fixture(item)]
    if using and "hypothesis" in modules:
        from pytest_llminvariance.hypothesis_profile import fit_settings

        fit_settings(using, FIXTURES)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Give checks inside the test the session's seed, policy, memory and recorder."""
    config = item.config
    settings, recorder = config.stash[SETTINGS], config.stash[RECORDER]
    recorder.test = item.nodeid
    risk = config.stash[RISK].of(item.nodeid) if RISK in config.stash else None
    run = Run(
        seed=settings.seed,
        undecided=settings.undecided,
        recorder=recorder,
        memory=lambda: memo_of(config),
        replay=replay_of(item, risk),
        risk=risk,
        seeds=lambda: seeds_of(config),
        noise=config.stash[NOISE],
        answers=answers_of(config),
        on_plan=planner_of(item) if settings.plan else None,
        holdout=config.stash.get(HOLDOUT, None),
        level=level_of(item),
        baseline=place_of(config, "baseline"),
    )
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
    if (risk := current_run.get().risk) is not None:
        risk.begin()
    item.config.stash[RECORDER].begin(item.nodeid, attempt, item.user_properties, spot_of(item))


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any, request: Any) -> Generator[None, Any, Any]:
    """Attribute checks in a fixture of wider scope to the fixture, not to the test that came first."""
    if fixturedef.scope == "function":
        return (yield)
    switch = ScopeSwitch(FixtureScope.of(fixturedef, request), request.config.stash[RECORDER])
    fixturedef.addfinalizer(switch.leave)  # finalizers run last in, first out: around the fixture's own
    switch.enter()
    try:
        return (yield)
    finally:
        switch.leave()
        fixturedef.addfinalizer(switch.enter)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Warn where the model was asked for and nothing was checked."""
    result = yield
    recorder = pyfuncitem.config.stash[RECORDER]
    if uses_fixture(pyfuncitem) and not (
        recorder.checks_in_test or recorder.compared_in_test or recorder.session_checks
    ):
        from warnings import warn

        warn(UncheckedModelWarning(f"{pyfuncitem.nodeid} asks for the model and checks nothing"), stacklevel=1)
    return result


@pytest.hookimpl(wrapper=True, trylast=True)  # inside pytest's own, which turns what is left into XFAIL and XPASS
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Let a test pass whose level says so, and skip one with an UNDECIDED check under the policy `skip`."""
    report = yield
    let_pass_by_level(item, call, report)
    recorder = item.config.stash[RECORDER]
    in_fixtures = [said for scope, said in recorder.undecided_fixtures.items() if scope.reaches(item)]
    undecided = recorder.undecided_in_test + in_fixtures
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
    close_memo(config)
    note_session(config)
    if hasattr(config, "workerinput"):
        return (yield)
    report = report_of(config)
    records = config.stash[RECORDS] = read_records(config.stash[RECORDER].directory, remove=report is None)
    lost = len(unfinished(records))
    reasons = [f"{lost} check(s) started and did not finish"] if lost else []
    reasons += gated(session, records)
    if reasons and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    result = yield
    if report is not None and BEGAN in config.stash:
        from pytest_llminvariance.records.directory import finish_session

        finish_session(report, how_it_ended(session), config.stash[BEGAN])
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reasons and reporter is not None:
        reporter.write_line(f"invariance: {'; '.join(reasons)}; the session fails", red=True)
    return result


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print one line a finding."""
    records, gated = config.stash.get(RECORDS, None), config.stash.get(GATED, None)
    if not records and gated is None:
        return
    from pytest_llminvariance.report.terminal import section_lines

    terminalreporter.section("invariance")
    lines = [*section_lines(records or [], config.stash[SETTINGS].undecided), *(gated.lines if gated else ())]
    for line, colour in lines:
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
            threads=threads_of(request.config),
            deterministic=settings.deterministic,
            device_map=settings.device_map,
            worker=worker_of(request.config),
            weights=not settings.plan,
        )
        fingerprint = "" if settings.plan else model.fingerprint
        facts = (model.name, fingerprint, getattr(model, "device", ""), getattr(model, "dtype", ""))
    except LLMInvarianceError as error:
        model, problem = None, f"{type(error).__name__}: {error}"
    if model is None:
        pytest.fail(problem, pytrace=False)
    request.config.stash[RECORDER].model(*facts)
    yield model
    note_engine(request.config, model)
    release = getattr(model, "release", None)
    if release is not None:
        release()


@pytest.fixture(scope="session")
def invariance(invariance_model: Model) -> Checks:
    """Return the checks, bound to the session's model: `invariance.order_symmetric(questions)`."""
    from pytest_llminvariance.plugin.fixture import Checks

    return Checks(invariance_model)
