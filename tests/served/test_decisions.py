"""Decision models behind a server: both shapes, recorded answers of a real one, and every fault of the wire."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance import (
    CapabilityError,
    DecisionQuestion,
    Isolate,
    Model,
    ModelError,
    Presentation,
    Verdict,
    check,
    load_model,
    noise_floor,
)
from pytest_llminvariance.models.protocol import DecisionRequest, LabelReply, MissingReply, Reply
from pytest_llminvariance.models.served.decisions import ServedDecisionModel
from tests.commands import llminvariance
from tests.served.decision_suite import ANIMALS, MIXED
from tests.served.faulty import Answer, Faulty, Say, Seen, faulty_server

RECORDED = json.loads((Path(__file__).parent / "recorded" / "systemone.json").read_text(encoding="utf-8"))
Change = Callable[[dict[str, Any]], Any]
SHAPES = ("systemone", "decisions")


def rule(options: list[str], told: str) -> list[float]:
    """A fair rule: by the names alone."""
    del told
    weights = [1.0 + 4 * (option == max(options)) for option in options]
    return [weight / sum(weights) for weight in weights]


def first(options: list[str], told: str) -> list[float]:
    """The rule of a model that reads, and leans to what stands first."""
    fair = rule(options, told)
    weights = [weight + 9 * (place == 0) for place, weight in enumerate(fair)]
    return [weight / sum(weights) for weight in weights]


def reading(options: list[str], told: str) -> list[float]:
    """A fair rule that reads state and instructions: the option named there, else by the names."""
    named = [option for option in options if option in told] or [max(options)]
    return [0.9 if option == named[0] else 0.1 / (len(options) - 1) for option in options]


def systemone(body: dict[str, Any], decide: Callable[[list[str], str], list[float]] = reading) -> dict[str, Any]:
    answers: dict[str, Any] = {}
    for name, asked in body["questions"].items():
        told = f"{body['state']} {asked['instructions']}"
        if asked["type"] == "noul":
            answers[name] = {"type": "noul", "noul": 0.7}
            continue
        levels = asked["type"] == "score"
        options = list(asked["criteria"])
        values = decide(options, told)
        names = [str(n) for n in range(len(options))] if levels else options
        best = values.index(max(values))
        more = {"score": 0.0} if levels else {"choice": options[best]}
        answers[name] = {
            "type": asked["type"],
            **more,
            "confidence": 1.0,
            "probabilities": dict(zip(names, values, strict=True)),
        }
    return {"model": body["model"], "answers": answers, "usage": {"input_tokens": 10, "output_tokens": 0}}


def decisions(body: dict[str, Any], decide: Callable[[list[str], str], list[float]] = reading) -> dict[str, Any]:
    answers: list[Any] = []
    for asked in body["questions"]:
        known = {"name": asked["name"], "type": asked["type"]}
        told = f"{body['input']} {asked['instructions']}"
        if asked["type"] == "predicate":
            answers.append({**known, "probability": 0.7})
        elif asked["type"] == "choice":
            options = [row["value"] for row in asked["choices"]]
            rows = [
                {"value": option, "probability": p} for option, p in zip(options, decide(options, told), strict=True)
            ]
            answers.append({**known, "choice": options[0], "confidence": 0.1, "probabilities": rows})
        else:
            labels = [row["label"] for row in asked["levels"]]
            rows = [
                {"label": label, "value": n, "probability": p}
                for n, (label, p) in enumerate(zip(labels, decide(labels, told), strict=True))
            ]
            answers.append({**known, "score": 0.0, "confidence": 0.1, "probabilities": rows})
    return {"model": body["model"], "answers": answers, "usage": {"input_tokens": 10}}


SAYS: dict[str, Callable[..., dict[str, Any]]] = {"systemone": systemone, "decisions": decisions}


@contextmanager
def served(shape: str, answer: Answer) -> Iterator[tuple[Model, Faulty]]:
    with faulty_server(answer) as server:
        model = load_model(f"{shape}:m@{server.url}")
        assert isinstance(model, ServedDecisionModel)
        model.deterministic = True  # type: ignore[attr-defined]  # a rule has no noise, and measuring it takes 90 requests
        try:
            yield model, server
        finally:
            model.release()


def asking(
    shape: str, decide: Callable[[list[str], str], list[float]] = reading, change: Change = lambda data: data
) -> Answer:
    def answer(seen: Seen, number: int) -> Say:
        del number
        assert (seen.method, seen.path) == ("POST", f"/v1/{shape}")
        return Say(change(SAYS[shape](seen.body, decide)))

    return answer


def one_reply(shape: str, change: Change, asked: DecisionQuestion = ANIMALS[0]) -> Reply:
    with served(shape, asking(shape, change=change)) as (model, _):
        return model.answer([DecisionRequest(Presentation(asked))])[0]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_whole_way_both_ways(shape: str) -> None:
    with served(shape, asking(shape)) as (model, server):
        fair = check("option_order", model, ANIMALS, tolerance=0.05)
        assert fair.verdict is Verdict.HOLDS, fair.reasons
        assert fair.readout == "decision"
        n_asked = len(server.seen)
        assert n_asked == len({json.dumps(seen.body) for seen in server.seen}) + 3  # sentinels are asked again
    with served(shape, asking(shape, first)) as (model, _):
        assert check("option_order", model, ANIMALS, tolerance=0.05).verdict is Verdict.BROKEN
        assert noise_floor(model, ANIMALS).changed_answers == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_all_kinds_by_name_and_never_by_choice(shape: str) -> None:
    def lies(data: dict[str, Any]) -> dict[str, Any]:
        for answer in data["answers"].values() if shape == "systemone" else data["answers"]:
            answer.update({"choice": "no such", "confidence": -1} if answer["type"] == "choice" else {})
            if answer["type"] == "choice" and shape == "systemone":
                answer["probabilities"] = dict(reversed(answer["probabilities"].items()))
            elif answer["type"] == "choice":
                answer["probabilities"].reverse()
        return data

    kinds = [MIXED[0], MIXED[1], MIXED[2]]
    with served(shape, asking(shape, rule, lies)) as (model, _):
        replies = model.answer([DecisionRequest(Presentation(one)) for one in kinds])
        turned = model.answer([DecisionRequest(Presentation(kinds[0], order=(2, 0, 1)))])[0]
    told = [
        [round(math.exp(value), 6) for value in reply.logprobs_nats]
        for reply in replies
        if isinstance(reply, LabelReply)
    ]
    assert told[0] == [round(5 / 7, 6), round(1 / 7, 6), round(1 / 7, 6)]
    assert (
        told[1] == [round(p, 6) for p in (1 / 7, 1 / 7, 5 / 7)]
        if shape == "decisions"
        else sum(told[1]) == pytest.approx(1)
    )
    assert told[2] == [0.7, 0.3]
    assert isinstance(turned, LabelReply)
    assert [round(math.exp(value), 6) for value in turned.logprobs_nats] == [round(p, 6) for p in (1 / 7, 5 / 7, 1 / 7)]


@pytest.mark.parametrize("shape", SHAPES)
def test_questions_of_one_request_are_sent_once(shape: str) -> None:
    mixed = MIXED[:3]
    isolate = Isolate(mixed)
    requests = [DecisionRequest(shown) for one in mixed for shown in isolate.orbit(one)]
    with served(shape, asking(shape)) as (model, server):
        replies = model.answer(requests)
    assert (len(requests), len(server.seen)) == (6, 4)
    assert sum(reply.n_tokens for reply in replies) == 40
    assert replies[0].sent_sha256 != replies[1].sent_sha256


def edit(change: Callable[[dict[str, Any]], object]) -> Change:
    def changed(data: dict[str, Any]) -> dict[str, Any]:
        change(data["answers"]["animal0"])
        return data

    return changed


FAULTS: dict[str, tuple[Change, str]] = {
    "wrong sum": (edit(lambda a: a["probabilities"].update(cat=0.5)), r"probabilities that sum to 1\.45, but they must sum to 1"),
    "too small a sum": (edit(lambda a: a["probabilities"].update(dog=0.1)), r"sum to 0\.2, but they must sum to 1"),
    "below 0": (edit(lambda a: a["probabilities"].update(cat=-0.4)), r"the probability -0\.4, but a probability is from 0 to 1"),
    "percent": (edit(lambda a: a["probabilities"].update(cat=40)), "the probability 40, but a probability is from 0 to 1"),
    "a text": (edit(lambda a: a["probabilities"].update(cat="0.1")), "the probability '0.1', but must give a number"),
    "missing choice": (edit(lambda a: a["probabilities"].pop("horse")), "no probability for 'horse'"),
    "renamed choice": (
        edit(lambda a: a["probabilities"].update(Cat=a["probabilities"].pop("cat"))),
        "a probability for 'Cat', which was not asked",
    ),
    "one more": (edit(lambda a: a["probabilities"].update(cow=0.0)), "a probability for 'cow', which was not asked"),
    "no probabilities": (edit(lambda a: a.pop("probabilities")), "the probabilities None, but must give one for each option"),
    "another type": (edit(lambda a: a.update(type="score")), "an answer of the type 'score', but a choice was asked"),
    "another question": (lambda data: {**data, "answers": {"other": data["answers"]["animal0"]}}, "no answer under the name 'animal0'"),
    "no answers": (lambda data: {"model": data["model"]}, "must give an object with 'answers'"),
    "another model": (lambda data: {**data, "model": "other"}, "asked for the model 'm', .* answered as 'other'"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_of_the_wire(fault: str) -> None:
    change, says = FAULTS[fault]
    assert isinstance(one_reply("systemone", lambda data: data), LabelReply)
    with pytest.raises(ModelError, match=says) as caught:
        one_reply("systemone", change)
    assert "systemone:m@http://127.0.0.1" in str(caught.value)


LISTED: dict[str, tuple[Callable[[list[dict[str, Any]]], object], str]] = {
    "twice": (lambda rows: rows.append(dict(rows[0], probability=0.0)), "two probabilities for one option"),
    "a boolean for its name": (lambda rows: rows[0].update(value=True), "a probability for True, which was not asked"),
    "missing": (lambda rows: rows.pop(), "no probability for 'horse'"),
}


@pytest.mark.parametrize("fault", LISTED)
def test_faults_of_lists(fault: str) -> None:
    change, says = LISTED[fault]

    def changed(data: dict[str, Any]) -> dict[str, Any]:
        change(data["answers"][0]["probabilities"])
        return data

    with pytest.raises(ModelError, match=says):
        one_reply("decisions", changed)


def test_answers_in_another_order_or_number() -> None:
    mixed = MIXED[:3]
    shown = [DecisionRequest(list(Isolate(mixed).orbit(one))[1]) for one in mixed]
    for change, says in (
        (lambda data: {**data, "answers": data["answers"][::-1]}, "answers must come in the order of the questions"),
        (lambda data: {**data, "answers": data["answers"][:2]}, "must give one for each of 3 questions"),
    ):
        with (
            served("decisions", asking("decisions", change=change)) as (model, _),
            pytest.raises(ModelError, match=says),
        ):
            model.answer(shown)


@pytest.mark.parametrize("n", [3, 7, 26])
def test_two_digits_after_the_point_are_no_wrong_sum(n: int) -> None:
    asked = DecisionQuestion("Which?", [f"o{i}" for i in range(n)], context="s")

    def rounded(data: dict[str, Any]) -> dict[str, Any]:
        for answer in data["answers"].values():
            answer["probabilities"] = {f"o{i}": round(1 / n, 2) for i in range(n)}
        return data

    assert isinstance(one_reply("systemone", rounded, asked), LabelReply)

    def doubled(data: dict[str, Any]) -> dict[str, Any]:
        for answer in rounded(data)["answers"].values():
            answer["probabilities"]["o0"] += 0.3
        return data

    with pytest.raises(ModelError, match="must sum to 1"):
        one_reply("systemone", doubled, asked)


@pytest.mark.parametrize("name", [" cat", "CAT", "ｃａｔ"])
def test_a_name_that_comes_back_otherwise_written_is_told_letter_by_letter(name: str) -> None:
    change = edit(lambda a: a["probabilities"].update({name: a["probabilities"].pop("cat")}))
    with pytest.raises(ModelError, match=r"It is 'cat' otherwise written .*: names must come back as sent") as caught:
        one_reply("systemone", change)
    assert ascii(name) in str(caught.value)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_yes_or_no_that_is_null_is_a_missing_answer(shape: str) -> None:
    asked = DecisionQuestion("Is it?", kind="yes_no", context="s")

    def lost(data: dict[str, Any]) -> dict[str, Any]:
        answers = data["answers"]
        for answer in answers.values() if isinstance(answers, dict) else answers:
            answer.update({"noul" if shape == "systemone" else "probability": None})
        return data

    reply = one_reply(shape, lost, asked)
    assert isinstance(reply, LabelReply)
    assert all(map(math.isnan, reply.logprobs_nats)), "NaN, which is missing where replies are checked"


@pytest.mark.parametrize("value", [math.nan, None])
def test_nan_is_a_missing_answer(value: float | None) -> None:
    def lost(data: dict[str, Any]) -> dict[str, Any]:
        for answer in data["answers"].values():
            answer["probabilities"]["cat"] = value
        return data

    with served("systemone", asking("systemone", change=lost)) as (model, _):
        finding = check("option_order", model, ANIMALS, tolerance=0.05)
    assert finding.verdict is Verdict.UNDECIDED
    assert any("NaN" in reason or "no answer" in reason or "missing" in reason for reason in finding.reasons), (
        finding.reasons
    )


def test_a_refusal_of_one_question_is_an_outcome() -> None:
    def refuses(data: dict[str, Any]) -> dict[str, Any]:
        rows = data["answers"][0]["probabilities"]
        if rows[0]["value"] == "horse":
            data["answers"][0] = {"type": "refusal", "name": data["answers"][0]["name"]}
        return data

    with served("decisions", asking("decisions", change=refuses)) as (model, _):
        finding = check("option_order", model, ANIMALS, tolerance=0.05)
    assert finding.verdict is Verdict.BROKEN
    assert finding.example is not None
    assert {finding.example.before.answer, finding.example.after.answer} & {"a refusal"}
    both = [MIXED[0], MIXED[2]]
    shown = [DecisionRequest(list(Isolate(both).orbit(one))[1]) for one in both]

    def first_only(data: dict[str, Any]) -> dict[str, Any]:
        data["answers"][0] = {"type": "refusal", "name": None}
        return data

    with served("decisions", asking("decisions", change=first_only)) as (model, _):
        refused, answered = model.answer(shown)
    assert isinstance(refused, LabelReply)
    assert isinstance(answered, LabelReply)
    assert max(refused.logprobs_nats) == -math.inf
    assert max(answered.logprobs_nats) == pytest.approx(math.log(0.7))


def by_sorting(decide: Callable[[list[str], str], list[float]], *, request: bool) -> Answer:
    """A proxy that sorts keys: of requests and answers, or of answers alone."""

    def answer(seen: Seen, number: int) -> Say:
        del number
        body = json.loads(json.dumps(seen.body, sort_keys=True)) if request else seen.body
        return Say(json.loads(json.dumps(systemone(body, decide), sort_keys=True)))

    return answer


def test_a_proxy_that_sorts_keys_is_no_pass() -> None:
    with served("systemone", by_sorting(first, request=True)) as (model, _):
        behind = check("option_order", model, ANIMALS, tolerance=0.05)
    assert behind.verdict is Verdict.UNDECIDED
    assert any("reach" in reason or "same" in reason for reason in behind.reasons), behind.reasons
    with served("systemone", by_sorting(first, request=False)) as (model, _):
        assert check("option_order", model, ANIMALS, tolerance=0.05).verdict is Verdict.BROKEN
    mixed = MIXED[:3]
    with served("systemone", by_sorting(reading, request=True)) as (model, _):
        replies = model.answer([DecisionRequest(shown) for shown in list(Isolate(mixed).orbit(mixed[0]))])
    assert replies[0].sent_sha256 != replies[1].sent_sha256


def test_two_versions_are_no_one_model() -> None:
    def answer(seen: Seen, number: int) -> Say:
        dated = "m-2026-09" if "dog" in seen.body["state"] else "m-2026-10"
        return Say({**systemone(seen.body), "model": dated, "number": number})

    with served("systemone", answer) as (model, _):
        assert isinstance(model.answer([DecisionRequest(Presentation(ANIMALS[0]))])[0], LabelReply)
        with pytest.raises(ModelError, match="was 'm-2026-09' and is now 'm-2026-10'"):
            model.answer([DecisionRequest(Presentation(ANIMALS[1]))])


def test_what_this_shape_cannot_say_is_refused() -> None:
    with served("decisions", asking("decisions")) as (model, _):
        with pytest.raises(CapabilityError, match="for which /v1/decisions has no place"):
            model.answer([DecisionRequest(Presentation(MIXED[3]))])
        with pytest.raises(CapabilityError, match="These work: 'decision'"):
            check("option_order", model, ANIMALS, tolerance=0.05, readout="label")


def replayed(seen: Seen, number: int) -> Say:
    del number
    body = {**seen.body, "model": "demo"}
    for row in RECORDED["errors"]:
        if row["request"] == body:
            return Say(row["response"], status=row["status"])
    for row in RECORDED["rows"]:
        if json.dumps(row["request"]) == json.dumps(body):
            return Say({**row["response"], "model": seen.body["model"]})
    raise AssertionError(f"not recorded: {body}")


def test_what_a_real_server_said() -> None:
    with served("systemone", replayed) as (model, _):
        finding = check("option_order", model, ANIMALS, tolerance=0.05)
        assert finding.verdict is Verdict.BROKEN
        assert float(finding.effect.low) == pytest.approx(0.8)
        assert finding.example is not None
        assert (finding.example.question, finding.example.change) == ("animal0", "swap A and B")
        assert (finding.example.before.answer, finding.example.after.answer) == ("cat", "dog")
        replies = model.answer([DecisionRequest(shown) for one in MIXED for shown in Isolate(MIXED).orbit(one)])
        assert not any(isinstance(reply, MissingReply) for reply in replies)
        kinds = [
            [round(math.exp(value), 3) for value in reply.logprobs_nats]
            for reply in replies
            if isinstance(reply, LabelReply)
        ]
        assert all(sum(row) == pytest.approx(1, abs=0.01) for row in kinds)
        assert kinds[::2] == kinds[1::2]  # transformers makes a prompt of each question
    with (
        served("systemone", lambda seen, number: Say(RECORDED["errors"][0]["response"], 422)) as (model, _),
        pytest.raises(ModelError, match="HTTP 422"),
    ):
        model.answer([DecisionRequest(Presentation(ANIMALS[0]))])


def test_an_audit_of_a_decision_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ServedDecisionModel, "deterministic", True, raising=False)
    file = tmp_path / "q.jsonl"
    rows = [
        {
            "id": one.id,
            "stem": f"{one.stem} ({n})",
            "options": list(one.options),
            "context": "A dog and a horse.",
            "decision": "choice",
        }
        for n, one in enumerate(ANIMALS)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with faulty_server(asking("decisions", first)) as server:
        made = llminvariance(
            ["audit", f"decisions:m@{server.url}", "--questions", str(file), "--out", str(tmp_path / "out")]
        )
    assert made.exit_code == 1, made.output
    for name in ("order", "isolation", "questions", "field"):
        assert any(name in line.split() for line in made.output.splitlines()), made.output
    assert "BROKEN" in made.output
    assert "prompt" not in [
        line.split()[1] for line in made.output.splitlines() if line.startswith(("BROKEN", "HOLDS", "UNDECIDED"))
    ]
