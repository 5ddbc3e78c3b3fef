"""A vLLM server asked in our order, in a shuffled order, and by lm-eval: prompts a second, and what its prefix cache has.

    python -m benchmarks.served http://127.0.0.1:8100 --tokenizer FOLDER
    python -m benchmarks.served http://127.0.0.1:8100 --tokenizer FOLDER --questions 24 --stem 600 --rounds 3 \
        --lm-eval lm-eval-env/bin/python --lm-eval-questions 2

Every round asks all orders of all questions once each way, in an order of ways that is drawn anew. Each way and round has a salt of its own,
so the prefix cache is cold at its start. Ratios are taken within a round; median and range are shown, above 1: ours is faster.
lm-eval asks for each label of a prompt apart, so fewer questions are given to it, and prompts a second are compared.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from urllib.request import urlopen

from benchmarks.workload import make_question, requests_for
from pytest_llminvariance import load_model
from pytest_llminvariance.models.protocol import LabelReply, LabelRequest, Reply
from pytest_llminvariance.models.served.client import Received
from pytest_llminvariance.models.served.model import ServedModel

WORKER = Path(__file__).with_name("lm_eval_worker.py")
OURS, SHUFFLED, HARNESS = "our order", "shuffled", "lm-eval"
CACHE = ("vllm:prefix_cache_queries_total", "vllm:prefix_cache_hits_total")


@dataclass(frozen=True, slots=True)
class Played:
    """One way in one round."""

    n_prompts: int
    seconds: float
    hit_rate: float | None
    """Share of the tokens that the prefix cache was asked for and had; `None` where the server does not tell."""
    off_nats: float = 0.0
    """Largest difference of a label's log-probability to our order."""

    @property
    def prompts_per_s(self) -> float:
        return self.n_prompts / self.seconds


def main(arguments: Sequence[str] | None = None) -> None:
    told = _parse(arguments)
    model = cast(
        "ServedModel",
        load_model(f"openai:{told.model}@{told.url}", tokenizer=told.tokenizer, concurrency=told.concurrency),
    )
    try:
        rounds = [_round(model, told, number) for number in range(told.rounds)]
    finally:
        model.release()
    result = {"settings": vars(told), "server": model.found_words(), "rounds": [_plain(one) for one in rounds]}
    print("\n".join([model.found_words(), *table(rounds, told)]))
    if told.json:
        told.json.write_text(json.dumps(result, indent=1, default=str) + "\n")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="a vLLM server with prefix caching")
    parser.add_argument("--model", default="demo", help="what the server calls the model (default: %(default)s)")
    parser.add_argument("--tokenizer", required=True, help="folder or hub id of its tokenizer")
    parser.add_argument("--questions", type=int, default=100, help="questions (default: %(default)s)")
    parser.add_argument("--options", type=int, default=4, help="options of each, asked in all orders (default: 4)")
    parser.add_argument("--stem", type=int, default=200, help="tokens of a stem (default: %(default)s)")
    parser.add_argument("--concurrency", type=int, default=16, help="requests under way (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--salt", type=int, default=0, help="texts are drawn from it")
    parser.add_argument("--lm-eval", help="a Python with lm-eval[api] and transformers")
    parser.add_argument("--lm-eval-questions", type=int, default=2, help="questions for it (default: %(default)s)")
    parser.add_argument("--json", type=Path, help="write everything here too")
    return parser.parse_args(arguments)


def _round(model: ServedModel, told: argparse.Namespace, number: int) -> dict[str, Played]:
    """Play every way once."""
    requests = [request for n in range(told.questions) for request in _orbit(model, told, number, n)]
    ways: dict[str, Callable[[], tuple[int, float, list[Mapping[str, float]]]]] = {
        OURS: lambda: _timed(model, requests, lambda salted: salted.answer(requests)),
        SHUFFLED: lambda: _timed(model, requests, lambda salted: shuffled(salted, requests, number)),
    }
    if told.lm_eval:
        few = requests[: told.lm_eval_questions * len(_orbit(model, told, number, 0))]
        ways[HARNESS] = lambda: _harness(model, few, told)
    played, nats = {}, {}
    for name in random.Random(f"{told.salt}|{number}").sample(list(ways), len(ways)):
        before = cache_counts(told.url)
        n_prompts, seconds, nats[name] = ways[name]()
        played[name] = Played(n_prompts, seconds, _hit_rate(before, cache_counts(told.url)))
    found = {name: (played[name], _off(nats[name], nats[OURS])) for name in ways}
    return {name: Played(one.n_prompts, one.seconds, one.hit_rate, off) for name, (one, off) in found.items()}


def _orbit(model: ServedModel, told: argparse.Namespace, *number: int) -> list[LabelRequest]:
    tokenizer = _tokenizer(model)
    question = make_question(
        lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"]),
        told.stem, told.options, told.salt, *number,
    )  # fmt: skip
    return requests_for(question, "all")


def _tokenizer(model: ServedModel) -> Any:
    assert model._way.jobs is not None
    return model._way.jobs.tokenizer


def _timed(
    model: ServedModel, requests: Sequence[LabelRequest], ask: Callable[[ServedModel], Sequence[Reply]]
) -> tuple[int, float, list[Mapping[str, float]]]:
    """Ask with a salt, and return how many prompts took how long and what was said of the labels."""
    client, salt = model._client, uuid.uuid4().hex
    plain = client.posted

    async def salted(path: str, body: Mapping[str, Any], *, attempts: int | None = None) -> Received:
        return await plain(path, {**body, "cache_salt": salt}, attempts=attempts)

    client.posted = salted  # type: ignore[method-assign]
    try:
        began = time.perf_counter()
        replies = ask(model)
        seconds = time.perf_counter() - began
    finally:
        del client.posted
    return len(requests), seconds, [_labels(*pair) for pair in zip(requests, replies, strict=True)]


def shuffled(model: ServedModel, requests: Sequence[LabelRequest], seed: int) -> list[Reply]:
    """Ask in an order that is drawn over all questions."""
    order = random.Random(seed).sample(range(len(requests)), len(requests))
    works = model._works(requests)
    found = dict(model._client.run([works[index][1] for index in order], at_once=model.at_once))
    replies = {order[place]: reply for place, reply in found.items()}
    return [replies[index] for index in range(len(requests))]


def _labels(request: LabelRequest, reply: Reply) -> Mapping[str, float]:
    assert isinstance(reply, LabelReply), reply
    return dict(zip(request.presentation.labels, reply.logprobs_nats, strict=True))


def _harness(
    model: ServedModel, requests: Sequence[LabelRequest], told: argparse.Namespace
) -> tuple[int, float, list[Mapping[str, float]]]:
    """Ask by lm-eval, every label a continuation of the same prompt; loading does not count."""
    assert model._way.jobs is not None
    blank = "" if model._way.jobs.chat else " "
    texts = [model._way.jobs.prompts.text(request) for request in requests]
    pairs = [
        (text, blank + label) for text, one in zip(texts, requests, strict=True) for label in one.presentation.labels
    ]
    job = {
        "url": model._client.address.url("completions"), "model": told.model, "tokenizer": told.tokenizer,
        "concurrency": told.concurrency, "pairs": pairs,
    }  # fmt: skip
    done = subprocess.run([told.lm_eval, WORKER], input=json.dumps(job), capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"lm-eval failed:\n{done.stderr[-2000:]}")
    said = json.loads(done.stdout.splitlines()[-1])
    values = iter(said["nats"])
    return (
        len(requests),
        said["seconds"],
        [{label: next(values) for label in one.presentation.labels} for one in requests],
    )


def cache_counts(url: str) -> tuple[float, float] | None:
    """Return the tokens that the server's prefix cache was asked for, and those that it had, since it started."""
    with urlopen(f"{url.rstrip('/').removesuffix('/v1')}/metrics", timeout=60) as answer:
        lines = [line.rpartition(" ") for line in answer.read().decode().splitlines()]
    found = [[float(value) for name, _, value in lines if name.partition("{")[0] == wanted] for wanted in CACHE]
    return (sum(found[0]), sum(found[1])) if all(found) else None


def _hit_rate(before: tuple[float, float] | None, after: tuple[float, float] | None) -> float | None:
    if before is None or after is None or after[0] == before[0]:
        return None
    return (after[1] - before[1]) / (after[0] - before[0])


def _off(some: Sequence[Mapping[str, float]], ours: Sequence[Mapping[str, float]]) -> float:
    return max(abs(one[label] - other[label]) for one, other in zip(some, ours, strict=False) for label in one)


def _plain(one: Mapping[str, Played]) -> dict[str, Any]:
    names = ("n_prompts", "seconds", "prompts_per_s", "hit_rate", "off_nats")
    return {name: {part: getattr(played, part) for part in names} for name, played in one.items()}


def table(rounds: Sequence[Mapping[str, Played]], told: argparse.Namespace) -> list[str]:
    """Return the lines that show the rounds: medians, and ratios within a round."""
    lines = [
        f"{told.questions} questions of {told.options} options in all orders, stems of {told.stem} tokens, "
        f"{told.concurrency} requests under way, {len(rounds)} rounds",
        f"{'way':<12}{'prompts':>9}{'seconds':>9}{'prompts/s':>11}{'ours is x':>11}{'min to max':>15}{'cache had':>11}{'|log p diff|':>14}",
    ]
    for name in rounds[0]:
        played = [one[name] for one in rounds]
        ratios = [one[OURS].prompts_per_s / one[name].prompts_per_s for one in rounds]
        rates = [one.hit_rate for one in played if one.hit_rate is not None]
        middle = statistics.median
        lines.append(
            f"{name:<12}{played[0].n_prompts:>9,}{middle(p.seconds for p in played):>9.1f}"
            f"{middle(p.prompts_per_s for p in played):>11.2f}{middle(ratios):>11.2f}"
            f"{f'{min(ratios):.2f} to {max(ratios):.2f}':>15}{f'{middle(rates):.0%}' if rates else '-':>11}"
            f"{max(p.off_nats for p in played):>14.1e}"
        )
    return lines


if __name__ == "__main__":
    main()
