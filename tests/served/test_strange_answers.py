"""What servers, gateways and environments give that is neither right nor a plain fault: never a crash, never a wrong number."""

from __future__ import annotations

import gc
import json
import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from pytest_llminvariance import ModelError, Presentation, Question, UsageError, assert_backends_agree, load_model
from pytest_llminvariance.models.protocol import LabelRequest, MissingReply, OptionRequest, TextReply, TextRequest
from pytest_llminvariance.models.served import loading, wire
from pytest_llminvariance.models.served.address import Key, parse_target
from pytest_llminvariance.models.served.client import Client, Patience
from pytest_llminvariance.models.served.faults import (
    OtherAnswerError,
    ServedError,
    StatusError,
    UnreachableError,
    retry_after_s,
)
from tests.served.faulty import Answer, Faulty, Say, Seen, faulty_server
from tests.served.imitations import Letters, chat_answer, hosted, sglang, vllm

SHOWN = Presentation(Question("Which planet is number 1?", ["Mars", "Venus!", "Io"]))
QUICK = Patience(total_s=5.0, attempts=3, first_wait_s=0.002, longest_wait_s=0.01)


@pytest.fixture
def model_of(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., tuple[Any, Faulty]]]:
    """Load a model behind a server that answers so; both end with the test."""
    monkeypatch.setattr("pytest_llminvariance.models.served.client.Patience", lambda total_s: QUICK)
    monkeypatch.setattr(loading, "_tokenizer", lambda settings: Letters() if settings.tokenizer else None)
    open_ones: list[Any] = []

    def make(answer: Answer, spec: str = "openai:m", **settings: Any) -> tuple[Any, Faulty]:
        context = faulty_server(answer)
        open_ones.append(lambda: context.__exit__(None, None, None))
        server = context.__enter__()
        model = load_model(f"{spec}@{server.url}", **settings)
        open_ones.append(model.release)  # type: ignore[attr-defined]
        return model, server

    yield make
    for end in reversed(open_ones):
        end()


def only(path: str, said: Say, otherwise: Answer | None = None) -> Answer:
    """Say one thing under a path, and be a hosted chat elsewhere."""
    return lambda seen, number: said if seen.path == path else (otherwise or hosted())(seen, number)


# --- log-probabilities in shapes that nobody promised


def token(text: Any, value: Any, **more: Any) -> dict[str, Any]:
    return {"token": text, "logprob": value, **more}


def chat(first: Any, tops: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"content": "A"}, "logprobs": {"content": [{**first, "top_logprobs": tops}]}}]}


A = token("A", -0.5)
SHAPES: dict[str, tuple[Callable[[], object], str]] = {
    "no list of others": (lambda: wire.top_of_chat(chat(A, None)), "None in place of a list of log-probabilities"),
    "others as a mapping": (lambda: wire.top_of_chat(chat(A, {"A": -0.5})), "in place of a list of log-probabilities"),
    "a token that is null": (lambda: wire.top_of_chat(chat(token(None, -0.5), [])), "the token None, which is no text"),
    "a token's number": (lambda: wire.top_of_chat(chat(token(32, -0.5), [])), "the token 32, which is no text"),
    "logits": (lambda: wire.top_of_chat(chat(token("A", 1000.0), [])), "the log-probability 1000 of 'A' is above 0"),
    "a logit without end": (lambda: wire.top_of_chat(chat(token("A", 10**400), [])), "log-probability inf of 'A' is above 0"),
    "percent": (lambda: wire.top_of_chat(chat(token("A", 70), [])), "the log-probability 70 of 'A' is above 0"),
    "no row of a completion": (
        lambda: wire.top_of_completion({"choices": [{"logprobs": {"top_logprobs": [None]}}]}),
        "None in place of log-probabilities",
    ),
    "no choice of a completion": (lambda: wire.top_of_completion({"choices": [None]}), "no log-probabilities"),
    "rows of a completion": (
        lambda: wire.top_of_completion({"choices": [{"logprobs": {"top_logprobs": [[A]]}}]}),
        "in place of log-probabilities",
    ),
    "no ids of a chat": (
        lambda: wire.scores_of_chat({"choices": [{"logprobs": {"content": [{"top_logprobs": None}]}}]}, [1]),
        "None in place of a list",
    ),
    "ids as lists": (lambda: wire.scores_of_chat(chat(A, [token([1], -1)]), [1]), "no log-probability for 1 of 1 tokens"),
    "no rows of generate": (
        lambda: wire.scores_of_generate({"meta_info": {"output_token_ids_logprobs": [None]}}, [1]),
        "None in place of a list",
    ),
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_another_shape_is_an_error_with_its_reason(shape: str) -> None:
    read, says = SHAPES[shape]
    with pytest.raises(OtherAnswerError, match=says):
        read()


def test_an_unknown_probability_leaves_open_what_it_may_be() -> None:
    told = [token("A", math.log(0.5)), token("B", math.log(0.2)), token("Sure", None)]
    top = wire.top_of_chat(chat(told[0], told))
    assert top is not None
    assert top.unlisted == pytest.approx(0.3), "what is null may be any of the rest"
    assert wire.label_nats(top, ("A", "B")) == pytest.approx((math.log(0.5), math.log(0.2)))
    whole = [token("A", math.log(0.5)), token("B", math.log(0.5))]
    known = wire.top_of_chat(chat(whole[0], whole))
    assert known is not None
    assert known.unlisted == pytest.approx(0)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ({"content": [{"type": "text", "text": None}, {"type": "text", "text": "B"}]}, "B"),
        ({"content": [{"type": "reasoning", "text": "A, or B?"}, {"type": "text", "text": "B"}]}, "B"),
        ({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "A"}]}, {"text": "B"}]}, "B"),
        ({"content": None, "tool_calls": [{"function": {"name": "f"}}]}, ""),
        ({"content": None, "reasoning": "A"}, ""),
        ({"content": "B", "refusal": None}, "B"),
        ({"content": None, "refusal": "A: that I will not say."}, "I cannot answer this question."),
    ],
)
def test_a_message_in_parts_or_without_any(message: dict[str, Any], text: str) -> None:
    assert wire.text_of_chat({"choices": [{"message": message}]}).text == text


def test_a_refused_label_is_missing_and_ends_nothing(model_of: Callable[..., tuple[Any, Faulty]]) -> None:
    def answer(seen: Seen, number: int) -> Say:
        said = hosted()(seen, number)
        if seen.body and seen.body["messages"][-1]["content"] != "Hi":
            choice = said.body["choices"][0]
            choice["message"] = {"content": None, "refusal": "No."}
            choice["logprobs"] = {"content": None, "refusal": [A]}
        return said

    model, _ = model_of(answer)
    (reply,) = model.answer([LabelRequest(SHOWN)])
    assert reply == MissingReply("the model refused to answer", reply.sent_sha256, reply.n_tokens)


# --- prompts that do not arrive whole, models under other names


def cuts(answer: Answer, n: int) -> Answer:
    """A server that says it had other tokens than were sent."""

    def changed(seen: Seen, number: int) -> Say:
        said = answer(seen, number)
        if seen.body and len(seen.body.get("prompt") or seen.body.get("input_ids") or ()) > 8:
            for part in ("usage", "meta_info"):
                if part in said.body:
                    said.body[part]["prompt_tokens"] += n
        return said

    return changed


@pytest.mark.parametrize("kind", [vllm, sglang])
@pytest.mark.parametrize("n", [-4, 1])
def test_a_prompt_that_was_cut_on_the_way_is_no_answer(kind: Any, n: int, model_of: Callable[..., Any]) -> None:
    for request in (LabelRequest(SHOWN), OptionRequest(SHOWN)):
        model, _ = model_of(kind(), tokenizer="letters")
        assert not isinstance(model.answer([request])[0], MissingReply), "as it is when nothing is cut"
        model, _ = model_of(cuts(kind(), n), tokenizer="letters")
        with pytest.raises(OtherAnswerError, match="tokens was sent, and the server says that it had"):
            model.answer([request])


@pytest.mark.parametrize(("asked", "told"), [("m", "org/m"), ("gemini", "models/gemini"), ("m", "m-2026-09")])
def test_a_path_or_a_month_makes_no_other_model(asked: str, told: str) -> None:
    wire.check_model({"model": told}, asked)


@pytest.mark.parametrize("spec", ["openai", "systemone", "decisions"])
def test_a_size_after_the_name_is_another_model(spec: str) -> None:
    with pytest.raises(OtherAnswerError, match=r"asked for the model 'm', .* answered as 'm-large'"):
        wire.still_called("", {"model": "m-large"}, "m", spec)


def test_a_version_that_changes_in_the_middle_ends_the_check(model_of: Callable[..., tuple[Any, Faulty]]) -> None:
    versions = iter(["2026-08-01"] * 4 + ["2026-09-01"] * 9)

    def answer(seen: Seen, number: int) -> Say:
        said = hosted()(seen, number)
        if seen.body:
            said.body["model"] = f"m-{next(versions)}"
        return said

    model, _ = model_of(answer, concurrency=1)
    shown = [SHOWN.replace(order=order) for order in ((0, 1, 2), (1, 0, 2), (2, 1, 0), (0, 2, 1), (1, 2, 0))]
    with pytest.raises(OtherAnswerError, match=r"was 'm-2026-08-01' and is now 'm-2026-09-01'.*Name one version"):
        model.answer(list(map(LabelRequest, shown)))


# --- what a server has, where its list says little


@pytest.mark.parametrize(
    "listed",
    [
        Say({"error": "not for this key"}, 403),
        Say({"error": "no key"}, 401),
        Say({"detail": "gone"}, 410),
        Say({}, 302, {"location": "/docs"}),
        Say({"error": "list is down"}, 500),
        Say(raw=b"<!doctype html><title>app</title>"),
        Say({"data": None}),
        Say({"models": [{"name": "m"}]}),
        Say({"data": ["m"]}),
    ],
    ids=lambda say: f"{say.status} {say.raw or say.body}",
)
def test_a_list_of_models_is_not_needed(listed: Say, model_of: Callable[..., tuple[Any, Faulty]]) -> None:
    model, _ = model_of(only("/v1/models", listed))
    assert not isinstance(model.answer([LabelRequest(SHOWN)])[0], MissingReply)


def test_no_key_is_still_said_where_the_model_is_asked(model_of: Callable[..., tuple[Any, Faulty]]) -> None:
    with pytest.raises(StatusError, match="HTTP 401"):
        model_of(lambda seen, number: Say({"error": "no key"}, 401))


def test_too_many_requests_while_probing_are_not_taken_for_a_chat_without_log_probabilities(
    model_of: Callable[..., tuple[Any, Faulty]],
) -> None:
    with pytest.raises(StatusError, match="HTTP 429"):
        model_of(only("/v1/chat/completions", Say({"error": "slow down"}, 429)))


def test_the_tag_that_a_server_adds_to_the_name_is_no_other_model(model_of: Callable[..., tuple[Any, Faulty]]) -> None:
    listed = Say({"data": [{"id": "m:latest", "owned_by": "library"}]})
    model, _ = model_of(only("/v1/models", listed))
    assert "label" in model.capabilities


def test_the_newer_name_of_the_bound_keeps_labels(model_of: Callable[..., tuple[Any, Faulty]]) -> None:
    def answer(seen: Seen, number: int) -> Say:
        if "max_tokens" in (seen.body or {}):
            return Say({"error": {"message": "Use 'max_completion_tokens' instead"}}, 400)
        return hosted()(seen, number)

    model, server = model_of(answer)
    assert not isinstance(model.answer([LabelRequest(SHOWN)])[0], MissingReply)
    assert server.seen[-1].body["max_completion_tokens"] == 1


def test_what_the_list_says_it_is_counts_where_its_version_is_hidden(model_of: Callable[..., Any]) -> None:
    hidden = only("/get_server_info", Say({"error": "no"}, 403), sglang())
    model, _ = model_of(hidden, tokenizer="letters")
    assert model.describe_path().startswith("SGLang: exact label and option scores")


# --- addresses


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("https://host/v1?api_key=sk-123456789", "with http:// or https:// before the host"),
        ("m@https://h.openai.azure.com/openai?api-version=2024-10-21", r"openai\.azure\.com/openai/v1"),
        ("m@https://host/v1/chat/completions", "ends with '/chat/completions', which is added by itself"),
        ("m@https://host/v1/models/", "ends with '/models', which is added by itself"),
        ("m@https://host/v1/decisions", "ends with '/decisions', which is added by itself"),
    ],
)
def test_an_address_says_what_is_too_much_and_no_key(target: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        parse_target(target)
    assert "sk-123456789" not in str(caught.value)


# --- the wire


@pytest.mark.parametrize(
    "header",
    ["Thu Jan  1 00:01:40 1970", "Thu, 01 Jan 1970 00:01:40 -0000", "Thursday, 01-Jan-70 00:01:40 GMT"],
)
def test_dates_are_of_greenwich_in_every_form(header: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    import time

    time.tzset()
    try:
        assert retry_after_s({"retry-after": header}, now=90) == 10
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_clock_that_is_wrong_here_makes_no_longer_wait() -> None:
    told = {"retry-after": "Thu, 01 Jan 1970 01:00:10 GMT", "date": "Thu, 01 Jan 1970 01:00:00 GMT"}
    assert retry_after_s(told, now=0) == 10
    assert retry_after_s(told, now=10**9) == 10
    assert retry_after_s({**told, "date": "soon"}, now=3600) == 10


def asking(url: str, key: Key | None = None, patience: Patience = QUICK) -> Client:
    return Client(parse_target(f"m@{url}")[1], key, patience=patience)


def failed(client: Client, kind: type[Exception] = ServedError) -> str:
    try:
        with pytest.raises(kind) as caught:
            client.post("completions", {"n": 1})
    finally:
        client.close()
    return str(caught.value)


def test_an_account_with_nothing_left_is_known_by_its_type_too() -> None:
    spent = Say({"error": {"message": "pay", "code": 429, "type": "insufficient_quota"}}, 429)
    with faulty_server(lambda seen, number: spent) as server:
        assert "nothing left" in failed(asking(server.url))
        assert len(server.seen) == 1


def test_an_error_with_status_200_keeps_its_retry_after() -> None:
    slow = Say({"error": {"code": 429}}, 200, {"retry-after": "86400"}, told=False)
    with faulty_server(lambda seen, number: slow) as server:
        assert "wants 86400 s without requests" in failed(asking(server.url))
        assert len(server.seen) == 1


def test_a_terminal_obeys_no_server() -> None:
    page = Say(raw=b"\x1b[31mred\x07\x00 <b>page</b>", status=400)
    with faulty_server(lambda seen, number: page) as server:
        said = failed(asking(server.url))
    assert said.isprintable()
    assert "<b>page</b>" in said


def test_an_answer_without_end_is_left_in_the_middle_and_nothing_stays_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pytest_llminvariance.models.served.client.MAX_BYTES", 1 << 16)
    with faulty_server(lambda seen, number: Say(raw=b" " * (1 << 20))) as server:
        assert "longer than 65,536 bytes" in failed(asking(server.url))
        assert len(server.seen) == 1
    gc.collect()
    assert not caplog.records


def test_json_nested_without_end_is_a_fault_and_no_crash() -> None:
    with faulty_server(lambda seen, number: Say(raw=b"[" * 100_000)) as server:
        assert "is no JSON" in failed(asking(server.url))


@pytest.mark.parametrize(
    ("variable", "value"), [("HTTPS_PROXY", "ftp://user:hunter22@127.0.0.1:1"), ("SSL_CERT_FILE", "/not/there.pem")]
)
def test_an_environment_that_allows_no_connection_is_said_at_once(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    client = asking("https://example.invalid", patience=Patience(total_s=60, attempts=8))
    said = failed(client, UnreachableError)
    assert "no connection can be made" in said
    assert "HTTPS_PROXY, ALL_PROXY" in said
    assert "hunter22" not in said
    assert client.n_requests == 1


# --- keys in the spellings of servers

SECRET = "k5up3r/S3cret+&<'\"0123"


@pytest.mark.parametrize(
    "spell",
    [
        lambda key: json.dumps({"error": {"message": key}}).replace("/", "\\/"),
        lambda key: json.dumps({"error": {"message": key}}).replace("+", "\\u002B").replace("&", "\\u0026"),
        lambda key: json.dumps({"error": {"message": key}}).replace("5", "\\u0035"),
        lambda key: "<p>bad key k5up3r/S3cret+&amp;&lt;&#x27;&quot;0123</p>",
        lambda key: "<p>bad key k5up3r/S3cret+&amp;&lt;&#39;&quot;0123</p>",
        lambda key: "<p>bad key k5up3r/S3cret+&amp;&lt;'\"0123</p>",
        lambda key: f"Traceback: KeyError: {key!r}",
        lambda key: f"illegal header line: {bytearray(key.encode())!r}",
        lambda key: json.dumps({key: 1}),
    ],
    ids=[
        "slashes",
        "as .NET",
        "digits",
        "HTML",
        "HTML again",
        "HTML without quotes",
        "Python",
        "bytes of Python",
        "a field",
    ],
)
@pytest.mark.parametrize("status", [200, 400, 503])
def test_a_key_is_masked_however_it_is_spelled(spell: Callable[[str], str], status: int) -> None:
    with faulty_server(lambda seen, number: Say(raw=spell(SECRET).encode(), status=status)) as server:
        client = asking(server.url, Key(SECRET, "A_KEY"))
        try:
            told = str(client.post("completions", {"n": 1}).data)
        except ServedError as error:
            told = str(error)
        finally:
            client.close()
    assert "***" in told
    assert "5up3r" not in told


@pytest.mark.parametrize("dummy", ["x", "A", "0", "EMPTY"])
def test_a_dummy_key_spoils_no_answer(
    dummy: str, model_of: Callable[..., tuple[Any, Faulty]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", dummy)
    model, server = model_of(hosted(), key_variable="A_KEY")
    plain, _ = model_of(hosted())
    requests = [LabelRequest(SHOWN), TextRequest(SHOWN)]
    assert model.answer(requests) == plain.answer(requests)
    assert server.seen[-1].headers["authorization"] == f"Bearer {dummy}"


def test_a_key_of_digits_spoils_no_number() -> None:
    with faulty_server(lambda seen, number: Say({"p": -0.1234567, "n": 1234567, "t": "is 123456"})) as server:
        client = asking(server.url, Key("123456", "A_KEY"))
        try:
            assert client.post("completions", {}).data == {"p": -0.1234567, "n": 1234567, "t": "is ***"}
        finally:
            client.close()


# --- two ways of running one decision model


def test_decision_models_are_compared_too(model_of: Callable[..., tuple[Any, Faulty]]) -> None:
    def deciding(lean: float) -> Answer:
        def answer(seen: Seen, number: int) -> Say:
            answers = {}
            for name, asked in seen.body["questions"].items():
                options = list(asked["criteria"])
                values = [0.5 + lean, *[(0.5 - lean) / (len(options) - 1)] * (len(options) - 1)]
                answers[name] = {"type": "choice", "probabilities": dict(zip(options, values, strict=True))}
            return Say({"model": "m", "answers": answers})

        return answer

    one, other, moved = (model_of(deciding(lean), "systemone:m")[0] for lean in (0.0, 0.0, 0.1))
    assert assert_backends_agree(one, other, [SHOWN.question]).readout == "decision"
    with pytest.raises(AssertionError, match="do not agree"):
        assert_backends_agree(one, moved, [SHOWN.question])


def test_a_text_is_no_answer_of_nobody(model_of: Callable[..., tuple[Any, Faulty]]) -> None:
    model, _ = model_of(lambda seen, number: Say({**chat_answer(seen.body), "choices": []}) if seen.body and "logprobs" not in seen.body else hosted()(seen, number))  # fmt: skip
    with pytest.raises(ModelError, match=r"the server's answer has no choices\.0"):
        model.answer([TextRequest(SHOWN)])
    model, _ = model_of(hosted())
    assert isinstance(model.answer([TextRequest(SHOWN)])[0], TextReply)
