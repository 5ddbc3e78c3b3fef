"""Neither the place of an option nor its label may attract choices; orders crossed with labels keep the two apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import MappingProxyType
from typing import Any

from pytest_llminvariance.checks.properties.base import Audited, Case, Pooled, SelfTest
from pytest_llminvariance.checks.properties.invariance import Invariance
from pytest_llminvariance.checks.verdict import Verdict
from pytest_llminvariance.measures.estimates import Estimate, mean_estimate
from pytest_llminvariance.measures.metrics import UNKNOWN, Interval, own_metric
from pytest_llminvariance.measures.places import (
    Choice,
    interaction,
    means_by_question,
    normalised_entropy,
    off_balance,
    recall_spread,
    set_name,
)
from pytest_llminvariance.questions.references import OnReference
from pytest_llminvariance.transforms.base import Product
from pytest_llminvariance.transforms.showing import Reorder, RotateLabels

PLACE_SETS: tuple[tuple[str, ...], ...] = (
    tuple("ABCDEFGHIJKL"), tuple("AICOEUMYHTWL"), tuple("RSNTLKMWHDGF"), tuple("123456789"),
)  # fmt: skip
"""In order, far apart, without an order, and digits."""


class PlaceBias(Invariance):
    """Every rotation of the options is shown under every rotation of each of `label_sets`, so each label stands at each place.

    k x k presentations a question and set, for k options; `bullets=True` adds k without labels, for readout="option" or
    "text". The effect is the largest distance from equal shares (total variation) of the choices by position, or by the
    labels of one set. Questions whose options cannot all move do not count.
    """

    name = "position_and_label"
    says = "neither a position nor a label attracts choices; the two are told apart"
    advice = (
        "average over orders with symmetrized(model), or take the prior off with debiased(model, ...); docs/broken.md"
    )
    assertion = "assert_no_position_bias"
    source = "Questioning the Survey Responses of Large Language Models"
    metric = "place_bias"
    own = own_metric("place_bias", "choices by position or label are off balance by")
    claim = "suite"
    asks_everything = True
    audits = MappingProxyType({"places": Audited()})
    selftests = MappingProxyType(
        {
            "places": SelfTest(
                tolerance=0.1,
                options={"label_sets": PLACE_SETS[::2]},
                cases=(
                    Case("oracle", Verdict.HOLDS),
                    Case("always_first", Verdict.BROKEN),
                    Case("always_label", Verdict.BROKEN),
                    Case("position_prior=2", Verdict.BROKEN),
                    Case("label_prior=2", Verdict.BROKEN),
                    Case("uniform", Verdict.UNDECIDED),
                    Case("refuser", Verdict.UNDECIDED),
                ),
            )
        }
    )

    def __init__(
        self,
        *,
        label_sets: Sequence[Sequence[str]] = PLACE_SETS,
        bullets: bool = False,
        on_reference: OnReference = "leave_out",
    ) -> None:
        labels = RotateLabels(tuple(map(tuple, label_sets)), bullets=bullets, on_reference=on_reference)
        super().__init__(Product((labels, Reorder("cyclic", on_reference=on_reference))), self.name)
        self.title = "position and label"

    def pool(self, evidence: Sequence[Any], risk: float | None) -> Pooled:
        """Return how far shares are off balance, and the numbers that say by what."""
        del risk
        counted = [item for item in evidence if item.reached and _is_balanced(item)]
        values = [UNKNOWN] * len(evidence)
        if not counted:
            return Pooled(effect=UNKNOWN, values=values)
        found: list[Interval] = []
        estimates: dict[str, Estimate] = {}
        details: dict[str, Any] = {}
        for k in sorted({item.answers[0].k for item in counted}):
            rows = [item for item in counted if item.answers[0].k == k]
            choices = [choice for item in rows for choice in _choices(item)]
            told = f" of {k}" if len({item.answers[0].k for item in counted}) > 1 else ""
            for name in _planned(rows):
                by_label = bool(name)
                part = [one for one in choices if name in ((), one.set_name)]
                n = sum(_is_of(probe.presentation, name) for item in rows for probe in item.plan.probes)
                if not part:
                    found.append(UNKNOWN)
                    continue
                open_share = 1 - len(part) / n
                shares = means_by_question(part, labels=by_label)
                means = [mean_estimate(column, tuple(shares)) for column in zip(*shares.values(), strict=True)]
                off = off_balance([one.value for one in means])
                found.append(Interval(max(0.0, off - open_share), min(1.0, off + open_share)))
                names = [f"label {label}" for label in name] if by_label else [f"position {p + 1}" for p in range(k)]
                of_set = f" ({''.join(name)})" if by_label else ""
                estimates |= {f"{one}{told}{of_set}": mean for one, mean in zip(names, means, strict=True)}
                if by_label:
                    details[f"interaction{told}{of_set}"] = interaction(part)
        effect = Interval(max(one.low for one in found), max(one.high for one in found))
        return Pooled(effect=effect, values=values, estimates=estimates, details={**details, **_published(counted)})


def _is_balanced(item: Any) -> bool:
    """Return whether every content was planned at every position equally often."""
    orders = [probe.presentation.order for probe in item.plan.probes]
    k = item.answers[0].k
    return all(len(set(column)) == k for column in zip(*orders, strict=True))


def _planned(rows: Sequence[Any]) -> list[tuple[str, ...]]:
    """Return the planned label sets by name; the empty one stands for all answers by position."""
    shown = [probe.presentation for item in rows for probe in item.plan.probes]
    return [(), *dict.fromkeys(set_name(one.labels) for one in shown if one.shows_labels)]


def _is_of(shown: Any, name: tuple[str, ...]) -> bool:
    return not name or (shown.shows_labels and set_name(shown.labels) == name)


def _choices(item: Any) -> list[Choice]:
    """Return the answers that chose an option; open ones and those sent as the bytes of another are none."""
    found = []
    for index in item.counted:
        shown, parts = item.plan.probes[index].presentation, item.answers[index].parts(item.delta_nats)
        if parts and any(parts):
            labels = shown.labels if shown.shows_labels else ()
            found.append(
                Choice(item.plan.question.content_hash, labels, tuple(parts[content] for content in shown.order))
            )
    return found


def _published(counted: Sequence[Any]) -> dict[str, Any]:
    """Return A-bias, spread of recall and entropies, over presentations whose labels stand in their own order."""
    first = counted[0].plan.probes[0].presentation.labels[0]
    hits, right, before, after = [], [], [], []
    for item in counted:
        written = item.plan.probes[0].presentation
        rows = [
            (probe.presentation, answer)
            for probe, answer in zip(item.plan.probes, item.answers, strict=True)
            if probe.presentation.labels == written.labels and answer.is_known
        ]
        for shown, answer in rows:
            if (parts := answer.parts(item.delta_nats)) is None:
                continue
            hits.append(parts[shown.order[0]] - 1 / answer.k)
            if shown.question.answer is not None:
                right.append((shown.label_of(shown.question.answer), parts[shown.question.answer]))
        if rows and rows[0][0] == written:
            before.append(normalised_entropy(rows[0][1].probabilities))
            columns = zip(*(answer.probabilities for _, answer in rows), strict=True)
            after.append(normalised_entropy([math.fsum(column) for column in columns]))
    return {
        f"{first}-bias": _mean(hits), "recall_spread": recall_spread(right),
        "entropy_before": _mean(before), "entropy_after": _mean(after),
    }  # fmt: skip


def _mean(values: Sequence[float]) -> float | None:
    return math.fsum(values) / len(values) if values else None
