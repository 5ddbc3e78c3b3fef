"""What surrounds a check: seed, policy, memory of answers, and who writes findings down.

Imports nothing heavy: the plugin needs it at the start of every session.

One `ContextVar` carries it, set by the plugin around each test, by the command line, and by `with run(...)`
in a notebook. The default records nothing and remembers nothing.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from pytest_llminvariance.errors import UsageError

if TYPE_CHECKING:
    from pytest_llminvariance.engine import Memo
    from pytest_llminvariance.verdict import Finding

__all__ = ["FindingList", "Recorder", "Run", "UndecidedPolicy", "current_run", "recorded", "run"]

UndecidedPolicy = Literal["fail", "skip", "warn"]


class Recorder(Protocol):
    """Writes down that checks start, what they find, and pairs asked by a search."""

    def started(self, title: str) -> str:
        """Note that a check starts; return the id of its finding."""
        ...

    def finished(self, finding_id: str, finding: Finding) -> Finding:
        """Store a finding and return it with its id."""
        ...

    def failed(self, finding_id: str, reason: str) -> None:
        """Note that a check ended in an error of its own, without a finding."""
        ...

    def searched(self, found: bool) -> None:  # noqa: FBT001
        """Note that a pair of presentations was compared inside a search."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """Settings and memory shared by the checks of a session."""

    seed: int = 0
    undecided: UndecidedPolicy = "fail"
    recorder: Recorder | None = None
    memo: Memo | None = None
    """Answers by model and request; `None` remembers only within one check."""
    replay: str | None = None
    """The command that repeats the current test."""


current_run: ContextVar[Run] = ContextVar("llminvariance_run", default=Run())  # noqa: B039 - frozen


@dataclass(slots=True)
class FindingList:
    """A recorder that keeps findings in a list."""

    findings: list[Finding] = field(default_factory=list)
    searched_pairs: int = 0
    _count: int = 0

    def started(self, title: str) -> str:
        """Return a running number."""
        self._count += 1
        return f"{self._count}:{title}"

    def finished(self, finding_id: str, finding: Finding) -> Finding:
        """Keep the finding."""
        from dataclasses import replace

        finding = replace(finding, id=finding_id)
        self.findings.append(finding)
        return finding

    def failed(self, finding_id: str, reason: str) -> None:
        """Keep nothing: the error itself reaches the caller."""

    def searched(self, found: bool) -> None:  # noqa: ARG002, FBT001
        """Count the pair."""
        self.searched_pairs += 1


@contextlib.contextmanager
def run(*, seed: int = 0, undecided: UndecidedPolicy = "fail", recorder: Recorder | None = None) -> Iterator[Run]:
    """Give the checks inside a seed, a policy, and a memory of answers.

    For notebooks and scripts::

    with run(seed=7, recorder=(kept := FindingList())):
        assert_order_symmetric(model, questions)
    """
    if undecided not in get_args(UndecidedPolicy):
        raise UsageError(f"undecided is {undecided!r}, but must be one of {', '.join(get_args(UndecidedPolicy))}")
    made = Run(seed=seed, undecided=undecided, recorder=recorder, memo={})
    token = current_run.set(made)
    try:
        yield made
    finally:
        current_run.reset(token)


class recorded:  # noqa: N801 - used like a function
    """Around one check: says that it starts, and stores its finding or its error."""

    def __init__(self, title: str) -> None:
        self._recorder = current_run.get().recorder
        self._id = self._recorder.started(title) if self._recorder else ""
        self._done = False

    def store(self, finding: Finding) -> Finding:
        """Store the finding and return it with its id."""
        self._done = True
        return self._recorder.finished(self._id, finding) if self._recorder else finding

    def __enter__(self) -> recorded:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._recorder and not self._done:
            self._recorder.failed(self._id, f"{type(error).__name__}: {error}")
