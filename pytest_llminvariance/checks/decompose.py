"""`decompose`: how much of a model's uncertainty is about the question, and how much about the way it is asked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pytest_llminvariance.checks.check import stored
from pytest_llminvariance.checks.properties.forms import FormConsistency, decomposition
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.measures.decomposition import Decomposition
from pytest_llminvariance.models.protocol import AnyModel
from pytest_llminvariance.questions.question import Questions, as_questions, whole_names
from pytest_llminvariance.questions.template import Template
from pytest_llminvariance.transforms.base import Transform


@dataclass(frozen=True, slots=True)
class Decomposed:
    """The decomposition of each question, by its id or stem, and what could not be read."""

    questions: Mapping[str, Decomposition]
    open: tuple[str, ...]
    """Questions with an answer that may have been anything: they are in no mean."""
    prompts: int

    @property
    def total_bits(self) -> float | None:
        """Mean entropy of the mean answer; `None` where no question is known."""
        return self._mean("total_bits")

    @property
    def uncertainty_bits(self) -> float | None:
        """Mean of what the model does not know in any form."""
        return self._mean("uncertainty_bits")

    @property
    def inconsistency_bits(self) -> float | None:
        """Mean of what changes with the form."""
        return self._mean("inconsistency_bits")

    @property
    def consistency(self) -> float | None:
        """Mean form consistency, 1 where all forms give the same answer."""
        return self._mean("consistency")

    def _mean(self, name: str) -> float | None:
        values = [getattr(one, name) for one in self.questions.values()]
        return math.fsum(values) / len(values) if values else None

    def __str__(self) -> str:
        if not self.questions:
            return f"nothing to decompose: {len(self.open)} questions have open answers"
        return (
            f"entropy {self.total_bits:.3f} bits = {self.uncertainty_bits:.3f} uncertain + {self.inconsistency_bits:.3f} inconsistent; "
            f"form consistency {self.consistency:.3f} over {len(self.questions)} questions"
            + (f" ({len(self.open)} more have open answers)" if self.open else "")
        )


def decompose(
    model: AnyModel,
    questions: Questions,
    *,
    under: Transform,
    readout: str = "auto",
    template: str | Template | None = None,
    tolerance: float | None = None,
) -> Decomposed:
    """Split the entropy of answers over the forms that `under` makes: H(mean p) = mean H(p_z) + JSD, in bits.

    Outcomes are the options and everything that is none of them. A run records it as a finding: with a `tolerance` one that
    decides, as `check("forms", ...)` does; without, one that describes and blocks nothing. Costs one prompt a presentation,
    and where HOLDS is possible a few for the responsiveness guard.

    Raises:
        UsageError: for bad arguments, before anything is asked.
    """
    if not isinstance(under, Transform):
        raise UsageError(f"under is {under!r}, but must be a transform, for example Reorder() or Reword([...])")
    asked = as_questions(questions)
    if all(len(under.orbit(question, template).presentations) < 2 for question in asked):
        raise UsageError(f"{under.title} makes one form of question {asked[0].name!r}, so there is nothing to compare")
    found = stored(FormConsistency(under=under), model, asked, tolerance=tolerance, readout=readout, template=template)
    names = whole_names([item.plan.question for item in found.evidence])
    rows = dict(zip(names, map(decomposition, found.evidence), strict=True))
    known = {name: one for name, one in rows.items() if one is not None}
    return Decomposed(known, tuple(name for name in rows if name not in known), found.finding.presentations_asked)
