"""Findings: the frozen record of one check, and the rule that decides it."""

from __future__ import annotations

import builtins
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Any, Literal, Self, TypeVar

from pytest_llminvariance.checks.cells import Cell as Cell
from pytest_llminvariance.checks.cells import Verdict as Verdict
from pytest_llminvariance.checks.cells import worst_first
from pytest_llminvariance.errors import LLMInvarianceError
from pytest_llminvariance.measures.metrics import Interval
from pytest_llminvariance.measures.noise import Limits

SCHEMA_VERSION = 2
"""Of the records that are written: since 2 the sheet of a check says how a question was shown, and its answers do not."""
READABLE_VERSIONS = (1, 2)
CERTAIN = 1e9
"""Log of the evidence where no answer to come can change the verdict: as large as JSON needs it."""
CONTRADICTIONS = "contradictions"
"""Name of the guard that counts texts which contradict themselves; reports show it beside the verdict."""
WARNING = "warning"
"""Name of the guards that say what looks wrong with the questions; reports show them beside the verdict."""
NO_LIMIT = "everything planned is asked"
"""The note of a decision that was never meant to stop early."""


ModelFrom = Literal["session", "loaded", "fixture", "test", ""]
"""Where the model of a check came from: what the session gave, what `load_model` read from files, a fixture
`invariance_model` beside the session's, or an object that test code made, which only says what it is. Empty outside of a session."""
SHOWN: dict[str, Callable[..., Any]] = {}
"""How findings are shown, by `text`, `html` and `page`: filled by the room of reports, which is above this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """A condition without which a number means nothing, with the number that was found."""

    name: str
    passed: bool | None
    """`None` where it could not be checked and nothing depends on it."""
    text: str
    """The number and its bound in words; for a guard that failed, why the verdict is withheld."""
    blocks: Literal["HOLDS", "both", "nothing"] = "HOLDS"
    needed: bool = True
    """False where it was not asked because the verdict could not depend on it: HOLDS was out of reach without it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One presentation as it was shown, and the answer as content and as shown."""

    stem: str
    options: str
    order: tuple[int, ...]
    template: str
    answer: str
    answer_label: str | None
    prompt: str
    source: str = ""
    """The presentation as Python, where `question` is the example's question."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Two presentations of one question with different answers."""

    question: str
    stem: str
    change: str
    """What was done to the first to get the second: `swap A and B`."""
    distance: tuple[int, int]
    """(changed parts, adjacent swaps)."""
    before: Shown
    after: Shown
    source: str = ""
    """The question as Python; empty where the two presentations alone do not show the failure again."""
    explanation: str = ""
    """Which single changes are enough, and which are not."""
    caveat: str = ""
    """Why a nearer example is not ruled out; empty where everything nearer was asked."""
    context: str = ""
    """What the question is about, as both presentations show it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuestionEffect:
    """The metric on one question."""

    question: str
    low: float
    high: float
    presentations: int
    causes: tuple[str, ...] = ()
    """Why the value is not exact: `tie`, `tie within the noise`, `unfinished`, `unparsed`, `number and words disagree`, `missing`, `not reached`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """How a verdict came about: everything was asked, or a test stopped early."""

    method: Literal["exhaustive", "sequential"]
    alpha: float
    """The risk that the check was given, and has spent: 0 where it was declared exhaustive."""
    n: int
    """Questions counted when it stopped."""
    n_planned: int
    """Questions of the suite, or the budget of draws."""
    log_e_holds: float | None = None
    """Log of the evidence that the mean is within the tolerance, in nats; `None` where nothing was tested."""
    log_e_broken: float | None = None
    """Log of the evidence that the mean is above the tolerance, in nats."""
    lower: float | None = None
    """Lower end of the mean, wrong with probability at most alpha; `None` where everything was asked."""
    upper: float | None = None
    """Upper end of the mean, wrong with probability at most alpha."""
    note: str = ""
    """Why it is exhaustive, or what would probably decide."""
    is_interval: bool = False
    """Whether the effect is an interval for questions like these, each end of it wrong with at most the risk alpha."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The record of one check: everything needed to print, store or compare it."""

    property: str
    title: str
    metric: str
    effect: Interval
    """The mean of the metric over questions: exact, or what ties and missing answers leave open."""
    tolerance: Fraction
    verdict: Verdict
    reasons: tuple[str, ...]
    count: str
    """The effect as counts: `9 of 23 other presentations`; empty where the metric is no share."""
    questions_asked: int
    questions_planned: int
    presentations_asked: int
    presentations_planned: int
    design: str
    """What is planned: `24 of 24 orders`."""
    plan: str
    """Identifies the plan; findings with different plans cannot be compared."""
    tokens: int
    """Tokens of the prompts, whether or not they were remembered, so that equal answers give equal bytes."""
    example: Example | None
    per_question: tuple[QuestionEffect, ...]
    guards: tuple[Guard, ...]
    details: Mapping[str, Any]
    model: str
    fingerprint: str
    readout: str
    template: str
    seed: int
    versions: Mapping[str, str]
    claim: str = "suite"
    risk_limit: float | None = None
    """The session's; `None`: everything planned was asked, so no error from sampling is possible."""
    decision: Decision | None = None
    schema_version: int = SCHEMA_VERSION
    id: str = ""
    """Made of node id, call index, attempt and worker by the session that records it."""
    scope: Literal["test", "session"] = "test"
    cells: tuple[Cell, ...] = ()
    """Its named parts, where it has any."""
    describes: bool = False
    """True where no tolerance was asked for: it is told in every report, and blocks nothing."""
    model_from: ModelFrom = ""
    """Where the model came from; a gate trusts only what test code cannot state."""
    duration_s: float | None = field(default=None, compare=False)
    """Wall time; kept out of the stored record so that equal runs give equal bytes."""

    def __str__(self) -> str:
        """Return one screen: what was found, how sure it is, and the example."""
        return str(SHOWN["text"](self)) if SHOWN else f"{self.title} {self.verdict}"

    def _repr_html_(self) -> str | None:
        """Return the same for a notebook."""
        return str(SHOWN["html"](self)) if SHOWN else None

    @builtins.property
    def is_exact(self) -> bool:
        """True where everything planned was asked and nothing was left open."""
        asked_all = self.decision is None or self.decision.method == "exhaustive"
        return asked_all and self.effect.is_exact

    def to_json(self) -> dict[str, Any]:
        """Return plain data: the same findings give the same bytes."""
        data = {item.name: getattr(self, item.name) for item in dataclasses.fields(self) if item.name != "duration_s"}
        return {name: _plain(value) for name, value in data.items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the finding that `to_json` made plain; a number is the fraction that its digits say.

        Raises:
            KeyError, TypeError, ValueError: where it is no such data.
        """
        example, decision = data["example"], data["decision"]
        parts = {
            "effect": Interval(_number(data["effect"]["low"]), _number(data["effect"]["high"])),
            "tolerance": Fraction(str(data["tolerance"])),
            "verdict": Verdict(data["verdict"]),
            "example": None if example is None else _example(example),
            "per_question": tuple(from_plain(QuestionEffect, part) for part in data["per_question"]),
            "guards": tuple(from_plain(Guard, part) for part in data["guards"]),
            "cells": tuple(
                from_plain(Cell, {**part, "verdict": Verdict(part["verdict"])}) for part in data.get("cells", ())
            ),
            "decision": None if decision is None else from_plain(Decision, decision),
        }
        return from_plain(cls, {**data, **parts})

    def summary(self) -> dict[str, Any]:
        """Return the part that fits in 16 kB whatever the suite: no per-question effects, no prompts."""
        data = self.to_json()
        for name in ("per_question", "details", "versions"):
            data.pop(name)
        data["cells"] = [{**cell, "more": {}} for cell in worst_first(data["cells"])]
        if data["example"] is not None:
            for side in ("before", "after"):
                data["example"][side].pop("prompt")
                data["example"][side].pop("source")
            data["example"].pop("source")
        return _shortened(data)


class InvarianceError(LLMInvarianceError, AssertionError):
    """A property is broken. `finding` is the record that says so, `example` what the message shows, read by `readout`."""

    def __init__(
        self, message: str, finding: Finding | None = None, example: Example | None = None, readout: str = ""
    ) -> None:
        super().__init__(message)
        self.readout = readout if finding is None else finding.readout
        self.finding = finding
        self.example = example if finding is None else finding.example


class UndecidedError(InvarianceError):
    """There is not enough evidence for a verdict, and the session's policy is to fail then."""


InvarianceError.__module__ = UndecidedError.__module__ = "pytest_llminvariance"  # as users import them


UNFINISHED = (
    "Unfinished answers ran out of tokens: raise max_new_tokens (--invariance-max-new-tokens), or turn thinking off "
    "(--invariance-chat-arg enable_thinking=false)"
)


WITHIN_NOISE = "tie within the noise"
"""The cause of an answer that would be certain if equal prompts got equal numbers."""
QUIETER = (
    "Ask more pairs (noise_floor(model, questions, pairs=500)) or more questions, or take the majority of several answers "
    "(repeated(model, 3)); a model whose answers never change by themselves can say so (deterministic = True)"
)


def decide(
    effect: Interval,
    tolerance: Fraction,
    guards: Sequence[Guard],
    causes: Mapping[str, int],
    n_answers: int,
    shown: Verdict | None = None,
    *,
    ends: Limits | None = None,
    noise: str = "",
) -> tuple[Verdict, tuple[str, ...]]:
    """Return the verdict, and the reasons where it is UNDECIDED.

    BROKEN needs the lower end above the tolerance; HOLDS the upper end within it, and every guard. `ends` are the
    tolerance as far as noise leaves it certain. Where not everything was asked, `shown` is what a test has shown at its
    risk, and stands in for the two ends.
    """
    ends = ends or Limits(broken_above=tolerance, holds_within=tolerance)
    failed = [guard for guard in guards if guard.passed is False]
    blocking = [guard.text for guard in failed if guard.blocks == "both"]
    if blocking:
        return Verdict.UNDECIDED, tuple(blocking)
    if shown is Verdict.BROKEN or (shown is None and effect.low > ends.broken_above):
        return Verdict.BROKEN, ()
    if shown is not None or effect.high <= ends.holds_within:
        left_out = (guard for guard in guards if not guard.needed and guard.blocks == "HOLDS")
        unasked = tuple(f"{guard.text}. Run it again with this tolerance" for guard in left_out)
        withheld = (*(guard.text for guard in failed if guard.blocks == "HOLDS"), *unasked)
        if withheld or shown is Verdict.UNDECIDED:
            return Verdict.UNDECIDED, withheld
        return Verdict.HOLDS, ()
    shares = ", ".join(f"{cause} {_share(count, n_answers)}" for cause, count in sorted(causes.items()))
    if noise and not effect.low <= tolerance < effect.high:
        return Verdict.UNDECIDED, (_noise_decides(effect, ends, noise),)
    return Verdict.UNDECIDED, (
        f"the effect lies between {float(effect.low):.2g} and {float(effect.high):.2g}, on both sides of the tolerance"
        + (f": {shares} of answers" if shares else "")
        + (f". {UNFINISHED}" if causes.get("unfinished") else ""),
    )


def _noise_decides(effect: Interval, ends: Limits, noise: str) -> str:
    low, high = float(effect.low), float(effect.high)
    holds = (
        f"HOLDS takes at most {float(ends.holds_within):.2g}"
        if ends.holds_within >= 0
        else "none is small enough for HOLDS"
    )
    return (
        f"noise may explain the effect of {low:.2g}{'' if low == high else f' to {high:.2g}'}: {noise}, so BROKEN takes more than "
        f"{float(ends.broken_above):.2g} and {holds}. {QUIETER}"
    )


def _share(count: int, whole: int) -> str:
    return f"{100 * count / whole:.0f}%" if whole else "0%"


def _plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return float(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(part) for part in value]
    return value


Made = TypeVar("Made")


def from_plain(kind: type[Made], data: Mapping[str, Any]) -> Made:
    """Return a dataclass from plain data, lists as tuples; what it has no field for is left out."""
    return kind(**{name: _frozen(data[name]) for name in _names(kind) if name in data})  # type: ignore[arg-type]


@cache
def _names(kind: Any) -> tuple[str, ...]:
    return tuple(item.name for item in dataclasses.fields(kind))


def _example(data: Mapping[str, Any]) -> Example:
    return from_plain(Example, {**data, **{side: from_plain(Shown, data[side]) for side in ("before", "after")}})


def _frozen(value: Any) -> Any:
    """Return plain data with tuples for lists."""
    if isinstance(value, list):
        return tuple([_frozen(part) for part in value])
    if isinstance(value, dict):
        return {name: _frozen(part) for name, part in value.items()}
    return value


def _number(value: float) -> Fraction | float:
    return Fraction(str(value)) if isinstance(value, float) else value


def _shortened(value: dict[str, Any], limit: int = 400) -> dict[str, Any]:
    return {name: _shortened_part(part, limit) for name, part in value.items()}


def _shortened_part(value: Any, limit: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= limit else value[: limit - 1] + "…"
    if isinstance(value, dict):
        return _shortened(value, limit)
    if isinstance(value, list):
        return [_shortened_part(part, limit) for part in value[:20]]
    return value
