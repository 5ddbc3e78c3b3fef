"""What is asked about a question. Of questions that are shown in the same ways these are held once, and a question's own are made when asked for."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar, overload

from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Probe:
    """A presentation to ask, and the readout if it is not the check's own."""

    presentation: Presentation
    readout: str | None = None
    draw: int | None = None
    """Which of several sampled answers; `None` for the one answer that is not sampled."""
    place: tuple[int, ...] = ()
    """Which variant of each of the plan's parts it shows; the one as written is all zeros."""


class Ways:
    """The probes of some question, as those of others are; what follows from them alone is found once.

    Their orders, labels, places and readouts are those of every question that is shown like this; their question is not.
    """

    __slots__ = ("_found", "probes")

    def __init__(self, probes: Sequence[Probe]) -> None:
        self.probes = tuple(probes)
        self._found: dict[Hashable, Any] = {}

    def once(self, name: Hashable, find: Callable[[tuple[Probe, ...]], T]) -> T:
        """Return what `find` finds in the probes, found at the first asking."""
        if name not in self._found:
            self._found[name] = find(self.probes)
        found: T = self._found[name]
        return found

    def fit(self, question: Question) -> bool:
        """Return whether another question can be shown in these ways for certain."""
        return self.probes[0].presentation.fits(question)


@dataclass(frozen=True, slots=True, eq=False)
class Showings(Sequence[Probe]):
    """The probes of one question, as those of another question are: made when asked for; those of the last are kept."""

    question: Question
    ways: Ways
    _last: ClassVar[tuple[Showings, tuple[Probe, ...]] | None] = None

    def __len__(self) -> int:
        return len(self.ways.probes)

    @overload
    def __getitem__(self, place: int) -> Probe: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[Probe, ...]: ...
    def __getitem__(self, place: int | slice) -> Probe | tuple[Probe, ...]:
        kept = Showings._last
        if kept is None or kept[0] is not self:
            shown = self.ways.probes[place]
            return self._made(shown) if isinstance(shown, Probe) else tuple(map(self._made, shown))
        return kept[1][place]

    def __iter__(self) -> Iterator[Probe]:
        kept = Showings._last
        if kept is None or kept[0] is not self:
            kept = Showings._last = (self, tuple(map(self._made, self.ways.probes)))
        return iter(kept[1])

    def presentations(self) -> list[Presentation]:
        """Return what is shown, in the order of the probes."""
        return [like.presentation.about(self.question) for like in self.ways.probes]

    def _made(self, like: Probe) -> Probe:
        return Probe(like.presentation.about(self.question), like.readout, like.draw, like.place)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(tuple(self))


def ways_of(probes: Sequence[Probe]) -> Ways:
    """Return the ways in which a question is shown."""
    return probes.ways if isinstance(probes, Showings) else Ways(probes)
