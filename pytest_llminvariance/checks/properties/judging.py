"""A judge of two responses decides by what they say: not by which is shown first, not by length, not by style."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pytest_llminvariance.checks.properties.base import Case, Plan, Pooled, Property, SelfTest
from pytest_llminvariance.checks.verdict import Guard, Verdict
from pytest_llminvariance.errors import QuestionError
from pytest_llminvariance.measures.distribution import share_between
from pytest_llminvariance.measures.estimates import mean_bounds, mean_estimate
from pytest_llminvariance.measures.metrics import Ends, Interval, mean_interval, own_metric
from pytest_llminvariance.models.judges import JudgeFunction, as_judge
from pytest_llminvariance.models.probes import Probe
from pytest_llminvariance.models.protocol import AnyModel
from pytest_llminvariance.questions.presentation import Presentation
from pytest_llminvariance.questions.question import Question, cluster_of
from pytest_llminvariance.questions.template import Template
from pytest_llminvariance.transforms.edits import edited, edits_of

COMPARE = Template(
    "{context}Somebody asked:\n{stem}\n\nWhich of these two responses is better?\n\n{options}\n\nAnswer with only one of: {labels}.",
    name="compare two responses",
)
LEAST_CONTRAST = 0.1
"""What an intact response must be preferred by over its own words in reverse, above one half."""


def longer(text: str) -> str:
    """Return a response that says the same twice."""
    return f"{text}\n\nIn other words: {text}"


def restyled(text: str) -> str:
    """Return a response as a list under a heading."""
    parts = re.split(r"(?<=[.!?])\s+", text.strip())
    return "\n".join(["## Answer", "", *(f"- {part}" for part in parts)])


def garbled(text: str) -> str:
    """Return the words of a response in reverse."""
    words = text.split()
    return " ".join(words[::-1]) if len(words) > 1 else text[::-1] + "?"


EDITS: Mapping[str, Callable[[str], str]] = MappingProxyType({"length": longer, "style": restyled})
CONTRAST = "contrast"


def _fair(prompt: str, first: str, second: str) -> float:
    del prompt
    return 1 / (1 + math.exp(_worth(second) - _worth(first)))


def _worth(text: str) -> float:
    return 2.0 if "It is exactly" in text else 1.0 if "I guess" in text else 0.0


def _likes_the_first(prompt: str, first: str, second: str) -> float:
    return 0.7 * _fair(prompt, first, second) + 0.3


def _likes_length(prompt: str, response: str) -> float:
    del prompt
    return _worth(response) + 0.02 * len(response)


def _blind(prompt: str, first: str, second: str) -> float:
    del prompt, first, second
    return 0.5


class JudgeSymmetry(Property):
    """A pair is (prompt, response, response), or a question with two options whose `answer` is the better one if known.

    The judge is a language model, a function (prompt, first, second) -> probability that the first is better, or a
    reward: a function (prompt, response) -> number, or (network, tokenizer) of AutoModelForSequenceClassification with one
    score, of which P(A over B) is the logistic function of the difference. Asked are both orders of each pair, both
    again with one response said twice (length), and set as a list (style), and each response against its own words
    in reverse, which must stay apart. The effect is the largest of three: the mean of |P(A over B) + P(B over A) - 1|,
    and the size of the mean shift of P towards a response that was lengthened, or restyled.
    """

    name = "judge"
    title = "symmetry of a judge"
    says = "a judge prefers the same response in either order, whatever its length and style"
    advice = (
        "average the judge over both orders (symmetrized), or name length and style in its instructions; docs/broken.md"
    )
    assertion = "assert_judge_symmetric"
    source = "Reward (In-)consistency; ODIN"
    metric = "judge_bias"
    own = own_metric("judge_bias", "order, length or style moves the preference by")
    needs_response = False
    way = COMPARE
    bank = tuple(
        Question(
            f"What is {n} plus 1?", (f"It is exactly {n + 1}, as you count on.", f"I guess that it may be {n + 2}.")[:: 1 - n % 2 * 2],
            id=f"sum-{n}", answer=n % 2,
        )
        for n in range(12)
    )  # fmt: skip
    selftests = MappingProxyType(
        {
            "judge": SelfTest(
                bank=bank,
                cases=(
                    Case("fair", Verdict.HOLDS, lambda: _fair),
                    Case("likes_the_first", Verdict.BROKEN, lambda: _likes_the_first),
                    Case("likes_length", Verdict.BROKEN, lambda: _likes_length),
                    Case("blind", Verdict.UNDECIDED, lambda: _blind),
                    Case("refuser", Verdict.UNDECIDED),
                ),
            )
        }
    )

    def __init__(self) -> None:
        self._orders: tuple[tuple[int, int], ...] = ((0, 1), (1, 0))

    def asked(self, questions: Question | Iterable[Question | tuple[str, str, str]]) -> Any:
        """Return pairs as questions."""
        many = [questions] if isinstance(questions, Question) else questions
        return tuple(_pair(one) for one in many)

    def subject(self, model: AnyModel) -> AnyModel:
        """Return the judge as a model; a reward sees one response at a time, so no order can reach it."""
        judge = as_judge(model)
        is_symmetric = isinstance(judge, JudgeFunction) and judge.is_symmetric
        self._orders = ((0, 1),) if is_symmetric else ((0, 1), (1, 0))
        return judge

    def plan(self, question: Question, template: str | Template | None) -> Plan:
        """Plan both orders of the pair, of its longer and restyled forms, and of each response against its garbled self."""
        way = COMPARE if template is None else template
        forms = [(question, (0, 0, 0))]
        for axis, name in enumerate((*EDITS, CONTRAST)):
            for content in (0, 1):
                place = [0, 0, 0]
                place[axis] = content + 1
                forms.append((_form(question, name, content), (place[0], place[1], place[2])))
        probes = tuple(
            Probe(Presentation(form, order=order, template=way), place=(number, *place))
            for form, place in forms
            for number, order in enumerate(self._orders)
        )
        parts = ("order of the responses", *EDITS, CONTRAST)
        if len(self._orders) < 2:
            parts, probes = parts[1:], tuple(Probe(p.presentation, place=p.place[1:]) for p in probes)
        return Plan(question, probes, f"{len(probes)} comparisons", self.spec(), parts=parts)

    def spec(self) -> str:
        """Return its name and the number of orders."""
        return f"judge:{len(self._orders)} orders"

    def pool(self, evidence: Sequence[Any], risk: float | None) -> Pooled:
        """Return the largest of the three biases."""
        gaps: list[Interval] = []
        shifts: dict[str, list[Interval]] = {name: [] for name in EDITS}
        contrasts: list[Interval] = []
        for item in evidence:
            table = _table(item)
            if len({order for _, _, order in table}) > 1:
                gaps.append(_size(_minus(table["", 0, (0, 1)], table["", 0, (1, 0)])))
            for name in EDITS:
                shifts[name].append(_mean_shift(table, name))
            contrasts.append(mean_interval([v for (kind, *_), v in table.items() if kind == CONTRAST]))
        clusters = [cluster_of(item.plan.question) for item in evidence]
        told = {**({"order": gaps} if gaps else {}), **shifts}
        sizes = [_bounds(rows, clusters, risk, name, len(told)) for name, rows in told.items()]
        apart = float(mean_interval(contrasts).low)
        says = (
            f"a response is preferred to its own words in reverse with {apart:.2f} (at least {0.5 + LEAST_CONTRAST:g})"
        )
        passed = apart >= 0.5 + LEAST_CONTRAST
        guard = Guard(name="contrast", passed=passed, text=says if passed else f"the judge hardly reads: {says}")
        estimates = {name: mean_estimate(_middles(rows), clusters) for name, rows in told.items()}
        estimates["intact over garbled"] = mean_estimate(_middles(contrasts), clusters)
        return Pooled(
            effect=Interval(max(float(size.low) for size in sizes), max(float(size.high) for size in sizes)),
            values=gaps or [_size(row) for row in shifts["length"]],
            estimates=estimates,
            guards=(guard,),
        )


def _pair(given: Any) -> Question:
    if isinstance(given, Question):
        if len(given.options) != 2:
            raise QuestionError(f"question {given.name!r} has {len(given.options)} options, but a pair has 2 responses")
        return given
    if not isinstance(given, tuple | list) or len(given) != 3 or not all(isinstance(part, str) for part in given):
        raise QuestionError(f"a pair is {given!r:.80}, but must be (prompt, response, response) or a Question")
    return Question(given[0], given[1:])


def _form(question: Question, name: str, content: int) -> Question:
    texts = list(question.options)
    if name == CONTRAST:
        other = garbled(texts[content])
        texts[1 - content] = other if other != texts[content] else f"{other} {other}"
    else:
        texts[content] = EDITS[name](texts[content])
    return edited(question, f"{name} of response {'AB'[content]}", options=tuple(texts), answer=None)


def _table(item: Any) -> dict[tuple[str, int, tuple[int, ...]], Interval]:
    """Return P of the response that was edited (the first where none was), by kind of edit, response and order."""
    found = {}
    for probe, answer in zip(item.plan.probes, item.answers, strict=True):
        words = edits_of(probe.presentation.question)[len(edits_of(item.plan.question)) :]
        kind, content = (words[0].split(" ")[0], "AB".index(words[0][-1])) if words else ("", 0)
        found[kind, content, probe.presentation.order] = Interval(
            *share_between(answer, content, 1 - content, item.delta_nats)
        )
    return found


def _mean_shift(table: Mapping[tuple[str, int, tuple[int, ...]], Interval], name: str) -> Interval:
    rows = []
    for (kind, content, order), value in table.items():
        if kind == name:
            plain = table["", 0, order]
            rows.append(_minus(value, plain if content == 0 else plain.complement()))
    return mean_interval(rows)


def _minus(a: Interval, b: Interval) -> Interval:
    return Interval(a.low - b.high, a.high - b.low)


def _size(value: Interval) -> Interval:
    low, high = float(value.low), float(value.high)
    return Interval(max(0.0, low, -high), max(abs(low), abs(high)))


def _middles(rows: Sequence[Interval]) -> list[float]:
    return [float(row.low + row.high) / 2 for row in rows]


def _bounds(rows: Sequence[Interval], clusters: Sequence[str], risk: float | None, name: str, n: int) -> Interval:
    """Return between which ends the size of a mean lies: what open answers leave, and with a risk chance too."""
    exact = _size(mean_interval(rows))
    if risk is None:
        return exact
    ends: list[Ends] = [
        mean_bounds([float(getattr(row, end)) for row in rows], clusters, risk, signed=name != "order", claims=n)
        for end in ("low", "high")
    ]
    return Interval(min(exact.low, *(low for low, _ in ends)), max(exact.high, *(high for _, high in ends)))
