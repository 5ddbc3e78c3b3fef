"""Questions to decision models: what is sent, what may change, and controls of known truth both ways."""

from __future__ import annotations

import dataclasses
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance import (
    AddField,
    DecisionQuestion,
    InvarianceError,
    Isolate,
    NameOptions,
    Presentation,
    Question,
    QuestionError,
    Redescribe,
    ReorderQuestions,
    Restate,
    ReverseLevels,
    Transform,
    UsageError,
    Verdict,
    assert_order_symmetric,
    check,
    controls,
    load_questions,
    symmetrized,
)
from pytest_llminvariance.models.controls import Control
from pytest_llminvariance.models.decision_wire import request_body
from pytest_llminvariance.models.protocol import DecisionRequest, request_for
from pytest_llminvariance.questions.decision import decision_of
from pytest_llminvariance.records.sheets import question_data, question_from

TONE = {"calm": "A polite message", "pushy": "Presses the reader", "sad": "Sounds unhappy"}
STATE = {"message": "WIN a FREE phone", "words": 4}
Make = Callable[..., DecisionQuestion]


def suite(n: int = 6, **more: Any) -> list[DecisionQuestion]:
    known = {"options": TONE, "context": STATE, **more}
    return [DecisionQuestion(f"What is the tone of part {i}?", id=f"tone{i}", answer=i % 2, **known) for i in range(n)]


def choosing(name: str, choose: Callable[[Presentation], int | None]) -> Control:
    """A model that chooses a content; `None` is a refusal."""

    def respond(shown: Presentation) -> Sequence[float]:
        best = choose(shown)
        return [
            0.0 if best is None else 0.9 if content == best else 0.1 / (len(shown.order) - 1) for content in shown.order
        ]

    return Control(name, respond, frozenset({"decision"}))


def own(shown: Presentation) -> int:
    """A content by the text of the instructions alone."""
    asked = shown.question
    return (asked.answer or 0) if asked.answer is not None else len(asked.stem) % len(asked.options)


FAIR = choosing("fair", own)


def test_what_is_sent_in_both_shapes() -> None:
    asked = Presentation(suite(1)[0], order=(2, 0, 1))
    body = request_body(asked)
    assert list(body["questions"]["tone0"]["criteria"].items()) == [
        ("sad", "Sounds unhappy"), ("calm", "A polite message"), ("pushy", "Presses the reader"),
    ]  # fmt: skip
    assert body["state"] == STATE
    assert request_body(asked, "decisions") == {
        "input": [{"content": [{"data": STATE, "type": "input_json"}], "role": "user"}],
        "questions": [
            {
                "choices": [{"value": name, "description": TONE[name]} for name in ("sad", "calm", "pushy")],
                "instructions": "What is the tone of part 0?", "name": "tone0", "type": "choice",
            }
        ],
    }  # fmt: skip
    score = Presentation(DecisionQuestion("How urgent?", ("low", "high"), kind="score"), order=(1, 0))
    assert request_body(score)["questions"]["question"]["criteria"] == ["high", "low"]
    plain = DecisionQuestion("Spam?", kind="yes_no", context="hello")
    assert request_body(Presentation(plain)) == {
        "questions": {"question": {"instructions": "Spam?", "type": "noul"}}, "state": "hello",
    }  # fmt: skip
    told = DecisionQuestion("Spam?", {"no": "A talk", "yes": "Ads"}, kind="yes_no")
    assert request_body(Presentation(told, order=(1, 0)))["questions"]["question"]["criteria"] == {
        "false": "A talk",
        "true": "Ads",
    }
    with pytest.raises(Exception, match="describes the outcomes of a yes/no, for which /v1/decisions has no place"):
        request_body(Presentation(told), "decisions")


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: DecisionQuestion("Q?", ("a", "b"), kind="rank"), "kind is 'rank', but must be one of choice, score, yes_no"),  # type: ignore[arg-type]
        (lambda: DecisionQuestion("Q?"), "options is None, but a choice needs two or more"),
        (lambda: DecisionQuestion("Q?", ("yes", "maybe"), kind="yes_no"), "a yes_no has 'yes' and 'no'"),
        (lambda: DecisionQuestion("Q?", ("a", "b"), descriptions=("x",)), "one for each of 2 options"),
        (lambda: DecisionQuestion("Q?", ("a", "b"), descriptions=("x", " ")), "the description ' ' must be text"),
        (lambda: DecisionQuestion("Q?", {"a": "x", "b": "y"}, descriptions=("x", "y")), "given twice"),
        (lambda: DecisionQuestion("Q?", ("a", "b"), context={"x": float("nan")}), "cannot be sent as JSON"),
        (lambda: DecisionQuestion("Q?", ("a", "b"), context="{", structured=True), "is no JSON"),
        (lambda: DecisionQuestion("Q?", ("a", "b"), place=1), "place is 1, but must be from 0 to 0"),
        (lambda: DecisionQuestion("Q?", ("a", "b"), beside=[Question("R?", ("a", "b"), context="x")]), "about another state"),
    ],
)  # fmt: skip
def test_bad_questions_are_refused(make: Make, says: str) -> None:
    with pytest.raises(QuestionError, match=says):
        make()


def test_a_question_survives_repr_pickle_record_and_file(tmp_path: Path) -> None:
    company = dataclasses.replace(suite(1)[0], beside=tuple(suite(3)[1:]), place=1)
    for asked in (
        company,
        DecisionQuestion("S?", ("a", "b", "c"), kind="score"),
        DecisionQuestion("N?", kind="yes_no"),
    ):
        assert eval(repr(dataclasses.replace(asked, attributes={}))) == dataclasses.replace(asked, attributes={})
        assert pickle.loads(pickle.dumps(asked)) == asked
        assert question_from(question_data(asked)) == asked
    file = tmp_path / "q.jsonl"
    file.write_text(
        '{"stem": "Q?", "options": ["a", "b"], "decision": "choice", "descriptions": ["x", null], "context": {"n": 1}}\n'
        '{"stem": "N?", "options": ["yes", "no"], "decision": "yes_no"}\n{"stem": "P?", "options": ["a", "b"]}\n'
    )
    first, second, third = load_questions(file)
    assert first == DecisionQuestion("Q?", {"a": "x", "b": None}, context={"n": 1})
    assert (decision_of(second).kind, type(third)) == ("yes_no", Question)


def test_a_plain_question_is_the_same_as_a_choice_without_descriptions() -> None:
    plain = Question("Q?", ("a", "b"), context="x")
    assert decision_of(plain).content_hash == plain.content_hash
    assert DecisionQuestion("Q?", {"a": "told", "b": None}, context="x").content_hash != plain.content_hash
    assert DecisionQuestion("Q?", ("a", "b"), context="x", kind="score").content_hash != plain.content_hash


def test_order_both_ways_and_averaged() -> None:
    assert check("option_order", FAIR, suite(), tolerance=0.05).verdict is Verdict.HOLDS
    first = controls.always_first()
    with pytest.raises(InvarianceError, match="swap A and B") as caught:
        assert_order_symmetric(first, suite(), readout="decision")
    assert caught.value.readout == "decision"
    prior = controls.position_prior(2)
    assert check("option_order", prior, suite(), tolerance=0.05, readout="decision").verdict is Verdict.BROKEN
    averaged = check("option_order", symmetrized(prior), suite(), tolerance=0.05, readout="decision")
    assert averaged.verdict is Verdict.HOLDS, averaged.reasons


@pytest.mark.parametrize("model", [FAIR, controls.always_first()])
@pytest.mark.parametrize("kind", ["yes_no", "score"])
def test_what_has_no_order_never_passes(kind: Any, model: Control) -> None:
    options = None if kind == "yes_no" else ("low", "middle", "high")
    asked = [DecisionQuestion(f"Question {n}?", options, kind=kind, id=f"q{n}") for n in range(6)]
    finding = check("option_order", model, asked, tolerance=0.05, readout="decision")
    assert finding.verdict is Verdict.UNDECIDED
    assert "6 of 6 questions are left out" in finding.reasons[0]
    among = check("option_order", model, [*suite(30), *asked[:1]], tolerance=0.05, readout="decision")
    assert any(guard.name == "left out" and guard.passed for guard in among.guards)
    assert "q0" not in {row.question for row in among.per_question}


def test_a_refusal_is_an_outcome() -> None:
    moody = choosing("moody", lambda shown: None if shown.order[0] == 2 else own(shown))
    finding = check("option_order", moody, suite(), tolerance=0.05)
    assert finding.verdict is Verdict.BROKEN
    assert finding.example is not None
    assert finding.example.after.answer == "a refusal"


def test_what_no_decision_model_is_sent_is_refused() -> None:
    for changed in ({"template": "{context}{stem} {options}"}, {"labels": ("1", "2", "3")}):
        with pytest.raises(UsageError, match="which no decision model is sent"):
            request_for(Presentation(suite(1)[0], **changed), "decision")
    with pytest.raises(UsageError, match="which no decision model is sent"):
        check("labels", FAIR, suite(), tolerance=0.05)


def by_wire(name: str, read: Callable[[dict[str, Any], DecisionQuestion], int]) -> Control:
    """A fair model, but for what `read` sees in the request: another content for another number."""

    def choose(shown: Presentation) -> int:
        return (own(shown) + read(request_body(shown), decision_of(shown.question))) % len(shown.order)

    return choosing(name, choose)


CHANGES: dict[str, tuple[Callable[[list[DecisionQuestion]], Transform], Control]] = {
    "isolation": (Isolate, by_wire("company", lambda body, _: len(body["questions"]) > 1)),
    "questions": (ReorderQuestions, by_wire("place", lambda _, asked: asked.place == 0)),
    "field": (lambda _: AddField(), by_wire("fields", lambda body, _: len(body["state"]) > 2)),
    "names": (lambda _: NameOptions(), by_wire("names", lambda _, asked: asked.options[0] == "option_1")),
    "no descriptions": (lambda _: NameOptions(), by_wire("descriptions", lambda _, asked: asked.descriptions is None)),
    "descriptions": (
        lambda qs: Redescribe({one.stem: [["Calm talk", "Urges", "In sorrow"]] for one in qs}),
        by_wire("wording", lambda _, asked: (asked.descriptions or ("",))[0] == "Calm talk"),
    ),
    "instructions": (
        lambda qs: Restate({one.stem: [f"Say which tone part {n} has."] for n, one in enumerate(qs)}),
        by_wire("stem", lambda _, asked: asked.stem.startswith("Say")),
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_change_both_ways(name: str) -> None:
    make, biased = CHANGES[name]
    asked = suite()
    fair = check(make(asked), FAIR, asked, tolerance=0.05)
    assert fair.verdict is Verdict.HOLDS, fair.reasons
    broken = check(make(asked), biased, asked, tolerance=0.05)
    assert broken.verdict is Verdict.BROKEN, broken.reasons


def test_direction_of_levels_stands_apart_and_only_by_name() -> None:
    asked = [
        DecisionQuestion(f"How urgent is {n}?", ("low", "middle", "high"), kind="score", id=f"q{n}", answer=n % 2)
        for n in range(6)
    ]
    assert check(ReverseLevels(), FAIR, asked, tolerance=0.05).verdict is Verdict.HOLDS
    broken = check(
        "level_direction", controls.always_first(), asked, tolerance=0.05, readout="decision", metric="score_gap"
    )
    assert (broken.verdict, broken.title) == (Verdict.BROKEN, "direction of levels")
    assert check("level_direction", FAIR, suite(), tolerance=0.05).verdict is Verdict.UNDECIDED


def test_questions_without_company_or_descriptions_are_left_out() -> None:
    alone = [DecisionQuestion(f"Q{n}?", ("a", "b"), context=f"state {n}", id=f"q{n}") for n in range(3)]
    for change in (Isolate(alone), ReorderQuestions(alone), NameOptions()):
        finding = check(change, FAIR, alone, tolerance=0.05)
        assert finding.verdict is Verdict.UNDECIDED
        assert "3 of 3 questions are left out" in finding.reasons[0]


def test_descriptions_reach_other_models_too() -> None:
    shown = Presentation(suite(1)[0])
    assert "A. calm: A polite message" in shown.render()[-1].content
    assert DecisionRequest(shown).messages[0].content.startswith('{"questions"')
