"""What the strategies drew for the example that Hypothesis is running, so that a whole orbit can be asked at once.

Knows nothing of Hypothesis: the strategies write it down, the assertions read it.
"""

from __future__ import annotations

import weakref
from contextvars import ContextVar
from typing import Literal, NamedTuple

from pytest_llminvariance.checks.run import current_run
from pytest_llminvariance.questions.orders import identity
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.transforms.showing import Reorder

PREFETCHED_ORDERS = 24
"""Orbits of up to so many orders, those of four options, are asked whole."""

Kind = Literal["orders", "labels", "layouts", "templates", "texts", "questions", "instances"]


class _Drawn(NamedTuple):
    run: int
    """Tells one test from the next."""
    example: weakref.ref[object] | None
    """Weak: an example holds the test's arguments, and with them the model."""
    kinds: frozenset[Kind]


_drawn: ContextVar[_Drawn] = ContextVar("llminvariance_drawn", default=_Drawn(0, None, frozenset()))  # noqa: B039 - frozen


def drew(kind: Kind, example: object) -> None:
    """Note that a strategy drew a part of a presentation; `example` tells one example from the next."""
    before = _drawn.get()
    same = before.example is not None and before.example() is example
    kinds = (before.kinds if same else frozenset()) | {kind}
    _drawn.set(_Drawn(id(current_run.get()), weakref.ref(example), kinds))


def orbit_to_prefetch(a: Presentation, b: Presentation) -> list[Presentation]:
    """Return the orders of `b` that a search over orders will come to, or nothing.

    Only where orders are all that was drawn for this example: a product of transforms has too many
    presentations to guess the next, so there each example costs what it asks.
    """
    drawn = _drawn.get()
    others = drawn.kinds - {"orders"} if drawn.run == id(current_run.get()) else ()
    if others or b != a.replace(order=b.order):
        return []
    written = b.replace(order=identity(len(b.order)))
    return [] if Reorder().size(written) > PREFETCHED_ORDERS else list(Reorder().variants(written))
