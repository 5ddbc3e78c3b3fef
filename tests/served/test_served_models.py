"""`openai:MODEL@URL` against imitated servers: numbers, verdicts, faults in the middle, what is kept and what is told."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pytest_llminvariance import (
    CapabilityError,
    Finding,
    ModelError,
    Presentation,
    Question,
    UsageError,
    Verdict,
    assert_backends_agree,
    check,
    load_model,
)
from pytest_llminvariance.checks.drift import N_SENTINELS
from pytest_llminvariance.measures.distribution import REFUSED, AnswerDistribution
from pytest_llminvariance.measures.metrics import METRICS
from pytest_llminvariance.measures.reading import read_reply
from pytest_llminvariance.models.cache import AnswerCache
from pytest_llminvariance.models.engine import ask
from pytest_llminvariance.models.load_settings import LoadSettings
from pytest_llminvariance.models.protocol import (
    Draw,
    LabelReply,
    LabelRequest,
    MissingReply,
    OptionReply,
    OptionRequest,
    TextReply,
    TextRequest,
)
from pytest_llminvariance.models.served import loading
from pytest_llminvariance.models.served.faults import OtherAnswerError, ServedError
from pytest_llminvariance.models.served.model import ServedModel
from tests.served import imitations
from tests.served.faulty import Answer, Faulty, Say, Seen, faulty_server
from tests.served.imitations import Letters, chat_answer, hosted, liked, sglang, vllm

PLANETS = [
    Question(f"Which planet is number {n}?", ["Mars", "Venus!", "Mercury..", "Io"], answer="Mercury..")
    for n in range(6)
]
ORDERS = [Presentation(PLANETS[0], order=order) for order in itertools.permutations(range(4))]


class Served:
    """Models of one test and the server behind them."""

    def __init__(self) -> None:
        self.models: list[ServedModel] = []
        self.servers: list[Any] = []

    def __call__(self, answer: Answer, *, name: str = "m", **settings: Any) -> tuple[ServedModel, Faulty]:
        context = faulty_server(answer)
        self.servers.append(context)
        server = context.__enter__()
        return self.again(server, name=name, **settings), server

    def again(self, server: Faulty, *, name: str = "m", **settings: Any) -> ServedModel:
        model = load_model(f"openai:{name}@{server.url}", **settings)
        assert isinstance(model, ServedModel)
        self.models.append(model)
        return model


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    from pytest_llminvariance.models.served import client

    quick = client.Patience(total_s=20, attempts=4, first_wait_s=0.002, longest_wait_s=0.01)
    monkeypatch.setattr(client, "Patience", lambda total_s: quick)
    found = Served()
    yield found
    for model in found.models:
        model.release()
    for context in found.servers:
        context.__exit__(None, None, None)


@pytest.fixture
def letters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_tokenizer", lambda settings: Letters() if settings.tokenizer else None)


def test_a_tokenizer_is_a_folder_beside_the_ini_file_or_a_hub_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_llminvariance.models.local.checkpoint.load_tokenizer", lambda place, settings: place)
    (tmp_path / "mine").mkdir()
    for told, place in {"owner/served": "owner/served", "mine": str(tmp_path / "mine")}.items():
        assert loading._tokenizer(LoadSettings(tokenizer=told, beside=str(tmp_path))) == place


def order_of(model: ServedModel, questions: list[Question], readout: str = "auto") -> Finding:
    return check("option_order", model, questions, tolerance=0.05, readout=readout)


# --- prompts as messages, likeliest tokens


def test_spellings_of_a_label_are_added_up(served: Served) -> None:
    model, _ = served(hosted())
    reply = model.answer([LabelRequest(ORDERS[0])])[0]
    assert isinstance(reply, LabelReply)
    best = max(range(4), key=lambda n: liked("0", PLANETS[0].options[n]))
    assert math.exp(reply.logprobs_nats[best]) == pytest.approx(0.7)
    assert reply.unlisted == pytest.approx(0, abs=1e-9)
    assert model.capabilities == {"label", "text"}


@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_what_is_not_listed_is_open_and_not_zero(most: int, served: Served) -> None:
    full, _ = served(hosted())
    cut, _ = served(lambda seen, number: _cut(hosted()(seen, number), most))
    whole, part = (one.answer([LabelRequest(shown) for shown in ORDERS]) for one in (full, cut))
    for shown, exact, least in zip(ORDERS, whole, part, strict=True):
        assert isinstance(exact, LabelReply)
        assert isinstance(least, LabelReply)
        assert least.unlisted > 0
        for truth, low in zip(exact.logprobs_nats, least.logprobs_nats, strict=True):
            assert math.exp(low) - 1e-9 <= math.exp(truth) <= math.exp(low) + least.unlisted + 1e-9
        assert read_reply(exact, shown, "label").outcomes(1e-4) <= read_reply(least, shown, "label").outcomes(1e-4)


def _cut(said: Say, most: int) -> Say:
    for choice in (said.body or {}).get("choices", ()):
        if choice["logprobs"]:
            choice["logprobs"]["content"][0]["top_logprobs"] = choice["logprobs"]["content"][0]["top_logprobs"][:most]
    return said


def test_an_order_safe_server_holds_and_a_biased_one_is_broken(served: Served) -> None:
    model, _ = served(hosted())
    assert order_of(model, PLANETS).verdict is Verdict.HOLDS
    biased, _ = served(_first_is_best)
    assert order_of(biased, PLANETS).verdict is Verdict.BROKEN


def _first_is_best(seen: Seen, number: int) -> Say:
    said = hosted()(seen, number)
    for choice in (said.body or {}).get("choices", ()):
        for item in choice["logprobs"]["content"][0]["top_logprobs"] if choice["logprobs"] else ():
            item["token"] = "A" if item["logprob"] == math.log(0.5) else f"no {item['token']}"
    return said


def test_a_list_too_short_to_tell_is_undecided(served: Served) -> None:
    model, _ = served(lambda seen, number: _cut(_halved(hosted()(seen, number)), 1))
    found = order_of(model, PLANETS)
    assert found.verdict is Verdict.UNDECIDED


def _halved(said: Say) -> Say:
    for choice in (said.body or {}).get("choices", ()):
        if choice["logprobs"]:
            for item in (choice["logprobs"]["content"][0], *choice["logprobs"]["content"][0]["top_logprobs"]):
                item["logprob"] += math.log(0.5)
    return said


def _move(said: Say, moved: dict[float, float]) -> None:
    """Move probability between tokens of an answer; the sum stays."""
    logs = {math.log(p): math.log(to) for p, to in moved.items()}
    for item in said.body["choices"][0]["logprobs"]["content"][0]["top_logprobs"]:
        item["logprob"] = logs.get(item["logprob"], item["logprob"])


def test_every_metric_keeps_what_unlisted_mass_may_have_been() -> None:
    scores = (1.0, 2.0, 4.0)
    for mine, theirs, open_mass in itertools.product(
        [(0.5, 0.2, 0.1), (0.1, 0.1, 0.6)], [(0.3, 0.3, 0.2)], [0.05, 0.2]
    ):
        parts = [
            AnswerDistribution.from_label_logprobs([math.log(p) for p in row], range(3), open_mass)
            for row in (mine, theirs)
        ]
        for name in ("tv", "js_distance", "score_gap", "score_shift", "flip_rate"):
            found = METRICS[name].measure(parts, scores, 1e-4)
            for a, b in itertools.product(range(4), range(4)):
                moved = [
                    AnswerDistribution.from_label_logprobs(
                        [math.log(p + (open_mass if n == to else 0)) for n, p in enumerate(row)], range(3)
                    )
                    for row, to in ((mine, a), (theirs, b))
                ]
                truth = METRICS[name].measure(moved, scores, 1e-4)
                assert float(found.low) - 1e-9 <= float(truth.low), (name, mine, a, b)
                assert float(truth.high) <= float(found.high) + 1e-9, (name, mine, a, b)


def test_a_server_without_log_probabilities_writes_texts(served: Served) -> None:
    def answer(seen: Seen, number: int) -> Say:
        if "logprobs" in (seen.body or {}):
            return Say({"error": {"message": "logprobs are not supported"}}, 400)
        return hosted()(seen, number)

    model, server = served(answer)
    assert model.capabilities == {"text"}
    assert "texts only" in model.found_words()
    reply = model.answer([TextRequest(ORDERS[0])])[0]
    assert isinstance(reply, TextReply)
    with pytest.raises(CapabilityError):
        order_of(model, PLANETS, readout="label")
    assert order_of(model, PLANETS).readout == "text"
    assert server.seen[-1].body["max_tokens"] == 32


AS_CHOICE = Say({"model": "m", "choices": [{"message": {"content": None}, "finish_reason": "content_filter"}]})
AS_STATUS = Say({"error": {"message": "filtered", "code": "content_filter"}}, 400)


@pytest.mark.parametrize("filtered", [AS_CHOICE, AS_STATUS], ids=["choice", "status"])
def test_what_the_servers_filter_stopped_is_refused_and_not_unread(filtered: Say, served: Served) -> None:
    stops = [False]
    model, _ = served(lambda seen, number: filtered if stops[0] else hosted()(seen, number))
    stops[0] = True
    text, label = model.answer([TextRequest(ORDERS[0]), LabelRequest(ORDERS[0])])
    assert isinstance(text, TextReply)
    assert read_reply(text, ORDERS[0], "text").outcomes(0.0) == {REFUSED}
    assert isinstance(label, MissingReply)
    assert "filter" in label.reason


def test_a_text_that_a_filter_cut_off_is_not_whole(served: Served) -> None:
    said = {"model": "m", "choices": [{"message": {"content": "The answer"}, "finish_reason": "content_filter"}]}
    stops = [False]
    model, _ = served(lambda seen, number: Say(said) if stops[0] else hosted()(seen, number))
    stops[0] = True
    (text,) = model.answer([TextRequest(ORDERS[0])])
    assert isinstance(text, TextReply)
    assert (text.text, text.ran_out) == ("The answer", True)


def test_the_newer_name_of_the_bound_is_found_out(served: Served) -> None:
    def answer(seen: Seen, number: int) -> Say:
        if "max_tokens" in (seen.body or {}):
            return Say({"error": {"message": "Use 'max_completion_tokens' instead"}}, 400)
        return hosted()(seen, number)

    model, server = served(answer)
    model.answer([TextRequest(ORDERS[0])])
    assert server.seen[-1].body["max_completion_tokens"] == 32


def test_reasoning_is_no_part_of_an_answer(served: Served) -> None:
    model, _ = served(hosted(thinks=True))
    reply = model.answer([TextRequest(ORDERS[0])])[0]
    assert isinstance(reply, TextReply)
    assert "think" not in reply.text


def test_a_label_is_not_read_from_reasoning(served: Served) -> None:
    thinks = [False]
    model, _ = served(lambda seen, number: hosted(thinks=thinks[0])(seen, number))
    thinks[0] = True
    with pytest.raises(OtherAnswerError, match="enable_thinking=false"):
        model.answer([LabelRequest(ORDERS[0])])


def test_arguments_of_the_chat_template_are_passed_on(served: Served) -> None:
    model, server = served(hosted(), chat_arg={"enable_thinking": True})
    model.answer([LabelRequest(ORDERS[0]), TextRequest(ORDERS[0])])
    assert [seen.body["chat_template_kwargs"] for seen in server.seen[-2:]] == [{"enable_thinking": True}] * 2
    silent, server = served(hosted())
    silent.answer([LabelRequest(ORDERS[0])])
    assert "chat_template_kwargs" not in server.seen[-1].body, "hosted servers refuse fields that they do not know"
    assert silent.fingerprint != model.fingerprint


def test_draws_have_seeds_of_their_own(served: Served) -> None:
    model, server = served(hosted(), max_new_tokens=7)
    model.answer([TextRequest(ORDERS[0], draw=Draw(seed, index, 0.7)) for seed, index in ((0, 0), (0, 1), (1, 0))])
    bodies = [seen.body for seen in server.seen[-3:]]
    assert len({body["seed"] for body in bodies}) == 3
    assert {(body["temperature"], body["max_tokens"]) for body in bodies} == {(0.7, 7)}


@pytest.mark.parametrize("value", [None, math.nan, "x", True])
def test_a_log_probability_that_is_no_number_is_a_missing_answer(value: Any, served: Served) -> None:
    spoilt = [False]

    def answer(seen: Seen, number: int) -> Say:
        said = hosted()(seen, number)
        if spoilt[0] and seen.path.endswith("completions"):
            for item in said.body["choices"][0]["logprobs"]["content"][0]["top_logprobs"]:
                item["logprob"] = value
        return said

    model, _ = served(answer)
    spoilt[0] = True
    reply = ask(model, [LabelRequest(ORDERS[0])], {}).replies[0]
    assert isinstance(reply, MissingReply)


def test_log_probabilities_that_are_left_out_end_the_check(served: Served) -> None:
    silent = [False]

    def answer(seen: Seen, number: int) -> Say:
        said = hosted()(seen, number)
        if silent[0]:
            said.body["choices"][0]["logprobs"] = None
        return said

    model, _ = served(answer)
    silent[0] = True
    with pytest.raises(OtherAnswerError, match="no log-probabilities"):
        model.answer([LabelRequest(ORDERS[0])])


# --- prompts as tokens


@pytest.mark.parametrize("kind", [vllm, sglang])
def test_scores_by_tokens_are_the_models_own(kind: Any, served: Served, letters: None) -> None:
    model, server = served(kind(), tokenizer="letters", prompt_format="plain")
    assert model.capabilities == {"label", "option", "text"}
    shown = ORDERS[5]
    label, option = model.answer([LabelRequest(shown), OptionRequest(shown)])
    assert isinstance(label, LabelReply)
    assert isinstance(option, OptionReply)
    assert model.rendered is not None
    prompt = [ord(letter) for letter in model.rendered(LabelRequest(shown)) or ""]
    for position, text in enumerate(shown.shown_options):
        tokens = [ord(letter) for letter in f" {text}"]
        truth = [imitations.nats(prompt + tokens[:n], token) for n, token in enumerate(tokens)]
        assert option.logprobs_nats[position] == pytest.approx(math.fsum(truth), abs=1e-9)
        assert option.option_tokens[position] == len(tokens)
    bare = imitations.nats(prompt, ord("A"))
    blank = imitations.nats(prompt, ord(" ")) + imitations.nats([*prompt, ord(" ")], ord("A"))
    assert label.logprobs_nats[0] == pytest.approx(math.log(math.exp(bare) + math.exp(blank)), abs=1e-9)
    assert server.seen


def test_options_are_walked_as_a_trie_with_one_request_a_node(served: Served, letters: None) -> None:
    model, server = served(vllm(), tokenizer="letters", prompt_format="plain")
    question = Question("Which?", ["abcd", "abce", "abx"])
    before = len(server.seen)
    model.answer([OptionRequest(Presentation(question))])
    asked = [(len(seen.body["prompt"]), seen.body["logprob_token_ids"]) for seen in server.seen[before:]]
    start = asked[0][0]
    ids = [list(map(ord, letters)) for letters in (" ", "a", "b", "cx", "de")]
    assert asked == [(start + n, wanted) for n, wanted in enumerate(ids)]


def test_neighbours_in_the_tree_of_prompts_are_asked_after_one_another(served: Served, letters: None) -> None:
    model, server = served(vllm(), tokenizer="letters", prompt_format="plain", concurrency=1)
    questions = [Question(f"Number {n}?", ["x", "y", "z"]) for n in (2, 1)]
    shown = [Presentation(q, order=o) for o in itertools.permutations(range(3)) for q in questions]
    before = len(server.seen)
    replies = model.answer([LabelRequest(item) for item in shown])
    prompts = [seen.body["prompt"] for seen in server.seen[before:]]
    halves = prompts[: len(prompts) // 2], prompts[len(prompts) // 2 :]
    assert all(half == sorted(half) for half in halves), "orbit by orbit, sorted within"
    assert ord("2") in halves[0][0]
    alone = [model.answer([LabelRequest(item)])[0] for item in shown]
    assert replies == alone, "replies are in the order of the requests"


def test_more_ids_than_a_server_takes_are_asked_in_parts(
    served: Served, letters: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pytest_llminvariance.models.served.wire.MAX_IDS", 2)
    model, server = served(vllm(), tokenizer="letters", prompt_format="plain")
    model.answer([OptionRequest(Presentation(Question("Which?", ["p", "q", "r", "s", "t"])))])
    assert [len(seen.body["logprob_token_ids"]) for seen in server.seen[-3:]] == [2, 2, 1]


def test_a_server_that_ignores_the_ids_is_refused(served: Served, letters: None) -> None:
    with pytest.raises(ModelError, match=r"vLLM from 0\.22.*Leave the tokenizer out"):
        served(vllm(exact=False), tokenizer="letters")


def test_another_tokenizer_than_the_servers_is_refused(served: Served, letters: None) -> None:
    def answer(seen: Seen, number: int) -> Say:
        return Say({"tokens": [1, 2, 3]}) if seen.path == "/tokenize" else vllm()(seen, number)

    with pytest.raises(ModelError, match="gives other tokens than the server"):
        served(answer, tokenizer="letters")


def test_options_need_a_tokenizer(served: Served) -> None:
    model, _ = served(hosted())
    with pytest.raises(CapabilityError, match="option"):
        order_of(model, PLANETS, readout="option")


# --- faults in the middle


@pytest.mark.parametrize("answered", ["n", "m-large", "m2", "m-70b", "mm"])
def test_another_model_than_asked_ends_the_check(answered: str, served: Served) -> None:
    def answer(seen: Seen, number: int) -> Say:
        said = hosted()(seen, number)
        if seen.body:
            said.body["model"] = answered
        return said

    with pytest.raises(OtherAnswerError, match=f"asked for the model 'm', the server answered as '{answered}'"):
        served(answer)


@pytest.mark.parametrize(("asked", "answered"), [("m", "m-2024-07-18"), ("m", "m-0613"), ("m", "M"), ("m", "m:latest"), ("org/m", "m"), ("m:free", "m")])  # fmt: skip
def test_a_date_or_a_path_makes_no_other_model(asked: str, answered: str, served: Served) -> None:
    def answer(seen: Seen, number: int) -> Say:
        said = hosted(asked)(seen, number)
        if seen.body:
            said.body["model"] = answered
        return said

    served(answer, name=asked)


def test_a_model_that_the_server_does_not_have(served: Served) -> None:
    with pytest.raises(ModelError, match=r"has no model 'other'. It has 'm'"):
        served(vllm(), name="other")


def test_what_came_before_a_fault_is_kept(served: Served) -> None:
    """A server restarts with another model in the middle; nothing that came is asked again."""
    down = [False]

    def answer(seen: Seen, number: int) -> Say:
        said = hosted()(seen, number)
        if down[0] and seen.body and "number 3" in seen.body["messages"][-1]["content"]:
            said.body["model"] = "n"
        return said

    model, server = served(answer, concurrency=2)
    requests = [LabelRequest(Presentation(question, order=order)) for question in PLANETS for order in itertools.permutations(range(4))]  # fmt: skip
    down[0] = True
    memo: dict[Any, Any] = {}
    with pytest.raises(OtherAnswerError):
        ask(model, requests, memo)
    assert 72 <= len(memo) < 80
    down[0] = False
    before = Counter(json.dumps(seen.body) for seen in server.seen)
    asked = ask(model, requests, memo)
    assert asked.fresh == len(requests) - len(memo) + asked.fresh
    again = Counter(json.dumps(seen.body) for seen in server.seen) - before
    assert sum(again.values()) == asked.fresh <= 72
    assert len(memo) == len(requests)


def test_a_tenth_of_faults_changes_no_number(served: Served) -> None:
    faults = itertools.cycle([Say(drops=True), Say({}, 503), Say(raw=b"{"), Say({}, 429, {"retry-after": "0"})])
    counter = itertools.count()

    def answer(seen: Seen, number: int) -> Say:
        return next(faults) if next(counter) % 10 == 9 else hosted()(seen, number)

    good, _ = served(hosted())
    bad, server = served(answer)
    requests = [LabelRequest(shown) for shown in ORDERS]
    assert good.answer(requests) == bad.answer(requests)
    assert "asked again after faults" in bad.describe_path()
    assert len(server.given) < len(server.seen)


@pytest.mark.parametrize("drifts", [False, True])
def test_answers_that_drift_are_seen(drifts: bool, served: Served) -> None:
    steady, server = served(hosted())
    order_of(steady, PLANETS)
    n_before = len(server.seen) - N_SENTINELS
    counter = itertools.count()

    def answer(seen: Seen, number: int) -> Say:
        said = hosted()(seen, number)
        if next(counter) >= n_before and drifts:
            _move(said, {0.5: 0.1, 0.1 / 8: 0.1 / 8 + 0.05})
        return said

    model, _ = served(answer)
    found = order_of(model, PLANETS)
    assert found.verdict is (Verdict.UNDECIDED if drifts else Verdict.HOLDS)
    assert next(guard for guard in found.guards if guard.name == "drift").passed is not drifts


def test_noise_by_company_leads_to_one_request_at_a_time(served: Served) -> None:
    server: list[Faulty] = []

    def answer(seen: Seen, number: int) -> Say:
        said = hosted()(seen, number)
        crowd = bool(server) and server[0]._at_once > 1
        if seen.body and crowd:
            for item in said.body["choices"][0]["logprobs"]["content"][0]["top_logprobs"]:
                item["logprob"] -= 0.5 if item["token"].strip() == "A" else 0
        return Say(said.body, said.status, hang_s=0.005)

    model, behind = served(answer)
    server.append(behind)
    found = order_of(model, PLANETS[:2])
    assert model.at_once == 1
    assert found.verdict is Verdict.HOLDS
    assert next(guard for guard in found.guards if guard.name == "noise").passed


# --- what is kept


@pytest.mark.parametrize("cacheable", [True, False])
def test_answers_are_kept_only_where_that_is_asked_for(cacheable: bool, served: Served, tmp_path: Path) -> None:
    model, server = served(hosted(), cacheable=cacheable)
    requests = [LabelRequest(shown) for shown in ORDERS]
    with AnswerCache(tmp_path) as cache:
        first = ask(model, requests, cache).replies
    again = served.again(server, cacheable=cacheable)
    before = len(server.seen)
    with AnswerCache(tmp_path) as cache:
        assert ask(again, requests, cache).replies == first
    assert len(server.seen) - before == (0 if cacheable else len(requests))


def test_the_fingerprint_is_address_model_and_version(served: Served) -> None:
    versions = iter(["0.32.0", "0.32.0", "0.33.0"])

    def answer(seen: Seen, number: int) -> Say:
        if seen.path == "/version":
            return Say({"version": next(versions)})
        if seen.path == "/v1/models":
            return Say({"data": [{"id": "m", "owned_by": "vllm", "created": number}]})
        return hosted()(seen, number)

    model, server = served(answer)
    same, newer = served.again(server), served.again(server)
    assert model.fingerprint == same.fingerprint != newer.fingerprint
    elsewhere, _ = served(hosted())
    assert elsewhere.fingerprint != model.fingerprint
    assert model.device == "vLLM 0.32.0"


# --- secrets

SECRET = "k-5up3r/S3cret+0123456789"
SUITE = """
    from pytest_llminvariance import Question

    QUESTIONS = [Question(f"Which planet is number {n}?", ["Mars", "Venus!", "Mercury.."], answer="Mercury..") for n in range(6)]

    def test_order(invariance):
        invariance.assert_order_symmetric(QUESTIONS)

    def test_texts(invariance):
        invariance.assert_order_symmetric(QUESTIONS, readout="text")
"""


def tells_the_key(seen: Seen, number: int) -> Say:
    """A server that gives the key back wherever it can, and at last refuses with it."""
    given = seen.headers.get("authorization", "")
    said = hosted()(seen, number)
    if seen.body and "logprobs" not in seen.body:
        if number == 0 and "number 5" in seen.body["messages"][-1]["content"]:
            return Say({"error": {"message": f"no more for {given}"}}, 403)
        said = Say(chat_answer(seen.body, said=f"A {given}"))
    return Say(said.body, said.status, {"x-key": given})


@pytest.mark.parametrize("more", [[], ["-vv", "--tb=long", "-l", "-o", "log_level=DEBUG"]])
def test_a_key_is_nowhere_in_what_is_written(
    more: list[str], pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ODD_NAME", SECRET)
    pytester.makepyfile(SUITE)
    with faulty_server(tells_the_key) as server:
        result = pytester.runpytest(
            f"--invariance-model=openai:m@{server.url}", "--invariance-key-variable=ODD_NAME", "--invariance-cacheable",
            "--invariance-cache=kept", "--invariance-report=record", *more,
        )  # fmt: skip
        assert any(seen.headers.get("authorization") == f"Bearer {SECRET}" for seen in server.seen)
    result.assert_outcomes(passed=1, failed=1)
    out = result.stdout.str() + result.stderr.str()
    assert "20 likeliest tokens" in out, "what was found out is said"
    assert "HTTP 403" in out
    files = [path for path in pytester.path.rglob("*") if path.is_file()]
    assert any("answers" in path.name for path in files)
    for text in (out, *(path.read_bytes().decode("latin-1") for path in files)):
        assert SECRET not in text
        assert "5up3r" not in text


@pytest.mark.parametrize(
    "given",
    ["--invariance-key-variable=sk-abcdef1234567", "--invariance-model=openai:m@https://user:hunter22@localhost:1/v1",
     "--invariance-model=openai:m@https://localhost:1/v1?api_key=hunter22"],
)  # fmt: skip
def test_a_key_in_the_wrong_place_is_refused_without_being_shown(given: str, pytester: pytest.Pytester) -> None:
    pytester.makepyfile(SUITE)
    result = pytester.runpytest("--invariance-model=openai:m@http://localhost:1", given)
    out = result.stdout.str() + result.stderr.str()
    assert result.ret != 0
    for secret in ("sk-abcdef1234567", "hunter22"):
        assert secret not in out.replace(given, "") or secret not in out
    assert "sk-abcdef1234567" not in out
    assert "hunter22" not in out


def test_a_key_needs_its_variable(served: Served) -> None:
    with pytest.raises(UsageError, match="NOT_THERE, which is to hold the server's key, is not set"):
        served(hosted(), key_variable="NOT_THERE")


# --- two ways of running the same weights


def test_backends_agree_where_they_are_the_same(served: Served) -> None:
    one, server = served(hosted())
    other = served.again(server)
    found = assert_backends_agree(one, other, PLANETS[:2])
    assert found.largest_nats == 0
    assert found.n_prompts == 8


def test_backends_that_differ_are_told_apart(served: Served) -> None:
    def answer(seen: Seen, number: int) -> Say:
        said = hosted()(seen, number)
        if seen.body:
            _move(said, {0.5: 0.4, 0.1 / 8: 0.2 / 8})
        return said

    one, _ = served(hosted())
    other, _ = served(answer)
    with pytest.raises(AssertionError, match=r"do not agree: log-probabilities of 8 prompts differ by at most 0\.1"):
        assert_backends_agree(one, other, PLANETS[:2])


def test_backends_that_only_list_their_likeliest_are_compared_as_intervals(served: Served) -> None:
    one, _ = served(hosted())
    other, _ = served(lambda seen, number: _cut(hosted()(seen, number), 3))
    assert assert_backends_agree(one, other, PLANETS[:2]).agrees


def test_a_plan_asks_no_server(served: Served) -> None:
    model = load_model("openai:m@http://127.0.0.1:9", weights=False)
    assert model.capabilities == {"label", "text"}
    with pytest.raises(ServedError):
        load_model("openai:m@http://127.0.0.1:9", answer_seconds=1)
