"""What a real vLLM 0.32.0 answered about the demo model, replayed: numbers equal those of the model in this process."""

from __future__ import annotations

import json

import pytest

from pytest_llminvariance import load_model
from tests.served.faulty import Say, Seen, faulty_server
from tests.served.real_server import RECORDED, compare


@pytest.mark.real_model
def test_numbers_of_a_real_server_are_those_of_the_model_in_this_process() -> None:
    rows = json.loads(RECORDED.read_text())
    known = {json.dumps([row["method"], row["path"], row["body"]]): row["answer"] for row in rows}
    unknown: list[str] = []

    def answer(seen: Seen, number: int) -> Say:
        asked = json.dumps([seen.method, seen.path, seen.body])
        if asked not in known:
            unknown.append(asked)
        return Say(known[asked]) if asked in known else Say({"error": "not recorded"}, 404)

    with faulty_server(answer) as server:
        found = compare(load_model("demo"), server.url)
    assert len(found) == 3
    assert not unknown
