"""The embedding of a set or a table says what is in it, and not in which order it was written."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pytest_llminvariance.checks.properties.base import Case, Plan, Pooled, Property, SelfTest
from pytest_llminvariance.checks.verdict import Verdict
from pytest_llminvariance.errors import QuestionError, UsageError
from pytest_llminvariance.measures.distribution import beyond_ties
from pytest_llminvariance.measures.estimates import mean_effect, mean_estimate
from pytest_llminvariance.measures.metrics import UNKNOWN, Interval, own_metric
from pytest_llminvariance.models.embedders import as_embedder
from pytest_llminvariance.models.probes import Probe
from pytest_llminvariance.models.protocol import AnyModel
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question
from pytest_llminvariance.questions.template import Template
from pytest_llminvariance.transforms.designs import some_orders
from pytest_llminvariance.transforms.edits import edited

ROWS, COLUMNS = "rows", "columns"
OTHER = "something else altogether"
NEIGHBOURS = 3
MAX_OTHERS = 20
"""Other items that each one is ranked against, at most."""
Table = Mapping[str, Sequence[object]]


def _bag(texts: Sequence[str]) -> list[list[float]]:
    """Count words: blind to order."""
    return [_counts(text.replace("|", " ").replace(",", " ").split()) for text in texts]


def _beginning(texts: Sequence[str]) -> list[list[float]]:
    """Count the first words only."""
    return [_counts(text.replace("|", " ").replace(",", " ").split()[:3]) for text in texts]


def _constant(texts: Sequence[str]) -> list[list[float]]:
    """Say the same of every text."""
    return [[1.0, 0.0] for _ in texts]


def _counts(words: Sequence[str]) -> list[float]:
    counts = [0.0] * 64
    for word in words:
        counts[hashlib.sha256(word.encode()).digest()[0] % 64] += 1
    return counts


Embedded = Sequence[str] | Mapping[str, Any] | Question
"""A set of texts, or a table as columns with their values."""


class EmbeddingOrder(Property):
    """An item is a set, given as a list of texts, or a table, given as a mapping of columns to values.

    The encoder is a function of a list of texts that gives a vector each, an object with such a method `encode`
    (sentence-transformers), or (network, tokenizer) of transformers, pooled by the mean. Each item is embedded as written
    and under `orders` other orders of its rows (members), and of its columns. The effect is the mean of 1 - cosine to the
    embedding as written, by item. Beside it: the share of the 3 nearest other items that stay among the 3 nearest.
    """

    name = "embedding_order"
    title = "order in an embedding"
    says = "the embedding of a set or a table stays the same under orders of its rows and columns"
    advice = "sort rows and columns before embedding, or average over orders; docs/broken.md"
    assertion = "assert_embedding_order_insignificant"
    source = "Observatory: Characterizing Embeddings of Relational Tables"
    metric = "embedding_distance"
    own = own_metric("embedding_distance", "1 - cosine to the embedding as written is")
    needs_accuracy = False
    selftests = MappingProxyType(
        {
            "embeddings": SelfTest(
                bank=tuple(
                    Question("-", ("-", "+"), attributes={ROWS: [[f"w{n}{m}", f"v{n}{m}"] for m in range(4)], COLUMNS: [f"name{n}", "value"]}, context=str(n))
                    for n in range(12)
                ),
                cases=(
                    Case("bag", Verdict.HOLDS, lambda: _bag),
                    Case("beginning", Verdict.BROKEN, lambda: _beginning),
                    Case("constant", Verdict.UNDECIDED, lambda: _constant),
                ),
            )
        }
    )  # fmt: skip

    def __init__(self, *, orders: int = 6) -> None:
        if type(orders) is not int or not 1 <= orders <= 100:
            raise UsageError(f"orders is {orders!r}, but must be a number from 1 to 100")
        self.orders = orders

    def asked(self, questions: Embedded | Iterable[Embedded]) -> tuple[Question, ...]:
        """Return items as questions: the text as written, and which other item it is nearest to."""
        many: list[Any] = [questions] if isinstance(questions, Mapping | Question) else list(questions)
        if many and all(isinstance(one, str) for one in many):
            many = [many]
        tables = [_table(one) for one in many]
        texts = [_text(*table) for table in tables]
        found = []
        for place, ((columns, rows), text) in enumerate(zip(tables, texts, strict=True)):
            others = [other for other in (*texts[place + 1 :], *texts[:place]) if other != text][:MAX_OTHERS] or [OTHER]
            attributes = {COLUMNS: list(columns), ROWS: [list(row) for row in rows]}
            found.append(Question(text, (text, *dict.fromkeys(others)), answer=0, attributes=attributes))
        return tuple(found)

    def subject(self, model: AnyModel) -> AnyModel:
        """Return the encoder as a model."""
        return as_embedder(model)

    def plan(self, question: Question, template: str | Template | None) -> Plan:
        """Plan orders of rows, and of columns where there are two or more."""
        columns, rows = question.attributes[COLUMNS], question.attributes[ROWS]
        probes = [Probe(Presentation(question, template=template), place=(0, 0))]
        for axis, n in enumerate((len(rows), len(columns))):
            for number, order in enumerate(
                some_orders(n, self.orders, "embedding", f"{axis}|{question.content_hash}"), start=1
            ):
                text = _text(columns, [rows[i] for i in order]) if axis == 0 else _text([columns[i] for i in order], [[row[i] for i in order] for row in rows])  # fmt: skip
                moved = edited(question, f"write {(ROWS, COLUMNS)[axis]} in another order", stem=text)
                place = (number, 0) if axis == 0 else (0, number)
                probes.append(Probe(Presentation(moved, template=template), place=place))
        both = len(columns) > 1
        probes = probes if both else [Probe(p.presentation, place=p.place[:1]) for p in probes]
        return Plan(
            question, tuple(probes), f"{len(probes) - 1} other orders", self.spec(),
            parts=("order of rows", "order of columns") if both else ("order of rows",),
        )  # fmt: skip

    def spec(self) -> str:
        """Return how many orders."""
        return f"embedding_order:{self.orders}"

    def pool(self, evidence: Sequence[Any], risk: float | None) -> Pooled:
        """Return the mean distance to the embedding as written."""
        by_axis: dict[str, list[tuple[float, str]]] = {}
        values, overlaps = [], []
        for item in evidence:
            near = [answer.log_weights for answer in item.answers if answer.log_weights is not None]
            if len(near) < len(item.answers):
                values.append(UNKNOWN)
                continue
            for probe, one in zip(item.plan.probes[1:], near[1:], strict=True):
                axis = ROWS if ROWS in probe.presentation.question.attributes["edits"][-1] else COLUMNS
                by_axis.setdefault(axis, []).append((-one[0], item.plan.question.content_hash))
            gap = math.fsum(-one[0] for one in near[1:]) / (len(near) - 1)
            values.append(Interval(min(1.0, gap), min(1.0, gap)).widened(beyond_ties(item.delta_nats)))
            if len(near[0]) > NEIGHBOURS + 1:
                first, *others = map(_nearest, near)
                overlaps.append(math.fsum(len(first & other) / NEIGHBOURS for other in others) / len(others))
        effect = mean_effect(values, [str(place) for place in range(len(values))], risk)
        estimates = {
            f"1 - cosine over {axis}": mean_estimate([gap for gap, _ in gaps], [name for _, name in gaps])
            for axis, gaps in by_axis.items()
        }
        estimates |= {f"nearest {NEIGHBOURS} kept": mean_estimate(overlaps)} if overlaps else {}
        return Pooled(effect=effect, values=values, estimates=estimates)


def _nearest(near: Sequence[float]) -> set[int]:
    """Return the nearest other items; the item itself is the first."""
    return set(sorted(range(1, len(near)), key=lambda place: -near[place])[:NEIGHBOURS])


def _table(given: Any) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    """Return columns and rows; a set has one column without a name."""
    if isinstance(given, Question):
        given = {name: [row[at] for row in given.attributes[ROWS]] for at, name in enumerate(given.attributes[COLUMNS])}
    if isinstance(given, Mapping):
        columns = {str(name): [str(value) for value in values] for name, values in given.items()}
        if (
            not columns
            or len({len(values) for values in columns.values()}) > 1
            or len(next(iter(columns.values()))) < 2
        ):
            raise QuestionError(
                f"a table is {dict(given)!r:.80}, but must map columns to two or more values each, all as many"
            )
        return tuple(columns), tuple(zip(*columns.values(), strict=True))
    if (
        isinstance(given, str)
        or not isinstance(given, Sequence)
        or len(given) < 2
        or not all(isinstance(one, str) and one.strip() for one in given)
    ):
        raise QuestionError(
            f"an item is {given!r:.80}, but must be a list of two or more texts, or a mapping of columns to values"
        )
    return ("",), tuple((one,) for one in given)


def _text(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if list(columns) == [""]:
        return ", ".join(row[0] for row in rows)
    return "\n".join(" | ".join(line) for line in (columns, *rows))
