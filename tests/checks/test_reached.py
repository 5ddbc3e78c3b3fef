"""What did not reach the model earns nothing: each part of a product by itself, in the run and from its record."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance import (
    AddDistractor,
    AddNoise,
    Finding,
    Model,
    Presentation,
    Question,
    Reformat,
    Relabel,
    Reorder,
    Reword,
    Template,
    Transform,
    Verdict,
    check,
    controls,
    load_model,
    run,
    symmetrized,
)
from pytest_llminvariance.checks.run import surrounded
from pytest_llminvariance.models.protocol import Capability, LabelReply, MissingReply, Reply, Request, TextReply
from pytest_llminvariance.questions.template import DEFAULT_LAYOUT, Layout
from pytest_llminvariance.records.answer_log import AnswerLog, RecordedMemo
from pytest_llminvariance.records.judge import judge
from pytest_llminvariance.records.record import load
from tests.questions.bad_input import write
from tests.run_directories import write_run

WAYS = (Template("{stem}\n{options}\nA:", name="short"), Template("{stem}\n{options}\nYour answer:", name="long"))
LABELS = Relabel(("ABCD", "1234"))
LAYOUTS = Reformat((Layout(), Layout(enumerator="({label}) ")))
SENTENCE = "By the way, it rains."


def bank(n: int = 4, k: int = 3) -> list[Question]:
    return [
        Question(f"What is thing {i}?", [f"{i} {c}" for c in "dacb"[:k]], id=f"q{i}", answer=i % k) for i in range(n)
    ]


class Proxy:
    """Changes each presentation before its model sees it, and takes the answer back to the positions that were asked."""

    def __init__(self, change: Callable[[Presentation], Presentation], inner: Model | None = None) -> None:
        self.inner, self.change = inner or controls.oracle(), change
        self.name, self.fingerprint = "proxy", "proxy"
        self.capabilities: frozenset[Capability] = frozenset({"label"}) if inner is None else inner.capabilities

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        changed = [dataclasses.replace(request, presentation=self.change(request.presentation)) for request in requests]
        replies = self.inner.answer(changed)
        return [self._back(*one) for one in zip(requests, changed, replies, strict=True)]

    @staticmethod
    def _back(asked: Request, sent: Request, reply: Reply) -> Reply:
        if not isinstance(reply, LabelReply):
            return reply
        places = [sent.presentation.position_of(content) for content in asked.presentation.order]
        return LabelReply(tuple(reply.logprobs_nats[place] for place in places), reply.sent_sha256)


def in_order(p: Presentation) -> Presentation:
    return p.replace(order=sorted(p.order, key=lambda content: p.question.options[content]))


def in_letters(p: Presentation) -> Presentation:
    return p.replace(labels="ABCD"[: len(p.order)])


def in_one_layout(p: Presentation) -> Presentation:
    return p.replace(layout=DEFAULT_LAYOUT)


def in_one_wording(p: Presentation) -> Presentation:
    return p.replace(template=WAYS[0])


def without_the_sentence(p: Presentation) -> Presentation:
    stem = p.question.stem.replace(f"{SENTENCE} ", "")
    return p.replace(question=dataclasses.replace(p.question, stem=stem))


def held(under: Any, model: Model, questions: Sequence[Question] | None = None, **settings: Any) -> Finding:
    return check(under, model, questions or bank(), **{"tolerance": 0.1, **settings})


def withheld(finding: Finding, part: str) -> None:
    assert finding.verdict is Verdict.UNDECIDED
    assert any(f"{part} did not reach the model" in reason for reason in finding.reasons), finding.reasons


PRODUCTS: list[tuple[Transform, Callable[[Presentation], Presentation], str]] = [
    (Reorder() * LABELS, in_order, "option order"),
    (LABELS * Reorder(), in_order, "option order"),
    (Reorder("reversed") * LAYOUTS, in_order, "option order"),
    (Reword(WAYS) * Reorder("cyclic"), in_order, "option order"),
    (Reword(WAYS) * Reorder("cyclic") * LABELS, in_order, "option order"),
    (Reorder("cyclic") * (LABELS * LAYOUTS), in_letters, "labelling"),
    (Reorder("cyclic") * LAYOUTS, in_one_layout, "layout"),
    (Reword(WAYS) * Reorder("cyclic"), in_one_wording, "prompt wording"),
    (AddDistractor([SENTENCE]) * AddNoise(["case"]), without_the_sentence, "irrelevant sentence"),
]


@pytest.mark.parametrize(("under", "change", "part"), PRODUCTS, ids=[f"{p} in {u.title}" for u, _, p in PRODUCTS])
def test_a_part_that_is_taken_out_on_the_way_holds_in_no_product(
    under: Transform, change: Callable[[Presentation], Presentation], part: str
) -> None:
    withheld(held(under, Proxy(change)), part)
    assert held(under, controls.oracle()).verdict is Verdict.HOLDS


def test_the_named_properties_are_judged_by_part_too() -> None:
    wording: dict[str, Any] = {"templates": WAYS, "orders": "cyclic"}
    withheld(held("prompt", Proxy(in_order), **wording), "option order")
    assert held("prompt", controls.oracle(), **wording).verdict is Verdict.HOLDS


def test_the_parts_that_reached_the_model_still_break() -> None:
    names = controls.Control("names a label", lambda p: [0.9 if one in "A3" else 0.05 for one in p.labels])
    finding = held(Reorder("cyclic") * LABELS, Proxy(in_order, names))
    assert finding.verdict is Verdict.BROKEN
    assert any("option order did not reach" in guard.text for guard in finding.guards)
    assert finding.example is not None
    assert finding.example.before.answer != finding.example.after.answer


def test_a_part_of_which_nothing_is_planned_by_itself_is_named() -> None:
    """Each template brings labels of its own, which the label sets before it come to nothing against."""
    ways = [dataclasses.replace(way, labels=tuple("WXYZ")) for way in WAYS]
    finding = held(LABELS * Reword(ways), controls.oracle())
    assert finding.verdict is Verdict.UNDECIDED
    assert finding.reasons == ("not applicable: no two presentations of a question differ in labelling alone",)


def idle(n: int, **other: Any) -> list[Template]:
    return [Template(f"{{stem}}\n{{options}}\nway {i}:", name=f"way {i}", **other) for i in range(n)]


@pytest.mark.parametrize(
    "under",
    [
        Reword(idle(20)),
        Reformat(tuple(Layout(separator="\n" * n) for n in range(1, 20))),
        Relabel(["ABC", "BCD", "CDE", "DEF", "EFG", "FGH", "123"]),
    ],
    ids=["wording", "layout", "labels"],
)
def test_presentations_that_send_the_same_bytes_do_not_dilute_flips(under: Transform) -> None:
    """All but the last are sent as the first, and the last one flips every time."""
    as_written: dict[str, Presentation] = {}
    lasts = {list(under.orbit(question))[-1] for question in bank()}

    def change(p: Presentation) -> Presentation:
        return p if p in lasts else as_written.setdefault(p.question.stem, p)

    def flips(p: Presentation) -> Sequence[float]:
        best = ((p.question.answer or 0) + (p in lasts)) % 3
        return [0.9 if content == best else 0.05 for content in p.order]

    finding = held(under, Proxy(change, controls.Control("flips", flips)), tolerance=0.2)
    assert (finding.verdict, finding.effect.low, finding.effect.high) == (Verdict.BROKEN, 1, 1)
    assert finding.count == "4 of 4 other presentations"
    planned = len(under.orbit(bank()[0]))
    says = (
        f"{4 * (planned - 2)} of {4 * planned} answers are not counted: their prompts were sent as the bytes of another"
    )
    assert any(guard.text.startswith(says) for guard in finding.guards)
    assert finding.presentations_asked == 4 * planned
    for metric in ("disagreement", "tv", "js_distance"):
        assert held(under, Proxy(change, controls.Control("flips", flips)), metric=metric).verdict is Verdict.BROKEN


def test_sampled_answers_to_the_same_bytes_leave_in_whole_rows() -> None:
    ways = idle(6)

    def change(p: Presentation) -> Presentation:
        return p if p.template == ways[-1] else p.replace(template=ways[0])

    def flips(p: Presentation) -> Sequence[float]:
        best = ((p.question.answer or 0) + (p.template == ways[-1])) % 3
        return [float(content == best) for content in p.order]

    model = Proxy(change, controls.Control("flips", flips))
    finding = held("prompt", model, templates=ways, samples=2, readout="text")
    assert {(effect.low, effect.high) for effect in finding.per_question} == {(1.0, 1.0)}
    assert finding.details["majority_pairs"] == finding.details["majority_flips"] > 0


def test_positions_of_orders_that_were_sent_as_one_are_open() -> None:
    finding = held("option_order", controls.sorting_proxy(controls.oracle()), metric="position_bias", tolerance=0.3)
    assert (finding.verdict, finding.effect.low) == (Verdict.UNDECIDED, 0)

    def half(p: Presentation) -> Presentation:
        return in_order(p) if p.order[0] == 0 else p

    exact = held("option_order", controls.always_first(), metric="position_bias").effect
    finding = held("option_order", Proxy(half, controls.always_first()), metric="position_bias")
    assert float(finding.effect.low) <= float(exact.low) <= float(finding.effect.high)
    assert not finding.effect.is_exact


class Silent:
    """Does not say what it sent, for all answers or for those in other orders."""

    def __init__(self, *, says_as_written: bool = False) -> None:
        self.inner, self.says = controls.oracle(), says_as_written
        self.name, self.fingerprint, self.capabilities = "silent", "silent", self.inner.capabilities

    def answer(self, requests: Sequence[Request]) -> list[Reply]:
        told = [self.says and list(r.presentation.order) == sorted(r.presentation.order) for r in requests]
        replies = self.inner.answer(requests)
        return [
            reply if says or isinstance(reply, MissingReply) else dataclasses.replace(reply, sent_sha256="")
            for says, reply in zip(told, replies, strict=True)
        ]


@pytest.mark.parametrize("says", [False, True])
@pytest.mark.parametrize("under", ["option_order", Reorder("cyclic") * LABELS], ids=["orders", "product"])
def test_without_digests_nothing_is_checked_and_nothing_holds(under: Any, says: bool) -> None:
    finding = held(under, Silent(says_as_written=says))
    assert (finding.verdict, finding.effect.high) == (Verdict.UNDECIDED, 0)
    assert "not checked" in finding.reasons[0]
    assert "sent_sha256" in finding.reasons[0]


def test_a_missing_answer_is_not_left_out_with_its_bytes() -> None:
    class Losing(Proxy):
        def answer(self, requests: Sequence[Request]) -> list[Reply]:
            return [
                MissingReply("time-out", reply.sent_sha256) if request.presentation.template == ways[1] else reply
                for request, reply in zip(requests, super().answer(requests), strict=True)
            ]

    ways = idle(3)
    finding = held(
        "prompt", Losing(lambda p: p if p.template == ways[2] else p.replace(template=ways[0])), templates=ways
    )
    assert (finding.effect.low, finding.effect.high) == (0, 0.5)


def test_a_recorded_row_without_an_order_shows_no_order(tmp_path: Path) -> None:
    """It answers the question as written and nothing else, whatever the tolerance lets through."""
    import json

    rows = [
        {"question": q.id, "template": way.name, "choice": q.options[q.answer or 0], **more}
        for q in bank()
        for way in WAYS
        for more in ({}, *({"under": other.id} for other in bank() if other != q and way is WAYS[0]))
    ]
    file = write(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
    finding = held(
        "prompt", load_model(f"replay:{file}"), templates=WAYS, orders="reversed", tolerance=0.7, readout="text"
    )
    assert float(finding.effect.high) == pytest.approx(2 / 3)
    assert finding.verdict is Verdict.UNDECIDED
    assert any("whether option order reached the model is not checked" in reason for reason in finding.reasons)


def test_an_average_over_orders_need_not_send_them_in_a_product() -> None:
    model = symmetrized(controls.position_prior(2), "cyclic")
    assert held(Reorder("cyclic") * LABELS, model).verdict is Verdict.HOLDS
    withheld(
        held(Reorder("cyclic") * LABELS, Proxy(in_letters, model)), "option order"
    )  # what hides the frame is a proxy
    assert held(Reorder("all") * LABELS, symmetrized(controls.oracle(), "reversed"), bank(k=4)).verdict is Verdict.HOLDS


class Kept:
    """A recorder that numbers what it is given."""

    def __init__(self) -> None:
        self.n = 0

    def started(self, title: str) -> str:
        del title
        self.n += 1
        return f"{self.n:016x}"

    def finished(self, id: str, finding: Finding) -> Finding:
        return dataclasses.replace(finding, id=id)

    def failed(self, id: str, error: str) -> None:
        raise AssertionError((id, error))


def recorded_and_judged(directory: Path, limit: float | None, *arguments: Any, **settings: Any) -> tuple[Finding, Any]:
    """Return the finding of a run with a record, and the finding that its record gives again."""
    with run(risk_limit=limit, recorder=Kept()) as current:  # type: ignore[arg-type]
        log = AnswerLog(directory)
        memo = RecordedMemo({}, log)
        with surrounded(current._replace(answers=log, memory=lambda: memo)):
            finding = held(*arguments, **settings)
    for name in ("answers", "sheets"):
        assert (directory / f"{name}.jsonl").is_file()
    write_run(directory, [finding])
    (again,) = judge(load(directory))
    assert again.thin == ""
    return finding, again


@pytest.mark.parametrize("limit", [None, 0.1], ids=["all", "early"])
@pytest.mark.parametrize(
    ("model", "verdict"),
    [
        (controls.oracle(), Verdict.HOLDS),
        (Proxy(in_order), Verdict.UNDECIDED),
        (Proxy(in_letters), Verdict.UNDECIDED),
        (Silent(), Verdict.UNDECIDED),
        (symmetrized(controls.oracle(), "cyclic"), Verdict.HOLDS),
        (controls.content_blind(), None),
        (Proxy(lambda p: in_letters(in_order(p))), Verdict.UNDECIDED),
    ],
    ids=["oracle", "sorting", "lettering", "silent", "symmetrized", "guessing", "both"],
)
def test_a_record_is_judged_as_its_run_was(
    tmp_path: Path, model: Model, verdict: Verdict | None, limit: float | None
) -> None:
    under = Reword(WAYS) * Reorder("cyclic") * LABELS
    finding, again = recorded_and_judged(tmp_path / "run", limit, under, model, bank(40))
    assert finding.verdict is verdict or verdict is None
    assert again.row == again.stored
    assert again.row.to_json()["guards"] == finding.to_json()["guards"]


def test_missing_answers_that_say_what_was_sent_are_judged_alike(tmp_path: Path) -> None:
    class Refuses:
        name, fingerprint = "refuses", "refuses"
        capabilities: frozenset[Capability] = frozenset({"text", "label"})

        def answer(self, requests: Sequence[Request]) -> list[Reply]:
            return [MissingReply("no", "same") if r.presentation.order[0] else TextReply("?", "same") for r in requests]

    _, again = recorded_and_judged(tmp_path / "run", None, Reorder("cyclic"), Refuses(), readout="text")
    assert again.row == again.stored
