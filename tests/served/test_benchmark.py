"""`benchmarks.served` runs, here against an imitated server and an imitated lm-eval."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks import served
from pytest_llminvariance.models.load_settings import LoadSettings
from pytest_llminvariance.models.served import loading
from tests.served.faulty import Say, Seen, faulty_server
from tests.served.imitations import Letters, vllm

HARNESS = """
import json, math
from urllib.request import Request, urlopen


class LocalCompletionsAPI:
    def __init__(self, base_url, model, tokenizer, tokenizer_backend, num_concurrent, add_bos_token):
        assert (model, tokenizer_backend, num_concurrent, add_bos_token) == ("m", "huggingface", 2, False)
        self.url, self.model = base_url, model

    def loglikelihood(self, asked, disable_tqdm):
        return [(self.ask(*one.args), False) for one in asked]

    def ask(self, text, more):
        # as the imitated server's own tokens: one a character, the label alone or after a blank
        sums = []
        for label in (more.strip(), " " + more.strip()):
            tokens = [min(ord(letter), 299) for letter in text + label]
            nats = 0.0
            for place in range(len(text), len(tokens)):
                body = {"model": self.model, "prompt": tokens[:place], "logprob_token_ids": tokens[place : place + 1]}
                with urlopen(Request(self.url, json.dumps(body).encode(), {"content-type": "application/json"})) as got:
                    top = json.load(got)["choices"][0]["logprobs"]["top_logprobs"][0]
                nats += top[f"token_id:{tokens[place]}"]
            sums.append(nats)
        return math.log(sum(map(math.exp, sums)))
"""
INSTANCE = """
class Instance:
    def __init__(self, request_type, doc, arguments, idx):
        assert request_type == "loglikelihood"
        self.args = arguments
"""


def test_every_way_is_played_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, text in {"api/instance": INSTANCE, "models/openai_completions": HARNESS}.items():
        place = tmp_path / "lm_eval" / f"{name}.py"
        place.parent.mkdir(parents=True)
        place.write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(loading, "_tokenizer", lambda settings: Letters())
    answers, n_scored, salts = vllm(), [0], list[str]()

    def answer(seen: Seen, number: int) -> Say:
        if seen.path == "/metrics":
            lines = [
                f'{name}{{engine="0"}} {share * n_scored[0]}' for name, share in zip(served.CACHE, (10, 4), strict=True)
            ]
            return Say(raw="\n".join(["# TYPE x counter", *lines, ""]).encode())
        if seen.path == "/v1/completions":
            n_scored[0] += 1
            if "cache_salt" in seen.body:
                salts.append(seen.body["cache_salt"])
        return answers(seen, number)

    with faulty_server(answer) as server:
        told = [
            "--model=m",
            "--tokenizer=x",
            "--questions=2",
            "--options=2",
            "--stem=30",
            "--rounds=2",
            "--concurrency=2",
        ]
        more = ["--lm-eval", sys.executable, "--lm-eval-questions=1", "--json", str(tmp_path / "out.json")]
        served.main([server.url, *told, *more])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith(
        "2 questions of 2 options in all orders, stems of 30 tokens, 2 requests under way, 2 rounds"
    )
    rows = {line[:12].strip(): line for line in lines[3:]}
    assert list(rows) == ["our order", "shuffled", "lm-eval"]
    assert all("40%" in row for row in rows.values())
    rounds = json.loads((tmp_path / "out.json").read_text())["rounds"]
    assert [[one[way]["n_prompts"] for way in rows] for one in rounds] == [[4, 4, 2]] * 2
    assert max(one[way]["off_nats"] for one in rounds for way in rows) < 1e-9, "all give the same numbers"
    assert len(set(salts)) == 4, "each way and round has a cold cache"


def test_a_shuffled_order_is_another_order_and_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "_tokenizer", lambda settings: Letters())
    with faulty_server(vllm()) as server:
        model = loading.load_served(f"m@{server.url}", LoadSettings(tokenizer="x", concurrency=1))
        told = served._parse([server.url, "--tokenizer=x", "--stem=20", "--options=3"])
        requests = [request for n in range(3) for request in served._orbit(model, told, n)]
        began = len(server.seen)
        ours = model.answer(requests)
        middle = len(server.seen)
        assert served.shuffled(model, requests, 1) == ours
        first, second = (
            [json.dumps(seen.body) for seen in part] for part in (server.seen[began:middle], server.seen[middle:])
        )
        assert sorted(first) == sorted(second)
        assert first != second
        model.release()
