"""From a reply to contents: the one place where the way back from positions and labels is taken."""

from __future__ import annotations

from pytest_llminvariance.errors import ModelError
from pytest_llminvariance.measures.distribution import AnswerDistribution, AnswerStatus
from pytest_llminvariance.measures.parsing import Outcome, parse_choice
from pytest_llminvariance.models.protocol import (
    LabelReply,
    MissingReply,
    Reply,
    TextReply,
)
from pytest_llminvariance.questions.presentation import Presentation

STATUS_OF: dict[Outcome, AnswerStatus] = {
    Outcome.REFUSED: "refused",
    Outcome.UNFINISHED: "unfinished",
    Outcome.UNPARSED: "unparsed",
}


MAX_SAID = 200


def read_reply(reply: Reply, presentation: Presentation, readout: str) -> AnswerDistribution:
    """Return what a reply says about contents: the one place where the way back is taken."""
    k = len(presentation.order)
    if isinstance(reply, MissingReply):
        return AnswerDistribution.nothing(k, "missing", said=reply.reason)
    if isinstance(reply, TextReply):
        parsed = parse_choice(
            reply.text,
            labels=presentation.labels,
            options=presentation.shown_options,
            stem=presentation.question.stem,
            ran_out=reply.ran_out,
        )
        if parsed.position is not None:
            return AnswerDistribution.chosen(presentation.order[parsed.position], k, parsed.reading)
        return AnswerDistribution.nothing(k, STATUS_OF[parsed.outcome], parsed.reading, reply.text[:MAX_SAID])
    if len(reply.logprobs_nats) != k:
        raise ModelError(
            f"a reply has {len(reply.logprobs_nats)} values for {k} options of question {presentation.question.name!r}"
        )
    if isinstance(reply, LabelReply):
        return AnswerDistribution.from_label_logprobs(reply.logprobs_nats, presentation.order)
    scores = reply.logprobs_nats if readout == "option_sum" else reply.mean_logprobs_nats
    return AnswerDistribution.from_option_scores(scores, presentation.order)
