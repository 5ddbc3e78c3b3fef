"""The nearest counter-example: breadth first over what may be changed, whole distance classes as batches.

Used for messages only; what is asked here never enters a rate.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from pytest_llminvariance.checks.costs import announce_asking
from pytest_llminvariance.checks.examples import make_example
from pytest_llminvariance.checks.noise import delta_nats
from pytest_llminvariance.checks.run import current_run
from pytest_llminvariance.checks.subject import model_of
from pytest_llminvariance.checks.verdict import Example
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.measures.distribution import REFUSED, AnswerDistribution
from pytest_llminvariance.measures.metrics import flip
from pytest_llminvariance.measures.reading import read_reply
from pytest_llminvariance.models.engine import CHUNK, Memo, ask
from pytest_llminvariance.models.probes import Probe
from pytest_llminvariance.models.protocol import AnyModel, Model, request_for, resolve_readout
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.questions.template import Template
from pytest_llminvariance.search.explanation import explain
from pytest_llminvariance.search.spaces import Choices, Class, Space, space_under
from pytest_llminvariance.transforms.base import Transform
from pytest_llminvariance.transforms.differences import Distance, changed_parts
from pytest_llminvariance.transforms.showing import Reorder

MAX_PRESENTATIONS = 1_000

Failure = Literal["flip", "refusal"]
"""Two different contents, or an answer to one presentation and a refusal to the other."""


@dataclass(frozen=True, slots=True)
class Search:
    """What a search found, and what it cost."""

    example: Example | None
    presentation: Presentation | None
    """The nearest presentation with another answer; the example shows it beside the one as written."""
    presentations_asked: int
    """With the question as written."""
    prompt_tokens: int
    """Tokens of the prompts of these presentations, whether or not they were remembered."""
    tokens: int
    """Tokens that went through the model now; nothing for what was remembered."""
    exhausted: bool
    """True where every presentation was asked, so that there certainly is no counter-example, ties aside."""
    note: str = ""
    """Why there may be a counter-example that was not found."""


def find_counterexample(
    model: AnyModel,
    question: Question,
    *,
    under: Transform | Choices | None = None,
    budget_tokens: int | None = None,
    max_presentations: int = MAX_PRESENTATIONS,
    readout: str = "auto",
    template: str | Template | None = None,
) -> Search:
    """Find the smallest change of a question's presentation that changes the answer.

    `under` is a transform, a product of transforms (`Relabel() * Reorder()`), or `Choices` of values; by
    default any order of the options. Presentations are asked by the number of changed parts, then by
    adjacent swaps of the options (Kendall's distance), a whole class at a time; so nothing nearer than the
    first hit changes the answer. Of a class the simplest is taken, then the first declared.

    Ends without an example when everything was asked, after `max_presentations`, or before the prompts hold
    more than `budget_tokens`. The class that this cuts is named in `note`. Only a certain difference counts:
    a tie or an unreadable answer is none.

    Raises:
        UsageError: for bad arguments, before anything is asked.
        ModelError: if the model cannot answer.
    """
    if not isinstance(question, Question):
        raise UsageError(f"question is {question!r}, but must be one Question")
    under = Reorder() if under is None else under
    if not isinstance(under, Transform | Choices):
        raise UsageError(
            f"under is {under!r}, but must be a transform, a product such as Relabel() * Reorder(), or Choices(...)"
        )
    for name, limit in (("max_presentations", max_presentations), ("budget_tokens", budget_tokens)):
        if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
            raise UsageError(f"{name} is {limit!r}, but must be a whole number from 1")
    subject = model_of(model)
    way = resolve_readout(readout, subject)
    space, run = space_under(under, question, template), current_run.get()
    asker = Asker(subject, way, {} if run.memo is None else run.memo, max_presentations, budget_tokens)
    with run.turn:
        if run.on_plan is not None:
            most = itertools.islice(itertools.chain([space.start], space.presentations()), max_presentations)
            announce_asking("counter-example (search)", "search", (subject, [request_for(one, way) for one in most]))
        found = breadth_first(asker, space)
    return Search(
        None if found.presentation is None else found.record(),
        found.presentation,
        asker.presentations_asked,
        asker.prompt_tokens,
        asker.tokens,
        exhausted=found.presentation is None and not found.note,
        note=found.note,
    )


@dataclass(slots=True)
class Asker:
    """Asks presentations within a budget, and counts what it cost."""

    model: Model
    readout: str
    memo: Memo
    max_presentations: int
    budget_tokens: int | None = None
    seen: set[Presentation] = field(default_factory=set)
    """What was asked by this and earlier searches."""
    presentations_asked: int = 0
    prompt_tokens: int = 0
    tokens: int = 0
    _longest: int = 0

    @property
    def delta_nats(self) -> float:
        """Log-probabilities closer than this are a tie."""
        return delta_nats(self.model, self.readout)

    @property
    def room(self) -> int:
        """How many presentations the budget still allows, each as long as the longest so far."""
        left = self.max_presentations - self.presentations_asked
        if self.budget_tokens is not None and self._longest:
            left = min(left, (self.budget_tokens - self.prompt_tokens) // self._longest)
        return max(0, left)

    def ask(self, shown: Sequence[Presentation]) -> list[AnswerDistribution]:
        """Return the answers by content; what is remembered counts as asked, so that a repeat ends the same."""
        asked = ask(self.model, [request_for(presentation, self.readout) for presentation in shown], self.memo)
        costs = [reply.n_tokens for reply in asked.replies]
        self.presentations_asked += len(shown)
        self.seen.update(shown)
        self.prompt_tokens += sum(costs)
        self.tokens += asked.tokens
        self._longest = max([self._longest, *costs])
        return [
            read_reply(reply, presentation, self.readout)
            for reply, presentation in zip(asked.replies, shown, strict=True)
        ]


@dataclass(slots=True)
class Found:
    """What a walk through a space found."""

    written: Presentation
    before: AnswerDistribution
    presentation: Presentation | None = None
    after: AnswerDistribution | None = None
    note: str = ""
    tried: dict[Presentation, bool | None] = field(default_factory=dict)
    """Presentations with one part changed, and whether the answer differs; `None` where that is open."""
    delta_nats: float = 0.0

    def record(self) -> Example:
        """Return the record of what was found, explained from what was asked on the way."""
        assert self.presentation is not None and self.after is not None  # noqa: S101, PT018 - asked for when found
        example = make_example(Probe(self.written), self.before, Probe(self.presentation), self.after, self.delta_nats)
        words = explain(self.written, self.presentation, self.tried)
        return dataclasses.replace(example, explanation=words, caveat=self.note)

    def note_singles(self, shown: Sequence[Presentation], answers: Sequence[AnswerDistribution]) -> None:
        """Note what single changes do."""
        for presentation, answer in zip(shown, answers, strict=True):
            if len(changed_parts(self.written, presentation)) == 1:
                value = flip(self.before, answer, self.delta_nats)
                self.tried[presentation] = True if value.low else None if value.high else False

    def look(self, shown: Sequence[Presentation], answers: Sequence[AnswerDistribution], like: Failure | None) -> bool:
        """Note answers; return whether one of them is a failure of the kind `like`, and keep the first that is."""
        self.note_singles(shown, answers)
        for presentation, answer in zip(shown, answers, strict=True):
            kind = failure_of(self.before, answer, self.delta_nats)
            if kind is not None and like in (None, kind):
                self.presentation, self.after = presentation, answer
                return True
        return False


def failure_of(before: AnswerDistribution, after: AnswerDistribution, delta: float) -> Failure | None:
    """Return how two answers certainly differ, or `None`."""
    if not flip(before, after, delta).low:
        return None
    return "refusal" if REFUSED in before.outcomes(delta) | after.outcomes(delta) else "flip"


def breadth_first(asker: Asker, space: Space, *, until: Distance | None = None, like: Failure | None = None) -> Found:
    """Walk through the classes of a space that are nearer than `until`, to the first failure of the kind `like`."""
    found = Found(space.start, asker.ask([space.start])[0], delta_nats=asker.delta_nats)
    if found.before.outcomes(found.delta_nats) >= {REFUSED, *range(found.before.k)}:
        found.note = "the answer to the question as written is open, so that no other answer certainly differs"
        return found
    for part in space.classes():
        if until is not None and part.distance >= until:
            return found
        if _ask_class(asker, found, part, like) or found.note:
            return found
    if not space.is_whole:
        found.note = f"only the first {len(space.frames):,} ways to show the question were searched, with their orders"
    return found


def _ask_class(asker: Asker, found: Found, part: Class, like: Failure | None) -> bool:
    """Ask a class, as far as the budget goes; a large one pass by pass, up to the first failure."""
    n_asked = 0
    while room := min(CHUNK, asker.room):
        shown = list(itertools.islice(part.presentations, room))
        if not shown:
            return False
        n_asked += len(shown)
        if found.look(shown, asker.ask(shown), like):
            return True
    if next(part.presentations, None) is not None:
        found.note = f"of {part.size:,} presentations {_away(part.distance)} {n_asked:,} were asked, and none beyond"
    return False


def _away(far: Distance) -> str:
    parts = f"with {far.changed_parts} change{'' if far.changed_parts == 1 else 's'}"
    swaps = f"{far.adjacent_swaps} adjacent swap{'' if far.adjacent_swaps == 1 else 's'}"
    return f"{parts}, {swaps} among them," if far.adjacent_swaps else parts
