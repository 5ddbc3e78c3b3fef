"""Whether a model changed while it was asked: prompts of the beginning, asked again at the end."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pytest_llminvariance.checks.verdict import Guard
from pytest_llminvariance.measures.noise import Replicates
from pytest_llminvariance.models.protocol import LabelReply, MissingReply, OptionReply, Reply, TextReply

MAX_DRIFT_NATS = 0.1
"""Of a model that declares itself deterministic."""


def drift_beyond_noise(again: Replicates, noise: Replicates) -> Guard:
    """Require that no more prompts moved between beginning and end than moved when they were asked twice at once."""
    says = (
        f"{again.changed} of {again.pairs} prompts asked again at the end moved, "
        f"{noise.changed} of {noise.pairs} asked twice at the beginning"
    )
    changed = again.differs_from(noise)
    text = f"the model changed while it was asked: {says}" if changed else f"within noise: {says}"
    return Guard(name="drift", passed=not changed, text=text, blocks="both")


def not_checked(why: str) -> Guard:
    """Say why drift cannot be told."""
    return Guard(name="drift", passed=None, text=f"drift not checked: {why}", blocks="nothing")


def drift_guard(before: Sequence[Reply], after: Sequence[Reply]) -> Guard:
    """Require that prompts asked again at the end get the answer that they got before."""
    drift = max((_drift(a, b) for a, b in zip(before, after, strict=True)), default=0.0)
    says = f"{len(after)} prompts asked again moved by at most {drift:.2g} nat (at most {MAX_DRIFT_NATS:g})"
    passed = drift <= MAX_DRIFT_NATS
    return Guard(
        name="drift",
        passed=passed,
        text=says if passed else f"the model changed while it was asked: {says}",
        blocks="both",
    )


def _drift(one: Reply, other: Reply) -> float:
    if isinstance(one, TextReply) and isinstance(other, TextReply):
        return 0.0 if one.text == other.text else math.inf
    if isinstance(one, MissingReply) or isinstance(other, MissingReply):
        return 0.0 if type(one) is type(other) else math.inf
    assert isinstance(one, LabelReply | OptionReply) and isinstance(other, LabelReply | OptionReply)  # noqa: S101, PT018
    gaps = [0.0 if a == b else abs(a - b) for a, b in zip(one.logprobs_nats, other.logprobs_nats, strict=True)]
    return max(gaps)
