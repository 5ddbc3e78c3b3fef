"""Answers of a session in little memory: by question, each in a row of bytes that gives the same reply back.

What a suite asks is shown in a few manners, which all questions share, so an answer takes its numbers and its digest.
"""

from __future__ import annotations

import dataclasses
import itertools
import struct
from collections.abc import Hashable, Iterable, Iterator, MutableMapping
from functools import lru_cache
from typing import Any

from pytest_llminvariance.models.keys import Key, Owner
from pytest_llminvariance.models.protocol import LabelReply, LabelRequest, OptionReply, Reply, Request
from pytest_llminvariance.questions.question import Question

Shelf = dict[Hashable, object]
LABEL, OPTION, PROMPT = 0, 1, 2
"""What the first byte says: the kind of reply, and whether the digest of a prompt follows it."""


def spot_of(request: Request) -> Hashable:
    """Return all of a request but its question."""
    shown = request.presentation
    if type(request) is LabelRequest:
        return shown.manner
    kind: Any = type(request)
    return (kind, shown.manner, *(getattr(request, name) for name in _fields(kind)))


@lru_cache(maxsize=16)
def _fields(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind) if field.name != "presentation")


class Remembered(MutableMapping[Key, Reply]):
    """A memory of answers; memory grows by some 150 bytes an answer of four options."""

    def __init__(self) -> None:
        self._shelves: dict[tuple[str, str, Owner | None, Question], Shelf] = {}
        self._like: dict[Hashable, Request] = {}
        self._last: tuple[Key, Shelf] | None = None
        """The shelf that was stored on: most answers in a row are to one question."""

    def __getitem__(self, key: Key) -> Reply:
        found: Reply | None = self.get(key)
        if found is None:
            raise KeyError(key)
        return found

    def get(self, key: Key, default: Any = None) -> Any:
        """Return the answer, or `default` where there is none."""
        found = self._found(key)
        return default if found is None else _unpacked(found[1], len(key.request.presentation.order))

    def __contains__(self, key: object) -> bool:
        return isinstance(key, Key) and self._found(key) is not None

    def __setitem__(self, key: Key, reply: Reply) -> None:
        spot, shelf = spot_of(key.request), self._shelf_for(key)
        self._like.setdefault(spot, key.request)
        packed = _packed(reply, key.prompt)
        place = spot if spot not in shelf or _prompt(shelf[spot]) == key.prompt else (spot, key.prompt)
        shelf[place] = packed

    def __delitem__(self, key: Key) -> None:
        found = self._found(key)
        if found is None:
            raise KeyError(key)
        del self._shelf(key)[found[0]]

    def __iter__(self) -> Iterator[Key]:
        for (name, fingerprint, owner, question), shelf in self._shelves.items():
            for place, packed in list(shelf.items()):
                like = self._like.get(place) or self._like[place[0]]  # type: ignore[index]
                request = dataclasses.replace(like, presentation=like.presentation.about(question))
                yield Key(name, fingerprint, request, _prompt(packed), owner)

    def __len__(self) -> int:
        return sum(map(len, self._shelves.values()))

    def _shelf_for(self, key: Key) -> Shelf:
        """Return where the answers to a question stand, made if there is none."""
        name, fingerprint, request, _, owner = key
        question = request.presentation.question
        if self._last is not None:
            last, shelf = self._last
            same = last.request.presentation.question is question and last.owner is owner
            if same and (last.fingerprint, last.name) == (fingerprint, name):
                return shelf
        shelf = self._shelves.setdefault((name, fingerprint, owner, question), {})
        self._last = key, shelf
        return shelf

    def _shelf(self, key: Key) -> Shelf:
        return self._shelves.get((key.name, key.fingerprint, key.owner, key.request.presentation.question), {})

    def _found(self, key: Key) -> tuple[Hashable, object] | None:
        """Return where an answer is and how it is held; one spot has several answers where its prompt changed."""
        shelf, spot = self._shelf(key), spot_of(key.request)
        for place in (spot, (spot, key.prompt)):
            packed = shelf.get(place)
            if packed is not None and _prompt(packed) == key.prompt:
                return place, packed
        return None


class Seen:
    """Requests that were met, a few bytes each."""

    def __init__(self) -> None:
        self._numbers: dict[Hashable, int] = {}
        self._masks: dict[Question, int] = {}
        self._n = 0

    def add(self, requests: Iterable[Request]) -> list[bool]:
        """Take requests in, and return of each whether it is new."""
        found = list[bool]()
        numbers, masks = self._numbers, self._masks
        for question, those in itertools.groupby(requests, _question_of):
            known = masks.get(question, 0)
            for request in those:
                bit = 1 << numbers.setdefault(spot_of(request), len(numbers))
                found.append(not known & bit)
                known |= bit
            masks[question] = known
        self._n += sum(found)
        return found

    def __contains__(self, request: Request) -> bool:
        number = self._numbers.get(spot_of(request))
        return number is not None and bool(self._masks.get(request.presentation.question, 0) >> number & 1)

    def __len__(self) -> int:
        return self._n


def _question_of(request: Request) -> Question:
    return request.presentation.question


@lru_cache(maxsize=64)
def _format(kind: int, k: int) -> struct.Struct:
    return struct.Struct(f"<BI32s{k}d" + (f"{k}I" if kind == OPTION else ""))


def _packed(reply: Reply, prompt: str | None) -> object:
    """Return a reply with its prompt as bytes, where the same comes back from them; else both as they are."""
    is_number = type(reply) is LabelReply or type(reply) is OptionReply
    if not is_number or not isinstance(reply, LabelReply | OptionReply) or not _is_plain(reply):
        return prompt, reply
    kind, values = LABEL, reply.logprobs_nats
    lengths: tuple[int, ...] = ()
    if isinstance(reply, OptionReply):
        kind, lengths = OPTION, reply.option_tokens
    try:
        sent, asked = bytes.fromhex(reply.sent_sha256), b"" if prompt is None else bytes.fromhex(prompt)
        flags = kind | (PROMPT if asked else 0)
        packed = _format(kind, len(values)).pack(flags, reply.n_tokens, sent, *values, *lengths) + asked
    except (ValueError, struct.error):
        return prompt, reply
    is_same = len(sent) == 32 and sent.hex() == reply.sent_sha256
    if prompt is not None:
        is_same = is_same and len(asked) == 32 and asked.hex() == prompt
    return packed if is_same else (prompt, reply)


def _is_plain(reply: LabelReply | OptionReply) -> bool:
    """Return whether all parts are of the types that unpacking gives."""
    if type(reply.n_tokens) is not int or type(reply.sent_sha256) is not str or type(reply.logprobs_nats) is not tuple:
        return False
    if isinstance(reply, LabelReply):
        others = type(reply.unlisted) is float and not reply.unlisted
    else:
        others = type(reply.option_tokens) is tuple and set(map(type, reply.option_tokens)) == {int}
    return others and set(map(type, reply.logprobs_nats)) == {float}


def _prompt(packed: object) -> str | None:
    if isinstance(packed, bytes):
        return packed[-32:].hex() if packed[0] & PROMPT else None
    prompt: str | None = packed[0]  # type: ignore[index]
    return prompt


def _unpacked(packed: object, k: int) -> Reply:
    if not isinstance(packed, bytes):
        reply: Reply = packed[1]  # type: ignore[index]
        return reply
    kind = packed[0] & OPTION
    _, n_tokens, sent, *numbers = _format(kind, k).unpack_from(packed)
    if kind == OPTION:
        return OptionReply(tuple(numbers[:k]), tuple(numbers[k:]), sent.hex(), n_tokens)
    return LabelReply(tuple(numbers), sent.hex(), n_tokens)
