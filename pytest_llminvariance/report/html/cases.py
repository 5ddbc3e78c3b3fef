"""The counter-example of a finding: two presentations side by side, with what the model said as it said it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_llminvariance.records.answers import RecordedAnswer
from pytest_llminvariance.report.patterns import AnsweredOrbit
from pytest_llminvariance.report.text import cut, one_line, visible

MAX_PROMPT = 4_000
MAX_RAW = 1_000


@dataclass(frozen=True, slots=True)
class Side:
    """One presentation of the counter-example."""

    title: str
    stem: str
    options: str
    answer: str
    label: str
    prompt: str
    raw: str
    """What came back, as it came; empty where the record does not hold it."""


def change_of(example: Mapping[str, Any]) -> Mapping[str, str]:
    """Return the question, the change and the context of an example."""
    short = {name: cut(one_line(example.get(name, "")), 200) for name in ("question", "change")}
    return {**short, "context": cut(visible(example.get("context", "")), MAX_PROMPT)}


def sides_of(example: Mapping[str, Any], orbit: AnsweredOrbit | None) -> list[Side]:
    """Return both presentations of an example; none where it is not whole."""
    sides = []
    for name, title in (("before", "As written"), ("after", "Changed")):
        shown = example.get(name)
        if not isinstance(shown, Mapping):
            return []
        sides.append(
            Side(
                title=title,
                stem=cut(visible(shown.get("stem") or ""), MAX_PROMPT),
                options=cut(visible(shown.get("options") or ""), MAX_PROMPT),
                answer=cut(one_line(shown.get("answer") or ""), 300),
                label=cut(one_line(shown.get("answer_label") or ""), 40),
                prompt=cut(visible(shown.get("prompt") or ""), MAX_PROMPT),
                raw=_raw_of(shown, () if orbit is None else orbit.rows, is_first=name == "before"),
            )
        )
    return sides


def _raw_of(shown: Mapping[str, Any], rows: Sequence[RecordedAnswer], *, is_first: bool) -> str:
    """Return the raw answer to a presentation: of the rows that were shown like it, the one that answers like it."""
    order, template, label = tuple(shown.get("order") or ()), shown.get("template"), shown.get("answer_label")
    like = [row for row in rows if row.order == order and row.template == template]
    like = [row for row in like if label is None or label in _chosen_labels(row)]
    return raw_answer(like[0 if is_first else -1]) if like else ""


def _chosen_labels(row: RecordedAnswer) -> list[str]:
    places = [row.order.index(content) for content in row.outcomes if content >= 0]
    return [row.labels[place] for place in places if place < len(row.labels)]


def raw_answer(row: RecordedAnswer) -> str:
    """Return what a model sent back: its text, or how it weighed the labels or options, or why nothing came."""
    reply = row.reply or {}
    if "text" in reply:
        return cut(visible(reply["text"]), MAX_RAW) + (" (ran out of tokens)" if reply.get("ran_out") else "")
    if "reason" in reply:
        return f"no answer: {cut(one_line(reply['reason']), 200)}"
    weights = reply.get("logprobs_nats")
    if not isinstance(weights, list) or len(weights) != len(row.order):
        return ""
    names = row.labels if len(row.labels) == len(row.order) else [f"no. {n + 1}" for n in range(len(row.order))]
    said = [f"{cut(one_line(name), 12)} {_nats(value)}" for name, value in zip(names, weights, strict=True)]
    return f"log-probability of each {'label' if reply.get('kind') == 'label' else 'option'}: {', '.join(said)}"


def _nats(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, int | float) else one_line(value)
