"""What a pytest session of ours knows: its settings, recorder, memory of answers, risk, and where its tests are.

Each thing is made when it is first asked for, so that an unrelated suite pays for nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import pytest

from pytest_llminvariance.checks.run import Level
from pytest_llminvariance.plugin.options import Settings, repeated_flags
from pytest_llminvariance.records.events import SessionRecorder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_llminvariance.checks.holdout import Holdout
    from pytest_llminvariance.checks.risk import ItemRisk, SeedLedger
    from pytest_llminvariance.models.engine import Memo
    from pytest_llminvariance.models.protocol import Model
    from pytest_llminvariance.plugin.gate import SessionGate, SessionResult
    from pytest_llminvariance.plugin.risk import Collected, SessionRisk
    from pytest_llminvariance.records.answer_log import AnswerLog

MARKER = (
    "invariance(level='block', weight=1.0, exhaustive=False): block, warn or ignore: what a check in this test that does not "
    "hold does; the test's weight when the risk limit is shared; exhaustive tests ask everything"
)
MARKER_TAKES = {"level", "weight", "exhaustive"}
GATE: pytest.StashKey[SessionGate] = pytest.StashKey()
GATED: pytest.StashKey[SessionResult] = pytest.StashKey()
FIXTURES = ("invariance_model", "invariance")
SETTINGS = pytest.StashKey[Settings]()
RECORDER = pytest.StashKey[SessionRecorder]()
MEMO = pytest.StashKey["Memo"]()
NOISE = pytest.StashKey[dict[Any, Any]]()
RISK = pytest.StashKey["SessionRisk"]()
HOLDOUT = pytest.StashKey["Holdout | None"]()
SEEDS = pytest.StashKey["SeedLedger"]()
RECORDS = pytest.StashKey[list[dict[str, Any]]]()
ANSWERS = pytest.StashKey["AnswerLog"]()
BEGAN = pytest.StashKey[float]()


def memo_of(config: pytest.Config) -> Memo:
    """Return the session's memory of answers, made when a check first asks for it."""
    if MEMO not in config.stash:
        from pytest_llminvariance.files import answers_folder

        folder = answers_folder(config.stash[SETTINGS].cache)
        config.stash[MEMO] = {}
        if folder is not None:
            from pytest_llminvariance.models.cache import AnswerCache

            named_in_ini = config.getoption("invariance_cache") is None
            base = config.rootpath if named_in_ini else config.invocation_params.dir
            worker = getattr(config, "workerinput", {}).get("workerid")
            config.stash[MEMO] = AnswerCache(base / folder, worker=worker)
        if (log := answers_of(config)) is not None:
            from pytest_llminvariance.records.answer_log import RecordedMemo

            config.stash[MEMO] = RecordedMemo(config.stash[MEMO], log)
    return config.stash[MEMO]


def risk_of(config: pytest.Config) -> SessionRisk:
    """Return the session's risk, with the manifest where there is one."""
    if RISK not in config.stash:
        from pytest_llminvariance.errors import UsageError
        from pytest_llminvariance.plugin.risk import MANIFEST_NAME, SessionRisk, read_manifest

        settings = config.stash[SETTINGS]
        limit = None if settings.exhaustive else settings.risk_limit
        named = settings.manifest
        path = config.invocation_params.dir / named if named else config.rootpath / MANIFEST_NAME
        try:
            manifest = read_manifest(path) if named or (limit and path.is_file()) else None
        except UsageError as error:
            raise pytest.UsageError(str(error)) from error
        check_risk = None if settings.exhaustive else settings.check_risk
        config.stash[RISK] = SessionRisk(limit, check_risk, manifest)
    return config.stash[RISK]


def share_risk(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Share the risk limit over the collected tests, and read the hold-out."""
    from pytest_llminvariance.errors import UsageError

    try:
        risk_of(config).collect(collected(items))
        holdout_of(config)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error


def collected(items: list[pytest.Item]) -> Iterator[Collected]:
    """Yield what the risk's shares depend on: the fixtures and the marker of each test."""
    from pytest_llminvariance.plugin.risk import Collected

    for item in items:
        marker = item.get_closest_marker("invariance")
        told = marker.kwargs if marker else {}
        yield Collected(item.nodeid, uses_fixture(item), told.get("weight"), bool(told.get("exhaustive", False)))


def holdout_of(config: pytest.Config) -> Holdout | None:
    """Return the questions that are set aside, where a file beside the ini file says so."""
    if HOLDOUT not in config.stash:
        path = config.rootpath / "invariance-holdout.json"
        is_open, config.stash[HOLDOUT] = config.stash[SETTINGS].holdout, None
        if is_open or path.is_file():
            from datetime import date

            from pytest_llminvariance.checks.holdout import read_holdout

            session = config.stash[RECORDER].directory.name
            config.stash[HOLDOUT] = read_holdout(path, is_open=is_open, session=session, today=str(date.today()))
    return config.stash[HOLDOUT]


def planner_of(item: pytest.Item) -> Callable[[dict[str, Any]], None]:
    """Return what notes a check's cost and ends the test, so that nothing is asked."""

    def on_plan(found: dict[str, Any]) -> None:
        item.config.stash[RECORDER].planned(found)
        pytest.skip("planned, nothing was asked (--invariance-plan)")

    return on_plan


def seeds_of(config: pytest.Config) -> SeedLedger:
    """Return the seeds that suites were first asked with."""
    if SEEDS not in config.stash:
        from pytest_llminvariance.checks.risk import SeedLedger

        config.stash[SEEDS] = SeedLedger(getattr(memo_of(config), "folder", None))
    return config.stash[SEEDS]


def note_session(config: pytest.Config) -> None:
    """Write down what concerns the whole session: a part of the manifest, a hold-out that was left out or opened."""
    risk, holdout = config.stash.get(RISK, None), config.stash.get(HOLDOUT, None)
    lines = [risk.partial_words() if risk is not None else None, holdout.words() if holdout is not None else None]
    for line in filter(None, lines):
        config.stash[RECORDER].note(line)


def answers_of(config: pytest.Config) -> AnswerLog | None:
    """Return what writes answers down, or `None` where no record is wanted."""
    report = report_of(config)
    if ANSWERS not in config.stash and report is not None:
        from pytest_llminvariance.records.answer_log import AnswerLog

        config.stash[ANSWERS] = AnswerLog(report, getattr(config, "workerinput", {}).get("workerid", "main"))
    return config.stash.get(ANSWERS, None)


def report_of(config: pytest.Config) -> Path | None:
    """Return the directory of the record: below the folder of the ini file, or where pytest was started."""
    if "invariance_report_directory" in (given := getattr(config, "workerinput", {})):
        return Path(given["invariance_report_directory"])
    return place_of(config, "report")


def spot_of(item: pytest.Item) -> dict[str, Any]:
    """Return where a test is, its markers, and the level that it gives to its findings."""
    path, line, _ = item.location
    markers = sorted({marker.name for marker in item.iter_markers()})
    return {"file": path, "line": None if line is None else line + 1, "level": level_of(item), "markers": markers}


def close_memo(config: pytest.Config) -> None:
    """Write down what the cache holds back, and what it did, where a model's answers were kept."""
    memo: Any = config.stash.get(MEMO, {})
    memo = getattr(memo, "inner", memo)
    if hasattr(memo, "close"):
        memo.close()
        if memo.recalled or memo.asked:
            config.stash[RECORDER].answers(memo.recalled, memo.asked, str(memo.folder), memo.trouble)


def replay_of(item: pytest.Item, risk: ItemRisk | None) -> str:
    """Return the command that repeats a test, for a shell in the folder where pytest was started."""
    from shlex import join

    settings = item.config.stash[SETTINGS]
    _, colons, rest = item.nodeid.partition("::")
    file = os.path.relpath(item.path, item.config.invocation_params.dir)
    flags = repeated_flags(item.config)
    if risk is not None and risk.limit is not None and risk.share and settings.check_risk is None:
        flags.append(f"--invariance-check-risk={risk.share!r}")  # its share depends on what else was collected
    return join(["pytest", f"{file}{colons}{rest}", f"--invariance-seed={settings.seed}", *flags])


def note_engine(config: pytest.Config, model: Model) -> None:
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


def uses_fixture(item: pytest.Item) -> bool:
    """Return whether a test asks for the model."""
    return any(name in getattr(item, "fixturenames", ()) for name in FIXTURES)


def worker_of(config: pytest.Config) -> tuple[int, int] | None:
    """Return index and count of the workers, or `None` outside xdist."""
    given = getattr(config, "workerinput", {})
    return (int(given["workerid"].removeprefix("gw")), int(given["workercount"])) if "workercount" in given else None


def threads_of(config: pytest.Config) -> int | None:
    """Return the CPU threads of one worker, or `None` outside xdist."""
    workers = getattr(config, "workerinput", {}).get("workercount")
    return None if workers is None else max(1, (os.cpu_count() or 1) // int(workers))


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


def prepare_gate(config: pytest.Config) -> None:
    """Read policy and baseline before anything is asked; only where the session ends, not in workers."""
    settings = config.stash[SETTINGS]
    if hasattr(config, "workerinput") or (settings.policy is None and settings.baseline is None):
        return
    from pytest_llminvariance.errors import UsageError
    from pytest_llminvariance.plugin.gate import SessionGate

    places = place_of(config, "policy"), place_of(config, "baseline")
    report = report_of(config)
    if report is not None and places[1] is not None and report.resolve() == places[1].resolve():
        raise pytest.UsageError(
            f"--invariance-report and --invariance-baseline are both {str(report)!r}, so the baseline would be replaced "
            "by this run before it is compared. Name another directory for one of them"
        )
    try:
        config.stash[GATE] = SessionGate.read(*places, settings.margin, settings.undecided)
    except UsageError as error:
        raise pytest.UsageError(str(error)) from error


def how_it_ended(session: pytest.Session) -> dict[str, Any]:
    """Return how a session ended, as `run.json` holds it: exit status, tests that failed, why tests were left out."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    stats = {} if reporter is None else reporter.stats
    failed = {report.nodeid for kind in ("failed", "error") for report in stats.get(kind, ())}
    return {
        "exit": int(session.exitstatus),
        "stopped": _left_out(session),
        "failed": None if reporter is None else sorted(failed),
        "deselected": len(stats.get("deselected", ())),
    }


def _left_out(session: pytest.Session) -> str | None:
    last = session.items[-1].nodeid if session.items else ""
    again = session.config.pluginmanager.get_plugin("lfplugin")
    if session.config.getoption("lf", default=False) and getattr(again, "_previously_failed_count", 1):
        return "--lf runs what failed before"
    if session.config.stash[RECORDER].test == last or session.config.option.collectonly:
        return None
    return str(session.shouldfail or session.shouldstop or (last and "not all tests were begun")) or None


def gated(session: pytest.Session, records: list[dict[str, Any]]) -> tuple[str, ...]:
    """Return why policy or baseline fail the session."""
    config = session.config
    if GATE not in config.stash:
        return ()
    from datetime import date

    facts = {**how_it_ended(session), "model": config.stash[SETTINGS].model}
    config.stash[GATED] = config.stash[GATE].judge(records, facts, date.today())
    return config.stash[GATED].failures


def place_of(config: pytest.Config, name: str) -> Path | None:
    """Return a place from the settings: from the command line as the shell means it, from the ini file beside it."""
    given = getattr(config.stash[SETTINGS], name)
    if given is None:
        return None
    in_ini = config.getoption(f"invariance_{name}") is None
    return Path((config.rootpath if in_ini else config.invocation_params.dir) / given)
