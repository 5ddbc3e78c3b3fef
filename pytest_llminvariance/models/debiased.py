"""A model with its preference for positions taken off, estimated on a few questions.

Source: Zheng et al., Large Language Models Are Not Robust Multiple Choice Selectors. It costs one prompt a question, where
averaging over orders costs several, and is right as far as the preference is the same for every question.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from pytest_llminvariance.errors import CapabilityError, UsageError
from pytest_llminvariance.models.engine import answers_of
from pytest_llminvariance.models.kept import Wrapping
from pytest_llminvariance.models.keys import rendered
from pytest_llminvariance.models.protocol import (
    Capability,
    LabelReply,
    LabelRequest,
    Model,
    Reply,
    Request,
    declared,
    log_of,
)
from pytest_llminvariance.questions.orders import cyclic_orders
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question

Way = tuple[int, tuple[str, ...], object, object]
LEAST_NATS = -30.0
"""Log-probabilities below count as this."""


@dataclass(frozen=True, slots=True)
class DebiasedModel(Wrapping):
    """Divide by the prior of each position, as estimated over all rotations of a few questions; the mass on options stays."""

    inner: Model
    questions: tuple[Question, ...]
    priors: dict[Way, tuple[float, ...]] = field(default_factory=dict, init=False, compare=False, repr=False)
    """Log of the prior by position, for each number of options, labels, layout and template that was asked."""

    @property
    def name(self) -> str:
        """The inner model's name with the number of questions."""
        return f"debiased({self.inner.name}, on {len(self.questions)} questions)"

    @property
    def fingerprint(self) -> str:
        """The inner model's, and the questions that the prior is from."""
        hashes = ",".join(question.content_hash for question in self.questions)
        return f"debiased:{hashlib.sha256(hashes.encode()).hexdigest()[:16]}({self.inner.fingerprint})"

    @property
    def capabilities(self) -> frozenset[Capability]:
        """The prior is one of labels."""
        return frozenset({"label"})

    @property
    def deterministic(self) -> object:
        """As the inner model."""
        return declared(self.inner)

    def rendered(self, request: Request) -> str | None:
        """Return the text that is sent for a request, where the inner model tells it."""
        return rendered(self.inner, request)

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """Ask the inner model, and for the prior where these labels and this template are new."""
        for request in requests:
            if not isinstance(request, LabelRequest):
                raise CapabilityError(f"{self.name} can take a prior off labels only. Use readout='label'")
        self._estimate([request.presentation for request in requests])
        replies = answers_of(self.inner, requests)
        return [
            _without(reply, self.priors[_way(request.presentation)]) if isinstance(reply, LabelReply) else reply
            for request, reply in zip(requests, replies, strict=True)
        ]

    def prompts_for(self, k: int) -> int:
        """Return how many prompts the prior for questions of k options costs, once for each way of asking."""
        return k * sum(len(question.options) == k for question in self.questions)

    def estimation(self, one: Presentation) -> list[LabelRequest]:
        """Return what the prior of this way of asking is estimated from.

        Raises:
            UsageError: where no question has as many options.
        """
        k = len(one.order)
        asked = [question for question in self.questions if len(question.options) == k]
        if not asked:
            raise UsageError(
                f"{self.name} must show {k} options, but none of the questions that its prior is from has {k}. Give it some"
            )
        return [
            LabelRequest(
                Presentation(q, order=order, labels=one.given_labels, layout=one.layout, template=one.template)
            )
            for q in asked
            for order in cyclic_orders(k)
        ]

    def _estimate(self, shown: Sequence[Presentation]) -> None:
        new = {_way(one): one for one in shown if _way(one) not in self.priors}
        for way, one in new.items():
            self.priors[way] = _prior(answers_of(self.inner, self.estimation(one)), len(one.order))


def debiased(model: Model, questions: Sequence[Question]) -> DebiasedModel:
    """Return `model` with the prior of positions and labels taken off, estimated on `questions`.

    Raises:
        UsageError: if there is no question.
        CapabilityError: if the model gives no log-probabilities of labels.
    """
    if not questions:
        raise UsageError("questions is empty, but a prior is estimated on a few questions; 5 to 20 are usual")
    if "label" not in model.capabilities:
        raise CapabilityError(f"{model.name} gives no log-probabilities of labels, from which a prior is estimated")
    return DebiasedModel(model, tuple(questions))


def _way(shown: Presentation) -> Way:
    return len(shown.order), shown.labels, shown.layout, shown.template


def _prior(replies: Sequence[Reply], k: int) -> tuple[float, ...]:
    """Return the log prior by position: for each question the softmax of the mean over rotations, then the mean over questions."""
    shares: list[list[float]] = []
    for start in range(0, len(replies), k):
        row = [reply.logprobs_nats for reply in replies[start : start + k] if isinstance(reply, LabelReply)]
        if len(row) == k:
            shares.append(
                _softmax(
                    [math.fsum(max(value, LEAST_NATS) for value in column) / k for column in zip(*row, strict=True)]
                )
            )
    if not shares:
        raise UsageError("no question that the prior is estimated on was answered in all its rotations")
    return tuple(math.log(math.fsum(column) / len(shares)) for column in zip(*shares, strict=True))


def _softmax(logs: Sequence[float]) -> list[float]:
    top = max(logs)
    weights = [math.exp(value - top) for value in logs]
    return [weight / math.fsum(weights) for weight in weights]


def _without(reply: LabelReply, prior: Sequence[float]) -> LabelReply:
    if any(math.isnan(value) for value in reply.logprobs_nats) or max(reply.logprobs_nats) == -math.inf:
        return reply
    mass = math.fsum(math.exp(value) for value in reply.logprobs_nats)
    shares = _softmax([value - log for value, log in zip(reply.logprobs_nats, prior, strict=True)])
    logs = tuple(log_of(mass * share) for share in shares)
    return LabelReply(logs, reply.sent_sha256, reply.n_tokens, reply.unlisted)
