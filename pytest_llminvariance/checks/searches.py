"""What a search finds, as a finding: two presentations that are certainly answered differently. It says nothing of how often."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

from pytest_llminvariance.checks.verdict import Example, Finding, ModelFrom, Verdict
from pytest_llminvariance.measures.metrics import Interval
from pytest_llminvariance.models.protocol import Model
from pytest_llminvariance.models.versions import package_versions

SEARCH = "search"
"""The property of all findings of searches."""
COUNTER_EXAMPLE = "counter_example"
"""Their metric."""


def search_finding(
    title: str, example: Example, model: Model, readout: str, seed: int, model_from: ModelFrom
) -> Finding:
    """Return the finding of a counter-example; how much was compared is added by who counts it."""
    return Finding(
        property=SEARCH,
        title=f"{SEARCH}: {title}",
        metric=COUNTER_EXAMPLE,
        effect=Interval(Fraction(1), Fraction(1)),
        tolerance=Fraction(0),
        verdict=Verdict.BROKEN,
        reasons=(),
        count="",
        questions_asked=1,
        questions_planned=1,
        presentations_asked=2,
        presentations_planned=2,
        design="1 pair compared",
        plan=SEARCH,
        tokens=0,
        example=example,
        per_question=(),
        guards=(),
        details={},
        model=model.name,
        fingerprint=model.fingerprint,
        model_from=model_from,
        readout=readout,
        template=example.after.template,
        seed=seed,
        versions=package_versions(),
    )


def of_pairs(finding: Finding, n_pairs: int) -> Finding:
    """Return the finding of a search that has compared so many pairs."""
    said = f"{n_pairs:,} pair{'' if n_pairs == 1 else 's'} compared"
    return dataclasses.replace(finding, design=said, presentations_asked=2 * n_pairs)
