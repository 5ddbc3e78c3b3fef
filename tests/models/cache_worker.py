"""A process that fills a cache: `python cache_worker.py FOLDER WORKER NETWORK BATCHES`.

Prints a line after each batch that was stored; `BATCHES` 0 goes on until it is killed. The answers can be told
from the requests, so whoever reads them later can see whether they are right.
"""

from __future__ import annotations

import sys

from pytest_llminvariance import Presentation, Question
from pytest_llminvariance.models.cache import AnswerCache
from pytest_llminvariance.models.protocol import LabelReply, LabelRequest, Request

FINGERPRINT = "weights"
BATCH = 20


def request(worker: str, number: int) -> Request:
    return LabelRequest(Presentation(Question(f"{worker} asks {number}?", ["yes", "no"])))


def reply(asked: Request) -> LabelReply:
    stem = asked.presentation.question.stem
    return LabelReply((-len(stem) / 7, float("-inf")), f"sent {stem}", 3)


def batch(worker: str, number: int) -> dict[tuple[str, str, Request], LabelReply]:
    asked = [request(worker, BATCH * number + place) for place in range(BATCH)]
    return {("model", FINGERPRINT, each): reply(each) for each in asked}


def main() -> None:
    folder, worker, network, batches = sys.argv[1:]
    cache = AnswerCache(folder, worker=worker, network=network == "network")
    cache.persist(FINGERPRINT)
    number = 0
    while number < int(batches) or batches == "0":
        answers = batch(worker, number)
        common = batch("everybody", number)
        cache.fetch([*answers, *common])
        cache.store({**answers, **common})
        print(worker, number, flush=True)
        number += 1
    cache.close()
    print("trouble", cache.trouble, flush=True)


if __name__ == "__main__":
    main()
