"""Orders of k options: permutations, and which of them to plan.

An order is a tuple: `order[position]` is the content shown at that position. Whatever is drawn here is
drawn from a committed salt and the question's content, with SHA-256 in place of a random generator, so a
plan is the same on every machine and Python version, and removing one question leaves the others alone.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from typing import Literal, get_args

from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.questions.orders import Order, cyclic_orders, identity

Design = Literal["auto", "all", "cyclic", "reversed", "balanced", "sample"]
DESIGNS: tuple[str, ...] = get_args(Design)

PLAN_SALT = "llminvariance-plan-1"
MAX_ALL_OPTIONS = 6
AUTO_ALL_OPTIONS = 4
AUTO_MIN_ROWS = 12
SMALL = 3
"""Up to so many options a Williams design is all orders anyway."""


def williams_rows(k: int) -> tuple[Order, ...]:
    """Return a Williams design: k rows for even k, 2k for odd k.

    Every content stands equally often at every position, and directly after every other content equally
    often. Source: E. J. Williams (1949), Experimental designs balanced for the estimation of residual
    effects of treatments.
    """
    zigzag = [0] + [(step + 1) // 2 if step % 2 else k - step // 2 for step in range(1, k)]
    rows = [tuple((content + shift) % k for content in zigzag) for shift in range(k)]
    if k % 2:
        rows += [tuple(reversed(row)) for row in rows]
    return tuple(rows)


def draw_order(k: int, *seed: object) -> Order:
    """Return a permutation that depends on nothing but `seed`, uniform over seeds."""
    text = "\x1f".join(str(part) for part in seed)
    return tuple(sorted(range(k), key=lambda item: hashlib.sha256(f"{text}\x1f{item}".encode()).digest()))


def orders_of(design: str, k: int, content_hash: str, n: int | None = None) -> tuple[Order, ...]:
    """Return the planned orders; the first is the order as written, and no order comes twice.

    `content_hash` identifies the question; `n` is the number of other orders for the design `sample`.

    Raises:
        UsageError: for an unknown design, `all` with more than 6 options, or an `n` that does not fit.
    """
    check_design(design, n)
    written = identity(k)
    if design == "auto":
        design = "all" if k <= AUTO_ALL_OPTIONS else "balanced"
        rows = _balanced(k, content_hash, AUTO_MIN_ROWS) if design == "balanced" else _all(k)
    elif design == "all":
        rows = _all(k)
    elif design == "cyclic":
        rows = cyclic_orders(k)
    elif design == "reversed":
        rows = (written, written[::-1])
    elif design == "balanced":
        rows = _balanced(k, content_hash, 1)
    else:
        rows = _sampled(k, content_hash, n or 0)
    return (written, *(row for row in rows if row != written))


def is_drawn(design: str, k: int) -> bool:
    """Return whether the orders of a design depend on the question and not on its number of options alone."""
    return design == "sample" or (
        design in ("auto", "balanced") and k > (AUTO_ALL_OPTIONS if design == "auto" else SMALL)
    )


def check_design(design: str, n: int | None) -> None:
    """Raise where `design` is unknown, or `n` does not belong to it."""
    if design not in DESIGNS:
        raise UsageError(f"orders is {design!r}, but must be one of {', '.join(DESIGNS)}")
    if design == "sample" and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
        raise UsageError(f"orders='sample' with n={n!r}: give n, the number of other orders to draw, 1 or more")
    if design != "sample" and n is not None:
        raise UsageError(f"n={n!r} goes with orders='sample' only, not with orders={design!r}")


def _all(k: int) -> tuple[Order, ...]:
    if k > MAX_ALL_OPTIONS:
        raise UsageError(
            f"orders='all' with {k} options means {math.factorial(k):,} orders; the limit is {MAX_ALL_OPTIONS} options. "
            "Use orders='balanced' or orders='auto'"
        )
    return tuple(itertools.permutations(range(k)))


def _balanced(k: int, content_hash: str, min_rows: int) -> tuple[Order, ...]:
    """Return whole Williams blocks, each with contents relabelled, none holding the order as written.

    With up to three options a design is all orders anyway.
    """
    if k <= SMALL:
        return _all(k)
    template, written = williams_rows(k), identity(k)
    rows: list[Order] = []
    for attempt in itertools.count():
        names = draw_order(k, PLAN_SALT, content_hash, "balanced", attempt)
        block = [tuple(names[content] for content in row) for row in template]
        if written not in block and not set(block) & set(rows):
            rows += block
        if len(rows) >= min_rows:
            return tuple(rows)
    raise AssertionError("unreachable")  # pragma: no cover


def _sampled(k: int, content_hash: str, n: int) -> tuple[Order, ...]:
    if k <= 20 and n > math.factorial(k) - 1:
        raise UsageError(f"orders='sample' with n={n}: {k} options have only {math.factorial(k) - 1} other orders")
    return _drawn(k, n, PLAN_SALT, content_hash, "sample")


def some_orders(k: int, n: int, *seed: object) -> tuple[Order, ...]:
    """Return `n` distinct orders other than the one as written, drawn by `seed`; all where there are no more."""
    if math.factorial(k) <= n + 1:
        return tuple(itertools.permutations(range(k)))[1:]
    return _drawn(k, n, *seed)


def _drawn(k: int, n: int, *seed: object) -> tuple[Order, ...]:
    drawn = (draw_order(k, *seed, index) for index in itertools.count())
    fresh = dict.fromkeys(itertools.islice((o for o in drawn if o != identity(k)), n))
    while len(fresh) < n:
        order = next(drawn)
        if order != identity(k):
            fresh[order] = None
    return tuple(fresh)
