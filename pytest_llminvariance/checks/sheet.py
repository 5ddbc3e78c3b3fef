"""What one check asks, fixed before its first answer: the same for the run and for judging again."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from pytest_llminvariance.checks.properties import Plan, Probe, Property
from pytest_llminvariance.models.protocol import (
    Draw,
    Request,
    request_for,
)
from pytest_llminvariance.questions.presentation import Presentation


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Everything about one check that is fixed before its first answer."""

    made: Property
    metric: str
    tolerance: Fraction
    readout: str
    model: str
    fingerprint: str
    plans: tuple[Plan, ...]
    foreign: tuple[tuple[Presentation, ...], ...]
    """For each question, its presentation as written under other stems; empty where no response is needed."""
    must_differ: tuple[bool, ...]
    """For each question, whether fewer than two distinct prompts sent are no evidence."""
    delta_nats: float
    samples: int = 1
    """Sampled answers to each foreign prompt, as to each planned one."""
    seed: int = 0
    """Of the draws."""

    def planned(self, question: int) -> list[Request]:
        """Return the requests of a question's plan."""
        probes = self.plans[question].probes
        return [request_for(p.presentation, p.readout or self.readout, self._draw(p)) for p in probes]

    def strange(self, question: int) -> list[Request]:
        """Return the requests under foreign stems: stem by stem, draw by draw."""
        probes = self.plans[question].probes[: self.samples]
        shown = self.foreign[question] if self.foreign else ()
        return [request_for(part, self.readout, self._draw(probe)) for part in shown for probe in probes]

    def _draw(self, probe: Probe) -> Draw | None:
        return None if probe.draw is None else Draw(self.seed, probe.draw)
