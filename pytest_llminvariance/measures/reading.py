"""From a reply to contents: the one place where the way back from positions and labels is taken."""

from __future__ import annotations

import math

from pytest_llminvariance.errors import ModelError
from pytest_llminvariance.measures.distribution import AnswerDistribution, AnswerStatus
from pytest_llminvariance.measures.parsing import Outcome, parse_choice, parse_refusal
from pytest_llminvariance.models.protocol import (
    REFUSAL,
    LabelReply,
    MissingReply,
    OptionReply,
    Reply,
    TextReply,
)
from pytest_llminvariance.questions.presentation import Presentation

STATUS_OF: dict[Outcome, AnswerStatus] = {
    Outcome.REFUSED: "refused",
    Outcome.UNFINISHED: "unfinished",
    Outcome.UNPARSED: "unparsed",
}


NO_LABEL = "label\ue000{}"
"""Stands for a label where none is shown; no text holds it."""
ANSWERED, REFUSED = 0, 1
"""Contents of a prompt without options."""
MAX_SAID = 200


def read_reply(reply: Reply, presentation: Presentation, readout: str) -> AnswerDistribution:
    """Return what a reply says about contents: the one place where the way back is taken."""
    k = len(presentation.order)
    if isinstance(reply, LabelReply | OptionReply):  # nearly all of them
        return _of_numbers(reply, presentation, readout)
    if isinstance(reply, MissingReply):
        return AnswerDistribution.nothing(k, "missing", said=reply.reason)
    if readout == REFUSAL:
        return _answered_or_refused(reply, k)
    # without options there are no labels either: an article is no choice of A
    labels = [NO_LABEL.format(n) for n in range(k)] if presentation.template.open else presentation.labels
    parsed = parse_choice(
        reply.text,
        labels=labels,
        options=presentation.shown_options,
        stem=presentation.question.stem,
        ran_out=reply.ran_out,
    )
    if parsed.position is not None:
        return AnswerDistribution.chosen(presentation.order[parsed.position], k, parsed.reading)
    return AnswerDistribution.nothing(k, STATUS_OF[parsed.outcome], parsed.reading, reply.text[:MAX_SAID])


def _of_numbers(reply: LabelReply | OptionReply, presentation: Presentation, readout: str) -> AnswerDistribution:
    k = len(presentation.order)
    if len(reply.logprobs_nats) != k:
        raise ModelError(
            f"a reply has {len(reply.logprobs_nats)} values for {k} options of question {presentation.question.name!r}"
        )
    if readout == "decision" and max(reply.logprobs_nats) == -math.inf:
        return AnswerDistribution.nothing(k, "refused")
    if isinstance(reply, LabelReply):
        return AnswerDistribution.from_label_logprobs(reply.logprobs_nats, presentation.order, reply.unlisted)
    scores = reply.logprobs_nats if readout == "option_sum" else reply.mean_logprobs_nats
    return AnswerDistribution.from_option_scores(scores, presentation.order)


def _answered_or_refused(reply: TextReply, k: int) -> AnswerDistribution:
    parsed = parse_refusal(reply.text, ran_out=reply.ran_out)
    if parsed.outcome is Outcome.REFUSED:
        return AnswerDistribution.chosen(REFUSED, k, parsed.reading)
    if parsed.outcome is Outcome.CHOSEN:
        return AnswerDistribution.chosen(ANSWERED, k, parsed.reading)
    return AnswerDistribution.nothing(k, STATUS_OF[parsed.outcome], parsed.reading)
