"""Credentials are masked, and ordinary words are not."""

from __future__ import annotations

import pytest

from pytest_llminvariance.records.redaction import MASK, redacted, redacted_data

PLANTED = [
    ("openai:m@http://user:hunter22@host:8000/v1", "hunter22"),
    ("openai:m@http://user:hunt/er22@host:8000/v1", "er22"),
    ("openai:m@http://user:hunt@er22@host:8000/v1", "er22"),
    ("http://abcdeftoken@host/v1", "abcdeftoken"),
    ("http://host/v1?api_key=abc&x=1", "abc"),
    ("http://host/v1?x=1&access_token=abc", "abc"),
    ("Authorization: Bearer abc.def-123", "abc.def"),
    ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpw"),
    ("{'api_key': 'abcdefgh'}", "abcdefgh"),
    ("password=abcdefgh", "abcdefgh"),
    ("401 for key sk-proj-abcdef123456", "abcdef"),
    ("hf_abcdefghijKLMN", "abcdefghij"),
    ("ghp_abcdefghijklmnop1234", "abcdefghij"),
    ("AKIAABCDEFGHIJKLMNOP", "ABCDEFGH"),
    ("eyJhbGciOi.eyJzdWIiOi.c2ln", "hbGciOi"),
]
PLAIN = [
    "demo",
    "hf:org/model@main",
    "org/model-7b",
    "control:noisy=0.3",
    "openai:qwen2.5:7b@http://host:8000/v1",
    "http://host:8000/@scope/name",
    "/home/me/models/tokenizer",
    "the token count is 12 of 400 tokens",
    "monkey: banana split",
    "test_keys.py::test_order[key-1]",
    "systemone:m@http://127.0.0.1:9000",
]


@pytest.mark.parametrize(("text", "secret"), PLANTED)
def test_secrets_are_masked(text: str, secret: str) -> None:
    assert secret not in redacted(text, {})
    assert MASK in redacted(text, {})
    assert redacted(redacted(text, {}), {}) == redacted(text, {})


@pytest.mark.parametrize("text", PLAIN)
def test_other_texts_stay(text: str) -> None:
    assert redacted(text, {}) == text


def test_a_host_is_still_told() -> None:
    assert redacted("openai:m@http://user:pw@host:8000/v1?key=a1", {}) == "openai:m@http://***@host:8000/v1?key=***"


def test_values_of_secret_variables_are_masked_wherever_they_stand() -> None:
    environment = {"MY_API_KEY": "zebra-crossing", "HOME": "/home/zebra", "LANG": "en_GB.UTF-8", "TOKEN": "short"}
    data = {"reason": "refused zebra-crossing", "home": "/home/zebra", "parts": ["x zebra-crossing", 3, None]}
    assert redacted_data(data, environment) == {
        "reason": "refused ***",
        "home": "/home/zebra",
        "parts": ["x ***", 3, None],
    }
    assert redacted("short", environment) == "short"


def test_of_two_values_the_longer_goes_first() -> None:
    assert redacted("abcdefgh-rest", {"A_TOKEN": "abcdefgh", "B_TOKEN": "abcdefgh-rest"}) == MASK
