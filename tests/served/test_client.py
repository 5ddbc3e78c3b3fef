"""The HTTP client against a server with faults: what is asked again, what is not, what is said, and who sees the key."""

from __future__ import annotations

import functools
import gc
import json
import socket
import ssl
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from pytest_llminvariance import UsageError
from pytest_llminvariance.errors import MissingExtraError
from pytest_llminvariance.models.served.address import Address, Key, key_for, parse_target
from pytest_llminvariance.models.served.client import Client, Patience
from pytest_llminvariance.models.served.faults import (
    GarbledError,
    ServedError,
    SlowError,
    StatusError,
    UnreachableError,
    retry_after_s,
)
from tests.served.faulty import Answer, Faulty, Say, Seen, faulty_server

SECRET = 's3cret/Key+with=all"of&it'
QUICK = Patience(total_s=20.0, attempts=5, first_wait_s=0.002, longest_wait_s=0.01)


def address_of(url: str) -> Address:
    return parse_target(f"m@{url}")[1]


@functools.cache
def key(address: Address) -> Key:
    found = key_for(address, "A_KEY", {"A_KEY": SECRET})
    assert found is not None
    return found


class Asking:
    """Clients of one test, closed after it."""

    def __init__(self) -> None:
        self.clients: list[Client] = []

    def __call__(self, url: str, patience: Patience = QUICK, *, signed: bool = True, **how: Any) -> Client:
        address = address_of(url)
        client = Client(address, key(address) if signed else None, patience=patience, **how)
        self.clients.append(client)
        return client


@pytest.fixture
def client() -> Iterator[Asking]:
    asking = Asking()
    yield asking
    for one in asking.clients:
        one.close()
    gc.collect()


def echo(seen: Seen, number: int) -> Say:
    return Say({"n": seen.body["n"]})


def after(*faults: Say) -> Answer:
    """Give faults first, and the right answer from then on."""
    return lambda seen, number: faults[number] if number < len(faults) else echo(seen, number)


def shown(error: BaseException) -> str:
    """All that a failure could print: messages, tracebacks of the whole chain, local variables outside of the tests."""
    text, one = "", error
    while one is not None:
        told = traceback.TracebackException.from_exception(one, capture_locals=True)
        frames = [frame for frame in told.stack if "/tests/" not in frame.filename]
        assert frames
        text += repr(one) + "".join(traceback.StackSummary.from_list(frames).format())
        one = one.__cause__ or one.__context__  # type: ignore[assignment]
    return text


PASSING_FAULTS = {
    "503": Say({"error": "loading"}, 503),
    "500": Say({"detail": "oops"}, 500),
    "502 as a page": Say(raw=b"<html>bad gateway</html>", status=502),
    "429": Say({"error": {"message": "slow down"}}, 429, {"retry-after": "0.01"}),
    "no JSON": Say(raw=b"hello"),
    "half of the JSON": Say(raw=b'{"n": '),
    "truncated": Say({"n": 1}, cut=20),
    "dropped": Say(drops=True),
    "empty": Say(raw=b""),
    "an error as an answer": Say({"error": {"message": "slow down", "code": 429}}, told=False),
    "an error in words alone": Say({"error": "upstream died"}, told=False),
    "an error in place of a choice": Say({"choices": [{"error": {"code": 502}}]}, told=False),
}


@pytest.mark.parametrize("fault", PASSING_FAULTS)
def test_a_fault_that_passes_is_asked_again(fault: str, client: Asking) -> None:
    with faulty_server(after(PASSING_FAULTS[fault], PASSING_FAULTS[fault])) as server:
        asking = client(server.url)
        assert asking.post("completions", {"n": 7}).data == {"n": 7}
        assert len(server.seen) == 3
        assert asking.n_again == 2
        assert server.seen[0].path == "/v1/completions"


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 405, 413, 422, 451, 501])
def test_what_does_not_pass_is_asked_once(status: int, client: Asking) -> None:
    with faulty_server(lambda seen, number: Say({"error": {"message": "never"}}, status)) as server:
        with pytest.raises(StatusError, match=rf"HTTP {status} \(never\): ") as caught:
            client(server.url).post("completions", {"n": 1})
        assert len(server.seen) == 1
        assert caught.value.status == status


@pytest.mark.parametrize("code", [401, 402, "403", 404, 422])
def test_an_error_with_status_200_is_the_error_that_it_says(code: int | str, client: Asking) -> None:
    said = {"error": {"message": "never", "code": code}, "id": "x"}
    with faulty_server(lambda seen, number: Say(said)) as server:
        with pytest.raises(StatusError, match=rf"an error in place of an answer: HTTP {code} \(never\): ") as caught:
            client(server.url).post("completions", {"n": 1})
        assert len(server.seen) == 1
        assert caught.value.status == int(code)


@pytest.mark.parametrize("none", [None, "", {}, False])
def test_an_error_that_is_none_is_no_error(none: object, client: Asking) -> None:
    said = {"choices": [{"text": "A", "error": none}], "error": none}
    with faulty_server(lambda seen, number: Say(said)) as server:
        assert client(server.url).post("completions", {"n": 1}).data == said


def test_a_mark_of_the_order_of_bytes_is_no_part_of_the_json(client: Asking) -> None:
    with faulty_server(lambda seen, number: Say(raw=b'\xef\xbb\xbf{"n": 1}')) as server:
        assert client(server.url).post("completions", {"n": 1}).data == {"n": 1}


def test_spent_quota_is_not_asked_again(client: Asking) -> None:
    said = {"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}
    with faulty_server(lambda seen, number: Say(said, 429)) as server:
        with pytest.raises(StatusError, match="nothing left"):
            client(server.url).post("completions", {"n": 1})
        assert len(server.seen) == 1


def test_a_fault_that_stays_is_said_with_its_cause(client: Asking) -> None:
    with faulty_server(lambda seen, number: Say({"error": "overloaded"}, 503)) as server:
        with pytest.raises(StatusError, match=r"attempt 5\): HTTP 503 \(overloaded\)"):
            client(server.url).post("completions", {"n": 1})
        assert len(server.seen) == QUICK.attempts


def test_nobody_listens(client: Asking) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with pytest.raises(UnreachableError, match="nobody answers there"):
        client(f"http://127.0.0.1:{port}").post("completions", {})


def test_no_such_host_is_asked_once(client: Asking) -> None:
    began = time.monotonic()
    slow = Patience(total_s=60, attempts=5, first_wait_s=20)
    with pytest.raises(UnreachableError, match=r"host is not known|nobody answers"):
        client("https://no-such-host.invalid", slow).post("completions", {})
    assert time.monotonic() - began < 15


def test_tls_to_a_server_without_it(client: Asking) -> None:
    with faulty_server(echo) as server, pytest.raises(UnreachableError, match="no TLS") as caught:
        client(server.url.replace("http:", "https:")).post("completions", {"n": 1})
    assert not caught.value.passes


def test_a_certificate_that_is_not_trusted(client: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx

    async def refuse(self: Any, *args: Any, **how: Any) -> Any:
        try:
            raise ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed certificate")
        except ssl.SSLError as error:
            raise httpx.ConnectError("all failed") from error

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", refuse)
    with pytest.raises(UnreachableError, match=r"not trusted .*SSL_CERT_FILE") as caught:
        client("https://localhost:1").post("completions", {})
    assert not caught.value.passes


SLOW = Patience(total_s=0.6, attempts=5, first_wait_s=0.002, longest_wait_s=0.01)


@pytest.mark.parametrize(
    "fault",
    [Say({"n": 1}, hang_s=5), Say({"n": 1}, drip_s=0.2), Say({"n": 1}, drip_s=0.2, drip_headers=True)],
    ids=["hangs", "drips", "drips headers"],
)
def test_time_is_bounded_however_slowly_bytes_come(fault: Say, client: Asking) -> None:
    with faulty_server(lambda seen, number: fault) as server:
        began = time.monotonic()
        with pytest.raises(SlowError, match=r"no whole answer within 0\.3 s"):
            client(server.url, SLOW).post("completions", {"n": 1})
        assert time.monotonic() - began < 2


def test_a_server_that_hangs_once_is_asked_again(client: Asking) -> None:
    with faulty_server(after(Say({"n": 1}, hang_s=2))) as server:
        assert client(server.url, SLOW).post("completions", {"n": 4}).data == {"n": 4}


def test_retry_after_is_kept_to_by_everyone(client: Asking) -> None:
    moments: list[float] = []

    def answer(seen: Seen, number: int) -> Say:
        moments.append(time.monotonic())
        return Say({}, 429, {"Retry-After": "0.4"}) if len(moments) == 1 else echo(seen, number)

    with faulty_server(answer) as server:
        asking = client(server.url, concurrency=1)
        jobs = [functools.partial(asking.posted, "completions", {"n": n}) for n in range(3)]
        assert [found.data["n"] for _, found in asking.run(jobs)] == [0, 1, 2]
    assert moments[1] - moments[0] >= 0.39


def test_a_retry_after_beyond_the_bound_ends_it_at_once(client: Asking) -> None:
    with faulty_server(lambda seen, number: Say({}, 429, {"Retry-After": "3600"})) as server:
        began = time.monotonic()
        with pytest.raises(ServedError, match="wants 3600 s"):
            client(server.url).post("completions", {"n": 1})
        assert time.monotonic() - began < 1
        assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 10),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({}, None),
    ],
)
def test_the_forms_of_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, now=90) == seconds


def one_in_ten(seen: Seen, number: int) -> Say:
    """One request in ten meets a fault first, each kind in turn; two in a thousand meet three."""
    n = int(seen.body["n"])
    faults = list(PASSING_FAULTS.values())
    if number < (3 if n % 500 == 0 else 1) and n % 10 == 0:
        return faults[(int(n) // 10 + number) % len(faults)]
    return echo(seen, number)


def test_a_thousand_requests_with_a_tenth_of_faults(client: Asking) -> None:
    with faulty_server(one_in_ten) as server:
        asking = client(server.url)
        jobs = [functools.partial(asking.posted, "completions", {"n": n}) for n in range(1_000)]
        found = list(asking.run(jobs))
        assert [index for index, _ in found] == list(range(1_000))
        assert [received.data for _, received in found] == [{"n": n} for n in range(1_000)]
        assert max(Counter(server.given).values()) == 1, "none is asked again after its answer came"
        assert len(server.given) == 1_000
        assert asking.n_again == len(server.seen) - 1_000 == 104
        assert 1 < server.most_at_once <= 16


def test_what_came_before_a_fault_is_yielded_in_order(client: Asking) -> None:
    def answer(seen: Seen, number: int) -> Say:
        n = seen.body["n"]
        return Say({}, 401) if n == 5 else Say({"n": n}, hang_s=0.1 if n in (0, 6) else 0.0)

    with faulty_server(answer) as server:
        asking = client(server.url, concurrency=4)
        results = asking.run([functools.partial(asking.posted, "completions", {"n": n}) for n in range(50)])
        found: list[int] = []
        with pytest.raises(StatusError, match="HTTP 401"):
            found.extend(index for index, _ in _noted(results, found))
        assert found == sorted(found)
        assert {0, 1, 2, 3, 4} <= set(found)
        assert len(server.seen) < 40, "nothing new begins after a fault"


def _noted(results: Iterator[tuple[int, Any]], found: list[int]) -> Iterator[tuple[int, Any]]:
    for index, _ in results:
        found.append(index)
    yield from ()


def test_a_server_that_restarts_is_waited_for(client: Asking) -> None:
    with faulty_server(echo) as server:
        asking = client(server.url, Patience(total_s=10, attempts=30, first_wait_s=0.02, longest_wait_s=0.05))
        assert asking.post("completions", {"n": 1}).data == {"n": 1}
    again: list[Faulty] = []
    restart = threading.Timer(0.2, lambda: again.append(Faulty(echo, server.port)))
    restart.start()
    try:
        assert asking.post("completions", {"n": 2}).data == {"n": 2}
    finally:
        restart.join()
        again[0].close()


def test_keys_of_objects_keep_their_order(client: Asking) -> None:
    with faulty_server(lambda seen, number: Say({"keys": list(seen.body["criteria"])})) as server:
        body = {"criteria": {"b": 1, "a": 2, "c": 3}}
        received = client(server.url).post("/v1/systemone", body)
        assert received.data == {"keys": ["b", "a", "c"]}
        other = client(server.url).post("/v1/systemone", {"criteria": {"a": 2, "b": 1, "c": 3}})
        assert received.sent_sha256 != other.sent_sha256


# --- secrets


def echoing(status: int) -> Answer:
    """A server that gives the key back in every form it can."""

    def answer(seen: Seen, number: int) -> Say:
        given = seen.headers.get("authorization", "none")
        said = {"message": f"bad key {given}"}
        body = {"said" if status == 200 else "error": said, "n": given}
        return Say(body, status, {"x-echo": given.replace('"', "")})

    return answer


@pytest.mark.parametrize("status", [200, 401, 302, 503])
def test_a_key_that_the_server_gives_back_is_masked(
    status: int, client: Asking, monkeypatch: pytest.MonkeyPatch
) -> None:
    with faulty_server(echoing(status)) as server:
        asking = client(server.url)
        if status == 200:
            told = json.dumps(asking.post("completions", {"n": 1}).data)
        else:
            with pytest.raises(StatusError) as caught:
                asking.post("completions", {"n": 1})
            told = shown(caught.value)
        assert server.seen[0].headers["authorization"] == f"Bearer {SECRET}", "the key is sent"
        for text in (told, repr(asking), repr(vars(asking))):
            assert SECRET not in text
            assert json.dumps(SECRET)[1:-1] not in text


@pytest.mark.parametrize("fault", ["dropped", "no JSON", "hangs", "refused"])
def test_no_error_shows_the_key_even_with_local_variables(fault: str, client: Asking) -> None:
    said = {
        "dropped": Say(drops=True),
        "no JSON": Say(raw=SECRET.encode()),
        "hangs": Say({}, hang_s=1),
        "refused": Say({}),
    }
    patience = Patience(total_s=0.3, attempts=2, first_wait_s=0.01)
    with faulty_server(lambda seen, number: said[fault]) as server:
        url = "http://127.0.0.1:1" if fault == "refused" else server.url
        with pytest.raises(ServedError) as caught:
            client(url, patience).post("completions", {"n": 1})
    assert SECRET not in shown(caught.value)
    assert "Bearer" not in shown(caught.value)


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("http://example.com", False),
        ("http://10.0.0.7:8000/v1", False),
        ("http://127.0.0.1.example.com", False),
        ("http://localhost.example.com", False),
        ("http://0.0.0.0:80", False),
        ("https://example.com", True),
        ("http://127.0.0.1:8000", True),
        ("http://127.9.9.9:8000", True),
        ("http://localhost:8000/v1", True),
        ("http://[::1]:8000", True),
        ("http://[::ffff:127.0.0.1]:8000", True),
        ("HTTP://LOCALHOST:1", True),
    ],
)
def test_a_key_goes_encrypted_or_stays_on_this_machine(url: str, sent: bool) -> None:
    address = address_of(url)
    if sent:
        assert key_for(address, "A_KEY", {"A_KEY": SECRET}) is not None
        return
    with pytest.raises(UsageError, match="would go unencrypted") as caught:
        key_for(address, "A_KEY", {"A_KEY": SECRET})
    assert SECRET not in str(caught.value)
    assert key_for(address, None) is None


@pytest.mark.parametrize("value", ["", "  ", "two words", "line\nbreak", "ümlaut", "tab\tin"])
def test_what_is_no_key_is_refused_without_being_shown(value: str) -> None:
    with pytest.raises(UsageError, match="A_KEY") as caught:
        key_for(address_of("https://example.com"), "A_KEY", {"A_KEY": value})
    assert not value.strip() or value not in str(caught.value)


@pytest.mark.parametrize("given", ["sk-abc123", SECRET, "lower", "", "A B", "hf_abcdefghij"])
def test_a_key_in_the_place_of_its_name_is_refused_without_being_shown(given: str) -> None:
    with pytest.raises(UsageError, match="the key itself is never given") as caught:
        key_for(address_of("https://example.com"), given, {})
    assert not given or given not in str(caught.value).replace("lower-case", "")


@pytest.mark.parametrize(
    "target",
    [
        f"m@https://user:{'pass'}word@host/v1", "m@https://host/v1?api_key=sk-123456789", "m@https://host/#sk-123456789",
        "m@https://sk-123456789@host", "m", "m@host", "@http://host", "m@http://", "m@http://ho st", "m@http://host:port",
        "m@ftp://host", "m@http://[::1", "m@https://host/v1?",
    ],
)  # fmt: skip
def test_an_address_is_a_model_and_a_plain_url(target: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_target(target)
    assert "sk-123456789" not in str(caught.value)
    assert "password" not in str(caught.value).replace("user, a password", "")


@pytest.mark.parametrize(
    ("target", "model", "root", "api"),
    [
        ("m@http://h:8000", "m", "http://h:8000", "http://h:8000/v1"),
        ("m@http://h:8000/", "m", "http://h:8000", "http://h:8000/v1"),
        ("m@http://h:8000/v1/", "m", "http://h:8000", "http://h:8000/v1"),
        ("org/m@1@https://h/openai/v1", "org/m@1", "https://h/openai", "https://h/openai/v1"),
        ("m@https://h/v1beta/openai", "m", "https://h/v1beta/openai", "https://h/v1beta/openai"),
        ("m:tag@HTTPS://Host", "m:tag", "https://host", "https://host/v1"),
    ],
)
def test_where_paths_begin(target: str, model: str, root: str, api: str) -> None:
    found, address = parse_target(target)
    assert (found, address.root, address.api) == (model, root, api)
    assert address.url("completions") == f"{api}/completions"
    assert address.url("/version") == f"{root}/version"


def test_a_server_on_this_machine_is_not_asked_through_a_proxy(client: Asking, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with faulty_server(echo) as server:
        assert client(server.url).post("completions", {"n": 3}).data == {"n": 3}


def test_a_redirect_is_not_followed(client: Asking) -> None:
    with faulty_server(echo) as elsewhere, faulty_server(lambda seen, number: Say({}, 307, {"location": elsewhere.url})) as server:  # fmt: skip
        with pytest.raises(StatusError, match="it sends elsewhere"):
            client(server.url).post("completions", {"n": 1})
        assert not elsewhere.seen


@pytest.mark.parametrize("module", ["httpx", "tenacity"])
def test_without_the_extra_the_command_is_told(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'pytest-llminvariance\[served\]'") as caught:
        Client(address_of("http://localhost:1"))
    assert repr(module) in str(caught.value)


def test_garbled_is_said_with_a_part_of_it(client: Asking) -> None:
    page = Say(raw=b"<html>a login page</html>")
    with faulty_server(lambda seen, number: page) as server, pytest.raises(GarbledError, match="a login page"):
        client(server.url).post("completions", {"n": 1})
