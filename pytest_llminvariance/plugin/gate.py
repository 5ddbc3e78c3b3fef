"""The gate inside a session: what --invariance-policy and --invariance-baseline say when it ends."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from pytest_llminvariance.checks.verdict import Verdict
from pytest_llminvariance.gate.comparison import Comparison, compare_runs
from pytest_llminvariance.gate.decision import PASSED, decide_gate
from pytest_llminvariance.gate.policy import Policy, read_policy
from pytest_llminvariance.records.directory import model_facts
from pytest_llminvariance.records.record import Record, from_events, load
from pytest_llminvariance.report.release import comparison_lines, gate_lines, headline


@dataclass(frozen=True, slots=True)
class SessionResult:
    """What a session's own gate found."""

    lines: tuple[tuple[str, str], ...]
    """(line, colour) for the terminal section."""
    failures: tuple[str, ...]
    """Why the session fails, one line each; empty where it does not."""


@dataclass(frozen=True, slots=True)
class SessionGate:
    """A policy and a baseline, read before anything is asked."""

    policy: Policy | None
    baseline: Record | None
    margin: Fraction
    lenient: bool
    """True where --invariance-undecided lets UNDECIDED pass, and so what could not be compared."""

    @classmethod
    def read(cls, policy: Path | None, baseline: Path | None, margin: str, undecided: str) -> SessionGate:
        """Read policy and baseline.

        Raises:
            UsageError: where one of them is missing or damaged.
        """
        return cls(
            read_policy(policy, Path()) if policy else None,
            load(baseline) if baseline else None,
            Fraction(margin),
            undecided != "fail",
        )

    def judge(
        self, records: Sequence[Mapping[str, Any]], facts: Mapping[str, Any], model: str | None, today: datetime.date
    ) -> SessionResult:
        """Return what policy and baseline say about what a session recorded; `facts` are as in `run.json`."""
        run = _session_run(records, facts, model)
        lines: list[tuple[str, str]] = []
        failures: list[str] = []
        if self.policy is not None:
            decision = decide_gate([run], self.policy, today)
            lines += gate_lines(decision)
            failures += [headline(decision)] if decision.exit_code != PASSED else []
        if self.baseline is not None:
            comparison = compare_runs(self.baseline, run, margin=self.margin)
            lines += comparison_lines(comparison)
            failures += self._compared(comparison)
        return SessionResult(tuple(lines), tuple(failures))

    def _compared(self, comparison: Comparison) -> list[str]:
        """Return why a comparison fails the session; a part of the suite may run alone, so what is gone does not."""
        name = self.baseline.name if self.baseline else ""
        counted = [item.verdict for item in comparison.checks if item.level == "block"]
        if worse := counted.count(Verdict.BROKEN):
            return [f"{worse} check(s) worse than the baseline {name}"]
        if not self.lenient and (Verdict.UNDECIDED in counted or comparison.doubts or not comparison.checks):
            return [f"not everything could be compared with the baseline {name}"]
        return []


def _session_run(records: Sequence[Mapping[str, Any]], known: Mapping[str, Any], model: str | None) -> Record:
    return from_events("this session", records, {"model": model, **known, **model_facts(records, model)})
