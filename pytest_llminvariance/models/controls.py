"""Controls: fake models whose truth is known, to test a check with.

Each is a rule from a presentation to probabilities by position. They answer every kind of request, see no
more than what is shown (the oracle also knows the correct answer), and are deterministic: noise is drawn
from a hash of the prompt.
"""

from __future__ import annotations

import hashlib
import inspect
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.models.protocol import (
    Capability,
    DecisionRequest,
    LabelReply,
    LabelRequest,
    MissingReply,
    OptionReply,
    Reply,
    Request,
    TextReply,
    TextRequest,
    log_of,
    sent_digest,
)
from pytest_llminvariance.models.sorting_proxy import SortingProxy as SortingProxy
from pytest_llminvariance.models.sorting_proxy import sorting_proxy as sorting_proxy
from pytest_llminvariance.models.wordings import by_elimination, in_another_language, only_rejections, with_thoughts
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.references import claims

REFUSAL = "I'm sorry, but I cannot answer that."
GARBAGE = "!!!!!!!!"
"""What is written where every score is NaN."""
Respond = Callable[[Presentation], Sequence[float]]
Word = Callable[[Presentation, int], str]


@dataclass(frozen=True, slots=True)
class Control:
    """A fake model. `respond` gives probabilities by position; what is missing to 1 goes to no option."""

    name: str
    respond: Respond
    capabilities: frozenset[Capability] = frozenset({"label", "option", "text", "decision"})
    write: Respond | None = None
    """Gives what it writes, where that is not what its probabilities say."""
    word: Word | None = None
    """Puts the choice of a position into words; without it the label alone is written."""
    deterministic: ClassVar[bool] = True

    def __repr__(self) -> str:
        return f"<control {self.name}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: FBT001 - as Hypothesis calls it
        del cycle
        printer.text(repr(self))

    @property
    def fingerprint(self) -> str:
        """The name: a control has no weights."""
        return f"control:{self.name}"

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer by rule."""
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        sent = sent_digest(request.messages)
        n_tokens = sum(len(message.content.split()) for message in request.messages)
        if isinstance(request, TextRequest):
            written = (self.write or self.respond)(request.presentation)
            return self._text(request, written, sent, n_tokens)
        probabilities = self.respond(request.presentation)
        logprobs = tuple(map(log_of, probabilities))
        if isinstance(request, LabelRequest | DecisionRequest):
            return LabelReply(logprobs, sent, n_tokens)
        if all(p == 0 for p in probabilities):
            return MissingReply("refuses to say any option", sent, n_tokens)
        return OptionReply(logprobs, (1,) * len(logprobs), sent, n_tokens)

    def _text(self, request: TextRequest, probabilities: Sequence[float], sent: str, n_tokens: int) -> TextReply:
        """Write the choice; a word is a token, and what is over the limit is cut off."""
        if any(map(math.isnan, probabilities)):
            text = GARBAGE
        elif (position := _position(request, probabilities)) is None:
            text = REFUSAL
        else:
            shown = request.presentation
            text = shown.labels[position] if self.word is None else self.word(shown, position)
        tokens = re.findall(r"\S+\s*", text)
        return TextReply(
            "".join(tokens[: request.max_new_tokens]), sent, n_tokens, ran_out=len(tokens) > request.max_new_tokens
        )


def _position(request: TextRequest, probabilities: Sequence[float]) -> int | None:
    """Return the likeliest position, or the sampled one; what is missing to 1 is a refusal."""
    draw = request.draw
    if draw is None:
        best = max(probabilities)
        return list(probabilities).index(best) if best > 0 else None
    point = _unit(f"{draw.seed}|{draw.index}|{draw.temperature}|{_prompt(request.presentation)}")
    for position, probability in enumerate(probabilities):
        point -= probability
        if point < 0:
            return position
    return None


def always_first() -> Control:
    """Always the option shown first."""
    return Control("always_first", lambda p: _peak(len(p.order), 0))


def always_last() -> Control:
    """Always the option shown last."""
    return Control("always_last", lambda p: _peak(len(p.order), len(p.order) - 1))


def always_label(label: str = "A") -> Control:
    """Always says one label; where it is not shown, that is no answer."""
    return Control(
        f"always_label({label})",
        lambda p: _peak(len(p.order), p.labels.index(label)) if label in p.labels else (0.0,) * len(p.order),
    )


def oracle() -> Control:
    """Content-fixed: the correct answer where one is known, else a content that depends on the question."""
    return Control("oracle", lambda p: _content(p, _favourite(p)))


def wrong_oracle() -> Control:
    """Content-fixed and always wrong where the correct answer is known."""
    return Control("wrong_oracle", lambda p: _content(p, _wrong(p)))


def literal_reader() -> Control:
    """Knows what is right, and takes options at their word as shown: "Both A and B" means what stands under A and B now."""

    def respond(p: Presentation) -> Sequence[float]:
        said, favourite = claims(Presentation(p.question))[_favourite(p)], _favourite(p)
        right = frozenset({favourite}) if said is None else said
        now = claims(p)
        fitting = [content for content, claim in zip(p.order, now, strict=True) if claim == right]
        part = [content for content, claim in zip(p.order, now, strict=True) if claim and claim <= right]
        return _content(p, (sorted(fitting) or part or [favourite])[0])

    return Control("literal_reader", respond)


def stem_blind() -> Control:
    """Never reads the stem: the alphabetically first option."""
    return Control("stem_blind", lambda p: _content(p, p.question.options.index(min(p.question.options))))


def content_blind() -> Control:
    """Random position, but fixed by a hash of the prompt."""
    return Control("content_blind", lambda p: _peak(len(p.order), _draw(len(p.order), _prompt(p))))


def refuser() -> Control:
    """Refuses every question."""
    return Control("refuser", lambda p: (0.0,) * len(p.order))


def uniform() -> Control:
    """Gives every option the same probability."""
    return Control("uniform", lambda p: (1 / len(p.order),) * len(p.order))


def jitter(noise_nats: float = 1e-6) -> Control:
    """Uniform up to noise that depends on the prompt: its top option is an accident."""

    def respond(p: Presentation) -> Sequence[float]:
        weights = [math.exp(noise_nats * _unit(_prompt(p), position)) for position in range(len(p.order))]
        return [weight / sum(weights) for weight in weights]

    return Control(f"jitter({noise_nats:g})", respond)


def tie_maker() -> Control:
    """Gives the first two contents exactly the same, highest probability."""

    def respond(p: Presentation) -> Sequence[float]:
        rest = 0.1 / max(1, len(p.order) - 2)
        return [0.45 if content < 2 else rest for content in p.order]

    return Control("tie_maker", respond)


def position_prior(b_nats: float = 0.5) -> Control:
    """Content-fixed with a margin of 1 nat, plus `b_nats` for whatever is shown first."""
    return Control(f"position_prior({b_nats:g})", lambda p: _biased(p, 0, b_nats))


def label_prior(b_nats: float = 0.5, label: str = "A") -> Control:
    """Content-fixed with a margin of 1 nat, plus `b_nats` for the option under `label`."""
    return Control(
        f"label_prior({b_nats:g})",
        lambda p: _biased(p, p.labels.index(label) if label in p.labels else None, b_nats),
    )


def acquiescent(a: float = 0.8) -> Control:
    """Agrees with statements: mass `a` on the highest score, the rest on its content-fixed answer."""

    def respond(p: Presentation) -> Sequence[float]:
        scores = p.question.scores
        fixed = _content(p, _favourite(p))
        if scores is None:
            return fixed
        agree = _content(p, scores.index(max(scores)))
        return [a * x + (1 - a) * y for x, y in zip(agree, fixed, strict=True)]

    return Control(f"acquiescent({a:g})", respond)


def noisy(e: float = 0.3) -> Control:
    """Content-fixed, but in a share `e` of prompts another content, drawn from the prompt's hash."""

    def respond(p: Presentation) -> Sequence[float]:
        k, best = len(p.order), _favourite(p)
        if _unit(_prompt(p), "noise") < e:
            best = (best + 1 + _draw(k - 1, _prompt(p))) % k
        return _content(p, best)

    return Control(f"noisy({e:g})", respond)


def prompt_sensitive() -> Control:
    """Another content for other instructions; blind to the order of options."""
    return Control(
        "prompt_sensitive",
        lambda p: _content(p, (_favourite(p) + _draw(2, p.template.text)) % len(p.order)),
    )


def pair_order_sensitive() -> Control:
    """Content-fixed, unless content 1 is shown before content 0."""

    def respond(p: Presentation) -> Sequence[float]:
        turned = p.position_of(1) < p.position_of(0)
        return _content(p, (_favourite(p) + turned) % len(p.order))

    return Control("pair_order_sensitive", respond)


def adjacency_sensitive() -> Control:
    """Content-fixed, unless content 1 stands directly before content 0."""

    def respond(p: Presentation) -> Sequence[float]:
        touching = p.position_of(1) + 1 == p.position_of(0)
        return _content(p, (_favourite(p) + touching) % len(p.order))

    return Control("adjacency_sensitive", respond)


def two_faced() -> Control:
    """Content-fixed by probability, and writes another content."""
    return Control("two_faced", lambda p: _content(p, _favourite(p)), write=lambda p: _content(p, _other(p)))


def reasoning(thought_words: float = 20) -> Control:
    """Content-fixed; writes a thought of so many words before its answer. A word is a token, and 32 are the usual limit."""
    return _writer(f"reasoning({thought_words:g})", partial(with_thoughts, n_words=int(thought_words)))


def eliminating() -> Control:
    """Content-fixed; rejects every other option before it says its answer."""
    return _writer("eliminating", by_elimination)


def only_eliminating() -> Control:
    """Content-fixed; rejects every other option, and never says what is left."""
    return _writer("only_eliminating", only_rejections)


def polyglot() -> Control:
    """Content-fixed; answers each question in one of several languages."""
    return _writer("polyglot", in_another_language)


def nan_scores(share: float = 1.0) -> Control:
    """Content-fixed, but in a share of prompts every score is NaN, as after an overflow in half precision."""

    def respond(p: Presentation) -> Sequence[float]:
        lost = _unit(_prompt(p), "nan") < share
        return (math.nan,) * len(p.order) if lost else _content(p, _favourite(p))

    return Control(f"nan_scores({share:g})", respond)


CONTROLS: dict[str, Callable[..., Control]] = {
    make.__name__: make
    for make in (
        always_first,
        always_last,
        always_label,
        oracle,
        wrong_oracle,
        literal_reader,
        stem_blind,
        content_blind,
        refuser,
        uniform,
        jitter,
        tie_maker,
        position_prior,
        label_prior,
        acquiescent,
        noisy,
        prompt_sensitive,
        pair_order_sensitive,
        adjacency_sensitive,
        two_faced,
        reasoning,
        eliminating,
        only_eliminating,
        polyglot,
        nan_scores,
    )
}


def control(name: str) -> Control:
    """Return the control called `NAME` or `NAME=VALUE`, as in `noisy=0.1`."""
    head, _, value = name.partition("=")
    if head not in CONTROLS:
        raise UsageError(f"there is no control {head!r}; the controls are {', '.join(CONTROLS)}")
    if not value:
        return CONTROLS[head]()
    if not inspect.signature(CONTROLS[head]).parameters:
        raise UsageError(f"control {head!r} takes no value, but was given {value!r}. Write control:{head}")
    try:
        return CONTROLS[head](value if head == "always_label" else float(value))
    except (TypeError, ValueError) as error:
        raise UsageError(f"control {head!r} cannot be made with {value!r}: {error}") from error


def _peak(k: int, position: int, height: float = 0.9) -> list[float]:
    return [height if index == position else (1 - height) / (k - 1) for index in range(k)]


def _content(p: Presentation, content: int) -> list[float]:
    return _peak(len(p.order), p.position_of(content))


def _favourite(p: Presentation) -> int:
    """Return the correct content, or one that depends on stem, context and the set of options only."""
    question = p.question
    if question.answer is not None:
        return question.answer
    about = f"{question.context}\x1f{question.stem}"
    ranked = [hashlib.sha256(f"{about}\x1f{option}".encode()).digest() for option in question.options]
    return ranked.index(max(ranked))


def _writer(name: str, word: Word) -> Control:
    """Return a content-fixed control that answers in words only."""
    return Control(name, lambda p: _content(p, _favourite(p)), frozenset({"text"}), word=word)


def _wrong(p: Presentation) -> int:
    best = _favourite(p)
    return best if p.question.answer is None else (best + 1) % len(p.order)


def _other(p: Presentation) -> int:
    return (_favourite(p) + 1) % len(p.order)


def _biased(p: Presentation, position: int | None, b_nats: float) -> list[float]:
    weights = [math.exp((content == _favourite(p)) + b_nats * (at == position)) for at, content in enumerate(p.order)]
    return [weight / sum(weights) for weight in weights]


def _prompt(p: Presentation) -> str:
    return sent_digest(p.render())


def _unit(*seed: object) -> float:
    digest = hashlib.sha256("\x1f".join(map(str, seed)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _draw(n: int, *seed: object) -> int:
    return int(_unit(*seed) * n)
