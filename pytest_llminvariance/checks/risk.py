"""The risk that a check may spend, and why it must ask everything."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.measures.shares import check_share

DEFAULT_RISK = 0.05
"""Shared by checks that can never ask everything, where the session has no risk limit of its own."""


@dataclass(slots=True)
class ItemRisk:
    """The share of the session's risk limit that one test may spend, check after check."""

    limit: float | None
    """The session's risk limit; `None` where everything that can be asked is asked."""
    share: float = DEFAULT_RISK
    note: str = ""
    """Why the share is what it is."""
    n_checks: int = field(default=0, init=False)

    def begin(self) -> None:
        """Start another attempt: the same seed and answers give the same verdicts, so nothing is spent twice."""
        self.n_checks = 0

    def next(self) -> float:
        """Return the risk that the next check of the test may spend: the j-th gets share / (j (j + 1))."""
        self.n_checks += 1
        return check_share(self.share, self.n_checks)


class SeedLedger:
    """Remembers with which seed a suite was first asked: the best of many seeds is no evidence.

    With a folder it is kept there between sessions; several processes may append to it at once.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._file = None if folder is None else Path(folder) / "seeds.jsonl"
        self._known: dict[str, int] = {}

    def first_seed(self, suite: str, seed: int) -> int:
        """Return the seed that `suite` was first asked with: `seed`, unless another one came before."""
        self._read()
        if suite not in self._known:
            self._known[suite] = seed
            self._write(suite, seed)
        return self._known[suite]

    def _read(self) -> None:
        try:
            lines = self._file.read_text(encoding="utf-8").splitlines() if self._file else []
        except OSError:
            return
        for line in lines:
            try:
                entry = json.loads(line)
                self._known.setdefault(str(entry["suite"]), int(entry["seed"]))
            except (ValueError, TypeError, KeyError):
                continue  # a line cut off by a crash

    def _write(self, suite: str, seed: int) -> None:
        if self._file is None:
            return
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"suite": suite, "seed": seed}) + "\n")
        except OSError:
            return  # as with answers: what cannot be kept is remembered for the session


def as_risk_limit(limit: object) -> float | None:
    """Return a risk limit, or `None`.

    Raises:
        UsageError: unless it is a number above 0 and at most 0.5.
    """
    if limit is None:
        return None
    if isinstance(limit, bool) or not isinstance(limit, int | float) or not 0 < limit <= 0.5:
        raise UsageError(
            f"risk_limit is {limit!r}, but must be above 0 and at most 0.5: the largest chance of a wrong verdict"
        )
    return float(limit)
