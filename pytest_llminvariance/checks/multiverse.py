"""`multiverse`: one number under every reasonable way of asking, so that the way which was chosen can be seen among them."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_llminvariance.checks.check import stored
from pytest_llminvariance.checks.properties.configurations import Configurations, multiverse_from
from pytest_llminvariance.measures.multiverse import ARRANGEMENTS, Arrangement, Multiverse
from pytest_llminvariance.models.protocol import AnyModel
from pytest_llminvariance.questions.question import Questions
from pytest_llminvariance.questions.template import DEFAULT_TEMPLATE, Template
from pytest_llminvariance.transforms.showing import LABEL_SETS


def multiverse(
    model: AnyModel,
    questions: Questions,
    *,
    templates: Sequence[str | Template] = (DEFAULT_TEMPLATE,),
    label_sets: Sequence[Sequence[str]] = LABEL_SETS[:2],
    orders: Sequence[Arrangement] = ARRANGEMENTS,
    readout: str = "auto",
    tolerance: float | None = None,
) -> Multiverse:
    """Ask every question in every combination of templates, orders and label sets, and compare the ways.

    With correct answers for all questions a way's score is its accuracy. Without, it is the share of questions that it
    answers as most ways together do: questions without a clear consensus are open. A run records it as a finding: with a
    `tolerance` one that decides, as `check("multiverse", ...)` does; without, one that describes and blocks nothing.
    Costs questions x templates x orders x label sets prompts, and where HOLDS is possible a few for the responsiveness guard.

    Raises:
        UsageError: for bad arguments, before anything is asked.
    """
    made = Configurations(templates=templates, label_sets=label_sets, orders=orders)
    found = stored(made, model, questions, tolerance=tolerance, readout=readout)
    return multiverse_from(found.evidence, made.settings["ways"])
