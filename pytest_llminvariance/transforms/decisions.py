"""Changes that keep the meaning of a question to a decision model: of what is chosen from, of its company, of its state."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_llminvariance.errors import UsageError
from pytest_llminvariance.questions.decision import DecisionQuestion, as_json, decision_of
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question, as_questions, given_for
from pytest_llminvariance.transforms.base import TextTransform, Transform
from pytest_llminvariance.transforms.edits import edited
from pytest_llminvariance.transforms.texts import check_texts

MAX_TOGETHER = 8
"""Questions of one request, unless told otherwise."""
FIELDS: Mapping[str, str] = {"request_id": "7f3a-91c2", "exported_by": "nightly job 4"}
"""Fields of a state that no question is about."""
NEUTRAL_NAMES = ("option_1", "option_2", "option_3", "option_4", "option_5", "option_6", "option_7", "option_8")
NO_DESCRIPTIONS = "have options without a description, or are no choices"
NO_COMPANY = "have no other question about the same state"
NO_LEVELS = "are no scores"
"""Why questions are left out, after "they"."""


@dataclass(frozen=True, slots=True)
class Redescribe(TextTransform):
    """Describe the options in other words, which somebody has accepted.

    `texts` maps a question, by its id, content hash or instructions, to lists of descriptions, one for each option.
    """

    texts: Mapping[str, Sequence[Sequence[str | None]]]
    title: str = field(default="wording of the descriptions", init=False, repr=False)

    def __post_init__(self) -> None:
        rows = self.texts.values() if isinstance(self.texts, Mapping) else ()
        if not rows or not all(isinstance(row, Sequence) and row and not isinstance(row[0], str) for row in rows):
            raise UsageError(
                f"texts is {self.texts!r:.120}, but must map a question's id, content hash or instructions to lists of descriptions"
            )

    def edits(self, question: Question) -> Iterator[Question]:
        """Yield the question with every other list of descriptions."""
        asked = decision_of(question)
        found = given_for(asked, self.texts)
        if found is None:
            raise UsageError(
                f"there are no descriptions of question {asked.name!r}. Give them under its id, content hash or instructions"
            )
        for told in found:
            after = edited(
                asked, f"describe the options as {json.dumps(list(told), ensure_ascii=False)}", descriptions=told
            )
            if after.sent_besides != asked.sent_besides:
                yield after

    def spec(self) -> str:
        """Return a hash of the descriptions."""
        return "redescribe:" + _hash(sorted((name, [list(row) for row in rows]) for name, rows in self.texts.items()))


@dataclass(frozen=True, slots=True)
class NameOptions(TextTransform):
    """Tell the options by their names alone, by their descriptions alone, or by neutral names with their descriptions.

    For choices in which every option is described; the names alone must say what the descriptions say.
    """

    ways: Sequence[str] = ("names", "descriptions", "neutral")
    neutral_names: Sequence[str] = NEUTRAL_NAMES
    title: str = field(default="names of the options", init=False, repr=False)

    def __post_init__(self) -> None:
        for way in check_texts(self.ways, "ways"):
            if way not in ("names", "descriptions", "neutral"):
                raise UsageError(f"ways holds {way!r}, but the ways are names, descriptions and neutral")
        if len(set(check_texts(self.neutral_names, "neutral_names"))) < len(self.neutral_names):
            raise UsageError(f"neutral_names is {list(self.neutral_names)!r}, but must hold each name once")

    def leaves_out(self, start: Presentation) -> str:
        """Say why the options cannot be told otherwise."""
        asked = decision_of(start.question)
        whole = asked.descriptions is not None and None not in asked.descriptions
        return "" if whole and asked.kind == "choice" else NO_DESCRIPTIONS

    def edits(self, question: Question) -> Iterator[Question]:
        """Yield the question in each of the ways; nothing where they are not described."""
        asked = decision_of(question)
        if asked.kind != "choice" or asked.descriptions is None or None in asked.descriptions:
            return
        told: Sequence[Any] = asked.descriptions
        if "names" in self.ways:
            yield edited(asked, "leave the descriptions out", descriptions=None)
        if "descriptions" in self.ways and len(set(told)) == len(told):
            yield edited(asked, "name the options by their descriptions", options=told, descriptions=None)
        if "neutral" in self.ways:
            names = tuple(self.neutral_names[: len(asked.options)])
            if len(names) < len(asked.options):
                raise UsageError(
                    f"neutral_names has {len(names)} names for the {len(asked.options)} options of {asked.name!r}"
                )
            yield edited(asked, f"name the options {', '.join(names)}", options=names)

    def spec(self) -> str:
        """Return the ways and a hash of the names."""
        return f"names:{','.join(self.ways)}:" + _hash(list(self.neutral_names))


@dataclass(frozen=True, slots=True)
class AddField(TextTransform):
    """Add a field to the state that the question is not about: one more line where the state is a text."""

    fields: Mapping[str, Any] = field(default_factory=lambda: dict(FIELDS))
    title: str = field(default="irrelevant field in the state", init=False, repr=False)

    def __post_init__(self) -> None:
        if not isinstance(self.fields, Mapping) or not self.fields:
            raise UsageError(f"fields is {self.fields!r}, but must map names to values")
        as_json(dict(self.fields), "fields")

    def edits(self, question: Question) -> Iterator[Question]:
        """Yield the question with one field each."""
        asked = decision_of(question)
        for name, value in self.fields.items():
            if isinstance(asked.state, dict) and name in asked.state:
                raise UsageError(f"the state of question {asked.name!r} has a field {name!r} already. Add another")
            context = _with_field(asked, name, value)
            yield edited(asked, f"add {name}: {value!r} to the state", context=context, beside=(), place=0)

    def spec(self) -> str:
        """Return a hash of the fields."""
        return "field:" + _hash(dict(self.fields))


@dataclass(frozen=True, slots=True)
class _InCompany(Transform):
    """Ask several questions about one state in one request: those of the suite, in runs of at most `together`."""

    questions: Sequence[Question]
    together: int = MAX_TOGETHER
    _runs: Mapping[str, list[DecisionQuestion]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        n = self.together
        if isinstance(n, bool) or not isinstance(n, int) or not 2 <= n <= 64:
            raise UsageError(f"together is {n!r}, but a request for several questions holds from 2 to 64")
        object.__setattr__(self, "questions", as_questions(self.questions))
        by_state: dict[tuple[str | None, bool], list[DecisionQuestion]] = {}
        for asked in map(_alone, self.questions):
            by_state.setdefault((asked.context, asked.structured), []).append(asked)
        runs = [group[at : at + n] for group in by_state.values() for at in range(0, len(group), n)]
        object.__setattr__(self, "_runs", {one.content_hash: run for run in runs for one in run if len(run) > 1})

    def company(self, question: Question) -> list[DecisionQuestion]:
        """Return the questions that go together with this one, itself among them; empty where there are none."""
        return self._runs.get(_alone(question).content_hash, [])

    def leaves_out(self, start: Presentation) -> str:
        """Say why there is no company."""
        return "" if self.company(start.question) else NO_COMPANY

    def size(self, start: Presentation) -> int:
        """Return the number of variants."""
        return sum(1 for _ in self.variants(start))

    def spec(self) -> str:
        """Return how many go together, and a hash of the questions."""
        return f"{self.title}:{self.together}:" + _hash([one.content_hash for one in self.questions])


@dataclass(frozen=True, slots=True)
class Isolate(_InCompany):
    """Ask each question alone, and in one request with the others of the suite about the same state."""

    title: str = field(default="isolation of questions", init=False, repr=False)

    def variants(self, start: Presentation) -> Iterator[Presentation]:
        """Yield the question as it is, then among the others in the order of the suite."""
        yield start
        if company := self.company(start.question):
            words = f"ask {len(company) - 1} more in the same request"
            yield start.replace(question=_among(start.question, company, words))


@dataclass(frozen=True, slots=True)
class ReorderQuestions(_InCompany):
    """Ask several questions about one state in one request, in other orders: rotations, and backwards."""

    title: str = field(default="order of the questions", init=False, repr=False)

    def variants(self, start: Presentation) -> Iterator[Presentation]:
        """Yield the question among the others in each order, the order of the suite first."""
        company = self.company(start.question)
        if not company:
            yield start
            return
        places = {one.content_hash: str(at + 1) for at, one in enumerate(company)}
        orders = [(*company[at:], *company[:at]) for at in range(len(company))]
        for order in dict.fromkeys([*orders, tuple(reversed(company))]):
            words = "ask the questions in the order " + " ".join(places[one.content_hash] for one in order)
            yield start.replace(question=_among(start.question, order, words))


def _with_field(asked: DecisionQuestion, name: str, value: Any) -> str:
    if isinstance(asked.state, dict):
        return as_json({**asked.state, name: value}, asked.name)
    if isinstance(asked.state, list):
        return as_json([*asked.state, {name: value}], asked.name)
    return f"{asked.context}\n{name}: {value}" if asked.context else f"{name}: {value}"


def _alone(question: Question) -> DecisionQuestion:
    return dataclasses.replace(decision_of(question), beside=(), place=0)


def _among(question: Question, order: Sequence[DecisionQuestion], words: str) -> Question:
    """Return a question as it is sent among others in this order."""
    own = _alone(question).content_hash
    place = next(at for at, one in enumerate(order) if one.content_hash == own)
    return edited(decision_of(question), words, beside=(*order[:place], *order[place + 1 :]), place=place)


@dataclass(frozen=True, slots=True)
class ReverseLevels(Transform):
    """List the levels of a score from the highest to the lowest. Nothing applies it unless asked to.

    A wire that says "lowest first" takes this for another scale, so what it finds stands apart from other orders.
    """

    title: str = field(default="direction of levels", init=False, repr=False)

    def leaves_out(self, start: Presentation) -> str:
        """Say why there are no levels."""
        return "" if decision_of(start.question).kind == "score" else NO_LEVELS

    def variants(self, start: Presentation) -> Iterator[Presentation]:
        """Yield the levels as written, and from the other end."""
        yield start
        if not self.leaves_out(start):
            yield start.replace(order=start.order[::-1])

    def size(self, start: Presentation) -> int:
        """Return 2 for a score."""
        return 1 if self.leaves_out(start) else 2

    def spec(self) -> str:
        """Return its name."""
        return "levels"


def _hash(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]
