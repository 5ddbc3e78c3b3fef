"""Judges of two responses as models: functions that compare, functions and networks that reward each by itself.

A pair is a question whose stem is the prompt and whose two options are the responses; a judge answers by label.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
from collections.abc import Callable
from typing import Any

from pytest_llminvariance.errors import ModelError, UsageError
from pytest_llminvariance.models.functions import FunctionModel, called
from pytest_llminvariance.models.held import held_by
from pytest_llminvariance.models.kept import kept, place_of, renewed
from pytest_llminvariance.models.protocol import Capability, LabelReply, Model, Reply, Request, log_of

KINDS = "a function (prompt, first, second) -> probability that the first is better, or (prompt, response) -> reward"


class JudgeFunction(FunctionModel):
    """Compares two responses: by one number for the pair, or by the difference of one reward each (Bradley and Terry)."""

    def __init__(self, function: Callable[..., Any], *, rewards: bool, name: str | None = None) -> None:
        """Take a function of (prompt, first, second), or with `rewards` of (prompt, response)."""
        super().__init__(function, name)
        self.is_symmetric = rewards
        """Whether the order of two responses cannot reach it."""

    def _kind_of(self, function: Callable[..., Any]) -> Capability:
        del function
        return "label"

    def _reply(self, request: Request) -> Reply:
        prompt, (first, second) = request.presentation.question.stem, request.presentation.shown_options
        if self.is_symmetric:
            sent = json.dumps([prompt, *sorted((first, second))])
            gap = self._number(prompt, first) - self._number(prompt, second)
            logs = (-math.log1p(math.exp(-gap)), -gap - math.log1p(math.exp(-gap))) if gap > -700 else (gap, 0.0)
        else:
            sent = json.dumps([prompt, first, second])
            share = self._number(prompt, first, second)
            if not 0 <= share <= 1:
                raise ModelError(f"{self.name} gave {share:g}, but must give the probability that the first is better")
            logs = log_of(share), log_of(1 - share)
        return LabelReply(logs, hashlib.sha256(sent.encode()).hexdigest())

    def _number(self, *texts: str) -> float:
        value = self._call(lambda: float(self._function(*texts)))
        if not math.isfinite(value):
            raise ModelError(f"{self.name} gave {value}, but must give a finite number")
        return value


def as_judge(obj: object) -> object:
    """Return a judge as a model; what is none (a language model, its wrapper) as it is.

    Raises:
        UsageError: for a function of other arguments, or a network with more than one score.
    """
    if isinstance(obj, Model) and not isinstance(obj, type):
        return renewed(obj)
    network, tokenizer = obj if isinstance(obj, tuple | list) and len(obj) == 2 else (obj, None)
    if type(network).__name__.endswith("ForSequenceClassification"):
        if tokenizer is None:
            raise UsageError(f"model is a {type(network).__name__} without its tokenizer. Give (model, tokenizer)")
        from pytest_llminvariance.models.local.reward import Reward
        from pytest_llminvariance.models.local.state import state_of

        reward = Reward(network, tokenizer)
        return kept(
            network,
            ("judge", id(tokenizer)),
            lambda: JudgeFunction(reward, rewards=True, name=reward.name),
            lambda: state_of(network, tokenizer),
        )
    if not inspect.isroutine(obj):
        return obj
    names = [p.name for p in inspect.signature(obj).parameters.values() if p.default is p.empty]
    if len(names) == 1 or names[1:] == ["options"]:
        return obj
    if len(names) not in (2, 3):
        raise UsageError(f"judge is {called(obj)}, which takes {', '.join(names)}. Give {KINDS}")
    holder, method = place_of(obj)
    return kept(holder, ("judge", method), lambda: JudgeFunction(obj, rewards=len(names) == 2), lambda: held_by(obj))
