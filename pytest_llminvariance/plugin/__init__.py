"""The pytest plugin: hooks that translate, and decide nothing.

Loaded at the start of every pytest run where this package is installed, so it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llminvariance.checks.run import current_run
from pytest_llminvariance.plugin.options import add_options
from pytest_llminvariance.plugin.scopes import NARROWER, FixtureScope, ScopeSwitch, fit_scope
from pytest_llminvariance.plugin.session import FIXTURES, MARKER, SESSION, Session, let_pass_by_level

if TYPE_CHECKING:
    from pytest_llminvariance.models.protocol import AnyModel, Model
    from pytest_llminvariance.plugin.fixture import Checks


class UncheckedModelWarning(UserWarning):
    """A test asked for the model and checked nothing."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the settings."""
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    """Read the settings and prepare the recorder; nothing is written yet."""
    config.addinivalue_line("markers", MARKER)
    config.stash[SESSION] = Session(config)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give every xdist worker the same directories."""
    node.workerinput.update(node.config.stash[SESSION].for_worker())


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Begin the record, where one is wanted."""
    session.config.stash[SESSION].begin_record()


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say which model is configured; nothing where none is."""
    return config.stash[SESSION].header()


@pytest.hookimpl(tryfirst=True)  # before -k and --lf take tests away
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Check the markers, share the risk limit, and fit scopes and Hypothesis' settings of tests that use the model."""
    from sys import modules

    using = config.stash[SESSION].collect(items)
    for item in using:
        fit_scope(item)
    if using and "hypothesis" in modules:
        from pytest_llminvariance.hypothesis_profile import fit_settings

        fit_settings(using, FIXTURES)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Give checks inside the test the session's seed, policy, memory and recorder."""
    ours = item.config.stash[SESSION]
    ours.recorder.test = item.nodeid
    token = current_run.set(ours.run_of(item))
    try:
        return (yield)
    finally:
        ours.recorder.end()
        current_run.reset(token)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin a test, or another attempt at it."""
    item.config.stash[SESSION].begin_test(item, current_run.get().risk)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any, request: Any) -> Generator[None, Any, Any]:
    """Attribute checks in a fixture of wider scope to the fixture, not to the test that came first."""
    request.config.stash[SESSION].free_memory()  # before another model is loaded
    if fixturedef.scope == "function":
        return (yield)
    switch = ScopeSwitch(FixtureScope.of(fixturedef, request), request.config.stash[SESSION].recorder)
    fixturedef.addfinalizer(switch.leave)  # finalizers run last in, first out: around the fixture's own
    switch.enter()
    try:
        return (yield)
    finally:
        switch.leave()
        fixturedef.addfinalizer(switch.enter)


def pytest_fixture_post_finalizer(fixturedef: Any, request: Any) -> None:
    """Note the models that were made of what a fixture gave."""
    request.config.stash[SESSION].end_fixture(fixturedef.cached_result)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """Warn where the model was asked for and nothing was checked."""
    result = yield
    if pyfuncitem.config.stash[SESSION].checked_nothing(pyfuncitem):
        from warnings import warn

        warn(UncheckedModelWarning(f"{pyfuncitem.nodeid} asks for the model and checks nothing"), stacklevel=1)
    return result


@pytest.hookimpl(wrapper=True, trylast=True)  # inside pytest's own, which turns what is left into XFAIL and XPASS
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Let a test pass whose level says so, and skip one with an UNDECIDED check under the policy `skip`."""
    report, ours = (yield), item.config.stash[SESSION]
    let_pass_by_level(item, call, report)
    undecided = ours.undecided_of(item)
    if call.when == "call" and report.outcome == "passed" and undecided and ours.settings.undecided == "skip":
        path, line, _ = item.location
        report.outcome = "skipped"
        report.longrepr = (path, (line or 0) + 1, f"Skipped: UNDECIDED: {undecided}")
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, Any, Any]:
    """Collect all workers' records; a check that never finished fails the session, in one last red line."""
    ours = session.config.stash[SESSION]
    ours.close()
    if ours.is_worker:
        return (yield)
    reasons = ours.judge(session)
    if reasons and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    result = yield
    ours.finish_record(session)
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reasons and reporter is not None:
        reporter.write_line(f"invariance: {'; '.join(reasons)}; the session fails", red=True)
    return result


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print one line a finding."""
    if lines := config.stash[SESSION].summary():
        terminalreporter.section("invariance")
    for line, colour in lines:
        terminalreporter.write_line(line, **({colour: True} if colour else {}))


@pytest.fixture(scope="session")
def invariance_model(request: pytest.FixtureRequest) -> Generator[Model, None, None]:
    """The model under test, loaded once for the session from --invariance-model or the ini key."""
    from pytest_llminvariance.errors import LLMInvarianceError
    from pytest_llminvariance.models.loading import load_model

    ours = request.config.stash[SESSION]
    if ours.settings.model is None:
        pytest.fail(
            "no model to test: give --invariance-model=SPEC, or invariance_model in the ini file", pytrace=False
        )
    try:
        model = load_model(ours.settings.model, **ours.load_settings)
        ours.note_model(model)
    except LLMInvarianceError as error:
        model, problem = None, f"{type(error).__name__}: {error}"
    if model is None:
        pytest.fail(problem, pytrace=False)
    yield model
    ours.note_engine(model)
    release = getattr(model, "release", None)
    if release is not None:
        release()


@pytest.fixture(scope="session")
def invariance(invariance_model: AnyModel) -> Checks:
    """Return the checks, bound to the session's model: `invariance.assert_order_symmetric(questions)`."""
    from pytest_llminvariance.plugin.fixture import Checks

    return Checks(invariance_model)


def _invariance_of(scope: Any) -> Any:
    """Return `invariance` for an `invariance_model` of narrower scope; `fit_scope` puts it in its place."""

    @pytest.fixture(scope=scope, name=f"_invariance_{scope}")
    def of_scope(invariance_model: AnyModel) -> Checks:
        from pytest_llminvariance.plugin.fixture import Checks

        return Checks(invariance_model)

    return of_scope


_of_package, _of_module, _of_class, _of_function = map(_invariance_of, NARROWER)
