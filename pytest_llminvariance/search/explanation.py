"""Which single change is enough, and which alone is not: a pure function of what was answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.transforms.differences import changed_parts, doing, with_parts

Tried = Mapping[Presentation, bool | None]
"""Whether the answer to a presentation certainly differs from the one as written; `None` where that is open."""


def explain(written: Presentation, after: Presentation, tried: Tried) -> str:
    """Say which change is enough and which alone is not, from presentations with one part changed.

    `after` is the smallest counter-example. Empty where nothing else was tried, so that the example says it all.
    """
    singles = _by_part(written, tried)
    parts = changed_parts(written, after)
    others = {part: rows for part, rows in singles.items() if part not in parts}
    says = [_other(others, written)] if others else []
    if len(parts) == 1 and not says:
        return ""
    if len(parts) == 1:
        return "; ".join([f"{doing(parts[0], written, after)} alone flips the answer", *says])
    return "; ".join([_together(parts, written, after, tried), *says])


def missing_singles(
    written: Presentation, after: Presentation, found: Presentation, tried: Tried
) -> tuple[Presentation, ...]:
    """Return the presentations that `explain` lacks: each part of `after` alone, and what else was changed in `found`.

    Of those others one that was tried before is enough.
    """
    needed = changed_parts(written, after)
    known = _by_part(written, tried)
    others = [part for part in changed_parts(written, found) if part not in needed and part not in known]
    singles = [single(written, after, part) for part in needed] + [single(written, found, part) for part in others]
    return tuple(shown for shown in singles if shown is not None and shown not in tried)


def single(written: Presentation, other: Presentation, part: str) -> Presentation | None:
    """Return `written` with one part as in `other`; `None` where that alone cannot be shown."""
    try:
        return with_parts(written, other, {part})
    except UsageError:
        return None


def _by_part(written: Presentation, tried: Tried) -> dict[str, list[tuple[Presentation, bool | None]]]:
    found: dict[str, list[tuple[Presentation, bool | None]]] = {}
    for shown, flips in tried.items():
        parts = changed_parts(written, shown)
        if len(parts) == 1:
            found.setdefault(parts[0], []).append((shown, flips))
    return found


def _together(parts: Sequence[str], written: Presentation, after: Presentation, tried: Tried) -> str:
    """Say that several changes are needed, and what each of them does alone."""
    names = [doing(part, written, after) for part in parts]
    alone = [tried.get(shown) if (shown := single(written, after, part)) else None for part in parts]
    says = f"it takes {_listed(names, 'and')} together"
    same = [name for name, flips in zip(names, alone, strict=True) if flips is False]
    if len(same) == len(parts):
        return f"{says}: {'neither' if len(parts) == 2 else 'none of them'} alone flips the answer"
    return f"{says}: {_listed(same, 'or')} alone does not flip the answer" if same else says


def _other(others: Mapping[str, Sequence[tuple[Presentation, bool | None]]], written: Presentation) -> str:
    """Say what changes of other parts do alone."""
    groups: dict[str, list[str]] = {"does not": [], "does too": [], "leaves it open": []}
    for part, rows in others.items():
        flips = [flipped for _, flipped in rows]
        name = doing(part, written, rows[0][0]) if len(rows) == 1 else doing(part, written, written)
        n_flips = flips.count(True)
        kind = "does too" if n_flips else "leaves it open" if None in flips else "does not"
        ways = "" if len(rows) == 1 else f" ({n_flips} of {len(rows)} ways)" if n_flips else f" ({len(rows)} ways)"
        groups[kind].append(f"{name}{ways}")
    return "; ".join(f"{_listed(names, 'or')} alone {kind}" for kind, names in groups.items() if names)


def _listed(names: Sequence[str], word: str) -> str:
    return f" {word} ".join([", ".join(names[:-1]), names[-1]]) if len(names) > 1 else names[0]
