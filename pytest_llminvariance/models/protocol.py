"""What a model is to this package: a name, a fingerprint, and answers to frozen requests.

A backend gets a whole batch of requests and returns one reply for each, in the same order. It never sees
designs, orbits or metrics. Positions in a reply are positions as shown; the way back to content is taken
by the caller.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol, runtime_checkable

from pytest_llminvariance.errors import CapabilityError, UsageError
from pytest_llminvariance.models.decision_wire import canonical, request_body
from pytest_llminvariance.questions.conversation import Message
from pytest_llminvariance.questions.presentation import Presentation

Capability = Literal["label", "option", "text", "decision"]
Readout = Literal["auto", "label", "option", "option_sum", "text", "decision"]
READOUTS: tuple[str, ...] = ("label", "option", "option_sum", "text", "decision")
REFUSAL = "refusal"
"""The readout of prompts without options: whether a generated text answers or refuses. Only properties ask by it."""
REFUSED_TEXT = "I cannot answer this question."
"""The text of a refusal that is known without its words."""


@dataclass(frozen=True, slots=True)
class LabelRequest:
    """Asks for the log-probability of each label as the first thing said."""

    presentation: Presentation
    capability: ClassVar[Capability] = "label"

    @property
    def messages(self) -> tuple[Message, ...]:
        """The chat messages to send."""
        return self.presentation.render()


@dataclass(frozen=True, slots=True)
class OptionRequest:
    """Asks for the log-likelihood of each option's text as the whole answer."""

    presentation: Presentation
    capability: ClassVar[Capability] = "option"

    @property
    def messages(self) -> tuple[Message, ...]:
        """The chat messages to send."""
        return self.presentation.render()


@dataclass(frozen=True, slots=True)
class Draw:
    """One of several sampled answers to the same prompt.

    The same seed, index and prompt give the same answer again. Another index, and another prompt, give an independent
    one: a server that takes one number as its seed is given `TextRequest.sampling_seed`, never `seed` or `index`
    alone, or all prompts share their luck and differences between them are hidden.
    """

    seed: int
    index: int
    temperature: float = 1.0


@dataclass(frozen=True, slots=True)
class TextRequest:
    """Asks for a generated answer: greedy, or sampled where `draw` says which sample."""

    presentation: Presentation
    max_new_tokens: int = 32
    draw: Draw | None = None
    capability: ClassVar[Capability] = "text"

    @property
    def sampling_seed(self) -> int | None:
        """A number of 48 bits made of seed, index and prompt; `None` where nothing is sampled."""
        if self.draw is None:
            return None
        told = f"{self.draw.seed}|{self.draw.index}|{sent_digest(self.messages)}"
        return int.from_bytes(hashlib.sha256(told.encode()).digest()[:6], "big")

    @property
    def messages(self) -> tuple[Message, ...]:
        """The chat messages to send."""
        return self.presentation.render()


@dataclass(frozen=True, slots=True)
class DecisionRequest:
    """Asks a decision model for its own probability of each option. The reply is a `LabelReply`."""

    presentation: Presentation
    capability: ClassVar[Capability] = "decision"

    @property
    def messages(self) -> tuple[Message, ...]:
        """What is sent, in the shape of System One, as one message."""
        return (Message("user", canonical(request_body(self.presentation))),)


Request = LabelRequest | OptionRequest | TextRequest | DecisionRequest


@dataclass(frozen=True, slots=True)
class LabelReply:
    """Log-probabilities (nats, over the whole vocabulary) of the labels, by position shown.

    A server that tells only its likeliest tokens leaves the rest open: then each is the least that it can be.
    Of a decision model they are those of the options; all of them minus infinity is its refusal.
    """

    logprobs_nats: tuple[float, ...]
    sent_sha256: str
    n_tokens: int = 0
    unlisted: float = 0.0
    """Probability that the model gave to what was not told: any part of it may belong to any label."""


@dataclass(frozen=True, slots=True)
class OptionReply:
    """Summed log-probabilities (nats) of the options' texts and their token counts, by position shown."""

    logprobs_nats: tuple[float, ...]
    option_tokens: tuple[int, ...]
    sent_sha256: str
    n_tokens: int = 0

    @property
    def mean_logprobs_nats(self) -> tuple[float, ...]:
        """Mean log-probability per token of each option."""
        return tuple(total / n for total, n in zip(self.logprobs_nats, self.option_tokens, strict=True))


@dataclass(frozen=True, slots=True)
class TextReply:
    """The generated text, without the prompt."""

    text: str
    sent_sha256: str
    n_tokens: int = 0
    ran_out: bool = False
    """The text ended because its tokens ran out, not because the model ended it."""


@dataclass(frozen=True, slots=True)
class MissingReply:
    """No answer: an error, a time-out, a prompt that is too long, an answer that was not recorded."""

    reason: str
    sent_sha256: str = ""
    n_tokens: int = field(default=0)


Reply = LabelReply | OptionReply | TextReply | MissingReply


@runtime_checkable
class Model(Protocol):
    """A language model under test.

    `fingerprint` must change whenever answers could change (weights, tokenizer, chat template, dtype);
    answers are remembered by it. `sent_sha256` of a reply is the digest of the bytes that were really sent,
    made where they are sent: it shows whether a transform reached the model at all.

    A model whose fingerprint, messages, labels and options as shown determine the reply may say
    `cacheable = True`: then its answers are kept between sessions (`cache`), and shared by all objects of this name
    and fingerprint. If it sends more than the messages say (a template with today's date), `rendered(request)` gives
    the text that it sends, and answers are remembered by that. Neither is part of the protocol.

    A model that gives the same reply to the same prompt whenever it is asked, and in whatever company, may say
    `deterministic = True`; then it is not asked anything twice to measure its noise. `deterministic = "rounding"` says
    that nothing but rounding moves its numbers. Where it says nothing, `cacheable = True` says it. Without either a check
    asks 59 prompts again at its start and at its end.
    """

    @property
    def name(self) -> str:
        """How to call the model in messages."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identity of everything that determines the answers."""
        ...

    @property
    def capabilities(self) -> frozenset[Capability]:
        """The kinds of request that it can answer."""
        ...

    def answer(self, requests: Sequence[Request]) -> Sequence[Reply]:
        """Return one reply per request, in the order of the requests."""
        ...


AnyModel = object
"""A model, or whatever else `wrap_model` takes: what it is shows when it is asked."""


@runtime_checkable
class StreamingModel(Model, Protocol):
    """A model that says what it has after every pass, so that nothing finished is lost and progress shows."""

    def answers(self, requests: Sequence[Request]) -> Iterator[Sequence[tuple[int, Reply]]]:
        """Yield (index of the request, reply) pairs, each request once, in any order."""
        ...


def in_order(batches: Iterable[Sequence[tuple[int, Reply]]]) -> list[Reply]:
    """Return replies that came in any order in the order of their requests."""
    replies = dict(pair for batch in batches for pair in batch)
    return [replies[index] for index in range(len(replies))]


def log_of(probability: float) -> float:
    """Return the logarithm of a probability; NaN stays NaN, and so is what is below 0."""
    return math.log(probability) if probability > 0 else -math.inf if probability == 0 else math.nan


def declared(model: Model) -> object:
    """Return what a model says of equal prompts; `cacheable` alone promises that replies are determined."""
    return getattr(model, "deterministic", getattr(model, "cacheable", False))


def only_rounds(model: Model) -> bool:
    """Return whether nothing but rounding, or nothing at all, moves the numbers of equal prompts."""
    return declared(model) in (True, "rounding")


def is_deterministic(model: Model) -> bool:
    """Return whether a model declares that equal prompts get equal replies."""
    return declared(model) is True


def resolve_readout(readout: str, model: Model) -> str:
    """Return what `auto` becomes for `model`, and check that the model can do what is asked.

    Raises:
        UsageError: for an unknown readout.
        CapabilityError: if the model lacks it; the message names readouts that work.
    """
    if readout == "auto":
        for candidate in READOUTS:
            if candidate in model.capabilities:
                return candidate
        raise CapabilityError(f"{model.name} has none of the capabilities {', '.join(READOUTS)}")
    if readout not in (*READOUTS, REFUSAL):
        raise UsageError(f"readout is {readout!r}, but must be one of auto, {', '.join(READOUTS)}")
    if capability_of(readout) not in model.capabilities:
        works = ", ".join(repr(name) for name in READOUTS if name.removesuffix("_sum") in model.capabilities)
        raise CapabilityError(f"{model.name} cannot give readout={readout!r}. These work: {works}")
    return readout


def capability_of(readout: str) -> str:
    """Return the kind of request that a readout needs."""
    return "text" if readout == REFUSAL else readout.removesuffix("_sum")


def request_for(presentation: Presentation, readout: str, draw: Draw | None = None) -> Request:
    """Return the request that reads `presentation` by `readout`; a `draw` is for texts only.

    Raises:
        UsageError: for the label readout of a presentation that shows no labels, a draw of anything but a text, or the
            decision readout of what no decision model is sent.
    """
    if draw is not None and readout != "text":
        raise UsageError(f"readout={readout!r} gives probabilities, so nothing is sampled. Use readout='text'")
    if readout == "label":
        if not presentation.shows_labels:
            raise UsageError(
                f"the layout {presentation.layout.enumerator!r} shows no labels, so answers cannot be read by label. "
                "Use readout='option', 'option_sum' or 'text', or an enumerator with {label}"
            )
        return LabelRequest(presentation)
    if readout in ("text", REFUSAL):
        return TextRequest(presentation, draw=draw)
    if readout == "decision":
        return _decision_request(presentation)
    if readout not in ("option", "option_sum"):
        raise UsageError(f"readout is {readout!r}, but a request needs one of {', '.join(READOUTS)}")
    return OptionRequest(presentation)


def _decision_request(shown: Presentation) -> DecisionRequest:
    """Refuse what would not reach the model: it is sent instructions, options, descriptions and state."""
    plain = Presentation(shown.question)
    names = ("template", "layout", "labels", "shots", "turns")
    if changed := [name for name in names if getattr(shown, name) != getattr(plain, name)]:
        raise UsageError(
            f"question {shown.question.name!r} is shown with its own {changed[0]}, which no decision model is sent: it gets "
            "instructions, options, descriptions and state. Leave that out, or change the wording with Restate or Redescribe"
        )
    return DecisionRequest(shown)


def sent_digest(messages: Sequence[Message]) -> str:
    """Return SHA-256 over messages, for models that are handed messages and not bytes."""
    data = json.dumps([[message.role, message.content] for message in messages])
    return hashlib.sha256(data.encode()).hexdigest()
