"""What surrounds a check: seed, policy, memory of answers, and who writes findings down.

Imports nothing heavy: the plugin needs it at the start of every session.

One `ContextVar` carries it, set by the plugin around each test, by the command line, and by `with run(...)`
in a notebook. The default records nothing and remembers nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, MutableMapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from pytest_llminvariance.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_llminvariance.checks.holdout import Holdout
    from pytest_llminvariance.checks.recorders import AnswerSink, Recorder
    from pytest_llminvariance.checks.risk import ItemRisk, SeedLedger
    from pytest_llminvariance.checks.verdict import Finding
    from pytest_llminvariance.measures.noise import NoiseFloor
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
    noise: MutableMapping[tuple[str, str, str], NoiseFloor] | None = None
    """Measured noise by model, fingerprint and readout; `None` remembers nothing."""
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

    wrap: Callable[..., Model] | None = None
    """Makes a model of what a check is given, as `as_model` does, with the settings of the session; `None`: with none."""

    @property
    def memo(self) -> Memo | None:
        """Answers by model and request."""
        return self.memory() if self.memory else None


current_run: ContextVar[Run] = ContextVar("llminvariance_run", default=Run())  # noqa: B039 - frozen


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

    Answers are forgotten at the end; `cache=True` keeps those of models from files in the user's cache folder,
    a path in a folder of your choice.

    For notebooks and scripts::

    with run(seed=7, recorder=(kept := FindingList())):
        assert_order_symmetric(model, questions)
    """
    if undecided not in get_args(UndecidedPolicy):
        raise UsageError(f"undecided is {undecided!r}, but must be one of {', '.join(get_args(UndecidedPolicy))}")
    from pytest_llminvariance.checks.risk import DEFAULT_RISK, ItemRisk, SeedLedger, as_risk_limit

    limit, memo = as_risk_limit(risk_limit), _memo(cache)
    risk = ItemRisk(limit, limit or DEFAULT_RISK)
    seeds = SeedLedger(getattr(memo, "folder", None))
    made = Run(seed, undecided, recorder, lambda: memo, None, risk, lambda: seeds, {})
    token = current_run.set(made)
    try:
        yield made
    finally:
        current_run.reset(token)
        close = getattr(memo, "close", None)
        if close is not None:
            close()


def _memo(cache: bool | str | Path) -> Memo:  # noqa: FBT001
    if cache is False:
        return {}
    from pytest_llminvariance.files import answers_folder
    from pytest_llminvariance.models.cache import AnswerCache

    folder = answers_folder("auto" if cache is True else str(cache))
    return {} if folder is None else AnswerCache(folder)


class recorded:  # noqa: N801 - used like a function
    """Around one check: says that it starts, and stores its finding or its error."""

    def __init__(self, title: str) -> None:
        run = current_run.get()
        self._recorder = None if run.on_plan else run.recorder  # what is only planned is no check
        self._answers = run.answers
        self._id = self._recorder.started(title) if self._recorder else ""
        self._done = False
        if self._answers is not None:
            self._answers.begin(self._id)

    def store(self, finding: Finding) -> Finding:
        """Store the finding and return it with its id."""
        self._done = True
        return self._recorder.finished(self._id, finding) if self._recorder else finding

    def __enter__(self) -> recorded:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._answers is not None:
            self._answers.end()
        if self._recorder and not self._done:
            self._recorder.failed(self._id, f"{type(error).__name__}: {error}")
