"""What surrounds a check: seed, policy, memory of answers, and who writes findings down.

Imports nothing heavy: the plugin needs it at the start of every session.

Checks are made in lanes: a test of a pytest session while it runs, the session around its tests, a `with run(...)` in
a notebook, the command line. A context knows its lane; a thread, an executor or an event loop that knows of none, or of
one that has ended, uses the one that is open in this process. Where several are open it is refused to guess. Outside of
all lanes nothing is recorded and nothing remembered.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import sys
import threading
from collections.abc import Callable, Iterator, MutableMapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from pytest_llminvariance.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_llminvariance.checks.holdout import Holdout
    from pytest_llminvariance.checks.recorders import AnswerSink, Place, Recorder, Slot
    from pytest_llminvariance.checks.risk import ItemRisk, SeedLedger
    from pytest_llminvariance.checks.verdict import Finding, ModelFrom
    from pytest_llminvariance.models.engine import Memo
    from pytest_llminvariance.models.protocol import Model


UndecidedPolicy = Literal["fail", "skip", "warn"]
Level = Literal["block", "warn", "ignore"]
"""What a check that does not hold does to its test, and to a gate."""


class Run(NamedTuple):
    """Settings and memory shared by the checks of a session."""

    seed: int = 0
    undecided: UndecidedPolicy = "fail"
    recorder: Recorder | None = None
    memory: Callable[[], Memo] | None = None
    """Gives the answers by model and request, made when first asked for; `None` remembers only within one check."""
    replay: str | None = None
    """The command that repeats the current test."""
    risk: ItemRisk | None = None
    """The share of the session's risk that the current test may spend; `None`: everything planned is asked."""
    seeds: Callable[[], SeedLedger] | None = None
    """Gives the seeds that suites were first asked with; `None` notices no second seed."""
    noise: MutableMapping[tuple[object, ...], Any] | None = None
    """Measured noise by model and readout; `None` remembers nothing."""
    answers: AnswerSink | None = None
    """Writes every answer down; `None` writes none."""

    on_plan: Callable[[dict[str, Any]], None] | None = None
    """Takes what a check would cost and ends the test: nothing is asked. `None`: checks are made."""

    holdout: Holdout | None = None
    """Questions that are set aside; `None`: all are used."""
    level: Level = "block"
    """Of the current test; at `warn` and `ignore` no check fails it."""
    baseline: Path | None = None
    """The record of the run to compare with."""
    turn: contextlib.AbstractContextManager[object] = contextlib.nullcontext()
    """Around each check and search: one at a time, also where a test has threads; it refuses those of no test."""

    wrap: Callable[..., Model] | None = None
    """Makes a model of what a check is given, as `as_model` does, with the settings of the session; `None`: with none."""

    say: Callable[[str], None] | None = None
    """Takes lines on progress; `None`: a bar on a terminal, else lines on standard error."""

    origin: Callable[..., ModelFrom] | None = None
    """Tells where a model came from, by what was given and what was made of it; `None` outside of a session."""

    place: Place | None = None
    """The test; where `recorder` is another one, it is told what was found there."""

    def tell_place(self, finding: Finding | None) -> None:
        """Tell the test of a finding that goes to a recorder of its own."""
        if finding is not None and self.place is not None and self.place is not self.recorder:
            self.place.apart(finding)

    def searched(self, counter_example: Finding | None = None) -> Finding | None:
        """Note that a search compared a pair, and return what it found as it is stored."""
        if self.recorder is None:
            return counter_example
        self.tell_place(counter_example)
        return self.recorder.searched(counter_example)

    def noted(self, finding: Finding, *model: object) -> Finding:
        """Return a finding with where its model came from, and tell the test of one that goes to a recorder of its own."""
        if self.origin is not None:
            finding = dataclasses.replace(finding, model_from=self.model_from(*model))
        self.tell_place(finding)
        return finding

    def model_from(self, *model: object) -> ModelFrom:
        """Return where a model came from: what a check was given, and what was made of it."""
        return "" if self.origin is None else self.origin(*model)

    def report(self, file: str | Path) -> None:
        """Write the page of what was found in this `with run()`; for a page with single answers record a run.

        Raises:
            UsageError: where a recorder of your own has the findings.
        """
        from pytest_llminvariance.checks.verdict import SHOWN

        findings = getattr(self.recorder, "findings", None)
        if findings is None or "page" not in SHOWN:
            raise UsageError(
                "there are no findings to report here. Make checks inside `with run() as session:`, without a recorder of your own"
            )
        from pathlib import Path as Place

        SHOWN["page"](findings, self.seed, Place(file))

    @property
    def memo(self) -> Memo | None:
        """Answers by model and request."""
        return self.memory() if self.memory else None


class refused(contextlib.AbstractContextManager[None]):  # noqa: N801 - used like a function
    """The turn of checks that belong to no test: an error that says why, before anything is asked."""

    def __init__(self, why: str) -> None:
        self._why = why

    def __enter__(self) -> None:
        raise UsageError(self._why)

    def __exit__(self, *error: object) -> None:
        """Do nothing: it is never entered."""


class Lane:
    """Where one check follows the other: a test, a `with run(...)`, or a whole session around its tests.

    Open between `enter` and `leave`. What it gives changes while a fixture of wider scope has it (`give`).
    """

    def __init__(self, run: Callable[[], Run], *, holds_tests: bool = False) -> None:
        self._runs = [run]
        self.holds_tests = holds_tests
        """True for a session: the lanes of its tests are inside it, and a check outside of them is refused."""
        self.around: Lane | None = None
        self._before: Lane | None = None

    @property
    def run(self) -> Run:
        """What checks are given here now."""
        return self._runs[-1]()

    def give(self, change: Callable[[Run], Run]) -> Callable[[], None]:
        """Give checks what `change` makes of it until what is returned is called."""
        below = self._runs[-1]
        changed = functools.cache(lambda: change(below()))
        self._runs.append(changed)
        return lambda: self._runs.remove(changed)

    def enter(self, around: Lane | None) -> None:
        """Open it inside the lane `around`."""
        self.around, self._before = around, _known.get()
        _OPEN.append(self)
        _known.set(self)

    def leave(self) -> None:
        """Close it."""
        _OPEN.remove(self)
        _known.set(self._before)


_known: ContextVar[Lane | None] = ContextVar("llminvariance_lane", default=None)
_OPEN: list[Lane] = []  # of this process: a new thread's context knows nothing
NOTHING = Run()
SEVERAL = (
    "several tests run at once in this process, and this thread does not say to which of them its check belongs. "
    "Start it with contextvars.copy_context().run, or asyncio.to_thread"
)
ELSEWHERE = (
    "this check runs in another process than its test, so its finding would be lost. Make it in the test's own process, "
    "in threads if it must be, or say that it stands alone: with llminvariance's run(recorder=...)"
)


class _Current:
    """What surrounds the check that is made now."""

    def lane(self) -> Lane | None:
        """Return the lane that this context knows, or else the one that is open; `None` outside of all."""
        known = _known.get()
        if known is not None and known in _OPEN and not known.holds_tests:
            return known
        around = {id(lane.around) for lane in _OPEN}
        inmost = [lane for lane in _OPEN if id(lane) not in around]
        return inmost[0] if len(inmost) == 1 else _SEVERAL if inmost else None

    def get(self) -> Run:
        """Return what checks are given here."""
        lane = self.lane()
        if lane is not None:
            return lane.run
        return Run(turn=refused(ELSEWHERE)) if _is_child_of_a_test() else NOTHING


_SEVERAL = Lane(lambda: Run(turn=refused(SEVERAL)))
current_run = _Current()


def _is_child_of_a_test() -> bool:
    """Return whether this process was started by multiprocessing in a test."""
    module = sys.modules.get("multiprocessing")
    return "PYTEST_CURRENT_TEST" in os.environ and module is not None and module.parent_process() is not None


@contextlib.contextmanager
def surrounded(made: Run) -> Iterator[Run]:
    """Give the checks inside `made`."""
    lane = Lane(lambda: made)
    lane.enter(current_run.lane())
    try:
        yield made
    finally:
        lane.leave()


@contextlib.contextmanager
def run(
    *,
    seed: int = 0,
    undecided: UndecidedPolicy = "fail",
    recorder: Recorder | None = None,
    cache: bool | str | Path = False,
    risk_limit: float | None = None,
) -> Iterator[Run]:
    """Give the checks inside a seed, a policy, and a memory of answers.

    With a `risk_limit` a check may stop before everything is asked; the limit is the largest chance that any
    verdict inside is wrong by that.

    Inside a test, or another run, all else is as it is there: where findings and answers go, the hold-out, the level, a
    plan for which nothing is asked. With a `recorder` findings and answers go there only, at level block; the session names the test.

    Answers are forgotten at the end; `cache=True` keeps those of models from files in the user's cache folder,
    a path in a folder of your choice.

    For notebooks and scripts:

        with run(seed=7, recorder=(kept := FindingList())):
            assert_order_symmetric(model, questions)
    """
    if undecided not in get_args(UndecidedPolicy):
        raise UsageError(f"undecided is {undecided!r}, but must be one of {', '.join(get_args(UndecidedPolicy))}")
    from pytest_llminvariance.checks.risk import DEFAULT_RISK, ItemRisk, SeedLedger, as_risk_limit

    limit, memo = as_risk_limit(risk_limit), _memo(cache)
    risk = ItemRisk(limit, limit or DEFAULT_RISK)
    seeds = SeedLedger(getattr(memo, "folder", None))
    from pytest_llminvariance.checks.recorders import KeptFindings

    kept = KeptFindings() if recorder is None else recorder
    lane, around = current_run.lane(), Run(turn=threading.RLock())
    if lane is not None and lane is not _SEVERAL and not lane.holds_tests:
        around = lane.run if recorder is None else lane.run._replace(recorder=None, answers=None, level="block")
    made = around._replace(
        seed=seed, undecided=undecided, recorder=around.recorder or kept, memory=lambda: memo, replay=None, risk=risk,
        seeds=lambda: seeds, noise={},
    )  # fmt: skip
    try:
        with surrounded(made):
            yield made
    finally:
        close = getattr(memo, "close", None)
        if close is not None:
            close()


def _memo(cache: bool | str | Path) -> Memo:  # noqa: FBT001
    if cache is False:
        return memory_in(None)
    from pytest_llminvariance.files import answers_folder

    return memory_in(answers_folder("auto" if cache is True else str(cache)))


def memory_in(folder: Path | None, **how: Any) -> Memo:
    """Return a memory of answers, with a disk behind it where there is a folder; `how` is for `AnswerCache`."""
    if folder is None:
        from pytest_llminvariance.models.remembered import Remembered

        return Remembered()
    from pytest_llminvariance.models.cache import AnswerCache

    return AnswerCache(folder, **how)


@contextlib.contextmanager
def recorded(title: str) -> Iterator[Slot]:
    """Around one check: wait for its turn, say that it starts, and give where its finding goes; an error is stored here."""
    from pytest_llminvariance.checks.recorders import Slot

    run = current_run.get()
    with run.turn, contextlib.ExitStack() as stack:
        tells = run.noted if run.origin or run.place else None
        slot = Slot(None if run.on_plan else run.recorder, title, tells)  # what is only planned is no check
        if run.answers is not None:
            run.answers.begin(slot.id)
            stack.callback(run.answers.end)
        try:
            yield slot
        except BaseException as error:
            if slot.recorder is not None and not slot.is_done:
                slot.recorder.failed(slot.id, f"{type(error).__name__}: {error}")
            raise
