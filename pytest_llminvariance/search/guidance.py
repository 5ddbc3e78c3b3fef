"""What Hypothesis is told about an example: how near it came to another answer, and what was tried.

Does nothing outside of an example, and imports Hypothesis only where it is running already.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pytest_llminvariance.checks.examples import change_words, shown
from pytest_llminvariance.checks.refusals import in_search
from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.measures.metrics import flip
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.transforms.differences import changed_parts
from pytest_llminvariance.transforms.edits import edits_of

MARGIN = "nearest to another answer (nats; above 0 it is another)"
"""Label of the score that Hypothesis raises, as its statistics print it."""
PARTS = {
    "question": "question",
    "order": "order",
    "labels": "labels",
    "layout": "layout",
    "template": "template",
    "shots": "worked examples",
    "turns": "turns",
}
"""Parts of a presentation, as the statistics of Hypothesis name them."""
SHARPEST_NATS = 1e3
"""Bound of the score, which must be finite."""


def guide(
    a: Presentation, b: Presentation, before: AnswerDistribution, after: AnswerDistribution, delta_nats: float
) -> None:
    """Tell Hypothesis about a compared pair; once for every pair of every example.

    `target` gets the margin, so that examples near a flip are varied further; of several pairs of one example the
    largest counts. `event` feeds `--hypothesis-show-statistics`, and `note` is printed with a failing example.
    """
    if not in_search():
        return
    from hypothesis import event, note

    parts = ", ".join(_changed(a, b)) or "nothing"
    event("changed", parts)
    event("answer", _outcome(before, after, delta_nats))
    note(
        f"{change_words(a, b)}: {shown(b, after, delta_nats).answer}, as written {shown(a, before, delta_nats).answer}"
    )
    margin = margin_nats(before, after)
    if margin is not None:
        _aim(margin)


def margin_nats(before: AnswerDistribution, after: AnswerDistribution) -> float | None:
    """Return how far, in `after`, the best rival is above what `before` answered, in nats; negative where it is below.

    `None` where either answer has no log-probabilities or no single top.
    """
    if before.log_weights is None or after.log_weights is None:
        return None
    top = max(before.log_weights)
    if before.log_weights.count(top) > 1 or max(after.log_weights) == -math.inf:
        return None
    written = before.log_weights.index(top)
    rival = max(weight for content, weight in enumerate(after.log_weights) if content != written)
    return min(SHARPEST_NATS, max(-SHARPEST_NATS, rival - after.log_weights[written]))


def _changed(a: Presentation, b: Presentation) -> list[str]:
    """Return which parts of two presentations differ, in words."""
    changed = changed_parts(a, b)
    words = [said for part, said in PARTS.items() if part in changed]
    return ["text", *words[1:]] if "question" in changed and edits_of(b.question) else words


def _outcome(before: AnswerDistribution, after: AnswerDistribution, delta_nats: float) -> str:
    if flip(before, after, delta_nats).low:
        return "another"
    if len(after.outcomes(delta_nats)) > 1 or len(before.outcomes(delta_nats)) > 1:
        return "a tie" if before.is_known and after.is_known else "not readable"
    return "the same"


def _aim(margin: float) -> None:
    """Score the example; Hypothesis takes one score of a name, so a higher one of a later pair replaces the first."""
    from hypothesis import target
    from hypothesis.control import current_build_context

    data: Any = current_build_context().data
    scores: Mapping[str, float] = getattr(data, "target_observations", {})
    if MARGIN not in scores:
        target(margin, label=MARGIN)
    elif margin > scores[MARGIN]:
        data.target_observations[MARGIN] = margin
