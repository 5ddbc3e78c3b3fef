"""What one check asks, fixed before its first answer: the same for the run and for judging again.

A sheet grows by the plans that are asked; what is on it never changes. Memory grows with the presentations on it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from pytest_llminvariance.checks.foreign_stems import ForeignStems
from pytest_llminvariance.checks.properties.base import Plan, Probe, Property
from pytest_llminvariance.models.protocol import Draw, Model, Request, request_for
from pytest_llminvariance.questions.presentation import Presentation


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """Everything about one check that is fixed before its first answer. Requests are made here and nowhere else."""

    property: Property
    metric: str
    tolerance: Fraction
    readout: str
    model: str
    fingerprint: str
    plans: tuple[Plan, ...] = ()
    foreign: tuple[tuple[Presentation, ...], ...] = ()
    """For each question, its presentation as written under other stems; empty where no response is needed."""
    must_differ: tuple[bool, ...] = ()
    """For each question, whether fewer than two distinct prompts sent are no evidence."""
    delta_nats: float
    samples: int = 1
    """Sampled answers to each foreign prompt, as to each planned one."""
    seed: int = 0
    """Of the draws."""

    def grown(self, plans: Sequence[Plan], stems: ForeignStems | None, model: Model) -> Sheet:
        """Return the sheet with more plans, under the stems that their responsiveness is asked with."""
        differ = (self.property.compares_prompts and not inside_frame(plan, model) for plan in plans)
        return dataclasses.replace(
            self,
            plans=(*self.plans, *plans),
            foreign=() if stems is None else (*self.foreign, *map(stems.under, plans)),
            must_differ=(*self.must_differ, *differ),
        )

    def planned(self, question: int) -> list[Request]:
        """Return the requests of a question's plan."""
        probes = self.plans[question].probes
        return [request_for(p.presentation, p.readout or self.readout, self._draw(p)) for p in probes]

    def foreign_requests(self, question: int) -> list[Request]:
        """Return the requests under foreign stems: stem by stem, draw by draw."""
        probes = self.plans[question].probes[: self.samples]
        shown = self.foreign[question] if self.foreign else ()
        return [request_for(part, self.readout, self._draw(probe)) for part in shown for probe in probes]

    def _draw(self, probe: Probe) -> Draw | None:
        return None if probe.draw is None else Draw(self.seed, probe.draw)


def inside_frame(plan: Plan, model: Model) -> bool:
    """Return whether invariance holds by construction for this plan: every order lies in the model's frame."""
    frame_orders = getattr(model, "frame_orders", None)
    if frame_orders is None:
        return False
    first = plan.probes[0].presentation
    same = all(probe.presentation.replace(order=first.order) == first for probe in plan.probes)
    return same and {probe.presentation.order for probe in plan.probes} <= set(frame_orders(len(first.order)))
