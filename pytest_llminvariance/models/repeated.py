"""A model that is asked several times, so that what changes by itself is outvoted.

Where one answer in 25 is another one, the majority of three is so in one of 200.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.models.engine import answers_of
from pytest_llminvariance.models.kept import Wrapping
from pytest_llminvariance.models.keys import rendered
from pytest_llminvariance.models.protocol import (
    Capability,
    LabelReply,
    MissingReply,
    Model,
    OptionReply,
    Reply,
    Request,
    TextReply,
    declared,
)


@dataclass(frozen=True, slots=True)
class RepeatedModel(Wrapping):
    """Ask every prompt several times: the commonest text, or the median of each label's or option's log-probability.

    Costs `times` as many prompts. Missing answers count only where most are missing.
    """

    inner: Model
    times: int

    @property
    def name(self) -> str:
        """The inner model's name with how often it is asked."""
        return f"repeated({self.inner.name}, times={self.times})"

    @property
    def fingerprint(self) -> str:
        """The inner model's with how often it is asked."""
        return f"repeated:{self.times}({self.inner.fingerprint})"

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Those of the inner model."""
        return self.inner.capabilities

    @property
    def deterministic(self) -> object:
        """As the inner model."""
        return declared(self.inner)

    def rendered(self, request: Request) -> str | None:
        """Return the text that is sent, where the inner model tells it."""
        return rendered(self.inner, request)

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """Ask everything once, then everything again."""
        rounds = [answers_of(self.inner, requests) for _ in range(self.times)]
        return [_most_say(replies) for replies in zip(*rounds, strict=True)]


def repeated(model: Model, times: int = 3) -> RepeatedModel:
    """Return `model` asked several times a prompt: a way to HOLDS for a server whose answers change by themselves.

    Raises:
        UsageError: for an even number of times, or fewer than 3.
    """
    if isinstance(times, bool) or not isinstance(times, int) or times < 3 or times % 2 == 0:
        raise UsageError(f"times is {times!r}, but must be an odd number from 3, so that there is a majority")
    return RepeatedModel(model, times)


def _most_say(replies: Sequence[Reply]) -> Reply:
    given = [reply for reply in replies if not isinstance(reply, MissingReply)]
    n_tokens = sum(reply.n_tokens for reply in replies)
    if 2 * len(given) <= len(replies):
        gone = next(reply for reply in replies if isinstance(reply, MissingReply))
        return MissingReply(gone.reason, gone.sent_sha256, n_tokens)
    first = given[0]
    if isinstance(first, TextReply):
        texts = [reply for reply in given if isinstance(reply, TextReply)]
        text, _ = Counter(reply.text.strip() for reply in texts).most_common(1)[0]
        said = next(reply for reply in texts if reply.text.strip() == text)
        return TextReply(said.text, said.sent_sha256, n_tokens, said.ran_out)
    columns = list(zip(*(reply.logprobs_nats for reply in given if not isinstance(reply, TextReply)), strict=True))
    middle = tuple(map(statistics.median, columns))
    if isinstance(first, OptionReply):
        return OptionReply(middle, first.option_tokens, first.sent_sha256, n_tokens)
    unlisted = statistics.median(reply.unlisted for reply in given if isinstance(reply, LabelReply))
    whole = max(1.0, math.fsum(map(math.exp, middle)) + unlisted)  # medians of probabilities may sum to more than 1
    shown = tuple(value - math.log(whole) for value in middle)
    return LabelReply(shown, first.sent_sha256, n_tokens, unlisted / whole)
