"""The pytest plugin: hooks that translate, and decide nothing.

Loaded at the start of every pytest run where this package is installed, so it imports nothing heavy.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import pytest

from pytest_llminvariance.checks.run import Lane, Run, current_run, refused
from pytest_llminvariance.plugin.options import add_options
from pytest_llminvariance.plugin.places import FIXTURES, MARKER, PLACE, let_pass_by_level, show_test_to_copy
from pytest_llminvariance.plugin.scopes import NARROWER, FixtureScope, ScopeSwitch, fit_scope
from pytest_llminvariance.plugin.session import OUTSIDE, SESSION, Session

if TYPE_CHECKING:
    from pytest_llminvariance.models.protocol import AnyModel, Model
    from pytest_llminvariance.plugin.fixture import Checks


class UncheckedModelWarning(UserWarning):
    """A test asked for the model and checked nothing."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the settings."""
    add_options(parser)


@pytest.hookimpl(wrapper=True)
def pytest_load_initial_conftests() -> Generator[None, Any, Any]:
    """Refuse checks that a conftest makes while it is imported."""
    lane = Lane(lambda: Run(turn=refused(OUTSIDE)), holds_tests=True)
    lane.enter(current_run.lane())
    try:
        return (yield)
    finally:
        lane.leave()


def pytest_configure(config: pytest.Config) -> None:
    """Read the settings and prepare the recorder; nothing is written yet."""
    config.addinivalue_line("markers", MARKER)
    ours = config.stash[SESSION] = Session(config)
    config.pluginmanager.register(Ending(ours))
    ours.lane.enter(current_run.lane())


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close the session to checks."""
    if SESSION in config.stash:
        config.stash[SESSION].lane.leave()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give every xdist worker the same directories."""
    node.workerinput.update(node.config.stash[SESSION].written.for_worker())


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker found and could not write."""
    node.config.stash[SESSION].written.take(getattr(node, "workeroutput", {}))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Begin the record, where one is wanted."""
    ours = session.config.stash[SESSION]
    ours.written.begin(ours.settings, session.config.rootpath)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say which model is configured; nothing where none is."""
    return config.stash[SESSION].header()


def pytest_report_collectionfinish(config: pytest.Config) -> str | None:
    """Say what was found out about the model's server."""
    if not config.stash[SESSION].asks_a_server:
        return None
    from pytest_llminvariance.plugin.served import found_line

    return found_line(config)


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
    place = item.config.stash[SESSION].begin_item(item)
    try:
        return (yield)
    finally:
        place.recorder.end()
        place.lane.leave()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin a test, or another attempt at it."""
    if PLACE in item.stash:
        item.stash[PLACE].begin()


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: Any, request: Any) -> Generator[None, Any, Any]:
    """Attribute checks in a fixture of wider scope to the fixture, not to the test that came first."""
    request.config.stash[SESSION].free_memory()  # before another model is loaded
    ours = request.config.stash[SESSION]
    if fixturedef.scope == "function":
        return ours.begin_model(fixturedef, request, (yield))
    switch = ScopeSwitch(ours.begin_fixture(FixtureScope.of(fixturedef, request)))
    fixturedef.addfinalizer(switch.leave)  # finalizers run last in, first out: around the fixture's own
    switch.enter()
    try:
        return ours.begin_model(fixturedef, request, (yield))
    finally:
        switch.leave()
        fixturedef.addfinalizer(switch.enter)


def pytest_fixture_post_finalizer(fixturedef: Any, request: Any) -> None:
    """Note the models that were made of what a fixture gave."""
    request.config.stash[SESSION].end_fixture(fixturedef.cached_result)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Warn where the model was asked for and nothing was checked; a test that is skipped or fails has said why."""
    result = yield
    if item.config.stash[SESSION].checked_nothing(item):
        from warnings import warn

        warn(UncheckedModelWarning(f"{item.nodeid} asks for the model and checks nothing"), stacklevel=1)
    return result


@pytest.hookimpl(wrapper=True, trylast=True)  # inside pytest's own, which turns what is left into XFAIL and XPASS
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Let a test pass whose level says so, and skip one with an UNDECIDED check under the policy `skip`."""
    report, ours = (yield), item.config.stash[SESSION]
    show_test_to_copy(item, call, report)
    let_pass_by_level(item, call, report)
    passed = call.when == "call" and report.outcome == "passed"
    if passed and ours.settings.undecided == "skip" and (undecided := ours.undecided_of(item)):
        path, line, _ = item.location
        report.outcome = "skipped"
        report.longrepr = (path, (line or 0) + 1, f"Skipped: UNDECIDED: {undecided}")
    return report


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None, Any, Any]:
    """Finish the record, and say in one last red line why the session fails."""
    result, ours = (yield), session.config.stash[SESSION]
    ours.finish_record(session)
    reasons = ours.reasons
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reasons and reporter is not None:
        reporter.write_line(f"invariance: {'; '.join(reasons)}; the session fails", red=True)
    return result


class Ending:
    """What is done at the end, after the last fixtures are torn down and before anything is summed up."""

    def __init__(self, ours: Session) -> None:
        self._ours = ours

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, Any, Any]:
        """Collect all workers' records; a check that never finished fails the session."""
        try:
            return (yield)
        finally:
            self._ours.close()
            if self._ours.is_worker:
                session.config.workeroutput.update(self._ours.written.of_worker())  # type: ignore[attr-defined] # from xdist
            elif self._ours.judge(session):
                self._ours.fail(session)


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
    from pytest_llminvariance.plugin.served import session_model

    ours = request.config.stash[SESSION]
    if ours.settings.model is None:
        pytest.fail(
            "no model to test: give --invariance-model=SPEC, or invariance_model in the ini file", pytrace=False
        )
    try:
        model = session_model(request.config)
        ours.note_model(model)
        ours.own_models.given(model, is_the_sessions=True)
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
