"""How a session's risk limit is shared: by item, and by check inside an item. Nothing is ever handed on."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_llminvariance.errors import UsageError

UNRELATED_WEIGHT = 0.1
"""Weight of an item that does not ask for the model: a check may appear at run time."""


def item_shares(limit: float, weights: Mapping[str, float]) -> dict[str, float]:
    """Return the risk of each item: the limit times its weight over the sum of weights.

    An item of weight 0 is declared exhaustive and has no risk.

    Raises:
        UsageError: for a weight that is no number from 0.
    """
    for item, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < 1e9:
            raise UsageError(f"the weight of {item!r} is {weight!r}, but must be a number from 0")
    total = sum(weights.values())
    return {item: limit * weight / total if total else 0.0 for item, weight in weights.items()}


def check_share(item_share: float, number: int) -> float:
    """Return the risk of the `number`-th check of an item, from 1: share / (j (j + 1)), which sums to the share."""
    return item_share / (number * (number + 1))
