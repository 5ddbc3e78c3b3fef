"""The nearest counter-example: breadth first over orders, whole distance classes as batches.

Used for messages only; what is asked here never enters a rate.
"""

from __future__ import annotations

from dataclasses import dataclass

from pytest_llminvariance.audit.metrics import flip
from pytest_llminvariance.designs import Order, adjacent_swaps, identity
from pytest_llminvariance.engine import ask, read_reply
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.evidence import make_example
from pytest_llminvariance.models.protocol import Model, check_model, request_for, resolve_readout
from pytest_llminvariance.noise import delta_nats
from pytest_llminvariance.presentation import Presentation, Template
from pytest_llminvariance.properties import Probe
from pytest_llminvariance.questions import Question
from pytest_llminvariance.runs import current_run
from pytest_llminvariance.verdict import Example

__all__ = ["Search", "find_counterexample"]

MAX_PRESENTATIONS = 200


@dataclass(frozen=True, slots=True)
class Search:
    """What a search found, and what it cost."""

    example: Example | None
    presentations_asked: int
    tokens: int


def find_counterexample(
    model: Model,
    question: Question,
    *,
    readout: str = "auto",
    template: str | Template | None = None,
    max_presentations: int = MAX_PRESENTATIONS,
    closer_than: int | None = None,
) -> Search:
    """Find an order of the options with another answer, fewest adjacent swaps first.

    Orders are asked by Kendall distance from the one as written, one distance per batch, so the first hit
    is the nearest there is. Ends without an example after `max_presentations`, or when every order nearer
    than `closer_than` swaps was asked.
    """
    if not isinstance(question, Question):
        raise UsageError(f"question is {question!r}, but must be one Question")
    way = resolve_readout(readout, check_model(model))
    memo = current_run.get().memo
    memo = {} if memo is None else memo
    written = Presentation(question, template=template)
    first = ask(model, [request_for(written, way)], memo)
    base, delta = read_reply(first.replies[0], written, way), delta_nats(model, way)
    seen: set[Order] = {written.order}
    shell: list[Order] = [identity(len(question.options))]
    asked, tokens, distance = 1, first.tokens, 0
    while asked < max_presentations and (closer_than is None or distance + 1 < closer_than):
        distance += 1
        shell = [o for o in dict.fromkeys(n for order in shell for n in adjacent_swaps(order)) if o not in seen]
        shell = shell[: max_presentations - asked]
        if not shell:
            break
        seen.update(shell)
        shown = [written.replace(order=order) for order in shell]
        found = ask(model, [request_for(presentation, way) for presentation in shown], memo)
        asked, tokens = asked + len(shell), tokens + found.tokens
        for presentation, reply in zip(shown, found.replies, strict=True):
            answer = read_reply(reply, presentation, way)
            if flip(base, answer, delta).low:
                return Search(make_example(Probe(written), base, Probe(presentation), answer, delta), asked, tokens)
    return Search(None, asked, tokens)
