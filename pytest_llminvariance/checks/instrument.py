"""A Likert instrument asked in several ways and both directions of its scale: every number of the published tables.

Source: Self-Assessment Tests are Unreliable Measures of LLM Personality.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from pytest_llminvariance.checks.costs import announce_asking
from pytest_llminvariance.checks.noise import delta_nats
from pytest_llminvariance.checks.run import current_run
from pytest_llminvariance.checks.subject import answers_to, model_of
from pytest_llminvariance.checks.verdict import Verdict
from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.measures import likert
from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.measures.metrics import Ends, score_ends
from pytest_llminvariance.measures.paired_tests import benjamini_hochberg, holm, permutation_p, rank_p
from pytest_llminvariance.models.protocol import AnyModel, Model, request_for, resolve_readout
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.questionnaire import Questionnaire
from pytest_llminvariance.questions.template import Template

Direction = Literal["as written", "reversed"]
DIRECTIONS: tuple[Direction, ...] = ("as written", "reversed")
MIN_SPREAD = 0.025
"""Standard deviation of the printed scores of a condition, as a share of the scale's range, below which its answers hardly depend on the item."""
FLAT = "the answers hardly depend on the item"
BY_PLACE = "a reversal leaves more positions than contents in place, and items keyed both ways hide that"
"""Why a cell earns no HOLDS."""
OPPOSED = "keys look mis-typed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TraitRow:
    """Scores of one trait in one condition, keyed towards the trait, in points of the scale."""

    model: str
    trait: str
    administration: str
    direction: Direction
    scores: likert.Summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """How much a trait score moves between two conditions."""

    kind: Literal["order", "prompt"]
    model: str
    trait: str
    before: tuple[str, Direction]
    """Administration and direction that are compared."""
    after: tuple[str, Direction]
    effect: likert.Effect
    verdict: Verdict
    reason: str
    """Why it is UNDECIDED."""
    p_permutation: float | None
    p_rank: float | None
    p_permutation_holm: float | None = None
    p_permutation_bh: float | None = None
    p_rank_holm: float | None = None
    p_rank_bh: float | None = None

    @property
    def name(self) -> str:
        """The cell in words, the same in every format."""
        if self.kind == "order":
            return f"order: {self.trait}, {self.before[0]}"
        return f"prompt: {self.trait}, {self.before[0]} -> {self.after[0]}, {self.after[1]}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptance:
    """Agreeing with everything, and what a reversal left in place."""

    model: str
    administration: str
    acquiescence: Mapping[Direction, likert.Acquiescence | None]
    kept: Mapping[str, int]
    """Items by what the reversal of the scale left in place: content, position, both, other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Consistency:
    """Cronbach's alpha of a trait, over the items that every row answered; a row is a respondent in one condition."""

    trait: str
    before: float | None
    """Of the scores as printed."""
    after: float | None
    """Of the scores with reverse-keyed items mirrored."""
    n_items: int
    n_rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentNumbers:
    """Everything that was counted."""

    name: str
    n_items: int
    models: tuple[str, ...]
    administrations: tuple[str, ...]
    scale: Ends
    margin: float
    readouts: tuple[str, ...]
    table: tuple[TraitRow, ...]
    cells: tuple[Cell, ...]
    acceptance: tuple[Acceptance, ...]
    consistency: tuple[Consistency, ...]
    warnings: tuple[str, ...]
    prompts: int


@dataclass(frozen=True, slots=True)
class _Sheet:
    """The answers of one respondent, by administration and direction, in the order of the items."""

    model: str
    answers: Mapping[tuple[str, Direction], Sequence[AnswerDistribution]]
    shown: Mapping[str, Sequence[Presentation]]
    delta_nats: float
    raw: Mapping[tuple[str, Direction], Sequence[Ends]] = field(init=False)
    """Scores as printed."""

    def __post_init__(self) -> None:
        scored = {
            condition: [
                score_ends(answer, _scores(one)) for answer, one in zip(row, self.shown[condition[0]], strict=True)
            ]
            for condition, row in self.answers.items()
        }
        object.__setattr__(self, "raw", scored)


def measure_instrument(
    models: Sequence[AnyModel],
    questionnaire: Questionnaire,
    administrations: Sequence[Template] | None,
    margin: float,
    readout: str,
) -> InstrumentNumbers:
    """Ask every item in every administration and both directions, and count.

    Raises:
        UsageError: for bad arguments, before anything is asked, or recorded answers that fit nothing.
    """
    if not isinstance(questionnaire, Questionnaire):
        raise UsageError(
            f"questionnaire is {questionnaire!r:.80}, but must be a Questionnaire (load_questionnaire reads one)"
        )
    scale = (min(questionnaire.scale.scores), max(questionnaire.scale.scores))
    if isinstance(margin, bool) or not isinstance(margin, int | float) or not 0 <= margin < scale[1] - scale[0]:
        raise UsageError(
            f"margin is {margin!r}, but must be a number of points from 0 to below {scale[1] - scale[0]:g}, the range of the scale"
        )
    ways = tuple(questionnaire.administrations() if administrations is None else administrations)
    names = [way.shown_name if isinstance(way, Template) else repr(way) for way in ways]
    if not ways or len(set(names)) < len(names) or not all(isinstance(way, Template) for way in ways):
        raise UsageError(f"administrations is {names}, but must hold one or more templates with different names")
    subjects = [model_of(model) for model in models]
    readouts = [resolve_readout(readout, subject) for subject in subjects]
    shown = {
        way.shown_name: [Presentation(question, template=way) for question in questionnaire.questions] for way in ways
    }
    with current_run.get().turn:
        asked = list(zip(subjects, _distinct([subject.name for subject in subjects]), readouts, strict=True))
        both = _in_both_directions(shown)
        requests = [(subject, [request_for(one, way) for one in both]) for subject, _, way in asked]
        announce_asking(f"instrument {questionnaire.name}", "description", *requests)
        sheets = [_ask(subject, name, shown, way) for subject, name, way in asked]
    cells = _adjusted([cell for sheet in sheets for cell in _cells(sheet, questionnaire, names, scale, float(margin))])
    consistency = tuple(_consistency(sheets, questionnaire, trait, scale) for trait in questionnaire.traits)
    return InstrumentNumbers(
        name=questionnaire.name, n_items=len(questionnaire), models=tuple(sheet.model for sheet in sheets),
        administrations=tuple(names), scale=scale, margin=float(margin), readouts=tuple(readouts),
        table=tuple(row for sheet in sheets for row in _table(sheet, questionnaire, scale)), cells=cells,
        acceptance=tuple(_acceptance(sheet, questionnaire, name, scale) for sheet in sheets for name in names),
        consistency=consistency, warnings=tuple(_warnings(sheets, questionnaire, scale, consistency)),
        prompts=len(sheets) * len(names) * len(DIRECTIONS) * len(questionnaire),
    )  # fmt: skip


def _distinct(names: Sequence[str]) -> list[str]:
    """Return names of respondents, numbered where one comes twice."""
    return [
        name if names.count(name) == 1 else f"{name} ({names[:place].count(name) + 1})"
        for place, name in enumerate(names)
    ]


Shown = Mapping[str, Sequence[Presentation]]


def _in_both_directions(shown: Shown) -> list[Presentation]:
    """Return what is asked: way by way, as written and reversed."""
    return [
        one if direction == "as written" else one.replace(order=one.order[::-1])
        for row in shown.values()
        for direction in DIRECTIONS
        for one in row
    ]


def _ask(model: Model, name: str, shown: Shown, readout: str) -> _Sheet:
    read = iter(answers_to(model, _in_both_directions(shown), readout, name))
    answers = {(way, direction): [next(read) for _ in row] for way, row in shown.items() for direction in DIRECTIONS}
    return _Sheet(name, answers, shown, delta_nats(model, readout))


def _scores(shown: Presentation) -> Sequence[float]:
    scores = shown.question.scores
    assert scores is not None  # noqa: S101 - items of a questionnaire have them
    return scores


def _keyed(ends: Ends, scale: Ends, *, mirrored: bool) -> Ends:
    whole = scale[0] + scale[1]
    return (whole - ends[1], whole - ends[0]) if mirrored else ends


def _of_trait(
    sheet: _Sheet, items: Questionnaire, scale: Ends, trait: str
) -> Mapping[tuple[str, Direction], list[Ends]]:
    """Return the keyed scores of a trait's items by condition."""
    return {
        condition: [
            _keyed(ends, scale, mirrored=item.reverse_keyed)
            for item, ends in zip(items.items, row, strict=True)
            if item.trait == trait
        ]
        for condition, row in sheet.raw.items()
    }


def _table(sheet: _Sheet, items: Questionnaire, scale: Ends) -> Iterator[TraitRow]:
    for trait in items.traits:
        for (way, direction), scores in _of_trait(sheet, items, scale, trait).items():
            yield TraitRow(
                model=sheet.model, trait=trait, administration=way, direction=direction, scores=likert.summary(scores)
            )


def _cells(sheet: _Sheet, items: Questionnaire, ways: Sequence[str], scale: Ends, margin: float) -> Iterator[Cell]:
    steps = [abs(b - a) for a, b in itertools.pairwise(items.scale.scores)]
    unit, span = min(steps), scale[1] - scale[0]
    flat = {condition for condition, row in sheet.raw.items() if _is_flat(row, span)}
    by_place = {way for way in ways if (counts := _kept(sheet, way))["position"] > counts["content"]}
    first, second = DIRECTIONS
    compared: list[tuple[Literal["order", "prompt"], tuple[str, Direction], tuple[str, Direction]]] = [
        ("order", (way, first), (way, second)) for way in ways
    ]
    compared += [("prompt", (a, to), (b, to)) for a, b in itertools.combinations(ways, 2) for to in DIRECTIONS]
    for trait in items.traits:
        scores = _of_trait(sheet, items, scale, trait)
        for kind, a, b in compared:
            found = likert.effect(scores[a], scores[b])
            verdict, reason = _verdict(found, margin)
            if verdict is Verdict.HOLDS and (
                why := FLAT if {a, b} & flat else BY_PLACE if {a[0], b[0]} & by_place else ""
            ):
                verdict, reason = Verdict.UNDECIDED, why
            yield Cell(
                kind=kind, model=sheet.model, trait=trait, before=a, after=b, effect=found,
                verdict=verdict, reason=reason, p_permutation=permutation_p(found.differences, unit, span),
                p_rank=rank_p(found.differences),
            )  # fmt: skip


def _is_flat(row: Sequence[Ends], span: float) -> bool:
    """Return whether printed scores hardly differ between items, so that nothing shows that items are read."""
    known = [low for low, high in row if low == high]
    return len(known) > 1 and statistics.pstdev(known) < MIN_SPREAD * span


def _verdict(found: likert.Effect, margin: float) -> tuple[Verdict, str]:
    """BROKEN is decided on the end nearer to 0, HOLDS on the farther one."""
    if found.low > margin or found.high < -margin:
        return Verdict.BROKEN, ""
    if -margin <= found.low <= found.high <= margin:
        return Verdict.HOLDS, ""
    return Verdict.UNDECIDED, f"open answers leave it between {found.low:+.2g} and {found.high:+.2g}"


def _adjusted(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """Return the cells with p-values adjusted over the whole table."""
    ways: Mapping[str, Callable[[Sequence[float | None]], list[float | None]]] = {
        "holm": holm,
        "bh": benjamini_hochberg,
    }
    columns: dict[str, list[Any]] = {
        f"{name}_{how}": adjust([getattr(cell, name) for cell in cells])
        for name in ("p_permutation", "p_rank")
        for how, adjust in ways.items()
    }
    return tuple(
        dataclasses.replace(cell, **{name: column[place] for name, column in columns.items()})
        for place, cell in enumerate(cells)
    )


def _acceptance(sheet: _Sheet, items: Questionnaire, way: str, scale: Ends) -> Acceptance:
    found: dict[Direction, likert.Acquiescence | None] = {}
    for direction in DIRECTIONS:
        row = list(zip(items.items, sheet.raw[way, direction], strict=True))
        minus = [_keyed(ends, scale, mirrored=True) for item, ends in row if item.reverse_keyed]
        found[direction] = likert.acquiescence([ends for item, ends in row if not item.reverse_keyed], minus)
    return Acceptance(model=sheet.model, administration=way, acquiescence=found, kept=_kept(sheet, way))


def _kept(sheet: _Sheet, way: str) -> Mapping[str, int]:
    counts = dict.fromkeys(likert.KEPT, 0)
    before, after = (sheet.answers[way, direction] for direction in DIRECTIONS)
    for shown, one, other in zip(sheet.shown[way], before, after, strict=True):
        counts[likert.kept(shown, one.outcomes(sheet.delta_nats), other.outcomes(sheet.delta_nats))] += 1
    return counts


def _consistency(sheets: Sequence[_Sheet], items: Questionnaire, trait: str, scale: Ends) -> Consistency:
    """Compute alpha before and after re-keying, over the items of a trait that no row left open."""
    rows = [row for sheet in sheets for row in sheet.raw.values()]
    chosen = [
        place
        for place, item in enumerate(items.items)
        if item.trait == trait and all(row[place][0] == row[place][1] for row in rows)
    ]
    mirrored = [items.items[place].reverse_keyed for place in chosen]
    printed = [[row[place][0] for place in chosen] for row in rows]
    keyed = [
        [
            _keyed((score, score), scale, mirrored=is_mirrored)[0]
            for score, is_mirrored in zip(row, mirrored, strict=True)
        ]
        for row in printed
    ]
    alphas = likert.cronbach_alpha(printed), likert.cronbach_alpha(keyed)
    return Consistency(trait=trait, before=alphas[0], after=alphas[1], n_items=len(chosen), n_rows=len(rows))


def _warnings(
    sheets: Sequence[_Sheet], items: Questionnaire, scale: Ends, consistency: Sequence[Consistency]
) -> Iterator[str]:
    keys = {trait: {item.reverse_keyed for item in items.items if item.trait == trait} for trait in items.traits}
    one_key = [trait for trait, found in keys.items() if len(found) == 1]
    if one_key and len({item.reverse_keyed for item in items.items}) > 1:
        yield (
            f"{', '.join(one_key)}: all items have one key, so the acquiescence index mixes agreeing with what they measure"
        )
    means = _item_means(sheets, len(items))
    for number, item in enumerate(items.items):
        group = [
            means[place]
            for place, other in enumerate(items.items)
            if place != number and (other.trait, other.reverse_keyed) == (item.trait, item.reverse_keyed)
        ]
        others, score = [mean for mean in group if mean is not None], means[number]
        if score is not None and likert.looks_mistyped(score, others, scale):
            key = "-" if item.reverse_keyed else "+"
            yield (
                f"{OPPOSED}: {item.id or item.stem!r} ({item.trait}, key {key}) is answered {score:.2g}, the other items of its key "
                f"{statistics.median(others):.2g}"
            )
    for trait in items.traits:
        for is_minus in (False, True):
            row = [
                mean
                for item, mean in zip(items.items, means, strict=True)
                if (item.trait, item.reverse_keyed) == (trait, is_minus)
            ]
            if found := likert.camps([mean for mean in row if mean is not None], scale):
                yield (
                    f"{OPPOSED}: items of {trait} with key {'-' if is_minus else '+'} are answered at both ends of the scale "
                    f"({found[0]:.2g} and {found[1]:.2g}); or the answers do not hang together"
                )
    for one in consistency:
        if len(sheets) > 2 and one.before is not None and one.after is not None and one.after < min(one.before, 0):
            yield f"{OPPOSED}: alpha of {one.trait} falls from {one.before:.2g} to {one.after:.2g} when its - items are mirrored"


def _item_means(sheets: Sequence[_Sheet], n: int) -> list[float | None]:
    """Return the mean printed score of each item over all rows that answered it."""
    rows = [row for sheet in sheets for row in sheet.raw.values()]
    known = [[row[place][0] for row in rows if row[place][0] == row[place][1]] for place in range(n)]
    return [math.fsum(scores) / len(scores) if scores else None for scores in known]
