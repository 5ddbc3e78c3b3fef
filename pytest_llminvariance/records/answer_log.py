"""Writing every answer down as it comes, so that a run can be judged again and an interrupted one go on.

Two files a process: sheets (what a check is going to ask, written before its first answer) and answers (one
line each, flushed after every pass of the model). What was asked before and is remembered gets a line too
when it enters a check.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from pytest_llminvariance.checks.responses import Stem
from pytest_llminvariance.checks.sheet import Sheet
from pytest_llminvariance.files import append, json_line
from pytest_llminvariance.measures.distribution import AnswerDistribution
from pytest_llminvariance.measures.metrics import DELTA_NATS
from pytest_llminvariance.measures.reading import read_reply
from pytest_llminvariance.models.cache_rows import row_key
from pytest_llminvariance.models.engine import Claiming, Memo, Persistent
from pytest_llminvariance.models.keys import Key, key_of
from pytest_llminvariance.models.protocol import MissingReply, Model, Reply, Request, capability_of, sent_digest
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.records.answers import AnswerRole
from pytest_llminvariance.records.redaction import redacted
from pytest_llminvariance.records.sheets import SheetWriter, plain_number, reply_data, reply_from

AT_ONCE = 2_000
"""Lines that are written at once: a pass of a model has fewer, a sheet may have more."""


class Place(NamedTuple):
    """Where an answer belongs in a check: its role, the question's and the presentation's number."""

    role: AnswerRole
    question: int
    presentation: int


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an interrupted run has written already."""

    replies: Mapping[str, Reply] = field(default_factory=dict)
    """By `request_sha256`; only answers."""
    places: Mapping[str, frozenset[Place]] = field(default_factory=dict)
    """Written places by check."""
    asked: frozenset[str] = frozenset()
    """Checks for which the model was asked, and not only remembered answers taken."""


def earlier_of(answers: Iterable[Mapping[str, Any]]) -> Earlier:
    """Return what the answers of an interrupted run say, as `answer_rows` has them; a missing answer is asked again."""
    replies: dict[str, Reply] = {}
    places: dict[str, set[Place]] = {}
    asked: set[str] = set()
    for answer in answers:
        check, role, place = answer["check"], answer["role"], answer["index"]
        entered = role in ("planned", "foreign") and check is not None and place is not None
        if not entered or "reply" not in answer or answer["reply"]["kind"] == "missing":
            continue
        places.setdefault(check, set()).add(Place(role, *place))
        asked |= set() if answer["remembered"] else {check}
        if answer["request_sha256"]:
            replies[answer["request_sha256"]] = reply_from(answer["reply"], answer["prompt_sha256"], answer["tokens"])
    return Earlier(replies, {check: frozenset(found) for check, found in places.items()}, frozenset(asked))


class AnswerLog:
    """The sink of one process; `worker` names its files in `directory`.

    `earlier` is what a run that is continued has written.
    """

    def __init__(self, directory: Path, worker: str = "main", earlier: Earlier | None = None) -> None:
        ending = "" if worker == "main" else f"-{worker}"
        self._sheets = directory / f"sheets{ending}.jsonl"
        self._answers = directory / f"answers{ending}.jsonl"
        self._earlier = earlier or Earlier()
        self._check: str | None = None
        self._sheet: Sheet | None = None
        self._model: Model | None = None
        self._lines = SheetWriter()
        self._n_expected = 0
        self._expected: dict[Request, list[Place]] = {}
        self._written: set[Place] = set()
        self._counted = 0
        self.trouble: str | None = None
        """Why not every line could be written, where that is so."""
        self._mask = lru_cache(maxsize=64)(redacted)  # the same few names in every line

    def begin(self, check: str) -> None:
        """Attribute what follows to a check."""
        self._check, self._sheet, self._model, self._expected = check, None, None, {}
        self._lines, self._n_expected = SheetWriter(), 0
        self._written = set(self._earlier.places.get(check, ()))

    def end(self) -> None:
        """Attribute what follows to no check."""
        self._check = self._sheet = self._model = None
        self._expected = {}

    @property
    def continues(self) -> bool:
        """True where an interrupted run has asked something for this check."""
        return self._check in self._earlier.asked

    def expect(self, sheet: Sheet, model: Model) -> None:
        """Write down what is about to be asked; a later sheet of the same check holds the earlier one's plans first."""
        self._sheet, self._model = sheet, model
        self._counted = _sent(model)
        for number in range(self._n_expected, len(sheet.plans)):
            for index, request in enumerate(sheet.planned(number)):
                self._expected.setdefault(request, []).append(Place("planned", number, index))
            for index, request in enumerate(sheet.foreign_requests(number)):
                self._expected.setdefault(request, []).append(Place("foreign", number, index))
        self._n_expected = len(sheet.plans)
        self._append(self._sheets, ({"check": self._check, **line} for line in self._lines.lines(sheet)))

    def answered(self, items: Mapping[Key, Reply]) -> None:
        """Write answers down that the model has just given."""
        lines = []
        for key, reply in items.items():
            places: Sequence[Place | None] = self._expected.get(key.request) or (None,)
            for place in places:
                if place not in self._written:
                    lines.append(self._line(place, key, reply, remembered=False))
        if lines:
            lines[0]["sent_tokens"] = self._passed(items.values())
        self._append(self._answers, lines)

    def entered(self, first: int, rows: Sequence[Sequence[Reply]], *, remembered: bool) -> None:
        """Write down what entered the check; answers that were remembered only if they have no line yet.

        `rows` holds the replies to each question's presentations, in the order of the sheet from the question `first` on.
        """
        sheet = self._sheet
        if sheet is None:
            return
        lines = []
        for number, row in enumerate(rows, start=first):
            places = [Place("planned", number, index) for index in range(len(row))]
            if not remembered or not self._written.issuperset(places):
                lines += self._lines_of(places, sheet.planned(number), row, remembered=remembered)
        self._append(self._answers, lines)

    def responded(self, stems: Sequence[Stem], rows: Sequence[Sequence[Reply]]) -> None:
        """Write down what came under foreign stems, and has no line yet."""
        sheet = self._sheet
        if sheet is None:
            return
        lines = []
        for stem, row in zip(stems, rows, strict=True):
            places = [Place("foreign", stem.question, stem.number * len(row) + draw) for draw in range(len(row))]
            lines += self._lines_of(places, sheet.planned(*stem), row, remembered=True)
        self._append(self._answers, lines)

    def _lines_of(
        self, places: Sequence[Place], requests: Sequence[Request], row: Sequence[Reply], *, remembered: bool
    ) -> list[dict[str, Any]]:
        """Return the lines of one question's answers; of what was remembered, those that are not written."""
        model = self._model
        assert model is not None  # noqa: S101 - it came with the sheet
        return [
            self._line(place, key_of(model, request), reply, remembered=remembered)
            for place, request, reply in zip(places, requests, row, strict=True)
            if not remembered or place not in self._written
        ]

    def again(self, requests: Sequence[Request], replies: Sequence[Reply]) -> None:
        """Write down prompts that were asked again at the end."""
        sheet, model = self._sheet, self._model
        if sheet is None or model is None:
            return
        lines = []
        for number, (request, reply) in enumerate(zip(requests, replies, strict=True)):
            key = key_of(model, request)
            lines.append(self._line(Place("sentinel", 0, number), key, reply, remembered=False))
        self._append(self._answers, lines)

    def _append(self, file: Path, lines: Iterable[Mapping[str, Any]]) -> None:
        """Write lines down; after the first that cannot be none is written, and `trouble` says why."""
        waiting = map(json_line, lines)
        while not self.trouble and (data := b"".join(itertools.islice(waiting, AT_ONCE))):
            try:
                append(file, data)
            except OSError as error:
                self.trouble = str(error)

    def recall(self, key: Key) -> Reply | None:
        """Return what an interrupted run was answered, or `None`."""
        digest = row_key(key.fingerprint, key.request, key.prompt) if self._earlier.replies else None
        return None if digest is None else self._earlier.replies.get(digest.hex())

    def _passed(self, replies: Iterable[Reply]) -> int:
        """Return the tokens of the pass that has just ended."""
        if not hasattr(self._model, "usage"):
            return sum(getattr(reply, "n_tokens", 0) for reply in replies)
        before, self._counted = self._counted, _sent(self._model)
        return self._counted - before

    def _line(self, place: Place | None, key: Key, reply: Reply, *, remembered: bool) -> dict[str, Any]:
        if place is not None:
            self._written.add(place)
        digest = row_key(key.fingerprint, key.request, key.prompt)
        data = reply_data(reply)
        if isinstance(reply, MissingReply):
            data["reason"] = redacted(reply.reason)
        return {
            "check": self._check,
            "role": "search" if place is None else place.role,
            "index": None if place is None else [place.question, place.presentation],
            "prompt_sha256": getattr(reply, "sent_sha256", None) or None,
            "request_sha256": None if digest is None else digest.hex(),
            "reply": data,
            "tokens": getattr(reply, "n_tokens", 0),
            **({"remembered": True} if remembered else {}),
            **({} if place is not None and place.role in ("planned", "foreign") else self._alone(key, reply)),
        }

    def _alone(self, key: Key, reply: Reply) -> dict[str, Any]:
        """Return what no sheet says of an answer that has no place in one."""
        shown = key.request.presentation
        readout, delta = self._way(key.request)
        said = described(shown, read_reply(reply, shown, readout), readout, delta)
        return {**said, "model": self._mask(key.name), "fingerprint": self._mask(key.fingerprint)}

    def _way(self, request: Request) -> tuple[str, float]:
        """Return how an answer is read, and below what difference it is a tie."""
        sheet = self._sheet
        if sheet is None:
            return request.capability, DELTA_NATS
        same = capability_of(sheet.readout) == request.capability
        return sheet.readout if same else request.capability, sheet.delta_nats


class RecordedMemo(MutableMapping[Key, Reply]):
    """A memory of answers that tells a log of everything that is answered, and knows what an interrupted run asked."""

    def __init__(self, inner: Memo, log: AnswerLog) -> None:
        self.inner, self._log = inner, log
        self._recalled: dict[Key, Reply] = {}

    def persist(self, fingerprint: str) -> None:
        """Keep the answers of a model, where the memory has a disk behind it."""
        if isinstance(self.inner, Persistent):
            self.inner.persist(fingerprint)

    def fetch(self, keys: Iterable[Key]) -> None:
        """Read what is known of many keys."""
        wanted = list(keys)
        if isinstance(self.inner, Persistent):
            self.inner.fetch(wanted)
        for key in wanted:
            reply = None if key in self._recalled else self._log.recall(key)
            if reply is not None:
                self._recalled[key] = reply

    def store(self, items: Mapping[Key, Reply]) -> None:
        """Remember answers that were written down."""
        if isinstance(self.inner, Persistent):
            self.inner.store(items)
        else:
            self.inner.update(items)

    def note(self, items: Mapping[Key, Reply]) -> None:
        """Write answers down."""
        self._log.answered(items)

    def claim(self, keys: Sequence[Key]) -> list[Key]:
        """Return those to be asked here; see `engine.Claiming`."""
        return self.inner.claim(keys) if isinstance(self.inner, Claiming) else list(keys)

    def disclaim(self, keys: Sequence[Key]) -> None:
        """Say that these are not asked here any more."""
        if isinstance(self.inner, Claiming):
            self.inner.disclaim(keys)

    def close(self) -> None:
        """Let go of the disk behind it."""
        close = getattr(self.inner, "close", None)
        if close is not None:
            close()

    def __getitem__(self, key: Key) -> Reply:
        return self._recalled[key] if key in self._recalled else self.inner[key]

    def __setitem__(self, key: Key, reply: Reply) -> None:
        self.note({key: reply})
        self.store({key: reply})

    def __delitem__(self, key: Key) -> None:
        self._recalled.pop(key, None)
        self.inner.pop(key, None)

    def __iter__(self) -> Iterator[Key]:
        return iter({**self._recalled, **dict.fromkeys(self.inner)})

    def __len__(self) -> int:
        return len({**self._recalled, **dict.fromkeys(self.inner)})


def _sent(model: Model | None) -> int:
    usage = getattr(model, "usage", None)
    return 0 if usage is None else int(usage.sent_tokens)


def described(shown: Presentation, answer: AnswerDistribution, readout: str, delta_nats: float) -> dict[str, Any]:
    """Return how a question was shown and what was answered, by content, as a line of `answers.jsonl` holds it."""
    question = shown.question
    return {
        "question": question.content_hash,
        "question_id": question.id,
        "stem": question.stem,
        "options": list(question.options),
        "correct": question.answer,
        "order": list(shown.order),
        "labels": list(shown.labels),
        "template": shown.template.shown_name,
        "shown_sha256": sent_digest(shown.render()),
        "layout": dataclasses.asdict(shown.layout),
        "readout": readout,
        "answer": {
            "probabilities": [plain_number(value) for value in answer.probabilities],
            "other": plain_number(answer.other),
            "status": answer.status,
            "outcomes": sorted(answer.outcomes(delta_nats)),
        },
    }
