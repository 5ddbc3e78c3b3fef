"""Where and under which label choices fall: shares of choices by position and by label, apart from each other."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Rows = Sequence[Sequence[float]]


def set_name(labels: tuple[str, ...]) -> tuple[str, ...]:
    """Return the rotation that comes first in the alphabet: the same for every rotation of a set of labels."""
    return min((labels[place:] + labels[:place] for place in range(len(labels))), default=())


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer: where it was shown and what it was called, in parts where options tie."""

    question: str
    labels: tuple[str, ...]
    """By position as shown; empty where options have no labels."""
    parts: tuple[float, ...]
    """Of the choice, by position; they sum to 1."""

    @property
    def set_name(self) -> tuple[str, ...]:
        """The name of its set of labels."""
        return set_name(self.labels)

    def by_label(self) -> tuple[float, ...]:
        """Return the parts in the order of `set_name`."""
        found = dict(zip(self.labels, self.parts, strict=True))
        return tuple(found[label] for label in self.set_name)


def means_by_question(choices: Sequence[Choice], *, labels: bool) -> Mapping[str, tuple[float, ...]]:
    """Return the shares of each question's choices at each position, or under each label of one set."""
    rows: dict[str, list[tuple[float, ...]]] = {}
    for choice in choices:
        rows.setdefault(choice.question, []).append(choice.by_label() if labels else choice.parts)
    return {name: tuple(_mean(column) for column in zip(*row, strict=True)) for name, row in rows.items()}


def off_balance(shares: Sequence[float]) -> float:
    """Return the total variation distance to equal shares."""
    return math.fsum(max(0.0, share - 1 / len(shares)) for share in shares)


def interaction(choices: Sequence[Choice]) -> float:
    """Return what position and label do together beyond the sum of what each does, for the choices of one set of labels.

    T[p, l] is the share of choices at position p under label l, 1 / k^2 without any bias; the sum of both effects is
    R[p] / k + C[l] / k - 1 / k^2 with the margins R and C; the result is half the sum of the absolute differences.
    """
    k, n = len(choices[0].parts), len(choices)
    table = [[0.0] * k for _ in range(k)]
    for choice in choices:
        for position, label in enumerate(choice.labels):
            table[position][choice.set_name.index(label)] += choice.parts[position] / n
    by_position = [math.fsum(row) for row in table]
    by_label = [math.fsum(column) for column in zip(*table, strict=True)]
    return (
        math.fsum(
            abs(table[p][c] - by_position[p] / k - by_label[c] / k + 1 / k**2) for p in range(k) for c in range(k)
        )
        / 2
    )


def recall_spread(right: Sequence[tuple[str, float]]) -> float | None:
    """Return the standard deviation over labels of recall: how often the right option is chosen where it has the label.

    `right` holds the label of the right option, and the part of the choice that fell on it. `None` below two labels.
    Source: Large Language Models Are Not Robust Multiple Choice Selectors.
    """
    rows: dict[str, list[float]] = {}
    for label, hit in right:
        rows.setdefault(label, []).append(hit)
    return statistics.pstdev([_mean(row) for row in rows.values()]) if len(rows) > 1 else None


def normalised_entropy(probabilities: Sequence[float]) -> float:
    """Return the entropy over that of equal shares: 0 for a sure answer, 1 for none."""
    whole = math.fsum(probabilities)
    shares = [p / whole for p in probabilities if p > 0]
    return -math.fsum(p * math.log(p) for p in shares) / math.log(len(probabilities)) if whole else 1.0


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
