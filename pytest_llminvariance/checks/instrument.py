"""A Likert instrument asked in several ways and both directions of its scale: every number of the published tables.

Source: Self-Assessment Tests are Unreliable Measures of LLM Personality.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pytest_llminvariance.checks.cells import Cell
from pytest_llminvariance.measures import likert
from pytest_llminvariance.measures.metrics import Ends, score_ends
from pytest_llminvariance.measures.paired_tests import benjamini_hochberg, holm, permutation_p, rank_p
from pytest_llminvariance.questions.questionnaire import Item

Direction = Literal["as written", "reversed"]
Condition = tuple[str, Direction]
"""Administration and direction."""
DIRECTIONS: tuple[Direction, ...] = ("as written", "reversed")
MIN_SPREAD = 0.025
"""Standard deviation of the printed scores of a condition, as a share of the scale's range, below which its answers hardly depend on the item."""
FLAT = "the answers hardly depend on the item"
BY_PLACE = "a reversal leaves more positions than contents in place, and items keyed both ways hide that"
"""Why a cell earns no HOLDS."""
OPPOSED = "keys look mis-typed"
TITLES: Mapping[str, str] = {
    "cells": "Order and prompt cells",
    "table": "Trait scores",
    "acceptance": "Acquiescence, and what a reversal left in place",
    "consistency": "Internal consistency (Cronbach's alpha) before and after re-keying",
}
"""Of the parts of the published tables."""
Rows = list[dict[str, Any]]
P_VALUES = ("p_permutation", "p_permutation_holm", "p_permutation_bh", "p_rank", "p_rank_holm", "p_rank_bh")


@dataclass(frozen=True, slots=True, kw_only=True)
class TraitRow:
    """Scores of one trait in one condition, keyed towards the trait, in points of the scale."""

    model: str
    trait: str
    administration: str
    direction: Direction
    scores: likert.Summary


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
    """Everything that was counted; cells are not decided here."""

    table: tuple[TraitRow, ...]
    cells: tuple[Cell, ...]
    acceptance: tuple[Acceptance, ...]
    consistency: tuple[Consistency, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Respondent:
    """What one respondent answered, by administration and direction, in the order of the items."""

    model: str
    items: tuple[Item, ...]
    points: Sequence[float]
    """The scores of the scale."""
    raw: Mapping[Condition, Sequence[Ends]]
    """Scores as printed."""
    kept: Mapping[str, Mapping[str, int]]
    """By administration: items by what the reversal left in place."""

    @property
    def scale(self) -> Ends:
        """The ends of the scale."""
        return min(self.points), max(self.points)

    @property
    def traits(self) -> tuple[str, ...]:
        """The traits, in the order of their first item."""
        return tuple(dict.fromkeys(item.trait for item in self.items))


def respondent(model: str, evidence: Sequence[Any]) -> Respondent:
    """Return what a model answered: of each item each administration, as written and then reversed."""
    first = evidence[0].plan
    ways = [probe.presentation.template.shown_name for probe in first.probes[::2]]
    conditions: list[Condition] = [(way, direction) for way in ways for direction in DIRECTIONS]
    points = first.question.scores or ()
    raw: dict[Condition, list[Ends]] = {condition: [] for condition in conditions}
    kept = {way: dict.fromkeys(likert.KEPT, 0) for way in ways}
    for item in evidence:
        for number, condition in enumerate(conditions):
            is_known = item.reached and number not in item.repeats
            raw[condition].append(score_ends(item.answers[number], points, item.delta_nats, known=is_known))
        seen = [answer.outcomes(item.delta_nats) for answer in item.answers]
        for number, way in enumerate(ways):
            shown = item.plan.probes[2 * number].presentation
            kept[way][likert.kept(shown.order, *seen[2 * number : 2 * number + 2])] += 1
    rows = [item.plan.question for item in evidence]
    items = tuple(
        Item(row.stem, str(row.attributes["trait"]), reverse_keyed=row.reverse_keyed, id=row.id) for row in rows
    )
    return Respondent(model=model, items=items, points=points, raw=raw, kept=kept)


def instrument_numbers(all_of_them: Sequence[Respondent], cells: Sequence[Cell] = ()) -> InstrumentNumbers:
    """Return every number of respondents to the same items; p-values are adjusted over all cells, or over those given."""
    first = all_of_them[0]
    consistency = tuple(_consistency(all_of_them, trait) for trait in first.traits)
    return InstrumentNumbers(
        table=tuple(row for one in all_of_them for row in _table(one)),
        cells=_adjusted(cells or [cell for one in all_of_them for cell in _cells(one)]),
        acceptance=tuple(_acceptance(one, way) for one in all_of_them for way in one.kept),
        consistency=consistency,
        warnings=tuple(_warnings(all_of_them, consistency)),
    )


def moves(one: Respondent) -> list[Ends]:
    """Return for each item how far its score moves at most over all comparisons, certainly and possibly, as a share of the range."""
    span, found = one.scale[1] - one.scale[0], []
    for place in range(len(one.items)):
        low = high = 0.0
        for _, before, after in _compared(one):
            a, b = one.raw[before][place], one.raw[after][place]
            low, high = max(low, b[0] - a[1], a[0] - b[1]), max(high, b[1] - a[0], a[1] - b[0])
        found.append((low / span, high / span))
    return found


def _keyed(ends: Ends, scale: Ends, *, mirrored: bool) -> Ends:
    whole = scale[0] + scale[1]
    return (whole - ends[1], whole - ends[0]) if mirrored else ends


def _of_trait(one: Respondent, trait: str) -> Mapping[Condition, list[Ends]]:
    """Return the keyed scores of a trait's items by condition."""
    return {
        condition: [
            _keyed(ends, one.scale, mirrored=item.reverse_keyed)
            for item, ends in zip(one.items, row, strict=True)
            if item.trait == trait
        ]
        for condition, row in one.raw.items()
    }


def _table(one: Respondent) -> Iterator[TraitRow]:
    for trait in one.traits:
        for (way, direction), scores in _of_trait(one, trait).items():
            yield TraitRow(
                model=one.model, trait=trait, administration=way, direction=direction, scores=likert.summary(scores)
            )


def _compared(one: Respondent) -> list[tuple[Literal["order", "prompt"], Condition, Condition]]:
    """Return the pairs of conditions: order cells, then prompt cells."""
    first, second = DIRECTIONS
    ways = tuple(one.kept)
    found: list[tuple[Literal["order", "prompt"], Condition, Condition]] = [
        ("order", (way, first), (way, second)) for way in ways
    ]
    return found + [("prompt", (a, to), (b, to)) for a, b in itertools.combinations(ways, 2) for to in DIRECTIONS]


def _cells(one: Respondent) -> Iterator[Cell]:
    unit, span = min(abs(b - a) for a, b in itertools.pairwise(one.points)), one.scale[1] - one.scale[0]
    flat = {condition for condition, row in one.raw.items() if _is_flat(row, span)}
    by_place = {way for way, counts in one.kept.items() if counts["position"] > counts["content"]}
    for trait in one.traits:
        scores = _of_trait(one, trait)
        for kind, a, b in _compared(one):
            found = likert.effect(scores[a], scores[b])
            why = FLAT if {a, b} & flat else BY_PLACE if {a[0], b[0]} & by_place else ""
            name = f"order: {trait}, {a[0]}" if kind == "order" else f"prompt: {trait}, {a[0]} -> {b[0]}, {b[1]}"
            yield Cell(
                name=name, value=found.mean, low=found.low, high=found.high, unit="points", whole=span, reason=why,
                more={
                    "model": one.model, "kind": kind, "trait": trait, "before": ", ".join(a), "after": ", ".join(b),
                    "pairs": len(found.differences), "p_permutation": permutation_p(found.differences, unit, span),
                    "p_rank": rank_p(found.differences),
                },
            )  # fmt: skip


def _is_flat(row: Sequence[Ends], span: float) -> bool:
    """Return whether printed scores hardly differ between items, so that nothing shows that items are read."""
    known = [low for low, high in row if low == high]
    return len(known) > 1 and statistics.pstdev(known) < MIN_SPREAD * span


def _adjusted(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """Return the cells with p-values adjusted over the whole table."""
    ways: Mapping[str, Callable[[Sequence[float | None]], list[float | None]]] = {
        "holm": holm,
        "bh": benjamini_hochberg,
    }
    columns: dict[str, list[Any]] = {
        f"{name}_{how}": adjust([cell.more[name] for cell in cells])
        for name in ("p_permutation", "p_rank")
        for how, adjust in ways.items()
    }
    return tuple(
        dataclasses.replace(cell, more={**cell.more, **{name: column[place] for name, column in columns.items()}})
        for place, cell in enumerate(cells)
    )


def _acceptance(one: Respondent, way: str) -> Acceptance:
    found: dict[Direction, likert.Acquiescence | None] = {}
    for direction in DIRECTIONS:
        row = list(zip(one.items, one.raw[way, direction], strict=True))
        minus = [_keyed(ends, one.scale, mirrored=True) for item, ends in row if item.reverse_keyed]
        found[direction] = likert.acquiescence([ends for item, ends in row if not item.reverse_keyed], minus)
    return Acceptance(model=one.model, administration=way, acquiescence=found, kept=one.kept[way])


def _consistency(all_of_them: Sequence[Respondent], trait: str) -> Consistency:
    """Compute alpha before and after re-keying, over the items of a trait that no row left open."""
    rows, items, scale = _rows(all_of_them), all_of_them[0].items, all_of_them[0].scale
    chosen = [
        place
        for place, item in enumerate(items)
        if item.trait == trait and all(row[place][0] == row[place][1] for row in rows)
    ]
    mirrored = [items[place].reverse_keyed for place in chosen]
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


def _rows(all_of_them: Sequence[Respondent]) -> list[Sequence[Ends]]:
    """Return the rows of answers: one respondent in one condition."""
    return [row for one in all_of_them for row in one.raw.values()]


def _warnings(all_of_them: Sequence[Respondent], consistency: Sequence[Consistency]) -> Iterator[str]:
    items, scale, traits = all_of_them[0].items, all_of_them[0].scale, all_of_them[0].traits
    keys = {trait: {item.reverse_keyed for item in items if item.trait == trait} for trait in traits}
    one_key = [trait for trait, found in keys.items() if len(found) == 1]
    if one_key and len({item.reverse_keyed for item in items}) > 1:
        yield (
            f"{', '.join(one_key)}: all items have one key, so the acquiescence index mixes agreeing with what they measure"
        )
    means = _item_means(_rows(all_of_them), len(items))
    for number, item in enumerate(items):
        group = [
            means[place]
            for place, other in enumerate(items)
            if place != number and (other.trait, other.reverse_keyed) == (item.trait, item.reverse_keyed)
        ]
        others, score = [mean for mean in group if mean is not None], means[number]
        if score is not None and likert.looks_mistyped(score, others, scale):
            key = "-" if item.reverse_keyed else "+"
            yield (
                f"{OPPOSED}: {item.id or item.stem!r} ({item.trait}, key {key}) is answered {score:.2g}, the other items of its key "
                f"{statistics.median(others):.2g}"
            )
    for trait in traits:
        for is_minus in (False, True):
            row = [
                mean
                for item, mean in zip(items, means, strict=True)
                if (item.trait, item.reverse_keyed) == (trait, is_minus)
            ]
            if found := likert.camps([mean for mean in row if mean is not None], scale):
                yield (
                    f"{OPPOSED}: items of {trait} with key {'-' if is_minus else '+'} are answered at both ends of the scale "
                    f"({found[0]:.2g} and {found[1]:.2g}); or the answers do not hang together"
                )
    for one in consistency:
        if len(all_of_them) > 2 and one.before is not None and one.after is not None and one.after < min(one.before, 0):
            yield f"{OPPOSED}: alpha of {one.trait} falls from {one.before:.2g} to {one.after:.2g} when its - items are mirrored"


def _item_means(rows: Sequence[Sequence[Ends]], n: int) -> list[float | None]:
    """Return the mean printed score of each item over all rows that answered it."""
    known = [[row[place][0] for row in rows if row[place][0] == row[place][1]] for place in range(n)]
    return [math.fsum(scores) / len(scores) if scores else None for scores in known]


def tables(numbers: InstrumentNumbers) -> dict[str, Rows]:
    """Return all parts but the cells as plain rows, by title, without the respondent's name."""
    found = {part: part_rows(numbers, part) for part in TITLES if part != "cells"}
    return {
        TITLES[part]: [{name: value for name, value in row.items() if name != "model"} for row in rows]
        for part, rows in found.items()
    }


def part_rows(numbers: InstrumentNumbers, part: str) -> Rows:
    """Return a part as plain rows."""
    made: Mapping[str, Callable[[Any], Iterator[dict[str, Any]]]] = {
        "cells": _cell_rows,
        "table": _trait_rows,
        "acceptance": _acceptance_rows,
        "consistency": _consistency_rows,
    }
    return [row for one in getattr(numbers, part) for row in made[part](one)]


def _cell_rows(cell: Cell) -> Iterator[dict[str, Any]]:
    more = dict(cell.more)
    head = {
        "model": more.pop("model"),
        "cell": cell.name,
        **{name: more.pop(name) for name in ("kind", "trait", "before", "after")},
    }
    yield {
        **head, "effect": cell.value, "low": cell.low, "high": cell.high, "pairs": more.pop("pairs"),
        "verdict": str(cell.verdict), "reason": cell.reason, **{name: more[name] for name in P_VALUES},
    }  # fmt: skip


def _trait_rows(row: TraitRow) -> Iterator[dict[str, Any]]:
    scores = row.scores
    yield {
        "model": row.model, "trait": row.trait, "administration": row.administration, "direction": row.direction,
        "mean": scores.mean, "sd": scores.sd, "n": scores.n, "unparsed": scores.n_open, "low": scores.low, "high": scores.high,
    }  # fmt: skip


def _acceptance_rows(one: Acceptance) -> Iterator[dict[str, Any]]:
    for direction in DIRECTIONS:
        found = one.acquiescence[direction]
        yield {
            "model": one.model, "administration": one.administration, "direction": direction,
            "acquiescence": found and found.value, "low": found and found.low, "high": found and found.high,
            **{f"kept_{name}": one.kept[name] for name in likert.KEPT},
        }  # fmt: skip


def _consistency_rows(one: Consistency) -> Iterator[dict[str, Any]]:
    yield {"trait": one.trait, "before": one.before, "after": one.after, "items": one.n_items, "rows": one.n_rows}
