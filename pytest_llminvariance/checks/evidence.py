"""From replies to numbers: answers by content, the metric of each question, and the effect of a suite."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Literal

from pytest_llminvariance.checks.properties.base import Plan, Pooled
from pytest_llminvariance.checks.sheet import Place, Sheet
from pytest_llminvariance.checks.verdict import Decision, Guard, Verdict
from pytest_llminvariance.measures.betting import Bounds
from pytest_llminvariance.measures.distribution import AnswerDistribution, masses_of
from pytest_llminvariance.measures.metrics import DELTA_NATS, UNKNOWN, Interval, Metric, Number
from pytest_llminvariance.measures.noise import Noise
from pytest_llminvariance.measures.reading import read_reply
from pytest_llminvariance.models.probes import ways_of
from pytest_llminvariance.models.protocol import Reply
from pytest_llminvariance.questions.presentation import Presentation

NONE: frozenset[int] = frozenset()
Reach = Literal["sent", "same", "untold", "unplanned"]
"""Of a part: sent differently; the same bytes each time; fewer than two digests; no two presentations that differ in it alone."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One question, everything planned for it, and what came back."""

    plan: Plan
    answers: tuple[AnswerDistribution, ...]
    sent: tuple[str, ...]
    reach: tuple[Reach, ...] = ()
    """Whether each part of the plan reached the model."""
    repeats: frozenset[int] = frozenset()
    """Probes that were sent as the bytes of another presentation: they compare nothing, and are not counted."""
    delta_nats: float = DELTA_NATS
    """Log-probabilities closer than this are a tie: the engine's own noise."""
    stems: tuple[Presentation, ...] = ()
    """The question's presentation under each of its foreign stems; `checks/responses` asks them."""
    masses: Sequence[float] = ()
    """Probability mass on the options of each answer; NaN where it cannot be known."""

    @property
    def reached(self) -> bool:
        """False where nothing of the transform reached the model, so that its answers say nothing."""
        return "same" not in self.reach or not {"sent", "untold"}.isdisjoint(self.reach)

    @property
    def counted(self) -> tuple[int, ...]:
        """Numbers of the probes that are compared; the one as written is the first."""
        every = range(len(self.answers))
        return tuple([index for index in every if index not in self.repeats] if self.repeats else every)

    @property
    def compared(self) -> tuple[AnswerDistribution, ...]:
        """The answers that are compared."""
        counted = self.counted
        every = len(counted) == len(self.answers)
        return self.answers if every else tuple(self.answers[index] for index in counted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Everything that came back for one check, each question measured once, and where the asking ended."""

    evidence: tuple[Evidence, ...]
    values: tuple[Interval, ...]
    """The metric of each question."""
    decision: Decision
    moves: tuple[Interval, ...] = ()
    """How far each question's answer moves under foreign stems, as far as they were asked; empty where none was."""
    could: tuple[Number, ...] = ()
    """How far a model that is always right would move."""
    n_stems: int = 0
    """Foreign stems that were asked."""
    lacking: bool = False
    """True where the record that is judged does not have all that HOLDS needs of them."""
    verdict: Verdict | None = None
    """What a test has shown at its risk; `None` where everything was asked, so that numbers decide."""
    reasons: tuple[str, ...] = ()
    responsive: Bounds | None = None
    """Bounds of the movement under foreign stems; `None` where it is certain, or none was asked."""
    held_under: Fraction | None = None
    """A tolerance that a run has shown it to hold under, where a record is judged under a larger one."""
    answered_for: bool = True
    """False where the movement under foreign stems is not shown to be large enough."""
    samples: int = 1
    by_cluster: bool = False
    """Whether the unit is the cluster, which then counts once for the accuracy too."""
    tokens: int = 0
    """Of all distinct prompts, whether or not they were remembered."""
    runtime: tuple[Guard, ...] = ()
    """Guards on the engine: noise between batches, and drift while it was asked."""
    noise: Noise | None = None
    """Answers that change by themselves; `None` where none do."""
    effect: Interval | None = None
    """What they come to, and is held against the tolerance; `None` before that is computed."""
    own: Pooled | None = None
    """The property's own number, where it has one."""


def read(sheet: Sheet, number: int, row: Sequence[Reply]) -> Evidence:
    """Take the replies to one plan of a sheet back to contents, in the run and from a record alike."""
    plan = sheet.plans[number]
    k = len(plan.question.options)
    # where all are numbers, only the order counts, which needs no presentation of this question
    by_order = all(len(getattr(reply, "logprobs_nats", ())) == k for reply in row)
    answers = tuple(
        read_reply(reply, probe.presentation, probe.readout or sheet.readout)
        for probe, reply in zip(ways_of(plan.probes).probes if by_order else plan.probes, row, strict=True)
    )
    stems = sheet.foreign[number] if sheet.foreign else ()
    sent = tuple(reply.sent_sha256 for reply in row)
    repeats = repeats_of(plan, sent, [answer.status == "missing" for answer in answers])
    return Evidence(plan, answers, sent, reach_of(plan, sent), repeats, sheet.delta_nats, stems, masses_of(answers))


def reach_of(plan: Plan, sent: Sequence[str]) -> tuple[Reach, ...]:
    """Return for each part of a plan whether it reached the model; `sent` holds digests by probe, empty where unknown.

    Two prompts anywhere that differ show nothing of a part that was taken out on the way: a proxy that sorts the options
    still sends other labels. So two presentations that differ in the part alone must have been sent as different bytes.
    """
    if len(plan.parts) == 1 and _all_differ(plan, sent):
        return ("sent",)
    digests: dict[Place, set[str]] = {}
    for probe, digest in zip(ways_of(plan.probes).probes, sent, strict=True):
        digests.setdefault(probe.place, set()).update({digest} - {""})
    return tuple(_reach(digests, axis) for axis in range(len(plan.parts)))


def _all_differ(plan: Plan, sent: Sequence[str]) -> bool:
    """Return whether each of two or more presentations was sent as bytes of its own."""
    places = ways_of(plan.probes).once("places", lambda probes: len({probe.place for probe in probes}))
    return places == len(sent) == len(set(sent)) > 1 and "" not in sent


def _reach(digests: Mapping[Place, set[str]], axis: int) -> Reach:
    groups: dict[Place, list[set[str]]] = {}
    for place, known in digests.items():
        groups.setdefault((*place[:axis], *place[axis + 1 :]), []).append(known)
    compared = [group for group in groups.values() if len(group) > 1]
    told = [some for group in compared if len(some := [known for known in group if known]) > 1]
    if any(len(frozenset[str]().union(*some)) > 1 for some in told):
        return "sent"
    return "same" if told else "untold" if compared else "unplanned"


def repeats_of(plan: Plan, sent: Sequence[str], missing: Sequence[bool]) -> frozenset[int]:
    """Return the probes that were sent as the bytes of an earlier presentation, all draws of one or none.

    What is missing is never left out: nobody knows what it would have been.
    """
    if len(set(sent)) == len(sent):
        return NONE
    probes = ways_of(plan.probes).probes
    first: dict[str, Place] = {}
    repeated: dict[Place, bool] = {}
    for probe, digest, lost in zip(probes, sent, missing, strict=True):
        again = bool(digest) and not lost and first.setdefault(digest, probe.place) != probe.place
        repeated[probe.place] = again and repeated.get(probe.place, True)
    return frozenset(index for index, probe in enumerate(probes) if repeated[probe.place])


def measure_questions(evidence: Sequence[Evidence], metric: Metric) -> tuple[Interval, ...]:
    """Return the metric of each question; what did not reach the model may be anything."""
    return tuple(
        metric.measure(item.compared, item.plan.question.keyed_scores, item.delta_nats)
        if item.reached and len(item.compared) > 1
        else UNKNOWN
        for item in evidence
    )


def measured(item: Evidence, metric: Metric, *, light: bool) -> tuple[Evidence, Interval]:
    """Return evidence and its value; see `without_numbers` for `light`, which a property's own number never is."""
    (value,) = measure_questions([item], metric)
    return without_numbers(item) if light and not metric.own else item, value


def all_answers(found: Iterable[tuple[Evidence, Interval]], note: str) -> Answers:
    """Return what came back where everything was asked, as it was measured question by question."""
    both = list(found)
    n = len(both)
    return Answers(
        evidence=tuple(item for item, _ in both),
        values=tuple(value for _, value in both),
        decision=Decision(method="exhaustive", alpha=0.0, n=n, n_planned=n, note=note),
    )


def without_numbers(item: Evidence) -> Evidence:
    """Return evidence that was measured with what guards and counts still need: outcomes and mass, in a tenth of the memory.

    Answers to a question with scores are kept, as their expected scores are told; and the one as written, from which
    those under foreign stems may move.
    """
    if item.plan.question.scores is not None:
        return item
    first, *others = item.answers
    answers = (first, *(answer.without_numbers(item.delta_nats) for answer in others))
    marks: dict[str, str] = {"": ""}
    sent = tuple(marks.setdefault(digest, str(len(marks))) for digest in item.sent)
    return dataclasses.replace(item, answers=answers, sent=_shared(sent))


@lru_cache(maxsize=256)
def _shared(marks: tuple[str, ...]) -> tuple[str, ...]:
    """Return one object for equal marks: questions that are shown in the same ways mostly have the same."""
    return marks
